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
	bool bare; /* no line breaks */
	uint8_t line[CEF_LINE_BYTES + 2 * SYSLOG_MESSAGE_BYTES];
	uint8_t cef[CEF_LINE_BYTES];
	char err[EXPORT_ERROR_BYTES];
};

bool stream_form_of(const char *word, enum stream_form *out)
{
	static const char *const words[] = { "jsonl", "ocsf", "cef", "syslog", "syslog-cef" };

	for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
		if (strcmp(words[i], word) == 0) {
			*out = (enum stream_form)i;
			return true;
		}
	}
	return false;
}

/* The line in `w`, with its end. */
static bool put_written(struct job *job, struct writer *w)
{
	if (!job->bare)
		writer_u8(w, '\n');
	return w->ok && job->write(job->ctx, writer_done(w));
}

static bool put_json(struct job *job, const struct event *e, json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
	struct writer w = writer_of(job->line, sizeof job->line);
	bool ok = text != NULL;

	if (ok && job->request->form == STREAM_SYSLOG) {
		ok = syslog_write(job->request->origin, e, bytes_str(text), &w) && put_written(job, &w);
	} else if (ok) {
		ok = job->write(job->ctx, bytes_str(text)) && (job->bare || job->write(job->ctx, bytes_str("\n")));
	}
	free(text);
	return ok;
}

static bool put_cef(struct job *job, const struct event *e)
{
	struct writer w = writer_of(job->line, sizeof job->line), message = writer_of(job->cef, sizeof job->cef);

	if (job->request->form == STREAM_CEF)
		return cef_write(job->request->origin, e, &w) && put_written(job, &w);
	return cef_write(job->request->origin, e, &message) && syslog_write(job->request->origin, e, writer_done(&message), &w) && put_written(job, &w);
}

static bool put_event(struct job *job, const struct event *e, struct bytes record)
{
	json_t *events[OCSF_EVENTS_MAX];
	unsigned n;
	bool ok = true;

	if (job->request->form == STREAM_CEF || job->request->form == STREAM_SYSLOG_CEF)
		return put_cef(job, e);
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

/* --- record by record -------------------------------------------------------------------------------------------------- */

struct stream {
	struct archive *archive;
	struct job job;
	uint8_t record[RECORD_BYTES_MAX]; /* a copy: looking a session up reads others */
};

struct stream *stream_open(struct archive *a, const struct stream_request *request, char err[EXPORT_ERROR_BYTES])
{
	struct stream *s = calloc(1, sizeof *s);

	snprintf(err, EXPORT_ERROR_BYTES, "out of memory");
	if (!s)
		return NULL;
	s->archive = a;
	s->job = (struct job){ .request = request, .ocsf = { .origin = request->origin }, .bare = true, .sessions = sessions_create(a) };
	if (request->form == STREAM_JSONL || !ocsf_schema(&s->job.ocsf, request->schema ? request->schema : "1.8.0"))
		snprintf(err, EXPORT_ERROR_BYTES, "no such form or schema");
	else if (s->job.sessions)
		return s;
	stream_close(s);
	return NULL;
}

void stream_close(struct stream *s)
{
	if (!s)
		return;
	sessions_destroy(s->job.sessions);
	free(s);
}

void stream_assesses(struct stream *s, struct assess *into)
{
	s->job.assess = into;
}

/* A record in the place of one that cannot be read. */
static struct bytes in_its_place(const char *why, uint8_t *room, size_t cap)
{
	json_t *record = json_pack("{s:s, s:{s:s}, s:i}", "t", "unreadable", "data", "reason", why, "v", 1);
	size_t len = record ? json_dumpb(record, (char *)room, cap, JSON_COMPACT | JSON_SORT_KEYS) : 0;

	json_decref(record);
	return bytes_of(room, len <= cap ? len : 0);
}

bool stream_record(struct stream *s, uint64_t index, bool (*write)(void *ctx, struct bytes line), void *ctx)
{
	struct bytes record;
	struct event e;
	const char *why = archive_read(s->archive, index, &record);
	bool ok;

	if (!why) {
		memcpy(s->record, record.base, record.len);
		record.base = s->record;
	} else {
		record = in_its_place(why, s->record, sizeof s->record);
	}
	s->job.write = write;
	s->job.ctx = ctx;
	if (!event_open(s->job.sessions, index, record, &e))
		return false;
	if (s->job.assess)
		assess_event(s->job.assess, &e);
	ok = put_event(&s->job, &e, record);
	event_close(&e);
	return ok;
}
