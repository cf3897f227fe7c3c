/* ca.h: Sluice's own certificate authority: what agents trust instead of the target's.
 *
 * One EC P-256 key per node, made on the first start: `ca.key` (PEM, mode 0600, the starter's) and `ca.pem` in the key directory. It is
 * read before privileges are given up, and stays in this process only. Leaf certificates are for TLS servers only, name what the
 * service's target is called and its addresses, and live 30 days at most; their keys are new each time and are never on disk.
 * Errors: NULL or false with a text in `err`. Threading: one thread.
 */
#ifndef CONTROL_KEYS_CA_H
#define CONTROL_KEYS_CA_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/os/error.h"

#define CA_YEARS 10
#define CA_LEAF_DAYS 30
#define CA_RENEW_DAYS 20 /* a leaf of this age is replaced */

struct ca;

/* Reads the key of `dir`, or makes one. `*made` tells. */
struct ca *ca_open(const char *dir, const char *node, int64_t now_s, bool *made, char err[OS_ERROR_BYTES]);
void ca_close(struct ca *ca);

/* The certificate, PEM. */
struct bytes ca_pem(const struct ca *ca);

/* SHA-256 of the certificate's DER as "aa:bb:...". */
#define CA_FINGERPRINT_BYTES (32 * 3)
void ca_fingerprint(const struct ca *ca, char out[CA_FINGERPRINT_BYTES]);

/* An address for the certificate: 4 or 16 bytes. */
struct ca_address {
	uint8_t len;
	uint8_t bytes[16];
};

/* A leaf for a service: `name` as DNS name (or, when it is one, address). `chain` gets (u16 length, DER)*, `key` the private key,
 * DER (PKCS#8): wipe it. */
bool ca_leaf(struct ca *ca, const char *name, const struct ca_address *addresses, unsigned count, int64_t now_s, struct writer *chain,
	     struct writer *key, char err[OS_ERROR_BYTES]);

/* A PEM file of accepted roots, checked: at least one certificate and nothing but certificates. Malloc'ed; base NULL on failure. */
struct bytes ca_roots_read(const char *path, char err[OS_ERROR_BYTES]);

/* HMAC key for commitments (journal.md 4): 32 bytes of `dir`/commit.key, made when absent. */
bool ca_commitment_key(const char *dir, uint8_t out[32], char err[OS_ERROR_BYTES]);

#endif
