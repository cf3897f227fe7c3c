/* A bundle of more records than have files of their own: still checked by the commands of its own VERIFY.md, and what is changed in it is named.
 *
 * `LARGE` records are five tiles and two files of records/; the batches of the commands are one file and two tiles, so that each of
 * them has several. Forgers here hold the node's export key: manifest and signature fit whatever they did.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/export/bundle_kit.h"
#include "control/export/stream.h"

#define LARGE 1100u
#define SESSION "00000000000000000000000000000014" /* of records 1000 to 1049: the end of tile 3, and some of the last one */

static struct bundle_kit k;

static int build(void **state)
{
	return bundle_kit_make(&k) && bundle_kit_published(&k, LARGE, 20) ? 0 : -1;
}

static int clean_up(void **state)
{
	bundle_kit_free(&k);
	return 0;
}

static int drop_bundle(void **state)
{
	bundle_kit_drop(&k);
	return 0;
}

static bool export_to(struct export_request *request, struct export_result *result, char err[EXPORT_ERROR_BYTES])
{
	request->proofs_max = 10;
	return bundle_kit_may_export(&k, request, result, err);
}

static void export_good(struct export_request *request, struct export_result *result)
{
	request->proofs_max = 10;
	bundle_kit_export(&k, request, result);
}

/* 0 when the bundle's own commands pass; what they said is in `said`. */
static int verify(const char *bundle, char said[8192])
{
	return bundle_kit_shell(bundle, "FILES=1 TILES=2 sh verify.sh 2", said, 8192);
}

static void many_records_verify_with_public_tools(void **state)
{
	static const uint64_t picks[] = { 7, 1099, 7 };
	struct export_request all = { .proof = picks, .proofs = 3 }, session = { .filter = { .session = SESSION } };
	struct export_result r;
	char said[8192], path[300];

	export_good(&all, &r);
	assert_int_equal(r.records, LARGE);
	if (verify(k.out, said) != 0)
		fail_msg("%s", said);
	assert_non_null(strstr(said, "4. records: 1100 are what their tiles say: OK"));
	assert_non_null(strstr(said, "5. inclusion: 6 tiles lead to the root"));
	assert_non_null(strstr(said, "all checks passed"));
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/proofs/%llu.tlog-proof", k.out, (unsigned long long)picks[i]);
		assert_int_equal(access(path, R_OK), 0);
	}
	/* Records are here once. What the report links to is here, and no other record's files. */
	assert_int_equal(bundle_kit_shell(k.out, "[ ! -e tile/entries ] && [ ! -e proofs/entry-777.json ] && grep -o 'proofs/entry-[0-9]*' report.html | sort -u > ../links && [ $(wc -l < ../links) -gt 100 ] && "
				    "while read -r f; do [ -e $f.json ] || exit 1; done < ../links", said, sizeof said), 0);
	drop_bundle(NULL);
	export_good(&session, &r);
	assert_int_equal(r.records, 50);
	if (verify(k.out, said) != 0)
		fail_msg("%s", said);
}

/* The lines of records/ through one command; then leaves, as a forger makes them fit. */
#define LINES(sed) "for f in records/*.zst; do zstd -qdc $f | sed '" sed "' > ../l; zstd -qf ../l -o $f; done"
#define LEAF(index) "{ printf '\\000'; zstd -qdc records/*.zst | sed -n 's/^{\"idx\":" #index ",\\(.*\\)/{\\1/p' | head -c -1; } | sha256sum | cut -c1-64 | xxd -r -p | dd of=tile/0/002 bs=32 seek=$((" #index " - 512)) conv=notrunc 2>/dev/null"
#define SWAP "/\"idx\":533,/{s/33,/34,/;h;d};/\"idx\":534,/{s/34,/33,/;G}"

