/* export_anchor.h: the part of a bundle that others vouched for (export.md 1): time stamps and cosignatures of checkpoints.
 *
 *	checkpoints/<size>               the checkpoint's note as it was signed and stamped
 *	checkpoints/<size>.tsr           RFC 3161 answer over that file
 *	checkpoints/<size>.cosignatures  witnesses' signature lines over its body
 *	checkpoints/<size>.consistency   base64, a hash a line: its tree is the beginning of that of `checkpoint`
 *	trust/tsa-*.crt, trust/witness-*.vkey   whom to believe, as this node was configured
 *	trust/witness-policy             the log's keys, its witnesses, and how many of them have to cosign (anchor/witness_policy.h)
 * Of each kind three: the newest; the oldest that covers the last record (which existed by then); the newest before the first record. And the newest
 * checkpoint that has its quorum, and the oldest of these that covers the last record.
 */
#ifndef CONTROL_EXPORT_EXPORT_ANCHOR_H
#define CONTROL_EXPORT_EXPORT_ANCHOR_H

#include "control/export/bundle.h"
#include "control/journal/archive.h"
#include "control/journal/key_list.h"

struct export_anchors {
	const struct key_list *keys;
	const struct checkpoint *newest; /* the bundle's checkpoint */
	uint64_t first, last;            /* records of the bundle */
};

/* NULL, or a fixed text: then no bundle may be given out. A journal without anchors writes nothing. */
const char *export_anchors_write(struct bundle *b, struct archive *a, const struct export_anchors *what);

#endif
