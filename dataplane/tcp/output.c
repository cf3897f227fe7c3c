/* output.c: what one half has to say, most urgent first:
 *
 *   RST | SYN, SYN-ACK | what was lost | new data and FIN | probes | an ACK, if nothing of the above carried it
 *
 * A segment is built, offered to `emit`, and only if it was taken does the half's state move: a full port loses nothing.
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

/* Cards take smaller pieces for an attack, and refuse them (DPDK's i40e and iavf; ice 64). */
#define PIECE_BYTES_MIN 256

struct output {
	struct tcp_pair *pair;
	struct tcp_half *half;
	tcp_emit *emit;
	void *context;
	unsigned budget;
	bool full;
	uint64_t now_us;
};

static bool open_for_more(const struct output *o)
{
	return !o->full && o->budget > 0;
}

static bool offer(struct output *o, const struct tcp_segment *segment)
{
	if (!open_for_more(o))
		return false;
	if (!o->emit(o->context, segment)) {
		o->full = true;
		return false;
	}
	o->budget--;
	return true;
}

/* Window and edge: the field is rounded up, since rounding down would take back what was advertised. */
static uint16_t window_field(const struct tcp_half *half, uint32_t edge)
{
	uint32_t units = (edge - half->receive.next + (1u << half->receive.shift) - 1) >> half->receive.shift;

	return units > UINT16_MAX ? UINT16_MAX : (uint16_t)units;
}

static void acknowledge_with(struct output *o, struct tcp_segment *segment)
{
	struct tcp_half *half = o->half;

	segment->cut_bytes = 0;
	segment->many = NULL;
	segment->ack = half->receive.next;
	segment->window = window_field(half, tcp_half_edge(half));
	segment->options.has_mss = segment->options.has_shift = segment->options.sack_permitted = false;
	segment->options.sack_count = 0;
	segment->options.has_timestamps = half->timestamps;
	if (half->timestamps) {
		segment->options.ts_value = tcp_options_clock(o->now_us) + half->ts_offset;
		segment->options.ts_echo = half->receive.ts_recent;
	}
	if (half->sack && (half->receive.sack_count > 0 || half->receive.duplicate_known))
		tcp_sack_report(&half->receive, &segment->options);
}

static void acknowledged(struct output *o, const struct tcp_segment *segment)
{
	struct tcp_half *half = o->half;
	uint32_t edge = segment->ack + ((uint32_t)segment->window << half->receive.shift);

	half->receive.edge = seq_max(half->receive.edge, edge);
	half->receive.ack_sent = segment->ack;
	half->receive.unacked_segments = 0;
	half->receive.duplicate_known = false;
	half->ack_now = false;
	tcp_timer_stop(half, TCP_TIMER_ACK);
}

static void output_reset(struct output *o)
{
	struct tcp_half *half = o->half;
	bool unborn = half->send.isn == half->send.next && half->send.mss == 0; /* never answered: refuse as the server did */
	struct tcp_segment segment = {
		.seq = unborn ? 0 : half->reset_seq,
		.ack = half->receive.next,
		.flags = half->aborted ? TCP_RST | TCP_ACK : TCP_RST,
	};

	if (!half->aborted)
		segment.ack = 0;
	if (offer(o, &segment))
		half->reset_now = false;
}

static uint16_t syn_window(uint16_t window, uint32_t limit)
{
	return window < limit ? window : (uint16_t)limit;
}

static void note_sent(const struct output *o, uint32_t start, uint32_t end)
{
	struct tcp_flight f = tcp_half_flight(o->half);

	tcp_recovery_sent(&o->half->recovery, o->pair->pool, &f, start, end, o->now_us);
}