static const struct {
	const char *what, *script, *says;
	bool session; /* of the bundle of one session */
} forgeries[] = {
	{ "nothing", ":", "all checks passed", false },
	{ "a record changed", LINES("/\"idx\":900,/s/select/Select/"), "record 900 is not what its tile says", false },
	{ "a record of the session changed", LINES("/\"idx\":1010,/s/grace/other/;/\"idx\":1010,/s/ada/eve/"), "record 1010 is not what its tile says", true },
	{ "the first record left out", LINES("/\"idx\":0,/d"), "record 0 of proofs/ is none of records/", false },
	{ "a record left out", LINES("/\"idx\":777,/d"), "the record before it is 776", false },
	{ "a record of the session left out", LINES("/\"idx\":1011,/d"), "n is 12 where 11 was to come", true },
	{ "the last record left out", LINES("/\"idx\":1099,/d"), "completeness.json says something else", false },
	{ "a file left out", "rm records/00000000000000001024-*", "of proofs/ is none of records/", false },
	{ "a record doubled", LINES("/\"idx\":77,/p"), "record 77 comes after record 77", false },
	{ "records out of order", LINES("/\"idx\":77,/{h;d};/\"idx\":78,/G"), "record 77 comes after record 78", false },
	{ "files out of order", "mv records/00000000000000001024-* ../f && mv ../f records/00000000000000000000-00000000000000000001.jsonl.zst", "comes after record", false },
	{ "each with the other's index", LINES(SWAP), "record 533 is not what its tile says", false },
	{ "each with the other's index, and leaves", LINES(SWAP) "; " LEAF(533) "; " LEAF(534), "tile 2 of level 0 is not what the level above says", false },
	{ "an index that reads the same", LINES("s/\"idx\":77,/\"idx\":077,/"), "is no record", false },
	{ "a byte behind a record", LINES("/\"idx\":77,/s/$/ /"), "record 77 is not what its tile says", false },
	{ "a zero byte behind a record", LINES("/\"idx\":77,/s/$/\\x00/"), "record 77 is not what its tile says", false },
	{ "no line break behind a record", "zstd -qdc records/00000000000000001024-*.zst | tr -d '\\n' > ../l; zstd -qf ../l -o records/00000000000000001024-*.zst", "record 1024 is not what its tile says", false },
	{ "a picked record changed", "sed -i s/ada/eve/ proofs/entry-7.json; sed -i s/grace/other/ proofs/entry-7.json", "proofs/entry-7.json is not the record", false },
	{ "a picked record of another name", "mv proofs/entry-7.json proofs/entry-8.json; mv proofs/7.tlog-proof proofs/8.tlog-proof", "proofs/entry-8.json is not the record", false },
	{ "a record put under proofs/", "cp proofs/entry-7.json proofs/entry-9999.json; cp proofs/7.tlog-proof proofs/9999.tlog-proof", "record 9999 of proofs/ is none of records/", false },
	{ "a leaf of no record", "printf x | dd of=tile/0/003 bs=1 seek=3000 conv=notrunc 2>/dev/null", "tile 3 of level 0 is not what the level above says", true },
	{ "a tile left out", "rm tile/0/002", "record 512 is not what its tile says", false },
	{ "a tile of the session left out", "rm tile/0/003", "record 1000 is not what its tile says", true },
	{ "the last tile cut", "truncate -s -32 tile/0/004.p/76", "the last tile of level 0 is not whole", true },
	{ "bytes of one tile in the next", "tail -c 32 tile/0/002 > ../t; cat ../t tile/0/003 > ../u; mv ../u tile/0/003; truncate -s -32 tile/0/002", "tile/0/002 is not of 8192 bytes", false },
	{ "a tile too many", "cp tile/0/003 tile/0/007", "there are other tiles than these", true },
	{ "a tile put in another's place", "cp tile/0/001 tile/0/002", "record 512 is not what its tile says", false },
	{ "a tile above changed", "printf x | dd of=tile/1/000.p/4 bs=1 seek=40 conv=notrunc 2>/dev/null", "tile 1 of level 0 is not what the level above says", false },
	{ "a tile above, without those below, changed", "printf x | dd of=tile/1/000.p/4 bs=1 seek=40 conv=notrunc 2>/dev/null", "the tiles do not lead to the signed root", true },
	{ "a tile above left out", "rm tile/1/000.p/4", "tiles of level 1 are missing or cut", true },
};

