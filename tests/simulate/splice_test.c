/* An opaque service through the real conductor: when its flow goes over to forwarding, what is still judged then, and how it ends.
 * The table of hostile segments is played against a spliced flow and against one that stays terminated: both must say the same.
 * Loss, reordering and the hand-over with data in flight are in simulate.c. */
#include "dataplane/relay/flight.h"
#include "tests/simulate/conductor_stage.h"

#include <stdlib.h>

static int open_spliced(void **state)
{
	stage_opaque = true;
	stage_terminated = false;
	return stage_open(state);
}

static bool state_says(const char *word)
{
	struct page_worker page = { 0 };
	struct page_flow flow;
	char text[PAGE_TEXT_BYTES];

	relay_publish(stage->relay, &page, stage->now_us);
	assert_true(page_flow_copy(&stage->flights->flow[0], &flow));
	page_state_text(flow.state, text);
	return strstr(text, word) != NULL;
}

static uint64_t spliced_frames(void)
{
	return relay_counters(stage->relay)->spliced;
}

static void says(unsigned from, const char *text)
{
	stage_transmit(stage, from, TCP_ACK | TCP_PSH, text);
	stage_settle(stage);
	assert_true(stage_got(stage, 1 - from, text));
}

/* Connected, both sides have spoken, and the flow is what open_* made of it. */
static void talk(void)
{
	stage_connect(stage);
	says(0, "hello");
	says(1, "welcome");
	assert_int_equal(state_says("spliced"), !stage_terminated);
	assert_int_equal(spliced_frames() > 0, !stage_terminated);
}

/* Promise 1: nothing reaches the target before the session's begin is durable; then it is forwarded. */
static void spliced_when_its_begin_is_durable(void **state)
{
	stage->answer_durable = false;
	stage_connect(stage);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "early");
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_int_equal(spliced_frames(), 0);
	assert_false(state_says("spliced"));
	stage->answer_durable = true;
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "early"));
	says(0, "late");
	assert_true(state_says("spliced"));
	assert_true(spliced_frames() > 0);
}

static void an_idle_flow_is_spliced_before_its_first_byte(void **state)
{
	stage_connect(stage);
	assert_true(state_says("spliced"));
	says(1, "banner");
	says(0, "answer");
	assert_int_equal(relay_counters(stage->relay)->bridged, 0); /* that is for what no service names */
}

static void switched_off_it_stays_terminated(void **state)
{
	talk();
	assert_false(state_says("spliced"));
}

static void the_end_is_recorded_once_with_its_octets(void **state)
{
	talk();
	stage_transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[1].finished);
	assert_int_equal(stage->closes, 0);
	says(1, "more after the half close");
	stage_transmit(stage, 1, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_CLIENT);
	assert_int_equal(stage->octets_up, 5);
	assert_int_equal(stage->octets_down, 7 + 25);
	assert_int_equal(relay_flows_open(stage->relay), 1); /* TIME-WAIT */
	stage_pass(stage, 5000000);
	assert_int_equal(relay_flows_open(stage->relay), 0);
	assert_int_equal(stage->closes, 1);
	assert_false(stage->end[0].reset || stage->end[1].reset);
}

