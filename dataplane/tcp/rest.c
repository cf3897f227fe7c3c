/* rest.c: see rest.h. The trap is a field that is neither kept nor known at rest: tcp_rest_ready has to be true only when each one that
 * tcp_rest_unpack makes up has the value that it makes up, or one that behaves the same. The simulation packs at random moments. */
#include "dataplane/tcp/rest.h"

#include "dataplane/tcp/half.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

static bool owes_nothing(const struct tcp_half *half)
{
	const struct tcp_receive *r = &half->receive;

	return !(half->ack_now | half->reset_now | half->reset_queued | half->retransmit_now | half->probe_now | half->window_probe_now |
		 half->keepalive_now | half->returning | r->duplicate_known) &&
	       r->queue.bytes == 0 && !r->held.head && r->sack_count == 0 && half->timer_at_us[TCP_TIMER_ACK] == TCP_NEVER_US;
}

/* The D-SACK of what was sent again last is still to be waited for (RFC 3708). */
static bool may_undo(const struct tcp_half *half, uint64_t now_us)
{
	return half->recovery.undoable && half->recovery.undo_bytes > 0 && now_us - half->sent_at_us <= half->rtt.timeout_us;
}

static bool half_ready(const struct tcp_half *half, uint64_t now_us)
{
	const struct tcp_receive *r = &half->receive;
	const struct tcp_send *s = &half->send;

	if (!owes_nothing(half) || s->queue.head || half->recovery.board || half->timer_at_us[TCP_TIMER_RETRANSMIT] != TCP_NEVER_US)
		return false;
	if (half->state == TCP_CLOSED)
		return true;
	if (!tcp_state_synchronized(half->state) || half->recovery.mode != TCP_RECOVERY_NONE || half->retries > 0 ||
	    r->fin_known != r->fin_reached || s->fin_queued != s->fin_sent)
		return false;
	return half->spliced || (s->una == s->next && s->base + s->fin_sent == s->next && r->ack_sent == r->next && !may_undo(half, now_us));
}

bool tcp_rest_ready(const struct tcp_pair *pair, uint64_t now_us)
{
	return half_ready(&pair->half[TCP_CLIENT], now_us) && half_ready(&pair->half[TCP_SERVER], now_us);
}

static void pack(const struct tcp_half *half, struct tcp_rest_half *out)
{
	const struct tcp_receive *r = &half->receive;
	const struct tcp_send *s = &half->send;

	*out = (struct tcp_rest_half){
		.heard_at_us = half->heard_at_us, .sent_at_us = half->sent_at_us, .linger_at_us = half->timer_at_us[TCP_TIMER_LINGER],
		.receive_next = r->next, .receive_edge = r->edge, .receive_limit_bytes = r->limit_bytes,
		.ts_recent = r->ts_recent, .ts_recent_at_s = r->ts_recent_at_s, .ts_offset = half->ts_offset,
		.send_next = s->next, .window = s->window, .window_max = s->window_max,
		.smoothed_us = half->rtt.smoothed_us, .variance_us = half->rtt.variance_us, .rtt_min_us = half->rtt.min_us,
		.congestion_bytes = half->congestion.window_bytes, .threshold_bytes = half->congestion.threshold_bytes,
		.peak_bytes = half->congestion.peak_bytes, .mss_lowered_s = s->mss_lowered_s, .challenge_second = half->challenge_second,
		.mss = s->mss, .mss_agreed = s->mss_agreed, .challenges = half->challenges,
		.state = half->state, .keepalives = half->keepalives, .rule = half->rule,
		.patience = half->recovery.patience, .patience_left = half->recovery.patience_left, .lossy = half->recovery.lossy,
		.receive_shift = r->shift & 15, .send_shift = s->shift & 15,
		.outlives = half->outlives,
		.fin_in = r->fin_reached, .fin_out = s->fin_sent, .untouched = r->next == r->isn + 1,
		.recovered = half->recovery.point == s->una, .reordering = half->recovery.reordering,
	};
}

