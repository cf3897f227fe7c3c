/* stream.h: records in a row, in the form that another system reads: lines of JSON, OCSF, CEF, or RFC 5424 messages. */
#ifndef CONTROL_EXPORT_STREAM_H
#define CONTROL_EXPORT_STREAM_H

#include "control/export/export.h"

enum stream_form { STREAM_JSONL, STREAM_OCSF, STREAM_CEF, STREAM_SYSLOG, STREAM_SYSLOG_CEF };

struct stream_request {
	struct archive_filter filter;
	enum stream_form form;
	const char *origin; /* of the journal */
	const char *schema; /* of OCSF; NULL: 1.8.0 */
};

struct assess;

/* Reads all records of the filter into `into` (assess.h). */
bool stream_assess(struct archive *a, const struct archive_filter *filter, struct assess *into, char err[EXPORT_ERROR_BYTES]);

/* "jsonl", "ocsf", "cef", "syslog" (with OCSF in it), "syslog-cef"; false for any other. */
bool stream_form_of(const char *word, enum stream_form *out);

/* The same record by record, for a stream that lasts: it remembers sessions. Any form but jsonl; `request` (its filter is not used) and the
 * archive must outlive it. NULL with a text in `err`. */
struct stream *stream_open(struct archive *a, const struct stream_request *request, char err[EXPORT_ERROR_BYTES]);
void stream_close(struct stream *s);
/* From now on each record goes into `into` (assess.h), too, which must outlive it. */
void stream_assesses(struct stream *s, struct assess *into);
/* The lines of one record, without their line breaks, each to `write`; one at least. A record that cannot be read becomes a line of type
 * "unreadable" that says so. False when `write` said so, or memory is short. */
bool stream_record(struct stream *s, uint64_t index, bool (*write)(void *ctx, struct bytes line), void *ctx);

/* `write` gets whole lines with their line break; returning false ends it. False with a text in `err`. */
bool stream_write(struct archive *a, const struct stream_request *request, bool (*write)(void *ctx, struct bytes line), void *ctx,
		  char err[EXPORT_ERROR_BYTES]);

#endif
