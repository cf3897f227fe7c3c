/* A ring of events that is really full: nobody takes anything out of it, and answers write payload into it until there is no room. What is not kept then
 * is said in the record of its answer (`ring_full`), every record itself has its place, no byte of an answer is lost, and it all goes on afterwards. */
#include "dataplane/relay/conductor.h"
#include "dataplane/report/report.h"
#include "tests/simulate/conductor_stage.h"

#include <stdio.h>
#include <string.h>

#define ROW_BYTES 1000
#define COMMANDS 60u /* sent ahead: later there is no room for new ones */
#define FIRST_BYTES 1200 /* of an answer and its record is more than what is left then */

/* Bytes over what is kept free for records. */
static int64_t room_left(void)
{
	const struct ring_header *h = stage->up;

	return (int64_t)LIMIT_RING_UP_BYTES - (int64_t)(atomic_load(&h->head) - atomic_load(&h->tail)) - REPORT_RESERVE_BYTES;
}

/* Control has committed what it read, so nothing stalls; it has not moved the tail. */
static void committed(void)
{
	STAGE_ORDER(stage, durable, .position = stage->last_position);
	stage->end[0].got_bytes = 0;
	stage->payload_bytes = 0;
}

static void server_says(const char *text)
{
	stage_transmit(stage, 1, TCP_ACK | TCP_PSH, text);
	stage_settle(stage);
}

/* Rows of the first command's answer, until there is room for some answers only. */
static void fill(void)
{
	char row[ROW_BYTES + 1];

	memset(row, 'r', ROW_BYTES);
	row[0] = '+';
	row[ROW_BYTES - 1] = '\n';
	row[ROW_BYTES] = 0;
	while (room_left() > 24 * ROW_BYTES) {
		for (unsigned i = 0; i < 20; i++)
			stage_transmit(stage, 1, TCP_ACK | TCP_PSH, row);
		stage_settle(stage);
		committed();
	}
	server_says("end\n");
	committed();
}

static void answer_of(char *out, size_t len)
{
	memset(out, 'a', len);
	out[len - 1] = '\n';
	out[len] = 0;
}

static void what_a_full_ring_does_not_take_is_on_record(void **state)
{
	char text[FIRST_BYTES + 32];
	unsigned responses;

	stage->audit = POLICY_AUDIT_PROMPT;
	stage->record = POLICY_RECORD_FULL;
	stage->payload_bytes_max = 1ull << 40;
	stage_write_image(stage);
	stage_log_in(stage);
	for (unsigned i = 0; i < COMMANDS; i++)
		stage_client_says(stage, "select 1\n");
	stage->answer_durable = false;
	fill();
	assert_int_equal(stage->responses, 1);
	assert_int_equal(stage->last_truncated, 0);
	for (answer_of(text, 500); room_left() > FIRST_BYTES;) {
		server_says(text);
		assert_int_equal(stage->last_truncated, 0);
		committed();
	}
	assert_true(room_left() > 0);
	responses = stage->responses;
	/* Two answers at once: the first one takes the room that there is. */
	answer_of(text, FIRST_BYTES);
	(void)snprintf(text + FIRST_BYTES, sizeof text - FIRST_BYTES, "second answer\n");
	server_says(text);
	assert_int_equal(stage->responses, responses + 2);
	assert_int_equal(stage->last_truncated, RESPONSE_CUT_RING);
	assert_int_equal(stage->payload_bytes, FIRST_BYTES);
	assert_true(stage_got(stage, 0, "second answer\n"));
	assert_int_equal(stage->end[0].got_bytes, strlen(text));
	/* Full: nothing is read any more, nothing is dropped. */
	assert_true(room_left() <= 0);
	committed();
	server_says("third answer\n");
	assert_int_equal(stage->responses, responses + 2);
	assert_int_equal(stage->end[0].got_bytes, 0);
	/* Control takes out what it committed. */
	stage->answer_durable = true;
	stage_pass(stage, 200000);
	assert_true(stage_got(stage, 0, "third answer\n"));
	assert_int_equal(stage->responses, responses + 3);
	assert_int_equal(stage->last_truncated, 0);
	assert_non_null(memmem(stage->payload, stage->payload_bytes, "third answer\n", 13));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_a_full_ring_does_not_take_is_on_record, stage_open, stage_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
