/* What the conductor does when something that it rests on fails (policy.md 4, journal.md 10). Each test attacks one row: nothing may
 * reach the server without its record, and a session that can live on lives on. */
#include "tests/simulate/conductor_stage.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "dataplane/relay/presence.h"

/* --- Control, as far as its life goes: a thread that begins, and ends when it is told to --- */

static struct {
	pthread_t thread;
	sem_t begun, end;
	struct life *life;
} control;

static void *live(void *unused)
{
	assert_true(life_begin(control.life));
	sem_post(&control.begun);
	sem_wait(&control.end);
	return NULL; /* with the mutex held, as after kill -9 */
}

static void control_begins(void)
{
	control.life = &((struct ring_header *)stage->down)->producer;
	sem_init(&control.begun, 0, 0);
	sem_init(&control.end, 0, 0);
	assert_int_equal(pthread_create(&control.thread, NULL, live, NULL), 0);
	sem_wait(&control.begun);
	stage->beats = stage->answer_classify = stage->answer_durable = true;
}

static void control_dies(void)
{
	sem_post(&control.end);
	pthread_join(control.thread, NULL);
	stage->beats = stage->answer_classify = stage->answer_durable = false;
}

static void policy_again(void)
{
	stage_write_image(stage);
	assert_true(relay_swap_snapshot(stage->relay, &stage->snapshot));
	(void)relay_retired_snapshot(stage->relay);
}

/* --- on_control_lost --- */

static void a_dead_control_refuses_at_once(void **state)
{
	control_begins();
	stage_log_in(stage);
	stage_client_says(stage, "select 1\n");
	control_dies();
	stage_client_says(stage, "select 1\n"); /* cached: nobody would have to be asked */
	assert_true(stage_got(stage, 0, "refused: the control plane does not answer"));
	assert_int_equal(stage->last_reason, REASON_CONTROL_LOST);
	assert_int_equal(stage->end[1].got_bytes, 9);
	control_begins();
	stage_settle(stage);
	stage_client_says(stage, "select 1\n"); /* the session has stayed up */
	assert_int_equal(stage->end[1].got_bytes, 18);
	assert_int_equal(stage->closes, 0);
	control_dies();
}

static void what_waits_when_control_dies_is_refused(void **state)
{
	control_begins();
	stage_log_in(stage);
	stage->answer_classify = false;
	stage_client_says(stage, "select 1\n");
	assert_int_equal(stage->end[0].got_bytes, 8); /* "welcome" */
	control_dies();
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "refused: the control plane does not answer"));
	assert_int_equal(stage->end[1].got_bytes, 0);
}

/* Judged, on record in the ring, not durable: neither refused nor sent, until control is back and has written it. */
static void what_is_on_record_waits_for_its_record(void **state)
{
	control_begins();
	stage_log_in(stage);
	stage->answer_durable = false;
	stage_client_says(stage, "select 1\n");
	control_dies();
	stage_pass(stage, 2000000);
	assert_int_equal(stage->commands, 1);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_false(stage_got(stage, 0, "refused"));
	control_begins();
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "select 1\n"));
	control_dies();
}

static void a_silent_heart_refuses(void **state)
{
	stage_log_in(stage);
	stage->beats = stage->answer_classify = false;
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 500000);
	assert_false(stage_got(stage, 0, "refused"));
	stage_pass(stage, 700000);
	assert_true(stage_got(stage, 0, "refused: the control plane does not answer"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	stage->beats = stage->answer_classify = true;
	stage_settle(stage);
	stage_client_says(stage, "select 2\n");
	assert_true(stage_got(stage, 1, "select 2\n"));
}

static void announced_work_is_waited_for(void **state)
{
	stage_log_in(stage);
	stage->beats = stage->answer_classify = false;
	life_beat(&((struct ring_header *)stage->down)->producer, true);
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 3000000);
	assert_false(stage_got(stage, 0, "refused"));
	assert_int_equal(stage->end[1].got_bytes, 0);
}

static void wait_holds_what_control_can_still_release(void **state)
{
	stage->wait_for_control = true;
	policy_again();
	control_begins();
	stage_log_in(stage);
	control_dies();
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 4000000);
	assert_false(stage_got(stage, 0, "refused"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	control_begins();
	stage_pass(stage, 100000);
	assert_int_equal(stage->end[1].got_bytes, 0); /* the first life took the question with it */
	STAGE_ORDER(stage, control, .boot = bytes_str("fedcba9876543210"), .journal = 1);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "select 1\n"));
	control_dies();
}

