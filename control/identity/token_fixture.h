/* token_fixture.h: for tests: an identity with a handful of issuers and their keys loaded, and tokens that differ from a
 * good one in one member. Included by one test program each; everything is static. */
#ifndef CONTROL_IDENTITY_TOKEN_FIXTURE_H
#define CONTROL_IDENTITY_TOKEN_FIXTURE_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/identity/identity.h"
#include "control/identity/token_kit.h"

#define NOW 1800000000LL
#define ES256_HEADER "{\"alg\":\"ES256\",\"typ\":\"at+jwt\",\"kid\":\"k1\"}"
#define ISS "https://idp.example/realms/corp"

/* The issuers, by index. All but `other_keys` share one key set, as tenants of one provider do. */
enum {
	CORP,       /* ES256 only, map of everything */
	TENANT,     /* another tenant of the same provider: same keys, other iss and aud */
	CLIENTS,    /* clients configured */
	BOUND,      /* cnf required */
	ONCE,       /* single use */
	MESH,       /* SPIFFE trust domain */
	RSAS,       /* RS256 and PS256 */
	CURVES,     /* ES256 and ES384, typ JWT too */
	OTHER_KEYS, /* the same kid, another key */
	ISSUERS
};

static const struct identity_issuer fixture_issuers[ISSUERS] = {
	[CORP] = { .name = "corp", .issuer = ISS, .audience = "sluice:prod", .skew_s = 30, .jwks_uri = "https://idp.example/keys",
		   .map = { "employee_id", "act.sub", "run_id", "groups", "purpose" } },
	[TENANT] = { .name = "tenant", .issuer = "https://idp.example/realms/corp2", .audience = "sluice:test", .skew_s = 30, .jwks_uri = "https://idp.example/keys" },
	[CLIENTS] = { .name = "clients", .issuer = "https://clients.example", .audience = "sluice:prod", .clients = { "psql", "robot" }, .skew_s = 0,
		      .jwks_uri = "https://idp.example/keys", .map = { .groups = "realm_access.roles" } },
	[BOUND] = { .name = "bound", .issuer = "https://bound.example", .audience = "sluice:prod", .bound = true, .jwks_uri = "https://idp.example/keys" },
	[ONCE] = { .name = "once", .issuer = "https://once.example", .audience = "sluice:prod", .single_use = true, .jwks_uri = "https://idp.example/keys" },
	[MESH] = { .name = "mesh", .issuer = "https://mesh.example", .audience = "sluice:prod", .trust_domain = "example.org", .typ = { "JWT" },
		   .jwks_uri = "https://idp.example/keys", .map = { .agent = "sub" } },
	[RSAS] = { .name = "rsa", .issuer = "https://rsa.example", .audience = "sluice:prod", .algs = { "RS256", "PS256" }, .jwks_uri = "https://idp.example/keys",
		  .map = { .groups = "https://example.com/groups" } },
	[CURVES] = { .name = "curves", .issuer = "https://curves.example", .audience = "sluice:prod", .algs = { "ES384", "ES256" }, .typ = { "at+jwt", "JWT" },
		     .jwks_uri = "https://idp.example/keys" },
	[OTHER_KEYS] = { .name = "other", .issuer = "https://other.example", .audience = "sluice:prod", .jwks_uri = "https://other.example/keys" },
};

static const char *fixture_set(unsigned issuer)
{
	static char text[KIT_TEXT_BYTES];

	if (issuer == OTHER_KEYS)
		snprintf(text, sizeof(text), "{\"keys\":[%s]}", kit_jwk(KIT_P256_OTHER, ",\"kid\":\"k1\""));
	else
		snprintf(text, sizeof(text), "{\"keys\":[%s,%s,%s,%s,%s]}", kit_jwk(KIT_P256, ",\"kid\":\"k1\",\"use\":\"sig\""),
			 kit_jwk(KIT_P384, ",\"kid\":\"k384\""), kit_jwk(KIT_RSA2048, ",\"kid\":\"rs\",\"alg\":\"RS256\""),
			 kit_jwk(KIT_RSA2048_OTHER, ",\"kid\":\"ps\",\"alg\":\"PS256\""), kit_jwk(KIT_P521, ",\"kid\":\"k521\""));
	return text;
}

