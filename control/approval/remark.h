/* remark.h: why the requester asks: `reason` and `ticket` of approvals.md 3, as the command's own last comment says them.
 *
 * PostgreSQL's protocol has no place for them, and a setting would outlive the command. So they come in the form of the public
 * SQLCommenter specification, key='value' with percent-encoded values and commas between them:
 *	reason='duplicate%20entry',ticket='CHG-20417'
 * They are the requester's words: shown to the approvers, covered by the statement's hash, and believed by nothing here.
 * A comment of another form, or one that says the same key twice, says nothing. Pure; any thread.
 */
#ifndef CONTROL_APPROVAL_REMARK_H
#define CONTROL_APPROVAL_REMARK_H

#include "platform/base/bytes.h"

#define REMARK_REASON_BYTES 256
#define REMARK_TICKET_BYTES 65

struct remark {
	char reason[REMARK_REASON_BYTES]; /* both "" when not said */
	char ticket[REMARK_TICKET_BYTES];
};

struct remark remark_read(struct bytes raw);

/* A person's words for terminals and pages: one line of printable ASCII without markup. What does not fit is replaced by a word
 * that says so, never cut. */
void remark_clean(struct bytes from, char *out, size_t size);

#endif
