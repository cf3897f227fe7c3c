/* issuer.c: the entry checked once, the keys fetched at their pace, and the choice of a key for a token. */
#include "control/identity/issuer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/egress/url.h"
#include "control/identity/claims.h"
#include "control/identity/json.h"
#include "platform/base/random.h"

#define STALE_S 86400
#define SKEW_S_MAX 60 /* identity.md 4 */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool text_ok(const char *text, size_t max)
{
	return text && text[0] && strlen(text) <= max;
}

static bool url_ok(const char *text)
{
	struct egress_url url;

	return text_ok(text, EGRESS_URL_BYTES) && egress_url_parse(bytes_str(text), &url);
}

static const char *check_algs(const struct identity_issuer *e)
{
	for (size_t i = 0; i < COUNT(e->algs) && e->algs[i]; i++) {
		if (!jwt_alg_of(bytes_str(e->algs[i])))
			return "algs: only RS256, PS256, ES256 and ES384";
		for (size_t j = 0; j < i; j++)
			if (strcmp(e->algs[i], e->algs[j]) == 0)
				return "algs: named twice";
	}
	for (size_t i = 0; i < COUNT(e->typ) && e->typ[i]; i++)
		if (strcmp(e->typ[i], "at+jwt") != 0 && strcmp(e->typ[i], "JWT") != 0)
			return "typ: only at+jwt and JWT";
	return NULL;
}

/* SPIFFE-ID 2.1. */
static bool trust_domain_ok(const char *text)
{
	return text_ok(text, 255 - sizeof("spiffe://a")) && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-_") == strlen(text);
}

/* What is written in a token without `iss`, and in the records: the trust domain as an id. */
static bool is_domain_id(const char *issuer, const char *trust_domain)
{
	return strncmp(issuer, "spiffe://", 9) == 0 && strcmp(issuer + 9, trust_domain) == 0;
}

static const char *check_spiffe(const struct identity_issuer *e)
{
	if (!trust_domain_ok(e->trust_domain))
		return "trust_domain: lower-case letters, digits, dots, dashes and underscores";
	if (!e->jwks_uri)
		return "bundle: an https URL";
	if (e->issuer && !is_domain_id(e->issuer, e->trust_domain) && !url_ok(e->issuer))
		return "issuer: an https URL without query";
	return NULL;
}

static const char *check_entry(const struct identity_issuer *e)
{
	const char *paths[] = { e->map.person, e->map.agent, e->map.run, e->map.groups, e->map.purpose };

	if (!text_ok(e->name, ISSUER_NAME_BYTES - 1))
		return "name: 1 to 63 bytes";
	/* RFC 8414 2: no query, no fragment; 40 bytes are kept for the path of the discovery document. */
	if (e->spiffe && check_spiffe(e))
		return check_spiffe(e);
	if (!e->spiffe && !url_ok(e->issuer))
		return "issuer: an https URL without query";
	if (e->issuer && (strchr(e->issuer, '?') || strlen(e->issuer) > EGRESS_URL_BYTES - 40))
		return "issuer: an https URL without query";
	if (!text_ok(e->audience, LIMIT_CLAIM_BYTES))
		return "audience: 1 to 255 bytes";
	if (e->skew_s > SKEW_S_MAX)
		return "skew: at most 60 s";
	if (e->life_s_max > 86400)
		return "max_life: at most one day";
	if (e->stale_s_max > 7 * 86400)
		return "stale_max: at most seven days";
	if (e->jwks_uri && !url_ok(e->jwks_uri))
		return "jwks_uri: an https URL";
	if (e->ca && !egress_ca_name_ok(bytes_str(e->ca)))
		return "ca: a plain file name";
	if (e->trust_domain && !trust_domain_ok(e->trust_domain))
		return "trust_domain: lower-case letters, digits, dots, dashes and underscores";
	for (size_t i = 0; i < COUNT(e->clients) && e->clients[i]; i++)
		if (!text_ok(e->clients[i], LIMIT_CLAIM_BYTES))
			return "clients: 1 to 255 bytes each";
	for (size_t i = 0; i < COUNT(paths); i++)
		if (paths[i] && !text_ok(paths[i], LIMIT_CLAIM_BYTES))
			return "map: paths of 1 to 255 bytes";
	return check_algs(e);
}

#define FIELDS (9 + 4 + 4 + 16)

/* Every string of the entry, so that they can be copied in one loop. */
static void fields_of(struct identity_issuer *e, const char **field[FIELDS])
{
	const char **single[] = { &e->name, &e->issuer, &e->audience, &e->trust_domain, &e->map.person, &e->map.agent, &e->map.run, &e->map.groups, &e->map.purpose };
	size_t n = 0;

	for (size_t i = 0; i < COUNT(single); i++)
		field[n++] = single[i];
	for (size_t i = 0; i < COUNT(e->algs); i++)
		field[n++] = &e->algs[i];
	for (size_t i = 0; i < COUNT(e->typ); i++)
		field[n++] = &e->typ[i];
	for (size_t i = 0; i < COUNT(e->clients); i++)
		field[n++] = &e->clients[i];
}

