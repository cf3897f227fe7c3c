/* jwt_test.c: forged envelopes: segments, encodings, headers, algorithms, JSON (identity.md 2, 3, 10.2, 10.5, 10.6).
 * Wherever a signature can be good, it is: the token is refused for its shape alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "control/identity/token_fixture.h"

static struct identity *id;
static char scratch[KIT_TEXT_BYTES];

static void expect(const char *what, struct bytes token, enum identity_reason reason)
{
	enum identity_reason got = fixture_verify(id, token, 0);

	if (got != reason)
		fail_msg("%s: %s, not %s", what, identity_reason_name(got), identity_reason_name(reason));
}

static struct bytes good(void)
{
	return kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(CORP, NULL, NULL, ""));
}

static void good_token(void **state)
{
	expect("good", good(), IDENTITY_none);
}

/* A good token with something after it. 64 bytes of signature are 86 characters. */
static void tails(void **state)
{
	static const struct {
		const char *tail;
		enum identity_reason reason;
	} rows[] = {
		{ "=", IDENTITY_token_alphabet }, { "==", IDENTITY_token_alphabet }, { "\n", IDENTITY_token_alphabet }, { " ", IDENTITY_token_alphabet },
		{ "\r\n", IDENTITY_token_alphabet }, { "+", IDENTITY_token_alphabet }, { "/", IDENTITY_token_alphabet }, { "%3D", IDENTITY_token_alphabet },
		{ ".", IDENTITY_token_segments }, { ".AA", IDENTITY_token_segments }, { "..", IDENTITY_token_encrypted }, { ".AA.AA", IDENTITY_token_encrypted },
		{ "...", IDENTITY_token_segments }, { "A", IDENTITY_signature_length }, { "AA", IDENTITY_signature_length },
		{ "AAA", IDENTITY_token_not_canonical }, { "AAAA", IDENTITY_signature_length },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct writer w = writer_of(scratch, sizeof(scratch));

		writer_put(&w, good());
		writer_str(&w, rows[i].tail);
		expect(rows[i].tail, writer_done(&w), rows[i].reason);
	}
}

static void segments(void **state)
{
	static const struct {
		const char *token;
		enum identity_reason reason;
	} rows[] = {
		{ "", IDENTITY_token_empty },
		{ ".", IDENTITY_token_segments },
		{ "..", IDENTITY_signature_missing },
		{ "...", IDENTITY_token_segments },
		{ "....", IDENTITY_token_encrypted },
		{ ".....", IDENTITY_token_segments },
		{ "e30", IDENTITY_token_segments },
		{ "e30.e30", IDENTITY_token_segments },
		{ "e30.e30.", IDENTITY_signature_missing },
		{ ".e30.AA", IDENTITY_header_not_json },
		{ "e30..AA", IDENTITY_header_alg_missing },
		{ "e30.e30.AA", IDENTITY_header_alg_missing },
		{ "e30.e30.AA.AA", IDENTITY_token_segments },
		{ "e30.e30.AA.AA.AA", IDENTITY_token_encrypted },
		{ " e30.e30.AA", IDENTITY_token_alphabet },
		{ "e30\n.e30.AA", IDENTITY_token_alphabet },
		{ "e30=.e30.AA", IDENTITY_token_alphabet },
		{ "e31.e30.AA", IDENTITY_token_not_canonical }, /* the same bytes as e30, other unused bits */
		{ "e30.e31.AA", IDENTITY_token_not_canonical },
		{ "e30.e30.AB", IDENTITY_token_not_canonical },
		{ "e30.e30.A", IDENTITY_token_not_canonical },
		{ "Bearer e30.e30.AA", IDENTITY_token_alphabet },
		{ "{\"payload\":\"e30\",\"signature\":\"AA\"}", IDENTITY_token_segments }, /* JSON serialization */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(rows[i].token, bytes_str(rows[i].token), rows[i].reason);
	expect("NUL", bytes_of("e30.e30.A\0", 10), IDENTITY_token_alphabet);
}

/* Every single-character change of the signature is refused, the unused bits of the last one above all. */
static void malleable(void **state)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	struct bytes token = good();
	char last;

	memcpy(scratch, token.base, token.len);
	last = scratch[token.len - 1];
	for (const char *c = alphabet; *c; c++) {
		enum identity_reason reason;

		scratch[token.len - 1] = *c;
		reason = fixture_verify(id, bytes_of(scratch, token.len), 0);
		if (*c == last)
			assert_int_equal(reason, IDENTITY_none);
		else
			assert_true(reason == IDENTITY_token_not_canonical || reason == IDENTITY_signature_bad);
	}
	scratch[token.len - 1] = last;
	for (size_t i = token.len - 86; i < token.len - 1; i++) {
		char was = scratch[i];

		scratch[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(fixture_verify(id, bytes_of(scratch, token.len), 0), IDENTITY_signature_bad);
		scratch[i] = was;
	}
}

static struct bytes padded(size_t n)
{
	static char more[LIMIT_TOKEN_BYTES], pad[LIMIT_TOKEN_BYTES];

	memset(pad, 'x', sizeof(pad) - 1);
	snprintf(more, sizeof(more), ",\"pad\":\"%.*s\"", (int)n, pad);
	return kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(CORP, NULL, NULL, more));
}

