/* input.c: one segment, in the order of RFC 9293 3.10.7: timestamps, sequence number, RST, SYN, ACK, text, FIN.
 *
 * Every check either lets the segment through to the next one or ends it here, with an ACK, a RST or silence. What a blind
 * attacker could send is answered with a challenge ACK and changes nothing (RFC 5961).
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/seq.h"

#define PAWS_IDLE_S (24u * 86400) /* RFC 7323 5.5 */

static unsigned drop(struct tcp_half *half, bool answer)
{
	half->ack_now |= answer;
	return TCP_EVENT_DROPPED;
}

static uint32_t segment_bytes(const struct tcp_segment *s)
{
	return s->payload_bytes + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
}

/* RFC 7323 5.3 R1 and 3.2: old timestamps, and none where they were agreed. */
static bool timestamp_acceptable(const struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us, bool *silent)
{
	const struct tcp_receive *r = &half->receive;

	*silent = false;
	if (!half->timestamps || (s->flags & TCP_RST))
		return true;
	*silent = !s->options.has_timestamps;
	if (!s->options.has_timestamps)
		return false;
	return !seq_before(s->options.ts_value, r->ts_recent) || (uint32_t)(now_us / 1000000) - r->ts_recent_at_s > PAWS_IDLE_S;
}

/* The four cases of RFC 9293 3.4, and one more: a peer that has filled the window numbers its pure ACKs with the edge itself.
 * While a hole is open they carry what else nothing carries, its window among it; refusing them can stop both ends. */
static bool sequence_acceptable(const struct tcp_receive *r, const struct tcp_segment *s)
{
	uint32_t len = segment_bytes(s);

	if (s->seq == r->next) /* a closed window still lets ACK and RST in; its data is cut off */
		return true;
	if (seq_within(s->seq, r->next, r->edge) || (len == 0 && s->seq == r->edge))
		return true;
	return len > 0 && seq_within(s->seq + len - 1, r->next, r->edge);
}

static void note_timestamp(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	struct tcp_receive *r = &half->receive;

	/* RFC 7323 4.3 (2) */
	if (half->timestamps && s->options.has_timestamps && !seq_before(s->options.ts_value, r->ts_recent) &&
	    seq_upto(s->seq, r->ack_sent)) {
		r->ts_recent = s->options.ts_value;
		r->ts_recent_at_s = (uint32_t)(now_us / 1000000);
	}
}

/* The newest segment once more, because our ACK of it was lost: what is echoed now is the copy's timestamp, as hosts do it. The first
 * one's would make a round trip of all the time since then, and of the next time-out a minute. */
static void note_copy(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	uint32_t end = s->seq + segment_bytes(s);

	if (seq_before(s->seq, end) && seq_upto(half->receive.ack_sent, end) && seq_upto(end, half->receive.next))
		note_timestamp(half, s, now_us);
}

/* A segment that is not acceptable gets an ACK, so that a peer that is out of step learns where we are; without data it
 * counts as a challenge, so that two ends cannot answer each other for ever. */
static unsigned refuse(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	struct tcp_receive *r = &half->receive;

	if (s->flags & TCP_RST)
		return TCP_EVENT_DROPPED;
	if (half->state == TCP_SYN_RECEIVED && (s->flags & TCP_SYN)) {
		half->retransmit_now = s->seq == r->isn; /* our SYN-ACK was lost */
		return TCP_EVENT_DROPPED;
	}
	if (half->state == TCP_TIME_WAIT && (s->flags & TCP_FIN))
		tcp_timer_wait(half, now_us); /* the last ACK was lost: 3.10.7.4, "restart the 2 MSL time-out" */
	if (s->payload_bytes > 0 && half->sack && seq_before(s->seq, r->next))
		tcp_sack_duplicate(r, s->seq, seq_min(s->seq + s->payload_bytes, r->next));
	note_copy(half, s, now_us);
	return drop(half, s->payload_bytes > 0 || tcp_half_challenge(half, now_us));
}

/* Cuts what lies outside the window; returns the sequence number of what is left. */
static uint32_t trim(const struct tcp_receive *r, const struct tcp_segment *s, struct bytes *data, bool *fin)
{
	uint32_t seq = s->seq + !!(s->flags & TCP_SYN), end = seq + s->payload_bytes;
	uint32_t limit = r->fin_known ? seq_min(r->edge, r->fin_seq) : r->edge;
	uint32_t skip = seq_before(seq, r->next) ? r->next - seq : 0;

	*fin = (s->flags & TCP_FIN) != 0 && !r->fin_known;
	*data = s->span_count ? s->spans[0] : (struct bytes){ 0 };
	if (seq_after(end, limit)) {
		uint32_t over = end - limit;

		data->len = over < data->len ? data->len - over : 0;
		*fin = false;
	}
	if (skip >= data->len) {
		data->len = 0;
		return seq + s->payload_bytes;
	}
	*data = bytes_of(data->base + skip, data->len - skip);
	return seq + skip;
}

