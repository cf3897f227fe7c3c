/* The lexer is scan.l written by hand, one function per start state. The position is an index; peek() yields 0
 * beyond the end, and a NUL inside the text is an error as it is on the server, so no function needs to know
 * where the text ends. Every loop advances or returns.
 *
 * The trap: a rule that is a little more lenient or more strict than the server's shifts the borders of all later
 * tokens. In doubt a text is refused (PG_TOKEN_ERROR), which makes it unknown. */
#include "dataplane/inspect/postgres/lex.h"

#include "platform/base/limits.h"

enum { SPACE = 1, START = 2, CONT = 4, DIGIT = 8, OPERATOR = 16, MARK = 32 };

static const uint8_t class_of[256] = {
	['\t'] = SPACE, ['\n'] = SPACE, ['\r'] = SPACE, ['\f'] = SPACE, [' '] = SPACE,
	['A' ... 'Z'] = START | CONT, ['a' ... 'z'] = START | CONT, ['_'] = START | CONT, [128 ... 255] = START | CONT,
	['0' ... '9'] = DIGIT | CONT, ['$'] = CONT,
	['~'] = OPERATOR, ['!'] = OPERATOR, ['@'] = OPERATOR, ['#'] = OPERATOR, ['^'] = OPERATOR, ['&'] = OPERATOR,
	['|'] = OPERATOR, ['`'] = OPERATOR, ['?'] = OPERATOR, ['+'] = OPERATOR, ['-'] = OPERATOR, ['*'] = OPERATOR,
	['/'] = OPERATOR, ['%'] = OPERATOR, ['<'] = OPERATOR, ['>'] = OPERATOR, ['='] = OPERATOR,
	[','] = MARK, ['('] = MARK, [')'] = MARK, ['['] = MARK, [']'] = MARK, ['.'] = MARK, [';'] = MARK, [':'] = MARK,
};

static inline uint8_t peek(const struct pg_lex *l, size_t at)
{
	return at < l->text.len ? l->text.base[at] : 0;
}

static inline bool is(uint8_t c, uint8_t classes)
{
	return (class_of[c] & classes) != 0;
}

static inline struct bytes cut(const struct pg_lex *l, size_t from, size_t to)
{
	return bytes_of(l->text.base + from, to - from);
}

/* To the end of a line comment; a NUL ends it too, and is then refused as a token. */
static size_t after_line(const struct pg_lex *l, size_t at)
{
	while (peek(l, at) != 0 && peek(l, at) != '\n' && peek(l, at) != '\r')
		at++;
	return at;
}

/* After a block comment that starts at `at`, nested ones included; 0 when it never ends. */
static size_t after_comment(const struct pg_lex *l, size_t at)
{
	size_t depth = 1;

	for (at += 2; peek(l, at) != 0; at++) {
		if (peek(l, at) == '/' && peek(l, at + 1) == '*') {
			depth++;
			at++;
		} else if (peek(l, at) == '*' && peek(l, at + 1) == '/') {
			at++;
			if (--depth == 0)
				return at + 1;
		}
	}
	return 0;
}

/* To the next token. False when a comment never ends. */
static bool skip_blank(struct pg_lex *l)
{
	for (;;) {
		uint8_t c = peek(l, l->at);

		if (is(c, SPACE)) {
			l->at++;
		} else if (c == '-' && peek(l, l->at + 1) == '-') {
			l->at = after_line(l, l->at);
		} else if (c == '/' && peek(l, l->at + 1) == '*') {
			size_t end = after_comment(l, l->at);

			if (end == 0)
				return false;
			l->at = end;
		} else {
			return true;
		}
	}
}

/* scan.l quotecontinue: white space with at least one newline, line comments allowed, then a quote. The position
 * after that quote, or 0. */
static size_t continued(const struct pg_lex *l, size_t at)
{
	bool newline = false;

	for (;;) {
		uint8_t c = peek(l, at);

		if (is(c, SPACE)) {
			newline |= c == '\n' || c == '\r';
			at++;
		} else if (c == '-' && peek(l, at + 1) == '-') {
			at = after_line(l, at);
		} else {
			return c == '\'' && newline ? at + 1 : 0;
		}
	}
}

enum { DOUBLED = 1, ESCAPED = 2, CONTINUED = 4 };

