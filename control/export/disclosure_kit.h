/* disclosure_kit.h: for tests: two sessions with sealed payload, and an approval that discloses the first one's. */
#ifndef CONTROL_EXPORT_DISCLOSURE_KIT_H
#define CONTROL_EXPORT_DISCLOSURE_KIT_H

#include "control/journal/journal.h"
#include "control/journal/payload_keys.h"

#define KIT_APPROVAL "0123456789abcdefghjkmnpqrs"
#define KIT_APPROVAL_RECORDS 5 /* approval.request by ivan, votes of bob and dora, approval.consume, key.disclose */

/* What the sessions' commands say. */
extern const char *const kit_secret[2];

/* The name of session 0 or 1. */
void kit_session_text(unsigned number, char out[33]);
/* session.open with the commitment, then a command with one sealed chunk; its key is made. */
void kit_session(struct journal *j, struct payload_keys *keys, unsigned number);
/* Of an approval of the first session's key; `record` gets their indexes. */
void kit_approval(struct journal *j, uint64_t record[KIT_APPROVAL_RECORDS]);

#endif