/* Another connection of the same four numbers, at once. */
static void time_wait_is_reopened(void **state)
{
	talk();
	stage_transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	stage_transmit(stage, 1, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	stage->end[0].next += 100000;
	stage->end[0].open = stage->end[1].open = false;
	stage->end[1].next = 700000;
	stage_transmit(stage, 0, TCP_SYN, NULL);
	stage_settle(stage);
	assert_int_equal(stage->end[0].ack, 700001);
	assert_int_equal(stage->opens, 2);
	says(0, "again");
}

static void a_kill_resets_both_ends_with_right_numbers(void **state)
{
	talk();
	STAGE_ORDER(stage, kill, .flow = stage->flow, .say = bytes_str("revoked"));
	stage_settle(stage);
	for (unsigned at = 0; at < 2; at++) {
		assert_true(stage->end[at].reset);
		assert_int_equal(stage->end[at].reset_seq, stage->end[at].ack);
		assert_int_equal(stage->end[at].reset_ack, stage->end[at].next);
	}
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
	assert_int_equal(stage->octets_up, 5);
	assert_int_equal(stage->octets_down, 7);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

/* From the order on nothing passes, not even what comes in the same turn. */
static void nothing_passes_after_a_kill(void **state)
{
	size_t had;

	talk();
	had = stage->end[1].got_bytes;
	STAGE_ORDER(stage, kill, .flow = 0, .say = bytes_str("all of them"));
	(void)relay_turn(stage->relay, ++stage->now_us);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "too late");
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, had);
	assert_true(stage->end[0].reset && stage->end[1].reset);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void swap_policy(bool opaque, struct relay_snapshot *next)
{
	struct relay_snapshot before = stage->snapshot;
	uint8_t *image = stage->image;

	stage->image = NULL;
	stage_opaque = opaque;
	stage_write_image(stage);
	stage_opaque = true; /* the wire is as before */
	*next = stage->snapshot;
	stage->snapshot = before;
	assert_true(relay_swap_snapshot(stage->relay, next));
	free(image);
}

static void a_policy_that_allows_it_changes_nothing(void **state)
{
	struct relay_snapshot next;

	talk();
	swap_policy(true, &next);
	says(0, "still here");
	assert_true(state_says("spliced"));
	assert_int_equal(stage->closes, 0);
	relay_destroy(stage->relay);
	stage->relay = NULL;
}

static void a_policy_that_wants_reading_ends_it(void **state)
{
	struct relay_snapshot next;
	size_t had;

	talk();
	had = stage->end[1].got_bytes;
	swap_policy(false, &next);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "unread");
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, had);
	if (!stage_terminated) /* where there are words to say, and none to read, a session is ended by FIN */
		assert_true(stage->end[0].reset && stage->end[1].reset);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
	assert_int_equal(relay_counters(stage->relay)->drop[ERROR_unread_cut], 1);
	relay_destroy(stage->relay);
	stage->relay = NULL;
}

/* --- Taken back by a policy, and handed over again by another one --- */

static void reload(bool unspliced)
{
	stage->unspliced = unspliced;
	assert_true(stage_reload(stage));
}

static void reloaded(bool unspliced)
{
	stage_settle(stage);
	assert_int_equal(state_says("spliced"), !unspliced && !stage_terminated);
}

/* A half of its own may have promised more than the other end gives: that has to be used up before it can be handed over. */
#define CHATTER 8000u

static void chatter(void)
{
	char text[1001];

	memset(text, 'c', sizeof text);
	text[1000] = 0;
	for (unsigned i = 0; i < CHATTER / 1000; i++) {
		says(0, text);
		says(1, text);
	}
}

/* Both FINs, and the record says how much there was. */
static void ends_with(uint64_t octets_up, uint64_t octets_down)
{
	stage_transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	stage_transmit(stage, 1, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].finished && stage->end[1].finished);
	assert_false(stage->end[0].reset || stage->end[1].reset);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_CLIENT);
	assert_int_equal(stage->octets_up, octets_up);
	assert_int_equal(stage->octets_down, octets_down);
	assert_int_equal(stage->end[1].got_bytes, octets_up);
	assert_int_equal(stage->end[0].got_bytes, octets_down);
	stage_pass(stage, 5000000);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

static void a_policy_takes_it_back_and_hands_it_over(void **state)
{
	talk();
	for (int i = 0; i < 3; i++) {
		uint64_t frames;

		reload(true);
		reloaded(true); /* nobody said anything */
		frames = spliced_frames();
		says(0, "terminated");
		says(1, "as well");
		assert_int_equal(spliced_frames(), frames);
		reload(false);
		chatter();
		reloaded(false);
		says(0, "spliced");
		says(1, "again");
		assert_int_equal(spliced_frames() > frames, !stage_terminated);
	}
	assert_int_equal(relay_counters(stage->relay)->taken_back, stage_terminated ? 0 : 3);
	ends_with(5 + 3 * (17 + CHATTER), 7 + 3 * (12 + CHATTER));
}

