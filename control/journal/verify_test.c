/* Damage of every kind in a closed journal: each is found, and the record is named. What is not found must be harmless: a bit
 * outside of everything that is read, with every record, chunk and checkpoint unchanged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/jcs_read.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/segment_list.h"
#include "control/journal/segment_view.h"
#include "control/journal/spine_view.h"
#include "control/journal/tiles.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

/* Each segment ends after its time: they begin at 0, 512, 768 and 1280. */
#define STEP 370u
#define RECORDS (4 * STEP)

static char origin_dir[128], dir[160];
static struct fixture_signer signer;
static struct segment_list segments;
static struct rng rng;
static struct merkle_hash true_root;

struct report {
	unsigned count;
	struct verify_finding finding[100];
	char text[100][200];
};

static void note_finding(void *ctx, const struct verify_finding *f)
{
	struct report *r = ctx;

	if (r->count < 100) {
		r->finding[r->count] = *f;
		snprintf(r->text[r->count], sizeof r->text[0], "%s", f->what);
		r->count++;
	}
}

static bool audit(struct report *r, struct verify_summary *summary)
{
	struct verify_options o = { .dir = dir, .keys = &signer.keys, .ctx = r, .found = note_finding };

	r->count = 0;
	return verify_journal(&o, summary);
}

static bool names(const struct report *r, uint64_t index, bool exactly)
{
	for (unsigned i = 0; i < r->count; i++) {
		const struct verify_finding *f = &r->finding[i];

		if (f->index == VERIFY_NOWHERE)
			continue;
		if (exactly ? f->index == index && f->last == index : f->index <= index && index <= f->last)
			return true;
	}
	return false;
}

static void assert_named(uint64_t index, bool exactly)
{
	static struct report r;
	struct verify_summary s;

	assert_false(audit(&r, &s));
	if (!names(&r, index, exactly)) {
		print_error("record %llu is not named; %u findings, the first: %s\n", (unsigned long long)index, r.count, r.count ? r.text[0] : "-");
		fail();
	}
}

static void assert_sound(void)
{
	static struct report r;
	struct verify_summary s;
	bool good = audit(&r, &s);

	if (!good)
		print_error("%s\n", r.text[0]);
	assert_true(good);
	assert_int_equal(s.size, RECORDS);
	assert_int_equal(s.covered, RECORDS);
	assert_true(merkle_equal(&s.root, &true_root));
}

static uint64_t segment_of(uint64_t index)
{
	uint64_t first = 0;

	for (size_t i = 0; i < segments.count; i++)
		if (segments.first[i] <= index)
			first = segments.first[i];
	return first;
}

static void file_of(uint64_t segment, char path[256])
{
	snprintf(path, 256, "%s/seg/%020llu/data.mdb", dir, (unsigned long long)segment);
}

/* XORs one byte; again to undo. */
static void flip(const char *path, uint64_t offset, uint8_t mask)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= mask;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

static uint8_t a_bit(void)
{
	return (uint8_t)(1u << rng_below(&rng, 8));
}

static struct segment_view view_of(uint64_t index)
{
	struct segment_view v;
	char path[256];

	assert_true(segment_view_path(dir, segment_of(index), path, sizeof path));
	assert_null(segment_view_open(&v, path));
	return v;
}

/* --- the journal that is damaged ---------------------------------------------------------------------------------------- */

static int build(void **state)
{
	struct journal_config config = { .dir = origin_dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20, .segment_us = STEP };
	struct journal_signer s;
	struct verify_summary summary;
	static struct report r;
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j;

	rng = rng_seeded(3);
	fixture_dir(origin_dir);
	fixture_signer_init(&signer);
	s = fixture_signer_journal(&signer);
	j = journal_open(&config, FIXTURE_TIME, err);
	if (!j)
		return -1;
	for (unsigned done = 0; done < RECORDS; done += STEP)
		if (!fixture_fill(j, STEP, 37, FIXTURE_TIME + done) || !journal_publish_flush(j, &s, FIXTURE_TIME + done, 1000))
			return -1;
	journal_close(j);
	snprintf(dir, sizeof dir, "%s", origin_dir);
	if (!segment_list_read(&segments, dir) || segments.count != 4 || !audit(&r, &summary))
		return -1;
	true_root = summary.root;
	snprintf(dir, sizeof dir, "%s-copy", origin_dir);
	return 0;
}

