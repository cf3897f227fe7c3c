/* Audit "answers": no byte of an answer reaches the client before the event that describes it is durable (journal.md P1), and what never
 * becomes durable is never delivered. Control is played by the test: it withholds its acknowledgements and gives them. */
#include "dataplane/relay/conductor.h"
#include "tests/simulate/conductor_stage.h"

#include <stdio.h>
#include <string.h>

#define ROW_BYTES 1000

/* Another policy for the session that begins next. */
static void use(enum policy_audit audit, enum policy_record record, uint64_t payload_bytes_max)
{
	stage->audit = audit;
	stage->record = record;
	stage->payload_bytes_max = payload_bytes_max;
	stage_write_image(stage);
}

/* A command on its way to the server; what follows is not acknowledged. */
static void ask(void)
{
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
	stage->answer_durable = false;
	stage->end[0].got_bytes = 0;
}

static void server_says(const char *text)
{
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, text);
	stage_settle(stage);
}

/* The number of a row stands in it: lost, doubled or swapped ones are seen. */
static void row_text(char out[ROW_BYTES + 1], unsigned number)
{
	memset(out, 'r', ROW_BYTES);
	(void)snprintf(out, 16, "+%08u", number);
	out[9] = ' ';
	out[ROW_BYTES - 1] = '\n';
	out[ROW_BYTES] = 0;
}

static void rows(unsigned first, unsigned count)
{
	char row[ROW_BYTES + 1];

	for (unsigned i = 0; i < count; i++) {
		row_text(row, first + i);
		stage_transmit(stage, 1, TCP_ACK | TCP_PSH, row);
		if (i % 10 == 9 || i + 1 == count)
			stage_settle(stage);
	}
}

static void assert_rows(unsigned count)
{
	char row[ROW_BYTES + 1];

	assert_true(stage->end[0].got_bytes >= (size_t)count * ROW_BYTES);
	for (unsigned i = 0; i < count; i++) {
		row_text(row, i);
		assert_memory_equal(stage->end[0].got + (size_t)i * ROW_BYTES, row, ROW_BYTES);
	}
}

static void durable_up_to(uint64_t position)
{
	STAGE_ORDER(stage, durable, .position = position);
	stage_settle(stage);
}

static void only_answers_holds_answers(void **state)
{
	static const enum policy_audit levels[] = { POLICY_AUDIT_STRICT, POLICY_AUDIT_PROMPT };

	for (unsigned i = 0; i < 2; i++) {
		if (i > 0) {
			stage_close(state);
			stage_open(state);
		}
		use(levels[i], POLICY_RECORD_FULL, 0);
		ask();
		server_says("one row\n");
		assert_true(stage_got(stage, 0, "one row\n"));
		stage_client_says(stage, "select 1\n");
		assert_int_equal(stage->end[1].got_bytes, levels[i] == POLICY_AUDIT_PROMPT ? 18 : 9);
		assert_int_equal(stage->parts, 0);
	}
}

/* The payload alone is not enough: the end of the answer waits for its record as well. */
static void an_answer_waits_for_its_record(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 0);
	ask();
	server_says("one row\n");
	stage_pass(stage, 1000000);
	assert_int_equal(stage->responses, 1);
	assert_non_null(memmem(stage->payload, stage->payload_bytes, "one row\n", 8));
	assert_int_equal(stage->end[0].got_bytes, 0);
	durable_up_to(stage->response_position - 8);
	assert_int_equal(stage->end[0].got_bytes, 0);
	durable_up_to(stage->response_position);
	assert_int_equal(stage->end[0].got_bytes, 8);
	assert_true(stage_got(stage, 0, "one row\n"));
	assert_int_equal(stage->parts, 0);
}

/* Level "meta": the record of the end is all that a short answer needs, whoever is answered next. */
static void a_short_answer_without_payload_has_one_record(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_META, 0);
	ask();
	stage_client_says(stage, "select 1\n");
	server_says("one row\n");
	stage_pass(stage, 1000000);
	assert_int_equal(stage->end[0].got_bytes, 0);
	stage_durable(stage);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "one row\n"));
	assert_int_equal(stage->parts, 0);
	assert_int_equal(stage->payload_bytes, 0);
}

