/* Who let a held command pass: as documents in the bundle, and what step 11 of its VERIFY.md says of approvals that are not what they seem. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/export/disclosure_kit.h"
#include "control/export/export.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/tiles.h"

#define D "approvals/" KIT_HELD "/"

static char dir[128], journal_dir[160], keys_dir[160], out[160], session[33];
static struct fixture_signer signer;
static struct export_key *key;
static struct payload_keys *keys;
static uint64_t request_index;

static int build(void **state)
{
	char err[EXPORT_ERROR_BYTES];

	fixture_dir(dir);
	snprintf(journal_dir, sizeof journal_dir, "%s/journal", dir);
	snprintf(keys_dir, sizeof keys_dir, "%s/payload-keys", dir);
	snprintf(out, sizeof out, "%s/bundle", dir);
	kit_session_text(0, session);
	key = export_key_open(dir, true, err);
	return key ? 0 : -1;
}

static int clean_up(void **state)
{
	export_key_close(key);
	fixture_remove(dir);
	return 0;
}

static void make(const struct kit_held *held)
{
	struct journal_config config = { .dir = journal_dir, .origin = FIXTURE_ORIGIN };
	char err[JOURNAL_ERROR_BYTES];
	struct journal_signer s;
	struct journal *j;

	fixture_remove(journal_dir);
	fixture_remove(keys_dir);
	fixture_signer_init(&signer);
	s = fixture_signer_journal(&signer);
	keys = payload_keys_open(keys_dir, true, err);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_true(j && keys);
	kit_session(j, keys, 0);
	request_index = kit_held(j, keys, held);
	assert_true(payload_keys_sync(keys) && journal_commit(j, FIXTURE_TIME) == JOURNAL_OK && journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
}

/* The bundle of what `filter` lets through; `disclose`: with keys. */
static void export_to(const struct archive_filter *filter, bool disclose)
{
	struct export_request request = { .filter = *filter, .out = out, .keys = &signer.keys, .key = key, .disclose = disclose ? keys : NULL };
	char err[EXPORT_ERROR_BYTES] = "";
	struct export_result result;
	struct archive *a = archive_open(journal_dir, err);

	assert_non_null(a);
	fixture_remove(out);
	if (!export_bundle(a, &request, &result, err))
		fail_msg("%s", err);
	archive_close(a);
}

static void forget(void)
{
	payload_keys_close(keys);
	fixture_signer_free(&signer);
}

