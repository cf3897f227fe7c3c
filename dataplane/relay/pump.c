/* One flow, both directions: tcp in, tls in, inspector feed (which judges), tls out, tcp out. Every step takes a bounded
 * amount; what is left over is taken in the next turn. The other direction is the same code with the ends swapped. */
#include "dataplane/relay/conductor.h"

#include <stdio.h>

#include "platform/base/secret.h"

static enum side other(enum side side)
{
	return side == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT;
}

static void note_octets(struct flow *f, enum side from, size_t len)
{
	f->octets[other(from)] += len;
}

/* TLS with the target cannot be had: the client is told, in its protocol's words, what the operator has to look at. */
static void refuse_upstream(struct relay *r, struct flow *f, const char *what, const char *remedy)
{
	char say[RELAY_SAY_BYTES];

	snprintf(say, sizeof say, "%s: nothing was sent to it; %s", what, remedy);
	stream_release(&f->session->out[SIDE_SERVER], &r->buffers);
	session_demand_end(r, f, END_UPSTREAM, bytes_str(say));
}

/* A leg whose TLS failed. */
static void tls_failed(struct relay *r, struct flow *f, enum side side)
{
	char reason[120], what[160];

	if (side == SIDE_CLIENT || f->session->tls[SIDE_SERVER].established || f->phase != FLOW_RUNNING) {
		session_abort(r, f, CLOSE_TLS);
		return;
	}
	tls_engine_describe(&f->session->tls[side], reason, sizeof reason);
	snprintf(what, sizeof what, "TLS with the target: %s", reason);
	refuse_upstream(r, f, what, "the operator looks at the target's certificate, and at upstream_name and roots of this service");
}

/* Starts TLS on a side once everything that was written before it has left. */
static void begin_tls(struct relay *r, struct flow *f, enum side side)
{
	struct relay_service *s = f->service;
	struct policy_service service = policy_service(f->snapshot->image, f->service_number);
	bool open = false;

	if (!f->session->tls_wanted[side] || tls_engine_active(&f->session->tls[side]) || (side == SIDE_SERVER && f->kill_asked))
		return;
	if (side == SIDE_CLIENT && s->server)
		open = tls_engine_open_server(&f->session->tls[side], s->server, f->session->tls_named);
	if (side == SIDE_SERVER && s->client)
		open = tls_engine_open_client(&f->session->tls[side], s->client, (const char *)service.upstream_name.base);
	if (open) {
		struct bytes early = stream_readable(&f->session->in[side]);
		/* What came behind the request to start TLS is ciphertext; as such it cannot smuggle anything. */
		size_t fed = tls_engine_feed(&f->session->tls[side], early);

		if (fed == early.len) {
			stream_consume(&f->session->in[side], &r->buffers, fed);
			return;
		}
	}
	if (side == SIDE_SERVER && !s->client && f->phase == FLOW_RUNNING)
		refuse_upstream(r, f, "no roots are known to verify the target by", "the operator names them under upstream in sluice.conf");
	else
		session_abort(r, f, CLOSE_TLS);
}

/* TCP's bytes into the side's stream, decrypted if TLS runs there. */
static bool ingest(struct relay *r, struct flow *f, enum side side)
{
	struct tcp_half *half = tcp_half_of(&f->active->pair, (enum tcp_side)side);
	struct stream *in = &f->session->in[side];
	size_t wanted = f->session->needed[side] > stream_bytes(in) ? f->session->needed[side] - stream_bytes(in) : 0;
	size_t budget = RELAY_IN_BYTES;
	bool progress = false;

	if (stream_bytes(in) > RELAY_IN_BYTES && wanted == 0)
		return false;
	while (budget > 0) {
		struct bytes span = tcp_readable(half);
		size_t len = span.len < budget ? span.len : budget;
		struct writer w;

		if (!tls_engine_active(&f->session->tls[side])) {
			if (len == 0 || !stream_reserve(in, &r->buffers, wanted > len ? wanted : len))
				break;
			w = stream_writer(in);
			writer_bytes(&w, span.base, len);
		} else {
			size_t fed = len ? tls_engine_feed(&f->session->tls[side], bytes_of(span.base, len)) : 0;

			if (!stream_reserve(in, &r->buffers, wanted > 16384 ? wanted : 16384))
				break;
			w = stream_writer(in);
			tls_engine_read(&f->session->tls[side], &w);
			if (fed == 0 && w.len == 0)
				len = 0;
			else
				len = fed;
			if (len == 0 && w.len == 0)
				budget = 0;
		}
		tcp_consume(half, len);
		stream_commit(in, w.len);
		note_octets(f, side, w.len);
		budget = budget > len + w.len ? budget - (len + w.len) : 0;
		wanted = wanted > w.len ? wanted - w.len : 0;
		progress |= len > 0 || w.len > 0;
		if (len == 0 && w.len == 0)
			break;
	}
	if (in->base && stream_bytes(in) == 0)
		stream_consume(in, &r->buffers, 0);
	if (f->session->tls[side].failed)
		tls_failed(r, f, side);
	else if (tcp_read_closed(half) || f->session->tls[side].ended)
		f->read_ended[side] = true;
	return progress;
}

