#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"
#include "platform/base/random.h"

/* The definition, sixteen bits at a time (RFC 1071 1). */
static uint16_t plain_sum(const uint8_t *at, size_t len)
{
	uint32_t sum = 0;
	uint8_t out[2];
	uint16_t memory;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum >> 16) + (sum & 0xffff);
	out[0] = (uint8_t)(sum >> 8);
	out[1] = (uint8_t)sum;
	memcpy(&memory, out, 2);
	return memory;
}

static void agrees_with_the_definition_at_every_length(void **state)
{
	struct rng rng = rng_seeded(1);
	uint8_t data[2049];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = rng_next(&rng) % 4 ? (uint8_t)rng_next(&rng) : 0xff;
	for (size_t len = 0; len < 2048; len++)
		assert_int_equal(packet_sum_fold(packet_sum(0, data + len % 2, len)), plain_sum(data + len % 2, len));
}

static void chains_over_even_parts(void **state)
{
	uint8_t data[100];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 37);
	for (size_t cut = 0; cut < sizeof(data); cut += 2) {
		uint64_t sum = packet_sum(packet_sum(0, data, cut), data + cut, sizeof(data) - cut);

		assert_int_equal(packet_sum_fold(sum), plain_sum(data, sizeof(data)));
	}
}

static void carries_are_not_lost(void **state)
{
	uint8_t ones[4096];

	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(packet_sum_fold(packet_sum(0xffffffffffffffff, ones, sizeof(ones))), 0xffff);
}

/* Every way that this processor has: at every length and offset, summed and copied, nothing beside written or read. */
static void every_way_gives_the_same(void **state)
{
	static uint8_t data[4096], to[4096];
	struct rng rng = rng_seeded(2);
	unsigned tried = 0;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = rng_next(&rng) % 3 ? (uint8_t)rng_next(&rng) : 0xff;
	for (unsigned w = 0; w < packet_summers_count; w++) {
		const struct packet_summer *s = &packet_summers[w];

		if (!s->usable())
			continue;
		tried++;
		for (size_t len = 0; len < 1600; len++) {
			const uint8_t *from = data + rng_below(&rng, 64);
			size_t at = 1 + rng_below(&rng, 64);
			uint64_t before = rng_next(&rng) & 0xffff;
			uint16_t first = (uint16_t)before, rest = plain_sum(from, len);
			uint16_t want = packet_sum_fold((uint64_t)first + rest);

			memset(to, 0xa5, sizeof(to));
			assert_int_equal(packet_sum_fold(s->sum(before, from, len)), want);
			assert_int_equal(packet_sum_fold(s->copy(before, to + at, from, len)), want);
			assert_memory_equal(to + at, from, len);
			assert_int_equal(to[at - 1], 0xa5);
			assert_int_equal(to[at + len], 0xa5);
		}
	}
	assert_true(tried >= 1);
}

static void every_way_keeps_carries(void **state)
{
	static uint8_t ones[65536];

	memset(ones, 0xff, sizeof(ones));
	for (unsigned w = 0; w < packet_summers_count; w++)
		if (packet_summers[w].usable())
			assert_int_equal(packet_sum_fold(packet_summers[w].sum(UINT64_MAX, ones, sizeof(ones))), 0xffff);
}

/* The copy ends where the memory ends: reading or writing over would be seen (address sanitizer, or a fault). */
static void stays_inside(void **state)
{
	for (size_t len = 0; len < 300; len++) {
		uint8_t *from = malloc(len + 1), *to = malloc(len + 1);

		memset(from, 7, len + 1);
		for (unsigned w = 0; w < packet_summers_count; w++)
			if (packet_summers[w].usable())
				(void)packet_summers[w].copy(0, to + 1, from + 1, len);
		free(from);
		free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_definition_at_every_length),
		cmocka_unit_test(chains_over_even_parts),
		cmocka_unit_test(carries_are_not_lost),
		cmocka_unit_test(every_way_gives_the_same),
		cmocka_unit_test(every_way_keeps_carries),
		cmocka_unit_test(stays_inside),
	};

	return cmocka_run_group_tests_name("packet checksum", tests, NULL, NULL);
}
