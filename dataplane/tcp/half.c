/* half.c: one end point, as its user sees it: read, write, close. */
#include "dataplane/tcp/half.h"

#include "dataplane/tcp/send.h"
#include "dataplane/tcp/seq.h"

void tcp_half_init(struct tcp_half *half, enum tcp_side side, const struct tcp_config *config, uint64_t now_us)
{
	*half = (struct tcp_half){ .side = (uint8_t)side, .heard_at_us = now_us, .sent_at_us = now_us };
	half->receive.limit_bytes = config->receive_bytes_max;
	half->send.limit_bytes = config->send_bytes_max;
	tcp_rtt_init(&half->rtt, config);
	for (unsigned i = 0; i < TCP_TIMER_COUNT; i++)
		half->timer_at_us[i] = TCP_NEVER_US;
}

void tcp_half_step(struct tcp_half *half, enum tcp_state_event event)
{
	half->state = (uint8_t)tcp_state_next(half->state, event, NULL);
}

void tcp_half_close(struct tcp_half *half, enum tcp_state_event event)
{
	struct tcp_pool *pool = tcp_pair_of(half)->pool;

	tcp_half_step(half, event);
	tcp_queue_clear(&half->send.queue, pool);
	tcp_queue_clear(&half->receive.held, pool);
	tcp_recovery_clear(&half->recovery, pool);
	half->send.cursor = NULL;
	half->ack_now = half->retransmit_now = half->probe_now = false;
	half->window_probe_now = half->keepalive_now = half->reset_queued = false;
	for (unsigned i = 0; i < TCP_TIMER_COUNT; i++)
		tcp_timer_stop(half, i);
}

void tcp_half_abort(struct tcp_half *half)
{
	bool known = half->state == TCP_LISTEN || half->state == TCP_SYN_RECEIVED ||
		     (tcp_state_synchronized(half->state) && half->state != TCP_TIME_WAIT);

	if (half->state == TCP_CLOSED)
		return;
	if (!half->returning || seq_after(half->send.next, half->reset_seq))
		half->reset_seq = half->send.next;
	half->returning = false;
	half->reset_now = known;
	half->aborted = known;
	tcp_half_close(half, TCP_ON_RESET);
}

/* What the other peer's window leaves. When that is next to nothing and nothing waits for it, a segment more: else nobody here would
 * ask it for its window, and the news that it opened may be lost. */
static uint32_t room_beyond(const struct tcp_half *half)
{
	const struct tcp_send *to = &tcp_pair_of(half)->half[!half->side].send;
	uint32_t edge = to->una + to->window, taken = tcp_send_end(to) + half->receive.queue.bytes;
	uint32_t room = seq_after(edge, taken) ? edge - taken : 0;

	return room < half->send.mss && taken == to->una ? half->send.mss : room;
}

uint32_t tcp_half_edge(const struct tcp_half *half)
{
	const struct tcp_receive *r = &half->receive;
	uint32_t mss = half->send.mss;
	uint32_t room = r->queue.bytes < r->limit_bytes ? r->limit_bytes - r->queue.bytes : 0;
	uint32_t most = (uint32_t)UINT16_MAX << r->shift;
	uint32_t step = mss < r->limit_bytes / 2 ? mss : r->limit_bytes / 2;

	if (tcp_pool_low(tcp_pair_of(half)->pool) && room > 2 * mss)
		room = 2 * mss; /* enough to go on, not enough to grow */
	room = room > most ? most : room;
	if (half->rule == TCP_WINDOW_HOLD)
		return r->edge;
	if (half->rule == TCP_WINDOW_FOLLOW) {
		uint32_t beyond = room_beyond(half);

		room = room > beyond ? beyond : room;
	}
	/* RFC 9293 3.8.6.2.2: the edge moves in steps worth a segment, or not at all */
	if (!seq_after(r->next + room, r->edge) || r->next + room - r->edge < step)
		return r->edge;
	return r->next + room;
}

bool tcp_half_update_due(const struct tcp_half *half)
{
	const struct tcp_receive *r = &half->receive;
	uint32_t grown;

	if (!tcp_state_can_receive(half->state) || r->next == r->isn + 1)
		return false;
	/* As long as more than half of what could be advertised is known to the peer, the next ACK is soon enough. */
	grown = tcp_half_edge(half) - r->edge;
	return grown > 0 && grown >= r->edge - r->next;
}

