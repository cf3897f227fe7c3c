/* holds.h. The trap is what comes after the look: a session that was compared may go on, and its later records lie under other terms
 * (a time, an index). That is why holds_session is asked with the journal's size, and says NOT_KNOWN until all below was compared. */
#include "control/journal/holds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"

struct holds {
	struct hold hold[HOLDS_MAX]; /* by index */
	unsigned count;
};

/* --- terms --------------------------------------------------------------------------------------------------------------- */

/* "2026-11-20", "2026-11-20T10:00", "2026-11-20T10:00:00.000000": a beginning of what `ts` holds. */
static bool time_good(char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddddd";
	size_t len = strlen(text);

	if (len && text[len - 1] == 'Z')
		text[--len] = 0;
	if (len == 0)
		return true;
	if (len != 10 && len != 16 && len < 19)
		return false;
	for (size_t i = 0; i < len; i++)
		if (i >= sizeof shape - 1 || (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i]))
			return false;
	return len != 20;
}

/* Search compares a string's bytes as they stand in the record. */
static bool name_good(const char *name)
{
	for (const char *c = name; *c; c++)
		if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20)
			return false;
	return jcs_is_utf8(bytes_str(name));
}

const char *hold_terms_check(struct hold_terms *t)
{
	uint8_t id[16];
	struct writer w = writer_of(id, sizeof id);

	if (!t->matter[0] || !jcs_is_utf8(bytes_str(t->matter)))
		return "no matter: the number of the case, in at most 128 bytes of text";
	if (strlen(t->reason) < 4 || !jcs_is_utf8(bytes_str(t->reason)))
		return "no reason: 4 to 500 bytes of text";
	if (!t->session[0] && !t->person[0] && !t->agent[0] && !t->since[0] && !t->until[0] && !t->from && !t->to)
		return "nothing says what it covers: a session, a person, an agent, times or indexes";
	if (t->session[0] && (!hex_read(bytes_str(t->session), &w) || w.len != sizeof id))
		return "not a session: 32 hexadecimal digits";
	if (!name_good(t->person) || !name_good(t->agent))
		return "a name with quotes, backslashes or control characters";
	if (!time_good(t->since) || !time_good(t->until) || (t->since[0] && t->until[0] && strcmp(t->since, t->until) >= 0))
		return "not a time, or an end before its beginning: RFC 3339 in UTC, such as 2026-11-20T10:00:00Z or 2026-11-20";
	if ((t->to && t->to <= t->from) || t->from > JCS_INTEGER_MAX || t->to > JCS_INTEGER_MAX)
		return "not a range of indexes: from below to";
	return NULL;
}

void hold_terms_put(struct jcs *j, const struct hold_terms *t)
{
	jcs_put_str(j, "agent", t->agent);
	jcs_put_uint(j, "from", t->from);
	jcs_put_str(j, "matter", t->matter);
	jcs_put_str(j, "person", t->person);
	jcs_put_str(j, "reason", t->reason);
	jcs_put_str(j, "session", t->session);
	jcs_put_str(j, "since", t->since);
	jcs_put_uint(j, "to", t->to);
	jcs_put_str(j, "until", t->until);
}

static bool text_read(struct jcs_value data, const char *key, char *out, size_t size)
{
	struct writer w = writer_of(out, size - 1);
	bool good = jcs_read_str(jcs_get(data, key), &w);

	out[good ? w.len : 0] = 0;
	return good;
}

static bool index_read(struct jcs_value data, const char *key, uint64_t *out)
{
	int64_t value = 0;
	bool good = jcs_read_int(jcs_get(data, key), &value) && value >= 0;

	*out = good ? (uint64_t)value : 0;
	return good;
}

