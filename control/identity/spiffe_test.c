/* spiffe_test.c: JWT-SVIDs (SPIFFE JWT-SVID 2, 3, 6; SPIFFE-ID 2; identity.md 4 and 5): which issuer a token belongs to, what it has to
 * say, which keys of a bundle may speak, and how the bundle's pace is kept. Signatures are libcrypto's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/identity/token_fixture.h"

#define AGENT "spiffe://example.org/agent/billing-1"
#define SVID_HEADER "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JWT\"}"

/* The mesh, a second mesh whose server writes `iss`, and an OIDC provider. */
static const struct identity_issuer entries[] = {
	{ .name = "mesh", .spiffe = true, .trust_domain = "example.org", .audience = "sluice:prod", .skew_s = 30, .jwks_uri = "https://spire.example/bundle" },
	{ .name = "named", .spiffe = true, .trust_domain = "named.example", .issuer = "https://spire.named.example", .audience = "sluice:prod", .skew_s = 30,
	  .jwks_uri = "https://spire.named.example/bundle", .map = { .run = "run" } },
	{ .name = "corp", .issuer = "https://idp.example", .audience = "sluice:prod", .skew_s = 30, .jwks_uri = "https://idp.example/keys" },
};

static struct identity *id;

static const char *bundle_of(const char *hint)
{
	static char text[KIT_TEXT_BYTES];

	snprintf(text, sizeof(text), "{\"keys\":[%s,%s,%s,%s],\"spiffe_sequence\":7%s}", kit_jwk(KIT_P256, ",\"kid\":\"k1\",\"use\":\"jwt-svid\""),
		 kit_jwk(KIT_P384, ",\"kid\":\"k384\",\"use\":\"jwt-svid\""), kit_jwk(KIT_RSA2048, ",\"kid\":\"rs\",\"use\":\"jwt-svid\""),
		 kit_jwk(KIT_P256_OTHER, ",\"use\":\"x509-svid\",\"x5c\":[\"AAAA\"]"), hint);
	return text;
}

static unsigned serve(struct identity *of, int64_t offset_s, const char *body)
{
	struct identity_fetch fetch;
	unsigned count = 0;

	for (; identity_wants_fetch(of, fixture_clock(offset_s), &fetch); count++)
		(void)identity_fetched(of, fetch.id, 200, bytes_str(body), fixture_clock(offset_s));
	return count;
}

static int open_all(void **state)
{
	char why[256];

	id = identity_create(entries, sizeof(entries) / sizeof(entries[0]), NULL, why, sizeof(why));
	assert_non_null(id);
	return serve(id, 0, bundle_of("")) != 3;
}

static int close_all(void **state)
{
	identity_destroy(id);
	kit_close();
	return 0;
}

static const char *payload(const char *sub, const char *aud, const char *more)
{
	static char text[KIT_TEXT_BYTES];

	snprintf(text, sizeof(text), "{%s%s%s%s\"iat\":1800000000,\"exp\":1800000300%s}", sub ? "\"sub\":" : "", sub ? sub : "", sub ? "," : "",
		 aud ? aud : "", more);
	return text;
}

static enum identity_reason verify(enum kit_key key, const char *alg, const char *header, const char *text, struct principal **out)
{
	return fixture_verify_with(id, kit_token(key, alg, header, text), 0, NULL, out);
}

static enum identity_reason judge(const char *sub, const char *aud, const char *more)
{
	struct principal *p;
	enum identity_reason reason = verify(KIT_P256, "ES256", SVID_HEADER, payload(sub, aud, more), &p);

	principal_put(p);
	return reason;
}

#define AUD "\"aud\":[\"sluice:prod\"],"

static void a_workload_is_an_agent_of_its_trust_domain(void **state)
{
	struct principal *p;

	assert_int_equal(verify(KIT_P256, "ES256", SVID_HEADER, payload("\"" AGENT "\"", AUD, ""), &p), IDENTITY_none);
	assert_string_equal(p->issuer, "mesh");
	assert_string_equal(p->iss, "spiffe://example.org");
	assert_string_equal(p->sub, AGENT);
	assert_string_equal(p->agent, AGENT);
	assert_string_equal(p->person, "");
	assert_true(identity_still_valid(id, p, fixture_clock(0)));
	principal_put(p);
}

