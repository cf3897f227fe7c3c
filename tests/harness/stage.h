/* stage.h: one TCP pair on a stage: virtual clock, both wires recorded, both streams checked byte by byte.
 *
 * Purpose: what packet scripts and unit tests need around a struct tcp_pair. Time stands still except in stage_advance,
 * which runs every timer at its own deadline. Everything the pair sends is queued per side with its time.
 * Streams: the byte at offset n of a stream is stage_byte(side, n), so that any stretch can be made and checked without
 * keeping it; side is the end that the stream comes from.
 */
#ifndef TESTS_HARNESS_STAGE_H
#define TESTS_HARNESS_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/tcp/splice.h"

#define STAGE_QUEUE_MAX 4096
#define STAGE_PAYLOAD_MAX 65536
#define STAGE_STREAM_MAX (1u << 20)

struct stage_sent {
	uint64_t at_us;
	struct tcp_segment segment; /* spans[0] holds the whole payload */
	uint8_t *payload;
};

struct stage {
	struct tcp_pair pair;
	struct tcp_splice splice;
	struct tcp_config config;
	struct tcp_pool pool;
	void *memory;
	uint64_t now_us, start_us;
	bool opened;
	bool relay;                  /* move everything across after each step */
	bool follows;                /* the window rule of a pair that may be spliced; before the SYN */
	unsigned port_room;          /* segments that emit still takes; UINT32_MAX: any number */
	uint32_t isn[2];             /* of the client and of the server */
	unsigned events[2];          /* collected since last cleared */
	struct stage_sent queue[2][STAGE_QUEUE_MAX];
	unsigned head[2], tail[2];
	uint8_t *written[2];         /* what was written into half[side], for checking what it sends */
	uint32_t written_bytes[2];
	uint32_t read_bytes[2];      /* taken from half[side] so far */
};

void stage_init(struct stage *s, size_t pool_bytes);
void stage_free(struct stage *s);

uint8_t stage_byte(unsigned side, uint32_t offset);

/* A segment from the peer of `side`; the first one must be the client's SYN. Then everything that follows from it is sent. */
void stage_input(struct stage *s, unsigned side, const struct tcp_segment *segment);

/* Lets time pass; timers run when they are due. */
void stage_advance(struct stage *s, uint64_t us);

/* Sends what both halves have to say, after moving bytes across if `relay` is on. */
void stage_settle(struct stage *s);

/* Hands the pair over to forwarding: what comes then is sent on. False: it is not ready. And back. */
bool stage_splice(struct stage *s);
void stage_take_back(struct stage *s);

/* The next thing that was sent to the peer of `side`, or NULL. Valid until stage_free. */
struct stage_sent *stage_next(struct stage *s, unsigned side);

/* Writes into a half, and remembers what. Returns the bytes taken. */
size_t stage_write(struct stage *s, unsigned side, const uint8_t *data, size_t len);

#endif
