/* stage_test.c: which frames a request means, how much of them is copied, and what happens when there is no room. Frames are rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/capture/stage.h"

#define PAYLOAD 0xee /* of every frame, and nowhere else */

static struct capture_file *file;
static struct capture_stage stage;

static int opened(void **state)
{
	file = aligned_alloc(64, sizeof *file);
	memset(file, 0, sizeof *file);
	stage = (struct capture_stage){ 0 };
	return capture_stage_open(&stage, file, sizeof *file) ? 0 : 1;
}

static int closed(void **state)
{
	free(file);
	return 0;
}

/* --- frames -------------------------------------------------------------------------------------------------------------- */

struct row {
	const char *name;
	int family;          /* 4, 6, 0: ether_type */
	uint16_t ether_type;
	unsigned tags;       /* VLAN 7, 8, … */
	uint8_t protocol;
	uint8_t source, destination; /* last byte of 10.0.0.x or fd00::x */
	uint16_t source_port, destination_port;
	unsigned tcp_words;  /* length of the TCP header as it says, 32-bit words */
	uint16_t fragment;   /* IPv4's flags and offset */
	unsigned options;    /* words of IPv4 options */
	size_t headers;      /* what may be copied */
};

static size_t frame_of(const struct row *row, uint8_t out[400])
{
	struct writer w = writer_of(out, 400);
	size_t payload = 100, l4 = row->protocol == PACKET_TCP ? (row->tcp_words > 5 ? row->tcp_words : 5) * 4u : 8;

	writer_bytes(&w, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	for (unsigned i = 0; i < row->tags; i++) {
		writer_be16(&w, 0x8100);
		writer_be16(&w, (uint16_t)(7 + i));
	}
	writer_be16(&w, row->family == 4 ? 0x0800 : row->family == 6 ? 0x86dd : row->ether_type);
	if (row->family == 4) {
		writer_be16(&w, (uint16_t)((0x45 + row->options) << 8));
		writer_be16(&w, (uint16_t)(20 + 4 * row->options + l4 + payload));
		writer_be16(&w, 1);
		writer_be16(&w, row->fragment);
		writer_be16(&w, (uint16_t)(64 << 8 | row->protocol));
		writer_be16(&w, 0);
		writer_be32(&w, 0x0a000000u | row->source);
		writer_be32(&w, 0x0a000000u | row->destination);
		for (unsigned i = 0; i < row->options; i++)
			writer_be32(&w, 0x01010101);
	} else if (row->family == 6) {
		writer_be32(&w, 0x60000000);
		writer_be16(&w, (uint16_t)(l4 + payload));
		writer_be16(&w, (uint16_t)(row->protocol << 8 | 64));
		for (unsigned end = 0; end < 2; end++) {
			writer_be64(&w, 0xfd00000000000000u);
			writer_be64(&w, end ? row->destination : row->source);
		}
	}
	if (row->family) {
		writer_be16(&w, row->source_port);
		writer_be16(&w, row->destination_port);
		while (w.len < 400 && l4-- > 4)
			writer_u8(&w, row->protocol == PACKET_TCP && l4 == (row->tcp_words > 5 ? row->tcp_words : 5) * 4u - 9 ? (uint8_t)(row->tcp_words << 4) : 0);
	}
	for (size_t i = 0; i < payload; i++)
		writer_u8(&w, PAYLOAD);
	return w.len;
}

#define T PACKET_TCP
#define U PACKET_UDP
static const struct row rows[] = {
	/*                          family type  tags proto src dst  ports       tcp frag options headers */
	{ "TCP",                         4, 0,      0, T,   1,  2, 1000, 5432,  5, 0,      0,  14 + 20 + 20 },
	{ "TCP with options",            4, 0,      0, T,   1,  2, 1000, 5432, 10, 0,      0,  14 + 20 + 40 },
	{ "the answer",                  4, 0,      0, T,   2,  1, 5432, 1000,  5, 0,      0,  14 + 20 + 20 },
	{ "TCP, IPv4 options",           4, 0,      0, T,   1,  2, 1000, 5432,  5, 0,     10,  14 + 60 + 20 },
	{ "TCP, a length of 4 words",    4, 0,      0, T,   1,  2, 1000, 5432,  4, 0,      0,  14 + 20 },
	{ "TCP over IPv6",               6, 0,      0, T,   1,  2, 1000, 5432,  8, 0,      0,  14 + 40 + 32 },
	{ "TCP in a tag",                4, 0,      1, T,   1,  2, 1000, 5432,  5, 0,      0,  14 + 4 + 20 + 20 },
	{ "TCP in two tags",             4, 0,      2, T,   1,  2, 1000, 5432,  5, 0,      0,  14 + 8 + 20 + 20 },
	{ "UDP",                         4, 0,      0, U,   3,  2, 1000, 53,    0, 0,      0,  14 + 20 + 8 },
	{ "ICMP",                        4, 0,      0, 1,   3,  2, 0x800, 0,    0, 0,      0,  14 + 20 + 8 },
	{ "ICMPv6",                      6, 0,      0, 58,  3,  2, 0x8000, 0,   0, 0,      0,  14 + 40 + 8 },
	{ "a first fragment",            4, 0,      0, U,   3,  2, 1000, 53,    0, 0x2000, 0,  14 + 20 + 8 },
	{ "a later fragment",            4, 0,      0, U,   3,  2, 1000, 53,    0, 0x2010, 0,  14 + 20 },
	{ "a later fragment of TCP",     4, 0,      0, T,   1,  2, 1000, 5432,  5, 0x0002, 0,  14 + 20 },
	{ "ESP",                         4, 0,      0, 50,  3,  2, 1000, 53,    0, 0,      0,  14 + 20 },
	{ "ARP",                         0, 0x0806, 0, 0,   0,  0, 0, 0,        0, 0,      0,  14 + 28 },
	{ "LLDP",                        0, 0x88cc, 0, 0,   0,  0, 0, 0,        0, 0,      0,  14 },
	{ "something in a tag",          0, 0x88b5, 1, 0,   0,  0, 0, 0,        0, 0,      0,  18 },
	{ "IPv4 that is cut off",        0, 0x0800, 0, 0,   0,  0, 0, 0,        0, 0,      0,  14 },
};
#undef T
#undef U
#define ROWS (sizeof rows / sizeof *rows)

static void only_headers_are_copied(void **state)
{
	for (unsigned i = 0; i < ROWS; i++) {
		uint8_t frame[400];
		size_t len = frame_of(&rows[i], frame);
		struct packet p;
		size_t headers;

		(void)packet_parse(bytes_of(frame, len), &p);
		headers = capture_header_bytes(bytes_of(frame, len), &p);
		if (headers != rows[i].headers)
			fail_msg("%s: %zu bytes, not %zu", rows[i].name, headers, rows[i].headers);
		/* Of a frame that ends early, what is there. */
		for (size_t cut = 14; cut < len; cut++) {
			(void)packet_parse(bytes_of(frame, cut), &p);
			assert_true(capture_header_bytes(bytes_of(frame, cut), &p) <= (cut < rows[i].headers ? cut : rows[i].headers));
		}
	}
}

static void a_runt_is_copied_as_far_as_it_goes(void **state)
{
	uint8_t frame[14] = { 0 };
	struct packet p;

	for (size_t len = 0; len <= sizeof frame; len++) {
		(void)packet_parse(bytes_of(frame, len), &p);
		assert_int_equal(capture_header_bytes(bytes_of(frame, len), &p), len);
	}
}

/* --- requests ------------------------------------------------------------------------------------------------------------ */

static struct capture_request nothing_said(void)
{
	return (struct capture_request){ .snap = CAPTURE_HEADERS, .until_wall_us = UINT64_MAX, .bytes_max = UINT64_MAX, .vlan = CAPTURE_ANY_VLAN,
		.client.vlan = CAPTURE_ANY_VLAN, .target.vlan = CAPTURE_ANY_VLAN, .host.vlan = CAPTURE_ANY_VLAN };
}

static struct capture_place place4(uint8_t last, uint8_t prefix, uint16_t port)
{
	return (struct capture_place){ .address = { 10, 0, 0, last }, .family = 4, .prefix = prefix, .port = port, .vlan = CAPTURE_ANY_VLAN };
}

/* The names of the rows that are meant, each with a comma behind it. */
static void assert_means(const struct capture_request *r, const char *wanted)
{
	char got[600] = "";

	assert_true(capture_request_ok(r));
	stage.request = *r;
	for (unsigned i = 0; i < ROWS; i++) {
		uint8_t frame[400];
		size_t len = frame_of(&rows[i], frame), at = strlen(got);
		struct packet p;

		if (capture_stage_wants(&stage, bytes_of(frame, len), &p))
			snprintf(got + at, sizeof got - at, "%s,", rows[i].name);
	}
	assert_string_equal(got, wanted);
}

static void what_is_said_must_hold(void **state)
{
	struct capture_request r = nothing_said();

	r.protocol = PACKET_UDP;
	assert_means(&r, "UDP,a first fragment,a later fragment,");
	r = nothing_said();
	r.protocol = PACKET_ICMP;
	assert_means(&r, "ICMP,ICMPv6,");
	r = nothing_said();
	r.vlan = 8;
	assert_means(&r, "TCP in two tags,");
	r.vlan = 7;
	assert_means(&r, "TCP in a tag,TCP in two tags,something in a tag,");
	r = nothing_said();
	r.port = 53;
	assert_means(&r, "UDP,a first fragment,a later fragment,a later fragment of TCP,");
	r = nothing_said();
	r.host = place4(3, 32, 0);
	assert_means(&r, "UDP,ICMP,a first fragment,a later fragment,ESP,");
	r = nothing_said();
	r.host = (struct capture_place){ .address = { 0xfd }, .family = 6, .prefix = 8, .vlan = CAPTURE_ANY_VLAN };
	assert_means(&r, "TCP over IPv6,ICMPv6,");
	r.host.prefix = 128;
	assert_means(&r, "");
}

static void prefixes_count_bits(void **state)
{
	static const struct { uint8_t last, prefix; const char *means; } cases[] = {
		{ 0, 0, "UDP,a first fragment,a later fragment," }, { 2, 31, "UDP,a first fragment,a later fragment," }, { 3, 32, "UDP,a first fragment,a later fragment," },
		{ 4, 30, "" }, { 1, 32, "" }, { 0x80, 25, "" }, { 0x80, 24, "UDP,a first fragment,a later fragment," },
	};

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct capture_request r = nothing_said();

		r.protocol = PACKET_UDP;
		r.host = place4(cases[i].last, cases[i].prefix, 0);
		assert_means(&r, cases[i].means);
	}
}

