/* bundle_copies.h: what lies in a bundle for people and other systems. Copies: they prove nothing, and every one names its records.
 *
 *	events/<first>-<last>.ocsf.jsonl.zst   the records as OCSF 1.8.0, in frames (frames.h)
 *	report.html, assessment-results.json   as `sluice export report` makes them (report.h); its links lead into the bundle
 *	replay.cast                            of a bundle of one session: asciicast v2, with what the keys that are disclosed open
 */
#ifndef CONTROL_EXPORT_BUNDLE_COPIES_H
#define CONTROL_EXPORT_BUNDLE_COPIES_H

#include "control/export/bundle_picks.h"

struct bundle_copies;

/* All of these must outlive it; `origin` is the journal's. NULL when memory is short. */
struct bundle_copies *bundle_copies_open(struct bundle *b, struct archive *a, const char *origin);
void bundle_copies_close(struct bundle_copies *c);
/* Each record of the bundle, in order. Reads the archive: what it had handed out is gone. */
bool bundle_copies_record(struct bundle_copies *c, uint64_t index);
/* The rest, after the last record: `request` is the bundle's, `filter` what it came to; `picks` gets the records that the report names. False with a
 * text in `err`. */
bool bundle_copies_finish(struct bundle_copies *c, const struct export_request *request, const struct archive_filter *filter, struct bundle_picks *picks,
			  char err[EXPORT_ERROR_BYTES]);

#endif
