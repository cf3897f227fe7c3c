/* What every flow has to hear of reaches them a bounded number a turn, and is in force at once for whoever moves: no turn of the
 * conductor walks over the whole table. Many sessions beside the one that the stage plays. */
#include "tests/simulate/conductor_stage.h"

#include <stdlib.h>

#include "dataplane/relay/conductor.h"
#include "platform/contract/policy_write.h"

#define FLOWS_MAX 8192
#define SESSIONS 1500

static struct packet_template client_wire(uint32_t number, struct packet *p)
{
	static uint8_t head[sizeof stage_frame_head];
	struct packet_template t;

	memcpy(head, stage_frame_head, sizeof head);
	head[34] = (uint8_t)(number >> 8 & 0x7f); /* below the stage's own */
	head[35] = (uint8_t)number;
	assert_int_equal(packet_parse(bytes_of(head, sizeof head), p), ERROR_none);
	packet_template_from(&t, p);
	return t;
}

static void put(unsigned port, struct packet_template *t, uint8_t flags, uint32_t seq, uint32_t ack, const char *text)
{
	struct tcp_segment s = { .seq = seq, .ack = ack, .window = 60000, .flags = flags };
	uint8_t frame[256];

	if (text) {
		s.spans[0] = bytes_str(text);
		s.span_count = 1;
		s.payload_bytes = (uint32_t)strlen(text);
	}
	(void)relay_frame(stage->relay, port, bytes_of(frame, packet_build(t, &s, frame, sizeof frame, PACKET_BUILD_FULL).bytes), PACKET_CHECKSUM_UNKNOWN,
			  stage->now_us);
}

static void turn(void)
{
	(void)relay_turn(stage->relay, ++stage->now_us);
	stage->head = stage->tail; /* what it sent is of no interest */
}

static void open_many(uint32_t from, uint32_t to, bool log_in)
{
	for (uint32_t i = from; i < to; i++) {
		struct packet_template client, server;
		struct packet p;

		client = client_wire(i, &p);
		packet_template_reply(&server, &p);
		put(0, &client, TCP_SYN, 1000, 0, NULL);
		turn();
		put(1, &server, TCP_SYN | TCP_ACK, 9000, 1001, NULL);
		turn();
		put(0, &client, TCP_ACK, 1001, 9001, NULL);
		turn();
		if (!log_in)
			continue;
		stage_settle(stage); /* control sees which flow it is */
		put(0, &client, TCP_ACK | TCP_PSH, 1001, 9001, "LOGIN token\n");
		stage_settle(stage);
	}
}

static unsigned flows_where(bool (*is)(const struct flow *))
{
	unsigned count = 0;

	for (uint32_t i = 0; i < FLOWS_MAX; i++)
		count += is(&stage->relay->flows[i]);
	return count;
}

static bool runs(const struct flow *f)
{
	return f->phase == FLOW_RUNNING;
}

static bool heard(const struct flow *f)
{
	return f->phase == FLOW_RUNNING && f->news == stage->relay->news;
}

static bool is_under_the_policy(const struct flow *f)
{
	return f->phase == FLOW_RUNNING && f->snapshot == &stage->relay->snapshot->inspect;
}

static bool awaits_classification(const struct flow *f)
{
	return f->wait == WAIT_CLASSIFY;
}

/* Turns until `left` says 0; each changes by at most `step`. Returns how many. */
static unsigned turns_until_none(unsigned (*left)(void), unsigned step)
{
	unsigned turns = 0;

	for (unsigned before = left(), now; before > 0; before = now) {
		turn();
		now = left();
		assert_true(before - now <= step);
		assert_true(++turns < 2 * FLOWS_MAX);
	}
	return turns;
}

static unsigned have_not_heard(void)
{
	return flows_where(runs) - flows_where(heard);
}

static unsigned run_still(void)
{
	return flows_where(runs);
}

static unsigned await_still(void)
{
	return flows_where(awaits_classification);
}

static unsigned free_says(void)
{
	unsigned count = 0;

	for (const union relay_say *s = stage->relay->free_say; s; s = s->next)
		count++;
	return count;
}

