/* The hash against the published vectors (Microsoft, "Verifying the RSS hash calculation"), and the rule that is built on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <string.h>

#include "dataplane/flow/steer.h"
#include "platform/base/random.h"

static const uint8_t published_key[40] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
	0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct vector {
	uint8_t source[4], destination[4];
	uint16_t source_port, destination_port;
	uint32_t with_ports, without;
} vectors[] = {
	/* source              destination           ports         TCP         IP only */
	{ { 66, 9, 149, 187 }, { 161, 142, 100, 80 }, 2794, 1766, 0x51ccc178, 0x323e8fc2 },
	{ { 199, 92, 111, 2 }, { 65, 69, 140, 83 }, 14230, 4739, 0xc626b0ea, 0xd718262a },
	{ { 24, 19, 198, 95 }, { 12, 22, 207, 184 }, 12898, 38024, 0x5c2b394a, 0xd2d0a5de },
	{ { 38, 27, 205, 30 }, { 209, 142, 163, 6 }, 48228, 2217, 0xafc7327f, 0x82989176 },
	{ { 153, 39, 163, 191 }, { 202, 188, 127, 2 }, 44251, 1303, 0x10e828a2, 0x5d1809c5 },
};

static size_t input(uint8_t *out, const struct packet *p)
{
	size_t len = p->ip_version == 6 ? 16 : 4, at = 2 * len;

	memcpy(out, p->source.byte, len);
	memcpy(out + len, p->destination.byte, len);
	if (!p->fragment) {
		memcpy(out + at, &p->source_port, 2);
		memcpy(out + at + 2, &p->destination_port, 2);
		at += 4;
	}
	return at;
}

static struct packet packet_of(const struct vector *v)
{
	struct packet p = { .ip_version = 4, .protocol = PACKET_TCP, .source_port = htobe16(v->source_port), .destination_port = htobe16(v->destination_port) };

	memcpy(p.source.byte, v->source, 4);
	memcpy(p.destination.byte, v->destination, 4);
	return p;
}

static void the_published_vectors(void **state)
{
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct packet p = packet_of(&vectors[i]);
		uint8_t in[40];
		size_t len = input(in, &p);

		assert_int_equal(steer_toeplitz(published_key, bytes_of(in, len)), vectors[i].with_ports);
		assert_int_equal(steer_toeplitz(published_key, bytes_of(in, 8)), vectors[i].without);
	}
}

static void the_published_vectors_of_ipv6(void **state)
{
	/* From 3ffe:2501:200:1fff::7, port 2794, to 3ffe:2501:200:3::1, port 1766. */
	static const uint8_t in[36] = { 0x3f, 0xfe, 0x25, 0x01, 0x02, 0x00, 0x1f, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x07, 0x3f, 0xfe, 0x25, 0x01,
		0x02, 0x00, 0x00, 0x03, 0, 0, 0, 0, 0, 0, 0, 0x01, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255 };

	assert_int_equal(steer_toeplitz(published_key, bytes_of(in, 36)), 0x40207d3d);
	assert_int_equal(steer_toeplitz(published_key, bytes_of(in, 32)), 0x2cc18cd5);
}

static struct packet random_packet(struct rng *r)
{
	struct packet p = { .ip_version = rng_below(r, 2) ? 6 : 4, .protocol = PACKET_TCP, .fragment = rng_below(r, 4) == 0 };

	for (int i = 0; i < (p.ip_version == 6 ? 16 : 4); i++) {
		p.source.byte[i] = (uint8_t)rng_below(r, 256);
		p.destination.byte[i] = (uint8_t)rng_below(r, 256);
	}
	p.source_port = (uint16_t)rng_below(r, 65536);
	p.destination_port = (uint16_t)rng_below(r, 65536);
	return p;
}

