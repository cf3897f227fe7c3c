/* jwk.c: the strict import of a key, and the one place where libcjose verifies.
 *
 * libcjose 0.6.2.1 takes RSA of any size, e = 1, any `use`, symmetric keys, and lets one RSA key verify RS256 and
 * PS256 alike; each of these is closed here, before it sees anything.
 */
#include "control/identity/jwk.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

#include "control/identity/base64url.h"
#include "control/identity/json.h"

#define RSA_BYTES_MAX (JWK_RSA_BITS_MAX / 8)
#define COORDINATE_BYTES_MAX 48

static const char *const names[] = {
#define JWK_REASON(id, text) #id,
#include "control/identity/jwk_reasons.def"
#undef JWK_REASON
};

static const char *const texts[] = {
#define JWK_REASON(id, text) text,
#include "control/identity/jwk_reasons.def"
#undef JWK_REASON
};

static const struct curve {
	const char *crv, *group;
	enum jwt_alg alg;
	cjose_jwk_ec_curve cjose;
	size_t coordinate_bytes;
} curves[] = {
	{ "P-256", "P-256", JWT_ES256, CJOSE_JWK_EC_P_256, 32 },
	{ "P-384", "P-384", JWT_ES384, CJOSE_JWK_EC_P_384, 48 },
};

const char *jwk_reason_name(enum jwk_reason reason)
{
	return (unsigned)reason < JWK_reason_count ? names[reason] : "unknown";
}

const char *jwk_reason_text(enum jwk_reason reason)
{
	return (unsigned)reason < JWK_reason_count ? texts[reason] : "unknown";
}

static bool is_text(const json_t *value, const char *text)
{
	return bytes_equal(json_bytes(value), bytes_str(text));
}

/* RFC 7517 4.2; SPIFFE JWT-SVID 6.2.1: jwt-svid, and whatever else is there is not for tokens. */
static enum jwk_reason check_use(const json_t *use, const struct jwk_pins *pins)
{
	if (!pins->spiffe)
		return use && !is_text(use, "sig") ? JWK_use_wrong : JWK_none;
	if (is_text(use, "x509-svid"))
		return JWK_use_x509;
	return is_text(use, "jwt-svid") ? JWK_none : JWK_use_not_svid;
}

/* RFC 7517 4.2, 4.3. */
static enum jwk_reason check_purpose(const json_t *key, const struct jwk_pins *pins)
{
	/* RFC 7518 6.2.2, 6.3.2, 6.4.1: a key set that shows these is compromised. */
	static const char *const private_members[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
	const json_t *ops = json_object_get(key, "key_ops"), *op;
	enum jwk_reason use = check_use(json_object_get(key, "use"), pins);
	bool verify = false;
	size_t i;

	for (i = 0; i < sizeof(private_members) / sizeof(private_members[0]); i++)
		if (json_object_get(key, private_members[i]))
			return JWK_private_member;
	if (use)
		return use;
	if (!ops)
		return JWK_none;
	if (!json_is_array(ops))
		return JWK_key_ops_wrong;
	json_array_foreach(ops, i, op) {
		if (!json_is_string(op))
			return JWK_key_ops_wrong;
		verify = verify || is_text(op, "verify");
	}
	return verify ? JWK_none : JWK_key_ops_wrong;
}

static enum jwk_reason read_kid(const json_t *key, const struct jwk_pins *pins, struct jwk *out)
{
	const json_t *value = json_object_get(key, "kid");
	struct bytes kid = json_bytes(value);

	if (!value)
		return pins->spiffe ? JWK_kid_missing : JWK_none;
	if (kid.len == 0 || kid.len > LIMIT_KID_BYTES)
		return JWK_kid_wrong;
	memcpy(out->kid, kid.base, kid.len);
	return JWK_none;
}

static bool pinned(const struct jwk_pins *pins, enum jwt_alg alg)
{
	for (size_t i = 0; i < 4; i++)
		if (alg && pins->alg[i] == alg)
			return true;
	return false;
}

static bool is_rsa(enum jwt_alg alg)
{
	return alg == JWT_RS256 || alg == JWT_PS256;
}

/* The one algorithm of the key: `curve_alg`, or for RSA (JWT_ALG_NONE) what it names or the issuer's first. */
static enum jwk_reason pin_alg(const json_t *key, const struct jwk_pins *pins, enum jwt_alg curve_alg, struct jwk *out)
{
	const json_t *value = json_object_get(key, "alg");
	enum jwt_alg named = jwt_alg_of(json_bytes(value));