bool hold_terms_read(struct bytes record, struct hold_terms *out)
{
	struct jcs_value top = jcs_value_of(record), data = jcs_get(top, "data");

	*out = (struct hold_terms){ 0 };
	return bytes_equal(jcs_read_plain(jcs_get(top, "t")), bytes_str("journal.hold")) && text_read(data, "agent", out->agent, sizeof out->agent) &&
	       index_read(data, "from", &out->from) && text_read(data, "matter", out->matter, sizeof out->matter) &&
	       text_read(data, "person", out->person, sizeof out->person) && text_read(data, "reason", out->reason, sizeof out->reason) &&
	       text_read(data, "session", out->session, sizeof out->session) && text_read(data, "since", out->since, sizeof out->since) &&
	       index_read(data, "to", &out->to) && text_read(data, "until", out->until, sizeof out->until) && hold_terms_check(out) == NULL;
}

const char *hold_text(const struct hold *h, char out[HOLD_TEXT_BYTES])
{
	snprintf(out, HOLD_TEXT_BYTES, "legal hold %llu (matter %s)", (unsigned long long)h->index, h->unreadable ? "unknown: its record cannot be read" : h->terms.matter);
	return out;
}

/* --- the list ------------------------------------------------------------------------------------------------------------ */

struct holds *holds_create(void)
{
	return calloc(1, sizeof(struct holds));
}

void holds_destroy(struct holds *hs)
{
	for (unsigned i = 0; hs && i < hs->count; i++)
		free(hs->hold[i].session);
	free(hs);
}

const struct hold *holds_add(struct holds *hs, uint64_t index, const struct hold_terms *terms)
{
	unsigned at = hs->count;
	struct hold *h;

	if (hs->count == HOLDS_MAX || holds_find(hs, index))
		return NULL;
	while (at && hs->hold[at - 1].index > index)
		at--;
	h = &hs->hold[at];
	memmove(h + 1, h, (hs->count++ - at) * sizeof *h);
	*h = (struct hold){ .index = index, .unreadable = !terms, .first = UINT64_MAX, .broken = UINT64_MAX };
	if (terms)
		h->terms = *terms;
	return h;
}

bool holds_release(struct holds *hs, uint64_t index)
{
	for (unsigned i = 0; i < hs->count; i++) {
		if (hs->hold[i].index != index)
			continue;
		free(hs->hold[i].session);
		memmove(hs->hold + i, hs->hold + i + 1, (--hs->count - i) * sizeof hs->hold[0]);
		return true;
	}
	return false;
}

const struct hold *holds_find(const struct holds *hs, uint64_t index)
{
	for (unsigned i = 0; i < hs->count; i++)
		if (hs->hold[i].index == index)
			return &hs->hold[i];
	return NULL;
}

const struct hold *holds_next(const struct holds *hs, unsigned *at)
{
	return *at < hs->count ? &hs->hold[(*at)++] : NULL;
}

unsigned holds_count(const struct holds *hs)
{
	return hs->count;
}

/* --- sessions of a hold -------------------------------------------------------------------------------------------------- */

static const uint8_t zero[16];

/* The place of a session, or the free one where it would be. Ids are random, their first bytes will do. */
static size_t place_of(const struct hold *h, const uint8_t session[16])
{
	uint64_t at;

	memcpy(&at, session, sizeof at);
	for (at &= h->room - 1; memcmp(h->session[at], zero, 16) != 0 && memcmp(h->session[at], session, 16) != 0;)
		at = (at + 1) & (h->room - 1);
	return (size_t)at;
}

static bool grow(struct hold *h)
{
	struct hold bigger = *h;

	bigger.room = h->room ? 2 * h->room : 64;
	bigger.session = calloc(bigger.room, sizeof *bigger.session);
	if (!bigger.session)
		return false;
	for (size_t i = 0; i < h->room; i++)
		if (memcmp(h->session[i], zero, 16) != 0)
			memcpy(bigger.session[place_of(&bigger, h->session[i])], h->session[i], 16);
	free(h->session);
	*h = bigger;
	return true;
}

static bool has_session(const struct hold *h, const uint8_t session[16])
{
	if (h->all_sessions || memcmp(session, zero, 16) == 0)
		return h->all_sessions || h->has_zero;
	return h->room && memcmp(h->session[place_of(h, session)], session, 16) == 0;
}

