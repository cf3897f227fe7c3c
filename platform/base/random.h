/* random.h: a seeded generator for tests and simulation, and the kernel's randomness for everything else.
 *
 * A struct rng is deterministic (xoshiro256**, Blackman and Vigna 2018) and belongs to one thread. It is not
 * for secrets: keys, nonces and sequence-number secrets come from random_secret.
 */
#ifndef PLATFORM_BASE_RANDOM_H
#define PLATFORM_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t s[4];
};

struct rng rng_seeded(uint64_t seed);
uint64_t rng_next(struct rng *r);

/* Uniform below `bound` (> 0). */
uint64_t rng_below(struct rng *r, uint64_t bound);

/* Fills `out` from getrandom(2); aborts if the kernel refuses, because nothing safe can follow. A system call: not in the poll loop. */
void random_secret(void *out, size_t len);

#endif