/* In force for the next frame, whoever it is from. */
static void taken_back_with_the_next_frame(void **state)
{
	uint64_t frames;

	talk();
	reload(true);
	frames = spliced_frames();
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "now");
	assert_int_equal(spliced_frames(), frames);
	reloaded(true);
	assert_true(stage_got(stage, 1, "now"));
	ends_with(5 + 3, 7);
}

/* On its way to the target when the policy changes: it arrives, and is not sent again. */
static void taken_back_with_data_in_flight(void **state)
{
	talk();
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "on its way");
	assert_int_equal(stage->end[1].got_bytes, 5);
	reload(true);
	reloaded(true);
	assert_true(stage_got(stage, 1, "on its way"));
	says(0, "and on");
	ends_with(5 + 16, 7);
}

/* It is lost behind us, and its sender sends it again. */
static void taken_back_with_data_that_is_lost(void **state)
{
	talk();
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "lost");
	stage->head = stage->tail;
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "held");
	stage->head = stage->tail;
	reload(true);
	reloaded(true);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "new");
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 5);
	stage->end[0].next -= 11;
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "lost");
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "held");
	stage->end[0].next += 3;
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "lostheldnew"));
	ends_with(5 + 11, 7);
}

/* Half closed, it goes on the same. */
static void taken_back_behind_a_fin(void **state)
{
	talk();
	stage_transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[1].finished);
	reload(true);
	reloaded(true);
	says(1, "the rest");
	stage_transmit(stage, 1, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_CLIENT);
	assert_int_equal(stage->octets_down, 7 + 8);
}

static void a_kill_ends_what_was_taken_back(void **state)
{
	talk();
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "nobody hears this");
	stage->head = stage->tail;
	reload(true);
	(void)relay_turn(stage->relay, ++stage->now_us);
	assert_false(state_says("spliced"));
	STAGE_ORDER(stage, kill, .flow = 0, .say = bytes_str("all of them"));
	stage_settle(stage);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void a_service_that_is_never_spliced(void **state)
{
	reload(true);
	stage_settle(stage);
	stage_connect(stage);
	says(0, "hello");
	says(1, "welcome");
	assert_int_equal(spliced_frames(), 0);
	reload(false); /* and now it is */
	chatter();
	reloaded(false);
	says(0, "on");
	ends_with(7 + CHATTER, 7 + CHATTER);
}

/* The same promise for what is not spliced: what its client says waits in TCP; what its server says does so with audit "answers" only. */
static void unread_bytes_wait_for_the_begin(enum policy_audit audit, bool client_waits, bool server_waits)
{
	struct relay_snapshot next;

	stage->audit = audit;
	swap_policy(true, &next);
	stage->answer_durable = false;
	stage_connect(stage);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "early");
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, "banner");
	stage_settle(stage);
	assert_int_equal(stage_got(stage, 1, "early"), !client_waits);
	assert_int_equal(stage_got(stage, 0, "banner"), !server_waits);
	stage->answer_durable = true;
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "early"));
	assert_true(stage_got(stage, 0, "banner"));
	says(0, "late");
	relay_destroy(stage->relay);
	stage->relay = NULL;
}

static void with_prompt_nothing_waits_for_the_begin(void **state) { unread_bytes_wait_for_the_begin(POLICY_AUDIT_PROMPT, false, false); }
static void with_strict_the_client_waits_for_the_begin(void **state) { unread_bytes_wait_for_the_begin(POLICY_AUDIT_STRICT, true, false); }
static void with_answers_both_wait_for_the_begin(void **state) { unread_bytes_wait_for_the_begin(POLICY_AUDIT_ANSWERS, true, true); }