static void lengths(void **state)
{
	size_t n = 12000;

	n -= (padded(n).len - LIMIT_TOKEN_BYTES) * 3 / 4 + 4;
	while (padded(n + 1).len <= LIMIT_TOKEN_BYTES)
		n++;
	assert_true(padded(n).len >= LIMIT_TOKEN_BYTES - 1);
	expect("just fits", padded(n), IDENTITY_none);
	expect("does not fit", padded(n + 1), IDENTITY_token_too_long);
	memset(scratch, 'A', sizeof(scratch));
	expect("64 KiB", bytes_of(scratch, sizeof(scratch)), IDENTITY_token_too_long);
	expect("16,385", bytes_of(scratch, LIMIT_TOKEN_BYTES + 1), IDENTITY_token_too_long);
	expect("16,384", bytes_of(scratch, LIMIT_TOKEN_BYTES), IDENTITY_token_segments);
}

static void headers(void **state)
{
	static const struct {
		const char *header;
		enum identity_reason reason;
	} rows[] = {
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"cty\":\"x\",\"x5t\":\"y\",\"x5t#S256\":\"z\"}", IDENTITY_none },
		{ "{\"typ\":\"at+jwt\",\"kid\":\"k1\",\"alg\":\"ES256\"}", IDENTITY_none },
		{ "{ \"alg\" : \"ES256\" , \"typ\" : \"at+jwt\" , \"kid\" : \"k1\" }", IDENTITY_none }, /* inside it is harmless */
		{ " {\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}", IDENTITY_header_space },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"} ", IDENTITY_header_space },
		{ "\n{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}\n", IDENTITY_header_space },
		{ "\xef\xbb\xbf{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}", IDENTITY_header_space },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"crit\":[\"exp\"]}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"crit\":[]}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"b64\":false}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"b64\":true}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"crit\":[\"b64\"],\"b64\":false}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"zip\":\"DEF\"}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"enc\":\"A128GCM\"}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"jku\":\"https://evil/\"}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"x5u\":\"https://evil/\"}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"x5c\":[]}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"jwk\":{}}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"\\u006aku\":\"x\"}", IDENTITY_header_member_refused },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"iss\":\"x\"}", IDENTITY_header_member_unknown },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"Alg\":\"none\"}", IDENTITY_header_member_unknown },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",\"\":\"\"}", IDENTITY_header_member_unknown },
		{ "{\"alg\":\"none\",\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}", IDENTITY_header_duplicate },
		{ "{\"alg\":\"none\",\"\\u0061lg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}", IDENTITY_header_duplicate },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k2\",\"kid\":\"k1\"}", IDENTITY_header_duplicate },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":1}", IDENTITY_header_member_type },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":null}", IDENTITY_header_member_type },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":[\"k1\"]}", IDENTITY_header_member_type },
		{ "{\"alg\":[\"ES256\"],\"typ\":\"at+jwt\",\"kid\":\"k1\"}", IDENTITY_header_member_type },
		{ "{\"alg\":\"ES256\",\"typ\":{},\"kid\":\"k1\"}", IDENTITY_header_member_type },
		{ "{\"typ\":\"at+jwt\",\"kid\":\"k1\"}", IDENTITY_header_alg_missing },
		{ "{\"alg\":\"ES256\",\"kid\":\"k1\"}", IDENTITY_typ_missing },
		{ "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"\",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"logout+jwt\",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"secevent+jwt\",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt \",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"application/\",\"kid\":\"k1\"}", IDENTITY_typ_wrong },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+JWT\",\"kid\":\"k1\"}", IDENTITY_none }, /* RFC 7515 4.1.9: a media type */
		{ "{\"alg\":\"ES256\",\"typ\":\"application/at+jwt\",\"kid\":\"k1\"}", IDENTITY_none },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\"}", IDENTITY_kid_too_long },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\\u0000\"}", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"../k1\"}", IDENTITY_kid_unknown },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"https://evil.example/k1\"}", IDENTITY_kid_unknown },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1' OR '1'='1\"}", IDENTITY_kid_unknown },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"K1\"}", IDENTITY_kid_unknown },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", IDENTITY_none }, /* one key of the type */
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"rs\"}", IDENTITY_kid_unknown }, /* RSA is not pinned here: dropped */
		{ "[]", IDENTITY_header_not_json },
		{ "\"ES256\"", IDENTITY_header_not_json },
		{ "null", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}x", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}{}", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\",}", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\xff\"}", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\xc0\xaf\"}", IDENTITY_header_not_json }, /* overlong */
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\xed\xa0\x80\"}", IDENTITY_header_not_json }, /* surrogate */
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"\\ud800\"}", IDENTITY_header_not_json },
		{ "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k\n1\"}", IDENTITY_header_not_json }, /* raw control character */
		{ "{\"a\":[[[[[[[[[]]]]]]]]]}", IDENTITY_header_depth },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(rows[i].header, kit_token(KIT_P256, "ES256", rows[i].header, fixture_payload(CORP, NULL, NULL, "")), rows[i].reason);
}

