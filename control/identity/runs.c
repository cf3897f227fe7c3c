#include "control/identity/runs.h"

#include <stdlib.h>
#include <string.h>

struct runs {
	struct hash_key key;
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

enum run_use runs_use(struct runs *rs, const struct principal *p, struct bytes source, int64_t wall_s, const struct run_binding **first)
{
	struct hash128 run = hash_pair(rs, 'r', p->run, ""), owner = hash_pair(rs, p->agent[0] ? 'a' : 's', p->iss, p->agent[0] ? p->agent : p->sub);
	struct run_binding *room = NULL;

	for (unsigned i = 0; i < RUNS_PROBES; i++) {
		struct run_binding *e = &rs->entry[(run.lo + i) % RUNS_ENTRIES];

		if (e->until_s > wall_s && same(e->run, run)) {
			if (first)
				*first = e;
			if (!same(e->owner, owner))
				return RUN_OF_ANOTHER;
			if (e->until_s < p->end_s + RUNS_KEPT_S)
				e->until_s = p->end_s + RUNS_KEPT_S;
			return RUN_GOES_ON;
		}
		if (!room && e->until_s <= wall_s)
			room = e;
	}
	if (first)
		*first = room;
	if (!room)
		return RUNS_FULL;
	*room = (struct run_binding){ .run = run, .owner = owner, .until_s = p->end_s + RUNS_KEPT_S };
	if (source.len && source.len <= sizeof(room->source))
		memcpy(room->source, source.base, source.len);
	memcpy(room->token_sha256, p->token_sha256, sizeof(room->token_sha256));
	return RUN_BEGINS;
}
