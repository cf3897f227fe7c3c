/* verify_spine.h: what the spine has to hold besides hashes and checkpoints, and its anchors: part of verify.h's audit.
 * Threading: as verify.h's. */
#ifndef CONTROL_JOURNAL_VERIFY_SPINE_H
#define CONTROL_JOURNAL_VERIFY_SPINE_H

#include "control/journal/spine_view.h"
#include "control/journal/verify_report.h"

/* At the start, before any segment is opened: a spine that is being written only grows. */
struct verify_spine {
	uint64_t newest;              /* the largest checkpoint; UINT64_MAX: none */
	uint64_t mark;                /* the size up to which it says that tiles are on disk */
	uint64_t count[SPINE_LEVELS]; /* hashes of each level, by the last one's number */
};

void verify_spine_begin(struct verify_spine *s, struct verify_report *r, struct spine_view *view, const char *origin);
/* After the walk over `size` records; `file` is the published note of size `file_size` (0: none), `must` a size that some record says was signed. */
void verify_spine_end(const struct verify_spine *s, struct verify_report *r, struct spine_view *view, uint64_t size, struct bytes file, uint64_t file_size, uint64_t must);

/* A hash of the spine: as the first view has it in which it is `computed` (NULL: in which it is there), else as the last view that was
 * tried. A fault in the view of a spine that is being written may only mean that the view is old (archive.c). */
bool verify_spine_hash(struct spine_view *view, unsigned level, uint64_t number, const struct merkle_hash *computed, struct merkle_hash *out);

#endif