static void long_kid(void **state)
{
	char kid[400] = "";
	static char header[600];

	memset(kid, 'k', 257);
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid);
	expect("kid of 257", kit_token(KIT_P256, "ES256", header, fixture_payload(CORP, NULL, NULL, "")), IDENTITY_kid_too_long);
	kid[256] = 0;
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid);
	expect("kid of 256", kit_token(KIT_P256, "ES256", header, fixture_payload(CORP, NULL, NULL, "")), IDENTITY_kid_unknown);
}

/* What the header says, with a signature that is good for what the key can do. */
static void algorithms(void **state)
{
	static const struct {
		unsigned issuer;
		enum kit_key key;
		const char *signed_as, *alg, *kid;
		enum identity_reason reason;
	} rows[] = {
		{ CORP, KIT_P256, "ES256", "none", "k1", IDENTITY_alg_none },
		{ CORP, KIT_P256, "ES256", "None", "k1", IDENTITY_alg_none },
		{ CORP, KIT_P256, "ES256", "NONE", "k1", IDENTITY_alg_none },
		{ CORP, KIT_P256, "ES256", "nOnE", "k1", IDENTITY_alg_none },
		{ CORP, KIT_P256, "ES256", "none ", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "es256", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "ES256K", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "ES512", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "EdDSA", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "RS384", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "HS256", "k1", IDENTITY_alg_symmetric },
		{ CORP, KIT_P256, "ES256", "HS512", "k1", IDENTITY_alg_symmetric },
		{ CORP, KIT_P256, "ES256", "dir", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "RSA-OAEP", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P256, "ES256", "ES256,none", "k1", IDENTITY_alg_unsupported },
		{ CORP, KIT_P384, "ES384", "ES384", "k384", IDENTITY_alg_not_pinned },
		{ CORP, KIT_RSA2048, "RS256", "RS256", "rs", IDENTITY_alg_not_pinned },
		{ CORP, KIT_P384, "ES256", "ES256", "k384", IDENTITY_kid_unknown },
		{ CORP, KIT_P256_OTHER, "ES256", "ES256", "k1", IDENTITY_signature_bad },
		{ CORP, KIT_K256, "ES256", "ES256", "k1", IDENTITY_signature_bad },
		{ CORP, KIT_P384, "ES256", "ES256", "k1", IDENTITY_signature_length },
		{ CORP, KIT_P521, "ES256", "ES256", "k1", IDENTITY_signature_length },
		{ CORP, KIT_RSA2048, "RS256", "ES256", "k1", IDENTITY_signature_length },
		{ CURVES, KIT_P384, "ES384", "ES384", "k384", IDENTITY_none },
		{ CURVES, KIT_P256, "ES256", "ES256", "k1", IDENTITY_none },
		{ CURVES, KIT_P384, "ES256", "ES256", "k384", IDENTITY_alg_not_of_key }, /* libcjose accepts: curve not compared */
		{ CURVES, KIT_P256, "ES384", "ES384", "k1", IDENTITY_alg_not_of_key },
		{ CURVES, KIT_P521, "ES256", "ES256", "k521", IDENTITY_kid_unknown },
		{ RSAS, KIT_RSA2048, "RS256", "RS256", "rs", IDENTITY_none },
		{ RSAS, KIT_RSA2048_OTHER, "PS256", "PS256", "ps", IDENTITY_none },
		{ RSAS, KIT_RSA2048, "PS256", "PS256", "rs", IDENTITY_alg_not_of_key }, /* libcjose accepts both */
		{ RSAS, KIT_RSA2048_OTHER, "RS256", "RS256", "ps", IDENTITY_alg_not_of_key },
		{ RSAS, KIT_RSA2048, "PS256", "RS256", "rs", IDENTITY_signature_bad },
		{ RSAS, KIT_RSA2048_OTHER, "RS256", "PS256", "ps", IDENTITY_signature_bad },
		{ RSAS, KIT_RSA2048_OTHER, "RS256", "RS256", "rs", IDENTITY_signature_bad },
		{ RSAS, KIT_RSA1024, "RS256", "RS256", "rs", IDENTITY_signature_length },
		{ RSAS, KIT_P256, "ES256", "RS256", "rs", IDENTITY_signature_length },
		{ RSAS, KIT_P256, "ES256", "ES256", "k1", IDENTITY_alg_not_pinned },
		{ OTHER_KEYS, KIT_P256_OTHER, "ES256", "ES256", "k1", IDENTITY_none },
		{ OTHER_KEYS, KIT_P256, "ES256", "ES256", "k1", IDENTITY_signature_bad }, /* the same kid at another issuer */
	};
	char header[128];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", rows[i].alg, rows[i].kid);
		snprintf(scratch, 64, "row %zu, %s", i, rows[i].alg);
		expect(scratch, kit_token(rows[i].key, rows[i].signed_as, header, fixture_payload(rows[i].issuer, NULL, NULL, "")), rows[i].reason);
	}
}