/* Calls into the inspector with writers over both outputs, and takes over what it wrote. */
struct call {
	struct writer out[2];
	struct inspect_io io;
};

/* A call writes one window, or the one message that needs more. */
static void limit_window(struct writer *w, size_t room)
{
	size_t cap = room > RELAY_WINDOW_BYTES ? room : RELAY_WINDOW_BYTES;

	if (writer_space(w) > cap)
		*w = writer_of(w->base, cap);
}

static bool call_begin(struct relay *r, struct flow *f, struct call *c, size_t room_client, size_t room_server)
{
	if (!stream_reserve(&f->session->out[SIDE_CLIENT], &r->buffers, room_client) ||
	    !stream_reserve(&f->session->out[SIDE_SERVER], &r->buffers, room_server))
		return false;
	for (int side = 0; side < 2; side++) {
		c->out[side] = stream_writer(&f->session->out[side]);
		c->io.out[side] = &c->out[side];
	}
	if (f->audit == POLICY_AUDIT_ANSWERS)
		limit_window(&c->out[SIDE_CLIENT], room_client);
	f->session->io = &c->io;
	f->session->captured = 0;
	f->session->env.now_us = r->now_us;
	session_refresh_snapshot(r, f);
	return true;
}

static void call_end(struct relay *r, struct flow *f, struct call *c)
{
	barrier_sent_report(r, f);
	barrier_capture(r, f);
	for (int side = 0; side < 2; side++) {
		stream_commit(&f->session->out[side], c->out[side].len);
		if (stream_bytes(&f->session->out[side]) == 0)
			stream_consume(&f->session->out[side], &r->buffers, 0);
	}
	f->session->io = NULL;
	barrier_window(r, f);
	f->session->noticed = false;
}

static void wipe_consumed(struct flow *f, enum side side, size_t len)
{
	struct bytes in = stream_readable(&f->session->in[side]);

	if (!f->session->logged_in && in.base)
		secret_wipe((void *)(uintptr_t)in.base, len); /* a token may have been in it */
}

/* What the inspector said, for the conductor. */
static void obey(struct relay *r, struct flow *f, const struct inspect_result *result)
{
	if (f->session)
		f->session->own_words &= f->session->under_way > 0;
	if (result->status == INSPECT_OPAQUE)
		f->opaque = true;
	if (result->status == INSPECT_CLOSE && f->phase == FLOW_RUNNING) {
		f->phase = FLOW_ENDING;
		f->cause = (uint8_t)result->cause;
		f->wait_since_us = r->now_us;
	}
}

static bool opaque_copy(struct relay *r, struct flow *f, enum side from)
{
	struct bytes in = stream_readable(&f->session->in[from]);
	struct stream *out = &f->session->out[other(from)];
	struct writer w;

	if (in.len == 0 || stream_bytes(out) > RELAY_OUT_BYTES || !stream_reserve(out, &r->buffers, in.len))
		return false;
	w = stream_writer(out);
	writer_put(&w, in);
	stream_commit(out, w.len);
	stream_consume(&f->session->in[from], &r->buffers, in.len);
	return true;
}

