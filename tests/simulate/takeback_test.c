/* A spliced pair that becomes two end points again (dataplane/tcp/takeback.c), number by number. ISNs: client 1000, server 9000; both
 * clocks of time stamps run at their own pace. The client has sent 1001..2000, which the server has acknowledged, and then, through the
 * spliced pair, 2001..2500, of which nobody has heard anything when the pair is taken back:
 *
 *   client's numbers   2001 = A ------------- 2501 = F
 *                        | was sent on         | comes to us only
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/simulate/pair_stage.h"

#define A 2001u
#define F 2501u

static struct tcp_half *const client = &stage.pair.half[TCP_CLIENT], *const server = &stage.pair.half[TCP_SERVER];

static struct tcp_segment segment(uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
	return stamped(flags, seq, ack, len, (uint32_t)(stage.now_us / 1000) + (seq < 9000 ? 100 : 500000), 1);
}

/* A segment of the client's, or of the server's; then everything that follows, with all bytes moved. */
static void input(unsigned side, struct tcp_segment s)
{
	(void)tcp_pair_input(&stage.pair, side, &s, stage.now_us);
	stage.now_us += 1000;
	for (unsigned from = 0; from < 2; from++) {
		(void)tcp_move(&stage.pair.half[from], &stage.pair.half[!from], 50000);
		if (tcp_read_closed(&stage.pair.half[from]))
			tcp_send_close(&stage.pair.half[!from]);
		if (tcp_was_reset(&stage.pair.half[from]))
			tcp_pair_abort_behind(&stage.pair, !from, stage.now_us);
	}
	output();
}

static unsigned pass(unsigned side, struct tcp_segment s)
{
	stage.now_us += 1000;
	return tcp_splice_input(&stage.splice, &stage.pair, side, &s, stage.now_us);
}

static struct tcp_segment *last(unsigned side)
{
	assert_true(stage.count[side] > 0);
	return &stage.sent[side][stage.count[side] - 1];
}

static int open_spliced(void **state)
{
	stage.now_us = 1000000; /* the SYN's time stamp is of the pair's time */
	open_stage(opening(segment(TCP_SYN, 1000, 0, 0)));
	input(TCP_SERVER, opening(segment(TCP_SYN | TCP_ACK, 9000, 1001, 0)));
	input(TCP_CLIENT, segment(TCP_ACK, 1001, 9001, 0));
	input(TCP_CLIENT, segment(TCP_ACK | TCP_PSH, 1001, 9001, 1000));
	input(TCP_SERVER, segment(TCP_ACK, 9001, A, 0));
	assert_true(tcp_splice_ready(&stage.pair));
	(void)tcp_splice_begin(&stage.splice, &stage.pair, stage.now_us);
	assert_int_equal(pass(TCP_CLIENT, segment(TCP_ACK, A, 9001, 500)), TCP_SPLICE_FORWARD);
	return 0;
}

static void take_back(void)
{
	tcp_splice_take_back(&stage.splice, &stage.pair, stage.now_us);
	assert_false(stage.splice.on);
	stage.count[0] = stage.count[1] = 0;
	output();
	assert_int_equal(last(TCP_CLIENT)->ack, A);
	assert_int_equal(last(TCP_SERVER)->ack, 9001);
	assert_int_equal(last(TCP_SERVER)->payload_bytes, 0);
}

/* From here on it is a pair like any other. */
static void goes_on(uint32_t seq, uint32_t ack)
{
	input(TCP_CLIENT, segment(TCP_ACK | TCP_PSH, seq, ack, 10));
	assert_int_equal(last(TCP_SERVER)->seq, seq);
	assert_int_equal(last(TCP_SERVER)->payload_bytes, 10);
	input(TCP_SERVER, segment(TCP_ACK | TCP_PSH, ack, seq + 10, 20));
	assert_int_equal(last(TCP_CLIENT)->seq, ack);
	assert_int_equal(last(TCP_CLIENT)->ack, seq + 10);
	input(TCP_CLIENT, segment(TCP_ACK, seq + 10, ack + 20, 0));
	assert_int_equal(tcp_pool_used(&stage.pool), 0);
	assert_false(client->returning || server->returning);
	assert_true(tcp_splice_ready(&stage.pair));
}

