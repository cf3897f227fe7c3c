/* claims_test.c: well-signed tokens whose claims are wrong, at every boundary; what becomes of those that are right
 * (identity.md 4, 6, 10.1, 10.4, 10.7, 10.9). NOW is 1,800,000,000; the skew of "corp" is 30 s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/identity/token_fixture.h"

static struct identity *id;

struct row {
	unsigned issuer;
	const char *name, *value; /* JSON; NULL: the claim is absent */
	enum identity_reason reason;
};

static struct bytes token_of(unsigned issuer, const char *name, const char *value, const char *more)
{
	const char *header = issuer == MESH ? "{\"alg\":\"ES256\",\"typ\":\"JWT\",\"kid\":\"k1\"}" : ES256_HEADER;
	enum kit_key key = issuer == OTHER_KEYS ? KIT_P256_OTHER : KIT_P256;

	if (issuer == RSAS)
		return kit_token(KIT_RSA2048, "RS256", "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"rs\"}", fixture_payload(issuer, name, value, more));
	return kit_token(key, "ES256", header, fixture_payload(issuer, name, value, more));
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum identity_reason got = fixture_verify(id, token_of(rows[i].issuer, rows[i].name, rows[i].value, ""), 0);

		if (got != rows[i].reason)
			fail_msg("row %zu, %s = %s: %s, not %s", i, rows[i].name, rows[i].value ? rows[i].value : "absent", identity_reason_name(got),
				 identity_reason_name(rows[i].reason));
	}
}

