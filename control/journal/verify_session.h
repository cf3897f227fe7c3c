/* verify_session.h: the counters of sessions, for the completeness check: within a session, the records that carry both `sess`
 * and `n` at their top have n = 0, 1, 2, … without gap or repetition, and those that carry `nc` likewise. `n` counts what the
 * worker said, `nc` what control added of its own (payload, approvals, alarms; in journals since `nc` came), so that together
 * they number every record of an open session. `ref` names a command by its `n`.
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

/* Of a record: its `sess`, `n` and `nc`, each JCS_NONE when absent. */
struct verify_counters {
	struct jcs_value session, n, nc;
};

enum verify_count { VERIFY_COUNT_NONE, VERIFY_COUNT_GOOD, VERIFY_COUNT_GAP };

void verify_sessions_init(struct verify_sessions *s, bool from_middle);
void verify_sessions_free(struct verify_sessions *s);
/* Counts one record by its `n`, or its `nc`; `*key` says which. On a gap, `*expected` is the number that should have come. */
enum verify_count verify_sessions_count(struct verify_sessions *s, const struct verify_counters *of, const char **key, int64_t *n, int64_t *expected);

/* The totals that a record states: a tick's commands and those that are records (`commands`, `recorded`), a close's counters
 * (`last_n`, `own`); `type` is its `t`. To be called after the record was counted. NULL, or a fixed text. Records without them have none to check. */
const char *verify_sessions_totals(const struct verify_sessions *s, struct jcs_value record, struct bytes type);

#endif
