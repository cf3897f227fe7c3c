#include "control/approval/remark.h"

#include <stdio.h>

#include "dataplane/inspect/postgres/lex.h"

#define VALUE_BYTES 1024

void remark_clean(struct bytes from, char *out, size_t size)
{
	if (from.len >= size) {
		snprintf(out, size, "(longer than %zu characters)", size - 1);
		return;
	}
	for (size_t i = 0; i < from.len; i++) {
		uint8_t c = from.base[i];

		out[i] = c < 0x20 || c >= 0x7f || strchr("<>&`\\", c) ? ' ' : (char)c;
	}
	out[from.len] = 0;
}

/* --- the last comment ---------------------------------------------------------------------------------------------------- */

/* White space and comments, and nothing else: where the lexer found no token. The last / * in it, without its marks. */
static void last_comment(struct bytes gap, struct bytes *out)
{
	size_t at = 0;

	while (at + 1 < gap.len) {
		size_t from = at + 2;
		unsigned depth = 1;

		if (gap.base[at] == '-' && gap.base[at + 1] == '-') {
			while (at < gap.len && gap.base[at] != '\n' && gap.base[at] != '\r')
				at++;
			continue;
		}
		if (gap.base[at] != '/' || gap.base[at + 1] != '*') {
			at++;
			continue;
		}
		for (at = from; depth && at + 1 < gap.len; at++) {
			bool opens = gap.base[at] == '/' && gap.base[at + 1] == '*', closes = gap.base[at] == '*' && gap.base[at + 1] == '/';

			depth += opens;
			depth -= closes;
			at += opens || closes;
		}
		if (depth == 0)
			*out = bytes_of(gap.base + from, at - from - 2);
	}
}

static struct bytes comment_of(struct bytes raw)
{
	struct pg_lex l = pg_lex_of(raw);
	struct pg_token t;
	struct bytes found = { 0 };
	size_t at = 0;
	bool more = true;

	while (more) {
		size_t start;

		more = pg_lex_next(&l, &t);
		if (!more && t.kind != PG_TOKEN_END)
			return (struct bytes){ 0 };
		start = more ? (size_t)(t.text.base - raw.base) : raw.len;
		last_comment(bytes_of(raw.base + at, start - at), &found);
		at = start + (more ? t.text.len : 0);
	}
	return found;
}

/* --- its pairs ----------------------------------------------------------------------------------------------------------- */

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void blanks(struct reader *r)
{
	while (r->left && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		reader_u8(r);
}

/* 'value' with %xx and \' decoded. */
static bool value_read(struct reader *r, struct writer *w)
{
	if (reader_u8(r) != '\'')
		return false;
	while (r->ok) {
		uint8_t c = reader_u8(r);
		int high, low;

		if (c == '\'')
			return r->ok && w->ok;
		if (c == '\\') {
			c = reader_u8(r);
		} else if (c == '%') {
			high = digit(reader_u8(r));
			low = digit(reader_u8(r));
			if (high < 0 || low < 0)
				return false;
			c = (uint8_t)(high << 4 | low);
		}
		writer_u8(w, c);
	}
	return false;
}

static struct bytes key_read(struct reader *r)
{
	const uint8_t *from = r->at;

	while (r->left && *r->at != '=' && *r->at != '\'' && *r->at != ',')
		reader_u8(r);
	return bytes_of(from, (size_t)(r->at - from));
}

static bool pairs_read(struct bytes comment, struct remark *out)
{
	struct reader r = reader_of_bytes(comment);
	bool reason = false, ticket = false;

	blanks(&r);
	while (r.left) {
		uint8_t room[VALUE_BYTES];
		struct writer w = writer_of(room, sizeof(room));
		struct bytes key = key_read(&r);

		if (reader_u8(&r) != '=' || !value_read(&r, &w))
			return false;
		if (bytes_equal(key, bytes_str("reason"))) {
			if (reason)
				return false;
			reason = true;
			remark_clean(writer_done(&w), out->reason, sizeof(out->reason));
		} else if (bytes_equal(key, bytes_str("ticket"))) {
			if (ticket)
				return false;
			ticket = true;
			remark_clean(writer_done(&w), out->ticket, sizeof(out->ticket));
		}
		blanks(&r);
		if (r.left && reader_u8(&r) != ',')
			return false;
		blanks(&r);
	}
	return r.ok;
}

struct remark remark_read(struct bytes raw)
{
	struct remark out = { .reason = "" };

	if (!pairs_read(comment_of(raw), &out))
		out = (struct remark){ .reason = "" };
	return out;
}
