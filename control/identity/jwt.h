/* jwt.h: the envelope of a compact JWS, read strictly (RFC 7515 3.1, 7.1; identity.md 2 and 3).
 *
 * Purpose: everything that can be judged without a key: segments, alphabet, canonical form, header members, JSON.
 * struct jwt owns its decoded parts; jwt_close wipes and frees them, and is due after any jwt_open.
 * Nothing in `payload` but `iss` may be used before the signature is verified.
 */
#ifndef CONTROL_IDENTITY_JWT_H
#define CONTROL_IDENTITY_JWT_H

#include <jansson.h>

#include "control/identity/reasons.h"
#include "platform/base/bytes.h"

enum jwt_alg {
	JWT_ALG_NONE, /* absent; never a value of a token */
	JWT_RS256,
	JWT_PS256,
	JWT_ES256,
	JWT_ES384,
};

struct jwt {
	struct bytes token; /* borrowed from the caller */
	enum jwt_alg alg;
	struct bytes alg_text, kid, typ; /* into `header`; kid.base NULL when absent, likewise typ */
	json_t *header, *payload;
	uint8_t *decoded; /* one block: header, payload, signature */
	size_t decoded_size;
	struct bytes payload_raw, signature;
	const char *at_fault; /* static name of the member at fault, or NULL */
};

/* IDENTITY_none, or why the token can be refused without looking further. */
enum identity_reason jwt_open(struct bytes token, struct jwt *out);
void jwt_close(struct jwt *jwt);

/* "ES256"; JWT_ALG_NONE for any other text. */
enum jwt_alg jwt_alg_of(struct bytes name);
const char *jwt_alg_name(enum jwt_alg alg);

#endif
