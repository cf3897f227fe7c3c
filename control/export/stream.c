#include "control/export/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/export/assess.h"
#include "control/export/cef.h"
#include "control/export/ocsf.h"

struct job {
	const struct stream_request *request;
	struct sessions *sessions;
	struct assess *assess; /* or else `write` */
	struct ocsf ocsf;
	bool (*write)(void *ctx, struct bytes line);
	void *ctx;
	uint8_t line[CEF_LINE_BYTES + 2 * SYSLOG_MESSAGE_BYTES];
	char err[EXPORT_ERROR_BYTES];
};

bool stream_form_of(const char *word, enum stream_form *out)
{
	static const char *const words[] = { "jsonl", "ocsf", "cef", "syslog" };

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(words[i], word) == 0) {
			*out = (enum stream_form)i;
			return true;
		}
	}
	return false;
}

static bool put_json(struct job *job, const struct event *e, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
	struct writer w = writer_of(job->line, sizeof job->line);
	bool ok = text != NULL;

	if (ok && job->request->form == STREAM_SYSLOG) {
		ok = syslog_write(job->request->origin, e, bytes_str(text), &w);
		writer_u8(&w, '\n');
		ok = ok && w.ok && job->write(job->ctx, writer_done(&w));
	} else if (ok) {
		ok = job->write(job->ctx, bytes_str(text)) && job->write(job->ctx, bytes_str("\n"));
	}
	free(text);
	return ok;
}

static bool put_event(struct job *job, const struct event *e, struct bytes record)
{
	struct writer w = writer_of(job->line, sizeof job->line);
	json_t *events[OCSF_EVENTS_MAX];
	unsigned n;
	bool ok = true;

	if (job->request->form == STREAM_CEF) {
		ok = cef_write(job->request->origin, e, &w);
		writer_u8(&w, '\n');
		return ok && w.ok && job->write(job->ctx, writer_done(&w));
	}
	n = ocsf_events(&job->ocsf, e, record, events);
	ok = n > 0;
	for (unsigned i = 0; i < n; i++) {
		ok = ok && put_json(job, e, events[i]);
		json_decref(events[i]);
	}
	return ok;
}

/* A line of export_jsonl is {"idx":N, …the record…}. What reading the session table may overwrite is copied first. */
static bool put_line(void *ctx, struct bytes line)
{
	static _Thread_local uint8_t record[RECORD_BYTES_MAX + 64];
	struct job *job = ctx;
	struct event e;
	uint64_t index = strtoull((const char *)line.base + strlen("{\"idx\":"), NULL, 10);
	const uint8_t *comma = memchr(line.base, ',', line.len);
	size_t len;
	bool ok;

	if (!comma || line.len > sizeof record)
		return false;
	len = (size_t)(line.base + line.len - comma) - 1; /* without the line break */
	memcpy(record, comma, len);
	record[0] = '{';
	if (!event_open(job->sessions, index, bytes_of(record, len), &e)) {
		snprintf(job->err, sizeof job->err, "record %llu is no JSON object", (unsigned long long)index);
		return false;
	}
	if (job->assess)
		assess_event(job->assess, &e);
	ok = job->assess || put_event(job, &e, bytes_of(record, len));
	event_close(&e);
	return ok;
}

static bool run(struct archive *a, const struct archive_filter *filter, struct job *job, char err[EXPORT_ERROR_BYTES])
{
	bool ok;

	job->sessions = sessions_create(a);
	if (!job->sessions) {
		snprintf(err, EXPORT_ERROR_BYTES, "out of memory");
		return false;
	}
	ok = export_jsonl(a, filter, put_line, job, err);
	if (!ok && job->err[0])
		snprintf(err, EXPORT_ERROR_BYTES, "%s", job->err);
	sessions_destroy(job->sessions);
	return ok;
}

bool stream_write(struct archive *a, const struct stream_request *request, bool (*write)(void *ctx, struct bytes line), void *ctx,
		  char err[EXPORT_ERROR_BYTES])
{
	struct job job = { .request = request, .write = write, .ctx = ctx, .ocsf = { .origin = request->origin } };

	if (request->form == STREAM_JSONL)
		return export_jsonl(a, &request->filter, write, ctx, err);
	if (!ocsf_schema(&job.ocsf, request->schema ? request->schema : "1.8.0")) {
		snprintf(err, EXPORT_ERROR_BYTES, "no such schema: 1.8.0 or 1.9.0-dev");
		return false;
	}
	return run(a, &request->filter, &job, err);
}

bool stream_assess(struct archive *a, const struct archive_filter *filter, struct assess *into, char err[EXPORT_ERROR_BYTES])
{
	struct job job = { .assess = into };

	return run(a, filter, &job, err);
}
