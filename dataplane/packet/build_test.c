#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "dataplane/packet/packet.h"
#include "platform/base/random.h"

static const uint8_t ip4_frame[] = {
	0x02, 0, 0, 0, 0, 0xbb, 0x02, 0, 0, 0, 0, 0xaa, 0x81, 0x00, 0x00, 0x64, 0x08, 0x00,
	0x45, 0x03, 0, 40, 0, 9, 0x40, 0, 57, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
};

static const uint8_t ip6_frame[] = {
	0x02, 0, 0, 0, 0, 0xbb, 0x02, 0, 0, 0, 0, 0xaa, 0x86, 0xdd,
	0x60, 0x3a, 0xbc, 0xde, 0, 20, 6, 57, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
	0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2,
	0x12, 0x34, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
};

static void template_of(const void *frame, size_t len, struct packet *p, struct packet_template *t)
{
	assert_int_equal(packet_parse(bytes_of(frame, len), p), ERROR_none);
	packet_template_from(t, p);
}

/* What was built is parsed back with both checksums verified, for both IP versions, with payload of odd spans. */
static void built_frames_parse_back(void **state)
{
	const struct bytes frames[] = { bytes_of(ip4_frame, sizeof(ip4_frame)), bytes_of(ip6_frame, sizeof(ip6_frame)) };

	for (size_t i = 0; i < 2; i++) {
		struct tcp_segment s = {
			.seq = 0xdeadbeef, .ack = 0x01020304, .window = 500, .flags = TCP_ACK | TCP_PSH,
			.options = { .has_timestamps = true, .ts_value = 7, .ts_echo = 8 },
			.span_count = 3, .payload_bytes = 11,
			.spans = { bytes_str("abc"), bytes_str("d"), bytes_str("efghijk") },
		};
		struct packet_template t;
		struct packet_built built;
		struct tcp_segment back;
		struct packet in, p;
		uint8_t out[256];

		template_of(frames[i].base, frames[i].len, &in, &t);
		built = packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_FULL);
		assert_int_equal(built.bytes, frames[i].len + 12 + 11);
		assert_int_equal(packet_parse(bytes_of(out, built.bytes), &p), ERROR_none);
		assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &back), ERROR_none);
		assert_memory_equal(&p.source, &in.source, 16);
		assert_memory_equal(&p.destination, &in.destination, 16);
		assert_int_equal(p.ttl, 57);
		assert_int_equal(p.vlan_count, in.vlan_count);
		assert_int_equal(p.source_port, in.source_port);
		assert_int_equal(back.seq, s.seq);
		assert_int_equal(back.ack, s.ack);
		assert_int_equal(back.window, s.window);
		assert_int_equal(back.flags, s.flags);
		assert_memory_equal(&back.options, &s.options, sizeof(s.options));
		assert_true(bytes_equal(back.spans[0], bytes_str("abcdefghijk")));
	}
}

/* Payload cut into spans at every odd and even place: the checksum is verified by the parser, which sums in one go. */
static void odd_spans_sum_right(void **state)
{
	struct rng rng = rng_seeded(9);
	static uint8_t data[1460];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)rng_next(&rng);
	for (int round = 0; round < 3000; round++) {
		struct tcp_segment s = { .seq = (uint32_t)rng_next(&rng), .ack = (uint32_t)rng_next(&rng), .window = (uint16_t)rng_next(&rng),
					 .flags = TCP_ACK, .options = { .has_timestamps = round % 2, .ts_value = (uint32_t)rng_next(&rng) } };
		struct packet_template t;
		struct packet_built built;
		struct tcp_segment back;
		struct packet in, p;
		uint8_t out[1600];

		while (s.span_count < 4) {
			size_t len = rng_below(&rng, 300);

			s.spans[s.span_count++] = bytes_of(data + s.payload_bytes, len);
			s.payload_bytes += (uint32_t)len;
		}
		template_of(round % 3 ? ip4_frame : ip6_frame, round % 3 ? sizeof(ip4_frame) : sizeof(ip6_frame), &in, &t);
		built = packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_FULL);
		assert_int_equal(packet_parse(bytes_of(out, built.bytes), &p), ERROR_none);
		assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &back), ERROR_none);
		assert_int_equal(back.payload_bytes, s.payload_bytes);
		if (s.payload_bytes)
			assert_memory_equal(back.spans[0].base, data, s.payload_bytes);
	}
}

/* With the checksum left to the port: the field holds the pseudo header's sum, so that summing the TCP part with the
 * field included gives the right checksum. */
