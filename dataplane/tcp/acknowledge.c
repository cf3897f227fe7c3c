/* acknowledge.c: what an acceptable ACK says: bytes arrived, bytes were lost, the window is so and so.
 *
 * Order: free what was acknowledged, take SACK blocks, measure, decide about loss, grow or shrink, set the timer.
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

static void measure(struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;
	const struct tcp_options *o = &segment->options;

	if (half->rtt.timing && seq_upto(half->rtt.timed_end, segment->ack)) {
		half->rtt.timing = false;
		tcp_rtt_sample(&half->rtt, config, now_us - half->rtt.timed_at_us);
	} else if (!half->rtt.timing && half->timestamps && o->ts_echo != 0) {
		uint32_t ms = tcp_options_clock(now_us) + half->ts_offset - o->ts_echo; /* RFC 7323 4 */

		if (ms < config->rto_max_us / 1000)
			tcp_rtt_sample(&half->rtt, config, ms * 1000ull);
	}
	half->rtt.backoff = 0;
}

/* An ACK filled a hole that was never sent again although later bytes were SACKed before: the path reorders. */
static void notice_reordering(struct tcp_half *half)
{
	struct tcp_recovery *r = &half->recovery;
	uint32_t above = tcp_recovery_sacked_above(r, half->send.una);

	if (r->mode == TCP_RECOVERY_NONE && above > 0 && !r->probing)
		tcp_recovery_reordered(r, above / half->send.mss + 1);
}

static void end_recovery(struct tcp_half *half)
{
	half->recovery.mode = TCP_RECOVERY_NONE;
	half->recovery.duplicates = 0;
	half->recovery.high_rxt = half->send.una;
}

static void begin_recovery(struct tcp_half *half)
{
	struct tcp_recovery *r = &half->recovery;
	struct tcp_send *s = &half->send;

	tcp_congestion_lost(&half->congestion, s->mss, s->next - s->una);
	r->mode = TCP_RECOVERY_FAST;
	r->point = s->next;
	r->high_rxt = s->una;
	r->pass_next = s->next;
	half->retransmit_now = true; /* RFC 6675 5 (4.3): the first one does not wait for the pipe */
}

static void check_loss(struct tcp_half *half)
{
	struct tcp_recovery *r = &half->recovery;
	struct tcp_flight f = tcp_half_flight(half);

	if (r->mode == TCP_RECOVERY_NONE) {
		bool enough = r->duplicates >= r->threshold && seq_after(f.una, r->point); /* RFC 6582 3.2 */

		if (half->sack ? tcp_recovery_lost_edge(r, &f) != f.una : enough)
			begin_recovery(half);
		return;
	}
	/* The first hole was sent again, and what was sent after that has arrived: the retransmission was lost as well. */
	if (half->sack && seq_after(r->high_rxt, f.una) &&
	    tcp_recovery_sacked_above(r, r->pass_next) > (r->threshold - 1u) * f.mss) {
		r->pass_next = f.next;
		half->retransmit_now = true;
	}
}

static void finish_probe(struct tcp_half *half, bool duplicate)
{
	struct tcp_recovery *r = &half->recovery;

	if (!r->probing || !seq_upto(r->probe_end, half->send.una))
		return;
	/* RFC 8985 7.4: the probe repaired a loss, unless the peer says that it had the bytes already */
	if (r->probe_resent && !duplicate && r->mode == TCP_RECOVERY_NONE)
		tcp_congestion_lost(&half->congestion, half->send.mss, half->send.mss * 2u);
	r->probing = false;
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

static unsigned advance(struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us)
{
	struct tcp_pool *pool = tcp_pair_of(half)->pool;
	struct tcp_send *s = &half->send;
	struct tcp_recovery *r = &half->recovery;
	uint32_t flight = s->next - s->una;
	uint32_t acked = segment->ack - s->una;
	unsigned events = 0;

	s->una = segment->ack;
	if (tcp_send_acked(s, pool, s->una) > 0)
		events |= TCP_EVENT_WRITABLE;
	half->retries = 0;
	half->retransmit_now = half->probe_now = false;
	measure(half, segment, now_us);
	tcp_recovery_advance(r, pool, s->una);
	if (r->mode == TCP_RECOVERY_NONE && seq_after(s->una, r->point))
		r->point = s->una - 1; /* follows, so that it never is half the sequence space behind */
	notice_reordering(half);
	if (r->mode != TCP_RECOVERY_NONE) {
		r->pass_next = s->next;
		if (!seq_before(s->una, r->point))
			end_recovery(half);
		else if (r->mode == TCP_RECOVERY_FAST && !half->sack)
			half->retransmit_now = true; /* RFC 6582 3.2: a partial ACK points at the next hole */
	}
	if (r->mode == TCP_RECOVERY_NONE || !half->sack)
		r->duplicates = 0;
	/* RFC 9438 and RFC 5681 3.1: a window that was not used says nothing about the path */
	if (r->mode != TCP_RECOVERY_FAST && flight + 2 * s->mss >= half->congestion.window_bytes)
		tcp_congestion_acked(&half->congestion, s->mss, acked, half->rtt.smoothed_us, now_us);
	if (s->fin_sent && s->una == s->next && s->una == tcp_send_end(s) + 1)
		fin_acknowledged(half, now_us);
	return events;
}

static bool is_duplicate(const struct tcp_half *half, const struct tcp_segment *segment)
{
	/* RFC 5681 2 */
	return segment->payload_bytes == 0 && !(segment->flags & (TCP_SYN | TCP_FIN)) &&
	       segment->ack == half->send.una && half->send.next != half->send.una &&
	       (uint32_t)segment->window << half->send.shift == half->send.window;
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

unsigned tcp_half_acknowledged(struct tcp_half *half, const struct tcp_segment *segment, uint64_t now_us)
{
	struct tcp_pool *pool = tcp_pair_of(half)->pool;
	struct tcp_flight f;
	bool duplicate = false, closed_window = half->send.window == 0;
	bool repeated = is_duplicate(half, segment);
	bool advanced = seq_after(segment->ack, half->send.una);
	uint32_t fresh = 0;
	unsigned events = 0;

	if (advanced)
		events = advance(half, segment, now_us);
	if (half->state == TCP_CLOSED)
		return events;
	f = tcp_half_flight(half);
	if (half->sack && segment->options.sack_count > 0)
		fresh = tcp_recovery_sacked(&half->recovery, pool, &f, &segment->options, &duplicate);
	if (duplicate && half->recovery.mode != TCP_RECOVERY_TIMEOUT)
		tcp_recovery_reordered(&half->recovery, half->recovery.threshold); /* sent again in vain: be more patient */
	if (!half->sack && repeated && half->recovery.duplicates < UINT16_MAX)
		half->recovery.duplicates++;
	finish_probe(half, duplicate);
	if (f.next != f.una)
		check_loss(half);
	update_window(half, segment, advanced);
	if (half->send.window != 0 && closed_window) {
		half->retries = 0;
		half->rtt.backoff = 0;
		tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	} else if (half->send.window == 0 && f.next == f.una) {
		half->retries = 0; /* it answers: persist for as long as it does */
	}
	if (advanced) /* what it stood for is over; a running persist timer goes on */
		tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	if (advanced || fresh > 0 || closed_window)
		tcp_timer_retransmit(half, now_us);
	return events;
}
