/* state_test.c: the table of approvals.md 4, written down a second time, row by row; every other pair has to be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "control/approval/state.h"

static const struct row {
	enum approval_state from;
	enum approval_event event;
	enum approval_state to;
	const char *record;
} rows[] = {
	{ APPROVAL_REQUESTED, APPROVAL_IS_DURABLE, APPROVAL_PENDING, NULL },
	{ APPROVAL_PENDING, APPROVAL_GETS_VOTE, APPROVAL_PENDING, "approval.vote" },
	{ APPROVAL_PENDING, APPROVAL_GETS_QUORUM, APPROVAL_APPROVED, "approval.grant" },
	{ APPROVAL_PENDING, APPROVAL_IS_DENIED, APPROVAL_DENIED, "approval.deny" },
	{ APPROVAL_PENDING, APPROVAL_PASSES_EXPIRES, APPROVAL_EXPIRED, "approval.expire" },
	{ APPROVAL_PENDING, APPROVAL_IS_CANCELLED, APPROVAL_CANCELLED, "approval.cancel" },
	{ APPROVAL_APPROVED, APPROVAL_IS_CANCELLED, APPROVAL_CANCELLED, "approval.cancel" },
	{ APPROVAL_PENDING, APPROVAL_IS_SUPERSEDED, APPROVAL_SUPERSEDED, "approval.supersede" },
	{ APPROVAL_APPROVED, APPROVAL_IS_SUPERSEDED, APPROVAL_SUPERSEDED, "approval.supersede" },
	{ APPROVAL_APPROVED, APPROVAL_IS_RELEASED, APPROVAL_EXECUTING, "approval.consume" },
	{ APPROVAL_APPROVED, APPROVAL_PASSES_USE_BY, APPROVAL_EXPIRED, "approval.expire" },
	{ APPROVAL_APPROVED, APPROVAL_IS_REVOKED, APPROVAL_REVOKED, "approval.revoke" },
	{ APPROVAL_ACTIVE, APPROVAL_IS_REVOKED, APPROVAL_REVOKED, "approval.revoke" },
	{ APPROVAL_EXECUTING, APPROVAL_HAS_RESPONSE, APPROVAL_EXECUTED, "approval.executed" },
	{ APPROVAL_EXECUTING, APPROVAL_LOSES_RESPONSE, APPROVAL_UNKNOWN, "approval.unknown" },
	{ APPROVAL_EXECUTING, APPROVAL_IS_REVOKED, APPROVAL_REVOKED, "approval.revoke" },
	{ APPROVAL_APPROVED, APPROVAL_WINDOW_STARTS, APPROVAL_ACTIVE, "approval.window" },
	{ APPROVAL_ACTIVE, APPROVAL_WINDOW_ENDS, APPROVAL_CLOSED, "approval.close" },
};

static const struct row *row_of(enum approval_state s, enum approval_event e)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].from == s && rows[i].event == e)
			return &rows[i];
	}
	return NULL;
}

static void every_pair_is_in_the_table_or_refused(void **state)
{
	for (enum approval_state s = 0; s < APPROVAL_states; s++) {
		for (enum approval_event e = 0; e < APPROVAL_events; e++) {
			const struct row *row = row_of(s, e);
			struct approval_step step = approval_step(s, e);

			assert_int_equal(step.allowed, row != NULL);
			if (!row)
				continue;
			assert_int_equal(step.to, row->to);
			assert_int_equal(step.record == NULL, row->record == NULL);
			if (row->record)
				assert_string_equal(step.record, row->record);
		}
	}
	assert_false(approval_step(APPROVAL_states, 0).allowed);
	assert_false(approval_step(0, APPROVAL_events).allowed);
}

static void nothing_leaves_a_terminal_state(void **state)
{
	for (enum approval_state s = 0; s < APPROVAL_states; s++) {
		bool any = false;

		for (enum approval_event e = 0; e < APPROVAL_events; e++)
			any |= approval_step(s, e).allowed;
		assert_int_equal(any, !approval_is_terminal(s));
	}
}

/* Only what was approved executes, and it got there through a quorum. */
static void execution_is_reached_through_approval_alone(void **state)
{
	for (enum approval_state s = 0; s < APPROVAL_states; s++) {
		for (enum approval_event e = 0; e < APPROVAL_events; e++) {
			struct approval_step step = approval_step(s, e);

			if (step.allowed && step.to == APPROVAL_EXECUTING)
				assert_int_equal(s, APPROVAL_APPROVED);
			if (step.allowed && step.to == APPROVAL_APPROVED)
				assert_int_equal(e, APPROVAL_GETS_QUORUM);
		}
	}
}

static void names_are_words(void **state)
{
	for (enum approval_state s = 0; s < APPROVAL_states; s++)
		assert_true(strlen(approval_state_name(s)) > 3);
	for (enum approval_event e = 0; e < APPROVAL_events; e++)
		assert_true(strlen(approval_event_name(e)) > 3);
	assert_string_equal(approval_state_name(APPROVAL_states), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_is_in_the_table_or_refused),
		cmocka_unit_test(nothing_leaves_a_terminal_state),
		cmocka_unit_test(execution_is_reached_through_approval_alone),
		cmocka_unit_test(names_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
