/* touched.h: the data classes that a command touches, for its approvers (approvals.md 3, `policy.class`).
 *
 * By names alone, as the policy tags columns: for a statement that only reads, the classes of the columns that flow into its answer or
 * decide something; for everything else those of every column of its relations. "unknown" stands beside or instead of them where more may
 * be touched than was understood. What only the database knows (views, copies) is not seen here; the data plane masks by it.
 */
#ifndef CONTROL_APPROVAL_TOUCHED_H
#define CONTROL_APPROVAL_TOUCHED_H

#include "platform/contract/classification.h"
#include "platform/contract/policy.h"

#define TOUCHED_BYTES (LIMIT_CLASSES * (LIMIT_NAME_BYTES + 1) + 16)

/* "pii.card,pii.email": names in the policy's order, "" when none. `classification` as the event has it; empty: "unknown". */
struct bytes touched_write(const struct policy_image *image, struct bytes database, struct bytes classification, struct writer *out);

#endif
