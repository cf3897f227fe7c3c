/* acknowledge.c: what an acceptable ACK says: bytes arrived, bytes were lost, the window is so and so.
 *
 * Order: free what was acknowledged, take SACK blocks, measure, undo what was needless, decide about loss, grow or shrink,
 * set the timer.
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

static struct tcp_delivery delivery_of(const struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;
	const struct tcp_options *o = &segment->options;
	struct tcp_delivery d = { .now_us = now_us, .rtt_min_us = half->rtt.min_us == UINT32_MAX ? 0 : half->rtt.min_us };

	d.echo_ms_ago = tcp_options_clock(now_us) + half->ts_offset - o->ts_echo; /* RFC 7323 4 */
	d.echo_known = half->timestamps && o->has_timestamps && o->ts_echo != 0 && d.echo_ms_ago < config->rto_max_us / 1000;
	return d;
}

/* The peer says that it had it already (RFC 2883). What it echoes may be of what came first, long before the copy that it answers. */
static bool answers_a_copy(const struct tcp_segment *segment)
{
	const struct tcp_options *o = &segment->options;

	return o->sack_count > 0 && seq_before(o->sack[0].start, segment->ack);
}

/* Karn, RFC 6298 3: what was sent once, or what the echoed timestamp says. */
static void measure(struct tcp_half *half, const struct tcp_segment *segment, const struct tcp_delivery *d)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;

	if (d->sampled)
		tcp_rtt_sample(&half->rtt, config, d->rtt_us);
	else if (d->echo_known && !answers_a_copy(segment))
		tcp_rtt_sample(&half->rtt, config, d->echo_ms_ago * 1000ull);
	half->rtt.backoff = 0;
}

static void fin_acknowledged(struct tcp_half *half, uint64_t now_us)
{
	if (half->state == TCP_LAST_ACK) {
		tcp_half_close(half, TCP_ON_FIN_ACKED);
		return;
	}
	tcp_half_step(half, TCP_ON_FIN_ACKED);
	if (half->state == TCP_TIME_WAIT)
		tcp_timer_wait(half, now_us);
}

static void end_recovery(struct tcp_half *half)
{
	struct tcp_recovery *r = &half->recovery;
	struct tcp_flight f = tcp_half_flight(half);

	if (r->mode == TCP_RECOVERY_FAST)
		tcp_congestion_recovered(&half->congestion);
	r->mode = TCP_RECOVERY_NONE;
	r->duplicates = 0;
	tcp_recovery_spare(r, &f);
	tcp_recovery_adapt(r, &f, false, true);
}

static void advance(struct tcp_half *half, const struct tcp_segment *segment, struct tcp_delivery *d)
{
	struct tcp_send *s = &half->send;
	struct tcp_recovery *r = &half->recovery;
	struct tcp_flight before = tcp_half_flight(half);
	uint32_t counted = half->sack ? 0 : r->duplicates * s->mss;

	tcp_recovery_acked(r, tcp_pair_of(half)->pool, &before, segment->ack, d);
	s->una = segment->ack;
	half->retries = 0;
	r->lossy -= r->lossy > 0;
	half->retransmit_now = half->probe_now = false;
	measure(half, segment, d);
	if (r->mode == TCP_RECOVERY_NONE && seq_after(s->una, r->point))
		r->point = s->una - 1; /* follows, so that it never is half the sequence space behind */
	/* RFC 9438 and RFC 5681 3.1: a window that was not used says nothing about the path (by when it was sent: of a burst of ACKs only
	 * the first finds everything in flight); what arrived before, by SACK or by duplicate ACKs, has let as much out already */
	if (r->mode != TCP_RECOVERY_FAST && seq_before(before.una, s->full_upto))
		tcp_congestion_acked(&half->congestion, s->mss, d->bytes > counted ? d->bytes - counted : 0, half->rtt.smoothed_us, d->now_us);
	s->full_upto = seq_max(s->full_upto, s->una);
	if (r->mode != TCP_RECOVERY_NONE && !seq_before(s->una, r->point))
		end_recovery(half);
}

static bool is_duplicate(const struct tcp_half *half, const struct tcp_segment *segment)
{
	/* RFC 5681 2 */
	return segment->payload_bytes == 0 && !(segment->flags & (TCP_SYN | TCP_FIN)) &&
	       segment->ack == half->send.una && half->send.next != half->send.una &&
	       (uint32_t)segment->window << half->send.shift == half->send.window;
}

static void begin_recovery(struct tcp_half *half, const struct tcp_flight *f)
{
	tcp_congestion_lost(&half->congestion, f->mss, f->next - f->una);
	tcp_recovery_begin(&half->recovery, f, TCP_RECOVERY_FAST);
}

/* Every ACK without SACK that repeats itself is one segment that has left the path; one that advances in recovery points at
 * the next hole (RFC 6582 3.2). */
static void count_duplicates(struct tcp_half *half, const struct tcp_flight *f, bool repeated, bool advanced, struct tcp_delivery *d)
{
	struct tcp_recovery *r = &half->recovery;

	if (advanced) {
		r->duplicates = 0;
		if (r->mode == TCP_RECOVERY_FAST && f->next != f->una)
			tcp_recovery_lose_first(r, tcp_pair_of(half)->pool, f);
	} else if (repeated && r->duplicates < UINT16_MAX) {
		r->duplicates++;
		d->bytes += f->mss;
		if (r->mode == TCP_RECOVERY_NONE && r->duplicates == TCP_DUPLICATES && seq_after(f->una, r->point))
			tcp_recovery_lose_first(r, tcp_pair_of(half)->pool, f);
	}
}

