/* identity.h: from the bytes of a token to a principal (identity.md 1 to 6).
 *
 * Purpose: the verifier. Strict envelope, issuer by exact `iss`, pinned algorithm, the issuer's own key, signature
 * by libcjose, claims, mapping. Everything is refused that is not expressly accepted.
 *
 * No network: when a key is missing the answer is IDENTITY_NEEDS_KEYS. The caller then, and on every timer tick,
 * asks identity_wants_fetch until it says false, hands each URL to sluice-egress, gives the answer to
 * identity_fetched, and verifies the waiting tokens again; a token never waits for more than one refresh.
 *
 * Secrets: the caller owns the token bytes and wipes them; every copy made in here is wiped when it is freed (the
 * allocators of jansson and libcjose are set once, by identity_create). Nothing in struct identity_failure is the
 * token.
 * Time: `wall_s` (seconds since 1970) judges claims; `mono_s` (seconds of a monotonic clock) paces refreshes.
 * Threading: one thread.
 */
#ifndef CONTROL_IDENTITY_IDENTITY_H
#define CONTROL_IDENTITY_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/identity/principal.h"
#include "control/identity/reasons.h"
#include "platform/base/bytes.h"

/* An issuer entry of the policy. Strings are borrowed during identity_create and copied. NULL: absent.
 *
 * With `spiffe` the tokens are JWT-SVIDs of `trust_domain` (SPIFFE JWT-SVID 2 and 3): `jwks_uri` is its bundle endpoint, the agent
 * is `sub` unless the map says otherwise, and a token without `iss` is chosen by the trust domain of its `sub`. `issuer` may name the
 * `iss` that this domain's server writes; then tokens have to carry it. */
struct identity_issuer {
	const char *name;     /* as groups refer to it */
	const char *issuer;   /* exact `iss`, an https URL */
	const char *audience; /* what `aud` has to contain */
	const char *algs[4];  /* of RS256, PS256, ES256, ES384, NULL after the last; none: ES256 */
	const char *typ[4];   /* of at+jwt, JWT; NULL after the last; none: at+jwt */
	const char *clients[16]; /* accepted azp and client_id; none: only tokens with a single audience */
	unsigned skew_s;         /* <= 60; 0 means none: the default of the policy is 30 */
	unsigned life_s_max;     /* exp - iat; 0: 3,600 */
	unsigned stale_s_max;    /* age of the last good key set; 0: 86,400 */
	bool bound;              /* tokens without cnf are refused */
	bool single_use;         /* each jti is accepted once */
	bool spiffe;
	const char *trust_domain; /* set: sub has to be a SPIFFE id of this domain */
	struct {                  /* dotted paths into the payload; NULL: the field stays empty */
		const char *person, *agent, *run, *groups, *purpose;
	} map;
	const char *jwks_uri; /* https; NULL: from discovery, and then of the issuer's origin */
	const char *ca;       /* name of a file in egress's CA directory; NULL: the system's store */
	unsigned news_s_max;  /* age of the key set from which on nobody knows who was revoked; 0: 3,600 */
};

struct identity_clock {
	int64_t wall_s;
	int64_t mono_s;
};

/* One login. `cert_sha256`: the client certificate of the connection (DER, 32 bytes), or NULL. */
struct identity_login {
	struct bytes token;
	struct identity_clock now;
	uint64_t epoch;
	const uint8_t *cert_sha256;
};

enum identity_result {
	IDENTITY_ACCEPTED,
	IDENTITY_REFUSED,
	IDENTITY_NEEDS_KEYS, /* a refresh is due or under way; verify again after identity_fetched */
};

/* For `auth.fail`. Text from the token is cut, and what is not printable ASCII is a '?'. */
struct identity_failure {
	enum identity_reason reason;
	char issuer[64]; /* name of the entry, or empty */
	char kid[64];
	char alg[16];
	char claim[64]; /* the claim or header member at fault, or empty */
};

enum identity_fetch_kind {
	IDENTITY_FETCH_DISCOVERY,
	IDENTITY_FETCH_KEYS,
};

/* One HTTPS GET that is wanted. Strings live until the identity is destroyed or the fetch is answered. */
struct identity_fetch {
	uint64_t id; /* never 0, never used twice in one process */
	enum identity_fetch_kind kind;
	const char *issuer; /* name of the entry */
	const char *url;
	const char *ca; /* "" for the system's store */
};

/* What one answer did, for the log and the journal. */
struct identity_fetch_report {
	bool known;          /* false: no fetch under this id (late, or of an identity replaced by a reload) */
	bool good;
	bool changed;        /* the set is not the one before: look again at the sessions (identity_still_valid) */
	const char *issuer;
	const char *problem; /* static text when not good, else "" */
	unsigned keys, keys_dropped; /* a bundle's X.509 keys count as neither */
	const char *dropped_why; /* why the last dropped key was; static text or "" */
};

struct identity_status {
	const char *name;
	unsigned keys;
	uint64_t version;  /* grows whenever the set changes */
	int64_t age_s;     /* of the last good set; -1: never loaded */
	bool alarm;        /* older than one hour, or never loaded */
	unsigned news_s_max; /* of the entry */
	bool fetching;
};

struct identity;

/* Checks and copies the entries. Key sets of `old` (may be NULL) whose entry keeps issuer, algs, jwks_uri and ca are
 * taken over, `old` is then still valid but without them and is to be destroyed. NULL: `why` says which entry and what. */
struct identity *identity_create(const struct identity_issuer *entries, unsigned count, struct identity *old, char *why, size_t why_size);
void identity_destroy(struct identity *id);

/* ACCEPTED: *out holds one reference for the caller. Otherwise *out is NULL and *why says the reason
 * (for NEEDS_KEYS: what to journal should the wait be given up). */
enum identity_result identity_verify(struct identity *id, const struct identity_login *login, struct principal **out, struct identity_failure *why);

/* The next request that is due, marked as under way; false: none. */
bool identity_wants_fetch(struct identity *id, struct identity_clock now, struct identity_fetch *out);

/* The answer to fetch `fetch_id`. `http_status` 0: no answer (network, TLS, time-out, egress died). */
struct identity_fetch_report identity_fetched(struct identity *id, uint64_t fetch_id, unsigned http_status, struct bytes body, struct identity_clock now);

/* Whether a session of `p` may go on: its issuer and key are still in use, and its end has not come. */
bool identity_still_valid(const struct identity *id, const struct principal *p, struct identity_clock now);

/* Whether the key set of the issuer that `p` came from is older than its entry's news_s_max: a key that was withdrawn meanwhile would
 * not be known. A set that was never loaded is as old as this process, which began at `begun_mono_s`. True also when the issuer is
 * not there any more. */
bool identity_news_stale(const struct identity *id, const struct principal *p, struct identity_clock now, int64_t begun_mono_s);

unsigned identity_count(const struct identity *id);
struct identity_status identity_status_of(const struct identity *id, unsigned index, struct identity_clock now);

#endif
