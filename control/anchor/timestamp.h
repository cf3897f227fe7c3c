/* timestamp.h: RFC 3161 time stamps over checkpoints (journal.md 8): the query, and the check of what an authority answers.
 *
 * An answer comes from outside and is DER: it is taken only when it is at most TIMESTAMP_ANSWER_BYTES long and nothing is left over
 * behind it. timestamp_accept says yes to an answer that grants, for exactly the bytes and the nonce of the query, signed by a
 * certificate for time stamping that leads to the configured authority and is valid at `now_s`. What was accepted once is judged
 * later at the token's own time, since certificates end: by timestamp_judge, or by openssl(1) with `-attime` (export.md 2).
 * Ownership: the caller's. Threading: one thread per struct timestamp_authority. Errors are fixed texts.
 */
#ifndef CONTROL_ANCHOR_TIMESTAMP_H
#define CONTROL_ANCHOR_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"

#define TIMESTAMP_QUERY_BYTES 256
#define TIMESTAMP_ANSWER_BYTES 16384 /* with the chain of certificates that the query asks for */
#define TIMESTAMP_NONCE_BYTES 16
#define TIMESTAMP_CA_BYTES 65536     /* a file of certificates, PEM */

struct timestamp_authority; /* whom to believe */

/* From the text of a PEM file with one or more certificates. NULL with `*why`. */
struct timestamp_authority *timestamp_authority_create(struct bytes pem, const char **why);
void timestamp_authority_destroy(struct timestamp_authority *a);
/* Believes the certificates of another PEM text as well. NULL, or what is wrong. */
const char *timestamp_authority_add(struct timestamp_authority *a, struct bytes pem);

/* What is asked for, and must come back. */
struct timestamp_query {
	uint8_t imprint[32];
	uint8_t nonce[TIMESTAMP_NONCE_BYTES];
};

/* The query for `data`: SHA-256, the certificate wanted, the nonce as given (random). False when `out` has no room. */
bool timestamp_query(struct bytes data, const uint8_t nonce[TIMESTAMP_NONCE_BYTES], struct timestamp_query *query, struct writer *out);
/* NULL and the token's own time, or why the answer is not taken. */
const char *timestamp_accept(const struct timestamp_authority *a, const struct timestamp_query *query, struct bytes answer, int64_t now_s, int64_t *time_s);
/* Whether a kept answer is one for `data`, and its time; signatures are not looked at. */
bool timestamp_is_for(struct bytes answer, struct bytes data, int64_t *time_s);

#define TIMESTAMP_WHO_BYTES 128

enum timestamp_verdict {
	TIMESTAMP_GOOD,
	TIMESTAMP_UNKNOWN, /* nothing is wrong with it, and whoever signed it leads to none of the certificates */
	TIMESTAMP_WRONG,   /* for other bytes, changed, or by a certificate that was not for time stamping, or not valid then */
};

/* A kept answer over `data`; `a` NULL: nobody is known. `who`: the subject of the signer's certificate, printable ASCII; "" when it cannot be
 * read. `*why` unless good. Other than timestamp_accept it knows no nonce: the query is gone. */
enum timestamp_verdict timestamp_judge(const struct timestamp_authority *a, struct bytes answer, struct bytes data, int64_t *time_s,
				       char who[TIMESTAMP_WHO_BYTES], const char **why);

#endif
