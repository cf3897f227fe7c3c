/* verify_session.h: the counters of sessions, for the completeness check: within a session, the records that carry both `sess`
 * and `n` at their top have n = 0, 1, 2, … without gap or repetition. A record about a session that is not part of its count
 * (an approval, a revocation) names it in `sess` without `n`, and the command it is about in `ref`.
 */
#ifndef CONTROL_JOURNAL_VERIFY_SESSION_H
#define CONTROL_JOURNAL_VERIFY_SESSION_H

#include "control/journal/jcs_read.h"
#include "platform/base/hash.h"

struct verify_sessions {
	struct verify_session *slot;
	size_t slots, used;
	struct hash_key key;
	bool from_middle; /* the oldest records are pruned: a session may begin with any n */
	bool failed;      /* memory was short: no more counting */
};

enum verify_count { VERIFY_COUNT_NONE, VERIFY_COUNT_GOOD, VERIFY_COUNT_GAP };

void verify_sessions_init(struct verify_sessions *s, bool from_middle);
void verify_sessions_free(struct verify_sessions *s);
/* Counts one record. On a gap, `*expected` is the n that should have come. */
enum verify_count verify_sessions_count(struct verify_sessions *s, struct jcs_value record, int64_t *n, int64_t *expected);

#endif