/* Whether there is anything between the halves, or may come to be. */
static bool is_between(const struct flow *f, enum side from)
{
	const struct flow_session *s = f->session;
	enum side to = other(from);

	return tls_engine_active(&s->tls[from]) || tls_engine_active(&s->tls[to]) || stream_bytes(&s->in[from]) > 0 || stream_bytes(&s->out[to]) > 0 ||
	       barrier_any(f);
}

/* Nothing between the halves: chunks change hands. */
static bool opaque_move(const struct relay *r, struct flow *f, enum side from)
{
	enum side to = other(from);

	if (f->session ? is_between(f, from) : barrier_holds(r, f, to))
		return false;
	size_t moved = tcp_move(tcp_half_of(&f->active->pair, (enum tcp_side)from), tcp_half_of(&f->active->pair, (enum tcp_side)to), RELAY_IN_BYTES * 4);

	note_octets(f, from, tcp_splice_fresh(&f->splice, &f->active->pair, (enum tcp_side)from, moved));
	if (tcp_read_closed(tcp_half_of(&f->active->pair, (enum tcp_side)from)))
		f->read_ended[from] = true;
	return moved > 0;
}

static bool feed(struct relay *r, struct flow *f, enum side from)
{
	bool progress = false;

	if (f->opaque)
		return opaque_copy(r, f, from);
	if (f->phase != FLOW_RUNNING || (from == SIDE_CLIENT && f->wait != WAIT_NONE) || f->wait == WAIT_IDENTITY || f->wait == WAIT_PROOF)
		return false;
	if (stream_bytes(&f->session->out[other(from)]) > RELAY_OUT_BYTES)
		return false;
	if (!report_has_room(&r->report)) {
		/* Nobody tells when control has taken something out: what lies here is looked at again. */
		if (stream_bytes(&f->session->in[from]) > 0)
			relay_ready(r, f);
		return false;
	}
	for (int i = 0; i < RELAY_CALLS_PER_TURN && stream_bytes(&f->session->in[from]) > 0 && f->phase == FLOW_RUNNING; i++) {
		size_t room[2] = { 16384, 16384 };
		struct inspect_result result;
		struct call c;

		if (stream_bytes(&f->session->in[from]) < f->session->needed[from])
			break;
		for (int attempt = 0; attempt < 2; attempt++) {
			if (!call_begin(r, f, &c, room[SIDE_CLIENT], room[SIDE_SERVER]))
				return progress;
			result = f->session->inspector->feed(f->session->memory, from, stream_readable(&f->session->in[from]), &c.io);
			call_end(r, f, &c);
			if (result.status != INSPECT_FULL || result.consumed > 0)
				break;
			room[result.full] = result.needed + 16384;
		}
		wipe_consumed(f, from, result.consumed);
		stream_consume(&f->session->in[from], &r->buffers, result.consumed);
		f->session->needed[from] = result.status == INSPECT_MORE ? result.needed : 0;
		progress |= result.consumed > 0 || c.out[0].len > 0 || c.out[1].len > 0;
		obey(r, f, &result);
		if (result.status != INSPECT_OK || result.consumed == 0 || f->session->tls_wanted[from] != tls_engine_active(&f->session->tls[from]))
			break;
		if (stream_bytes(&f->session->out[other(from)]) > RELAY_OUT_BYTES || f->wait != WAIT_NONE)
			break;
	}
	return progress;
}

void pump_answer(struct relay *r, struct flow *f, const struct inspect_answer *a)
{
	size_t room[2] = { 16384, BUFFER_MEDIUM_BYTES / 2 };
	struct inspect_result result;
	struct call c;

	if (!f->session || f->session->io)
		return;
	for (int attempt = 0; attempt < 2; attempt++) {
		if (!call_begin(r, f, &c, room[SIDE_CLIENT], room[SIDE_SERVER])) {
			session_abort(r, f, CLOSE_RESET);
			return;
		}
		f->session->noticed = a->kind == ANSWER_NOTICE;
		result = f->session->inspector->answer(f->session->memory, a, &c.io);
		call_end(r, f, &c);
		if (result.status != INSPECT_FULL)
			break;
		room[result.full] = result.needed + 16384;
	}
	obey(r, f, &result);
	relay_ready(r, f);
}

