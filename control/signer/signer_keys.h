/* signer_keys.h: the checkpoint keys, from root-only files to signatures. Private keys live in OpenSSL's secure heap only.
 *
 * Directory: ed25519.pem (needed) and p256.pem (optional), PKCS#8, readable by their owner alone. The same with "next-" in front are
 * the keys of a rotation that is under way (signer_rotation.h). A file appears whole or not at all. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_KEYS_H
#define CONTROL_SIGNER_SIGNER_KEYS_H

#include <openssl/evp.h>

#include "control/journal/checkpoint.h"

struct signer_keys {
	EVP_PKEY *ed25519, *p256;
	struct checkpoint_keys public;
};

/* `name` is the origin, `prefix` what stands before the files' names. With `init`, keys that are missing are made. NULL, or a fixed text. */
const char *signer_keys_load(struct signer_keys *k, const char *dir, const char *prefix, const char *name, bool init);
void signer_keys_free(struct signer_keys *k);
/* The files of `prefix` take the place of those without, whose bytes are overwritten before; what has been done already is passed
 * over. False: not all of it, or not surely on disk. */
bool signer_keys_replace(const char *dir, const char *prefix);
/* The signature lines for a checkpoint body. */
bool signer_keys_sign(const struct signer_keys *k, struct bytes body, struct writer *lines);

#endif
