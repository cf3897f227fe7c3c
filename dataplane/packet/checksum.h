/* checksum.h: the ways of summing that this processor may have. For checksum.c's users in this folder, and for its test,
 * which holds each of them against the definition.
 */
#ifndef DATAPLANE_PACKET_CHECKSUM_H
#define DATAPLANE_PACKET_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct packet_summer {
	const char *name;
	bool (*usable)(void);
	uint64_t (*sum)(uint64_t sum, const uint8_t *at, size_t len);
	uint64_t (*copy)(uint64_t sum, uint8_t *to, const uint8_t *from, size_t len); /* sums `from` on its way to `to` */
};

/* Best first; the last one is always usable. */
extern const struct packet_summer packet_summers[];
extern const unsigned packet_summers_count;

/* Adds 32-bit words as they lie in memory. For headers: the caller's sum stays far below 64 bits. */
static inline uint64_t packet_sum_words(uint64_t sum, const void *base, unsigned words)
{
	const uint8_t *at = base;
	uint32_t word;

	for (; words > 0; words--, at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sum += word;
	}
	return sum;
}

#endif