static void a_refusal_waits_for_its_record(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_META, 0);
	stage_log_in(stage);
	stage_client_says(stage, "drop it\n"); /* classified, so that the next one is judged at once */
	stage->answer_durable = false;
	stage->end[0].got_bytes = 0;
	stage_client_says(stage, "drop it\n");
	stage_pass(stage, 1000000);
	assert_int_equal(stage->end[0].got_bytes, 0);
	durable_up_to(stage->command_position);
	assert_int_equal(stage->end[0].got_bytes, 0);
	stage_durable(stage);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "refused: no schema changes\n"));
}

static void answers_leave_one_after_the_other(void **state)
{
	uint64_t first;

	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 0);
	ask();
	server_says("first\n");
	first = stage->response_position;
	server_says("second\n");
	server_says("third\n");
	assert_int_equal(stage->end[0].got_bytes, 0);
	durable_up_to(first);
	assert_int_equal(stage->end[0].got_bytes, 6);
	stage_durable(stage);
	stage_settle(stage);
	assert_memory_equal(stage->end[0].got, "first\nsecond\nthird\n", 19);
}

/* While nothing is acknowledged the server is read ahead up to a bound, and not one byte goes on. */
static void a_long_answer_is_read_ahead_within_a_bound(void **state)
{
	size_t kept;

	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 1u << 20);
	ask();
	for (unsigned i = 0; i < 30; i++) {
		rows(i * 10, 10);
		assert_int_equal(stage->end[0].got_bytes, 0);
	}
	kept = stage->payload_bytes;
	assert_true(kept > 200u << 10 && kept < 330u << 10);
	stage_pass(stage, 1000000);
	assert_int_equal(stage->end[0].got_bytes, 0);
	stage->answer_durable = true;
	stage_settle(stage);
	server_says("that was all\n");
	stage_pass(stage, 200000);
	assert_rows(300);
	assert_int_equal(stage->end[0].got_bytes, 300 * ROW_BYTES + 13);
	assert_int_equal(stage->payload_bytes, stage->end[0].got_bytes);
	assert_memory_equal(stage->payload, stage->end[0].got, stage->payload_bytes);
	assert_int_equal(stage->parts, 0);
}

/* Without payload each window has a record that says how much it is; while one waits the next one grows. */
static void windows_without_payload_have_records(void **state)
{
	uint64_t first;

	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_META, 0);
	ask();
	rows(0, 1);
	assert_int_equal(stage->parts, 1); /* nothing waits in front of it: at once */
	assert_int_equal(stage->part.window, ROW_BYTES);
	assert_int_equal(stage->part.rows, 1);
	first = stage->last_position;
	rows(1, 20);
	assert_int_equal(stage->parts, 1);
	assert_int_equal(stage->end[0].got_bytes, 0);
	durable_up_to(first);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES);
	assert_int_equal(stage->parts, 2);
	assert_int_equal(stage->part.window, 20 * ROW_BYTES);
	assert_int_equal(stage->part.octets, 21 * ROW_BYTES);
	assert_int_equal(stage->part.rows, 21);
	rows(21, 100); /* more than a window: it does not wait to be closed */
	assert_int_equal(stage->parts, 3);
	assert_true(stage->part.window >= 64u << 10 && stage->part.window < (64u << 10) + ROW_BYTES);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES);
	stage->answer_durable = true;
	server_says("that was all\n");
	stage_pass(stage, 200000);
	assert_rows(121);
	assert_int_equal(stage->end[0].got_bytes, 121 * ROW_BYTES + 13);
	assert_true(stage->part_octets <= 121 * ROW_BYTES);
	assert_int_equal(stage->payload_bytes, 0);
}

static void beyond_the_payload_limit_windows_have_records(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 4 * ROW_BYTES);
	ask();
	rows(0, 10);
	assert_int_equal(stage->payload_bytes, 4 * ROW_BYTES);
	assert_int_equal(stage->end[0].got_bytes, 0);
	stage->answer_durable = true;
	stage_pass(stage, 200000);
	assert_rows(10);
	assert_int_equal(stage->part_octets, 6 * ROW_BYTES);
	assert_int_equal(stage->part.octets, 10 * ROW_BYTES);
}

/* The record of an answer says that its payload is not whole; also when the limit is passed by the end of it. */
static void the_limit_is_on_record(void **state)
{
	const struct { uint64_t limit; bool truncated; } row[] = { { 0, false }, { 8, false }, { 7, true } };

	for (unsigned i = 0; i < 3; i++) {
		if (i > 0) {
			stage_close(state);
			stage_open(state);
		}
		use(POLICY_AUDIT_PROMPT, POLICY_RECORD_FULL, row[i].limit);
		ask();
		server_says("one row\n");
		stage_pass(stage, 1000000);
		assert_int_equal(stage->responses, 1);
		assert_int_equal(stage->last_truncated, row[i].truncated);
		assert_int_equal(stage->payload_bytes, row[i].truncated ? 0 : 8);
	}
}

