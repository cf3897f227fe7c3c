/* bypass_test.c: bypasses known elsewhere (approvals.md 10), tried on held commands. The number in a test's name is the list's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "control/approval/approval_fixture.h"
#include "platform/base/random.h"

/* --- 1: quorum ----------------------------------------------------------------------------------------------------------- */

static void case_10_1_one_person_in_all_groups_fills_one_slot(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "dba,security", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "bob", "dba,security", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 1);
}

static void case_10_1_two_of_one_group_are_not_two_groups(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_VOTED);
	assert_int_equal(w.released, 0);
	assert_int_equal(vote(a, "dave", "security", true), APPROVAL_DECIDED);
}

/* Which slot a voter fills is found out at the end: who voted first does not decide. */
static void case_10_1_slots_are_matched_whoever_came_first(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "security,dba", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "carol", "security", true), APPROVAL_DECIDED);
	a = held("dba:2,security:1");
	assert_int_equal(vote(a, "bob", "security,dba", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "carol", "security,dba", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "dave", "security", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 2);
}

/* --- 3: revoke against release ------------------------------------------------------------------------------------------- */

/* The requester's side withdraws, or the session ends, at any moment around the release, 10,000 times: either nothing was released,
 * or it was released once, and the record says which. */
static void case_10_3_withdrawal_races_release(void **state)
{
	struct rng rng = rng_seeded(20260103);

	for (unsigned i = 0; i < 10000; i++) {
		unsigned at = (unsigned)rng_below(&rng, 4), how = (unsigned)rng_below(&rng, 2);
		struct approval *a;
		unsigned consumed = 0;

		teardown(state);
		assert_int_equal(setup(state), 0);
		w.said.silent = true;
		a = held("dba:1");
		for (unsigned step = 0; step < 4; step++) {
			if (step == at && how)
				approvals_withdrawn(w.as, 1, 77, 3, "cancelled by the client");
			else if (step == at)
				approvals_session_closed(w.as, 1, 77, "reset");
			if (step == 0)
				vote(a, "bob", "dba", true);
			w.said.silent = false;
			if (step == 1)
				worker_says(a);
			if (step == 2)
				approvals_durable(w.as);
		}
		for (unsigned k = 0; k < w.records; k++)
			consumed += !strcmp(w.type[k], "approval.consume");
		assert_int_equal(w.released, consumed);
		assert_true(w.released <= 1);
		assert_int_equal(w.released, at > 1);
		assert_int_equal(a->state, at > 1 ? (how ? APPROVAL_EXECUTING : APPROVAL_UNKNOWN) : APPROVAL_CANCELLED);
	}
}

/* --- 4: self-approval ---------------------------------------------------------------------------------------------------- */

static void case_10_4_nobody_of_the_requesters_side_can_vote(void **state)
{
	struct approval *a = held("dba:1");
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = "x", .person = "mallory", .groups = { "dba" }, .groups_count = 1 }, *p;
	char text[APPROVAL_SAY_BYTES];
	unsigned records = w.records;

	assert_int_equal(vote(a, "alice", "dba", true), APPROVAL_NOT_ELIGIBLE);
	/* A second account of the same person. */
	shape.person = "alice";
	shape.sub = "alice-admin";
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	/* The requester's own token, under another person's name. */
	shape.person = "mallory";
	memcpy(shape.token_sha256, a->requester->token_sha256, 32);
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	/* An agent, a person behind an agent, nobody. */
	shape.token_sha256[0] = 200;
	shape.agent = "agent-9";
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	shape.agent = "";
	shape.act_count = 1;
	shape.act[0] = (struct principal_actor){ .iss = "i", .sub = "s" };
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	shape.act_count = 0;
	shape.person = "";
	p = principal_create(&shape);
	assert_int_equal(approvals_vote(w.as, a, p, who_json(), true, "x", w.now, text), APPROVAL_NOT_ELIGIBLE);
	principal_put(p);
	assert_int_equal(vote(a, "eve", "agents,other", true), APPROVAL_NOT_ELIGIBLE);
	/* Each attempt is a record. */
	assert_int_equal(w.records, records + 7);
	assert_true(recorded_last("approval.refused"));
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(w.released, 0);
}

