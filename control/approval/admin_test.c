/* Kind admin: what two persons decide, neither of whom asked; the statement says exactly what is done, and it is done once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/sha.h>

#include "control/approval/approval_fixture.h"

static struct principal *asker;
static char why[APPROVAL_SAY_BYTES];

static struct approval *asked_with(struct principal *p, const char *args, unsigned dba, unsigned security)
{
	struct approval_operation op = { .name = "journal.erase", .args = bytes_str(args), .requester = p, .who = who_json(), .reason = "request of the data subject",
					 .policy_sha256 = policy_hash_a, .on_demand = w.on_demand,
					 .terms = { .expires_s = 900, .use_by_s = 60, .free_clock_ok = w.free_clock_ok } };
	struct approval *a;

	if (dba) {
		snprintf(op.terms.need[op.terms.needs].group, sizeof(op.terms.need[0].group), "dba");
		op.terms.need[op.terms.needs++].count = dba;
	}
	if (security) {
		snprintf(op.terms.need[op.terms.needs].group, sizeof(op.terms.need[0].group), "security");
		op.terms.need[op.terms.needs++].count = security;
	}
	a = approvals_request_operation(w.as, &op, w.now, why);
	if (a)
		approvals_durable(w.as);
	return a;
}

static struct approval *asked(void)
{
	struct approval *a = asked_with(asker, "{\"session\":\"07\"}", 2, 0);

	assert_non_null(a);
	assert_int_equal(a->state, APPROVAL_PENDING);
	return a;
}

static int begin(void **state)
{
	int status = setup(state);

	asker = somebody("carol", "", "dba");
	return status;
}

static int end(void **state)
{
	principal_put(asker);
	return teardown(state);
}

static void two_others_have_it_done_once(void **state)
{
	struct approval *a = asked();
	struct bytes name, args;
	uint8_t room[512];
	struct writer out = writer_of(room, sizeof(room));

	assert_true(recorded_last("approval.request"));
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	assert_int_equal(w.performed, 0);
	assert_int_equal(vote(a, "dora", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
	assert_true(recorded_last("approval.consume"));
	assert_int_equal(w.performed, 1);
	assert_int_equal(w.asked, 0); /* no worker is asked */
	assert_true(approval_operation_read(a, &out, &name, &args));
	assert_true(bytes_equal(name, bytes_str("journal.erase")));
	assert_true(bytes_equal(args, bytes_str("{\"session\":\"07\"}")));
	approvals_tick(w.as, w.now);
	assert_int_equal(w.performed, 1);
	approvals_performed(w.as, a, "done", w.now);
	assert_int_equal(a->state, APPROVAL_EXECUTED);
	assert_string_equal(a->result, "done");
	assert_true(recorded_last("approval.executed"));
	approvals_performed(w.as, a, "again", w.now);
	assert_string_equal(a->result, "done");
}