/* HS256 with everything of the public key that could serve as a secret. */
static void public_key_as_secret(void **state)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}";
	unsigned char *der = NULL;
	int der_len = i2d_PUBKEY(kit_pkey(KIT_P256), &der);
	const char *jwk = kit_jwk(KIT_P256, "");
	BIO *pem = BIO_new(BIO_s_mem());
	char *pem_text = NULL;
	long pem_len = pem && PEM_write_bio_PUBKEY(pem, kit_pkey(KIT_P256)) == 1 ? BIO_get_mem_data(pem, &pem_text) : 0;
	struct bytes secrets[] = { bytes_of(der, (size_t)der_len), bytes_str(jwk), bytes_str(kit_number(KIT_P256, "x")), bytes_str(""),
				   bytes_of(pem_text, (size_t)pem_len), bytes_of(pem_text, (size_t)pem_len - 1) /* without its line end */ };

	assert_true(pem_len > 100);

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		expect("HS256", kit_token_hmac(secrets[i], header, fixture_payload(CORP, NULL, NULL, "")), IDENTITY_alg_symmetric);
	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		expect("HMAC under ES256", kit_token_hmac(secrets[i], ES256_HEADER, fixture_payload(CORP, NULL, NULL, "")), IDENTITY_signature_length);
	OPENSSL_free(der);
	BIO_free(pem);
}

/* Signatures that are none: empty, zero, of an odd length. */
static void hollow_signatures(void **state)
{
	struct bytes token = good();
	static const size_t lengths[] = { 1, 32, 63, 64, 65, 128 };
	const size_t kept = token.len - 86;
	uint8_t zero[128] = { 0 };

	memcpy(scratch, token.base, kept);
	expect("empty", bytes_of(scratch, kept), IDENTITY_signature_missing);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		const char *text = kit_base64url(bytes_of(zero, lengths[i]));

		memcpy(scratch + kept, text, strlen(text));
		expect("zeros", bytes_of(scratch, kept + strlen(text)), lengths[i] == 64 ? IDENTITY_signature_bad : IDENTITY_signature_length);
	}
}

