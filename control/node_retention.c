/* node_retention.c: what the policy's journal section says about age: whole segments of records, whole days of payload keys.
 *
 * What a legal hold covers stays (holds.h). Each in two steps, a minute apart at most: the record (`journal.prune`, `key.destroy`), and once that is durable the act. Killed in
 * between, the next start finds the same candidates and says it again. */
#include <stdio.h>

#include "control/operator_verbs.h"
#include "platform/os/log.h"

#define LOOK_US (60ull * 1000000)

static void describe_prune(struct jcs *j, const void *from)
{
	const struct journal_prune *p = from;
	char sealed[ENTRY_TIME_BYTES];

	jcs_put_uint(j, "end", p->end);
	jcs_put_uint(j, "first", p->first);
	jcs_put_hex(j, "root", bytes_of(p->root.b, sizeof(p->root.b)));
	jcs_put_str(j, "sealed", entry_time(p->sealed_us, sealed));
	jcs_put_int(j, "segments", (int64_t)p->segments);
}

/* Whether a hold keeps what else would go, and which. */
static bool held_back(struct node *n, uint64_t before_us, struct journal_prune *would, const struct hold **by)
{
	uint64_t limit = holds_limit(n->holds, by);
	bool held;

	journal_protect(n->journal, UINT64_MAX);
	held = *by && journal_prune_candidate(n->journal, before_us, would) && would->end > limit;
	journal_protect(n->journal, limit);
	return held;
}

/* Told once a hold. */
static void tell_held(struct node *n, uint64_t before_us)
{
	const struct hold *by;
	struct journal_prune would;
	char text[HOLD_TEXT_BYTES];

	if (!held_back(n, before_us, &would, &by) || n->hold_told == by->index + 1)
		return;
	n->hold_told = by->index + 1;
	log_warn("retention: records up to %llu stay although their time is over: %s", (unsigned long long)would.end - 1, hold_text(by, text));
}

static bool records_look(struct node *n, struct bytes who)
{
	uint64_t age_us = n->tree->journal.retention_records_s * 1000000;
	const struct entry e = { .type = "journal.prune", .who = who, .data = { describe_prune, &n->prune }, .policy_sha256 = policy_hash(n->current) };

	if (n->now.wall_us <= age_us)
		return false;
	(void)node_holds_current(n);
	tell_held(n, n->now.wall_us - age_us);
	return journal_prune_candidate(n->journal, n->now.wall_us - age_us, &n->prune) && inbox_append(n->inbox, &e, true, NULL);
}

static bool key_held(void *ctx, const uint8_t session[16])
{
	struct node *n = ctx;
	struct journal_state state;
	const struct hold *by;

	journal_state(n->journal, &state);
	return holds_session(n->holds, session, state.size, &by) != HOLD_NONE;
}

static bool keys_look(struct node *n, struct bytes who)
{
	uint64_t age_us = n->tree->journal.retention_payload_s * 1000000;
	char limit[PAYLOAD_KEYS_DAY_BYTES], sessions[16];
	unsigned count;
	const struct payload_keys_held held = { key_held, n };
	const char *const pairs[] = { "day", n->expired_day, "reason", "retention_payload of the policy", "sessions", sessions, NULL };

	if (n->now.wall_us <= age_us)
		return false;
	payload_keys_day(n->now.wall_us - age_us, limit);
	/* A day of which one session is held stays whole. */
	if (!payload_keys_oldest(n->payload_keys, limit, holds_count(n->holds) ? &held : NULL, n->expired_day, &count))
		return false;
	snprintf(sessions, sizeof(sessions), "%u", count);
	node_record(n, "key.destroy", who, pairs);
	return true;
}

unsigned node_retention_look(struct node *n, struct bytes who)
{
	bool records, keys;

	if (!n->current || n->prune.segments || n->expired_day[0])
		return 0;
	n->retention_us = n->now.mono_us;
	records = records_look(n, who);
	if (!records)
		n->prune = (struct journal_prune){ 0 };
	keys = keys_look(n, who);
	if (!keys)
		n->expired_day[0] = 0;
	return n->prune.segments;
}

void node_retention_tick(struct node *n)
{
	if (n->now.mono_us - n->retention_us >= LOOK_US)
		(void)node_retention_look(n, (struct bytes){ 0 });
}

void node_retention_commit(struct node *n)
{
	if (n->prune.segments) {
		const char *wrong = journal_prune(n->journal, &n->prune);

		if (wrong)
			log_warn("retention: records %llu to %llu stay: %s", (unsigned long long)n->prune.first, (unsigned long long)n->prune.end - 1, wrong);
		else
			log_info("retention: records %llu to %llu were pruned", (unsigned long long)n->prune.first, (unsigned long long)n->prune.end - 1);
		n->prune = (struct journal_prune){ 0 };
	}
	if (n->expired_day[0]) {
		if (!payload_keys_expire(n->payload_keys, n->expired_day))
			log_warn("retention: the payload keys of %s cannot be destroyed: check the disk", n->expired_day);
		n->expired_day[0] = 0;
	}
}

void operation_journal_prune(struct operation *o)
{
	struct node *n = o->node;
	const struct hold *by = NULL;
	struct journal_prune would;
	char text[HOLD_TEXT_BYTES];
	uint64_t age_us = n->current ? n->tree->journal.retention_records_s * 1000000 : 0;

	if (n->current && n->now.wall_us > age_us && held_back(n, n->now.wall_us - age_us, &would, &by) && !journal_prune_candidate(n->journal, n->now.wall_us - age_us, &would))
		operation_fail(o, FRAME_REFUSED, "prune: %s covers records of the oldest segments: nothing goes before it is released: see sluice journal hold list",
			       hold_text(by, text));
	else if (!n->current)
		operation_fail(o, FRAME_REFUSED, "prune: no policy is in force, so nothing says how long records are kept: load one");
	else
		o->result = json_pack("{s:i, s:I, s:I}", "segments", (int)node_retention_look(n, o->who), "first", (json_int_t)n->prune.first, "end",
				      (json_int_t)n->prune.end);
}
