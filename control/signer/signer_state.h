/* signer_state.h: what the signer keeps: {size, root} of the last checkpoint it signed, and how far a rotation of its keys is.
 *
 * The file has two slots of 512 bytes, each "sluice-signer-2\n", u64 sequence, u64 size, 32 bytes root, u8 phase, SHA-256 of all that;
 * or, of older signers, "sluice-signer-1\n" and no phase, which is SIGNER_STABLE. Writes alternate, so that a torn one leaves the other; the valid slot with the higher sequence counts. The file is locked:
 * two signers of one log would sign two histories. A missing or damaged file is an error, never a fresh start: who deletes the
 * state could otherwise roll the log back. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_STATE_H
#define CONTROL_SIGNER_SIGNER_STATE_H

#include "control/journal/merkle.h"

#define SIGNER_STATE_SLOT_BYTES 512

/* signer_rotation.h says what leads from one to the next. */
enum signer_phase {
	SIGNER_STABLE,  /* one set of keys */
	SIGNER_MAKE,    /* the next start makes the new keys */
	SIGNER_READY,   /* they are there; the old ones sign */
	SIGNER_OVERLAP, /* both sign */
	SIGNER_RETIRE,  /* the new ones sign; the next start destroys the old ones */
	SIGNER_PHASES
};

struct signer_state {
	int fd;
	enum signer_phase phase;
	uint64_t sequence;
	uint64_t size;
	struct merkle_hash root;
};

/* Makes the file when it is not there (`init`). NULL, or a fixed text. */
const char *signer_state_open(struct signer_state *s, const char *path, bool init);
void signer_state_close(struct signer_state *s);
/* What the file says now, without its lock, and changing nothing: for audits, also beside a signer. `fd` is -1. NULL, or a fixed text. */
const char *signer_state_look(struct signer_state *s, const char *path);
/* Durable (fdatasync) when it returns true. After false the state in memory is as before and the file must not be used again. */
bool signer_state_save(struct signer_state *s, uint64_t size, const struct merkle_hash *root);
bool signer_state_go(struct signer_state *s, enum signer_phase phase);

#endif