void tcp_rest_pack(const struct tcp_pair *pair, struct tcp_rest *rest)
{
	for (unsigned side = 0; side < 2; side++)
		pack(&pair->half[side], &rest->half[side]);
}

static void unpack_receive(const struct tcp_rest_half *in, struct tcp_receive *r)
{
	r->next = r->ack_sent = in->receive_next;
	r->isn = in->receive_next - (in->untouched ? 1 : 2);
	r->edge = in->receive_edge;
	r->limit_bytes = in->receive_limit_bytes;
	r->fin_seq = in->receive_next - 1;
	r->ts_recent = in->ts_recent;
	r->ts_recent_at_s = in->ts_recent_at_s;
	r->shift = in->receive_shift;
	r->fin_known = r->fin_reached = in->fin_in;
}

static void unpack_send(const struct tcp_rest_half *in, struct tcp_send *s, uint32_t limit_bytes)
{
	s->una = s->next = s->full_upto = in->send_next;
	s->isn = in->mss == 0 ? in->send_next : in->send_next - 1; /* without an MSS: the peer never answered */
	s->base = s->cursor_seq = in->send_next - in->fin_out;
	s->window = in->window;
	s->window_max = in->window_max;
	s->wl1 = in->receive_next;
	s->wl2 = in->send_next;
	s->limit_bytes = limit_bytes;
	s->mss = in->mss;
	s->mss_agreed = in->mss_agreed;
	s->mss_lowered_s = in->mss_lowered_s;
	s->shift = in->send_shift;
	s->fin_queued = s->fin_sent = in->fin_out;
}

static void unpack_path(const struct tcp_rest_half *in, struct tcp_half *half, const struct tcp_config *config)
{
	tcp_recovery_init(&half->recovery, in->send_next);
	half->recovery.point = in->recovered ? in->send_next : in->send_next - 1;
	half->recovery.patience = in->patience;
	half->recovery.patience_left = in->patience_left;
	half->recovery.lossy = in->lossy;
	half->recovery.reordering = in->reordering;
	half->congestion = (struct tcp_congestion){
		.window_bytes = in->congestion_bytes, .threshold_bytes = in->threshold_bytes, .peak_bytes = in->peak_bytes,
	};
	tcp_rtt_known(&half->rtt, config, in->smoothed_us, in->variance_us, in->rtt_min_us);
}

static void unpack(const struct tcp_rest_half *in, struct tcp_half *half, unsigned side, const struct tcp_config *config)
{
	*half = (struct tcp_half){
		.side = (uint8_t)side, .state = in->state, .keepalives = in->keepalives, .rule = in->rule,
		.outlives = in->outlives,
		.challenges = in->challenges, .challenge_second = in->challenge_second, .reset_seq = in->send_next, .ts_offset = in->ts_offset,
		.heard_at_us = in->heard_at_us, .sent_at_us = in->sent_at_us,
	};
	unpack_receive(in, &half->receive);
	unpack_send(in, &half->send, config->send_bytes_max);
	unpack_path(in, half, config);
	half->timer_at_us[TCP_TIMER_RETRANSMIT] = half->timer_at_us[TCP_TIMER_ACK] = TCP_NEVER_US;
	half->timer_at_us[TCP_TIMER_LINGER] = in->linger_at_us;
}

void tcp_rest_unpack(const struct tcp_rest *rest, struct tcp_pair *pair, const struct tcp_config *config, struct tcp_pool *pool)
{
	for (unsigned side = 0; side < 2; side++)
		unpack(&rest->half[side], &pair->half[side], side, config);
	pair->config = config;
	pair->pool = pool;
	pair->syn = (struct tcp_syn){ 0 };
}

bool tcp_rest_over(const struct tcp_rest *rest, uint64_t now_us)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct tcp_rest_half *half = &rest->half[side];

		if (half->state != TCP_CLOSED && (half->state != TCP_TIME_WAIT || half->linger_at_us > now_us))
			return false;
	}
	return true;
}
