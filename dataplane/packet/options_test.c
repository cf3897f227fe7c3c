#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/packet/packet.h"
#include "platform/base/random.h"

static void reads_what_is_well_formed(void **state)
{
	static const struct {
		const char *name;
		uint8_t raw[40];
		size_t len;
		struct tcp_options want;
	} rows[] = {
		{ "nothing", { 0 }, 0, { 0 } },
		{ "end at once", { 0, 2, 4, 5 }, 4, { 0 } },
		{ "mss", { 2, 4, 0x05, 0xb4 }, 4, { .has_mss = true, .mss = 1460 } },
		{ "window scale", { 1, 3, 3, 7 }, 4, { .has_shift = true, .shift = 7 } },
		{ "window scale over 14 is 14", { 1, 3, 3, 200 }, 4, { .has_shift = true, .shift = 14 } },
		{ "timestamps, as usual", { 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, 12,
		  { .has_timestamps = true, .ts_value = 1, .ts_echo = 2 } },
		{ "timestamps behind SACK-permitted", { 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2 }, 12,
		  { .has_timestamps = true, .ts_value = 1, .ts_echo = 2, .sack_permitted = true } },
		{ "unknown kinds are skipped", { 34, 4, 9, 9, 253, 2, 1, 1 }, 8, { 0 } },
		{ "one SACK block", { 1, 1, 5, 10, 0, 0, 0, 5, 0, 0, 0, 9 }, 12,
		  { .sack_count = 1, .sack = { { 5, 9 } } } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp_options got;

		assert_true(tcp_options_parse(bytes_of(rows[i].raw, rows[i].len), &got));
		assert_memory_equal(&got, &rows[i].want, sizeof(got));
	}
}

static void refuses_wrong_lengths_and_leaves_nothing(void **state)
{
	static const struct {
		const char *name;
		uint8_t raw[12];
		size_t len;
	} rows[] = {
		{ "length is missing", { 2 }, 1 },
		{ "length 0", { 2, 0, 5, 5 }, 4 },
		{ "length 1", { 9, 1, 5, 5 }, 4 },
		{ "longer than the header", { 2, 5, 5, 5 }, 4 },
		{ "mss of three", { 2, 3, 5, 1 }, 4 },
		{ "mss of five", { 2, 5, 5, 5, 5, 1, 1, 1 }, 8 },
		{ "shift of two", { 3, 2, 1, 1 }, 4 },
		{ "SACK-permitted with a body", { 4, 3, 1, 1 }, 4 },
		{ "SACK of no block", { 5, 2, 1, 1 }, 4 },
		{ "half a SACK block", { 5, 6, 0, 0, 0, 1, 1, 1 }, 8 },
		{ "timestamps of eight", { 8, 8, 0, 0, 0, 1, 0, 0 }, 8 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct tcp_options empty = { 0 };
		struct tcp_options got;

		memset(&got, 0xee, sizeof(got));
		if (tcp_options_parse(bytes_of(rows[i].raw, rows[i].len), &got))
			fail_msg("accepted: %s", rows[i].name);
		assert_memory_equal(&got, &empty, sizeof(got));
	}
}

/* Every combination of options comes back as it was written, at a length that is a multiple of four. */
static void round_trip(void **state)
{
	for (unsigned set = 0; set < 16 * (TCP_SACK_MAX + 1); set++) {
		struct tcp_options in = {
			.has_mss = set & 1, .mss = set & 1 ? 1400 : 0,
			.has_shift = set & 2, .shift = set & 2 ? 9 : 0,
			.sack_permitted = set & 4,
			.has_timestamps = set & 8, .ts_value = set & 8 ? 77 : 0, .ts_echo = set & 8 ? 88 : 0,
			.sack_count = (uint8_t)(set / 16),
		};
		uint8_t raw[TCP_OPTIONS_BYTES_MAX];
		struct tcp_options back;
		size_t len;

		for (unsigned i = 0; i < in.sack_count; i++)
			in.sack[i] = (struct tcp_sack_block){ i * 100, i * 100 + 50 };
		len = tcp_options_write(&in, raw);
		assert_int_equal(len, tcp_options_bytes(&in));
		assert_int_equal(len % 4, 0);
		assert_true(tcp_options_parse(bytes_of(raw, len), &back));
		assert_true(back.sack_count <= in.sack_count);
		for (unsigned i = back.sack_count; i < in.sack_count; i++)
			in.sack[i] = (struct tcp_sack_block){ 0 };
		in.sack_count = back.sack_count;
		assert_memory_equal(&in, &back, sizeof(in));
	}
}

static void three_blocks_fit_beside_timestamps(void **state)
{
	struct tcp_options o = { .has_timestamps = true, .sack_count = 4 };

	assert_int_equal(tcp_options_bytes(&o), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_is_well_formed),
		cmocka_unit_test(refuses_wrong_lengths_and_leaves_nothing),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(three_blocks_fit_beside_timestamps),
	};

	return cmocka_run_group_tests_name("packet options", tests, NULL, NULL);
}