/* The SYN to the server, or the SYN-ACK to the client: the other end's own, with what we filtered. */
static void output_syn(struct output *o)
{
	struct tcp_half *half = o->half;
	struct tcp_send *s = &half->send;
	bool answer = half->state == TCP_SYN_RECEIVED;
	struct tcp_segment segment = {
		.seq = s->isn,
		.ack = answer ? half->receive.next : 0,
		.flags = answer ? TCP_SYN | TCP_ACK : TCP_SYN,
		.window = syn_window(o->pair->syn.window, half->receive.limit_bytes),
		.options = tcp_options_kept(&o->pair->syn),
	};

	if (s->next != s->isn && !half->retransmit_now)
		return;
	if (segment.options.has_timestamps) {
		segment.options.ts_value = tcp_options_clock(o->now_us) + half->ts_offset;
		segment.options.ts_echo = answer ? half->receive.ts_recent : 0;
	}
	if (!offer(o, &segment))
		return;
	note_sent(o, s->isn, s->isn + 1);
	if (s->next == s->isn)
		tcp_timer_start(half, TCP_TIMER_RETRANSMIT,
				o->now_us + tcp_rtt_timeout_us(&half->rtt, o->pair->config));
	s->next = s->isn + 1;
	half->retransmit_now = false;
	if (!answer) {
		half->receive.edge = segment.window; /* relative, until the server's ISN is known */
	} else {
		half->receive.edge = seq_max(half->receive.edge, half->receive.next + segment.window);
		half->receive.ack_sent = segment.ack;
	}
}

/* Several segments of `room` bytes as one, which the port cuts: whole ones, unless it ends where the data does. Costs of the budget as
 * many as it holds. */
static void put_together(struct output *o, uint32_t seq, uint32_t len, uint32_t room, struct bytes many[TCP_SPANS_MANY], struct tcp_segment *segment)
{
	struct tcp_send *s = &o->half->send;
	uint32_t pieces = o->half->large_bytes / room, spare;

	pieces = pieces < o->budget ? pieces : o->budget;
	len = len < pieces * room ? len : pieces * room;
	len = tcp_send_spans_many(s, seq, len, many, segment);
	spare = len > room && seq + len != tcp_send_end(s) ? len % room : 0;
	segment->payload_bytes = len -= spare;
	while (spare > 0) {
		struct bytes *last = &many[segment->span_count - 1];
		uint32_t part = spare < last->len ? spare : (uint32_t)last->len;

		last->len -= part;
		spare -= part;
		segment->span_count -= last->len == 0;
	}
	if (len > room) {
		segment->cut_bytes = (uint16_t)room;
		o->budget -= (len - 1) / room;
	}
}

/* Sends [seq, end), where the last number may be the FIN's; `together`: in more than one segment's room if the port takes it. Returns
 * where it ended, `seq` when it was not taken. */
static uint32_t put(struct output *o, uint32_t seq, uint32_t end, bool together)
{
	struct bytes many[TCP_SPANS_MANY];
	struct tcp_half *half = o->half;
	struct tcp_send *s = &half->send;
	uint32_t data_end = tcp_send_end(s);
	uint32_t mss = s->mss, room, sent_end;
	struct tcp_segment segment;

	acknowledge_with(o, &segment);
	room = mss - (uint32_t)tcp_options_bytes(&segment.options); /* RFC 6691: the MSS counts options as well */
	segment.seq = seq;
	segment.flags = TCP_ACK;
	segment.span_count = 0;
	segment.payload_bytes = 0;
	if (seq_before(seq, data_end)) {
		uint32_t len = seq_min(end, data_end) - seq;

		if (__builtin_expect(together && len > room && room >= PIECE_BYTES_MIN && half->large_bytes >= 2 * room, 0))
			put_together(o, seq, len, room, many, &segment);
		else
			(void)tcp_send_spans(s, seq, len < room ? len : room, &segment);
	}
	sent_end = seq + segment.payload_bytes;
	if (sent_end == data_end && segment.payload_bytes > 0)
		segment.flags |= TCP_PSH;
	if (sent_end == data_end && seq_after(end, data_end)) {
		segment.flags |= TCP_FIN;
		sent_end++;
	}
	if (sent_end == seq || !offer(o, &segment))
		return seq;
	acknowledged(o, &segment);
	half->sent_at_us = o->now_us;
	half->interactive = true;
	note_sent(o, seq, sent_end);
	s->next = seq_max(s->next, sent_end);
	if (half->recovery.mode == TCP_RECOVERY_FAST)
		tcp_congestion_sent(&half->congestion, sent_end - seq);
	if (segment.flags & TCP_FIN && !s->fin_sent) {
		s->fin_sent = true;
		tcp_half_step(half, TCP_ON_FIN_OUT);
	}
	return sent_end;
}

