/* Whose place a new flow takes in a full table (dataplane/relay/room.c): the real conductor with 64 places, and raw segments of clients
 * that differ by their port. */
#include "tests/simulate/hand_frames.h"

#include "dataplane/relay/conductor.h"

#include <stdlib.h>
#include <string.h>

#define PLACES 64

/* The client ends, then the server. */
static void end_one(unsigned number)
{
	give(number, 0, TCP_FIN | TCP_ACK, CLIENT, SERVER, NULL);
	give(number, 1, TCP_FIN | TCP_ACK, SERVER, CLIENT + 1, NULL);
	give(number, 0, TCP_ACK, CLIENT + 1, SERVER + 1, NULL);
}

/* Connections that are opened and ended; control has time to record the first, and opaque ones to be handed over, between the two. */
static void come_and_go(unsigned first, unsigned count)
{
	for (unsigned i = first; i < first + count; i++)
		open_one(i);
	stage_settle(stage);
	for (unsigned i = first; i < first + count; i++)
		end_one(i);
}

static uint64_t dropped(enum error why)
{
	return relay_counters(stage->relay)->drop[why];
}

static uint64_t opening(void)
{
	struct page_worker page = { 0 };

	relay_publish(stage->relay, &page, stage->now_us);
	return page.flows_opening;
}

/* Connection 0 is open, all other places are in TIME-WAIT. */
static void fill(void)
{
	stage->fuzzed = true; /* the records of many flows: each has a counter of its own */
	open_one(0);
	come_and_go(1, PLACES - 1);
	assert_int_equal(relay_flows_open(stage->relay), PLACES);
	assert_int_equal(stage->opens, PLACES);
}

/* What the client of connection 0 says arrives at the server, by the relay's hand or as it came. */
static void connection_0_works(void)
{
	enum relay_route route = give(0, 0, TCP_ACK | TCP_PSH, CLIENT, SERVER, "hello");

	assert_true(route == RELAY_BRIDGE || (said(1).payload_bytes == 5 && said(1).seq == CLIENT));
}

static void ended_connections_give_way_to_new_ones(void **state)
{
	fill();
	for (unsigned first = PLACES; first < 20 * PLACES; first += 32) {
		come_and_go(first, 32);
		assert_true(relay_flows_open(stage->relay) <= PLACES);
	}
	stage_settle(stage);
	assert_int_equal(stage->opens, 20 * PLACES);
	assert_int_equal(stage->closes, 20 * PLACES - 1);
	assert_int_equal(dropped(ERROR_flow_table_full), 0);
	assert_int_equal(dropped(ERROR_opening_shed), 0);
	assert_int_equal(dropped(ERROR_waiting_shed), 19 * PLACES);
	connection_0_works();
}

/* Not one that is open gives way, and with none that could, a SYN is refused. */
static void open_connections_do_not_give_way(void **state)
{
	stage->fuzzed = true;
	for (unsigned i = 0; i < PLACES; i++)
		open_one(i);
	stage_settle(stage);
	give(PLACES, 0, TCP_SYN, CLIENT - 1, 0, NULL);
	assert_int_equal(dropped(ERROR_flow_table_full), 1);
	assert_int_equal(dropped(ERROR_waiting_shed), 0);
	assert_int_equal(said(1).flags, 0);
	connection_0_works();
}

static void the_oldest_gives_way_and_the_next_does_not(void **state)
{
	fill();
	open_one(PLACES);
	give(2, 1, TCP_FIN | TCP_ACK, SERVER, CLIENT + 1, NULL); /* its acknowledgement was lost */
	assert_int_equal(said(1).flags, TCP_ACK);
	assert_int_equal(said(1).ack, SERVER + 1);
	give(1, 1, TCP_FIN | TCP_ACK, SERVER, CLIENT + 1, NULL);
	assert_int_equal(said(1).flags, TCP_RST);
	assert_int_equal(said(1).seq, CLIENT + 1); /* exactly what its sender waits for (RFC 5961 3.2) */
	assert_int_equal(said(0).flags, 0);
}