static void what_was_sent_on_is_acknowledged(void **state)
{
	take_back();
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0));
	assert_int_equal(last(TCP_CLIENT)->ack, F);
	assert_int_equal(tcp_readable_bytes(client), 0);
	goes_on(F, 9001);
}

static void what_was_sent_on_is_repeated(void **state)
{
	take_back();
	input(TCP_CLIENT, segment(TCP_ACK, A, 9001, 500));
	assert_int_equal(last(TCP_SERVER)->seq, A);
	assert_int_equal(last(TCP_SERVER)->payload_bytes, 500);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0));
	goes_on(F, 9001);
}

/* The server has it, and says so only when the half has begun to send it again. */
static void it_is_acknowledged_while_it_is_repeated(void **state)
{
	take_back();
	input(TCP_CLIENT, segment(TCP_ACK, A, 9001, 200));
	assert_int_equal(server->send.next, A + 200);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0));
	assert_int_equal(last(TCP_CLIENT)->ack, F);
	goes_on(F, 9001);
}

/* What comes beyond F is kept behind the hole, which is filled from both ends. */
static void the_hole_is_filled_by_both(void **state)
{
	take_back();
	input(TCP_CLIENT, segment(TCP_ACK, F, 9001, 100));
	assert_int_equal(last(TCP_CLIENT)->ack, A);
	assert_int_equal(last(TCP_CLIENT)->options.sack_count, 1);
	assert_int_equal(last(TCP_CLIENT)->options.sack[0].start, F);
	assert_int_equal(client->receive.held.bytes, 100);
	input(TCP_SERVER, segment(TCP_ACK, 9001, A + 300, 0));
	assert_int_equal(last(TCP_CLIENT)->ack, A + 300);
	input(TCP_CLIENT, segment(TCP_ACK, A + 300, 9001, 200));
	assert_int_equal(last(TCP_SERVER)->seq, A + 300);
	assert_int_equal(last(TCP_SERVER)->payload_bytes, 300);
	assert_int_equal(last(TCP_CLIENT)->ack, F + 100);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 100, 0));
	goes_on(F + 100, 9001);
}

/* What lies here unread, in order and behind a hole, is thrown away as far as the server has it. */
static void what_lies_here_is_skipped(void **state)
{
	struct tcp_segment s;

	take_back();
	s = segment(TCP_ACK, A, 9001, 100);
	(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	s = segment(TCP_ACK, A + 200, 9001, 400);
	(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	assert_int_equal(tcp_readable_bytes(client), 100);
	s = segment(TCP_ACK, 9001, F, 0);
	(void)tcp_pair_input(&stage.pair, TCP_SERVER, &s, stage.now_us);
	assert_int_equal(tcp_readable_bytes(client), 100); /* F..F+100 */
	assert_int_equal(client->receive.next, F + 100);
	assert_int_equal(tcp_splice_fresh(&stage.splice, &stage.pair, TCP_CLIENT, tcp_move(client, server, 5000)), 100);
	output();
	assert_int_equal(last(TCP_SERVER)->seq, F);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 100, 0));
	goes_on(F + 100, 9001);
}

static void each_octet_counts_once(void **state)
{
	struct tcp_segment s;

	assert_int_equal(stage.splice.side[TCP_CLIENT].octets, 500);
	take_back();
	s = segment(TCP_ACK, A, 9001, 450);
	(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	assert_int_equal(tcp_splice_fresh(&stage.splice, &stage.pair, TCP_CLIENT, tcp_move(client, server, 400)), 0);
	s = segment(TCP_ACK, A + 450, 9001, 90);
	(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	assert_int_equal(tcp_splice_fresh(&stage.splice, &stage.pair, TCP_CLIENT, tcp_move(client, server, 4000)), 40);
	s = segment(TCP_ACK, A + 540, 9001, 5);
	(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	assert_int_equal(tcp_splice_fresh(&stage.splice, &stage.pair, TCP_CLIENT, tcp_move(client, server, 4000)), 5);
}

static void nobody_has_what_was_never_sent(void **state)
{
	take_back();
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 1, 0));
	assert_int_equal(client->receive.next, A);
	assert_int_equal(server->send.una, A);
	input(TCP_CLIENT, segment(TCP_ACK, A, 9002, 0));
	assert_int_equal(client->send.una, 9001);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0));
	goes_on(F, 9001);
}

