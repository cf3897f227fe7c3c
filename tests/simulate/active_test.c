/* Flows at rest, and the records of those that are not (dataplane/relay/active.c): the real conductor with 64 places, records for eight of
 * them, and raw segments of clients that differ by their port. */
#include "tests/simulate/hand_frames.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS 8u
#define OPEN 40u

static uint64_t dropped(enum error why)
{
	return relay_counters(stage->relay)->drop[why];
}

/* So many are open, their begin is on record, and they are at rest. */
static void open_many(unsigned count)
{
	stage->fuzzed = true; /* the records of many flows: each has a counter of its own */
	for (unsigned i = 0; i < count; i++)
		open_one(i);
	stage_settle(stage);
	for (unsigned i = 0; i < 20; i++)
		turn();
	assert_int_equal(stage->opens, count);
}

/* The client says something; the server has it. */
static void arrives(unsigned number, uint32_t seq, const char *text)
{
	enum relay_route route = give(number, 0, TCP_ACK | TCP_PSH, seq, SERVER, text);

	assert_true(route == RELAY_BRIDGE || (said(1).payload_bytes == strlen(text) && said(1).seq == seq));
}

/* So many flows have something in flight that the server does not acknowledge. */
static void run_dry(void)
{
	open_many(OPEN);
	for (unsigned i = 0; i < RECORDS; i++)
		arrives(i, CLIENT, "hello");
	assert_int_equal(dropped(ERROR_active_short), 0);
}

static void many_at_rest_share_few_records(void **state)
{
	open_many(OPEN);
	for (uint32_t round = 0; round < 5; round++) {
		for (unsigned i = 0; i < OPEN; i++) {
			arrives(i, CLIENT + 5 * round, "hello");
			give(i, 1, TCP_ACK, SERVER, CLIENT + 5 * (round + 1), NULL);
		}
	}
	assert_int_equal(relay_flows_open(stage->relay), OPEN);
	assert_int_equal(dropped(ERROR_active_short), 0);
	assert_int_equal(dropped(ERROR_memory_shed), 0);
}

/* The frame is lost, as in a queue that is full: it is sent again and finds what became free. */
static void a_flow_that_finds_none_waits_for_one(void **state)
{
	run_dry();
	assert_int_equal(give(20, 0, TCP_ACK | TCP_PSH, CLIENT, SERVER, "again"), RELAY_DROPPED);
	assert_int_equal(dropped(ERROR_active_short), 1);
	assert_int_equal(said(1).flags, 0);
	for (unsigned i = 0; i < RECORDS; i++) /* nobody in flight lost what is his */
		arrives(i, CLIENT + 5, "more");
	give(3, 1, TCP_ACK, SERVER, CLIENT + 9, NULL);
	arrives(20, CLIENT, "again");
	give(20, 1, TCP_ACK, SERVER, CLIENT + 5, NULL);
	for (unsigned i = 0; i < RECORDS; i++)
		give(i, 1, TCP_ACK, SERVER, CLIENT + 9, NULL);
	for (unsigned i = 0; i < OPEN; i++)
		give(i, 0, TCP_ACK, CLIENT + (i < RECORDS ? 9 : i == 20 ? 5 : 0), SERVER, NULL);
	assert_int_equal(dropped(ERROR_active_short), 1);
}

/* The last ones are for flows that are open. */
static void a_new_flow_is_shed_first(void **state)
{
	open_many(OPEN);
	for (unsigned i = 0; i < RECORDS - 1; i++)
		arrives(i, CLIENT, "hello");
	assert_int_equal(give(OPEN, 0, TCP_SYN, CLIENT - 1, 0, NULL), RELAY_DROPPED);
	assert_int_equal(dropped(ERROR_memory_shed), 1);
	arrives(20, CLIENT, "hello");
	give(20, 1, TCP_ACK, SERVER, CLIENT + 5, NULL);
	give(0, 1, TCP_ACK, SERVER, CLIENT + 5, NULL);
	assert_int_equal(give(OPEN, 0, TCP_SYN, CLIENT - 1, 0, NULL), RELAY_TAKEN);
	assert_int_equal(said(1).flags, TCP_SYN);
}

