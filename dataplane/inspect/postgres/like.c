/* Why the tokens are the same: the lexer goes from left to right and decides by the bytes at hand, so up to the first literal nothing differs.
 * There both texts have a digit, or a quote. A number that is digits only ends before what is no digit, and what stands there is the same in
 * both; a string ends at its first quote, when what follows neither doubles nor continues it, and that is the same in both, too. So behind
 * the literal both lexers stand at the same bytes in the same state. No literal's own bytes are in the generic key or in a limit.
 *
 * The trap is what looks at a literal's bytes all the same: `plain` asks whether a string could be the name set_config.
 */
#include "dataplane/inspect/postgres/like.h"

#include "platform/base/limits.h"

#define SET_CONFIG_BYTES 10u

static size_t digits_at(struct bytes text, size_t at)
{
	size_t len = 0;

	while (at + len < text.len && text.base[at + len] >= '0' && text.base[at + len] <= '9')
		len++;
	return len;
}

/* '...' without a quote, a backslash, a NUL or a line break, and not as long as the name that is looked for; 0: none. */
static size_t string_at(struct bytes text, size_t at)
{
	for (size_t i = at + 1; i < text.len; i++) {
		uint8_t c = text.base[i];

		if (c == '\'')
			return i - at - 1 == SET_CONFIG_BYTES ? 0 : i + 1 - at;
		if (c == '\\' || c == 0 || c == '\n' || c == '\r')
			return 0;
	}
	return 0;
}

static size_t literal_at(struct bytes text, size_t at)
{
	return at < text.len && text.base[at] == '\'' ? string_at(text, at) : digits_at(text, at);
}

static bool same_bytes(struct bytes text, size_t at, const uint8_t *from, size_t len)
{
	return len <= text.len - at && memcmp(text.base + at, from, len) == 0;
}

static bool is_like(const struct pg_like_text *k, struct bytes text)
{
	size_t at = 0, from = 0;

	for (unsigned i = 0; i < k->literals.count; i++) {
		const struct pg_literal *l = &k->literals.literal[i];
		size_t len;

		if (!same_bytes(text, at, k->text + from, l->at - from))
			return false;
		at += l->at - from;
		from = (size_t)l->at + l->len;
		/* Of the same kind: a quote, or none, as here. */
		if (at == text.len || (text.base[at] == '\'') != (k->text[l->at] == '\''))
			return false;
		len = literal_at(text, at);
		if (len == 0)
			return false;
		at += len;
	}
	return text.len - at == k->len - from && same_bytes(text, at, k->text + from, k->len - from);
}

/* Only the places of literals that may be others are kept. */
static void keep(struct pg_like *like, struct bytes text, const struct pg_literals *literals, const struct pg_lex_summary *lex)
{
	struct pg_like_text *k = &like->kept[like->next];

	like->last = like->next;
	like->next = (uint8_t)((like->next + 1) % PG_LIKE_TEXTS);
	k->len = (uint16_t)text.len;
	k->lex = *lex;
	k->literals.count = 0;
	memcpy(k->text, text.base, text.len);
	for (unsigned i = 0; i < literals->count; i++)
		if (literal_at(text, literals->literal[i].at) == literals->literal[i].len)
			k->literals.literal[k->literals.count++] = literals->literal[i];
}

bool pg_like_scan(struct pg_like *like, struct bytes text, struct hash_key key, struct pg_lex_summary *out)
{
	struct pg_literals literals = { 0 };
	bool good;

	for (unsigned i = 0; i < PG_LIKE_TEXTS && text.len <= LIMIT_STATEMENT_BYTES; i++) {
		unsigned at = (like->last + i) % PG_LIKE_TEXTS;

		if (!like->kept[at].len || !is_like(&like->kept[at], text))
			continue;
		like->last = (uint8_t)at;
		*out = like->kept[at].lex;
		out->exact = hash128(key, text.base, text.len);
		return true;
	}
	good = pg_lex_scan_noting(text, key, out, &literals);
	if (good && text.len && text.len <= PG_LIKE_BYTES)
		keep(like, text, &literals, out);
	return good;
}
