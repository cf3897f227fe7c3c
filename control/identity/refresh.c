/* refresh.c: the pace of key-set requests. The trap is a monotonic clock that starts anew with the machine: a time
 * that lies ahead of now is treated as long ago, so that nothing waits for it. */
#include "control/identity/refresh.h"

#include <string.h>

static int64_t since(int64_t then_s, int64_t now_s)
{
	return then_s == 0 || then_s > now_s ? INT64_MAX : now_s - then_s;
}

void refresh_init(struct refresh *r, bool discovers, struct hash_key hash)
{
	memset(r, 0, sizeof(*r));
	r->discovers = discovers;
	r->every_s = REFRESH_EVERY_S;
	r->hash = hash;
}

void refresh_pace(struct refresh *r, int64_t hint_s)
{
	r->every_s = hint_s <= 0 || hint_s > REFRESH_EVERY_S ? REFRESH_EVERY_S : hint_s < REFRESH_APART_S ? REFRESH_APART_S : hint_s;
}

static bool under_way(const struct refresh *r)
{
	return r->state == REFRESH_DISCOVERING || r->state == REFRESH_LOADING;
}

static void give_up_lost(struct refresh *r, int64_t now_s)
{
	if (under_way(r) && since(r->sent_s, now_s) >= REFRESH_LOST_S)
		refresh_answered(r, false, now_s);
}

static bool may_start(const struct refresh *r, int64_t now_s)
{
	return since(r->started_s, now_s) >= REFRESH_APART_S;
}

static bool discovery_due(const struct refresh *r, int64_t now_s)
{
	if (!r->discovers)
		return false;
	if (r->discovered_s == 0)
		return true;
	return !r->wanted && (r->load_failed || since(r->discovered_s, now_s) >= REFRESH_DISCOVERY_S);
}

enum refresh_step refresh_next(struct refresh *r, int64_t now_s)
{
	give_up_lost(r, now_s);
	if (r->state == REFRESH_KEYS_DUE) {
		r->state = REFRESH_LOADING;
		r->sent_s = now_s;
		return REFRESH_LOAD;
	}
	if (r->state != REFRESH_IDLE || !may_start(r, now_s))
		return REFRESH_NOTHING;
	if (!r->wanted && since(r->loaded_s, now_s) < r->every_s)
		return REFRESH_NOTHING;
	r->started_s = r->sent_s = now_s;
	r->state = discovery_due(r, now_s) ? REFRESH_DISCOVERING : REFRESH_LOADING;
	r->wanted = false;
	return r->state == REFRESH_DISCOVERING ? REFRESH_DISCOVER : REFRESH_LOAD;
}

void refresh_answered(struct refresh *r, bool good, int64_t now_s)
{
	if (r->state == REFRESH_DISCOVERING) {
		r->state = good ? REFRESH_KEYS_DUE : REFRESH_IDLE;
		if (good)
			r->discovered_s = now_s;
	} else if (r->state == REFRESH_LOADING) {
		r->state = REFRESH_IDLE;
		r->load_failed = !good;
		if (good)
			r->loaded_s = now_s;
	}
	if (r->state == REFRESH_IDLE)
		r->wanted = false;
}

static struct refresh_negative *slot(struct refresh *r, uint64_t hash)
{
	return &r->negative[hash % REFRESH_NEGATIVE_ENTRIES];
}

static bool remembered(const struct refresh_negative *n, uint64_t hash, int64_t now_s)
{
	return n->kid_hash == hash && n->until_s > now_s && n->until_s <= now_s + REFRESH_NEGATIVE_S;
}

bool refresh_want(struct refresh *r, struct bytes kid, int64_t now_s)
{
	uint64_t hash = hash64(r->hash, kid.base, kid.len);

	give_up_lost(r, now_s);
	if (kid.len && remembered(slot(r, hash), hash, now_s))
		return false;
	if (r->state == REFRESH_IDLE && !may_start(r, now_s))
		return false;
	r->wanted = r->wanted || r->state == REFRESH_IDLE;
	return true;
}

void refresh_kid_missing(struct refresh *r, struct bytes kid, int64_t now_s)
{
	uint64_t hash = hash64(r->hash, kid.base, kid.len);

	/* Asking again does not prolong it, or a client that retries would keep its new key unknown for ever. */
	if (!remembered(slot(r, hash), hash, now_s))
		*slot(r, hash) = (struct refresh_negative){ .kid_hash = hash, .until_s = now_s + REFRESH_NEGATIVE_S };
}

int64_t refresh_age_s(const struct refresh *r, int64_t now_s)
{
	return r->loaded_s == 0 ? -1 : now_s < r->loaded_s ? 0 : now_s - r->loaded_s;
}

bool refresh_alarm(const struct refresh *r, int64_t now_s)
{
	int64_t age_s = refresh_age_s(r, now_s);

	return age_s < 0 || age_s > REFRESH_ALARM_S;
}
