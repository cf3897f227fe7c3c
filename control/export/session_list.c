#include "control/export/session_list.h"

#include <stdio.h>
#include <string.h>

#include "control/export/event.h"

#define BUDGET 65536u
#define ID_BYTES 33u

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* The next match; END also when the journal is damaged, with the text. */
static bool find(struct archive *a, const struct archive_filter *f, uint64_t *index, struct bytes *record, char err[EXPORT_ERROR_BYTES])
{
	enum archive_next next;
	const char *why;

	do
		next = archive_search(a, f, index, BUDGET, record, &why);
	while (next == ARCHIVE_MORE);
	if (next == ARCHIVE_BROKEN)
		snprintf(err, EXPORT_ERROR_BYTES, "%.200s", why);
	return next == ARCHIVE_FOUND;
}

/* One record of the session of that type, from `from` on, as an object to be decref'ed; NULL when there is none. */
static json_t *record_of(struct archive *a, const char *id, const char *type, uint64_t from)
{
	const struct archive_filter f = { .session = id, .type = type, .from = from };
	uint64_t index = from;
	char err[EXPORT_ERROR_BYTES];
	struct bytes record;

	return find(a, &f, &index, &record, err) ? json_loadb((const char *)record.base, record.len, 0, NULL) : NULL;
}

static json_t *target_of(const json_t *record)
{
	const json_t *end = json_object_get(record, "dst");
	const char *address = text_of(end, "addr");

	return *address ? json_sprintf(strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, (int)json_integer_value(json_object_get(end, "port"))) : json_string("");
}

/* Whichever record says it. */
static void put(json_t *row, const char *name, const char *text)
{
	if (*text && strcmp(text, "unknown") != 0 && !*text_of(row, name))
		json_object_set_new(row, name, json_string(text));
}

static void put_who(json_t *row, const json_t *record)
{
	const json_t *who = json_object_get(record, "who");

	put(row, "person", text_of(who, "person"));
	put(row, "person", text_of(who, "sub"));
	put(row, "agent", text_of(who, "agent"));
	put(row, "run", text_of(who, "run"));
	put(row, "service", text_of(record, "svc"));
}

static json_t *row_of(struct archive *a, const char *id, uint64_t index, const json_t *match)
{
	json_t *open = record_of(a, id, "session.open", 0), *auth = record_of(a, id, "auth.ok", 0), *closed = record_of(a, id, "session.close", 0);
	json_t *row = json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s}", "id", id, "index", (json_int_t)index, "opened", text_of(open, "ts"),
				"service", "", "person", "", "agent", "", "run", "", "database", text_of(json_object_get(auth, "data"), "database"), "target",
				target_of(open), "cause", "", "first", text_of(match, "ts"));
	const json_t *data = json_object_get(closed, "data");

	put_who(row, auth);
	put_who(row, match);
	if (closed) {
		json_object_set_new(row, "closed", json_string(text_of(closed, "ts")));
		json_object_set_new(row, "cause", json_string(text_of(data, "cause")));
		json_object_set(row, "commands", json_object_get(data, "commands"));
		json_object_set(row, "rows", json_object_get(data, "rows"));
	}
	json_decref(open);
	json_decref(auth);
	json_decref(closed);
	return row;
}

/* Whether an earlier page gave it. */
static bool given_before(struct archive *a, const struct archive_filter *filter, const char *id)
{
	struct archive_filter f = *filter;
	uint64_t index = 0;
	char err[EXPORT_ERROR_BYTES];
	struct bytes record;

	f.session = id;
	f.from = 0;
	f.to = filter->from;
	return filter->from && find(a, &f, &index, &record, err);
}

/* False when the session was given already. */
static bool is_new(struct archive *a, const struct archive_filter *filter, json_t *seen, const char *id)
{
	if (json_object_get(seen, id))
		return false;
	json_object_set_new(seen, id, json_true());
	return !given_before(a, filter, id);
}

bool session_list(struct archive *a, const struct archive_filter *filter, uint64_t limit, bool (*give)(void *ctx, json_t *session), void *ctx,
		  uint64_t *next, char err[EXPORT_ERROR_BYTES])
{
	struct archive_filter f = *filter;
	json_t *seen = json_object();
	uint64_t index = filter->from, count = 0;
	struct bytes record;
	bool more = true;

	f.in_session = true;
	limit = limit && limit < SESSION_LIST_MAX ? limit : SESSION_LIST_MAX;
	err[0] = 0;
	*next = 0;
	for (; more && count < limit && find(a, &f, &index, &record, err); index++) {
		json_t *match = json_loadb((const char *)record.base, record.len, 0, NULL);
		char id[ID_BYTES];

		snprintf(id, sizeof id, "%s", text_of(match, "sess"));
		if (is_new(a, filter, seen, id)) {
			more = give(ctx, row_of(a, id, index, match));
			count++;
		}
		json_decref(match);
	}
	if (count == limit)
		*next = index;
	json_decref(seen);
	return !err[0];
}
