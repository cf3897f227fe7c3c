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

#include "control/journal/journal_fixture.h"
#include "control/journal/spine.h"
#include "control/journal/spine_view.h"
#include "control/journal/tiles.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

static char err[JOURNAL_ERROR_BYTES];

static struct journal *open_with(uint64_t segment_bytes)
{
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN, .segment_bytes = segment_bytes, .publish_entries = true };
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	if (!j)
		print_error("%s\n", err);
	assert_non_null(j);
	return j;
}

static void publish(struct journal *j)
{
	struct journal_signer s = fixture_signer_journal(&fixture.signer);

	assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 5000));
}

static void print_finding(void *ctx, const struct verify_finding *f)
{
	print_error("finding: %s\n", f->what);
}

static void assert_verifies(uint64_t size)
{
	struct verify_options o = { .dir = fixture.dir, .keys = &fixture.signer.keys, .found = print_finding };
	struct verify_summary s;

	assert_true(verify_journal(&o, &s));
	assert_int_equal(s.size, size);
}

static void records_come_back_after_reopening(void **state)
{
	struct journal *j = open_with(0);
	struct bytes record;
	struct journal_state s;
	char text[4096];
	struct writer w = writer_of(text, sizeof text);

	assert_true(fixture_fill(j, 1000, 37, FIXTURE_TIME));
	publish(j);
	journal_close(j);
	j = open_with(0);
	journal_state(j, &s);
	assert_int_equal(s.size, 1000);
	assert_int_equal(s.checkpoint_size, 1000);
	for (uint64_t i = 1; i < 1000; i += 2) {
		struct bytes want;

		w = writer_of(text, sizeof text);
		want = fixture_record(&w, (unsigned)(i / 50), i % 50, NULL);
		assert_null(archive_read(journal_archive(j), i, &record));
		assert_true(bytes_equal(record, want));
	}
	assert_non_null(archive_read(journal_archive(j), 1000, &record));
	journal_close(j);
	assert_verifies(1000);
}

static void uncommitted_records_are_nowhere(void **state)
{
	struct journal *j = open_with(0);
	struct journal_state s;
	char text[4096];
	struct writer w = writer_of(text, sizeof text);
	uint64_t index;

	assert_true(fixture_fill(j, 10, 10, FIXTURE_TIME));
	assert_int_equal(journal_append(j, fixture_record(&w, 0, 10, NULL), &index), JOURNAL_OK);
	assert_int_equal(index, 10);
	journal_state(j, &s);
	assert_int_equal(s.size, 10);
	assert_int_equal(s.pending, 1);
	journal_close(j);
	j = open_with(0);
	journal_state(j, &s);
	assert_int_equal(s.size, 10);
	journal_close(j);
}

static void what_is_not_canonical_is_refused(void **state)
{
	static const char *const bad[] = { "", "x", "[]", "1", "{\"a\": 1}", "{\"b\":1,\"a\":1}", "{\"a\":1.5}", "{\"a\":null}" };
	struct journal *j = open_with(0);
	uint8_t *big = malloc(70000);
	struct journal_state s;
	uint64_t index;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(journal_append(j, bytes_str(bad[i]), &index), JOURNAL_BAD_RECORD);
		assert_true(journal_refusal(j)[0] != 0);
	}
	memset(big, 'a', 70000);
	memcpy(big, "{\"a\":\"", 6);
	memcpy(big + RECORD_BYTES_MAX - 2, "\"}", 2);
	assert_int_equal(journal_append(j, bytes_of(big, RECORD_BYTES_MAX), &index), JOURNAL_OK);
	memcpy(big + RECORD_BYTES_MAX - 2, "aaa\"}", 5);
	assert_int_equal(journal_append(j, bytes_of(big, RECORD_BYTES_MAX + 1), &index), JOURNAL_BAD_RECORD);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	journal_state(j, &s);
	assert_int_equal(s.size, 1);
	free(big);
	journal_close(j);
}

