/* items.c: arrays and rows, in text and in binary: each item masked as its own type wants it.
 *
 * Text (array_out, record_out): items stand between commas; one in double quotes has its special characters escaped, by a
 * backslash in arrays, doubled or by a backslash in rows. An item that changes is quoted. Binary (array_send, record_send): lengths
 * before items.
 */
#include "dataplane/inspect/postgres/session.h"

#define ITEM_BYTES 4096
#define ITEMS 100000

static void requote(struct bytes v, struct writer *w)
{
	writer_u8(w, '"');
	for (size_t i = 0; i < v.len; i++) {
		if (v.base[i] == '"' || v.base[i] == '\\')
			writer_u8(w, '\\');
		writer_u8(w, v.base[i]);
	}
	writer_u8(w, '"');
}

static bool is_null(struct bytes v)
{
	return v.len == 4 && (v.base[0] | 32) == 'n' && (v.base[1] | 32) == 'u' && (v.base[2] | 32) == 'l' && (v.base[3] | 32) == 'l';
}

/* One item: `raw` as it stands, `quoted` with its quotes. */
static void item(struct pg_masker *m, const struct pg_column *column, struct bytes raw, bool quoted, struct writer *w)
{
	uint8_t plain[ITEM_BYTES], masked[2 * ITEM_BYTES];
	struct writer p = writer_of(plain, sizeof(plain)), out = writer_of(masked, sizeof(masked));
	struct bytes v = raw;

	if (!quoted && (!raw.len || is_null(raw))) {
		writer_put(w, raw);
		return;
	}
	if (quoted) {
		for (size_t i = 1; i + 1 < raw.len; i++) {
			if ((raw.base[i] == '\\' || raw.base[i] == '"') && i + 2 < raw.len)
				i++;
			writer_u8(&p, raw.base[i]);
		}
		v = bytes_of(plain, p.len);
	}
	if (!p.ok || v.len > ITEM_BYTES) {
		/* Too long to be taken apart: unseen only when nothing can be in it. */
		if (column->class >= 0 || pg_found(m, raw))
			writer_str(w, "\"***\"");
		else
			writer_put(w, raw);
		return;
	}
	if (pg_value_at(m, column, v, &out, 1) == MASKED_NULL)
		writer_str(w, "NULL");
	else if (!out.ok)
		writer_str(w, "\"***\"");
	else if (bytes_equal(writer_done(&out), v))
		writer_put(w, raw);
	else
		requote(writer_done(&out), w);
}

enum pg_masked pg_items_text(struct pg_masker *m, const struct pg_type *type, int class, struct bytes v, struct writer *w)
{
	bool array = type->shape == SHAPE_ARRAY;
	struct pg_column column = { .type = array ? type->element : PG_TYPE_TEXT, .typmod = -1, .class = (int16_t)class };
	size_t at = 0;

	/* Bounds of an array that does not begin at 1: [0:2]={...} */
	while (array && at < v.len && v.base[at] != '{')
		writer_u8(w, v.base[at++]);
	while (at < v.len && w->ok) {
		uint8_t c = v.base[at];
		size_t end = at;
		bool quoted = c == '"';

		if (c == ',' || (array ? c == '{' || c == '}' : (at == 0 && c == '(') || (at + 1 == v.len && c == ')'))) {
			writer_u8(w, c);
			at++;
			continue;
		}
		if (quoted) {
			for (end++; end < v.len && (v.base[end] != '"' || (!array && end + 1 < v.len && v.base[end + 1] == '"')); end++)
				end += (v.base[end] == '\\' || v.base[end] == '"') && end + 1 < v.len;
			end = end < v.len ? end + 1 : v.len;
		} else {
			while (end < v.len && v.base[end] != ',' && !(array && v.base[end] == '}') && !(!array && end + 1 == v.len))
				end++;
		}
		if (end == at) {
			writer_u8(w, c);
			at++;
			continue;
		}
		item(m, &column, bytes_of(v.base + at, end - at), quoted, w);
		at = end;
	}
	return MASKED_VALUE;
}

/* One length and its bytes. False when the value is malformed. */
static bool item_binary(struct pg_masker *m, const struct pg_column *column, struct reader *r, struct writer *w, unsigned depth, bool *nulled)
{
	uint32_t len = reader_be32(r);
	struct bytes v;
	size_t mark = writer_mark(w, 4), before = w->len;

	if (len == UINT32_MAX) {
		writer_patch(w, mark, 4, UINT32_MAX);
		return r->ok;
	}
	v = reader_bytes(r, len);
	if (!r->ok)
		return false;
	if (pg_value_at(m, column, v, w, depth + 1) == MASKED_NULL) {
		if (w->ok)
			w->len = before;
		*nulled = true;
		writer_patch(w, mark, 4, UINT32_MAX);
	} else {
		writer_patch(w, mark, 4, w->len - before);
	}
	return true;
}

enum pg_masked pg_array_binary(struct pg_masker *m, int class, struct bytes v, struct writer *w, unsigned depth)
{
	struct reader r = reader_of_bytes(v);
	uint32_t dimensions = reader_be32(&r), flags = reader_be32(&r), element = reader_be32(&r);
	struct pg_column column = { .type = element, .typmod = -1, .class = (int16_t)class, .binary = 1 };
	uint64_t items = dimensions ? 1 : 0;
	bool nulled = false;
	size_t mark;

	if (!r.ok || dimensions > 6) /* MAXDIM */
		return MASKED_NULL;
	writer_be32(w, dimensions);
	mark = writer_mark(w, 4);
	writer_be32(w, element);
	for (unsigned i = 0; i < dimensions; i++) {
		uint32_t dimension = reader_be32(&r), bound = reader_be32(&r);

		writer_be32(w, dimension);
		writer_be32(w, bound);
		items = items * dimension > ITEMS ? ITEMS + 1 : items * dimension;
	}
	if (items > ITEMS)
		return MASKED_NULL;
	for (uint64_t i = 0; i < items && w->ok; i++)
		if (!item_binary(m, &column, &r, w, depth, &nulled))
			return MASKED_NULL;
	writer_patch(w, mark, 4, nulled ? 1 : flags); /* whether there may be NULLs */
	return r.ok && (!r.left || !w->ok) ? MASKED_VALUE : MASKED_NULL;
}

enum pg_masked pg_record_binary(struct pg_masker *m, int class, struct bytes v, struct writer *w, unsigned depth)
{
	struct reader r = reader_of_bytes(v);
	uint32_t fields = reader_be32(&r);
	bool nulled;

	if (!r.ok || fields > LIMIT_COLUMNS)
		return MASKED_NULL;
	writer_be32(w, fields);
	for (uint32_t i = 0; i < fields && w->ok; i++) {
		struct pg_column column = { .type = reader_be32(&r), .typmod = -1, .class = (int16_t)class, .binary = 1 };

		writer_be32(w, column.type);
		if (!item_binary(m, &column, &r, w, depth, &nulled))
			return MASKED_NULL;
	}
	return r.ok && (!r.left || !w->ok) ? MASKED_VALUE : MASKED_NULL;
}
