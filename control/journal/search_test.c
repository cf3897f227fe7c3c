/* The index for searches: it may never hide a match, whatever is in a record, in a filter, or has become of its files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/search_file.h"
#include "platform/base/random.h"

#define RECORDS (2 * SEARCH_GROUP + 3000)
#define FOUND_MAX 4096u

static char dir[128], err[ARCHIVE_ERROR_BYTES];
static struct fixture_signer signer;

/* --- records ----------------------------------------------------------------------------------------------------------- */

static const char *const verdicts[] = { "forwarded", "forwarded", "forwarded", "blocked", "held" };

static void put_hex(struct jcs *j, const char *name, struct rng *rng, unsigned digits)
{
	char text[129];

	for (unsigned i = 0; i < digits; i++)
		text[i] = "0123456789abcdef"[rng_below(rng, 16)];
	text[digits] = 0;
	jcs_put_str(j, name, text);
}

static void put_text(struct jcs *j, const char *name, const char *format, uint64_t n)
{
	char text[128];

	snprintf(text, sizeof text, format, (unsigned long long)n);
	jcs_put_str(j, name, text);
}

/* One of each kind of thing that a filter may ask for; some of them rare: `needle` stands in one record of 20,011. */
static struct bytes make_record(uint8_t *room, size_t cap, uint64_t i)
{
	struct writer w = writer_of(room, cap);
	struct jcs j = jcs_of(&w);
	struct rng rng = rng_seeded(i + 1);

	jcs_open(&j);
	if (i % 50 == 0) {
		jcs_key(&j, "dst");
		jcs_open(&j);
		put_text(&j, "addr", i % 100 ? "10.0.0.%llu" : "2001:db8::%llu", i / 50 % 200);
		jcs_put_uint(&j, "port", 5432);
		jcs_close(&j);
	}
	jcs_key(&j, "op");
	jcs_open(&j);
	put_hex(&j, "h", &rng, 64);
	put_text(&j, "norm", i % 20011 == 7 ? "select Needle from haystack where k = %llu" : "select name from customers where id = %llu", i);
	jcs_key(&j, "objs");
	jcs_open(&j);
	jcs_key(&j, "read");
	jcs_array(&j);
	jcs_str(&j, bytes_str(i % 20011 == 7 ? "public.haystack" : "public.customers"));
	jcs_array_close(&j);
	jcs_close(&j);
	jcs_close(&j);
	jcs_key(&j, "out");
	jcs_open(&j);
	jcs_put_str(&j, "verdict", verdicts[rng_below(&rng, 5)]);
	jcs_close(&j);
	put_text(&j, "sess", "%032llx", i / 50);
	put_text(&j, "svc", i % 4999 ? "crm" : "billing", 0);
	jcs_put_str(&j, "t", i % 977 == 0 ? "approval.grant" : i % 2 ? "resp" : "cmd");
	put_text(&j, "ts", "2026-11-20T10:%06llu.000000Z", i);
	jcs_key(&j, "who");
	jcs_open(&j);
	put_text(&j, "agent", "bot-%llu", i / 50 % 40);
	put_text(&j, "person", i / 50 % 300 ? "p-%llu" : "unknown", i / 50 % 300);
	put_text(&j, "run", "run-%llu", i / 500);
	put_text(&j, "sub", "sub-%llu", i / 50 % 300);
	jcs_close(&j);
	jcs_close(&j);
	return jcs_done(&j);
}

static void fill(const char *path, uint64_t count, uint64_t salt)
{
	struct journal_config config = { .dir = path, .origin = FIXTURE_ORIGIN };
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	struct journal_signer s = fixture_signer_journal(&signer);
	uint8_t room[4096];
	uint64_t index;

	assert_non_null(j);
	fixture_signer_free(&signer);
	fixture_signer_init(&signer);
	for (uint64_t i = 0; i < count; i++) {
		assert_int_equal(journal_append(j, make_record(room, sizeof room, i + salt), &index), JOURNAL_OK);
		if ((i + 1) % 1024 == 0 || i + 1 == count)
			assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	}
	/* The spine then has the hashes of whole groups. */
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME + 10000000, 60000));
	journal_close(j);
}