/* Ciphertext into TCP's send queue. */
static bool drain_tls(struct flow *f, enum side side)
{
	struct tcp_half *half = tcp_half_of(&f->active->pair, (enum tcp_side)side);
	uint8_t wire[16384];
	bool progress = false;

	for (int i = 0; i < 16; i++) {
		size_t space = tcp_send_space(half);
		size_t len = tls_engine_drain(&f->session->tls[side], wire, space < sizeof wire ? space : sizeof wire);

		if (len == 0)
			break;
		(void)tcp_send(half, wire, len);
		progress = true;
	}
	return progress;
}

static bool egress(struct relay *r, struct flow *f, enum side side)
{
	struct tcp_half *half = tcp_half_of(&f->active->pair, (enum tcp_side)side);
	struct stream *out = &f->session->out[side];
	size_t len = barrier_released(r, f, side);
	uint64_t start = out->written - stream_bytes(out);
	bool progress = false;
	size_t sent = 0;

	if (f->session->tls_wanted[side] && !tls_engine_active(&f->session->tls[side]) && start >= f->session->plain_until[side])
		begin_tls(r, f, side);
	if (f->phase == FLOW_CLOSED)
		return false;
	if (f->session->tls_wanted[side] && start < f->session->plain_until[side] && len > f->session->plain_until[side] - start)
		len = (size_t)(f->session->plain_until[side] - start);
	if (tls_engine_active(&f->session->tls[side])) {
		progress = drain_tls(f, side);
		sent = tls_engine_write(&f->session->tls[side], bytes_of(stream_readable(out).base, len));
		progress |= drain_tls(f, side);
	} else if (!f->session->tls_wanted[side] || start < f->session->plain_until[side]) {
		sent = tcp_send(half, stream_readable(out).base, len);
	}
	if (sent)
		stream_consume(out, &r->buffers, sent);
	if (f->session->tls_wanted[side] && !tls_engine_active(&f->session->tls[side]) && start + sent >= f->session->plain_until[side])
		begin_tls(r, f, side);
	return progress || sent > 0;
}

/* Everything for that side is TCP's, TLS's last word too. */
static bool said_all(struct flow *f, enum side to)
{
	struct flow_session *s = f->session;

	if (!s)
		return true;
	if (stream_bytes(&s->out[to]) > 0)
		return false;
	if (tls_engine_active(&s->tls[to])) {
		tls_engine_end(&s->tls[to]);
		(void)drain_tls(f, to);
	}
	return tls_engine_pending(&s->tls[to]) == 0;
}

/* A side that ended tells the session; when all that was written has gone, the other side is ended too. */
static void endings(struct relay *r, struct flow *f)
{
	for (int from = 0; from < 2; from++) {
		enum side to = other((enum side)from);
		bool drained = !f->session || stream_bytes(&f->session->in[from]) == 0 || (from == SIDE_CLIENT && f->wait != WAIT_NONE && f->wait != WAIT_CANCEL);

		if (f->read_ended[from] && !f->ended_told[from] && f->phase == FLOW_RUNNING && drained) {
			struct inspect_result result = { .status = INSPECT_OK };
			struct call c;

			f->ended_told[from] = true;
			if (from == SIDE_CLIENT && f->wait == WAIT_APPROVAL) {
				host_withdraw(r, f, WITHDRAW_CLIENT_GONE);
				f->wait = WAIT_NONE;
			}
			if (!f->opaque && call_begin(r, f, &c, 16384, 16384)) {
				result = f->session->inspector->ended(f->session->memory, (enum side)from, &c.io);
				call_end(r, f, &c);
			}
			obey(r, f, &result);
		}
		bool ends = f->phase == FLOW_ENDING || (f->phase == FLOW_RUNNING && f->ended_told[from]);

		if (ends && !f->write_ended[to] && said_all(f, to)) {
			tcp_send_close(tcp_half_of(&f->active->pair, (enum tcp_side)to));
			f->write_ended[to] = true;
		}
	}
	if (f->phase == FLOW_RUNNING && f->write_ended[0] && f->write_ended[1])
		session_end(r, f, f->ended_told[SIDE_CLIENT] ? CLOSE_CLIENT : CLOSE_SERVER);
	if (f->phase == FLOW_ENDING && f->write_ended[0] && f->write_ended[1])
		session_end(r, f, (enum close_cause)f->cause);
}