static void send_fin_on(void)
{
	assert_int_equal(pass(TCP_CLIENT, segment(TCP_ACK | TCP_FIN, F, 9001, 0)), TCP_SPLICE_FORWARD);
}

static void half_closed(void)
{
	assert_int_equal(client->state, TCP_CLOSE_WAIT);
	assert_int_equal(server->state, TCP_FIN_WAIT_2);
	assert_true(tcp_read_closed(client));
	input(TCP_SERVER, segment(TCP_ACK | TCP_PSH | TCP_FIN, 9001, F + 1, 30));
	assert_int_equal(last(TCP_CLIENT)->payload_bytes, 30);
	assert_int_equal(last(TCP_CLIENT)->flags & TCP_FIN, TCP_FIN);
	assert_int_equal(last(TCP_CLIENT)->ack, F + 1);
	input(TCP_CLIENT, segment(TCP_ACK, F + 1, 9032, 0));
	assert_int_equal(client->state, TCP_CLOSED);
	assert_int_equal(server->state, TCP_TIME_WAIT);
}

static void a_fin_that_was_sent_on_is_acknowledged(void **state)
{
	send_fin_on();
	take_back();
	assert_int_equal(client->state, TCP_ESTABLISHED);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 1, 0));
	assert_int_equal(last(TCP_CLIENT)->ack, F + 1);
	half_closed();
}

static void a_fin_that_was_sent_on_is_repeated(void **state)
{
	send_fin_on();
	take_back();
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0)); /* not the FIN */
	assert_int_equal(client->state, TCP_ESTABLISHED);
	input(TCP_CLIENT, segment(TCP_ACK | TCP_FIN, F, 9001, 0));
	assert_int_equal(last(TCP_SERVER)->flags & TCP_FIN, TCP_FIN);
	assert_int_equal(last(TCP_SERVER)->seq, F);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 1, 0));
	half_closed();
}

static void a_fin_was_acknowledged_before(void **state)
{
	send_fin_on();
	(void)pass(TCP_SERVER, segment(TCP_ACK, 9001, F + 1, 0));
	tcp_splice_take_back(&stage.splice, &stage.pair, stage.now_us);
	output();
	assert_int_equal(last(TCP_CLIENT)->ack, F + 1);
	half_closed();
}

/* Both FINs are under way: the one is acknowledged by its receiver, the other one comes again. */
static void two_fins(void **state)
{
	send_fin_on();
	(void)pass(TCP_SERVER, segment(TCP_ACK | TCP_FIN, 9001, A, 0));
	take_back();
	input(TCP_SERVER, segment(TCP_ACK | TCP_FIN, 9001, F + 1, 0));
	input(TCP_CLIENT, segment(TCP_ACK, F + 1, 9002, 0));
	assert_true(client->state == TCP_CLOSED || client->state == TCP_TIME_WAIT);
	assert_true(server->state == TCP_CLOSED || server->state == TCP_TIME_WAIT);
}

static void a_reset_is_right_at_two_numbers(uint32_t seq)
{
	take_back();
	input(TCP_CLIENT, segment(TCP_RST | TCP_ACK, seq, 9001, 0));
	assert_true(tcp_was_reset(client));
	assert_int_equal(last(TCP_SERVER)->flags & TCP_RST, TCP_RST);
	assert_int_equal(last(TCP_SERVER)->seq, F);
	assert_true(tcp_pair_done(&stage.pair));
}

static void a_reset_where_it_was_acknowledged(void **state) { a_reset_is_right_at_two_numbers(A); }
static void a_reset_behind_all_that_was_sent_on(void **state) { a_reset_is_right_at_two_numbers(F); }