/* --- the same with and without ------------------------------------------------------------------------------------------ */

static const struct archive_filter filters[] = {
	{ .text = "needle" },
	{ .text = "NEEDLE from hay", .from = 60000 },
	{ .text = "no such text anywhere" },
	{ .text = "id = 131000\"", .from = 110000 },
	{ .text = "131070", .from = 125000 },
	{ .text = "00000000a0", .verdict = "blocked", .from = 110000 },
	{ .session = "00000000000000000000000000000a3f" },
	{ .session = "00000000000000000000000000000a3f", .verdict = "held", .text = "customers" },
	{ .person = "p-17", .verdict = "held", .from = 1000, .to = 70000 },
	{ .person = "sub-117", .service = "crm", .type = "approval.", .to = 70000 },
	{ .run = "run-131", .agent = "bot-33", .from = 60000 },
	{ .service = "billing", .from = 110000 },
	{ .target = "public.haystack" },
	{ .target = "10.0.0.33:5432" },
	{ .target = "[2001:db8::34]:5432", .since = "2026-11-20T10:100000", .from = 110000 },
	{ .type = "approval.g*", .agent = "bot-3", .to = 70000 },
	{ .since = "2026-11-20T10:065530", .until = "2026-11-20T10:065545" },
	{ .until = "2026-11-20T10:000003" },
	{ .since = "2026-11-20T10:134000", .person = "p-280", .from = 110000 },
};
#define FILTERS (sizeof filters / sizeof filters[0])

struct found {
	unsigned count;
	uint64_t index[FOUND_MAX];
};

static struct found without[FILTERS];

static void search_all(struct archive *a, const struct archive_filter *f, struct found *out)
{
	enum archive_next next;
	uint64_t index = 0;
	struct bytes record;
	const char *why;

	out->count = 0;
	while ((next = archive_search(a, f, &index, 3000, &record, &why)) != ARCHIVE_END) {
		assert_int_not_equal(next, ARCHIVE_BROKEN);
		if (next != ARCHIVE_FOUND)
			continue;
		assert_true(out->count < FOUND_MAX && record.len > 0);
		out->index[out->count++] = index++;
	}
}

static void same_as_without(unsigned step)
{
	static struct found with;
	struct archive *a = archive_open(dir, err);

	assert_non_null(a);
	assert_true(archive_use_index(a));
	for (unsigned i = 0; i < FILTERS; i += step) {
		search_all(a, &filters[i], &with);
		if (with.count != without[i].count)
			print_error("filter %u: %u with, %u without\n", i, with.count, without[i].count);
		assert_int_equal(with.count, without[i].count);
		assert_memory_equal(with.index, without[i].index, with.count * sizeof with.index[0]);
	}
	archive_close(a);
}

/* Records that a search would read in the groups that have a file. */
static uint64_t to_read(const struct archive_filter *f)
{
	struct archive *a = archive_open(dir, err);
	uint64_t sum = 0;

	assert_non_null(a);
	assert_true(archive_use_index(a));
	for (uint64_t index = 0, count; index < 2 * SEARCH_GROUP; index += count) {
		count = search_index_next(archive_index(a), a, f, &index);
		sum += count;
	}
	archive_close(a);
	return sum;
}

static void build_all(void)
{
	struct search_builder *b = search_builder_create(dir, err);
	enum search_step step;

	assert_non_null(b);
	while ((step = search_builder_step(b, NULL, NULL, err)) != SEARCH_STEP_IDLE)
		assert_int_equal(step, SEARCH_STEP_BUILT);
	search_builder_destroy(b);
}

static void index_path(uint64_t group, char out[256])
{
	char beside[160];

	snprintf(beside, sizeof beside, "%s/index", dir);
	search_file_path(beside, group, out, 256);
}