/* A target that goes in the middle of a login: the client is told before its own connection is reset. */
static void tell_lost(struct relay *r, struct flow *f, bool timed_out)
{
	struct inspect_answer a = { .kind = ANSWER_END, .end = END_UPSTREAM_LOST };

	a.text = bytes_str(timed_out ? "the target does not answer any more: the operator looks at it and at the way to it"
				     : "the target reset the connection: the operator looks at the target's log");
	pump_answer(r, f, &a);
	if (f->phase == FLOW_ENDING) /* it had something to say: for the record too */
		session_demand_end(r, f, END_UPSTREAM_LOST, a.text);
}

/* A reset on one side becomes one on the other, behind what its peer sent before it: a server that explains itself and then
 * resets is heard. */
static void resets(struct relay *r, struct flow *f)
{
	for (int side = 0; side < 2; side++) {
		const struct tcp_half *half = tcp_half_of(&f->active->pair, (enum tcp_side)side);
		enum side to = other((enum side)side);

		if (!tcp_was_reset(half) && !tcp_timed_out(half))
			continue;
		if (f->phase == FLOW_RUNNING && side == SIDE_SERVER) {
			if ((!f->opaque || !opaque_move(r, f, SIDE_SERVER)) && f->session) {
				(void)ingest(r, f, SIDE_SERVER);
				if (f->phase == FLOW_RUNNING)
					(void)feed(r, f, SIDE_SERVER);
			}
			if (f->phase == FLOW_RUNNING && f->session)
				tell_lost(r, f, tcp_timed_out(half));
			if (f->phase != FLOW_CLOSED && f->session)
				(void)egress(r, f, to);
		}
		tcp_pair_abort_behind(&f->active->pair, (enum tcp_side)to, r->now_us);
		if (f->phase == FLOW_OPENING) {
			f->phase = FLOW_CLOSED;
			room_leave(r, f);
		}
		session_end(r, f, tcp_timed_out(half) ? CLOSE_TIMEOUT : CLOSE_RESET);
	}
}

static void obey_demand(struct relay *r, struct flow *f)
{
	struct inspect_answer a = { .kind = ANSWER_END, .end = (enum inspect_end)f->kill_end, .text = bytes_str(f->kill_say ? f->kill_say : "") };

	if (f->wait == WAIT_APPROVAL)
		host_withdraw(r, f, WITHDRAW_CLIENT_GONE);
	f->wait = WAIT_NONE;
	f->cause = f->kill_end == END_UPSTREAM ? CLOSE_TLS : CLOSE_KILLED;
	if (!f->session) { /* there are no words for it */
		f->phase = FLOW_ENDING;
		f->wait_since_us = r->now_us;
		return;
	}
	pump_answer(r, f, &a);
	if (f->phase == FLOW_RUNNING)
		session_abort(r, f, (enum close_cause)f->cause);
}

/* What a session waits for and will not get, or may be given now. */
static void waits(struct relay *r, struct flow *f)
{
	bool lost = r->refusing != REFUSING_NOTHING || r->now_us - f->wait_since_us > r->config.lost_after_us;

	if (f->session->cancel_asked && f->wait == WAIT_APPROVAL) {
		f->session->cancel_asked = false;
		host_withdraw(r, f, WITHDRAW_CANCELLED);
		host_refuse_pending(r, f, bytes_str("canceling statement due to user request"), true);
	}
	if (f->wait == WAIT_APPROVAL && r->refusing == REFUSING_LOST && r->now_us > f->session->pending.expires_us) {
		host_withdraw(r, f, WITHDRAW_CANCELLED);
		host_refuse_pending(r, f, bytes_str("the approval has expired; nobody could be asked while the control plane was gone"), false);
	} else if (lost && (f->wait == WAIT_CLASSIFY || f->wait == WAIT_GRANTS || f->wait == WAIT_RING))
		host_refuse_pending(r, f, (struct bytes){ 0 }, false);
	else if (lost && (f->wait == WAIT_IDENTITY || f->wait == WAIT_PROOF))
		session_demand_end(r, f, END_UNAVAILABLE, bytes_str(host_refusal(r)));
	else if (f->wait == WAIT_CANCEL && r->now_us - f->wait_since_us > r->config.lost_after_us)
		session_abort(r, f, CLOSE_TIMEOUT);
	else if (f->wait == WAIT_RING || (f->wait == WAIT_CLASSIFY && !f->session->pending.asked) ||
		   (f->wait == WAIT_GRANTS && f->session->groups_generation == f->snapshot->generation))
		host_retry(r, f);
}