/* Half-open flows have half of the records, and shed one another. */
static void a_flood_leaves_the_others_theirs(void **state)
{
	open_many(OPEN);
	for (unsigned i = 0; i < 1000; i++)
		give(1000 + i, 0, TCP_SYN, CLIENT - 1, 0, NULL);
	assert_true(dropped(ERROR_opening_shed) > 0);
	for (unsigned i = 0; i < RECORDS / 2; i++)
		arrives(i, CLIENT, "hello");
	assert_int_equal(dropped(ERROR_active_short), 0);
	assert_int_equal(give(20, 0, TCP_ACK | TCP_PSH, CLIENT, SERVER, "hello"), RELAY_DROPPED);
}

/* The end of a session that lies at rest waits for a record, and comes. */
static void a_kill_waits_for_a_record(void **state)
{
	run_dry();
	STAGE_ORDER(stage, kill, .flow = 0, .say = bytes_str("enough"));
	stage->head = stage->tail = 0;
	for (unsigned i = 0; i < 50; i++)
		turn();
	stage_settle(stage);
	for (unsigned i = 0; i < RECORDS; i++)
		give(i, 1, TCP_ACK | TCP_RST, SERVER, CLIENT + 5, NULL);
	for (unsigned i = 0; i < 200; i++) {
		stage->head = stage->tail = 0;
		turn();
	}
	stage_settle(stage);
	stage_pass(stage, 30000000);
	assert_int_equal(stage->closes, OPEN);
}

/* A flow in TIME-WAIT ends without a record, and a keepalive that finds none goes out later. */
static void timers_wait_or_need_none(void **state)
{
	open_many(OPEN);
	give(30, 0, TCP_FIN | TCP_ACK, CLIENT, SERVER, NULL);
	give(30, 1, TCP_FIN | TCP_ACK, SERVER, CLIENT + 1, NULL);
	give(30, 0, TCP_ACK, CLIENT + 1, SERVER + 1, NULL);
	for (unsigned i = 0; i < RECORDS; i++)
		arrives(i, CLIENT, "hello");
	stage->now_us += 2100000;
	for (unsigned i = 0; i < 20; i++)
		turn();
	assert_int_equal(relay_flows_open(stage->relay), OPEN - 1);
	stage->now_us += 120000000;
	for (unsigned i = 0; i < 3000; i++) {
		stage->head = stage->tail = 0;
		turn();
	}
	assert_int_equal(relay_flows_open(stage->relay), OPEN - 1);
	for (unsigned i = 0; i < RECORDS; i++)
		give(i, 1, TCP_ACK, SERVER, CLIENT + 5, NULL);
	stage->now_us += 3000000; /* no D-SACK for what was repeated comes any more */
	stage->head = stage->tail = 0;
	for (unsigned i = 0; i < 3; i++)
		turn();
	assert_int_equal(said(0).flags, TCP_ACK);
	assert_int_equal(said(0).seq, SERVER - 1);
}

static int terminated(void **state)
{
	stage_terminated = true;
	return stage_open(state);
}

static int spliced(void **state)
{
	stage_terminated = false;
	return stage_open(state);
}

