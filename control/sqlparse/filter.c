#include "control/sqlparse/filter.h"

#include "control/sqlparse/functions.h"

static void look_for_column(void *context, const ProtobufCMessage *m)
{
	bool *found = context;

	if (TREE_IS(m, column_ref) || TREE_IS(m, current_of_expr))
		*found = true;
	if (!*found)
		tree_children(m, look_for_column, found);
}

static bool all_arms(const PgQuery__BoolExpr *b)
{
	for (size_t i = 0; i < b->n_args; i++)
		if (!filter_selects(tree_of(b->args[i])))
			return false;
	return b->n_args > 0;
}

static bool any_arm(const PgQuery__BoolExpr *b)
{
	for (size_t i = 0; i < b->n_args; i++)
		if (filter_selects(tree_of(b->args[i])))
			return true;
	return false;
}

bool filter_selects(const ProtobufCMessage *condition)
{
	const PgQuery__BoolExpr *b = TREE_AS(condition, BoolExpr, bool_expr);
	const PgQuery__AExpr *e = TREE_AS(condition, AExpr, a__expr);
	bool found = false;

	if (!condition)
		return false;
	if (b)
		return b->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR ? any_arm(b) : all_arms(b);
	if (e && tree_equal(tree_of(e->lexpr), tree_of(e->rexpr)))
		return false;
	look_for_column(&found, condition);
	return found;
}

static bool limits(const ProtobufCMessage *count)
{
	const PgQuery__AConst *c;

	while (TREE_IS(count, type_cast))
		count = tree_of(((const PgQuery__TypeCast *)count)->arg);
	c = TREE_AS(count, AConst, a__const);
	return TREE_IS(count, param_ref) || (c && !c->isnull);
}

/* `*aggregates` counts what makes the whole result one row. */
static bool is_bounded_value(const ProtobufCMessage *m, unsigned *aggregates)
{
	const PgQuery__FuncCall *f = TREE_AS(m, FuncCall, func_call);
	const PgQuery__CoalesceExpr *c = TREE_AS(m, CoalesceExpr, coalesce_expr);
	const PgQuery__AExpr *e = TREE_AS(m, AExpr, a__expr);

	if (!m || TREE_IS(m, a__const) || TREE_IS(m, param_ref))
		return true;
	if (TREE_IS(m, type_cast))
		return is_bounded_value(tree_of(((const PgQuery__TypeCast *)m)->arg), aggregates);
	if (c) {
		for (size_t i = 0; i < c->n_args; i++)
			if (!is_bounded_value(tree_of(c->args[i]), aggregates))
				return false;
		return true;
	}
	if (e)
		return is_bounded_value(tree_of(e->lexpr), aggregates) && is_bounded_value(tree_of(e->rexpr), aggregates);
	if (f && !f->over && f->n_funcname == 1 && function_is_bounded_aggregate(tree_string(f->funcname[0]))) {
		++*aggregates;
		return true;
	}
	return false;
}

static bool is_one_row(const PgQuery__SelectStmt *s)
{
	unsigned aggregates = 0;

	for (size_t i = 0; i < s->n_target_list; i++) {
		const ProtobufCMessage *m = tree_of(s->target_list[i]);
		const PgQuery__ResTarget *t = TREE_AS(m, ResTarget, res_target);

		if (!t || !is_bounded_value(tree_of(t->val), &aggregates))
			return false;
	}
	return aggregates > 0 && s->n_group_clause == 0;
}

static bool source_is_unbounded(const ProtobufCMessage *m, struct env *env, struct arena *a)
{
	const PgQuery__RangeVar *r = TREE_AS(m, RangeVar, range_var);
	const PgQuery__JoinExpr *j = TREE_AS(m, JoinExpr, join_expr);
	const PgQuery__RangeSubselect *q = TREE_AS(m, RangeSubselect, range_subselect);
	struct env *e = r ? env_find(env, r) : NULL;

	if (j)
		return source_is_unbounded(tree_of(j->larg), env, a) || source_is_unbounded(tree_of(j->rarg), env, a);
	if (q)
		return filter_is_unbounded(tree_of(q->subquery), env, a);
	if (r && !e)
		return true;
	if (e && !e->unbounded_done && !e->unbounded_busy) {
		e->unbounded_busy = true;
		e->unbounded = filter_is_unbounded(tree_of(e->cte->ctequery), e->inside, a);
		e->unbounded_done = true;
	}
	if (e)
		return e->unbounded;
	/* XMLTABLE and functions make their rows from their arguments; TABLESAMPLE still grows with its relation. */
	return TREE_IS(m, range_table_sample);
}

bool filter_is_unbounded(const ProtobufCMessage *query, struct env *env, struct arena *a)
{
	const PgQuery__SelectStmt *s = TREE_AS(query, SelectStmt, select_stmt);

	if (!query)
		return false;
	env = env_with(a, env, env_clause(query));
	if (!s) { /* INSERT, UPDATE or DELETE with RETURNING as a source */
		const ProtobufCMessage *where = tree_field_message(query, "where_clause");

		return TREE_IS(query, insert_stmt) ? false : !filter_selects(where);
	}
	if (limits(tree_of(s->limit_count)))
		return false;
	if (s->larg || s->rarg)
		return filter_is_unbounded((const ProtobufCMessage *)s->larg, env, a) ||
		       filter_is_unbounded((const ProtobufCMessage *)s->rarg, env, a);
	if (filter_selects(tree_of(s->where_clause)) || is_one_row(s))
		return false;
	for (size_t i = 0; i < s->n_from_clause; i++)
		if (source_is_unbounded(tree_of(s->from_clause[i]), env, a))
			return true;
	return false;
}
