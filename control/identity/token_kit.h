/* token_kit.h: for tests: keys, key sets and tokens, well formed or forged, signed by libcrypto and by nothing under test. */
#ifndef CONTROL_IDENTITY_TOKEN_KIT_H
#define CONTROL_IDENTITY_TOKEN_KIT_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "platform/base/bytes.h"

#define KIT_TEXT_BYTES (64u << 10)

enum kit_key {
	KIT_P256,
	KIT_P256_OTHER,
	KIT_P384,
	KIT_P521,
	KIT_K256, /* secp256k1 */
	KIT_RSA2048,
	KIT_RSA2048_OTHER,
	KIT_RSA1024,
	KIT_RSA2047,
	KIT_key_count
};

/* Made at first use; freed by kit_close. */
EVP_PKEY *kit_pkey(enum kit_key key);
void kit_close(void);

/* {"kty":...} of the public key; `extra` is further members with a leading comma, or "". Static buffers in turn. */
const char *kit_jwk(enum kit_key key, const char *extra);
/* The public numbers as base64url: "n", "e", "x" or "y". Into a static buffer, in turn. */
const char *kit_number(enum kit_key key, const char *name);

/* header "." payload "." signature, signed as `alg` says (RS256, PS256, ES256, ES384, HS256 by `secret`). */
struct bytes kit_token(enum kit_key key, const char *alg, const char *header, const char *payload);
struct bytes kit_token_raw(enum kit_key key, const char *alg, struct bytes header, struct bytes payload);
struct bytes kit_token_hmac(struct bytes secret, const char *header, const char *payload);

/* base64url of `data`, as a C string in a static buffer, in turn. */
const char *kit_base64url(struct bytes data);

#endif