static void who_asked_is_none_of_the_two(void **state)
{
	struct approval *a = asked();

	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_ELIGIBLE); /* once a person */
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(vote(a, "eve", "other", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(w.performed, 0);
}

static void one_person_is_never_enough(void **state)
{
	assert_null(asked_with(asker, "{}", 1, 0));
	assert_non_null(strstr(why, "two persons"));
	assert_null(asked_with(asker, "{}", 0, 0));
	assert_int_equal(w.records, 0); /* "no object exists" */
	assert_non_null(asked_with(asker, "{}", 1, 1));
}

static void an_agent_or_nobody_does_not_ask(void **state)
{
	struct principal *agent = somebody("carol", "agent-1", "dba"), *nobody = somebody("", "", "dba");

	assert_null(asked_with(agent, "{}", 2, 0));
	assert_null(asked_with(nobody, "{}", 2, 0));
	assert_null(asked_with(NULL, "{}", 2, 0));
	principal_put(agent);
	principal_put(nobody);
}

static void the_same_waits_once(void **state)
{
	struct approval *a = asked();
	char args[40];

	assert_null(asked_with(asker, "{\"session\":\"07\"}", 2, 0));
	assert_non_null(strstr(why, a->id_text));
	for (unsigned i = 1; i < APPROVAL_PENDING_PER_RUN; i++) {
		snprintf(args, sizeof(args), "{\"session\":\"%02u\"}", 10 + i);
		assert_non_null(asked_with(asker, args, 2, 0));
	}
	assert_null(asked_with(asker, "{\"session\":\"99\"}", 2, 0));
}

static void a_denial_is_enough_and_time_runs_out(void **state)
{
	struct approval *a = asked();

	assert_int_equal(vote(a, "bob", "dba", false), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_DENIED);
	a = asked();
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	w.now.mono_us += 901 * 1000000ull;
	w.now.wall_us += 901 * 1000000ull;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	assert_int_equal(w.performed, 0);
}

static void what_no_longer_rests_on_two_is_not_done(void **state)
{
	struct approval *a = asked();

	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_VOTED);
	w.now.free = true; /* its release waits for a clock */
	assert_int_equal(vote(a, "dora", "dba", true), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	w.left_group = "bob";
	w.now.free = false;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	w.left_group = NULL;
	a = asked();
	vote(a, "bob", "dba", true);
	w.everybody_invalid = true;
	vote(a, "dora", "dba", true);
	approvals_tick(w.as, w.now);
	assert_int_not_equal(a->state, APPROVAL_EXECUTING);
	assert_int_equal(w.performed, 0);
}

static void an_edited_statement_is_not_done(void **state)
{
	struct approval *a = asked();
	uint8_t *at;

	vote(a, "bob", "dba", true);
	at = memmem(a->statement, a->statement_len, "\\\"07\\\"", 6);
	assert_non_null(at);
	at[2] = '1';
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	assert_int_equal(w.performed, 0);
}

static void a_journal_that_does_not_take_it_does_nothing(void **state)
{
	struct approval *a = asked();

	vote(a, "bob", "dba", true);
	w.journal_broken = true;
	vote(a, "dora", "dba", true);
	assert_int_equal(w.performed, 0);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_null(asked_with(asker, "{}", 2, 0));
}

/* Sessions and workers of the number 0 are none of its. */
static void no_session_ends_it(void **state)
{
	struct approval *a = asked();

	approvals_session_closed(w.as, 0, 0, "closed");
	approvals_withdrawn(w.as, 0, 0, 0, "cancelled by the client");
	assert_null(approvals_of_command(w.as, 0, 0, 0));
	assert_int_equal(a->state, APPROVAL_PENDING);
	approvals_policy_changed(w.as);
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(w.asked, 0);
}

static void revoked_before_it_is_done_it_stays(void **state)
{
	struct approval *a = asked();
	char text[APPROVAL_SAY_BYTES];

	vote(a, "bob", "dba", true);
	vote(a, "dora", "dba", true);
	assert_int_equal(approvals_revoke(w.as, a, NULL, who_json(), "wait", w.now, text), APPROVAL_DECIDED);
	assert_int_equal(a->state, APPROVAL_REVOKED);
	assert_int_equal(w.cuts, 0);
	approvals_performed(w.as, a, "done", w.now);
	assert_int_equal(a->state, APPROVAL_REVOKED);
}

/* --- restarts ------------------------------------------------------------------------------------------------------------ */

/* Killed when so many records were on disk, and started again: the object by that number. */
static struct approval *reborn(const char *id, unsigned records)
{
	char copy[APPROVAL_ID_TEXT];
	struct approval *a;

	snprintf(copy, sizeof(copy), "%s", id);
	approvals_destroy(w.as);
	w.as = approvals_create(&host, "a", "test.example/journal");
	w.performed = 0;
	for (unsigned i = 0; i < records; i++)
		assert_true(approvals_replay(w.as, i, bytes_str(w.record[i]), bytes_of(w.payload[i], w.payload_len[i])));
	approvals_restarted(w.as, w.now);
	a = approvals_find(w.as, copy);
	assert_non_null(a);
	return a;
}

/* The records alone give the object back: statement, votes, who asked and who voted. */
static void the_records_are_the_object(void **state)
{
	struct approval *a = asked();
	uint8_t *statement, hash[32];
	size_t len = a->statement_len;

	statement = malloc(len);
	memcpy(statement, a->statement, len);
	vote(a, "bob", "other,dba,more", true);
	a = reborn(a->id_text, w.records);
	assert_int_equal(a->kind, APPROVAL_ADMIN);
	assert_int_equal(a->state, APPROVAL_PENDING);
	assert_int_equal(a->statement_len, len);
	assert_memory_equal(a->statement, statement, len);
	free(statement);
	SHA256(a->statement, a->statement_len, hash);
	assert_memory_equal(hash, a->statement_sha256, 32);
	assert_int_equal(a->votes, 1);
	assert_string_equal(a->requester->person, "carol");
	assert_string_equal(a->requester->issuer, "corp");
	assert_memory_equal(a->requester->token_sha256, asker->token_sha256, 32);
	assert_string_equal(a->vote[0].voter->person, "bob");
	assert_int_equal(a->vote[0].voter->groups_count, 1); /* the one that the vote rests on */
	assert_string_equal(a->vote[0].voter->groups[0], "dba");
	/* The same people as before. */
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(vote(a, "bob", "dba", true), APPROVAL_NOT_ELIGIBLE);
	assert_null(asked_with(asker, "{\"session\":\"07\"}", 2, 0));
}

/* Killed after each record of a life: it goes on from there, and is done once at most. */
static void killed_at_each_record_it_goes_on(void **state)
{
	static const char *const life[] = { "approval.request", "approval.vote", "approval.vote", "approval.grant", "approval.consume", "approval.executed" };
	static const enum approval_state comes_as[] = { APPROVAL_PENDING, APPROVAL_PENDING, APPROVAL_EXECUTING, APPROVAL_APPROVED, APPROVAL_UNKNOWN, APPROVAL_EXECUTED };

	for (unsigned records = 1; records <= 6; records++) {
		struct approval *a = asked();

		vote(a, "bob", "dba", true);
		vote(a, "dora", "dba", true);
		approvals_performed(w.as, a, "done", w.now);
		assert_int_equal(w.records, 6);
		for (unsigned i = 0; i < 6; i++)
			assert_string_equal(w.type[i], life[i]);
		a = reborn(a->id_text, records);
		assert_int_equal(a->state, comes_as[records - 1]);
		if (records == 1)
			vote(a, "bob", "dba", true);
		if (records <= 2)
			vote(a, "dora", "dba", true);
		approvals_tick(w.as, w.now);
		assert_int_equal(w.performed, records < 5);
		assert_int_equal(a->state, records < 5 ? APPROVAL_EXECUTING : comes_as[records - 1]);
		end(state);
		begin(state);
	}
}

static void a_denial_outlives_it(void **state)
{
	struct approval *a = asked();

	vote(a, "bob", "dba", false);
	assert_true(recorded_last("approval.deny"));
	a = reborn(a->id_text, w.records);
	assert_int_equal(a->state, APPROVAL_DENIED);
	a = reborn(a->id_text, 2); /* the vote, and not yet what follows from it */
	assert_int_equal(a->state, APPROVAL_DENIED);
}

static void its_deadlines_are_the_old_ones(void **state)
{
	struct approval *a = asked();

	w.now = (struct approval_clock){ .wall_us = w.now.wall_us + 600 * 1000000ull, .mono_us = 1000 };
	a = reborn(a->id_text, w.records);
	w.now.mono_us += 299 * 1000000ull;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_PENDING);
	w.now.mono_us += 2 * 1000000ull;
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
}