/* Looks for losses and starts, or goes on with, fast recovery. Returns how long to wait for reordered segments, or 0. */
static uint32_t check_loss(struct tcp_half *half, const struct tcp_flight *f, const struct tcp_delivery *d, bool advanced)
{
	struct tcp_recovery *r = &half->recovery;
	uint32_t wait_us;
	bool begins;

	wait_us = tcp_recovery_detect(r, f, d->now_us, d->rtt_min_us, half->rtt.smoothed_us);
	begins = r->mode == TCP_RECOVERY_NONE && r->lost_bytes > 0;
	if (begins)
		begin_recovery(half, f);
	if (r->mode == TCP_RECOVERY_FAST && (begins || d->bytes > 0))
		tcp_congestion_recovering(&half->congestion, f->mss, d->bytes, tcp_recovery_pipe(r, f), advanced);
	return wait_us;
}

/* RFC 4015 3.2 (with RFC 3522 or RFC 3708 as the detector): what was done for a loss that was none is undone. */
static void undo(struct tcp_half *half, const struct tcp_flight *f)
{
	struct tcp_recovery *r = &half->recovery;

	tcp_congestion_undo(&half->congestion);
	tcp_recovery_spare(r, f);
	r->mode = TCP_RECOVERY_NONE;
	r->point = f->una - 1; /* nothing was lost up to the old one, so what is lost now is another loss (RFC 6582 3.2 step 1) */
	r->undoable = false;
	r->reordering = true;
	half->rtt.backoff = 0;
}

static void finish_probe(struct tcp_half *half, bool duplicate)
{
	struct tcp_recovery *r = &half->recovery;

	if (!r->probing || !seq_upto(r->probe_end, half->send.una))
		return;
	/* RFC 8985 7.4: the probe repaired a loss, unless the peer says that it had the bytes already */
	if (r->probe_resent && !duplicate && r->mode == TCP_RECOVERY_NONE)
		tcp_congestion_lost(&half->congestion, half->send.mss, half->congestion.window_bytes);
	r->probing = false;
}

static void update_window(struct tcp_half *half, const struct tcp_segment *segment, bool advanced)
{
	struct tcp_send *s = &half->send;

	/* RFC 9293 3.10.7.4: neither an older segment nor an older ACK may set the window. But an ACK that moves SND.UNA
	 * always does: the window counts from there, and would else reach further than the peer ever said. */
	if (seq_before(segment->ack, s->una))
		return;
	if (!advanced && (seq_after(s->wl1, segment->seq) || (s->wl1 == segment->seq && seq_after(s->wl2, segment->ack))))
		return;
	s->window = (uint32_t)segment->window << s->shift;
	s->window_max = s->window > s->window_max ? s->window : s->window_max;
	s->wl1 = segment->seq;
	s->wl2 = segment->ack;
}

void tcp_half_look_for_loss(struct tcp_half *half, uint64_t now_us)
{
	struct tcp_flight f = tcp_half_flight(half);
	struct tcp_delivery d = { .now_us = now_us, .rtt_min_us = half->rtt.min_us == UINT32_MAX ? 0 : half->rtt.min_us };
	uint32_t wait_us = check_loss(half, &f, &d, false);

	tcp_timer_retransmit(half, now_us);
	if (wait_us > 0)
		tcp_timer_reorder(half, now_us + wait_us);
}

/* What `segment` says about the flight: loss, undo, and the probe. Returns how long to wait for reordered segments, or 0. */
static uint32_t recover(struct tcp_half *half, struct tcp_delivery *d, bool repeated, bool advanced)
{
	struct tcp_recovery *r = &half->recovery;
	struct tcp_flight f = tcp_half_flight(half);

	if (d->duplicate)
		tcp_recovery_adapt(r, &f, true, false);
	if (tcp_recovery_needless(r, &f, d, advanced))
		undo(half, &f);
	if (!half->sack)
		count_duplicates(half, &f, repeated, advanced, d);
	finish_probe(half, d->duplicate);
	return f.next != f.una ? check_loss(half, &f, d, advanced) : 0;
}

unsigned tcp_half_acknowledged(struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us)
{
	struct tcp_pool *pool = tcp_pair_of(half)->pool;
	struct tcp_delivery d = delivery_of(half, segment, now_us);
	struct tcp_send *s = &half->send;
	bool closed_window = s->window == 0, repeated = is_duplicate(half, segment), advanced = seq_after(segment->ack, s->una);
	unsigned events = 0;
	uint32_t wait_us;

	if (advanced) {
		advance(half, segment, &d);
		if (tcp_send_acked(s, pool, s->una) > 0)
			events |= TCP_EVENT_WRITABLE;
		if (s->fin_sent && s->una == s->next && s->una == tcp_send_end(s) + 1)
			fin_acknowledged(half, now_us);
		if (half->state == TCP_CLOSED)
			return events;
	}
	if (half->sack && segment->options.sack_count > 0) {
		struct tcp_flight f = tcp_half_flight(half);

		tcp_recovery_sacked(&half->recovery, pool, &f, &segment->options, &d);
	}
	if (advanced || d.bytes > 0)
		half->recovery.probes = 0;
	wait_us = recover(half, &d, repeated, advanced);
	update_window(half, segment, advanced);
	if (s->window != 0 && closed_window) {
		half->retries = 0;
		half->rtt.backoff = 0;
		tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	} else if (s->window == 0 && s->next == s->una) {
		half->retries = 0; /* it answers: persist for as long as it does */
	}
	if (advanced) /* what it stood for is over; a running persist timer goes on */
		tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	if (advanced || d.bytes > 0 || closed_window)
		tcp_timer_retransmit(half, now_us);
	if (wait_us > 0)
		tcp_timer_reorder(half, now_us + wait_us);
	return events;
}
