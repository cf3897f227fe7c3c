/* Reading an index file: what a search may pass over. See search_index.h for the layout, search_builder.c for making. */
#include "control/journal/search_index.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/journal/search_file.h"

#define TIME_LIMIT_BYTES 64u /* longer limits are left to the comparison itself */

struct question {
	struct terms terms;
	char since[TIME_LIMIT_BYTES], until[TIME_LIMIT_BYTES];
	bool asks;
};

struct search_index {
	char dir[PATH_MAX];
	struct question question;
	bool has_mask;            /* of the question, for this group */
	uint64_t group;
	uint64_t mask[SEARCH_BLOCKS / 64];
	struct search_file file;
	uint8_t page[SEARCH_PAGE_BYTES];
	struct question asked;
};

struct search_index *search_index_open(const char *journal_dir)
{
	struct search_index *ix = calloc(1, sizeof *ix);

	if (ix)
		snprintf(ix->dir, sizeof ix->dir, "%s/index", journal_dir);
	return ix;
}

void search_index_close(struct search_index *ix)
{
	free(ix);
}

static void limit_set(char out[TIME_LIMIT_BYTES], const char *limit, bool *asks)
{
	if (!limit || strlen(limit) >= TIME_LIMIT_BYTES)
		return;
	snprintf(out, TIME_LIMIT_BYTES, "%s", limit);
	*asks |= limit[0] != 0;
}

static void question_of(const struct archive_filter *f, struct question *q)
{
	memset(q, 0, sizeof *q);
	terms_of_filter(f, &q->terms);
	q->asks = q->terms.clauses > 0;
	limit_set(q->since, f->since, &q->asks);
	limit_set(q->until, f->until, &q->asks);
}

/* ANDs to `mask` the blocks that hold all rows; false when the file is damaged. */
static bool rows_and(struct search_index *ix, int fd, const uint16_t *row, unsigned rows, uint64_t mask[SEARCH_BLOCKS / 64])
{
	for (unsigned i = 0; i < rows; i++) {
		unsigned page = row[i] / SEARCH_PAGE_ROWS;
		const uint8_t *at = ix->page + row[i] % SEARCH_PAGE_ROWS * SEARCH_ROW_BYTES;

		if (!search_file_page(&ix->file, fd, page, ix->page))
			return false;
		for (unsigned k = 0; k < SEARCH_BLOCKS / 64; k++) {
			uint64_t word;

			memcpy(&word, at + k * sizeof word, sizeof word);
			mask[k] &= le64toh(word);
		}
	}
	return true;
}

static bool clause_and(struct search_index *ix, int fd, const struct terms_clause *c)
{
	uint64_t any[SEARCH_BLOCKS / 64] = { 0 };

	for (unsigned i = 0; i < c->alternatives; i++) {
		uint64_t all[SEARCH_BLOCKS / 64];

		memcpy(all, ix->mask, sizeof all);
		if (!rows_and(ix, fd, c->any[i].row, c->any[i].rows, all))
			return false;
		for (unsigned k = 0; k < SEARCH_BLOCKS / 64; k++)
			any[k] |= all[k];
	}
	memcpy(ix->mask, any, sizeof any);
	return true;
}

/* Texts are compared as archive_search does. */
static void times_and(struct search_index *ix, const struct question *q)
{
	for (unsigned b = 0; b < SEARCH_BLOCKS; b++) {
		const struct search_times *t = &ix->file.times[b];

		if ((q->since[0] && search_times_before(t, q->since)) || (q->until[0] && search_times_after(t, q->until)))
			ix->mask[b / 64] &= ~(1ull << b % 64);
	}
}

static void mask_all(struct search_index *ix)
{
	memset(ix->mask, 0xff, sizeof ix->mask);
}

static bool is_empty(const uint64_t mask[SEARCH_BLOCKS / 64])
{
	uint64_t any = 0;

	for (unsigned k = 0; k < SEARCH_BLOCKS / 64; k++)
		any |= mask[k];
	return !any;
}

/* The blocks of the group that may hold a match: all of them where the file does not count. */
static void mask_load(struct search_index *ix, struct archive *a, const struct question *q, uint64_t group)
{
	int fd = search_file_open(&ix->file, ix->dir, group, a);
	bool good = fd >= 0;

	mask_all(ix);
	if (good)
		times_and(ix, q);
	for (unsigned i = 0; good && i < q->terms.clauses && !is_empty(ix->mask); i++)
		good = clause_and(ix, fd, &q->terms.clause[i]);
	if (!good)
		mask_all(ix);
	if (fd >= 0)
		close(fd);
	ix->has_mask = true;
	ix->group = group;
}

static bool in_mask(const struct search_index *ix, uint64_t block)
{
	return ix->mask[block / 64] >> block % 64 & 1;
}

uint64_t search_index_next(struct search_index *ix, struct archive *a, const struct archive_filter *filter, uint64_t *index)
{
	uint64_t group = *index / SEARCH_GROUP, end = (group + 1) * SEARCH_GROUP, block = *index % SEARCH_GROUP / SEARCH_BLOCK;

	question_of(filter, &ix->asked);
	if (!ix->asked.asks)
		return end - *index;
	if (memcmp(&ix->asked, &ix->question, sizeof ix->asked) != 0) {
		ix->question = ix->asked;
		ix->has_mask = false;
	}
	/* The newest group has no file yet, and gets one while we look. */
	if (!ix->has_mask || ix->group != group)
		mask_load(ix, a, &ix->question, group);
	if (!in_mask(ix, block)) {
		while (block < SEARCH_BLOCKS && !in_mask(ix, block))
			block++;
		*index = group * SEARCH_GROUP + block * SEARCH_BLOCK;
	}
	if (block == SEARCH_BLOCKS)
		return 0;
	while (block < SEARCH_BLOCKS && in_mask(ix, block))
		block++;
	return group * SEARCH_GROUP + block * SEARCH_BLOCK - *index;
}
