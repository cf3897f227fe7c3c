/* keyset.h: the keys of one issuer (RFC 7517 5; identity.md 5).
 *
 * A set is parsed whole: at most LIMIT_KEYS keys and LIMIT_FETCH_BYTES; a bad key is dropped and reported, the others
 * are used; a set without one good key is refused, and then the caller keeps the one before.
 * A set owns its keys: keyset_clear. Threading: one thread.
 */
#ifndef CONTROL_IDENTITY_KEYSET_H
#define CONTROL_IDENTITY_KEYSET_H

#include "control/identity/jwk.h"

struct keyset {
	struct jwk keys[LIMIT_KEYS];
	unsigned count;
	unsigned dropped; /* without those of a bundle that are for X.509-SVIDs */
	enum jwk_reason dropped_why; /* of the last one */
	int64_t refresh_hint_s;      /* spiffe_refresh_hint of a bundle; 0: none */
	uint8_t sha256[32];          /* over the thumbprints, kids and algorithms, in order: two equal sets are the same set */
};

/* True: `out` is a set with at least one key. False: `out` is empty and *problem is static text. */
bool keyset_parse(struct bytes body, const struct jwk_pins *pins, struct keyset *out, const char **problem);
void keyset_clear(struct keyset *set);

/* The key for a token: by `kid` when it has one, else the only key of that type. NULL: `why` is kid_unknown,
 * kid_absent, kid_ambiguous or alg_not_of_key. */
const struct jwk *keyset_find(const struct keyset *set, const struct jwt *jwt, enum identity_reason *why);

bool keyset_holds(const struct keyset *set, const uint8_t sha256[32]);

#endif