static void payloads(void **state)
{
	static char deep[24000];
	static const struct {
		const char *payload;
		enum identity_reason reason;
	} rows[] = {
		{ "", IDENTITY_payload_not_json },
		{ "{}", IDENTITY_iss_missing },
		{ "[]", IDENTITY_payload_not_json },
		{ "null", IDENTITY_payload_not_json },
		{ "\"iss\"", IDENTITY_payload_not_json },
		{ " {\"iss\":\"" ISS "\"}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\"}\n", IDENTITY_payload_not_json },
		{ "\xef\xbb\xbf{\"iss\":\"" ISS "\"}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"x\",\"iss\":\"" ISS "\"}", IDENTITY_payload_duplicate },
		{ "{\"iss\":\"x\",\"\\u0069ss\":\"" ISS "\"}", IDENTITY_payload_duplicate },
		{ "{\"iss\":\"" ISS "\",\"a\":{\"b\":1,\"b\":2}}", IDENTITY_payload_duplicate },
		{ "{\"iss\":\"" ISS "\\u0000\"}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"exp\":1e400}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"exp\":99999999999999999999}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"exp\":NaN}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"exp\":0x10}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"exp\":+1}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"exp\":01}", IDENTITY_payload_not_json },
		{ "{'iss':'" ISS "'}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\"/**/}", IDENTITY_payload_not_json },
		{ "{\"iss\":\"" ISS "\",\"sub\":\"\xfe\"}", IDENTITY_payload_not_json },
		{ "{\"a\":[[[[[[[[[[]]]]]]]]]]}", IDENTITY_payload_depth },
		{ deep, IDENTITY_payload_depth },
	};

	memset(deep, '[', 10000);
	memcpy(deep, "{\"a\":", 5);
	deep[10000] = '}';
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(rows[i].payload, kit_token(KIT_P256, "ES256", ES256_HEADER, rows[i].payload), rows[i].reason);
}

static void issuers(void **state)
{
	static const struct {
		const char *iss;
		enum identity_reason reason;
	} rows[] = {
		{ "\"" ISS "\"", IDENTITY_none },
		{ "\"" ISS "/\"", IDENTITY_issuer_unknown },
		{ "\"https://idp.example/realms/cor\"", IDENTITY_issuer_unknown },
		{ "\"https://idp.example/realms/corpx\"", IDENTITY_issuer_unknown },
		{ "\"https://idp.example/realms/Corp\"", IDENTITY_issuer_unknown },
		{ "\"HTTPS://idp.example/realms/corp\"", IDENTITY_issuer_unknown },
		{ "\"https://IDP.example/realms/corp\"", IDENTITY_issuer_unknown },
		{ "\"http://idp.example/realms/corp\"", IDENTITY_issuer_unknown },
		{ "\"https://idp.example:443/realms/corp\"", IDENTITY_issuer_unknown },
		{ "\"https://idp.example/realms/%63orp\"", IDENTITY_issuer_unknown },
		{ "\" " ISS "\"", IDENTITY_issuer_unknown },
		{ "\"\"", IDENTITY_iss_missing },
		{ "1", IDENTITY_iss_missing },
		{ "null", IDENTITY_iss_missing },
		{ "[\"" ISS "\"]", IDENTITY_iss_missing },
		{ NULL, IDENTITY_iss_missing },
		{ "\"https://idp.example/realms/corp2\"", IDENTITY_aud_wrong }, /* another tenant, same keys, token meant for corp */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect(rows[i].iss ? rows[i].iss : "absent", kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(CORP, "iss", rows[i].iss, "")), rows[i].reason);
}

/* Nothing of a hostile token reaches the journal as it is. */
static void failure_is_shown_clean(void **state)
{
	static const char header[] = "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"a\\u001b[31mred\\u202e\"}";
	struct identity_login login = { .now = fixture_clock(0) };
	struct identity_failure why;
	struct principal *p;

	login.token = kit_token(KIT_P256, "ES256", header, fixture_payload(CORP, NULL, NULL, ""));
	assert_int_equal(identity_verify(id, &login, &p, &why), IDENTITY_REFUSED);
	assert_int_equal(why.reason, IDENTITY_kid_unknown);
	assert_string_equal(why.kid, "a?[31mred???");
	assert_string_equal(why.issuer, "corp");
	assert_string_equal(why.alg, "ES256");
	assert_string_equal(why.claim, "kid");
}

static int open_all(void **state)
{
	id = fixture_identity();
	return 0;
}

static int close_all(void **state)
{
	identity_destroy(id);
	kit_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_token), cmocka_unit_test(tails), cmocka_unit_test(segments), cmocka_unit_test(malleable),
		cmocka_unit_test(lengths), cmocka_unit_test(headers), cmocka_unit_test(long_kid), cmocka_unit_test(algorithms),
		cmocka_unit_test(public_key_as_secret), cmocka_unit_test(hollow_signatures), cmocka_unit_test(payloads),
		cmocka_unit_test(issuers), cmocka_unit_test(failure_is_shown_clean),
	};

	return cmocka_run_group_tests_name("jwt", tests, open_all, close_all);
}