static void a_clock_that_went_back_meanwhile_releases_nothing(void **state)
{
	struct approval *a = asked();

	vote(a, "bob", "dba", true);
	w.now.wall_us -= 3600 * 1000000ull;
	a = reborn(a->id_text, w.records);
	vote(a, "dora", "dba", true);
	approvals_tick(w.as, w.now);
	assert_int_equal(w.performed, 0);
	w.now.mono_us += 901 * 1000000ull; /* nor does it live longer for it */
	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_EXPIRED);
}

static void it_waits_for_the_news_of_who_was_revoked(void **state)
{
	struct approval *a = asked();

	vote(a, "bob", "dba", true);
	w.no_news = true;
	a = reborn(a->id_text, w.records);
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_non_null(approvals_suspended(w.as, a));
	w.no_news = false;
	approvals_tick(w.as, w.now);
	assert_int_equal(w.performed, 1);
}

static void a_vote_that_lost_its_weight_stays_without(void **state)
{
	struct approval *a = asked();
	struct principal *later = somebody("bob", "", "other");

	vote(a, "bob", "dba", true);
	approvals_seen(w.as, later);
	principal_put(later);
	assert_true(recorded_last("approval.void"));
	a = reborn(a->id_text, w.records);
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_PENDING);
	vote(a, "frank", "dba", true);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
}

