/* pair.c: the two halves together: the mirrored handshake, and failure before both are open.
 *
 *   client            half[CLIENT]   half[SERVER]             server
 *     SYN  ------------> LISTEN      SYN-SENT  ----- SYN ------->
 *                                              <--- SYN-ACK -----
 *          <-- SYN-ACK - SYN-RECEIVED ESTABLISHED (says nothing yet)
 *     ACK  ------------> ESTABLISHED           ------ ACK ------>
 *
 * After that the halves know nothing of each other; what passes between them is the caller's decision.
 */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

struct tcp_config tcp_config_default(void)
{
	return (struct tcp_config){
		.receive_bytes_max = 256u << 10,
		.send_bytes_max = 256u << 10,
		.mss_max = 1460,
		.mss_min = 88, /* as Linux: smaller ones only serve to cost us packets (CVE-2019-11479) */
		.rto_initial_us = 1000000, /* RFC 6298 2.1 */
		.rto_min_us = 200000,
		.rto_max_us = 60000000,
		.syn_retries = 5,
		.retries = 15,
		.tail_probe = true,
		.probe_alone_us = 50000, /* Linux delays for 40 ms at most */
		.ack_delay_us = 1000,
		.keepalive_idle_us = 120000000,
		.keepalive_interval_us = 15000000,
		.keepalive_probes = 6,
		.time_wait_us = 2000000,
		.challenge_per_second = 10,
	};
}