static void a_service_is_the_targets_end(void **state)
{
	struct capture_request r = nothing_said();

	r.targets = 1;
	r.target_of[0] = place4(2, 32, 5432);
	assert_means(&r, "TCP,TCP with options,the answer,TCP, IPv4 options,TCP, a length of 4 words,TCP in a tag,TCP in two tags,a later fragment,a later fragment of TCP,");
	r.protocol = PACKET_TCP;
	r.target_of[0].vlan = 8;
	assert_means(&r, "TCP in two tags,");
	r.target_of[0].vlan = CAPTURE_ANY_VLAN;
	r.client = place4(1, 32, 0);
	assert_means(&r, "TCP,TCP with options,the answer,TCP, IPv4 options,TCP, a length of 4 words,TCP in a tag,TCP in two tags,a later fragment of TCP,");
	r.client = place4(2, 32, 0); /* the target is no client */
	assert_means(&r, "");
	r = nothing_said();
	r.targets = 2;
	r.target_of[0] = place4(9, 32, 9);
	r.target_of[1] = place4(2, 32, 53);
	r.protocol = PACKET_ICMP; /* has no ports */
	assert_means(&r, "ICMP,");
}

/* --- the ring ------------------------------------------------------------------------------------------------------------ */

static void put(const struct row *row, uint64_t flow)
{
	uint8_t frame[400];
	size_t len = frame_of(row, frame);
	struct packet p;
	struct capture_stage_frame f = { .frame = bytes_of(frame, len), .original = len, .packet = &p, .port = 1, .direction = CAPTURE_OUT, .flow = flow, .now_us = 50 };

	(void)packet_parse(f.frame, &p);
	capture_stage_put(&stage, &f);
}