	if (value && !named)
		return JWK_alg_wrong;
	if (curve_alg && named && named != curve_alg)
		return JWK_alg_wrong;
	if (!curve_alg && named && !is_rsa(named))
		return JWK_alg_wrong;
	out->alg = curve_alg ? curve_alg : named;
	for (size_t i = 0; i < 4 && !out->alg; i++)
		if (is_rsa(pins->alg[i]))
			out->alg = pins->alg[i];
	return pinned(pins, out->alg) ? JWK_none : JWK_alg_wrong;
}

static bool decode_number(const json_t *key, const char *name, uint8_t *out, size_t size, size_t *len)
{
	struct bytes text = json_bytes(json_object_get(key, name));

	return text.len && base64url_decode(text, out, size, len) == BASE64URL_OK && *len;
}

/* A full check of the public key by libcrypto: on the curve and of its order, or SP 800-56B 6.4.2.2 for RSA. */
static bool public_check(const char *type, OSSL_PARAM_BLD *build)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
	EVP_PKEY *key = NULL;
	bool good = false;

	if (params && make && EVP_PKEY_fromdata_init(make) == 1 && EVP_PKEY_fromdata(make, &key, EVP_PKEY_PUBLIC_KEY, params) == 1)
		check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (check)
		good = EVP_PKEY_public_check(check) == 1;
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(make);
	OSSL_PARAM_free(params);
	return good;
}

static bool ec_check(const struct curve *curve, const uint8_t *x, const uint8_t *y)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	uint8_t point[1 + 2 * COORDINATE_BYTES_MAX];
	struct writer w = writer_of(point, sizeof(point));
	bool good;

	writer_u8(&w, 4); /* SEC 1 2.3.3: uncompressed */
	writer_bytes(&w, x, curve->coordinate_bytes);
	writer_bytes(&w, y, curve->coordinate_bytes);
	good = build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
	       OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, w.len) == 1 && public_check("EC", build);
	OSSL_PARAM_BLD_free(build);
	return good;
}

static bool rsa_check(struct bytes n, struct bytes e)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *modulus = BN_bin2bn(n.base, (int)n.len, NULL), *exponent = BN_bin2bn(e.base, (int)e.len, NULL);
	bool good = build && modulus && exponent && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, modulus) == 1 &&
		    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, exponent) == 1 && public_check("RSA", build);

	OSSL_PARAM_BLD_free(build);
	BN_free(modulus);
	BN_free(exponent);
	return good;
}

/* RFC 7638 3.2: the required members, in lexicographic order, without white space. Base64url text needs no escapes. */
static bool thumbprint(const char *const part[], size_t count, uint8_t out[32])
{
	uint8_t text[64 + 2 * (RSA_BYTES_MAX / 3 * 4 + 4)];
	struct writer w = writer_of(text, sizeof(text));

	for (size_t i = 0; i < count; i++)
		writer_str(&w, part[i]);
	return w.ok && EVP_Digest(text, w.len, out, NULL, EVP_sha256(), NULL) == 1;
}

static enum jwk_reason import_ec(const json_t *key, const struct jwk_pins *pins, struct jwk *out)
{
	uint8_t x[COORDINATE_BYTES_MAX], y[COORDINATE_BYTES_MAX];
	const struct curve *curve = NULL;
	cjose_jwk_ec_keyspec spec = { .x = x, .y = y };
	enum jwk_reason reason;
	cjose_err err;

	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (is_text(json_object_get(key, "crv"), curves[i].crv))
			curve = &curves[i];
	if (!curve)
		return JWK_crv_wrong;
	reason = pin_alg(key, pins, curve->alg, out);
	if (reason)
		return reason;
	if (!decode_number(key, "x", x, sizeof(x), &spec.xlen) || !decode_number(key, "y", y, sizeof(y), &spec.ylen))
		return JWK_encoding;
	/* RFC 7518 6.2.1.2: the full size of a coordinate. */
	if (spec.xlen != curve->coordinate_bytes || spec.ylen != curve->coordinate_bytes)
		return JWK_coordinate_length;
	if (!ec_check(curve, x, y))
		return JWK_not_on_curve;
	spec.crv = curve->cjose;
	out->signature_bytes = 2 * curve->coordinate_bytes;
	out->handle = cjose_jwk_create_EC_spec(&spec, &err);
	const char *const part[] = { "{\"crv\":\"", curve->crv, "\",\"kty\":\"EC\",\"x\":\"", json_string_value(json_object_get(key, "x")),
				     "\",\"y\":\"", json_string_value(json_object_get(key, "y")), "\"}" };

