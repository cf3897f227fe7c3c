/* identity_test.c: the verifier over time: loading, rotation, outage, cache, replay, reload (identity.md 3, 5, 10.3, 10.7, 10.8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/identity/token_fixture.h"

#define DISCOVERY "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://a.example/t/keys\"}"

static char kept[KIT_TEXT_BYTES];

static struct bytes keep(struct bytes token)
{
	memcpy(kept, token.base, token.len);
	return bytes_of(kept, token.len);
}

static struct bytes corp_token(const char *name, const char *value)
{
	return keep(kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(CORP, name, value, "")));
}

static struct identity *create_one(struct identity_issuer entry, struct identity *old)
{
	char why[256];
	struct identity *id = identity_create(&entry, 1, old, why, sizeof(why));

	if (!id)
		fail_msg("%s", why);
	return id;
}

static const struct identity_issuer discovering = { .name = "a", .issuer = "https://a.example/t", .audience = "x" };

/* What became of one discovery document, or one key set after a good discovery. */
static bool discovery_good(const char *issuer, unsigned status, const char *document)
{
	struct identity_issuer entry = discovering;
	struct identity *id;
	struct identity_fetch fetch;
	struct identity_fetch_report report;

	entry.issuer = issuer;
	id = create_one(entry, NULL);
	assert_true(identity_wants_fetch(id, fixture_clock(0), &fetch));
	assert_int_equal(fetch.kind, IDENTITY_FETCH_DISCOVERY);
	report = identity_fetched(id, fetch.id, status, bytes_str(document), fixture_clock(0));
	assert_true(report.known && report.good == !report.problem[0]);
	assert_int_equal(identity_wants_fetch(id, fixture_clock(0), &fetch), report.good);
	if (report.good)
		assert_int_equal(fetch.kind, IDENTITY_FETCH_KEYS);
	identity_destroy(id);
	return report.good;
}