static void pseudo_sum_is_what_a_port_expects(void **state)
{
	struct tcp_segment s = { .seq = 1, .flags = TCP_ACK, .span_count = 1, .payload_bytes = 5, .spans = { bytes_str("hello") } };
	uint8_t full[128], pseudo[128];
	struct packet_template t;
	struct packet_built built;
	uint16_t finished, field;
	struct packet in;

	template_of(ip4_frame, sizeof(ip4_frame), &in, &t);
	(void)packet_build(&t, &s, full, sizeof(full), PACKET_BUILD_FULL);
	built = packet_build(&t, &s, pseudo, sizeof(pseudo), PACKET_BUILD_PSEUDO);
	finished = (uint16_t)~packet_sum_fold(packet_sum(0, pseudo + built.l2_bytes + built.l3_bytes, built.l4_bytes + 5u));
	memcpy(&field, full + built.l2_bytes + built.l3_bytes + 16, 2);
	assert_int_equal(finished, field);
}

/* The same, made afterwards; over an odd length, and for UDP, whose sum is never zero. */
static void a_frame_is_finished_later(void **state)
{
	static const char *const texts[] = { "", "h", "hello", "hello there" };

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct tcp_segment s = { .seq = 77, .flags = TCP_ACK, .span_count = texts[i][0] != 0, .payload_bytes = (uint32_t)strlen(texts[i]),
			.spans = { bytes_str(texts[i]) } };
		uint8_t full[128], pseudo[128];
		struct packet_template t;
		struct packet in, p;
		size_t len;

		template_of(ip4_frame, sizeof(ip4_frame), &in, &t);
		(void)packet_build(&t, &s, full, sizeof(full), PACKET_BUILD_FULL);
		len = packet_build(&t, &s, pseudo, sizeof(pseudo), PACKET_BUILD_PSEUDO).bytes;
		assert_int_equal(packet_parse(bytes_of(pseudo, len), &p), ERROR_none);
		assert_true(packet_finish(&p));
		assert_memory_equal(pseudo, full, len);
	}
}

static void a_udp_sum_of_zero_is_written_as_ones(void **state)
{
	uint8_t udp[] = { 0x12, 0x34, 0x00, 0x35, 0x00, 0x08, 0x00, 0x00 };
	struct packet p = { .frame = bytes_of(udp, sizeof udp), .ip_version = 4, .protocol = PACKET_UDP };
	uint16_t rest = (uint16_t)~packet_sum_fold(packet_sum(0, udp, sizeof udp)), field;

	memcpy(udp + 6, &rest, 2); /* now the whole is all ones: its complement is zero */
	assert_true(packet_finish(&p));
	memcpy(&field, udp + 6, 2);
	assert_int_equal(field, 0xffff);
	p.frame.len = 7;
	assert_false(packet_finish(&p));
	p.frame.len = 8;
	p.protocol = PACKET_ICMP;
	assert_false(packet_finish(&p));
}

/* Many spans, for a port that cuts: the payload in its order, and an identification for each piece. */
static void a_segment_to_be_cut(void **state)
{
	struct bytes many[3] = { bytes_str("abc"), bytes_str("defgh"), bytes_str("ij") };
	struct tcp_segment s = { .seq = 1, .flags = TCP_ACK, .span_count = 3, .payload_bytes = 10, .many = many, .cut_bytes = 4 };
	struct packet_template t;
	struct packet_built built;
	struct packet in;
	uint8_t out[128];
	uint16_t id;

	template_of(ip4_frame, sizeof(ip4_frame), &in, &t);
	id = t.ip_id;
	t.header[t.l3_offset + 6] = 0; /* may be fragmented */
	built = packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_PSEUDO);
	assert_memory_equal(out + built.bytes - 10, "abcdefghij", 10);
	assert_int_equal((uint16_t)(t.ip_id - id), 3);
}

static void does_not_write_beyond_the_buffer(void **state)
{
	struct tcp_segment s = { .flags = TCP_ACK, .span_count = 1, .payload_bytes = 5, .spans = { bytes_str("hello") } };
	struct packet_template t;
	struct packet in;
	uint8_t out[128];

	template_of(ip4_frame, sizeof(ip4_frame), &in, &t);
	memset(out, 0xee, sizeof(out));
	assert_int_equal(packet_build(&t, &s, out, sizeof(ip4_frame) + 4, PACKET_BUILD_FULL).bytes, 0);
	assert_int_equal(out[0], 0xee);
	assert_int_equal(packet_build(&t, &s, out, sizeof(ip4_frame) + 5, PACKET_BUILD_FULL).bytes, sizeof(ip4_frame) + 5);
	assert_int_equal(out[sizeof(ip4_frame) + 5], 0xee);
}