/* JWT-SVID 2.1, 2.3 and 3: RS, PS or ES; the workload is the agent. An RSA key that names no algorithm is an RS256 one, as SPIRE's. */
static void fill_spiffe(struct identity_issuer *e, const char *domain_id)
{
	static const char *const algs[4] = { "ES256", "ES384", "RS256", "PS256" };

	if (!e->issuer)
		e->issuer = domain_id;
	if (!e->algs[0])
		memcpy(e->algs, algs, sizeof(algs));
	if (!e->map.agent)
		e->map.agent = "sub";
}

static bool copy_entry(const struct identity_issuer *entry, struct issuer *out)
{
	const char **field[FIELDS];
	char domain_id[300];
	size_t size = 0;
	struct writer w;

	out->entry = *entry;
	out->entry.jwks_uri = out->entry.ca = NULL; /* kept in the key state */
	snprintf(domain_id, sizeof(domain_id), "spiffe://%s", entry->trust_domain ? entry->trust_domain : "");
	if (entry->spiffe)
		fill_spiffe(&out->entry, domain_id);
	if (!out->entry.algs[0])
		out->entry.algs[0] = "ES256";
	if (!out->entry.typ[0])
		out->entry.typ[0] = "at+jwt";
	fields_of(&out->entry, field);
	for (size_t i = 0; i < FIELDS; i++)
		size += *field[i] ? strlen(*field[i]) + 1 : 0;
	out->strings = malloc(size);
	if (!out->strings)
		return false;
	w = writer_of(out->strings, size);
	for (size_t i = 0; i < FIELDS; i++) {
		const char *text = *field[i];

		if (!text)
			continue;
		*field[i] = out->strings + w.len;
		writer_cstr(&w, text);
	}
	return w.ok;
}

/* OpenID Discovery 4.1: a slash at the end is removed before the well-known path is appended. */
static void put_discovery(const char *issuer, struct writer *w)
{
	size_t len = strlen(issuer);

	writer_bytes(w, issuer, issuer[len - 1] == '/' ? len - 1 : len);
	writer_cstr(w, "/.well-known/openid-configuration");
}

static void put_text(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : ""); /* check_entry knows that it fits */
}

static bool open_keys(const struct identity_issuer *entry, struct issuer *out)
{
	struct issuer_keys *k = calloc(1, sizeof(*k));
	struct writer w;
	struct hash_key key;

	out->keys = k;
	if (!k)
		return false;
	put_text(k->name, sizeof(k->name), entry->name);
	put_text(k->issuer, sizeof(k->issuer), out->entry.issuer);
	put_text(k->ca, sizeof(k->ca), entry->ca);
	put_text(k->url_keys, sizeof(k->url_keys), entry->jwks_uri);
	k->url_configured = entry->jwks_uri != NULL;
	w = writer_of(k->url_discovery, sizeof(k->url_discovery));
	put_discovery(out->entry.issuer, &w); /* never fetched of a SPIFFE issuer: its bundle's URL is configured */
	k->pins.spiffe = entry->spiffe;
	for (size_t i = 0; i < COUNT(k->pins.alg) && out->entry.algs[i]; i++)
		k->pins.alg[i] = jwt_alg_of(bytes_str(out->entry.algs[i]));
	random_secret(&key, sizeof(key));
	refresh_init(&k->refresh, !k->url_configured, key);
	return w.ok;
}

const char *issuer_open(const struct identity_issuer *entry, struct issuer *out)
{
	const char *problem = check_entry(entry);

	*out = (struct issuer){ 0 };
	if (!problem && (!copy_entry(entry, out) || !open_keys(entry, out)))
		problem = "out of memory";
	if (problem)
		issuer_close(out);
	return problem;
}

void issuer_close(struct issuer *issuer)
{
	if (issuer->keys)
		keyset_clear(&issuer->keys->set);
	free(issuer->keys);
	free(issuer->strings);
	*issuer = (struct issuer){ 0 };
}

bool issuer_inherit(struct issuer *issuer, struct issuer *old)
{
	struct issuer_keys *mine = issuer->keys, *theirs = old->keys;

	if (!theirs || strcmp(mine->issuer, theirs->issuer) != 0 || strcmp(mine->ca, theirs->ca) != 0 ||
	    mine->url_configured != theirs->url_configured || memcmp(&mine->pins, &theirs->pins, sizeof(mine->pins)) != 0)
		return false;
	if (mine->url_configured && strcmp(mine->url_keys, theirs->url_keys) != 0)
		return false;
	issuer->keys = theirs;
	old->keys = NULL;
	memcpy(theirs->name, mine->name, sizeof(theirs->name));
	free(mine);
	return true;
}