static void each_forgery_is_named(void **state)
{
	static const uint64_t picks[] = { 7 };
	struct export_request all = { .proof = picks, .proofs = 1 }, session = { .filter = { .session = SESSION } };
	char said[8192], kept[180];
	struct export_result r;
	unsigned missed = 0;

	snprintf(kept, sizeof kept, "%s/all", k.dir);
	export_good(&all, &r);
	assert_int_equal(rename(k.out, kept), 0);
	export_good(&session, &r);
	for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
		int status;

		fixture_remove(k.copy);
		fixture_copy(forgeries[i].session ? k.out : kept, k.copy);
		(void)bundle_kit_shell(k.copy, forgeries[i].script, said, sizeof said);
		bundle_kit_forge(&k, k.copy);
		status = verify(k.copy, said);
		if ((status == 0) != (i == 0) || !strstr(said, forgeries[i].says)) {
			missed++;
			print_error("%s: exit status %d, and no \"%s\" in:\n%s\n", forgeries[i].what, status, forgeries[i].says, said);
		}
	}
	fixture_remove(kept);
	assert_int_equal(missed, 0);
}

static void what_does_not_match_is_not_picked(void **state)
{
	static const struct {
		uint64_t pick;
		bool good;
	} rows[] = { { 1000, true }, { 1049, true }, { 999, false }, { 1050, false }, { UINT64_MAX, false }, { 0, false } };
	struct export_result r;
	char err[EXPORT_ERROR_BYTES];

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct export_request request = { .filter = { .session = SESSION }, .proof = &rows[i].pick, .proofs = 1 };
		bool good = export_to(&request, &r, err);

		assert_int_equal(good, rows[i].good);
		assert_int_equal(access(k.out, F_OK) == 0, rows[i].good);
		if (!good)
			assert_non_null(strstr(err, "is none of those that match"));
		fixture_remove(k.out);
	}
}

/* At the limit all have files, and one over it none but the picked. */
static void few_records_have_files_each(void **state)
{
	for (uint64_t n = 10; n <= 11; n++) {
		struct export_request request = { .filter = { .from = 1001, .to = 1001 + n } }, found = { .filter = { .session = "00000000000000000000000000000014", .to = 1000 + n } };
		struct export_request *const each[] = { &request, &found };
		struct export_result r;
		char said[512];

		for (unsigned i = 0; i < 2; i++) {
			export_good(each[i], &r);
			assert_int_equal(r.records, n);
			assert_int_equal(bundle_kit_shell(k.out, "[ $(ls proofs | grep -c entry) = $(zstd -qdc records/* | wc -l) ]", said, sizeof said) == 0, n == 10);
			fixture_remove(k.out);
		}
	}
}

/* --- sessions that began before the range ---------------------------------------------------------------------------------- */

struct seen {
	unsigned lines, with; /* of them, with the address that the session's first record says */
};

static bool see(void *ctx, struct bytes line)
{
	struct seen *s = ctx;

	s->lines += line.len > 1;
	s->with += memmem(line.base, line.len, "192.0.2.77", 10) != NULL;
	return true;
}

static void append(struct journal *j, const char *record)
{
	uint64_t index;

	assert_int_equal(journal_append(j, bytes_str(record), &index), JOURNAL_OK);
}

