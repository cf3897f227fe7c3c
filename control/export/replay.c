#include "control/export/replay.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/export/event.h"
#include "control/journal/jcs_read.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_text.h"
#include "platform/base/secret.h"

#define SCAN_BUDGET 65536u
#define MARK_BYTES (RECORD_BYTES_MAX + 1024)

struct replay {
	struct archive *archive;
	char session[64];
	struct archive_filter filter;
	uint64_t index;           /* where to look for the next record */
	uint64_t current;         /* the record whose payload is being given */
	int64_t start_us, at_us;
	bool started, failed, withheld;
	struct bytes record;      /* a copy: chunks are read through the same archive */
	size_t list_at;           /* in its `pl` */
	bool has_list, has_key;
	struct seal key;          /* secret */
	char error[EXPORT_ERROR_BYTES], told[192];
	uint8_t copy[RECORD_BYTES_MAX];
	uint8_t mark[MARK_BYTES];
};

struct replay *replay_open(struct archive *a, struct payload_keys *keys, const char *session, char err[EXPORT_ERROR_BYTES])
{
	struct replay *r = calloc(1, sizeof *r);
	uint8_t id[SEAL_SESSION_BYTES];
	struct writer w = writer_of(id, sizeof id);

	err[0] = 0;
	if (!r || (size_t)snprintf(r->session, sizeof r->session, "%s", session) >= sizeof r->session) {
		snprintf(err, EXPORT_ERROR_BYTES, "no such session");
		free(r);
		return NULL;
	}
	r->has_key = keys && hex_read(bytes_str(session), &w) && w.len == sizeof id && payload_keys_find(keys, id, &r->key);
	r->archive = a;
	r->filter.session = r->session;
	return r;
}

void replay_close(struct replay *r)
{
	if (r)
		secret_wipe(r, sizeof *r);
	free(r);
}

const char *replay_error(const struct replay *r)
{
	return r->failed ? r->error : NULL;
}

/* 0 for anything but a record's time. */
static int64_t time_us(struct bytes text)
{
	char copy[40] = "";

	if (text.len == 0 || text.len >= sizeof copy)
		return 0;
	memcpy(copy, text.base, text.len);
	return event_time_us(copy);
}

static void put_member(struct writer *w, const char *before, struct jcs_value value)
{
	if (value.kind == JCS_NONE)
		return;
	writer_str(w, before);
	if (value.kind == JCS_STRING)
		(void)jcs_read_str(value, w);
	else
		writer_put(w, value.raw);
}

/* One line that says what the record says: type, counter, verdict, statement or text, and who. */
static struct bytes mark_of(struct replay *r)
{
	struct jcs_value top = jcs_value_of(r->record), out = jcs_get(top, "out"), op = jcs_get(top, "op"), who = jcs_get(top, "who");
	struct writer w = writer_of(r->mark, sizeof r->mark);

	put_member(&w, "", jcs_get(top, "t"));
	put_member(&w, " ", jcs_get(top, "n"));
	put_member(&w, " answers ", jcs_get(top, "ref"));
	put_member(&w, " ", jcs_get(out, "verdict"));
	put_member(&w, " ", jcs_get(out, "status"));
	put_member(&w, " rows ", jcs_get(out, "rows"));
	put_member(&w, " payload not kept: ", jcs_get(out, "truncated_by"));
	put_member(&w, " payload not kept: ", jcs_get(jcs_get(top, "data"), "left_out"));
	put_member(&w, " rules ", jcs_get(top, "rules"));
	put_member(&w, " approval ", jcs_get(top, "appr"));
	put_member(&w, " cause ", jcs_get(top, "cause"));
	put_member(&w, " person ", jcs_get(who, "person"));
	put_member(&w, " agent ", jcs_get(who, "agent"));
	put_member(&w, ": ", jcs_get(op, "text"));
	if (jcs_get(op, "text").kind == JCS_NONE)
		put_member(&w, ": ", jcs_get(op, "norm"));
	return w.ok ? writer_done(&w) : bytes_str("a record too long to be shown in one line");
}

/* The next record of the session, as a mark. */
static bool next_record(struct replay *r, struct replay_event *event)
{
	enum archive_next next;
	struct bytes record;
	const char *why;
	int64_t at;

	do
		next = archive_search(r->archive, &r->filter, &r->index, SCAN_BUDGET, &record, &why);
	while (next == ARCHIVE_MORE);
	if (next == ARCHIVE_BROKEN) {
		snprintf(r->error, sizeof r->error, "%s", why);
		r->failed = true;
	}
	if (next != ARCHIVE_FOUND)
		return false;
	memcpy(r->copy, record.base, record.len);
	r->record = bytes_of(r->copy, record.len);
	r->current = r->index++;
	r->list_at = 0;
	r->has_list = true;
	at = time_us(jcs_read_plain(jcs_get(jcs_value_of(r->record), "ts")));
	if (!r->started)
		r->start_us = at;
	r->started = true;
	/* Time does not run backward in a replay, whatever the clock did. */
	if (at - r->start_us > r->at_us)
		r->at_us = at - r->start_us;
	*event = (struct replay_event){ .index = r->current, .at_us = r->at_us, .dir = 'm', .text = mark_of(r) };
	return true;
}