bool tcp_half_challenge(struct tcp_half *half, uint64_t now_us)
{
	uint32_t second = (uint32_t)(now_us / 1000000);

	if (half->challenge_second != second) {
		half->challenge_second = second;
		half->challenges = 0;
	}
	if (half->challenges >= tcp_pair_of(half)->config->challenge_per_second || half->challenges == UINT16_MAX)
		return false;
	half->challenges++;
	return true;
}

bool tcp_established(const struct tcp_half *half)
{
	/* The server's half opens first, and waits for the client. */
	return tcp_state_synchronized(half->state) &&
	       tcp_pair_of(half)->half[TCP_CLIENT].state != TCP_SYN_RECEIVED;
}

struct bytes tcp_readable(const struct tcp_half *half)
{
	const struct tcp_chunk *head = half->receive.queue.head;

	return head ? bytes_of(head->data + head->offset, head->len) : (struct bytes){ 0 };
}

unsigned tcp_readable_spans(const struct tcp_half *half, struct bytes *spans, unsigned spans_max)
{
	unsigned count = 0;

	for (const struct tcp_chunk *c = half->receive.queue.head; c && count < spans_max; c = c->next)
		spans[count++] = bytes_of(c->data + c->offset, c->len);
	return count;
}

size_t tcp_readable_bytes(const struct tcp_half *half)
{
	return half->receive.queue.bytes;
}

void tcp_consume(struct tcp_half *half, size_t len)
{
	(void)tcp_queue_consume(&half->receive.queue, tcp_pair_of(half)->pool, len);
}

bool tcp_read_closed(const struct tcp_half *half)
{
	return half->receive.fin_reached && half->receive.queue.bytes == 0;
}

static size_t queue_space(const struct tcp_half *half)
{
	const struct tcp_send *s = &half->send;

	if (!tcp_established(half) || !tcp_state_can_send(half->state) || s->fin_queued || half->reset_queued)
		return 0;
	return s->queue.bytes < s->limit_bytes ? s->limit_bytes - s->queue.bytes : 0;
}

size_t tcp_send_space(const struct tcp_half *half)
{
	const struct tcp_pool *pool = tcp_pair_of(half)->pool;
	size_t space = queue_space(half), share = half->send.queue.bytes;

	if (pool->free_count > pool->reserve)
		return space;
	share = share < TCP_RESERVE_SHARE && pool->free_count > 0 ? TCP_RESERVE_SHARE - share : 0;
	return space < share ? space : share;
}

size_t tcp_send(struct tcp_half *half, const void *base, size_t len)
{
	size_t space = tcp_send_space(half);
	size_t taken;

	len = len < space ? len : space;
	taken = tcp_queue_append(&half->send.queue, tcp_pair_of(half)->pool, bytes_of(base, len),
				 half->send.queue.bytes < TCP_RESERVE_SHARE);
	tcp_send_grown(&half->send);
	return taken;
}

void tcp_send_close(struct tcp_half *half)
{
	half->send.fin_queued = true;
}

bool tcp_send_empty(const struct tcp_half *half)
{
	return half->send.queue.bytes == 0;
}

size_t tcp_move(struct tcp_half *from, struct tcp_half *to, size_t max)
{
	size_t space = queue_space(to); /* chunks change hands: memory is no matter */
	size_t moved;

	max = max < space ? max : space;
	moved = tcp_queue_move(&from->receive.queue, &to->send.queue, tcp_pair_of(from)->pool, max);
	tcp_send_grown(&to->send);
	return moved;
}

void tcp_pair_window_rule(struct tcp_pair *pair, enum tcp_window_rule rule)
{
	pair->half[TCP_CLIENT].rule = pair->half[TCP_SERVER].rule = (uint8_t)rule;
}

void tcp_receive_limit(struct tcp_half *half, uint32_t bytes)
{
	uint32_t most = tcp_pair_of(half)->config->receive_bytes_max;

	half->receive.limit_bytes = bytes < most ? bytes : most;
}

bool tcp_was_reset(const struct tcp_half *half)
{
	return half->was_reset;
}

bool tcp_timed_out(const struct tcp_half *half)
{
	return half->timed_out;
}
