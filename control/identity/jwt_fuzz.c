/* jwt_fuzz.c: hostile tokens through the whole verifier.
 *
 * The first byte chooses the shape: 0, the rest is the token as it is; 1, the rest is `header NUL payload NUL signature`,
 * which is encoded here, so that the parsers behind base64url are reached; 2, the rest is a payload, and the claims and
 * the mapping are judged as if its signature had been good. Nothing is ever accepted in shapes 0 and 1: no input is signed. */
#include <stdlib.h>
#include <string.h>

#include "control/identity/base64url.h"
#include "control/identity/claims.h"
#include "control/identity/identity.h"
#include "control/identity/json.h"
#include "control/identity/mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys[] =
	"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k1\",\"x\":\"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4\",\"y\":\"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM\"},"
	"{\"kty\":\"RSA\",\"kid\":\"k2\",\"e\":\"AQAB\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi"
	"FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWh"
	"AI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\"}]}";

static const struct identity_issuer entry = {
	.name = "a", .issuer = "https://a", .audience = "x", .algs = { "ES256", "RS256" }, .typ = { "JWT", "at+jwt" }, .skew_s = 30, .jwks_uri = "https://a/k",
	.map = { "p", "act.sub", "r", "g.h", "https://q" },
};

static struct identity *verifier(void)
{
	struct identity_clock now = { .wall_s = 1800000000, .mono_s = 1 };
	struct identity_fetch fetch;
	char why[128];
	struct identity *id = identity_create(&entry, 1, NULL, why, sizeof(why));

	if (!id || !identity_wants_fetch(id, now, &fetch) || !identity_fetched(id, fetch.id, 200, bytes_str(keys), now).good)
		abort();
	return id;
}

static void judge(struct bytes payload)
{
	struct principal shape = { 0 }, *p;
	struct claims_times times;
	const char *at_fault = NULL;
	json_t *json = NULL;

	if (json_strict(payload, JSON_DEPTH_PAYLOAD_MAX, JSON_EXACT, &json) != JSON_GOOD)
		return;
	(void)claims_check(json, &entry, 1800000000, &times, &at_fault);
	(void)claims_check_cnf(json, &entry, (const uint8_t *)keys, &shape);
	if (mapping_apply(json, &entry, &shape, &at_fault) == IDENTITY_none) {
		p = principal_create(&shape);
		if (!p || strlen(p->sub) > LIMIT_CLAIM_BYTES)
			abort();
		principal_put(p);
	}
	json_decref(json);
}

static struct bytes encode(struct reader *r, uint8_t *out, size_t size)
{
	struct writer w = writer_of(out, size);
	struct bytes header = reader_cstr(r), payload;

	payload = reader_cstr(r);
	base64url_encode(&w, header);
	writer_u8(&w, '.');
	base64url_encode(&w, payload);
	writer_u8(&w, '.');
	base64url_encode(&w, reader_rest(r));
	return writer_done(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct identity *id;
	static uint8_t text[32768];
	struct reader r = reader_of(data, size);
	uint8_t shape = reader_u8(&r) % 3;
	struct identity_login login = { .now = { .wall_s = 1800000000, .mono_s = 2 }, .epoch = 1 };
	struct identity_failure why;
	struct principal *p;

	if (!id)
		id = verifier();
	if (shape == 2) {
		judge(reader_rest(&r));
		return 0;
	}
	login.token = shape == 1 ? encode(&r, text, sizeof(text)) : reader_rest(&r);
	if (identity_verify(id, &login, &p, &why) == IDENTITY_ACCEPTED || p || why.reason == IDENTITY_none)
		abort();
	return 0;
}
