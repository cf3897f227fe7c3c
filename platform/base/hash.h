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