static void case_10_4_the_actor_chain_cannot_vote(void **state)
{
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = "alice", .person = "alice", .agent = "agent-7", .run = "r", .act_count = 2 };
	struct principal *requester;
	struct approval *a;

	shape.act[0] = (struct principal_actor){ .iss = "https://idp.example", .sub = "agent-7", .kind = PRINCIPAL_AGENT };
	shape.act[1] = (struct principal_actor){ .iss = "https://idp.example", .sub = "operator-1", .kind = PRINCIPAL_HUMAN };
	requester = principal_create(&shape);
	a = held_by(requester, "dba:1", 3, "DELETE", 900);
	principal_put(requester);
	approvals_durable(w.as);
	assert_int_equal(vote(a, "operator-1", "dba", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
}

/* --- 5, 7: what was approved is what runs --------------------------------------------------------------------------------- */

static void case_10_5_another_text_or_value_than_approved_is_not_released(void **state)
{
	static const struct {
		const char *what;
		struct said said;
	} rows[] = {
		{ "another text", { .raw = "DELETE FROM orders WHERE true" } },
		{ "one byte more", { .raw = "DELETE FROM orders " } },
		{ "another statement behind it", { .raw = "DELETE FROM orders; DROP TABLE orders" } },
		{ "nothing", { .raw = "" } },
		{ "another value", { .params = "\1" } },
		{ "another declared type", { .types = "\1\1\1\1" } },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct approval *a = held("dba:1");

		w.said = rows[i].said;
		assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
		w.said = (struct said){ 0 };
		if (a->state != APPROVAL_SUPERSEDED || w.released)
			fail_msg("%s: %s", rows[i].what, approval_state_name(a->state));
		assert_string_equal(a->result, "the held command is not what was shown");
		assert_int_equal(w.last, APPROVAL_REFUSE);
	}
}

static void case_10_5_a_statement_edited_after_the_votes_is_not_released(void **state)
{
	struct approval *a = held("dba:1");

	w.said.silent = true;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	w.said.silent = false;
	a->statement[a->statement_len / 2] ^= 1;
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	assert_int_equal(w.released, 0);
}

static void case_10_7_another_session_state_than_approved_is_not_released(void **state)
{
	static const char *const states[] = { "search_path=evil,public", "search_path=public ", "search_path=public transaction=E", "role=admin search_path=public", "" };

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		struct approval *a = held("dba:1");

		w.said.state = states[i];
		assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
		w.said.state = NULL;
		assert_int_equal(a->state, APPROVAL_SUPERSEDED);
		assert_string_equal(a->result, "the state of the session changed");
		assert_int_equal(w.released, 0);
	}
}

/* --- the policy in between (approvals.md 4) ------------------------------------------------------------------------------- */

static void a_changed_policy_supersedes_only_what_it_judges_otherwise(void **state)
{
	static const struct {
		const char *what;
		struct said said;
		bool superseded;
	} rows[] = {
		{ "the same", { 0 }, false },
		{ "allowed now", { .allow = true }, false },
		{ "blocked now", { .block = true }, true },
		{ "another group", { .group = "security" }, true },
		{ "one person more", { .count = 2 }, true },
		{ "more denials", { .deny_quorum = 2 }, true },
		{ "values declared free", { .free = true }, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct approval *a = held("dba:1");
		unsigned released = w.released;

		/* While it waits for people. */
		approvals_policy_changed(w.as);
		w.said = rows[i].said;
		w.now.mono_us += APPROVAL_RECHECK_US;
		tick(a);
		if (a->state != (rows[i].superseded ? APPROVAL_SUPERSEDED : APPROVAL_PENDING))
			fail_msg("pending, %s: %s", rows[i].what, approval_state_name(a->state));
		assert_int_equal(vote(a, "bob", "dba", true), rows[i].superseded ? APPROVAL_NOT_OPEN : APPROVAL_DECIDED);
		assert_int_equal(w.released - released, !rows[i].superseded);
		/* When the people have decided. */
		w.said = (struct said){ .silent = true };
		a = held("dba:1");
		vote(a, "bob", "dba", true);
		w.said = rows[i].said;
		worker_says(a);
		if (a->state != (rows[i].superseded ? APPROVAL_SUPERSEDED : APPROVAL_EXECUTING))
			fail_msg("approved, %s: %s", rows[i].what, approval_state_name(a->state));
		w.said = (struct said){ 0 };
	}
}

static void nothing_is_asked_of_the_worker_while_nothing_changed(void **state)
{
	struct approval *a = held("dba:1");

	for (unsigned i = 0; i < 100; i++) {
		w.now.mono_us += APPROVAL_RECHECK_US;
		approvals_tick(w.as, w.now);
		assert_int_equal(w.asked, 0);
	}
	assert_int_equal(a->state, APPROVAL_PENDING);
}

/* A worker that does not answer, or answers for a policy that is over, is asked again, once a second, until the time is up. */
static void a_worker_that_does_not_say_is_asked_again(void **state)
{
	struct approval *a = held("dba:1");

	w.said.silent = true;
	vote(a, "bob", "dba", true);
	w.now.mono_us += APPROVAL_RECHECK_US - 1;
	approvals_tick(w.as, w.now);
	assert_int_equal(w.asked, 0);
	w.now.mono_us += 1;
	approvals_tick(w.as, w.now);
	assert_int_equal(w.asked, 1);
	w.said = (struct said){ .stale = true };
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	w.now.mono_us += APPROVAL_RECHECK_US;
	approvals_tick(w.as, w.now);
	assert_int_equal(w.asked, 1);
	w.now.mono_us += 60000000;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	w.said = (struct said){ 0 };
	worker_says(a); /* too late */
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.released, 0);
}

