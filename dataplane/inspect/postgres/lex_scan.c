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

static bool within_limits(const struct pg_lex_summary *s)
{
	return !s->over_bytes && !s->over_tokens && !s->over_nesting && !s->error;
}

bool pg_lex_scan(struct bytes text, struct hash_key key, struct pg_lex_summary *out)
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
	b.key = key;
	b.len = 0;
	while (pg_lex_next(&l, &t)) {
		uint8_t c = t.kind == PG_TOKEN_MARK ? t.text.base[0] : 0;
		bool replaced = replaceable(&t);

		if (++out->tokens > LIMIT_TERMS) {
			out->over_tokens = true;
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
		}
		out->literals += replaced;
		block_token(&b, &t, replaced);
	}
	out->over_nesting = out->nesting > LIMIT_NESTING;
	out->error = t.kind == PG_TOKEN_ERROR;
	out->generic = hash128(key, b.data, b.len);
	return within_limits(out);
}
