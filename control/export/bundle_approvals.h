/* bundle_approvals.h: the approvals that a bundle's records name in `appr`, as documents (export.md 1, approvals.md 3 and 6):
 *	approvals/<id>/<index>.json, .tlog-proof  its records, from anywhere in the journal, each with its proof
 *	approvals/<id>/<index>.vote.jcs           each vote, as its record has it
 *	approvals/<id>/statement.jcs              what was decided on, byte for byte
 *	approvals/<id>/<sha256>.chunk             the statement as it is stored, where it is sealed and its record is none of the bundle's
 * The statement of a held command has the command's text in it, so it is payload of its session: it is here where that session's key is
 * disclosed too, and nowhere else; its hash is in every record of the approval. The statement of a deed (kind admin) stands in its request.
 * One thread.
 */
#ifndef CONTROL_EXPORT_BUNDLE_APPROVALS_H
#define CONTROL_EXPORT_BUNDLE_APPROVALS_H

#include "control/export/bundle.h"
#include "control/export/export.h"

#define BUNDLE_APPROVALS_MAX 1000u /* of a bundle; others stay in the records only */

struct bundle_approvals;

/* NULL when memory is short. */
struct bundle_approvals *bundle_approvals_create(void);
void bundle_approvals_destroy(struct bundle_approvals *p);
/* A record of the bundle: what it names is remembered. False when memory is short. */
bool bundle_approvals_record(struct bundle_approvals *p, struct bytes record);
/* All records of these approvals in the journal at `dir` before `end`, under the checkpoint `note`. NULL, or a text. */
const char *bundle_approvals_write(struct bundle_approvals *p, const struct export_request *request, struct bundle *b, const char *dir, uint64_t end, struct bytes note);

/* One record of the approval `id` as files, its parts too. NULL, or a text. */
const char *bundle_approvals_put(struct bundle *b, struct archive *a, const char *id, uint64_t index, struct bytes note);

#endif
