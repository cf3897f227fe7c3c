/* Retention: what was pruned is gone, is said to be gone, and everything proven about it still holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/segment_list.h"
#include "control/journal/verify.h"

#define HOUR_US (3600ull * 1000000)

static char dir[128];
static struct fixture_signer signer;
static struct journal *j;
static uint64_t now_us;

static struct journal_config config_of(void)
{
	return (struct journal_config){ .dir = dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 64 << 20, .segment_us = HOUR_US };
}

static void open_it(void)
{
	struct journal_config config = config_of();
	char err[JOURNAL_ERROR_BYTES];

	j = journal_open(&config, now_us, err);
	if (!j)
		fail_msg("%s", err);
}

static void publish(void)
{
	struct journal_signer s = fixture_signer_journal(&signer);

	assert_true(journal_publish_flush(j, &s, now_us, 1000));
}

/* Four sealed segments of 512 records and a live one of 300; a checkpoint in the middle of a tile, and one after each. */
static int setup(void **state)
{
	fixture_dir(dir);
	fixture_signer_init(&signer);
	now_us = FIXTURE_TIME;
	open_it();
	for (unsigned i = 0; i < 4; i++) {
		assert_true(fixture_fill(j, 300, 50, now_us));
		publish();
		now_us += 2 * HOUR_US;
		assert_true(fixture_fill(j, 212, 53, now_us));
		publish();
	}
	assert_true(fixture_fill(j, 300, 50, now_us));
	publish();
	return 0;
}

