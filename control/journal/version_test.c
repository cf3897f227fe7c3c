/* Versions of the format: a journal of the version before is read and continued, one of a version to come is refused, and says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <lmdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/segment_view.h"
#include "control/journal/verify.h"

#define HOUR_US (3600ull * 1000000)

static char dir[128];
static struct fixture_signer signer;
static uint64_t now_us;

static struct journal *open_it(char err[JOURNAL_ERROR_BYTES])
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 64 << 20, .segment_us = HOUR_US };

	return journal_open(&config, now_us, err);
}

static void write_some(unsigned count)
{
	struct journal_signer s = fixture_signer_journal(&signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = open_it(err);

	if (!j)
		fail_msg("%s", err);
	assert_true(fixture_fill(j, count, 50, now_us));
	assert_true(journal_publish_flush(j, &s, now_us, 1000));
	journal_close(j);
}

/* A sealed segment [0,512) and a live one. */
static int setup(void **state)
{
	fixture_dir(dir);
	fixture_signer_init(&signer);
	now_us = FIXTURE_TIME;
	write_some(300);
	now_us += 2 * HOUR_US;
	write_some(400);
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

/* Makes a segment one of version `version`; the databases that version 1 did not have go. */
static void age(uint64_t first, uint64_t version)
{
	char path[200];
	uint64_t key = SEGMENT_META_VERSION;
	uint8_t raw[8] = { [7] = (uint8_t)version };
	MDB_val k = { sizeof key, &key }, v = { sizeof raw, raw };
	MDB_dbi meta, kept;
	MDB_txn *txn;
	MDB_env *env;

	snprintf(path, sizeof path, "%s/seg/%020llu/data.mdb", dir, (unsigned long long)first);
	assert_int_equal(chmod(path, 0600), 0);
	*strrchr(path, '/') = 0;
	assert_int_equal(segment_env_open(&env, path, 64 << 20, 5), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "meta", MDB_INTEGERKEY, &meta), 0);
	assert_int_equal(mdb_put(txn, meta, &k, &v, 0), 0);
	if (version == 1) {
		assert_int_equal(mdb_dbi_open(txn, "kept", MDB_INTEGERKEY, &kept), 0);
		assert_int_equal(mdb_drop(txn, kept, 1), 0);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static uint64_t version_of(uint64_t first)
{
	struct segment_view v;
	uint64_t version;
	char path[200];

	assert_true(segment_view_path(dir, first, path, sizeof path));
	assert_null(segment_view_open(&v, path));
	version = v.version;
	segment_view_close(&v);
	return version;
}

static char first_finding[300];

static void note_finding(void *ctx, const struct verify_finding *f)
{
	if (!first_finding[0])
		snprintf(first_finding, sizeof first_finding, "%s", f->what);
}

static bool audit(uint64_t size)
{
	const struct verify_options o = { .dir = dir, .keys = &signer.keys, .found = note_finding };
	struct verify_summary s;
	bool good;

	first_finding[0] = 0;
	good = verify_journal(&o, &s);
	return good && s.size == size && s.covered == size;
}

static void a_journal_of_the_version_before_is_read_and_continued(void **state)
{
	struct archive *a;
	struct bytes record;
	char err[JOURNAL_ERROR_BYTES];

	age(0, 1);
	age(512, 1);
	assert_true(audit(700));
	a = archive_open(dir, err);
	assert_non_null(a);
	assert_null(archive_read(a, 3, &record));
	assert_null(archive_read(a, 699, &record));
	archive_close(a);
	assert_int_equal(version_of(512), 1);
	write_some(100);
	assert_true(audit(800));
	assert_int_equal(version_of(0), 1); /* sealed: as it was */
	assert_int_equal(version_of(512), SEGMENT_VERSION);
}

static void what_only_this_version_keeps_comes_back(void **state)
{
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j;

	age(0, 1);
	age(512, 1);
	j = open_it(err);
	assert_non_null(j);
	assert_int_equal(journal_kept(j, JOURNAL_KEPT - 1).len, 0);
	assert_true(journal_keep(j, JOURNAL_KEPT - 1, bytes_str("kept")));
	assert_int_equal(journal_commit(j, now_us), JOURNAL_OK);
	journal_close(j);
	j = open_it(err);
	assert_non_null(j);
	assert_true(bytes_equal(journal_kept(j, JOURNAL_KEPT - 1), bytes_str("kept")));
	journal_close(j);
	assert_true(audit(700));
}

static void a_version_to_come_is_refused(void **state)
{
	char err[ARCHIVE_ERROR_BYTES];

	for (uint64_t first = 0; first <= 512; first += 512) {
		age(first, SEGMENT_VERSION + 1);
		assert_null(open_it(err));
		assert_non_null(strstr(err, "newer format version"));
		assert_null(archive_open(dir, err));
		assert_non_null(strstr(err, "newer format version"));
		assert_false(audit(700));
		assert_non_null(strstr(first_finding, "newer format version"));
		age(first, SEGMENT_VERSION);
		assert_true(audit(700));
	}
	age(512, 0); /* there was none */
	assert_null(open_it(err));
	assert_false(audit(700));
}

static void a_record_of_a_version_to_come_is_a_finding(void **state)
{
	struct journal_signer s = fixture_signer_journal(&signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = open_it(err);
	uint64_t index;

	assert_non_null(j);
	assert_int_equal(journal_append(j, bytes_str("{\"t\":\"cmd\",\"v\":2}"), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, now_us), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &s, now_us, 1000));
	journal_close(j);
	assert_false(audit(701));
	assert_non_null(strstr(first_finding, "record 700 is of format version 2"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_journal_of_the_version_before_is_read_and_continued),
		TEST(what_only_this_version_keeps_comes_back),
		TEST(a_version_to_come_is_refused),
		TEST(a_record_of_a_version_to_come_is_a_finding),
	};

	return cmocka_run_group_tests_name("version", tests, NULL, NULL);
}