/* What a command in the bundle says, and whether it succeeds. */
static bool shell(const char *command, char *text, size_t room)
{
	char *const environment[] = { "PATH=/usr/bin:/bin", NULL };
	int status = -1, pipes[2];
	pid_t child;
	size_t len = 0;
	ssize_t got;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		dup2(pipes[1], 1);
		dup2(pipes[1], 2);
		if (chdir(out) == 0)
			execle("/bin/sh", "sh", "-c", command, (char *)NULL, environment);
		_exit(127);
	}
	close(pipes[1]);
	while ((got = read(pipes[0], text + len, room - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = 0;
	close(pipes[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void sign_manifest(void)
{
	static char manifest[65536];
	uint8_t signature[EXPORT_KEY_SIGNATURE_BYTES];

	assert_true(shell("rm MANIFEST.sha256; find . -type f ! -name MANIFEST.sig | sed 's,^./,,' | xargs sha256sum > ../m && mv ../m MANIFEST.sha256; cat MANIFEST.sha256", manifest, sizeof manifest));
	assert_true(export_key_sign(key, bytes_str(manifest), signature));
	assert_int_equal(tiles_write_file(out, "MANIFEST.sig", bytes_of(signature, sizeof signature)), 0);
}

/* The bundle's own commands, and what they have to say. */
static void expect_verify(bool good, const char *says)
{
	static char text[65536];

	if (shell("sh verify.sh all", text, sizeof text) != good || !strstr(text, says))
		fail_msg("not %s with \"%s\":\n%s", good ? "passed" : "failed", says, text);
}

static const struct kit_held sound = { .voter = { "bob", "dora" } };

/* Where the statement lies depends on what was asked for. */
static void documents_are_where_they_may_be(void **state)
{
	static const struct {
		bool session, keys;
		unsigned from, to; /* counted from the request's record */
		const char *there, *says;
	} rows[] = {
		{ .session = true, .keys = true, .there = "[ -e keys/*.hex ] && [ -e " D "statement.jcs ] && [ ! -e " D "*.chunk ] && [ $(ls " D " | grep -c vote.jcs) = 2 ] && [ $(ls " D "*.json | wc -l) = 5 ]",
		  .says = "11. approvals: 1 of 1" },
		/* nobody's key: the statement stays sealed */
		{ .session = true, .there = "[ ! -e " D "statement.jcs ] && [ ! -e " D "*.chunk ] && [ $(ls " D "*.json | wc -l) = 5 ] && ! grep -r 'DELETE FROM customers' .", .says = "11. approvals: 1 of 1" },
		/* one vote only is a record of the bundle */
		{ .from = 1, .to = 2, .there = "[ ! -e chunks ] && [ -e " D "*.chunk ] && [ $(ls " D "*.json | wc -l) = 5 ] && [ $(ls proofs/entry-* | wc -l) = 1 ]", .says = "agreed to by \"bob\" \"dora\"" },
		{ .from = 1, .to = 2, .keys = true, .there = "[ -e " D "*.chunk ] && [ -e " D "statement.jcs ]", .says = "11. approvals: 1 of 1" },
	};
	static char text[65536];

	make(&sound);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct archive_filter filter = { .session = rows[i].session ? session : NULL };

		if (!rows[i].session)
			filter.from = request_index + rows[i].from, filter.to = request_index + rows[i].to;
		export_to(&filter, rows[i].keys);
		if (!shell(rows[i].there, text, sizeof text))
			fail_msg("row %zu: %s", i, text);
		expect_verify(true, rows[i].says);
	}
	forget();
}

/* A journal in which something is wrong with the approval, whoever wrote it. */
static void wrong_approvals_are_named(void **state)
{
	static const struct {
		struct kit_held held;
		const char *says;
	} rows[] = {
		{ { .voter = { "bob", NULL } }, "was granted by fewer than 2" },
		{ { .voter = { "bob", "bob" } }, "was granted by fewer than 2" },
		{ { .voter = { "bob", "ivan" } }, "\"ivan\" decided on what \"ivan\" asked for" },
		{ { .voter = { "bob", "dora" }, .other_statement = true }, "is not the one that its records name" },
		{ { .voter = { "bob", "dora" }, .other_hash = true }, "name more than one statement" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		make(&rows[i].held);
		export_to(&(struct archive_filter){ .session = session }, true);
		expect_verify(false, rows[i].says);
		forget();
	}
}

/* Files changed by somebody who has the export key. */
static void forged_documents_fail(void **state)
{
	static const char *const changes[] = {
		"sed -i 's/DELETE/delete/' " D "statement.jcs",
		"rm " D "statement.jcs",
		"sed -i 's/seen/SEEN/' " D "*.vote.jcs",
		"rm $(ls " D "*.vote.jcs | head -n 1)",
		"sed -i 's/seen/SEEN/' " D "*.json " D "*.vote.jcs",
		"for f in $(grep -l approval.grant " D "*.json); do rm $f; done",
		"for f in $(grep -l approval.grant " D "*.json); do rm ${f%.json}.tlog-proof; done",
		"for f in $(grep -l approval.request " D "*.json); do sed -i 's/\"quorum\":2/\"quorum\":1/' $f; done",
		"mkdir approvals/0123456789abcdefghjkmnpqrs; cp " D "* approvals/0123456789abcdefghjkmnpqrs",
	};
	static char text[65536];

	make(&sound);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		export_to(&(struct archive_filter){ .session = session }, true);
		assert_true(shell(changes[i], text, sizeof text));
		sign_manifest();
		if (shell("sh verify.sh 1", text, sizeof text) || strstr(text, "11. approvals:"))
			fail_msg("not seen: %s\n%s", changes[i], text);
	}
	forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents_are_where_they_may_be),
		cmocka_unit_test(wrong_approvals_are_named),
		cmocka_unit_test(forged_documents_fail),
	};

	return cmocka_run_group_tests_name("approvals", tests, build, clean_up);
}
