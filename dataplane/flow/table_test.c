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
	static struct flow_key keys[FLOWS];
	struct flow_table *t = flow_table_create(FLOWS, (struct hash_key){ 1, 2 }, keys, sizeof *keys);
	uint32_t place[FLOWS * 2], free_places[FLOWS], places = FLOWS, count = 0; /* FLOW_NONE: the key is not in */
	struct rng rng = rng_seeded(3);

	memset(place, 0xff, sizeof place);
	for (uint32_t i = 0; i < FLOWS; i++)
		free_places[i] = i;

	for (int i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)rng_below(&rng, FLOWS * 2);
		struct flow_key key = key_of(n);

		assert_int_equal(flow_table_find(t, &key), place[n]);
		assert_int_equal(flow_table_guess(t, flow_table_expect(t, &key)), place[n]);
		if (rng_below(&rng, 2) && places > 0) {
			bool added;

			keys[free_places[places - 1]] = key;
			added = flow_table_add(t, free_places[places - 1]);
			assert_int_equal(added, place[n] == FLOW_NONE);
			if (added)
				place[n] = free_places[--places];
			count += added;
		} else if (place[n] != FLOW_NONE) {
			flow_table_remove(t, place[n]);
			free_places[places++] = place[n];
			place[n] = FLOW_NONE;
			count--;
		}
		assert_int_equal(flow_table_count(t), count);
	}
	for (uint32_t n = 0; n < FLOWS * 2; n++) {
		struct flow_key key = key_of(n);

		assert_int_equal(flow_table_find(t, &key), place[n]);
	}
	assert_true(flow_table_longest_probe(t) < 32);
	flow_table_destroy(t);
}

static void full_table_refuses(void **state)
{
	static struct flow_key keys[6];
	struct flow_table *t = flow_table_create(4, (struct hash_key){ 1, 2 }, keys, sizeof *keys);

	for (uint32_t n = 0; n < 6; n++)
		keys[n] = key_of(n);
	for (uint32_t n = 0; n < 6; n++)
		assert_int_equal(flow_table_add(t, n), n < 4);
	flow_table_destroy(t);
}

/* Whoever is not in the table cannot take out the one that is there under the same key. */
static void only_its_own_flow_is_removed(void **state)
{
	struct flow_key keys[2] = { key_of(7), key_of(7) };
	struct flow_table *t = flow_table_create(2, (struct hash_key){ 1, 2 }, keys, sizeof *keys);

	assert_true(flow_table_add(t, 0));
	assert_false(flow_table_add(t, 1));
	flow_table_remove(t, 1);
	assert_int_equal(flow_table_find(t, &keys[0]), 0);
	flow_table_remove(t, 0);
	assert_int_equal(flow_table_find(t, &keys[0]), FLOW_NONE);
	flow_table_destroy(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_have_one_key),
		cmocka_unit_test(agrees_with_an_array),
		cmocka_unit_test(full_table_refuses),
		cmocka_unit_test(only_its_own_flow_is_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
