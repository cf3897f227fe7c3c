/* bundle_picks.h: records of a bundle that have files of their own under proofs/: the entry and its .tlog-proof (export.md 1).
 *
 * A bundle of few records has them for each. One of many has them for those that were asked for by number, and for those that its report
 * names: a list of some thousand at most.
 */
#ifndef CONTROL_EXPORT_BUNDLE_PICKS_H
#define CONTROL_EXPORT_BUNDLE_PICKS_H

#include "control/export/assess.h"
#include "control/export/export.h"

struct bundle_picks;

/* NULL when memory is short. */
struct bundle_picks *bundle_picks_create(void);
void bundle_picks_destroy(struct bundle_picks *p);
/* False when memory is short. */
bool bundle_picks_add(struct bundle_picks *p, uint64_t index);
/* All records that the report of `a` names (report.h). False when memory is short. */
bool bundle_picks_report(struct bundle_picks *p, const struct assess *a);
/* In order, each once; how many there are. */
size_t bundle_picks_sort(struct bundle_picks *p);
uint64_t bundle_picks_at(const struct bundle_picks *p, size_t i);

/* proofs/entry-<index>.json and proofs/<index>.tlog-proof under the checkpoint `note`. False with a text in `err`. */
bool bundle_picks_put(struct bundle *b, struct archive *a, uint64_t index, struct bytes note, char err[EXPORT_ERROR_BYTES]);

#endif
