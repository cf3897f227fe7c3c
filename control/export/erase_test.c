/* Sealed payload in bundles and replays: with its key it can be read with public tools, without it it proves and tells nothing; after
 * the key was destroyed nobody reads it, and every proof stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/export/export.h"
#include "control/export/replay.h"
#include "control/journal/base64.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"

static char dir[128], journal_dir[160], keys_dir[160];
static struct fixture_signer signer;
static struct payload_keys *keys;
static const char *const secret[2] = { "alpha-4111111111111111", "beta-4222222222222222" };

static void session_text(unsigned number, char out[33])
{
	snprintf(out, 33, "%032x", number + 10);
}

/* session.open with the commitment, then a command with one sealed chunk, of the two sessions. */
static void write_session(struct journal *j, unsigned number)
{
	struct seal seal;
	struct record_seal place = { .seal = &seal, .dir = bytes_str("i"), .number = 4096 * number + 1 };
	uint8_t id[16] = { 0 }, hash[32], text[1024], payload[300];
	char session[33];
	struct record_chunk chunk;
	struct writer w = writer_of(text, sizeof text);
	struct jcs c = jcs_of(&w);
	uint64_t index;

	id[15] = (uint8_t)(number + 10);
	session_text(number, session);
	assert_true(payload_keys_make(keys, id, FIXTURE_TIME, &seal));
	seal_commitment(&seal, hash);
	jcs_open(&c);
	jcs_key(&c, "data");
	jcs_open(&c);
	jcs_put_hex(&c, "key_h", bytes_of(hash, 32));
	jcs_close(&c);
	jcs_put_int(&c, "n", 0);
	jcs_put_str(&c, "sess", session);
	jcs_put_str(&c, "t", "session.open");
	jcs_put_str(&c, "ts", "2026-11-20T10:00:00.000000Z");
	jcs_close(&c);
	assert_int_equal(journal_append(j, jcs_done(&c), &index), JOURNAL_OK);
	snprintf((char *)payload, sizeof payload, "SELECT '%s'", secret[number]);
	assert_int_equal(journal_chunk_sealed(j, &place, bytes_str((char *)payload), &chunk), JOURNAL_OK);
	w = writer_of(text, sizeof text);
	c = jcs_of(&w);
	jcs_open(&c);
	jcs_put_int(&c, "n", 1);
	jcs_key(&c, "pl");
	jcs_array(&c);
	record_chunk_put(&c, "i", place.number, &chunk);
	jcs_array_close(&c);
	jcs_put_str(&c, "sess", session);
	jcs_put_str(&c, "t", "cmd");
	jcs_put_str(&c, "ts", "2026-11-20T10:00:01.000000Z");
	jcs_close(&c);
	assert_int_equal(journal_append(j, jcs_done(&c), &index), JOURNAL_OK);
}

/* --- the records of an approval of the first session's key ---------------------------------------------------------------- */

#define APPROVAL "0123456789abcdefghjkmnpqrs"

static uint64_t approval_record[5];
static char statement[512];

static void approval_write(struct journal *j)
{
	char h[65] = "", session[33], text[5][1600];
	struct writer w = writer_of(h, sizeof h - 1);

	session_text(0, session);
	snprintf(statement, sizeof statement,
		 "{\"cmd\":{\"norm\":\"{\\\"args\\\":{\\\"sessions\\\":[\\\"%s\\\"]},\\\"operation\\\":\\\"journal.disclose\\\"}\"},\"quorum\":2,\"reason\":\"why\",\"who\":{\"person\":\"ivan\"}}", session);
	hex_write(&w, bytes_of(merkle_sha256(bytes_str(statement)).b, 32));
	snprintf(text[0], sizeof text[0], "{\"appr\":{\"h\":\"%s\",\"id\":\"" APPROVAL "\"},\"data\":{\"statement\":%s,\"statement_len\":%zu},\"t\":\"approval.request\"}", h, statement, strlen(statement));
	for (unsigned i = 0; i < 2; i++)
		snprintf(text[1 + i], sizeof text[0],
			 "{\"appr\":{\"h\":\"%s\",\"id\":\"" APPROVAL "\"},\"data\":{\"extra\":{\"doc\":{\"reason\":\"seen\",\"statement\":\"%s\",\"v\":1,\"vote\":\"approve\",\"voter\":\"%s\"}}},\"t\":\"approval.vote\"}",
			 h, h, i ? "dora" : "bob");
	for (unsigned i = 0; i < 2; i++)
		snprintf(text[3 + i], sizeof text[0], "{\"appr\":{\"h\":\"%s\",\"id\":\"" APPROVAL "\"},\"data\":{},\"t\":\"%s\"}", h, i ? "key.disclose" : "approval.consume");
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(journal_append(j, bytes_str(text[i]), &approval_record[i]), JOURNAL_OK);
}

