#include "dataplane/inspect/postgres/notation.h"

/* What stands at the start of `v`: `span` bytes for `len` plain ones; `span` 0: the mark that ends it, or (`half`) not whole. */
struct unit {
	size_t span, len;
	uint8_t plain[2];
	bool half;
};

static const struct unit over = { 0 }, half = { .half = true };

static struct unit unit_of(size_t span, uint8_t c)
{
	return (struct unit){ .span = span, .len = 1, .plain = { c } };
}

int pg_hex4(struct bytes v, size_t at)
{
	int value = 0;

	for (size_t i = 0; i < 4; i++) {
		int c = at + i < v.len ? v.base[at + i] : 0;
		int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;

		if (d < 0)
			return -1;
		value = value << 4 | d;
	}
	return value;
}

/* Surrogates and what is beyond two bytes of UTF-8 stand as '?', as in json.c. */
static struct unit json_unit(struct bytes v, bool last)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *short_form;
	int code;

	if (v.base[0] == '"')
		return over;
	if (v.base[0] != '\\')
		return unit_of(1, v.base[0]);
	if (v.len < 2 || (v.base[1] == 'u' && v.len < 6))
		return last ? unit_of(1, v.base[0]) : half;
	if (v.base[1] == 'u' && (code = pg_hex4(v, 2)) >= 0) {
		if (code < 0x80)
			return unit_of(6, (uint8_t)code);
		if (code < 0x800)
			return (struct unit){ .span = 6, .len = 2, .plain = { (uint8_t)(0xc0 | code >> 6), (uint8_t)(0x80 | (code & 63)) } };
		return unit_of(6, '?');
	}
	short_form = v.base[1] ? strchr(from, v.base[1]) : NULL;
	return unit_of(2, short_form ? (uint8_t)to[short_form - from] : v.base[1]);
}

/* A backslash before any byte; quotes may be doubled where `doubled`. */
static struct unit quoted_unit(struct bytes v, bool last, bool doubled)
{
	if (v.base[0] == '"') {
		if (!doubled || (v.len < 2 && last) || (v.len >= 2 && v.base[1] != '"'))
			return over;
		return v.len < 2 ? half : unit_of(2, '"');
	}
	if (v.base[0] != '\\' || (v.len < 2 && last))
		return unit_of(1, v.base[0]);
	return v.len < 2 ? half : unit_of(2, v.base[1]);
}

static struct unit copy_unit(const struct pg_marks *marks, struct bytes v, bool last)
{
	static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
	const char *short_form;

	if (v.base[0] == '\n' || v.base[0] == marks->delimiter)
		return over;
	if (v.base[0] != '\\' || (v.len < 2 && last))
		return unit_of(1, v.base[0]);
	if (v.len < 2)
		return half;
	short_form = v.base[1] ? strchr(from, v.base[1]) : NULL;
	return unit_of(2, short_form ? (uint8_t)to[short_form - from] : v.base[1]);
}

static struct unit csv_unit(const struct pg_marks *marks, struct bytes v, bool last)
{
	if (v.base[0] == marks->escape) {
		if (v.len < 2 && !last)
			return half;
		if (v.len >= 2 && (v.base[1] == marks->quote || v.base[1] == marks->escape))
			return unit_of(2, v.base[1]);
	}
	return v.base[0] == marks->quote ? over : unit_of(1, v.base[0]);
}

static uint8_t nibble(uint8_t d)
{
	return (uint8_t)(d >= 'a' ? d - 'a' + 10 : d >= 'A' ? d - 'A' + 10 : d - '0') & 15;
}

static struct unit unit_at(enum pg_notation notation, const struct pg_marks *marks, struct bytes v, bool last)
{
	uint8_t c = v.base[0];

	switch (notation) {
	case NOTE_JSON:
		return json_unit(v, last);
	case NOTE_ARRAY:
		return quoted_unit(v, last, false);
	case NOTE_RECORD:
		return quoted_unit(v, last, true);
	case NOTE_ARRAY_BARE:
		return c == ',' || c == '}' ? over : unit_of(1, c);
	case NOTE_RECORD_BARE:
		return c == ',' || c == ')' ? over : unit_of(1, c);
	case NOTE_COPY:
		return copy_unit(marks, v, last);
	case NOTE_CSV:
		return csv_unit(marks, v, last);
	case NOTE_CSV_BARE:
		return c == marks->delimiter || c == '\n' ? over : unit_of(1, c);
	case NOTE_HEX:
		if (v.len < 2)
			return last ? unit_of(1, c) : half;
		return unit_of(2, (uint8_t)(nibble(c) << 4 | nibble(v.base[1])));
	}
	return over;
}

void pg_layer_read(struct pg_layer *l, enum pg_notation notation, const struct pg_marks *marks, struct bytes in, bool last)
{
	size_t at = 0, len = 0;

	if (in.len > PG_WINDOW)
		in.len = PG_WINDOW;
	l->ended = false;
	while (at < in.len) {
		struct unit u = unit_at(notation, marks, bytes_of(in.base + at, in.len - at), last);

		if (!u.span) {
			l->ended = !u.half;
			break;
		}
		for (size_t i = 0; i < u.len; i++) {
			/* The first of two bytes stands for all of the input. */
			l->at[len] = (uint16_t)(i ? at + u.span : at);
			l->was[len] = l->plain[len] = u.plain[i];
			len++;
		}
		at += u.span;
	}
	l->at[len] = (uint16_t)at;
	l->len = (uint16_t)len;
	l->used = (uint16_t)at;
}

/* Whether a byte means something else than itself there. */
static bool special(enum pg_notation notation, const struct pg_marks *marks, uint8_t c)
{
	if (c < 0x20 || c == '\\')
		return true;
	switch (notation) {
	case NOTE_JSON:
	case NOTE_ARRAY:
	case NOTE_RECORD:
		return c == '"';
	case NOTE_ARRAY_BARE:
	case NOTE_RECORD_BARE:
		return c == ' ' || strchr("\",{}()", c) != NULL;
	case NOTE_COPY:
		return c == marks->delimiter;
	case NOTE_CSV:
		return c == marks->quote || c == marks->escape;
	case NOTE_CSV_BARE:
		return c == marks->quote || c == marks->escape || c == marks->delimiter;
	case NOTE_HEX:
		break;
	}
	return false;
}

void pg_layer_write(const struct pg_layer *l, enum pg_notation notation, const struct pg_marks *marks, size_t len, uint8_t *in)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len && i < l->len; i++) {
		size_t from = l->at[i], to = l->at[i + 1];
		uint8_t c = l->plain[i];

		if (c == l->was[i])
			continue;
		if (notation == NOTE_HEX) {
			for (size_t at = from; at < to; at++)
				in[at] = (uint8_t)digits[at == from ? c >> 4 : c & 15];
			continue;
		}
		memset(in + from, special(notation, marks, c) ? marks->filler : c, to - from);
	}
}

size_t pg_layer_place(const struct pg_layer *l, size_t used)
{
	size_t place = 0;

	while (place < l->len && l->at[place + 1] <= used)
		place++;
	return place;
}
