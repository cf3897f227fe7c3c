/* A record is parsed once by jansson; everything else is views into it. The session table is one JSON object, session id to
 * {src, dst, database, upstream_user}, of sessions that are not closed; it is emptied when it holds as many as it may.
 *
 * Looking a session up means to search the journal before the records that came here in a row. Over a range that has its sessions' first
 * records that is never done; what all look-ups together may cost is bounded, and after that an event says less about its session.
 */
#include "control/export/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SESSIONS_MAX 100000u
#define SCAN_BUDGET 65536u
#define LOOK_UP_BUDGET 100000000u /* records of all look-ups, or what passing over some with the index counts as */
#define FIRST_RECORDS 16u         /* of a session: its open and its login are among them */
#define ID_BYTES 64u

struct sessions {
	struct archive *archive;
	struct archive *before; /* a second reader, with the journal's index: `archive` keeps its place. NULL until it is needed */
	json_t *known;
	char closed[ID_BYTES];  /* by the newest event; forgotten with the next */
	uint64_t begun, next;   /* records [begun, next) came in a row, and what their sessions said is known */
	uint64_t budget;
};

struct sessions *sessions_create(struct archive *archive)
{
	struct sessions *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->archive = archive;
	s->budget = LOOK_UP_BUDGET;
	s->known = json_object();
	if (!s->known) {
		free(s);
		return NULL;
	}
	return s;
}

void sessions_destroy(struct sessions *s)
{
	if (!s)
		return;
	json_decref(s->known);
	archive_close(s->before);
	free(s);
}