/* From after the opening quote to after the closing one; 0 when it never comes. */
static size_t after_quoted(const struct pg_lex *l, size_t at, uint8_t quote, unsigned how, bool *backslash)
{
	while (at < l->text.len) {
		uint8_t c = peek(l, at++);
		size_t more;

		if (c == 0)
			return 0;
		if (c == '\\') {
			*backslash = true;
			at += (how & ESCAPED) != 0;
		}
		if (c != quote)
			continue;
		if ((how & DOUBLED) && peek(l, at) == quote) {
			at++;
			continue;
		}
		more = (how & CONTINUED) ? continued(l, at) : 0;
		if (more == 0)
			return at;
		at = more;
	}
	return 0;
}

static bool finish(struct pg_lex *l, struct pg_token *t, enum pg_token_kind kind, size_t end)
{
	t->kind = kind;
	t->text = cut(l, l->at, end);
	l->at = end;
	return true;
}

static bool fail(struct pg_lex *l, struct pg_token *t)
{
	*t = (struct pg_token){ .kind = PG_TOKEN_ERROR, .spaced = t->spaced };
	l->at = l->text.len;
	l->failed = true;
	return false;
}

/* A quoted token whose opening quote stands `prefix` bytes after the token's start. */
static bool quoted(struct pg_lex *l, struct pg_token *t, enum pg_token_kind kind, size_t prefix, unsigned how)
{
	size_t open = l->at + prefix + 1;
	size_t end = after_quoted(l, open, peek(l, open - 1), how, &t->backslash);

	if (end == 0)
		return fail(l, t);
	t->inside = cut(l, open, end - 1);
	return finish(l, t, kind, end);
}

/* parser.c: UESCAPE and a string of one character may follow a U& token; here it becomes part of it. */
static bool with_uescape(struct pg_lex *l, struct pg_token *t)
{
	struct pg_lex ahead = *l;
	struct pg_token word, c;

	t->escape = '\\';
	if (!pg_lex_next(&ahead, &word) || !pg_lex_is(&word, "uescape"))
		return true;
	if (!pg_lex_next(&ahead, &c) || c.kind != PG_TOKEN_STRING || c.national || c.text.len != 3)
		return fail(l, t);
	t->escape = c.inside.base[0];
	if (is(t->escape, SPACE | DIGIT) || t->escape >= 128 || memchr("abcdefABCDEF+'\"", t->escape, 15))
		return fail(l, t);
	t->text = bytes_of(t->text.base, t->text.len + (ahead.at - l->at));
	l->at = ahead.at;
	return true;
}

static bool word(struct pg_lex *l, struct pg_token *t)
{
	uint8_t first = peek(l, l->at) | 0x20, second = peek(l, l->at + 1);
	size_t end = l->at + 1;

	if (second == '\'') {
		switch (first) {
		case 'e': return quoted(l, t, PG_TOKEN_ESTRING, 1, DOUBLED | ESCAPED | CONTINUED);
		case 'b': case 'x': return quoted(l, t, PG_TOKEN_BITS, 1, CONTINUED);
		case 'n': t->national = true; return quoted(l, t, PG_TOKEN_STRING, 1, DOUBLED | CONTINUED);
		default: break;
		}
	} else if (first == 'u' && second == '&') {
		if (peek(l, l->at + 2) == '\'')
			return quoted(l, t, PG_TOKEN_USTRING, 2, DOUBLED | CONTINUED) && with_uescape(l, t);
		if (peek(l, l->at + 2) == '"')
			return quoted(l, t, PG_TOKEN_UIDENTIFIER, 2, DOUBLED) && t->inside.len && with_uescape(l, t) ? true : fail(l, t);
	}
	while (is(peek(l, end), CONT))
		end++;
	return finish(l, t, PG_TOKEN_WORD, end);
}

static bool number(struct pg_lex *l, struct pg_token *t)
{
	size_t end = l->at;

	while (is(peek(l, end), DIGIT))
		end++;
	if (peek(l, end) == '.' && !(end > l->at && peek(l, end + 1) == '.')) {
		end++;
		while (is(peek(l, end), DIGIT))
			end++;
	}
	if ((peek(l, end) | 0x20) == 'e') {
		size_t digits = end + 1 + (peek(l, end + 1) == '+' || peek(l, end + 1) == '-');

		if (is(peek(l, digits), DIGIT))
			for (end = digits; is(peek(l, end), DIGIT); end++)
				;
	}
	/* scan.l integer_junk, decimal_junk, real_junk */
	if (is(peek(l, end), START))
		return fail(l, t);
	return finish(l, t, PG_TOKEN_NUMBER, end);
}

