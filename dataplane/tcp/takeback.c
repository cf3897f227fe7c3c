/* takeback.c: a spliced pair becomes two end points again, at any moment; each direction by itself.
 *
 *   sender's numbers      A                      F
 *    |-- receiver has it --|--- was sent on ------|-- comes to us only --
 *
 * Up to A, the receiver's highest acknowledgement (or R of splice.h while something drains), there is nothing left to do. From A on bytes are
 * ours to take: the half towards the sender acknowledges A, takes what comes and asks for what is missing, and the half towards the
 * receiver sends it as if it were new. What was sent on before, [A, F), nobody here has. Its sender still has it all, so either
 *   - the receiver got it and acknowledges it by itself: then it is *skipped*, thrown away wherever it lies here and acknowledged to
 *     its sender; so an acknowledgement up to F is right, whatever the half has sent; or
 *   - the sender repeats it, and it goes the way of all bytes. The receiver may get some twice, as after any retransmission.
 * This is over when the half has sent up to F itself: until then it is `returning`, and reset_seq is F, which is where a RST goes.
 *
 * Both halves' numbers are matched by place: what is unread at one half stands behind what is queued at the other. So while a direction
 * returns, whoever moves bytes moves all of them, unchanged.
 * Holes are holes: what comes beyond one is kept out of order, and makes the sender repeat it. What the receiver had SACKed to the sender is
 * not SACKed by us; a receiver may renege (RFC 2018 8). A FIN that was sent on is the number F - 1: repeated, or skipped.
 * A RST of the sender is right at A and at F, as in splice.h.
 * Windows: the edges that the peers gave each other hold. More may come than a half would have allowed; it takes what its limit
 * allows, and the rest is repeated. A window that is closed is probed by the half, if there is something to send.
 * Timestamps: a half goes on from the latest TSval of the peer that it stands for (tcp_splice_sync), in milliseconds from now on. */
#include "dataplane/tcp/half.h"
#include "dataplane/tcp/ranges.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"
#include "dataplane/tcp/splice.h"

static bool fin_is_acknowledged(const struct tcp_splice *sp, unsigned side)
{
	return sp->side[side].fin_seen && sp->side[!side].acked - sp->side[side].seq_shift == sp->side[side].fin_end;
}

/* The half starts at SND.UNA, with nothing in flight. */
static void start_anew(struct tcp_half *half)
{
	struct tcp_send *s = &half->send;

	tcp_recovery_clear(&half->recovery, tcp_pair_of(half)->pool);
	tcp_recovery_init(&half->recovery, s->una);
	s->next = s->full_upto = s->una;
	s->cursor = s->queue.head;
	s->cursor_seq = s->base;
	half->retransmit_now = half->probe_now = half->window_probe_now = false;
	half->retries = half->rtt.backoff = 0;
	tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
}

static void take_receiver(struct tcp_half *half, const struct tcp_splice *sp, uint64_t now_us)
{
	struct tcp_receive *r = &half->receive;

	r->limit_bytes = tcp_pair_of(half)->config->receive_bytes_max;
	r->ts_recent_at_s = (uint32_t)(now_us / 1000000);
	r->unacked_segments = 0;
	half->ack_now = true;
	if (!fin_is_acknowledged(sp, half->side))
		return;
	r->fin_known = r->fin_reached = true;
	r->fin_seq = r->next - 1;
	tcp_half_step(half, TCP_ON_FIN_IN);
}

static void take_sender(struct tcp_half *half, const struct tcp_splice *sp)
{
	const struct tcp_splice_side *peer = &sp->side[half->side], *from = &sp->side[!half->side];
	struct tcp_send *s = &half->send;
	uint32_t sent_on = from->high + from->seq_shift;

	if (!peer->draining) {
		start_anew(half);
		tcp_congestion_init(&half->congestion, s->mss);
	}
	s->window = seq_after(peer->edge, s->una) ? peer->edge - s->una : 0;
	s->window_max = peer->window_max;
	s->wl1 = half->receive.next;
	s->wl2 = s->una;
	half->reset_seq = sent_on;
	half->returning = seq_after(sent_on, s->next);
	half->returning_fin = half->returning && from->fin_seen && from->fin_end == from->high;
	if (!fin_is_acknowledged(sp, !half->side))
		return;
	s->fin_queued = s->fin_sent = true;
	s->base = s->cursor_seq = s->una - 1;
	tcp_half_step(half, TCP_ON_FIN_OUT);
	tcp_half_step(half, TCP_ON_FIN_ACKED);
}

