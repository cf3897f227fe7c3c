/* keyset.c: a key-set document to usable keys, and the choice of one. */
#include "control/identity/keyset.h"

#include <openssl/evp.h>
#include <string.h>

#include "control/identity/json.h"

static bool digest(struct keyset *set)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	for (unsigned i = 0; good && i < set->count; i++) {
		const struct jwk *key = &set->keys[i];

		good = EVP_DigestUpdate(ctx, key->sha256, sizeof(key->sha256)) == 1 &&
		       EVP_DigestUpdate(ctx, &key->alg, sizeof(key->alg)) == 1 &&
		       EVP_DigestUpdate(ctx, key->kid, sizeof(key->kid)) == 1;
	}
	good = good && EVP_DigestFinal_ex(ctx, set->sha256, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

static const char *read_keys(const json_t *document, const struct jwk_pins *pins, struct keyset *out)
{
	const json_t *keys = json_object_get(document, "keys"), *value;
	size_t i;

	if (!json_is_array(keys))
		return "key set has no array keys";
	if (json_array_size(keys) > LIMIT_KEYS)
		return "key set has more than 64 keys";
	json_array_foreach(keys, i, value) {
		enum jwk_reason reason = jwk_import(value, pins, &out->keys[out->count]);

		if (reason == JWK_none) {
			out->count++;
		} else if (reason != JWK_use_x509) {
			out->dropped++;
			out->dropped_why = reason;
		}
	}
	if (pins->spiffe && json_is_integer(json_object_get(document, "spiffe_refresh_hint")))
		out->refresh_hint_s = json_integer_value(json_object_get(document, "spiffe_refresh_hint"));
	if (out->count == 0)
		return "key set has no usable key";
	return digest(out) ? NULL : "libcrypto failed";
}

bool keyset_parse(struct bytes body, const struct jwk_pins *pins, struct keyset *out, const char **problem)
{
	json_t *document = NULL;

	memset(out, 0, sizeof(*out));
	*problem = NULL;
	if (body.len > LIMIT_FETCH_BYTES)
		*problem = "key set is larger than 256 KiB";
	else if (json_strict(body, JSON_DEPTH_MAX, JSON_AROUND, &document) != JSON_GOOD)
		*problem = "key set is not a strict JSON object";
	else
		*problem = read_keys(document, pins, out);
	json_decref(document);
	if (*problem) {
		unsigned dropped = out->dropped;
		enum jwk_reason dropped_why = out->dropped_why;

		keyset_clear(out);
		out->dropped = dropped;
		out->dropped_why = dropped_why;
	}
	return !*problem;
}

void keyset_clear(struct keyset *set)
{
	for (unsigned i = 0; i < set->count; i++)
		jwk_close(&set->keys[i]);
	memset(set, 0, sizeof(*set));
}

/* RFC 7517 4.5 lets keys of different types share a kid; two that fit the same token are refused. */
const struct jwk *keyset_find(const struct keyset *set, const struct jwt *jwt, enum identity_reason *why)
{
	const struct jwk *found = NULL;
	bool kid_seen = false;

	*why = IDENTITY_none;
	for (unsigned i = 0; i < set->count; i++) {
		const struct jwk *key = &set->keys[i];

		if (jwt->kid.base && !bytes_equal(jwt->kid, bytes_str(key->kid)))
			continue;
		kid_seen = true;
		if (key->alg != jwt->alg)
			continue;
		if (found) {
			*why = jwt->kid.base ? IDENTITY_kid_ambiguous : IDENTITY_kid_absent;
			return NULL;
		}
		found = key;
	}
	if (!found)
		*why = !jwt->kid.base ? IDENTITY_kid_absent : kid_seen ? IDENTITY_alg_not_of_key : IDENTITY_kid_unknown;
	return found;
}

bool keyset_holds(const struct keyset *set, const uint8_t sha256[32])
{
	for (unsigned i = 0; i < set->count; i++)
		if (memcmp(set->keys[i].sha256, sha256, 32) == 0)
			return true;
	return false;
}