static struct identity_clock fixture_clock(int64_t offset_s)
{
	return (struct identity_clock){ .wall_s = NOW + offset_s, .mono_s = 1000 + offset_s };
}

/* Answers every request that is due with the set of its issuer; says how many there were. */
static unsigned fixture_serve(struct identity *id, int64_t offset_s)
{
	struct identity_fetch fetch;
	unsigned count = 0;

	while (identity_wants_fetch(id, fixture_clock(offset_s), &fetch)) {
		unsigned issuer = strcmp(fetch.issuer, "other") == 0 ? OTHER_KEYS : CORP;

		(void)identity_fetched(id, fetch.id, 200, bytes_str(fixture_set(issuer)), fixture_clock(offset_s));
		count++;
	}
	return count;
}

static inline struct identity *fixture_identity(void)
{
	char why[256];
	struct identity *id = identity_create(fixture_issuers, ISSUERS, NULL, why, sizeof(why));

	if (!id)
		fprintf(stderr, "%s\n", why);
	assert(id);
	fixture_serve(id, 0);
	return id;
}

/* The good token's payload with `name` set to the JSON text `value`, or without it when NULL. `more` is appended. */
static inline const char *fixture_payload(unsigned issuer, const char *name, const char *value, const char *more)
{
	static char text[KIT_TEXT_BYTES];
	char iss[128], aud[64];
	const char *base[][2] = {
		{ "iss", iss }, { "aud", aud }, { "sub", "\"u-17\"" }, { "iat", "1800000000" }, { "exp", "1800000300" }, { "client_id", "\"psql\"" },
		{ "employee_id", "\"alice\"" }, { "run_id", "\"run-1\"" }, { "groups", "[\"analytics\",\"dba\"]" }, { "act", "{\"sub\":\"agent-7\"}" },
	};
	struct writer w = writer_of(text, sizeof(text));
	bool set = false;

	snprintf(iss, sizeof(iss), "\"%s\"", fixture_issuers[issuer].issuer);
	snprintf(aud, sizeof(aud), "\"%s\"", fixture_issuers[issuer].audience);
	writer_str(&w, "{");
	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
		const char *v = base[i][1];

		if (name && strcmp(name, base[i][0]) == 0) {
			v = value;
			set = true;
		}
		if (!v)
			continue;
		writer_str(&w, w.len > 1 ? ",\"" : "\"");
		writer_str(&w, base[i][0]);
		writer_str(&w, "\":");
		writer_str(&w, v);
	}
	if (name && !set && value) {
		writer_str(&w, ",\"");
		writer_str(&w, name);
		writer_str(&w, "\":");
		writer_str(&w, value);
	}
	writer_str(&w, more);
	writer_cstr(&w, "}");
	assert(w.ok);
	return text;
}

static inline enum identity_reason fixture_verify_with(struct identity *id, struct bytes token, int64_t offset_s, const uint8_t *cert, struct principal **out)
{
	struct identity_login login = { .token = token, .now = fixture_clock(offset_s), .epoch = 1, .cert_sha256 = cert };
	struct identity_failure why;
	enum identity_result result = identity_verify(id, &login, out, &why);

	assert((result == IDENTITY_ACCEPTED) == (*out != NULL));
	assert((result == IDENTITY_ACCEPTED) == (why.reason == IDENTITY_none));
	return why.reason;
}

static inline enum identity_reason fixture_verify(struct identity *id, struct bytes token, int64_t offset_s)
{
	struct principal *p;
	enum identity_reason reason = fixture_verify_with(id, token, offset_s, NULL, &p);

	principal_put(p);
	return reason;
}

#endif