/* A command that is sent ahead does not make the answer before it whole again, nor its windows its own. */
static void an_answer_is_its_own_commands(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 2 * ROW_BYTES);
	ask();
	stage->answer_durable = true;
	rows(0, 4);
	stage_pass(stage, 1000000);
	stage_client_says(stage, "select 2\n");
	rows(4, 1);
	stage_pass(stage, 1000000);
	assert_true(stage->parts > 0);
	assert_int_equal(stage->part.octets, 5 * ROW_BYTES);
	server_says("end\n");
	stage_pass(stage, 1000000);
	assert_int_equal(stage->responses, 1);
	assert_int_equal(stage->last_truncated, RESPONSE_CUT_LIMIT);
	assert_int_equal(stage->part.ref, stage->last_ref);
	server_says("one row\n");
	stage_pass(stage, 1000000);
	assert_int_equal(stage->responses, 2);
	assert_int_equal(stage->last_truncated, 0);
	assert_int_not_equal(stage->part.ref, stage->last_ref);
}

/* What the client sends in bulk is payload of its command, as it was sent, and reaches the server when that is on record. */
static void bulk_waits_for_its_payload(void **state)
{
	static const enum policy_audit levels[] = { POLICY_AUDIT_STRICT, POLICY_AUDIT_PROMPT, POLICY_AUDIT_ANSWERS };

	for (unsigned i = 0; i < 3; i++) {
		if (i > 0) {
			stage_close(state);
			stage_open(state);
		}
		use(levels[i], POLICY_RECORD_FULL, 0);
		ask();
		stage_client_says(stage, "=one\n");
		stage_client_says(stage, "=two\n");
		assert_int_equal(stage->payload_bytes, 10);
		assert_memory_equal(stage->payload, "=one\n=two\n", 10);
		stage_pass(stage, 500000);
		assert_int_equal(stage_got(stage, 1, "=one"), levels[i] == POLICY_AUDIT_PROMPT);
		stage_durable(stage);
		stage_settle(stage);
		assert_true(stage_got(stage, 1, "select 1\n=one\n=two\n"));
		server_says("done\n");
		stage_durable(stage);
		stage_settle(stage);
		assert_int_equal(stage->responses, 1);
		assert_int_equal(stage->last_truncated, 0);
	}
}

/* Beyond the service's limit it goes on and is not kept, which the answer's record says; a service that keeps no payload keeps none of it. */
static void bulk_is_kept_up_to_the_limit(void **state)
{
	static const struct {
		enum policy_record record;
		uint64_t limit;
		unsigned kept, truncated;
	} row[] = { { POLICY_RECORD_FULL, 10, 10, 0 }, { POLICY_RECORD_FULL, 7, 7, RESPONSE_CUT_LIMIT }, { POLICY_RECORD_FULL, 5, 5, RESPONSE_CUT_LIMIT }, { POLICY_RECORD_META, 7, 0, 0 } };

	for (unsigned i = 0; i < 4; i++) {
		if (i > 0) {
			stage_close(state);
			stage_open(state);
		}
		use(POLICY_AUDIT_STRICT, row[i].record, row[i].limit);
		ask();
		stage_client_says(stage, "=one\n");
		stage_client_says(stage, "=two\n");
		assert_int_equal(stage->payload_bytes, row[i].kept);
		assert_memory_equal(stage->payload, "=one\n=two\n", row[i].kept);
		stage_durable(stage);
		stage_settle(stage);
		assert_true(stage_got(stage, 1, "=one\n=two\n"));
		server_says("ok\n");
		stage_pass(stage, 1000000);
		assert_int_equal(stage->responses, 1);
		assert_int_equal(stage->last_truncated, row[i].truncated);
	}
}