static int clean_up(void **state)
{
	fixture_remove(origin_dir);
	fixture_signer_free(&signer);
	segment_list_free(&segments);
	return 0;
}

static int copy(void **state)
{
	char path[256];

	fixture_copy(origin_dir, dir);
	for (size_t i = 0; i < segments.count; i++) {
		file_of(segments.first[i], path);
		chmod(path, 0600);
	}
	return 0;
}

static int drop_copy(void **state)
{
	fixture_remove(dir);
	return 0;
}

/* --- flips ------------------------------------------------------------------------------------------------------------ */

static void sound_journal_has_no_finding(void **state)
{
	assert_sound();
}

static void flipped_bit_in_a_record_names_it(void **state)
{
	for (unsigned i = 0; i < 60; i++) {
		uint64_t index = i < 8 ? RECORDS - 1 - i : rng_below(&rng, RECORDS);
		struct segment_view v = view_of(index);
		struct mdbfile_entry entry;
		char path[256];
		uint64_t at;
		uint8_t bit = a_bit();

		assert_null(segment_view_entry(&v, index, &entry));
		at = entry.offset + rng_below(&rng, entry.value.len);
		segment_view_close(&v);
		file_of(segment_of(index), path);
		flip(path, at, bit);
		assert_named(index, true);
		flip(path, at, bit);
	}
	assert_sound();
}

static void flipped_bit_in_a_leaf_hash_names_its_record(void **state)
{
	for (unsigned i = 0; i < 30; i++) {
		uint64_t index = rng_below(&rng, RECORDS), at;
		struct segment_view v = view_of(index);
		struct merkle_hash leaf;
		char path[256];
		uint8_t bit = a_bit();

		assert_null(segment_view_leaf(&v, index, &leaf, &at));
		at += rng_below(&rng, 32);
		segment_view_close(&v);
		file_of(segment_of(index), path);
		flip(path, at, bit);
		assert_named(index, true);
		flip(path, at, bit);
	}
	assert_sound();
}

static void flipped_bit_in_a_payload_names_the_record_that_refers_to_it(void **state)
{
	for (unsigned i = 0; i < 30; i++) {
		uint64_t number = rng_below(&rng, RECORDS / 10), index = number * 10;
		struct segment_view v = view_of(index);
		struct mdbfile_entry entry;
		char path[256];
		uint64_t at;
		uint8_t bit = a_bit();

		assert_null(segment_view_chunk(&v, number, &entry));
		at = entry.offset + rng_below(&rng, entry.value.len);
		segment_view_close(&v);
		file_of(segment_of(index), path);
		flip(path, at, bit);
		assert_named(index, true);
		flip(path, at, bit);
	}
	assert_sound();
}

/* Anywhere in the segments and the spine, LMDB's own structure included. */
static void flipped_bit_anywhere_is_found_or_harmless(void **state)
{
	unsigned found = 0;

	for (unsigned i = 0; i < 140; i++) {
		static struct report r;
		struct verify_summary s;
		struct stat st;
		char path[256];
		uint64_t at;
		uint8_t bit = a_bit();

		if (i % 4 == 3)
			snprintf(path, sizeof path, "%s/spine/data.mdb", dir);
		else
			file_of(segments.first[rng_below(&rng, segments.count)], path);
		assert_int_equal(stat(path, &st), 0);
		/* Half of them into page headers and node tables, where structure is. */
		at = i % 2 ? rng_below(&rng, (uint64_t)st.st_size) : rng_below(&rng, (uint64_t)st.st_size / 4096) * 4096 + rng_below(&rng, 64);
		flip(path, at, bit);
		if (audit(&r, &s)) {
			assert_int_equal(s.size, RECORDS);
			assert_int_equal(s.covered, RECORDS);
			assert_true(merkle_equal(&s.root, &true_root));
		} else {
			found++;
		}
		flip(path, at, bit);
	}
	assert_in_range(found, 40, 140);
	assert_sound();
}

