/* release.c: from the quorum to the spent nonce (approvals.md 4, row "release").
 *
 * Everything that the votes rested on is looked at again: the requester, the voters, the clock here; the policy's verdict, the
 * command's bytes and the session's state at the worker, which is asked and whose answer is compared with the statement. The
 * trap is the time in between: the worker compares once more when the release arrives, and refuses when its session moved on. */
#include <openssl/sha.h>

#include "control/approval/store.h"
#include "control/approval/values.h"

static bool same_sha256(struct bytes data, const uint8_t expected[32])
{
	uint8_t hash[32];

	SHA256(data.base, data.len, hash);
	return !memcmp(hash, expected, 32);
}

static bool same_values(const struct approval *a, const struct approval_recheck *r)
{
	uint8_t hash[32];

	values_hash(r->types, r->params, hash);
	return !memcmp(hash, a->params_sha256, 32);
}

static bool same_needs(const struct approval *a, const struct approval_recheck *r)
{
	if (a->needs != r->needs || a->deny_quorum != (r->deny_quorum ? r->deny_quorum : 1) || a->params_free != r->params_free)
		return false;
	for (unsigned i = 0; i < a->needs; i++) {
		if (a->need[i].count != r->need[i].count || strcmp(a->need[i].group, r->need[i].group))
			return false;
	}
	return true;
}

/* NULL, or why what was asked is not what would run now. */
static const char *changed(const struct approval *a, const struct approval_recheck *r)
{
	if (r->action != COMMAND_ALLOW && r->action != COMMAND_HOLD)
		return "the policy now blocks it";
	if (r->action == COMMAND_HOLD && !same_needs(a, r))
		return "the policy now asks for another approval";
	if (!same_sha256(bytes_of(a->statement, a->statement_len), a->statement_sha256))
		return "the statement is not what was signed";
	if (!same_sha256(r->raw, a->command_sha256) || (!a->params_free && !same_values(a, r)))
		return "the held command is not what was shown";
	return same_sha256(r->state, a->state_sha256) ? NULL : "the state of the session changed";
}

/* NULL, or whom it may no longer rest on. */
static const char *gone(struct approvals *as, const struct approval *a)
{
	if (!a->requester || !as->host.still_valid(as->host.ctx, a->requester))
		return "the requester's sign-in is no longer valid";
	if (a->state == APPROVAL_APPROVED && store_slots_filled(as, a, true) < a->quorum)
		return "an approver is no longer eligible";
	return NULL;
}

/* Of everybody it rests on. */
static bool news_known(const struct approvals *as, const struct approval *a)
{
	bool known = !a->requester || as->host.news_known(as->host.ctx, a->requester);

	for (unsigned i = 0; known && i < a->votes; i++)
		known = !a->vote[i].voter || as->host.news_known(as->host.ctx, a->vote[i].voter);
	return known;
}

const char *approvals_suspended(const struct approvals *as, const struct approval *a)
{
	if (as->clock_stepped_back)
		return "the node's clock went back";
	if (a->kind == APPROVAL_ADMIN && !news_known(as, a))
		return "the issuer's keys were not read since the start";
	return as->clock_free && !a->free_clock_ok ? "the node's clock runs freely" : NULL;
}

void store_release(struct approvals *as, struct approval *a)
{
	const char *why = gone(as, a);

	if (as->clock_stepped_back || (a->state == APPROVAL_APPROVED && as->now.mono_us < a->use_by_mono_us && !why && approvals_suspended(as, a)))
		return;
	if (a->state == APPROVAL_APPROVED && as->now.mono_us >= a->use_by_mono_us) {
		store_end(as, a, APPROVAL_PASSES_USE_BY, "not released in time");
	} else if (why) {
		store_end(as, a, APPROVAL_IS_SUPERSEDED, why);
	} else if (a->kind == APPROVAL_ADMIN) {
		store_release_operation(as, a);
	} else if (!a->asked_mono_us || as->now.mono_us - a->asked_mono_us >= APPROVAL_RECHECK_US) {
		a->asked_mono_us = as->now.mono_us;
		as->host.recheck(as->host.ctx, a);
	}
}

void approvals_rechecked(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, const struct approval_recheck *r,
			 struct approval_clock now)
{
	struct approval *a = approvals_of_command(as, worker, flow, n);
	const char *why;

	store_clock(as, now);
	/* An answer that nobody waits for, or under a policy that is over: it is asked again by the clock. */
	if (!a || !a->asked_mono_us || !r->current || as->clock_stepped_back || (a->state != APPROVAL_PENDING && a->state != APPROVAL_APPROVED))
		return;
	a->asked_mono_us = 0;
	if (r->action == COMMAND_HOLD)
		a->free_clock_ok = r->free_clock_ok;
	why = changed(a, r);
	if (!why)
		why = gone(as, a);
	a->look_again = false;
	if (a->state == APPROVAL_APPROVED && now.mono_us >= a->use_by_mono_us)
		store_end(as, a, APPROVAL_PASSES_USE_BY, "not released in time");
	else if (why)
		store_end(as, a, APPROVAL_IS_SUPERSEDED, why);
	else if (a->state == APPROVAL_APPROVED && !approvals_suspended(as, a) && store_step(as, a, APPROVAL_IS_RELEASED, "", store_who(a), (struct bytes){ 0 }))
		store_tell(as, a, APPROVAL_RELEASE, "");
}
