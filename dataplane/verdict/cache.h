/* cache.h: what statements were found to do, per worker, in fixed memory.
 *
 * Key: the statement's 128-bit keyed hash (struct statement: `exact`, then `generic`); value: the encoded classification as
 * control sent it. An entry found under a generic key counts only when the classification says it is generic. Beside each entry
 * stands the last verdict that was made of it, with a hash of everything the verdict depended on, so that a repeated statement
 * of the same principal costs two look-ups. A new image generation makes every verdict stale, no classification.
 *
 * Shape: `slots` (a power of two) of CACHE_SLOT_BYTES, in sets of four; within a set the least recently used entry gives way. A
 * classification that is longer than a slot is not kept: the caller holds it for the one command and asks again next time.
 * Memory: the caller's, cache_bytes(slots), aligned to 64. One thread. No allocation, no time.
 */
#ifndef DATAPLANE_VERDICT_CACHE_H
#define DATAPLANE_VERDICT_CACHE_H

#include "dataplane/verdict/verdict.h"
#include "platform/base/hash.h"

#define CACHE_SLOT_BYTES 1024
#define CACHE_SLOTS 8192

struct cache;

size_t cache_bytes(unsigned slots);

/* An empty cache in `memory`. NULL when `slots` is not a power of two, or below four. */
struct cache *cache_init(void *memory, unsigned slots, struct hash_key key);

/* The classification under this key, encoded and opened; false when there is none, or `generic` is asked for and it is not.
 * The views in `*out` live until the next cache_put. */
bool cache_find(struct cache *cache, struct hash128 key, bool generic, struct classification *out, struct bytes *encoded);

/* Keeps `encoded` (which classification_open accepted) under the key. False when it does not fit into a slot. */
bool cache_put(struct cache *cache, struct hash128 key, struct bytes encoded);

/* verdict_evaluate, with memory: `request->classification` must come from cache_find under `key`. */
void cache_verdict(struct cache *cache, struct hash128 key, const struct policy_image *image, const struct verdict_request *request,
		   struct verdict *out);

struct cache_counts {
	uint64_t hits, misses, verdict_hits, verdict_misses, evicted, too_large;
};

struct cache_counts cache_counts(const struct cache *cache);

#endif
