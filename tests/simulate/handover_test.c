/* The hand-over of a pair to forwarding (dataplane/tcp/splice.h), number by number: with 1,000 bytes in flight towards the server that
 * nobody has acknowledged, and timestamp clocks that run differently. ISNs: client 1000, server 9000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/simulate/pair_stage.h"

#define R 2001u /* behind the bytes in flight */

static void input(unsigned side, struct tcp_segment s)
{
	(void)tcp_pair_input(&stage.pair, side, &s, stage.now_us);
	stage.now_us += 1000;
	output();
}

static int open_pair(void **state)
{
	open_stage(opening(stamped(TCP_SYN, 1000, 0, 0, 100, 0)));
	input(TCP_SERVER, opening(stamped(TCP_SYN | TCP_ACK, 9000, 1001, 0, 500000, 100)));
	input(TCP_CLIENT, stamped(TCP_ACK, 1001, 9001, 0, 101, 500000));
	input(TCP_CLIENT, stamped(TCP_ACK | TCP_PSH, 1001, 9001, 1000, 101, 500000));
	assert_int_equal(tcp_move(&stage.pair.half[0], &stage.pair.half[1], 5000), 1000);
	output();
	return 0;
}

static void hand_over(void)
{
	assert_true(tcp_splice_ready(&stage.pair));
	(void)tcp_splice_begin(&stage.splice, &stage.pair, stage.now_us);
	assert_true(stage.splice.side[TCP_SERVER].draining);
	assert_false(stage.splice.side[TCP_CLIENT].draining);
	stage.count[0] = stage.count[1] = 0;
}

static unsigned take(unsigned side, struct tcp_segment *s)
{
	stage.now_us += 1000;
	return tcp_splice_input(&stage.splice, &stage.pair, side, s, stage.now_us);
}

/* client's numbers   1001 ------ R=2001 ------ 2501
 *                     ours, in flight | its own
 * The server has 2001..2500, and of ours nothing yet. */
static void the_client_is_told_r_and_nothing_below(void **state)
{
	struct tcp_segment s;

	hand_over();
	s = stamped(TCP_ACK, 2001, 9001, 500, 102, 500000);
	assert_int_equal(take(TCP_CLIENT, &s), TCP_SPLICE_FORWARD);
	s = stamped(TCP_ACK, 9001, 1001, 0, 600000, 101);
	s.options.sack_count = 1;
	s.options.sack[0] = (struct tcp_sack_block){ 2001, 2501 };
	assert_int_equal(take(TCP_SERVER, &s), 0); /* about our bytes only */
	s = stamped(TCP_ACK, 9001, 1001, 10, 600001, 101);
	s.options.sack_count = 1;
	s.options.sack[0] = (struct tcp_sack_block){ 2001, 2501 };
	assert_int_equal(take(TCP_SERVER, &s), TCP_SPLICE_FORWARD | TCP_SPLICE_REBUILT);
	assert_int_equal(s.ack, R);
	assert_int_equal(s.window, 30000 - 1000); /* the edge stays where the server has it */
	assert_int_equal(s.options.sack_count, 0);
	/* The client has not heard R: it is told. */
	s = stamped(TCP_ACK, 1001, 9011, 1000, 103, 500001);
	assert_int_equal(take(TCP_CLIENT, &s), TCP_SPLICE_FORWARD | TCP_SPLICE_ANSWER);
	tcp_splice_ack(&stage.splice, &stage.pair, TCP_CLIENT, &s);
	assert_int_equal(s.ack, R);
	assert_int_equal(s.seq, 9011);
	/* The server has it all. */
	s = stamped(TCP_ACK, 9011, 2501, 0, 600002, 102);
	assert_int_equal(take(TCP_SERVER, &s), TCP_SPLICE_FORWARD | TCP_SPLICE_DRAINED);
	assert_int_equal(tcp_pool_used(&stage.pool), 0);
	assert_int_equal(stage.splice.side[TCP_CLIENT].octets, 500);
	assert_int_equal(stage.splice.side[TCP_SERVER].octets, 10);
}

/* What was lost of ours is ours to send again, with a TSval that is never later than the client's own. */
static void what_is_ours_is_repeated(void **state)
{
	struct tcp_segment s;
	unsigned events[2];
	bool again = false;

	hand_over();
	for (int i = 0; i < 50; i++) {
		stage.now_us += 100000;
		tcp_splice_sync(&stage.splice, &stage.pair, stage.now_us);
		tcp_pair_timer(&stage.pair, stage.now_us, events);
		output();
	}
	for (unsigned i = 0; i < stage.count[TCP_SERVER]; i++) {
		again |= stage.sent[TCP_SERVER][i].seq == 1001 && stage.sent[TCP_SERVER][i].payload_bytes == 1000;
		assert_true(stage.sent[TCP_SERVER][i].options.ts_value <= 101 + stage.splice.side[TCP_CLIENT].ts_shift);
	}
	assert_true(again);
	assert_int_equal(stage.count[TCP_CLIENT], 0);
	s = stamped(TCP_ACK, 9001, R, 0, 600000, 101);
	assert_int_equal(take(TCP_SERVER, &s), TCP_SPLICE_FORWARD | TCP_SPLICE_DRAINED);
}

