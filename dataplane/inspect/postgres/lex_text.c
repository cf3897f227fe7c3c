/* Texts made from tokens: values of literals, canonical and normalised statements.
 *
 * The canonical text must lex to the same tokens as the text that was sent (lex_test.c and lex_fuzz.c hold it to
 * that): a space is left out only where two tokens cannot melt into another one. */
#include "dataplane/inspect/postgres/lex.h"

#include <stdlib.h>

static const char *const keywords[] = {
#define KEYWORD(word) word,
#include "dataplane/inspect/postgres/lex_keywords.def"
#undef KEYWORD
};

/* More than 63 bytes and a character, so that the cut at a character's border can be made. */
#define ENOUGH_OF_A_NAME 68

/* Words after which a parenthesis is not that of a call. */
static const char *const apart[] = {
	"all", "and", "any", "as", "between", "by", "case", "check", "copy", "distinct", "else", "except", "exists", "explain", "from",
	"having", "ilike", "in", "intersect", "into", "is", "join", "lateral", "like", "limit", "not", "offset", "on", "or",
	"over", "returning", "select", "set", "some", "then", "to", "union", "using", "values", "when", "where", "with",
};

static int compare(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

static bool listed(struct bytes word, const char *const *list, size_t count)
{
	char text[64];

	if (word.len >= sizeof text)
		return false;
	for (size_t i = 0; i < word.len; i++)
		text[i] = (char)pg_fold(word.base[i]);
	text[word.len] = 0;
	return bsearch(text, list, count, sizeof *list, compare) != NULL;
}

static bool is_keyword(struct bytes word)
{
	return listed(word, keywords, sizeof keywords / sizeof *keywords);
}

static int hex_value(struct reader *r, unsigned digits)
{
	int value = 0;

	for (unsigned i = 0; i < digits; i++) {
		uint8_t c = reader_u8(r);
		int digit = c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;

		if (!r->ok || digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

static bool put_code_point(struct writer *w, int c)
{
	if (c <= 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return false;
	if (c < 0x80) {
		writer_u8(w, (uint8_t)c);
	} else if (c < 0x800) {
		writer_u8(w, (uint8_t)(0xc0 | c >> 6));
		writer_u8(w, (uint8_t)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		writer_u8(w, (uint8_t)(0xe0 | c >> 12));
		writer_u8(w, (uint8_t)(0x80 | (c >> 6 & 63)));
		writer_u8(w, (uint8_t)(0x80 | (c & 63)));
	} else {
		writer_u8(w, (uint8_t)(0xf0 | c >> 18));
		writer_u8(w, (uint8_t)(0x80 | (c >> 12 & 63)));
		writer_u8(w, (uint8_t)(0x80 | (c >> 6 & 63)));
		writer_u8(w, (uint8_t)(0x80 | (c & 63)));
	}
	return true;
}

/* A UTF-16 pair written as two escapes is one character (scan.l xeu, parser.c str_udeescape). */
static int surrogate_pair(int high, int low)
{
	return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) : -1;
}

/* After the escape character of a U& token: itself, XXXX or +XXXXXX. */
static bool put_unicode(struct reader *r, struct writer *w, uint8_t escape)
{
	int c;

	if (r->left > 0 && r->at[0] == escape) {
		reader_skip(r, 1);
		writer_u8(w, escape);
		return true;
	}
	c = r->left > 0 && r->at[0] == '+' ? (reader_skip(r, 1), hex_value(r, 6)) : hex_value(r, 4);
	if (c >= 0xd800 && c <= 0xdbff) {
		if (reader_u8(r) != escape)
			return false;
		c = surrogate_pair(c, r->left > 0 && r->at[0] == '+' ? (reader_skip(r, 1), hex_value(r, 6)) : hex_value(r, 4));
	}
	return put_code_point(w, c);
}

static bool put_octal(struct reader *r, struct writer *w, uint8_t first)
{
	int value = first - '0';

	for (int i = 0; i < 2 && r->left > 0 && r->at[0] >= '0' && r->at[0] <= '7'; i++)
		value = value << 3 | (reader_u8(r) - '0');
	writer_u8(w, (uint8_t)value);
	return (value & 255) != 0;
}

static bool put_hex(struct reader *r, struct writer *w)
{
	struct reader ahead = *r;
	int value = hex_value(&ahead, 2);

	if (value < 0) {
		ahead = *r;
		value = hex_value(&ahead, 1);
	}
	if (value < 0) {
		writer_u8(w, 'x');
		return true;
	}
	*r = ahead;
	writer_u8(w, (uint8_t)value);
	return value != 0;
}

/* After the backslash of E'...' (scan.l xeescape, xeoctesc, xehexesc, xeunicode). */
static bool put_escape(struct reader *r, struct writer *w)
{
	uint8_t c = reader_u8(r);
	int point;

	switch (c) {
	case 'b': writer_u8(w, '\b'); return r->ok;
	case 'f': writer_u8(w, '\f'); return r->ok;
	case 'n': writer_u8(w, '\n'); return r->ok;
	case 'r': writer_u8(w, '\r'); return r->ok;
	case 't': writer_u8(w, '\t'); return r->ok;
	case 'v': writer_u8(w, '\v'); return r->ok;
	case 'x': return put_hex(r, w);
	case '0' ... '7': return put_octal(r, w, c);
	case 'u': case 'U':
		point = hex_value(r, c == 'u' ? 4 : 8);
		if (point >= 0xd800 && point <= 0xdbff) {
			if (reader_u8(r) != '\\')
				return false;
			c = reader_u8(r);
			point = c == 'u' || c == 'U' ? surrogate_pair(point, hex_value(r, c == 'u' ? 4 : 8)) : -1;
		}
		return put_code_point(w, point);
	default: writer_u8(w, c); return r->ok;
	}
}

/* After a quote inside a string: doubled, or the end of a part with the next part's opening quote somewhere on. */
static void skip_to_next_part(struct reader *r)
{
	while (r->left > 0) {
		uint8_t c = reader_u8(r);

		if (c == '\'')
			return;
		if (c == '-')
			while (r->left > 0 && r->at[0] != '\n' && r->at[0] != '\r')
				reader_skip(r, 1);
	}
}

/* Stops after `enough` bytes: of a name only the first 63 count. */
static bool put_inside(const struct pg_token *t, struct writer *w, size_t enough)
{
	struct reader r = reader_of_bytes(t->inside);
	uint8_t quote = t->kind == PG_TOKEN_IDENTIFIER || t->kind == PG_TOKEN_UIDENTIFIER ? '"' : '\'';
	size_t start = w->len;
	bool good = true;

	while (good && r.ok && r.left > 0 && w->len - start < enough) {
		uint8_t c = reader_u8(&r);

		if (c == quote && r.left > 0 && r.at[0] == quote && t->kind != PG_TOKEN_BITS) {
			reader_skip(&r, 1);
			writer_u8(w, quote);
		} else if (c == quote) {
			skip_to_next_part(&r);
		} else if (t->kind == PG_TOKEN_ESTRING && c == '\\') {
			good = put_escape(&r, w);
		} else if (t->escape && c == t->escape) {
			good = put_unicode(&r, w, t->escape);
		} else {
			writer_u8(w, c);
		}
	}
	return good && r.ok;
}

bool pg_lex_value(const struct pg_token *t, struct writer *w)
{
	size_t start = w->len;
	bool good = true;

	switch (t->kind) {
	case PG_TOKEN_WORD:
		for (size_t i = 0, len = pg_clip(t->text); i < len; i++)
			writer_u8(w, pg_fold(t->text.base[i]));
		break;
	case PG_TOKEN_IDENTIFIER:
	case PG_TOKEN_UIDENTIFIER:
		good = put_inside(t, w, ENOUGH_OF_A_NAME);
		if (w->ok)
			w->len = start + pg_clip(bytes_of(w->base + start, w->len - start));
		break;
	case PG_TOKEN_STRING: case PG_TOKEN_ESTRING: case PG_TOKEN_USTRING: case PG_TOKEN_BITS: good = put_inside(t, w, SIZE_MAX); break;
	case PG_TOKEN_DOLLAR: writer_put(w, t->inside); break;
	default: writer_put(w, t->text); break;
	}
	if (!good)
		w->ok = false;
	return w->ok;
}

/* True when the name means the same without quotes. */
static bool plain_name(struct bytes name)
{
	if (name.len == 0 || (name.base[0] >= '0' && name.base[0] <= '9') || name.base[0] == '$')
		return false;
	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.base[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '$'))
			return false;
	}
	return !is_keyword(name);
}

static void put_identifier(const struct pg_token *t, struct writer *w)
{
	uint8_t buffer[ENOUGH_OF_A_NAME + 8];
	struct writer name = writer_of(buffer, sizeof buffer);

	if (!pg_lex_value(t, &name)) {
		w->ok = false;
		return;
	}
	if (plain_name(writer_done(&name))) {
		writer_put(w, writer_done(&name));
		return;
	}
	writer_u8(w, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (buffer[i] == '"')
			writer_u8(w, '"');
		writer_u8(w, buffer[i]);
	}
	writer_u8(w, '"');
}

/* A string as sent, its parts joined. E'' keeps its escapes, so a quote in it never ends a part unless it is bare. */
static void put_string(const struct pg_token *t, struct writer *w)
{
	struct reader r = reader_of_bytes(t->inside);

	writer_put(w, bytes_of(t->text.base, (size_t)(t->inside.base - t->text.base)));
	while (r.left > 0) {
		uint8_t c = reader_u8(&r);

		if (c == '\\' && t->kind == PG_TOKEN_ESTRING) {
			writer_u8(w, c);
			writer_u8(w, reader_u8(&r));
		} else if (c == '\'' && r.left > 0 && r.at[0] == '\'' && t->kind != PG_TOKEN_BITS) {
			writer_u8(w, c);
			writer_u8(w, reader_u8(&r));
		} else if (c == '\'') {
			skip_to_next_part(&r);
		} else {
			writer_u8(w, c);
		}
	}
	writer_u8(w, '\'');
	if (t->kind == PG_TOKEN_USTRING && t->escape != '\\') {
		writer_str(w, " uescape '");
		writer_u8(w, t->escape);
		writer_u8(w, '\'');
	}
}

static bool is_mark(const struct pg_token *t, const char *marks)
{
	return t->kind == PG_TOKEN_MARK && strchr(marks, t->text.base[0]);
}

static bool is_name(const struct pg_token *t)
{
	return t->kind == PG_TOKEN_WORD || t->kind == PG_TOKEN_IDENTIFIER || t->kind == PG_TOKEN_UIDENTIFIER;
}

static bool is_cast(const struct pg_token *t)
{
	return t->kind == PG_TOKEN_OPERATOR && bytes_equal(t->text, bytes_of("::", 2));
}

static bool needs_space(const struct pg_token *before, const struct pg_token *t)
{
	bool operand = is_name(before) || is_mark(before, ")]");

	if (before->kind == PG_TOKEN_END || is_mark(t, ",;)]") || is_mark(before, "(["))
		return false;
	if (is_mark(t, "(") && is_name(before))
		return before->kind == PG_TOKEN_WORD && listed(before->text, apart, sizeof apart / sizeof *apart);
	if (is_mark(t, ".["))
		return !operand;
	if (is_mark(before, "."))
		return !is_name(t) && !bytes_equal(t->text, bytes_of("*", 1));
	if (is_cast(t))
		return !operand && before->kind != PG_TOKEN_STRING && before->kind != PG_TOKEN_NUMBER && before->kind != PG_TOKEN_PARAMETER;
	return !(is_cast(before) && is_name(t));
}

static void put_token(const struct pg_token *t, struct writer *w)
{
	switch (t->kind) {
	case PG_TOKEN_IDENTIFIER:
	case PG_TOKEN_UIDENTIFIER: put_identifier(t, w); break;
	case PG_TOKEN_STRING: case PG_TOKEN_ESTRING: case PG_TOKEN_USTRING: case PG_TOKEN_BITS: put_string(t, w); break;
	case PG_TOKEN_DOLLAR: writer_put(w, t->text); break;
	default: (void)pg_lex_value(t, w); break;
	}
}

static bool is_literal(const struct pg_token *t)
{
	return t->kind == PG_TOKEN_NUMBER || (t->kind >= PG_TOKEN_STRING && t->kind <= PG_TOKEN_BITS && t->kind != PG_TOKEN_PARAMETER);
}

static void put_parameter(struct writer *w, uint64_t n)
{
	char text[24];
	size_t at = sizeof text;

	do
		text[--at] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	writer_u8(w, '$');
	writer_bytes(w, text + at, sizeof text - at);
}

static bool write_tokens(struct bytes text, struct writer *w, bool replace, uint64_t next)
{
	struct pg_lex l = pg_lex_of(text);
	struct pg_token before = { .kind = PG_TOKEN_END }, t;

	while (pg_lex_next(&l, &t)) {
		if (needs_space(&before, &t))
			writer_u8(w, ' ');
		if (replace && is_literal(&t))
			put_parameter(w, next++);
		else
			put_token(&t, w);
		before = t;
	}
	if (t.kind == PG_TOKEN_ERROR)
		w->ok = false;
	return w->ok;
}

bool pg_lex_canonical(struct bytes text, struct writer *w)
{
	return write_tokens(text, w, false, 0);
}

bool pg_lex_normalised(struct bytes text, struct writer *w)
{
	struct pg_lex l = pg_lex_of(text);
	struct pg_token t;
	uint64_t largest = 0;

	while (pg_lex_next(&l, &t)) {
		uint64_t n = 0;

		if (t.kind != PG_TOKEN_PARAMETER)
			continue;
		for (size_t i = 1; i < t.text.len && n < UINT32_MAX; i++)
			n = n * 10 + (uint64_t)(t.text.base[i] - '0');
		largest = n > largest ? n : largest;
	}
	return write_tokens(text, w, true, largest + 1);
}