/* What is spliced has none, and gets one where a word of ours is needed: here to challenge, to end, to be reset. */
static void spliced_flows_have_no_record(void **state)
{
	open_many(OPEN);
	for (unsigned i = 0; i < OPEN; i++)
		arrives(i, CLIENT, "hello");
	assert_true(relay_counters(stage->relay)->spliced >= OPEN);
	assert_int_equal(give(1, 0, TCP_SYN, CLIENT + 3, 0, NULL), RELAY_TAKEN);
	assert_int_equal(said(0).flags, TCP_ACK);
	assert_int_equal(said(0).ack, CLIENT); /* the server has acknowledged nothing yet */
	give(2, 0, TCP_FIN | TCP_ACK, CLIENT + 5, SERVER, NULL);
	give(2, 1, TCP_FIN | TCP_ACK, SERVER, CLIENT + 6, NULL);
	give(2, 0, TCP_ACK, CLIENT + 6, SERVER + 1, NULL);
	give(3, 0, TCP_RST, CLIENT + 5, 0, NULL);
	assert_int_equal(relay_flows_open(stage->relay), OPEN - 1);
	stage_pass(stage, 3000000);
	assert_int_equal(relay_flows_open(stage->relay), OPEN - 2);
	assert_int_equal(stage->closes, 2);
	assert_int_equal(dropped(ERROR_active_short), 0);
}

/* A policy that wants it terminated finds a spliced flow at rest without a record: each gets one in its turn, says where it is, and lies
 * down again. None is free at first; nothing passes meanwhile. */
static void spliced_flows_are_taken_back_one_after_the_other(void **state)
{
	static struct relay_snapshot next;
	struct relay_snapshot before;
	uint8_t *image;

	open_many(OPEN);
	for (unsigned i = 0; i < OPEN; i++)
		arrives(i, CLIENT, "hello");
	before = stage->snapshot;
	image = stage->image;
	stage->image = NULL;
	stage->unspliced = true;
	stage_write_image(stage);
	next = stage->snapshot;
	stage->snapshot = before;
	assert_true(relay_swap_snapshot(stage->relay, &next));
	stage->now_us += 10;
	for (unsigned i = 0; i < RECORDS; i++) /* each is taken back by this, and owes what the server has not acknowledged */
		assert_int_equal(give_only(i, 0, TCP_ACK | TCP_PSH, CLIENT + 5, SERVER, "more"), RELAY_TAKEN);
	assert_int_equal(relay_counters(stage->relay)->taken_back, RECORDS);
	assert_int_equal(give_only(20, 0, TCP_ACK | TCP_PSH, CLIENT + 5, SERVER, "more"), RELAY_DROPPED);
	assert_int_equal(dropped(ERROR_active_short), 1);
	assert_int_equal(relay_counters(stage->relay)->taken_back, RECORDS);
	for (unsigned round = 0; round < 10; round++) { /* what was dropped comes again */
		for (unsigned i = 0; i < OPEN; i++) {
			give(i, 1, TCP_ACK, SERVER, CLIENT + 5, NULL);
			if (i < RECORDS)
				give(i, 1, TCP_ACK, SERVER, CLIENT + 9, NULL);
		}
		for (unsigned i = 0; i < 100; i++)
			turn();
	}
	assert_int_equal(relay_counters(stage->relay)->taken_back, OPEN);
	assert_int_equal(give(20, 0, TCP_ACK | TCP_PSH, CLIENT + 5, SERVER, "more"), RELAY_TAKEN);
	assert_int_equal(said(1).payload_bytes, 4);
	assert_int_equal(said(1).seq, CLIENT + 5);
	assert_int_equal(relay_flows_open(stage->relay), OPEN);
	relay_destroy(stage->relay);
	stage->relay = NULL;
	free(image);
}

#define TERMINATED(f) { #f, f, terminated, stage_close, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TERMINATED(many_at_rest_share_few_records), TERMINATED(a_flow_that_finds_none_waits_for_one), TERMINATED(a_new_flow_is_shed_first),
		TERMINATED(a_flood_leaves_the_others_theirs), TERMINATED(a_kill_waits_for_a_record), TERMINATED(timers_wait_or_need_none),
		{ "spliced_flows_have_no_record", spliced_flows_have_no_record, spliced, stage_close, NULL },
		{ "spliced_flows_are_taken_back_one_after_the_other", spliced_flows_are_taken_back_one_after_the_other, spliced, stage_close, NULL },
	};

	stage_opaque = true;
	stage_active_max = RECORDS;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