/* Nobody asked: what a worker says by itself releases nothing. */
static void a_worker_that_was_not_asked_releases_nothing(void **state)
{
	struct approval *a = held("dba:1");

	worker_says(a);
	assert_int_equal(a->state, APPROVAL_PENDING);
	w.said.silent = true;
	vote(a, "bob", "dba", true);
	w.said.silent = false;
	a->asked_mono_us = 0;
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(w.released, 0);
}

/* --- 6: once ------------------------------------------------------------------------------------------------------------- */

static void case_10_6_it_is_released_once_whatever_comes_after(void **state)
{
	struct approval *a = held("dba:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_NOT_OPEN);
		tick(a);
		worker_says(a);
		approvals_durable(w.as);
	}
	assert_int_equal(w.released, 1);
	approvals_responded(w.as, 1, 77, 3, false, "00000");
	approvals_responded(w.as, 1, 77, 3, false, "00000");
	assert_int_equal(a->state, APPROVAL_EXECUTED);
	approvals_session_closed(w.as, 1, 77, "client");
	assert_int_equal(a->state, APPROVAL_EXECUTED);
}

static void case_10_6_nonces_of_equal_commands_differ(void **state)
{
	struct approval *a = held("dba:1");
	uint8_t first[32];

	memcpy(first, a->statement_sha256, 32);
	vote(a, "bob", "dba", false);
	a = held("dba:1");
	assert_memory_not_equal(first, a->statement_sha256, 32);
}

/* Control dies between the nonce and the first byte: never released again. */
static void case_10_6_a_restart_between_consume_and_send_releases_nothing(void **state)
{
	struct approval *a = held("dba:1");
	struct approvals *again = approvals_create(&host, "a", "test.example/journal");
	char id[APPROVAL_ID_TEXT];
	unsigned records;

	vote(a, "bob", "dba", true);
	assert_true(recorded_last("approval.consume"));
	memcpy(id, a->id_text, sizeof(id));
	records = w.records;
	for (unsigned i = 0; i < records; i++)
		assert_true(approvals_replay(again, i, bytes_str(w.record[i]), bytes_of(w.payload[i], w.payload_len[i])));
	w.released = 0;
	approvals_restarted(again, w.now);
	a = approvals_find(again, id);
	assert_int_equal(a->state, APPROVAL_UNKNOWN);
	for (unsigned i = 0; i < 10; i++) {
		w.now.mono_us += APPROVAL_RECHECK_US;
		approvals_tick(again, w.now);
	}
	assert_int_equal(w.released, 0);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	approvals_destroy(again);
}

/* --- 9: display ----------------------------------------------------------------------------------------------------------- */

static void case_10_9_what_is_too_long_to_show_is_refused_with_that_reason(void **state)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	char *sql = malloc(APPROVAL_TEXT_BYTES + 2);

	memset(sql, 'x', APPROVAL_TEXT_BYTES + 1);
	memcpy(sql, "SELECT '", 8);
	sql[APPROVAL_TEXT_BYTES + 1] = 0;
	sql[APPROVAL_TEXT_BYTES] = '\'';
	assert_null(held_by(alice, "dba:1", 5, sql, 900));
	assert_non_null(strstr(w.last_say, "64 KiB"));
	assert_int_equal(w.records, 0);
	/* One byte less is shown to its last character. */
	sql[APPROVAL_TEXT_BYTES] = 0;
	sql[APPROVAL_TEXT_BYTES - 1] = '\'';
	struct approval *a = held_by(alice, "dba:1", 5, sql, 900);

	assert_non_null(a);
	assert_non_null(memmem(a->statement, a->statement_len, "xxxxxxxx'\",", 11));
	free(sql);
	principal_put(alice);
}