/* The writer's own, without being read again: whole or not at all. */
static void what_is_composed_is_whole(void **state)
{
	struct journal *j = open_with(0);
	uint8_t text[256];
	struct writer w = writer_of(text, sizeof text);
	struct jcs c = jcs_of(&w);
	uint64_t index;

	jcs_open(&c);
	jcs_put_int(&c, "b", 1);
	assert_int_equal(journal_append_composed(j, &c, false, &index), JOURNAL_BAD_RECORD);
	jcs_close(&c);
	assert_int_equal(journal_append_composed(j, &c, false, &index), JOURNAL_OK);
	w = writer_of(text, sizeof text);
	c = jcs_of(&w);
	jcs_open(&c);
	jcs_put_int(&c, "b", 1);
	jcs_put_int(&c, "a", 1);
	jcs_close(&c);
	assert_int_equal(journal_append_composed(j, &c, true, &index), JOURNAL_BAD_RECORD);
	assert_true(journal_refusal(j)[0] != 0);
	w = writer_of(text, sizeof text);
	c = jcs_of(&w);
	jcs_array(&c);
	jcs_array_close(&c);
	assert_int_equal(journal_append_composed(j, &c, true, &index), JOURNAL_BAD_RECORD);
	journal_close(j);
}

static void cursors_are_those_of_the_last_commit(void **state)
{
	struct journal *j = open_with(0);
	char text[4096];
	struct writer w = writer_of(text, sizeof text);
	uint64_t index;

	assert_int_equal(journal_cursor_get(j, 3), 0);
	assert_int_equal(journal_append(j, fixture_record(&w, 0, 0, NULL), &index), JOURNAL_OK);
	journal_cursor_set(j, 3, 4711);
	journal_cursor_set(j, 63, UINT64_MAX);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	journal_cursor_set(j, 3, 4712);
	assert_int_equal(journal_cursor_get(j, 3), 4712);
	journal_close(j);
	j = open_with(0);
	assert_int_equal(journal_cursor_get(j, 3), 4711);
	assert_true(journal_cursor_get(j, 63) == UINT64_MAX);
	/* A cursor alone is a commit too: a message that caused no record. */
	journal_cursor_set(j, 3, 4800);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	journal_close(j);
	j = open_with(0);
	assert_int_equal(journal_cursor_get(j, 3), 4800);
	journal_close(j);
}

/* Small state of the writer: as durable as the commit it was in, over restarts and new segments. */
static void what_is_kept_comes_back(void **state)
{
	struct journal *j = open_with(1 << 20);
	struct journal_state s;
	struct bytes longest = bytes_str("012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345");

	assert_int_equal(longest.len, JOURNAL_KEPT_BYTES);
	assert_int_equal(journal_kept(j, 7).len, 0);
	assert_true(journal_keep(j, 7, bytes_str("seven")));
	assert_true(journal_keep(j, JOURNAL_KEPT - 1, longest));
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK); /* alone it is a commit too */
	assert_true(journal_keep(j, 7, bytes_str("SEVEN!")));
	assert_true(journal_keep(j, 64, bytes_str("x")));
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_true(journal_keep(j, 7, bytes_str("never committed")));
	assert_false(journal_keep(j, JOURNAL_KEPT, bytes_str("x")));
	assert_false(journal_keep(j, 8, (struct bytes){ 0 }));
	assert_false(journal_keep(j, 8, bytes_of(longest.base, longest.len + 1)));
	journal_close(j);
	j = open_with(1 << 20);
	for (unsigned i = 0; i < 14; i++)
		assert_true(fixture_fill(j, 250, 50, FIXTURE_TIME + i)); /* several segments */
	publish(j);
	journal_state(j, &s);
	assert_true(s.segment_first > 1536);
	journal_close(j);
	assert_verifies(3500);
	j = open_with(1 << 20);
	assert_true(bytes_equal(journal_kept(j, 7), bytes_str("SEVEN!")));
	assert_true(bytes_equal(journal_kept(j, 64), bytes_str("x")));
	assert_true(bytes_equal(journal_kept(j, JOURNAL_KEPT - 1), longest));
	assert_int_equal(journal_kept(j, 8).len, 0);
	assert_int_equal(journal_kept(j, JOURNAL_KEPT).len, 0);
	journal_close(j);
}

