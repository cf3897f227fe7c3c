/* splice.c: see splice.h. While nothing drains, a segment touches struct tcp_splice and nothing of the pair. */
#include "dataplane/tcp/splice.h"

#include "dataplane/tcp/half.h"
#include "dataplane/tcp/options.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

#define BELOW_MIN 65535u /* segments so far below the window are still passed on */

/* How far the peer of `side` is known to have got what it was sent: for its own acknowledgements. */
static uint32_t acknowledged_by(const struct tcp_splice *sp, const struct tcp_pair *pair, unsigned side)
{
	return sp->side[side].draining ? pair->half[side].send.next : sp->side[side].acked;
}

/* What the peer of `side` was told about its own numbers. */
static uint32_t told(const struct tcp_splice *sp, const struct tcp_pair *pair, unsigned side)
{
	return acknowledged_by(sp, pair, !side) - sp->side[side].seq_shift;
}

/* How far the other peer's numbers have been sent to the peer of `side`. */
static uint32_t sent_to(const struct tcp_splice *sp, unsigned side)
{
	return sp->side[!side].high + sp->side[!side].seq_shift;
}

static uint32_t edge_for(const struct tcp_splice *sp, unsigned side)
{
	return sp->side[!side].edge - sp->side[side].seq_shift;
}

static bool half_ready(const struct tcp_half *half, const struct tcp_half *other)
{
	const struct tcp_receive *r = &half->receive;
	const struct tcp_send *s = &half->send;
	uint32_t given = other->send.una + other->send.window - tcp_send_end(&other->send);
	uint32_t rounding = (1u << r->shift) - 1; /* windows are told in such units (RFC 7323 2.4) */

	return half->state == TCP_ESTABLISHED && !half->reset_now && !half->reset_queued && r->queue.bytes == 0 && !r->held.head &&
	       !r->fin_known && !s->fin_queued && s->next == tcp_send_end(s) && s->mss_agreed == 0 &&
	       !(half->returning && seq_after(half->reset_seq, s->next)) &&
	       seq_upto(r->edge - r->next, given + rounding);
}

bool tcp_splice_ready(const struct tcp_pair *pair)
{
	return half_ready(&pair->half[0], &pair->half[1]) && half_ready(&pair->half[1], &pair->half[0]);
}

unsigned tcp_splice_begin(struct tcp_splice *sp, struct tcp_pair *pair, uint64_t now_us)
{
	unsigned answer = 0;

	*sp = (struct tcp_splice){ .on = true, .timestamps = pair->half[TCP_CLIENT].timestamps };
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *half = &pair->half[side], *other = &pair->half[!side];

		sp->side[side] = (struct tcp_splice_side){
			.high = half->receive.next, .counted = half->receive.next, .acked = half->send.una, .edge = half->send.una + half->send.window,
			.window_max = half->send.window_max, .seq_shift = other->send.next - half->receive.next,
			.ts_shift = tcp_options_clock(now_us) + other->ts_offset - half->receive.ts_recent,
			.ts_last = half->receive.ts_recent, .heard_at_us = half->heard_at_us, .shift = half->send.shift,
			.draining = half->send.una != half->send.next,
		};
	}
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *half = &pair->half[side];
		bool owed = half->ack_now || half->timer_at_us[TCP_TIMER_ACK] != TCP_NEVER_US || half->receive.ack_sent != half->receive.next;

		if (owed || seq_after(edge_for(sp, side), half->receive.edge))
			answer |= 1u << side;
		half->spliced = true;
		half->returning = false;
		half->ack_now = half->window_probe_now = half->keepalive_now = false;
		half->receive.sack_count = 0;
		half->receive.duplicate_known = false;
		tcp_timer_stop(half, TCP_TIMER_ACK);
		if (!sp->side[side].draining)
			tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	}
	tcp_splice_sync(sp, pair, now_us);
	return answer;
}

void tcp_splice_sync(const struct tcp_splice *sp, struct tcp_pair *pair, uint64_t now_us)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct tcp_splice_side *peer = &sp->side[side], *other = &sp->side[!side];
		struct tcp_half *half = &pair->half[side];

		half->heard_at_us = peer->heard_at_us;
		half->receive.next = half->receive.ack_sent = told(sp, pair, side);
		half->receive.edge = seq_max(edge_for(sp, side), half->receive.next);
		half->receive.limit_bytes = 0; /* the edge is the other peer's */
		half->receive.ts_recent = peer->ts_last;
		/* Never a later TSval than the other peer's own: what it sends next must not look old. */
		half->ts_offset = other->ts_last + other->ts_shift - tcp_options_clock(now_us);
		if (peer->draining)
			continue;
		half->send.una = half->send.base = peer->acked;
		half->send.next = sent_to(sp, side);
	}
}

