/* hash.h: keyed hashes for tables and caches that hostile input reaches.
 *
 * SipHash-2-4 with 64 and 128 bits of result (Aumasson, Bernstein 2012). Not for evidence: that is SHA-256
 * by libcrypto. Pure functions, any thread.
 */
#ifndef PLATFORM_BASE_HASH_H
#define PLATFORM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k0, k1;
};

struct hash128 {
	uint64_t hi, lo;
};

/* The 64-bit SipHash-2-4 of `len` bytes. */
uint64_t hash64(struct hash_key key, const void *data, size_t len);

/* The 128-bit SipHash-2-4 of `len` bytes; wide enough to stand for the bytes in a cache. */
struct hash128 hash128(struct hash_key key, const void *data, size_t len);

/* The 64-bit SipHash-1-3 of `words` 64-bit words, as they lie in memory: for tables in the path of a packet. What finds no
 * collision in SipHash-1-3 without the key is all that a table asks for (Rust and Python use it so). */
static inline uint64_t hash64_words(struct hash_key key, const uint64_t *word, unsigned words)
{
	uint64_t v0 = key.k0 ^ 0x736f6d6570736575ULL, v1 = key.k1 ^ 0x646f72616e646f6dULL;
	uint64_t v2 = key.k0 ^ 0x6c7967656e657261ULL, v3 = key.k1 ^ 0x7465646279746573ULL;

	for (unsigned i = 0; i < words + 4; i++) {
		uint64_t m = i < words ? word[i] : i == words ? (uint64_t)words << 59 : 0;

		v3 ^= m;
		v0 += v1;
		v1 = (v1 << 13 | v1 >> 51) ^ v0;
		v0 = v0 << 32 | v0 >> 32;
		v2 += v3;
		v3 = (v3 << 16 | v3 >> 48) ^ v2;
		v0 += v3;
		v3 = (v3 << 21 | v3 >> 43) ^ v0;
		v2 += v1;
		v1 = (v1 << 17 | v1 >> 47) ^ v2;
		v2 = v2 << 32 | v2 >> 32;
		v0 ^= m;
		v2 ^= i == words ? 0xff : 0;
	}
	return v0 ^ v1 ^ v2 ^ v3;
}

/* A quick mix of one integer (the finaliser of MurmurHash3); for integers that an enemy cannot choose. */
static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	x ^= x >> 33;
	return x;
}

#endif
