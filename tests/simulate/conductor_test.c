/* The conductor from frame to frame: what leaves for the server, and when. Each test breaks, or waits in, one place. */
#include "dataplane/relay/flight.h"
#include "tests/simulate/conductor_stage.h"

#include <stdlib.h>

#include "platform/base/random.h"
#include "platform/contract/policy_write.h"

static void allowed_command_and_its_answer(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, "one row\n");
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "one row\n"));
	assert_int_equal(stage->commands, 1);
	assert_int_equal(stage->responses, 1);
	assert_non_null(memmem(stage->payload, stage->payload_bytes, "one row", 7));
	assert_false(stage_got(stage, 1, "LOGIN"));
}

/* Promise 1: nothing of a command reaches the server before its record is durable. */
static void nothing_before_the_record_is_durable(void **state)
{
	stage_log_in(stage);
	stage->answer_durable = false;
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 1000000);
	assert_int_equal(stage->commands, 1);
	assert_int_equal(stage->end[1].got_bytes, 0);
	/* Durable up to just before the record is not enough. */
	STAGE_ORDER(stage, durable, .position = stage->command_position - 8);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	stage_durable(stage);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "select 1\n"));
}

static void pipelined_commands_wait_each_for_its_own(void **state)
{
	uint64_t first;

	stage_log_in(stage);
	stage_client_says(stage, "select 1\n"); /* classified, so that the next ones are judged at once */
	stage->answer_durable = false;
	stage_client_says(stage, "select 1\n");
	first = stage->command_position;
	stage_client_says(stage, "select 1\nselect 1\n");
	assert_int_equal(stage->commands, 4);
	assert_int_equal(stage->end[1].got_bytes, 9);
	STAGE_ORDER(stage, durable, .position = first);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 18);
	stage_durable(stage);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 36);
}

static void refused_command_never_arrives(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "drop everything\n");
	assert_true(stage_got(stage, 0, "refused: no schema changes\n"));
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
	assert_false(stage_got(stage, 1, "drop"));
	assert_int_equal(stage->commands, 2);
}

static void unknown_is_refused(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "???\n");
	assert_true(stage_got(stage, 0, "refused: "));
	assert_int_equal(stage->last_reason, REASON_UNKNOWN);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void held_command_is_released_once(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "delete it\nselect 1\n");
	assert_int_equal(stage->last_action, COMMAND_HOLD);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_WAITING, .say = bytes_str("waiting for approval 7"));
	stage_pass(stage, 60000000); /* no clock of ours ends it */
	assert_true(stage_got(stage, 0, "notice: waiting for approval 7\n"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref + 1, .answer = APPROVAL_RELEASE); /* somebody else's */
	STAGE_ORDER(stage, approval, .flow = stage->flow + 1, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	uint32_t ref = stage->held_ref;
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "delete it\nselect 1\n"));
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 19);
}

/* Before it releases, control asks what it would release (approvals.md 4). */
static void held_command_is_judged_again_when_asked(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "delete it\n");
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref + 1, .answer = APPROVAL_RECHECK); /* no such command */
	stage_settle(stage);
	assert_int_equal(stage->rechecks, 0);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RECHECK);
	stage_settle(stage);
	assert_int_equal(stage->rechecks, 1);
	assert_int_equal(stage->recheck.ref, stage->held_ref);
	assert_int_equal(stage->recheck.action, COMMAND_HOLD);
	assert_int_equal(stage->recheck.generation, stage->snapshot.inspect.generation);
	assert_string_equal(stage->recheck_raw, "delete it");
	assert_string_equal(stage->recheck_state, "answers=0");
	assert_int_equal(stage->commands, 1); /* no second record */
	assert_int_equal(stage->end[1].got_bytes, 0);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "delete it\n"));
}

/* 10.7: the session moved on between the approval and the release. */
static void release_into_another_session_state_is_refused(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "delete it\n");
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, "by the way\n");
	stage_settle(stage);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RECHECK);
	stage_settle(stage);
	assert_string_equal(stage->recheck_state, "answers=1");
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "refused: the state of the session changed"));
	assert_int_equal(stage->end[1].got_bytes, 0);
}

