/* bundle_policies.h: the policies under which the records of a bundle were decided, as they were written, each with its proof.
 *
 *	policy/<hash>.cfg          the source text; its SHA-256 is `data.source` of the record
 *	policy/<hash>.json         the `policy.commit` record's canonical bytes: `data.hash` is what the bundle's records call `pol`
 *	policy/<hash>.tlog-proof   that record's inclusion under the bundle's checkpoint
 * A policy whose record was pruned, or has no source text, is left out: VERIFY.md then says so.
 */
#ifndef CONTROL_EXPORT_BUNDLE_POLICIES_H
#define CONTROL_EXPORT_BUNDLE_POLICIES_H

#include "control/export/export.h"

#define BUNDLE_POLICIES_MAX 256u /* of one bundle; further ones are left out */

struct bundle_policies;

struct bundle_policies *bundle_policies_create(void);
void bundle_policies_destroy(struct bundle_policies *p);
/* Notes the policy that this record names. */
void bundle_policies_record(struct bundle_policies *p, struct bytes record);
/* Writes them, found among the records below `end` (of an archive of its own: `dir` is the journal's directory). NULL, or a text. */
const char *bundle_policies_write(struct bundle_policies *p, struct bundle *b, const char *dir, uint64_t end, struct bytes note);

#endif