static void flipped_bit_in_checkpoint_or_tile_is_found(void **state)
{
	char path[256];
	struct stat st;
	struct spine_view v;
	struct mdbfile_entry entry;
	static struct report r;
	struct verify_summary s;

	snprintf(path, sizeof path, "%s/checkpoint", dir);
	assert_int_equal(stat(path, &st), 0);
	for (unsigned i = 0; i < (unsigned)st.st_size; i += 7) {
		uint8_t bit = a_bit();

		flip(path, i, bit);
		assert_false(audit(&r, &s));
		flip(path, i, bit);
	}
	assert_null(spine_view_open(&v, dir));
	snprintf(path, sizeof path, "%s/spine/data.mdb", dir);
	for (unsigned i = 0; i < 40; i++) {
		uint64_t at;

		assert_true(spine_view_checkpoint(&v, STEP * (1 + rng_below(&rng, RECORDS / STEP)), &entry));
		at = entry.offset + rng_below(&rng, entry.value.len);
		flip(path, at, 0x04);
		assert_false(audit(&r, &s));
		flip(path, at, 0x04);
	}
	spine_view_close(&v);
	for (unsigned i = 0; i < 20; i++) {
		uint64_t index = rng_below(&rng, RECORDS);
		unsigned last = RECORDS / 256;
		char name[TILES_PATH_MAX];

		assert_true(tiles_path(0, index / 256, index / 256 == last ? RECORDS % 256 : 256, name));
		snprintf(path, sizeof path, "%s/%s", dir, name);
		flip(path, index % 256 * 32 + 5, 0x20);
		assert_named(index, true);
		flip(path, index % 256 * 32 + 5, 0x20);
	}
	assert_sound();
}

/* --- changes by somebody who has LMDB too --------------------------------------------------------------------------------- */

static struct bytes keep(const struct mdbfile_entry *entry)
{
	uint8_t *base = malloc(entry->value.len);

	memcpy(base, entry->value.base, entry->value.len);
	return bytes_of(base, entry->value.len);
}

static struct bytes stored_record(uint64_t index)
{
	struct segment_view v = view_of(index);
	struct mdbfile_entry entry;
	struct bytes out;

	assert_null(segment_view_entry(&v, index, &entry));
	out = keep(&entry);
	segment_view_close(&v);
	return out;
}

/* Puts (value.base not NULL) or deletes one entry of a database of the segment that holds `index`. */
static void change(uint64_t index, const char *db, uint64_t key, struct bytes value)
{
	char path[256];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_val k = { sizeof key, &key }, d = { value.len, (void *)(uintptr_t)value.base };

	assert_true(segment_view_path(dir, segment_of(index), path, sizeof path));
	assert_int_equal(segment_env_open(&env, path, 64u << 20, 4), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, db, MDB_INTEGERKEY, &dbi), 0);
	assert_int_equal(value.base ? mdb_put(txn, dbi, &k, &d, 0) : mdb_del(txn, dbi, &k, NULL), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static void deleted_record_is_named(void **state)
{
	for (unsigned i = 0; i < 15; i++) {
		uint64_t index = i == 0 ? 0 : i == 1 ? RECORDS - 1 : rng_below(&rng, RECORDS);
		struct bytes value = stored_record(index);

		change(index, "entry", index, (struct bytes){ 0 });
		assert_named(index, i != 1);
		change(index, "entry", index, value);
		free((void *)(uintptr_t)value.base);
	}
	assert_sound();
}

static void swapped_records_are_both_named(void **state)
{
	for (unsigned i = 0; i < 15; i++) {
		uint64_t a = rng_below(&rng, RECORDS - 1), b = rng_below(&rng, 2) ? a + 1 : rng_below(&rng, RECORDS);
		struct bytes left, right;

		if (a == b)
			continue;
		left = stored_record(a);
		right = stored_record(b);
		change(a, "entry", a, right);
		change(b, "entry", b, left);
		assert_named(a, true);
		assert_named(b, true);
		change(a, "entry", a, left);
		change(b, "entry", b, right);
		free((void *)(uintptr_t)left.base);
		free((void *)(uintptr_t)right.base);
	}
	assert_sound();
}

/* Record, stored leaf hash, spine hash and published tile all rewritten to fit: the signed root does not. */
static void forged_record_with_its_leaf_is_found(void **state)
{
	uint64_t index = 1000, run_first;
	struct bytes value = stored_record(index), run;
	struct segment_view v = view_of(index);
	struct mdbfile_cursor c = mdbfile_cursor_of(&v.file, &v.tile0);
	struct mdbfile_entry entry;
	struct merkle_hash leaf;
	char name[TILES_PATH_MAX], path[256], *digit;

	assert_int_equal(mdbfile_floor(&c, index, &entry), MDBFILE_OK);
	run = keep(&entry);
	run_first = entry.key;
	segment_view_close(&v);
	digit = memmem(value.base, value.len, "\"bytes\":1", 9);
	assert_non_null(digit);
	digit[8] = '2';
	leaf = merkle_leaf(bytes_of(value.base + 1, value.len - 1));
	memcpy((uint8_t *)(uintptr_t)run.base + (index - run_first) * 32, leaf.b, 32);
	change(index, "entry", index, value);
	change(index, "tile0", run_first, run);
	/* The published tile still names the one record. */
	assert_named(index, true);
	snprintf(path, sizeof path, "%s/tile", dir);
	fixture_remove(path);
	assert_named(index, false);
	snprintf(path, sizeof path, "%s/spine", dir);
	fixture_remove(path);
	assert_named(index, false);
	(void)name;
	free((void *)(uintptr_t)value.base);
	free((void *)(uintptr_t)run.base);
}

static void inserted_record_is_found(void **state)
{
	struct bytes value = stored_record(5);

	change(RECORDS - 1, "entry", RECORDS, value);
	assert_named(RECORDS, true);
	free((void *)(uintptr_t)value.base);
}

/* The newest records and their leaf hashes gone, the checkpoints still there. */
static void cut_tail_is_named(void **state)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20 };
	char path[256], err[JOURNAL_ERROR_BYTES];
	uint64_t last = segments.first[segments.count - 1];

	snprintf(path, sizeof path, "%s/seg/%020llu", dir, (unsigned long long)last);
	fixture_remove(path);
	assert_named(last, false);
	assert_named(RECORDS - 1, false);
	assert_null(journal_open(&config, FIXTURE_TIME, err));
}