/* Nothing of a connection whose place was taken is passed on. */
static void late_segments_of_it_go_nowhere(void **state)
{
	static const struct {
		unsigned from;
		uint8_t flags;
		uint32_t seq, ack;
		const char *text;
	} rows[] = {
		{ 0, TCP_ACK | TCP_PSH, CLIENT, SERVER, "late" },
		{ 1, TCP_ACK | TCP_PSH, SERVER, CLIENT, "late" },
		{ 0, TCP_FIN | TCP_ACK, CLIENT, SERVER, NULL },
		{ 0, TCP_ACK, CLIENT + 1, SERVER + 1, NULL },
		{ 1, TCP_SYN | TCP_ACK, SERVER - 1, CLIENT, NULL },
		{ 0, TCP_RST, CLIENT + 1, 0, NULL },
		{ 1, TCP_RST | TCP_ACK, SERVER + 1, CLIENT + 1, NULL },
	};

	fill();
	open_one(PLACES);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(give(1, rows[i].from, rows[i].flags, rows[i].seq, rows[i].ack, rows[i].text), RELAY_DROPPED);
		assert_int_equal(said(!rows[i].from).flags, 0);
		assert_int_equal(said(rows[i].from).flags & ~TCP_ACK, rows[i].flags & TCP_RST ? 0 : TCP_RST);
	}
	assert_int_equal(relay_flows_open(stage->relay), PLACES);
}

/* The same 4-tuple again, whether its last life still has its place or not. */
static void the_4_tuple_may_be_used_again(void **state)
{
	fill();
	open_one(PLACES);
	for (unsigned number = 1; number <= 2; number++) {
		assert_int_equal(give(number, 0, TCP_SYN, CLIENT + 5000, 0, NULL), RELAY_TAKEN);
		assert_int_equal(said(1).flags, TCP_SYN);
		assert_int_equal(said(1).seq, CLIENT + 5000);
	}
	give(1, 1, TCP_ACK | TCP_PSH, SERVER, CLIENT, "late"); /* of its last life: not what the SYN waits for */
	assert_int_equal(said(0).payload_bytes, 0);
	give(1, 1, TCP_SYN | TCP_ACK, SERVER + 70000, CLIENT + 5001, NULL);
	assert_int_equal(said(0).flags, TCP_SYN | TCP_ACK);
}

/* SYNs that are never completed take the places of what is over up to half of the table, then their own. */
static void a_flood_sheds_itself(void **state)
{
	fill();
	for (unsigned i = 0; i < 5000; i++) {
		give_only(1000 + i, 0, TCP_SYN, CLIENT - 1, 0, NULL);
		if (i % 32 == 0) /* so many in one turn */
			turn();
	}
	assert_true(dropped(ERROR_syn_shed) > 1000);
	assert_true(dropped(ERROR_opening_shed) > 1000);
	assert_int_equal(dropped(ERROR_flow_table_full), 0);
	assert_int_equal(opening(), PLACES / 2);
	assert_int_equal(relay_flows_open(stage->relay), PLACES);
	give(PLACES - 1, 1, TCP_FIN | TCP_ACK, SERVER, CLIENT + 1, NULL); /* the youngest TIME-WAIT is there still */
	assert_int_equal(said(1).flags, TCP_ACK);
	connection_0_works();
	open_one(20000); /* and a real client gets through */
	give(20000, 0, TCP_ACK | TCP_PSH, CLIENT, SERVER, "hello");
	stage_settle(stage);
	assert_int_equal(stage->opens, PLACES + 1);
}

/* Control falls behind: many flows wait for their records, the oldest for long. Who comes then is not opened, and may be once control has
 * caught up. */
static void overtake(unsigned count, uint64_t wait_us)
{
	stage->answer_durable = false;
	stage->fuzzed = true;
	for (unsigned i = 0; i < count; i++)
		open_one(i);
	stage->now_us = 1000000 + wait_us - 1000;
	assert_int_equal(give(count, 0, TCP_SYN, CLIENT - 1, 0, NULL), RELAY_TAKEN); /* not yet for long */
	stage->now_us += 2000;
	assert_int_equal(give(count + 1, 0, TCP_SYN, CLIENT - 1, 0, NULL), RELAY_DROPPED);
	assert_int_equal(dropped(ERROR_record_shed), 1);
	assert_int_equal(said(1).flags, 0);
	stage->answer_durable = true;
	stage_settle(stage);
	assert_int_equal(give(count + 1, 0, TCP_SYN, CLIENT - 1, 0, NULL), RELAY_TAKEN);
	assert_int_equal(dropped(ERROR_record_shed), 1);
	connection_0_works();
}

