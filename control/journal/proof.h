/* proof.h: one record's proof as a file, C2SP tlog-proof:
 *
 *	c2sp.org/tlog-proof@v1
 *	index 77
 *	<base64 hash>                      sibling hashes, leaf to root
 *	                                   empty line
 *	<checkpoint>
 *
 * Pure functions, any thread.
 */
#ifndef CONTROL_JOURNAL_PROOF_H
#define CONTROL_JOURNAL_PROOF_H

#include "control/journal/checkpoint.h"

#define PROOF_BYTES_MAX (64 + MERKLE_PROOF_MAX * 45 + CHECKPOINT_BYTES_MAX)

bool proof_write(uint64_t index, const struct merkle_proof *proof, struct bytes note, struct writer *out);

/* NULL, or a fixed text saying what is wrong. `*note` points into `text`. An `extra` line is accepted and skipped. */
const char *proof_parse(struct bytes text, uint64_t *index, struct merkle_proof *proof, struct bytes *note);

/* Parses, verifies the note under `keys` and the inclusion of `entry`. NULL when all is good, else a fixed text. */
const char *proof_verify(struct bytes text, struct bytes entry, const struct checkpoint_keys *keys, uint64_t *index);

#endif
