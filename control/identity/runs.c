#include "control/identity/runs.h"

#include <stdlib.h>
#include <string.h>

struct runs {
	struct hash_key key;
	runs_keep *keep; /* NULL: nobody keeps them */
	void *keep_ctx;
	struct run_binding entry[RUNS_ENTRIES];
};

struct runs *runs_create(struct hash_key key)
{
	struct runs *rs = calloc(1, sizeof(*rs));

	if (rs)
		rs->key = key;
	return rs;
}

void runs_destroy(struct runs *rs)
{
	free(rs);
}

/* Two texts with what keeps them apart, so that no other pair gives the same bytes. */
static struct hash128 hash_pair(const struct runs *rs, char kind, const char *a, const char *b)
{
	uint8_t room[2 * 2048 + 16];
	struct writer w = writer_of(room, sizeof(room));

	writer_u8(&w, (uint8_t)kind);
	writer_be32(&w, (uint32_t)strlen(a));
	writer_str(&w, a);
	writer_str(&w, b);
	return hash128(rs->key, room, w.len);
}

static bool same(struct hash128 a, struct hash128 b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

void runs_keep_with(struct runs *rs, runs_keep *keep, void *ctx)
{
	rs->keep = keep;
	rs->keep_ctx = ctx;
}

bool runs_restore(struct runs *rs, unsigned slot, struct bytes stored)
{
	struct reader r = reader_of_bytes(stored);
	struct run_binding b = { .until_s = (int64_t)reader_be64(&r) };
	struct bytes rest;

	b.run.hi = reader_be64(&r);
	b.run.lo = reader_be64(&r);
	b.owner.hi = reader_be64(&r);
	b.owner.lo = reader_be64(&r);
	rest = reader_bytes(&r, sizeof(b.source) + sizeof(b.token_sha256));
	if (!r.ok || r.left || slot >= RUNS_ENTRIES)
		return false;
	memcpy(b.source, rest.base, sizeof(b.source));
	memcpy(b.token_sha256, rest.base + sizeof(b.source), sizeof(b.token_sha256));
	rs->entry[slot] = b;
	return true;
}

/* The binding `b`, which is to stand in place of `e`. */
static bool keep(struct runs *rs, struct run_binding *e, const struct run_binding *b)
{
	uint8_t room[RUNS_STORED_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	writer_be64(&w, (uint64_t)b->until_s);
	writer_be64(&w, b->run.hi);
	writer_be64(&w, b->run.lo);
	writer_be64(&w, b->owner.hi);
	writer_be64(&w, b->owner.lo);
	writer_bytes(&w, b->source, sizeof(b->source));
	writer_bytes(&w, b->token_sha256, sizeof(b->token_sha256));
	if (rs->keep && !rs->keep(rs->keep_ctx, (unsigned)(e - rs->entry), writer_done(&w)))
		return false;
	*e = *b;
	return true;
}

enum run_use runs_use(struct runs *rs, const struct principal *p, struct bytes source, int64_t wall_s, const struct run_binding **first)
{
	struct hash128 run = hash_pair(rs, 'r', p->run, ""), owner = hash_pair(rs, p->agent[0] ? 'a' : 's', p->iss, p->agent[0] ? p->agent : p->sub);
	struct run_binding *room = NULL, begun;

	for (unsigned i = 0; i < RUNS_PROBES; i++) {
		struct run_binding *e = &rs->entry[(run.lo + i) % RUNS_ENTRIES];

		if (e->until_s > wall_s && same(e->run, run)) {
			if (first)
				*first = e;
			if (!same(e->owner, owner))
				return RUN_OF_ANOTHER;
			if (e->until_s < p->end_s + RUNS_KEPT_S) {
				struct run_binding longer = *e;

				longer.until_s = p->end_s + RUNS_KEPT_S;
				if (!keep(rs, e, &longer))
					return RUNS_FULL;
			}
			return RUN_GOES_ON;
		}
		if (!room && e->until_s <= wall_s)
			room = e;
	}
	if (first)
		*first = room;
	if (!room)
		return RUNS_FULL;
	begun = (struct run_binding){ .run = run, .owner = owner, .until_s = p->end_s + RUNS_KEPT_S };
	if (source.len && source.len <= sizeof(begun.source))
		memcpy(begun.source, source.base, source.len);
	memcpy(begun.token_sha256, p->token_sha256, sizeof(begun.token_sha256));
	return keep(rs, room, &begun) ? RUN_BEGINS : RUNS_FULL;
}
