/* Frames: what a reader relies on. Each holds at most FRAME_LINES lines and FRAME_BYTES bytes, says its size, is summed, and is named by what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "control/export/frames.h"

static char names[16][FRAME_NAME_BYTES];
static size_t lines_in[16], bytes_in[16];
static uint64_t next_line;
static unsigned files;
static bool full;

/* Each line says its number; so none is lost, repeated, or in another's place. */
static void read_lines(const char *text, size_t len)
{
	while (len) {
		const char *end = memchr(text, '\n', len);

		assert_non_null(end);
		assert_int_equal(strtoull(text, NULL, 10), next_line++);
		lines_in[files]++;
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
}

static bool take(void *ctx, const char *name, struct bytes file)
{
	unsigned long long size = ZSTD_getFrameContentSize(file.base, file.len);
	uint8_t *copy = malloc(file.len);
	char *text;

	assert_true(files < 16 && copy && size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR && size <= FRAME_BYTES);
	assert_int_equal(ZSTD_findFrameCompressedSize(file.base, file.len), file.len);
	text = malloc(size);
	assert_int_equal(ZSTD_decompress(text, size, file.base, file.len), size);
	/* RFC 8878 3.1.1: the last four bytes are the sum. */
	memcpy(copy, file.base, file.len);
	copy[file.len - 1] ^= 1;
	assert_true(ZSTD_isError(ZSTD_decompress(text, size, copy, file.len)));
	assert_int_equal(ZSTD_decompress(text, size, file.base, file.len), size);
	read_lines(text, size);
	bytes_in[files] = size;
	snprintf(names[files++], FRAME_NAME_BYTES, "%s", name);
	free(copy);
	free(text);
	return !full;
}

static struct frames *begin(void)
{
	const struct frames_to to = { "records/", ".jsonl.zst", take, NULL };
	struct frames *f = frames_create(&to);

	assert_non_null(f);
	memset(lines_in, 0, sizeof lines_in);
	next_line = files = 0;
	full = false;
	return f;
}

/* `count` lines of `len` bytes and more, of the records 7, 9, 11, ... */
static bool put(struct frames *f, uint64_t count, size_t len)
{
	static char line[FRAME_BYTES + 64];
	bool ok = true;

	for (uint64_t i = 0; ok && i < count; i++) {
		int at = snprintf(line, sizeof line, "%llu ", (unsigned long long)i);

		memset(line + at, 'a' + (int)(i % 26), len);
		ok = frames_line(f, 7 + 2 * i, bytes_of(line, (size_t)at + len));
	}
	return ok;
}

static void many_lines_are_cut_by_their_number(void **state)
{
	struct frames *f = begin();

	assert_true(put(f, 2 * FRAME_LINES + 1, 100) && frames_finish(f) && frames_finish(f));
	assert_int_equal(files, 3);
	assert_int_equal(lines_in[0], FRAME_LINES);
	assert_int_equal(lines_in[1], FRAME_LINES);
	assert_int_equal(lines_in[2], 1);
	assert_string_equal(names[0], "records/00000000000000000007-00000000000000002053.jsonl.zst");
	assert_string_equal(names[1], "records/00000000000000002055-00000000000000004101.jsonl.zst");
	assert_string_equal(names[2], "records/00000000000000004103-00000000000000004103.jsonl.zst");
	frames_destroy(f);
}

static void long_lines_are_cut_by_their_bytes(void **state)
{
	struct frames *f = begin();

	assert_true(put(f, 10, FRAME_BYTES / 4) && frames_finish(f));
	assert_int_equal(files, 4);
	assert_int_equal(lines_in[0], 3);
	assert_int_equal(next_line, 10);
	frames_destroy(f);
	f = begin();
	assert_true(put(f, 3, FRAME_BYTES - 3) && frames_finish(f));
	assert_int_equal(files, 3);
	assert_int_equal(bytes_in[0], FRAME_BYTES);
	assert_false(put(f, 1, FRAME_BYTES - 2));
	frames_destroy(f);
}

static void who_takes_no_more_ends_it(void **state)
{
	struct frames *f = begin();

	full = true;
	assert_false(put(f, FRAME_LINES + 1, 10));
	assert_int_equal(files, 1);
	frames_destroy(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_lines_are_cut_by_their_number),
		cmocka_unit_test(long_lines_are_cut_by_their_bytes),
		cmocka_unit_test(who_takes_no_more_ends_it),
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
