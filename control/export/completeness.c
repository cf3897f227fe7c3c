/* The same rules stand in bundle_complete_text.c, in awk, for the reader of the bundle: a change here is one there. Each fact is a line of
 * fixed layout, so that both can be compared as text.
 */
#include "control/export/completeness.h"

#include <inttypes.h>
#include <search.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/export/event.h"
#include "control/journal/jcs_read.h"

#define ID_BYTES 33

enum scope { ALL, SESSIONS, PART };
enum list { RECORDS, SESSION_LIST, TICKS, STAMPS, UNSTAMPED, PRUNED, ERASED, MISSING, LISTS };

static const char *const scope_word[] = { "all", "sessions", "part" };
static const char *const list_word[] = { "records", "sessions", "ticks", "stamps", "unstamped", "pruned", "erased", "missing" };

/* Counters `n` and `nc`: the first one that was seen, and the one to come; -1: not known. */
struct open_session {
	char id[ID_BYTES];
	int64_t first[2], next[2];
};

struct text {
	FILE *out; /* in memory */
	char *base;
	size_t len;
	uint64_t lines;
};

struct worker {
	int64_t number, judged;
};

struct completeness {
	enum scope scope;
	bool begins, failed;
	struct text list[LISTS];
	void *open; /* tree of struct open_session */
	uint64_t records, first, last, closed, still_open;
	struct worker worker[256];
	unsigned workers;
	uint64_t ticks, judged, recorded; /* commands of all workers since the first tick, and their records */
	bool exceeded;
	char stamped[ID_BYTES], newest[ID_BYTES]; /* when the last time stamp was told, or the bundle begins; of the newest record */
};

/* --- the scope ----------------------------------------------------------------------------------------------------------- */

static enum scope scope_of(const struct archive_filter *f)
{
	if (f->type || f->person || f->agent || f->run || f->target || f->service || f->verdict || f->since || f->until || f->text)
		return PART;
	return f->session || f->sessions || f->in_session ? SESSIONS : ALL;
}

struct completeness *completeness_create(const struct archive_filter *filter, uint64_t first)
{
	struct completeness *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->scope = scope_of(filter);
	c->begins = filter->from == 0 && first == 0;
	for (unsigned i = 0; i < LISTS; i++) {
		c->list[i].out = open_memstream(&c->list[i].base, &c->list[i].len);
		c->failed |= !c->list[i].out;
	}
	if (!c->failed)
		return c;
	completeness_destroy(c);
	return NULL;
}

void completeness_destroy(struct completeness *c)
{
	for (unsigned i = 0; c && i < LISTS; i++) {
		if (c->list[i].out)
			fclose(c->list[i].out);
		free(c->list[i].base);
	}
	if (c)
		tdestroy(c->open, free);
	free(c);
}

/* --- facts --------------------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void fact(struct completeness *c, enum list which, const char *format, ...)
{
	struct text *t = &c->list[which];
	va_list args;

	if (t->lines++ >= COMPLETENESS_FACTS_MAX)
		return;
	fputs(t->lines > 1 ? ",\n  " : "\n  ", t->out);
	va_start(args, format);
	c->failed |= vfprintf(t->out, format, args) < 0;
	va_end(args);
}

/* A text of these characters only, or "". */
static void plain(struct jcs_value value, const char *of, char out[ID_BYTES * 2])
{
	struct bytes text = jcs_read_plain(value);

	snprintf(out, ID_BYTES * 2, "%.*s", text.len < ID_BYTES * 2 ? (int)text.len : 0, (const char *)text.base);
	if (out[strspn(out, of)])
		out[0] = 0;
}

static bool number(struct jcs_value object, const char *key, int64_t *out)
{
	return jcs_read_int(jcs_get(object, key), out);
}

/* --- sessions ------------------------------------------------------------------------------------------------------------ */

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct open_session *)a)->id, ((const struct open_session *)b)->id);
}