static void payload_comes_back_by_number_and_hash(void **state)
{
	struct journal *j = open_with(0);
	uint8_t *payload = malloc(RECORD_CHUNK_BYTES_MAX + 1);
	struct record_chunk chunk[3];
	struct bytes back, stored;
	uint32_t noise = 1;

	for (size_t i = 0; i <= RECORD_CHUNK_BYTES_MAX; i++) {
		noise = noise * 1664525 + 1013904223;
		payload[i] = (uint8_t)(noise >> 24);
	}
	assert_int_equal(journal_chunk(j, bytes_of(payload, RECORD_CHUNK_BYTES_MAX), &chunk[0]), JOURNAL_OK);
	assert_int_equal(journal_chunk(j, bytes_str("short"), &chunk[1]), JOURNAL_OK);
	assert_int_equal(journal_chunk(j, bytes_of(payload, 0), &chunk[2]), JOURNAL_OK);
	assert_int_equal(journal_chunk(j, bytes_of(payload, RECORD_CHUNK_BYTES_MAX + 1), &chunk[2]), JOURNAL_BAD_RECORD);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_null(archive_chunk_stored(journal_archive(j), 0, chunk[0].hash, &stored));
	assert_in_range(stored.len, RECORD_CHUNK_BYTES_MAX, RECORD_CHUNK_STORED_MAX);
	assert_null(archive_chunk(journal_archive(j), 0, chunk[0].hash, &back));
	assert_true(bytes_equal(back, bytes_of(payload, RECORD_CHUNK_BYTES_MAX)));
	assert_null(archive_chunk(journal_archive(j), 1, chunk[1].hash, &back));
	assert_true(bytes_equal(back, bytes_str("short")));
	assert_non_null(archive_chunk(journal_archive(j), 1, chunk[0].hash, &back));
	assert_non_null(archive_chunk(journal_archive(j), 3, NULL, &back));
	/* Around the length up to which a payload is one raw block. */
	for (size_t len = 254; len < 258; len++) {
		assert_int_equal(journal_chunk(j, bytes_of(payload, len), &chunk[0]), JOURNAL_OK);
		assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
		assert_null(archive_chunk(journal_archive(j), chunk[0].key, chunk[0].hash, &back));
		assert_true(bytes_equal(back, bytes_of(payload, len)));
	}
	free(payload);
	journal_close(j);
}

/* More in one segment than its map was made for: it grows while it is written, and when it is opened again. */
static void a_segment_that_outgrew_its_map_is_continued(void **state)
{
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20 };
	char text[4096];
	static uint8_t payload[60000];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	assert_non_null(j);
	for (unsigned life = 0; life < 3; life++) {
		struct writer w = writer_of(text, sizeof text);
		struct record_chunk chunk;
		uint64_t index;

		for (unsigned i = 0; i < 40; i++) {
			random_secret(payload, sizeof payload);
			assert_int_equal(journal_chunk(j, bytes_of(payload, sizeof payload), &chunk), JOURNAL_OK);
		}
		assert_int_equal(journal_append(j, fixture_record(&w, 1, life, &chunk), &index), JOURNAL_OK);
		assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
		journal_close(j);
		j = journal_open(&config, FIXTURE_TIME, err);
		if (!j)
			fail_msg("%s", err);
		assert_int_equal(archive_size(journal_archive(j)), life + 1);
	}
	journal_close(j);
}

static void second_writer_is_refused(void **state)
{
	struct journal *j = open_with(0);
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN };

	assert_null(journal_open(&config, FIXTURE_TIME, err));
	assert_non_null(strstr(err, "another writer"));
	journal_close(j);
}

static void other_origin_is_refused(void **state)
{
	struct journal_config config = { .dir = fixture.dir, .origin = "sluice.example/journal/other" };

	journal_close(open_with(0));
	assert_null(journal_open(&config, FIXTURE_TIME, err));
	assert_non_null(strstr(err, "another origin"));
}

