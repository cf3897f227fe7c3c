#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/packet/shift.h"
#include "platform/base/random.h"

/* A SYN from 10.0.0.2:40000 to 10.0.0.10:5432, for a template. */
static const uint8_t head4[54] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 10,
	0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
};

static size_t build(const struct tcp_segment *s, uint8_t *frame, size_t cap)
{
	struct packet_template t;
	struct packet p;

	assert_int_equal(packet_parse(bytes_of(head4, sizeof head4), &p), ERROR_none);
	packet_template_from(&t, &p);
	return packet_build(&t, s, frame, cap, PACKET_BUILD_FULL).bytes;
}

/* Checksum verified. */
static struct tcp_segment read_back(const uint8_t *frame, size_t len, struct packet *p)
{
	struct tcp_segment s = { 0 };

	assert_int_equal(packet_parse(bytes_of(frame, len), p), ERROR_none);
	assert_int_equal(packet_segment(p, PACKET_CHECKSUM_UNKNOWN, &s), ERROR_none);
	return s;
}

static void same(const struct tcp_segment *a, const struct tcp_segment *b)
{
	assert_int_equal(a->seq, b->seq);
	assert_int_equal(a->ack, b->ack);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->window, b->window);
	assert_int_equal(a->payload_bytes, b->payload_bytes);
	assert_memory_equal(&a->options, &b->options, sizeof a->options);
}

static void moves_every_number(void **state)
{
	static const struct packet_shift by = { .seq = 10, .ack = 200, .ts_value = 3000, .ts_echo = 40000 };
	struct tcp_segment s = {
		.seq = UINT32_MAX - 5, .ack = 1000, .window = 77, .flags = TCP_ACK | TCP_PSH,
		.options = { .has_timestamps = true, .ts_value = 1, .ts_echo = 2, .sack_count = 2, .sack = { { 5, 9 }, { UINT32_MAX - 3, 4 } } },
		.payload_bytes = 3, .span_count = 1, .spans = { bytes_str("abc") },
	};
	uint8_t frame[256];
	size_t len = build(&s, frame, sizeof frame);
	struct tcp_segment got;
	struct packet p;

	(void)read_back(frame, len, &p);
	packet_shift_frame(&p, &by);
	got = read_back(frame, len, &p);
	assert_int_equal(got.seq, 4);
	assert_int_equal(got.ack, 1200);
	assert_int_equal(got.options.ts_value, 3001);
	assert_int_equal(got.options.ts_echo, 40002);
	assert_int_equal(got.options.sack[0].start, 205);
	assert_int_equal(got.options.sack[0].end, 209);
	assert_int_equal(got.options.sack[1].start, 196);
	assert_int_equal(got.options.sack[1].end, 204);
	assert_memory_equal(got.spans[0].base, "abc", 3);
}

/* An echo of zero, and an ACK number without ACK, say nothing and are left alone. */
static void what_says_nothing_is_left_alone(void **state)
{
	static const struct packet_shift by = { .seq = 1, .ack = 1, .ts_value = 1, .ts_echo = 1 };
	struct tcp_segment s = { .seq = 1, .flags = TCP_RST, .options = { .has_timestamps = true, .ts_value = 5 } }, got;
	uint8_t frame[256];
	size_t len = build(&s, frame, sizeof frame);
	struct packet p;

	(void)read_back(frame, len, &p);
	packet_shift_frame(&p, &by);
	got = read_back(frame, len, &p);
	assert_int_equal(got.seq, 2);
	assert_int_equal(got.ack, 0);
	assert_int_equal(got.options.ts_value, 6);
	assert_int_equal(got.options.ts_echo, 0);
}

/* A frame that is finished by whoever sends it on: as if it had been finished before. */
static void an_unfinished_frame_is_finished_after(void **state)
{
	static const struct packet_shift by = { .seq = 7, .ack = 9, .ts_value = 11, .ts_echo = 13 };
	struct tcp_segment s = { .seq = 1, .ack = 2, .flags = TCP_ACK, .options = { .has_timestamps = true, .ts_value = 5, .ts_echo = 6 },
		.payload_bytes = 3, .span_count = 1, .spans = { bytes_str("abc") } };
	uint8_t whole[256], unfinished[256];
	size_t len = build(&s, whole, sizeof whole);
	struct packet p, q;

	(void)read_back(whole, len, &p);
	memcpy(unfinished, whole, len);
	assert_int_equal(packet_parse(bytes_of(unfinished, len), &q), ERROR_none);
	memset(unfinished + q.l4_offset + 16, 0, 2);
	packet_shift_frame(&p, &by);
	packet_shift_unfinished(&q, &by);
	assert_int_equal(unfinished[q.l4_offset + 16] | unfinished[q.l4_offset + 17], 0);
	memcpy(unfinished + q.l4_offset + 16, whole + q.l4_offset + 16, 2);
	assert_memory_equal(unfinished, whole, len);
}