static int setup_all(void **state)
{
	struct archive *a;

	fixture_dir(dir);
	fixture_signer_init(&signer);
	fill(dir, RECORDS, 0);
	a = archive_open(dir, err);
	for (unsigned i = 0; a && i < FILTERS; i++)
		search_all(a, &filters[i], &without[i]);
	archive_close(a);
	build_all();
	return 0;
}

static int teardown_all(void **state)
{
	fixture_signer_free(&signer);
	fixture_remove(dir);
	return 0;
}

/* --- tests -------------------------------------------------------------------------------------------------------------- */

static bool has_row(const uint64_t *block, uint16_t row)
{
	return block[row / 64] >> row % 64 & 1;
}

static bool may_match(const uint64_t *block, const struct terms *t)
{
	for (unsigned c = 0; c < t->clauses; c++) {
		bool any = false;

		for (unsigned i = 0; i < t->clause[c].alternatives; i++) {
			bool all = true;

			for (unsigned r = 0; r < t->clause[c].any[i].rows; r++)
				all &= has_row(block, t->clause[c].any[i].row[r]);
			any |= all;
		}
		if (!any)
			return false;
	}
	return true;
}

/* Any piece of any text, with letters turned to the other case, is remembered: digits of every length among other letters. */
static void no_piece_of_a_record_is_missed(void **state)
{
	static uint64_t block[TERMS_ROWS / 64];
	static struct terms t;
	struct rng rng = rng_seeded(7);
	char text[400], piece[400];

	for (unsigned turn = 0; turn < 3000; turn++) {
		unsigned len = 20 + (unsigned)rng_below(&rng, 300), left = 0;
		struct terms_members members;
		bool hex = false;

		for (unsigned i = 0; i < len; i++, left--) {
			if (left == 0 || i == 0) {
				hex = rng_below(&rng, 2);
				left = 1 + (unsigned)rng_below(&rng, hex ? 40 : 6);
			}
			text[i] = hex ? "0123456789abcdefABCDEF"[rng_below(&rng, 22)] : "ghxyz -_\"{}:\xc3\xa9Z"[rng_below(&rng, 15)];
		}
		memset(block, 0, sizeof block);
		members = terms_members_of(bytes_of(text, len));
		terms_of_record(bytes_of(text, len), &members, block);
		for (unsigned k = 0; k < 60; k++) {
			unsigned from = (unsigned)rng_below(&rng, len), size = 1 + (unsigned)rng_below(&rng, len - from);
			struct archive_filter f = { .text = piece };

			for (unsigned i = 0; i < size; i++) {
				char c = text[from + i];

				piece[i] = c >= 'a' && c <= 'z' && rng_below(&rng, 2) ? (char)(c - 32) : c;
			}
			piece[size] = 0;
			terms_of_filter(&f, &t);
			if (!may_match(block, &t))
				print_error("text %.*s: piece %s\n", (int)len, text, piece);
			assert_true(may_match(block, &t));
		}
	}
}

static void index_finds_what_reading_all_finds(void **state)
{
	unsigned found = 0;

	for (unsigned i = 0; i < FILTERS; i++)
		found += without[i].count > 0;
	assert_int_equal(found, FILTERS - 1); /* one asks for what is not there */
	same_as_without(1);
}

/* What the index is for: rare things are looked for in few blocks. */
static void rare_things_are_looked_for_in_few_blocks(void **state)
{
	const struct archive_filter rare[] = { { .text = "needle" }, { .session = "00000000000000000000000000000a3f" }, { .target = "public.haystack" },
					       { .run = "run-131", .verdict = "held" }, { .text = "no such text anywhere" },
					       { .since = "2026-11-20T10:065530", .until = "2026-11-20T10:065545" } };

	for (unsigned i = 0; i < sizeof rare / sizeof rare[0]; i++) {
		uint64_t read = to_read(&rare[i]);

		if (read > 12 * SEARCH_BLOCK)
			print_error("filter %u reads %llu records\n", i, (unsigned long long)read);
		assert_true(read <= 12 * SEARCH_BLOCK);
	}
}

