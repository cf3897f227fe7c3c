/* rights_test.c: who sees an approval, who takes a grant back, and clocks by which nothing is released. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "control/approval/approval_fixture.h"

/* --- seeing -------------------------------------------------------------------------------------------------------------- */

static bool sees(struct approvals *as, const struct approval *a, const char *person, const char *agent, const char *groups)
{
	struct principal *p = somebody(person, agent, groups);
	bool may = approvals_may_see(as, a, p);

	principal_put(p);
	return may;
}

static void who_may_decide_and_who_asked_see_it_and_nobody_else(void **state)
{
	static const struct {
		const char *what, *person, *agent, *groups;
		bool sees;
	} rows[] = {
		{ "an approver", "bob", "", "dba", true },
		{ "an approver of the other group", "bob", "", "security", true },
		{ "the requester's person", "alice", "", "", true },
		{ "the requester's agent", "alice", "agent-7", "agents", true },
		{ "somebody else of the requester's groups", "carl", "", "agents", false },
		{ "a stranger", "mallory", "", "other", false },
		{ "nobody's token", "", "", "dba", false },
		{ "an agent in the approvers' group", "mallory", "agent-9", "dba", false },
	};
	struct approval *a = held("dba:1,security:1");

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (sees(w.as, a, rows[i].person, rows[i].agent, rows[i].groups) != rows[i].sees)
			fail_msg("%s", rows[i].what);
	}
	w.everybody_invalid = true;
	assert_false(sees(w.as, a, "bob", "", "dba"));
}

/* Principals do not come back after a restart; their `who` does. */
static void after_a_restart_the_same_people_see_it(void **state)
{
	struct approval *a = held("dba:1"), *b;
	struct approvals *again = approvals_create(&host, "a", "test.example/journal");

	for (unsigned i = 0; i < w.records; i++)
		assert_true(approvals_replay(again, i, bytes_str(w.record[i]), bytes_of(w.payload[i], w.payload_len[i])));
	b = approvals_find(again, a->id_text);
	assert_non_null(b);
	assert_true(sees(again, b, "alice", "", ""));
	assert_true(sees(again, b, "bob", "", "dba"));
	assert_false(sees(again, b, "mallory", "", "other"));
	approvals_destroy(again);
}

static void a_person_called_unknown_owns_nothing(void **state)
{
	struct principal shape = { .issuer = "corp", .iss = "https://other.example", .sub = "x", .person = "unknown", .agent = "", .run = "" };
	struct principal *job = somebody("", "job-1", ""), *p = principal_create(&shape);
	struct approval *a;

	a = held_by(job, "dba:1", 5, "DELETE FROM a", 900);
	free(a->who);
	a->who = (uint8_t *)strdup("{\"person\":\"unknown\"}"); /* as it is written when nobody stands behind it */
	a->who_len = strlen((char *)a->who);
	assert_false(approvals_may_see(w.as, a, p));
	principal_put(p);
	principal_put(job);
}

/* --- taking back --------------------------------------------------------------------------------------------------------- */

static enum approval_vote_result revoke(struct approval *a, const char *person, const char *agent, const char *groups)
{
	struct principal *p = somebody(person, agent, groups);
	char text[APPROVAL_SAY_BYTES];
	enum approval_vote_result r = approvals_revoke(w.as, a, p, who_json(), "not <b>any</b> more", w.now, text);

	principal_put(p);
	return r;
}

/* Granted, and the worker has not said yet what it would run. */
static struct approval *granted(void)
{
	struct approval *a = held("dba:1");

	w.said.silent = true;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	w.said.silent = false;
	return a;
}

static void a_grant_that_was_not_used_is_taken_back(void **state)
{
	struct approval *a = granted();

	assert_int_equal(revoke(a, "dora", "", "dba"), APPROVAL_DECIDED); /* not only who granted it */
	assert_int_equal(a->state, APPROVAL_REVOKED);
	assert_true(recorded_last("approval.revoke"));
	assert_non_null(strstr(w.record[w.records - 1], "not  b any /b  more"));
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_int_equal(w.cuts, 0);
	/* The worker's answer comes late; nothing is released, ever. */
	worker_says(a);
	w.now.mono_us += 2 * APPROVAL_RECHECK_US;
	tick(a);
	assert_int_equal(w.released, 0);
	assert_int_equal(approvals_counters(w.as).open, 0);
	assert_int_equal(approvals_counters(w.as).revoked, 1);
}

static void one_that_was_sent_is_cut(void **state)
{
	struct approval *a = held("dba:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
	assert_int_equal(revoke(a, "dora", "", "dba"), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_REVOKED);
	assert_int_equal(w.cuts, 1);
	assert_true(recorded_last("approval.revoke"));
	/* Its answer, and the session's end, change nothing any more. */
	approvals_responded(w.as, 1, 77, 3, false, "00000");
	approvals_session_closed(w.as, 1, 77, "killed");
	assert_int_equal(a->state, APPROVAL_REVOKED);
}

static void who_may_not_take_back(void **state)
{
	static const struct {
		const char *what, *person, *agent, *groups;
	} rows[] = {
		{ "the requester", "alice", "", "agents" },
		{ "the requester, in the approvers' group", "alice", "", "dba" },
		{ "the requester of another command", "carl", "", "agents" },
		{ "an agent", "dora", "agent-9", "dba" },
		{ "a stranger", "mallory", "", "other" },
		{ "nobody's token", "", "", "dba" },
	};
	struct approval *a = granted();

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (revoke(a, rows[i].person, rows[i].agent, rows[i].groups) != APPROVAL_NOT_ELIGIBLE || a->state != APPROVAL_APPROVED)
			fail_msg("%s", rows[i].what);
		assert_true(recorded_last("approval.refused"));
	}
	assert_int_equal(w.cuts, 0);
	worker_says(a);
	assert_int_equal(w.released, 1);
}