static void case_10_9_the_reason_of_a_denial_is_clean(void **state)
{
	struct approval *a = held("dba:1");
	struct principal *bob = somebody("bob", "", "dba");
	char text[APPROVAL_SAY_BYTES];

	assert_int_equal(approvals_vote(w.as, a, bob, who_json(), false, "no \x1b[31m<b>way</b>\n\xe2\x80\xae", w.now, text), APPROVAL_DECIDED);
	principal_put(bob);
	assert_int_equal(a->state, APPROVAL_DENIED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_null(strpbrk(w.last_say, "\x1b<>\n\xe2"));
	assert_non_null(strstr(w.last_say, "way"));
}

/* --- 10: who approved ----------------------------------------------------------------------------------------------------- */

static void case_10_10_a_voter_who_left_the_group_does_not_count(void **state)
{
	struct approval *a = held("dba:1,security:1");

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	w.left_group = "bob";
	assert_int_equal(vote(a, "dave", "security", true), APPROVAL_VOTED);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(w.released, 0);
}

/* … also between the decision and the release. */
static void case_10_10_a_voter_who_leaves_before_the_release_stops_it(void **state)
{
	struct approval *a = held("dba:1");

	w.said.silent = true;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	w.left_group = "bob";
	w.said.silent = false;
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	assert_string_equal(a->result, "an approver is no longer eligible");
	assert_int_equal(w.released, 0);
}

static struct principal *later(const char *person, const char *agent, const char *group, int64_t exp_s)
{
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = person, .person = person, .agent = agent, .exp_s = exp_s,
				   .groups = { group }, .groups_count = 1 };

	return principal_create(&shape);
}

/* A later token of the approver that names the group no more is believed; an older one, an agent's, and another person's are not. */
static void case_10_10_a_later_token_without_the_group_takes_the_vote(void **state)
{
	static const struct {
		const char *person, *agent, *group;
		int64_t exp_s;
		bool counts;
	} rows[] = {
		{ "bob", "", "dba", 500, true }, { "bob", "", "other", 99, true }, { "bob", "agent-9", "other", 500, true }, { "carol", "", "other", 500, true },
		{ "bob", "", "other", 100, false }, { "bob", "", "other", 500, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct approval *a = held("dba:1");
		struct principal *bob = later("bob", "", "dba", 100), *seen = later(rows[i].person, rows[i].agent, rows[i].group, rows[i].exp_s);
		char text[APPROVAL_SAY_BYTES];
		unsigned released = w.released;

		assert_int_equal(approvals_vote(w.as, a, bob, who_json(), true, "x", w.now, text), APPROVAL_DECIDED);
		assert_int_equal(a->state, APPROVAL_APPROVED);
		approvals_seen(w.as, seen);
		worker_says(a);
		if ((w.released - released == 1) != rows[i].counts)
			fail_msg("row %zu: %s", i, approval_state_name(a->state));
		principal_put(bob);
		principal_put(seen);
	}
}

static void case_10_10_nothing_is_released_for_a_requester_who_is_gone(void **state)
{
	struct approval *a = held("dba:1");

	w.said.silent = true;
	vote(a, "bob", "dba", true);
	w.everybody_invalid = true;
	w.said.silent = false;
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	assert_int_equal(w.released, 0);
}

/* --- 11: time and failure ------------------------------------------------------------------------------------------------- */

static void case_10_11_nothing_is_released_while_the_clock_stands_back(void **state)
{
	struct approval *a = held("dba:1");

	approvals_tick(w.as, w.now);
	w.now.wall_us -= 5000000;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(w.released, 0);
	w.now.wall_us += 3999999; /* a microsecond more than a second behind */
	tick(a);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	w.now.wall_us += 1;
	w.now.mono_us += APPROVAL_RECHECK_US;
	tick(a);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
	assert_int_equal(w.released, 1);
}

/* The step comes between the question and the answer. */
static void case_10_11_a_clock_step_while_the_worker_answers_suspends_too(void **state)
{
	struct approval *a = held("dba:1");

	w.said.silent = true;
	vote(a, "bob", "dba", true);
	w.now.wall_us -= 1000001;
	w.said.silent = false;
	worker_says(a);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(w.released, 0);
}

static void case_10_11_an_approved_one_that_cannot_go_runs_out(void **state)
{
	struct approval *a = held("dba:1");

	approvals_tick(w.as, w.now);
	w.now.wall_us -= 5000000;
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	w.now.mono_us += 61000000;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_int_equal(w.released, 0);
}

static void case_10_11_time_running_out_is_a_block(void **state)
{
	struct approval *a = held("dba:1");

	w.now.mono_us += 899999999;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_PENDING);
	w.now.mono_us += 1;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.last, APPROVAL_REFUSE);
	assert_non_null(strstr(w.last_say, "expired"));
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_OPEN);
}

