/* report.h: what an examiner reads and what an examiner's tools read: one HTML page, and OSCAL assessment results (export.md 5, 6).
 *
 * Both are copies of what struct assess counted; each number leads to records by their index, and a record to its proof in the bundle
 * (`proofs/entry-N.json`, `proofs/N.tlog-proof`). The page is one file without scripts and without anything from elsewhere.
 */
#ifndef CONTROL_EXPORT_REPORT_H
#define CONTROL_EXPORT_REPORT_H

#include <stdio.h>
#include <time.h>

#include "control/export/assess.h"

enum report_form { REPORT_HTML, REPORT_OSCAL };

/* "html", "oscal"; false for any other. */
bool report_form_of(const char *word, enum report_form *out);

/* Either as text, which is the caller's to free. False, and nothing to free, when memory is short, or no question of a control was asked (OSCAL). */
bool report_text(const struct assess *a, enum report_form form, const char *origin, time_t now, char **text, size_t *len);

/* How the page stands on paper, for a program that makes PDF of it and knows tables badly: rows become lines, each value with its label. In
 * place of the page's own style. A browser that prints the page keeps the tables. */
extern const char report_paper_css[];

/* The page. False when `out` takes no more. */
bool report_html(const struct assess *a, const char *origin, FILE *out);

/* OSCAL 1.1.2 assessment-results; NULL when memory is short. `now` is RFC 3339. The document's UUIDs follow from its content, so that
 * the same records give the same document. */
json_t *report_oscal(const struct assess *a, const char *origin, const char *now);

#endif