/* What a segment holds beside the options that it may have to carry: what limits us is no reason to send less. */
static uint32_t full_segment(const struct tcp_half *half)
{
	return half->send.mss - (half->timestamps || half->receive.sack_count > 0 ? TCP_OPTIONS_BYTES_MAX : 0);
}

/* RFC 6675 5 (C): a whole segment, options and all, or what is left of a hole. */
static bool pipe_has_room(const struct tcp_half *half, uint32_t pipe, uint32_t len)
{
	uint32_t room = half->congestion.window_bytes > pipe ? half->congestion.window_bytes - pipe : 0;

	return room >= len || room >= full_segment(half);
}

/* What is lost, lowest first, as far as the pipe allows. */
static void retransmit_lost(struct output *o)
{
	struct tcp_half *half = o->half;
	struct tcp_recovery *r = &half->recovery;
	uint32_t start, end, sent;

	while (r->lost_bytes > 0 && open_for_more(o)) {
		struct tcp_flight f = tcp_half_flight(half);

		if (!tcp_recovery_lost(r, &f, &start, &end) || !pipe_has_room(half, tcp_recovery_pipe(r, &f), end - start))
			return;
		sent = put(o, start, end, false);
		if (sent == start)
			return;
		if (start == f.una || half->timer_at_us[TCP_TIMER_RETRANSMIT] == TCP_NEVER_US)
			tcp_timer_retransmit(half, o->now_us);
	}
}

/* How far new data may go: the peer's window and the congestion window. */
static uint32_t new_limit(const struct tcp_half *half, uint32_t pipe)
{
	const struct tcp_send *s = &half->send;
	uint32_t window_end = s->una + s->window;
	uint32_t room = half->congestion.window_bytes > pipe ? half->congestion.window_bytes - pipe : 0;

	return seq_min(window_end, s->next + room);
}

/* RFC 9293 3.8.6.2.1: a full segment, or all there is, or half of the largest window ever, or nothing is in flight. */
static bool worth_sending(const struct tcp_half *half, uint32_t usable, uint32_t unsent)
{
	return usable >= full_segment(half) || usable >= unsent || usable >= half->send.window_max / 2 ||
	       half->send.next == half->send.una;
}

static void send_new(struct output *o, uint32_t pipe)
{
	struct tcp_half *half = o->half;
	struct tcp_send *s = &half->send;
	uint32_t all = tcp_send_end(s) + s->fin_queued;
	uint32_t limit;

	if (!seq_before(s->next, all))
		return;
	if (s->next == s->una && o->now_us - half->sent_at_us > half->rtt.timeout_us)
		tcp_congestion_idle(&half->congestion, s->mss);
	limit = new_limit(half, pipe);
	while (seq_before(s->next, all) && open_for_more(o)) {
		uint32_t before = s->next, end = seq_min(limit, all);

		/* A bare FIN does not wait for the pipe, but it takes a sequence number: the window counts. */
		if (s->next == tcp_send_end(s))
			end = seq_min(s->una + s->window, all);
		if (!seq_before(s->next, end) || !worth_sending(half, end - s->next, all - s->next))
			break;
		if (put(o, before, end, true) == before)
			break;
	}
	/* RFC 6298 5.1: started, not restarted; persist, if it is the window that stops us */
	if (half->timer_at_us[TCP_TIMER_RETRANSMIT] == TCP_NEVER_US)
		tcp_timer_retransmit(half, o->now_us);
}

/* RFC 8985 7.3: new data if there is any, else the last segment again. Returns its start. */
static uint32_t tail(struct output *o, uint32_t *end)
{
	struct tcp_half *half = o->half;
	struct tcp_send *s = &half->send;
	struct tcp_flight f = tcp_half_flight(half);
	uint32_t start = s->next;

	*end = tcp_send_end(s) + s->fin_queued;
	half->recovery.probe_resent = !seq_before(s->next, *end) || !seq_before(s->next, s->una + s->window);
	if (half->recovery.probe_resent) {
		struct tcp_segment like;
		uint32_t room;

		acknowledge_with(o, &like);
		room = s->mss - (uint32_t)tcp_options_bytes(&like.options);
		*end = s->next;
		start = s->next - s->una < room ? s->una : s->next - room;
		return seq_max(start, tcp_recovery_newest(&half->recovery, &f));
	}
	*end = seq_min(*end, s->una + s->window);
	return start;
}