/* Whether a clock that nobody sets releases it is the policy's word of when it was asked for. */
static void a_free_clock_is_as_before(void **state)
{
	struct approval *a = asked();

	a = reborn(a->id_text, w.records);
	vote(a, "bob", "dba", true);
	w.now.free = true;
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	end(state);
	begin(state);
	w.free_clock_ok = true;
	a = asked();
	a = reborn(a->id_text, w.records);
	vote(a, "bob", "dba", true);
	w.now.free = true;
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_EXECUTING);
}

/* Written by a version that did not say who asked: nobody can be compared with, so it ends. */
static void without_its_asker_it_ends(void **state)
{
	struct approval *a = asked();

	*strstr(w.record[0], "asker") = 'b';
	a = reborn(a->id_text, w.records);
	assert_int_equal(a->state, APPROVAL_CANCELLED);
	assert_true(recorded_last("approval.cancel"));
}

/* --- what is given out --------------------------------------------------------------------------------------------------- */

/* Approved by two, and waiting for carol. */
static struct approval *to_be_used(void)
{
	struct approval *a;

	w.on_demand = true;
	a = asked();
	vote(a, "bob", "dba", true);
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(w.performed, 0);
	return a;
}

static enum approval_vote_result used_by(struct approval *a, const char *person, const char *agent)
{
	struct principal *p = somebody(person, agent, "dba");
	enum approval_vote_result r = approvals_use(w.as, a, p, bytes_str("{\"person\":\"user\"}"), w.now, why);

	principal_put(p);
	return r;
}

static void what_is_given_out_waits_for_who_asked_and_is_used_once(void **state)
{
	struct approval *a = to_be_used();

	approvals_tick(w.as, w.now);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(used_by(a, "bob", ""), APPROVAL_NOT_ELIGIBLE); /* an approver */
	assert_int_equal(used_by(a, "eve", ""), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(used_by(a, "carol", "agent-7"), APPROVAL_NOT_ELIGIBLE);
	assert_true(recorded_last("approval.refused"));
	assert_int_equal(a->state, APPROVAL_APPROVED);
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_DECIDED); /* with another token of hers */
	assert_int_equal(a->state, APPROVAL_EXECUTING);
	assert_true(recorded_last("approval.consume"));
	assert_non_null(strstr(w.record[w.records - 1], "\"who\":{\"person\":\"user\"}"));
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	approvals_performed(w.as, a, "done", w.now);
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	assert_true(recorded_last("approval.refused"));
	a = reborn(a->id_text, w.records);
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	assert_int_equal(w.performed, 0);
}

static void nothing_is_given_out_before_two_agreed(void **state)
{
	struct approval *a;

	w.on_demand = true;
	a = asked();
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	assert_int_equal(vote(a, "carol", "dba", true), APPROVAL_NOT_ELIGIBLE);
	vote(a, "bob", "dba", true);
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	vote(a, "dora", "dba", false);
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	assert_int_equal(a->state, APPROVAL_DENIED);
	w.on_demand = false; /* what is done by itself is not for anybody to use */
	a = asked();
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_ELIGIBLE);
	assert_int_equal(a->state, APPROVAL_PENDING);
}

/* What shows who agreed is whole, however often somebody was refused meanwhile; were it not, nothing is given out. */
static void notes_displace_no_step(void **state)
{
	struct approval *a;

	w.on_demand = true;
	a = asked();
	for (unsigned i = 0; i < 2 * APPROVAL_HISTORY_MAX; i++)
		assert_int_equal(vote(a, "mallory", "other", true), APPROVAL_NOT_ELIGIBLE);
	vote(a, "bob", "dba", true);
	vote(a, "dora", "dba", true);
	assert_int_equal(a->state, APPROVAL_APPROVED);
	a->history_cut = true;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_ELIGIBLE);
	assert_non_null(strstr(why, "ask anew"));
	a->history_cut = false;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_DECIDED);
	assert_int_equal(a->history, 1 + APPROVAL_NOTES_MAX + 2 + 1 + 1); /* request, notes, votes, grant, consume */
	assert_int_equal(a->record[a->history - 1], w.records - 1);
	assert_int_equal(a->notes_left_out, 2 * APPROVAL_HISTORY_MAX + 1 - APPROVAL_NOTES_MAX);
}

