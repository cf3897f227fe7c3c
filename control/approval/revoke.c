/* revoke.c: a grant is taken back (approvals.md 4): before it was used nothing was sent; after that the stream is cut. The record is
 * older than either, and says which it was. Revoking only stops, so it needs one person, and works while releases are suspended. */
#include <stdio.h>

#include "control/approval/remark.h"
#include "control/approval/store.h"

static enum approval_vote_result refuse(struct approvals *as, struct approval *a, struct bytes who, const char *why, char *text)
{
	uint8_t room[STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct jcs j = jcs_of(&w);

	as->counters.refused_votes++;
	jcs_open(&j);
	jcs_put_uint(&j, "at_us", as->now.wall_us);
	jcs_put_str(&j, "cause", why);
	jcs_put_str(&j, "event", approval_event_name(APPROVAL_IS_REVOKED));
	jcs_put_str(&j, "from", approval_state_name(a->state));
	jcs_close(&j);
	(void)store_record(as, a, "approval.refused", who, jcs_done(&j), (struct bytes){ 0 });
	snprintf(text, APPROVAL_SAY_BYTES, "%s", why);
	return APPROVAL_NOT_ELIGIBLE;
}

enum approval_vote_result approvals_revoke(struct approvals *as, struct approval *a, struct principal *p, struct bytes who, const char *reason,
					   struct approval_clock now, char text[APPROVAL_SAY_BYTES])
{
	char cause[APPROVAL_REASON_BYTES], say[APPROVAL_SAY_BYTES];
	enum approval_state from = a->state;
	const char *why;

	store_clock(as, now);
	why = p ? store_not_eligible(as, a, p) : NULL;
	if (why)
		return refuse(as, a, who, why, text);
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
		 from == APPROVAL_APPROVED ? "the command was not run" : "the command had been sent already; the session is ended");
	if (from == APPROVAL_APPROVED)
		store_tell(as, a, APPROVAL_REFUSE, say);
	else
		as->host.cut(as->host.ctx, a, say);
	snprintf(text, APPROVAL_SAY_BYTES, "%s", say);
	return APPROVAL_DECIDED;
}
