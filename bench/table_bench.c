/* What finding a flow costs, in cycles, with 1, 1,000 and 1,000,000 flows in the worker's table: keys in random order, so that with
 * many flows every look-up misses the caches, as it does between unrelated packets; and how many slots the worst one looks at. Prints one
 * JSON object a line. */
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "dataplane/flow/table.h"

#define FLOWS_MAX 1000000u
#define LOOKUPS 1000u
#define SLICES 501

static struct flow_key key_of(uint32_t number)
{
	struct packet p = { .ip_version = 4, .protocol = PACKET_TCP, .destination_port = htobe16(5432) };

	memcpy(p.source.byte, &number, sizeof number);
	p.source_port = htobe16((uint16_t)(1024 + number % 60000));
	p.destination.byte[0] = 10;
	return flow_key_of(&p);
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median cycles a look-up; below 0 when one was not found. */
static double measure(const struct flow_table *t, uint32_t flows)
{
	static double slice[SLICES];
	static struct flow_key key[LOOKUPS];
	uint64_t state = 88172645463325252ULL;

	for (unsigned s = 0; s < SLICES; s++) {
		uint64_t begin;
		bool good = true;

		for (unsigned i = 0; i < LOOKUPS; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			key[i] = key_of((uint32_t)(state % flows));
		}
		begin = __rdtsc();
		for (unsigned i = 0; i < LOOKUPS; i++)
			good &= flow_table_find(t, &key[i]) != FLOW_NONE;
		slice[s] = (double)(__rdtsc() - begin) / LOOKUPS;
		if (!good)
			return -1;
	}
	qsort(slice, SLICES, sizeof slice[0], ascending);
	return slice[SLICES / 2];
}

int main(void)
{
	static struct flow_key keys[FLOWS_MAX];
	struct flow_table *t = flow_table_create(FLOWS_MAX, (struct hash_key){ 1, 2 }, keys, sizeof *keys);
	uint32_t count = 0;

	if (!t)
		return 1;
	for (uint32_t flows = 1; flows <= FLOWS_MAX; flows *= 1000) {
		for (; count < flows; count++) {
			keys[count] = key_of(count);
			if (!flow_table_add(t, count))
				return 1;
		}
		printf("{\"flows\": %u, \"cycles_per_lookup\": %.1f, \"worst_lookup_slots\": %u}\n", flows, measure(t, flows), flow_table_longest_probe(t));
	}
	flow_table_destroy(t);
	return 0;
}
