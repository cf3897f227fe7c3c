/* completeness.h: completeness.json of a bundle: what its records say of what is not there (export.md 1 and 2 step 9, journal.md P4).
 *
 * Integrity is not completeness: a record that was never written changes no hash. What shows it are the counters of sessions (verify_session.h),
 * the totals that workers state each minute (node.tick), the records of time stamps, of pruned ranges and of erased keys. The file is a
 * summary and no evidence: each line of it that begins with two blanks is a fact that step 13 of VERIFY.md makes anew, of the records.
 *
 * How much can be said depends on what was asked for, `of`:
 *	all       each record of a range: indexes without a hole, counters, totals, time stamps, what was pruned and erased
 *	sessions  each record of the named sessions: their counters
 *	part      by person, target, type, time, …: nothing, since no counter runs over such records
 * Memory: that of the sessions that are open at a time, and COMPLETENESS_FACTS_MAX lines of a list; what is over that is counted, and `cut`
 * says so. One thread.
 */
#ifndef CONTROL_EXPORT_COMPLETENESS_H
#define CONTROL_EXPORT_COMPLETENESS_H

#include "control/export/bundle.h"
#include "control/journal/archive.h"

#define COMPLETENESS_FACTS_MAX 10000u
#define COMPLETENESS_UNSTAMPED_S 900 /* so long without a time stamp is told (journal.md 8) */

struct completeness;

/* Of the records that `filter` lets through, of a journal whose first kept record is `first`. NULL when memory is short. */
struct completeness *completeness_create(const struct archive_filter *filter, uint64_t first);
void completeness_destroy(struct completeness *c);
/* The next record of the bundle. False when memory is short. */
bool completeness_record(struct completeness *c, uint64_t index, struct bytes record);
/* After the last one: the file. `missing` gets how many findings there are. */
bool completeness_write(struct completeness *c, struct bundle *b, uint64_t *missing);

#endif
