/* cache.c: see cache.h. */
#include "control/identity/cache.h"

#include <string.h>

#include "platform/base/limits.h"

static size_t slot_of(const uint8_t sha256[32])
{
	struct reader r = reader_of(sha256, 32);

	return reader_be32(&r) % CACHE_ENTRIES;
}

const struct cache_entry *cache_find(const struct cache *c, const uint8_t token_sha256[32], int64_t wall_s)
{
	const struct cache_entry *e = &c->entry[slot_of(token_sha256)];

	if (!e->principal || memcmp(e->principal->token_sha256, token_sha256, 32) != 0)
		return NULL;
	return wall_s >= e->stored_s && wall_s < e->until_s ? e : NULL;
}

void cache_store(struct cache *c, struct principal *p, unsigned issuer, uint64_t version, int64_t wall_s)
{
	struct cache_entry *e = &c->entry[slot_of(p->token_sha256)];

	principal_put(e->principal);
	*e = (struct cache_entry){
		.principal = principal_get(p),
		.epoch = p->epoch,
		.version = version,
		.stored_s = wall_s,
		.until_s = p->exp_s < wall_s + CACHE_S_MAX ? p->exp_s : wall_s + CACHE_S_MAX,
		.issuer = issuer,
	};
}

void cache_clear(struct cache *c)
{
	for (size_t i = 0; i < CACHE_ENTRIES; i++)
		principal_put(c->entry[i].principal);
	memset(c, 0, sizeof(*c));
}

enum replay_answer replay_use(struct replay *r, struct bytes iss, struct bytes jti, int64_t wall_s, int64_t until_s)
{
	uint8_t text[8 + 2048];
	struct writer w = writer_of(text, sizeof(text));
	struct replay_entry *room = NULL;
	struct hash128 hash;

	writer_be32(&w, (uint32_t)iss.len);
	writer_put(&w, iss);
	writer_put(&w, jti);
	if (!w.ok)
		return REPLAY_FULL;
	hash = hash128(r->key, text, w.len);
	for (size_t i = 0; i < REPLAY_PROBES; i++) {
		struct replay_entry *e = &r->entry[(hash.lo + i) % REPLAY_ENTRIES];

		if (e->until_s <= wall_s) {
			if (!room)
				room = e;
		} else if (e->hash.hi == hash.hi && e->hash.lo == hash.lo) {
			return REPLAY_SEEN;
		}
	}
	if (!room)
		return REPLAY_FULL;
	*room = (struct replay_entry){ .hash = hash, .until_s = until_s };
	return REPLAY_FRESH;
}
