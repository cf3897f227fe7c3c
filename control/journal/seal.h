/* seal.h: payload under a session's key (journal.md 4).
 *
 * One 256-bit key a session, made at random. A chunk is AES-256-GCM over its zstd frame; the nonce is the chunk's number within the
 * session (12 bytes, big endian), so no nonce comes twice under a key; the additional data are session id, direction and number.
 * GCM does not commit to its key, so `session.open` records the commitment: a chunk cannot be shown with two keys and two contents.
 * Pure functions, any thread. A struct seal is a secret: secret_wipe it.
 */
#ifndef CONTROL_JOURNAL_SEAL_H
#define CONTROL_JOURNAL_SEAL_H

#include "platform/base/bytes.h"

#define SEAL_KEY_BYTES 32u
#define SEAL_SESSION_BYTES 16u
#define SEAL_TAG_BYTES 16u
#define SEAL_NONCE_BYTES 12u

struct seal {
	uint8_t session[SEAL_SESSION_BYTES], key[SEAL_KEY_BYTES];
};

/* SHA-256("sluice-key-commit" || key). */
void seal_commitment(const struct seal *s, uint8_t out[32]);

/* HMAC-SHA-256 of a command's bytes under a key derived from the session's ("sluice-op"), for `op.h`: who has only the record cannot
 * try out texts, and after the key is destroyed nobody can. */
void seal_command(const struct seal *s, struct bytes text, uint8_t out[32]);

/* Ciphertext and tag behind `out`; false when there is no room or the library fails. */
bool seal_put(const struct seal *s, struct bytes dir, uint64_t number, struct bytes plain, struct writer *out);
/* NULL, or a fixed text; on failure nothing is written to `out`. */
const char *seal_open(const struct seal *s, struct bytes dir, uint64_t number, struct bytes sealed, struct writer *out);

/* AES-256-GCM as such, also used to wrap keys: 32-byte key, 12-byte nonce. `sealed` is ciphertext and tag. */
struct seal_cipher {
	const uint8_t *key, *nonce;
	struct bytes aad;
};
bool seal_encrypt(const struct seal_cipher *c, struct bytes plain, struct writer *out);
bool seal_decrypt(const struct seal_cipher *c, struct bytes sealed, struct writer *out);

#endif
