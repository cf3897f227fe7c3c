/* revoke.c: a grant is taken back (approvals.md 4): before it was used nothing was sent; after that the stream is cut. The record is
 * older than either, and says which it was. Revoking only stops, so it needs one person, and works while releases are suspended. */
#include <stdio.h>

#include "control/approval/remark.h"
#include "control/approval/store.h"

enum approval_vote_result approvals_revoke(struct approvals *as, struct approval *a, struct principal *p, struct bytes who, const char *reason,
					   struct approval_clock now, char text[APPROVAL_SAY_BYTES])
{
	char cause[APPROVAL_REASON_BYTES], say[APPROVAL_SAY_BYTES];
	enum approval_state from = a->state;
	const char *why;

	store_clock(as, now);
	why = p ? store_not_eligible(as, a, p) : NULL;
	if (why)
		return store_refuse(as, a, APPROVAL_IS_REVOKED, NULL, who, why, text);
	remark_clean(bytes_str(reason), cause, sizeof(cause));
	if (!approval_step(from, APPROVAL_IS_REVOKED).allowed) {
		(void)store_step(as, a, APPROVAL_IS_REVOKED, cause, who, (struct bytes){ 0 });
		snprintf(text, APPROVAL_SAY_BYTES, "it is %s%s", approval_state_name(from), from == APPROVAL_PENDING ? ": deny it instead" : "");
		return APPROVAL_NOT_OPEN;
	}
	if (!store_step(as, a, APPROVAL_IS_REVOKED, cause, who, (struct bytes){ 0 })) {
		snprintf(text, APPROVAL_SAY_BYTES, "the journal does not take it");
		return APPROVAL_NOT_RECORDED;
	}
	snprintf(say, sizeof(say), "approval %s: revoked: %.200s; %s", a->id_text, cause,
		 from == APPROVAL_APPROVED ? "the command was not run" :
		 a->kind == APPROVAL_ADMIN ? "it had begun; what was not done yet is not done" : "the command had been sent already; the session is ended");
	if (from == APPROVAL_APPROVED)
		store_tell(as, a, APPROVAL_REFUSE, say);
	else if (a->kind == APPROVAL_ONCE_HOLD)
		as->host.cut(as->host.ctx, a, say);
	snprintf(text, APPROVAL_SAY_BYTES, "%s", say);
	return APPROVAL_DECIDED;
}
