/* functions.h: which functions and operators are PostgreSQL's own and harmless, and which run text as SQL. */
#ifndef CONTROL_SQLPARSE_FUNCTIONS_H
#define CONTROL_SQLPARSE_FUNCTIONS_H

#include <stdbool.h>

/* In functions.def. `name` as folded, without schema. */
bool function_is_harmless(const char *name);

/* Runs SQL text, or reads relations named by a value: query_to_xml, ts_stat, crosstab, dblink … */
bool function_runs_text(const char *name);

/* Writes a file of the server: lo_export … */
bool function_writes_file(const char *name);

/* Takes a whole row, so that PostgreSQL reads `t.name` as `name(t)` when t has no such column. */
bool function_takes_row(const char *name);

/* An aggregate whose result does not grow with the rows: count, sum, max … */
bool function_is_bounded_aggregate(const char *name);

/* An operator of pg_catalog. */
bool operator_is_builtin(const char *name);

#endif