static void who_would_only_wait_is_not_opened(void **state)
{
	overtake(RELAY_BEHIND_MANY, RELAY_BEHIND_SOON_US);
}

static void nor_who_would_wait_for_long(void **state)
{
	overtake(RELAY_BEHIND_FEW, RELAY_BEHIND_LATE_US);
}

/* Few that wait are no reason, however long: a disk may stall. */
static void a_few_that_wait_keep_nobody_out(void **state)
{
	stage->answer_durable = false;
	for (unsigned i = 0; i < 8; i++)
		open_one(i);
	stage->now_us += 2 * RELAY_BEHIND_LATE_US;
	assert_int_equal(give(8, 0, TCP_SYN, CLIENT - 1, 0, NULL), RELAY_TAKEN);
	assert_int_equal(dropped(ERROR_record_shed), 0);
}

/* The ring fills up: SYNs are shed while there is still room for the begin and the end of every flow under way, so that each of them is
 * opened, used and ended on record. */
static void a_full_ring_sheds_before_anything_is_begun(void **state)
{
	uint64_t before;
	unsigned opened = 0;

	stage->audit = POLICY_AUDIT_PROMPT; /* the records are not waited for */
	stage_write_image(stage);
	stage->fuzzed = true;
	while (opened < 20000 && give(opened, 0, TCP_SYN, CLIENT - 1, 0, NULL) == RELAY_TAKEN) {
		give(opened, 1, TCP_SYN | TCP_ACK, SERVER - 1, CLIENT, NULL);
		give(opened, 0, TCP_ACK, CLIENT, SERVER, NULL);
		assert_int_equal(said(1).flags, TCP_ACK); /* and no RST */
		end_one(opened++);
	}
	before = dropped(ERROR_memory_shed);
	assert_true(opened > 100 && opened < 20000);
	assert_int_equal(dropped(ERROR_record_shed), 1);
	assert_int_equal(before, 0);
	assert_int_equal(dropped(ERROR_ring_message_bad), 0);
}

static int terminated(void **state)
{
	stage_terminated = true;
	return stage_open(state);
}

static int many(void **state)
{
	stage_flows_max = 4 * RELAY_BEHIND_MANY;
	return terminated(state);
}

/* Room for some hundred short connections is left in the ring, and what is kept for those that are under way. */
static int crammed(void **state)
{
	stage_ring_used = LIMIT_RING_UP_BYTES - REPORT_RESERVE_BYTES - (64u << 10);
	return terminated(state);
}

static int close_as_before(void **state)
{
	stage_flows_max = PLACES;
	stage_ring_used = 0;
	return stage_close(state);
}

static int spliced(void **state)
{
	stage_terminated = false;
	return stage_open(state);
}

#define BOTH(f) { #f " (terminated)", f, terminated, stage_close, NULL }, { #f " (spliced)", f, spliced, stage_close, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(ended_connections_give_way_to_new_ones), BOTH(open_connections_do_not_give_way), BOTH(the_oldest_gives_way_and_the_next_does_not),
		BOTH(late_segments_of_it_go_nowhere), BOTH(the_4_tuple_may_be_used_again), BOTH(a_flood_sheds_itself),
		cmocka_unit_test_setup_teardown(who_would_only_wait_is_not_opened, many, close_as_before),
		cmocka_unit_test_setup_teardown(nor_who_would_wait_for_long, many, close_as_before),
		cmocka_unit_test_setup_teardown(a_few_that_wait_keep_nobody_out, many, close_as_before),
		cmocka_unit_test_setup_teardown(a_full_ring_sheds_before_anything_is_begun, crammed, close_as_before),
	};

	stage_opaque = true;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
