/* The real sluice-signer and the real sluice-token, with SoftHSM: what is signed, what is refused, and rotations from file to token to token to file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/journal/verify.h"
#include "control/signer/signer_token_test_kit.h"

/* --- SoftHSM ---------------------------------------------------------------------------------------------------------- */

/* The line as openssl sees it: the public key as pkcs11-tool reads it from the token, DER, SHA-256 of the body. */
static void line_verifies_with_openssl(void **state)
{
	char body[512];
	struct bytes text;
	struct checkpoint c;
	NOTE(note);

	kit_works(true);
	assert_true(kit.client.keys.has_p256);
	assert_false(kit_is_there("keys/p256.pem"));
	assert_int_equal(kit_ask(0, 5, &note), JOURNAL_SIGNER_DONE);
	assert_int_equal(kit_lines_of(writer_done(&note)), 2);
	assert_null(checkpoint_parse(writer_done(&note), true, &c, &text));
	snprintf(body, sizeof body, "%.*s", (int)text.len, (const char *)text.base);
	kit_put("body", 0600, body);
	note_text[writer_done(&note).len] = 0;
	kit_put("note", 0600, note_text);
	kit_shell("cd %s && SOFTHSM2_CONF=softhsm2.conf pkcs11-tool --module " SOFTHSM " --token-label one --read-object --type pubkey --id 01 -o pub.der >/dev/null 2>&1 && "
	      "tail -n 1 note | sed 's/.* //' | base64 -d | tail -c +5 >sig && openssl dgst -sha256 -verify pub.der -keyform DER -signature sig body >/dev/null", kit.dir);
	kit_shell("cd %s && ! (sed -i 1d body && openssl dgst -sha256 -verify pub.der -keyform DER -signature sig body >/dev/null 2>&1)", kit.dir);
}

static void only_what_extends_is_signed(void **state)
{
	NOTE(first);
	NOTE(smaller);
	NOTE(fork);
	NOTE(next);

	kit_works(true);
	assert_int_equal(kit_ask(0, 9, &first), JOURNAL_SIGNER_DONE);
	assert_int_equal(kit_ask(0, 5, &smaller), JOURNAL_SIGNER_REFUSED);
	assert_int_equal(kit_ask(1, 20, &fork), JOURNAL_SIGNER_REFUSED);
	assert_int_equal(kit_ask(0, 20, &next), JOURNAL_SIGNER_DONE);
	kit_ends_with(0);
	kit_works(false);
	assert_int_equal(kit.client.size, 20);
	kit_signs(&kit.client.keys, 2);
}

/* Nobody but the signer can ask the helper, and nothing of it shows the PIN. */
static void pin_is_nowhere_to_be_seen(void **state)
{
	static const char *const files[] = { "cmdline", "environ" };
	char path[64], text[4096];

	kit_works(true);
	for (unsigned i = 0; i < 4; i++) {
		FILE *f;
		size_t len;

		snprintf(path, sizeof path, "/proc/%d/%s", i < 2 ? kit.child : kit_helper(), files[i % 2]);
		f = fopen(path, "r");
		if (!f)
			continue; /* not dumpable: only for the privileged */
		len = fread(text, 1, sizeof text, f);
		fclose(f);
		assert_null(memmem(text, len, "CANARY", 6));
	}
	kit_get("log", text, sizeof text);
	assert_null(strstr(text, "CANARY"));
}

static void journal_verifies_with_a_token_key(void **state)
{
	char live[200], err[JOURNAL_ERROR_BYTES];
	struct journal_config config = { .dir = live, .origin = FIXTURE_ORIGIN };
	struct verify_options verify = { .dir = live, .keys = &kit.client.keys };
	struct verify_summary summary;
	struct journal_signer s;
	struct journal *j;

	snprintf(live, sizeof live, "%s/journal", kit.dir);
	kit_works(true);
	s = signer_client_journal(&kit.client);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	assert_true(fixture_fill(j, 300, 10, FIXTURE_TIME));
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, WAIT_MS));
	journal_close(j);
	assert_true(verify_journal(&verify, &summary));
	assert_int_equal(summary.covered, 300);
	kit.client.keys.p256_spki[60] ^= 1;
	assert_false(verify_journal(&verify, &summary));
}

