#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_definition_at_every_length),
		cmocka_unit_test(chains_over_even_parts),
		cmocka_unit_test(carries_are_not_lost),
	};

	return cmocka_run_group_tests_name("packet checksum", tests, NULL, NULL);
}