static void case_10_11_a_journal_that_takes_nothing_means_refusal(void **state)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	struct approval *a = held("dba:1");

	w.journal_broken = true;
	assert_null(held_by(alice, "dba:1", 4, "DELETE", 900));
	assert_true(w.last_say[0]);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_RECORDED);
	assert_int_equal(a->votes, 0);
	assert_int_equal(w.released, 0);
	principal_put(alice);
}

static void case_10_11_a_lost_answer_is_unknown_and_never_tried_again(void **state)
{
	struct approval *a = held("dba:1");

	vote(a, "bob", "dba", true);
	approvals_session_closed(w.as, 1, 77, "reset");
	assert_int_equal(a->state, APPROVAL_UNKNOWN);
	assert_int_equal(w.released, 1);
}

/* "A hold must not silently turn into a permanent deny either": what expired or was superseded can be asked for anew. */
static void case_10_11_what_ran_out_can_be_asked_for_again(void **state)
{
	struct approval *a = held("dba:1");

	for (unsigned i = 0; i < 10; i++) {
		w.now.mono_us += 900000001;
		tick(a);
		assert_int_equal(a->state, APPROVAL_EXPIRED);
		a = held("dba:1");
	}
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(w.released, 1);
}

/* --- limits against fatigue (approvals.md 7) -------------------------------------------------------------------------------- */

static struct approval *asked(const char *person, const char *agent, const char *run, uint32_t n, const char *sql)
{
	struct principal shape = { .issuer = "corp", .iss = "https://idp.example", .sub = person, .person = person, .agent = agent, .run = run };
	struct principal *p = principal_create(&shape);
	struct approval *a = held_by(p, "dba:1", n, sql, 900);

	principal_put(p);
	return a;
}

static const char *numbered(unsigned i)
{
	static char sql[64];

	snprintf(sql, sizeof(sql), "DELETE FROM t%u", i);
	return sql;
}

static void five_wait_per_run_and_twenty_per_agent(void **state)
{
	uint32_t n = 10;

	for (unsigned run = 0; run < 4; run++) {
		char name[16];

		snprintf(name, sizeof(name), "run-%u", run);
		for (unsigned i = 0; i < APPROVAL_PENDING_PER_RUN; i++, n++)
			assert_non_null(asked("alice", "agent-7", name, n, numbered(n)));
		assert_null(asked("alice", "agent-7", name, n, numbered(n)));
		assert_non_null(strstr(w.last_say, "5 commands of this run"));
	}
	assert_null(asked("alice", "agent-7", "run-9", n, numbered(n)));
	assert_non_null(strstr(w.last_say, "20 commands of this agent"));
	assert_null(asked("bob", "agent-7", "run-9", n, numbered(n))); /* the agent's, whoever is behind it */
	assert_non_null(asked("alice", "agent-8", "run-10", n, numbered(n)));
	/* One that was decided makes room for one. */
	approvals_durable(w.as);
	vote(approvals_of_command(w.as, 1, 77, 10), "carol", "dba", false);
	assert_non_null(asked("alice", "agent-7", "run-0", 40, numbered(40)));
}

/* Whoever says no run is not better off. */
static void without_a_run_the_account_is_the_run(void **state)
{
	for (uint32_t n = 10; n < 15; n++)
		assert_non_null(asked("alice", "", "", n, numbered(n)));
	assert_null(asked("alice", "", "", 15, numbered(15)));
	assert_non_null(asked("bob", "", "", 15, numbered(15)));
}