/* Keys and files that are none of ours; each with its reason, and none of them tries a PIN twice. */
static void what_is_no_key_is_refused(void **state)
{
	static const struct {
		const char *uri, *why;
	} rows[] = {
		{ "one;object=nobody", "no private key" }, { "none;object=journal", "no token" }, { "one;object=rsa", "another kind than EC" },
		{ "one;object=p384", "another curve" }, { "one;object=ed", "another kind than EC" }, { "one;object=twice", "more than one private key" },
		{ "one;object=journal;id=%02", "no private key" }, { "one;object=journal;manufacturer=else", "no token" },
	};
	char text[900];

	kit_tool("one", "--keypairgen --key-type rsa:2048 --label rsa --id 02 --usage-sign");
	kit_tool("one", "--keypairgen --key-type EC:secp384r1 --label p384 --id 03 --usage-sign");
	kit_tool("one", "--keypairgen --key-type EC:edwards25519 --label ed --id 04 --usage-sign");
	kit_tool("one", "--keypairgen --key-type EC:prime256v1 --label twice --id 05 --usage-sign");
	kit_tool("one", "--keypairgen --key-type EC:prime256v1 --label twice --id 06 --usage-sign");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		kit_put("keys/p256.uri", 0400, kit_soft(rows[i].uri));
		kit_fails_with(true, rows[i].why);
	}
	kit_put("keys/p256.uri", 0400, kit_soft("one;object=twice;id=%06"));
	kit_works(true);
	kit_signs(&kit.client.keys, 2);
	kit_ends_with(0);
	kit_put("keys/p256.uri", 0400, "pkcs11:token=one;object=journal?module-path=/nowhere/module.so");
	kit_fails_with(false, "cannot be loaded");
	snprintf(text, sizeof text, "pkcs11:token=one;object=journal?module-path=" SOFTHSM "&pin-value=" PIN "\nSOFTHSM2_CONF=%s/softhsm2.conf\n", kit.dir);
	kit_put("keys/p256.uri", 0400, text);
	kit_fails_with(false, "pin-value= is refused");
	snprintf(text, sizeof text, "pkcs11:token=one;object=journal?module-path=" SOFTHSM "\nSOFTHSM2_CONF=%s/softhsm2.conf\n", kit.dir);
	kit_put("keys/p256.uri", 0400, text);
	kit_fails_with(false, "no pin-source=");
	kit_put("keys/p256.uri", 0422, kit_soft("one;object=journal"));
	kit_fails_with(false, "others may write");
	kit_put("keys/p256.uri", 0400, kit_soft("one;object=journal"));
	kit_put("keys/p256.pem", 0400, "no key");
	kit_fails_with(false, "both are there");
	kit_shell("rm %s/p256.pem", kit.keys);
	kit_put("pin", 0444, PIN);
	kit_fails_with(false, "others may read");
	kit_shell("rm %s/pin", kit.dir);
	kit_fails_with(false, "is not there");
	kit_put("pin", 0400, "\n");
	kit_fails_with(false, "is empty");
	kit_put("pin", 0400, PIN);
	kit_works(false);
}

/* With a real token: refused once, not tried again, and taken when the file is right. */
static void wrong_pin_waits_for_a_person(void **state)
{
	kit_works(true);
	kit_ends_with(0);
	kit_put("pin", 0400, "wrong");
	kit_fails_with(false, "PIN");
	assert_true(kit_is_there("keys/state.p256-pin"));
	for (unsigned i = 0; i < 4; i++)
		kit_fails_with(false, "was wrong, and is not tried again");
	kit_put("pin", 0400, PIN);
	kit_works(false);
	kit_signs(&kit.client.keys, 2);
	assert_false(kit_is_there("keys/state.p256-pin"));
}

