/* state.h: the life of an approval as one total table (approvals.md 4).
 *
 * Every pair that the table does not name is refused: the caller counts and journals it, and nothing changes. Pure
 * functions, any thread.
 */
#ifndef CONTROL_APPROVAL_STATE_H
#define CONTROL_APPROVAL_STATE_H

#include <stdbool.h>

enum approval_state {
	APPROVAL_REQUESTED, /* its statement is not durable yet */
	APPROVAL_PENDING,
	APPROVAL_APPROVED,
	APPROVAL_EXECUTING,
	APPROVAL_ACTIVE,    /* of kind window */
	APPROVAL_DENIED,
	APPROVAL_EXPIRED,
	APPROVAL_CANCELLED,
	APPROVAL_SUPERSEDED,
	APPROVAL_EXECUTED,
	APPROVAL_UNKNOWN,
	APPROVAL_REVOKED,
	APPROVAL_CLOSED,
	APPROVAL_states
};

enum approval_event {
	APPROVAL_IS_DURABLE,
	APPROVAL_GETS_VOTE,     /* an approve vote, or a deny vote, that does not decide */
	APPROVAL_GETS_QUORUM,
	APPROVAL_IS_DENIED,
	APPROVAL_PASSES_EXPIRES,
	APPROVAL_PASSES_USE_BY,
	APPROVAL_IS_CANCELLED,  /* by the requester, its client, its session, a kill, or a restart */
	APPROVAL_IS_SUPERSEDED, /* the policy, the state or the voters are no longer what was approved */
	APPROVAL_IS_RELEASED,
	APPROVAL_IS_REVOKED,
	APPROVAL_HAS_RESPONSE,
	APPROVAL_LOSES_RESPONSE,
	APPROVAL_WINDOW_STARTS,
	APPROVAL_WINDOW_ENDS,
	APPROVAL_events
};

/* What follows. `record` is the type of its journal record, NULL when the transition is none of its own. */
struct approval_step {
	bool allowed;
	enum approval_state to;
	const char *record;
};

struct approval_step approval_step(enum approval_state from, enum approval_event event);

bool approval_is_terminal(enum approval_state s);

/* "pending"; "gets vote". Static strings, "?" outside the list. */
const char *approval_state_name(enum approval_state s);
const char *approval_event_name(enum approval_event e);

#endif
