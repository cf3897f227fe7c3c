/* consistency.h: proofs that one tree of the journal is the beginning of a later one, and what a bundle says of a checkpoint that its reader kept.
 *
 * As a text a proof is the body of a C2SP tlog-witness add-checkpoint request: `old <size>`, the hashes of RFC 6962 2.1.2 in base64, an empty line, and
 * the newer checkpoint. In a bundle:
 *	since/checkpoint    as it was kept
 *	since/consistency   the hashes, one a line; none when both are of one size
 */
#ifndef CONTROL_EXPORT_CONSISTENCY_H
#define CONTROL_EXPORT_CONSISTENCY_H

#include "control/export/bundle.h"
#include "control/journal/archive.h"
#include "control/journal/key_list.h"

#define CONSISTENCY_BYTES (64 + MERKLE_PROOF_MAX * 45 + CHECKPOINT_BYTES_MAX)
#define CONSISTENCY_ERROR_BYTES 192

/* From the first `from` records to the checkpoint of `to` records, 0: the newest. False with a text in `err`. */
bool consistency_write(struct archive *a, uint64_t from, uint64_t to, struct writer *out, char err[CONSISTENCY_ERROR_BYTES]);

/* Both files. False with a text in `err`, and then no bundle may be given out: the checkpoint is not one of this log, or not of this history. */
bool consistency_since(struct bundle *b, struct archive *a, const struct key_list *keys, const struct checkpoint *newest, struct bytes kept,
		       char err[CONSISTENCY_ERROR_BYTES]);

#endif
