/* filter_test.c: every field, every combination that is refused and where, and texts that nobody means well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/capture/filter.h"

static void every_field_is_read(void **state)
{
	static const uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb8 };
	struct capture_request r = capture_filter_none();
	char err[CAPTURE_FILTER_ERROR_BYTES];

	assert_true(capture_filter_parse("client 10.1.0.0/16 and target 10.2.0.9 host 2001:db8::/32 client-port 1 target-port 65535 port 5432 vlan 4095 and tcp", &r, err));
	assert_int_equal(r.client.family, 4);
	assert_int_equal(r.client.prefix, 16);
	assert_memory_equal(r.client.address, "\12\1\0\0", 4);
	assert_int_equal(r.target.prefix, 32);
	assert_memory_equal(r.target.address, "\12\2\0\11", 4);
	assert_int_equal(r.host.family, 6);
	assert_int_equal(r.host.prefix, 32);
	assert_memory_equal(r.host.address, six, 16);
	assert_int_equal(r.client.port, 1);
	assert_int_equal(r.target.port, 65535);
	assert_int_equal(r.port, 5432);
	assert_int_equal(r.vlan, 4095);
	assert_int_equal(r.protocol, 6);
	r.snap = CAPTURE_HEADERS;
	assert_true(capture_request_ok(&r));
}

static void nothing_said_means_every_frame(void **state)
{
	static const char *const texts[] = { "", " ", "     " };

	for (unsigned i = 0; i < 3; i++) {
		struct capture_request r = capture_filter_none(), none = capture_filter_none();
		char err[CAPTURE_FILTER_ERROR_BYTES];

		assert_true(capture_filter_parse(texts[i], &r, err));
		assert_memory_equal(&r, &none, sizeof r);
		assert_true(capture_request_ok(&r));
	}
}

static void a_fault_is_named_with_its_place(void **state)
{
	static const struct { const char *text, *start; } rows[] = {
		{ "frobnicate", "position 1: not a field" }, { "tcp frobnicate", "position 5: not a field" }, { "  TCP", "position 3: not a field" },
		{ "tcp udp", "position 5: the protocol is said twice" }, { "tcp tcp", "position 5: the protocol is said twice" },
		{ "port 1 port 1", "position 8: said twice" }, { "client 1.2.3.4 client 1.2.3.4", "position 16: said twice" },
		{ "port", "position 5: not a port" }, { "port 0", "position 6: not a port" }, { "port 65536", "position 6: not a port" },
		{ "port -1", "position 6: not a port" }, { "port 1x", "position 6: not a port" }, { "port 99999999999999999999", "position 6: not a port" },
		{ "port 0x10", "position 6: not a port" }, { "vlan 4096", "position 6: not a VLAN" }, { "vlan", "position 5: not a VLAN" },
		{ "client", "position 7: an address is missing" }, { "client 10.0.0", "position 8: not an address" }, { "client 10.0.0.256", "position 8: not an address" },
		{ "host example.com", "position 6: not an address" }, { "host 10.0.0.0/33", "position 6: not a prefix" }, { "host ::/129", "position 6: not a prefix" },
		{ "host 10.0.0.0/", "position 6: not a prefix" }, { "host 10.0.0.0/8/8", "position 6: not a prefix" }, { "host 10.0.0.1/24", "position 6: the address has bits" },
		{ "host 2001:db8::1/64", "position 6: the address has bits" }, { "host /24", "position 6: not an address" },
		{ "and tcp", "position 1: not a field" }, { "tcp and", "position 8: a field is missing" }, { "tcp and and udp", "position 9: not a field" },
		{ "tcp or udp", "position 5: not a field" }, { "not tcp", "position 1: not a field" }, { "tcp\tudp", "position 1: not a field" }, { "(tcp)", "position 1: not a field" },
		{ "tcp\n", "position 1: not a field" }, { "client\xff", "position 1: not a field" },
		{ "client aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "position 8: an address is missing" },
		{ "tcp aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "position 5: not a field" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "position 1: not a field" },
	};

	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct capture_request r = capture_filter_none();
		char err[CAPTURE_FILTER_ERROR_BYTES] = "";

		if (capture_filter_parse(rows[i].text, &r, err) || strncmp(err, rows[i].start, strlen(rows[i].start)) != 0)
			fail_msg("%s: %s", rows[i].text, err);
	}
}

static void a_text_without_end_is_refused(void **state)
{
	char text[CAPTURE_FILTER_BYTES_MAX + 2], err[CAPTURE_FILTER_ERROR_BYTES];
	struct capture_request r = capture_filter_none();

	memset(text, ' ', sizeof text);
	text[sizeof text - 1] = 0;
	assert_false(capture_filter_parse(text, &r, err));
	text[sizeof text - 2] = 0;
	assert_true(capture_filter_parse(text, &r, err));
}

/* Whatever is taken is a request that a worker takes. Words in random order, seed in the loop. */
static void whatever_is_taken_is_a_good_request(void **state)
{
	static const char *const words[] = { "client", "target", "host", "port", "client-port", "target-port", "vlan", "tcp", "udp", "icmp", "and", "10.0.0.0/8", "::/0",
		"0.0.0.0/0", "10.0.0.1", "fe80::1", "1", "65535", "4095", "0", "" };
	uint32_t seed = 1;
	unsigned taken = 0;

	for (unsigned n = 0; n < 100000; n++) {
		char text[200] = "", err[CAPTURE_FILTER_ERROR_BYTES];
		struct capture_request r = capture_filter_none();

		for (unsigned i = 0; i < n % 6; i++) {
			size_t at = strlen(text);

			seed = seed * 1664525 + 1013904223;
			snprintf(text + at, sizeof text - at, "%s ", words[(seed >> 16) % (sizeof words / sizeof *words)]);
		}
		if (!capture_filter_parse(text, &r, err))
			continue;
		taken++;
		assert_true(capture_request_ok(&r));
	}
	assert_true(taken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_read),
		cmocka_unit_test(nothing_said_means_every_frame),
		cmocka_unit_test(a_fault_is_named_with_its_place),
		cmocka_unit_test(a_text_without_end_is_refused),
		cmocka_unit_test(whatever_is_taken_is_a_good_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