static void ecn_is_cleared_and_class_kept(void **state)
{
	struct tcp_segment s = { .flags = TCP_ACK };
	struct packet_template t;
	struct packet in;
	uint8_t out[128];

	template_of(ip4_frame, sizeof(ip4_frame), &in, &t);
	(void)packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_FULL);
	assert_int_equal(out[19], 0);
	template_of(ip6_frame, sizeof(ip6_frame), &in, &t);
	(void)packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_FULL);
	assert_int_equal(out[14], 0x60);
	assert_int_equal(out[15], 0x0a); /* 0x3a without the two ECN bits, which are its bits 5 and 4 */
	assert_int_equal(out[16], 0xbc);
}

static void reply_swaps_both_ends(void **state)
{
	struct packet_template t;
	struct tcp_segment s = { .flags = TCP_RST };
	struct packet in, p;
	uint8_t out[128];
	size_t len;

	assert_int_equal(packet_parse(bytes_of(ip6_frame, sizeof(ip6_frame)), &in), ERROR_none);
	packet_template_reply(&t, &in);
	len = packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_FULL).bytes;
	assert_int_equal(packet_parse(bytes_of(out, len), &p), ERROR_none);
	assert_int_equal(packet_segment(&p, PACKET_CHECKSUM_UNKNOWN, &s), ERROR_none);
	assert_memory_equal(out, ip6_frame + 6, 6);
	assert_memory_equal(out + 6, ip6_frame, 6);
	assert_memory_equal(&p.source, &in.destination, 16);
	assert_int_equal(p.source_port, in.destination_port);
	assert_int_equal(p.destination_port, in.source_port);
}

static void refusals(void **state)
{
	static const struct {
		struct tcp_segment in;
		bool answered;
		uint8_t flags;
		uint32_t seq, ack;
	} rows[] = {
		{ { .seq = 9, .flags = TCP_RST }, false, 0, 0, 0 },
		{ { .seq = 9, .ack = 77, .flags = TCP_RST | TCP_ACK }, false, 0, 0, 0 },
		{ { .seq = 9, .flags = TCP_SYN }, true, TCP_RST | TCP_ACK, 0, 10 },
		{ { .seq = 9, .flags = TCP_FIN, .payload_bytes = 5 }, true, TCP_RST | TCP_ACK, 0, 15 },
		{ { .seq = 9, .ack = 77, .flags = TCP_ACK, .payload_bytes = 5 }, true, TCP_RST, 77, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp_segment out;

		assert_int_equal(packet_segment_refusal(&rows[i].in, &out), rows[i].answered);
		assert_int_equal(out.flags, rows[i].flags);
		assert_int_equal(out.seq, rows[i].seq);
		assert_int_equal(out.ack, rows[i].ack);
	}
}

/* Kept and restored, it builds the same frames; identifications go on. */
static void a_template_is_kept(void **state)
{
	uint8_t fragmentable[sizeof ip4_frame];
	const struct bytes frames[] = { bytes_of(ip4_frame, sizeof ip4_frame), bytes_of(ip6_frame, sizeof ip6_frame), bytes_of(fragmentable, sizeof fragmentable) };

	memcpy(fragmentable, ip4_frame, sizeof fragmentable);
	fragmentable[18 + 6] = 0;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
		struct tcp_segment s = { .seq = 5, .ack = 6, .window = 7, .flags = TCP_ACK, .span_count = 1, .payload_bytes = 3, .spans = { bytes_str("abc") } };
		struct packet_template t, back;
		struct packet_template_kept kept;
		uint8_t a[256], b[256];
		struct packet in;

		template_of(frames[i].base, frames[i].len, &in, &t);
		for (int round = 0; round < 3; round++) {
			struct packet_built built = packet_build(&t, &s, a, sizeof a, PACKET_BUILD_FULL);

			if (round == 0) {
				template_of(frames[i].base, frames[i].len, &in, &back);
			} else {
				packet_template_restore(&kept, &in.source, &in.destination, in.source_port, in.destination_port, &back);
			}
			assert_int_equal(packet_build(&back, &s, b, sizeof b, PACKET_BUILD_FULL).bytes, built.bytes);
			assert_memory_equal(a, b, built.bytes);
			packet_template_keep(&back, &kept);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_template_is_kept),
		cmocka_unit_test(built_frames_parse_back),
		cmocka_unit_test(odd_spans_sum_right),
		cmocka_unit_test(pseudo_sum_is_what_a_port_expects),
		cmocka_unit_test(a_frame_is_finished_later),
		cmocka_unit_test(a_udp_sum_of_zero_is_written_as_ones),
		cmocka_unit_test(a_segment_to_be_cut),
		cmocka_unit_test(does_not_write_beyond_the_buffer),
		cmocka_unit_test(ecn_is_cleared_and_class_kept),
		cmocka_unit_test(reply_swaps_both_ends),
		cmocka_unit_test(refusals),
	};

	return cmocka_run_group_tests_name("packet build", tests, NULL, NULL);
}