static void a_stopped_journal_withholds_the_answer(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 0);
	ask();
	rows(0, 1);
	stage_durable(stage);
	stage_settle(stage);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES);
	rows(1, 5);
	STAGE_ORDER(stage, control, .journal = 0, .why = bytes_str("disk full"));
	stage_settle(stage);
	assert_rows(1);
	assert_memory_equal(stage->end[0].got + ROW_BYTES, "end: the audit journal cannot be written: the rest of the answer is withheld\n", 77);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES + 77);
	assert_true(stage->end[0].finished);
	stage_durable(stage);
	stage_pass(stage, 1000000);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES + 77);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void a_stalled_journal_withholds_the_answer(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_META, 0);
	ask();
	rows(0, 30); /* the first is behind a barrier, the others have no record yet */
	stage_pass(stage, 7000000);
	assert_memory_equal(stage->end[0].got, "end: the journal does not answer: the rest of the answer is withheld\n", 69);
	assert_int_equal(stage->end[0].got_bytes, 69);
	assert_true(stage->end[0].finished);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

/* The client has the first half of a row: whatever came now it would take for the other half. */
static void nothing_is_said_inside_a_message(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 0);
	ask();
	server_says("+half a row");
	stage_durable(stage);
	stage_settle(stage);
	assert_int_equal(stage->end[0].got_bytes, 11);
	server_says(" and the rest\n");
	stage_pass(stage, 7000000);
	assert_int_equal(stage->end[0].got_bytes, 11);
	assert_true(stage->end[0].reset);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

/* The ring has no room for the record of the next window: it is the session that ends, not the rule. */
static void what_cannot_be_described_is_not_delivered(void **state)
{
	static const uint8_t junk[LIMIT_MESSAGE_BYTES - 64];
	uint64_t first;

	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_META, 0);
	ask();
	rows(0, 1);
	first = stage->last_position;
	rows(1, 20);
	for (size_t len = sizeof junk; len > 0; len /= 2)
		while (ring_write(&stage->relay->report.ring, 15, bytes_of(junk, len), NULL))
			;
	durable_up_to(first);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES);
	stage_pass(stage, 20000000);
	assert_int_equal(stage->parts, 1);
	assert_int_equal(stage->end[0].got_bytes, ROW_BYTES);
	assert_true(stage->end[0].reset);
}

/* What is refused because nothing can be recorded is told at once, as under "strict": it says nothing of the target. */
static void a_stopped_journal_is_told(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_FULL, 0);
	ask();
	stage_durable(stage);
	server_says("one row\n");
	stage_durable(stage);
	stage_settle(stage);
	STAGE_ORDER(stage, control, .journal = 0, .why = bytes_str("disk full"));
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 0, "refused: the audit journal cannot be written"));
	assert_int_equal(stage->end[1].got_bytes, 9);
	assert_false(stage->end[0].finished);
	STAGE_ORDER(stage, control, .journal = 1);
	stage->answer_durable = true;
	stage_client_says(stage, "select 1\n");
	assert_int_equal(stage->end[1].got_bytes, 18);
	stage->answer_durable = false;
	stage->end[0].got_bytes = 0;
	server_says("two rows\n");
	assert_int_equal(stage->end[0].got_bytes, 0);
}

static void what_a_held_command_waits_for_is_told_when_it_is_on_record(void **state)
{
	use(POLICY_AUDIT_ANSWERS, POLICY_RECORD_META, 0);
	ask();
	stage_client_says(stage, "delete it\n");
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_WAITING, .say = bytes_str("7"));
	stage_settle(stage);
	assert_int_equal(stage->end[0].got_bytes, 0);
	assert_int_equal(stage->part.ref, stage->held_ref);
	stage_durable(stage);
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "notice: 7\n"));
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(only_answers_holds_answers), STAGED(an_answer_waits_for_its_record), STAGED(a_short_answer_without_payload_has_one_record),
		STAGED(a_refusal_waits_for_its_record), STAGED(answers_leave_one_after_the_other), STAGED(a_long_answer_is_read_ahead_within_a_bound),
		STAGED(windows_without_payload_have_records), STAGED(beyond_the_payload_limit_windows_have_records), STAGED(the_limit_is_on_record), STAGED(an_answer_is_its_own_commands),
		STAGED(bulk_waits_for_its_payload), STAGED(bulk_is_kept_up_to_the_limit),
		STAGED(a_stopped_journal_withholds_the_answer), STAGED(a_stalled_journal_withholds_the_answer), STAGED(nothing_is_said_inside_a_message),
		STAGED(what_cannot_be_described_is_not_delivered),
		STAGED(a_stopped_journal_is_told), STAGED(what_a_held_command_waits_for_is_told_when_it_is_on_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