/* The share of our half in an acknowledgement. Returns whether it is rid of everything now. */
static bool drain(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	struct tcp_segment mine = *s;
	struct tcp_options *o = &mine.options;
	unsigned kept = 0;

	mine.ack = seq_min(s->ack, half->send.next);
	for (unsigned i = 0; i < o->sack_count; i++) {
		struct tcp_sack_block block = { o->sack[i].start, seq_min(o->sack[i].end, half->send.next) };

		if (seq_before(block.start, block.end))
			o->sack[kept++] = block;
	}
	o->sack_count = (uint8_t)kept;
	(void)tcp_half_acknowledged(half, &mine, now_us);
	if (half->send.una != half->send.next)
		return false;
	tcp_recovery_clear(&half->recovery, tcp_pair_of(half)->pool);
	half->retransmit_now = half->probe_now = false;
	tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	return true;
}

static uint16_t window_field(uint32_t edge, uint32_t from, uint8_t shift)
{
	uint32_t units = seq_after(edge, from) ? (edge - from) >> shift : 0;

	return units > UINT16_MAX ? UINT16_MAX : (uint16_t)units;
}

/* A segment whose acknowledgement our half has taken: what the other peer is told is R. */
static void rebuild(const struct tcp_splice *sp, const struct tcp_pair *pair, enum tcp_side side, struct tcp_segment *s)
{
	struct packet_shift by = tcp_splice_shift(sp, side);

	s->options.sack_count = 0;
	packet_shift_segment(s, &by);
	s->ack = told(sp, pair, !side);
	s->window = window_field(edge_for(sp, !side), s->ack, sp->side[side].shift);
}

void tcp_splice_ack(const struct tcp_splice *sp, const struct tcp_pair *pair, enum tcp_side side, struct tcp_segment *out)
{
	const struct tcp_splice_side *peer = &sp->side[side], *other = &sp->side[!side];

	*out = (struct tcp_segment){ .seq = sent_to(sp, side), .ack = told(sp, pair, side), .flags = TCP_ACK };
	out->window = window_field(edge_for(sp, side), out->ack, other->shift);
	out->options.has_timestamps = sp->timestamps;
	if (sp->timestamps) {
		out->options.ts_value = other->ts_last + other->ts_shift;
		out->options.ts_echo = peer->ts_last;
	}
}

static bool fin_acknowledged(const struct tcp_splice *sp, unsigned side)
{
	return sp->side[side].fin_seen && sp->side[!side].acked - sp->side[side].seq_shift == sp->side[side].fin_end;
}

/* Who acknowledges beyond a FIN has shown that it was none of the other peer's. */
static void forget_false_fins(struct tcp_splice *sp)
{
	for (unsigned side = 0; side < 2; side++)
		if (seq_after(sp->side[!side].acked - sp->side[side].seq_shift, sp->side[side].fin_end))
			sp->side[side].fin_seen = false;
}

static void finish(struct tcp_splice *sp, struct tcp_pair *pair, uint64_t now_us)
{
	tcp_splice_sync(sp, pair, now_us);
	sp->on = false;
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *half = &pair->half[side];

		half->spliced = false;
		half->state = TCP_TIME_WAIT;
		half->receive.fin_known = half->receive.fin_reached = true;
		half->send.fin_queued = half->send.fin_sent = true;
		half->send.base = half->send.next - 1;
		half->send.una = half->send.next;
		tcp_timer_wait(half, now_us);
	}
}

static unsigned refuse(struct tcp_pair *pair, enum tcp_side side, bool answer, uint64_t now_us)
{
	if (!pair)
		return TCP_SPLICE_WANTED;
	return TCP_SPLICE_DROPPED | (answer || tcp_half_challenge(&pair->half[side], now_us) ? TCP_SPLICE_ANSWER : 0u);
}

/* Let through: in the window, or a little below it. */
static bool sequence_acceptable(const struct tcp_splice *sp, unsigned side, const struct tcp_segment *s, uint32_t from)
{
	uint32_t below = sp->side[!side].window_max > BELOW_MIN ? sp->side[!side].window_max : BELOW_MIN;
	uint32_t edge = edge_for(sp, side);
	bool empty = s->payload_bytes == 0 && !(s->flags & (TCP_SYN | TCP_FIN));

	if (s->seq == from || s->seq == sp->side[side].high)
		return true;
	return seq_upto(from - below, s->seq) && (seq_before(s->seq, edge) || (empty && s->seq == edge));
}

