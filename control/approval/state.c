#include "control/approval/state.h"

#define STEP(state, type) { .allowed = true, .to = APPROVAL_##state, .record = type }

static const struct approval_step steps[APPROVAL_states][APPROVAL_events] = {
	[APPROVAL_REQUESTED] = {
		[APPROVAL_IS_DURABLE] = STEP(PENDING, 0), /* approval.request was written before */
	},
	[APPROVAL_PENDING] = {
		[APPROVAL_GETS_VOTE] = STEP(PENDING, "approval.vote"),
		[APPROVAL_GETS_QUORUM] = STEP(APPROVED, "approval.grant"),
		[APPROVAL_IS_DENIED] = STEP(DENIED, "approval.deny"),
		[APPROVAL_PASSES_EXPIRES] = STEP(EXPIRED, "approval.expire"), /* a time-out is a block */
		[APPROVAL_IS_CANCELLED] = STEP(CANCELLED, "approval.cancel"),
		[APPROVAL_IS_SUPERSEDED] = STEP(SUPERSEDED, "approval.supersede"),
	},
	[APPROVAL_APPROVED] = {
		[APPROVAL_IS_CANCELLED] = STEP(CANCELLED, "approval.cancel"),
		[APPROVAL_IS_SUPERSEDED] = STEP(SUPERSEDED, "approval.supersede"),
		[APPROVAL_IS_RELEASED] = STEP(EXECUTING, "approval.consume"), /* durable before the first byte */
		[APPROVAL_PASSES_USE_BY] = STEP(EXPIRED, "approval.expire"),
		[APPROVAL_IS_REVOKED] = STEP(REVOKED, "approval.revoke"),
		[APPROVAL_WINDOW_STARTS] = STEP(ACTIVE, "approval.window"),
	},
	[APPROVAL_EXECUTING] = {
		[APPROVAL_HAS_RESPONSE] = STEP(EXECUTED, "approval.executed"),
		[APPROVAL_LOSES_RESPONSE] = STEP(UNKNOWN, "approval.unknown"), /* never retried by us */
		[APPROVAL_IS_REVOKED] = STEP(REVOKED, "approval.revoke"),      /* already sent: the stream is cut */
	},
	[APPROVAL_ACTIVE] = {
		[APPROVAL_IS_REVOKED] = STEP(REVOKED, "approval.revoke"),
		[APPROVAL_WINDOW_ENDS] = STEP(CLOSED, "approval.close"),
	},
};

struct approval_step approval_step(enum approval_state from, enum approval_event event)
{
	if (from >= APPROVAL_states || event >= APPROVAL_events)
		return (struct approval_step){ .to = from };
	return steps[from][event];
}

bool approval_is_terminal(enum approval_state s)
{
	return s >= APPROVAL_DENIED;
}

const char *approval_state_name(enum approval_state s)
{
	static const char *const names[APPROVAL_states] = {
		"requested", "pending", "approved", "executing", "active", "denied", "expired", "cancelled", "superseded",
		"executed", "unknown", "revoked", "closed",
	};

	return s < APPROVAL_states ? names[s] : "?";
}

const char *approval_event_name(enum approval_event e)
{
	static const char *const names[APPROVAL_events] = {
		"is durable", "gets vote", "gets quorum", "is denied", "passes expires", "passes use-by", "is cancelled",
		"is superseded", "is released", "is revoked", "has response", "loses response", "window starts", "window ends",
	};

	return e < APPROVAL_events ? names[e] : "?";
}
