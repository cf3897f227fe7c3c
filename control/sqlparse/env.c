#include "control/sqlparse/env.h"

#include <string.h>

struct env *env_with(struct arena *a, struct env *outer, const PgQuery__WithClause *with)
{
	struct env *env = outer;

	for (size_t i = 0; with && i < with->n_ctes; i++) {
		const ProtobufCMessage *m = tree_of(with->ctes[i]);
		struct env *e;

		if (!TREE_IS(m, common_table_expr))
			continue;
		e = arena_alloc(a, 1, sizeof *e);
		e->cte = (const PgQuery__CommonTableExpr *)m;
		e->outer = e->inside = env;
		e->recursive = with->recursive;
		env = e;
	}
	if (with && with->recursive)
		for (struct env *e = env; e != outer; e = e->outer)
			e->inside = env;
	return env;
}

struct env *env_find(struct env *env, const PgQuery__RangeVar *r)
{
	if (*r->schemaname || *r->catalogname)
		return NULL;
	for (; env; env = env->outer)
		if (strcmp(env->cte->ctename, r->relname) == 0)
			return env;
	return NULL;
}

const PgQuery__WithClause *env_clause(const ProtobufCMessage *statement)
{
	const ProtobufCMessage *m = tree_field_message(statement, "with_clause");

	return TREE_AS(m, WithClause, with_clause);
}
