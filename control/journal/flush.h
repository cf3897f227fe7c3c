/* flush.h: what a commit's two flushes cost on a disk (journal.md 6): the floor of every acknowledgement, and with it what the journal
 * of this installation can do. */
#ifndef CONTROL_JOURNAL_FLUSH_H
#define CONTROL_JOURNAL_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#include "control/journal/journal.h"

#define FLUSH_ROUNDS 64u

/* Of a pair of flushes, in nanoseconds. */
struct flush_time {
	uint64_t least_ns, median_ns, most_ns;
};

/* Writes as LMDB's commit does, a few pages and then the meta page, each made durable, FLUSH_ROUNDS times into a file of 1 MiB below
 * `dir` that is gone afterwards. Takes as long as the disk does: 10 ms to some seconds; at start or in a command, never while records
 * wait. False with a reason: what failed, where. Any thread. */
bool flush_measure(const char *dir, struct flush_time *out, char err[JOURNAL_ERROR_BYTES]);

/* Durable records a second with `batch` records in each commit, when flushes are all that takes time. */
uint64_t flush_rate(const struct flush_time *t, unsigned batch);

#endif
