/* recorder_test.c: workers' rings into a sealed file: all of it, its end for each cause, what is kept of a cut file, and what is not
 * readable without the key. The test plays the workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/capture/filter.h"
#include "control/capture/recorder.h"
#include "control/capture/sealed.h"

#define WORKERS 2
#define CANARY "KANARIENVOGEL"

static struct capture_file *memory[WORKERS];
static struct capture_writer worker[WORKERS];
static char dir[64];
static struct recorder *recorder;
static uint8_t plain[8u << 20];
static const struct seal key = { .session = { 0xab, 0xcd, 1 }, .key = { 7, 7, 7 } };

static int opened(void **state)
{
	struct recorder_config c = { .dir = dir, .workers = WORKERS, .port_name = { "left", "right" }, .port_text = { "agents", "targets" } };
	char err[OS_ERROR_BYTES];

	snprintf(dir, sizeof dir, "/tmp/recorder.XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (unsigned i = 0; i < WORKERS; i++) {
		c.memory[i] = memory[i] = aligned_alloc(64, sizeof *memory[i]);
		memset(memory[i], 0, sizeof *memory[i]);
		worker[i] = capture_writer_of(capture_open(memory[i], sizeof *memory[i]));
	}
	recorder = recorder_create(&c, err);
	assert_non_null(recorder);
	return 0;
}

static int closed(void **state)
{
	char command[100];

	recorder_destroy(recorder);
	snprintf(command, sizeof command, "rm -r %s", dir);
	assert_int_equal(system(command), 0);
	for (unsigned i = 0; i < WORKERS; i++)
		free(memory[i]);
	return 0;
}

static bool payload;

static void begin(uint64_t for_us, uint64_t bytes_max)
{
	struct recorder_job job = { .payload = payload, .seal = key, .request = capture_filter_none(), .wall_us = 1700000000000000, .for_us = for_us, .bytes_max = bytes_max, .comment = "why" };

	assert_true(recorder_idle(recorder));
	recorder_begin(recorder, &job);
	assert_memory_not_equal(job.seal.key, key.key, sizeof key.key);
}

/* The worker takes the request at hand. */
static struct capture_request take(unsigned number)
{
	struct capture_request r = { 0 };

	while (r.snap == CAPTURE_OFF && (!capture_is_asked(&worker[number]) || !capture_take(&worker[number], &r) || r.snap == CAPTURE_OFF))
		usleep(100);
	return r;
}

/* Those requests that say "off" are answered as they come. */
static struct recorder_end ends(void)
{
	struct recorder_end end;
	struct capture_request r;

	while (!recorder_ended(recorder, &end)) {
		for (unsigned i = 0; i < WORKERS; i++)
			if (capture_is_asked(&worker[i]))
				(void)capture_take(&worker[i], &r);
		usleep(100);
	}
	assert_true(recorder_idle(recorder));
	return end;
}

static void put(unsigned number, unsigned port)
{
	struct capture_record *r = capture_slot(&worker[number]);

	atomic_fetch_add(&memory[number]->matched[port], 1);
	if (!r) {
		atomic_fetch_add(&memory[number]->overruns[port], 1);
		return;
	}
	*r = (struct capture_record){ .wall_us = 1700000000000001, .original = 60, .captured = 20, .port = (uint8_t)port, .flow = 3 };
	memcpy(r->bytes, CANARY, sizeof CANARY);
	capture_done(&worker[number]);
}

static enum sealed_next read_file(const struct seal *seal, size_t *len)
{
	enum sealed_next next = SEALED_CHUNK;
	struct sealed_reader r;
	struct bytes chunk;

	*len = 0;
	if (!sealed_read_open(&r, dir, seal))
		return SEALED_BROKEN;
	while (next == SEALED_CHUNK) {
		next = sealed_read(&r, &chunk);
		assert_true(*len + chunk.len <= sizeof plain);
		if (chunk.len)
			memcpy(plain + *len, chunk.base, chunk.len);
		*len += chunk.len;
	}
	sealed_read_close(&r);
	return next;
}

static unsigned blocks_of(size_t len, uint32_t type)
{
	unsigned count = 0;

	for (size_t at = 0; at < len;) {
		struct reader r = reader_of(plain + at, len - at);
		uint32_t found = reader_le32(&r), bytes = reader_le32(&r);

		assert_true(r.ok && bytes >= 12 && bytes <= len - at && bytes % 4 == 0);
		count += found == type;
		at += bytes;
	}
	return count;
}

static void path_of(bool part, char out[120])
{
	char name[SEALED_NAME_BYTES];

	sealed_name(key.session, part, name);
	snprintf(out, 120, "%s/%s", dir, name);
}

