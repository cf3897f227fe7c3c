/* identity.c: the order of identity.md 3, and nothing else.
 *
 * attempt_* are the steps; verify() is the table of contents. A step says IDENTITY_none or the reason; the first
 * reason ends the attempt. Only the key step may ask to wait.
 */
#include "control/identity/identity.h"

#include <cjose/cjose.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/identity/cache.h"
#include "control/identity/claims.h"
#include "control/identity/issuer.h"
#include "control/identity/json.h"
#include "control/identity/mapping.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"

struct identity {
	struct issuer *issuers;
	unsigned count;
	struct cache *cache;
	struct replay *replay; /* NULL: no issuer of single-use tokens */
};

struct attempt {
	struct identity *id;
	const struct identity_login *login;
	struct jwt jwt;
	struct issuer *issuer;
	const struct jwk *key;
	bool wait;
	struct principal shape;
	const char *at_fault;
};

static uint64_t fetch_ids; /* of this process; never reused, so that a late answer finds nothing */

/* Printable ASCII, cut; this goes to journal and terminal. */
static void put_shown(char *out, size_t size, struct bytes text)
{
	struct writer w = writer_of(out, size - 1);

	memset(out, 0, size);
	for (size_t i = 0; i < text.len && writer_space(&w); i++)
		writer_u8(&w, text.base[i] >= 0x20 && text.base[i] < 0x7f ? text.base[i] : '?');
}

/* JWT-SVID 3 asks for no `iss`: without one the trust domain of `sub` says who is to vouch, if that issuer writes none. */
static struct issuer *issuer_of_domain(const struct identity *id, struct bytes sub)
{
	for (unsigned i = 0; i < id->count; i++) {
		const struct identity_issuer *e = &id->issuers[i].entry;
		struct reader r = reader_of_bytes(sub);
		size_t len = strlen(e->issuer);

		if (e->spiffe && strncmp(e->issuer, "spiffe://", 9) == 0 && bytes_equal(reader_bytes(&r, len), bytes_str(e->issuer)) && reader_u8(&r) == '/')
			return &id->issuers[i];
	}
	return NULL;
}

static enum identity_reason attempt_issuer(struct attempt *a)
{
	const json_t *iss = json_object_get(a->jwt.payload, "iss");

	a->at_fault = "iss";
	if (!iss) {
		a->issuer = issuer_of_domain(a->id, json_bytes(json_object_get(a->jwt.payload, "sub")));
		return a->issuer ? IDENTITY_none : IDENTITY_iss_missing;
	}
	if (!json_is_string(iss) || json_string_length(iss) == 0)
		return IDENTITY_iss_missing;
	for (unsigned i = 0; i < a->id->count && !a->issuer; i++)
		if (bytes_equal(json_bytes(iss), bytes_str(a->id->issuers[i].entry.issuer)))
			a->issuer = &a->id->issuers[i];
	return a->issuer ? IDENTITY_none : IDENTITY_issuer_unknown;
}

static enum identity_reason attempt_alg(struct attempt *a)
{
	const struct jwk_pins *pins = &a->issuer->keys->pins;

	a->at_fault = "alg";
	for (size_t i = 0; i < sizeof(pins->alg) / sizeof(pins->alg[0]); i++)
		if (pins->alg[i] == a->jwt.alg)
			return IDENTITY_none;
	return IDENTITY_alg_not_pinned;
}

static enum identity_reason attempt_key(struct attempt *a)
{
	enum identity_reason why = IDENTITY_none;

	a->at_fault = "kid";
	a->key = issuer_key(a->issuer, &a->jwt, a->login->now.mono_s, &why, &a->wait);
	return why;
}

static enum identity_reason attempt_signature(struct attempt *a)
{
	a->at_fault = NULL;
	if (a->jwt.signature.len != a->key->signature_bytes)
		return IDENTITY_signature_length;
	return jwk_verify(a->key, &a->jwt) ? IDENTITY_none : IDENTITY_signature_bad;
}

static enum identity_reason attempt_claims(struct attempt *a)
{
	const struct identity_issuer *entry = &a->issuer->entry;
	struct claims_times times;
	enum identity_reason reason = claims_check(a->jwt.payload, entry, a->login->now.wall_s, &times, &a->at_fault);

	if (reason)
		return reason;
	a->at_fault = "cnf";
	reason = claims_check_cnf(a->jwt.payload, entry, a->login->cert_sha256, &a->shape);
	if (reason)
		return reason;
	a->shape.exp_s = times.exp_s;
	a->shape.end_s = times.exp_s + entry->skew_s;
	a->shape.auth_time_s = times.auth_time_s;
	return mapping_apply(a->jwt.payload, entry, &a->shape, &a->at_fault);
}

static enum identity_reason attempt_replay(struct attempt *a)
{
	struct bytes jti = json_bytes(json_object_get(a->jwt.payload, "jti"));

