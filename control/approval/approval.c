/* approval.c: requests, clocks and ends. Votes are in vote.c, the table in state.c.
 *
 * Each function is: find the objects, take the step (record, then memory: store_step), tell the worker. What is told leaves
 * after the commit, so a record is always older than its effect. */
#include "control/approval/approval.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/statement.h"
#include "control/approval/store.h"
#include "platform/base/random.h"

#define CLOCK_STEP_US 1000000u

static void tell(struct approvals *as, const struct approval *a, enum approval_answer answer, const char *say)
{
	as->host.answer(as->host.ctx, a, answer, say);
}

/* "dba, security": who can approve, by group and never by name. */
static const char *groups_text(const struct approval *a, char *out, size_t size)
{
	size_t at = 0;

	out[0] = 0;
	for (unsigned i = 0; i < a->needs && at + 2 < size; i++) {
		int n = snprintf(out + at, size - at, "%s%.60s", i ? ", " : "", a->need[i].group);

		at += n > 0 ? (size_t)n : 0;
	}
	return out;
}

static bool fatigued(struct approvals *as, const struct approval_command *c, const uint8_t hash[32], char *say)
{
	unsigned of_run = 0, of_agent = 0;
	const struct principal *p = c->requester;

	for (unsigned i = 0; i < as->count; i++) {
		const struct approval *a = as->all[i];

		if (approval_is_terminal(a->state) || !a->requester)
			continue;
		of_run += p->run[0] && !strcmp(a->requester->run, p->run);
		of_agent += p->agent[0] && !strcmp(a->requester->agent, p->agent);
	}
	for (unsigned i = 0; i < STORE_DENIALS && i < as->denials; i++) {
		if (as->denial[i].count >= APPROVAL_DENIALS_MAX && !strcmp(as->denial[i].run, p->run) && !memcmp(as->denial[i].command_sha256, hash, 32)) {
			snprintf(say, APPROVAL_SAY_BYTES, "this command was denied %d times in this run; do not ask again", APPROVAL_DENIALS_MAX);
			return true;
		}
	}
	if (of_run < APPROVAL_PENDING_PER_RUN && of_agent < APPROVAL_PENDING_PER_AGENT)
		return false;
	snprintf(say, APPROVAL_SAY_BYTES, "too many commands of this %s wait for approval; wait for their answers first",
		 of_run >= APPROVAL_PENDING_PER_RUN ? "run" : "agent");
	return true;
}

/* What the object is before anything is written. False when memory is short. */
static bool request_fill(struct approval *a, const struct approval_command *c, const uint8_t hash[32], struct approval_clock now)
{
	random_secret(a->id, sizeof(a->id));
	store_id_text(a->id, a->id_text);
	a->state = APPROVAL_REQUESTED;
	a->needs = c->needs;
	memcpy(a->need, c->need, sizeof(a->need));
	for (unsigned i = 0; i < a->needs; i++)
		a->quorum += a->need[i].count;
	a->deny_quorum = c->deny_quorum ? c->deny_quorum : 1;
	a->created_us = now.wall_us;
	a->expires_us = now.wall_us + c->expires_s * 1000000ull;
	a->expires_mono_us = now.mono_us + c->expires_s * 1000000ull;
	a->use_by_s = c->use_by_s;
	a->use_by_us = a->expires_us + c->use_by_s * 1000000ull;
	a->worker = c->worker;
	a->flow = c->flow;
	memcpy(a->session, c->session, sizeof(a->session));
	a->n = c->event->n;
	a->requester = principal_get(c->requester);
	a->who = malloc(c->who.len + 1);
	a->who_len = c->who.len;
	snprintf(a->service, sizeof(a->service), "%s", c->service);
	memcpy(a->command_sha256, hash, 32);
	memcpy(a->policy_sha256, c->policy_sha256, 32);
	if (a->who && c->who.len)
		memcpy(a->who, c->who.base, c->who.len);
	return a->who != NULL;
}

