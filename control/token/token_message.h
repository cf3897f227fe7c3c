/* token_message.h: what sluice-signer and sluice-token say to each other, one message a packet of a SOCK_SEQPACKET pair.
 *
 *	OPEN    u8 1, text of the file p256.uri                  answered by FOUND
 *	LOGIN   u8 2                                             answered by KEY
 *	SIGN    u8 3, 32 bytes SHA-256 of a checkpoint's body    answered by SIGNED
 *	FOUND   u8 0x81, u8 (1: a PIN will be tried), u8 (1: the token saw a wrong PIN since the last right one), 32 bytes that change
 *	        whenever p256.uri or the PIN's file does
 *	KEY     u8 0x82, SubjectPublicKeyInfo
 *	SIGNED  u8 0x83, 64 bytes r || s
 *	FAILED  u8 0x84, u8 (1: the PIN is wrong), text; in place of any answer, and sluice-token ends
 *
 * The signer asks in this order, SIGN as often as it likes. Decoding checks every length; on failure the result is zeroed. BYTES are views
 * into the packet. Pure functions, any thread.
 */
#ifndef CONTROL_TOKEN_TOKEN_MESSAGE_H
#define CONTROL_TOKEN_TOKEN_MESSAGE_H

#include "platform/base/bytes.h"

#define TOKEN_FILE_BYTES_MAX 2048 /* of p256.uri */
#define TOKEN_MESSAGE_BYTES_MAX (TOKEN_FILE_BYTES_MAX + 64)
#define TOKEN_TEXT_BYTES_MAX 256
#define TOKEN_SPKI_BYTES 91 /* of a P-256 key with an uncompressed point */
#define TOKEN_DIGEST_BYTES 32
#define TOKEN_SIGNATURE_BYTES 64

enum token_type {
	TOKEN_NONE = 0, TOKEN_OPEN = 1, TOKEN_LOGIN = 2, TOKEN_SIGN = 3,
	TOKEN_FOUND = 0x81, TOKEN_KEY = 0x82, TOKEN_SIGNED = 0x83, TOKEN_FAILED = 0x84
};

struct token_message {
	enum token_type type;
	struct bytes body;    /* OPEN, SIGN, KEY, SIGNED: the bytes; FOUND: the 32 bytes; FAILED: the text */
	bool tries_pin;       /* FOUND */
	bool pin_count_low;   /* FOUND */
	bool pin_wrong;       /* FAILED */
};

bool token_message_encode(const struct token_message *m, struct writer *out);
[[gnu::warn_unused_result]] bool token_message_decode(struct bytes packet, struct token_message *out);

#endif