static struct open_session *session_of(struct completeness *c, const char *id, bool begins)
{
	struct open_session key = { .first = { -1, -1 }, .next = { begins ? 0 : -1, begins ? 0 : -1 } }, *s, **found;

	snprintf(key.id, sizeof key.id, "%s", id);
	found = tfind(&key, &c->open, by_id);
	if (found)
		return *found;
	s = malloc(sizeof *s);
	if (!s)
		return NULL;
	*s = key;
	if (!tsearch(s, &c->open, by_id)) {
		free(s);
		return NULL;
	}
	c->still_open++;
	return s;
}

static bool is_open(struct completeness *c, const char *id)
{
	struct open_session key;

	snprintf(key.id, sizeof key.id, "%s", id);
	return tfind(&key, &c->open, by_id) != NULL;
}

static void range_put(char out[64], const struct open_session *s, unsigned which)
{
	snprintf(out, 64, s->first[which] < 0 ? "[]" : "[%" PRId64 ",%" PRId64 "]", s->first[which], s->next[which] - 1);
}

static void session_told(struct completeness *c, const struct open_session *s, bool closed)
{
	char n[64], nc[64];

	range_put(n, s, 0);
	range_put(nc, s, 1);
	fact(c, SESSION_LIST, "{\"closed\":%s,\"n\":%s,\"nc\":%s,\"sess\":\"%s\"}", closed ? "true" : "false", n, nc, s->id);
}

/* What its close says of the counters; then it is told and forgotten. */
static void session_closed(struct completeness *c, uint64_t index, struct jcs_value record, struct open_session *s)
{
	struct jcs_value data = jcs_get(record, "data");
	int64_t said, n;

	if (number(data, "last_n", &said) && number(record, "n", &n) && said != n)
		fact(c, MISSING, "{\"index\":%" PRIu64 ",\"what\":\"the close of session %s is n %" PRId64 ", and says that %" PRId64 " is the last one\"}", index, s->id, n, said);
	if (s->next[1] >= 0 && number(data, "own", &said) && said != s->next[1])
		fact(c, MISSING, "{\"index\":%" PRIu64 ",\"what\":\"the close of session %s counts %" PRId64 " records with nc where %" PRId64 " are here\"}", index, s->id, said, s->next[1]);
	session_told(c, s, true);
	c->closed++;
	c->still_open--;
	(void)tdelete(s, &c->open, by_id);
	free(s);
}

static bool count_session(struct completeness *c, uint64_t index, struct jcs_value record, struct bytes type)
{
	char id[ID_BYTES * 2];
	struct open_session *s;
	unsigned which;
	int64_t value;

	plain(jcs_get(record, "sess"), "0123456789abcdef", id);
	which = jcs_get(record, "n").kind == JCS_INTEGER ? 0 : 1;
	if (!id[0] || strlen(id) >= ID_BYTES || !number(record, which ? "nc" : "n", &value))
		return true;
	/* Versions before this one ended the approvals of a session behind its close. */
	if (which && value > 0 && !is_open(c, id) && type.len > 9 && memcmp(type.base, "approval.", 9) == 0)
		return true;
	s = session_of(c, id, c->begins || bytes_equal(type, bytes_str("session.open")));
	if (!s)
		return false;
	if (s->next[which] >= 0 && s->next[which] != value)
		fact(c, MISSING, "{\"index\":%" PRIu64 ",\"what\":\"in session %s %s is %" PRId64 " where %" PRId64 " was to come\"}", index, id, which ? "nc" : "n", value, s->next[which]);
	if (s->first[which] < 0)
		s->first[which] = value;
	s->next[which] = value + 1;
	if (bytes_equal(type, bytes_str("session.close")))
		session_closed(c, index, record, s);
	return true;
}

/* --- the node ------------------------------------------------------------------------------------------------------------ */

