/* env.h: the common table expressions that are visible at a point of a statement.
 *
 * A linked list, innermost first; entries never change (but for the memo of what was found out about them), so a
 * subquery keeps the list it was parsed under. The rules are the server's: without RECURSIVE an expression sees the
 * earlier ones of its WITH, so `WITH users AS (SELECT * FROM users)` reads the table; with RECURSIVE all of them.
 */
#ifndef CONTROL_SQLPARSE_ENV_H
#define CONTROL_SQLPARSE_ENV_H

#include "control/sqlparse/arena.h"
#include "control/sqlparse/tree.h"

struct columns;

struct env {
	struct env *outer;
	const PgQuery__CommonTableExpr *cte;
	struct env *inside;      /* what its own query sees */
	bool recursive;
	/* memo */
	struct columns *columns; /* while it is being worked out: what is known so far of a recursive one */
	bool columns_done, columns_busy;
	bool unbounded, unbounded_done, unbounded_busy;
};

/* `outer` extended by the expressions of `with` (may be NULL). */
struct env *env_with(struct arena *a, struct env *outer, const PgQuery__WithClause *with);

/* The expression that the relation's name stands for, NULL when it is a real relation. */
struct env *env_find(struct env *env, const PgQuery__RangeVar *r);

/* The WITH of a SELECT, INSERT, UPDATE, DELETE or MERGE; NULL without one. */
const PgQuery__WithClause *env_clause(const ProtobufCMessage *statement);

#endif
