/* A record that is not there is named by completeness.json, and by step 13 of the bundle's VERIFY.md, which public tools make of the records alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/export/bundle_kit.h"
#include "control/export/completeness.h"

#define RECORDS_MAX 12
#define S "\"sess\":\"a1\""
#define OPEN "{\"n\":0," S ",\"t\":\"session.open\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}"
#define CMD(n) "{\"n\":" n "," S ",\"svc\":\"crm\",\"t\":\"cmd\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}"
#define OWN(nc) "{\"nc\":" nc "," S ",\"svc\":\"crm\",\"t\":\"payload\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}"
#define CLOSE(last, own, n) "{\"data\":{\"cause\":\"client\",\"last_n\":" last ",\"own\":" own "},\"n\":" n "," S ",\"t\":\"session.close\",\"ts\":\"2026-11-20T10:01:00.000000Z\"}"
#define TICK(worker, commands, recorded) "{\"data\":{\"commands\":" commands ",\"recorded\":" recorded ",\"worker\":" worker "},\"t\":\"node.tick\",\"ts\":\"2026-11-20T10:00:00.000000Z\"}"
#define AT(ts) "{\"t\":\"node.clock\",\"ts\":\"2026-11-20T" ts ".000000Z\"}"
#define STAMP(size, ts) "{\"data\":{\"sha256\":\"00\",\"size\":\"" size "\"},\"t\":\"journal.stamp\",\"ts\":\"2026-11-20T" ts ".000000Z\"}"

static struct bundle_kit k;

static int build(void **state)
{
	return bundle_kit_make(&k) ? 0 : -1;
}

static int clean_up(void **state)
{
	bundle_kit_free(&k);
	return 0;
}

/* A journal of exactly these records, and its bundle. */
static void export_of(const char *const *record, const struct archive_filter *filter, struct export_result *result)
{
	struct export_request request = { .filter = *filter };
	struct journal *j;
	uint64_t index;

	bundle_kit_anew(&k);
	j = bundle_kit_open(&k);
	for (; *record; record++)
		assert_int_equal(journal_append(j, bytes_str(*record), &index), JOURNAL_OK);
	bundle_kit_close(&k, j);
	bundle_kit_export(&k, &request, result);
}

/* What a command in the bundle says, and whether it succeeds. */
static bool shell(const char *command, char *text, size_t room)
{
	return bundle_kit_shell(k.out, command, text, room) == 0;
}

static bool contains(const char *text, const char *what)
{
	if (!strstr(text, what))
		print_error("%s\n--- is not in:\n%s\n", what, text);
	return strstr(text, what) != NULL;
}

/* --- what the journal itself lacks --------------------------------------------------------------------------------------- */

