/* node_retention.c: what the policy's journal section says about age: whole segments of records, whole days of payload keys.
 *
 * Each in two steps, a minute apart at most: the record (`journal.prune`, `key.destroy`), and once that is durable the act. Killed in
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

static bool records_look(struct node *n, struct bytes who)
{
	uint64_t age_us = n->tree->journal.retention_records_s * 1000000;
	const struct entry e = { .type = "journal.prune", .who = who, .data = { describe_prune, &n->prune }, .policy_sha256 = policy_hash(n->current) };

	return n->now.wall_us > age_us && journal_prune_candidate(n->journal, n->now.wall_us - age_us, &n->prune) && inbox_append(n->inbox, &e, true, NULL);
}

static bool keys_look(struct node *n, struct bytes who)
{
	uint64_t age_us = n->tree->journal.retention_payload_s * 1000000;
	char limit[PAYLOAD_KEYS_DAY_BYTES], sessions[16];
	unsigned count;
	const char *const pairs[] = { "day", n->expired_day, "reason", "retention_payload of the policy", "sessions", sessions, NULL };

	if (n->now.wall_us <= age_us)
		return false;
	payload_keys_day(n->now.wall_us - age_us, limit);
	if (!payload_keys_oldest(n->payload_keys, limit, n->expired_day, &count))
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

	if (!n->current)
		operation_fail(o, FRAME_REFUSED, "prune: no policy is in force, so nothing says how long records are kept: load one");
	else
		o->result = json_pack("{s:i, s:I, s:I}", "segments", (int)node_retention_look(n, o->who), "first", (json_int_t)n->prune.first, "end",
				      (json_int_t)n->prune.end);
}
