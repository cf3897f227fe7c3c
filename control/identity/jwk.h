/* jwk.h: one public key of an issuer (RFC 7517, RFC 7518 6), imported strictly (identity.md 2).
 *
 * Purpose: what libcjose would take and we must not is refused here; the key that comes out is pinned to exactly one
 * algorithm: the one it names, else the one of its curve, else, for RSA, the first RSA one in the issuer's list. So
 * RS256 and PS256 can never be swapped on one key.
 * libcjose gets only the decoded numbers, never the JSON.
 * A struct jwk owns its handle: jwk_close.
 */
#ifndef CONTROL_IDENTITY_JWK_H
#define CONTROL_IDENTITY_JWK_H

#include <cjose/cjose.h>
#include <jansson.h>
#include <stdbool.h>

#include "control/identity/jwt.h"
#include "platform/base/limits.h"

#define JWK_RSA_BITS_MIN 2048
#define JWK_RSA_BITS_MAX 8192 /* what one verification may cost */

enum jwk_reason {
#define JWK_REASON(id, text) JWK_##id,
#include "control/identity/jwk_reasons.def"
#undef JWK_REASON
	JWK_reason_count
};

/* The issuer's pinned algorithms, in order, JWT_ALG_NONE after the last. `spiffe`: keys are of a SPIFFE bundle, which says
 * by `use` what each is for, and names each by `kid` (SPIFFE JWT-SVID 6.2). */
struct jwk_pins {
	enum jwt_alg alg[4];
	bool spiffe;
};

struct jwk {
	char kid[LIMIT_KID_BYTES + 1]; /* "" when the key has none */
	enum jwt_alg alg;              /* the only one it verifies */
	uint8_t sha256[32];            /* RFC 7638 thumbprint */
	size_t signature_bytes;        /* of a signature by this key */
	cjose_jwk_t *handle;
};

/* `value` is one entry of `keys`. JWK_none, or why it is dropped; `out` is then zeroed. */
enum jwk_reason jwk_import(const json_t *value, const struct jwk_pins *pins, struct jwk *out);
void jwk_close(struct jwk *key);

/* The signature of the strictly opened token under this key; the algorithm has been compared by the caller. */
bool jwk_verify(const struct jwk *key, const struct jwt *jwt);

const char *jwk_reason_name(enum jwk_reason reason);
const char *jwk_reason_text(enum jwk_reason reason);

#endif