static void three_denials_of_a_command_block_it_for_the_run(void **state)
{
	struct approvals *again;

	for (uint32_t n = 10; n < 13; n++) {
		struct approval *a = asked("alice", "agent-7", "run-1", n, "DELETE");

		assert_non_null(a);
		approvals_durable(w.as);
		assert_int_equal(vote(a, "bob", "dba", false), APPROVAL_DECIDED);
	}
	assert_null(asked("alice", "agent-7", "run-1", 13, "DELETE"));
	assert_non_null(strstr(w.last_say, "denied 3 times"));
	assert_non_null(asked("alice", "agent-7", "run-1", 14, "another text"));
	assert_non_null(asked("alice", "agent-7", "run-2", 15, "DELETE"));
	/* A restart forgets nothing of it. */
	again = approvals_create(&host, "a", "test.example/journal");
	for (unsigned i = 0; i < w.records; i++)
		(void)approvals_replay(again, i, bytes_str(w.record[i]), bytes_of(w.payload[i], w.payload_len[i]));
	approvals_destroy(w.as);
	w.as = again;
	approvals_restarted(again, w.now);
	assert_null(asked("alice", "agent-7", "run-1", 16, "DELETE"));
	assert_non_null(strstr(w.last_say, "denied 3 times"));
}

static void identical_requests_are_joined(void **state)
{
	struct approval *a = asked("alice", "agent-7", "run-1", 10, "DELETE FROM orders");
	unsigned records = w.records;

	assert_null(asked("alice", "agent-7", "run-1", 11, "DELETE FROM orders"));
	assert_non_null(strstr(w.last_say, a->id_text));
	assert_non_null(strstr(w.last_say, "waits already"));
	assert_int_equal(w.records, records + 1);
	assert_true(recorded_last("approval.join"));
	assert_int_equal(approvals_counters(w.as).open, 1);
	/* What differs is another request. */
	assert_non_null(asked("alice", "agent-7", "run-1", 12, "DELETE FROM orders "));
	assert_non_null(asked("bob", "agent-7", "run-1", 13, "DELETE FROM orders"));
	assert_non_null(asked("alice", "agent-8", "run-1", 14, "DELETE FROM orders"));
	assert_non_null(asked("alice", "agent-7", "run-2", 15, "DELETE FROM orders"));
	/* What is decided joins nobody. */
	approvals_durable(w.as);
	vote(a, "dora", "dba", true);
	assert_non_null(asked("alice", "agent-7", "run-1", 16, "DELETE FROM orders"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(case_10_1_one_person_in_all_groups_fills_one_slot),
		CASE(case_10_1_two_of_one_group_are_not_two_groups),
		CASE(case_10_1_slots_are_matched_whoever_came_first),
		CASE(case_10_3_withdrawal_races_release),
		CASE(case_10_4_nobody_of_the_requesters_side_can_vote),
		CASE(case_10_4_the_actor_chain_cannot_vote),
		CASE(case_10_5_another_text_or_value_than_approved_is_not_released),
		CASE(case_10_5_a_statement_edited_after_the_votes_is_not_released),
		CASE(case_10_7_another_session_state_than_approved_is_not_released),
		CASE(a_changed_policy_supersedes_only_what_it_judges_otherwise),
		CASE(nothing_is_asked_of_the_worker_while_nothing_changed),
		CASE(a_worker_that_does_not_say_is_asked_again),
		CASE(a_worker_that_was_not_asked_releases_nothing),
		CASE(case_10_6_it_is_released_once_whatever_comes_after),
		CASE(case_10_6_nonces_of_equal_commands_differ),
		CASE(case_10_6_a_restart_between_consume_and_send_releases_nothing),
		CASE(case_10_9_what_is_too_long_to_show_is_refused_with_that_reason),
		CASE(case_10_9_the_reason_of_a_denial_is_clean),
		CASE(case_10_10_a_voter_who_left_the_group_does_not_count),
		CASE(case_10_10_a_voter_who_leaves_before_the_release_stops_it),
		CASE(case_10_10_a_later_token_without_the_group_takes_the_vote),
		CASE(case_10_10_nothing_is_released_for_a_requester_who_is_gone),
		CASE(case_10_11_nothing_is_released_while_the_clock_stands_back),
		CASE(case_10_11_a_clock_step_while_the_worker_answers_suspends_too),
		CASE(case_10_11_an_approved_one_that_cannot_go_runs_out),
		CASE(case_10_11_time_running_out_is_a_block),
		CASE(case_10_11_a_journal_that_takes_nothing_means_refusal),
		CASE(case_10_11_a_lost_answer_is_unknown_and_never_tried_again),
		CASE(case_10_11_what_ran_out_can_be_asked_for_again),
		CASE(five_wait_per_run_and_twenty_per_agent),
		CASE(without_a_run_the_account_is_the_run),
		CASE(three_denials_of_a_command_block_it_for_the_run),
		CASE(identical_requests_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