static void helper_that_is_killed_ends_the_signer(void **state)
{
	uint64_t size;
	NOTE(note);

	kit_works(true);
	kit_signs(&kit.client.keys, 2);
	size = kit.client.size;
	kill(kit_helper(), SIGKILL);
	assert_int_equal(kit_ask(0, size + 3, &note), JOURNAL_SIGNER_GONE);
	assert_non_null(strstr(kit.client.why, "sluice-token is gone"));
	kit_ends_with(1);
	/* What was in its state before the signature is signed by the next, and nothing else. */
	kit_works(false);
	assert_int_equal(kit.client.size, size + 3);
	note = writer_of(note_text, sizeof note_text);
	assert_int_equal(kit_ask(1, size + 3, &note), JOURNAL_SIGNER_REFUSED);
	note = writer_of(note_text, sizeof note_text);
	assert_int_equal(kit_ask(0, size + 3, &note), JOURNAL_SIGNER_DONE);
	assert_int_equal(kit_lines_of(writer_done(&note)), 2);
}

static void signer_that_is_killed_takes_its_helper_along(void **state)
{
	pid_t pid;

	kit_works(true);
	pid = kit_helper();
	kill(kit.child, SIGKILL);
	kit_stop();
	for (unsigned i = 0; i < 500 && kill(pid, 0) == 0; i++)
		usleep(10000);
	assert_int_not_equal(kill(pid, 0), 0);
}

static void token_that_is_away_is_said_at_the_start(void **state)
{
	kit_works(true);
	kit_signs(&kit.client.keys, 2);
	kit_ends_with(0);
	kit_shell("mv %s/tokens %s/away && mkdir %s/tokens", kit.dir, kit.dir, kit.dir);
	kit_fails_with(false, "no token that is plugged in");
	kit_shell("rmdir %s/tokens && mv %s/away %s/tokens", kit.dir, kit.dir, kit.dir);
	kit_works(false);
	kit_signs(&kit.client.keys, 2);
}

/* --- rotation --------------------------------------------------------------------------------------------------------- */

static void step(enum signer_step which, const uint8_t key[32])
{
	if (!signer_client_step(&kit.client, which, key, WAIT_MS))
		fail_msg("%s", kit.client.why);
}

static void next_start(void)
{
	kit_ends_with(0);
	kit_works(false);
}

static bool same_p256(const struct checkpoint_keys *a, const struct checkpoint_keys *b)
{
	return bytes_equal(bytes_of(a->p256_spki, a->p256_spki_len), bytes_of(b->p256_spki, b->p256_spki_len));
}

/* All of one: over both, whose four lines verify, to the new ones. */
static void rotate(void)
{
	struct checkpoint_keys old = kit.client.keys, new;

	step(SIGNER_STEP_PREPARE, old.ed25519);
	next_start();
	assert_int_equal(kit.client.phase, SIGNER_READY);
	new = kit.client.next;
	assert_false(same_p256(&old, &new));
	step(SIGNER_STEP_OVERLAP, new.ed25519);
	kit_signs(&old, 4);
	kit_signs(&new, 4);
	next_start();
	kit_signs(&new, 4);
	step(SIGNER_STEP_RETIRE, new.ed25519);
	next_start();
	assert_int_equal(kit.client.phase, SIGNER_STABLE);
	assert_true(same_p256(&kit.client.keys, &new));
	kit_signs(&new, 2);
}

static void rotation_from_file_to_token_to_token_to_file(void **state)
{
	struct checkpoint_keys before;
	char text[400];

	kit_shell("rm %s/p256.uri", kit.keys);
	kit_works(true);
	assert_true(kit_is_there("keys/p256.pem"));
	kit_shell("ln %s/p256.pem %s/old.pem", kit.keys, kit.dir);
	kit_put("keys/next-p256.uri", 0400, kit_soft("one;object=journal"));
	rotate();
	assert_false(kit_is_there("keys/p256.pem") || kit_is_there("keys/next-p256.uri") || kit_is_there("keys/next-p256.pem"));
	assert_true(kit_is_there("keys/p256.uri"));
	kit_get("old.pem", text, sizeof text);
	assert_string_equal(text, "");
	kit_token_make("two");
	kit_put("keys/next-p256.uri", 0400, kit_soft("two;object=journal"));
	rotate();
	kit_get("keys/p256.uri", text, sizeof text);
	assert_non_null(strstr(text, "token=two"));
	/* The key of the token before is still there: it is not ours to delete. */
	kit_tool("one", "--list-objects --type privkey | grep -q journal");
	/* A key in a token is not followed by one that we make in a file. */
	before = kit.client.keys;
	step(SIGNER_STEP_PREPARE, before.ed25519);
	next_start();
	assert_int_equal(kit.client.phase, SIGNER_STABLE);
	assert_true(same_p256(&kit.client.keys, &before) && !kit_is_there("keys/next-p256.pem"));
	kit_get("log", text, sizeof text);
	assert_non_null(strstr(text, "put next-p256.uri there first"));
	/* But by one in a file that somebody puts there. */
	kit_shell("openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out %s/next-p256.pem && chmod 0400 %s/next-p256.pem", kit.keys, kit.keys);
	rotate();
	assert_true(kit_is_there("keys/p256.pem") && !kit_is_there("keys/p256.uri"));
}

