/* token_kit.c: see token_kit.h. Buffers are taken in turn from a ring of 16, so a few may be used at once. */
#include "control/identity/token_kit.h"

#include <assert.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/identity/base64url.h"

static EVP_PKEY *keys[KIT_key_count];
static char *ring[16];
static unsigned ring_next;

static char *buffer(void)
{
	char **slot = &ring[ring_next++ % 16];

	if (!*slot)
		*slot = malloc(KIT_TEXT_BYTES);
	return *slot;
}

EVP_PKEY *kit_pkey(enum kit_key key)
{
	static const char *const groups[] = { "P-256", "P-256", "P-384", "P-521", "secp256k1" };
	static const size_t bits[] = { 2048, 2048, 1024, 2047 };

	if (!keys[key])
		keys[key] = key < KIT_RSA2048 ? EVP_EC_gen(groups[key]) : EVP_RSA_gen(bits[key - KIT_RSA2048]);
	assert(keys[key]);
	return keys[key];
}

void kit_close(void)
{
	for (unsigned i = 0; i < KIT_key_count; i++) {
		EVP_PKEY_free(keys[i]);
		keys[i] = NULL;
	}
	for (unsigned i = 0; i < 16; i++) {
		free(ring[i]);
		ring[i] = NULL;
	}
}

const char *kit_base64url(struct bytes data)
{
	char *out = buffer();
	struct writer w = writer_of(out, KIT_TEXT_BYTES);

	base64url_encode(&w, data);
	writer_u8(&w, 0);
	assert(w.ok);
	return out;
}

static size_t coordinate_bytes(enum kit_key key)
{
	return key == KIT_P384 ? 48 : key == KIT_P521 ? 66 : 32;
}

const char *kit_number(enum kit_key key, const char *name)
{
	const char *param = *name == 'n' ? OSSL_PKEY_PARAM_RSA_N : *name == 'e' ? OSSL_PKEY_PARAM_RSA_E : *name == 'x' ? OSSL_PKEY_PARAM_EC_PUB_X : OSSL_PKEY_PARAM_EC_PUB_Y;
	BIGNUM *number = NULL;
	uint8_t raw[1024];
	int len;

	assert(EVP_PKEY_get_bn_param(kit_pkey(key), param, &number) == 1);
	len = *name == 'n' || *name == 'e' ? BN_bn2bin(number, raw) : BN_bn2binpad(number, raw, (int)coordinate_bytes(key));
	BN_free(number);
	assert(len > 0);
	return kit_base64url(bytes_of(raw, (size_t)len));
}

const char *kit_jwk(enum kit_key key, const char *extra)
{
	static const char *const crv[] = { "P-256", "P-256", "P-384", "P-521", "secp256k1" };
	char *out = buffer();

	if (key < KIT_RSA2048)
		snprintf(out, KIT_TEXT_BYTES, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%s}", crv[key], kit_number(key, "x"), kit_number(key, "y"), extra);
	else
		snprintf(out, KIT_TEXT_BYTES, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", kit_number(key, "n"), kit_number(key, "e"), extra);
	return out;
}

/* RFC 7518 3.4: R and S, each of the curve's length. */
static size_t raw_ecdsa(const uint8_t *der, size_t der_len, size_t half, uint8_t *out)
{
	const unsigned char *at = der;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &at, (long)der_len);

	assert(sig);
	assert(BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)half) > 0);
	assert(BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, (int)half) > 0);
	ECDSA_SIG_free(sig);
	return 2 * half;
}

static size_t sign(enum kit_key key, const char *alg, struct bytes input, uint8_t *out, size_t size)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	uint8_t der[1200];
	size_t len = sizeof(der);

	assert(EVP_DigestSignInit(ctx, &pctx, strcmp(alg, "ES384") == 0 ? EVP_sha384() : EVP_sha256(), NULL, kit_pkey(key)) == 1);
	if (alg[0] == 'P')
		assert(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
	assert(EVP_DigestSign(ctx, der, &len, input.base, input.len) == 1);
	EVP_MD_CTX_free(ctx);
	if (key < KIT_RSA2048)
		return raw_ecdsa(der, len, coordinate_bytes(key), out);
	assert(len <= size);
	memcpy(out, der, len);
	return len;
}

static struct writer start(char *out, struct bytes header, struct bytes payload)
{
	struct writer w = writer_of(out, KIT_TEXT_BYTES);

	base64url_encode(&w, header);
	writer_u8(&w, '.');
	base64url_encode(&w, payload);
	assert(w.ok);
	return w;
}

static struct bytes finish(struct writer *w, const uint8_t *signature, size_t len)
{
	writer_u8(w, '.');
	base64url_encode(w, bytes_of(signature, len));
	assert(w->ok);
	return writer_done(w);
}

struct bytes kit_token_raw(enum kit_key key, const char *alg, struct bytes header, struct bytes payload)
{
	struct writer w = start(buffer(), header, payload);
	uint8_t signature[1200];
	size_t len = sign(key, alg, writer_done(&w), signature, sizeof(signature));

	return finish(&w, signature, len);
}

struct bytes kit_token(enum kit_key key, const char *alg, const char *header, const char *payload)
{
	return kit_token_raw(key, alg, bytes_str(header), bytes_str(payload));
}

struct bytes kit_token_hmac(struct bytes secret, const char *header, const char *payload)
{
	struct writer w = start(buffer(), bytes_str(header), bytes_str(payload));
	uint8_t signature[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	assert(HMAC(EVP_sha256(), secret.base, (int)secret.len, w.base, w.len, signature, &len));
	return finish(&w, signature, len);
}