int64_t event_time_us(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int64_t us = 0;
	int digits = 0;

	if (!rest)
		return 0;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9' && digits < 6; rest++, digits++)
			us = us * 10 + (*rest - '0');
	for (; digits < 6; digits++)
		us *= 10;
	return (int64_t)timegm(&tm) * 1000000 + us;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* A principal's part; what is not known reads "". */
static const char *known_of(const json_t *object, const char *key)
{
	const char *text = text_of(object, key);

	return strcmp(text, "unknown") == 0 ? "" : text;
}

static int64_t number_of(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const json_t *some(const json_t *value)
{
	return value && (json_array_size(value) > 0 || json_object_size(value) > 0) ? value : NULL;
}

/* Keeps what a session's own records say about it. */
static json_t *remember(struct sessions *s, const char *session, const json_t *record)
{
	json_t *data = json_object_get(record, "data"), *facts = json_object_get(s->known, session);

	if (!facts) {
		if (json_object_size(s->known) >= SESSIONS_MAX) {
			json_object_clear(s->known);
			s->begun = s->next;
		}
		facts = json_object();
		if (json_object_set_new(s->known, session, facts) != 0)
			return NULL;
	}
	if (json_object_get(record, "src"))
		(void)json_object_set(facts, "src", json_object_get(record, "src"));
	if (json_object_get(record, "dst"))
		(void)json_object_set(facts, "dst", json_object_get(record, "dst"));
	if (*text_of(data, "database"))
		(void)json_object_set(facts, "database", json_object_get(data, "database"));
	if (*text_of(data, "upstream_user"))
		(void)json_object_set(facts, "upstream_user", json_object_get(data, "upstream_user"));
	return facts;
}

/* The next record of the session before those that came in a row. */
static bool find_before(struct sessions *s, const struct archive_filter *f, uint64_t *index, struct bytes *record)
{
	enum archive_next next = ARCHIVE_MORE;
	const char *why;

	while (next == ARCHIVE_MORE && s->budget > 0) {
		uint64_t from = *index, cost;

		next = archive_search(s->before, f, index, SCAN_BUDGET, record, &why);
		cost = *index - from < SCAN_BUDGET ? *index - from + 1 : SCAN_BUDGET;
		s->budget -= cost < s->budget ? cost : s->budget;
	}
	return next == ARCHIVE_FOUND;
}

/* The session's first records, when the caller's filter passed over them. */
static void look_up(struct sessions *s, const char *session)
{
	const struct archive_filter filter = { .session = session, .to = s->begun };
	char err[ARCHIVE_ERROR_BYTES];
	struct bytes record;
	uint64_t index = 0;

	if (!s->archive || s->begun <= archive_first(s->archive) || s->budget == 0)
		return;
	if (!s->before && (s->before = archive_open(archive_dir(s->archive), err)))
		(void)archive_use_index(s->before);
	for (unsigned i = 0; s->before && i < FIRST_RECORDS && find_before(s, &filter, &index, &record); i++, index++) {
		json_t *found = json_loadb((const char *)record.base, record.len, JSON_REJECT_DUPLICATES, NULL);

		(void)remember(s, session, found);
		json_decref(found);
	}
}

/* Where in the journal this is: in a row with what came before, or elsewhere. */
static void place(struct sessions *s, uint64_t index)
{
	if (s->closed[0])
		(void)json_object_del(s->known, s->closed);
	s->closed[0] = 0;
	if (index != s->next)
		s->begun = index;
	s->next = index + 1;
}

static struct event_end end_of(const json_t *facts, const char *key)
{
	const json_t *end = json_object_get(facts, key);

	return (struct event_end){ .address = text_of(end, "addr"), .mac = text_of(end, "mac"), .port = number_of(end, "port"),
				   .vlan = number_of(end, "vlan") };
}

static void fill(struct event *e, const json_t *facts)
{
	const json_t *r = e->record, *who = json_object_get(r, "who"), *out = json_object_get(r, "out"), *op = json_object_get(r, "op"),
		     *objects = json_object_get(op, "objs"), *approval = json_object_get(r, "appr"), *data = json_object_get(r, "data");

	e->type = text_of(r, "t");
	e->time = text_of(r, "ts");
	e->time_ms = event_time_us(e->time) / 1000;
	e->node = text_of(r, "node");
	e->service = text_of(r, "svc");
	e->session = text_of(r, "sess");
	e->policy = text_of(r, "pol");
	e->issuer = known_of(who, "iss");
	e->subject = known_of(who, "sub");
	e->person = known_of(who, "person");
	e->agent = known_of(who, "agent");
	e->run = known_of(who, "run");
	e->how = known_of(who, "how");
	e->source = end_of(facts, "src");
	e->target = end_of(facts, "dst");
	e->database = text_of(facts, "database");
	e->upstream_user = text_of(facts, "upstream_user");
	e->verdict = text_of(out, "verdict");
	e->reason = *text_of(out, "reason") ? text_of(out, "reason") : text_of(data, "reason");
	e->code = text_of(out, "code");
	e->tag = text_of(out, "tag");
	e->verb = text_of(op, "verb");
	e->text = text_of(op, "norm");
	e->approval = text_of(approval, "id");
	e->statement_hash = text_of(approval, "h");
	e->cause = text_of(data, "cause");
	e->rows = number_of(out, "rows");
	e->octets = number_of(out, "octets");
	e->masked_cells = number_of(out, "masked_cells");
	e->duration_us = number_of(out, "us");
	e->rules = some(json_object_get(r, "rules"));
	e->reads = some(json_object_get(objects, "read"));
	e->writes = some(json_object_get(objects, "write"));
	e->masked = some(json_object_get(out, "masked"));
}

bool event_open(struct sessions *s, uint64_t index, struct bytes record, struct event *out)
{
	json_t *facts = NULL;

	*out = (struct event){ .index = index };
	out->record = json_loadb((const char *)record.base, record.len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(out->record)) {
		event_close(out);
		return false;
	}
	place(s, index);
	if (*text_of(out->record, "sess")) {
		const char *session = text_of(out->record, "sess"), *type = text_of(out->record, "t");

		if (!json_object_get(s->known, session) && !json_object_get(out->record, "src") && strcmp(type, "session.open") != 0)
			look_up(s, session);
		facts = remember(s, session, out->record);
		if (strcmp(type, "session.close") == 0)
			snprintf(s->closed, sizeof s->closed, "%s", session);
	}
	fill(out, facts);
	return true;
}

void event_close(struct event *e)
{
	json_decref(e->record);
	*e = (struct event){ 0 };
}
