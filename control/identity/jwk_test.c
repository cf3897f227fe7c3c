/* jwk_test.c: the keys that libcjose takes and we must not, and the sets that hold them (identity.md 2, 5, 10.3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/identity/json.h"
#include "control/identity/keyset.h"
#include "control/identity/token_kit.h"

static const struct jwk_pins all_pins = { { JWT_PS256, JWT_RS256, JWT_ES256, JWT_ES384 } };
static const struct jwk_pins default_pins = { { JWT_ES256 } };
static char text[KIT_TEXT_BYTES];

static enum jwk_reason import_with(const char *json, const struct jwk_pins *pins, struct jwk *key)
{
	json_t *value = NULL;
	enum json_status status = json_strict(bytes_str(json), JSON_DEPTH_MAX, JSON_EXACT, &value);
	enum jwk_reason reason;

	assert_int_equal(status, JSON_GOOD);
	reason = jwk_import(value, pins, key);
	json_decref(value);
	return reason;
}

static enum jwk_reason import(const char *json)
{
	struct jwk key;
	enum jwk_reason reason = import_with(json, &all_pins, &key);

	if (reason)
		assert_null(key.handle);
	jwk_close(&key);
	return reason;
}

static void members(void **state)
{
	static const struct {
		enum kit_key key;
		const char *extra;
		enum jwk_reason reason;
	} rows[] = {
		{ KIT_P256, "", JWK_none },
		{ KIT_P384, "", JWK_none },
		{ KIT_RSA2048, "", JWK_none },
		{ KIT_P521, "", JWK_crv_wrong },
		{ KIT_K256, "", JWK_crv_wrong },
		{ KIT_RSA1024, "", JWK_modulus_small },
		{ KIT_RSA2047, "", JWK_modulus_small },
		{ KIT_P256, ",\"use\":\"sig\"", JWK_none },
		{ KIT_P256, ",\"use\":\"enc\"", JWK_use_wrong },
		{ KIT_P256, ",\"use\":\"SIG\"", JWK_use_wrong },
		{ KIT_P256, ",\"use\":\"\"", JWK_use_wrong },
		{ KIT_P256, ",\"use\":null", JWK_use_wrong },
		{ KIT_P256, ",\"use\":[\"sig\"]", JWK_use_wrong },
		{ KIT_P256, ",\"key_ops\":[\"verify\"]", JWK_none },
		{ KIT_P256, ",\"key_ops\":[\"sign\",\"verify\"]", JWK_none },
		{ KIT_P256, ",\"key_ops\":[]", JWK_key_ops_wrong },
		{ KIT_P256, ",\"key_ops\":[\"sign\"]", JWK_key_ops_wrong },
		{ KIT_P256, ",\"key_ops\":[\"verify\",1]", JWK_key_ops_wrong },
		{ KIT_P256, ",\"key_ops\":\"verify\"", JWK_key_ops_wrong },
		{ KIT_P256, ",\"alg\":\"ES256\"", JWK_none },
		{ KIT_P256, ",\"alg\":\"ES384\"", JWK_alg_wrong },
		{ KIT_P384, ",\"alg\":\"ES256\"", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":\"RS256\"", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":\"es256\"", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":\"none\"", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":\"HS256\"", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":\"ECDH-ES\"", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":null", JWK_alg_wrong },
		{ KIT_P256, ",\"alg\":256", JWK_alg_wrong },
		{ KIT_RSA2048, ",\"alg\":\"RS256\"", JWK_none },
		{ KIT_RSA2048, ",\"alg\":\"PS256\"", JWK_none },
		{ KIT_RSA2048, ",\"alg\":\"ES256\"", JWK_alg_wrong },
		{ KIT_RSA2048, ",\"alg\":\"RS512\"", JWK_alg_wrong },
		{ KIT_RSA2048, ",\"alg\":\"RSA-OAEP\"", JWK_alg_wrong },
		{ KIT_P256, ",\"kid\":\"a\"", JWK_none },
		{ KIT_P256, ",\"kid\":\"../../etc/passwd\"", JWK_none }, /* only ever compared */
		{ KIT_P256, ",\"kid\":\"'; DROP TABLE keys;--\"", JWK_none },
		{ KIT_P256, ",\"kid\":\"\"", JWK_kid_wrong },
		{ KIT_P256, ",\"kid\":7", JWK_kid_wrong },
		{ KIT_P256, ",\"kid\":null", JWK_kid_wrong },
		{ KIT_P256, ",\"d\":\"AQAB\"", JWK_private_member },
		{ KIT_P256, ",\"d\":null", JWK_private_member },
		{ KIT_RSA2048, ",\"d\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"p\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"q\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"dp\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"dq\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"qi\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"oth\":[]", JWK_private_member },
		{ KIT_RSA2048, ",\"k\":\"AQAB\"", JWK_private_member },
		{ KIT_RSA2048, ",\"x5c\":[\"junk\"],\"x5u\":\"http://evil\",\"future\":{}", JWK_none },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "%s", kit_jwk(rows[i].key, rows[i].extra));
		if (import(text) != rows[i].reason)
			fail_msg("row %zu: %s gives %s, not %s", i, rows[i].extra, jwk_reason_name(import(text)), jwk_reason_name(rows[i].reason));
	}
}