/* A frame in so many records. */
static void put_large(struct capture_writer *w, unsigned records, bool to_its_end)
{
	for (unsigned i = 0; i < records; i++) {
		struct capture_record *r = capture_slot_of(w, i);

		*r = (struct capture_record){ .wall_us = 1700000000000001, .captured = CAPTURE_SNAP_BYTES, .flow = 3,
					      .direction = i + 1 < records || !to_its_end ? CAPTURE_MORE : 0 };
		r->original = records * CAPTURE_SNAP_BYTES < CAPTURE_FRAME_BYTES_MAX ? records * CAPTURE_SNAP_BYTES : CAPTURE_FRAME_BYTES_MAX;
		memset(r->bytes, 'a' + (int)i % 26, sizeof r->bytes);
	}
	capture_done_all(w, records);
}

static void begin_whole(void)
{
	payload = true;
	begin(60000000, 1u << 20);
	payload = false;
	for (unsigned i = 0; i < WORKERS; i++)
		assert_int_equal(take(i).snap, CAPTURE_FRAMES);
}

static void whole_frames_are_put_together(void **state)
{
	struct recorder_end end;
	size_t len, at;

	begin_whole();
	put_large(&worker[0], 7, true);
	put_large(&worker[1], 292, true); /* 65,408 bytes */
	recorder_stop(recorder, RECORDER_STOPPED);
	end = ends();
	assert_int_equal(end.cause, RECORDER_STOPPED);
	assert_int_equal(end.frames, 2);
	assert_true(end.whole);
	assert_int_equal(read_file(&key, &len), SEALED_END);
	assert_int_equal(blocks_of(len, 6), 2);
	for (at = 0; at + 7 * CAPTURE_SNAP_BYTES < len && memcmp(plain + at, "aaaaaaaa", 8) != 0; at++)
		;
	for (unsigned i = 0; i < 7 * CAPTURE_SNAP_BYTES; i++)
		assert_int_equal(plain[at + i], 'a' + i / CAPTURE_SNAP_BYTES);
}

/* All of a frame comes at once; and a frame has at most so many bytes. */
static void a_frame_without_its_end_ends_it(void **state)
{
	begin_whole();
	put_large(&worker[0], 7, false);
	assert_int_equal(ends().cause, RECORDER_RING);
}

static void a_frame_that_is_too_large_ends_it(void **state)
{
	begin_whole();
	put_large(&worker[0], 1200, true);
	assert_int_equal(ends().cause, RECORDER_RING);
}

static void all_workers_frames_come_into_the_file(void **state)
{
	static const struct capture_record zero;
	struct recorder_end end;
	size_t len;

	begin(60000000, 1u << 20);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct capture_request r = take(i);

		assert_int_equal(r.snap, CAPTURE_HEADERS);
		assert_int_equal(r.until_wall_us, 1700000060000000);
		assert_int_equal(r.bytes_max, 1u << 20);
		for (unsigned n = 0; n < 100; n++)
			put(i, n % 2);
	}
	recorder_stop(recorder, RECORDER_STOPPED);
	end = ends();
	assert_int_equal(end.cause, RECORDER_STOPPED);
	assert_int_equal(end.frames, 200);
	assert_int_equal(end.matched, 200);
	assert_int_equal(end.overruns, 0);
	assert_int_equal(end.silent, 0);
	assert_true(end.whole);
	assert_memory_equal(end.id, key.session, sizeof end.id);
	assert_int_equal(read_file(&key, &len), SEALED_END);
	assert_int_equal(len, end.bytes);
	assert_int_equal(blocks_of(len, 0x0a0d0d0a), 1);
	assert_int_equal(blocks_of(len, 1), 2);
	assert_int_equal(blocks_of(len, 6), 200);
	assert_int_equal(blocks_of(len, 5), 2);
	for (unsigned i = 0; i < WORKERS; i++)
		for (unsigned n = 0; n < CAPTURE_SLOTS; n++)
			assert_memory_equal(&memory[i]->slot[n], &zero, sizeof zero);
}

static void it_ends_by_time(void **state)
{
	begin(1, 1u << 20);
	assert_int_equal(ends().cause, RECORDER_TIME);
}

static void it_ends_by_size_and_keeps_it(void **state)
{
	static const struct capture_record zero;
	struct recorder_end end;
	size_t len;

	begin(60000000, 20000);
	(void)take(0);
	for (unsigned n = 0; n < 1000; n++)
		put(0, 0);
	end = ends();
	assert_int_equal(end.cause, RECORDER_SIZE);
	assert_true(end.bytes <= 20000);
	assert_true(end.frames > 100);
	assert_int_equal(read_file(&key, &len), SEALED_END);
	assert_int_equal(len, end.bytes);
	assert_int_equal(blocks_of(len, 5), 2);
	/* What was not taken is gone, too. */
	for (unsigned n = 0; n < CAPTURE_SLOTS; n++)
		assert_memory_equal(&memory[0]->slot[n], &zero, sizeof zero);
}

