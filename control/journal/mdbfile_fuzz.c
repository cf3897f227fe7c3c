/* A database file of any content: the input patches a real segment (pairs of offset and bytes), or is the file itself. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdio.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/segment_view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *whole;
static size_t whole_len;

/* One segment with records and chunks, read back as bytes. */
static void make_segment(void)
{
	struct journal_config config = { .origin = FIXTURE_ORIGIN };
	char dir[128], path[256], err[JOURNAL_ERROR_BYTES];
	struct journal *j;
	FILE *f;

	fixture_dir(dir);
	config.dir = dir;
	j = journal_open(&config, FIXTURE_TIME, err);
	if (!j || !fixture_fill(j, 300, 7, FIXTURE_TIME))
		abort();
	journal_close(j);
	snprintf(path, sizeof path, "%s/seg/%020d/data.mdb", dir, 0);
	f = fopen(path, "r");
	whole = malloc(1 << 22);
	whole_len = fread(whole, 1, 1 << 22, f);
	fclose(f);
	fixture_remove(dir);
}

static void walk(const char *dir)
{
	struct segment_view v;
	struct mdbfile_entry entry;
	struct merkle_hash leaf;
	uint64_t offset;

	if (segment_view_open(&v, dir) != NULL)
		return;
	for (uint64_t i = v.first; i < v.end && i < v.first + 2000; i++) {
		(void)segment_view_entry(&v, i, &entry);
		(void)segment_view_leaf(&v, i, &leaf, &offset);
	}
	for (uint64_t i = v.chunk_first; i < v.chunk_end && i < v.chunk_first + 100; i++)
		(void)segment_view_chunk(&v, i, &entry);
	segment_view_close(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char dir[128], path[160];
	struct reader r = reader_of(data, size);
	bool alone = reader_u8(&r) == 0;
	FILE *f;

	if (!whole) {
		make_segment();
		fixture_dir(dir);
		snprintf(path, sizeof path, "%s/data.mdb", dir);
	}
	f = fopen(path, "w");
	if (!f)
		abort();
	if (!alone)
		fwrite(whole, 1, whole_len, f);
	while (!alone && r.left >= 4) {
		/* Mostly near the beginning of a page: headers and tables. */
		uint32_t at = reader_be16(&r) % (whole_len / 4096) * 4096 + reader_u8(&r) * 2, len = 1 + reader_u8(&r) % 8;
		struct bytes patch = reader_bytes(&r, len < r.left ? len : r.left);

		fseek(f, at, SEEK_SET);
		fwrite(patch.base, 1, patch.len, f);
	}
	if (alone)
		fwrite(data, 1, size, f);
	fclose(f);
	walk(dir);
	return 0;
}
