/* export_key.h: the key that signs the manifests of evidence bundles (export.md 1): Ed25519, one for each node, not the log's.
 *
 * It says that this node made a bundle, whole and as it is; that the records are the log's is said by the log's own keys. `export.key` in the
 * key directory (PKCS#8 PEM, its owner's alone) is made on the first start; an auditor compares the fingerprint of `trust/export.pem` with
 * what `sluice key show-fingerprints` says. A copy of the journal has no such key, and bundles of it are not signed as a whole.
 * Threading: after opening, any threads at once.
 */
#ifndef CONTROL_KEYS_EXPORT_KEY_H
#define CONTROL_KEYS_EXPORT_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/os/error.h"

#define EXPORT_KEY_SIGNATURE_BYTES 64
#define EXPORT_KEY_PEM_BYTES 256
#define EXPORT_KEY_FINGERPRINT_BYTES 65

struct export_key;

/* Reads the key of `dir`; with `may_make`, makes one when there is none. NULL with a text. */
struct export_key *export_key_open(const char *dir, bool may_make, char err[OS_ERROR_BYTES]);
void export_key_close(struct export_key *k);

bool export_key_sign(const struct export_key *k, struct bytes text, uint8_t out[EXPORT_KEY_SIGNATURE_BYTES]);
/* The public key, PEM. */
struct bytes export_key_pem(const struct export_key *k);
/* SHA-256 of its DER, hexadecimal, as VERIFY.md prints it. */
void export_key_fingerprint(const struct export_key *k, char out[EXPORT_KEY_FINGERPRINT_BYTES]);

#endif
