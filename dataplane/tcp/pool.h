/* pool.h: the memory of all TCP streams of one worker, as equal chunks cut from one block at start.
 *
 * Ownership: the caller owns the block and gives it at start; a chunk belongs to exactly one queue or to the pool.
 * Threading: one worker. No call allocates or fails otherwise than by returning NULL.
 * Under pressure: below LOW the advertised windows stop growing and the caller sheds new SYNs (tcp_pool_low), and nothing out of order is kept. The last
 * RESERVE chunks only serve queues that hold less than TCP_RESERVE_SHARE bytes: each flow can go on in small steps, and
 * none can take what the others need to drain.
 */
#ifndef DATAPLANE_TCP_POOL_H
#define DATAPLANE_TCP_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_CHUNK_BYTES 2048
#define TCP_RESERVE_SHARE 4096

/* A stretch of a stream: data[offset, offset + len). `seq` is used by the reassembly queue only. */
struct tcp_chunk {
	struct tcp_chunk *next;
	uint32_t seq;
	uint16_t offset, len;
	uint8_t data[TCP_CHUNK_BYTES - 16];
};

_Static_assert(sizeof(struct tcp_chunk) == TCP_CHUNK_BYTES, "the header is 16 bytes");

struct tcp_pool {
	struct tcp_chunk *free;
	uint32_t chunk_count, free_count;
	uint32_t low_mark; /* chunks; free_count below it is "low" */
	uint32_t reserve;
};

/* Cuts `memory` (any alignment) into chunks. Returns their number. */
size_t tcp_pool_init(struct tcp_pool *pool, void *memory, size_t bytes);

/* NULL when the pool is empty, or down to the reserve and `reserve_too` is false. */
struct tcp_chunk *tcp_pool_get(struct tcp_pool *pool, bool reserve_too);
void tcp_pool_put(struct tcp_pool *pool, struct tcp_chunk *chunk);

/* Under an eighth is free: shed new flows. */
static inline bool tcp_pool_low(const struct tcp_pool *pool)
{
	return pool->free_count < pool->low_mark;
}

/* Chunks held by flows; 0 when every pair was released. */
static inline size_t tcp_pool_used(const struct tcp_pool *pool)
{
	return pool->chunk_count - pool->free_count;
}

#endif
