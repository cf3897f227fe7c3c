/* timers.c: three deadlines a half. The retransmission timer has five meanings, and only one at a time:
 *
 *   SYN or SYN-ACK unanswered        time-out, back-off, give up after syn_retries
 *   something later has arrived      reordered segments are waited for, then they are lost (RFC 8985 6.3)
 *   data or FIN in flight            a tail loss probe first, at the latest when the time-out is due, then the time-out (RFC 6298 5)
 *   nothing in flight, window zero   persist: probe, back-off, never give up while the peer answers (RFC 9293 3.8.6.1)
 *   nothing to do                    off
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

#define PROBE_MIN_US 10000      /* RFC 8985 7.2, with a floor for poll loops */

void tcp_timer_stop(struct tcp_half *half, enum tcp_timer timer)
{
	half->timer_at_us[timer] = TCP_NEVER_US;
}

void tcp_timer_start(struct tcp_half *half, enum tcp_timer timer, uint64_t at_us)
{
	half->timer_at_us[timer] = at_us;
}

/* RFC 8985 7.2. A peer waits before it acknowledges what comes alone, unless it has seen it before, or a hole above it. */
static uint64_t probe_us(const struct tcp_half *half)
{
	const struct tcp_recovery *r = &half->recovery;
	uint64_t us = 2ull * half->rtt.smoothed_us;
	bool alone = half->send.next - half->send.una <= half->send.mss && r->probes == 0 && r->mode == TCP_RECOVERY_NONE;

	us = us < PROBE_MIN_US ? PROBE_MIN_US : us;
	return (us << r->probes) + (alone ? tcp_pair_of(half)->config->probe_alone_us : 0);
}

/* One for each silence; on a path that loses much more, each after twice the time (RFC 9002 6.2), also for what recovery has sent and
 * lost again: until they would be later than the time-out. */
static bool probe_allowed(const struct tcp_half *half)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;
	const struct tcp_recovery *r = &half->recovery;

	if (!config->tail_probe || half->state < TCP_ESTABLISHED || half->retries > 0 || half->rtt.smoothed_us == 0)
		return false;
	if (r->mode == TCP_RECOVERY_NONE && !r->probing)
		return true;
	return tcp_recovery_lossy(r) && probe_us(half) < tcp_rtt_timeout_us(&half->rtt, config);
}

void tcp_timer_retransmit(struct tcp_half *half, uint64_t now_us)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;
	const struct tcp_send *s = &half->send;
	uint64_t timeout = tcp_rtt_timeout_us(&half->rtt, config);
	bool unsent = seq_before(s->next, tcp_send_end(s)) || (s->fin_queued && !s->fin_sent);

	half->recovery.waiting = false;
	if (s->next != s->una) {
		if (probe_allowed(half) && probe_us(half) < timeout)
			timeout = probe_us(half);
		tcp_timer_start(half, TCP_TIMER_RETRANSMIT, now_us + timeout);
	} else if (unsent && s->window == 0 && tcp_state_synchronized(half->state)) {
		if (half->timer_at_us[TCP_TIMER_RETRANSMIT] == TCP_NEVER_US)
			tcp_timer_start(half, TCP_TIMER_RETRANSMIT, now_us + timeout);
	} else {
		tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	}
}

void tcp_timer_reorder(struct tcp_half *half, uint64_t at_us)
{
	tcp_timer_start(half, TCP_TIMER_RETRANSMIT, at_us);
	half->recovery.waiting = true;
}

void tcp_timer_wait(struct tcp_half *half, uint64_t now_us)
{
	for (unsigned i = 0; i < TCP_TIMER_COUNT; i++)
		tcp_timer_stop(half, i);
	tcp_timer_start(half, TCP_TIMER_LINGER, now_us + tcp_pair_of(half)->config->time_wait_us);
}

static unsigned give_up(struct tcp_half *half)
{
	half->timed_out = true;
	tcp_half_abort(half);
	return TCP_EVENT_RESET;
}

static void back_off(struct tcp_half *half, uint64_t now_us)
{
	half->rtt.backoff += half->rtt.backoff < UINT8_MAX;
	tcp_timer_start(half, TCP_TIMER_RETRANSMIT,
			now_us + tcp_rtt_timeout_us(&half->rtt, tcp_pair_of(half)->config));
}

