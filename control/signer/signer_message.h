/* signer_message.h: what control and sluice-signer say to each other, one message a packet of a SOCK_SEQPACKET pair.
 *
 *	HELLO    u8 1
 *	SIGN     u8 2, u64 old size, u8 count, count x 32 bytes (consistency proof), u16 length, checkpoint body
 *	KEYS     u8 0x81, u8 length, name, 32 bytes Ed25519 key, u16 length, P-256 SubjectPublicKeyInfo (0: none), u64 size, 32 bytes root
 *	SIGNED   u8 0x82, u16 length, signature lines
 *	REFUSED  u8 0x83, u16 length, text
 *
 * Integers are big endian. Decoding checks every length and that nothing is left over; on failure the result is zeroed.
 * BYTES are views into the packet. Pure functions, any thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_MESSAGE_H
#define CONTROL_SIGNER_SIGNER_MESSAGE_H

#include "control/journal/checkpoint.h"

#define SIGNER_MESSAGE_BYTES_MAX 4096
#define SIGNER_TEXT_BYTES_MAX 1024

enum signer_type { SIGNER_NONE = 0, SIGNER_HELLO = 1, SIGNER_SIGN = 2, SIGNER_KEYS = 0x81, SIGNER_SIGNED = 0x82, SIGNER_REFUSED = 0x83 };

struct signer_message {
	enum signer_type type;
	uint64_t old_size;           /* SIGN */
	struct merkle_proof proof;   /* SIGN */
	struct bytes text;           /* SIGN: body; SIGNED: lines; REFUSED: why */
	struct checkpoint_keys keys; /* KEYS */
	uint64_t size;               /* KEYS */
	struct merkle_hash root;     /* KEYS */
};

bool signer_message_encode(const struct signer_message *m, struct writer *out);
[[gnu::warn_unused_result]] bool signer_message_decode(struct bytes packet, struct signer_message *out);

#endif