static const struct row {
	const char *record[RECORDS_MAX];
	struct archive_filter filter;
	uint64_t missing;
	const char *fact;  /* stands in the file */
	const char *step;  /* says step 13; NULL: the same */
} rows[] = {
	/* sound */
	{ { OPEN, CMD("1"), OWN("0"), TICK("0", "7", "7"), CMD("2"), TICK("0", "8", "8"), CLOSE("3", "1", "3") }, { 0 }, 0,
	  "{\"closed\":true,\"n\":[0,3],\"nc\":[0,0],\"sess\":\"a1\"}", "1 sessions, 0 time stamps, 0 stretches without, 0 pruned ranges, 0 erased keys: OK" },
	{ { OPEN, CMD("1") }, { 0 }, 0, "{\"closed\":false,\"n\":[0,1],\"nc\":[],\"sess\":\"a1\"}", "1 sessions" },
	{ { TICK("0", "7", "7"), OPEN, CMD("1"), TICK("0", "1", "1"), TICK("1", "5", "5") }, { 0 }, 0, "{\"judged\":1,\"recorded\":1,\"ticks\":3}", ": OK" },
	/* counters */
	{ { OPEN, CMD("1"), CMD("3"), CMD("4") }, { 0 }, 1, "{\"index\":2,\"what\":\"in session a1 n is 3 where 2 was to come\"}", NULL },
	{ { OPEN, OWN("0"), OWN("2") }, { 0 }, 1, "{\"index\":2,\"what\":\"in session a1 nc is 2 where 1 was to come\"}", NULL },
	{ { CMD("1"), CMD("2") }, { 0 }, 1, "{\"index\":0,\"what\":\"in session a1 n is 1 where 0 was to come\"}", NULL },
	{ { AT("10:00:00"), OPEN, OWN("1") }, { .from = 1 }, 1, "{\"index\":2,\"what\":\"in session a1 nc is 1 where 0 was to come\"}", NULL },
	{ { OPEN, CLOSE("3", "0", "1") }, { 0 }, 1, "{\"index\":1,\"what\":\"the close of session a1 is n 1, and says that 3 is the last one\"}", NULL },
	{ { OPEN, OWN("0"), CLOSE("1", "2", "1") }, { 0 }, 1, "{\"index\":2,\"what\":\"the close of session a1 counts 2 records with nc where 1 are here\"}", NULL },
	/* Behind its close, as earlier versions wrote it. */
	{ { OPEN, OWN("0"), CLOSE("1", "1", "1"), "{\"nc\":1," S ",\"t\":\"approval.cancelled\"}" }, { 0 }, 0, "{\"closed\":1,\"open\":0}", ": OK" },
	{ { OPEN, CLOSE("1", "0", "1"), OWN("1") }, { 0 }, 1, "{\"index\":2,\"what\":\"in session a1 nc is 1 where 0 was to come\"}", NULL },
	/* A session that began before the range may begin with any number. */
	{ { OPEN, CMD("1"), OWN("0"), CMD("2"), OWN("1"), CLOSE("3", "2", "3") }, { .from = 3 }, 0, "{\"closed\":true,\"n\":[2,3],\"nc\":[1,1],\"sess\":\"a1\"}", ": OK" },
	/* totals */
	{ { TICK("0", "7", "6") }, { 0 }, 1, "{\"index\":0,\"what\":\"worker 0 judged 7 commands, and 6 are recorded\"}", NULL },
	{ { TICK("0", "7", "7"), OPEN, CMD("1"), TICK("0", "9", "9") }, { 0 }, 1, "{\"index\":3,\"what\":\"since the first tick 2 commands were judged, and 1 of them are here\"}", NULL },
	{ { TICK("0", "7", "7"), OPEN, CMD("1"), TICK("0", "2", "2") }, { 0 }, 1, "{\"index\":3,\"what\":\"since the first tick 2 commands were judged, and 1 of them are here\"}", NULL },
	/* time stamps */
	{ { AT("23:30:00"), STAMP("1", "23:45:00"), AT("23:59:59") }, { 0 }, 0, "\"unstamped\": [\n]", "1 time stamps, 0 stretches" },
	{ { AT("10:00:00"), STAMP("1", "10:15:01"), AT("10:30:02") }, { 0 }, 0, "{\"from\":\"2026-11-20T10:15:01.000000Z\",\"to\":\"2026-11-20T10:30:02.000000Z\"}", "1 time stamps, 2 stretches" },
	{ { AT("10:00:00"), STAMP("1", "10:00:01") }, { 0 }, 0, "{\"index\":1,\"size\":\"1\"}", "1 time stamps" },
	/* what went */
	{ { "{\"data\":{\"end\":512,\"first\":256},\"t\":\"journal.prune\"}" }, { 0 }, 0, "{\"end\":512,\"first\":256,\"index\":0}", "1 pruned ranges" },
	{ { "{\"data\":{\"key_h\":\"0bad\",\"reason\":\"\\\"t\\\":{\",\"session\":\"a1\"},\"t\":\"key.destroy\"}" }, { 0 }, 0, "{\"index\":0,\"key_h\":\"0bad\",\"session\":\"a1\"}", "1 erased keys" },
	/* Texts that look like counters, and an approval's statement that has some. */
	{ { OPEN, "{\"data\":{\"note\":\"\\\"n\\\":7,}{\",\"statement\":{\"n\":9,\"sess\":\"b\"}},\"n\":1," S ",\"t\":\"cmd\"}", CMD("2") }, { 0 }, 0, "{\"closed\":false,\"n\":[0,2],\"nc\":[],\"sess\":\"a1\"}", ": OK" },
	/* of some records only */
	{ { TICK("0", "7", "6"), OPEN, CMD("1"), CMD("3") }, { .session = "a1" }, 1, "{\"index\":3,\"what\":\"in session a1 n is 3 where 2 was to come\"}", NULL },
	{ { TICK("0", "7", "6"), OPEN, CMD("1"), CMD("2") }, { .session = "a1" }, 0, "Nothing can be said of totals", "13. completeness: the counters of 1 sessions: OK" },
	{ { OPEN, CMD("1"), CMD("3") }, { .target = "crm" }, 0, "whether any is missing cannot be said", "cannot be said of records that were picked by what they say" },
};