static void a_reset_elsewhere_is_challenged(void **state)
{
	take_back();
	input(TCP_CLIENT, segment(TCP_RST | TCP_ACK, A + 100, 9001, 0));
	assert_false(tcp_was_reset(client));
	assert_int_equal(last(TCP_CLIENT)->ack, A);
}

static void an_abort_goes_behind_what_was_sent_on(void **state)
{
	take_back();
	tcp_pair_abort(&stage.pair, TCP_CLIENT);
	tcp_pair_abort(&stage.pair, TCP_SERVER);
	output();
	assert_int_equal(last(TCP_SERVER)->seq, F);
	assert_int_equal(last(TCP_CLIENT)->seq, 9001);
}

static void time_goes_on_for_both(void **state)
{
	uint32_t value[2] = { stage.splice.side[TCP_SERVER].ts_last + stage.splice.side[TCP_SERVER].ts_shift, stage.splice.side[TCP_CLIENT].ts_last + stage.splice.side[TCP_CLIENT].ts_shift };

	stage.now_us += 3000000; /* nobody said anything */
	take_back();
	for (unsigned side = 0; side < 2; side++) {
		assert_true((int32_t)(last(side)->options.ts_value - value[side]) >= 0);
		assert_int_equal(last(side)->options.ts_echo, stage.splice.side[side].ts_last);
	}
	stage.now_us += 1000000;
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0));
	assert_true((int32_t)(last(TCP_CLIENT)->options.ts_value - value[TCP_CLIENT]) >= 1000);
}

/* The server's window is closed: what the client repeats waits here, and the half asks. */
static void a_closed_window_is_probed(void **state)
{
	struct tcp_segment s = segment(TCP_ACK, 9001, A + 100, 0);
	unsigned events[2];

	s.window = 0;
	stage.splice.side[TCP_SERVER].edge = A + 100;
	(void)pass(TCP_SERVER, s);
	tcp_splice_take_back(&stage.splice, &stage.pair, stage.now_us);
	output();
	assert_true(last(TCP_CLIENT)->window >= 400);
	stage.count[0] = stage.count[1] = 0;
	input(TCP_CLIENT, segment(TCP_ACK, A + 100, 9001, 400));
	for (unsigned i = 0; i < stage.count[TCP_SERVER]; i++)
		assert_int_equal(stage.sent[TCP_SERVER][i].payload_bytes, 0);
	stage.now_us += 2000000;
	tcp_pair_timer(&stage.pair, stage.now_us, events);
	stage.count[TCP_SERVER] = 0;
	output();
	assert_int_equal(last(TCP_SERVER)->seq, A + 99);
	input(TCP_SERVER, segment(TCP_ACK, 9001, A + 100, 0));
	assert_int_equal(last(TCP_SERVER)->payload_bytes, 400);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F, 0));
	goes_on(F, 9001);
}

/* A FIN that was sent on and was none of the client's: there is a byte at its place, and what acknowledges that is no end. */
static void a_false_fin_that_was_sent_on_is_forgotten(void **state)
{
	struct tcp_segment s = segment(TCP_ACK, A, 9001, 600);

	send_fin_on();
	take_back();
	(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	s = segment(TCP_ACK, 9001, F + 1, 0);
	(void)tcp_pair_input(&stage.pair, TCP_SERVER, &s, stage.now_us);
	assert_int_equal(client->state, TCP_ESTABLISHED);
	assert_int_equal(tcp_readable_bytes(client), 99);
	assert_int_equal(tcp_move(client, server, 5000), 99);
	output();
	assert_int_equal(last(TCP_SERVER)->seq, F + 1);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 100, 0));
	goes_on(F + 100, 9001);
}

/* The same for one that comes afterwards, behind a hole: the server acknowledges more than it could end. */
static void a_false_fin_behind_the_hole_is_forgotten(void **state)
{
	assert_int_equal(pass(TCP_CLIENT, segment(TCP_ACK, F, 9001, 100)), TCP_SPLICE_FORWARD);
	take_back();
	input(TCP_CLIENT, segment(TCP_ACK | TCP_FIN, F, 9001, 0));
	assert_true(client->receive.fin_known);
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 100, 0));
	assert_false(client->receive.fin_known);
	goes_on(F + 100, 9001);
}

