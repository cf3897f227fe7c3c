/* signer_keys.h: the checkpoint keys, from root-only files to signatures. Private keys live in OpenSSL's secure heap, or in a token.
 *
 * Directory: ed25519.pem (needed) and p256.pem (optional), PKCS#8, readable by their owner alone; or p256.uri in the place of p256.pem, which
 * names a key in a PKCS#11 token (signer_token.h). The same with "next-" in front are the keys of a rotation that is under way
 * (signer_rotation.h). A file appears whole or not at all. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_KEYS_H
#define CONTROL_SIGNER_SIGNER_KEYS_H

#include <openssl/evp.h>

#include "control/journal/checkpoint.h"
#include "control/signer/signer_token.h"

struct signer_keys {
	EVP_PKEY *ed25519, *p256;
	struct signer_token token; /* in the place of p256 */
	struct checkpoint_keys public;
};

/* `prefix` is what stands before the files' names. With `init`, keys that are missing are made, in files. NULL, or a text that lives until the
 * next call. `*of_token` (may be NULL): it is the token that fails, which may be there again at the next start. */
const char *signer_keys_load(struct signer_keys *k, const struct signer_place *place, const char *prefix, bool init, bool *of_token);
void signer_keys_free(struct signer_keys *k);
/* Whether there is a second key of that prefix, in a file or a token. */
bool signer_keys_have_p256(const char *dir, const char *prefix);
/* The files of `prefix` take the place of those without, whose bytes are overwritten before; what has been done already is passed
 * over. A key in a token is not touched. False: not all of it, or not surely on disk. */
bool signer_keys_replace(const char *dir, const char *prefix);
/* The signature lines for a checkpoint body: all of them, or a text that says why not and lives until the next call. */
const char *signer_keys_sign(struct signer_keys *k, struct bytes body, struct writer *lines);

#endif
