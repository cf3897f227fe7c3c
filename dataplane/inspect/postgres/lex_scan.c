/* The two cache keys and the caps, in one pass.
 *
 * The generic key is the hash of the token stream, each token as (kind, text, NUL); no token contains a NUL, so
 * the encoding is injective. It is hashed in blocks that each begin with the hash of the block before. */
#include "dataplane/inspect/postgres/lex.h"

#include "platform/base/limits.h"

struct block {
	struct hash_key key;
	size_t len;
	uint8_t data[1024];
};

static void block_close(struct block *b)
{
	struct hash128 h = hash128(b->key, b->data, b->len);

	memcpy(b->data, &h, sizeof h);
	b->len = sizeof h;
}

static void block_bytes(struct block *b, const uint8_t *from, size_t len, bool fold)
{
	while (len > 0) {
		size_t part = sizeof b->data - b->len;

		if (part == 0) {
			block_close(b);
			continue;
		}
		part = part < len ? part : len;
		for (size_t i = 0; i < part; i++)
			b->data[b->len + i] = fold ? pg_fold(from[i]) : from[i];
		b->len += part;
		from += part;
		len -= part;
	}
}

static void block_token(struct block *b, const struct pg_token *t, bool replaced)
{
	uint8_t kind = (uint8_t)(1 + t->kind), end = 0;

	block_bytes(b, &kind, 1, false);
	if (t->kind == PG_TOKEN_WORD)
		block_bytes(b, t->text.base, pg_clip(t->text), true);
	else if (!replaced)
		block_bytes(b, t->text.base, t->text.len, false);
	block_bytes(b, &end, 1, false);
}

static bool replaceable(const struct pg_token *t)
{
	return t->kind == PG_TOKEN_NUMBER || (t->kind == PG_TOKEN_STRING && !t->backslash && !t->national);
}

/* First words of statements that by themselves change no setting and no name. Others are looked at (pg_effects). */
static bool is_plain_verb(const struct pg_token *t)
{
	static const char *const words[] = { "select", "insert", "delete", "with", "values", "begin", "commit", "end", "start", "rollback", "savepoint", "fetch" };

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (pg_lex_is(t, words[i]))
			return true;
	return false;
}

/* No token's value is longer than its text, and only a continued or an escaped one's is shorter than what stands in its quotes. */
static bool may_be_set_config(const struct pg_token *t)
{
	static const size_t len = sizeof "set_config" - 1;

	if (t->text.len < len || t->kind == PG_TOKEN_NUMBER || t->kind == PG_TOKEN_PARAMETER || t->kind == PG_TOKEN_OPERATOR || t->kind == PG_TOKEN_MARK)
		return false;
	if (t->kind == PG_TOKEN_WORD)
		return t->text.len == len && pg_lex_is(t, "set_config");
	if (t->kind == PG_TOKEN_IDENTIFIER)
		return t->inside.len == len;
	if (t->kind == PG_TOKEN_STRING && !memchr(t->inside.base, '\n', t->inside.len) && !memchr(t->inside.base, '\r', t->inside.len))
		return t->inside.len == len;
	return true;
}

static bool within_limits(const struct pg_lex_summary *s)
{
	return !s->over_bytes && !s->over_tokens && !s->over_nesting && !s->error;
}

static void note(struct pg_literals *literals, struct bytes text, const struct pg_token *t)
{
	size_t at = (size_t)(t->text.base - text.base);

	if (literals && literals->count < PG_LITERALS && at + t->text.len <= UINT16_MAX)
		literals->literal[literals->count++] = (struct pg_literal){ (uint16_t)at, (uint16_t)t->text.len };
}

bool pg_lex_scan_noting(struct bytes text, struct hash_key key, struct pg_lex_summary *out, struct pg_literals *literals)
{
	struct pg_lex l = pg_lex_of(text);
	struct block b;
	struct pg_token t;
	uint32_t depth = 0;
	bool fresh = true;

	*out = (struct pg_lex_summary){ .exact = hash128(key, text.base, text.len) };
	out->over_bytes = text.len > LIMIT_STATEMENT_BYTES;
	if (out->over_bytes)
		return false;
	out->plain = true;
	b.key = key;
	b.len = 0;
	while (pg_lex_next(&l, &t)) {
		uint8_t c = t.kind == PG_TOKEN_MARK ? t.text.base[0] : 0;
		bool replaced = replaceable(&t);

		if (++out->tokens > LIMIT_TERMS) {
			out->over_tokens = true;
			out->plain = false;
			return false;
		}
		if (c == '(' || c == '[')
			depth++;
		else if ((c == ')' || c == ']') && depth > 0)
			depth--;
		if (depth > out->nesting)
			out->nesting = depth;
		if (c == ';' && depth == 0) {
			fresh = true;
		} else if (fresh) {
			out->statements++;
			fresh = false;
			out->plain &= is_plain_verb(&t);
		} else {
			out->plain &= c != ';' && !may_be_set_config(&t); /* a ';' in parentheses is read in two ways */
		}
		out->literals += replaced;
		if (replaced)
			note(literals, text, &t);
		block_token(&b, &t, replaced);
	}
	out->over_nesting = out->nesting > LIMIT_NESTING;
	out->error = t.kind == PG_TOKEN_ERROR;
	out->plain &= !out->error && !out->over_nesting;
	out->generic = hash128(key, b.data, b.len);
	return within_limits(out);
}

bool pg_lex_scan(struct bytes text, struct hash_key key, struct pg_lex_summary *out)
{
	return pg_lex_scan_noting(text, key, out, NULL);
}