static int open_stage(void **state)
{
	stage_flows_max = FLOWS_MAX;
	(void)stage_open(state);
	stage->fuzzed = true; /* the records are of many flows: their numbers are not one row */
	return 0;
}

static void a_new_policy_reaches_idle_flows_a_few_at_a_time(void **state)
{
	struct relay_snapshot first = stage->snapshot, next;
	const struct relay_snapshot *old;
	uint8_t *image = stage->image;
	unsigned turns = 0;

	stage_log_in(stage);
	open_many(0, SESSIONS, false);
	stage->image = NULL;
	stage_write_image(stage);
	next = stage->snapshot;
	stage->snapshot = first;
	assert_true(relay_swap_snapshot(stage->relay, &next));
	assert_null(relay_retired_snapshot(stage->relay));
	assert_false(relay_swap_snapshot(stage->relay, &first)); /* some flows are under the one before */
	assert_int_equal(flows_where(is_under_the_policy), 0);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "select 1\n"); /* one that moves is under the new one at once */
	for (unsigned before = 0, now; (old = relay_retired_snapshot(stage->relay)) == NULL; before = now) {
		turn();
		now = flows_where(is_under_the_policy);
		assert_true(now - before <= RELAY_VISITS_PER_TURN + 1);
		assert_true(turns > 0 || (now > 0 && stage->commands == 0));
		assert_true(++turns < FLOWS_MAX);
	}
	assert_ptr_equal(old, &stage->snapshot);
	assert_true(turns >= FLOWS_MAX / RELAY_VISITS_PER_TURN);
	assert_int_equal(flows_where(is_under_the_policy), SESSIONS + 1);
	assert_true(relay_swap_snapshot(stage->relay, &first));
	relay_destroy(stage->relay);
	stage->relay = NULL;
	free(image);
}

/* While the flows hear of a policy that no longer names their service, and afterwards, nothing of them is bridged. */
static void flows_that_outlive_their_service_stay_guarded(void **state)
{
	const struct policy_spec spec = { .name = "empty", .generation = 2,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	size_t len = policy_image_write(&spec, NULL, 0).len;
	void *image = aligned_alloc(64, (len + 63) & ~(size_t)63);
	struct relay_snapshot next = stage->snapshot;
	char err[256];

	open_many(0, 100, false);
	next.inspect.image = policy_image_open(image, policy_image_write(&spec, image, len).len, err, sizeof err);
	next.inspect.generation = spec.generation;
	assert_true(relay_swap_snapshot(stage->relay, &next));
	for (unsigned i = 0; i < 2 * FLOWS_MAX / RELAY_VISITS_PER_TURN; i++) {
		struct packet p;
		struct packet_template t = client_wire(i % 100, &p);

		put(0, &t, TCP_ACK | TCP_PSH, 1001, 9001, "x\n");
		turn();
		assert_int_equal(relay_counters(stage->relay)->bridged, 0);
	}
	assert_ptr_equal(relay_retired_snapshot(stage->relay), &stage->snapshot);
	assert_int_equal(flows_where(runs), 0);
	relay_destroy(stage->relay);
	stage->relay = NULL;
	free(image);
}

static void all_sessions_end_a_few_at_a_time(void **state)
{
	open_many(0, SESSIONS, false);
	stage_settle(stage);
	stage->opens = 0;
	stage_log_in(stage);
	STAGE_ORDER(stage, kill, .say = bytes_str("everybody out"));
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "select 1\n");
	(void)relay_turn(stage->relay, ++stage->now_us);
	assert_true(run_still() >= SESSIONS - RELAY_WAKES_PER_TURN);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "end: everybody out")); /* who moves is out at once */
	assert_int_equal(stage->end[1].got_bytes, 0);
	while (stage->relay->visits_left > 0)
		turn();
	(void)turns_until_none(run_still, RELAY_FLOWS_PER_TURN);
	open_many(SESSIONS, SESSIONS + 1, false); /* who comes later was not meant */
	for (int i = 0; i < 100; i++)
		turn();
	assert_int_equal(flows_where(runs), 1);
	assert_int_equal(free_says(), stage->relay->says_max);
}

