/* checksum.c: the Internet checksum (RFC 1071), eight bytes at a time, or 64 where the processor has AVX2.
 *
 * A one's-complement sum may be taken in any word size and byte order, and swapped at the end: words are loaded as they
 * lie in memory, so that the folded result is stored without swapping. Four sums in parallel hide the carry's latency;
 * the vector loop adds 32-bit halves into 64-bit lanes, which cannot overflow below 16 GiB.
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

#if defined(__x86_64__)
typedef uint64_t lanes __attribute__((vector_size(32)));

#define BLOCK_BYTES 64

/* Takes whole blocks; the caller takes the rest. Single variables, since an array of vectors would live on the stack. */
__attribute__((target("avx2"))) static uint64_t sum_blocks(const uint8_t *at, size_t blocks)
{
	const lanes low = { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff };
	lanes low_a = { 0 }, low_b = { 0 }, high_a = { 0 }, high_b = { 0 }, a, b;

	for (; blocks > 0; at += BLOCK_BYTES, blocks--) {
		memcpy(&a, at, sizeof(a));
		memcpy(&b, at + sizeof(a), sizeof(b));
		low_a += a & low;
		high_a += a >> 32;
		low_b += b & low;
		high_b += b >> 32;
	}
	low_a += high_a + low_b + high_b;
	return low_a[0] + low_a[1] + low_a[2] + low_a[3];
}

static bool has_blocks(size_t len)
{
	return len >= 256 && __builtin_cpu_supports("avx2");
}
#else
#define BLOCK_BYTES 64
static uint64_t sum_blocks(const uint8_t *at, size_t blocks) { return 0; }
static bool has_blocks(size_t len) { return false; }
#endif

uint64_t packet_sum(uint64_t sum, const void *base, size_t len)
{
	const uint8_t *at = base;
	uint64_t part[4] = { sum, 0, 0, 0 };
	uint64_t tail = 0;

	if (has_blocks(len)) {
		part[3] = sum_blocks(at, len / BLOCK_BYTES);
		at += len / BLOCK_BYTES * BLOCK_BYTES;
		len %= BLOCK_BYTES;
	}
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