static const char no_key[] = "payload that cannot be read: the session's key was destroyed, or is not here";

/* "o" to the client; "out" in the oldest journals. */
static bool is_out(struct bytes dir)
{
	return dir.len && dir.base[0] == 'o';
}

/* That there is payload, and what its record says of it anyway. */
static struct bytes withheld_mark(struct replay *r, const struct record_chunk *chunk, struct bytes dir)
{
	snprintf(r->told, sizeof r->told, "payload of %u bytes %s the client, sealed: an investigator asks two persons for it: sluice journal disclose --sessions %s", chunk->len,
		 is_out(dir) ? "to" : "from", r->session);
	return bytes_str(r->told);
}

static bool next_payload(struct replay *r, struct replay_event *event)
{
	struct jcs_value list = jcs_get(jcs_value_of(r->record), "pl"), element;
	struct record_chunk chunk;
	struct record_seal seal = { .seal = &r->key };
	struct bytes payload;
	const char *why;

	if (!jcs_next(list, &r->list_at, NULL, &element) || !record_chunk_read(&element, &chunk, &seal.dir, &seal.number))
		return false;
	if (r->withheld) {
		*event = (struct replay_event){ .index = r->current, .at_us = r->at_us, .dir = 'm', .text = withheld_mark(r, &chunk, seal.dir) };
		return true;
	}
	if (chunk.sealed && !r->has_key) {
		*event = (struct replay_event){ .index = r->current, .at_us = r->at_us, .dir = 'm', .text = bytes_str(no_key) };
		return true;
	}
	why = archive_payload(r->archive, &chunk, &seal, &payload);
	if (why) {
		snprintf(r->error, sizeof r->error, "record %llu: %s", (unsigned long long)r->current, why);
		r->failed = true;
		return false;
	}
	*event = (struct replay_event){
		.index = r->current, .at_us = r->at_us, .dir = is_out(seal.dir) ? 'o' : 'i', .text = payload,
	};
	return true;
}

bool replay_next(struct replay *r, struct replay_event *event)
{
	*event = (struct replay_event){ 0 };
	if (r->failed)
		return false;
	if (r->has_list && next_payload(r, event))
		return true;
	r->has_list = false;
	return !r->failed && next_record(r, event);
}

/* --- as text ---------------------------------------------------------------------------------------------------------- */

struct sink {
	bool (*write)(void *ctx, struct bytes text);
	void *ctx;
};

static bool put(struct sink *sink, const char *text)
{
	return sink->write(sink->ctx, bytes_str(text));
}

/* U+0080 to U+009F, which terminals obey like escape sequences, and what turns the direction of writing. */
static bool is_hidden(struct bytes sequence)
{
	const uint8_t *b = sequence.base;

	if (sequence.len == 2)
		return b[0] == 0xc2 && b[1] < 0xa0;
	return sequence.len == 3 && b[0] == 0xe2 && ((b[1] == 0x80 && b[2] >= 0xaa && b[2] <= 0xae) || (b[1] == 0x81 && b[2] >= 0xa6 && b[2] <= 0xa9));
}