	if (!a->issuer->entry.single_use)
		return IDENTITY_none;
	a->at_fault = "jti";
	if (jti.len == 0 || jti.len > LIMIT_CLAIM_BYTES)
		return IDENTITY_jti_missing;
	switch (replay_use(a->id->replay, bytes_str(a->issuer->entry.issuer), jti, a->login->now.wall_s, a->shape.end_s)) {
	case REPLAY_FRESH:
		return IDENTITY_none;
	case REPLAY_SEEN:
		return IDENTITY_replayed;
	default:
		return IDENTITY_replay_full;
	}
}

static enum identity_reason verify(struct attempt *a)
{
	enum identity_reason reason = jwt_open(a->login->token, &a->jwt);

	a->at_fault = a->jwt.at_fault;
	if (!reason)
		reason = attempt_issuer(a);
	if (!reason)
		reason = attempt_alg(a);
	if (!reason) {
		a->at_fault = "typ";
		reason = claims_check_typ(a->jwt.typ, &a->issuer->entry);
	}
	if (!reason)
		reason = attempt_key(a);
	if (!reason)
		reason = attempt_signature(a);
	if (!reason)
		reason = attempt_claims(a);
	if (!reason)
		reason = attempt_replay(a);
	return reason;
}

static enum identity_reason accept(struct attempt *a, const uint8_t token_sha256[32], struct principal **out)
{
	unsigned index = (unsigned)(a->issuer - a->id->issuers);

	a->shape.kid = a->key->kid;
	a->shape.how = PRINCIPAL_BEARER;
	a->shape.epoch = a->login->epoch;
	memcpy(a->shape.token_sha256, token_sha256, 32);
	memcpy(a->shape.key_sha256, a->key->sha256, 32);
	*out = principal_create(&a->shape);
	if (!*out)
		return IDENTITY_no_memory;
	/* Bound and single-use tokens are judged anew each time. */
	if (a->shape.cnf == PRINCIPAL_CNF_NONE && !a->issuer->entry.single_use)
		cache_store(a->id->cache, *out, index, a->issuer->keys->version, a->login->now.wall_s);
	return IDENTITY_none;
}

static struct principal *cached(struct identity *id, const struct identity_login *login, const uint8_t token_sha256[32])
{
	const struct cache_entry *e = cache_find(id->cache, token_sha256, login->now.wall_s);

	if (!e || e->epoch != login->epoch || e->version != id->issuers[e->issuer].keys->version)
		return NULL;
	return principal_get(e->principal);
}

static void explain(const struct attempt *a, enum identity_reason reason, struct identity_failure *why)
{
	why->reason = reason;
	put_shown(why->issuer, sizeof(why->issuer), bytes_str(a->issuer ? a->issuer->entry.name : NULL));
	put_shown(why->kid, sizeof(why->kid), a->jwt.kid);
	put_shown(why->alg, sizeof(why->alg), a->jwt.alg_text);
	put_shown(why->claim, sizeof(why->claim), bytes_str(a->at_fault));
}

enum identity_result identity_verify(struct identity *id, const struct identity_login *login, struct principal **out, struct identity_failure *why)
{
	struct attempt a = { .id = id, .login = login };
	uint8_t token_sha256[32] = { 0 };
	enum identity_reason reason;

	memset(why, 0, sizeof(*why));
	*out = NULL;
	if (login->token.len > 0 && login->token.len <= LIMIT_TOKEN_BYTES) {
		if (EVP_Digest(login->token.base, login->token.len, token_sha256, NULL, EVP_sha256(), NULL) != 1)
			abort(); /* SHA-256 fails only without memory */
		*out = cached(id, login, token_sha256);
		if (*out)
			return IDENTITY_ACCEPTED;
	}
	reason = verify(&a);
	if (!reason)
		reason = accept(&a, token_sha256, out);
	if (reason)
		explain(&a, reason, why);
	jwt_close(&a.jwt);
	secret_wipe(&a.shape, sizeof(a.shape));
	if (!reason)
		return IDENTITY_ACCEPTED;
	return a.wait ? IDENTITY_NEEDS_KEYS : IDENTITY_REFUSED;
}

static void libraries_init(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	json_libraries_init();
	cjose_set_alloc_funcs(json_wiping_malloc, json_wiping_realloc, json_wiping_free);
}

static const char *open_one(struct identity *id, const struct identity_issuer *entries, unsigned i)
{
	const char *problem = issuer_open(&entries[i], &id->issuers[i]);

	if (problem)
		return problem;
	for (unsigned j = 0; j < i; j++)
		if (strcmp(id->issuers[i].entry.issuer, id->issuers[j].entry.issuer) == 0 || strcmp(entries[i].name, entries[j].name) == 0)
			return "name or issuer is there twice";
	if (!entries[i].single_use || id->replay)
		return NULL;
	id->replay = calloc(1, sizeof(*id->replay));
	if (!id->replay)
		return "out of memory";
	random_secret(&id->replay->key, sizeof(id->replay->key));
	return NULL;
}

