/* cache.h: accepted tokens, by SHA-256, for at most 60 s; and the jti values that may not come twice (identity.md 3).
 *
 * The cache holds one reference for each principal. A hit needs the same epoch and the same key-set version, and a
 * time between the moment it was stored and its end. Direct-mapped: only tokens that were accepted are stored, so an
 * attacker without valid tokens cannot push anything out.
 * The replay list keeps a keyed hash of (iss, jti) until the token has ended; when no place is left the answer is
 * "full", and the caller refuses.
 * Threading: one thread. Times are wall-clock seconds.
 */
#ifndef CONTROL_IDENTITY_CACHE_H
#define CONTROL_IDENTITY_CACHE_H

#include "control/identity/principal.h"
#include "platform/base/bytes.h"
#include "platform/base/hash.h"

#define CACHE_ENTRIES 4096
#define CACHE_S_MAX 60
#define REPLAY_ENTRIES 65536
#define REPLAY_PROBES 16

struct cache_entry {
	struct principal *principal; /* NULL: free */
	uint64_t epoch, version;
	int64_t stored_s, until_s;
	unsigned issuer;
};

struct cache {
	struct cache_entry entry[CACHE_ENTRIES];
};

/* Borrowed entry, or NULL. The caller compares epoch and version. */
const struct cache_entry *cache_find(const struct cache *c, const uint8_t token_sha256[32], int64_t wall_s);
void cache_store(struct cache *c, struct principal *p, unsigned issuer, uint64_t version, int64_t wall_s);
void cache_clear(struct cache *c);

struct replay_entry {
	struct hash128 hash;
	int64_t until_s; /* 0: free */
};

struct replay {
	struct hash_key key;
	struct replay_entry entry[REPLAY_ENTRIES];
};

enum replay_answer {
	REPLAY_FRESH, /* and now remembered */
	REPLAY_SEEN,
	REPLAY_FULL,
};

/* Both hashed, with their lengths, so that no other pair gives the same bytes. */
enum replay_answer replay_use(struct replay *r, struct bytes iss, struct bytes jti, int64_t wall_s, int64_t until_s);

#endif