void tcp_splice_take_back(struct tcp_splice *sp, struct tcp_pair *pair, uint64_t now_us)
{
	tcp_splice_sync(sp, pair, now_us);
	sp->on = false;
	for (unsigned side = 0; side < 2; side++) {
		pair->half[side].spliced = false;
		take_receiver(&pair->half[side], sp, now_us);
		take_sender(&pair->half[side], sp);
	}
}

size_t tcp_splice_fresh(const struct tcp_splice *sp, const struct tcp_pair *pair, enum tcp_side from, size_t moved)
{
	const struct tcp_receive *r = &pair->half[from].receive;
	uint32_t start = r->next - r->fin_reached - r->queue.bytes - (uint32_t)moved, old;

	if (!pair->half[!from].returning || !seq_after(sp->side[from].counted, start))
		return moved;
	old = sp->side[from].counted - start;
	return moved > old ? moved - old : 0;
}

/* The peer of the other half has the first `len` bytes behind what that one has queued. */
static void skip_unread(struct tcp_half *from, uint32_t len, uint64_t now_us)
{
	struct tcp_pool *pool = tcp_pair_of(from)->pool;
	struct tcp_receive *r = &from->receive;
	uint32_t unread = r->queue.bytes < len ? r->queue.bytes : len;

	(void)tcp_queue_consume(&r->queue, pool, unread);
	if (unread == len || !tcp_state_can_receive(from->state))
		return;
	r->next += len - unread;
	r->edge = seq_max(r->edge, r->next);
	r->fin_known &= !seq_before(r->fin_seq, r->next); /* it was none: there are bytes behind it */
	(void)tcp_reassembly_pull(r, pool);
	tcp_sack_advance(r);
	from->ack_now = true;
	(void)tcp_half_take_fin(from, now_us);
}

/* Its FIN too. It counts as sent by the half, so that the acknowledgement is that of any FIN. */
static void skip_fin(struct tcp_half *half, struct tcp_half *from, uint64_t now_us)
{
	struct tcp_send *s = &half->send;
	struct tcp_flight before = tcp_half_flight(half);

	if (!from->receive.fin_known && tcp_state_can_receive(from->state)) {
		from->receive.fin_known = true;
		from->receive.fin_seq = from->receive.next;
	}
	(void)tcp_half_take_fin(from, now_us);
	s->fin_queued = s->fin_sent = true;
	tcp_half_step(half, TCP_ON_FIN_OUT);
	tcp_recovery_sent(&half->recovery, tcp_pair_of(half)->pool, &before, s->next, s->next + 1, now_us);
	tcp_ranges(&half->recovery)->flags |= TCP_RANGE_RESENT; /* no round trip can be told from it */
	s->next++;
}

unsigned tcp_half_skip(struct tcp_half *half, uint32_t ack, uint64_t now_us)
{
	struct tcp_half *from = &tcp_pair_of(half)->half[!half->side];
	struct tcp_send *s = &half->send;
	uint32_t edge = s->una + s->window, upto = ack;
	bool fin;

	half->returning = seq_after(half->reset_seq, s->next);
	if (!seq_after(ack, s->next))
		return 0;
	half->returning_fin &= !seq_after(tcp_send_end(s) + from->receive.queue.bytes, half->reset_seq - 1); /* it was none: bytes stand there */
	fin = half->returning_fin && ack == half->reset_seq;
	upto -= fin;
	if (seq_after(upto, tcp_send_end(s)))
		skip_unread(from, upto - tcp_send_end(s), now_us);
	(void)tcp_queue_consume(&s->queue, tcp_pair_of(half)->pool, upto - s->base);
	s->una = s->base = upto;
	s->window = seq_after(edge, upto) ? edge - upto : 0;
	start_anew(half);
	if (fin)
		skip_fin(half, from, now_us);
	half->returning = seq_after(half->reset_seq, s->next);
	tcp_timer_retransmit(half, now_us);
	return TCP_EVENT_WRITABLE;
}

uint32_t tcp_half_seen(const struct tcp_half *half)
{
	const struct tcp_half *other = &tcp_pair_of(half)->half[!half->side];
	const struct tcp_receive *r = &half->receive;
	uint32_t place = tcp_send_end(&other->send) + r->queue.bytes;

	if (!other->returning || r->fin_reached || !seq_after(other->reset_seq, place))
		return r->next;
	return r->next + (other->reset_seq - place);
}
