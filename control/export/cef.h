/* cef.h: records as ArcSight Common Event Format, version 0: one line an event, and as RFC 5424 messages (export.md 4).
 *
 * Copies for machines, not evidence. Header and extension are escaped as the format orders, line breaks become \n; a text longer than
 * CEF_TEXT_BYTES is cut with an ellipsis and the record's number says where all of it is.
 */
#ifndef CONTROL_EXPORT_CEF_H
#define CONTROL_EXPORT_CEF_H

#include "control/export/event.h"

#define CEF_LINE_BYTES 16384u
#define CEF_TEXT_BYTES 4096u
#define SYSLOG_MESSAGE_BYTES 8192u /* of MSG; more goes out as the summary and the index */

/* `CEF:0|Sluice|Sluice|…`, no line break at its end. False when `out` has no room. */
bool cef_write(const char *origin, const struct event *e, struct writer *out);

/* `<PRI>1 TIME NODE sluice - TYPE [sluice@32473 …] MSG`. `message` is put in when it fits SYSLOG_MESSAGE_BYTES, else a summary.
 * 32473 is the enterprise number for documentation (RFC 5612); a site sets its own. */
bool syslog_write(const char *origin, const struct event *e, struct bytes message, struct writer *out);

#endif