static void add_session(struct hold *h, const uint8_t session[16])
{
	if (has_session(h, session))
		return;
	if (memcmp(session, zero, 16) == 0) {
		h->has_zero = true;
	} else if (h->sessions == HOLD_SESSIONS_MAX || (2 * (h->sessions + 1) > h->room && !grow(h))) {
		h->all_sessions = true;
	} else {
		memcpy(h->session[place_of(h, session)], session, 16);
		h->sessions++;
	}
}

/* --- comparing ----------------------------------------------------------------------------------------------------------- */

static const char *set(const char *text)
{
	return text[0] ? text : NULL;
}

static void covers(struct hold *h, uint64_t index, struct bytes record)
{
	uint8_t session[16];
	struct writer w = writer_of(session, sizeof session);

	if (index < h->first)
		h->first = index;
	if (hex_read(jcs_read_plain(jcs_get(jcs_value_of(record), "sess")), &w) && w.len == sizeof session)
		add_session(h, session);
}

static void look_one(struct hold *h, struct archive *a, unsigned budget)
{
	const struct hold_terms *t = &h->terms;
	const struct archive_filter filter = { .from = t->from, .to = t->to, .session = set(t->session), .person = set(t->person), .agent = set(t->agent),
					       .since = set(t->since), .until = set(t->until) };
	uint64_t index = h->seen, begin;
	struct bytes record;
	const char *why;

	begin = t->from > archive_first(a) ? t->from : archive_first(a);
	if (index < begin)
		index = begin < archive_size(a) ? begin : archive_size(a);
	while (budget) {
		uint64_t at = index;
		enum archive_next next = archive_search(a, &filter, &index, budget, &record, &why);

		if (next == ARCHIVE_FOUND)
			covers(h, index, record);
		else if (next == ARCHIVE_BROKEN && index < h->broken)
			h->broken = index;
		if (next == ARCHIVE_END) {
			index = archive_size(a);
			break;
		}
		if (next == ARCHIVE_MORE)
			break;
		index++;
		budget -= index - at < budget ? (unsigned)(index - at) : budget;
	}
	h->seen = index;
}

bool holds_look(struct holds *hs, struct archive *a, unsigned budget)
{
	unsigned behind = 0, each;
	bool more = false;

	for (unsigned i = 0; i < hs->count; i++)
		behind += !hs->hold[i].unreadable && hs->hold[i].seen < archive_size(a);
	if (!behind)
		return false;
	each = budget / behind ? budget / behind : 1;
	for (unsigned i = 0; i < hs->count; i++) {
		struct hold *h = &hs->hold[i];

		if (!h->unreadable && h->seen < archive_size(a))
			look_one(h, a, each);
		more |= !h->unreadable && h->seen < archive_size(a);
	}
	return more;
}

uint64_t holds_limit(const struct holds *hs, const struct hold **by)
{
	uint64_t limit = UINT64_MAX;

	if (by)
		*by = NULL;
	for (unsigned i = 0; i < hs->count; i++) {
		const struct hold *h = &hs->hold[i];
		uint64_t from = h->unreadable ? 0 : h->seen;

		from = h->first < from ? h->first : from;
		from = h->broken < from ? h->broken : from;
		/* Its own record is what it rests on. */
		from = h->index < from ? h->index : from;
		if (from >= limit)
			continue;
		limit = from;
		if (by)
			*by = h;
	}
	return limit;
}

enum hold_answer holds_session(const struct holds *hs, const uint8_t session[16], uint64_t size, const struct hold **by)
{
	enum hold_answer answer = HOLD_NONE;

	*by = NULL;
	for (unsigned i = 0; i < hs->count; i++) {
		const struct hold *h = &hs->hold[i];

		if (h->unreadable || h->broken != UINT64_MAX || has_session(h, session)) {
			*by = h;
			return HOLD_COVERS;
		}
		if (h->seen < size) {
			*by = h;
			answer = HOLD_NOT_KNOWN;
		}
	}
	return answer;
}
