/* ring.h: the only queue between the processes: single producer, single consumer, in shared memory.
 *
 * Shape: a header page, then `capacity` bytes (a power of two). A message is u32 length, u16 type, u16 zero and
 * `length` payload bytes, padded to 8; it may wrap. Positions are byte counts since the ring was made and
 * never go back, so a position names a message for ever.
 *
 * Trust: each side treats what the other side writes as hostile. The producer never writes past what the
 * consumer's tail allows, and a tail that makes no sense means "full". The consumer copies a message out before
 * it looks at it, and a head or length that makes no sense makes the ring `broken`: nothing is read any more.
 *
 * Lifetime: the memory is a file that outlives both processes. A producer that restarts goes on at the head.
 * A consumer reads ahead of the tail it published: ring_read moves its own cursor, ring_release gives the
 * space back. So a consumer that dies before it released finds every message again.
 * No message is ever dropped: when ring_write says no, the producer stops reading its own input.
 */
#ifndef PLATFORM_CONTRACT_RING_H
#define PLATFORM_CONTRACT_RING_H

#include <stdatomic.h>

#include "platform/base/bytes.h"
#include "platform/contract/life.h"

#define RING_MAGIC 0x534c5549434552ULL /* "SLUICER" */
#define RING_HEADER_BYTES 4096

struct ring_header {
	uint64_t magic;
	uint64_t capacity;
	uint8_t id[16]; /* random, made with the ring: names its positions in the journal's cursors */
	_Alignas(64) _Atomic uint64_t head; /* written by the producer */
	_Alignas(64) _Atomic uint64_t tail; /* written by the consumer */
	_Alignas(64) struct life producer; /* of the ring of orders: whether control is there */
};

_Static_assert(sizeof(struct ring_header) <= RING_HEADER_BYTES, "the header is one page");

struct ring_producer {
	struct ring_header *header;
	uint8_t *data;
	uint64_t capacity, head;
	uint64_t tail; /* as last seen: looked up again when there is little room */
};

struct ring_consumer {
	struct ring_header *header;
	const uint8_t *data;
	uint64_t capacity, next; /* position of the next message to read */
	bool broken;
};

/* The bytes that a ring of `capacity` takes in memory. */
size_t ring_bytes(uint64_t capacity);

/* Makes an empty ring in zeroed memory. `capacity` is a power of two. */
void ring_init(void *memory, uint64_t capacity, const uint8_t id[16]);

/* Attach to a ring of known capacity. False when the memory does not hold one. */
[[gnu::warn_unused_result]] bool ring_attach_producer(struct ring_producer *p, void *memory, uint64_t capacity);
[[gnu::warn_unused_result]] bool ring_attach_consumer(struct ring_consumer *c, void *memory, uint64_t capacity);

/* Free payload bytes for one message, at least; 0 when not even an empty one fits. */
size_t ring_space(struct ring_producer *p);

/* Appends one message. False, and nothing written, when it does not fit now. `*end` (may be NULL) is the position
 * after it: when the consumer has released `*end`, it has dealt with the message. */
[[gnu::warn_unused_result]] bool ring_write(struct ring_producer *p, uint16_t type, struct bytes payload, uint64_t *end);

/* Where a message's payload of up to LIMIT_MESSAGE_BYTES may be made in place; NULL when there is no room for the longest, or not in one
 * piece: then ring_write may still have some. Nobody sees what is written there before ring_publish, which appends the first `len` bytes of
 * it as one message and returns `*end` as above. */
uint8_t *ring_place(struct ring_producer *p);
uint64_t ring_publish(struct ring_producer *p, uint16_t type, size_t len);

/* Copies the next message into `into` (at least LIMIT_MESSAGE_BYTES). False when there is none or the ring is broken.
 * `*end` is the position after it, for ring_release. */
[[gnu::warn_unused_result]] bool ring_read(struct ring_consumer *c, uint8_t *into, size_t cap, uint16_t *type,
					   struct bytes *payload, uint64_t *end);

/* Gives the space up to `position` back. */
void ring_release(struct ring_consumer *c, uint64_t position);

/* As ring_release, and overwrites what is given back: for rings that carry keys. */
void ring_release_wiped(struct ring_consumer *c, uint64_t position);

/* Moves the cursor to `position` (from a journal's cursor); false when the ring does not hold it any more or yet. */
[[gnu::warn_unused_result]] bool ring_seek(struct ring_consumer *c, uint64_t position);

#endif