static void wait_ends(void **state)
{
	stage->wait_for_control = true;
	policy_again();
	control_begins();
	stage_log_in(stage);
	control_dies();
	stage_client_says(stage, "select 1\n");
	stage_pass(stage, 6000000);
	assert_true(stage_got(stage, 0, "refused: the control plane does not answer"));
	stage->end[0].got_bytes = 0;
	stage_client_says(stage, "select 2\n"); /* it waited long enough: now as with block */
	assert_true(stage_got(stage, 0, "refused: the control plane does not answer"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_int_equal(stage->closes, 0);
}

/* A token is not written into a ring that nobody reads; the client is told. */
static void a_login_without_control_is_told(void **state)
{
	control_begins();
	stage_connect(stage);
	control_dies();
	stage_client_says(stage, "LOGIN token\n");
	assert_true(stage_got(stage, 0, "end: the control plane does not answer"));
	assert_int_equal(stage->logins, 0);
	assert_null(memmem(stage->up, ring_bytes(LIMIT_RING_UP_BYTES), "LOGIN token", 11));
	assert_int_equal(stage->closes, 1);
}

/* The approvers cannot be asked: a hold goes on until its time is over, and is then refused. */
static void a_hold_without_control_ends_with_its_time(void **state)
{
	control_begins();
	stage_log_in(stage);
	stage_client_says(stage, "delete it\n");
	control_dies();
	stage_pass(stage, 50000000);
	assert_false(stage_got(stage, 0, "refused"));
	stage_pass(stage, 15000000); /* the policy's approval expires after 60 s */
	assert_true(stage_got(stage, 0, "refused: the approval has expired"));
	assert_int_equal(stage->withdrawals, 1);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

/* What the worker itself was away for is not held against control. */
static void a_worker_that_was_away_does_not_blame_control(void **state)
{
	struct life life = { .beat = 2 };
	struct presence p = { .life = &life, .looked_us = 1000000 };

	assert_false(presence_look(&p, 1000000, 2000000, 30000000));
	assert_false(presence_look(&p, 61000000, 2000000, 30000000));
	for (int i = 0; i < 19; i++)
		assert_false(presence_look(&p, 61100000 + (uint64_t)i * 100000, 2000000, 30000000));
	assert_true(presence_look(&p, 63100000, 2000000, 30000000));
	assert_int_equal(p.lost_since_us, 63100000 - 2100000);
	life_beat(&life, false);
	assert_false(presence_look(&p, 63200000, 2000000, 30000000));
}

/* --- The journal --- */

static void a_stopped_journal_ends_what_was_not_recorded(void **state)
{
	stage_log_in(stage);
	stage->answer_durable = false;
	stage_client_says(stage, "select 1\n");
	STAGE_ORDER(stage, control, .journal = 0, .why = bytes_str("no space"));
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "end: the audit journal cannot be written"));
	stage_durable(stage);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
}

/* Part of what was written may go out, the rest not; the end of the session must not open the gate for all of it. */
static void the_end_of_a_session_releases_nothing(void **state)
{
	stage_log_in(stage);
	stage->end[1].window = 0;
	stage_transmit(stage, 1, TCP_ACK, NULL);
	stage_client_says(stage, "select 1\n"); /* durable; the server takes nothing */
	stage->answer_durable = false;
	stage_client_says(stage, "select 1\nselect 1\n");
	stage->last_position = stage->durable_sent;
	stage_pass(stage, 6500000);
	stage->end[1].window = 60000;
	stage_transmit(stage, 1, TCP_ACK, NULL);
	stage_pass(stage, 1000000);
	assert_true(stage->end[1].got_bytes <= 9);
	assert_int_equal(stage->close_cause, CLOSE_KILLED);
}

static void no_room_for_new_sessions(void **state)
{
	struct end client = stage->end[0], server = stage->end[1];

	stage_log_in(stage);
	STAGE_ORDER(stage, control, .journal = 1, .level = JOURNAL_ROOM_NO_SESSIONS);
	stage_settle(stage);
	stage_client_says(stage, "select 1\n"); /* who is in stays in */
	assert_true(stage_got(stage, 1, "select 1\n"));
	stage_transmit(stage, 0, TCP_RST | TCP_ACK, NULL);
	stage_settle(stage);
	stage->end[0] = client;
	stage->end[1] = server;
	stage->opens = stage->logins = 0;
	stage_connect(stage);
	stage_client_says(stage, "LOGIN token\n");
	assert_true(stage_got(stage, 0, "end: the audit journal has no room for new sessions"));
	assert_int_equal(stage->logins, 0);
}

/* --- Who was revoked is not known --- */

static void a_suspended_session_waits_for_news(void **state)
{
	static const uint8_t groups[32] = { 1 };

	stage_log_in(stage);
	STAGE_ORDER(stage, identity, .flow = stage->flow, .accepted = 1, .generation = stage->snapshot.inspect.generation, .groups = bytes_of(groups, 32),
		    .suspended = 1, .say = bytes_str("old news"));
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 0, "refused: old news\n"));
	assert_int_equal(stage->last_reason, REASON_STALE);
	assert_int_equal(stage->end[1].got_bytes, 0);
	stage_identify(stage, true);
	stage_client_says(stage, "select 1\n");
	assert_true(stage_got(stage, 1, "select 1\n"));
}

