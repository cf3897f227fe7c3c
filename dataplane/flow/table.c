/* table.c: a slot is the number of a flow and half of its key's hash; the key itself lies with the flow, in a line that whoever finds it
 * touches anyway. A flow that is not the one costs such a line only when the halves are equal too.
 */
#include "dataplane/flow/table.h"

#include <stdlib.h>
#include <sys/mman.h>

#define LARGE_PAGE ((size_t)2 << 20)

struct slot {
	uint32_t hash;   /* its low half: where the slot's home is, and a few bits more, so that few other keys are compared */
	uint32_t number; /* FLOW_NONE: free */
};

struct flow_table {
	struct hash_key key;
	const uint8_t *keys;
	size_t stride;
	uint32_t mask, count, max, worst;
	_Alignas(64) struct slot slot[];
};

_Static_assert(sizeof(struct slot) == 8, "eight to a line");

struct flow_table *flow_table_create(uint32_t flows_max, struct hash_key key, const struct flow_key *keys, size_t stride)
{
	uint32_t slots = 16;
	struct flow_table *t;
	size_t bytes, align;

	while (slots < 2 * (uint64_t)flows_max && slots < 1u << 30)
		slots *= 2;
	bytes = sizeof *t + slots * sizeof *t->slot;
	align = bytes >= LARGE_PAGE ? LARGE_PAGE : 64;
	bytes = (bytes + align - 1) & ~(align - 1);
	t = aligned_alloc(align, bytes);
	if (!t)
		return NULL;
	(void)madvise(t, bytes, MADV_HUGEPAGE); /* a look-up misses the caches; with small pages it would miss the TLB too */
	t->key = key;
	t->keys = (const uint8_t *)keys;
	t->stride = stride;
	t->mask = slots - 1;
	t->count = t->worst = 0;
	t->max = flows_max;
	for (uint32_t i = 0; i < slots; i++)
		t->slot[i] = (struct slot){ .number = FLOW_NONE };
	return t;
}

void flow_table_destroy(struct flow_table *t)
{
	free(t);
}

/* A key as words: the second halves of IPv4's addresses, which are zero, are left out. The number of words is hashed too,
 * so that no two keys give the same words. */
static uint32_t hash_of(const struct flow_table *t, const struct flow_key *key)
{
	uint64_t in[5], out[5];

	memcpy(in, key, sizeof in);
	out[0] = in[0];
	out[1] = in[2];
	out[2] = in[4];
	out[3] = in[1];
	out[4] = in[3];
	return (uint32_t)hash64_words(t->key, out, (in[1] | in[3]) == 0 ? 3 : 5);
}

static const struct flow_key *key_of(const struct flow_table *t, uint32_t number)
{
	return (const struct flow_key *)(const void *)(t->keys + (size_t)number * t->stride);
}

/* The slot that holds `key`, or the free slot where it would go. Ends because half of the slots are free. */
static uint32_t probe(const struct flow_table *t, const struct flow_key *key, uint32_t hash)
{
	uint32_t at = hash & t->mask;

	while (t->slot[at].number != FLOW_NONE && (t->slot[at].hash != hash || !flow_key_equal(key_of(t, t->slot[at].number), key)))
		at = (at + 1) & t->mask;
	return at;
}

uint32_t flow_table_find(const struct flow_table *t, const struct flow_key *key)
{
	return t->slot[probe(t, key, hash_of(t, key))].number;
}

uint32_t flow_table_expect(const struct flow_table *t, const struct flow_key *key)
{
	uint32_t hash = hash_of(t, key);
	const struct slot *home = &t->slot[hash & t->mask];

	/* The line of the home slot, and the next one where the search may well get there. */
	__builtin_prefetch(home);
	__builtin_prefetch(home + 4);
	return hash;
}

uint32_t flow_table_guess(const struct flow_table *t, uint32_t expected)
{
	uint32_t at = expected & t->mask;

	while (t->slot[at].number != FLOW_NONE && t->slot[at].hash != expected)
		at = (at + 1) & t->mask;
	return t->slot[at].number;
}

bool flow_table_add(struct flow_table *t, uint32_t number)
{
	const struct flow_key *key = key_of(t, number);
	uint32_t hash, at;

	if (t->count >= t->max || number >= t->max)
		return false;
	hash = hash_of(t, key);
	at = probe(t, key, hash);
	if (t->slot[at].number != FLOW_NONE)
		return false;
	if (((at - hash) & t->mask) >= t->worst)
		t->worst = ((at - hash) & t->mask) + 1;
	t->slot[at] = (struct slot){ .hash = hash, .number = number };
	t->count++;
	return true;
}

/* Whether a key with home slot `home`, found at `at`, may be moved to the hole: the hole lies on its probe path. */
static bool may_fill(uint32_t home, uint32_t hole, uint32_t at, uint32_t mask)
{
	return ((at - home) & mask) >= ((at - hole) & mask);
}

void flow_table_remove(struct flow_table *t, uint32_t number)
{
	const struct flow_key *key = key_of(t, number);
	uint32_t hole = probe(t, key, hash_of(t, key));

	if (t->slot[hole].number != number)
		return;
	t->count--;
	for (uint32_t at = (hole + 1) & t->mask; t->slot[at].number != FLOW_NONE; at = (at + 1) & t->mask) {
		if (may_fill(t->slot[at].hash & t->mask, hole, at, t->mask)) {
			t->slot[hole] = t->slot[at];
			hole = at;
		}
	}
	t->slot[hole].number = FLOW_NONE;
}

uint32_t flow_table_count(const struct flow_table *t)
{
	return t->count;
}

uint32_t flow_table_worst_probe(const struct flow_table *t)
{
	return t->worst;
}

uint32_t flow_table_longest_probe(const struct flow_table *t)
{
	uint32_t longest = 0;

	for (uint32_t at = 0; at <= t->mask; at++) {
		uint32_t distance = (at - t->slot[at].hash) & t->mask;

		if (t->slot[at].number != FLOW_NONE && distance + 1 > longest)
			longest = distance + 1;
	}
	return longest;
}
