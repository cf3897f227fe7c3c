#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/fragment.h"

static struct packet_fragments *t;
static struct packet_whole whole;
static uint64_t now_us;
static uint8_t content[4096];

static int fresh(void **state)
{
	if (!t)
		t = malloc(packet_fragments_bytes());
	packet_fragments_init(t);
	now_us = 1000000;
	for (unsigned i = 0; i < sizeof(content); i++)
		content[i] = (uint8_t)(i * 7 + i / 256);
	return 0;
}

static int last(void **state)
{
	free(t);
	t = NULL;
	return 0;
}

/* A fragment of the datagram `id` whose payload is content[offset, offset + len), xor `other`. */
static enum packet_fragment_status add(uint8_t version, uint16_t id, unsigned offset, unsigned len, bool more, uint8_t other)
{
	static uint8_t frame[2048];
	size_t ip = version == 6 ? 48 : 20;
	struct packet p;

	memset(frame, 0, 14 + ip);
	memcpy(frame + 12, version == 6 ? "\x86\xdd" : "\x08\0", 2);
	if (version == 6) {
		memcpy(frame + 14, "\x60\0\0\0\0\0\x2c\x40", 8);
		frame[14 + 4] = (uint8_t)((len + 8) >> 8);
		frame[14 + 5] = (uint8_t)(len + 8);
		frame[14 + 40] = PACKET_TCP;
		frame[14 + 42] = (uint8_t)(offset >> 8);
		frame[14 + 43] = (uint8_t)((offset & 0xf8) | more);
		frame[14 + 47] = (uint8_t)id;
	} else {
		frame[14] = 0x45;
		frame[16] = (uint8_t)((len + 20) >> 8);
		frame[17] = (uint8_t)(len + 20);
		frame[19] = (uint8_t)id;
		frame[20] = (uint8_t)(more << 5 | offset >> 11);
		frame[21] = (uint8_t)(offset >> 3);
		frame[22] = 64;
		frame[23] = PACKET_TCP;
	}
	for (unsigned i = 0; i < len; i++)
		frame[14 + ip + i] = content[offset + i] ^ other;
	assert_int_equal(packet_parse(bytes_of(frame, 14 + ip + len), &p), ERROR_none);
	assert_true(p.fragment);
	return packet_fragments_add(t, &p, now_us, &whole);
}

static void is_whole(uint8_t version, size_t len)
{
	struct packet p;

	assert_int_equal(packet_parse(whole.frame, &p), ERROR_none);
	assert_false(p.fragment);
	assert_int_equal(p.ip_version, version);
	assert_int_equal(p.protocol, PACKET_TCP);
	assert_int_equal(p.frame.len - p.l4_offset, len);
	assert_memory_equal(p.frame.base + p.l4_offset, content, len);
	if (version == 4)
		assert_int_equal(packet_sum_fold(packet_sum(0, p.frame.base + 14, 20)), 0xffff);
}

/*   0      800     1600   2000
 *   |  1   |   2   |  3  |        in every order
 */
static void in_any_order(void **state)
{
	static const unsigned orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };

	for (uint8_t version = 4; version <= 6; version += 2) {
		for (unsigned o = 0; o < 6; o++) {
			for (unsigned i = 0; i < 3; i++) {
				unsigned n = orders[o][i];
				enum packet_fragment_status got = add(version, (uint16_t)o, n * 800, n == 2 ? 400 : 800, n != 2, 0);

				assert_int_equal(got, i == 2 ? PACKET_FRAGMENT_WHOLE : PACKET_FRAGMENT_HELD);
			}
			is_whole(version, 2000);
			assert_int_equal(whole.pieces, 3);
		}
	}
	assert_int_equal(packet_fragments_waiting(t, now_us), 0);
}

static void overlap_ends_the_datagram(void **state)
{
	static const struct {
		unsigned offset, len;
		bool more;
		uint8_t other;
	} rows[] = {
		{ 400, 800, true, 0 },   /* over the end of the first, same content */
		{ 0, 800, true, 1 },     /* the same place, other content */
		{ 8, 8, true, 0 },       /* inside */
		{ 0, 1600, true, 0 },    /* around */
		{ 792, 16, false, 0 },
		{ 400, 8, false, 0 },    /* the end inside of what is there */
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		(void)fresh(NULL);
		assert_int_equal(add(4, 1, 0, 800, true, 0), PACKET_FRAGMENT_HELD);
		assert_int_equal(add(4, 1, rows[i].offset, rows[i].len, rows[i].more, rows[i].other), PACKET_FRAGMENT_BAD);
		/* and what would have made it whole comes too late */
		assert_int_equal(add(4, 1, 800, 400, false, 0), PACKET_FRAGMENT_BAD);
	}
}

static void an_exact_copy_is_ignored(void **state)
{
	assert_int_equal(add(6, 1, 0, 800, true, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(6, 1, 0, 800, true, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(6, 1, 800, 400, false, 0), PACKET_FRAGMENT_WHOLE);
	is_whole(6, 1200);
}

static void sizes_that_cannot_be(void **state)
{
	assert_int_equal(add(4, 1, 0, 801, true, 0), PACKET_FRAGMENT_BAD);   /* not the last, no multiple of eight */
	assert_int_equal(add(4, 2, 0, 0, true, 0), PACKET_FRAGMENT_BAD);     /* nothing in it */
	assert_int_equal(add(4, 3, 800, 400, false, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(4, 3, 1600, 400, false, 0), PACKET_FRAGMENT_BAD); /* two ends */
	assert_int_equal(add(4, 4, 800, 400, false, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(4, 4, 1600, 400, true, 0), PACKET_FRAGMENT_BAD);  /* behind the end */
}

static void datagrams_do_not_mix(void **state)
{
	assert_int_equal(add(4, 1, 0, 800, true, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(4, 2, 800, 400, false, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(6, 1, 800, 400, false, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(packet_fragments_waiting(t, now_us), 3);
	assert_int_equal(add(4, 1, 800, 400, false, 0), PACKET_FRAGMENT_WHOLE);
	is_whole(4, 1200);
}

static void the_cap_holds_and_time_empties_it(void **state)
{
	for (unsigned i = 0; i < PACKET_DATAGRAMS_MAX; i++)
		assert_int_equal(add(4, (uint16_t)i, 0, 8, true, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(4, 200, 0, 8, true, 0), PACKET_FRAGMENT_FULL);
	now_us += PACKET_FRAGMENT_WAIT_US + 1;
	assert_int_equal(add(4, 200, 0, 8, true, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(packet_fragments_waiting(t, now_us), 1);
	/* what came before the time was up does not count any more */
	assert_int_equal(add(4, 1, 8, 8, false, 0), PACKET_FRAGMENT_HELD);
	(void)fresh(NULL);
	for (unsigned i = 0; i < PACKET_PIECES_MAX; i++)
		assert_int_equal(add(4, 1, i * 8, 8, true, 0), PACKET_FRAGMENT_HELD);
	assert_int_equal(add(4, 1, PACKET_PIECES_MAX * 8, 8, true, 0), PACKET_FRAGMENT_FULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_any_order, fresh),
		cmocka_unit_test_setup(overlap_ends_the_datagram, fresh),
		cmocka_unit_test_setup(an_exact_copy_is_ignored, fresh),
		cmocka_unit_test_setup(sizes_that_cannot_be, fresh),
		cmocka_unit_test_setup(datagrams_do_not_mix, fresh),
		cmocka_unit_test_setup(the_cap_holds_and_time_empties_it, fresh),
	};

	return cmocka_run_group_tests_name("fragments", tests, NULL, last);
}
