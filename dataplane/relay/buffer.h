/* buffer.h: byte streams between the stages of a flow, in memory that is sized at start.
 *
 * A stream is linear: what is unread lies contiguous from stream_readable, so an inspector sees whole messages. It takes
 * memory only while it holds bytes: the smallest size that fits, moved to a larger one when a message needs it, given
 * back when it is empty. Three sizes; a pool that has run out says no, and the flow waits (back-pressure).
 * One worker only.
 */
#ifndef DATAPLANE_RELAY_BUFFER_H
#define DATAPLANE_RELAY_BUFFER_H

#include "platform/base/bytes.h"
#include "platform/base/limits.h"

enum buffer_size { BUFFER_SMALL, BUFFER_MEDIUM, BUFFER_LARGE, BUFFER_SIZES };

#define BUFFER_SMALL_BYTES (32u << 10)
#define BUFFER_MEDIUM_BYTES (256u << 10)
#define BUFFER_LARGE_BYTES (2u * LIMIT_STREAM_BYTES) /* one message, grown by its masks */

struct buffer_pool {
	struct buffer_node *free[BUFFER_SIZES];
	uint32_t free_count[BUFFER_SIZES], total[BUFFER_SIZES];
	void *memory;
};

/* Takes the memory for so many buffers of each size. False when there is not enough. */
[[gnu::warn_unused_result]] bool buffer_pool_create(struct buffer_pool *pool, const uint32_t counts[BUFFER_SIZES]);
void buffer_pool_destroy(struct buffer_pool *pool);

struct stream {
	uint8_t *base; /* NULL: holds nothing */
	uint32_t head, tail, cap;
	uint8_t size;
	uint64_t written; /* bytes ever appended: a position that barriers name */
};

/* The unread bytes. Valid until the next call on this stream. */
static inline struct bytes stream_readable(const struct stream *s)
{
	return bytes_of(s->base ? s->base + s->head : NULL, s->tail - s->head);
}

static inline size_t stream_bytes(const struct stream *s)
{
	return s->tail - s->head;
}

/* Makes room for at least `len` more bytes. False when the pool has run out or `len` can never fit. */
[[gnu::warn_unused_result]] bool stream_reserve(struct stream *s, struct buffer_pool *pool, size_t len);

/* Bytes that fit now without moving. */
static inline size_t stream_room(const struct stream *s)
{
	return s->base ? s->cap - s->tail : 0;
}

/* A writer over the free end; stream_commit takes what it wrote. */
static inline struct writer stream_writer(struct stream *s)
{
	return writer_of(s->base ? s->base + s->tail : NULL, stream_room(s));
}

void stream_commit(struct stream *s, size_t len);

/* Drops the first `len` unread bytes; an empty stream gives its memory back. */
void stream_consume(struct stream *s, struct buffer_pool *pool, size_t len);

/* Takes back all but the first `keep` unread bytes, overwriting them. */
void stream_truncate(struct stream *s, struct buffer_pool *pool, size_t keep);

/* Drops everything, overwriting it first: it may have held a token. */
void stream_release(struct stream *s, struct buffer_pool *pool);

#endif