/* Segments of 1 MiB, some hundred records a segment: first indexes are multiples of 256, nothing is lost at the seams. */
static void segments_rotate_at_multiples_of_256(void **state)
{
	struct journal *j = open_with(1 << 20);
	struct journal_state s;
	struct bytes record;
	uint64_t segments = 0, last_first = 0;
	struct stat st;
	char path[256];

	for (unsigned i = 0; i < 20; i++) {
		assert_true(fixture_fill(j, 250, 50, FIXTURE_TIME + i));
		publish(j);
		journal_state(j, &s);
		assert_int_equal(s.segment_first % 256, 0);
		if (s.segment_first != last_first) {
			snprintf(path, sizeof path, "%s/seg/%020llu/data.mdb", fixture.dir, (unsigned long long)last_first);
			assert_int_equal(stat(path, &st), 0);
			assert_int_equal(st.st_mode & 0777, 0440);
			last_first = s.segment_first;
			segments++;
		}
		journal_cursor_set(j, 1, i + 1);
	}
	assert_in_range(segments, 2, 20);
	for (uint64_t i = 0; i < 5000; i++)
		assert_null(archive_read(journal_archive(j), i, &record));
	journal_close(j);
	assert_verifies(5000);
	j = open_with(1 << 20);
	assert_int_equal(journal_cursor_get(j, 1), 19);
	assert_true(fixture_fill(j, 300, 1, FIXTURE_TIME));
	journal_close(j);
	assert_verifies(5300);
}

static void segment_ends_after_its_time(void **state)
{
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN, .segment_us = 1000 };
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	struct journal_state s;

	assert_true(fixture_fill(j, 100, 1, FIXTURE_TIME));
	assert_true(fixture_fill(j, 300, 1, FIXTURE_TIME + 1000));
	journal_state(j, &s);
	assert_int_equal(s.segment_first, 256);
	/* A clock that steps back rotates nothing. */
	assert_true(fixture_fill(j, 600, 1, FIXTURE_TIME - 5000000));
	journal_state(j, &s);
	assert_int_equal(s.segment_first, 256);
	journal_close(j);
}

static void proofs_hold_under_the_published_checkpoint(void **state)
{
	struct journal *j = open_with(1 << 20);
	static const uint64_t picks[] = { 0, 1, 255, 256, 300, 4095, 4096, 6998, 6999 };
	uint8_t text[PROOF_BYTES_MAX];
	struct bytes record;
	uint64_t index;

	assert_true(fixture_fill(j, 3001, 64, FIXTURE_TIME));
	publish(j);
	assert_true(fixture_fill(j, 3999, 64, FIXTURE_TIME));
	publish(j);
	assert_true(fixture_fill(j, 10, 64, FIXTURE_TIME));
	for (size_t i = 0; i < sizeof picks / sizeof picks[0]; i++) {
		struct writer w = writer_of(text, sizeof text);

		assert_null(journal_proof(j, picks[i], &w));
		assert_null(archive_read(journal_archive(j), picks[i], &record));
		assert_null(proof_verify(writer_done(&w), record, &fixture.signer.keys, &index));
		assert_int_equal(index, picks[i]);
		assert_null(archive_read(journal_archive(j), picks[i] + 1, &record));
		assert_non_null(proof_verify(writer_done(&w), record, &fixture.signer.keys, &index));
	}
	{
		struct writer w = writer_of(text, sizeof text);

		assert_non_null(journal_proof(j, 7000, &w));
	}
	journal_close(j);
}