bool tcp_pair_open(struct tcp_pair *pair, const struct tcp_config *config, struct tcp_pool *pool,
		   const struct tcp_segment *syn, uint64_t now_us)
{
	struct tcp_half *client = &pair->half[TCP_CLIENT], *server = &pair->half[TCP_SERVER];
	struct tcp_options offer;

	if ((syn->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN)
		return false;
	pair->config = config;
	pair->pool = pool;
	offer = tcp_options_filter(&syn->options, config);
	pair->syn = tcp_options_keep(&offer, syn->window);
	tcp_half_init(client, TCP_CLIENT, config, now_us);
	tcp_half_init(server, TCP_SERVER, config, now_us);
	tcp_half_step(client, TCP_ON_SYN_HELD);
	client->receive.isn = syn->seq;
	client->receive.next = client->receive.edge = client->receive.ack_sent = syn->seq + 1;
	client->send.window = client->send.window_max = syn->window;
	tcp_half_step(server, TCP_ON_SYN_SENT);
	tcp_send_init(&server->send, syn->seq, config->send_bytes_max);
	tcp_recovery_init(&server->recovery, syn->seq);
	server->ts_offset = syn->options.ts_value - tcp_options_clock(now_us);
	return true;
}

/* The server said yes: the client gets the same answer. */
static void answer_client(struct tcp_pair *pair, const struct tcp_segment *syn_ack, uint64_t now_us)
{
	struct tcp_half *client = &pair->half[TCP_CLIENT], *server = &pair->half[TCP_SERVER];
	struct tcp_options offer = tcp_options_kept(&pair->syn);
	struct tcp_options answer = tcp_options_filter(&syn_ack->options, pair->config);
	uint32_t window = client->send.window;

	answer.has_shift &= offer.has_shift;
	answer.sack_permitted &= offer.sack_permitted;
	answer.has_timestamps &= offer.has_timestamps;
	tcp_send_init(&client->send, syn_ack->seq, pair->config->send_bytes_max);
	client->send.window = client->send.window_max = window;
	tcp_recovery_init(&client->recovery, syn_ack->seq);
	tcp_options_settle(pair, &offer, &answer, now_us);
	tcp_congestion_init(&client->congestion, client->send.mss);
	tcp_congestion_init(&server->congestion, server->send.mss);
	pair->syn = tcp_options_keep(&answer, syn_ack->window);
	tcp_half_step(client, TCP_ON_ANSWERED);
}

static void start_keepalive(struct tcp_half *half, uint64_t now_us)
{
	const struct tcp_config *config = tcp_pair_of(half)->config;

	if (config->keepalive_idle_us > 0)
		tcp_timer_start(half, TCP_TIMER_LINGER, now_us + config->keepalive_idle_us);
}

/* A handshake that fails on one side fails on the other. */
static void mirror_failure(struct tcp_pair *pair, enum tcp_side side, enum tcp_state before)
{
	struct tcp_half *other = &pair->half[!side];

	if (before == TCP_SYN_SENT && pair->half[side].was_reset)
		tcp_half_abort(other); /* the client gets the server's refusal: <SEQ=0><ACK=ISN+1><CTL=RST,ACK> */
	else if (before == TCP_SYN_SENT)
		tcp_half_close(other, TCP_ON_EXPIRED);
	else if (before == TCP_SYN_RECEIVED || before == TCP_LISTEN || other->state == TCP_SYN_RECEIVED)
		tcp_half_abort(other);
}

/* RFC 9293 3.10.7.4 and RFC 6191 2: a new SYN may take over what is left of an old connection. */
static bool reopens(const struct tcp_half *half, const struct tcp_segment *s)
{
	if ((s->flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN || half->side != TCP_CLIENT)
		return false;
	if (half->state == TCP_CLOSED)
		return true;
	if (half->state != TCP_TIME_WAIT)
		return false;
	if (half->timestamps && s->options.has_timestamps && seq_after(s->options.ts_value, half->receive.ts_recent))
		return true;
	return seq_after(s->seq, half->receive.next);
}

unsigned tcp_pair_input(struct tcp_pair *pair, enum tcp_side side, const struct tcp_segment *segment, uint64_t now_us)
{
	struct tcp_half *half = &pair->half[side];
	enum tcp_state before = half->state;
	unsigned events;

	if (reopens(half, segment))
		return TCP_EVENT_REOPEN;
	events = tcp_half_input(half, segment, now_us);
	if (!(events & (TCP_EVENT_ESTABLISHED | TCP_EVENT_RESET)))
		return events;
	if (events & TCP_EVENT_RESET) {
		mirror_failure(pair, side, before);
		return events;
	}
	if (side == TCP_SERVER) {
		answer_client(pair, segment, now_us);
		return events & ~(unsigned)TCP_EVENT_ESTABLISHED;
	}
	start_keepalive(half, now_us);
	start_keepalive(&pair->half[TCP_SERVER], now_us);
	return events;
}

void tcp_pair_timer(struct tcp_pair *pair, uint64_t now_us, unsigned events[2])
{
	for (unsigned side = 0; side < 2; side++) {
		enum tcp_state before = pair->half[side].state;

		events[side] = tcp_half_timer(&pair->half[side], now_us);
		if (events[side] & TCP_EVENT_RESET)
			mirror_failure(pair, side, before);
	}
}

uint64_t tcp_pair_deadline_us(const struct tcp_pair *pair)
{
	uint64_t deadline = TCP_NEVER_US;

	for (unsigned side = 0; side < 2; side++)
		for (unsigned i = 0; i < TCP_TIMER_COUNT; i++)
			if (pair->half[side].timer_at_us[i] < deadline)
				deadline = pair->half[side].timer_at_us[i];
	return deadline;
}

bool tcp_pair_done(const struct tcp_pair *pair)
{
	for (unsigned side = 0; side < 2; side++)
		if (pair->half[side].state != TCP_CLOSED || pair->half[side].reset_now)
			return false;
	return true;
}

bool tcp_pair_waits(const struct tcp_pair *pair)
{
	bool waits = false;

	for (unsigned side = 0; side < 2; side++) {
		const struct tcp_half *half = &pair->half[side];

		if ((half->state != TCP_CLOSED && half->state != TCP_TIME_WAIT) || half->reset_now || half->ack_now)
			return false;
		waits |= half->state == TCP_TIME_WAIT;
	}
	return waits;
}

void tcp_pair_abort(struct tcp_pair *pair, enum tcp_side side)
{
	tcp_half_abort(&pair->half[side]);
}

void tcp_pair_abort_behind(struct tcp_pair *pair, enum tcp_side side, uint64_t now_us)
{
	struct tcp_half *half = &pair->half[side];

	if (half->reset_queued || half->state == TCP_CLOSED)
		return;
	if (!tcp_established(half) || half->send.queue.bytes == 0) {
		tcp_half_abort(half);
		return;
	}
	half->reset_queued = true;
	tcp_timer_start(half, TCP_TIMER_LINGER, now_us + TCP_ABORT_WAIT_US);
}

void tcp_pair_release(struct tcp_pair *pair)
{
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *half = &pair->half[side];

		tcp_half_close(half, TCP_ON_RESET);
		tcp_queue_clear(&half->receive.queue, pair->pool);
		half->reset_now = false;
		half->state = TCP_CLOSED;
	}
}
