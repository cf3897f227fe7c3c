/* Who let a held command pass: as documents in the bundle, and what step 11 of its VERIFY.md says of approvals that are not what they seem. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/export/bundle_kit.h"
#include "control/export/disclosure_kit.h"

#define D "approvals/" KIT_HELD "/"

static struct bundle_kit k;
static char keys_dir[160], session[33];
static struct payload_keys *keys;
static uint64_t request_index;

static int build(void **state)
{
	kit_session_text(0, session);
	if (!bundle_kit_make(&k))
		return -1;
	snprintf(keys_dir, sizeof keys_dir, "%s/payload-keys", k.dir);
	return 0;
}

static int clean_up(void **state)
{
	bundle_kit_free(&k);
	return 0;
}

static void make(const struct kit_held *held)
{
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j;

	bundle_kit_anew(&k);
	fixture_remove(keys_dir);
	keys = payload_keys_open(keys_dir, true, err);
	assert_non_null(keys);
	j = bundle_kit_open(&k);
	kit_session(j, keys, 0);
	request_index = kit_held(j, keys, held);
	assert_true(payload_keys_sync(keys));
	bundle_kit_close(&k, j);
}

/* The bundle of what `filter` lets through; `disclose`: with keys. */
static void export_to(const struct archive_filter *filter, bool disclose)
{
	struct export_request request = { .filter = *filter, .disclose = disclose ? keys : NULL };
	struct export_result result;

	bundle_kit_drop(&k);
	bundle_kit_export(&k, &request, &result);
}

/* What a command in the bundle says, and whether it succeeds. */
static bool shell(const char *command, char *text, size_t room)
{
	return bundle_kit_shell(k.out, command, text, room) == 0;
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
	payload_keys_close(keys);
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
		payload_keys_close(keys);
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
		bundle_kit_forge(&k, k.out);
		if (shell("sh verify.sh 1", text, sizeof text) || strstr(text, "11. approvals:"))
			fail_msg("not seen: %s\n%s", changes[i], text);
	}
	payload_keys_close(keys);
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