static int teardown(void **state)
{
	journal_close(j);
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

static void say_pruned(const struct journal_prune *p)
{
	char text[300];
	struct journal_state st;
	uint64_t index;

	/* It takes the place of one of the fixture's records, so it counts as that one. */
	journal_state(j, &st);
	snprintf(text, sizeof text, "{\"data\":{\"end\":%llu,\"first\":%llu},\"n\":%llu,\"sess\":\"%032llx\",\"t\":\"journal.prune\"}",
		 (unsigned long long)p->end, (unsigned long long)p->first, (unsigned long long)(st.size % 50), (unsigned long long)(st.size / 50));
	assert_int_equal(journal_append_vital(j, bytes_str(text), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, now_us), JOURNAL_OK);
}

static unsigned segments(void)
{
	struct segment_list list;
	unsigned count;

	assert_true(segment_list_read(&list, dir));
	count = (unsigned)list.count;
	segment_list_free(&list);
	return count;
}

static bool audit_with(uint64_t *first, const struct verify_kept_note *kept, unsigned *fit)
{
	const struct verify_options o = { .dir = dir, .keys = &signer.keys, .kept = kept, .kept_count = kept != NULL };
	struct verify_summary s;
	bool good = verify_journal(&o, &s);

	*first = s.first;
	*fit = s.kept;
	return good;
}

static bool audit(uint64_t *first)
{
	unsigned fit;

	return audit_with(first, NULL, &fit);
}

static void only_old_sealed_segments_are_candidates(void **state)
{
	struct journal_prune p;

	assert_false(journal_prune_candidate(j, FIXTURE_TIME, &p));
	assert_true(journal_prune_candidate(j, FIXTURE_TIME + 3 * HOUR_US, &p));
	assert_int_equal(p.first, 0);
	assert_int_equal(p.end, 512);
	assert_int_equal(p.segments, 1);
	assert_true(journal_prune_candidate(j, UINT64_MAX, &p));
	assert_int_equal(p.end, 2048); /* never the live one */
	p.end = 2348;
	assert_non_null(journal_prune(j, &p));
	assert_int_equal(segments(), 5);
}

static void proofs_of_what_was_pruned_still_hold(void **state)
{
	struct journal_prune p;
	static char proof_text[PROOF_BYTES_MAX];
	struct writer w = writer_of(proof_text, sizeof proof_text);
	static uint8_t entry[RECORD_BYTES_MAX];
	struct bytes record, old_proof, note;
	struct merkle_source source;
	struct merkle_proof consistency;
	struct checkpoint old, now;
	uint8_t old_note[CHECKPOINT_BYTES_MAX];
	size_t entry_len, old_len;
	uint64_t size, index, first;
	unsigned fit;

	/* A record and its proof, and a checkpoint whose size is inside of a tile, as an auditor took them. */
	assert_null(archive_read(journal_archive(j), 77, &record));
	memcpy(entry, record.base, entry_len = record.len);
	assert_null(journal_proof(j, 77, &w));
	old_proof = writer_done(&w);
	assert_true(archive_checkpoint(journal_archive(j), 1, 300, &size, &note));
	assert_int_equal(size, 300);
	memcpy(old_note, note.base, old_len = note.len);
	assert_true(journal_prune_candidate(j, UINT64_MAX, &p));
	say_pruned(&p);
	publish();
	assert_null(journal_prune(j, &p));
	assert_int_equal(segments(), 1);
	assert_non_null(archive_read(journal_archive(j), 77, &record));
	/* The old proof, a new one of the pruned record, and consistency between the old checkpoint and the newest one. */
	assert_null(proof_verify(old_proof, bytes_of(entry, entry_len), &signer.keys, &index));
	w = writer_of(proof_text, sizeof proof_text);
	assert_null(journal_proof(j, 77, &w));
	assert_null(proof_verify(writer_done(&w), bytes_of(entry, entry_len), &signer.keys, &index));
	assert_null(checkpoint_verify(bytes_of(old_note, old_len), &signer.keys, &old));
	assert_null(checkpoint_verify(journal_checkpoint(j), &signer.keys, &now));
	source = archive_source(journal_archive(j));
	assert_true(merkle_prove_consistency(&source, old.size, now.size, &consistency));
	assert_true(merkle_check_consistency(old.size, &old.root, now.size, &now.root, &consistency));
	assert_true(audit_with(&first, &(struct verify_kept_note){ "the old one", bytes_of(old_note, old_len) }, &fit));
	assert_int_equal(first, 2048);
	assert_int_equal(fit, 1);
}

static void the_journal_goes_on_and_is_opened_again(void **state)
{
	struct journal_prune p;
	uint64_t first;

	assert_true(journal_prune_candidate(j, FIXTURE_TIME + 5 * HOUR_US, &p));
	assert_int_equal(p.end, 1024);
	say_pruned(&p);
	publish();
	assert_null(journal_prune(j, &p));
	assert_true(fixture_fill(j, 700, 64, now_us + HOUR_US));
	publish();
	journal_close(j);
	open_it();
	assert_true(fixture_fill(j, 100, 64, now_us));
	publish();
	assert_true(audit(&first));
	assert_int_equal(first, 1024);
}

/* Gone without a word is an attack. */
static void pruning_without_its_record_is_a_finding(void **state)
{
	struct journal_prune p;
	uint64_t first;

	assert_true(journal_prune_candidate(j, FIXTURE_TIME + 5 * HOUR_US, &p));
	assert_null(journal_prune(j, &p));
	assert_false(audit(&first));
	p.end = 512; /* a record of other ones */
	say_pruned(&p);
	publish();
	assert_false(audit(&first));
}

/* A tile whose hashes are not those that the spine knows is not believed. */
static void a_changed_tile_of_pruned_records_is_not_believed(void **state)
{
	struct journal_prune p;
	char path[256];
	FILE *f;
	struct merkle_hash leaf;

	assert_true(journal_prune_candidate(j, UINT64_MAX, &p));
	say_pruned(&p);
	publish();
	assert_null(journal_prune(j, &p));
	assert_true(archive_leaf(journal_archive(j), 5, &leaf));
	snprintf(path, sizeof path, "%s/tile/0/001", dir);
	f = fopen(path, "r+e");
	assert_non_null(f);
	fputc('x', f);
	fclose(f);
	assert_false(archive_leaf(journal_archive(j), 300, &leaf));
	assert_true(archive_leaf(journal_archive(j), 5, &leaf));
}

static void an_interrupted_pruning_is_completed(void **state)
{
	struct journal_prune p;
	char from[256], to[256];
	uint64_t first;
	struct stat st;

	assert_true(journal_prune_candidate(j, FIXTURE_TIME + 3 * HOUR_US, &p));
	say_pruned(&p);
	publish();
	journal_close(j);
	snprintf(from, sizeof from, "%s/seg/%020d", dir, 0);
	snprintf(to, sizeof to, "%s.gone", from);
	assert_int_equal(rename(from, to), 0);
	open_it();
	assert_int_not_equal(stat(to, &st), 0);
	assert_int_equal(segments(), 4);
	publish();
	assert_true(audit(&first));
	assert_int_equal(first, 512);
}

/* Pruned to the last sealed segment, closed, and without its spine. */
static void lose_the_spine(void)
{
	struct journal_prune p;
	char path[256];

	assert_true(journal_prune_candidate(j, UINT64_MAX, &p));
	say_pruned(&p);
	publish();
	assert_null(journal_prune(j, &p));
	journal_close(j);
	j = NULL;
	snprintf(path, sizeof path, "%s/spine", dir);
	fixture_remove(path);
}

static void a_spine_lost_after_pruning_is_made_of_the_tiles(void **state)
{
	struct merkle_hash leaf;
	uint64_t first;

	lose_the_spine();
	open_it();
	assert_true(archive_leaf(journal_archive(j), 300, &leaf)); /* a pruned one: its tile is believed again */
	assert_true(fixture_fill(j, 500, 50, now_us));
	publish(); /* the signer gets its proof from the size that it signed last */
	assert_true(audit(&first));
	assert_int_equal(first, 2048);
	journal_close(j);
	open_it();
	publish();
	assert_true(audit(&first));
}

static void a_lost_spine_is_not_made_of_other_tiles(void **state)
{
	struct journal_config config = config_of();
	char err[JOURNAL_ERROR_BYTES], path[256], away[260];
	FILE *f;

	lose_the_spine();
	snprintf(path, sizeof path, "%s/tile/0/001", dir);
	snprintf(away, sizeof away, "%s.x", path);
	assert_int_equal(rename(path, away), 0);
	assert_null(journal_open(&config, now_us, err));
	assert_non_null(strstr(err, "is not there"));
	assert_int_equal(rename(away, path), 0);
	f = fopen(path, "r+e");
	assert_non_null(f);
	fputc('x', f);
	fclose(f);
	assert_null(journal_open(&config, now_us, err));
	assert_non_null(strstr(err, "not those of this journal"));
	/* And nothing of it was taken. */
	assert_null(journal_open(&config, now_us, err));
}

static void checkpoints_keep_their_distance(void **state)
{
	struct journal_signer s = fixture_signer_journal(&signer);
	struct journal_state st;

	journal_publish_every(j, 5000000);
	assert_true(fixture_fill(j, 10, 10, now_us));
	now_us += 4999999;
	for (unsigned i = 0; i < 50; i++)
		(void)journal_publish(j, &s, now_us);
	journal_state(j, &st);
	assert_int_equal(st.checkpoint_size, 2348);
	now_us++;
	for (unsigned i = 0; i < 50; i++)
		(void)journal_publish(j, &s, now_us);
	journal_state(j, &st);
	assert_int_equal(st.checkpoint_size, 2358);
	/* Nothing new: none, however long. */
	now_us += 60000000;
	assert_false(journal_publish(j, &s, now_us));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_old_sealed_segments_are_candidates),
		TEST(proofs_of_what_was_pruned_still_hold),
		TEST(the_journal_goes_on_and_is_opened_again),
		TEST(pruning_without_its_record_is_a_finding),
		TEST(a_changed_tile_of_pruned_records_is_not_believed),
		TEST(an_interrupted_pruning_is_completed),
		TEST(a_spine_lost_after_pruning_is_made_of_the_tiles),
		TEST(a_lost_spine_is_not_made_of_other_tiles),
		TEST(checkpoints_keep_their_distance),
	};

	return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
