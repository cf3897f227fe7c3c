/* class_bits.h: a set of data classes. Plain value, any thread.
 *
 * Two numberings use it, and must not be mixed: classes of a loaded match set (dataplane/match, "detectors") and data classes
 * of a policy image (platform/contract/policy.h). The name of the variable says which.
 */
#ifndef PLATFORM_BASE_CLASS_BITS_H
#define PLATFORM_BASE_CLASS_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/limits.h"

struct class_bits {
	uint64_t w[LIMIT_CLASSES / 64];
};

static inline void class_bits_add(struct class_bits *b, unsigned class)
{
	b->w[class / 64 % (LIMIT_CLASSES / 64)] |= 1ULL << (class % 64);
}

static inline bool class_bits_has(const struct class_bits *b, unsigned class)
{
	return class < LIMIT_CLASSES && (b->w[class / 64] >> (class % 64) & 1);
}

/* The lowest one; -1: none. */
static inline int class_bits_first(const struct class_bits *b)
{
	for (unsigned i = 0; i < LIMIT_CLASSES / 64; i++)
		if (b->w[i])
			return (int)(i * 64) + __builtin_ctzll(b->w[i]);
	return -1;
}

static inline struct class_bits class_bits_and(struct class_bits a, struct class_bits b)
{
	for (unsigned i = 0; i < LIMIT_CLASSES / 64; i++)
		a.w[i] &= b.w[i];
	return a;
}

static inline struct class_bits class_bits_or(struct class_bits a, struct class_bits b)
{
	for (unsigned i = 0; i < LIMIT_CLASSES / 64; i++)
		a.w[i] |= b.w[i];
	return a;
}

static inline bool class_bits_any(const struct class_bits *b)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < LIMIT_CLASSES / 64; i++)
		all |= b->w[i];
	return all != 0;
}

#endif