/* Under a new policy nothing is said before the groups under it are known. */
static void held_command_is_judged_again_under_the_new_policy(void **state)
{
	struct stage *s = stage;
	struct relay_snapshot before, *next = calloc(1, sizeof *next);
	uint8_t *image;

	stage_log_in(s);
	stage_client_says(s, "delete it\n");
	before = s->snapshot;
	image = s->image;
	s->image = NULL;
	stage_write_image(s);
	*next = s->snapshot;
	s->snapshot = before;
	assert_true(relay_swap_snapshot(s->relay, next));
	STAGE_ORDER(s, approval, .flow = s->flow, .ref = s->held_ref, .answer = APPROVAL_RECHECK);
	stage_settle(s);
	assert_int_equal(s->rechecks, 0);
	s->snapshot.inspect.generation = next->inspect.generation;
	stage_identify(s, true);
	STAGE_ORDER(s, approval, .flow = s->flow, .ref = s->held_ref, .answer = APPROVAL_RECHECK);
	stage_settle(s);
	assert_int_equal(s->rechecks, 1);
	assert_int_equal(s->recheck.generation, next->inspect.generation);
	assert_int_equal(s->recheck.action, COMMAND_HOLD);
	STAGE_ORDER(s, approval, .flow = s->flow, .ref = s->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(s);
	assert_true(stage_got(s, 1, "delete it\n"));
	free(image);
	relay_destroy(s->relay);
	s->relay = NULL;
	free(next);
}

static void denied_command_never_arrives(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "delete it\n");
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_REFUSE, .say = bytes_str("denied"));
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "refused: denied\n"));
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void client_that_goes_withdraws(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "delete it\n");
	stage_transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_int_equal(stage->withdrawals, 1);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_true(stage->end[1].finished);
}

static void wrong_identity_ends(void **state)
{
	stage->answer_login = false;
	stage_connect(stage);
	stage_client_says(stage, "LOGIN token\n");
	stage_client_says(stage, "select 1\n");
	assert_int_equal(stage->commands, 0);
	stage_identify(stage, false);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "go away\n"));
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->close_cause, CLOSE_REFUSED_LOGIN);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

/* Control gone: what waits is refused after the configured time, and nothing of it arrives. */
static void lost_control_refuses(void **state)
{
	stage_log_in(stage);
	stage->answer_classify = stage->answer_durable = false;
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 6000000);
	assert_true(stage_got(stage, 0, "refused: "));
	assert_int_equal(stage->last_reason, REASON_CONTROL_LOST);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void lost_journal_ends_the_session_unsent(void **state)
{
	stage_log_in(stage);
	stage->answer_durable = false;
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 7000000);
	assert_true(stage_got(stage, 0, "end: the journal does not answer"));
	stage_durable(stage);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void stopped_journal_refuses_at_once(void **state)
{
	stage_log_in(stage);
	STAGE_ORDER(stage, control, .journal = 0, .why = bytes_str("disk full"));
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 0, "refused: the audit journal cannot be written"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	STAGE_ORDER(stage, control, .journal = 1);
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
}

/* A question that is no record dies with control; the next life is asked again. */
static void restarted_control_is_asked_again(void **state)
{
	static const uint8_t first[16] = { 1 }, second[16] = { 2 };

	STAGE_ORDER(stage, control, .boot = bytes_of(first, 16), .journal = 1);
	stage_log_in(stage);
	stage->answer_classify = false;
	stage_client_says(stage, "select 1\n");
	assert_int_equal(stage->classifies, 1);
	stage->answer_classify = true;
	STAGE_ORDER(stage, control, .boot = bytes_of(second, 16), .journal = 1);
	stage_settle(stage);
	assert_int_equal(stage->classifies, 2);
	assert_true(stage_got(stage, 1, "select 1\n"));
}

static void kill_order_ends_in_the_protocols_words(void **state)
{
	stage_log_in(stage);
	STAGE_ORDER(stage, kill, .flow = stage->flow, .say = bytes_str("revoked"));
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "end: revoked\n"));
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->closes, 1);
}

