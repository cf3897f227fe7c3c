#include <string.h>

#include "control/journal/archive.h"
#include "control/journal/search_index.h"
#include "control/journal/search_terms.h"

#define SKIP_COST 64u /* records that asking the index counts as */

static bool plain_is(struct jcs_value value, const char *want)
{
	return value.kind == JCS_STRING && bytes_equal(jcs_read_plain(value), bytes_str(want));
}

/* `t` against "cmd", "approval." or "approval*". */
static bool type_is(struct jcs_value value, const char *want)
{
	struct bytes have = jcs_read_plain(value);
	size_t len = strlen(want);

	if (len == 0 || (want[len - 1] != '.' && want[len - 1] != '*'))
		return plain_is(value, want);
	if (want[len - 1] == '*')
		len--;
	return have.len >= len && memcmp(have.base, want, len) == 0;
}

static int text_order(struct bytes have, const char *limit)
{
	size_t len = strlen(limit), shorter = have.len < len ? have.len : len;
	int order = shorter ? memcmp(have.base, limit, shorter) : 0;

	return order ? order : have.len < len ? -1 : have.len > len;
}

static bool time_in(struct jcs_value value, const struct archive_filter *f)
{
	struct bytes ts = jcs_read_plain(value);

	return (!f->since || text_order(ts, f->since) >= 0) && (!f->until || text_order(ts, f->until) < 0);
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

static bool contains(struct bytes record, const char *text)
{
	size_t len = strlen(text);

	for (size_t at = 0; len && at + len <= record.len; at++) {
		size_t i = 0;

		while (i < len && lower(record.base[at + i]) == lower((uint8_t)text[i]))
			i++;
		if (i == len)
			return true;
	}
	return len == 0;
}

static bool is_other(void *ctx, struct bytes target)
{
	return !bytes_equal(target, bytes_str(ctx));
}

static bool one_of(struct jcs_value value, const char *list)
{
	struct bytes have = jcs_read_plain(value);

	for (const char *at = list; have.len && strlen(at) >= have.len; at += have.len + 1) {
		if (!memcmp(at, have.base, have.len) && (!at[have.len] || at[have.len] == ','))
			return true;
		if (!at[have.len])
			break;
	}
	return false;
}

static bool who_matches(struct jcs_value object, const struct archive_filter *f)
{
	static const char *const key[] = { "agent", "person", "run", "sub" };
	struct jcs_value who[4];

	if (!f->agent && !f->person && !f->run)
		return true;
	jcs_pick(object, 4, key, who);
	return (!f->agent || plain_is(who[0], f->agent)) && (!f->person || plain_is(who[1], f->person) || plain_is(who[3], f->person)) &&
	       (!f->run || plain_is(who[2], f->run));
}

static bool matches(struct bytes record, const struct archive_filter *f)
{
	struct terms_members m = terms_members_of(record);

	if (f->session && !plain_is(m.of[TERMS_SESS], f->session))
		return false;
	if (f->sessions && !one_of(m.of[TERMS_SESS], f->sessions))
		return false;
	if (f->in_session && m.of[TERMS_SESS].kind != JCS_STRING)
		return false;
	if (f->type && !type_is(m.of[TERMS_T], f->type))
		return false;
	if (f->service && !plain_is(m.of[TERMS_SVC], f->service))
		return false;
	if (f->verdict && !plain_is(jcs_get(m.of[TERMS_OUT], "verdict"), f->verdict))
		return false;
	if (!who_matches(m.of[TERMS_WHO], f))
		return false;
	if (f->target && terms_targets(&m, is_other, (void *)(uintptr_t)f->target))
		return false;
	if ((f->since || f->until) && !time_in(m.of[TERMS_TS], f))
		return false;
	return !f->text || contains(record, f->text);
}

/* How many records from `*index` on are to be read, 0 when the index moved it past all of a group. */
static uint64_t stretch(struct archive *a, const struct archive_filter *filter, uint64_t *index, uint64_t end, unsigned *budget)
{
	struct search_index *ix = archive_index(a);
	uint64_t count = ix ? search_index_next(ix, a, filter, index) : end - *index;

	if (ix)
		*budget = *budget > SKIP_COST ? *budget - SKIP_COST : 1;
	if (*index >= end)
		*index = end;
	return count < end - *index ? count : end - *index;
}

enum archive_next archive_search(struct archive *a, const struct archive_filter *filter, uint64_t *index, unsigned budget,
				 struct bytes *record, const char **why)
{
	uint64_t end = filter->to && filter->to < archive_size(a) ? filter->to : archive_size(a);
	uint64_t begin = filter->from > archive_first(a) ? filter->from : archive_first(a), left = 0;

	*why = NULL;
	*record = (struct bytes){ 0 };
	if (*index < begin)
		*index = begin;
	while (*index < end) {
		if (budget == 0)
			return ARCHIVE_MORE;
		if (left == 0 && (left = stretch(a, filter, index, end, &budget)) == 0) {
			budget--;
			continue;
		}
		budget--;
		*why = archive_read(a, *index, record);
		if (*why)
			return ARCHIVE_BROKEN;
		if (matches(*record, filter))
			return ARCHIVE_FOUND;
		left--;
		++*index;
	}
	*record = (struct bytes){ 0 };
	return ARCHIVE_END;
}