/* The table's other states: refused, counted, journaled. */
static void there_is_nothing_to_take_back(void **state)
{
	struct approval *pending = held("dba:1"), *denied = held_by(pending->requester, "dba:1", 9, "DELETE FROM b", 900);
	uint64_t refused = approvals_counters(w.as).refused_events;

	approvals_durable(w.as);
	vote(denied, "bob", "dba", false);
	assert_int_equal(revoke(pending, "dora", "", "dba"), APPROVAL_NOT_OPEN);
	assert_int_equal(pending->state, APPROVAL_PENDING);
	assert_true(recorded_last("approval.refused"));
	assert_int_equal(revoke(denied, "dora", "", "dba"), APPROVAL_NOT_OPEN);
	assert_int_equal(denied->state, APPROVAL_DENIED);
	assert_int_equal(approvals_counters(w.as).refused_events, refused + 2);
}

static void a_journal_that_takes_nothing_changes_nothing(void **state)
{
	struct approval *a = granted();

	w.journal_broken = true;
	assert_int_equal(revoke(a, "dora", "", "dba"), APPROVAL_NOT_RECORDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	w.journal_broken = false;
}

/* Restart between grant and use: nobody's grant is used, and a revoked one stays revoked. */
static void a_restart_between_grant_and_use(void **state)
{
	struct approval *taken = granted(), *left;
	struct approvals *again = approvals_create(&host, "a", "test.example/journal");
	char taken_id[APPROVAL_ID_TEXT], left_id[APPROVAL_ID_TEXT];

	assert_int_equal(revoke(taken, "dora", "", "dba"), APPROVAL_DECIDED);
	left = granted();
	memcpy(taken_id, taken->id_text, sizeof(taken_id));
	memcpy(left_id, left->id_text, sizeof(left_id));
	for (unsigned i = 0; i < w.records; i++)
		assert_true(approvals_replay(again, i, bytes_str(w.record[i]), bytes_of(w.payload[i], w.payload_len[i])));
	assert_int_equal(approvals_find(again, taken_id)->state, APPROVAL_REVOKED);
	assert_int_equal(approvals_find(again, left_id)->state, APPROVAL_APPROVED);
	approvals_restarted(again, w.now);
	assert_int_equal(approvals_find(again, taken_id)->state, APPROVAL_REVOKED);
	assert_int_equal(approvals_find(again, left_id)->state, APPROVAL_CANCELLED);
	assert_int_equal(w.released, 0);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	approvals_destroy(again);
}

/* --- clocks -------------------------------------------------------------------------------------------------------------- */

static void nothing_is_released_by_a_clock_that_runs_freely(void **state)
{
	struct approval *a = held("dba:1");

	w.now.free = true;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_non_null(approvals_suspended(w.as, a));
	tick(a);
	assert_int_equal(w.released, 0);
	w.now.free = false;
	tick(a);
	assert_int_equal(w.released, 1);
}

/* The question was asked before, its answer comes after. */
static void a_clock_that_runs_freely_while_the_worker_answers(void **state)
{
	struct approval *a = granted();

	w.now.free = true;
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(w.released, 0);
	w.now.mono_us += 61 * 1000000ull; /* suspended or not, time runs out */
	tick(a);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.released, 0);
}

static void the_policy_can_release_by_a_free_clock_and_take_that_back(void **state)
{
	struct approval *a;

	w.free_clock_ok = true;
	w.now.free = true;
	a = held("dba:1");
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 1);
	w.released = 0;
	a = held_by(a->requester, "dba:1", 11, "DELETE FROM c", 900);
	approvals_durable(w.as);
	w.free_clock_ok = false; /* a new policy, seen when the worker judges again */
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 0);
	assert_int_equal(a->state, APPROVAL_APPROVED);
}

/* A step back suspends whatever the policy says of free clocks; revoking and denying go on. */
static void a_clock_that_went_back(void **state)
{
	struct approval *a;

	w.free_clock_ok = true;
	a = held("dba:1");
	w.now.wall_us -= 2000000;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 0);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(revoke(a, "dora", "", "dba"), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_REVOKED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(who_may_decide_and_who_asked_see_it_and_nobody_else),
		CASE(after_a_restart_the_same_people_see_it),
		CASE(a_person_called_unknown_owns_nothing),
		CASE(a_grant_that_was_not_used_is_taken_back),
		CASE(one_that_was_sent_is_cut),
		CASE(who_may_not_take_back),
		CASE(there_is_nothing_to_take_back),
		CASE(a_journal_that_takes_nothing_changes_nothing),
		CASE(a_restart_between_grant_and_use),
		CASE(nothing_is_released_by_a_clock_that_runs_freely),
		CASE(a_clock_that_runs_freely_while_the_worker_answers),
		CASE(the_policy_can_release_by_a_free_clock_and_take_that_back),
		CASE(a_clock_that_went_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