static unsigned point_of(const uint8_t *b, size_t len)
{
	return len == 2 ? (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu) : (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
}

/* Valid UTF-8 sequences as they are, hidden ones by their number, everything else as U+FFFD; control characters
 * as `control` says. */
static bool put_clean(struct sink *sink, struct bytes text, bool (*control)(struct writer *w, uint8_t c))
{
	uint8_t room[4096];
	struct writer w = writer_of(room, sizeof room);

	for (size_t at = 0; at < text.len;) {
		size_t len = jcs_text_sequence(bytes_of(text.base + at, text.len - at));

		char hidden[16];

		if (writer_space(&w) < 24) {
			if (!sink->write(sink->ctx, writer_done(&w)))
				return false;
			w = writer_of(room, sizeof room);
		}
		if (len == 0)
			writer_str(&w, "\xef\xbf\xbd");
		else if (is_hidden(bytes_of(text.base + at, len)))
			writer_bytes(&w, hidden, (size_t)snprintf(hidden, sizeof hidden, "<U+%04X>", point_of(text.base + at, len)));
		else if (len > 1 || !control(&w, text.base[at]))
			writer_bytes(&w, text.base + at, len);
		at += len ? len : 1;
	}
	return sink->write(sink->ctx, writer_done(&w));
}

/* For a terminal: nothing that it would obey. */
static bool control_plain(struct writer *w, uint8_t c)
{
	char text[8];

	if ((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t')
		return false;
	snprintf(text, sizeof text, "\\x%02x", c);
	writer_str(w, text);
	return true;
}

/* For a JSON string; a line feed alone moves only down in a terminal, so it gets its carriage return. */
static bool control_json(struct writer *w, uint8_t c)
{
	char text[16];

	if (c == '\n')
		writer_str(w, "\\r\\n");
	else if (c == '"' || c == '\\')
		writer_bytes(w, (char[]){ '\\', (char)c }, 2);
	else if (c < 0x20 || c == 0x7f)
		writer_bytes(w, text, (size_t)snprintf(text, sizeof text, "\\u%04x", c));
	else
		return false;
	return true;
}

static bool event_asciicast(struct sink *sink, const struct replay_event *e)
{
	char head[64];

	snprintf(head, sizeof head, "[%lld.%06lld, \"%c\", \"", (long long)(e->at_us / 1000000), (long long)(e->at_us % 1000000),
		 e->dir == 'i' ? 'i' : 'o');
	if (e->dir != 'm')
		return put(sink, head) && put_clean(sink, e->text, control_json) && put(sink, "\"]\n");
	/* A mark stands on its own line, dimmed. */
	return put(sink, head) && put(sink, "\\u001b[2m# ") && put_clean(sink, e->text, control_json) && put(sink, "\\u001b[0m\\r\\n\"]\n");
}

static bool event_plain(struct sink *sink, const struct replay_event *e)
{
	char head[64];

	snprintf(head, sizeof head, "%6lld.%06lld %s ", (long long)(e->at_us / 1000000), (long long)(e->at_us % 1000000),
		 e->dir == 'm' ? "#" : e->dir == 'i' ? ">" : "<");
	return put(sink, head) && put_clean(sink, e->text, control_plain) && put(sink, "\n");
}

/* control_plain in a JSON string. */
static bool control_timed(struct writer *w, uint8_t c)
{
	char text[16];

	if (c == '\n' || c == '\t')
		writer_bytes(w, (char[]){ '\\', c == '\n' ? 'n' : 't' }, 2);
	else if (c == '"' || c == '\\')
		writer_bytes(w, (char[]){ '\\', (char)c }, 2);
	else if (c < 0x20 || c == 0x7f)
		writer_bytes(w, text, (size_t)snprintf(text, sizeof text, "\\\\x%02x", c));
	else
		return false;
	return true;
}

static bool event_timed(struct sink *sink, const struct replay_event *e)
{
	char head[64];

	snprintf(head, sizeof head, "[%lld.%06lld,\"%c\",\"", (long long)(e->at_us / 1000000), (long long)(e->at_us % 1000000), e->dir);
	return put(sink, head) && put_clean(sink, e->text, control_timed) && put(sink, "\"]\n");
}

static bool put_event(struct sink *sink, enum replay_form form, const struct replay_event *e)
{
	switch (form) {
	case REPLAY_ASCIICAST:
		return event_asciicast(sink, e);
	case REPLAY_TIMED:
		return event_timed(sink, e);
	case REPLAY_PLAIN:
		break;
	}
	return event_plain(sink, e);
}

static bool header_asciicast(struct sink *sink, const char *session, int64_t start_us)
{
	char head[256];

	snprintf(head, sizeof head, "{\"version\": 2, \"width\": 120, \"height\": 40, \"timestamp\": %lld, \"title\": \"",
		 (long long)(start_us / 1000000));
	return put(sink, head) && put_clean(sink, bytes_str(session), control_json) && put(sink, "\"}\n");
}

/* Closes it. */
static bool write_all(struct replay *r, const struct archive_filter *filter, enum replay_form form, struct sink *sink, char err[EXPORT_ERROR_BYTES])
{
	struct replay_event event;
	bool any = false, ok = true;

	if (!r)
		return false;
	r->filter = *filter;
	r->filter.session = r->session;
	while (ok && replay_next(r, &event)) {
		if (!any && form == REPLAY_ASCIICAST)
			ok = header_asciicast(sink, r->session, r->start_us);
		any = true;
		if (ok)
			ok = put_event(sink, form, &event);
	}
	if (!ok)
		snprintf(err, EXPORT_ERROR_BYTES, "the output takes no more");
	else if (replay_error(r))
		snprintf(err, EXPORT_ERROR_BYTES, "%s", replay_error(r));
	else if (!any)
		snprintf(err, EXPORT_ERROR_BYTES, "no such session, or nothing of it matches");
	ok = ok && any && !replay_error(r);
	replay_close(r);
	return ok;
}

bool replay_write(struct archive *a, struct payload_keys *keys, const struct archive_filter *filter, enum replay_form form, bool (*write)(void *ctx, struct bytes text),
		  void *ctx, char err[EXPORT_ERROR_BYTES])
{
	struct sink sink = { .write = write, .ctx = ctx };

	return write_all(replay_open(a, keys, filter->session, err), filter, form, &sink, err);
}

bool replay_write_withheld(struct archive *a, const struct archive_filter *filter, enum replay_form form, bool (*write)(void *ctx, struct bytes text), void *ctx,
			   char err[EXPORT_ERROR_BYTES])
{
	struct sink sink = { .write = write, .ctx = ctx };
	struct replay *r = replay_open(a, NULL, filter->session, err);

	if (r)
		r->withheld = true;
	return write_all(r, filter, form, &sink, err);
}
