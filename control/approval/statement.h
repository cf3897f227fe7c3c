/* statement.h: what approvers decide on, as canonical JSON with every field of approvals.md 3.
 *
 * Its SHA-256 is what votes and records name. The nonce makes the hash unguessable and single use. Nothing is cut: a command
 * that does not fit whole is not approvable. Pure but for the nonce, which is an argument.
 */
#ifndef CONTROL_APPROVAL_STATEMENT_H
#define CONTROL_APPROVAL_STATEMENT_H

#include "control/approval/approval.h"
#include "control/approval/touched.h"
#include "control/journal/jcs.h"

/* Text twice as long as sent and values likewise, at six bytes a character; formats and types at 12 bytes for each of a value's four;
 * the classes, and the rest. */
#define STATEMENT_BYTES_MAX (12u * APPROVAL_TEXT_BYTES + 24u * LIMIT_PARAMETERS_BYTES + TOUCHED_BYTES + (64u << 10))

/* The text that people read: the canonical form of `raw`, or `raw` where that has none. Valid until the next call of this folder. */
struct bytes statement_norm(struct bytes raw);

/* Writes the statement of `a` (id, needs, times are set) for `c`. Empty when it cannot be written. */
struct bytes statement_write(const struct approval *a, const struct approval_command *c, const uint8_t nonce[16], const char *node,
			     const char *origin, struct writer *out);

/* Key "approvers" and its list. */
void statement_put_needs(struct jcs *j, const struct approval *a);

/* RFC 3339 UTC with microseconds, as in `ts`. */
#define STATEMENT_TIME_BYTES 96
const char *statement_time(uint64_t wall_us, char out[STATEMENT_TIME_BYTES]);

/* The vote document (approvals.md 6). */
struct bytes statement_vote(const struct approval *a, const char *voter, bool approve, const char *reason, struct writer *out);

#endif