/* The commands that a worker judged since its tick before; a lower number than that is of a worker that began anew. */
static int64_t judged_since(struct completeness *c, int64_t worker, int64_t judged)
{
	unsigned i = 0;
	int64_t before;

	while (i < c->workers && c->worker[i].number != worker)
		i++;
	if (i == sizeof c->worker / sizeof *c->worker)
		return 0;
	if (i == c->workers) {
		c->worker[c->workers++] = (struct worker){ worker, judged };
		return 0;
	}
	before = c->worker[i].judged;
	c->worker[i].judged = judged;
	return judged >= before ? judged - before : judged;
}

static void count_tick(struct completeness *c, uint64_t index, struct jcs_value data)
{
	int64_t worker, judged, recorded;

	if (!number(data, "worker", &worker) || !number(data, "commands", &judged))
		return;
	if (number(data, "recorded", &recorded) && recorded != judged)
		fact(c, MISSING, "{\"index\":%" PRIu64 ",\"what\":\"worker %" PRId64 " judged %" PRId64 " commands, and %" PRId64 " are recorded\"}", index, worker, judged, recorded);
	c->ticks++;
	c->judged += (uint64_t)judged_since(c, worker, judged);
	if (c->judged > c->recorded && !c->exceeded) {
		c->exceeded = true;
		fact(c, MISSING, "{\"index\":%" PRIu64 ",\"what\":\"since the first tick %" PRIu64 " commands were judged, and %" PRIu64 " of them are here\"}", index, c->judged, c->recorded);
	}
}

static bool is_long(const char *from, const char *to)
{
	return event_time_us(to) / 1000000 - event_time_us(from) / 1000000 > COMPLETENESS_UNSTAMPED_S;
}

static void count_time(struct completeness *c, uint64_t index, struct jcs_value record, bool stamp)
{
	char ts[ID_BYTES * 2], size[ID_BYTES * 2];

	plain(jcs_get(record, "ts"), "0123456789-:.TZ", ts);
	if (strlen(ts) < 20 || strlen(ts) >= ID_BYTES)
		ts[0] = 0;
	if (stamp) {
		plain(jcs_get(jcs_get(record, "data"), "size"), "0123456789", size);
		fact(c, STAMPS, "{\"index\":%" PRIu64 ",\"size\":\"%s\"}", index, size);
	}
	if (!ts[0])
		return;
	snprintf(c->newest, sizeof c->newest, "%.32s", ts);
	if (!c->stamped[0])
		snprintf(c->stamped, sizeof c->stamped, "%.32s", ts);
	if (stamp && is_long(c->stamped, ts))
		fact(c, UNSTAMPED, "{\"from\":\"%s\",\"to\":\"%s\"}", c->stamped, ts);
	if (stamp)
		snprintf(c->stamped, sizeof c->stamped, "%.32s", ts);
}

static void count_node(struct completeness *c, uint64_t index, struct jcs_value record, struct bytes type)
{
	struct jcs_value data = jcs_get(record, "data");
	char session[ID_BYTES * 2], commitment[ID_BYTES * 2];
	int64_t first, end;

	if (c->records && index != c->last + 1)
		fact(c, MISSING, "{\"index\":%" PRIu64 ",\"what\":\"the record before it is %" PRIu64 "\"}", index, c->last);
	count_time(c, index, record, bytes_equal(type, bytes_str("journal.stamp")));
	if (c->ticks && (bytes_equal(type, bytes_str("cmd")) || bytes_equal(type, bytes_str("hold"))))
		c->recorded++;
	if (bytes_equal(type, bytes_str("node.tick")))
		count_tick(c, index, data);
	if (bytes_equal(type, bytes_str("journal.prune")) && number(data, "first", &first) && number(data, "end", &end))
		fact(c, PRUNED, "{\"end\":%" PRId64 ",\"first\":%" PRId64 ",\"index\":%" PRIu64 "}", end, first, index);
	if (!bytes_equal(type, bytes_str("key.destroy")))
		return;
	plain(jcs_get(data, "session"), "0123456789abcdef", session);
	plain(jcs_get(data, "key_h"), "0123456789abcdef", commitment);
	fact(c, ERASED, "{\"index\":%" PRIu64 ",\"key_h\":\"%s\",\"session\":\"%s\"}", index, commitment, session);
}

