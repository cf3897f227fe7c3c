/* signer_state.h: the one fact that the signer keeps, {size, root} of the last checkpoint it signed.
 *
 * The file has two slots of 512 bytes, each "sluice-signer-1\n", u64 sequence, u64 size, 32 bytes root, SHA-256 of all that.
 * Writes alternate, so that a torn one leaves the other; the valid slot with the higher sequence counts. The file is locked:
 * two signers of one log would sign two histories. A missing or damaged file is an error, never a fresh start: who deletes the
 * state could otherwise roll the log back. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_STATE_H
#define CONTROL_SIGNER_SIGNER_STATE_H

#include "control/journal/merkle.h"

#define SIGNER_STATE_SLOT_BYTES 512

struct signer_state {
	int fd;
	uint64_t sequence;
	uint64_t size;
	struct merkle_hash root;
};

/* Makes the file when it is not there (`init`). NULL, or a fixed text. */
const char *signer_state_open(struct signer_state *s, const char *path, bool init);
void signer_state_close(struct signer_state *s);
/* Durable (fdatasync) when it returns true. After false the state in memory is as before and the file must not be used again. */
bool signer_state_save(struct signer_state *s, uint64_t size, const struct merkle_hash *root);

#endif
