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

#include "control/export/disclosure_kit.h"
#include "control/export/export.h"
#include "control/export/replay.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"

static char dir[128], journal_dir[160], keys_dir[160];
static struct fixture_signer signer;
static struct payload_keys *keys;

static uint64_t approval_record[KIT_APPROVAL_RECORDS];

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
	kit_session(j, keys, 0);
	kit_session(j, keys, 1);
	kit_approval(j, approval_record);
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

	kit_session_text(0, first);
	kit_session_text(1, second);
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

	kit_session_text(number, session);
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
	"head -c -16 chunks/${h%${h#??}}/$h | openssl enc -d -aes-256-ctr -K $(cat keys/$A.hex) -iv $(printf %024x 1)00000002 | zstd -dc | grep -q alpha-4111";

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
	assert_true(shell("closed", "for c in chunks/*/*; do ! zstd -dc $c || exit 1; done"));
	assert_true(replay_shows(0, keys, kit_secret[0]));
	assert_false(replay_shows(0, NULL, kit_secret[0]));
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
	assert_false(replay_shows(0, keys, kit_secret[0]));
	assert_true(replay_shows(0, keys, "payload that cannot be read"));
	assert_true(replay_shows(1, keys, kit_secret[1]));
	/* Nothing on disk says it: neither journal, nor keys, nor bundles. */
	assert_true(shell("after", "! grep -rq alpha-4111 ../journal ../keys ."));
}

/* Makes ../steps of the commands of VERIFY.md's steps 2 and 11: the others have nothing to do with approvals. */
static const char steps[] = "{ echo 'set -eu; WORK=$(mktemp -d); trap \"rm -rf $WORK\" EXIT'; sed -n '/^## 2/,/^## 3/p; /^## 11/,$p' VERIFY.md | sed -n '/^```sh/,/^```$/p' | "
			    "grep -v '^```'; } > ../steps && sh ../steps";

/* --- by approval --------------------------------------------------------------------------------------------------------- */

static struct export_disclosure of_first(char session[33])
{
	kit_session_text(0, session);
	return (struct export_disclosure){ .approval = KIT_APPROVAL, .sessions = session, .record = approval_record, .records = KIT_APPROVAL_RECORDS };
}

static void an_approval_discloses_its_sessions_and_no_other(void **state)
{
	char session[33], other[33], both[70];
	const struct export_disclosure d = of_first(session);
	struct export_result r = bundle_of("both", keys, &d, (struct archive_filter){ 0 });

	kit_session_text(1, other);
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
		"truncate -s -1 approvals/*/5.vote.jcs",
		"echo >> $(ls approvals/*/5.vote.jcs)",
		/* A line of its own is another pattern for grep: a vote of nobody on record. */
		"h=$(sha256sum < $(ls approvals/*/statement.jcs) | cut -c1-64); for v in approvals/*/[56].vote.jcs; do "
		"printf '{\\n\"statement\":\"%s\",\"v\":1,\"vote\":\"approve\",\"voter\":\"eve%s\"}' $h $(basename $v .vote.jcs) > $v; done",
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
