/* An opaque flow that needs no more reading is spliced: its frames are moved to the other wire's numbers where they lie and go out of
 * the other port. What is spliced was opened on record, and its octets are counted to the end; a kill, a policy and a dead peer end
 * it as any other. How the hand-over works: dataplane/tcp/splice.h.
 *
 * A flow is handed over by pump, once everything lies in TCP; while it is not quiet enough, both peers are promised nothing new for a
 * short while, now and then, so that it comes to rest. A policy that wants its service terminated takes it back, at once for what moves, and
 * it may be handed over again under another one. What would have to read it from its start, or speak in it, ends it. */
#include "dataplane/packet/shift.h"
#include "dataplane/relay/conductor.h"

#define CYCLE_US 2000000u     /* of waiting for a quiet moment, */
#define HOLD_US 400000u       /* at whose end the windows stand still for so long */
#define CYCLES_MAX 8          /* then only a moment that comes by itself will do */

static unsigned port_of(const struct flow *f, enum side side)
{
	return side == SIDE_CLIENT ? f->client_port : 1u - f->client_port;
}

/* For what needs more than the numbers. The flow is looked at in this turn, and gives its record back then. */
static bool wake(struct relay *r, struct flow *f)
{
	if (f->active)
		return true;
	relay_ready(r, f);
	return active_wake(r, f);
}

/* A segment towards `side` that is not a frame that came: ours, or one that was put together. In several frames where it does not fit
 * into one. What finds no room is lost, as any frame. */
static void send_segment(struct relay *r, struct flow *f, enum side side, const struct tcp_segment *s)
{
	size_t most = packet_mss(f->family, r->config.mtu_bytes) - tcp_options_bytes(&s->options);
	struct bytes left = s->span_count ? s->spans[0] : (struct bytes){ 0 };
	struct tcp_segment part = *s;

	if (!wake(r, f)) {
		r->counters.drop[ERROR_active_short]++;
		return;
	}
	do {
		size_t cap = 0, len = left.len < most ? left.len : most;
		uint8_t *room = r->wire.room(r->wire.context, port_of(f, side), &cap);

		if (!room) {
			r->counters.drop[ERROR_tx_full]++;
			return;
		}
		part.spans[0] = len ? bytes_of(left.base, len) : (struct bytes){ 0 };
		part.span_count = len > 0;
		part.payload_bytes = (uint32_t)len;
		part.flags = len < left.len ? s->flags & (uint8_t)~(TCP_FIN | TCP_PSH) : s->flags;
		r->wire.send(r->wire.context, port_of(f, side), packet_build(&f->active->wire[side], &part, room, cap, PACKET_BUILD_FULL).bytes);
		part.seq += (uint32_t)len;
		left = len < left.len ? bytes_of(left.base + len, left.len - len) : (struct bytes){ 0 };
	} while (left.len > 0);
}

static void answer(struct relay *r, struct flow *f, enum side side)
{
	struct tcp_segment s;

	if (!wake(r, f))
		return;
	tcp_splice_ack(&f->splice, &f->active->pair, (enum tcp_side)side, &s);
	send_segment(r, f, side, &s);
}

static bool needs_no_reading(const struct relay *r, const struct flow *f)
{
	const struct flow_session *s = f->session;

	if (r->config.splice == RELAY_SPLICE_OFF || f->unspliced || f->phase != FLOW_RUNNING || !f->opaque || f->wait != WAIT_NONE || barrier_any(f) || f->kill_asked)
		return false;
	for (int side = 0; side < 2; side++) {
		if (s && (tls_engine_active(&s->tls[side]) || s->tls_wanted[side] || stream_bytes(&s->in[side]) > 0 || stream_bytes(&s->out[side]) > 0))
			return false;
		if (f->read_ended[side] || f->write_ended[side])
			return false;
	}
	return true;
}

/* Not quiet yet. */
static void wait_for_quiet(struct relay *r, struct flow *f)
{
	uint64_t waited_us;

	if (f->splice_since_us == 0)
		f->splice_since_us = r->now_us;
	waited_us = r->now_us - f->splice_since_us;
	f->splice_hold_until_us = 0;
	if (waited_us < (uint64_t)CYCLE_US * CYCLES_MAX && waited_us % CYCLE_US >= CYCLE_US - HOLD_US)
		f->splice_hold_until_us = r->now_us + CYCLE_US - waited_us % CYCLE_US;
	tcp_pair_window_rule(&f->active->pair, f->splice_hold_until_us ? TCP_WINDOW_HOLD : TCP_WINDOW_FOLLOW);
}

