/* anchor_test.c: what others vouch for is kept beside the checkpoint that it is about, and found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/tiles.h"
#include "control/journal/verify.h"

static char err[JOURNAL_ERROR_BYTES];

static struct journal *open_it(void)
{
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN };
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	assert_non_null(j);
	return j;
}

static void grow(struct journal *j, unsigned records)
{
	assert_true(fixture_grow(j, &fixture.signer, records));
}

static size_t file_read(char *out, size_t cap)
{
	char path[200];
	FILE *f;
	size_t len;

	snprintf(path, sizeof path, "%s/checkpoint", fixture.dir);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(out, 1, cap - 1, f);
	fclose(f);
	out[len] = 0;
	return len;
}

/* Tree sizes:   10      20      30      40
 * token          a               b
 * cosignature           c d             e      */
static void fill(struct journal *j)
{
	grow(j, 10);
	assert_true(journal_anchor(j, ARCHIVE_TOKEN, 10, bytes_str("a")));
	grow(j, 10);
	assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, 20, bytes_str("\xe2\x80\x94 w1 AAAAAAAA\n")));
	assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, 20, bytes_str("\xe2\x80\x94 w2 AAAAAAAA\n")));
	grow(j, 10);
	assert_true(journal_anchor(j, ARCHIVE_TOKEN, 30, bytes_str("b")));
	grow(j, 10);
	assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, 40, bytes_str("\xe2\x80\x94 w1 AAAAAAAA\n")));
}

static void anchors_are_found_by_size(void **state)
{
	static const struct {
		enum archive_anchor kind;
		uint64_t at, before, after; /* 0: none */
	} rows[] = {
		{ ARCHIVE_TOKEN, 9, 0, 10 },   { ARCHIVE_TOKEN, 10, 10, 30 },  { ARCHIVE_TOKEN, 29, 10, 30 },
		{ ARCHIVE_TOKEN, 30, 30, 0 },  { ARCHIVE_TOKEN, UINT64_MAX, 30, 0 }, { ARCHIVE_TOKEN, 0, 0, 10 },
		{ ARCHIVE_COSIGNATURE, 19, 0, 20 }, { ARCHIVE_COSIGNATURE, 20, 20, 40 }, { ARCHIVE_COSIGNATURE, 41, 40, 0 },
	};
	struct journal *j = open_it();
	struct archive *a;
	struct bytes value;
	uint64_t size;

	fill(j);
	assert_false(journal_anchor(j, ARCHIVE_TOKEN, 41, bytes_str("x"))); /* no such checkpoint yet */
	assert_false(journal_anchor(j, ARCHIVE_TOKEN, 0, bytes_str("x")));
	for (unsigned round = 0; round < 2; round++) {
		a = archive_open(fixture.dir, err);
		assert_non_null(a);
		for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
			assert_int_equal(archive_anchored(a, rows[i].kind, rows[i].at, &size), rows[i].before != 0);
			assert_int_equal(size, rows[i].before);
			assert_int_equal(archive_anchored_after(a, rows[i].kind, rows[i].at, &size), rows[i].after != 0);
			assert_true(!rows[i].after || size == rows[i].after);
		}
		assert_true(archive_anchor(a, ARCHIVE_TOKEN, 30, 0, &value) && bytes_equal(value, bytes_str("b")));
		assert_false(archive_anchor(a, ARCHIVE_TOKEN, 30, 1, &value));
		assert_false(archive_anchor(a, ARCHIVE_TOKEN, 20, 0, &value));
		assert_true(archive_anchor(a, ARCHIVE_COSIGNATURE, 20, 1, &value) && memmem(value.base, value.len, "w2", 2));
		archive_close(a);
		journal_close(j);
		j = open_it();
	}
	journal_close(j);
}

static void cosignatures_follow_the_newest_note(void **state)
{
	struct journal *j = open_it();
	struct checkpoint c;
	char text[4096];
	size_t len;

	fill(j);
	for (unsigned round = 0; round < 2; round++) {
		struct bytes note = journal_checkpoint(j), stored = journal_checkpoint_stored(j);

		len = file_read(text, sizeof text);
		assert_true(bytes_equal(note, bytes_of(text, len)));
		assert_null(checkpoint_verify(note, &fixture.signer.keys, &c));
		assert_int_equal(c.size, 40);
		assert_true(stored.len < note.len && memcmp(stored.base, note.base, stored.len) == 0);
		assert_null(checkpoint_verify(stored, &fixture.signer.keys, &c));
		assert_null(memmem(stored.base, stored.len, " w1 ", 4));
		journal_close(j);
		j = open_it(); /* and again after a restart */
	}
	/* One that came late is kept, and the newest note stays what it is. */
	assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, 30, bytes_str("\xe2\x80\x94 w2 AAAAAAAA\n")));
	file_read(text, sizeof text);
	assert_null(strstr(text, " w2 "));
	grow(j, 10);
	file_read(text, sizeof text);
	assert_null(strstr(text, " w1 "));
	journal_close(j);
}

static void sixteen_of_a_kind_are_enough(void **state)
{
	struct journal *j = open_it();
	struct checkpoint c;

	grow(j, 10);
	for (unsigned i = 0; i < 16; i++)
		assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, 10, bytes_str("\xe2\x80\x94 w1 AAAAAAAA\n")));
	assert_false(journal_anchor(j, ARCHIVE_COSIGNATURE, 10, bytes_str("\xe2\x80\x94 w1 AAAAAAAA\n")));
	assert_null(journal_stopped(j));
	assert_null(checkpoint_verify(journal_checkpoint(j), &fixture.signer.keys, &c));
	journal_close(j);
}

static void consistency_leads_to_the_newest(void **state)
{
	struct journal *j = open_it();
	struct merkle_proof proof;
	struct checkpoint old, now;

	grow(j, 300);
	assert_null(checkpoint_parse(journal_checkpoint_stored(j), true, &old, NULL));
	grow(j, 411);
	assert_null(checkpoint_parse(journal_checkpoint_stored(j), true, &now, NULL));
	assert_true(journal_consistency(j, 300, 711, &proof));
	assert_true(merkle_check_consistency(300, &old.root, 711, &now.root, &proof));
	assert_false(journal_consistency(j, 300, 712, &proof));
	assert_false(journal_consistency(j, 712, 711, &proof));
	journal_close(j);
}

static void audit_of_an_anchored_journal_is_good(void **state)
{
	struct journal *j = open_it();
	struct verify_options o = { .dir = fixture.dir, .keys = &fixture.signer.keys };
	struct verify_summary s;

	fill(j);
	journal_close(j);
	assert_true(verify_journal(&o, &s));
	assert_int_equal(s.checkpoints, 5); /* four stored, and the file */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(anchors_are_found_by_size), TEST(cosignatures_follow_the_newest_note), TEST(sixteen_of_a_kind_are_enough),
		TEST(consistency_leads_to_the_newest), TEST(audit_of_an_anchored_journal_is_good),
	};

	return cmocka_run_group_tests_name("journal_anchor", tests, NULL, NULL);
}