/* 70,000 records: level 1 has a full tile; a checkpoint at each step, found again by size. */
static void tiles_are_those_of_the_tree(void **state)
{
	struct journal *j = open_with(0);
	struct merkle_hash tile[TILES_WIDTH], top, leaf[TILES_WIDTH];
	struct archive *a;
	uint64_t size;
	struct bytes note;
	char path[256], name[TILES_PATH_MAX];
	FILE *f;

	for (unsigned i = 0; i < 70; i++) {
		assert_true(fixture_fill(j, 1000, 1000, FIXTURE_TIME));
		publish(j);
	}
	a = journal_archive(j);
	assert_true(archive_checkpoint(a, 0, 45500, &size, &note));
	assert_int_equal(size, 45000);
	assert_true(archive_checkpoint_after(a, 45000, &size, &note));
	assert_int_equal(size, 46000);
	assert_true(archive_checkpoint_after(a, 3, &size, &note));
	assert_int_equal(size, 1000);
	assert_false(archive_checkpoint_after(a, 70000, &size, &note));
	assert_true(tiles_path(1, 0, TILES_WIDTH, name));
	snprintf(path, sizeof path, "%s/%s", fixture.dir, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(tile, sizeof tile[0], TILES_WIDTH, f), TILES_WIDTH);
	fclose(f);
	for (unsigned n = 0; n < TILES_WIDTH; n += 51) {
		for (unsigned i = 0; i < TILES_WIDTH; i++)
			assert_true(archive_leaf(a, n * TILES_WIDTH + i, &leaf[i]));
		top = merkle_root_of(leaf, TILES_WIDTH);
		assert_true(merkle_equal(&top, &tile[n]));
	}
	/* 70,000 = 273 x 256 + 112: partial tiles of both levels, entries too, and none left of full ones. */
	snprintf(path, sizeof path, "%s/tile/0/273.p/112", fixture.dir);
	assert_int_equal(access(path, R_OK), 0);
	snprintf(path, sizeof path, "%s/tile/entries/273.p/112", fixture.dir);
	assert_int_equal(access(path, R_OK), 0);
	snprintf(path, sizeof path, "%s/tile/1/001.p/17", fixture.dir);
	assert_int_equal(access(path, R_OK), 0);
	snprintf(path, sizeof path, "%s/tile/0/272.p", fixture.dir);
	assert_int_not_equal(access(path, R_OK), 0);
	journal_close(j);
	assert_verifies(70000);
}

static void spine_that_is_lost_is_made_again(void **state)
{
	struct journal *j = open_with(1 << 20);
	char path[256];

	assert_true(fixture_fill(j, 5000, 100, FIXTURE_TIME));
	publish(j);
	journal_close(j);
	snprintf(path, sizeof path, "%s/spine", fixture.dir);
	fixture_remove(path);
	snprintf(path, sizeof path, "%s/tile", fixture.dir);
	fixture_remove(path);
	j = open_with(1 << 20);
	assert_true(fixture_fill(j, 500, 100, FIXTURE_TIME));
	publish(j);
	journal_close(j);
	assert_verifies(5500);
}

static void journal_cut_below_its_checkpoint_is_not_continued(void **state)
{
	struct journal *j = open_with(1 << 20);
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20 };
	struct journal_state s;
	char path[256];

	assert_true(fixture_fill(j, 4000, 100, FIXTURE_TIME));
	publish(j);
	journal_state(j, &s);
	assert_true(s.segment_first > 0);
	journal_close(j);
	snprintf(path, sizeof path, "%s/seg/%020llu", fixture.dir, (unsigned long long)s.segment_first);
	fixture_remove(path);
	assert_null(journal_open(&config, FIXTURE_TIME, err));
	assert_non_null(strstr(err, "missing"));
}

static void refusal_of_the_signer_shows_and_stops_nothing(void **state)
{
	struct journal *j = open_with(0);
	struct journal_signer s = fixture_signer_journal(&fixture.signer);
	struct journal_state st;

	assert_true(fixture_fill(j, 10, 10, FIXTURE_TIME));
	fixture.signer.refuse = true;
	assert_false(journal_publish_flush(j, &s, FIXTURE_TIME, 100));
	journal_state(j, &st);
	assert_string_equal(st.signer, "refused by the test");
	assert_null(st.stopped);
	fixture.signer.refuse = false;
	fixture.signer.away = true;
	assert_false(journal_publish(j, &s, FIXTURE_TIME + 2000000));
	journal_state(j, &st);
	assert_non_null(strstr(st.signer, "not there"));
	fixture.signer.away = false;
	fixture.signer.delay = 3;
	publish(j);
	journal_state(j, &st);
	assert_null(st.signer);
	assert_int_equal(st.checkpoint_size, 10);
	journal_close(j);
}