/* A new policy: sessions stay, and judge again only when control has said what groups they are in now. */
static void new_policy_waits_for_new_grants(void **state)
{
	struct stage *s = stage;
	struct relay_snapshot before;
	uint8_t *image;

	stage_log_in(s);
	stage_client_says(s, "select 1\n");
	before = s->snapshot;
	image = s->image;
	s->image = NULL;
	struct relay_snapshot *next = calloc(1, sizeof *next);
	stage_write_image(s);
	*next = s->snapshot;
	s->snapshot = before;
	assert_true(relay_swap_snapshot(s->relay, next));
	stage_client_says(s, "select 1\n");
	assert_int_equal(s->commands, 1);
	assert_int_equal(s->end[1].got_bytes, 9);
	s->snapshot.inspect.generation = next->inspect.generation;
	stage_identify(s, true);
	stage_settle(s);
	assert_int_equal(s->commands, 2);
	assert_int_equal(s->end[1].got_bytes, 18);
	stage_client_says(s, "drop all\n");
	assert_false(stage_got(s, 1, "drop"));
	free(image);
	relay_destroy(s->relay);
	s->relay = NULL;
	free(next);
}

/* The policy names nothing any more: what the open session still gets is not bridged past it, in the middle of a stream; it is told. */
static void a_session_that_outlives_its_service_is_ended(void **state)
{
	const struct policy_spec spec = { .name = "empty", .generation = 2,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
	struct stage *s = stage;
	size_t len = policy_image_write(&spec, NULL, 0).len;
	void *image = aligned_alloc(64, (len + 63) & ~(size_t)63);
	struct relay_snapshot next = s->snapshot;
	char err[256];

	stage_log_in(s);
	next.inspect.image = policy_image_open(image, policy_image_write(&spec, image, len).len, err, sizeof err);
	next.inspect.generation = spec.generation;
	assert_non_null(next.inspect.image);
	assert_true(relay_swap_snapshot(s->relay, &next));
	stage_client_says(s, "select 1\n");
	assert_true(stage_got(s, 0, "no longer names this service"));
	assert_int_equal(s->end[1].got_bytes, 0);
	assert_int_equal(s->commands, 0);
	assert_int_equal(s->closes, 1);
	assert_int_equal(s->bridged, 0);
	relay_destroy(s->relay);
	s->relay = NULL;
	free(image);
}

static void half_close_passes_through(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	stage_transmit(stage, 0, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[1].finished);
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, "late row\n");
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "late row\n"));
	stage_transmit(stage, 1, TCP_ACK | TCP_FIN, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->closes, 1);
	stage_pass(stage, 5000000);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

static void reset_passes_through(void **state)
{
	stage_log_in(stage);
	stage_transmit(stage, 1, TCP_RST | TCP_ACK, NULL);
	stage_settle(stage);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->close_cause, CLOSE_RESET);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

/* The newest recorder that was kept, and whether it has an entry with this text. */
static bool kept_says(const char *text)
{
	struct page_flow kept;
	char line[PAGE_TEXT_BYTES];

	assert_int_equal(stage->flights->abnormals, 1);
	assert_true(page_flow_copy(&stage->flights->abnormal[0], &kept));
	for (uint64_t i = 0; i < kept.records && i < PAGE_RECORDS; i++) {
		page_record_text(&kept.record[i], line);
		if (strstr(line, text))
			return true;
	}
	return false;
}

static void an_abnormal_end_keeps_the_recorder(void **state)
{
	struct page_worker page = { 0 };
	struct page_flow flow;

	stage_log_in(stage);
	relay_publish(stage->relay, &page, stage->now_us);
	assert_int_equal(page.flows_open, 1);
	assert_int_equal(page.probe_longest, 1);
	assert_true(page_flow_copy(&stage->flights->flow[0], &flow));
	assert_int_equal(flow.id, stage->flow);
	assert_string_equal(page_phase_name(flow.state), "running");
	assert_string_equal(page_tcp_name(flow.half[0].state), "established");
	assert_int_equal(stage->flights->abnormals, 0);
	stage_transmit(stage, 1, TCP_RST | TCP_ACK, NULL);
	stage_settle(stage);
	assert_true(kept_says("opened client: "));
	assert_true(kept_says("segment_in client: SYN 0 bytes"));
	assert_true(kept_says("segment_in server: SYN+ACK 0 bytes"));
	assert_true(kept_says("segment_out client: SYN+ACK 0 bytes"));
	assert_true(kept_says("state client: running, logged in; running"));
	assert_true(kept_says("segment_in server: RST+ACK 0 bytes"));
	assert_true(kept_says("ended client: reset"));
	assert_false(page_flow_copy(&stage->flights->flow[0], &flow)); /* the flow itself is gone */
}

