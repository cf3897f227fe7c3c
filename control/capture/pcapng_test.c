/* pcapng_test.c: blocks byte by byte, as draft-ietf-opsawg-pcapng draws them. An independent reader follows in control_node and in the
 * system test (tcpdump). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "control/capture/pcapng.h"

static uint8_t room[4096];

static void assert_is(const struct writer *w, const char *wanted, size_t len)
{
	assert_true(w->ok);
	assert_int_equal(w->len, len);
	assert_memory_equal(room, wanted, len);
}

#define ASSERT_IS(w, text) assert_is(w, text, sizeof text - 1)

static void a_section(void **state)
{
	struct writer w = writer_of(room, sizeof room);

	pcapng_section(&w, "Slu", "hi");
	ASSERT_IS(&w, "\x0a\x0d\x0d\x0a" "\x30\0\0\0" "\x4d\x3c\x2b\x1a" "\1\0\0\0" "\xff\xff\xff\xff\xff\xff\xff\xff"
		      "\1\0\2\0" "hi\0\0" "\4\0\3\0" "Slu\0" "\0\0\0\0" "\x30\0\0\0");
}

static void an_interface(void **state)
{
	struct writer w = writer_of(room, sizeof room);

	pcapng_interface(&w, "eth0", "agents", 224);
	ASSERT_IS(&w, "\1\0\0\0" "\x34\0\0\0" "\1\0\0\0" "\xe0\0\0\0" "\2\0\4\0" "eth0" "\3\0\6\0" "agents\0\0" "\x9\0\1\0" "\6\0\0\0" "\0\0\0\0" "\x34\0\0\0");
}

static void a_packet(void **state)
{
	struct capture_record r = { .wall_us = 0x0005f00011223344, .flow = 0xabc, .original = 1514, .captured = 5, .port = 1, .direction = CAPTURE_OUT,
				    .bytes = { 1, 2, 3, 4, 5, 0xee } };
	struct writer w = writer_of(room, sizeof room);

	pcapng_packet(&w, &r, bytes_of(r.bytes, r.captured), 9);
	ASSERT_IS(&w, "\6\0\0\0" "\x5c\0\0\0" "\1\0\0\0" "\x00\xf0\x05\0" "\x44\x33\x22\x11" "\5\0\0\0" "\xea\5\0\0" "\1\2\3\4\5\0\0\0"
		      "\1\0\x15\0" "flow 0000000000000abc\0\0\0" "\2\0\4\0" "\2\0\0\0" "\5\0\x8\0" "\x9\0\0\0\0\0\0\0" "\0\0\0\0" "\x5c\0\0\0");
	r.flow = 0;
	r.direction = CAPTURE_IN;
	r.captured = 4;
	w = writer_of(room, sizeof room);
	pcapng_packet(&w, &r, bytes_of(r.bytes, r.captured), 9);
	ASSERT_IS(&w, "\6\0\0\0" "\x3c\0\0\0" "\1\0\0\0" "\x00\xf0\x05\0" "\x44\x33\x22\x11" "\4\0\0\0" "\xea\5\0\0" "\1\2\3\4"
		      "\2\0\4\0" "\1\0\0\0" "\5\0\x8\0" "\x9\0\0\0\0\0\0\0" "\0\0\0\0" "\x3c\0\0\0");
}

static void statistics(void **state)
{
	const struct pcapng_counts c = { .begin_us = 0x0000000200000001, .end_us = 0x0000000400000003, .received = 6, .dropped = 5, .comment = "x" };
	struct writer w = writer_of(room, sizeof room);

	pcapng_statistics(&w, 1, &c);
	ASSERT_IS(&w, "\5\0\0\0" "\x54\0\0\0" "\1\0\0\0" "\4\0\0\0" "\3\0\0\0" "\1\0\1\0" "x\0\0\0" "\2\0\x8\0" "\2\0\0\0\1\0\0\0" "\3\0\x8\0" "\4\0\0\0\3\0\0\0"
		      "\4\0\x8\0" "\6\0\0\0\0\0\0\0" "\5\0\x8\0" "\5\0\0\0\0\0\0\0" "\0\0\0\0" "\x54\0\0\0");
}

static void what_does_not_fit_is_said(void **state)
{
	struct capture_record r = { .original = 1514, .captured = CAPTURE_SNAP_BYTES, .flow = 1 };
	char text[2000];
	struct writer w;
	size_t len;

	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = 0;
	w = writer_of(room, PCAPNG_BLOCK_BYTES_MAX);
	pcapng_section(&w, text, text);
	assert_true(w.ok);
	w = writer_of(room, PCAPNG_BLOCK_BYTES_MAX);
	pcapng_interface(&w, text, text, 1);
	assert_true(w.ok);
	w = writer_of(room, PCAPNG_BLOCK_BYTES_MAX);
	pcapng_packet(&w, &r, bytes_of(r.bytes, r.captured), 1);
	assert_true(w.ok);
	len = w.len;
	for (size_t cap = 0; cap < len; cap++) {
		w = writer_of(room, cap);
		pcapng_packet(&w, &r, bytes_of(r.bytes, r.captured), 1);
		assert_false(w.ok);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_section), cmocka_unit_test(an_interface), cmocka_unit_test(a_packet), cmocka_unit_test(statistics),
		cmocka_unit_test(what_does_not_fit_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