static void long_kid(void **state)
{
	char kid[300] = "", extra[400];

	memset(kid, 'k', 256);
	snprintf(extra, sizeof(extra), ",\"kid\":\"%s\"", kid);
	assert_int_equal(import(kit_jwk(KIT_P256, extra)), JWK_none);
	kid[256] = 'k';
	snprintf(extra, sizeof(extra), ",\"kid\":\"%s\"", kid);
	assert_int_equal(import(kit_jwk(KIT_P256, extra)), JWK_kid_wrong);
}

static void types(void **state)
{
	static const struct {
		const char *json;
		enum jwk_reason reason;
	} rows[] = {
		{ "{}", JWK_kty_missing },
		{ "{\"kty\":1}", JWK_kty_missing },
		{ "{\"kty\":\"oct\",\"k\":\"AAAAAAA\"}", JWK_kty_symmetric },
		{ "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}", JWK_kty_okp },
		{ "{\"kty\":\"rsa\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", JWK_kty_unknown },
		{ "{\"kty\":\"EC\"}", JWK_crv_wrong },
		{ "{\"kty\":\"EC\",\"crv\":\"P-256\"}", JWK_encoding },
		{ "{\"kty\":\"EC\",\"crv\":\"p-256\",\"x\":\"AA\",\"y\":\"AA\"}", JWK_crv_wrong },
		{ "{\"kty\":\"RSA\"}", JWK_encoding },
		{ "{\"kty\":\"RSA\",\"e\":\"AQAB\"}", JWK_encoding },
		{ "{\"kty\":\"RSA\",\"n\":\"\",\"e\":\"AQAB\"}", JWK_encoding },
		{ "{\"kty\":\"RSA\",\"n\":7,\"e\":\"AQAB\"}", JWK_encoding },
	};
	struct jwk key;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (import(rows[i].json) != rows[i].reason)
			fail_msg("%s gives %s", rows[i].json, jwk_reason_name(import(rows[i].json)));
	assert_int_equal(jwk_import(NULL, &all_pins, &key), JWK_not_object);
}

static enum jwk_reason import_rsa(const char *n, const char *e)
{
	snprintf(text, sizeof(text), "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", n, e);
	return import(text);
}