static void times(void **state)
{
	static const struct row rows[] = {
		{ CORP, "exp", "1800000001", IDENTITY_none },
		{ CORP, "exp", "1799999999", IDENTITY_lifetime_negative }, /* within the skew, but before iat */
		{ CORP, "exp", "1800000000", IDENTITY_lifetime_negative },
		{ CORP, "exp", "1799999970", IDENTITY_exp_passed }, /* now - skew */
		{ CORP, "exp", "1800003600", IDENTITY_none }, /* one hour */
		{ CORP, "exp", "1800003601", IDENTITY_lifetime_too_long },
		{ CORP, "exp", "2147483648", IDENTITY_lifetime_too_long },
		{ CORP, "exp", "4294967296", IDENTITY_lifetime_too_long },
		{ CORP, "exp", "9007199254740992", IDENTITY_lifetime_too_long }, /* 2^53 */
		{ CORP, "exp", "9007199254740993", IDENTITY_exp_type },
		{ CORP, "exp", "9223372036854775807", IDENTITY_exp_type },
		{ CORP, "exp", "-1", IDENTITY_exp_type },
		{ CORP, "exp", "-9223372036854775808", IDENTITY_exp_type },
		{ CORP, "exp", "0", IDENTITY_exp_passed },
		{ CORP, "exp", "1e10", IDENTITY_exp_type },
		{ CORP, "exp", "1800000300.0", IDENTITY_exp_type },
		{ CORP, "exp", "1800000300.5", IDENTITY_exp_type },
		{ CORP, "exp", "\"1800000300\"", IDENTITY_exp_type },
		{ CORP, "exp", "\"1\"", IDENTITY_exp_type },
		{ CORP, "exp", "true", IDENTITY_exp_type },
		{ CORP, "exp", "null", IDENTITY_exp_type },
		{ CORP, "exp", "[1800000300]", IDENTITY_exp_type },
		{ CORP, "exp", "{}", IDENTITY_exp_type },
		{ CORP, "exp", NULL, IDENTITY_exp_missing },
		{ CORP, "iat", "1800000030", IDENTITY_none },
		{ CORP, "iat", "1800000031", IDENTITY_iat_future },
		{ CORP, "iat", "1799996700", IDENTITY_none }, /* one hour before exp */
		{ CORP, "iat", "1799996699", IDENTITY_lifetime_too_long },
		{ CORP, "iat", "0", IDENTITY_lifetime_too_long },
		{ CORP, "iat", "-1", IDENTITY_iat_type },
		{ CORP, "iat", "9007199254740993", IDENTITY_iat_type },
		{ CORP, "iat", "1800000000.0", IDENTITY_iat_type },
		{ CORP, "iat", "\"1800000000\"", IDENTITY_iat_type },
		{ CORP, "iat", "null", IDENTITY_iat_type },
		{ CORP, "iat", NULL, IDENTITY_iat_missing },
		{ CORP, "nbf", "1800000000", IDENTITY_none },
		{ CORP, "nbf", "1800000030", IDENTITY_none },
		{ CORP, "nbf", "1800000031", IDENTITY_nbf_future },
		{ CORP, "nbf", "1800003600", IDENTITY_nbf_future },
		{ CORP, "nbf", "0", IDENTITY_none },
		{ CORP, "nbf", "-1", IDENTITY_nbf_type },
		{ CORP, "nbf", "9007199254740993", IDENTITY_nbf_type },
		{ CORP, "nbf", "\"0\"", IDENTITY_nbf_type },
		{ CORP, "nbf", "1.5", IDENTITY_nbf_type },
		{ CORP, "nbf", "null", IDENTITY_nbf_type },
		{ CORP, "auth_time", "1799990000", IDENTITY_none },
		{ CORP, "auth_time", "\"1799990000\"", IDENTITY_auth_time_type },
		{ CORP, "auth_time", "-1", IDENTITY_auth_time_type },
	};

	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

/* The same token (iat NOW, exp NOW + 300) while the clock moves. */
static void clock_moves(void **state)
{
	static const struct {
		unsigned issuer;
		int64_t offset_s;
		enum identity_reason reason;
	} rows[] = {
		{ CORP, 0, IDENTITY_none },
		{ CORP, -30, IDENTITY_none },
		{ CORP, -31, IDENTITY_iat_future },
		{ CORP, -3600, IDENTITY_iat_future },
		{ CORP, 299, IDENTITY_none },
		{ CORP, 300, IDENTITY_none }, /* exp = now */
		{ CORP, 329, IDENTITY_none },
		{ CORP, 330, IDENTITY_exp_passed },
		{ CORP, 3600, IDENTITY_exp_passed },
		{ CLIENTS, 299, IDENTITY_none }, /* no skew */
		{ CLIENTS, 300, IDENTITY_exp_passed },
		{ CLIENTS, -1, IDENTITY_iat_future },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity_clock now = { .wall_s = NOW + rows[i].offset_s, .mono_s = 1000 };
		struct identity_login login = { .now = now, .epoch = 1 };
		struct identity_failure why;
		struct principal *p;

		login.token = token_of(rows[i].issuer, "jti", "\"moving\"", "");
		(void)identity_verify(id, &login, &p, &why);
		if (why.reason != rows[i].reason)
			fail_msg("row %zu: %s", i, identity_reason_name(why.reason));
		if (p)
			assert_true(identity_still_valid(id, p, now) && p->end_s == NOW + 300 + (rows[i].issuer == CORP ? 30 : 0));
		principal_put(p);
	}
}

static void audience_and_client(void **state)
{
	static const struct row rows[] = {
		{ CORP, "aud", "\"sluice:prod\"", IDENTITY_none },
		{ CORP, "aud", "[\"sluice:prod\"]", IDENTITY_none },
		{ CORP, "aud", "\"sluice:prod \"", IDENTITY_aud_wrong },
		{ CORP, "aud", "\"Sluice:prod\"", IDENTITY_aud_wrong },
		{ CORP, "aud", "\"sluice:pro\"", IDENTITY_aud_wrong },
		{ CORP, "aud", "\"sluice:prod2\"", IDENTITY_aud_wrong },
		{ CORP, "aud", "\"sluice:test\"", IDENTITY_aud_wrong },
		{ CORP, "aud", "\"\"", IDENTITY_aud_wrong },
		{ CORP, "aud", "\"account sluice:prod\"", IDENTITY_aud_wrong },
		{ CORP, "aud", "[]", IDENTITY_aud_missing },
		{ CORP, "aud", "[1]", IDENTITY_aud_type },
		{ CORP, "aud", "[null]", IDENTITY_aud_type },
		{ CORP, "aud", "[\"sluice:prod\",1]", IDENTITY_aud_type },
		{ CORP, "aud", "[1,\"sluice:prod\"]", IDENTITY_aud_type },
		{ CORP, "aud", "[[\"sluice:prod\"]]", IDENTITY_aud_type },
		{ CORP, "aud", "{\"sluice:prod\":1}", IDENTITY_aud_type },
		{ CORP, "aud", "true", IDENTITY_aud_type },
		{ CORP, "aud", "null", IDENTITY_aud_type },
		{ CORP, "aud", NULL, IDENTITY_aud_missing },
		{ CORP, "aud", "[\"sluice:prod\",\"account\"]", IDENTITY_client_wrong }, /* two, and no client configured */
		{ CLIENTS, "aud", "[\"sluice:prod\",\"account\"]", IDENTITY_none },
		{ CLIENTS, "aud", "[\"account\",\"sluice:prod\"]", IDENTITY_none },
		{ CLIENTS, "aud", "[\"account\",\"other\"]", IDENTITY_aud_wrong },
		{ CLIENTS, "client_id", "\"robot\"", IDENTITY_none },
		{ CLIENTS, "client_id", "\"Robot\"", IDENTITY_client_wrong },
		{ CLIENTS, "client_id", "\"evil\"", IDENTITY_client_wrong },
		{ CLIENTS, "client_id", "\"\"", IDENTITY_client_wrong },
		{ CLIENTS, "client_id", "[\"psql\"]", IDENTITY_client_type },
		{ CLIENTS, "client_id", NULL, IDENTITY_client_missing },
		{ CLIENTS, "azp", "\"psql\"", IDENTITY_none },
		{ CLIENTS, "azp", "\"evil\"", IDENTITY_client_wrong }, /* though client_id is good */
		{ CLIENTS, "azp", "7", IDENTITY_client_type },
		{ CORP, "client_id", "\"anything\"", IDENTITY_none },
		{ CORP, "client_id", "7", IDENTITY_client_type },
	};

	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void subject_and_kind(void **state)
{
	static char long_sub[260];
	const struct row rows[] = {
		{ CORP, "sub", "\"\"", IDENTITY_sub_missing },
		{ CORP, "sub", NULL, IDENTITY_sub_missing },
		{ CORP, "sub", "17", IDENTITY_sub_missing },
		{ CORP, "sub", "null", IDENTITY_sub_missing },
		{ CORP, "sub", "[\"u\"]", IDENTITY_sub_missing },
		{ CORP, "sub", "\"a\\nb\"", IDENTITY_claim_unprintable },
		{ CORP, "sub", "\"a\\u001b[2J\"", IDENTITY_claim_unprintable },
		{ CORP, "sub", "\"a\\u007f\"", IDENTITY_claim_unprintable },
		{ CORP, "sub", "\"a\\u009b2J\"", IDENTITY_claim_unprintable },
		{ CORP, "sub", "\"J\\u00f6rg \\u20ac\"", IDENTITY_none },
		{ CORP, "sub", long_sub, IDENTITY_sub_too_long },
		{ CORP, "nonce", "\"n\"", IDENTITY_id_token },
		{ CORP, "at_hash", "\"n\"", IDENTITY_id_token },
		{ CORP, "c_hash", "\"n\"", IDENTITY_id_token },
		{ CORP, "s_hash", "\"n\"", IDENTITY_id_token },
		{ CORP, "events", "{}", IDENTITY_id_token },
		{ CORP, "typ", "\"ID\"", IDENTITY_id_token },
		{ CORP, "typ", "\"Refresh\"", IDENTITY_id_token },
		{ CORP, "typ", "\"Offline\"", IDENTITY_id_token },
		{ CORP, "typ", "\"Logout\"", IDENTITY_id_token },
		{ CORP, "typ", "\"Bearer\"", IDENTITY_none },
		{ CORP, "typ", "-1", IDENTITY_claim_type },
		{ CORP, "typ", "[\"ID\"]", IDENTITY_claim_type },
		{ CORP, "jti", "7", IDENTITY_claim_type },
		{ CORP, "token_use", "{}", IDENTITY_claim_type },
		{ CORP, "token_use", "\"id\"", IDENTITY_id_token },
		{ CORP, "token_use", "\"access\"", IDENTITY_none },
		{ MESH, "sub", "\"spiffe://example.org/agent/billing-1\"", IDENTITY_none },
		{ MESH, "sub", "\"spiffe://example.org\"", IDENTITY_sub_not_spiffe },
		{ MESH, "sub", "\"spiffe://example.org/\"", IDENTITY_sub_not_spiffe },
		{ MESH, "sub", "\"spiffe://example.org.evil.example/a\"", IDENTITY_sub_not_spiffe },
		{ MESH, "sub", "\"spiffe://evil.example/example.org/a\"", IDENTITY_sub_not_spiffe },
		{ MESH, "sub", "\"SPIFFE://example.org/a\"", IDENTITY_sub_not_spiffe },
		{ MESH, "sub", "\"https://example.org/a\"", IDENTITY_sub_not_spiffe },
		{ MESH, "sub", "\"u-17\"", IDENTITY_sub_not_spiffe },
	};

	memset(long_sub, 's', 258);
	long_sub[0] = long_sub[257] = '"';
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
	long_sub[256] = '"';
	long_sub[257] = 0;
	assert_int_equal(fixture_verify(id, token_of(CORP, "sub", long_sub, ""), 0), IDENTITY_none); /* 255 */
}

static void mapped_claims(void **state)
{
	static char many[8192], long_claim[300];
	const struct row rows[] = {
		{ CORP, "employee_id", NULL, IDENTITY_none },
		{ CORP, "employee_id", "\"\"", IDENTITY_none },
		{ CORP, "employee_id", "7", IDENTITY_claim_type },
		{ CORP, "employee_id", "null", IDENTITY_claim_type },
		{ CORP, "employee_id", "[\"alice\"]", IDENTITY_claim_type },
		{ CORP, "employee_id", "\"a\\u0007\"", IDENTITY_claim_unprintable },
		{ CORP, "employee_id", long_claim, IDENTITY_claim_too_long },
		{ CORP, "run_id", NULL, IDENTITY_none },
		{ CORP, "run_id", "{}", IDENTITY_claim_type },
		{ CORP, "purpose", "\"month-end\"", IDENTITY_none },
		{ CORP, "purpose", "false", IDENTITY_claim_type },
		{ CORP, "groups", NULL, IDENTITY_none },
		{ CORP, "groups", "[]", IDENTITY_none },
		{ CORP, "groups", "\"dba\"", IDENTITY_none },
		{ CORP, "groups", "[\"dba\",7]", IDENTITY_groups_type },
		{ CORP, "groups", "[\"\"]", IDENTITY_groups_type },
		{ CORP, "groups", "{\"dba\":true}", IDENTITY_groups_type },
		{ CORP, "groups", "7", IDENTITY_groups_type },
		{ CORP, "groups", "null", IDENTITY_groups_type },
		{ CORP, "groups", "[\"d\\nba\"]", IDENTITY_claim_unprintable },
		{ CORP, "groups", many, IDENTITY_groups_too_many },
		{ CORP, "_claim_names", "{\"groups\":\"src1\"}", IDENTITY_groups_overage },
		{ CORP, "_claim_names", "{\"photo\":\"src1\"}", IDENTITY_none },
		{ CORP, "_claim_names", "7", IDENTITY_groups_overage },
		{ CORP, "hasgroups", "true", IDENTITY_groups_overage },
		{ TENANT, "_claim_names", "{\"groups\":\"src1\"}", IDENTITY_none }, /* groups not mapped there */
		{ CLIENTS, "realm_access", "{\"roles\":[\"a\",\"b\"]}", IDENTITY_none },
		{ CLIENTS, "realm_access", "{\"roles\":[1]}", IDENTITY_groups_type },
		{ CLIENTS, "realm_access", "7", IDENTITY_none }, /* no such path: no groups */
		{ CLIENTS, "_claim_names", "{\"realm_access\":\"src1\"}", IDENTITY_groups_overage },
		{ RSAS, "https://example.com/groups", "[\"a\"]", IDENTITY_none },
		{ RSAS, "https://example.com/groups", "[1]", IDENTITY_groups_type },
		{ CORP, "acr", "\"gold\"", IDENTITY_none },
		{ CORP, "acr", "1", IDENTITY_claim_type },
		{ CORP, "amr", "[\"pwd\",\"otp\"]", IDENTITY_none },
		{ CORP, "amr", "[1]", IDENTITY_claim_type },
		{ CORP, "amr", "[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]", IDENTITY_claim_type },
	};
	struct writer w = writer_of(many, sizeof(many));

	writer_str(&w, "[\"g\"");
	for (unsigned i = 1; i < LIMIT_GROUPS; i++)
		writer_str(&w, ",\"g\"");
	writer_cstr(&w, "]");
	assert_int_equal(fixture_verify(id, token_of(CORP, "groups", many, ""), 0), IDENTITY_none); /* 256 */
	w.len -= 2;
	writer_cstr(&w, ",\"g\"]");
	memset(long_claim, 'c', 258);
	long_claim[0] = long_claim[257] = '"';
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void actors(void **state)
{
	static const struct row rows[] = {
		{ CORP, "act", NULL, IDENTITY_none },
		{ CORP, "act", "{\"sub\":\"a\",\"act\":{\"sub\":\"b\"}}", IDENTITY_none },
		{ CORP, "act", "{\"sub\":\"u-17\"}", IDENTITY_act_is_subject },
		{ CORP, "act", "{\"sub\":\"u-17\",\"iss\":\"" ISS "\"}", IDENTITY_act_is_subject },
		{ CORP, "act", "{\"sub\":\"u-17\",\"iss\":\"https://elsewhere.example\"}", IDENTITY_none },
		{ CORP, "act", "{\"sub\":\"alice\"}", IDENTITY_act_is_subject }, /* agent equals person */
		{ CORP, "act", "{\"sub\":\"a\",\"act\":{\"sub\":\"u-17\"}}", IDENTITY_act_is_subject },
		{ CORP, "act", "{\"sub\":\"a\",\"act\":{\"sub\":\"b\",\"act\":{\"sub\":\"a\"}}}", IDENTITY_act_loop },
		{ CORP, "act", "{\"sub\":\"a\",\"act\":{\"sub\":\"a\"}}", IDENTITY_act_loop },
		{ CORP, "act", "{\"sub\":\"a\",\"act\":{\"sub\":\"a\",\"iss\":\"https://elsewhere.example\"}}", IDENTITY_none },
		{ CORP, "act", "{\"client_id\":\"a\"}", IDENTITY_act_no_sub },
		{ CORP, "act", "{}", IDENTITY_act_no_sub },
		{ CORP, "act", "{\"sub\":\"\"}", IDENTITY_act_no_sub },
		{ CORP, "act", "{\"sub\":7}", IDENTITY_claim_type }, /* the mapping reads act.sub first */
		{ TENANT, "act", "{\"sub\":7}", IDENTITY_act_type },
		{ TENANT, "act", "{\"sub\":\"a\",\"iss\":7}", IDENTITY_claim_type },
		{ CORP, "act", "{\"sub\":\"a\",\"act\":\"b\"}", IDENTITY_act_type },
		{ CORP, "act", "{\"sub\":\"a\",\"act\":null}", IDENTITY_act_type },
		{ CORP, "act", "\"agent-7\"", IDENTITY_act_type },
		{ CORP, "act", "[{\"sub\":\"a\"}]", IDENTITY_act_type },
		{ CORP, "act", "{\"sub\":\"a\\u0000\"}", IDENTITY_payload_not_json },
		{ CORP, "act", "{\"sub\":\"a\",\"sub\":\"b\"}", IDENTITY_payload_duplicate },
		{ CORP, "may_act", "{\"sub\":\"agent-7\"}", IDENTITY_none },
		{ CORP, "may_act", "{\"sub\":\"agent-7\",\"iss\":\"" ISS "\"}", IDENTITY_none },
		{ CORP, "may_act", "{\"sub\":\"agent-8\"}", IDENTITY_may_act_mismatch },
		{ CORP, "may_act", "{\"sub\":\"agent-7\",\"iss\":\"https://elsewhere.example\"}", IDENTITY_may_act_mismatch },
		{ CORP, "may_act", "{}", IDENTITY_may_act_mismatch },
		{ CORP, "may_act", "\"agent-7\"", IDENTITY_act_type },
		{ CORP, "may_act", "{\"sub\":7}", IDENTITY_act_type },
	};

	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void actor_depth(void **state)
{
	char text[1024];

	for (unsigned depth = 7; depth <= 10; depth++) {
		struct writer w = writer_of(text, sizeof(text));
		struct principal *p;
		enum identity_reason reason;

		for (unsigned i = 0; i < depth; i++) {
			char actor[64];

			snprintf(actor, sizeof(actor), "%s{\"sub\":\"agent-%u\"", i ? ",\"act\":" : "", i);
			writer_str(&w, actor);
		}
		for (unsigned i = 0; i < depth; i++)
			writer_u8(&w, '}');
		writer_u8(&w, 0);
		reason = fixture_verify_with(id, token_of(CORP, "act", text, ""), 0, NULL, &p);
		assert_int_equal(reason, depth <= 8 ? IDENTITY_none : depth == 9 ? IDENTITY_act_depth : IDENTITY_payload_depth);
		if (p) {
			assert_int_equal(p->act_count, depth);
			assert_string_equal(p->act[0].sub, "agent-0"); /* outermost first */
			assert_string_equal(p->act[7 % depth].sub, depth == 8 ? "agent-7" : "agent-0");
			assert_string_equal(p->agent, "agent-0");
			assert_int_equal(p->act[0].kind, PRINCIPAL_AGENT);
		}
		principal_put(p);
	}
}

static void confirmation(void **state)
{
	static const uint8_t cert[32] = { 1, 2, 3 }, other[32] = { 1, 2, 4 };
	char good[128], padded[128], cut[128], both[160];
	const struct {
		unsigned issuer;
		const char *cnf;
		const uint8_t *cert;
		enum identity_reason reason;
	} rows[] = {
		{ BOUND, NULL, NULL, IDENTITY_cnf_missing },
		{ BOUND, NULL, cert, IDENTITY_cnf_missing },
		{ BOUND, good, cert, IDENTITY_none },
		{ BOUND, good, other, IDENTITY_cnf_wrong_certificate },
		{ BOUND, good, NULL, IDENTITY_cnf_no_certificate },
		{ CORP, good, cert, IDENTITY_none },
		{ CORP, good, NULL, IDENTITY_cnf_no_certificate }, /* a bound token is bound wherever it goes */
		{ CORP, NULL, cert, IDENTITY_none },
		{ CORP, "{}", cert, IDENTITY_cnf_type },
		{ CORP, "\"x\"", cert, IDENTITY_cnf_type },
		{ CORP, "null", cert, IDENTITY_cnf_type },
		{ CORP, "{\"x5t#S256\":7}", cert, IDENTITY_cnf_type },
		{ CORP, "{\"x5t#S256\":\"\"}", cert, IDENTITY_cnf_type },
		{ CORP, padded, cert, IDENTITY_cnf_type },
		{ CORP, cut, cert, IDENTITY_cnf_type },
		{ CORP, "{\"jkt\":\"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I\"}", cert, IDENTITY_cnf_unknown },
		{ CORP, "{\"jwk\":{}}", cert, IDENTITY_cnf_unknown },
		{ CORP, both, cert, IDENTITY_cnf_unknown },
	};
	const char *text = kit_base64url(bytes_of(cert, 32));

	snprintf(good, sizeof(good), "{\"x5t#S256\":\"%s\"}", text);
	snprintf(padded, sizeof(padded), "{\"x5t#S256\":\"%s=\"}", text);
	snprintf(cut, sizeof(cut), "{\"x5t#S256\":\"%.42s\"}", text);
	snprintf(both, sizeof(both), "{\"x5t#S256\":\"%s\",\"jkt\":\"x\"}", text);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct principal *p;
		enum identity_reason got = fixture_verify_with(id, token_of(rows[i].issuer, "cnf", rows[i].cnf, ""), 0, rows[i].cert, &p);

		if (got != rows[i].reason)
			fail_msg("row %zu, %s: %s, not %s", i, rows[i].cnf, identity_reason_name(got), identity_reason_name(rows[i].reason));
		if (p && rows[i].cnf) {
			assert_int_equal(p->cnf, PRINCIPAL_CNF_X5T);
			assert_memory_equal(p->cnf_sha256, cert, 32);
		}
		principal_put(p);
	}
}

/* A bound token that was accepted with its certificate is not accepted without it a moment later. */
static void bound_is_not_cached(void **state)
{
	static const uint8_t cert[32] = { 1, 2, 3 };
	static char kept[KIT_TEXT_BYTES];
	char cnf[128];
	struct principal *p;
	struct bytes token;

	snprintf(cnf, sizeof(cnf), "{\"x5t#S256\":\"%s\"}", kit_base64url(bytes_of(cert, 32)));
	token = token_of(CORP, "cnf", cnf, "");
	memcpy(kept, token.base, token.len);
	token.base = (const uint8_t *)kept;
	assert_int_equal(fixture_verify_with(id, token, 0, cert, &p), IDENTITY_none);
	principal_put(p);
	assert_int_equal(fixture_verify(id, token, 0), IDENTITY_cnf_no_certificate);
}

static void principal_holds_it_all(void **state)
{
	struct principal *p;

	assert_int_equal(fixture_verify_with(id, token_of(CORP, "acr", "\"gold\"", ",\"amr\":[\"pwd\",\"otp\"],\"auth_time\":1799990000,\"purpose\":\"month-end\""), 0, NULL, &p), IDENTITY_none);
	assert_string_equal(p->issuer, "corp");
	assert_string_equal(p->iss, ISS);
	assert_string_equal(p->sub, "u-17");
	assert_string_equal(p->person, "alice");
	assert_string_equal(p->agent, "agent-7");
	assert_string_equal(p->run, "run-1");
	assert_string_equal(p->purpose, "month-end");
	assert_string_equal(p->acr, "gold");
	assert_string_equal(p->kid, "k1");
	assert_int_equal(p->amr_count, 2);
	assert_string_equal(p->amr[1], "otp");
	assert_int_equal(p->groups_count, 2);
	assert_true(principal_has_group(p, "dba") && !principal_has_group(p, "db") && !principal_has_group(p, "DBA"));
	assert_int_equal(p->act_count, 1);
	assert_string_equal(p->act[0].iss, ISS);
	assert_int_equal(p->exp_s, NOW + 300);
	assert_int_equal(p->end_s, NOW + 330);
	assert_int_equal(p->auth_time_s, 1799990000);
	assert_int_equal(p->how, PRINCIPAL_BEARER);
	assert_int_equal(p->epoch, 1);
	assert_true(principal_same_person(p, p));
	principal_put(p);
	/* An agent without a human is its own, explicit principal; nobody's person. */
	assert_int_equal(fixture_verify_with(id, token_of(CORP, "employee_id", NULL, ""), 0, NULL, &p), IDENTITY_none);
	assert_string_equal(p->person, "");
	assert_false(principal_same_person(p, p));
	principal_put(p);
}

/* Nested actors are history: what they claim gives no rights. */
static void nested_actor_gives_nothing(void **state)
{
	struct principal *p;

	assert_int_equal(fixture_verify_with(id, token_of(CORP, "act", "{\"sub\":\"a\",\"groups\":[\"root\"],\"act\":{\"sub\":\"admin\",\"groups\":[\"root\"],\"employee_id\":\"boss\"}}", ""), 0, NULL, &p), IDENTITY_none);
	assert_string_equal(p->agent, "a");
	assert_string_equal(p->person, "alice");
	assert_false(principal_has_group(p, "root"));
	assert_int_equal(p->act_count, 2);
	principal_put(p);
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
		cmocka_unit_test(times), cmocka_unit_test(clock_moves), cmocka_unit_test(audience_and_client), cmocka_unit_test(subject_and_kind),
		cmocka_unit_test(mapped_claims), cmocka_unit_test(actors), cmocka_unit_test(actor_depth), cmocka_unit_test(confirmation),
		cmocka_unit_test(bound_is_not_cached), cmocka_unit_test(principal_holds_it_all), cmocka_unit_test(nested_actor_gives_nothing),
	};

	return cmocka_run_group_tests_name("claims", tests, open_all, close_all);
}