/* Bytes that are held already stay as they came first: only the gaps between them are filled. */
static void fill_holes(struct tcp_receive *r, struct tcp_pool *pool, struct bytes data)
{
	uint32_t end = r->next + (uint32_t)data.len;

	while (seq_before(r->next, end)) {
		uint32_t left = end - r->next, part = left, taken;

		if (r->held.head && r->held.head->seq - r->next < part)
			part = r->held.head->seq - r->next;
		taken = (uint32_t)tcp_queue_append(&r->queue, pool, bytes_of(data.base + (data.len - left), part),
						   r->queue.bytes < TCP_RESERVE_SHARE);
		r->next += taken;
		if (taken < part)
			break;
		(void)tcp_reassembly_pull(r, pool);
	}
}

/* More than the limit is unread: only where the window was another's (takeback.c). */
static bool is_full(const struct tcp_half *half)
{
	return half->receive.queue.bytes >= tcp_pair_of(half)->config->receive_bytes_max + (1u << half->receive.shift);
}

static unsigned take_data(struct tcp_half *half, uint32_t seq, struct bytes data)
{
	struct tcp_receive *r = &half->receive;
	struct tcp_pool *pool = tcp_pair_of(half)->pool;
	uint32_t taken;

	if (is_full(half)) {
		half->ack_now = true;
		return 0;
	}
	if (seq == r->next) {
		r->unacked_segments += r->unacked_segments < TCP_UNACKED_MAX;
		if (r->held.head) {
			half->ack_now = true; /* RFC 5681 4.2: a hole was filled, wholly or in part */
			fill_holes(r, pool, data);
			tcp_sack_advance(r);
		} else {
			r->next += (uint32_t)tcp_queue_append(&r->queue, pool, data, r->queue.bytes < TCP_RESERVE_SHARE);
		}
		return r->next != seq ? TCP_EVENT_READABLE : 0;
	}
	half->ack_now = true; /* RFC 5681 4.2: out of order */
	taken = tcp_reassembly_put(r, pool, seq, data);
	if (taken > 0 && half->sack)
		tcp_sack_note(r, seq, seq + taken);
	return 0;
}

/* Between a request and its reply an ACK waits for the reply; everything else that ends a write is acknowledged at once,
 * and so is every second segment (RFC 9293 3.8.6.3). */
static void schedule_ack(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	bool quick = (s->flags & TCP_PSH) && !half->interactive;

	half->interactive = false;
	if (quick || half->receive.unacked_segments >= 2)
		half->ack_now = true;
	else if (half->timer_at_us[TCP_TIMER_ACK] == TCP_NEVER_US)
		tcp_timer_start(half, TCP_TIMER_ACK, now_us + tcp_pair_of(half)->config->ack_delay_us);
}

unsigned tcp_half_take_fin(struct tcp_half *half, uint64_t now_us)
{
	struct tcp_receive *r = &half->receive;

	if (!r->fin_known || r->fin_reached || r->fin_seq != r->next)
		return 0;
	r->fin_reached = true;
	r->next++;
	r->edge = seq_max(r->edge, r->next);
	half->ack_now = true;
	tcp_queue_clear(&r->held, tcp_pair_of(half)->pool);
	r->sack_count = 0;
	tcp_half_step(half, TCP_ON_FIN_IN);
	if (half->state == TCP_TIME_WAIT)
		tcp_timer_wait(half, now_us);
	return TCP_EVENT_READ_CLOSED;
}

static unsigned take_text(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	struct tcp_receive *r = &half->receive;
	struct bytes data;
	unsigned events = 0;
	bool fin;
	uint32_t seq;

	if (!tcp_state_can_receive(half->state)) {
		if (segment_bytes(s) > 0)
			half->ack_now = true;
		return 0;
	}
	seq = trim(r, s, &data, &fin);
	if (s->payload_bytes > 0 && seq_before(s->seq, r->next)) {
		half->ack_now = true;
		if (half->sack)
			tcp_sack_duplicate(r, s->seq, seq_min(s->seq + s->payload_bytes, r->next));
	}
	if (data.len > 0) {
		events |= take_data(half, seq, data);
		if (!half->ack_now)
			schedule_ack(half, s, now_us);
	} else if (s->payload_bytes > 0) {
		half->ack_now = true;
	}
	if (fin) {
		r->fin_known = true;
		r->fin_seq = s->seq + s->payload_bytes;
	}
	half->ack_now |= (s->flags & TCP_FIN) != 0;
	return events | tcp_half_take_fin(half, now_us);
}

/* RFC 5961 3: only a RST at exactly RCV.NXT is one, or behind all that the peer is known to have sent. */
static unsigned take_reset(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	if (s->seq != half->receive.next && s->seq != tcp_half_seen(half))
		return drop(half, tcp_half_challenge(half, now_us));
	/* 3.10.7.4: with both FINs exchanged it is only the end, and no reason to disturb the other side, which may still be
	 * passing on what came before. */
	half->was_reset = half->state != TCP_CLOSING && half->state != TCP_LAST_ACK && half->state != TCP_TIME_WAIT;
	tcp_half_close(half, TCP_ON_RESET);
	return half->was_reset ? TCP_EVENT_RESET : 0;
}