/* A signature that takes its time: after the tiles there is nothing to do, and who calls may sleep. */
static void waiting_for_a_signature_is_told_from_work(void **state)
{
	struct journal *j = open_with(0);
	struct journal_signer s = fixture_signer_journal(&fixture.signer);
	struct journal_state st;

	assert_false(journal_publish_waits(j));
	assert_true(fixture_fill(j, 10, 10, FIXTURE_TIME));
	fixture.signer.delay = 5;
	for (unsigned i = 0; i < 5; i++) {
		assert_true(journal_publish(j, &s, FIXTURE_TIME));
		assert_true(journal_publish_waits(j));
	}
	while (journal_publish(j, &s, FIXTURE_TIME))
		assert_false(journal_publish_waits(j));
	assert_false(journal_publish_waits(j));
	journal_state(j, &st);
	assert_int_equal(st.checkpoint_size, 10);
	journal_close(j);
}

static void checkpoints_come_at_most_once_a_period(void **state)
{
	struct journal *j = open_with(0);
	struct journal_signer s = fixture_signer_journal(&fixture.signer);
	struct journal_state st;
	uint64_t sizes = 0, last = 0;

	for (unsigned i = 0; i < 100; i++) {
		assert_true(fixture_fill(j, 1, 1, FIXTURE_TIME + i * 100000));
		while (journal_publish(j, &s, FIXTURE_TIME + i * 100000))
			;
		journal_state(j, &st);
		sizes += st.checkpoint_size != last;
		last = st.checkpoint_size;
	}
	assert_in_range(sizes, 9, 11);
	journal_close(j);
}

static uint64_t steady;

static uint64_t steady_clock(void)
{
	return steady;
}

/* The size up to which the spine says that tiles are on disk. */
static uint64_t marked(void)
{
	struct mdbfile_entry entry;
	struct spine_view view;
	struct reader r;
	uint64_t mark;

	assert_null(spine_view_open(&view, fixture.dir));
	r = mdbfile_get(&view.file, &view.meta, SPINE_META_TILES, &entry) == MDBFILE_OK ? reader_of_bytes(entry.value) : (struct reader){ 0 };
	mark = reader_be64(&r); /* 0: never moved */
	spine_view_close(&view);
	return mark;
}

/* A wall clock that is set forward has brought nothing to disk. */
static void tiles_are_on_disk_after_a_time_that_passed(void **state)
{
	struct journal_config c = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN, .steady_us = steady_clock };
	struct journal_signer s = fixture_signer_journal(&fixture.signer);
	struct journal *j;

	steady = 1000000;
	j = journal_open(&c, FIXTURE_TIME, err);
	assert_non_null(j);
	for (uint64_t i = 0; i < 4; i++) {
		assert_true(fixture_fill(j, 300, 5, FIXTURE_TIME + i * 900000000));
		assert_true(journal_publish_flush(j, &s, FIXTURE_TIME + i * 900000000, 5000));
	}
	assert_int_equal(marked(), 0);
	for (uint64_t i = 4; i < 6; i++) {
		steady += 121000000;
		assert_true(fixture_fill(j, 300, 5, FIXTURE_TIME + i * 900000000));
		assert_true(journal_publish_flush(j, &s, FIXTURE_TIME + i * 900000000, 5000));
	}
	assert_int_equal(marked(), 1500);
	journal_close(j);
}