/* What does not come from a peer: killed, cancelled, waited too long for control, or did not get rid of its last bytes. */
static void demands(struct relay *r, struct flow *f)
{
	if (f->phase == FLOW_ENDING && r->now_us - f->wait_since_us > RELAY_LINGER_US) {
		session_abort(r, f, (enum close_cause)f->cause);
		return;
	}
	if (f->phase != FLOW_RUNNING)
		return;
	/* A command whose record is on its way is no more to be refused: it is released with its record, or the session ends. */
	if (barrier_any(f) && (r->refusing == REFUSING_JOURNAL || r->now_us - f->barrier_since_us > r->config.lost_after_us))
		barrier_drop(r, f);
	if (f->phase != FLOW_RUNNING)
		return;
	if (f->kill_asked) {
		obey_demand(r, f);
		return;
	}
	if (f->session)
		waits(r, f);
}

struct emit_context {
	struct relay *relay;
	struct flow *flow;
	enum side side;
	struct relay_help help;
};

#define HEADERS_BYTES_MAX (PACKET_HEADER_BYTES_MAX + 60) /* of a frame: TCP's has at most 15 words */

static unsigned port_of(const struct emit_context *e)
{
	return e->side == SIDE_CLIENT ? e->flow->client_port : 1u - e->flow->client_port;
}

static void note_sent(const struct emit_context *e, const struct tcp_segment *segment)
{
	if (segment->flags & (TCP_SYN | TCP_FIN | TCP_RST))
		flight_note(&e->relay->flight, e->flow, PAGE_FLIGHT_segment_out, e->side, flight_segment(segment, segment->payload_bytes), segment->seq,
			    e->relay->now_us);
}

/* The port makes the checksum, and cuts what is too large. */
static bool emit_helped(struct emit_context *e, unsigned port, const struct tcp_segment *segment)
{
	struct relay *r = e->relay;
	size_t cap = 0;
	uint8_t *room = segment->cut_bytes ? r->wire.room_large(r->wire.context, port, &cap) : r->wire.room(r->wire.context, port, &cap);
	struct packet_built built;

	if (!room)
		return false;
	note_sent(e, segment);
	built = packet_build(&e->flow->active->wire[e->side], segment, room, cap, PACKET_BUILD_PSEUDO);
	r->wire.send_helped(r->wire.context, port, &built, segment->cut_bytes);
	return true;
}

static bool emit(void *context, const struct tcp_segment *segment)
{
	struct emit_context *e = context;
	struct relay *r = e->relay;
	unsigned port = port_of(e);
	size_t cap = 0;
	struct packet_built built;
	uint8_t *room;

	if (e->help.checksum && segment->payload_bytes > 0)
		return emit_helped(e, port, segment);
	room = r->wire.room(r->wire.context, port, &cap);
	if (!room)
		return false;
	note_sent(e, segment);
	built = packet_build(&e->flow->active->wire[e->side], segment, room, cap, PACKET_BUILD_FULL);
	r->wire.send(r->wire.context, port, built.bytes);
	return true;
}

static void take_help(struct emit_context *e)
{
	struct relay *r = e->relay;

	e->help = r->wire.help(r->wire.context, port_of(e));
	e->flow->active->pair.half[e->side].large_bytes =
		e->help.frame_bytes_max > HEADERS_BYTES_MAX ? (uint16_t)(e->help.frame_bytes_max - HEADERS_BYTES_MAX) : 0;
}

void pump_transmit(struct relay *r, struct flow *f)
{
	for (int side = 0; side < 2; side++) {
		struct emit_context e = { .relay = r, .flow = f, .side = (enum side)side };

		if (r->wire.help)
			take_help(&e);
		switch (tcp_pair_output(&f->active->pair, (enum tcp_side)side, emit, &e, RELAY_SEGMENTS_PER_TURN, r->now_us)) {
		case TCP_OUTPUT_IDLE:
			break;
		case TCP_OUTPUT_MORE:
			relay_ready(r, f);
			break;
		case TCP_OUTPUT_FULL:
			r->counters.drop[ERROR_tx_full]++;
			relay_ready(r, f);
			break;
		}
	}
}