static bool request_statement(struct approvals *as, struct approval *a, const struct approval_command *c)
{
	uint8_t *room = malloc(STATEMENT_BYTES_MAX), nonce[16];
	struct writer w = writer_of(room, room ? STATEMENT_BYTES_MAX : 0);
	struct bytes text;

	random_secret(nonce, sizeof(nonce));
	text = statement_write(a, c, nonce, as->node, as->origin, &w);
	a->statement = text.len ? malloc(text.len) : NULL;
	if (a->statement) {
		memcpy(a->statement, text.base, text.len);
		a->statement_len = text.len;
		SHA256(text.base, text.len, a->statement_sha256);
	}
	free(room);
	return a->statement != NULL;
}

static bool request_record(struct approvals *as, struct approval *a)
{
	uint8_t room[STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct jcs j = jcs_of(&w);

	jcs_open(&j);
	jcs_key(&j, "approvers");
	jcs_array(&j);
	for (unsigned i = 0; i < a->needs; i++) {
		char need[LIMIT_NAME_BYTES + 16];

		snprintf(need, sizeof(need), "%.255s:%u", a->need[i].group, a->need[i].count);
		jcs_str(&j, bytes_str(need));
	}
	jcs_array_close(&j);
	jcs_put_hex(&j, "command_h", bytes_of(a->command_sha256, 32));
	jcs_put_uint(&j, "created_us", a->created_us);
	jcs_put_int(&j, "deny_quorum", a->deny_quorum);
	jcs_put_uint(&j, "expires_us", a->expires_us);
	jcs_put_hex(&j, "flow", bytes_of((uint8_t[8]){ a->flow >> 56, a->flow >> 48, a->flow >> 40, a->flow >> 32, a->flow >> 24,
						       a->flow >> 16, a->flow >> 8, a->flow }, 8));
	jcs_put_str(&j, "kind", "once-hold");
	jcs_put_int(&j, "quorum", a->quorum);
	jcs_put_int(&j, "ref", a->n);
	jcs_put_str(&j, "service", a->service);
	jcs_put_int(&j, "statement_len", (int64_t)a->statement_len);
	jcs_put_uint(&j, "use_by_s", a->use_by_s);
	jcs_put_int(&j, "worker", a->worker);
	jcs_close(&j);
	return store_record(as, a, "approval.request", store_who(a), jcs_done(&j), bytes_of(a->statement, a->statement_len));
}

struct approval *approvals_request(struct approvals *as, const struct approval_command *c, struct approval_clock now,
				   char say[APPROVAL_SAY_BYTES])
{
	struct approval *a = NULL;
	uint8_t hash[32];
	char groups[200];

	as->now = now;
	SHA256(c->event->raw.base, c->event->raw.len, hash);
	say[0] = 0;
	if (c->needs == 0 || c->needs > APPROVAL_NEEDS_MAX)
		snprintf(say, APPROVAL_SAY_BYTES, "the policy names nobody who could approve this; ask the operator");
	else if (fatigued(as, c, hash, say))
		;
	else if (!(a = store_add(as)))
		snprintf(say, APPROVAL_SAY_BYTES, "too many commands wait for approval; try again later");
	else if (!request_fill(a, c, hash, now) || !request_statement(as, a, c) || !request_record(as, a)) {
		/* "no object exists": nothing but a record can make one. */
		store_drop(as, a);
		snprintf(say, APPROVAL_SAY_BYTES, "this command cannot be put to approval; it was refused");
	}
	if (say[0])
		return NULL;
	as->counters.requested++;
	snprintf(say, APPROVAL_SAY_BYTES, "waiting for approval %s: group %s can approve it within %u s; wait", a->id_text,
		 groups_text(a, groups, sizeof(groups)), c->expires_s);
	tell(as, a, APPROVAL_WAITING, say);
	return a;
}

static void end(struct approvals *as, struct approval *a, enum approval_event event, const char *cause)
{
	char say[APPROVAL_SAY_BYTES];
	bool waits = a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED;

	if (!store_step(as, a, event, cause, store_who(a), (struct bytes){ 0 }) || !waits)
		return;
	snprintf(say, sizeof(say), "approval %s: %s%s%.100s; %s", a->id_text, approval_state_name(a->state), cause[0] ? ": " : "", cause,
		 a->state == APPROVAL_SUPERSEDED ? "send the command again to ask anew" : "the command was not run");
	tell(as, a, APPROVAL_REFUSE, say);
}

/* RELEASE: everything that the vote rested on is looked at again (approvals.md 4), then the nonce is spent. */
void store_release(struct approvals *as, struct approval *a)
{
	if (a->state != APPROVAL_APPROVED || as->clock_stepped_back)
		return;
	if (as->now.mono_us >= a->use_by_mono_us)
		end(as, a, APPROVAL_PASSES_USE_BY, "not released in time");
	else if (!a->requester || !as->host.still_valid(as->host.ctx, a->requester))
		end(as, a, APPROVAL_IS_SUPERSEDED, "the requester's sign-in is no longer valid");
	else if (store_slots_filled(as, a, true) < a->quorum)
		end(as, a, APPROVAL_IS_SUPERSEDED, "an approver is no longer eligible");
	else if (store_step(as, a, APPROVAL_IS_RELEASED, "", store_who(a), (struct bytes){ 0 }))
		tell(as, a, APPROVAL_RELEASE, "");
}

void approvals_withdrawn(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, const char *cause)
{
	struct approval *a = approvals_of_command(as, worker, flow, n);

	if (!a)
		return;
	if (a->state == APPROVAL_REQUESTED)
		a->cancel_wanted = true;
	else if (a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED)
		end(as, a, APPROVAL_IS_CANCELLED, cause);
}

void approvals_responded(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, bool lost, const char *status)
{
	struct approval *a = approvals_of_command(as, worker, flow, n);

	if (a && a->state == APPROVAL_EXECUTING)
		(void)store_step(as, a, lost ? APPROVAL_LOSES_RESPONSE : APPROVAL_HAS_RESPONSE, status, store_who(a), (struct bytes){ 0 });
}

void approvals_session_closed(struct approvals *as, unsigned worker, uint64_t flow, const char *cause)
{
	for (unsigned i = 0; i < as->count; i++) {
		struct approval *a = as->all[i];

		if (a->worker != worker || a->flow != flow || approval_is_terminal(a->state))
			continue;
		if (a->state == APPROVAL_EXECUTING)
			(void)store_step(as, a, APPROVAL_LOSES_RESPONSE, cause, store_who(a), (struct bytes){ 0 });
		else
			approvals_withdrawn(as, worker, flow, a->n, cause);
	}
}

void approvals_policy_changed(struct approvals *as, const uint8_t policy_sha256[32])
{
	for (unsigned i = 0; i < as->count; i++) {
		struct approval *a = as->all[i];

		if ((a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED) && memcmp(a->policy_sha256, policy_sha256, 32))
			end(as, a, APPROVAL_IS_SUPERSEDED, "the policy changed");
	}
}

void approvals_tick(struct approvals *as, struct approval_clock now)
{
	as->now = now;
	as->clock_stepped_back = now.wall_us + CLOCK_STEP_US < as->wall_us_max;
	if (now.wall_us > as->wall_us_max)
		as->wall_us_max = now.wall_us;
	for (unsigned i = 0; as->counters.open && i < as->count; i++) {
		struct approval *a = as->all[i];

		if (a->state == APPROVAL_PENDING && now.mono_us >= a->expires_mono_us)
			end(as, a, APPROVAL_PASSES_EXPIRES, "time ran out");
		else if (a->state == APPROVAL_APPROVED && now.mono_us >= a->use_by_mono_us)
			end(as, a, APPROVAL_PASSES_USE_BY, "not released in time");
		else
			store_release(as, a);
	}
}

void approvals_durable(struct approvals *as)
{
	for (unsigned i = as->count; as->requested && i > 0; i--) {
		struct approval *a = as->all[i - 1];

		if (a->state != APPROVAL_REQUESTED)
			continue;
		(void)store_step(as, a, APPROVAL_IS_DURABLE, "", (struct bytes){ 0 }, (struct bytes){ 0 });
		if (a->cancel_wanted)
			end(as, a, APPROVAL_IS_CANCELLED, "withdrawn");
	}
}