static void a_normal_end_keeps_nothing(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	stage_transmit(stage, 0, TCP_FIN | TCP_ACK, NULL);
	stage_settle(stage);
	stage_transmit(stage, 1, TCP_FIN | TCP_ACK, NULL);
	stage_settle(stage);
	assert_int_equal(stage->closes, 1);
	assert_int_equal(stage->flights->abnormals, 0);
}

/* What a dead worker last wrote is kept by the next; a file that is none is emptied. */
static void a_new_worker_keeps_the_flows_of_the_old(void **state)
{
	struct page_flow kept;
	struct page_worker page = { 0 };

	stage_log_in(stage);
	relay_publish(stage->relay, &page, stage->now_us);
	flight_adopt(stage->flights, 64);
	assert_int_equal(stage->flights->abnormals, 1);
	assert_true(page_flow_copy(&stage->flights->abnormal[0], &kept));
	assert_int_equal(kept.id, stage->flow);
	assert_string_equal(page_cause_name(kept.cause), "restart");
	assert_false(page_flow_copy(&stage->flights->flow[0], &kept));
	stage->flights->bytes++;
	flight_adopt(stage->flights, 64);
	assert_int_equal(stage->flights->abnormals, 0);
	assert_non_null(page_flights_open(stage->flights, page_flights_bytes(64)));
}

static void last_words_before_a_reset_arrive(void **state)
{
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, "going down\n");
	stage_transmit(stage, 1, TCP_RST | TCP_ACK, NULL);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "going down\n"));
	assert_true(stage->end[0].reset);
}

/* A SYN of another client's port. */
static enum relay_route flood_one(uint32_t number)
{
	uint8_t head[sizeof stage_frame_head], frame[128];
	struct tcp_segment syn = { .seq = number * 7919, .window = 1000, .flags = TCP_SYN };
	struct packet_template t;
	struct packet p;

	memcpy(head, stage_frame_head, sizeof head);
	head[34] = (uint8_t)(number >> 8 & 0x7f); /* below the session's own */
	head[35] = (uint8_t)number;
	assert_int_equal(packet_parse(bytes_of(head, sizeof head), &p), ERROR_none);
	packet_template_from(&t, &p);
	return relay_frame(stage->relay, 0, bytes_of(frame, packet_build(&t, &syn, frame, sizeof frame, PACKET_BUILD_FULL).bytes), PACKET_CHECKSUM_UNKNOWN, stage->now_us);
}

/* Many times more SYNs than there is room for, none of which is ever completed. */
static void a_flood_of_syns_costs_the_open_flow_nothing(void **state)
{
	struct page_worker page = { 0 };
	const struct page_counters *c = relay_counters(stage->relay);

	stage_log_in(stage);
	for (uint32_t i = 0; i < 20000; i++) {
		(void)flood_one(i);
		if (i % 32 == 0)
			(void)relay_turn(stage->relay, ++stage->now_us);
		if (i % 1000 == 0) {
			stage_client_says(stage, "select 1\n");
			assert_true(stage_got(stage, 1, "select 1\n"));
			stage_transmit(stage, 1, TCP_ACK | TCP_PSH, "row\n");
			stage_settle(stage);
			assert_true(stage_got(stage, 0, "row\n"));
		}
		assert_true(relay_flows_open(stage->relay) <= 64);
	}
	relay_publish(stage->relay, &page, stage->now_us);
	assert_true(page.flows_opening <= 32); /* half of the table is for those that are open */
	assert_true(c->drop[ERROR_opening_shed] > 1000);
	assert_true(c->drop[ERROR_syn_shed] > 1000);
	assert_int_equal(c->drop[ERROR_flow_table_full], 0);
	assert_int_equal(stage->closes, 0);
	/* The flood ends: what it left goes away by itself, the session is the only flow. */
	stage_pass(stage, 200000000);
	relay_publish(stage->relay, &page, stage->now_us);
	assert_int_equal(page.flows_opening, 0);
	assert_true(page.flows_open <= 1);
}

