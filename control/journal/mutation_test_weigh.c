#include "control/journal/mutation_test_weigh.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/journal/merkle.h"
#include "control/journal/segment.h"

#define PAGE 4096u

static uint64_t le(const uint8_t *at, unsigned bytes)
{
	uint64_t value = 0;

	while (bytes-- > 0)
		value = value << 8 | at[bytes];
	return value;
}

static void mark(struct file *f, uint64_t at, uint64_t len)
{
	assert_true(at + len <= f->len);
	memset(f->live + at, WEIGH_LEADS, len);
}

/* The databases whose values are evidence, and of `meta` what a reader of it goes by: version, first record and chunk, origin, tree, and of the
 * seal end and root. Cursors, times, the mark of the tiles and what is kept are the writer's own. */
static uint64_t evidence_bytes(const char *db, bool spine, uint64_t key, uint64_t len)
{
	if (strcmp(db, "kept") == 0 || (strcmp(db, "meta") == 0 && spine))
		return 0;
	if (strcmp(db, "meta") != 0)
		return len;
	if (key == SEGMENT_META_SEAL)
		return 8 + MERKLE_HASH_BYTES;
	return key == SEGMENT_META_CREATED || key >= SEGMENT_META_CURSOR ? 0 : len;
}

static void weigh_tree(struct file *f, const char *db, uint64_t page, unsigned depth, bool counts);

/* A database's own entry in the main one: its depth and root lead on. */
static void weigh_db(struct file *f, const uint8_t *key, size_t key_len, uint64_t at)
{
	char name[16];

	snprintf(name, sizeof name, "%.*s", (int)key_len, (const char *)key);
	if (strcmp(name, "kept") == 0)
		return;
	mark(f, at + 6, 2);
	mark(f, at + 40, 8);
	if (le(f->bytes + at + 40, 8) != UINT64_MAX)
		weigh_tree(f, name, le(f->bytes + at + 40, 8), (unsigned)le(f->bytes + at + 6, 2), true);
}

static void weigh_leaf(struct file *f, const char *db, uint64_t at)
{
	uint64_t len = le(f->bytes + at, 4), key_len = le(f->bytes + at + 6, 2), data = at + 8 + key_len, evidence;
	bool big = f->bytes[at + 4] & 1;

	if (strcmp(db, "") == 0) {
		mark(f, at, 8 + key_len);
		weigh_db(f, f->bytes + at + 8, key_len, data);
		return;
	}
	evidence = evidence_bytes(db, strstr(f->name, "spine") != NULL, le(f->bytes + at + 8, 8), len);
	if (!evidence)
		return;
	mark(f, at, 8 + key_len);
	if (big) {
		uint64_t page = le(f->bytes + data, 8) * PAGE;

		mark(f, data, 8);
		mark(f, page, 8);
		mark(f, page + 10, 2);
		data = page + 16;
	}
	mark(f, data, evidence);
	if (strcmp(db, "entry") == 0 || strcmp(db, "chunk") == 0)
		memset(f->live + data, WEIGH_CONTENT, evidence);
}

static void weigh_tree(struct file *f, const char *db, uint64_t page, unsigned depth, bool counts)
{
	uint64_t base = page * PAGE;
	unsigned slots = (unsigned)(le(f->bytes + base + 12, 2) - 16) / 2;

	mark(f, base, 8);           /* its own number */
	mark(f, base + 10, 2);      /* its kind */
	mark(f, base + 12, 2);      /* how many */
	for (unsigned i = 0; i < slots; i++) {
		uint64_t at = base + le(f->bytes + base + 16 + 2 * i, 2);

		mark(f, base + 16 + 2 * i, 2);
		if (depth == 1) {
			weigh_leaf(f, db, at);
			continue;
		}
		mark(f, at, 6);             /* the child's number */
		if (i)
			mark(f, at + 6, 10); /* the key that the child begins with; the first one's is left out */
		weigh_tree(f, db, le(f->bytes + at, 6), depth - 1, counts);
	}
}

void weigh(struct file *f)
{
	uint64_t newer = le(f->bytes + PAGE + 16 + 128, 8) > le(f->bytes + 16 + 128, 8) ? PAGE : 0;
	uint64_t db = newer + 16 + 24 + 48;

	f->live = calloc(1, f->len);
	assert_int_equal(le(f->bytes + newer + 16, 4), 0xBEEFC0DE);
	weigh_tree(f, "", le(f->bytes + db + 40, 8), (unsigned)le(f->bytes + db + 6, 2), true);
}
