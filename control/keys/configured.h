/* configured.h: a certificate that the operator brings, for agents that trust an authority of the house and not Sluice's own.
 *
 * Two PEM files: the chain, leaf first, and the leaf's private key, which only its owner may read (mode 0600, ours or root's).
 * Read before privileges are given up. The result is what order `certificate` carries. Errors: false with a text in `err`, and
 * nothing left in the writers. One thread.
 */
#ifndef CONTROL_KEYS_CONFIGURED_H
#define CONTROL_KEYS_CONFIGURED_H

#include <stdbool.h>

#include "platform/base/bytes.h"
#include "platform/os/error.h"

#define CONFIGURED_CHAIN_BYTES 16384
#define CONFIGURED_KEY_BYTES 4096

/* `chain` gets (u16 length, DER)*, `key` the private key, DER (PKCS#8): wipe it. The key has to belong to the leaf. */
[[gnu::warn_unused_result]] bool configured_read(const char *chain_path, const char *key_path, struct writer *chain, struct writer *key,
						 char err[OS_ERROR_BYTES]);

#endif