static void a_record_says_what_was_seen(void **state)
{
	struct capture_reader r = capture_reader_of(file);
	struct capture_record got;

	atomic_store(&stage.wall_offset_us, 1000);
	put(&rows[1], 77);
	assert_int_equal(capture_read(&r, &got), CAPTURE_GOT);
	assert_int_equal(got.captured, rows[1].headers);
	assert_int_equal(got.original, rows[1].headers + 100);
	assert_int_equal(got.wall_us, 1050);
	assert_int_equal(got.mono_us, 50);
	assert_int_equal(got.flow, 77);
	assert_int_equal(got.port, 1);
	assert_int_equal(got.direction, CAPTURE_OUT);
	assert_null(memchr(got.bytes, PAYLOAD, sizeof got.bytes));
}

/* For a request that rests on an approval: every byte, in as many records as it takes, or in none. */
static void whole_frames_are_copied_when_asked_for(void **state)
{
	static const size_t lengths[] = { 1, 60, 223, 224, 225, 448, 449, 1514, 9014 };
	struct capture_reader r = capture_reader_of(file);
	struct capture_record got;
	uint8_t frame[9014], back[9014];
	struct packet p;

	stage.request.snap = CAPTURE_FRAMES;
	for (size_t i = 0; i < sizeof frame; i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct capture_stage_frame f = { .frame = bytes_of(frame, lengths[i]), .original = lengths[i], .packet = &p, .direction = CAPTURE_OUT, .flow = i, .now_us = 50 };
		size_t len = 0;

		(void)packet_parse(f.frame, &p);
		stage.bytes = 0;
		capture_stage_put(&stage, &f);
		assert_int_equal(stage.bytes, lengths[i]);
		do {
			assert_int_equal(capture_read(&r, &got), CAPTURE_GOT);
			assert_int_equal(got.original, lengths[i]);
			assert_int_equal(got.flow, i);
			assert_int_equal(got.direction & ~CAPTURE_MORE, CAPTURE_OUT);
			memcpy(back + len, got.bytes, got.captured);
			len += got.captured;
		} while (got.direction & CAPTURE_MORE);
		assert_int_equal(len, lengths[i]);
		assert_memory_equal(back, frame, len);
	}
	assert_int_equal(capture_read(&r, &got), CAPTURE_NONE);
	for (unsigned i = 0; i < CAPTURE_SLOTS; i++) {
		struct capture_stage_frame f = { .frame = bytes_of(frame, 1514), .original = 1514, .packet = &p, .port = 1 };

		capture_stage_put(&stage, &f);
	}
	assert_int_equal(file->overruns[1], CAPTURE_SLOTS - CAPTURE_SLOTS / 7);
	assert_int_equal(file->head - file->tail, CAPTURE_SLOTS / 7 * 7);
}

