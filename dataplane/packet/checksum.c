/* checksum.c: the Internet checksum (RFC 1071), as wide as the processor can: AVX-512, AVX2, or eight bytes at a time.
 *
 * A one's-complement sum may be taken in any word size and byte order, and swapped at the end: words are loaded as they
 * lie in memory, so that the folded result is stored without swapping. The vector loops add 32-bit halves into 64-bit
 * lanes, which cannot overflow below 16 GiB. Which way is taken is settled before main: nothing is asked per packet.
 */
#include "dataplane/packet/checksum.h"

#include "dataplane/packet/packet.h"

#define SHORT_BYTES 64 /* below, a vector costs more than it saves */

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

static inline uint64_t sum_scalar(uint64_t sum, const uint8_t *at, size_t len)
{
	uint64_t a = sum, b = 0, c = 0, d = 0;

	for (; len >= 32; at += 32, len -= 32) {
		a = add_carry(a, load64(at));
		b = add_carry(b, load64(at + 8));
		c = add_carry(c, load64(at + 16));
		d = add_carry(d, load64(at + 24));
	}
	for (; len >= 8; at += 8, len -= 8)
		b = add_carry(b, load64(at));
	if (len > 0) {
		uint64_t tail = 0;

		memcpy(&tail, at, len);
		c = add_carry(c, tail);
	}
	return add_carry(add_carry(a, b), add_carry(c, d));
}

static uint64_t portable_sum(uint64_t sum, const uint8_t *at, size_t len)
{
	return sum_scalar(sum, at, len);
}

static uint64_t portable_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t len)
{
	memcpy(to, from, len);
	return sum_scalar(sum, from, len);
}

static bool always(void)
{
	return true;
}

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,bmi2")))

/* `to` NULL: nothing is copied. Inlined, so that each user gets its own loop. */
AVX2 static inline __attribute__((always_inline)) uint64_t avx2_run(uint64_t sum, uint8_t *to, const uint8_t *at, size_t len)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);
	__m256i even_a = _mm256_setzero_si256(), even_b = even_a, odd_a = even_a, odd_b = even_a;
	uint64_t lane[4];

	for (; len >= 64; at += 64, len -= 64) {
		__m256i a = _mm256_loadu_si256((const __m256i *)at), b = _mm256_loadu_si256((const __m256i *)(at + 32));

		if (to) {
			_mm256_storeu_si256((__m256i *)to, a);
			_mm256_storeu_si256((__m256i *)(to + 32), b);
			to += 64;
		}
		even_a = _mm256_add_epi64(even_a, _mm256_and_si256(a, low));
		odd_a = _mm256_add_epi64(odd_a, _mm256_srli_epi64(a, 32));
		even_b = _mm256_add_epi64(even_b, _mm256_and_si256(b, low));
		odd_b = _mm256_add_epi64(odd_b, _mm256_srli_epi64(b, 32));
	}
	even_a = _mm256_add_epi64(_mm256_add_epi64(even_a, even_b), _mm256_add_epi64(odd_a, odd_b));
	_mm256_storeu_si256((__m256i *)lane, even_a);
	if (to)
		memcpy(to, at, len);
	return sum_scalar(add_carry(sum, lane[0] + lane[1] + lane[2] + lane[3]), at, len);
}

AVX2 static uint64_t avx2_sum(uint64_t sum, const uint8_t *at, size_t len)
{
	return avx2_run(sum, NULL, at, len);
}

AVX2 static uint64_t avx2_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t len)
{
	return avx2_run(sum, to, from, len);
}

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}

AVX512 static inline __attribute__((always_inline)) uint64_t avx512_run(uint64_t sum, uint8_t *to, const uint8_t *at, size_t len)
{
	const __m512i low = _mm512_set1_epi64(0xffffffff);
	__m512i even_a = _mm512_setzero_si512(), even_b = even_a, odd_a = even_a, odd_b = even_a;

	for (; len >= 128; at += 128, len -= 128) {
		__m512i a = _mm512_loadu_si512(at), b = _mm512_loadu_si512(at + 64);

		if (to) {
			_mm512_storeu_si512(to, a);
			_mm512_storeu_si512(to + 64, b);
			to += 128;
		}
		even_a = _mm512_add_epi64(even_a, _mm512_and_si512(a, low));
		odd_a = _mm512_add_epi64(odd_a, _mm512_srli_epi64(a, 32));
		even_b = _mm512_add_epi64(even_b, _mm512_and_si512(b, low));
		odd_b = _mm512_add_epi64(odd_b, _mm512_srli_epi64(b, 32));
	}
	for (; len > 0; at += 64, len -= len < 64 ? len : 64) { /* at most twice; the mask keeps to what is there */
		__mmask64 mask = len < 64 ? _bzhi_u64(~0ull, (unsigned)len) : ~0ull;
		__m512i a = _mm512_maskz_loadu_epi8(mask, at);

		if (to) {
			_mm512_mask_storeu_epi8(to, mask, a);
			to += 64;
		}
		even_a = _mm512_add_epi64(even_a, _mm512_and_si512(a, low));
		odd_a = _mm512_add_epi64(odd_a, _mm512_srli_epi64(a, 32));
	}
	even_a = _mm512_add_epi64(_mm512_add_epi64(even_a, even_b), _mm512_add_epi64(odd_a, odd_b));
	return add_carry(sum, (uint64_t)_mm512_reduce_add_epi64(even_a));
}

AVX512 static uint64_t avx512_sum(uint64_t sum, const uint8_t *at, size_t len)
{
	return avx512_run(sum, NULL, at, len);
}

AVX512 static uint64_t avx512_copy(uint64_t sum, uint8_t *to, const uint8_t *from, size_t len)
{
	return avx512_run(sum, to, from, len);
}

static bool has_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("bmi2");
}
#endif

const struct packet_summer packet_summers[] = {
#if defined(__x86_64__)
	{ "avx512", has_avx512, avx512_sum, avx512_copy },
	{ "avx2", has_avx2, avx2_sum, avx2_copy },
#endif
	{ "portable", always, portable_sum, portable_copy },
};

const unsigned packet_summers_count = sizeof(packet_summers) / sizeof(packet_summers[0]);

static const struct packet_summer *best = &packet_summers[sizeof(packet_summers) / sizeof(packet_summers[0]) - 1];

__attribute__((constructor)) static void choose(void)
{
	const struct packet_summer *s = packet_summers;

	__builtin_cpu_init();
	while (!s->usable())
		s++;
	best = s;
}

uint64_t packet_sum(uint64_t sum, const void *base, size_t len)
{
	return len < SHORT_BYTES ? sum_scalar(sum, base, len) : best->sum(sum, base, len);
}

uint64_t packet_copy_sum(uint64_t sum, void *to, const void *from, size_t len)
{
	return best->copy(sum, to, from, len);
}
