/* export_disclosure.h: payload keys in a bundle, and what shows who allowed them (export.md 1):
 *	keys/<session>.hex            of the sessions that the approval is about, and of no other
 *	approvals/<id>/statement.jcs  what was decided on, byte for byte
 *	approvals/<id>/<index>.vote.jcs each vote, as its record has it
 *	approvals/<id>/<index>.json, .tlog-proof the records of the approval and of the disclosure, each with its proof
 *	approvals/<id>/keys           a line a session: given, erased (there is no such key any more), or none (nothing of it here is sealed)
 * One thread, that of the archive.
 */
#ifndef CONTROL_EXPORT_EXPORT_DISCLOSURE_H
#define CONTROL_EXPORT_EXPORT_DISCLOSURE_H

#include <stdio.h>

#include "control/export/bundle.h"
#include "control/export/export.h"

/* What became of each session's key. Starts with zeros. */
struct disclosure_told {
	FILE *out; /* in memory */
	char *text;
	size_t len;
};

/* Whether the key of this session may go into the bundle. */
bool export_disclosure_allows(const struct export_request *request, struct bytes session);
/* Notes `word` of the session unless it was told before; false without memory. `*first`: it was not. */
bool export_disclosure_tell(struct disclosure_told *told, struct bytes session, const char *word, bool *first);
/* The files under approvals/. Counts sessions whose key is gone in `*erased`. NULL, or a text. */
const char *export_disclosure_write(const struct export_request *request, struct bundle *b, struct archive *a, struct disclosure_told *told, struct bytes note,
				    uint64_t *erased);
void export_disclosure_free(struct disclosure_told *told);

#endif