static bool ack_acceptable(const struct tcp_splice *sp, unsigned side, uint32_t ack)
{
	const struct tcp_splice_side *peer = &sp->side[side];

	return seq_upto(peer->acked - sp->side[side].window_max, ack) && seq_upto(ack, sent_to(sp, side));
}

/* The numbers that an acceptable segment shows. */
static void note(struct tcp_splice_side *peer, const struct tcp_segment *s, uint64_t now_us)
{
	uint32_t end = s->seq + s->payload_bytes, window = (uint32_t)s->window << peer->shift;

	peer->heard_at_us = now_us;
	peer->acked = seq_max(peer->acked, s->ack);
	peer->edge = seq_max(peer->edge, s->ack + window);
	peer->window_max = window > peer->window_max ? window : peer->window_max;
	if (s->options.has_timestamps)
		peer->ts_last = seq_max(peer->ts_last, s->options.ts_value);
	if (s->payload_bytes == 0 && !(s->flags & TCP_FIN))
		return; /* its number may be the one behind a FIN that was lost */
	if (peer->fin_seen && seq_upto(peer->fin_end, end) && s->payload_bytes > 0)
		peer->fin_seen = false; /* there is a byte where it stood */
	if (seq_after(end, peer->counted)) {
		peer->octets += end - peer->counted;
		peer->counted = end;
	}
	if (s->flags & TCP_FIN) {
		peer->fin_seen = true;
		peer->fin_end = ++end;
	}
	peer->high = seq_max(peer->high, end);
}

unsigned tcp_splice_input(struct tcp_splice *sp, struct tcp_pair *pair, enum tcp_side side, struct tcp_segment *s, uint64_t now_us)
{
	struct tcp_splice_side *peer = &sp->side[side];
	uint32_t from = told(sp, pair, side);
	unsigned events = TCP_SPLICE_FORWARD;

	if (!sequence_acceptable(sp, side, s, from))
		return s->flags & TCP_RST ? TCP_SPLICE_DROPPED : refuse(pair, side, s->payload_bytes > 0, now_us);
	if (s->flags & TCP_RST) {
		if (s->seq != from && s->seq != peer->high)
			return refuse(pair, side, false, now_us);
		if (!pair)
			return TCP_SPLICE_WANTED;
		sp->on = false;
		tcp_pair_release(pair);
		return TCP_SPLICE_FORWARD | TCP_SPLICE_RESET;
	}
	if (s->flags & TCP_SYN) /* RFC 5961 4 */
		return refuse(pair, side, false, now_us);
	if (!(s->flags & TCP_ACK) || (sp->timestamps && !s->options.has_timestamps))
		return TCP_SPLICE_DROPPED;
	if (!ack_acceptable(sp, side, s->ack))
		return refuse(pair, side, false, now_us);
	note(peer, s, now_us);
	if (sp->side[!side].draining && s->payload_bytes > 0 && seq_before(s->seq, from))
		events |= TCP_SPLICE_ANSWER; /* it has not heard that we have this */
	if (peer->draining) {
		bool drained = drain(&pair->half[side], s, now_us);

		if (drained) {
			peer->draining = false;
			events |= TCP_SPLICE_DRAINED;
		} else if (s->payload_bytes == 0 && !(s->flags & TCP_FIN)) {
			events &= ~(unsigned)TCP_SPLICE_FORWARD; /* it is about our bytes only */
		} else {
			events |= TCP_SPLICE_REBUILT;
			rebuild(sp, pair, side, s);
		}
	}
	if (sp->side[0].fin_seen || sp->side[1].fin_seen) {
		forget_false_fins(sp);
		if (fin_acknowledged(sp, 0) && fin_acknowledged(sp, 1)) {
			if (!pair) /* what was noted is noted once more, and the same */
				return TCP_SPLICE_WANTED;
			finish(sp, pair, now_us);
			events |= TCP_SPLICE_FINISHED;
		}
	}
	return events;
}

void tcp_splice_abort(struct tcp_splice *sp, struct tcp_pair *pair, uint64_t now_us)
{
	tcp_splice_sync(sp, pair, now_us);
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *half = &pair->half[side];

		half->spliced = false;
		half->send.next = sent_to(sp, side);
		tcp_half_abort(half);
	}
	sp->on = false;
}