/* In the midst of a flood a real client gets through: its SYN displaces the oldest of the flood. */
static void a_real_client_gets_through_a_flood(void **state)
{
	for (uint32_t i = 0; i < 5000; i++) {
		(void)flood_one(i);
		if (i % 8 == 0)
			(void)relay_turn(stage->relay, ++stage->now_us);
	}
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
}

static void midstream_is_answered_with_a_reset(void **state)
{
	stage_transmit(stage, 0, TCP_ACK | TCP_PSH, "select 1\n");
	stage_settle(stage);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->dropped, 1);
	assert_int_equal(relay_counters(stage->relay)->drop[ERROR_midstream_guarded], 1);
}

/* What no service names is bridged; a guarded target's other ports are not open to new connections. */
static void bridge_and_drop(void **state)
{
	uint8_t frame[sizeof stage_frame_head];
	static const struct {
		unsigned offset, value;
		enum relay_route want;
	} rows[] = {
		{ 33, 99, RELAY_BRIDGE },      /* another target */
		{ 37, 81, RELAY_DROPPED },     /* the guarded target, another port, SYN */
		{ 13, 6, RELAY_BRIDGE },       /* ARP */
		{ 23, 1, RELAY_BRIDGE },       /* ICMP */
		{ 23, 17, RELAY_BRIDGE },      /* UDP to the service's port: no TCP, dropped below */
		{ 23, 47, RELAY_DROPPED },     /* GRE to the guarded target */
		{ 20, 0x20, RELAY_DROPPED },   /* a fragment */
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		memcpy(frame, stage_frame_head, sizeof frame);
		frame[rows[i].offset] = (uint8_t)rows[i].value;
		enum relay_route route = relay_frame(stage->relay, 0, bytes_of(frame, sizeof frame), PACKET_CHECKSUM_PARTIAL, stage->now_us);

		if (rows[i].value == 17)
			assert_int_equal(route, RELAY_DROPPED);
		else if (route != rows[i].want)
			fail_msg("row %zu: route %d", i, route);
	}
}

/* What our parser does not follow, a host may: nothing of it goes to a guarded target, or comes from one as an answer. */
static void nothing_hides_from_the_parser(void **state)
{
	enum { IP = 14, SOURCE = IP + 12, TARGET = IP + 16 };
	uint8_t frame[256], swapped[4];
	struct bytes head = bytes_of(stage_frame_head, sizeof stage_frame_head);

	for (unsigned tags = 1; tags <= 20; tags++) { /* priority tags, which a host takes off in any number */
		size_t len = 12;

		memcpy(frame, head.base, 12);
		for (unsigned i = 0; i < tags; i++, len += 4)
			memcpy(frame + len, "\x81\0\0\0", 4);
		memcpy(frame + len, head.base + 12, head.len - 12);
		len += head.len - 12;
		frame[len - head.len + 37] = 81; /* a port that no service names */
		assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame, len), PACKET_CHECKSUM_PARTIAL, stage->now_us), RELAY_DROPPED);
	}
	memcpy(frame, head.base, head.len);
	frame[IP] = 0x44; /* a header shorter than any */
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame, head.len), PACKET_CHECKSUM_PARTIAL, stage->now_us), RELAY_DROPPED);
	frame[TARGET + 3] = 99; /* to somebody else: not ours to judge */
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(frame, head.len), PACKET_CHECKSUM_PARTIAL, stage->now_us), RELAY_BRIDGE);
	memcpy(frame, head.base, head.len); /* an answer in fragments */
	memcpy(swapped, frame + SOURCE, 4);
	memcpy(frame + SOURCE, frame + TARGET, 4);
	memcpy(frame + TARGET, swapped, 4);
	frame[IP + 6] = 0x20;
	assert_int_equal(relay_frame(stage->relay, 1, bytes_of(frame, head.len), PACKET_CHECKSUM_PARTIAL, stage->now_us), RELAY_DROPPED);
	frame[IP + 9] = PACKET_UDP; /* of another conversation of that host */
	assert_int_equal(relay_frame(stage->relay, 1, bytes_of(frame, head.len), PACKET_CHECKSUM_PARTIAL, stage->now_us), RELAY_BRIDGE);
}

