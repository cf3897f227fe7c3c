/* Any text of up to 4 KB: no crash of our own, and what is known is well-formed and judged the same in canonical form. */
#include <assert.h>
#include <stdlib.h>

#include "control/sqlparse/classify.h"
#include "dataplane/inspect/postgres/lex.h"
#include "platform/contract/classification.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:pg_query_raw_parse\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t first[SQLPARSE_ENCODED_BYTES], second[SQLPARSE_ENCODED_BYTES], canonical[8192];
	struct writer w = writer_of(canonical, sizeof canonical);
	struct sqlparse_answer a, b;
	struct classification x, y;

	if (size > 4096)
		return 0;
	a = sqlparse_classify(bytes_of(data, size), SQLPARSE_POSTGRES, first, sizeof first);
	if (!a.known)
		return 0;
	assert(classification_open(a.classification, &x));
	assert(pg_lex_canonical(bytes_of(data, size), &w));
	b = sqlparse_classify(writer_done(&w), SQLPARSE_POSTGRES, second, sizeof second);
	assert(b.known && classification_open(b.classification, &y));
	assert(bytes_equal(bytes_of(x.statement_bytes.at, x.statement_bytes.left), bytes_of(y.statement_bytes.at, y.statement_bytes.left)));
	assert(x.generic == y.generic);
	return 0;
}