static void what_the_subject_has_to_be(void **state)
{
	static const struct {
		const char *sub;
		enum identity_reason reason;
	} rows[] = {
		{ "\"spiffe://example.org/a\"", IDENTITY_none },
		{ "\"spiffe://example.org/A-z_0.9/b\"", IDENTITY_none },
		{ "\"spiffe://example.org/...\"", IDENTITY_none },
		{ NULL, IDENTITY_iss_missing },
		{ "7", IDENTITY_iss_missing },
		{ "\"\"", IDENTITY_iss_missing },
		{ "\"alice\"", IDENTITY_iss_missing },
		{ "\"spiffe://example.org\"", IDENTITY_iss_missing },       /* the domain itself */
		{ "\"spiffe://example.orgx/a\"", IDENTITY_iss_missing },
		{ "\"spiffe://xexample.org/a\"", IDENTITY_iss_missing },
		{ "\"spiffe://Example.org/a\"", IDENTITY_iss_missing },
		{ "\"spiffe://named.example/a\"", IDENTITY_iss_missing },   /* that domain's tokens carry iss */
		{ "\"spiffe://evil.example/example.org/a\"", IDENTITY_iss_missing },
		{ "\"SPIFFE://example.org/a\"", IDENTITY_iss_missing },
		{ "\"https://example.org/a\"", IDENTITY_iss_missing },
		{ "\"spiffe://example.org/\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a/\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org//a\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a//b\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/.\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/..\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a/../b\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a/./b\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/%61\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a?b\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a#b\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/a b\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/*\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org/\\u00e4\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://example.org:8443/a\"", IDENTITY_iss_missing },
		{ "\"spiffe://u@example.org/a\"", IDENTITY_iss_missing },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (judge(rows[i].sub, AUD, "") != rows[i].reason)
			fail_msg("%s: %s", rows[i].sub ? rows[i].sub : "absent", identity_reason_name(judge(rows[i].sub, AUD, "")));
}

static void the_audience_is_not_optional(void **state)
{
	static const struct {
		const char *aud, *more;
		enum identity_reason reason;
	} rows[] = {
		{ "", "", IDENTITY_aud_missing },
		{ "\"aud\":[],", "", IDENTITY_aud_missing },
		{ "\"aud\":null,", "", IDENTITY_aud_type },
		{ "\"aud\":\"sluice:prod\",", "", IDENTITY_none },
		{ "\"aud\":[\"sluice:prod\"],", "", IDENTITY_none },
		{ "\"aud\":[\"spiffe://example.org/other\"],", "", IDENTITY_aud_wrong },
		{ "\"aud\":[\"sluice:prod2\"],", "", IDENTITY_aud_wrong },
		{ "\"aud\":[\"sluice:prod\",7],", "", IDENTITY_aud_type },
		{ "\"aud\":[\"sluice:prod\",\"other\"],", "", IDENTITY_client_missing }, /* a token for two is the other's to replay */
		{ AUD, ",\"exp\":1800000300", IDENTITY_payload_duplicate },
		{ AUD, ",\"nbf\":1800000031", IDENTITY_nbf_future },
		{ AUD, ",\"nonce\":\"n\"", IDENTITY_id_token },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (judge("\"" AGENT "\"", rows[i].aud, rows[i].more) != rows[i].reason)
			fail_msg("%s%s: %s", rows[i].aud, rows[i].more, identity_reason_name(judge("\"" AGENT "\"", rows[i].aud, rows[i].more)));
}

/* `iss` is exact where it is there; a domain cannot speak for another, nor an identity provider for a domain. */
static void who_vouches(void **state)
{
	static const struct {
		const char *sub, *iss;
		enum identity_reason reason;
	} rows[] = {
		{ "\"" AGENT "\"", ",\"iss\":\"spiffe://example.org\"", IDENTITY_none },
		{ "\"" AGENT "\"", ",\"iss\":\"spiffe://example.org/\"", IDENTITY_issuer_unknown },
		{ "\"" AGENT "\"", ",\"iss\":\"https://example.org\"", IDENTITY_issuer_unknown },
		{ "\"" AGENT "\"", ",\"iss\":\"\"", IDENTITY_iss_missing },
		{ "\"" AGENT "\"", ",\"iss\":null", IDENTITY_iss_missing },
		{ "\"" AGENT "\"", ",\"iss\":[\"spiffe://example.org\"]", IDENTITY_iss_missing },
		{ "\"" AGENT "\"", ",\"iss\":\"https://spire.named.example\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://named.example/a\"", ",\"iss\":\"https://spire.named.example\"", IDENTITY_none },
		{ "\"spiffe://named.example/a\"", ",\"iss\":\"spiffe://example.org\"", IDENTITY_sub_not_spiffe },
		{ "\"spiffe://named.example/a\"", ",\"iss\":\"spiffe://named.example\"", IDENTITY_issuer_unknown },
		{ "\"spiffe://named.example/a\"", ",\"iss\":\"https://idp.example\"", IDENTITY_typ_wrong },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (judge(rows[i].sub, AUD, rows[i].iss) != rows[i].reason)
			fail_msg("%s%s: %s", rows[i].sub, rows[i].iss, identity_reason_name(judge(rows[i].sub, AUD, rows[i].iss)));
}

static void headers_and_algorithms(void **state)
{
	static const struct {
		enum kit_key key;
		const char *alg, *header;
		enum identity_reason reason;
	} rows[] = {
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\"}", IDENTITY_none },
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JOSE\"}", IDENTITY_none },
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"jwt\"}", IDENTITY_typ_wrong },
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}", IDENTITY_typ_wrong },
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"\"}", IDENTITY_typ_wrong },
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"typ\":\"JWT\"}", IDENTITY_none }, /* one ES256 key in the bundle */
		{ KIT_P384, "ES384", "{\"alg\":\"ES384\",\"kid\":\"k384\"}", IDENTITY_none },
		{ KIT_RSA2048, "RS256", "{\"alg\":\"RS256\",\"kid\":\"rs\"}", IDENTITY_none },
		{ KIT_RSA2048, "PS256", "{\"alg\":\"PS256\",\"kid\":\"rs\"}", IDENTITY_alg_not_of_key },
		{ KIT_P256_OTHER, "ES256", SVID_HEADER, IDENTITY_signature_bad }, /* the X.509 key, under the other's name */
		{ KIT_P256, "ES256", "{\"alg\":\"HS256\",\"kid\":\"k1\"}", IDENTITY_alg_symmetric },
		{ KIT_P256, "ES256", "{\"alg\":\"none\",\"kid\":\"k1\"}", IDENTITY_alg_none },
		{ KIT_P256, "ES256", "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}", IDENTITY_alg_unsupported },
		{ KIT_P256, "ES256", "{\"alg\":\"ES512\",\"kid\":\"k1\"}", IDENTITY_alg_unsupported },
		{ KIT_P256, "ES256", "{\"alg\":\"ES256\",\"kid\":\"k1\",\"jku\":\"https://evil\"}", IDENTITY_header_member_refused },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct principal *p;
		enum identity_reason got = verify(rows[i].key, rows[i].alg, rows[i].header, payload("\"" AGENT "\"", AUD, ""), &p);

		principal_put(p);
		if (got != rows[i].reason)
			fail_msg("%s: %s", rows[i].header, identity_reason_name(got));
	}
}

