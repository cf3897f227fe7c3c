/* Any text: no overrun; the canonical text is a fixed point, has the same tokens, and the caps hold. What is taken for like a text that was
 * read before is what the lexer says of it. */
#include <assert.h>
#include <stdlib.h>

#include "dataplane/inspect/postgres/like.h"
#include "platform/base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first half, then the second: of two texts that are nearly the same there are many, once the fuzzer has found one. */
static void try_like(struct bytes text, struct hash_key key)
{
	static struct pg_like like;
	struct pg_lex_summary s, t;

	for (size_t half = 0; half < 2; half++) {
		struct bytes part = bytes_of(text.base + half * (text.len / 2), text.len / 2);
		bool good = pg_lex_scan(part, key, &s);

		assert(pg_like_scan(&like, part, key, &t) == good);
		assert(!good || (s.exact.lo == t.exact.lo && s.generic.hi == t.generic.hi && s.generic.lo == t.generic.lo && s.tokens == t.tokens &&
				 s.statements == t.statements && s.literals == t.literals && s.nesting == t.nesting && s.plain == t.plain));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t once[2 * LIMIT_STATEMENT_BYTES], twice[2 * LIMIT_STATEMENT_BYTES];
	struct hash_key key = { 3, 4 };
	struct pg_lex_summary s, t;
	struct writer w = writer_of(once, sizeof once), v = writer_of(twice, sizeof twice);
	bool good = pg_lex_scan(bytes_of(data, size), key, &s);

	try_like(bytes_of(data, size), key);
	if (!good || !pg_lex_canonical(bytes_of(data, size), &w))
		return 0;
	assert(pg_lex_scan(writer_done(&w), key, &t));
	assert(t.tokens == s.tokens && t.nesting == s.nesting && t.statements == s.statements);
	assert(pg_lex_canonical(writer_done(&w), &v));
	assert(bytes_equal(writer_done(&w), writer_done(&v)));
	v = writer_of(twice, sizeof twice);
	assert(pg_lex_normalised(bytes_of(data, size), &v));
	return 0;
}
