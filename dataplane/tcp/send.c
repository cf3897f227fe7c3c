/* send.c: the cursor never lies behind base: what it pointed to is either still queued or was acknowledged. */
#include "dataplane/tcp/send.h"

#include "dataplane/tcp/seq.h"

void tcp_send_init(struct tcp_send *send, uint32_t isn, uint32_t limit_bytes)
{
	*send = (struct tcp_send){
		.isn = isn, .una = isn, .next = isn, .base = isn + 1, .cursor_seq = isn + 1, .full_upto = isn, .limit_bytes = limit_bytes,
	};
}

void tcp_send_grown(struct tcp_send *send)
{
	if (!send->cursor) {
		send->cursor = send->queue.head;
		send->cursor_seq = send->base;
	}
}

uint32_t tcp_send_acked(struct tcp_send *send, struct tcp_pool *pool, uint32_t upto)
{
	uint32_t freed;

	if (!seq_after(upto, send->base))
		return 0;
	freed = (uint32_t)tcp_queue_consume(&send->queue, pool, upto - send->base);
	send->base += freed;
	if (seq_before(send->cursor_seq, send->base) || !send->queue.head) {
		send->cursor = send->queue.head;
		send->cursor_seq = send->base;
	}
	return freed;
}

/* The chunk that holds `seq`, its first byte's number in *first. A retransmission does not move the cursor. */
static struct tcp_chunk *find(struct tcp_send *send, uint32_t seq, uint32_t *first)
{
	bool from_cursor = send->cursor && seq_upto(send->cursor_seq, seq);
	struct tcp_chunk *chunk = from_cursor ? send->cursor : send->queue.head;

	*first = from_cursor ? send->cursor_seq : send->base;
	while (chunk && seq - *first >= chunk->len) {
		*first += chunk->len;
		chunk = chunk->next;
	}
	if (from_cursor && chunk) {
		send->cursor = chunk;
		send->cursor_seq = *first;
	}
	return chunk;
}

/* Up to `max` spans in `spans`, their number in *count. */
static inline uint32_t collect(struct tcp_send *send, uint32_t seq, uint32_t len, struct bytes *spans, unsigned max, uint8_t *count)
{
	uint32_t first, sum = 0;
	struct tcp_chunk *chunk = find(send, seq, &first);
	uint32_t skip = seq - first;
	unsigned filled = 0;

	for (; chunk && sum < len && filled < max; chunk = chunk->next) {
		uint32_t part = chunk->len - skip;

		part = part < len - sum ? part : len - sum;
		spans[filled++] = bytes_of(chunk->data + chunk->offset + skip, part);
		sum += part;
		skip = 0;
	}
	*count = (uint8_t)filled;
	return sum;
}

uint32_t tcp_send_spans(struct tcp_send *send, uint32_t seq, uint32_t len, struct tcp_segment *segment)
{
	segment->payload_bytes = collect(send, seq, len, segment->spans, TCP_SPANS_MAX, &segment->span_count);
	return segment->payload_bytes;
}

uint32_t tcp_send_spans_many(struct tcp_send *send, uint32_t seq, uint32_t len, struct bytes many[TCP_SPANS_MANY], struct tcp_segment *segment)
{
	segment->payload_bytes = collect(send, seq, len, many, TCP_SPANS_MANY, &segment->span_count);
	segment->many = many;
	return segment->payload_bytes;
}