/* JWT-SVID 6.2: `use` says what a key is for and `kid` is there; a bundle's X.509 keys are nobody's fault. */
static void keys_of_a_bundle(void **state)
{
	static const struct {
		const char *members;
		unsigned keys, dropped;
	} rows[] = {
		{ ",\"kid\":\"k1\",\"use\":\"jwt-svid\"", 1, 0 },
		{ ",\"kid\":\"k1\",\"use\":\"x509-svid\"", 0, 0 },
		{ ",\"kid\":\"k1\",\"use\":\"sig\"", 0, 1 },
		{ ",\"kid\":\"k1\",\"use\":\"JWT-SVID\"", 0, 1 },
		{ ",\"kid\":\"k1\",\"use\":7", 0, 1 },
		{ ",\"kid\":\"k1\"", 0, 1 },
		{ ",\"use\":\"jwt-svid\"", 0, 1 },
		{ ",\"kid\":\"\",\"use\":\"jwt-svid\"", 0, 1 },
		{ ",\"kid\":\"k1\",\"use\":\"jwt-svid\",\"d\":\"AAAA\"", 0, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[256], body[KIT_TEXT_BYTES];
		struct identity *one = identity_create(entries, 1, NULL, why, sizeof(why));
		struct identity_fetch_report report;
		struct identity_fetch fetch;

		snprintf(body, sizeof(body), "{\"keys\":[%s]}", kit_jwk(KIT_P256, rows[i].members));
		assert_true(identity_wants_fetch(one, fixture_clock(0), &fetch));
		assert_int_equal(fetch.kind, IDENTITY_FETCH_KEYS);
		assert_string_equal(fetch.url, "https://spire.example/bundle");
		report = identity_fetched(one, fetch.id, 200, bytes_str(body), fixture_clock(0));
		if (report.keys != rows[i].keys || report.keys_dropped != rows[i].dropped || report.good != (rows[i].keys > 0))
			fail_msg("%s: %u keys, %u dropped", rows[i].members, report.keys, report.keys_dropped);
		identity_destroy(one);
	}
	/* And the other way round: a bundle's key is none of an OIDC provider's. */
	assert_int_equal(identity_status_of(id, 2, fixture_clock(0)).keys, 0);
}

static void the_bundle_sets_its_pace_within_ours(void **state)
{
	static const struct {
		const char *hint;
		int64_t every_s;
	} rows[] = {
		{ "", 600 }, { ",\"spiffe_refresh_hint\":60", 60 }, { ",\"spiffe_refresh_hint\":30", 30 }, { ",\"spiffe_refresh_hint\":1", 30 },
		{ ",\"spiffe_refresh_hint\":599", 599 }, { ",\"spiffe_refresh_hint\":601", 600 }, { ",\"spiffe_refresh_hint\":9007199254740993", 600 },
		{ ",\"spiffe_refresh_hint\":0", 600 }, { ",\"spiffe_refresh_hint\":-5", 600 }, { ",\"spiffe_refresh_hint\":\"60\"", 600 },
		{ ",\"spiffe_refresh_hint\":60.5", 600 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char why[256];
		struct identity *one = identity_create(entries, 1, NULL, why, sizeof(why));

		assert_int_equal(serve(one, 0, bundle_of(rows[i].hint)), 1);
		assert_int_equal(serve(one, rows[i].every_s - 1, bundle_of(rows[i].hint)), 0);
		assert_int_equal(serve(one, rows[i].every_s, bundle_of(rows[i].hint)), 1);
		identity_destroy(one);
	}
}

static void entries_that_are_none(void **state)
{
	static const struct identity_issuer rows[] = {
		{ .name = "a", .spiffe = true, .audience = "x", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "Example.org", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "example.org/x", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "spiffe://example.org", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "example.org:1", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "example.org" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "example.org", .jwks_uri = "http://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "example.org", .jwks_uri = "https://a", .issuer = "spiffe://other.example" },
		{ .name = "a", .spiffe = true, .trust_domain = "example.org", .jwks_uri = "https://a" },
		{ .name = "a", .spiffe = true, .audience = "x", .trust_domain = "example.org", .jwks_uri = "https://a", .algs = { "HS256" } },
	};
	const struct identity_issuer twice[] = { entries[0], { .name = "again", .spiffe = true, .trust_domain = "example.org", .audience = "y", .jwks_uri = "https://b" } };
	char why[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (identity_create(&rows[i], 1, NULL, why, sizeof(why)) || !why[0])
			fail_msg("row %zu was taken", i);
	assert_null(identity_create(twice, 2, NULL, why, sizeof(why)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_workload_is_an_agent_of_its_trust_domain), cmocka_unit_test(what_the_subject_has_to_be),
		cmocka_unit_test(the_audience_is_not_optional), cmocka_unit_test(who_vouches), cmocka_unit_test(headers_and_algorithms),
		cmocka_unit_test(keys_of_a_bundle), cmocka_unit_test(the_bundle_sets_its_pace_within_ours), cmocka_unit_test(entries_that_are_none),
	};

	return cmocka_run_group_tests_name("spiffe", tests, open_all, close_all);
}