static void missing_segment_is_named(void **state)
{
	char path[256];

	snprintf(path, sizeof path, "%s/seg/%020d", dir, 0);
	fixture_remove(path);
	/* As pruning leaves it, but no record says that it was pruning. */
	assert_named(0, false);
	assert_named(segments.first[1] - 1, false);
	{
		static struct report r;
		struct verify_summary s;

		audit(&r, &s);
		assert_int_equal(s.first, segments.first[1]);
	}
	drop_copy(NULL);
	copy(NULL);
	snprintf(path, sizeof path, "%s/seg/%020llu", dir, (unsigned long long)segments.first[1]);
	fixture_remove(path);
	assert_named(segments.first[1], false);
}

static void truncated_segment_is_found_at_every_length(void **state)
{
	for (unsigned i = 0; i < 40; i++) {
		uint64_t segment = segments.first[rng_below(&rng, segments.count)];
		static struct report r;
		struct verify_summary s;
		char path[256], whole[300];
		struct stat st;

		file_of(segment, path);
		assert_int_equal(stat(path, &st), 0);
		snprintf(whole, sizeof whole, "%s.whole", path);
		assert_int_equal(rename(path, whole), 0);
		fixture_copy(whole, path);
		assert_int_equal(truncate(path, i == 0 ? 0 : (off_t)rng_below(&rng, (uint64_t)st.st_size - 4096)), 0);
		if (audit(&r, &s)) {
			/* Free pages at the end. */
			assert_true(merkle_equal(&s.root, &true_root));
			assert_int_equal(s.covered, RECORDS);
		}
		assert_int_equal(rename(whole, path), 0);
	}
	assert_sound();
}

static void wrong_key_verifies_nothing(void **state)
{
	struct fixture_signer other;
	struct verify_options o = { .dir = dir, .keys = &other.keys };
	struct verify_summary s;

	fixture_signer_init(&other);
	assert_false(verify_journal(&o, &s));
	assert_int_equal(s.covered, 0);
	o.keys = NULL;
	assert_true(verify_journal(&o, &s));
	assert_false(s.signatures_checked);
	fixture_signer_free(&other);
}

/* --- completeness ------------------------------------------------------------------------------------------------------- */