static void discovery(void **state)
{
	static const struct {
		const char *document;
		bool good;
	} rows[] = {
		{ DISCOVERY, true },
		{ DISCOVERY "\n", true },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://A.example:443/elsewhere\"}", true },
		{ "{\"issuer\":\"https://a.example/t/\",\"jwks_uri\":\"https://a.example/t/keys\"}", false },
		{ "{\"issuer\":\"https://a.example/T\",\"jwks_uri\":\"https://a.example/t/keys\"}", false },
		{ "{\"issuer\":\"https://b.example/t\",\"jwks_uri\":\"https://a.example/t/keys\"}", false },
		{ "{\"jwks_uri\":\"https://a.example/t/keys\"}", false },
		{ "{\"issuer\":\"https://a.example/t\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"http://a.example/t/keys\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://b.example/t/keys\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://a.example:8443/t/keys\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://a.example@b.example/\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://a.example.evil.example/\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"file:///etc/passwd\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://a.example/\\u0000\"}", false },
		{ "{\"issuer\":\"https://a.example/t\",\"jwks_uri\":7}", false },
		{ "{\"issuer\":\"https://evil\",\"issuer\":\"https://a.example/t\",\"jwks_uri\":\"https://a.example/t/keys\"}", false },
		{ "<html></html>", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (discovery_good("https://a.example/t", 200, rows[i].document) != rows[i].good)
			fail_msg("%s", rows[i].document);
	assert_false(discovery_good("https://a.example/t", 302, DISCOVERY));
	assert_false(discovery_good("https://a.example/t", 500, DISCOVERY));
	assert_false(discovery_good("https://a.example/t", 0, ""));
}

static void discovery_url(void **state)
{
	static const struct {
		const char *issuer, *url;
	} rows[] = {
		{ "https://a.example", "https://a.example/.well-known/openid-configuration" },
		{ "https://a.example/", "https://a.example/.well-known/openid-configuration" },
		{ "https://a.example/t", "https://a.example/t/.well-known/openid-configuration" },
		{ "https://a.example/t/", "https://a.example/t/.well-known/openid-configuration" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity_issuer entry = discovering;
		struct identity_fetch fetch;
		struct identity *id;

		entry.issuer = rows[i].issuer;
		entry.ca = "corp.pem";
		id = create_one(entry, NULL);
		assert_true(identity_wants_fetch(id, fixture_clock(0), &fetch));
		assert_string_equal(fetch.url, rows[i].url);
		assert_string_equal(fetch.ca, "corp.pem");
		identity_destroy(id);
	}
}

static void bad_entries(void **state)
{
	static const struct {
		const char *what;
		struct identity_issuer entry;
	} rows[] = {
		{ "no name", { .issuer = "https://a", .audience = "x" } },
		{ "http", { .name = "a", .issuer = "http://a", .audience = "x" } },
		{ "no issuer", { .name = "a", .audience = "x" } },
		{ "query", { .name = "a", .issuer = "https://a/?x", .audience = "x" } },
		{ "fragment", { .name = "a", .issuer = "https://a/#x", .audience = "x" } },
		{ "user", { .name = "a", .issuer = "https://u@a/", .audience = "x" } },
		{ "no audience", { .name = "a", .issuer = "https://a" } },
		{ "empty audience", { .name = "a", .issuer = "https://a", .audience = "" } },
		{ "none", { .name = "a", .issuer = "https://a", .audience = "x", .algs = { "none" } } },
		{ "HS256", { .name = "a", .issuer = "https://a", .audience = "x", .algs = { "ES256", "HS256" } } },
		{ "alg twice", { .name = "a", .issuer = "https://a", .audience = "x", .algs = { "ES256", "ES256" } } },
		{ "typ", { .name = "a", .issuer = "https://a", .audience = "x", .typ = { "logout+jwt" } } },
		{ "skew", { .name = "a", .issuer = "https://a", .audience = "x", .skew_s = 61 } },
		{ "life", { .name = "a", .issuer = "https://a", .audience = "x", .life_s_max = 86401 } },
		{ "jwks_uri", { .name = "a", .issuer = "https://a", .audience = "x", .jwks_uri = "http://a" } },
		{ "ca path", { .name = "a", .issuer = "https://a", .audience = "x", .ca = "../ca.pem" } },
		{ "ca slash", { .name = "a", .issuer = "https://a", .audience = "x", .ca = "/etc/shadow" } },
		{ "empty path", { .name = "a", .issuer = "https://a", .audience = "x", .map = { .agent = "" } } },
		{ "empty client", { .name = "a", .issuer = "https://a", .audience = "x", .clients = { "" } } },
	};
	const struct identity_issuer twice[] = { { .name = "a", .issuer = "https://a", .audience = "x" }, { .name = "b", .issuer = "https://a", .audience = "y" } };
	char why[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity *id = identity_create(&rows[i].entry, 1, NULL, why, sizeof(why));

		if (id || !why[0])
			fail_msg("accepted: %s", rows[i].what);
	}
	assert_null(identity_create(twice, 2, NULL, why, sizeof(why)));
	assert_string_equal(why, "issuer b: name or issuer is there twice");
}

static enum identity_result verify_at(struct identity *id, struct bytes token, int64_t mono_offset_s, int64_t wall_offset_s, uint64_t epoch, struct principal **out, enum identity_reason *reason)
{
	struct identity_login login = { .token = token, .now = { .wall_s = NOW + wall_offset_s, .mono_s = 1000 + mono_offset_s }, .epoch = epoch };
	struct identity_failure why;
	enum identity_result result = identity_verify(id, &login, out, &why);

	*reason = why.reason;
	return result;
}

static enum identity_result verify_mono(struct identity *id, struct bytes token, int64_t mono_offset_s, enum identity_reason *reason)
{
	struct principal *p;
	enum identity_result result = verify_at(id, token, mono_offset_s, 0, 1, &p, reason);

	principal_put(p);
	return result;
}

/* Before any key: wait once, then the answer decides. */
static void first_login_waits(void **state)
{
	struct identity *id = create_one(fixture_issuers[CORP], NULL);
	struct bytes token = corp_token(NULL, NULL);
	struct identity_fetch fetch;
	enum identity_reason reason;

	assert_int_equal(verify_mono(id, token, 0, &reason), IDENTITY_NEEDS_KEYS);
	assert_int_equal(reason, IDENTITY_keys_unavailable);
	assert_true(identity_wants_fetch(id, fixture_clock(0), &fetch));
	assert_int_equal(fetch.kind, IDENTITY_FETCH_KEYS);
	assert_int_equal(verify_mono(id, token, 1, &reason), IDENTITY_NEEDS_KEYS);
	(void)identity_fetched(id, fetch.id, 0, (struct bytes){ 0 }, fixture_clock(1));
	assert_int_equal(verify_mono(id, token, 1, &reason), IDENTITY_REFUSED); /* no second wait within 30 s */
	assert_int_equal(verify_mono(id, token, 31, &reason), IDENTITY_NEEDS_KEYS);
	assert_int_equal(fixture_serve(id, 31), 1);
	assert_int_equal(verify_mono(id, token, 31, &reason), IDENTITY_ACCEPTED);
	identity_destroy(id);
}

static void rotation(void **state)
{
	struct identity *id = fixture_identity();
	struct bytes token = keep(kit_token(KIT_P256_OTHER, "ES256", "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k2\"}", fixture_payload(CORP, NULL, NULL, "")));
	struct identity_fetch fetch;
	struct identity_fetch_report report;
	enum identity_reason reason;
	struct principal *old_key;
	struct bytes old_token = kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(CORP, NULL, NULL, ""));
	char set[KIT_TEXT_BYTES], old_text[2048];

	memcpy(old_text, old_token.base, old_token.len);
	old_token = bytes_of(old_text, old_token.len);
	assert_int_equal(verify_at(id, old_token, 0, 0, 1, &old_key, &reason), IDENTITY_ACCEPTED);
	assert_int_equal(verify_mono(id, token, 29, &reason), IDENTITY_REFUSED);
	assert_int_equal(reason, IDENTITY_kid_unknown);
	assert_int_equal(verify_mono(id, token, 58, &reason), IDENTITY_REFUSED); /* remembered for 30 s */
	assert_int_equal(verify_mono(id, token, 60, &reason), IDENTITY_NEEDS_KEYS);
	assert_true(identity_wants_fetch(id, fixture_clock(60), &fetch));
	assert_string_equal(fetch.issuer, "corp");
	snprintf(set, sizeof(set), "{\"keys\":[%s]}", kit_jwk(KIT_P256_OTHER, ",\"kid\":\"k2\""));
	report = identity_fetched(id, fetch.id, 200, bytes_str(set), fixture_clock(60));
	assert_true(report.good && report.changed && report.keys == 1);
	assert_int_equal(verify_mono(id, token, 60, &reason), IDENTITY_ACCEPTED);
	/* The key is gone from the set: its sessions end, and its cached token is judged anew. */
	assert_false(identity_still_valid(id, old_key, fixture_clock(60)));
	principal_put(old_key);
	assert_int_equal(verify_mono(id, old_token, 60, &reason), IDENTITY_REFUSED);
	assert_int_equal(reason, IDENTITY_kid_unknown);
	assert_false(identity_fetched(id, fetch.id, 200, bytes_str(set), fixture_clock(61)).known); /* an answer comes once */
	identity_destroy(id);
}

/* A set that is bad in any way leaves the last good one in use. */
static void bad_set_keeps_the_last(void **state)
{
	static const struct {
		unsigned status;
		const char *body;
	} rows[] = {
		{ 200, "{\"keys\":[]}" }, { 200, "<html>" }, { 200, "" }, { 302, "" }, { 404, "{\"keys\":[]}" }, { 500, "" }, { 0, "" },
		{ 200, "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"k1\"}]}" },
	};
	struct identity *id = create_one(fixture_issuers[CORP], NULL);
	enum identity_reason reason;

	assert_int_equal(fixture_serve(id, 0), 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct identity_fetch fetch;
		int64_t at = 700 + 40 * (int64_t)i;

		assert_true(identity_wants_fetch(id, fixture_clock(at), &fetch));
		assert_false(identity_fetched(id, fetch.id, rows[i].status, bytes_str(rows[i].body), fixture_clock(at)).good);
		assert_int_equal(verify_mono(id, corp_token("jti", "\"j\""), at, &reason), IDENTITY_ACCEPTED);
	}
	identity_destroy(id);
}

/* 25 hours without the provider: alarm after one, refusal after 24. */
static void outage(void **state)
{
	struct identity *id = create_one(fixture_issuers[CORP], NULL);
	enum identity_reason reason;
	struct identity_fetch fetch;

	assert_int_equal(fixture_serve(id, 0), 1);
	for (int64_t at = 600; at <= 25 * 3600; at += 600) {
		while (identity_wants_fetch(id, fixture_clock(at), &fetch))
			(void)identity_fetched(id, fetch.id, 0, (struct bytes){ 0 }, fixture_clock(at));
		assert_int_equal(verify_mono(id, corp_token(NULL, NULL), at, &reason), at <= 24 * 3600 ? IDENTITY_ACCEPTED : IDENTITY_REFUSED);
		assert_int_equal(reason, at <= 24 * 3600 ? IDENTITY_none : IDENTITY_keys_stale);
		assert_int_equal(identity_status_of(id, 0, fixture_clock(at)).alarm, at > 3600);
	}
	/* Nobody knows who was revoked meanwhile: from the hour on, or from what the entry says. */
	for (int64_t at = 3540; at <= 3660; at += 60) {
		struct principal p = { .issuer = "corp" };

		assert_int_equal(identity_news_stale(id, &p, fixture_clock(at), 0), at > 3600);
		p.issuer = "nobody";
		assert_true(identity_news_stale(id, &p, fixture_clock(at), 0));
		p.issuer = "";
		assert_false(identity_news_stale(id, &p, fixture_clock(at), 0));
	}
	fixture_serve(id, 25 * 3600 + 60);
	assert_int_equal(verify_mono(id, corp_token(NULL, NULL), 25 * 3600 + 60, &reason), IDENTITY_ACCEPTED);
	identity_destroy(id);
}

/* Random kids, five each second for five minutes, through the whole verifier. */
static void flood_of_kids(void **state)
{
	struct identity *id = create_one(fixture_issuers[CORP], NULL);
	enum identity_reason reason;
	unsigned requests = 0;
	char header[128];

	assert_int_equal(fixture_serve(id, 0), 1);
	for (int64_t at = 1; at <= 300; at++)
		for (unsigned i = 0; i < 5; i++) {
			snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"%ld-%u\"}", (long)at, i);
			(void)verify_mono(id, kit_token(KIT_P256, "ES256", header, fixture_payload(CORP, NULL, NULL, "")), at, &reason);
			assert_int_equal(reason, IDENTITY_kid_unknown);
			requests += fixture_serve(id, at);
		}
	assert_true(requests >= 9 && requests <= 10);
	identity_destroy(id);
}

static void cache_rules(void **state)
{
	struct identity *id = create_one(fixture_issuers[CORP], NULL);
	struct bytes token = corp_token("exp", "1800000040");
	struct principal *first, *second, *again;
	enum identity_reason reason;

	fixture_serve(id, 0);
	assert_int_equal(verify_at(id, token, 0, 0, 1, &first, &reason), IDENTITY_ACCEPTED);
	assert_int_equal(verify_at(id, token, 1, 1, 1, &again, &reason), IDENTITY_ACCEPTED);
	assert_ptr_equal(first, again); /* from the cache */
	principal_put(again);
	assert_int_equal(verify_at(id, token, 2, 2, 2, &second, &reason), IDENTITY_ACCEPTED);
	assert_ptr_not_equal(first, second); /* another epoch */
	assert_int_equal(second->epoch, 2);
	assert_int_equal(verify_at(id, token, 3, -1, 2, &again, &reason), IDENTITY_ACCEPTED);
	assert_ptr_not_equal(second, again); /* the clock went back: judged anew */
	principal_put(second);
	principal_put(again);
	assert_int_equal(verify_at(id, token, 45, 39, 2, &again, &reason), IDENTITY_ACCEPTED);
	principal_put(again);
	assert_int_equal(verify_at(id, token, 45, 70, 2, &again, &reason), IDENTITY_REFUSED); /* exp + skew */
	assert_int_equal(reason, IDENTITY_exp_passed);
	/* A single changed byte is another token. */
	kept[token.len - 2] ^= 1;
	assert_int_equal(verify_at(id, token, 46, 1, 2, &again, &reason), IDENTITY_REFUSED);
	principal_put(first);
	identity_destroy(id);
}

static void single_use(void **state)
{
	struct identity *id = create_one(fixture_issuers[ONCE], NULL);
	struct principal *p;
	enum identity_reason reason;
	struct bytes token;

	fixture_serve(id, 0);
	token = keep(kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(ONCE, "jti", "\"j1\"", "")));
	assert_int_equal(verify_at(id, token, 0, 0, 1, &p, &reason), IDENTITY_ACCEPTED);
	principal_put(p);
	assert_int_equal(verify_at(id, token, 1, 1, 1, &p, &reason), IDENTITY_REFUSED);
	assert_int_equal(reason, IDENTITY_replayed);
	/* The list survives a reload. */
	struct identity *next = create_one(fixture_issuers[ONCE], id);

	identity_destroy(id);
	assert_int_equal(verify_at(next, token, 2, 2, 1, &p, &reason), IDENTITY_REFUSED);
	assert_int_equal(reason, IDENTITY_replayed);
	token = keep(kit_token(KIT_P256, "ES256", ES256_HEADER, fixture_payload(ONCE, NULL, NULL, "")));
	assert_int_equal(verify_at(next, token, 2, 2, 1, &p, &reason), IDENTITY_REFUSED);
	assert_int_equal(reason, IDENTITY_jti_missing);
	identity_destroy(next);
}

/* A reload keeps the keys of an entry that still means the same, and only of such. */
static void reload(void **state)
{
	struct identity_issuer changed = fixture_issuers[CORP];
	struct identity *id = create_one(changed, NULL), *next;
	enum identity_reason reason;
	struct identity_fetch fetch;

	assert_int_equal(fixture_serve(id, 0), 1);
	changed.audience = "sluice:other";
	next = create_one(changed, id);
	identity_destroy(id);
	assert_int_equal(verify_mono(next, corp_token(NULL, NULL), 1, &reason), IDENTITY_REFUSED);
	assert_int_equal(reason, IDENTITY_aud_wrong); /* its keys are there, its audience is the new one */
	assert_false(identity_wants_fetch(next, fixture_clock(1), &fetch));
	id = next;
	changed.ca = "pinned.pem";
	next = create_one(changed, id);
	identity_destroy(id);
	assert_int_equal(verify_mono(next, corp_token(NULL, NULL), 1, &reason), IDENTITY_NEEDS_KEYS); /* not under another trust */
	identity_destroy(next);
}

/* A fetch that began before a reload is answered after it. */
static void reload_during_load(void **state)
{
	struct identity *id = create_one(fixture_issuers[CORP], NULL), *next;
	struct identity_fetch fetch;

	assert_true(identity_wants_fetch(id, fixture_clock(0), &fetch));
	next = create_one(fixture_issuers[CORP], id);
	identity_destroy(id);
	assert_true(identity_fetched(next, fetch.id, 200, bytes_str(fixture_set(CORP)), fixture_clock(1)).good);
	assert_int_equal(identity_status_of(next, 0, fixture_clock(1)).keys, 1);
	assert_int_equal(identity_count(next), 1);
	identity_destroy(next);
}

static void disabled_issuer(void **state)
{
	struct identity *id = create_one(fixture_issuers[CORP], NULL), *next;
	struct principal *p, *local;
	enum identity_reason reason;

	fixture_serve(id, 0);
	assert_int_equal(verify_at(id, corp_token(NULL, NULL), 0, 0, 1, &p, &reason), IDENTITY_ACCEPTED);
	next = create_one(fixture_issuers[TENANT], id);
	identity_destroy(id);
	assert_false(identity_still_valid(next, p, fixture_clock(1)));
	principal_put(p);
	local = principal_create(&(struct principal){ .person = "root", .end_s = NOW + 10 });
	assert_true(identity_still_valid(next, local, fixture_clock(9)));
	assert_false(identity_still_valid(next, local, fixture_clock(10)));
	assert_string_equal(local->sub, "");
	principal_put(local);
	identity_destroy(next);
}

static int close_all(void **state)
{
	kit_close();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(discovery), cmocka_unit_test(discovery_url), cmocka_unit_test(bad_entries), cmocka_unit_test(first_login_waits),
		cmocka_unit_test(rotation), cmocka_unit_test(bad_set_keeps_the_last), cmocka_unit_test(outage), cmocka_unit_test(flood_of_kids),
		cmocka_unit_test(cache_rules), cmocka_unit_test(single_use), cmocka_unit_test(reload), cmocka_unit_test(reload_during_load),
		cmocka_unit_test(disabled_issuer),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, close_all);
}