static void flip(const char *path, off_t at)
{
	int fd;
	uint8_t byte;

	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte = byte ? 0 : 0xff;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

/* All rows cleared without their sums: the worst that damage could do. */
static void damaged_index_hides_nothing(void **state)
{
	static uint8_t zeros[TERMS_ROWS * SEARCH_ROW_BYTES];
	char path[256];
	int fd;

	index_path(0, path);
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, zeros, sizeof zeros, SEARCH_HEADER_BYTES), sizeof zeros);
	close(fd);
	same_as_without(4);
	index_path(1, path);
	flip(path, 8192 + 32 + 5); /* a block's latest time */
	same_as_without(4);
	build_all();
	assert_true(to_read(&filters[0]) <= 12 * SEARCH_BLOCK); /* made again */
	index_path(1, path);
	assert_int_equal(truncate(path, SEARCH_HEADER_BYTES + 8192), 0);
	same_as_without(4);
	assert_int_equal(unlink(path), 0);
	same_as_without(4);
	build_all();
	assert_true(to_read(&filters[0]) <= 12 * SEARCH_BLOCK);
}

/* An index whose sums are right, but of other records. */
static void index_of_other_records_does_not_count(void **state)
{
	char own[128], first[256], second[256], other[256];

	memcpy(own, dir, sizeof own);
	index_path(0, first);
	index_path(1, second);
	fixture_dir(dir);
	fill(dir, SEARCH_GROUP, 5000000);
	build_all();
	index_path(0, other);
	assert_int_equal(rename(other, first), 0);
	fixture_remove(dir);
	memcpy(dir, own, sizeof own);
	same_as_without(4);
	assert_true(to_read(&filters[0]) >= SEARCH_GROUP);
	build_all();
	assert_int_equal(rename(first, second), 0); /* and one of another group of the same journal */
	same_as_without(4);
	build_all();
	assert_true(to_read(&filters[0]) <= 12 * SEARCH_BLOCK);
}

static bool not_for_long(void *ctx)
{
	return --*(int *)ctx > 0;
}

static void builder_ends_early_when_told(void **state)
{
	struct search_builder *b;
	char path[256];
	int turns = 5;

	index_path(0, path);
	assert_int_equal(unlink(path), 0);
	b = search_builder_create(dir, err);
	assert_non_null(b);
	assert_int_equal(search_builder_step(b, not_for_long, &turns, err), SEARCH_STEP_IDLE);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(search_builder_step(b, NULL, NULL, err), SEARCH_STEP_BUILT);
	assert_int_equal(access(path, F_OK), 0);
	search_builder_destroy(b);
}

/* A file that is lost while the builder runs comes back, one of no group goes. */
static void builder_heals_and_clears(void **state)
{
	struct search_builder *b = search_builder_create(dir, err);
	char path[256], foreign[300];

	assert_non_null(b);
	while (search_builder_step(b, NULL, NULL, err) == SEARCH_STEP_BUILT)
		;
	index_path(1, path);
	snprintf(foreign, sizeof foreign, "%s.part", path);
	assert_int_equal(rename(path, foreign), 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_not_equal(search_builder_step(b, NULL, NULL, err), SEARCH_STEP_FAILED);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(access(foreign, F_OK), -1);
	search_builder_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_piece_of_a_record_is_missed),
		cmocka_unit_test(index_finds_what_reading_all_finds),
		cmocka_unit_test(rare_things_are_looked_for_in_few_blocks),
		cmocka_unit_test(damaged_index_hides_nothing),
		cmocka_unit_test(index_of_other_records_does_not_count),
		cmocka_unit_test(builder_ends_early_when_told),
		cmocka_unit_test(builder_heals_and_clears),
	};

	return cmocka_run_group_tests_name("search", tests, setup_all, teardown_all);
}
