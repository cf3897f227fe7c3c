/* What every flow has to hear of: another policy, the end of all sessions, a new life of control, nothing being released any
 * more. There may be a million flows, so nobody walks over all of them at once: such news has a number, and each flow remembers the
 * last that it heard. A flow hears before anything is done with it, so that news is in force at once for all that moves; those that
 * do not move are visited by a cursor, a bounded number a turn.
 *
 * A policy that was replaced is given back when each flow was visited once since; until then the addresses of both are guarded. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>

void news_tell(struct relay *r)
{
	r->news++;
	r->visits_left = r->config.flows_max;
}

void news_kill_all(struct relay *r, struct bytes say)
{
	snprintf(r->kill_say, sizeof r->kill_say, "%.*s", (int)say.len, (const char *)say.base);
	news_tell(r);
	r->kill_news = r->news;
}

void news_control_reborn(struct relay *r)
{
	news_tell(r);
	r->reborn_news = r->news;
}

/* A new life of control knows nothing of the questions that are no records: they are asked again, or cannot be. */
static void hear_of_rebirth(struct relay *r, struct flow *f)
{
	if (f->wait == WAIT_CLASSIFY)
		f->session->pending.asked = false;
	if (f->wait == WAIT_PROOF)
		session_demand_end(r, f, END_UNAVAILABLE, bytes_str("the control plane was restarted: connect again"));
}

void news_hear(struct relay *r, struct flow *f)
{
	uint64_t heard = f->news;

	if (heard == r->news)
		return;
	f->news = r->news;
	if (f->phase == FLOW_RUNNING || f->phase == FLOW_ENDING)
		session_refresh_snapshot(r, f);
	if (f->phase == FLOW_RUNNING && heard < r->kill_news)
		session_demand_end(r, f, END_KILLED, bytes_str(r->kill_say));
	if (f->phase == FLOW_RUNNING && heard < r->reborn_news)
		hear_of_rebirth(r, f);
}

static void visit(struct relay *r, struct flow *f)
{
	if (f->phase == FLOW_FREE)
		return;
	guard_add(&r->guard_next, flow_address(f, SIDE_SERVER));
	news_hear(r, f);
	if (f->phase == FLOW_RUNNING && (f->wait != WAIT_NONE || barrier_any(f)))
		relay_ready(r, f);
}

/* Every flow has heard of the policy in force. */
static void forget_leaving(struct relay *r)
{
	r->guard = r->guard_next;
	r->retired = r->leaving;
	r->leaving = NULL;
}

bool news_visit(struct relay *r)
{
	unsigned visits = 0, woken = 0;

	if (r->visits_left == 0)
		return false;
	for (; r->visits_left > 0 && visits < RELAY_VISITS_PER_TURN && woken < RELAY_WAKES_PER_TURN; visits++, r->visits_left--) {
		struct flow *f = &r->flows[r->visit_next];
		bool was_ready = f->ready;

		r->visit_next = r->visit_next + 1 < r->config.flows_max ? r->visit_next + 1 : 0;
		visit(r, f);
		woken += f->ready && !was_ready;
		if (r->leaving_left > 0 && --r->leaving_left == 0)
			forget_leaving(r);
	}
	return true;
}

bool relay_swap_snapshot(struct relay *r, const struct relay_snapshot *next)
{
	if (r->leaving_left > 0 || r->retired)
		return false;
	r->leaving = r->snapshot;
	r->snapshot = next;
	guard_fill(&r->guard_next, next->inspect.image);
	guard_join(&r->guard, &r->guard_next); /* an address too many costs a question, one too few would let packets pass unread */
	news_tell(r);
	r->leaving_left = r->visits_left;
	if (relay_flows_open(r) == 0) {
		r->leaving_left = r->visits_left = 0;
		forget_leaving(r);
	}
	return true;
}

const struct relay_snapshot *relay_retired_snapshot(struct relay *r)
{
	const struct relay_snapshot *retired = r->retired;

	r->retired = NULL;
	return retired;
}
