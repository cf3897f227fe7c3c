/* mask_token.h: the keyed tokens inside masks. Private to this folder.
 *
 * Letters stand for nibbles (no digits, so that no class of numbers matches a token; no vowels, so that it is no word):
 *   ***pppp cccc***                 full: payload by class, then the check
 *   ***pppppppppppppppp cccc***     token: payload by class and value
 *   p{24} c{8}                      hash
 *   t p{16} c{4} @masked.invalid    token of an e-mail address
 * (blanks for reading only). The check is SipHash of the payload under the second half of the key, the payload under the first.
 */
#ifndef DATAPLANE_MATCH_MASK_TOKEN_H
#define DATAPLANE_MATCH_MASK_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"

#define TOKEN_FULL_LETTERS 8
#define TOKEN_VALUE_LETTERS 20
#define TOKEN_CHECK_LETTERS 4
#define TOKEN_HASH_LETTERS 32
#define TOKEN_HASH_CHECK_LETTERS 8
#define TOKEN_MAIL_DOMAIN "@masked.invalid"

/* `letters` letters of payload and check, the payload from the hash of (class name, value). */
void token_write(const uint8_t *key, const char *class, struct bytes value, unsigned letters, unsigned check, struct writer *out);

/* Whether these are letters of a token whose check is right. */
bool token_is_right(const uint8_t *key, struct bytes letters, unsigned check);

/* One of bcdfghjkmnpqrstv. */
static inline bool token_is_letter(uint8_t c)
{
	return c >= 'b' && c <= 'v' && (0x17db77u >> (c - 'b') & 1);
}

#endif