/* The server's clock is far ahead of ours: what it sends next must not look old to the client, nor the client's echo new to it. */
static void timestamps_run_on(void **state)
{
	uint32_t last = stage.sent[TCP_CLIENT][stage.count[TCP_CLIENT] - 1].options.ts_value;
	struct packet_shift by;
	struct tcp_segment s;

	s = stamped(TCP_ACK, 9001, R, 0, 500001, 101);
	stage.now_us += 60000000; /* our clock went on, its did not */
	input(TCP_SERVER, s);
	assert_true(tcp_splice_ready(&stage.pair));
	(void)tcp_splice_begin(&stage.splice, &stage.pair, stage.now_us);
	by = tcp_splice_shift(&stage.splice, TCP_SERVER);
	s = stamped(TCP_ACK, 9001, R, 5, 500002, 101);
	assert_int_equal(take(TCP_SERVER, &s), TCP_SPLICE_FORWARD);
	packet_shift_segment(&s, &by);
	assert_true((int32_t)(s.options.ts_value - last) >= 60000);
	by = tcp_splice_shift(&stage.splice, TCP_CLIENT);
	s = stamped(TCP_ACK, 2001, 9006, 0, 102, s.options.ts_value);
	packet_shift_segment(&s, &by);
	assert_int_equal(s.options.ts_echo, 500002);
}

static void not_with_a_hole_nor_with_too_much_window(void **state)
{
	input(TCP_CLIENT, stamped(TCP_ACK, 2101, 9001, 100, 102, 500000));
	assert_false(tcp_splice_ready(&stage.pair)); /* 2001..2100 is missing */
	input(TCP_CLIENT, stamped(TCP_ACK, 2001, 9001, 100, 102, 500000));
	(void)tcp_move(&stage.pair.half[0], &stage.pair.half[1], 5000);
	output();
	assert_true(tcp_splice_ready(&stage.pair));
	stage.pair.half[TCP_CLIENT].receive.edge += 2000; /* more than the server gives */
	assert_false(tcp_splice_ready(&stage.pair));
}

/* What was read here and not moved on would be acknowledged, and nobody's to repeat. */
static void not_with_unread_bytes(void **state)
{
	assert_true(tcp_splice_ready(&stage.pair));
	input(TCP_CLIENT, stamped(TCP_ACK, R, 9001, 100, 102, 500000));
	assert_false(tcp_splice_ready(&stage.pair));
	assert_int_equal(tcp_move(&stage.pair.half[0], &stage.pair.half[1], 5000), 100);
	assert_false(tcp_splice_ready(&stage.pair)); /* nor sent */
	output();
	assert_true(tcp_splice_ready(&stage.pair));
}

/* Sent on, and not acknowledged by anybody: a RST goes behind it. */
static void a_reset_goes_behind_what_was_sent_on(void **state)
{
	struct tcp_segment s;

	hand_over();
	s = stamped(TCP_ACK, 2001, 9001, 500, 102, 500000);
	(void)take(TCP_CLIENT, &s);
	s = stamped(TCP_ACK, 9001, 1001, 70, 600000, 101);
	(void)take(TCP_SERVER, &s);
	tcp_splice_abort(&stage.splice, &stage.pair, stage.now_us);
	output();
	assert_int_equal(stage.sent[TCP_SERVER][stage.count[TCP_SERVER] - 1].flags & TCP_RST, TCP_RST);
	assert_int_equal(stage.sent[TCP_SERVER][stage.count[TCP_SERVER] - 1].seq, 2501);
	assert_int_equal(stage.sent[TCP_CLIENT][stage.count[TCP_CLIENT] - 1].seq, 9071);
	assert_true(tcp_pair_done(&stage.pair));
}

/* The client is gone, with something under way to it that it never acknowledges. */
static void a_dead_peer_is_found_with_data_under_way(void **state)
{
	struct tcp_segment s;
	unsigned events[2];

	hand_over();
	s = stamped(TCP_ACK, 9001, R, 70, 600000, 101);
	(void)take(TCP_SERVER, &s);
	for (int i = 0; i < 400 && !tcp_timed_out(&stage.pair.half[TCP_CLIENT]); i++) {
		stage.now_us += 1000000;
		stage.splice.side[TCP_SERVER].heard_at_us = stage.now_us;
		tcp_splice_sync(&stage.splice, &stage.pair, stage.now_us);
		tcp_pair_timer(&stage.pair, stage.now_us, events);
		output();
		stage.count[0] = stage.count[1] = 0;
	}
	assert_true(tcp_timed_out(&stage.pair.half[TCP_CLIENT]));
}

#define PAIRED(f) cmocka_unit_test_setup_teardown(f, open_pair, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIRED(the_client_is_told_r_and_nothing_below), PAIRED(what_is_ours_is_repeated), PAIRED(timestamps_run_on),
		PAIRED(not_with_a_hole_nor_with_too_much_window), PAIRED(not_with_unread_bytes), PAIRED(a_reset_goes_behind_what_was_sent_on),
		PAIRED(a_dead_peer_is_found_with_data_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
