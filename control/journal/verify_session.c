#include "control/journal/verify_session.h"

#include <stdlib.h>

#include "platform/base/random.h"

struct verify_session {
	struct hash128 id; /* of the session's name; all zeros: free */
	int64_t next;
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

enum verify_count verify_sessions_count(struct verify_sessions *s, struct jcs_value record, int64_t *n, int64_t *expected)
{
	struct jcs_value session = jcs_get(record, "sess"), number;
	struct verify_session *slot;
	struct hash128 id;
	bool good;

	if (session.kind != JCS_STRING || s->failed)
		return VERIFY_COUNT_NONE;
	number = jcs_get(record, "n");
	if (!jcs_read_int(number, n))
		return VERIFY_COUNT_NONE;
	if (s->used * 2 >= s->slots && !grow(s)) {
		s->failed = true;
		return VERIFY_COUNT_NONE;
	}
	id = hash128(s->key, session.raw.base, session.raw.len);
	slot = find(s->slot, s->slots, id);
	if (!slot->id.hi && !slot->id.lo) {
		slot->id = id;
		slot->next = s->from_middle ? *n : 0;
		s->used++;
	}
	*expected = slot->next;
	good = *n == slot->next;
	slot->next = *n + 1;
	return good ? VERIFY_COUNT_GOOD : VERIFY_COUNT_GAP;
}
