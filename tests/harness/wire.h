/* wire.h: a seeded link between two ends: delay, rate, loss, reordering, duplication, corruption of real frames.
 *
 * Purpose: what a bad network does, the same for the same seed. Frames are copied in and out. One direction each.
 */
#ifndef TESTS_HARNESS_WIRE_H
#define TESTS_HARNESS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/random.h"

#define WIRE_FRAMES_MAX 1024 /* in flight; more are lost, as in a full buffer */
#define WIRE_FRAME_BYTES 9216 /* a jumbo frame and its headers */

struct wire_profile {
	uint32_t loss_ppm, reorder_ppm, duplicate_ppm, corrupt_ppm;
	uint32_t delay_us, jitter_us;
};

struct wire_frame {
	uint64_t due_us, order;
	uint16_t len;
	uint8_t data[WIRE_FRAME_BYTES];
};

struct wire {
	struct wire_profile profile;
	struct rng rng;
	unsigned count;
	uint64_t order, last_due_us;
	struct wire_frame *frames;  /* in no order; the earliest (due, order) goes first */
	uint64_t sent, lost, corrupted;
};

void wire_init(struct wire *w, const struct wire_profile *profile, uint64_t seed);
void wire_free(struct wire *w);
void wire_send(struct wire *w, const void *frame, size_t len, uint64_t now_us);

/* When the next frame arrives, or UINT64_MAX. */
uint64_t wire_due_us(const struct wire *w);

/* The frame that is due, copied to `out`; 0: none. */
size_t wire_receive(struct wire *w, uint64_t now_us, uint8_t out[WIRE_FRAME_BYTES]);

#endif