	return out->handle && thumbprint(part, 7, out->sha256) ? JWK_none : JWK_failed;
}

static enum jwk_reason check_rsa_numbers(struct bytes n, struct bytes e)
{
	struct reader r = reader_of_bytes(e);
	uint64_t exponent;
	size_t bits = n.len * 8;

	/* RFC 7518 2, Base64urlUInt: the minimum number of octets. */
	if (n.base[0] == 0)
		return JWK_modulus_bad;
	for (uint8_t top = n.base[0]; !(top & 0x80); top = (uint8_t)(top << 1))
		bits--;
	if (bits < JWK_RSA_BITS_MIN)
		return JWK_modulus_small;
	if (!(n.base[n.len - 1] & 1))
		return JWK_modulus_bad;
	if (e.len > 4 || e.base[0] == 0)
		return JWK_exponent_bad;
	exponent = reader_be(&r, e.len);
	if (exponent < 65537 || !(exponent & 1))
		return JWK_exponent_bad;
	return rsa_check(n, e) ? JWK_none : JWK_modulus_bad;
}

static enum jwk_reason import_rsa(const json_t *key, const struct jwk_pins *pins, struct jwk *out)
{
	uint8_t n[RSA_BYTES_MAX], e[16];
	cjose_jwk_rsa_keyspec spec = { .n = n, .e = e };
	enum jwk_reason reason = pin_alg(key, pins, JWT_ALG_NONE, out);
	cjose_err err;

	if (reason)
		return reason;
	if (json_string_length(json_object_get(key, "n")) > base64url_encoded_len(sizeof(n)))
		return JWK_modulus_large;
	if (json_string_length(json_object_get(key, "e")) > base64url_encoded_len(sizeof(e)))
		return JWK_exponent_bad;
	if (!decode_number(key, "n", n, sizeof(n), &spec.nlen) || !decode_number(key, "e", e, sizeof(e), &spec.elen))
		return JWK_encoding;
	reason = check_rsa_numbers(bytes_of(n, spec.nlen), bytes_of(e, spec.elen));
	if (reason)
		return reason;
	out->signature_bytes = spec.nlen;
	out->handle = cjose_jwk_create_RSA_spec(&spec, &err);
	const char *const part[] = { "{\"e\":\"", json_string_value(json_object_get(key, "e")), "\",\"kty\":\"RSA\",\"n\":\"",
				     json_string_value(json_object_get(key, "n")), "\"}" };

	return out->handle && thumbprint(part, 5, out->sha256) ? JWK_none : JWK_failed;
}

static enum jwk_reason import_any(const json_t *key, const struct jwk_pins *pins, struct jwk *out)
{
	const json_t *kty = json_object_get(key, "kty");
	enum jwk_reason reason;

	if (!json_is_object(key))
		return JWK_not_object;
	if (!json_is_string(kty))
		return JWK_kty_missing;
	if (is_text(kty, "oct"))
		return JWK_kty_symmetric;
	if (is_text(kty, "OKP"))
		return JWK_kty_okp;
	reason = check_purpose(key, pins);
	if (!reason)
		reason = read_kid(key, pins, out);
	if (reason)
		return reason;
	if (is_text(kty, "EC"))
		return import_ec(key, pins, out);
	return is_text(kty, "RSA") ? import_rsa(key, pins, out) : JWK_kty_unknown;
}

enum jwk_reason jwk_import(const json_t *value, const struct jwk_pins *pins, struct jwk *out)
{
	enum jwk_reason reason;

	*out = (struct jwk){ 0 };
	reason = import_any(value, pins, out);
	if (reason)
		jwk_close(out);
	ERR_clear_error();
	return reason;
}

void jwk_close(struct jwk *key)
{
	if (key->handle)
		cjose_jwk_release(key->handle);
	*key = (struct jwk){ 0 };
}

bool jwk_verify(const struct jwk *key, const struct jwt *jwt)
{
	cjose_err err;
	uint8_t *plain = NULL;
	size_t plain_len = 0;
	cjose_jws_t *jws = cjose_jws_import((const char *)jwt->token.base, jwt->token.len, &err);
	bool good = jws && cjose_jws_verify(jws, key->handle, &err) && cjose_jws_get_plaintext(jws, &plain, &plain_len, &err) &&
		    bytes_equal(bytes_of(plain, plain_len), jwt->payload_raw);

	if (jws)
		cjose_jws_release(jws);
	ERR_clear_error();
	return good;
}
