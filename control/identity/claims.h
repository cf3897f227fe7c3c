/* claims.h: the claims of a token whose signature holds, against its issuer's entry (identity.md 4; RFC 7519 4, RFC 9068).
 *
 * Pure functions over the parsed payload; `at_fault` is the static name of the claim to journal.
 */
#ifndef CONTROL_IDENTITY_CLAIMS_H
#define CONTROL_IDENTITY_CLAIMS_H

#include <jansson.h>

#include "control/identity/identity.h"

#define CLAIMS_INTEGER_MAX (1LL << 53) /* what survives every JSON library (RFC 7493 2.2) */
#define CLAIMS_LIFE_S_MAX 3600

struct claims_times {
	int64_t exp_s, iat_s, auth_time_s;
};

/* iss is known to match. Kind of token, sub, aud, client, times. */
enum identity_reason claims_check(const json_t *payload, const struct identity_issuer *issuer, int64_t wall_s, struct claims_times *times, const char **at_fault);

/* typ of the header: listed for the issuer, letters of either case, "application/" allowed in front (RFC 7515 4.1.9). */
enum identity_reason claims_check_typ(struct bytes typ, const struct identity_issuer *issuer);

/* cnf (RFC 7800, RFC 8705 3.1) against the certificate of the connection, NULL when there is none. */
enum identity_reason claims_check_cnf(const json_t *payload, const struct identity_issuer *issuer, const uint8_t *cert_sha256, struct principal *out);

#endif