static bool dollar(struct pg_lex *l, struct pg_token *t)
{
	size_t end = l->at + 1;
	const uint8_t *close;

	if (is(peek(l, end), DIGIT)) {
		while (is(peek(l, end), DIGIT))
			end++;
		return is(peek(l, end), START) ? fail(l, t) : finish(l, t, PG_TOKEN_PARAMETER, end);
	}
	if (is(peek(l, end), START))
		while (is(peek(l, end), START | DIGIT))
			end++;
	if (peek(l, end++) != '$')
		return fail(l, t);
	close = memmem(l->text.base + end, l->text.len - end, l->text.base + l->at, end - l->at);
	if (!close || memchr(l->text.base + end, 0, (size_t)(close - l->text.base) - end))
		return fail(l, t);
	t->inside = cut(l, end, (size_t)(close - l->text.base));
	return finish(l, t, PG_TOKEN_DOLLAR, (size_t)(close - l->text.base) + (end - l->at));
}

/* scan.l operator: as many operator characters as there are, cut before a comment; and for SQL's sake + and - do
 * not end an operator of several characters unless it contains one that SQL does not know. */
static bool operator(struct pg_lex *l, struct pg_token *t)
{
	size_t end = l->at;
	bool foreign = false;

	for (uint8_t c; is(c = peek(l, end), OPERATOR); end++) {
		uint8_t next = peek(l, end + 1);

		if ((c == '/' && next == '*') || (c == '-' && next == '-'))
			break;
		foreign |= memchr("~!@#^&|`?%", c, 10) != NULL;
	}
	if (foreign && end - l->at > 1 && (peek(l, end - 1) == '+' || peek(l, end - 1) == '-')) {
		/* the foreign one must stand before the last */
		foreign = false;
		for (size_t i = l->at; i + 1 < end; i++)
			foreign |= memchr("~!@#^&|`?%", peek(l, i), 10) != NULL;
	}
	while (!foreign && end - l->at > 1 && (peek(l, end - 1) == '+' || peek(l, end - 1) == '-'))
		end--;
	if (end - l->at > 63)
		return fail(l, t);
	return finish(l, t, PG_TOKEN_OPERATOR, end);
}

static bool mark(struct pg_lex *l, struct pg_token *t)
{
	uint8_t c = peek(l, l->at), next = peek(l, l->at + 1);

	if (c == '.' && is(next, DIGIT))
		return number(l, t);
	if ((c == '.' && next == '.') || (c == ':' && (next == ':' || next == '=')))
		return finish(l, t, PG_TOKEN_OPERATOR, l->at + 2);
	return finish(l, t, PG_TOKEN_MARK, l->at + 1);
}

bool pg_lex_next(struct pg_lex *l, struct pg_token *out)
{
	size_t before = l->at;
	uint8_t c, class;

	*out = (struct pg_token){ .kind = PG_TOKEN_END };
	if (l->failed || !skip_blank(l))
		return fail(l, out);
	out->spaced = l->at != before;
	if (l->at >= l->text.len)
		return false;
	c = peek(l, l->at);
	class = class_of[c];
	if (class & START)
		return word(l, out);
	if (class & DIGIT)
		return number(l, out);
	if (class & MARK)
		return mark(l, out);
	if (class & OPERATOR)
		return operator(l, out);
	if (c == '\'')
		return quoted(l, out, PG_TOKEN_STRING, 0, DOUBLED | CONTINUED);
	if (c == '"')
		return quoted(l, out, PG_TOKEN_IDENTIFIER, 0, DOUBLED) && out->inside.len ? true : fail(l, out);
	if (c == '$')
		return dollar(l, out);
	return fail(l, out);
}

bool pg_lex_is(const struct pg_token *t, const char *word)
{
	size_t len = strlen(word);

	if (t->kind != PG_TOKEN_WORD || t->text.len != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (pg_fold(t->text.base[i]) != (uint8_t)word[i])
			return false;
	return true;
}