/* Nothing fails here: `old` is changed only when the new one stands. */
static void inherit(struct identity *id, struct identity *old)
{
	for (unsigned i = 0; i < id->count; i++)
		for (unsigned j = 0; j < old->count; j++)
			if (issuer_inherit(&id->issuers[i], &old->issuers[j]))
				break;
	if (old->replay && id->replay) {
		free(id->replay);
		id->replay = old->replay;
		old->replay = NULL;
	}
}

static struct identity *empty(unsigned count)
{
	struct identity *id = calloc(1, sizeof(*id));

	if (!id)
		return NULL;
	id->issuers = calloc(count ? count : 1, sizeof(*id->issuers));
	id->cache = calloc(1, sizeof(*id->cache));
	if (id->issuers && id->cache) {
		id->count = count;
		return id;
	}
	identity_destroy(id);
	return NULL;
}

struct identity *identity_create(const struct identity_issuer *entries, unsigned count, struct identity *old, char *why, size_t why_size)
{
	struct identity *id;

	libraries_init();
	snprintf(why, why_size, "%s", "");
	if (count > LIMIT_ISSUERS) {
		snprintf(why, why_size, "more than %d issuers", LIMIT_ISSUERS);
		return NULL;
	}
	id = empty(count);
	if (!id) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		const char *problem = open_one(id, entries, i);

		if (problem) {
			snprintf(why, why_size, "issuer %s: %s", entries[i].name ? entries[i].name : "?", problem);
			identity_destroy(id);
			return NULL;
		}
	}
	if (old)
		inherit(id, old);
	return id;
}

void identity_destroy(struct identity *id)
{
	if (!id)
		return;
	if (id->cache)
		cache_clear(id->cache);
	for (unsigned i = 0; i < id->count; i++)
		issuer_close(&id->issuers[i]);
	free(id->cache);
	free(id->replay);
	free(id->issuers);
	free(id);
}

bool identity_wants_fetch(struct identity *id, struct identity_clock now, struct identity_fetch *out)
{
	for (unsigned i = 0; i < id->count; i++)
		if (issuer_wants_fetch(&id->issuers[i], now.mono_s, fetch_ids + 1, out)) {
			fetch_ids++;
			return true;
		}
	return false;
}

struct identity_fetch_report identity_fetched(struct identity *id, uint64_t fetch_id, unsigned http_status, struct bytes body, struct identity_clock now)
{
	struct identity_fetch_report report = { .issuer = "", .problem = "no such fetch", .dropped_why = "" };

	for (unsigned i = 0; fetch_id && i < id->count; i++)
		if (id->issuers[i].keys->fetch_id == fetch_id) {
			issuer_fetched(&id->issuers[i], http_status, body, now.mono_s, &report);
			break;
		}
	return report;
}

bool identity_still_valid(const struct identity *id, const struct principal *p, struct identity_clock now)
{
	if (now.wall_s >= p->end_s)
		return false;
	if (!p->issuer[0]) /* a local role rests on no key */
		return true;
	for (unsigned i = 0; i < id->count; i++) {
		const struct issuer *issuer = &id->issuers[i];

		if (strcmp(issuer->entry.name, p->issuer) == 0 && strcmp(issuer->entry.issuer, p->iss) == 0)
			/* Before the first load after a restart nothing is known against the key. */
			return !issuer->keys->version || keyset_holds(&issuer->keys->set, p->key_sha256);
	}
	return false;
}

static int64_t news_s_max(const struct issuer *issuer)
{
	return issuer->entry.news_s_max ? issuer->entry.news_s_max : REFRESH_ALARM_S;
}

bool identity_news_stale(const struct identity *id, const struct principal *p, struct identity_clock now, int64_t begun_mono_s)
{
	if (!p->issuer[0]) /* a local role: what revokes it is on this machine */
		return false;
	for (unsigned i = 0; i < id->count; i++) {
		const struct issuer *issuer = &id->issuers[i];
		int64_t age_s = refresh_age_s(&issuer->keys->refresh, now.mono_s);

		if (strcmp(issuer->entry.name, p->issuer) == 0)
			return (age_s < 0 ? now.mono_s - begun_mono_s : age_s) > news_s_max(issuer);
	}
	return true;
}

unsigned identity_count(const struct identity *id)
{
	return id->count;
}

struct identity_status identity_status_of(const struct identity *id, unsigned index, struct identity_clock now)
{
	const struct issuer_keys *k;

	if (index >= id->count)
		return (struct identity_status){ .name = "", .age_s = -1 };
	k = id->issuers[index].keys;
	return (struct identity_status){
		.name = id->issuers[index].entry.name,
		.keys = k->set.count,
		.version = k->version,
		.age_s = refresh_age_s(&k->refresh, now.mono_s),
		.alarm = refresh_alarm(&k->refresh, now.mono_s),
		.news_s_max = (unsigned)news_s_max(&id->issuers[index]),
		.fetching = k->fetch_id != 0,
	};
}
