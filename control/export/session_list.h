/* session_list.h: the sessions that a journal tells of, found by their records.
 *
 * A session is given once, at its first record that matches, in the order of the journal: {"id", "index" of that record, "opened", "closed"
 * (left out while it is open, or where the journal does not say), "service", "person", "agent", "run", "target", "database", "cause",
 * "commands", "rows"}. Texts that the records do not say are "". With an index (archive_use_index) its other records are found quickly.
 */
#ifndef CONTROL_EXPORT_SESSION_LIST_H
#define CONTROL_EXPORT_SESSION_LIST_H

#include <jansson.h>

#include "control/export/export.h"

#define SESSION_LIST_MAX 10000u /* of one call */

/* Sessions whose first match is at or after filter->from: at most `limit` of them (0 and more than SESSION_LIST_MAX: that many). `give` takes
 * each object over and says whether to go on. `*next` is where the next page begins, 0 when there is none. False with a text in `err`. */
bool session_list(struct archive *a, const struct archive_filter *filter, uint64_t limit, bool (*give)(void *ctx, json_t *session), void *ctx,
		  uint64_t *next, char err[EXPORT_ERROR_BYTES]);

#endif