static void search_filters(void **state)
{
	struct journal *j = open_with(0);
	struct archive_filter all = { 0 }, one = { .session = "00000000000000000000000000000003", .type = "cmd" },
			      words = { .person = "ada", .agent = "report-bot", .service = "crm", .verdict = "blocked", .text = "CUSTOMERS" },
			      none = { .text = "no such text" }, window = { .from = 10, .to = 20, .type = "c*" };
	struct archive_filter *filters[] = { &all, &one, &words, &none, &window };
	/* Sessions of 50 records: n even is a command, n % 7 == 0 is blocked, odd sessions are ada's. */
	const unsigned want[] = { 500, 25, 5 * 8, 0, 5 };

	assert_true(fixture_fill(j, 500, 100, FIXTURE_TIME));
	for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
		uint64_t index = 0;
		unsigned found = 0, more = 0;
		struct bytes record;
		const char *why;
		enum archive_next next;

		while ((next = archive_search(journal_archive(j), filters[i], &index, 64, &record, &why)) != ARCHIVE_END) {
			assert_int_not_equal(next, ARCHIVE_BROKEN);
			more += next == ARCHIVE_MORE;
			if (next == ARCHIVE_FOUND) {
				found++;
				index++;
			}
		}
		assert_int_equal(found, want[i]);
	}
	journal_close(j);
}

static void batch_has_its_bounds(void **state)
{
	struct journal *j = open_with(0);
	uint64_t index;
	char text[4096];

	for (unsigned i = 0; i < JOURNAL_BATCH_RECORDS; i++) {
		struct writer w = writer_of(text, sizeof text);

		assert_true(journal_has_room(j, 1, 4096));
		assert_int_equal(journal_append(j, fixture_record(&w, 0, i, NULL), &index), JOURNAL_OK);
	}
	assert_false(journal_has_room(j, 1, 1));
	{
		struct writer w = writer_of(text, sizeof text);

		assert_int_equal(journal_append(j, fixture_record(&w, 0, 1024, NULL), &index), JOURNAL_BATCH_FULL);
	}
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	assert_true(journal_has_room(j, JOURNAL_BATCH_RECORDS, JOURNAL_BATCH_BYTES));
	assert_false(journal_has_room(j, JOURNAL_BATCH_RECORDS + 1, 1));
	journal_close(j);
}

static void damaged_active_segment_is_an_error_not_a_crash(void **state)
{
	struct journal_config config = { .dir = fixture.dir, .origin = FIXTURE_ORIGIN };
	struct journal *j = open_with(0);
	char path[256];
	uint8_t junk[8192];
	int fd;

	assert_true(fixture_fill(j, 100, 10, FIXTURE_TIME));
	journal_close(j);
	snprintf(path, sizeof path, "%s/seg/%020d/data.mdb", fixture.dir, 0);
	memset(junk, 0x5a, sizeof junk);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, junk, sizeof junk, 0), sizeof junk);
	close(fd);
	assert_null(journal_open(&config, FIXTURE_TIME, err));
	assert_non_null(strstr(err, "meta page"));
	assert_int_equal(truncate(path, 0), 0);
	assert_null(journal_open(&config, FIXTURE_TIME, err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_back_after_reopening),
		TEST(uncommitted_records_are_nowhere),
		TEST(what_is_not_canonical_is_refused),
		TEST(what_is_composed_is_whole),
		TEST(cursors_are_those_of_the_last_commit),
		TEST(what_is_kept_comes_back),
		TEST(payload_comes_back_by_number_and_hash),
		TEST(a_segment_that_outgrew_its_map_is_continued),
		TEST(second_writer_is_refused),
		TEST(other_origin_is_refused),
		TEST(segments_rotate_at_multiples_of_256),
		TEST(segment_ends_after_its_time),
		TEST(proofs_hold_under_the_published_checkpoint),
		TEST(tiles_are_those_of_the_tree),
		TEST(spine_that_is_lost_is_made_again),
		TEST(journal_cut_below_its_checkpoint_is_not_continued),
		TEST(refusal_of_the_signer_shows_and_stops_nothing),
		TEST(waiting_for_a_signature_is_told_from_work),
		TEST(checkpoints_come_at_most_once_a_period),
		TEST(tiles_are_on_disk_after_a_time_that_passed),
		TEST(search_filters),
		TEST(batch_has_its_bounds),
		TEST(damaged_active_segment_is_an_error_not_a_crash),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