static void bad_checksum_is_dropped(void **state)
{
	assert_int_equal(relay_frame(stage->relay, 0, bytes_of(stage_frame_head, sizeof stage_frame_head), PACKET_CHECKSUM_UNKNOWN, stage->now_us), RELAY_DROPPED);
	assert_int_equal(relay_flows_open(stage->relay), 0);
}

static void hostile_orders_have_no_effect(void **state)
{
	struct rng rng = rng_seeded(99);
	uint8_t junk[300];

	stage_log_in(stage);
	for (int i = 0; i < 3000; i++) {
		size_t len = rng_below(&rng, sizeof junk);

		for (size_t k = 0; k < len; k++)
			junk[k] = (uint8_t)rng_next(&rng);
		if (!ring_write(&stage->orders, (uint16_t)rng_below(&rng, 16), bytes_of(junk, len), NULL))
			break;
		stage_settle(stage);
	}
	assert_true(relay_counters(stage->relay)->drop[ERROR_ring_message_bad] > 100);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static struct page_worker page_of(struct relay *relay)
{
	struct page_worker page = { 0 };

	relay_publish(relay, &page, stage->now_us);
	return page;
}

/* A session that asks for more than others leave it does without, and goes on; what it had is there again, wiped, when it ends. */
static void memory_that_a_session_borrows_is_bounded_and_comes_back(void **state)
{
	uint64_t all = page_of(stage->relay).pieces_max[0];

	assert_true(all >= 16 && all < 64);
	stage_log_in(stage);
	for (uint64_t i = 0; i < all; i++) {
		assert_int_equal(page_of(stage->relay).pieces_free[0], i < all - all / 4 ? all - i : all / 4);
		stage_client_says(stage, "BORROW\n");
		assert_int_equal(stage_got(stage, 0, "none\n"), i >= all - all / 4);
	}
	assert_false(stage_got(stage, 0, "dirty\n"));
	assert_int_equal(relay_counters(stage->relay)->drop[ERROR_piece_short], all / 4);
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
	STAGE_ORDER(stage, kill, .flow = stage->flow, .say = bytes_str("enough"));
	stage_settle(stage);
	assert_int_equal(page_of(stage->relay).pieces_free[0], all);
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(allowed_command_and_its_answer), STAGED(nothing_before_the_record_is_durable),
		STAGED(pipelined_commands_wait_each_for_its_own), STAGED(refused_command_never_arrives), STAGED(unknown_is_refused),
		STAGED(held_command_is_released_once), STAGED(held_command_is_judged_again_when_asked),
		STAGED(release_into_another_session_state_is_refused), STAGED(held_command_is_judged_again_under_the_new_policy), STAGED(denied_command_never_arrives), STAGED(client_that_goes_withdraws),
		STAGED(wrong_identity_ends), STAGED(lost_control_refuses), STAGED(lost_journal_ends_the_session_unsent),
		STAGED(stopped_journal_refuses_at_once), STAGED(restarted_control_is_asked_again), STAGED(kill_order_ends_in_the_protocols_words),
		STAGED(new_policy_waits_for_new_grants), STAGED(a_session_that_outlives_its_service_is_ended), STAGED(half_close_passes_through),
		STAGED(reset_passes_through), STAGED(an_abnormal_end_keeps_the_recorder), STAGED(a_normal_end_keeps_nothing),
		STAGED(a_new_worker_keeps_the_flows_of_the_old), STAGED(last_words_before_a_reset_arrive),
		STAGED(a_flood_of_syns_costs_the_open_flow_nothing), STAGED(a_real_client_gets_through_a_flood),
		STAGED(midstream_is_answered_with_a_reset), STAGED(bridge_and_drop), STAGED(nothing_hides_from_the_parser), STAGED(bad_checksum_is_dropped),
		STAGED(hostile_orders_have_no_effect), STAGED(memory_that_a_session_borrows_is_bounded_and_comes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