static void nothing_is_given_out_after_its_time_or_once_revoked(void **state)
{
	struct approval *a = to_be_used();
	char text[APPROVAL_SAY_BYTES];

	w.now.mono_us += 61 * 1000000ull;
	w.now.wall_us += 61 * 1000000ull;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN); /* nobody ran the clock meanwhile */
	assert_int_equal(a->state, APPROVAL_EXPIRED);
	a = to_be_used();
	assert_int_equal(approvals_revoke(w.as, a, NULL, who_json(), "wait", w.now, text), APPROVAL_DECIDED);
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	a = to_be_used();
	w.now.mono_us += 59 * 1000000ull;
	w.now.wall_us += 59 * 1000000ull;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_DECIDED);
}

static void nothing_is_given_out_that_rests_on_nobody_or_on_other_words(void **state)
{
	struct approval *a = to_be_used();
	uint8_t *at;

	w.left_group = "bob";
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	w.left_group = NULL;
	a = to_be_used();
	at = memmem(a->statement, a->statement_len, "\\\"07\\\"", 6);
	assert_non_null(at);
	at[2] = '1';
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_OPEN);
	assert_int_equal(a->state, APPROVAL_SUPERSEDED);
	a = to_be_used();
	w.now.wall_us -= 3600 * 1000000ull;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_ELIGIBLE);
	assert_non_null(strstr(why, "clock"));
	w.now.wall_us += 3600 * 1000000ull;
	w.journal_broken = true;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_NOT_RECORDED);
	w.journal_broken = false;
	assert_int_equal(used_by(a, "carol", ""), APPROVAL_DECIDED);
}

/* Killed between any two records: it waits for carol as before, and what she may have got she does not get again. */
static void what_is_given_out_outlives_a_restart(void **state)
{
	static const enum approval_state comes_as[] = { APPROVAL_PENDING, APPROVAL_PENDING, APPROVAL_APPROVED, APPROVAL_APPROVED, APPROVAL_UNKNOWN };

	for (unsigned records = 1; records <= 5; records++) {
		struct approval *a = to_be_used();
		bool approved;

		assert_int_equal(used_by(a, "carol", ""), APPROVAL_DECIDED);
		assert_int_equal(w.records, 5);
		a = reborn(a->id_text, records);
		assert_int_equal(a->state, comes_as[records - 1]);
		approvals_tick(w.as, w.now);
		assert_int_equal(w.performed, 0);
		approved = a->state == APPROVAL_APPROVED;
		assert_int_equal(used_by(a, "carol", ""), approved ? APPROVAL_DECIDED : APPROVAL_NOT_OPEN);
		end(state);
		begin(state);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_others_have_it_done_once),
		TEST(who_asked_is_none_of_the_two),
		TEST(one_person_is_never_enough),
		TEST(an_agent_or_nobody_does_not_ask),
		TEST(the_same_waits_once),
		TEST(a_denial_is_enough_and_time_runs_out),
		TEST(what_no_longer_rests_on_two_is_not_done),
		TEST(an_edited_statement_is_not_done),
		TEST(a_journal_that_does_not_take_it_does_nothing),
		TEST(no_session_ends_it),
		TEST(revoked_before_it_is_done_it_stays),
		TEST(the_records_are_the_object),
		TEST(killed_at_each_record_it_goes_on),
		TEST(a_denial_outlives_it),
		TEST(its_deadlines_are_the_old_ones),
		TEST(a_clock_that_went_back_meanwhile_releases_nothing),
		TEST(it_waits_for_the_news_of_who_was_revoked),
		TEST(a_vote_that_lost_its_weight_stays_without),
		TEST(a_free_clock_is_as_before),
		TEST(without_its_asker_it_ends),
		TEST(what_is_given_out_waits_for_who_asked_and_is_used_once),
		TEST(nothing_is_given_out_before_two_agreed),
		TEST(nothing_is_given_out_after_its_time_or_once_revoked),
		TEST(notes_displace_no_step),
		TEST(nothing_is_given_out_that_rests_on_nobody_or_on_other_words),
		TEST(what_is_given_out_outlives_a_restart),
	};

	return cmocka_run_group_tests_name("approval_admin", tests, NULL, NULL);
}
