/* verify_kept.h: checkpoints that somebody kept, held against the journal: part of verify.h's audit. Threading: as verify.h's. */
#ifndef CONTROL_JOURNAL_VERIFY_KEPT_H
#define CONTROL_JOURNAL_VERIFY_KEPT_H

#include "control/journal/key_list.h"
#include "control/journal/verify_report.h"

/* After the walk: `size` records are there, and `newest` is the newest checkpoint that they lead to (size 0: none). `keys` may be NULL. */
void verify_kept(struct verify_report *r, const struct key_list *keys, uint64_t size, const struct checkpoint *newest);

#endif
