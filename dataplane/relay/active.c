/* What only a flow with something in flight needs: both TCP halves as they work, and its frames' headers. A flow at rest keeps what has to
 * outlive that (dataplane/tcp/rest.h) in its own place; the rest comes from a pool and goes back.
 *
 *   more than half of the pool is free   who has a record keeps it: a flow that moves now and then does not pay for it
 *   less                                 a flow gives it back at the end of the turn in which it came to rest, and some that lie still are
 *                                        looked at each turn
 *   an eighth                            a new SYN is dropped (memory_shed)
 *   nothing                              of flows that are over, those whose FIN nobody answered are reset (active_shed); a frame of a flow at
 *                                        rest is dropped (active_short), as one that finds a queue full: its sender repeats it; timers,
 *                                        orders and news of the flow wait
 *
 * One that is over or spliced gives its record back at once. Half-open flows have half of the pool at most (room.c). With a record
 * for each flow nothing of this is done. */
#include "dataplane/relay/conductor.h"

#define ACTIVE_MIN 16384u  /* as many as that, also where the chunks are few */
#define ACTIVE_CHUNKS 8    /* else one for so many chunks: what is in flight lies in chunks */
#define ACTIVE_SWEPT 8     /* records looked at in a turn */

uint32_t active_count(const struct relay_config *c)
{
	uint64_t count = c->chunk_memory_bytes / TCP_CHUNK_BYTES / ACTIVE_CHUNKS;

	if (count < ACTIVE_MIN)
		count = ACTIVE_MIN;
	if (c->active_max > 0)
		count = c->active_max;
	return count < c->flows_max ? (uint32_t)count : c->flows_max;
}

void active_init(struct relay *r)
{
	bool scarce = r->active_count < r->config.flows_max;

	for (uint32_t i = r->active_count; i > 0; i--) {
		r->actives[i - 1].next = r->active_free;
		r->active_free = &r->actives[i - 1];
	}
	r->active_left = r->active_count;
	r->active_mark = scarce ? r->active_count / 2 : 0;
	r->active_reserve = scarce ? r->active_count / 8 : 0;
}

static bool take(struct relay *r, struct flow *f)
{
	struct flow_active *a = r->active_free;

	if (!a)
		return false;
	r->active_free = a->next;
	r->active_left--;
	a->flow = f;
	f->active = a;
	return true;
}

void active_drop(struct relay *r, struct flow *f)
{
	struct flow_active *a = f->active;

	if (!a)
		return;
	a->flow = NULL;
	a->next = r->active_free;
	r->active_free = a;
	r->active_left++;
	f->active = NULL;
}

bool active_begin(struct relay *r, struct flow *f)
{
	return r->active_left > r->active_reserve && take(r, f);
}

bool active_find(struct relay *r, struct flow *f)
{
	if (!take(r, f))
		return false;
	tcp_rest_unpack(&f->rest.tcp, &f->active->pair, &r->tcp[f->family == 6], &r->pool);
	for (int side = 0; side < 2; side++) {
		enum side to = (enum side)side, from = side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT;

		packet_template_restore(&f->rest.wire[side], flow_address(f, from), flow_address(f, to), flow_port(f, from), flow_port(f, to),
					&f->active->wire[side]);
	}
	if (f->splice.on)
		tcp_splice_sync(&f->splice, &f->active->pair, r->now_us);
	return true;
}

void active_lie_down(struct relay *r, struct flow *f)
{
	if (f->ready || f->abort_asked || !tcp_rest_ready(&f->active->pair, r->now_us))
		return;
	tcp_rest_pack(&f->active->pair, &f->rest.tcp);
	for (int side = 0; side < 2; side++)
		packet_template_keep(&f->active->wire[side], &f->rest.wire[side]);
	active_drop(r, f);
}

/* Both sessions and all bytes are done with: a peer that did not answer a FIN within a time-out learns nothing by its repetition. */
static bool is_unanswered(const struct flow *f)
{
	const struct tcp_half *client = &f->active->pair.half[SIDE_CLIENT], *server = &f->active->pair.half[SIDE_SERVER];

	return f->phase == FLOW_CLOSED && !f->abort_asked && client->retries + server->retries > 0 && tcp_send_empty(client) && tcp_send_empty(server);
}

void active_sweep(struct relay *r)
{
	for (unsigned i = 0; i < ACTIVE_SWEPT && r->active_left < r->active_mark; i++) {
		struct flow_active *a = &r->actives[r->active_next];

		r->active_next = r->active_next + 1 < r->active_count ? r->active_next + 1 : 0;
		if (!a->flow)
			continue;
		if (r->active_left == 0 && is_unanswered(a->flow)) {
			r->counters.drop[ERROR_active_shed]++;
			a->flow->abort_asked = true;
			relay_ready(r, a->flow);
			continue;
		}
		active_lie_down(r, a->flow);
	}
}
