/* guard.h: a first answer to "does the policy guard this address?", for traffic that is only passing by.
 *
 * A bit per hash of a guarded address: no means no, yes means ask the policy. Whoever aims at the bits makes only their own
 * packets slower. Built when a policy is put into force; one worker.
 */
#ifndef DATAPLANE_RELAY_GUARD_H
#define DATAPLANE_RELAY_GUARD_H

#include <string.h>

#include "dataplane/packet/packet.h"
#include "platform/base/limits.h"
#include "platform/contract/policy.h"

#define GUARD_BITS_LOG 15

_Static_assert(LIMIT_LISTENERS * 8 <= 1u << GUARD_BITS_LOG, "with all listeners in use most bits are still clear");

struct guard {
	uint64_t word[(1u << GUARD_BITS_LOG) / 64];
};

static inline uint32_t guard_bit(const struct packet_address *a)
{
	uint64_t half[2];

	memcpy(half, a->byte, sizeof half);
	return (uint32_t)((half[0] * 0x9e3779b97f4a7c15ULL ^ half[1] * 0xc4ceb9fe1a85ec53ULL) >> (64 - GUARD_BITS_LOG));
}

static inline bool guard_maybe(const struct guard *g, const struct packet_address *a)
{
	uint32_t bit = guard_bit(a);

	return g->word[bit / 64] >> bit % 64 & 1;
}

static inline void guard_add(struct guard *g, const struct packet_address *a)
{
	uint32_t bit = guard_bit(a);

	g->word[bit / 64] |= 1ULL << bit % 64;
}

static inline void guard_join(struct guard *g, const struct guard *other)
{
	for (unsigned i = 0; i < sizeof g->word / sizeof g->word[0]; i++)
		g->word[i] |= other->word[i];
}

/* All addresses of all listeners. */
static inline void guard_fill(struct guard *g, const struct policy_image *image)
{
	unsigned services = policy_counts(image).services;

	memset(g, 0, sizeof *g);
	for (unsigned s = 0; s < services; s++) {
		unsigned listeners = policy_service(image, s).listeners;

		for (unsigned i = 0; i < listeners; i++) {
			struct policy_listener l = policy_service_listener(image, s, i);
			struct packet_address a = { { 0 } };

			memcpy(a.byte, l.address, l.family == 4 ? 4 : sizeof a.byte);
			guard_add(g, &a);
		}
	}
}

#endif
