/* queue.c: appending fills the tail first, so that a stream of small segments still packs its chunks. */
#include "dataplane/tcp/queue.h"

#include <string.h>

static size_t tail_room(const struct tcp_queue *q)
{
	return q->tail ? sizeof(q->tail->data) - q->tail->offset - q->tail->len : 0;
}

static void fill_tail(struct tcp_queue *q, const uint8_t *base, size_t len)
{
	struct tcp_chunk *tail = q->tail;

	memcpy(tail->data + tail->offset + tail->len, base, len);
	tail->len = (uint16_t)(tail->len + len);
	q->bytes += (uint32_t)len;
}

void tcp_queue_push(struct tcp_queue *q, struct tcp_chunk *chunk)
{
	chunk->next = NULL;
	if (q->tail)
		q->tail->next = chunk;
	else
		q->head = chunk;
	q->tail = chunk;
	q->bytes += chunk->len;
	q->chunks++;
}

static struct tcp_chunk *pop(struct tcp_queue *q)
{
	struct tcp_chunk *chunk = q->head;

	q->head = chunk->next;
	if (!q->head)
		q->tail = NULL;
	q->bytes -= chunk->len;
	q->chunks--;
	chunk->next = NULL;
	return chunk;
}

size_t tcp_queue_append(struct tcp_queue *q, struct tcp_pool *pool, struct bytes data, bool reserve_too)
{
	size_t taken = 0;

	while (taken < data.len) {
		size_t part = data.len - taken;

		if (tail_room(q) == 0) {
			struct tcp_chunk *chunk = tcp_pool_get(pool, reserve_too);

			if (!chunk)
				break;
			tcp_queue_push(q, chunk);
		}
		part = part < tail_room(q) ? part : tail_room(q);
		fill_tail(q, data.base + taken, part);
		taken += part;
	}
	return taken;
}

size_t tcp_queue_consume(struct tcp_queue *q, struct tcp_pool *pool, size_t len)
{
	size_t done = 0;

	while (done < len && q->head) {
		struct tcp_chunk *head = q->head;
		size_t part = len - done;

		if (part < head->len) {
			head->offset = (uint16_t)(head->offset + part);
			head->len = (uint16_t)(head->len - part);
			q->bytes -= (uint32_t)part;
			return len;
		}
		done += head->len;
		tcp_pool_put(pool, pop(q));
	}
	return done;
}

size_t tcp_queue_move(struct tcp_queue *from, struct tcp_queue *to, struct tcp_pool *pool, size_t len)
{
	size_t moved = 0;

	while (moved < len && from->head) {
		struct tcp_chunk *head = from->head;
		size_t part = len - moved;

		if (part < head->len) {
			part = tcp_queue_append(to, pool, bytes_of(head->data + head->offset, part), true);
			(void)tcp_queue_consume(from, pool, part);
			return moved + part;
		}
		moved += head->len;
		(void)pop(from);
		if (head->len <= tail_room(to)) {
			fill_tail(to, head->data + head->offset, head->len);
			tcp_pool_put(pool, head);
		} else {
			tcp_queue_push(to, head);
		}
	}
	return moved;
}

void tcp_queue_clear(struct tcp_queue *q, struct tcp_pool *pool)
{
	while (q->head)
		tcp_pool_put(pool, pop(q));
}
