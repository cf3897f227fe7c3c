/* recipients.h: who can open a sealed bundle: certificates in PEM, each checked before anything is sealed to it.
 *
 * Taken: a certificate that is valid now, whose key usage, where it has one, allows key encipherment (RSA of 2048 to 8192 bits) or key
 * agreement (EC on P-256, P-384 or P-521). Nothing says whose it is: who exports names it, and its fingerprint is on record.
 * Pure but for OpenSSL; any thread, one at a time for each struct.
 */
#ifndef CONTROL_EXPORT_RECIPIENTS_H
#define CONTROL_EXPORT_RECIPIENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"

#define RECIPIENTS_MAX 8
#define RECIPIENTS_PEM_BYTES (32u << 10) /* of all of them */
#define RECIPIENTS_FINGERPRINT_BYTES 65
#define RECIPIENTS_ERROR_BYTES 160

struct x509_st;

struct recipients {
	unsigned count;
	struct x509_st *certificate[RECIPIENTS_MAX];
	char fingerprint[RECIPIENTS_MAX][RECIPIENTS_FINGERPRINT_BYTES]; /* SHA-256 of the DER, hexadecimal */
};

/* One to RECIPIENTS_MAX certificates, one after the other. False with "what is wrong" in `err`, and then nothing is to be freed. `now_s`: UTC. */
bool recipients_read(struct recipients *r, struct bytes pem, int64_t now_s, char err[RECIPIENTS_ERROR_BYTES]);
void recipients_free(struct recipients *r);

#endif
