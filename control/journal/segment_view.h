/* segment_view.h: reading one segment of the journal, through mdbfile.h: what segment.h wrote, whether live, sealed or copied.
 *
 * Every function gives NULL or a fixed text saying what is wrong; `file.wrong_at` is then the place where the file format is
 * at fault. Views hold until segment_view_refresh or segment_view_close. One thread.
 */
#ifndef CONTROL_JOURNAL_SEGMENT_VIEW_H
#define CONTROL_JOURNAL_SEGMENT_VIEW_H

#include "control/journal/checkpoint.h"
#include "control/journal/mdbfile.h"
#include "control/journal/segment.h"

struct segment_view {
	uint64_t first, end;             /* records [first, end) */
	uint64_t chunk_first, chunk_end; /* payload chunks, likewise */
	uint64_t created_us, version;
	char origin[CHECKPOINT_ORIGIN_MAX];
	struct merkle_range range;       /* the tree before `first` */
	uint64_t cursor[SEGMENT_CURSORS];
	bool sealed;
	uint64_t seal_end, seal_us;
	struct merkle_hash seal_root;

	struct mdbfile file;
	struct mdbfile_db entry, chunk, tile0, meta;
	struct mdbfile_cursor at; /* of `entry`, so that reading in order does not search */
	uint64_t at_next;         /* the key that `at` would give next; UINT64_MAX when unknown */
	uint64_t run_first;       /* the run of leaf hashes read last */
	struct bytes run;
	uint64_t run_offset;
};

/* `dir`/`first`, 20 digits. */
bool segment_view_path(const char *dir, uint64_t first, char *out, size_t cap);

/* `dir` is the segment's own directory. After a fault nothing is open. */
const char *segment_view_open(struct segment_view *v, const char *dir);
void segment_view_close(struct segment_view *v);
const char *segment_view_refresh(struct segment_view *v);

/* The stored record, the stored chunk (MDBFILE_END as a text: "not there"). */
const char *segment_view_entry(struct segment_view *v, uint64_t index, struct mdbfile_entry *entry);
const char *segment_view_chunk(struct segment_view *v, uint64_t number, struct mdbfile_entry *entry);
/* Gives every kept value to `visit`, which says whether it is one; none in a segment of an earlier version. */
const char *segment_view_kept(struct segment_view *v, bool (*visit)(void *ctx, uint64_t key, struct bytes value), void *ctx);
/* The stored leaf hash; `*offset` (may be NULL) is its place in the file. */
const char *segment_view_leaf(struct segment_view *v, uint64_t index, struct merkle_hash *out, uint64_t *offset);

#endif