/* --- unknown = hold --- */

static void unknown_is_held_where_the_policy_says_so(void **state)
{
	stage->hold_unknown = true;
	policy_again();
	stage_log_in(stage);
	stage_client_says(stage, "???\n");
	assert_int_equal(stage->last_action, COMMAND_HOLD);
	assert_int_equal(stage->last_reason, REASON_UNKNOWN);
	assert_int_equal(stage->end[1].got_bytes, 0);
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_REFUSE, .say = bytes_str("denied"));
	stage_settle(stage);
	assert_true(stage_got(stage, 0, "refused: denied\n"));
	assert_int_equal(stage->end[1].got_bytes, 0);
	stage_client_says(stage, "??? again\n");
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "??? again\n"));
}

/* --- A new policy --- */

static struct relay_snapshot next_policy(uint8_t **old_image)
{
	struct relay_snapshot before = stage->snapshot, next;

	*old_image = stage->image;
	stage->image = NULL;
	stage_write_image(stage);
	next = stage->snapshot;
	stage->snapshot = before;
	return next;
}

static void finish(uint8_t *old_image)
{
	relay_destroy(stage->relay);
	stage->relay = NULL;
	free(old_image);
}

/* The answer to a login names the policy before: the first command waits for the grants under the new one, and passes. */
static void a_login_across_a_reload_is_not_refused(void **state)
{
	struct relay_snapshot next;
	uint8_t *old;

	stage->answer_login = false;
	stage_connect(stage);
	stage_client_says(stage, "LOGIN token\n");
	next = next_policy(&old);
	assert_true(relay_swap_snapshot(stage->relay, &next));
	stage_settle(stage);
	stage_identify(stage, true); /* of the old generation */
	stage_settle(stage);
	stage_client_says(stage, "select 1\n");
	assert_int_equal(stage->commands, 0);
	assert_false(stage_got(stage, 0, "refused"));
	stage->snapshot.inspect.generation = next.inspect.generation;
	stage_identify(stage, true);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "select 1\n"));
	assert_false(stage_got(stage, 0, "refused"));
	finish(old);
}

/* Grants that come before their policy: the command waits for the policy, and passes. */
static void grants_before_their_policy_are_not_refused(void **state)
{
	struct relay_snapshot next;
	uint8_t *old;
	uint64_t generation;

	stage_log_in(stage);
	next = next_policy(&old);
	generation = stage->snapshot.inspect.generation;
	stage->snapshot.inspect.generation = next.inspect.generation;
	stage_identify(stage, true);
	stage->snapshot.inspect.generation = generation;
	stage_settle(stage);
	stage_client_says(stage, "select 1\n");
	assert_int_equal(stage->commands, 0);
	assert_false(stage_got(stage, 0, "refused"));
	assert_true(relay_swap_snapshot(stage->relay, &next));
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "select 1\n"));
	finish(old);
}

/* Approved between the new policy and its grants: judged again when they are there, and released. */
static void an_approval_across_a_reload_is_not_refused(void **state)
{
	struct relay_snapshot next;
	uint8_t *old;

	stage_log_in(stage);
	stage_client_says(stage, "delete it\n");
	next = next_policy(&old);
	assert_true(relay_swap_snapshot(stage->relay, &next));
	STAGE_ORDER(stage, approval, .flow = stage->flow, .ref = stage->held_ref, .answer = APPROVAL_RELEASE);
	stage_settle(stage);
	assert_int_equal(stage->end[1].got_bytes, 0);
	assert_false(stage_got(stage, 0, "refused"));
	stage->snapshot.inspect.generation = next.inspect.generation;
	stage_identify(stage, true);
	stage_settle(stage);
	assert_true(stage_got(stage, 1, "delete it\n"));
	assert_int_equal(stage->commands, 1); /* one record: it was held and released, not asked anew */
	finish(old);
}

#define STAGED(f) cmocka_unit_test_setup_teardown(f, stage_open, stage_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STAGED(a_dead_control_refuses_at_once), STAGED(what_waits_when_control_dies_is_refused), STAGED(what_is_on_record_waits_for_its_record),
		STAGED(a_silent_heart_refuses), STAGED(announced_work_is_waited_for), STAGED(wait_holds_what_control_can_still_release),
		STAGED(wait_ends), STAGED(a_login_without_control_is_told), STAGED(a_hold_without_control_ends_with_its_time),
		cmocka_unit_test(a_worker_that_was_away_does_not_blame_control), STAGED(a_stopped_journal_ends_what_was_not_recorded),
		STAGED(the_end_of_a_session_releases_nothing), STAGED(no_room_for_new_sessions), STAGED(a_suspended_session_waits_for_news),
		STAGED(unknown_is_held_where_the_policy_says_so), STAGED(a_login_across_a_reload_is_not_refused),
		STAGED(grants_before_their_policy_are_not_refused), STAGED(an_approval_across_a_reload_is_not_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