/* What a card computes with our key, bit by bit, is what we compute; and it is the same for the other direction. */
static void the_short_way_is_the_long_one(void **state)
{
	struct rng r = rng_seeded(7);
	uint8_t key[STEER_KEY_BYTES_MAX], in[40];

	steer_key(key, sizeof key);
	for (int i = 0; i < 10000; i++) {
		struct packet p = random_packet(&r), back = p;

		back.source = p.destination;
		back.destination = p.source;
		back.source_port = p.destination_port;
		back.destination_port = p.source_port;
		assert_int_equal(steer_hash(&p), steer_toeplitz(key, bytes_of(in, input(in, &p))));
		assert_int_equal(steer_hash(&p), steer_hash(&back));
	}
}

/* Clients with ports in a row, as one host's: every worker gets its share. */
static void ports_in_a_row_are_spread(void **state)
{
	struct packet p = packet_of(&vectors[0]);

	for (unsigned workers = 1; workers <= 16; workers++) {
		unsigned count[16] = { 0 };

		for (unsigned port = 32768; port < 32768 + 4096; port++) {
			unsigned owner = 99;

			p.source_port = htobe16((uint16_t)port);
			assert_true(steer_owner(&p, workers, &owner));
			assert_true(owner < workers);
			count[owner]++;
		}
		for (unsigned w = 0; w < workers; w++)
			assert_in_range(count[w], 4096 / workers * 3 / 4 - 1, 4096 / workers * 3 / 2 + 1);
	}
}

/* Whose a packet is that is no plain TCP segment. */
static void who_owns_what(void **state)
{
	struct packet p = packet_of(&vectors[1]), first, later;
	unsigned a = 0, b = 1;

	first = later = p;
	first.fragment = first.fragment_first = later.fragment = true;
	later.source_port = later.destination_port = 0;
	assert_true(steer_owner(&first, 16, &a) && steer_owner(&later, 16, &b));
	assert_int_equal(a, b);
	p.protocol = PACKET_UDP;
	assert_false(steer_owner(&p, 16, &a));
	p.fragment = true;
	assert_true(steer_owner(&p, 16, &a));
	p.protocol = 47;
	assert_false(steer_owner(&p, 16, &a));
}

/* An error about a segment goes to the worker that has the flow, not to where the router's own address would lead. */
static void an_icmp_error_follows_the_flow(void **state)
{
	uint8_t frame[14 + 20 + 8 + 28] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 56, 0, 0, 0, 0, 64, 1, 0, 0, 10, 9, 9, 9, 10, 0, 0, 2,
		3, 4, 0, 0, 0, 0, 5, 0x78, 0x45, 0, 5, 0xdc, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 10, 0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1 };
	uint16_t sum = (uint16_t)~packet_sum_fold(packet_sum(0, frame + 34, 36));
	struct packet p, flow = { .ip_version = 4, .protocol = PACKET_TCP, .source_port = htobe16(40000), .destination_port = htobe16(5432),
				  .source.byte = { 10, 0, 0, 2 }, .destination.byte = { 10, 0, 0, 10 } };

	memcpy(frame + 36, &sum, 2);
	assert_int_equal(packet_parse(bytes_of(frame, sizeof frame), &p), ERROR_none);
	for (unsigned workers = 1; workers <= 16; workers++) {
		unsigned of_error = 99, of_flow = 98;

		assert_true(steer_owner(&p, workers, &of_error) && steer_owner(&flow, workers, &of_flow));
		assert_int_equal(of_error, of_flow);
	}
	frame[34] = 8; /* an echo is nobody's */
	assert_int_equal(packet_parse(bytes_of(frame, sizeof frame), &p), ERROR_none);
	assert_false(steer_owner(&p, 4, &(unsigned){ 0 }));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_vectors),
		cmocka_unit_test(the_published_vectors_of_ipv6),
		cmocka_unit_test(the_short_way_is_the_long_one),
		cmocka_unit_test(ports_in_a_row_are_spread),
		cmocka_unit_test(who_owns_what),
		cmocka_unit_test(an_icmp_error_follows_the_flow),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
