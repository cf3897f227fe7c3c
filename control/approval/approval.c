/* approval.c: clocks and ends. Requests are in request.c, releases in release.c, votes in vote.c, the table in state.c.
 *
 * Each function is: find the objects, take the step (record, then memory: store_step), tell the worker. What is told leaves
 * after the commit, so a record is always older than its effect. */
#include "control/approval/approval.h"

#include <stdio.h>

#include "control/approval/store.h"

#define CLOCK_STEP_US 1000000u

void store_tell(struct approvals *as, const struct approval *a, enum approval_answer answer, const char *say)
{
	as->host.answer(as->host.ctx, a, answer, say);
}

void store_clock(struct approvals *as, struct approval_clock now)
{
	as->now = now;
	as->clock_free = now.free;
	as->clock_stepped_back = now.wall_us + CLOCK_STEP_US < as->wall_us_max;
	if (now.wall_us > as->wall_us_max)
		as->wall_us_max = now.wall_us;
}

void store_end(struct approvals *as, struct approval *a, enum approval_event event, const char *cause)
{
	char say[APPROVAL_SAY_BYTES];
	bool waits = a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED;

	if (!store_step(as, a, event, cause, store_who(a), (struct bytes){ 0 }) || !waits)
		return;
	snprintf(say, sizeof(say), "approval %s: %s%s%.100s; %s", a->id_text, approval_state_name(a->state), cause[0] ? ": " : "", cause,
		 a->state == APPROVAL_SUPERSEDED ? "send the command again to ask anew" : "the command was not run");
	store_tell(as, a, APPROVAL_REFUSE, say);
}

void approvals_withdrawn(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, const char *cause)
{
	struct approval *a = approvals_of_command(as, worker, flow, n);

	if (!a)
		return;
	if (a->state == APPROVAL_REQUESTED)
		a->cancel_wanted = true;
	else if (a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED)
		store_end(as, a, APPROVAL_IS_CANCELLED, cause);
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

		if (a->kind != APPROVAL_ONCE_HOLD || a->worker != worker || a->flow != flow || approval_is_terminal(a->state))
			continue;
		if (a->state == APPROVAL_EXECUTING)
			(void)store_step(as, a, APPROVAL_LOSES_RESPONSE, cause, store_who(a), (struct bytes){ 0 });
		else
			approvals_withdrawn(as, worker, flow, a->n, cause);
	}
}

void approvals_policy_changed(struct approvals *as)
{
	for (unsigned i = 0; i < as->count; i++) {
		struct approval *a = as->all[i];

		a->look_again |= a->state == APPROVAL_REQUESTED || a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED;
	}
}

void approvals_tick(struct approvals *as, struct approval_clock now)
{
	store_clock(as, now);
	for (unsigned i = 0; as->counters.open && i < as->count; i++) {
		struct approval *a = as->all[i];

		if (a->state == APPROVAL_PENDING && now.mono_us >= a->expires_mono_us)
			store_end(as, a, APPROVAL_PASSES_EXPIRES, "time ran out");
		else if (a->state == APPROVAL_APPROVED && now.mono_us >= a->use_by_mono_us)
			store_end(as, a, APPROVAL_PASSES_USE_BY, "not released in time");
		else if (a->state == APPROVAL_APPROVED || (a->state == APPROVAL_PENDING && a->look_again))
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
			store_end(as, a, APPROVAL_IS_CANCELLED, "withdrawn");
	}
}