bool completeness_record(struct completeness *c, uint64_t index, struct bytes record)
{
	struct jcs_value top = jcs_value_of(record);
	struct bytes type = jcs_read_plain(jcs_get(top, "t"));

	if (c->scope == ALL)
		count_node(c, index, top, type);
	if (c->scope != PART && !count_session(c, index, top, type))
		c->failed = true;
	if (!c->records++)
		c->first = index;
	c->last = index;
	return !c->failed;
}

/* --- the file ------------------------------------------------------------------------------------------------------------ */

static _Thread_local struct completeness *telling; /* twalk has no argument */

static void tell_open(const void *node, VISIT visit, int depth)
{
	if (visit == postorder || visit == leaf)
		session_told(telling, *(struct open_session *const *)node, false);
}

static void facts_of_the_end(struct completeness *c)
{
	fact(c, RECORDS, "{\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"records\":%" PRIu64 "}", c->first, c->last, c->records);
	if (c->scope == PART)
		return;
	fact(c, RECORDS, "{\"closed\":%" PRIu64 ",\"open\":%" PRIu64 "}", c->closed, c->still_open);
	telling = c;
	twalk(c->open, tell_open);
	if (c->scope != ALL)
		return;
	fact(c, TICKS, "{\"judged\":%" PRIu64 ",\"recorded\":%" PRIu64 ",\"ticks\":%" PRIu64 "}", c->judged, c->recorded, c->ticks);
	if (c->stamped[0] && is_long(c->stamped, c->newest))
		fact(c, UNSTAMPED, "{\"from\":\"%s\",\"to\":\"%s\"}", c->stamped, c->newest);
}

static const char *about(const struct completeness *c)
{
	if (c->scope == ALL)
		return "Each record of the range is here, so all below can be said of it. Nothing is said of records outside of the range, and nothing of records newer than the last anchor.";
	if (c->scope == SESSIONS)
		return "Each record of these sessions is here, so their counters can be checked. Nothing can be said of totals, time stamps, pruned ranges and erased keys, and of a session that is not closed not that its last records are here.";
	return "The records were picked by what they say, so no counter runs over them: whether any is missing cannot be said of this bundle. Ask for a range, or for whole sessions.";
}

bool completeness_write(struct completeness *c, struct bundle *b, uint64_t *missing)
{
	static const unsigned told[] = { [ALL] = (1u << LISTS) - 1, [SESSIONS] = 1u << RECORDS | 1u << SESSION_LIST | 1u << MISSING, [PART] = 1u << RECORDS };
	char *base = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&base, &len);
	bool cut = false, ok = out && !c->failed;

	if (!out)
		return false;
	facts_of_the_end(c);
	for (unsigned i = 0; i < LISTS; i++) {
		ok = ok && fflush(c->list[i].out) == 0;
		cut |= c->list[i].lines > COMPLETENESS_FACTS_MAX;
	}
	*missing = c->list[MISSING].lines;
	fprintf(out, "{\n\"v\": 1,\n\"what\": \"A summary, no evidence: step 13 of VERIFY.md makes each of these lists of the records.\",\n\"about\": \"%s\",\n\"of\": \"%s\",\n\"begins\": %s,\n\"cut\": %s",
		about(c), scope_word[c->scope], c->begins ? "true" : "false", cut ? "true" : "false");
	for (unsigned i = 0; i < LISTS && ok; i++)
		if (told[c->scope] & 1u << i)
			fprintf(out, ",\n\"%s\": [%s\n]", list_word[i], c->list[i].base);
	fputs("\n}\n", out);
	ok = fclose(out) == 0 && ok && !c->failed && bundle_file(b, "completeness.json", bytes_of(base, len));
	free(base);
	return ok;
}