/* RFC 5961 5 and RFC 9293 3.10.7.4. */
static bool ack_acceptable(const struct tcp_half *half, uint32_t ack)
{
	const struct tcp_send *s = &half->send;

	return seq_upto(s->una - s->window_max, ack) && seq_upto(ack, half->returning ? seq_max(s->next, half->reset_seq) : s->next);
}

static unsigned input_synchronized(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	unsigned events = 0;
	bool silent;

	if (!timestamp_acceptable(half, s, now_us, &silent)) {
		if (silent)
			return TCP_EVENT_DROPPED;
		return refuse(half, s, now_us);
	}
	if (!sequence_acceptable(&half->receive, s))
		return refuse(half, s, now_us);
	if (s->flags & TCP_RST)
		return take_reset(half, s, now_us);
	if (s->flags & TCP_SYN) /* RFC 5961 4 */
		return drop(half, tcp_half_challenge(half, now_us));
	if (!(s->flags & TCP_ACK))
		return TCP_EVENT_DROPPED;
	if (half->state == TCP_SYN_RECEIVED) {
		if (s->ack != half->send.next) { /* 3.10.7.4: not an ACK of our SYN */
			half->reset_seq = s->ack;
			half->reset_now = true;
			return TCP_EVENT_DROPPED;
		}
		tcp_half_step(half, TCP_ON_OPENED);
		half->send.wl1 = s->seq;
		half->send.wl2 = s->ack;
		events = TCP_EVENT_ESTABLISHED;
	}
	if (!ack_acceptable(half, s->ack))
		return drop(half, tcp_half_challenge(half, now_us));
	note_timestamp(half, s, now_us);
	half->heard_at_us = now_us;
	half->keepalives = 0;
	if (__builtin_expect(half->returning, 0))
		events |= tcp_half_skip(half, s->ack, now_us);
	events |= tcp_half_acknowledged(half, s, now_us);
	if (half->state == TCP_CLOSED)
		return events;
	return events | take_text(half, s, now_us);
}

/* RFC 9293 3.10.7.3. A SYN without ACK (simultaneous open) is refused: between the two ends of one client's connection
 * nobody opens towards the client. */
static unsigned input_syn_sent(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	bool acks = (s->flags & TCP_ACK) != 0;

	if (acks && s->ack != half->send.next) {
		half->reset_seq = s->ack;
		half->reset_now = !(s->flags & TCP_RST);
		return TCP_EVENT_DROPPED;
	}
	if (s->flags & TCP_RST) {
		if (!acks)
			return TCP_EVENT_DROPPED;
		half->was_reset = true;
		tcp_half_close(half, TCP_ON_RESET);
		return TCP_EVENT_RESET;
	}
	if (!acks || !(s->flags & TCP_SYN))
		return TCP_EVENT_DROPPED;
	half->receive.isn = s->seq;
	half->receive.next = half->receive.ack_sent = s->seq + 1;
	half->receive.edge = half->receive.next + half->receive.edge; /* what the SYN advertised */
	if (!(half->recovery.sole.flags & TCP_RANGE_RESENT))
		tcp_rtt_sample(&half->rtt, tcp_pair_of(half)->config, (uint32_t)now_us - half->recovery.sole.sent_us);
	tcp_recovery_init(&half->recovery, s->ack);
	half->send.una = s->ack;
	half->send.window = half->send.window_max = s->window; /* RFC 7323 2.2: never scaled in a SYN */
	half->send.wl1 = s->seq;
	half->send.wl2 = s->ack;
	half->rtt.backoff = 0;
	half->retries = 0;
	half->heard_at_us = now_us;
	half->ack_now = true;
	half->retransmit_now = false;
	tcp_timer_stop(half, TCP_TIMER_RETRANSMIT);
	tcp_half_step(half, TCP_ON_OPENED);
	return TCP_EVENT_ESTABLISHED;
}

unsigned tcp_half_input(struct tcp_half *half, const struct tcp_segment *s, uint64_t now_us)
{
	switch ((enum tcp_state)half->state) {
	case TCP_CLOSED:
		if (half->aborted && !(s->flags & TCP_RST)) { /* 3.10.7.1 */
			half->reset_seq = s->flags & TCP_ACK ? s->ack : half->reset_seq;
			half->reset_now = true;
		}
		return TCP_EVENT_DROPPED;
	case TCP_LISTEN:
		/* Nothing but a RST of the client's own attempt means anything before the server has answered. */
		if (!(s->flags & TCP_RST) || s->seq != half->receive.next)
			return TCP_EVENT_DROPPED;
		half->was_reset = true;
		tcp_half_close(half, TCP_ON_RESET);
		return TCP_EVENT_RESET;
	case TCP_SYN_SENT:
		return input_syn_sent(half, s, now_us);
	default:
		return input_synchronized(half, s, now_us);
	}
}
