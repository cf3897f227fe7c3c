/* signer_message.h: what control and sluice-signer say to each other, one message a packet of a SOCK_SEQPACKET pair.
 *
 *	HELLO    u8 1
 *	SIGN     u8 2, u64 old size, u8 count, count x 32 bytes (consistency proof), u16 length, checkpoint body
 *	ROTATE   u8 3, u8 step, 32 bytes Ed25519 key that the step is about
 *	KEYS     u8 0x81, u64 size, 32 bytes root, u8 phase, keys, and in the phases READY and OVERLAP the new keys too; keys are
 *	         u8 length, name, 32 bytes Ed25519 key, u16 length, P-256 SubjectPublicKeyInfo (0: none)
 *	DONE     u8 0x84
 *	SIGNED   u8 0x82, u16 length, signature lines
 *	REFUSED  u8 0x83, u16 length, text
 *	FAILED   u8 0x85, u16 length, text; a key did not sign, which says nothing of the checkpoint; the signer ends
 *
 * Integers are big endian. Decoding checks every length and that nothing is left over; on failure the result is zeroed.
 * BYTES are views into the packet. Pure functions, any thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_MESSAGE_H
#define CONTROL_SIGNER_SIGNER_MESSAGE_H

#include "control/journal/checkpoint.h"
#include "control/signer/signer_state.h"

#define SIGNER_MESSAGE_BYTES_MAX 4096
#define SIGNER_TEXT_BYTES_MAX 1024

enum signer_type {
	SIGNER_NONE = 0, SIGNER_HELLO = 1, SIGNER_SIGN = 2, SIGNER_ROTATE = 3,
	SIGNER_KEYS = 0x81, SIGNER_SIGNED = 0x82, SIGNER_REFUSED = 0x83, SIGNER_DONE = 0x84, SIGNER_FAILED = 0x85
};

/* Of a rotation, in this order (signer_rotation.h). */
enum signer_step { SIGNER_STEP_PREPARE = 1, SIGNER_STEP_OVERLAP = 2, SIGNER_STEP_RETIRE = 3 };

struct signer_message {
	enum signer_type type;
	uint64_t old_size;           /* SIGN */
	struct merkle_proof proof;   /* SIGN */
	struct bytes text;           /* SIGN: body; SIGNED: lines; REFUSED, FAILED: why */
	struct checkpoint_keys keys; /* KEYS */
	struct checkpoint_keys next; /* KEYS, in a rotation */
	enum signer_phase phase;     /* KEYS */
	enum signer_step step;       /* ROTATE */
	uint8_t key[32];             /* ROTATE */
	uint64_t size;               /* KEYS */
	struct merkle_hash root;     /* KEYS */
};

bool signer_message_encode(const struct signer_message *m, struct writer *out);
[[gnu::warn_unused_result]] bool signer_message_decode(struct bytes packet, struct signer_message *out);

#endif
