/* Two workers: the real conductor twice, each with its own rings and flows. A frame that the wrong one reads, in pieces too, reaches the
 * one whose flow it is; a cancel request finds its session on the other one; what a session shares is heard. */
#include "tests/simulate/conductor_stage.h"

#include <endian.h>
#include <stdlib.h>
#include <stdio.h>

#include "dataplane/flow/steer.h"
#include "platform/contract/policy_write.h"

#define WAITING 64

extern char line_heard[];

/* What is between the workers: messages and copied frames, delivered by deliver(). */
struct waiting {
	unsigned to, port;
	bool frame;
	size_t len;
	uint8_t bytes[2048];
};

static struct stage *of[2];
static struct waiting queue[WAITING];
static unsigned queued, given; /* frames by reference */
static bool full;

static bool put(unsigned to, unsigned port, bool frame, struct bytes bytes)
{
	if (full || queued == WAITING)
		return false;
	queue[queued] = (struct waiting){ .to = to, .port = port, .frame = frame, .len = bytes.len };
	memcpy(queue[queued++].bytes, bytes.base, bytes.len);
	return true;
}

static bool hand(void *context, unsigned worker, unsigned port, struct bytes frame)
{
	return put(worker, port, true, frame);
}

static bool tell(void *context, unsigned worker, struct bytes message)
{
	return message.len ? put(worker, 0, false, message) : !full;
}

static void deliver(void)
{
	for (unsigned i = 0; i < queued; i++) {
		struct stage *s = of[queue[i].to];
		struct bytes bytes = bytes_of(queue[i].bytes, queue[i].len);

		if (queue[i].frame)
			assert_int_not_equal(relay_frame_handed(s->relay, queue[i].port, bytes, PACKET_CHECKSUM_UNKNOWN, s->now_us), RELAY_ELSEWHERE);
		else
			relay_told(s->relay, bytes, s->now_us);
	}
	queued = 0;
}

static enum relay_route elsewhere(struct relay *from, unsigned port, struct bytes frame, uint64_t now_us)
{
	struct stage *owner = of[relay_elsewhere(from)];

	assert_ptr_not_equal(owner->relay, from);
	given++;
	return relay_frame_handed(owner->relay, port, frame, PACKET_CHECKSUM_UNKNOWN, now_us);
}

static void settle(void)
{
	for (int i = 0; i < 4; i++) {
		for (unsigned w = 0; w < 2; w++) {
			stage_settle(of[w]);
			deliver();
		}
	}
}

/* A client port whose flow is this worker's. */
static void choose_port(unsigned worker)
{
	struct packet p;
	unsigned owner;

	for (uint16_t port = 40000;; port++) {
		uint16_t wire = htobe16(port);

		memcpy(stage_frame_head + 34, &wire, 2);
		assert_int_equal(packet_parse(bytes_of(stage_frame_head, sizeof stage_frame_head), &p), ERROR_none);
		assert_true(steer_owner(&p, 2, &owner));
		if (owner == worker)
			return;
	}
}

static int open_both(void **state)
{
	stage_peers = (struct stage_peers){ .workers = 2, .hand = hand, .tell = tell, .elsewhere = elsewhere };
	queued = given = 0;
	full = false;
	line_heard[0] = 0;
	for (unsigned w = 0; w < 2; w++) {
		stage_peers.worker = w;
		choose_port(w);
		if (stage_open(state) != 0)
			return -1;
		of[w] = stage;
	}
	return 0;
}

static int close_both(void **state)
{
	for (unsigned w = 0; w < 2; w++) {
		stage = of[w];
		stage_close(state);
	}
	stage_peers = (struct stage_peers){ 0 };
	return 0;
}

static void log_in(unsigned worker)
{
	struct stage *s = of[worker];

	stage_log_in(s);
	settle();
}

/* Whatever the ends send is read by the other worker, as on a port with one queue. */
static void frames_reach_the_worker_whose_they_are(void **state)
{
	of[1]->entry = of[0]->relay;
	log_in(1);
	stage_client_says(of[1], "select 1\n");
	assert_true(stage_got(of[1], 1, "select 1\n"));
	stage_transmit(of[1], 1, TCP_ACK | TCP_PSH, "one\n");
	settle();
	assert_true(stage_got(of[1], 0, "one\n"));
	assert_int_equal(relay_flows_open(of[0]->relay), 0);
	assert_int_equal(relay_flows_open(of[1]->relay), 1);
	assert_true(given > 5);
	assert_int_equal(relay_counters(of[0]->relay)->handed_on, given);
	assert_int_equal(relay_counters(of[1]->relay)->handed_over, given);
	assert_int_equal(relay_counters(of[0]->relay)->frames, given);
	assert_int_equal(of[0]->bridged + of[0]->dropped + of[1]->bridged + of[1]->dropped, 0);
}

