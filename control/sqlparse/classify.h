/* classify.h: what a text of SQL does, as a classification (platform/contract/classification.h).
 *
 * A pure function of the text: no catalogue, no settings, no state; names are as written and folded. What it cannot
 * tell it calls unknown, never harmless. It runs libpg_query (the grammar of PostgreSQL 15) on hostile text: only in
 * sluice-sqlparse and in tests, on a thread with SQLPARSE_STACK_BYTES of stack. Not for two threads at a time.
 *
 * How the contract's words are used here, where the contract leaves it open:
 * - Objects are as written: [name], [schema, name] or [database, schema, name]; an unqualified pg_* is [pg_catalog, pg_*].
 *   Names of CTEs are no objects. `select` names what is read, also inside other statements.
 * - COPY relation TO: copy-out and select of the relation. COPY (query) TO: the query's accesses and copy-out of each
 *   relation it reads. A server file as source: also call of pg_catalog.pg_read_file; as target: flag writes-file.
 *   PROGRAM: copy-program with the command as OBJECT_OTHER (cut to 255 bytes).
 * - A function outside functions.def: access call and flag calls-unknown-function, and TAINT_ALL for what it returns;
 *   likewise an operator that PostgreSQL does not ship. A function that runs SQL text given to it: also access and flag dynamic.
 * - FETCH, EXECUTE: one target TAINT_ALL with no relation: whoever keeps the names of cursors and prepared statements
 *   must put in what DECLARE or PREPARE said of that name. DECLARE, PREPARE and EXPLAIN ANALYZE carry the
 *   accesses and flags of the inner statement, DECLARE and PREPARE also its targets.
 * - Targets of CREATE TABLE AS, SELECT INTO and CREATE VIEW tell what flows into the new relation; no row is sent.
 * - A list of exactly one target TAINT_ALL beside a result of several columns stands for all of them; so does any
 *   list whose length does not fit the result and that has no single TAINT_STAR to stretch.
 * - A text without a statement (comments, semicolons) is one statement: select of nothing.
 * - A DO block carries what its body does; with code that is not constant it has access and flag dynamic.
 */
#ifndef CONTROL_SQLPARSE_CLASSIFY_H
#define CONTROL_SQLPARSE_CLASSIFY_H

#include "control/sqlparse/wire.h"
#include "platform/base/bytes.h"

#define SQLPARSE_STACK_BYTES (256u << 20)

struct sqlparse_answer {
	bool known;
	const char *why;             /* static, when not known */
	struct bytes classification; /* in `into`, when known */
};

/* `cap` should be SQLPARSE_ENCODED_BYTES; less makes larger answers unknown. */
struct sqlparse_answer sqlparse_classify(struct bytes text, enum sqlparse_dialect dialect, void *into, size_t cap);

#endif
