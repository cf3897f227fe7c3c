/* Any text: no overrun; the canonical text is a fixed point, has the same tokens, and the caps hold. */
#include <assert.h>
#include <stdlib.h>

#include "dataplane/inspect/postgres/lex.h"
#include "platform/base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t once[2 * LIMIT_STATEMENT_BYTES], twice[2 * LIMIT_STATEMENT_BYTES];
	struct hash_key key = { 3, 4 };
	struct pg_lex_summary s, t;
	struct writer w = writer_of(once, sizeof once), v = writer_of(twice, sizeof twice);
	bool good = pg_lex_scan(bytes_of(data, size), key, &s);

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