/* Its own first records say where it came from; they are looked for before the range, and not where all was read already. */
static void a_session_that_began_before_is_looked_up(void **state)
{
	static const char sess[] = "\"sess\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"";
	char early[180], err[EXPORT_ERROR_BYTES], record[512];
	struct journal_config config = { .dir = early, .origin = FIXTURE_ORIGIN };
	struct stream_request request = { .form = STREAM_OCSF, .origin = FIXTURE_ORIGIN };
	const struct {
		struct archive_filter filter;
		unsigned lines, with;
	} rows[] = {
		{ { .from = 0 }, 103, 2 },
		{ { .from = 101 }, 2, 1 },        /* its second record alone, and a session's without a first one */
		{ { .from = 102 }, 1, 0 },
		{ { .type = "cmd", .from = 101 }, 1, 1 },
	};
	struct archive *a;
	struct journal *j;

	snprintf(early, sizeof early, "%s/early", k.dir);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	snprintf(record, sizeof record, "{%s,\"src\":{\"addr\":\"192.0.2.77\",\"port\":1},\"t\":\"session.open\",\"ts\":\"2026-11-20T10:00:00.000000Z\",\"v\":1}", sess);
	append(j, record);
	assert_true(fixture_fill(j, 100, 50, FIXTURE_TIME));
	snprintf(record, sizeof record, "{\"out\":{\"verdict\":\"forwarded\"},%s,\"t\":\"cmd\",\"ts\":\"2026-11-20T10:00:01.000000Z\",\"v\":1}", sess);
	append(j, record);
	append(j, "{\"sess\":\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\",\"t\":\"resp\",\"ts\":\"2026-11-20T10:00:01.000000Z\",\"v\":1}");
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	journal_close(j);
	a = archive_open(early, err);
	assert_non_null(a);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct seen seen = { 0 };

		request.filter = rows[i].filter;
		assert_true(stream_write(a, &request, see, &seen, err));
		if (seen.with != rows[i].with || seen.lines < rows[i].lines)
			fail_msg("row %zu: %u lines, %u with the address", i, seen.lines, seen.with);
	}
	archive_close(a);
}

struct watched {
	unsigned calls, until; /* calls; the one that says no */
	struct export_progress last;
};

static bool watch(void *ctx, const struct export_progress *p)
{
	struct watched *w = ctx;

	assert_true(p->done <= p->total && p->records <= p->done + 1);
	w->last = *p;
	return ++w->calls != w->until;
}

static void progress_is_told_and_ends_it(void **state)
{
	struct watched w = { 0 };
	struct export_request request = { .filter = { .from = 100 }, .progress = watch, .progress_ctx = &w };
	struct export_result r;
	char err[EXPORT_ERROR_BYTES];
	unsigned calls;

	export_good(&request, &r);
	calls = w.calls;
	assert_in_range(calls, 3, 100);
	assert_int_equal(w.last.total, LARGE - 100);
	assert_in_range(w.last.done, LARGE - 100 - 256, LARGE - 100);
	fixture_remove(k.out);
	for (unsigned until = 1; until <= calls; until++) {
		w = (struct watched){ .until = until };
		assert_false(export_to(&request, &r, err));
		assert_string_equal(err, "interrupted");
		assert_int_not_equal(access(k.out, F_OK), 0);
	}
}

/* No file may have more than so many bytes: as on a disk that is full, at each place once. */
static void a_full_disk_leaves_nothing(void **state)
{
	static const rlim_t sizes[] = { 0, 100, 1000, 8000, 20000 };
	struct rlimit was, now;
	struct export_result r;
	char err[EXPORT_ERROR_BYTES];

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct export_request request = { 0 };
		bool good;

		now = (struct rlimit){ .rlim_cur = sizes[i], .rlim_max = was.rlim_max };
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
		good = export_to(&request, &r, err);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
		assert_false(good);
		if (!strstr(err, "File too large") && !strstr(err, "see the disk's space"))
			fail_msg("%s", err);
		assert_int_not_equal(access(k.out, F_OK), 0);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, drop_bundle)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(many_records_verify_with_public_tools),
		TEST(each_forgery_is_named),
		TEST(what_does_not_match_is_not_picked),
		TEST(few_records_have_files_each),
		TEST(a_session_that_began_before_is_looked_up),
		TEST(progress_is_told_and_ends_it),
		TEST(a_full_disk_leaves_nothing),
	};

	return cmocka_run_group_tests_name("large", tests, build, clean_up);
}