/* A journal of exactly these records, signed; what its audit found. */
static void audit_of(const char *const *records, struct report *r, bool *good)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	struct fixture_signer fresh;
	struct journal_signer s;
	struct verify_options o = { .dir = dir, .keys = &fresh.keys, .ctx = r, .found = note_finding };
	struct verify_summary summary;
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j;
	uint64_t index;

	fixture_remove(dir);
	fixture_signer_init(&fresh);
	s = fixture_signer_journal(&fresh);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	for (; *records; records++)
		assert_int_equal(journal_append(j, bytes_str(*records), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
	r->count = 0;
	*good = verify_journal(&o, &summary);
	fixture_signer_free(&fresh);
}

/* What control adds to a session (`nc`), and the totals that ticks and closes state. */
static void own_records_and_totals_are_counted(void **state)
{
	static const struct {
		const char *const record[6];
		const char *says; /* NULL: all is well */
	} rows[] = {
		{ { "{\"n\":0,\"sess\":\"a\"}", "{\"nc\":0,\"sess\":\"a\"}", "{\"nc\":1,\"sess\":\"a\"}",
		    "{\"data\":{\"last_n\":1,\"own\":2},\"n\":1,\"sess\":\"a\",\"t\":\"session.close\"}" }, NULL },
		{ { "{\"nc\":0,\"sess\":\"a\"}", "{\"nc\":2,\"sess\":\"a\"}" }, "counter nc 2" },
		{ { "{\"nc\":0,\"sess\":\"a\"}", "{\"data\":{\"last_n\":0,\"own\":2},\"n\":0,\"sess\":\"a\",\"t\":\"session.close\"}" }, "own" },
		{ { "{\"data\":{\"last_n\":5},\"n\":0,\"sess\":\"a\",\"t\":\"session.close\"}" }, "last record" },
		{ { "{\"data\":{\"commands\":7,\"recorded\":7},\"t\":\"node.tick\"}" }, NULL },
		{ { "{\"data\":{\"commands\":7,\"recorded\":6},\"t\":\"node.tick\"}" }, "tick" },
		{ { "{\"data\":{\"commands\":7},\"t\":\"node.tick\"}" }, NULL }, /* as it was written before `recorded` came */
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		static struct report r;
		bool good;

		audit_of(rows[i].record, &r, &good);
		assert_int_equal(good, rows[i].says == NULL);
		assert_int_equal(r.count, rows[i].says != NULL);
		if (rows[i].says)
			assert_non_null(strstr(r.text[0], rows[i].says));
	}
}

/* A record that control never wrote is no damage of the tree: the session's counter shows it. */
static void gap_in_a_session_is_named(void **state)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN };
	char err[JOURNAL_ERROR_BYTES], text[4096];
	static const uint64_t counters[] = { 0, 1, 2, 4, 5 };
	struct journal_signer s = fixture_signer_journal(&signer);
	struct fixture_signer fresh;
	struct journal *j;
	uint64_t index;

	fixture_remove(dir);
	fixture_signer_init(&fresh);
	s = fixture_signer_journal(&fresh);
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	for (size_t i = 0; i < 5; i++) {
		struct writer w = writer_of(text, sizeof text);

		assert_int_equal(journal_append(j, fixture_record(&w, 9, counters[i], NULL), &index), JOURNAL_OK);
	}
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	journal_close(j);
	{
		struct verify_options o = { .dir = dir, .keys = &fresh.keys };
		static struct report r;
		struct verify_summary summary;

		o.ctx = &r;
		o.found = note_finding;
		r.count = 0;
		assert_false(verify_journal(&o, &summary));
		assert_int_equal(r.count, 1);
		assert_int_equal(r.finding[0].index, 3);
		assert_int_equal(summary.covered, 5);
	}
	fixture_signer_free(&fresh);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, copy, drop_copy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sound_journal_has_no_finding),
		TEST(flipped_bit_in_a_record_names_it),
		TEST(flipped_bit_in_a_leaf_hash_names_its_record),
		TEST(flipped_bit_in_a_payload_names_the_record_that_refers_to_it),
		TEST(flipped_bit_anywhere_is_found_or_harmless),
		TEST(flipped_bit_in_checkpoint_or_tile_is_found),
		TEST(deleted_record_is_named),
		TEST(swapped_records_are_both_named),
		TEST(forged_record_with_its_leaf_is_found),
		TEST(inserted_record_is_found),
		TEST(cut_tail_is_named),
		TEST(missing_segment_is_named),
		TEST(truncated_segment_is_found_at_every_length),
		TEST(wrong_key_verifies_nothing),
		TEST(gap_in_a_session_is_named),
		TEST(own_records_and_totals_are_counted),
	};

	return cmocka_run_group_tests_name("verify", tests, build, clean_up);
}
