#include "dataplane/relay/buffer.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "platform/base/secret.h"

struct buffer_node {
	struct buffer_node *next;
};

static const uint32_t size_bytes[BUFFER_SIZES] = { BUFFER_SMALL_BYTES, BUFFER_MEDIUM_BYTES, BUFFER_LARGE_BYTES };

bool buffer_pool_create(struct buffer_pool *pool, const uint32_t counts[BUFFER_SIZES])
{
	uint8_t *at;
	size_t total = 0;

	*pool = (struct buffer_pool){ 0 };
	for (int i = 0; i < BUFFER_SIZES; i++)
		total += (size_t)counts[i] * size_bytes[i];
	pool->memory = aligned_alloc(4096, total);
	if (!pool->memory)
		return false;
	(void)madvise(pool->memory, total, MADV_DONTDUMP);
	at = pool->memory;
	for (int i = 0; i < BUFFER_SIZES; i++) {
		for (uint32_t n = 0; n < counts[i]; n++, at += size_bytes[i]) {
			struct buffer_node *node = (struct buffer_node *)at;

			node->next = pool->free[i];
			pool->free[i] = node;
		}
		pool->free_count[i] = pool->total[i] = counts[i];
	}
	return true;
}

void buffer_pool_destroy(struct buffer_pool *pool)
{
	free(pool->memory);
	*pool = (struct buffer_pool){ 0 };
}

static void *take(struct buffer_pool *pool, int size)
{
	struct buffer_node *node = pool->free[size];

	if (!node)
		return NULL;
	pool->free[size] = node->next;
	pool->free_count[size]--;
	return node;
}

static void give(struct buffer_pool *pool, void *base, int size)
{
	struct buffer_node *node = base;

	node->next = pool->free[size];
	pool->free[size] = node;
	pool->free_count[size]++;
}

/* Moves the unread bytes into a buffer of at least `wanted` bytes. */
static bool grow(struct stream *s, struct buffer_pool *pool, size_t wanted)
{
	size_t unread = stream_bytes(s);

	for (int size = 0; size < BUFFER_SIZES; size++) {
		uint8_t *base;

		if (size_bytes[size] < wanted)
			continue;
		base = take(pool, size);
		if (!base)
			continue;
		if (unread)
			memcpy(base, s->base + s->head, unread);
		if (s->base)
			give(pool, s->base, s->size);
		s->base = base;
		s->size = (uint8_t)size;
		s->cap = size_bytes[size];
		s->head = 0;
		s->tail = (uint32_t)unread;
		return true;
	}
	return false;
}

bool stream_reserve(struct stream *s, struct buffer_pool *pool, size_t len)
{
	size_t unread = stream_bytes(s);

	if (s->base && s->cap - s->tail >= len)
		return true;
	if (len > BUFFER_LARGE_BYTES || unread + len > BUFFER_LARGE_BYTES)
		return false;
	if (s->base && s->cap >= unread + len) {
		memmove(s->base, s->base + s->head, unread);
		s->head = 0;
		s->tail = (uint32_t)unread;
		return true;
	}
	return grow(s, pool, unread + len);
}

void stream_commit(struct stream *s, size_t len)
{
	s->tail += (uint32_t)len;
	s->written += len;
}

void stream_consume(struct stream *s, struct buffer_pool *pool, size_t len)
{
	s->head += (uint32_t)len;
	if (s->head < s->tail || !s->base)
		return;
	give(pool, s->base, s->size);
	s->base = NULL;
	s->head = s->tail = s->cap = 0;
}

void stream_truncate(struct stream *s, struct buffer_pool *pool, size_t keep)
{
	size_t unread = stream_bytes(s);

	if (keep >= unread)
		return;
	secret_wipe(s->base + s->head + keep, unread - keep);
	s->tail -= (uint32_t)(unread - keep);
	s->written -= unread - keep;
	stream_consume(s, pool, 0);
}

void stream_release(struct stream *s, struct buffer_pool *pool)
{
	if (!s->base)
		return;
	secret_wipe(s->base, s->tail);
	stream_consume(s, pool, stream_bytes(s));
}
