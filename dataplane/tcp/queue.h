/* queue.h: a byte stream as a list of chunks; the currency of receive, reassembly and send queues.
 *
 * Ownership: a queue owns its chunks; they come from and go back to the pool that each call names.
 * Invariants: every chunk in a queue holds at least one byte; `bytes` is their sum, `chunks` their number; the tail of
 * a queue is the only chunk that grows. So bytes that were handed out as spans stay where they are until consumed.
 */
#ifndef DATAPLANE_TCP_QUEUE_H
#define DATAPLANE_TCP_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/tcp/pool.h"
#include "platform/base/bytes.h"

struct tcp_queue {
	struct tcp_chunk *head, *tail;
	uint32_t bytes, chunks;
};

/* Copies as much of `data` as memory allows behind the tail; returns the number of bytes taken. */
size_t tcp_queue_append(struct tcp_queue *q, struct tcp_pool *pool, struct bytes data, bool reserve_too);

/* Drops `len` bytes (at most all) from the head; returns the number dropped. */
size_t tcp_queue_consume(struct tcp_queue *q, struct tcp_pool *pool, size_t len);

/* Hands over up to `len` bytes from the head of `from` to the tail of `to`: whole chunks change their owner; a chunk is
 * copied only where it is split or where it fits into the tail's free room. Returns the number moved. */
size_t tcp_queue_move(struct tcp_queue *from, struct tcp_queue *to, struct tcp_pool *pool, size_t len);

/* Puts a chunk that is in no queue behind the tail. */
void tcp_queue_push(struct tcp_queue *q, struct tcp_chunk *chunk);

/* All chunks back to the pool. */
void tcp_queue_clear(struct tcp_queue *q, struct tcp_pool *pool);

#endif