static void a_silent_control_is_heard_of_a_few_at_a_time(void **state)
{
	open_many(0, SESSIONS, false);
	stage_settle(stage);
	STAGE_ORDER(stage, control, .journal = 0, .why = bytes_str("no space"));
	(void)relay_turn(stage->relay, ++stage->now_us);
	assert_true(have_not_heard() > 0);
	assert_true(turns_until_none(have_not_heard, RELAY_VISITS_PER_TURN) >= SESSIONS / RELAY_VISITS_PER_TURN);
}

static void one_answer_for_many_is_given_a_few_at_a_time(void **state)
{
	enum { MANY = 300 };

	open_many(0, MANY, true);
	for (int known = 0; known < 2; known++) {
		const char *text = known ? "select 1\n" : "???\n";
		unsigned commands = stage->commands;

		stage->answer_classify = false;
		for (uint32_t i = 0; i < MANY; i++) {
			struct packet p;
			struct packet_template t = client_wire(i, &p);

			put(0, &t, TCP_ACK | TCP_PSH, known ? 1017 : 1013, 9001, text);
			turn();
		}
		stage_settle(stage);
		assert_int_equal(await_still(), MANY);
		stage_classify(stage, known ? "select 1" : "???", known);
		assert_true(turns_until_none(await_still, RELAY_ANSWERS_PER_TURN) >= MANY / RELAY_ANSWERS_PER_TURN);
		stage_settle(stage);
		assert_int_equal(stage->commands - commands, MANY);
	}
}

static bool holds_bytes(const struct flow *f)
{
	return f->phase == FLOW_RUNNING && barrier_any(f);
}

static unsigned hold_still(void)
{
	return flows_where(holds_bytes);
}

/* Records beyond the queue of those who wait for them: their flows are found by a visit to all. */
static void durable_records_wake_a_few_at_a_time(void **state)
{
	enum { MANY = 300 };
	struct relay *r = stage->relay;
	uint64_t position, head;

	stage_log_in(stage);
	open_many(0, MANY, true);
	stage_settle(stage);
	assert_int_equal(hold_still(), 0);
	stage->answer_durable = false;
	position = r->durable_position + 1;
	for (uint32_t i = 0; i < RELAY_DURABLE_QUEUE; i++)
		orders_await_durable(r, &r->flows[0], position++);
	for (uint32_t i = 0; i < FLOWS_MAX; i++)
		if (runs(&r->flows[i]))
			barrier_put(r, &r->flows[i], SIDE_SERVER, position++);
	assert_int_equal(hold_still(), MANY + 1);
	STAGE_ORDER(stage, durable, .position = position);
	for (head = r->durable_head; r->durable_head != r->durable_tail; head = r->durable_head) {
		turn();
		assert_true(r->durable_head > head && r->durable_head - head <= RELAY_RECORDS_PER_TURN);
	}
	(void)turns_until_none(hold_still, RELAY_FLOWS_PER_TURN);
}

static void texts_run_out_and_come_back(void **state)
{
	static const char *slot[FLOWS_MAX];

	for (uint32_t i = 0; i < FLOWS_MAX; i++)
		session_say(stage->relay, &slot[i], bytes_str("because"));
	session_say(stage->relay, &slot[0], bytes_str("again"));
	assert_string_equal(slot[0], "again");
	assert_string_equal(slot[1], "because");
	assert_non_null(strstr(slot[FLOWS_MAX - 1], "stopped by the control plane"));
	assert_int_equal(free_says(), 0);
	for (uint32_t i = 0; i < FLOWS_MAX; i++) {
		session_hush(stage->relay, &slot[i]);
		session_hush(stage->relay, &slot[i]);
	}
	assert_int_equal(free_says(), stage->relay->says_max);
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, open_stage, stage_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(a_new_policy_reaches_idle_flows_a_few_at_a_time),
		STAGED(flows_that_outlive_their_service_stay_guarded),
		STAGED(all_sessions_end_a_few_at_a_time),
		STAGED(a_silent_control_is_heard_of_a_few_at_a_time),
		STAGED(durable_records_wake_a_few_at_a_time),
		STAGED(texts_run_out_and_come_back),
		STAGED(one_answer_for_many_is_given_a_few_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