/* A begin that never becomes durable: what waited for it goes nowhere, and the flow ends. */
static void a_begin_that_is_never_durable_ends_it(void **state)
{
	stage->answer_durable = false;
	stage_connect(stage);
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "early");
	stage_pass(stage, 6000000);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void a_target_that_resets_is_no_kill(void **state)
{
	talk();
	stage_transmit(stage, 1, TCP_RST | TCP_ACK, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_RESET);
}

static void a_reset_passes_and_ends_it(void **state)
{
	talk();
	stage_transmit(stage, 1, TCP_RST | TCP_ACK, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->end[0].reset_seq, stage->end[0].ack);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_RESET);
	assert_int_equal(stage->octets_up, 5);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

/* The ends of this stage answer no keepalive. */
static void a_dead_peer_is_found(void **state)
{
	talk();
	stage_pass(stage, 400000000);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->close_cause, CLOSE_TIMEOUT);
	assert_true(stage->end[0].reset && stage->end[1].reset);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

/* Every answer counts as life, and what an end is asked is below its window. */
static void who_answers_keepalive_lives(void **state)
{
	talk();
	for (int i = 0; i < 100; i++) {
		stage_pass(stage, 5000000);
		for (unsigned at = 0; at < 2; at++)
			stage_transmit(stage, at, TCP_ACK, NULL);
	}
	assert_int_equal(stage->closes, 0);
	says(0, "still alive");
}

struct hostile {
	const char *name;
	uint32_t seq, ack;     /* beyond what the sender would use */
	uint8_t flags;
	const char *text;
	bool arrives, ends, answered;
};

/* From the client; it has been given a window of 60,000. */
static const struct hostile hostile[] = {
	{ "RST in the window, not where it belongs", 10, 0, TCP_RST | TCP_ACK, NULL, false, false, true },
	{ "RST beyond the window", 70000, 0, TCP_RST | TCP_ACK, NULL, false, false, false },
	{ "RST below the window", 0u - 200000, 0, TCP_RST, NULL, false, false, false },
	{ "SYN in the window", 5, 0, TCP_SYN, NULL, false, false, true },
	{ "SYN and ACK where the next byte belongs", 0, 0, TCP_SYN | TCP_ACK, NULL, false, false, true },
	{ "data beyond the window", 70000, 0, TCP_ACK, "beyond", false, false, true },
	{ "FIN beyond the window", 70000, 0, TCP_ACK | TCP_FIN, NULL, false, false, true },
	{ "data far below the window", 0u - 200000, 0, TCP_ACK, "old", false, false, true },
	{ "FIN far below the window", 0u - 200000, 0, TCP_ACK | TCP_FIN, NULL, false, false, true },
	{ "acknowledges what was never sent", 0, 5000, TCP_ACK, "data", false, false, true },
	{ "acknowledges what is long past", 0, 0u - 3000000, TCP_ACK, "data", false, false, true },
	{ "data without ACK", 0, 0, TCP_PSH, "data", false, false, false },
	{ "data where it belongs", 0, 0, TCP_ACK, "right", true, false, false },
	{ "RST where it belongs", 0, 0, TCP_RST | TCP_ACK, NULL, true, true, false },
};

static void play(const struct hostile *h)
{
	struct end *client = &stage->end[0];
	struct tcp_segment s = { .seq = client->next + h->seq, .ack = client->ack + h->ack, .window = client->window, .flags = h->flags };
	size_t had;
	unsigned answers = 0;

	talk();
	s.seq = client->next + h->seq;
	s.ack = client->ack + h->ack;
	had = stage->end[1].got_bytes;
	if (h->text) {
		s.spans[0] = bytes_str(h->text);
		s.span_count = 1;
		s.payload_bytes = (uint32_t)s.spans[0].len;
	}
	stage->head = stage->tail;
	(void)stage_give(stage, 0, &s);
	(void)relay_turn(stage->relay, ++stage->now_us);
	for (unsigned i = stage->head; i != stage->tail; i++)
		answers += stage->queue_port[i % STAGE_FRAMES] == 0;
	stage_settle(stage);
	if ((stage->end[1].got_bytes > had || stage->end[1].reset || stage->end[1].finished) != h->arrives)
		fail_msg("%s: arrives %d", h->name, !h->arrives);
	if ((stage->closes > 0) != h->ends)
		fail_msg("%s: ends %d", h->name, !h->ends);
	if (h->answered && answers == 0)
		fail_msg("%s: not answered", h->name);
	if (!h->answered && !h->arrives && answers > 0)
		fail_msg("%s: answered", h->name);
	if (!h->ends && !h->arrives)
		says(0, "the flow goes on");
}

