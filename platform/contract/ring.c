/* Positions only grow; the place of a position in memory is its low bits. The producer's head is published with
 * release order after the bytes, the consumer's tail after it is done with them: the pair needs no other fence. */
#include "platform/contract/ring.h"

#include <string.h>

#include "platform/base/limits.h"

#define FRAME_BYTES 8

static uint64_t padded(uint64_t len)
{
	return (FRAME_BYTES + len + 7) & ~7ULL;
}

size_t ring_bytes(uint64_t capacity)
{
	return RING_HEADER_BYTES + capacity;
}

void ring_init(void *memory, uint64_t capacity, const uint8_t id[16])
{
	struct ring_header *h = memory;

	memset(h, 0, sizeof *h);
	memcpy(h->id, id, sizeof h->id);
	h->capacity = capacity;
	atomic_store(&h->head, 0);
	atomic_store(&h->tail, 0);
	h->magic = RING_MAGIC;
}

static bool sane(const struct ring_header *h, uint64_t capacity)
{
	return h->magic == RING_MAGIC && h->capacity == capacity && (capacity & (capacity - 1)) == 0 && capacity >= 64;
}

bool ring_attach_producer(struct ring_producer *p, void *memory, uint64_t capacity)
{
	struct ring_header *h = memory;

	*p = (struct ring_producer){ 0 };
	if (!sane(h, capacity))
		return false;
	p->header = h;
	p->data = (uint8_t *)memory + RING_HEADER_BYTES;
	p->capacity = capacity;
	p->head = atomic_load(&h->head);
	p->tail = atomic_load(&h->tail);
	return (p->head & 7) == 0;
}

bool ring_attach_consumer(struct ring_consumer *c, void *memory, uint64_t capacity)
{
	struct ring_header *h = memory;

	*c = (struct ring_consumer){ 0 };
	if (!sane(h, capacity))
		return false;
	c->header = h;
	c->data = (const uint8_t *)memory + RING_HEADER_BYTES;
	c->capacity = capacity;
	c->next = atomic_load(&h->tail);
	return (c->next & 7) == 0;
}

/* The consumer's line is only fetched when what was free at the last look is down to a half. */
static uint64_t room(struct ring_producer *p)
{
	uint64_t used = p->head - p->tail;

	if (used > p->capacity / 2) {
		p->tail = atomic_load_explicit(&p->header->tail, memory_order_acquire);
		used = p->head - p->tail;
	}
	return used > p->capacity ? 0 : p->capacity - used;
}

size_t ring_space(struct ring_producer *p)
{
	uint64_t free_bytes = room(p);

	return free_bytes < FRAME_BYTES ? 0 : (size_t)(free_bytes - FRAME_BYTES) & ~(size_t)7;
}

static void copy_in(const struct ring_producer *p, uint64_t position, const void *from, size_t len)
{
	uint64_t at = position & (p->capacity - 1);
	size_t first = len < p->capacity - at ? len : (size_t)(p->capacity - at);

	if (len == 0)
		return;
	memcpy(p->data + at, from, first);
	memcpy(p->data, (const uint8_t *)from + first, len - first);
}

static uint64_t publish(struct ring_producer *p, uint64_t total)
{
	p->head += total;
	atomic_store_explicit(&p->header->head, p->head, memory_order_release);
	return p->head;
}

uint8_t *ring_place(struct ring_producer *p)
{
	uint64_t at = p->head & (p->capacity - 1);

	if (p->capacity - at < FRAME_BYTES + LIMIT_MESSAGE_BYTES || room(p) < padded(LIMIT_MESSAGE_BYTES))
		return NULL;
	return p->data + at + FRAME_BYTES;
}

uint64_t ring_publish(struct ring_producer *p, uint16_t type, size_t len)
{
	struct writer w = writer_of(p->data + (p->head & (p->capacity - 1)), FRAME_BYTES);

	writer_le32(&w, (uint32_t)len);
	writer_le16(&w, type);
	writer_le16(&w, 0);
	return publish(p, padded(len));
}

bool ring_write(struct ring_producer *p, uint16_t type, struct bytes payload, uint64_t *end)
{
	uint64_t total = padded(payload.len);
	uint8_t frame[FRAME_BYTES];
	struct writer w = writer_of(frame, sizeof frame);

	if (payload.len > LIMIT_MESSAGE_BYTES || total > room(p))
		return false;
	writer_le32(&w, (uint32_t)payload.len);
	writer_le16(&w, type);
	writer_le16(&w, 0);
	copy_in(p, p->head, frame, sizeof frame);
	copy_in(p, p->head + FRAME_BYTES, payload.base, payload.len);
	total = publish(p, total);
	if (end)
		*end = total;
	return true;
}

static void copy_out(const struct ring_consumer *c, uint64_t position, void *to, size_t len)
{
	uint64_t at = position & (c->capacity - 1);
	size_t first = len < c->capacity - at ? len : (size_t)(c->capacity - at);

	if (len == 0)
		return;
	memcpy(to, c->data + at, first);
	memcpy((uint8_t *)to + first, c->data, len - first);
}

bool ring_read(struct ring_consumer *c, uint8_t *into, size_t cap, uint16_t *type, struct bytes *payload, uint64_t *end)
{
	uint64_t ready = atomic_load_explicit(&c->header->head, memory_order_acquire) - c->next;
	uint8_t frame[FRAME_BYTES] = { 0 };
	struct reader r = reader_of(frame, sizeof frame);
	uint32_t len;

	*payload = (struct bytes){ 0 };
	if (c->broken || ready == 0)
		return false;
	if (ready > c->capacity || ready < FRAME_BYTES) {
		c->broken = true;
		return false;
	}
	copy_out(c, c->next, frame, sizeof frame);
	len = reader_le32(&r);
	*type = reader_le16(&r);
	if (len > LIMIT_MESSAGE_BYTES || len > cap || padded(len) > ready || reader_le16(&r) != 0) {
		c->broken = true;
		return false;
	}
	copy_out(c, c->next + FRAME_BYTES, into, len);
	c->next += padded(len);
	*payload = bytes_of(into, len);
	*end = c->next;
	return true;
}

void ring_release(struct ring_consumer *c, uint64_t position)
{
	atomic_store_explicit(&c->header->tail, position, memory_order_release);
}

void ring_release_wiped(struct ring_consumer *c, uint64_t position)
{
	uint64_t tail = atomic_load_explicit(&c->header->tail, memory_order_relaxed);
	uint8_t *data = (uint8_t *)c->header + RING_HEADER_BYTES;

	while (position - tail <= c->capacity && tail != position) {
		uint64_t at = tail & (c->capacity - 1);
		uint64_t len = position - tail < c->capacity - at ? position - tail : c->capacity - at;

		explicit_bzero(data + at, (size_t)len);
		tail += len;
	}
	ring_release(c, position);
}

bool ring_seek(struct ring_consumer *c, uint64_t position)
{
	uint64_t tail = atomic_load(&c->header->tail), head = atomic_load(&c->header->head);

	if ((position & 7) || position - tail > head - tail || head - tail > c->capacity)
		return false;
	c->next = position;
	return true;
}
