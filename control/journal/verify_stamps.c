#include "control/journal/verify_stamps.h"

#include <stdlib.h>
#include <string.h>

#include "control/journal/base64.h"

static bool decimal(struct bytes text, uint64_t *out)
{
	bool good = text.len > 0 && text.len <= 16;

	*out = 0;
	for (size_t i = 0; good && i < text.len; i++) {
		good = text.base[i] >= '0' && text.base[i] <= '9';
		*out = *out * 10 + (uint64_t)(text.base[i] - '0');
	}
	return good;
}

static bool read(struct jcs_value record, struct verify_stamp *out)
{
	struct jcs_value data = jcs_get(record, "data");
	struct writer w = writer_of(out->token.b, sizeof out->token.b);

	return decimal(jcs_read_plain(jcs_get(data, "size")), &out->size) &&
	       hex_read(jcs_read_plain(jcs_get(data, "sha256")), &w) && w.len == sizeof out->token.b;
}

bool verify_stamps_add(struct verify_stamps *s, uint64_t index, struct jcs_value record)
{
	struct verify_stamp stamp = { .index = index };

	if (!read(record, &stamp))
		return true;
	if (s->count == s->room) {
		size_t room = s->room ? s->room * 2 : 64;
		struct verify_stamp *said = reallocarray(s->said, room, sizeof *said);

		if (!said)
			return false;
		s->said = said;
		s->room = room;
	}
	s->said[s->count++] = stamp;
	return true;
}

static int by_size(const void *a, const void *b)
{
	const struct verify_stamp *x = a, *y = b;

	return x->size != y->size ? (x->size > y->size) - (x->size < y->size) : (x->index > y->index) - (x->index < y->index);
}

bool verify_stamps_see(struct verify_stamps *s, uint64_t size, const struct merkle_hash *token, uint64_t *index)
{
	size_t low = 0, high = s->count;
	bool told = false;

	if (!s->sorted && s->count)
		qsort(s->said, s->count, sizeof *s->said, by_size);
	s->sorted = true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->said[middle].size < size)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < s->count && s->said[low].size == size; low++) {
		told = true;
		*index = s->said[low].index;
		if (merkle_equal(&s->said[low].token, token)) {
			s->said[low].seen = true;
			return true;
		}
	}
	return !told;
}

void verify_stamps_missing(const struct verify_stamps *s, struct verify_report *r, uint64_t newest)
{
	for (size_t i = 0; i < s->count && !r->full; i++)
		if (!s->said[i].seen && s->said[i].index < newest)
			verify_found(r, VERIFY_ANCHOR, verify_record(s->said[i].index, VERIFY_NOWHERE),
				     "the time stamp of the checkpoint of %llu records, which record %llu tells of, is missing or was changed", ULL(s->said[i].size), ULL(s->said[i].index));
}

void verify_stamps_free(struct verify_stamps *s)
{
	free(s->said);
	*s = (struct verify_stamps){ 0 };
}
