/* search_file.h: one file of the index for searches, as search_index.h lays it out; for search_index.c and search_builder.c only. */
#ifndef CONTROL_JOURNAL_SEARCH_FILE_H
#define CONTROL_JOURNAL_SEARCH_FILE_H

#include "control/journal/archive.h"
#include "control/journal/search_index.h"
#include "control/journal/search_terms.h"

#define SEARCH_ROW_BYTES (SEARCH_BLOCKS / 8u)
#define SEARCH_PAGE_BYTES 4096u
#define SEARCH_PAGE_ROWS (SEARCH_PAGE_BYTES / SEARCH_ROW_BYTES)
#define SEARCH_PAGES (TERMS_ROWS / SEARCH_PAGE_ROWS)
#define SEARCH_TIME_BYTES 31u
#define SEARCH_NAME_BYTES 16u

/* The least and the greatest `ts` of a block, as texts. A `ts` that is too long makes both ends open. */
struct search_time {
	uint8_t len;
	uint8_t text[SEARCH_TIME_BYTES];
};

struct search_times {
	struct search_time least, most;
	bool open, any; /* in memory only: open when written is a greatest of 0xff */
};

struct search_file {
	uint64_t group;
	struct merkle_hash root;
	uint64_t sum[SEARCH_PAGES];
	struct search_times times[SEARCH_BLOCKS];
	uint8_t header[SEARCH_HEADER_BYTES];
};

/* `dir`/<group>. */
void search_file_path(const char *dir, uint64_t group, char *out, size_t cap);

/* The file of this group, its header read and checked against itself and the archive. Its descriptor, the caller's to close; -1 when
 * there is none that counts. */
int search_file_open(struct search_file *f, const char *dir, uint64_t group, struct archive *a);
/* One page of rows; false when it is damaged. */
bool search_file_page(const struct search_file *f, int fd, unsigned page, uint8_t out[SEARCH_PAGE_BYTES]);

/* Writes beside it and renames. `rows` are TERMS_ROWS rows; `f` gets its sums. 0, or an errno. */
int search_file_write(struct search_file *f, const char *dir, const uint8_t *rows);

/* Takes a record's `ts` into the block's times. */
void search_times_take(struct search_times *t, struct bytes ts);
/* Whether all of the block is before `since`, or none of it before `until`. */
bool search_times_before(const struct search_times *t, const char *since);
bool search_times_after(const struct search_times *t, const char *until);

/* The hash of the subtree over the group's records. */
bool search_group_root(struct archive *a, uint64_t group, struct merkle_hash *out);

#endif