static void what_is_missing_is_named_by_both(void **state)
{
	static char text[65536];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct export_result r;
		bool good;

		export_of(rows[i].record, &rows[i].filter, &r);
		assert_true(shell("cat completeness.json", text, sizeof text));
		if (!contains(text, rows[i].fact) || r.missing != rows[i].missing)
			fail_msg("row %zu: %llu findings", i, (unsigned long long)r.missing);
		good = shell("sh verify.sh 1", text, sizeof text);
		if (!contains(text, rows[i].step ? rows[i].step : rows[i].fact) || good != !rows[i].missing || !contains(text, good ? "all checks passed" : "records are missing"))
			fail_msg("row %zu", i);
	}
}

/* --- what somebody left out of the bundle, or wrote into the file ---------------------------------------------------------- */

/* With the export key everything else can be made to fit: only the counters and the file tell. */
static void what_was_left_out_of_a_bundle_is_named(void **state)
{
	static const char *const record[] = { OPEN, CMD("1"), CMD("2"), CMD("3"), CLOSE("4", "0", "4"), NULL };
	static const struct {
		struct archive_filter filter;
		const char *change, *says;
	} changes[] = {
		{ { 0 }, "true", NULL },
		{ { 0 }, "rm proofs/entry-2.json proofs/2.tlog-proof; rm -r tile/entries; zstd -dc records/*.zst | sed 3d > ../l; zstd -qf ../l -o records/*.zst", "{\"index\":3,\"what\":\"the record before it is 1\"}" },
		{ { .session = "a1" }, "rm proofs/entry-2.json proofs/2.tlog-proof; zstd -dc records/*.zst | sed 3d > ../l; zstd -qf ../l -o records/*.zst", "in session a1 n is 3 where 2 was to come" },
		{ { .session = "a1" }, "rm proofs/entry-4.json proofs/4.tlog-proof; zstd -dc records/*.zst | sed 5d > ../l; zstd -qf ../l -o records/*.zst", "something else than the records" },
		{ { 0 }, "sed -i 's/\"closed\":1,\"open\":0/\"closed\":0,\"open\":1/' completeness.json", "something else than the records" },
		{ { 0 }, "sed -i '/\"sess\":\"a1\"/d' completeness.json", "something else than the records" },
	};
	static char text[65536];

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		struct export_result r;

		export_of(record, &changes[i].filter, &r);
		assert_int_equal(r.missing, 0);
		(void)shell(changes[i].change, text, sizeof text);
		bundle_kit_forge(&k, k.out);
		if (shell("sh verify.sh all", text, sizeof text) != !changes[i].says || !contains(text, changes[i].says ? changes[i].says : "all checks passed") || !contains(text, "10. keys"))
			fail_msg("change %zu", i);
	}
}

/* More than a list takes: what is in it is still checked. */
static void long_lists_are_cut(void **state)
{
	struct completeness *c = completeness_create(&(struct archive_filter){ 0 }, 0);
	struct bundle b;
	static char text[4096];
	uint64_t missing;

	assert_non_null(c);
	bundle_kit_anew(&k);
	assert_true(bundle_create(&b, k.out, false));
	for (uint64_t i = 0; i < COMPLETENESS_FACTS_MAX + 5; i++) {
		char record[128];

		snprintf(record, sizeof record, "{\"n\":1,\"sess\":\"%llx\",\"t\":\"cmd\"}", (unsigned long long)i + 16);
		assert_true(completeness_record(c, i, bytes_str(record)));
	}
	assert_true(completeness_write(c, &b, &missing));
	assert_int_equal(missing, COMPLETENESS_FACTS_MAX + 5);
	assert_true(shell("grep -c '\"what\":\"in' completeness.json; grep -c '\"sess\":' completeness.json; grep '\"cut\"' completeness.json", text, sizeof text));
	assert_string_equal(text, "10000\n10000\n\"cut\": true,\n");
	bundle_close(&b, false);
	completeness_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_is_named_by_both),
		cmocka_unit_test(what_was_left_out_of_a_bundle_is_named),
		cmocka_unit_test(long_lists_are_cut),
	};

	return cmocka_run_group_tests_name("completeness", tests, build, clean_up);
}
