#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/flow/table.h"
#include "platform/base/random.h"

#define FLOWS 512

static struct flow_key key_of(uint32_t n)
{
	struct flow_key key = { .low_port = (uint16_t)n, .high_port = 5432 };

	memcpy(key.low.byte, &n, sizeof n);
	return key;
}

static void both_directions_have_one_key(void **state)
{
	struct packet there = { .source_port = 40000, .destination_port = 5432, .vlan_count = 1, .vlan_tci = { 210 } }, back;
	struct flow_key a, b;

	there.source.byte[0] = 10;
	there.destination.byte[0] = 192;
	back = there;
	back.source = there.destination;
	back.destination = there.source;
	back.source_port = there.destination_port;
	back.destination_port = there.source_port;
	a = flow_key_of(&there);
	b = flow_key_of(&back);
	assert_memory_equal(&a, &b, sizeof a);
	back.vlan_count = 0;
	b = flow_key_of(&back);
	assert_memory_not_equal(&a, &b, sizeof a);
}

/* Random adds and removes against a plain array: what is in is found, what is out is not, and nothing gets lost. */
static void agrees_with_an_array(void **state)
{
	struct flow_table *t = flow_table_create(FLOWS, (struct hash_key){ 1, 2 });
	bool in[FLOWS * 2] = { false };
	struct rng rng = rng_seeded(3);
	uint32_t count = 0;

	for (int i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)rng_below(&rng, FLOWS * 2);
		struct flow_key key = key_of(n);

		if (rng_below(&rng, 2)) {
			bool added = flow_table_add(t, &key, n);

			assert_int_equal(added, !in[n] && count < FLOWS);
			count += added;
			in[n] |= added;
		} else {
			flow_table_remove(t, &key);
			count -= in[n];
			in[n] = false;
		}
		assert_int_equal(flow_table_count(t), count);
	}
	for (uint32_t n = 0; n < FLOWS * 2; n++) {
		struct flow_key key = key_of(n);

		assert_int_equal(flow_table_find(t, &key), in[n] ? n : FLOW_NONE);
	}
	assert_true(flow_table_longest_probe(t) < 32);
	flow_table_destroy(t);
}

static void full_table_refuses(void **state)
{
	struct flow_table *t = flow_table_create(4, (struct hash_key){ 1, 2 });

	for (uint32_t n = 0; n < 6; n++) {
		struct flow_key key = key_of(n);

		assert_int_equal(flow_table_add(t, &key, n), n < 4);
	}
	flow_table_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_have_one_key),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(full_table_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