/* One of the server's from before, that was late: it says what has arrived by now, but no more how much there is room for. */
static void an_older_segment_sets_no_window(void **state)
{
	struct tcp_segment s;

	(void)pass(TCP_SERVER, segment(TCP_ACK, 9001, A, 10));
	(void)pass(TCP_CLIENT, segment(TCP_ACK, F, 9011, 0));
	tcp_splice_take_back(&stage.splice, &stage.pair, stage.now_us);
	output();
	s = segment(TCP_ACK, 9006, F, 10);
	s.window = 100;
	input(TCP_SERVER, s);
	assert_int_equal(server->send.una, F);
	assert_int_equal(server->send.una + server->send.window, A + 30000);
	assert_int_equal(last(TCP_CLIENT)->ack, F);
	goes_on(F, 9016);
}

/* Half a window ago is no number that nobody could know (RFC 5961 5). */
static void an_older_acknowledgement_is_taken_as_one(void **state)
{
	take_back();
	input(TCP_SERVER, segment(TCP_ACK, 9001, A - 900, 10));
	assert_int_equal(last(TCP_CLIENT)->seq, 9001);
	assert_int_equal(last(TCP_CLIENT)->payload_bytes, 10);
	input(TCP_SERVER, segment(TCP_ACK, 9011, F, 0));
	goes_on(F, 9011);
}

/* The window was the server's, 30,000 bytes; nobody reads, and the half has room for 4,096. */
static void no_more_is_taken_than_there_is_room_for(void **state)
{
	stage.config.receive_bytes_max = 4096;
	take_back();
	for (uint32_t seq = A; seq < A + 10000; seq += 1000) {
		struct tcp_segment s = segment(TCP_ACK, seq, 9001, 1000);

		(void)tcp_pair_input(&stage.pair, TCP_CLIENT, &s, stage.now_us);
	}
	assert_int_equal(tcp_readable_bytes(client), 5000);
	output();
	assert_int_equal(last(TCP_CLIENT)->ack, A + 5000);
	stage.config.receive_bytes_max = 256u << 10;
}

/* A FIN that counts as sent here was sent by the client, whenever that was. */
static void no_round_trip_is_told_from_what_was_skipped(void **state)
{
	send_fin_on();
	take_back();
	server->rtt.min_us = 5000;
	input(TCP_SERVER, segment(TCP_ACK, 9001, F + 1, 0));
	assert_true(server->rtt.min_us >= 5000);
	half_closed();
}

#define SPLICED(f) cmocka_unit_test_setup_teardown(f, open_spliced, close_stage)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPLICED(what_was_sent_on_is_acknowledged), SPLICED(what_was_sent_on_is_repeated), SPLICED(it_is_acknowledged_while_it_is_repeated),
		SPLICED(the_hole_is_filled_by_both), SPLICED(what_lies_here_is_skipped), SPLICED(each_octet_counts_once),
		SPLICED(nobody_has_what_was_never_sent), SPLICED(a_fin_that_was_sent_on_is_acknowledged), SPLICED(a_fin_that_was_sent_on_is_repeated),
		SPLICED(a_fin_was_acknowledged_before), SPLICED(two_fins), SPLICED(a_reset_where_it_was_acknowledged),
		SPLICED(a_reset_behind_all_that_was_sent_on), SPLICED(a_reset_elsewhere_is_challenged), SPLICED(an_abort_goes_behind_what_was_sent_on),
		SPLICED(time_goes_on_for_both), SPLICED(a_closed_window_is_probed), SPLICED(an_older_segment_sets_no_window),
		SPLICED(an_older_acknowledgement_is_taken_as_one), SPLICED(no_more_is_taken_than_there_is_room_for),
		SPLICED(no_round_trip_is_told_from_what_was_skipped), SPLICED(a_false_fin_that_was_sent_on_is_forgotten),
		SPLICED(a_false_fin_behind_the_hole_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