/* Options at odd offsets, and kinds that nobody knows between them: written by hand, since packet_build pads them. */
static void options_at_odd_offsets(void **state)
{
	static const struct packet_shift by = { .seq = 0x01020304, .ack = 0xfffefdfc, .ts_value = 0x10203040, .ts_echo = 0x99999999 };
	static const uint8_t options[32] = {
		1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9,                  /* timestamps behind one NOP */
		253, 3, 0x55, 1,
		5, 10, 0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x60, 0x00, /* SACK at an odd offset as well */
		1, 1, 1, 1, 1, 0, 8,                               /* the end, and what only looks like an option */
	};
	struct tcp_segment s = { .seq = 100, .ack = 5, .flags = TCP_ACK }, got;
	uint8_t frame[256];
	size_t len = build(&s, frame, sizeof frame);
	uint64_t sum;
	uint16_t tcp_len = 20 + sizeof options, folded;
	struct packet p;

	memcpy(frame + len, options, sizeof options);
	len += sizeof options;
	frame[17] = (uint8_t)(40 + sizeof options);
	frame[46] = (uint8_t)((20 + sizeof options) / 4 << 4);
	memset(frame + 24, 0, 2);
	folded = (uint16_t)~packet_sum_fold(packet_sum(0, frame + 14, 20));
	memcpy(frame + 24, &folded, 2);
	memset(frame + 50, 0, 2);
	sum = packet_sum(0, frame + 26, 8) + (uint64_t)(PACKET_TCP << 8) + (uint64_t)((tcp_len & 0xff) << 8);
	folded = (uint16_t)~packet_sum_fold(packet_sum(sum, frame + 34, tcp_len));
	memcpy(frame + 50, &folded, 2);
	(void)read_back(frame, len, &p);
	packet_shift_frame(&p, &by);
	got = read_back(frame, len, &p);
	assert_int_equal(got.options.ts_value, 7 + by.ts_value);
	assert_int_equal(got.options.ts_echo, 9 + by.ts_echo);
	assert_int_equal(got.options.sack[0].start, 0x12345678 + by.ack);
	assert_int_equal(got.options.sack[0].end, 0x12346000 + by.ack);
	assert_memory_equal(frame + 54 + 11, options + 11, 4);
	assert_memory_equal(frame + 54 + 25, options + 25, 7);
}

/* In place, and through a segment: the same numbers, for whatever is sent; and a damaged frame stays damaged. */
static void both_ways_say_the_same(void **state)
{
	static const uint8_t payload[1460] = { 1, 2, 3 };
	struct rng rng = rng_seeded(7);

	for (int i = 0; i < 20000; i++) {
		struct packet_shift by = { (uint32_t)rng_next(&rng), (uint32_t)rng_next(&rng), (uint32_t)rng_next(&rng), (uint32_t)rng_next(&rng) };
		struct tcp_segment s = { .seq = (uint32_t)rng_next(&rng), .ack = (uint32_t)rng_next(&rng), .flags = TCP_ACK, .window = (uint16_t)rng_next(&rng) }, want, got;
		uint8_t frame[1600];
		struct packet p;
		size_t len, at;

		if (rng_below(&rng, 4) == 0)
			by = (struct packet_shift){ .ts_value = 1 };
		s.options.has_timestamps = rng_below(&rng, 2);
		if (s.options.has_timestamps) {
			s.options.ts_value = (uint32_t)rng_next(&rng);
			s.options.ts_echo = (uint32_t)rng_next(&rng);
		}
		s.options.sack_count = (uint8_t)rng_below(&rng, s.options.has_timestamps ? 4 : 5);
		for (unsigned k = 0; k < s.options.sack_count; k++)
			s.options.sack[k] = (struct tcp_sack_block){ (uint32_t)rng_next(&rng), (uint32_t)rng_next(&rng) };
		s.payload_bytes = (uint32_t)rng_below(&rng, 1400);
		s.span_count = s.payload_bytes > 0;
		s.spans[0] = bytes_of(payload, s.payload_bytes);
		len = build(&s, frame, sizeof frame);
		want = read_back(frame, len, &p);
		packet_shift_segment(&want, &by);
		packet_shift_frame(&p, &by);
		got = read_back(frame, len, &p);
		same(&got, &want);
		at = 34 + rng_below(&rng, len - 34);
		frame[at] ^= 1;
		if (packet_parse(bytes_of(frame, len), &p) == ERROR_none && packet_segment(&p, PACKET_CHECKSUM_GOOD, &got) == ERROR_none) {
			packet_shift_frame(&p, &by);
			assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &got), ERROR_bad_tcp_checksum);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_every_number), cmocka_unit_test(what_says_nothing_is_left_alone), cmocka_unit_test(options_at_odd_offsets),
		cmocka_unit_test(an_unfinished_frame_is_finished_after),
		cmocka_unit_test(both_ways_say_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
