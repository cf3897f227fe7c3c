#include "control/journal/verify_session.h"

#include <stdlib.h>

#include "platform/base/random.h"

struct verify_session {
	struct hash128 id; /* of the session's name; all zeros: free */
	int64_t next[2]; /* of `n`, of `nc`; -1: not seen yet, and the oldest records are pruned */
};

void verify_sessions_init(struct verify_sessions *s, bool from_middle)
{
	*s = (struct verify_sessions){ .from_middle = from_middle };
	random_secret(&s->key, sizeof s->key);
}

void verify_sessions_free(struct verify_sessions *s)
{
	free(s->slot);
	*s = (struct verify_sessions){ 0 };
}

static struct verify_session *find(struct verify_session *slot, size_t slots, struct hash128 id)
{
	size_t at = id.lo & (slots - 1);

	while ((slot[at].id.hi || slot[at].id.lo) && (slot[at].id.hi != id.hi || slot[at].id.lo != id.lo))
		at = (at + 1) & (slots - 1);
	return &slot[at];
}

static bool grow(struct verify_sessions *s)
{
	size_t slots = s->slots ? s->slots * 2 : 1024;
	struct verify_session *slot = calloc(slots, sizeof *slot);

	if (!slot)
		return false;
	for (size_t i = 0; i < s->slots; i++)
		if (s->slot[i].id.hi || s->slot[i].id.lo)
			*find(slot, slots, s->slot[i].id) = s->slot[i];
	free(s->slot);
	s->slot = slot;
	s->slots = slots;
	return true;
}

enum verify_count verify_sessions_count(struct verify_sessions *s, const struct verify_counters *of, const char **key, int64_t *n, int64_t *expected)
{
	struct verify_session *slot;
	struct hash128 id;
	unsigned which;
	bool good;

	if (of->session.kind != JCS_STRING || s->failed)
		return VERIFY_COUNT_NONE;
	which = of->n.kind == JCS_INTEGER ? 0 : 1;
	*key = which ? "nc" : "n";
	if (!jcs_read_int(which ? of->nc : of->n, n))
		return VERIFY_COUNT_NONE;
	if (s->used * 2 >= s->slots && !grow(s)) {
		s->failed = true;
		return VERIFY_COUNT_NONE;
	}
	id = hash128(s->key, of->session.raw.base, of->session.raw.len);
	slot = find(s->slot, s->slots, id);
	if (!slot->id.hi && !slot->id.lo) {
		slot->id = id;
		slot->next[0] = slot->next[1] = s->from_middle ? -1 : 0;
		s->used++;
	}
	*expected = slot->next[which] < 0 ? *n : slot->next[which];
	good = *n == *expected;
	slot->next[which] = *n + 1;
	return good ? VERIFY_COUNT_GOOD : VERIFY_COUNT_GAP;
}

static bool number(struct jcs_value object, const char *key, int64_t *out)
{
	return jcs_read_int(jcs_get(object, key), out);
}

const char *verify_sessions_totals(const struct verify_sessions *s, struct jcs_value record, struct bytes type)
{
	bool tick = bytes_equal(type, bytes_str("node.tick"));
	struct jcs_value data, session;
	int64_t said, counted;

	/* Nearly all records are neither, and finding a member takes long. */
	if (!tick && !bytes_equal(type, bytes_str("session.close")))
		return NULL;
	data = jcs_get(record, "data");
	session = jcs_get(record, "sess");
	if (tick)
		return number(data, "commands", &said) && number(data, "recorded", &counted) && said != counted ? "a tick whose commands are not all records" : NULL;
	if (session.kind != JCS_STRING)
		return NULL;
	if (number(data, "last_n", &said) && number(record, "n", &counted) && said != counted)
		return "a close that is not the session's last record";
	if (s->slots && !s->failed && number(data, "own", &said)) {
		struct verify_session *slot = find(s->slot, s->slots, hash128(s->key, session.raw.base, session.raw.len));

		if (slot->next[1] >= 0 && slot->next[1] != said)
			return "a close that counts other records of control's own than there are: the last ones are missing";
	}
	return NULL;
}
