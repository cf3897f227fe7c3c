/* search_index.h: the index for searches beside a journal (journal.md 5): rebuildable, and no evidence.
 *
 * `index/<number, 12 digits>` in the journal's directory holds, for each SEARCH_GROUP records of the journal, what search_terms.h
 * remembers of each SEARCH_BLOCK of them, and the earliest and latest `ts` in it. A file is made once, when all records of its
 * group are committed, and never changed; the newest records, up to a group, have none and are read.
 *
 * The rows lie transposed: one row of 256 bits says in which blocks of the group a term is, so a search reads some hundred bytes of a
 * group whatever it holds. About 32 bytes a record in all.
 * A file counts only when its sums are right and it names the hash of the subtree over its records: one that is damaged, or of another
 * journal, is passed over and made again. Somebody who writes files here can hide records from a search, not from an audit.
 *
 * Layout, integers big endian: a header of SEARCH_HEADER_BYTES (at 0 the mark, at 16 the group's number, at 32 the root, at 4,096 the
 * sums of the pages of rows, at 8,192 the times of the blocks, in the last 8 bytes the header's own sum), then TERMS_ROWS rows of 32
 * bytes. Sums are SipHash: they tell damage, not malice.
 */
#ifndef CONTROL_JOURNAL_SEARCH_INDEX_H
#define CONTROL_JOURNAL_SEARCH_INDEX_H

#include "control/journal/archive.h"

#define SEARCH_BLOCK 256u
#define SEARCH_BLOCKS 256u
#define SEARCH_GROUP ((uint64_t)SEARCH_BLOCK * SEARCH_BLOCKS)
#define SEARCH_HEADER_BYTES 28672u

/* --- searching: one thread, that of the archive ---------------------------------------------------------------------- */

/* NULL when memory is short. No file needs to be there. */
struct search_index *search_index_open(const char *journal_dir);
void search_index_close(struct search_index *ix);

/* From record `index` on: moves it to the next one that may match `filter`, at most to the end of its group, and gives how many records
 * from there on are to be read; 0: none up to there. */
uint64_t search_index_next(struct search_index *ix, struct archive *a, const struct archive_filter *filter, uint64_t *index);

/* --- making: one thread, one process ---------------------------------------------------------------------------------- */

struct search_builder;

enum search_step {
	SEARCH_STEP_IDLE,  /* all groups are there; an older one may have been looked at */
	SEARCH_STEP_BUILT, /* one more is there: call again */
	SEARCH_STEP_FAILED /* why is in `err`; the group is tried again after all others */
};

/* Makes index/ in the journal's directory. NULL with a text in `err`. The process must be allowed to read the journal and to write there. */
struct search_builder *search_builder_create(const char *journal_dir, char err[ARCHIVE_ERROR_BYTES]);
void search_builder_destroy(struct search_builder *b);

/* Makes at most one file, or checks one of those there and removes it when it is damaged or pruned. `go_on` (may be NULL) is asked now
 * and then: false ends it early, as IDLE. */
enum search_step search_builder_step(struct search_builder *b, bool (*go_on)(void *ctx), void *ctx, char err[ARCHIVE_ERROR_BYTES]);

#endif