static void hostile_segments(void **state)
{
	for (int terminated = 0; terminated < 2; terminated++) {
		for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
			stage_terminated = terminated;
			assert_int_equal(stage_open(state), 0);
			play(&hostile[i]);
			(void)stage_close(state);
		}
	}
}

/* From the wrong side: a frame of the client's, at the port where the servers are. */
static void a_sender_is_on_its_own_side(void **state)
{
	struct tcp_segment s = { .flags = TCP_ACK, .window = 60000, .payload_bytes = 4, .span_count = 1, .spans = { bytes_str("fake") } };
	size_t had[2];
	uint8_t frame[256];
	size_t len;

	talk();
	s.seq = stage->end[0].next;
	s.ack = stage->end[0].ack;
	had[0] = stage->end[0].got_bytes;
	had[1] = stage->end[1].got_bytes;
	len = packet_build(&stage->end[0].template, &s, frame, sizeof frame, PACKET_BUILD_FULL).bytes;
	assert_int_equal(relay_frame(stage->relay, 1, bytes_of(frame, len), PACKET_CHECKSUM_UNKNOWN, stage->now_us), RELAY_DROPPED);
	stage_settle(stage);
	assert_int_equal(stage->end[0].got_bytes, had[0]);
	assert_int_equal(stage->end[1].got_bytes, had[1]);
	says(0, "the flow goes on");
}

/* A damaged frame changes nothing here, and goes no further. */
static void a_wrong_checksum_goes_no_further(void **state)
{
	struct tcp_segment s = { .flags = TCP_ACK | TCP_FIN, .window = 60000 };
	uint8_t frame[256];
	size_t len;

	talk();
	s.seq = stage->end[0].next;
	s.ack = stage->end[0].ack;
	len = packet_build(&stage->end[0].template, &s, frame, sizeof frame, PACKET_BUILD_FULL).bytes;
	frame[41] ^= 1;
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame, len), PACKET_CHECKSUM_UNKNOWN, stage->now_us), RELAY_DROPPED);
	says(0, "the flow goes on");
	/* What nobody filled in is filled in by the port that sends it on. */
	frame[41] = 0;
	len = packet_build(&stage->end[0].template, &(struct tcp_segment){ .seq = stage->end[0].next, .ack = stage->end[0].ack, .flags = TCP_ACK, .window = 60000,
			   .payload_bytes = 4, .span_count = 1, .spans = { bytes_str("part") } }, frame, sizeof frame, PACKET_BUILD_FULL).bytes;
	frame[50] = frame[51] = 0;
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame, len), PACKET_CHECKSUM_PARTIAL, stage->now_us), RELAY_BRIDGE);
	assert_int_equal(frame[50] | frame[51], 0);
	assert_memory_equal(frame + len - 4, "part", 4);
}

#define IP 14u
#define LARGE_BYTES 3000u

/* [from, from + len) of what the IPv4 packet in `whole` carries, as a fragment. */
static void give_fragment(const uint8_t *whole, size_t from, size_t len, bool more)
{
	uint8_t frame[1600];
	uint16_t sum;

	memcpy(frame, whole, IP + 20);
	memcpy(frame + IP + 20, whole + IP + 20 + from, len);
	frame[IP + 2] = (uint8_t)((20 + len) >> 8);
	frame[IP + 3] = (uint8_t)(20 + len);
	frame[IP + 6] = (uint8_t)(more << 5 | from / 8 >> 8);
	frame[IP + 7] = (uint8_t)(from / 8);
	frame[IP + 10] = frame[IP + 11] = 0;
	sum = (uint16_t)~packet_sum_fold(packet_sum(0, frame + IP, 20));
	memcpy(frame + IP + 10, &sum, sizeof sum);
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame, IP + 20 + len), PACKET_CHECKSUM_UNKNOWN, stage->now_us), RELAY_TAKEN);
}