static void exponents(void **state)
{
	static const struct {
		const char *e;
		enum jwk_reason reason;
	} rows[] = {
		{ "AQAB", JWK_none },          /* 65,537 */
		{ "AQAD", JWK_none },          /* 65,539 */
		{ "_____w", JWK_none },        /* 2^32 - 1 */
		{ "AQ", JWK_exponent_bad },    /* 1 */
		{ "Aw", JWK_exponent_bad },    /* 3 */
		{ "AA", JWK_exponent_bad },    /* 0 */
		{ "EQ", JWK_exponent_bad },    /* 17 */
		{ "__8", JWK_exponent_bad },   /* 65,535 */
		{ "AQAA", JWK_exponent_bad },  /* 65,536 */
		{ "AQAC", JWK_exponent_bad },  /* 65,538: even */
		{ "AQAAAAE", JWK_exponent_bad }, /* 2^32 + 1 */
		{ "AAEAAQ", JWK_exponent_bad }, /* a zero in front */
		{ "AQAB=", JWK_encoding },
		{ "AQA+", JWK_encoding },
		{ "AQABA", JWK_encoding },
		{ "AR", JWK_encoding }, /* unused bits */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (import_rsa(kit_number(KIT_RSA2048, "n"), rows[i].e) != rows[i].reason)
			fail_msg("e %s gives %s", rows[i].e, jwk_reason_name(import_rsa(kit_number(KIT_RSA2048, "n"), rows[i].e)));
}

static void moduli(void **state)
{
	uint8_t n[1100];
	size_t len = 256;

	memset(n, 0, sizeof(n));
	n[0] = 0x80;
	assert_int_equal(import_rsa(kit_base64url(bytes_of(n, len)), "AQAB"), JWK_modulus_bad); /* 2^2047: even */
	n[255] = 3;
	n[0] = 0;
	assert_int_equal(import_rsa(kit_base64url(bytes_of(n, 257)), "AQAB"), JWK_modulus_bad); /* zero in front */
	memset(n, 0xff, sizeof(n));
	assert_int_equal(import_rsa(kit_base64url(bytes_of(n, 256)), "AQAB"), JWK_modulus_bad); /* 2^2048 - 1: divisible by 3 */
	assert_int_equal(import_rsa(kit_base64url(bytes_of(n, 255)), "AQAB"), JWK_modulus_small);
	assert_int_equal(import_rsa(kit_base64url(bytes_of(n, 1025)), "AQAB"), JWK_modulus_large);
}

static void points(void **state)
{
	const char *x = kit_number(KIT_P256, "x"), *y = kit_number(KIT_P256, "y");
	const struct {
		const char *x, *y;
		enum jwk_reason reason;
	} rows[] = {
		{ x, y, JWK_none },
		{ y, x, JWK_not_on_curve },
		{ x, x, JWK_not_on_curve },
		{ kit_number(KIT_P384, "x"), kit_number(KIT_P384, "y"), JWK_coordinate_length },
		{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", JWK_not_on_curve },
		{ "_____________________________________________w", y, JWK_coordinate_length },
		{ "__________________________________________8", y, JWK_not_on_curve }, /* x >= p */
		{ "AQ", y, JWK_coordinate_length },
		{ "", y, JWK_encoding },
		{ "A+", y, JWK_encoding },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(text, sizeof(text), "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", rows[i].x, rows[i].y);
		if (import(text) != rows[i].reason)
			fail_msg("row %zu gives %s", i, jwk_reason_name(import(text)));
	}
}

/* RS256 and PS256 never share a key: it is pinned by its own alg, else by the first RSA one of the issuer. */
static void one_algorithm(void **state)
{
	static const struct {
		const char *extra;
		struct jwk_pins pins;
		enum jwk_reason reason;
		enum jwt_alg alg;
	} rows[] = {
		{ "", { { JWT_RS256, JWT_PS256 } }, JWK_none, JWT_RS256 },
		{ "", { { JWT_PS256, JWT_RS256 } }, JWK_none, JWT_PS256 },
		{ "", { { JWT_ES256, JWT_PS256 } }, JWK_none, JWT_PS256 },
		{ "", { { JWT_ES256 } }, JWK_alg_wrong, JWT_ALG_NONE },
		{ ",\"alg\":\"PS256\"", { { JWT_RS256, JWT_PS256 } }, JWK_none, JWT_PS256 },
		{ ",\"alg\":\"PS256\"", { { JWT_RS256 } }, JWK_alg_wrong, JWT_ALG_NONE },
	};
	struct jwk key;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(import_with(kit_jwk(KIT_RSA2048, rows[i].extra), &rows[i].pins, &key), rows[i].reason);
		assert_int_equal(key.alg, rows[i].alg);
		jwk_close(&key);
	}
	assert_int_equal(import_with(kit_jwk(KIT_P384, ""), &default_pins, &key), JWK_alg_wrong);
}

/* RFC 7638 3.1. */
static void thumbprint(void **state)
{
	static const char json[] =
		"{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
		"tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrd"
		"kt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}";
	struct jwk key;

	assert_int_equal(import_with(json, &all_pins, &key), JWK_none);
	assert_string_equal(kit_base64url(bytes_of(key.sha256, 32)), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
	assert_string_equal(key.kid, "2011-04-29");
	jwk_close(&key);
}

static bool parse_set(const char *json, struct keyset *set)
{
	const char *problem;
	bool good = keyset_parse(bytes_str(json), &all_pins, set, &problem);

	assert_true(good == !problem);
	return good;
}

static void sets(void **state)
{
	struct keyset set;

	snprintf(text, sizeof(text), "{\"keys\":[%s,%s,{\"kty\":\"oct\",\"k\":\"AA\"}]}\n", kit_jwk(KIT_P256, ",\"kid\":\"a\""), kit_jwk(KIT_RSA1024, ",\"kid\":\"b\""));
	assert_true(parse_set(text, &set));
	assert_int_equal(set.count, 1);
	assert_int_equal(set.dropped, 2);
	assert_int_equal(set.dropped_why, JWK_kty_symmetric);
	keyset_clear(&set);
	snprintf(text, sizeof(text), "{\"keys\":[%s]}", kit_jwk(KIT_RSA1024, ""));
	assert_false(parse_set(text, &set));
	assert_int_equal(set.count, 0);
	assert_int_equal(set.dropped, 1);
	assert_false(parse_set("{\"keys\":[]}", &set));
	assert_false(parse_set("{\"keys\":{}}", &set));
	assert_false(parse_set("{}", &set));
	assert_false(parse_set("", &set));
	assert_false(parse_set("[]", &set));
	assert_false(parse_set("<html><body>sign in</body></html>", &set));
	assert_false(parse_set("{\"keys\":[[[[[[[[[[]]]]]]]]]]}", &set));
	snprintf(text, sizeof(text), "{\"keys\":[%s],\"keys\":[]}", kit_jwk(KIT_P256, ""));
	assert_false(parse_set(text, &set));
	snprintf(text, sizeof(text), "{\"keys\":[%s]}", kit_jwk(KIT_P256, ",\"\\u006bty\":\"oct\""));
	assert_false(parse_set(text, &set));
	snprintf(text, sizeof(text), "{\"keys\":[%s]} trailing", kit_jwk(KIT_P256, ""));
	assert_false(parse_set(text, &set));
}

static void set_limits(void **state)
{
	static char large[LIMIT_FETCH_BYTES + 64];
	struct keyset set;
	struct writer w = writer_of(large, sizeof(large));

	writer_str(&w, "{\"keys\":[");
	for (unsigned i = 0; i < LIMIT_KEYS; i++) {
		writer_str(&w, i ? "," : "");
		writer_str(&w, kit_jwk(KIT_P256, ""));
	}
	writer_cstr(&w, "]}");
	assert_true(parse_set(large, &set));
	assert_int_equal(set.count, LIMIT_KEYS);
	keyset_clear(&set);
	w.len -= 3;
	writer_cstr(&w, ",{}]}");
	assert_false(parse_set(large, &set)); /* 65 */

	memset(large, ' ', sizeof(large));
	snprintf(text, sizeof(text), "{\"keys\":[%s]}", kit_jwk(KIT_P256, ""));
	memcpy(large, text, strlen(text));
	large[LIMIT_FETCH_BYTES] = 0;
	assert_true(parse_set(large, &set));
	keyset_clear(&set);
	large[LIMIT_FETCH_BYTES] = ' ';
	large[LIMIT_FETCH_BYTES + 1] = 0;
	assert_false(parse_set(large, &set));
}

static enum identity_reason find(const struct keyset *set, const char *kid, enum jwt_alg alg)
{
	struct jwt jwt = { .alg = alg, .kid = kid ? bytes_str(kid) : (struct bytes){ 0 } };
	enum identity_reason why;
	const struct jwk *key = keyset_find(set, &jwt, &why);

	assert_true((key != NULL) == (why == IDENTITY_none));
	return why;
}

static void choice(void **state)
{
	struct keyset set;

	snprintf(text, sizeof(text), "{\"keys\":[%s,%s,%s,%s]}", kit_jwk(KIT_P256, ",\"kid\":\"a\""), kit_jwk(KIT_RSA2048, ",\"kid\":\"a\",\"alg\":\"RS256\""),
		 kit_jwk(KIT_P256_OTHER, ",\"kid\":\"b\""), kit_jwk(KIT_P384, ""));
	assert_true(parse_set(text, &set));
	assert_int_equal(find(&set, "a", JWT_ES256), IDENTITY_none); /* RFC 7517 4.5: one kid, two types */
	assert_int_equal(find(&set, "a", JWT_RS256), IDENTITY_none);
	assert_int_equal(find(&set, "a", JWT_PS256), IDENTITY_alg_not_of_key);
	assert_int_equal(find(&set, "a", JWT_ES384), IDENTITY_alg_not_of_key);
	assert_int_equal(find(&set, "b", JWT_ES256), IDENTITY_none);
	assert_int_equal(find(&set, "B", JWT_ES256), IDENTITY_kid_unknown);
	assert_int_equal(find(&set, "b ", JWT_ES256), IDENTITY_kid_unknown);
	assert_int_equal(find(&set, "https://issuer/keys/b", JWT_ES256), IDENTITY_kid_unknown);
	assert_int_equal(find(&set, NULL, JWT_ES256), IDENTITY_kid_absent); /* two of the type */
	assert_int_equal(find(&set, NULL, JWT_ES384), IDENTITY_none);       /* exactly one */
	assert_int_equal(find(&set, NULL, JWT_PS256), IDENTITY_kid_absent); /* none */
	keyset_clear(&set);
	snprintf(text, sizeof(text), "{\"keys\":[%s,%s]}", kit_jwk(KIT_P256, ",\"kid\":\"a\""), kit_jwk(KIT_P256_OTHER, ",\"kid\":\"a\""));
	assert_true(parse_set(text, &set));
	assert_int_equal(find(&set, "a", JWT_ES256), IDENTITY_kid_ambiguous);
	keyset_clear(&set);
}

static int close_kit(void **state)
{
	kit_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),  cmocka_unit_test(long_kid),      cmocka_unit_test(types),	cmocka_unit_test(exponents),
		cmocka_unit_test(moduli),   cmocka_unit_test(points),	     cmocka_unit_test(one_algorithm), cmocka_unit_test(thumbprint),
		cmocka_unit_test(sets),	    cmocka_unit_test(set_limits),    cmocka_unit_test(choice),
	};

	return cmocka_run_group_tests_name("jwk", tests, NULL, close_kit);
}
