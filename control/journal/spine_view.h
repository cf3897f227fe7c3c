/* spine_view.h: reading the spine (spine.h) through mdbfile.h. A spine may be missing, damaged or behind: hashes that it does
 * not give are computed from the segments, and those it gives are only as good as the root they lead to.
 * Views hold until spine_view_refresh or spine_view_close. One thread.
 */
#ifndef CONTROL_JOURNAL_SPINE_VIEW_H
#define CONTROL_JOURNAL_SPINE_VIEW_H

#include "control/journal/mdbfile.h"
#include "control/journal/spine.h"

struct spine_view {
	bool open;
	bool has_anchors[SPINE_ANCHORS];
	struct mdbfile file;
	struct mdbfile_db level[SPINE_LEVELS], checkpoint, meta, anchor[SPINE_ANCHORS]; /* a spine of an older version has no anchors */
};

/* `dir` is the journal's directory. NULL, or a fixed text. */
const char *spine_view_open(struct spine_view *v, const char *dir);
void spine_view_close(struct spine_view *v);
const char *spine_view_refresh(struct spine_view *v);

/* The hash of a full tile. */
bool spine_view_hash(struct spine_view *v, unsigned level, uint64_t number, struct merkle_hash *out);
/* The checkpoint with the largest size of at most `size`. */
bool spine_view_checkpoint(struct spine_view *v, uint64_t size, struct mdbfile_entry *entry);
/* Anchor number `number` of the checkpoint of exactly that size. */
bool spine_view_anchor(struct spine_view *v, enum spine_anchor kind, uint64_t size, unsigned number, struct bytes *value);
/* The largest anchored size of at most `size`; the smallest one above it. False when there is none. */
bool spine_view_anchored(struct spine_view *v, enum spine_anchor kind, uint64_t size, uint64_t *anchored);
bool spine_view_anchored_above(struct spine_view *v, enum spine_anchor kind, uint64_t size, uint64_t *anchored);

#endif