/* The key in force again, and one that is not there, end the rotation; a token that is away later does not. */
static void new_token_that_fails(void **state)
{
	struct checkpoint_keys old;

	kit_works(true);
	old = kit.client.keys;
	kit_put("keys/next-p256.uri", 0400, kit_soft("one;object=journal"));
	step(SIGNER_STEP_PREPARE, old.ed25519);
	next_start();
	assert_int_equal(kit.client.phase, SIGNER_STABLE);
	kit_shell("rm %s/next-*", kit.keys);
	kit_put("keys/next-p256.uri", 0400, kit_soft("two;object=journal"));
	step(SIGNER_STEP_PREPARE, old.ed25519);
	next_start();
	assert_int_equal(kit.client.phase, SIGNER_STABLE);
	kit_signs(&old, 2);
	kit_shell("rm %s/next-*.pem", kit.keys);
	kit_token_make("two");
	step(SIGNER_STEP_PREPARE, old.ed25519);
	next_start();
	assert_int_equal(kit.client.phase, SIGNER_READY);
	step(SIGNER_STEP_OVERLAP, kit.client.next.ed25519);
	kit_ends_with(0);
	kit_put("keys/next-p256.uri", 0400, kit_soft("three;object=journal"));
	kit_fails_with(false, "no token that is plugged in");
	kit_fails_with(false, "no token that is plugged in");
	kit_put("keys/next-p256.uri", 0400, kit_soft("two;object=journal"));
	kit_works(false);
	assert_int_equal(kit.client.phase, SIGNER_OVERLAP);
	kit_signs(&old, 4);
}

/* kill -9 where the old file is gone and the new one has not come: the next start goes on. */
static void replacing_goes_on_after_a_kill(void **state)
{
	struct checkpoint_keys new;

	kit_shell("rm %s/p256.uri", kit.keys);
	kit_works(true);
	kit_put("keys/next-p256.uri", 0400, kit_soft("one;object=journal"));
	step(SIGNER_STEP_PREPARE, kit.client.keys.ed25519);
	next_start();
	new = kit.client.next;
	step(SIGNER_STEP_OVERLAP, new.ed25519);
	step(SIGNER_STEP_RETIRE, new.ed25519);
	kit_ends_with(0);
	kit_shell("cd %s && mv next-ed25519.pem ed25519.pem && rm -f p256.pem", kit.keys);
	kit_works(false);
	assert_int_equal(kit.client.phase, SIGNER_STABLE);
	assert_true(same_p256(&kit.client.keys, &new));
	kit_signs(&new, 2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(line_verifies_with_openssl, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(only_what_extends_is_signed, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(pin_is_nowhere_to_be_seen, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(journal_verifies_with_a_token_key, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(what_is_no_key_is_refused, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(wrong_pin_waits_for_a_person, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(helper_that_is_killed_ends_the_signer, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(signer_that_is_killed_takes_its_helper_along, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(token_that_is_away_is_said_at_the_start, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(rotation_from_file_to_token_to_token_to_file, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(new_token_that_fails, kit_setup_soft, kit_teardown),
		cmocka_unit_test_setup_teardown(replacing_goes_on_after_a_kill, kit_setup_soft, kit_teardown),
	};

	if (!kit_arguments(argc, argv))
		return 2;
	return cmocka_run_group_tests_name("signer_token", tests, NULL, NULL);
}
