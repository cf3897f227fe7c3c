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

#define KIT_HELD "zyxwvtsrqpnmkjhgfedcba9876"
#define KIT_OTHER_HASH "00000000000000000000000000000000000000000000000000000000deadbeef"

/* How the approval of a held command of the first session is not what it should be. */
struct kit_held {
	const char *voter[2];  /* NULL: fewer */
	bool other_statement;  /* what is sealed is not what its hash is of */
	bool other_hash;       /* the last record names another statement */
};

/* hold (n 2), approval.request by ivan (its statement sealed) and, of no session, the votes and the grant, then the session's
 * approval.consume. The request's index; the votes follow. */
uint64_t kit_held(struct journal *j, struct payload_keys *keys, const struct kit_held *held);

#endif
