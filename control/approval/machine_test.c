/* machine_test.c: every cell of the table (state.c), driven through a real object: an allowed pair writes its record and only then
 * changes the state, and takes nothing when the journal takes nothing; any other pair is refused, counted and journaled. The
 * test is made from the table; state_test.c checks the table itself against approvals.md 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "control/approval/approval_fixture.h"
#include "control/approval/store.h"

/* An object in any state, as if it had come there. */
static struct approval *in_state(enum approval_state s)
{
	struct approval *a;

	approvals_destroy(w.as);
	w.as = approvals_create(&host, "a", "test.example/journal");
	a = held("dba:1");
	w.said.silent = true;
	store_enter(w.as, a, s, "");
	return a;
}

static void each_allowed_pair_is_its_record_and_then_its_state(void **state)
{
	unsigned allowed = 0;

	for (enum approval_state s = 0; s < APPROVAL_states; s++) {
		for (enum approval_event e = 0; e < APPROVAL_events; e++) {
			struct approval_step step = approval_step(s, e);
			struct approval *a = in_state(s);
			unsigned records = w.records;

			if (!step.allowed)
				continue;
			allowed++;
			w.journal_broken = true;
			assert_int_equal(store_step(w.as, a, e, "why", who_json(), (struct bytes){ 0 }), step.record == NULL);
			assert_int_equal(a->state, step.record ? s : step.to);
			w.journal_broken = false;
			if (!step.record)
				continue;
			assert_true(store_step(w.as, a, e, "why", who_json(), (struct bytes){ 0 }));
			assert_int_equal(a->state, step.to);
			assert_int_equal(w.records, records + 1);
			assert_true(recorded_last(step.record));
			assert_non_null(strstr(w.record[w.records - 1], approval_event_name(e)));
			assert_non_null(strstr(w.record[w.records - 1], approval_state_name(step.to)));
		}
	}
	assert_int_equal(allowed, 18); /* rows of the table */
}

static void every_other_pair_is_refused_counted_and_journaled(void **state)
{
	for (enum approval_state s = 0; s < APPROVAL_states; s++) {
		for (enum approval_event e = 0; e < APPROVAL_events; e++) {
			struct approval *a = in_state(s);
			unsigned records = w.records, answers = w.answers;
			uint64_t refused = approvals_counters(w.as).refused_events;

			if (approval_step(s, e).allowed)
				continue;
			assert_false(store_step(w.as, a, e, "why", who_json(), (struct bytes){ 0 }));
			assert_int_equal(a->state, s);
			assert_int_equal(w.records, records + 1);
			assert_true(recorded_last("approval.refused"));
			assert_int_equal(approvals_counters(w.as).refused_events, refused + 1);
			assert_int_equal(w.answers, answers); /* nothing leaves */
		}
	}
}

/* What comes from outside, in every state: nothing but the table's own rows moves an object, and no state but executing was released. */
static void outside_events_move_nothing_that_the_table_does_not(void **state)
{
	for (enum approval_state s = 0; s < APPROVAL_states; s++) {
		for (unsigned what = 0; what < 7; what++) {
			struct approval *a = in_state(s);
			char text[APPROVAL_SAY_BYTES];
			struct principal *bob = somebody("bob", "", "dba");
			bool moved = false;

			w.released = 0;
			switch (what) {
			case 0: approvals_withdrawn(w.as, 1, 77, 3, "x"); break;
			case 1: approvals_responded(w.as, 1, 77, 3, false, "x"); break;
			case 2: approvals_responded(w.as, 1, 77, 3, true, "x"); break;
			case 3: approvals_session_closed(w.as, 1, 77, "x"); break;
			case 4: (void)approvals_vote(w.as, a, bob, who_json(), true, "x", w.now, text); break;
			case 5: (void)approvals_vote(w.as, a, bob, who_json(), false, "x", w.now, text); break;
			case 6: approvals_durable(w.as); break;
			}
			principal_put(bob);
			for (enum approval_event e = 0; e < APPROVAL_events; e++)
				moved |= approval_step(s, e).allowed && approval_step(s, e).to == a->state;
			if (a->state != s && !moved)
				fail_msg("%s, %u: became %s", approval_state_name(s), what, approval_state_name(a->state));
			if (approval_is_terminal(s))
				assert_int_equal(a->state, s);
			assert_int_equal(w.released, 0);
		}
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_allowed_pair_is_its_record_and_then_its_state),
		CASE(every_other_pair_is_refused_counted_and_journaled),
		CASE(outside_events_move_nothing_that_the_table_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