static void no_room_is_counted(void **state)
{
	for (unsigned i = 0; i < CAPTURE_SLOTS + 5; i++)
		put(&rows[0], i);
	assert_int_equal(file->matched[1], CAPTURE_SLOTS + 5);
	assert_int_equal(file->overruns[1], 5);
	assert_int_equal(file->overruns[0], 0);
	assert_int_equal(file->head, CAPTURE_SLOTS);
}

static void it_ends_by_itself(void **state)
{
	struct capture_request r = nothing_said();

	capture_stage_turn(&stage, 1);
	assert_false(stage.on);
	r.until_wall_us = 1000;
	(void)capture_ask(file, &r);
	capture_stage_turn(&stage, 999);
	assert_true(stage.on);
	capture_stage_turn(&stage, 1000);
	assert_false(stage.on);
	r.until_wall_us = UINT64_MAX;
	r.bytes_max = 54;
	(void)capture_ask(file, &r);
	capture_stage_turn(&stage, 1001);
	assert_true(stage.on);
	put(&rows[0], 1);
	capture_stage_turn(&stage, 1002);
	assert_false(stage.on);
	r.snap = CAPTURE_OFF;
	(void)capture_ask(file, &r);
	capture_stage_turn(&stage, 1003);
	assert_false(stage.on);
	r.snap = 9; /* not of this version */
	(void)capture_ask(file, &r);
	capture_stage_turn(&stage, 1004);
	assert_false(stage.on);
}

static void without_memory_nothing_is_captured(void **state)
{
	struct capture_stage none = { 0 };

	assert_false(capture_stage_open(&none, NULL, 0));
	capture_stage_turn(&none, 1);
	assert_false(none.on);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_headers_are_copied),
		cmocka_unit_test(a_runt_is_copied_as_far_as_it_goes),
		cmocka_unit_test_setup_teardown(what_is_said_must_hold, opened, closed),
		cmocka_unit_test_setup_teardown(prefixes_count_bits, opened, closed),
		cmocka_unit_test_setup_teardown(a_service_is_the_targets_end, opened, closed),
		cmocka_unit_test_setup_teardown(a_record_says_what_was_seen, opened, closed),
		cmocka_unit_test_setup_teardown(whole_frames_are_copied_when_asked_for, opened, closed),
		cmocka_unit_test_setup_teardown(no_room_is_counted, opened, closed),
		cmocka_unit_test_setup_teardown(it_ends_by_itself, opened, closed),
		cmocka_unit_test(without_memory_nothing_is_captured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
