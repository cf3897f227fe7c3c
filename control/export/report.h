/* report.h: what an examiner reads and what an examiner's tools read: one HTML page, and OSCAL assessment results (export.md 5, 6).
 *
 * Both are copies of what struct assess counted; each number leads to records by their index, and a record to its proof in the bundle
 * (`proofs/entry-N.json`, `proofs/N.tlog-proof`). The page is one file without scripts and without anything from elsewhere.
 */
#ifndef CONTROL_EXPORT_REPORT_H
#define CONTROL_EXPORT_REPORT_H

#include <stdio.h>

#include "control/export/assess.h"

/* The page. False when `out` takes no more. */
bool report_html(const struct assess *a, const char *origin, FILE *out);

/* OSCAL 1.1.2 assessment-results; NULL when memory is short. `now` is RFC 3339. The document's UUIDs follow from its content, so that
 * the same records give the same document. */
json_t *report_oscal(const struct assess *a, const char *origin, const char *now);

#endif