/* Also what the policy has forgotten meanwhile: a flow's segment is never bridged by a worker that does not know it. */
static void frames_of_a_flow_that_no_service_names_any_more(void **state)
{
	static struct relay_snapshot empty;
	struct policy_spec spec = { .name = "none", .generation = 99, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	struct bytes image = policy_image_write(&spec, NULL, 0);
	void *memory = aligned_alloc(64, (image.len + 63) & ~(size_t)63);
	char err[256];

	of[1]->entry = of[0]->relay;
	log_in(1);
	image = policy_image_write(&spec, memory, image.len);
	empty = (struct relay_snapshot){ .inspect = { .image = policy_image_open(image.base, image.len, err, sizeof err), .generation = 99 } };
	if (!empty.inspect.image)
		fail_msg("%s", err);
	assert_true(relay_swap_snapshot(of[0]->relay, &empty));
	assert_ptr_equal(relay_retired_snapshot(of[0]->relay), &of[0]->snapshot);
	given = 0;
	stage_client_says(of[1], "select 1\n");
	assert_true(given > 0);
	assert_int_equal(of[1]->bridged, 0);
	assert_true(stage_got(of[1], 1, "select 1\n"));
	free(memory);
}

static uint8_t frame[2048];

static void ip_checksum(uint8_t *ip)
{
	uint16_t sum;

	memset(ip + 10, 0, 2);
	sum = (uint16_t)~packet_sum_fold(packet_sum(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
}

/* [from, from + len) of the payload of the IPv4 packet in `whole`, as a fragment in `frame`. */
static struct bytes cut(const uint8_t *whole, size_t from, size_t len, bool more)
{
	memcpy(frame, whole, 34);
	memcpy(frame + 34, whole + 34 + from, len);
	frame[14 + 2] = 0;
	frame[14 + 3] = (uint8_t)(20 + len);
	frame[14 + 6] = (uint8_t)(more << 5);
	frame[14 + 7] = (uint8_t)(from / 8);
	ip_checksum(frame + 14);
	return bytes_of(frame, 34 + len);
}

/* A SYN of this worker's client, in two pieces that any worker reads: only the addresses say whose they are. */
static void pieces_are_put_together_and_find_their_flow(void **state)
{
	for (unsigned w = 0; w < 2; w++) {
		struct tcp_segment syn = { .seq = 5, .window = 60000, .flags = TCP_SYN };
		uint8_t whole[256];
		size_t len = packet_build(&of[w]->end[0].template, &syn, whole, sizeof whole, PACKET_BUILD_FULL).bytes;

		for (unsigned piece = 0; piece < 2; piece++) {
			struct relay *reader = of[piece]->relay; /* each worker reads one */
			struct bytes b = piece ? cut(whole, 0, 8, true) : cut(whole, 8, len - 42, false);
			enum relay_route route = relay_frame(reader, 0, b, PACKET_CHECKSUM_UNKNOWN, of[w]->now_us);

			if (route == RELAY_ELSEWHERE)
				route = elsewhere(reader, 0, b, of[w]->now_us);
			assert_int_equal(route, RELAY_TAKEN);
		}
		deliver();
		assert_int_equal(relay_flows_open(of[w]->relay), 1);
		assert_int_equal(relay_flows_open(of[1 - w]->relay), w); /* that of the round before */
	}
	assert_int_equal(of[0]->head, of[0]->tail); /* nothing was passed on as it was */
}

/* No room: dropped and counted, as what a wire loses; never passed on by whoever has it. */
static void pieces_without_room_are_dropped(void **state)
{
	uint64_t lost;

	full = true;
	for (unsigned w = 0; w < 2; w++) {
		struct tcp_segment syn = { .seq = 5, .window = 60000, .flags = TCP_SYN };
		uint8_t whole[256];
		size_t len = packet_build(&of[w]->end[0].template, &syn, whole, sizeof whole, PACKET_BUILD_FULL).bytes;

		for (unsigned piece = 0; piece < 2; piece++) {
			struct bytes b = piece ? cut(whole, 0, 8, true) : cut(whole, 8, len - 42, false);

			if (relay_frame(of[0]->relay, 0, b, PACKET_CHECKSUM_UNKNOWN, of[w]->now_us) == RELAY_ELSEWHERE)
				(void)elsewhere(of[0]->relay, 0, b, of[w]->now_us);
		}
	}
	lost = relay_counters(of[0]->relay)->drop[ERROR_handover_full] + relay_counters(of[1]->relay)->drop[ERROR_handover_full];
	assert_int_equal(lost, 1); /* of the two flows one is with the worker that put the pieces together */
	assert_int_equal(relay_flows_open(of[0]->relay) + relay_flows_open(of[1]->relay), 1);
}

/* --- Cancel --- */

static void key_of(unsigned worker, char out[128])
{
	struct stage *s = of[worker];
	const char *at;

	stage_client_says(s, "KEY\n");
	at = memmem(s->end[0].got, s->end[0].got_bytes, "key ", 4);
	assert_non_null(at);
	snprintf(out, 128, "CANCEL %.*s\n", (int)strcspn(at + 4, "\n"), at + 4);
}

/* The request comes on a connection of the other worker's. */
static void ask_cancel(unsigned worker, const char *line)
{
	struct stage *s = of[worker];

	stage_connect(s);
	stage_client_says(s, line);
	settle();
}

static void a_held_command_is_cancelled_through_the_other_worker(void **state)
{
	for (unsigned w = 0; w < 2; w++) {
		char line[128];

		if (w > 0) {
			close_both(state);
			open_both(state);
		}
		log_in(w);
		key_of(w, line);
		stage_client_says(of[w], "delete from t\n");
		assert_int_equal(of[w]->withdrawals, 0);
		ask_cancel(1 - w, line);
		assert_int_equal(of[w]->withdrawals, 1);
		assert_true(stage_got(of[w], 0, "refused: canceling statement due to user request\n"));
		assert_false(stage_got(of[w], 1, "delete"));
		assert_true(of[1 - w]->end[0].finished); /* the request's connection has its end */
		assert_int_equal(of[1 - w]->end[1].got_bytes, 0);
	}
}

static void a_running_command_is_cancelled_with_the_server_s_own_key(void **state)
{
	char line[128];

	log_in(0);
	key_of(0, line);
	stage_client_says(of[0], "select 1\n");
	ask_cancel(1, line);
	assert_true(stage_got(of[1], 1, "cancel 77 upky\n"));
	assert_true(of[1]->end[0].finished);
	assert_int_equal(of[0]->closes, 0);
}

/* A client that has said its last while the other worker is asked: the request is still passed on. */
static void the_request_outlives_the_end_of_its_connection(void **state)
{
	char line[128];

	log_in(0);
	key_of(0, line);
	stage_connect(of[1]);
	stage_transmit(of[1], 0, TCP_ACK | TCP_PSH, line);
	stage_transmit(of[1], 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(of[1]);
	assert_int_equal(queued, 1);
	assert_int_equal(of[1]->end[1].got_bytes, 0);
	settle();
	assert_true(stage_got(of[1], 1, "cancel 77 upky\n"));
}

static void a_wrong_key_cancels_nothing(void **state)
{
	char line[128];

	log_in(0);
	key_of(0, line);
	line[strlen(line) - 2] ^= 1;
	stage_client_says(of[0], "delete from t\n");
	ask_cancel(1, line);
	assert_int_equal(of[0]->withdrawals, 0);
	assert_int_equal(of[1]->end[1].got_bytes, 0);
	assert_true(of[1]->end[0].finished);
}

static void nobody_s_number_is_answered_at_once(void **state)
{
	ask_cancel(1, "CANCEL 100000000 00\n"); /* a worker that is not there */
	assert_int_equal(of[1]->end[1].got_bytes, 0);
	assert_true(of[1]->end[0].finished);
}

/* A lost answer leaves nobody waiting for ever. */
static void a_request_without_an_answer_ends(void **state)
{
	char line[128];

	log_in(0);
	key_of(0, line);
	stage_connect(of[1]);
	stage_client_says(of[1], line);
	assert_int_equal(queued, 1);
	queued = 0; /* lost */
	assert_false(of[1]->end[0].finished || of[1]->end[0].reset);
	stage_pass(of[1], 6000000);
	assert_true(of[1]->end[0].finished || of[1]->end[0].reset);
	assert_int_equal(of[1]->end[1].got_bytes, 0);
}

/* --- Shared --- */

static void what_one_shares_the_other_hears(void **state)
{
	log_in(0);
	stage_client_says(of[0], "SHARE this\n");
	settle();
	assert_true(stage_got(of[0], 0, "shared\n"));
	assert_string_equal(line_heard, "0: SHARE this");
}

static void who_cannot_share_ends(void **state)
{
	log_in(0);
	full = true;
	stage_client_says(of[0], "SHARE this\n");
	settle();
	assert_false(stage_got(of[0], 0, "shared\n"));
	assert_string_equal(line_heard, "");
	assert_true(stage_got(of[0], 0, "end: another worker does not get on\n"));
	assert_int_equal(of[0]->closes, 1);
}

static void flows_have_numbers_of_their_worker(void **state)
{
	log_in(0);
	log_in(1);
	assert_int_equal(of[0]->flow >> 56, 0);
	assert_int_equal(of[1]->flow >> 56, 1);
}

#define BOTH(f) cmocka_unit_test_setup_teardown(f, open_both, close_both)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(frames_reach_the_worker_whose_they_are), BOTH(frames_of_a_flow_that_no_service_names_any_more),
		BOTH(pieces_are_put_together_and_find_their_flow), BOTH(pieces_without_room_are_dropped),
		BOTH(a_held_command_is_cancelled_through_the_other_worker), BOTH(a_running_command_is_cancelled_with_the_server_s_own_key),
		BOTH(the_request_outlives_the_end_of_its_connection), BOTH(a_wrong_key_cancels_nothing), BOTH(nobody_s_number_is_answered_at_once),
		BOTH(a_request_without_an_answer_ends), BOTH(what_one_shares_the_other_hears), BOTH(who_cannot_share_ends),
		BOTH(flows_have_numbers_of_their_worker),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("workers", tests, NULL, NULL);
}
