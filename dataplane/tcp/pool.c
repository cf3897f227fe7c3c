/* pool.c: a free list threaded through the chunks themselves. */
#include "dataplane/tcp/pool.h"

#define ALIGNMENT 64

size_t tcp_pool_init(struct tcp_pool *pool, void *memory, size_t bytes)
{
	uintptr_t start = ((uintptr_t)memory + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1);
	size_t lost = start - (uintptr_t)memory;
	size_t count = bytes > lost ? (bytes - lost) / sizeof(struct tcp_chunk) : 0;
	struct tcp_chunk *chunks = (struct tcp_chunk *)start;

	*pool = (struct tcp_pool){ 0 };
	count = count > UINT32_MAX ? UINT32_MAX : count;
	for (size_t i = count; i > 0; i--) {
		chunks[i - 1].next = pool->free;
		pool->free = &chunks[i - 1];
	}
	pool->chunk_count = (uint32_t)count;
	pool->free_count = (uint32_t)count;
	pool->low_mark = (uint32_t)count / 8;
	pool->reserve = (uint32_t)count / 16;
	return count;
}

struct tcp_chunk *tcp_pool_get(struct tcp_pool *pool, bool reserve_too)
{
	struct tcp_chunk *chunk = pool->free;

	if (!chunk || (!reserve_too && pool->free_count <= pool->reserve))
		return NULL;
	pool->free = chunk->next;
	if (pool->free)
		__builtin_prefetch(pool->free, 1);
	pool->free_count--;
	chunk->next = NULL;
	chunk->seq = 0;
	chunk->offset = 0;
	chunk->len = 0;
	return chunk;
}

void tcp_pool_put(struct tcp_pool *pool, struct tcp_chunk *chunk)
{
	chunk->next = pool->free;
	pool->free = chunk;
	pool->free_count++;
}
