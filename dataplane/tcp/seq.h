/* seq.h: arithmetic in a 32-bit sequence space that wraps (RFC 9293 3.4). Valid for numbers less than 2^31 apart. */
#ifndef DATAPLANE_TCP_SEQ_H
#define DATAPLANE_TCP_SEQ_H

#include <stdbool.h>
#include <stdint.h>

static inline bool seq_before(uint32_t a, uint32_t b) { return (int32_t)(a - b) < 0; }
static inline bool seq_after(uint32_t a, uint32_t b) { return (int32_t)(a - b) > 0; }
static inline bool seq_upto(uint32_t a, uint32_t b) { return (int32_t)(a - b) <= 0; }
static inline uint32_t seq_max(uint32_t a, uint32_t b) { return seq_after(a, b) ? a : b; }
static inline uint32_t seq_min(uint32_t a, uint32_t b) { return seq_before(a, b) ? a : b; }

/* a is in [start, end). */
static inline bool seq_within(uint32_t a, uint32_t start, uint32_t end) { return a - start < end - start; }

#endif