void splice_try(struct relay *r, struct flow *f)
{
	unsigned answers;

	if (!needs_no_reading(r, f))
		return;
	if (!tcp_splice_ready(&f->active->pair)) {
		wait_for_quiet(r, f);
		return;
	}
	f->splice_hold_until_us = 0;
	answers = tcp_splice_begin(&f->splice, &f->active->pair, r->now_us);
	for (int side = 0; side < 2; side++)
		if (answers & 1u << side)
			answer(r, f, (enum side)side);
}

void splice_take_back(struct relay *r, struct flow *f)
{
	if (!wake(r, f))
		return; /* as soon as there is a record; till then nothing of it passes */
	tcp_splice_take_back(&f->splice, &f->active->pair, r->now_us);
	for (int side = 0; side < 2; side++) {
		f->octets[side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT] += f->splice.side[side].octets;
		f->splice.side[side].octets = 0;
	}
	f->splice_since_us = f->splice_hold_until_us = 0;
	tcp_pair_window_rule(&f->active->pair, TCP_WINDOW_OWN);
	r->counters.taken_back++;
	relay_ready(r, f);
}

/* Whether a frame came from the side on which its sender is: nobody passes on what pretends to come from beyond. */
static bool comes_from(const struct flow *f, enum side side, const struct packet *p)
{
	return memcmp(&p->source, flow_address(f, side), sizeof p->source) == 0 && p->source_port == flow_port(f, side);
}

static void take_end(struct relay *r, struct flow *f, enum side side, unsigned events)
{
	if (events & TCP_SPLICE_FINISHED)
		session_end(r, f, CLOSE_CLIENT);
	if (events & TCP_SPLICE_RESET) {
		f->active->pair.half[side].was_reset = true;
		session_end(r, f, CLOSE_RESET);
		relay_flow_free(r, f);
		return;
	}
	relay_ready(r, f);
}

enum relay_route splice_segment(struct relay *r, enum side side, const struct packet *p, enum packet_checksum checksum, struct flow *f,
				struct tcp_segment *s)
{
	struct packet_shift by = tcp_splice_shift(&f->splice, (enum tcp_side)side);
	bool in_place = !p->extensions && !r->together;
	unsigned events;

	if (!comes_from(f, side, p))
		return relay_drop(r, ERROR_midstream_guarded);
	if (f->kill_asked) {
		relay_ready(r, f);
		return RELAY_TAKEN;
	}
	events = tcp_splice_input(&f->splice, f->active ? &f->active->pair : NULL, (enum tcp_side)side, s, r->now_us);
	if (events & TCP_SPLICE_WANTED) {
		if (!wake(r, f))
			return relay_drop(r, ERROR_active_short);
		events = tcp_splice_input(&f->splice, &f->active->pair, (enum tcp_side)side, s, r->now_us);
	}
	if (events & TCP_SPLICE_ANSWER)
		answer(r, f, side);
	if (events & TCP_SPLICE_FORWARD) {
		r->counters.spliced++;
		if (!(events & TCP_SPLICE_REBUILT) && !in_place)
			packet_shift_segment(s, &by);
		if (events & TCP_SPLICE_REBUILT || !in_place) {
			send_segment(r, f, side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, s);
			in_place = false;
		} else if (!packet_shift_is_nothing(&by)) {
			if (checksum == PACKET_CHECKSUM_PARTIAL)
				packet_shift_unfinished(p, &by);
			else
				packet_shift_frame(p, &by);
		}
	}
	if (events != TCP_SPLICE_FORWARD || f->splice.side[SIDE_CLIENT].draining || f->splice.side[SIDE_SERVER].draining)
		take_end(r, f, side, events);
	return events & TCP_SPLICE_FORWARD && in_place ? RELAY_SPLICED : RELAY_TAKEN;
}

void splice_turn(struct relay *r, struct flow *f)
{
	if (f->kill_asked) {
		session_abort(r, f, CLOSE_KILLED);
		return;
	}
	if (tcp_timed_out(&f->active->pair.half[SIDE_CLIENT]) || tcp_timed_out(&f->active->pair.half[SIDE_SERVER])) {
		bool said_all = f->splice.side[SIDE_CLIENT].fin_seen && f->splice.side[SIDE_SERVER].fin_seen;

		session_abort(r, f, said_all ? CLOSE_CLIENT : CLOSE_TIMEOUT);
		return;
	}
	tcp_splice_sync(&f->splice, &f->active->pair, r->now_us);
}
