/* checksum.c: the Internet checksum (RFC 1071), eight bytes at a time.
 *
 * A one's-complement sum may be taken in any word size and byte order, and swapped at the end: words are loaded as they
 * lie in memory, so that the folded result is stored without swapping. Four sums in parallel hide the carry's latency.
 */
#include <string.h>

#include "dataplane/packet/packet.h"

static inline uint64_t load64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline uint64_t add_carry(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? sum + 1 : sum;
}

uint64_t packet_sum(uint64_t sum, const void *base, size_t len)
{
	const uint8_t *at = base;
	uint64_t part[4] = { sum, 0, 0, 0 };
	uint64_t tail = 0;

	for (; len >= 32; at += 32, len -= 32) {
		part[0] = add_carry(part[0], load64(at));
		part[1] = add_carry(part[1], load64(at + 8));
		part[2] = add_carry(part[2], load64(at + 16));
		part[3] = add_carry(part[3], load64(at + 24));
	}
	for (; len >= 8; at += 8, len -= 8)
		part[1] = add_carry(part[1], load64(at));
	if (len > 0) {
		memcpy(&tail, at, len);
		part[2] = add_carry(part[2], tail);
	}
	return add_carry(add_carry(part[0], part[1]), add_carry(part[2], part[3]));
}

uint16_t packet_sum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)sum;
}