static int setup(void **state)
{
	struct journal_config config = { .dir = journal_dir, .origin = FIXTURE_ORIGIN };
	char err[JOURNAL_ERROR_BYTES];
	struct journal_signer s;
	struct journal *j;

	fixture_dir(dir);
	snprintf(journal_dir, sizeof journal_dir, "%s/journal", dir);
	snprintf(keys_dir, sizeof keys_dir, "%s/keys", dir);
	fixture_signer_init(&signer);
	s = fixture_signer_journal(&signer);
	keys = payload_keys_open(keys_dir, true, err);
	j = journal_open(&config, FIXTURE_TIME, err);
	if (!keys || !j)
		return -1;
	write_session(j, 0);
	write_session(j, 1);
	approval_write(j);
	assert_true(payload_keys_sync(keys));
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
	return 0;
}

static int teardown(void **state)
{
	payload_keys_close(keys);
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

static void destroy(unsigned number)
{
	uint8_t id[16] = { 0 };

	id[15] = (uint8_t)(number + 10);
	assert_true(payload_keys_intend(keys, id) && payload_keys_destroy(keys, id));
}

/* A bundle of what the filter lets through, at dir/name. */
static struct export_result bundle_of(const char *name, struct payload_keys *disclose, const struct export_disclosure *disclosure, struct archive_filter filter)
{
	char out[200], err[EXPORT_ERROR_BYTES];
	struct export_request request = { .filter = filter, .out = out, .keys = &signer.keys, .disclose = disclose, .disclosure = disclosure };
	struct export_result result;
	struct archive *a = archive_open(journal_dir, err);

	snprintf(out, sizeof out, "%s/%s", dir, name);
	assert_non_null(a);
	if (!export_bundle(a, &request, &result, err))
		fail_msg("%s", err);
	archive_close(a);
	return result;
}

static struct export_result bundle(const char *name, struct payload_keys *disclose)
{
	return bundle_of(name, disclose, NULL, (struct archive_filter){ 0 });
}

/* Runs `commands` in the bundle, $S the sessions' names; their exit status is 0. */
static bool shell(const char *name, const char *commands)
{
	char line[2048], first[33], second[33];

	session_text(0, first);
	session_text(1, second);
	snprintf(line, sizeof line, "cd %s/%s && A=%s B=%s && { %s; } > ../out 2>&1", dir, name, first, second, commands);
	if (system(line) == 0)
		return true;
	snprintf(line, sizeof line, "cat %s/out", dir);
	(void)!system(line);
	return false;
}

static bool replay_shows(unsigned number, struct payload_keys *with, const char *text)
{
	char err[EXPORT_ERROR_BYTES], session[33];
	struct archive *a = archive_open(journal_dir, err);
	struct replay *r;
	struct replay_event e;
	bool seen = false;

	session_text(number, session);
	assert_non_null(a);
	r = replay_open(a, with, session, err);
	assert_non_null(r);
	while (replay_next(r, &e))
		seen |= memmem(e.text.base, e.text.len, text, strlen(text)) != NULL;
	assert_null(replay_error(r));
	replay_close(r);
	archive_close(a);
	return seen;
}

static const char read_content[] =
	"zstd -qdc records/*.zst > ../l && h=$(sed -n 's/.*\"enc\":\"gcm\",\"h\":\"\\([0-9a-f]*\\)\".*\"sess\":\"'$A'\".*/\\1/p' ../l); "
	"head -c -16 chunks/$h | openssl enc -d -aes-256-ctr -K $(cat keys/$A.hex) -iv $(printf %024x 1)00000002 | zstd -dc | grep -q alpha-4111";

static void disclosed_payload_is_read_with_public_tools(void **state)
{
	struct export_result r = bundle("open", keys);

	assert_int_equal(r.keys, 2);
	assert_true(shell("open", "sh verify.sh all > ../said && grep -q '7. content: 2 keys' ../said"));
	assert_true(shell("open", read_content));
	/* A key that is not the one committed to, and one that fits but opens nothing (its session.open is not in the bundle). */
	assert_true(shell("open", "tr 0-9 1-90 < keys/$A.hex > ../k && cat ../k > keys/$A.hex && sed -i \"s,^[0-9a-f]*  keys/$A.hex,$(sha256sum keys/$A.hex),\" "
				  "MANIFEST.sha256 && sha256sum -c --quiet MANIFEST.sha256"));
	assert_false(shell("open", "sh verify.sh all"));
}

static void without_keys_the_bundle_verifies_and_tells_nothing(void **state)
{
	struct export_result r = bundle("closed", NULL);

	assert_int_equal(r.keys, 0);
	assert_int_equal(r.chunks, 2);
	assert_true(shell("closed", "sh verify.sh all"));
	assert_true(shell("closed", "[ ! -d keys ] && ! { cat $(find . -type f ! -name '*.zst'); zstd -qdc $(find . -name '*.zst'); } | grep -aq -e alpha-4111 -e beta-4222"));
	/* Nor is it a mere zstd frame. */
	assert_true(shell("closed", "for c in chunks/*; do ! zstd -dc $c || exit 1; done"));
	assert_true(replay_shows(0, keys, secret[0]));
	assert_false(replay_shows(0, NULL, secret[0]));
	assert_true(replay_shows(0, NULL, "payload that cannot be read"));
}

static void after_the_key_is_destroyed_proofs_stand_and_content_is_gone(void **state)
{
	const struct verify_options options = { .dir = journal_dir, .keys = &signer.keys };
	struct verify_summary summary;

	bundle("before", NULL);
	destroy(0);
	/* The old bundle, the journal, and a new bundle with whatever keys there are: all verify. */
	assert_true(shell("before", "sh verify.sh all"));
	assert_true(verify_journal(&options, &summary));
	assert_int_equal(bundle("after", keys).keys, 1);
	assert_true(shell("after", "sh verify.sh all"));
	assert_false(shell("after", "[ -e keys/$A.hex ]"));
	assert_false(replay_shows(0, keys, secret[0]));
	assert_true(replay_shows(0, keys, "payload that cannot be read"));
	assert_true(replay_shows(1, keys, secret[1]));
	/* Nothing on disk says it: neither journal, nor keys, nor bundles. */
	assert_true(shell("after", "! grep -rq alpha-4111 ../journal ../keys ."));
}

/* Makes ../steps of the commands of VERIFY.md's steps 2 and 11: the others have nothing to do with approvals. */
static const char steps[] = "{ echo 'set -eu; WORK=$(mktemp -d); trap \"rm -rf $WORK\" EXIT'; sed -n '/^## 2/,/^## 3/p; /^## 11/,$p' VERIFY.md | sed -n '/^```sh/,/^```$/p' | "
			    "grep -v '^```'; } > ../steps && sh ../steps";

/* --- by approval --------------------------------------------------------------------------------------------------------- */

static struct export_disclosure of_first(char session[33])
{
	session_text(0, session);
	return (struct export_disclosure){ .approval = APPROVAL, .sessions = session, .record = approval_record, .records = 5 };
}

static void an_approval_discloses_its_sessions_and_no_other(void **state)
{
	char session[33], other[33], both[70];
	const struct export_disclosure d = of_first(session);
	struct export_result r = bundle_of("both", keys, &d, (struct archive_filter){ 0 });

	session_text(1, other);
	snprintf(both, sizeof both, "%s,%s", other, session);
	assert_int_equal(r.keys, 1);
	assert_int_equal(r.chunks, 2);
	assert_true(shell("both", "sh verify.sh 1 > ../said && grep -q '11. disclosure: 1 keys, as approved' ../said && grep -q 'asked for by \"ivan\", agreed to by \"bob\" \"dora\"' ../said"));
	assert_true(shell("both", "[ -e keys/$A.hex ] && [ ! -e keys/$B.hex ] && [ \"$(cat approvals/*/keys)\" = \"$A given\" ] && [ \"$(stat -c %a .)\" = 700 ]"));
	/* The other one's payload is not told as a copy either. */
	r = bundle_of("other", keys, &d, (struct archive_filter){ .session = other });
	assert_int_equal(r.keys, 0);
	assert_true(shell("other", "grep -q 'cannot be read' replay.cast && ! grep -q beta-4222 replay.cast && [ \"$(cat approvals/*/keys)\" = \"$A none\" ]"));
	assert_int_equal(bundle_of("first", keys, &d, (struct archive_filter){ .sessions = session, .in_session = true }).records, 2);
	assert_int_equal(bundle_of("list", NULL, NULL, (struct archive_filter){ .sessions = both }).records, 4);
	assert_true(shell("list", "[ ! -d tile/entries ] && [ ! -d approvals ] && [ ! -d keys ]"));
}

static void an_erased_key_is_said_to_be_erased(void **state)
{
	char session[33];
	const struct export_disclosure d = of_first(session);
	struct export_result r;

	destroy(0);
	r = bundle_of("gone", keys, &d, (struct archive_filter){ 0 });
	assert_int_equal(r.keys, 0);
	assert_int_equal(r.erased, 1);
	assert_true(shell("gone", "[ ! -d keys ] && [ \"$(cat approvals/*/keys)\" = \"$A erased\" ]") && shell("gone", steps));
}

/* Were there a manifest that fits. */
static void an_approval_that_was_tampered_with_is_seen(void **state)
{
	static const char *const rows[] = {
		"sed -i s/approve/deny/ approvals/*/*.vote.jcs",
		"rm approvals/*/6.*",
		"sed -i s/why/for/ approvals/*/statement.jcs",
		"rm approvals/*/8.*",                                              /* key.disclose */
		"cp ../all/keys/$B.hex keys/",                                      /* a key that nobody told of */
		"cp ../all/keys/$B.hex keys/ && echo $B given >> approvals/*/keys", /* or that was not asked for */
	};
	char session[33], line[512];
	const struct export_disclosure d = of_first(session);

	bundle("all", keys);
	bundle_of("whole", keys, &d, (struct archive_filter){ 0 });
	assert_true(shell("whole", steps));
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		snprintf(line, sizeof line, "rm -rf ../t && cp -r . ../t && cd ../t && %s; ! sh ../steps > ../said && grep -q '^2. checkpoint' ../said && ! grep -q '^11. disclosure' ../said", rows[i]);
		if (!shell("whole", line))
			fail_msg("not seen: %s", rows[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(disclosed_payload_is_read_with_public_tools),
		TEST(without_keys_the_bundle_verifies_and_tells_nothing),
		TEST(after_the_key_is_destroyed_proofs_stand_and_content_is_gone),
		TEST(an_approval_discloses_its_sessions_and_no_other),
		TEST(an_erased_key_is_said_to_be_erased),
		TEST(an_approval_that_was_tampered_with_is_seen),
	};

	return cmocka_run_group_tests_name("erase", tests, NULL, NULL);
}