/* The next moment at which this flow wants to be looked at without a packet. */
static uint64_t deadline(const struct relay *r, const struct flow *f)
{
	uint64_t at = tcp_pair_deadline_us(&f->active->pair), mine = TCP_NEVER_US;

	if (f->phase == FLOW_ENDING)
		mine = f->wait_since_us + RELAY_LINGER_US + 1;
	else if (f->phase == FLOW_RUNNING && f->wait == WAIT_APPROVAL)
		mine = r->refusing == REFUSING_LOST ? f->session->pending.expires_us + 1 : TCP_NEVER_US; /* else control says so */
	else if (f->phase == FLOW_RUNNING && f->wait != WAIT_NONE)
		mine = f->wait_since_us + r->config.lost_after_us + 1;
	else if (f->phase == FLOW_RUNNING && barrier_any(f))
		mine = f->barrier_since_us + r->config.lost_after_us + 1;
	else if (f->phase == FLOW_RUNNING && f->splice_hold_until_us > 0)
		mine = f->splice_hold_until_us;
	return at < mine ? at : mine;
}

/* Nothing lies between the ends: another round would find nothing. TLS keeps bytes of its own. */
static bool is_drained(struct flow *f)
{
	const struct flow_session *s = f->session;

	for (int side = 0; side < 2; side++) {
		if (s && (stream_bytes(&s->in[side]) > 0 || stream_bytes(&s->out[side]) > 0 || tls_engine_active(&s->tls[side]) || s->tls_wanted[side]))
			return false;
		if (tcp_readable(tcp_half_of(&f->active->pair, (enum tcp_side)side)).len > 0)
			return false;
	}
	return true;
}

/* The stages, until none of them finds anything more to do. */
static void stages(struct relay *r, struct flow *f)
{
	if (f->phase == FLOW_OPENING && tcp_established(&f->active->pair.half[0]) && tcp_established(&f->active->pair.half[1]))
		session_begin(r, f);
	resets(r, f);
	demands(r, f);
	for (int round = 0; round < 4 && (f->phase == FLOW_RUNNING || f->phase == FLOW_ENDING); round++) {
		bool progress = false;

		for (int side = 0; side < 2 && f->phase != FLOW_CLOSED; side++) {
			if (f->phase != FLOW_RUNNING)
				continue;
			if (f->opaque && opaque_move(r, f, (enum side)side)) {
				progress = true;
				continue;
			}
			if (!f->session)
				continue;
			progress |= ingest(r, f, (enum side)side);
			if (f->phase == FLOW_RUNNING)
				progress |= feed(r, f, (enum side)side);
		}
		for (int side = 0; side < 2 && f->session; side++)
			progress |= egress(r, f, (enum side)side);
		if (f->phase != FLOW_CLOSED)
			endings(r, f);
		if (!progress || is_drained(f))
			break;
		if (round == 3)
			relay_ready(r, f);
	}
	splice_try(r, f);
}

void pump(struct relay *r, struct flow *f)
{
	uint64_t at;

	if (!active_wake(r, f)) {
		relay_ready(r, f);
		return;
	}
	news_hear(r, f);
	if (f->abort_asked)
		session_reset(r, f);
	if (f->splice.on && f->unspliced)
		splice_take_back(r, f);
	if (f->splice.on)
		splice_turn(r, f);
	else
		stages(r, f);
	pump_transmit(r, f);
	flight_look(&r->flight, f, r->now_us);
	if (tcp_pair_done(&f->active->pair)) {
		session_end(r, f, CLOSE_RESET);
		relay_flow_free(r, f);
		return;
	}
	if (f->phase == FLOW_CLOSED && f->listed == LISTED_NOT && tcp_pair_waits(&f->active->pair))
		room_enter(r, f, LISTED_WAITING);
	at = deadline(r, f);
	if (at == TCP_NEVER_US)
		wheel_clear(&f->timer);
	else
		wheel_set(&r->wheel, &f->timer, at);
	active_settle(r, f);
}