static unsigned handshake_due(struct tcp_half *half, uint64_t now_us)
{
	if (++half->retries > tcp_pair_of(half)->config->syn_retries) {
		/* Nobody answered the SYN: the client is not told, as it would not be without us. */
		half->timed_out = true;
		if (half->state == TCP_SYN_SENT)
			tcp_half_close(half, TCP_ON_EXPIRED);
		else
			tcp_half_abort(half);
		return TCP_EVENT_RESET;
	}
	half->retransmit_now = true;
	back_off(half, now_us);
	return 0;
}

/* A peer that took its window back behind what was sent drops our segments but answers them: it is not dead. */
static bool peer_stalls(const struct tcp_half *half, uint64_t now_us)
{
	return half->send.window == 0 && now_us - half->heard_at_us < 2ull * tcp_pair_of(half)->config->rto_max_us;
}

static unsigned timeout_due(struct tcp_half *half, uint64_t now_us)
{
	struct tcp_recovery *r = &half->recovery;
	struct tcp_flight f = tcp_half_flight(half);

	if (half->retries >= tcp_pair_of(half)->config->retries && !peer_stalls(half, now_us))
		return give_up(half);
	half->retries += half->retries < UINT8_MAX;
	if (half->retries == 1) /* RFC 5681 3.1: once for the same segment */
		tcp_congestion_timeout(&half->congestion, f.mss, r->mode != TCP_RECOVERY_NONE);
	tcp_half_suspect_path(half, now_us);
	half->congestion.window_bytes = half->send.mss;
	/* A peer that SACKed the very next byte and does not acknowledge it has reneged (RFC 2018 8). */
	tcp_recovery_lose_all(r, &f, half->retries > 1 || tcp_recovery_reneged(r, &f));
	tcp_recovery_begin(r, &f, TCP_RECOVERY_TIMEOUT);
	r->duplicates = 0;
	back_off(half, now_us);
	return 0;
}

static unsigned retransmit_due(struct tcp_half *half, uint64_t now_us)
{
	struct tcp_send *s = &half->send;

	if (!tcp_state_synchronized(half->state))
		return handshake_due(half, now_us);
	if (half->recovery.waiting) {
		tcp_half_look_for_loss(half, now_us);
		return 0;
	}
	if (s->next == s->una) { /* persist */
		if (s->window != 0 || half->retries >= tcp_pair_of(half)->config->retries) {
			tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
			return s->window != 0 ? 0 : give_up(half);
		}
		half->retries++; /* an answer sets it back */
		half->window_probe_now = true;
		back_off(half, now_us);
		return 0;
	}
	if (probe_allowed(half)) {
		half->probe_now = true;
		half->recovery.probes++;
		half->recovery.probing = true;
		half->recovery.probe_end = s->next;
		tcp_timer_retransmit(half, now_us);
		return 0;
	}
	return timeout_due(half, now_us);
}

static unsigned linger_due(struct tcp_half *half, uint64_t now_us)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;
	uint64_t idle_until = half->heard_at_us + config->keepalive_idle_us;

	tcp_timer_stop(half, TCP_TIMER_LINGER);
	if (half->state == TCP_TIME_WAIT) {
		tcp_half_close(half, TCP_ON_EXPIRED);
		return 0;
	}
	if (half->reset_queued) {
		tcp_half_abort(half);
		return 0;
	}
	tcp_half_try_path(half, now_us);
	if (config->keepalive_idle_us == 0 || !tcp_state_synchronized(half->state))
		return 0;
	if (now_us < idle_until || (half->send.next != half->send.una && !half->spliced)) {
		half->keepalives = 0;
		idle_until = now_us < idle_until ? idle_until : now_us + config->keepalive_idle_us;
		tcp_timer_start(half, TCP_TIMER_LINGER, idle_until);
		return 0;
	}
	if (half->keepalives++ >= config->keepalive_probes)
		return give_up(half);
	half->keepalive_now = true;
	tcp_timer_start(half, TCP_TIMER_LINGER, now_us + config->keepalive_interval_us);
	return 0;
}

unsigned tcp_half_timer(struct tcp_half *half, uint64_t now_us)
{
	unsigned events = 0;

	if (half->timer_at_us[TCP_TIMER_ACK] <= now_us) {
		tcp_timer_stop(half, TCP_TIMER_ACK);
		half->ack_now = true;
	}
	if (half->timer_at_us[TCP_TIMER_RETRANSMIT] <= now_us)
		events |= retransmit_due(half, now_us);
	if (half->timer_at_us[TCP_TIMER_LINGER] <= now_us)
		events |= linger_due(half, now_us);
	return events;
}
