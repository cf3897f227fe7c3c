/* bundle_find.h: records that a bundle needs from anywhere in the journal. They are few and may be far from its own, so they are looked for
 * with the journal's index, which may hide some and cannot invent any: who writes one down proves it. */
#ifndef CONTROL_EXPORT_BUNDLE_FIND_H
#define CONTROL_EXPORT_BUNDLE_FIND_H

#include "control/journal/archive.h"

/* One record of them. `record` stays whatever is read from `a` meanwhile, until it returns. A text ends the search. */
typedef const char *bundle_found(void *ctx, struct archive *a, uint64_t index, struct bytes record);

/* All records that `filter` matches, in order, from an archive of its own: the bundle's keeps its place. `dir` is the journal's directory.
 * NULL, or a text. */
const char *bundle_find(const char *dir, const struct archive_filter *filter, bundle_found *found, void *ctx);

#endif