static void a_full_ring_is_said_in_the_file(void **state)
{
	struct recorder_end end;
	size_t len;

	begin(60000000, 8u << 20);
	(void)take(0);
	/* Nobody looks for a moment: as when the thread has no core. */
	worker[0].tail = worker[0].head;
	memory[0]->tail = worker[0].head - CAPTURE_SLOTS;
	worker[0].tail = worker[0].head - CAPTURE_SLOTS;
	put(0, 1);
	put(0, 1);
	recorder_stop(recorder, RECORDER_STOPPED);
	end = ends();
	assert_int_equal(end.overruns, 2);
	assert_int_equal(end.matched, 2);
	assert_int_equal(read_file(&key, &len), SEALED_END);
	assert_non_null(memmem(plain, len, "2 frames are missing: a ring was full", 37));
}

static void a_worker_that_lies_ends_it(void **state)
{
	struct recorder_end end;

	begin(60000000, 1u << 20);
	(void)take(0);
	memory[0]->head += CAPTURE_SLOTS + 1;
	end = ends();
	assert_int_equal(end.cause, RECORDER_RING);
	assert_true(end.whole);
}

static void workers_that_are_not_there_are_said(void **state)
{
	struct recorder_end end;

	begin(1, 1u << 20);
	while (!recorder_ended(recorder, &end))
		usleep(1000);
	assert_int_equal(end.silent, WORKERS);
	assert_true(end.whole);
}

static void a_directory_that_is_gone_ends_it(void **state)
{
	assert_int_equal(rmdir(dir), 0);
	begin(60000000, 1u << 20);
	assert_int_equal(ends().cause, RECORDER_DISK);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void the_end_of_control_ends_it(void **state)
{
	struct recorder_config c = { .dir = dir, .workers = 0, .port_name = { "left", "right" }, .port_text = { "agents", "targets" } };
	char err[OS_ERROR_BYTES];
	size_t len;

	begin(60000000, 1u << 20);
	(void)take(0);
	put(0, 0);
	recorder_destroy(recorder);
	assert_int_equal(read_file(&key, &len), SEALED_END);
	assert_int_equal(blocks_of(len, 6), 1);
	recorder = recorder_create(&c, err);
}

static void only_the_key_opens_it(void **state)
{
	struct seal other = key;
	char path[120];
	uint8_t file[4096];
	size_t len;
	int fd;
	ssize_t got;

	begin(60000000, 1u << 20);
	(void)take(0);
	put(0, 0);
	recorder_stop(recorder, RECORDER_STOPPED);
	(void)ends();
	other.key[31] ^= 1;
	assert_int_equal(read_file(&other, &len), SEALED_BROKEN);
	path_of(false, path);
	fd = open(path, O_RDWR);
	got = read(fd, file, sizeof file);
	assert_true(got > 100);
	assert_null(memmem(file, (size_t)got, "KANARIE", 7));
	/* Each byte counts, but those of the lengths end the file elsewhere. */
	for (ssize_t i = 0; i < got; i++) {
		uint8_t bad = file[i] ^ 0x10;

		assert_int_equal(pwrite(fd, &bad, 1, i), 1);
		assert_int_not_equal(read_file(&key, &len), SEALED_END);
		assert_int_equal(pwrite(fd, &file[i], 1, i), 1);
	}
	assert_int_equal(read_file(&key, &len), SEALED_END);
	for (ssize_t i = got - 1; i > 32; i--) {
		assert_int_equal(ftruncate(fd, i), 0);
		assert_int_equal(read_file(&key, &len), SEALED_CUT);
	}
	close(fd);
}

static void what_a_dead_process_left_can_be_read(void **state)
{
	struct seal mine = key;
	struct sealed_writer w;
	uint8_t id[SEAL_SESSION_BYTES];
	size_t len;

	assert_false(recorder_recover(dir, id));
	assert_true(sealed_open(&w, dir, &mine));
	assert_true(sealed_append(&w, bytes_str("sealed")) && sealed_flush(&w) && sealed_append(&w, bytes_str("not yet")));
	assert_int_equal(read_file(&key, &len), SEALED_CUT);
	assert_int_equal(len, 6);
	assert_true(recorder_recover(dir, id));
	assert_memory_equal(id, key.session, sizeof id);
	assert_false(recorder_recover(dir, id));
	assert_int_equal(read_file(&key, &len), SEALED_CUT);
	(void)sealed_close(&w);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, opened, closed)
	const struct CMUnitTest tests[] = {
		TEST(all_workers_frames_come_into_the_file), TEST(it_ends_by_time), TEST(it_ends_by_size_and_keeps_it), TEST(a_full_ring_is_said_in_the_file),
		TEST(whole_frames_are_put_together), TEST(a_frame_without_its_end_ends_it), TEST(a_frame_that_is_too_large_ends_it), TEST(a_worker_that_lies_ends_it), TEST(workers_that_are_not_there_are_said), TEST(a_directory_that_is_gone_ends_it),
		TEST(the_end_of_control_ends_it), TEST(only_the_key_opens_it), TEST(what_a_dead_process_left_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
