#include "control/sqlparse/functions.h"

#include <stdlib.h>
#include <string.h>

static const char *const harmless[] = {
#define FUNCTION(name) name,
#include "control/sqlparse/functions.def"
#undef FUNCTION
};

/* A trailing * stands for any ending. Sorted for reading only. */
static const char *const runs_text[] = {
	"connectby", "crosstab*", "cursor_to_xml*", "database_to_xml*", "dblink*", "query_to_xml*", "schema_to_xml*", "table_to_xml*",
	"ts_rewrite", "ts_stat", "xpath_table",
};

static const char *const writes_file[] = { "lo_export", "pg_file_*" };

/* From pg_proc: callable with one argument of type record, "any" or a polymorphic type that a row fits. */
static const char *const takes_row[] = {
	"array_agg", "concat", "count", "first_value", "hash_record", "json_agg", "json_build_array",
	"json_build_object", "jsonb_agg", "jsonb_build_array", "jsonb_build_object", "lag", "last_value", "lead", "mode",
	"num_nonnulls", "num_nulls", "pg_collation_for", "pg_column_compression", "pg_column_size", "pg_typeof",
	"quote_literal", "quote_nullable", "record_out", "record_send", "row_to_json", "to_json", "to_jsonb",
};

static const char *const bounded[] = {
	"avg", "bit_and", "bit_or", "bit_xor", "bool_and", "bool_or", "corr", "count", "covar_pop", "covar_samp", "every", "max", "min",
	"stddev", "stddev_pop", "stddev_samp", "sum", "var_pop", "var_samp", "variance",
};

/* pg_operator's names. */
static const char *const operators[] = {
	"!!", "!~", "!~*", "!~~", "!~~*", "#", "##", "#-", "#>", "#>>", "%", "&", "&&", "&<", "&<|", "&>", "*", "*<",
	"*<=", "*<>", "*=", "*>", "*>=", "+", "-", "->", "->>", "-|-", "/", "<", "<->", "<<", "<<=", "<<|", "<=", "<>",
	"<@", "<^", "=", ">", ">=", ">>", ">>=", ">^", "?", "?#", "?&", "?-", "?-|", "?|", "?||", "@", "@-@", "@>", "@?",
	"@@", "@@@", "^", "^@", "|", "|&>", "|/", "|>>", "||", "||/", "~", "~*", "~<=~", "~<~", "~=", "~>=~", "~>~",
	"~~", "~~*",
};

static int compare(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

static bool sorted_has(const char *const *list, size_t count, const char *name)
{
	return bsearch(name, list, count, sizeof *list, compare) != NULL;
}

static bool patterns_have(const char *const *list, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(list[i]);

		if (list[i][len - 1] == '*' ? strncmp(name, list[i], len - 1) == 0 : strcmp(name, list[i]) == 0)
			return true;
	}
	return false;
}

#define COUNT(list) (sizeof(list) / sizeof *(list))

bool function_is_harmless(const char *name) { return sorted_has(harmless, COUNT(harmless), name); }
bool function_runs_text(const char *name) { return patterns_have(runs_text, COUNT(runs_text), name); }
bool function_writes_file(const char *name) { return patterns_have(writes_file, COUNT(writes_file), name); }
bool function_takes_row(const char *name) { return sorted_has(takes_row, COUNT(takes_row), name); }
bool function_is_bounded_aggregate(const char *name) { return sorted_has(bounded, COUNT(bounded), name); }
bool operator_is_builtin(const char *name) { return sorted_has(operators, COUNT(operators), name); }
