/* base64url.h: RFC 4648 5 without padding, strict: one byte string has exactly one text.
 *
 * Refused: padding, white space, `+`, `/`, any other byte, length 1 mod 4, and unused bits that are not zero. Without
 * the last rule a token can be rewritten without breaking its signature, which defeats caches and replay lists.
 * Pure functions; output is wiped on failure.
 */
#ifndef CONTROL_IDENTITY_BASE64URL_H
#define CONTROL_IDENTITY_BASE64URL_H

#include <stdbool.h>

#include "platform/base/bytes.h"

enum base64url_status {
	BASE64URL_OK,
	BASE64URL_ALPHABET,      /* a byte outside [A-Za-z0-9_-] */
	BASE64URL_NOT_CANONICAL, /* impossible length, or unused bits set */
	BASE64URL_NO_ROOM,
};

/* Bytes that `text_len` characters decode to at most. */
static inline size_t base64url_decoded_len(size_t text_len)
{
	return text_len / 4 * 3 + (text_len % 4 ? text_len % 4 - 1 : 0);
}

static inline size_t base64url_encoded_len(size_t len)
{
	return len / 3 * 4 + (len % 3 ? len % 3 + 1 : 0);
}

enum base64url_status base64url_decode(struct bytes text, uint8_t *out, size_t out_size, size_t *out_len);

/* Appends the text of `data`. */
void base64url_encode(struct writer *w, struct bytes data);

#endif