bool issuer_wants_fetch(struct issuer *issuer, int64_t mono_s, uint64_t id, struct identity_fetch *out)
{
	struct issuer_keys *k = issuer->keys;
	enum refresh_step step = refresh_next(&k->refresh, mono_s);

	if (step == REFRESH_NOTHING)
		return false;
	k->fetch_id = id;
	k->fetch_kind = step == REFRESH_DISCOVER ? IDENTITY_FETCH_DISCOVERY : IDENTITY_FETCH_KEYS;
	*out = (struct identity_fetch){
		.id = id,
		.kind = k->fetch_kind,
		.issuer = k->name,
		.url = step == REFRESH_DISCOVER ? k->url_discovery : k->url_keys,
		.ca = k->ca,
	};
	return true;
}

/* OpenID Discovery 4.3: issuer MUST be identical. The origin rule is identity.md 5. */
static const char *take_discovery(struct issuer_keys *k, struct bytes body)
{
	struct egress_url ours, theirs;
	const char *problem = NULL;
	struct bytes uri;
	json_t *document = NULL;

	if (body.len > LIMIT_FETCH_BYTES)
		return "discovery document is larger than 256 KiB";
	if (json_strict(body, JSON_DEPTH_MAX, JSON_AROUND, &document) != JSON_GOOD)
		return "discovery document is not a strict JSON object";
	uri = json_bytes(json_object_get(document, "jwks_uri"));
	if (!bytes_equal(json_bytes(json_object_get(document, "issuer")), bytes_str(k->issuer)))
		problem = "discovery document is of another issuer";
	else if (uri.len > EGRESS_URL_BYTES || !egress_url_parse(uri, &theirs) || !egress_url_parse(bytes_str(k->issuer), &ours))
		problem = "jwks_uri is not an https URL";
	else if (!egress_url_same_origin(&ours, &theirs))
		problem = "jwks_uri is not of the issuer's origin";
	if (!problem) {
		memset(k->url_keys, 0, sizeof(k->url_keys));
		memcpy(k->url_keys, uri.base, uri.len);
	}
	json_decref(document);
	return problem;
}

static const char *take_keys(struct issuer_keys *k, struct bytes body, struct identity_fetch_report *report)
{
	struct keyset *fresh = calloc(1, sizeof(*fresh));
	const char *problem = "out of memory";

	if (!fresh)
		return problem;
	if (keyset_parse(body, &k->pins, fresh, &problem)) {
		report->changed = memcmp(fresh->sha256, k->set.sha256, sizeof(fresh->sha256)) != 0;
		k->version += report->changed;
		keyset_clear(&k->set);
		k->set = *fresh;
		refresh_pace(&k->refresh, fresh->refresh_hint_s);
	}
	report->keys = k->set.count;
	report->keys_dropped = fresh->dropped;
	report->dropped_why = fresh->dropped ? jwk_reason_text(fresh->dropped_why) : "";
	free(fresh);
	return problem;
}

void issuer_fetched(struct issuer *issuer, unsigned http_status, struct bytes body, int64_t mono_s, struct identity_fetch_report *report)
{
	struct issuer_keys *k = issuer->keys;
	const char *problem;

	*report = (struct identity_fetch_report){ .known = true, .issuer = k->name, .dropped_why = "", .keys = k->set.count };
	if (http_status != 200)
		problem = http_status ? "HTTP status is not 200" : "no answer";
	else if (k->fetch_kind == IDENTITY_FETCH_DISCOVERY)
		problem = take_discovery(k, body);
	else
		problem = take_keys(k, body, report);
	k->fetch_id = 0;
	report->good = !problem;
	report->problem = problem ? problem : "";
	refresh_answered(&k->refresh, report->good, mono_s);
}

static bool too_old(const struct issuer *issuer, int64_t mono_s)
{
	int64_t stale_s_max = issuer->entry.stale_s_max ? issuer->entry.stale_s_max : STALE_S;

	return refresh_age_s(&issuer->keys->refresh, mono_s) > stale_s_max;
}

const struct jwk *issuer_key(struct issuer *issuer, const struct jwt *jwt, int64_t mono_s, enum identity_reason *why, bool *wait)
{
	struct issuer_keys *k = issuer->keys;
	const struct jwk *key;

	*wait = false;
	if (!k->version || too_old(issuer, mono_s)) {
		*why = k->version ? IDENTITY_keys_stale : IDENTITY_keys_unavailable;
		*wait = refresh_want(&k->refresh, (struct bytes){ 0 }, mono_s);
		return NULL;
	}
	key = keyset_find(&k->set, jwt, why);
	if (*why == IDENTITY_kid_unknown) {
		*wait = refresh_want(&k->refresh, jwt->kid, mono_s);
		if (!*wait)
			refresh_kid_missing(&k->refresh, jwt->kid, mono_s);
	}
	return key;
}