/* What is lost and not sent again yet, else the first that is not acknowledged: that it arrives helps most. */
static uint32_t head(const struct tcp_half *half, uint32_t *end)
{
	struct tcp_flight f = tcp_half_flight(half);
	uint32_t start;

	if (tcp_recovery_lost(&half->recovery, &f, &start, end))
		return start;
	*end = seq_min(half->send.una + half->send.mss, half->send.next);
	return half->send.una;
}

static void probe(struct output *o)
{
	struct tcp_half *half = o->half;
	struct tcp_send *s = &half->send;
	struct tcp_recovery *r = &half->recovery;
	uint32_t start, end;

	if (!half->probe_now)
		return;
	if (s->next == s->una) {
		half->probe_now = false;
		return;
	}
	start = r->mode == TCP_RECOVERY_NONE && r->probes <= 1 ? tail(o, &end) : head(half, &end);
	r->probe_resent |= start != s->next;
	if (put(o, start, end, false) == start)
		return;
	half->probe_now = false;
	r->probe_end = s->next;
	tcp_timer_retransmit(half, o->now_us);
}

/* An empty segment below the window, which the peer must answer (RFC 9293 3.8.4). */
static void probe_peer(struct output *o)
{
	struct tcp_half *half = o->half;
	struct tcp_segment segment;

	if (!half->window_probe_now && !half->keepalive_now)
		return;
	acknowledge_with(o, &segment);
	segment.seq = half->send.una - 1;
	segment.flags = TCP_ACK;
	segment.span_count = 0;
	segment.payload_bytes = 0;
	if (offer(o, &segment)) {
		acknowledged(o, &segment);
		half->window_probe_now = half->keepalive_now = false;
	}
}

static void output_ack(struct output *o)
{
	struct tcp_half *half = o->half;
	struct tcp_segment segment;

	if (!half->ack_now && !tcp_half_update_due(half))
		return;
	acknowledge_with(o, &segment);
	segment.seq = half->send.next;
	segment.flags = TCP_ACK;
	segment.span_count = 0;
	segment.payload_bytes = 0;
	if (offer(o, &segment))
		acknowledged(o, &segment);
}

static void output_synchronized(struct output *o)
{
	struct tcp_half *half = o->half;
	struct tcp_flight f;

	if (half->state != TCP_TIME_WAIT && half->state != TCP_FIN_WAIT_2) {
		retransmit_lost(o);
		f = tcp_half_flight(half);
		send_new(o, tcp_recovery_pipe(&half->recovery, &f));
		if (half->send.next - half->send.una + 2u * half->send.mss >= half->congestion.window_bytes)
			half->send.full_upto = half->send.next;
		probe(o);
	}
	if (half->reset_queued && half->send.next == tcp_send_end(&half->send)) {
		tcp_half_abort(half);
		output_reset(o);
		return;
	}
	probe_peer(o);
	output_ack(o);
}

enum tcp_output_status tcp_pair_output(struct tcp_pair *pair, enum tcp_side side, tcp_emit *emit, void *context,
				       unsigned segments_max, uint64_t now_us)
{
	struct output o = {
		.pair = pair, .half = &pair->half[side], .emit = emit, .context = context, .budget = segments_max,
		.now_us = now_us,
	};

	if (o.half->reset_now)
		output_reset(&o);
	if (o.half->state == TCP_SYN_SENT || o.half->state == TCP_SYN_RECEIVED)
		output_syn(&o);
	else if (tcp_established(o.half))
		output_synchronized(&o);
	if (o.full)
		return TCP_OUTPUT_FULL;
	return o.budget == 0 ? TCP_OUTPUT_MORE : TCP_OUTPUT_IDLE;
}
