/* Making the index for searches: one group of records at a time, read back through archive.h, so that only what hashes to its leaf gets in.
 * Nothing here is synced: after a power cut a file may be torn, which its sums show, and it is made again. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/search_file.h"

#define ASK_EVERY 1024u /* records between two questions whether to go on */

struct search_builder {
	char dir[PATH_MAX];
	struct archive *archive;
	uint64_t next;    /* the group to make, all below it were made or looked at */
	uint64_t looked;  /* the group to look at next */
	struct search_file file;
	uint8_t *rows;    /* TERMS_ROWS rows */
	uint8_t page[SEARCH_PAGE_BYTES];
	uint64_t block[TERMS_ROWS / 64];
};

struct search_builder *search_builder_create(const char *journal_dir, char err[ARCHIVE_ERROR_BYTES])
{
	struct search_builder *b = calloc(1, sizeof *b);

	snprintf(err, ARCHIVE_ERROR_BYTES, "out of memory");
	if (!b)
		return NULL;
	snprintf(b->dir, sizeof b->dir, "%s/index", journal_dir);
	b->rows = malloc((size_t)TERMS_ROWS * SEARCH_ROW_BYTES);
	if (b->rows && mkdir(b->dir, 0700) != 0 && errno != EEXIST)
		snprintf(err, ARCHIVE_ERROR_BYTES, "%.200s: %s", b->dir, strerror(errno));
	else if (b->rows)
		b->archive = archive_open(journal_dir, err);
	if (b->archive) {
		b->next = b->looked = archive_first(b->archive) / SEARCH_GROUP;
		return b;
	}
	search_builder_destroy(b);
	return NULL;
}

void search_builder_destroy(struct search_builder *b)
{
	if (!b)
		return;
	if (b->archive)
		archive_close(b->archive);
	free(b->rows);
	free(b);
}

/* The block's bits become one column. */
static void column_put(struct search_builder *b, unsigned column)
{
	for (unsigned w = 0; w < TERMS_ROWS / 64; w++)
		for (uint64_t left = b->block[w]; left; left &= left - 1) {
			size_t row = (size_t)w * 64 + (unsigned)__builtin_ctzll(left);

			b->rows[row * SEARCH_ROW_BYTES + column / 8] |= (uint8_t)(1u << column % 8);
		}
}

static enum search_step build(struct search_builder *b, uint64_t group, bool (*go_on)(void *ctx), void *ctx, char err[ARCHIVE_ERROR_BYTES])
{
	const char *why;
	int wrong;

	b->file.group = group;
	memset(b->file.times, 0, sizeof b->file.times);
	memset(b->rows, 0, (size_t)TERMS_ROWS * SEARCH_ROW_BYTES);
	for (unsigned column = 0; column < SEARCH_BLOCKS; column++) {
		memset(b->block, 0, sizeof b->block);
		for (unsigned i = 0; i < SEARCH_BLOCK; i++) {
			uint64_t index = group * SEARCH_GROUP + column * SEARCH_BLOCK + i;
			struct terms_members members;
			struct bytes record;

			if (index % ASK_EVERY == 0 && go_on && !go_on(ctx))
				return SEARCH_STEP_IDLE;
			why = archive_read(b->archive, index, &record);
			if (why) {
				snprintf(err, ARCHIVE_ERROR_BYTES, "%.200s", why);
				return SEARCH_STEP_FAILED;
			}
			members = terms_members_of(record);
			terms_of_record(record, &members, b->block);
			search_times_take(&b->file.times[column], jcs_read_plain(members.of[TERMS_TS]));
		}
		column_put(b, column);
	}
	wrong = search_group_root(b->archive, group, &b->file.root) ? search_file_write(&b->file, b->dir, b->rows) : EIO;
	if (wrong)
		snprintf(err, ARCHIVE_ERROR_BYTES, "%.200s: %s", b->dir, strerror(wrong));
	return wrong ? SEARCH_STEP_FAILED : SEARCH_STEP_BUILT;
}

/* Whether the group's file is there and whole; one that is not is removed. */
static bool is_good(struct search_builder *b, uint64_t group)
{
	char path[PATH_MAX + 32];
	int fd = search_file_open(&b->file, b->dir, group, b->archive);
	bool good = fd >= 0;

	for (unsigned p = 0; good && p < SEARCH_PAGES; p++)
		good = search_file_page(&b->file, fd, p, b->page);
	if (fd >= 0)
		close(fd);
	search_file_path(b->dir, group, path, sizeof path);
	if (!good)
		(void)unlink(path);
	return good;
}

/* What was pruned from the journal is not remembered here either; and nothing lies here that is no index. */
static void remove_old(struct search_builder *b)
{
	uint64_t least = archive_first(b->archive) / SEARCH_GROUP;
	DIR *dir = opendir(b->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir)) != NULL) {
		char *end;
		uint64_t group = strtoull(e->d_name, &end, 10);

		if (e->d_name[0] != '.' && (*end || group < least))
			(void)unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* A group whose first records are pruned can no longer be made. */
static uint64_t first_whole(const struct search_builder *b)
{
	return (archive_first(b->archive) + SEARCH_GROUP - 1) / SEARCH_GROUP;
}

enum search_step search_builder_step(struct search_builder *b, bool (*go_on)(void *ctx), void *ctx, char err[ARCHIVE_ERROR_BYTES])
{
	enum search_step step = SEARCH_STEP_IDLE;
	uint64_t group;

	if (!archive_refresh(b->archive, err))
		return SEARCH_STEP_FAILED;
	if (b->next < first_whole(b))
		b->next = first_whole(b);
	if ((b->next + 1) * SEARCH_GROUP <= archive_size(b->archive)) {
		group = b->next;
		step = is_good(b, group) ? SEARCH_STEP_BUILT : build(b, group, go_on, ctx, err);
		b->next += step != SEARCH_STEP_IDLE;
		return step;
	}
	if (b->looked >= b->next || b->looked < first_whole(b)) {
		remove_old(b);
		b->looked = first_whole(b);
	}
	if (b->looked < b->next) {
		group = b->looked++;
		if (!is_good(b, group))
			step = build(b, group, go_on, ctx, err);
	}
	return step;
}