/* A segment that came in fragments is larger than a frame: it goes on in several, and the FIN is the last one's. */
static void what_is_larger_than_a_frame_goes_on_in_pieces(void **state)
{
	static uint8_t payload[LARGE_BYTES], whole[LARGE_BYTES + 100];
	struct tcp_segment s = { .flags = TCP_ACK | TCP_FIN, .window = 60000, .payload_bytes = LARGE_BYTES, .span_count = 1 };
	uint64_t frames;

	talk();
	for (size_t i = 0; i < LARGE_BYTES; i++)
		payload[i] = (uint8_t)(i * 7 + i / 256);
	s.seq = stage->end[0].next;
	s.ack = stage->end[0].ack;
	s.spans[0] = bytes_of(payload, LARGE_BYTES);
	stage->end[0].next += LARGE_BYTES + 1;
	frames = spliced_frames();
	assert_int_equal(packet_build(&stage->end[0].template, &s, whole, sizeof whole, PACKET_BUILD_FULL).bytes, IP + 40 + LARGE_BYTES);
	give_fragment(whole, 0, 1480, true);
	give_fragment(whole, 1480, 1480, true);
	give_fragment(whole, 2960, 20 + LARGE_BYTES - 2960, false);
	assert_int_equal(spliced_frames(), frames + 1);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 5 + LARGE_BYTES);
	assert_memory_equal(stage->end[1].got + 5, payload, LARGE_BYTES);
	assert_true(stage->end[1].finished);
	says(1, "and the other way");
}

#define SPLICED(f) cmocka_unit_test_setup_teardown(f, open_spliced, stage_close)
#define TERMINATED(f) cmocka_unit_test_setup_teardown(f, open_terminated, stage_close)

static int open_terminated(void **state)
{
	stage_opaque = stage_terminated = true;
	return stage_open(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SPLICED(spliced_when_its_begin_is_durable), SPLICED(an_idle_flow_is_spliced_before_its_first_byte),
		TERMINATED(switched_off_it_stays_terminated), SPLICED(the_end_is_recorded_once_with_its_octets), SPLICED(time_wait_is_reopened),
		SPLICED(a_kill_resets_both_ends_with_right_numbers), SPLICED(nothing_passes_after_a_kill),
		SPLICED(a_policy_that_allows_it_changes_nothing), SPLICED(a_policy_that_wants_reading_ends_it),
		TERMINATED(a_policy_that_wants_reading_ends_it), SPLICED(a_reset_passes_and_ends_it), SPLICED(a_dead_peer_is_found),
		SPLICED(who_answers_keepalive_lives), cmocka_unit_test(hostile_segments), SPLICED(a_sender_is_on_its_own_side),
		SPLICED(what_is_larger_than_a_frame_goes_on_in_pieces), SPLICED(a_wrong_checksum_goes_no_further), TERMINATED(with_prompt_nothing_waits_for_the_begin),
		TERMINATED(with_strict_the_client_waits_for_the_begin), TERMINATED(with_answers_both_wait_for_the_begin),
		TERMINATED(a_begin_that_is_never_durable_ends_it), TERMINATED(a_target_that_resets_is_no_kill),
		SPLICED(a_policy_takes_it_back_and_hands_it_over), TERMINATED(a_policy_takes_it_back_and_hands_it_over),
		SPLICED(taken_back_with_the_next_frame), SPLICED(taken_back_with_data_in_flight), SPLICED(taken_back_with_data_that_is_lost),
		SPLICED(taken_back_behind_a_fin), SPLICED(a_kill_ends_what_was_taken_back), SPLICED(a_service_that_is_never_spliced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
