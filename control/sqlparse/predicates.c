/* Clauses. Each query opens its scope once; what its clauses decide by is added, what its list shows is looked at for what may
 * fail or decide inside it. Definitions that look at every row (constraints, indexes, conversions) decide by the whole row. */
#include "control/sqlparse/predicates.h"

#include <string.h>

#include "control/sqlparse/steer.h"

static void visit_from(struct steer *t, struct scope *s, const ProtobufCMessage *from);

static void add_output(struct steer *t, const struct columns *out)
{
	steer_add(t, columns_union(t->arena, out));
}

/* ORDER BY 2, GROUP BY 2: a column of the output. */
static bool by_number(struct steer *t, const struct columns *out, const ProtobufCMessage *m)
{
	const PgQuery__AConst *c = TREE_AS(m, AConst, a__const);
	int32_t number;

	if (!c || c->val_case != PG_QUERY__A__CONST__VAL_IVAL)
		return false;
	number = c->ival->ival;
	for (int32_t i = 0; i < number && (unsigned)i < out->count && !out->loose; i++) {
		if (out->list[i].star)
			break;
		if (i + 1 == number) {
			steer_add(t, out->list[i].taint);
			return true;
		}
	}
	add_output(t, out);
	return true;
}

/* A name alone may be one of the output. True when it is that for certain. */
static bool by_output_name(struct steer *t, const struct columns *out, const ProtobufCMessage *m)
{
	const PgQuery__ColumnRef *ref = TREE_AS(m, ColumnRef, column_ref);
	const char *name = ref && ref->n_fields == 1 ? tree_string(ref->fields[0]) : NULL;
	bool certain = false, star = out->loose;

	if (!name)
		return false;
	for (unsigned i = 0; i < out->count; i++) {
		const struct column *c = &out->list[i];

		star |= c->star;
		if (c->star || (c->name && strcmp(c->name, name) != 0))
			continue;
		steer_add(t, c->taint);
		certain |= c->name != NULL;
	}
	return certain && !star;
}

/* An expression of ORDER BY, DISTINCT ON (`output_first`: SQL92 names of the output come first) or GROUP BY. */
static void by_output(struct steer *t, struct scope *s, const struct columns *out, const ProtobufCMessage *m, bool output_first)
{
	bool found;

	if (!m || by_number(t, out, m))
		return;
	found = by_output_name(t, out, m);
	if (!found || !output_first)
		steer_by(t, s, m);
}

static void visit_group(struct steer *t, struct scope *s, const struct columns *out, const ProtobufCMessage *m)
{
	const PgQuery__GroupingSet *set = TREE_AS(m, GroupingSet, grouping_set);
	const PgQuery__RowExpr *row = TREE_AS(m, RowExpr, row_expr);

	for (size_t i = 0; set && i < set->n_content; i++)
		visit_group(t, s, out, tree_of(set->content[i]));
	for (size_t i = 0; row && i < row->n_args; i++)
		visit_group(t, s, out, tree_of(row->args[i]));
	if (!set && !row)
		by_output(t, s, out, m, false);
}

static void visit_order(struct steer *t, struct scope *s, const struct columns *out, const PgQuery__SelectStmt *q)
{
	for (size_t i = 0; i < q->n_sort_clause; i++) {
		const ProtobufCMessage *m = tree_of(q->sort_clause[i]);
		const PgQuery__SortBy *sort = TREE_AS(m, SortBy, sort_by);

		by_output(t, s, out, sort ? tree_of(sort->node) : m, true);
	}
	steer_by(t, s, tree_of(q->limit_offset));
	steer_by(t, s, tree_of(q->limit_count));
}

/* DISTINCT alone is a list of one empty node. */
static void visit_distinct(struct steer *t, struct scope *s, const struct columns *out, const PgQuery__SelectStmt *q)
{
	bool on = false;

	for (size_t i = 0; i < q->n_distinct_clause; i++) {
		on |= tree_of(q->distinct_clause[i]) != NULL;
		by_output(t, s, out, tree_of(q->distinct_clause[i]), true);
	}
	if (q->n_distinct_clause > 0 && !on)
		add_output(t, out);
}

/* UNION ALL puts rows one after another; every other set operation compares them. */
static struct columns set_operation(struct steer *t, const PgQuery__SelectStmt *q, struct env *env, struct scope *outer, bool condition)
{
	struct columns left = steer_query(t, (const ProtobufCMessage *)q->larg, env, outer, condition);
	struct columns right = steer_query(t, (const ProtobufCMessage *)q->rarg, env, outer, condition);
	struct columns out = columns_merge(t->arena, left, &right);
	struct scope none = scope_of(t->arena, env, outer);

	if (q->op != PG_QUERY__SET_OPERATION__SETOP_UNION || !q->all)
		add_output(t, &out);
	visit_order(t, &none, &out, q);
	return out;
}

static void visit_list(struct steer *t, struct scope *s, PgQuery__Node *const *list, size_t count, bool condition)
{
	if (condition)
		steer_by_list(t, s, list, count);
	else
		steer_values(t, s, list, count);
}

static struct columns values_rows(struct steer *t, const PgQuery__SelectStmt *q, struct scope *s, bool condition)
{
	struct columns out = query_columns(t->arena, (const ProtobufCMessage *)q, s->env, s->outer);

	for (size_t i = 0; i < q->n_values_lists; i++) {
		const ProtobufCMessage *m = tree_of(q->values_lists[i]);
		const PgQuery__List *row = TREE_AS(m, List, list);

		visit_list(t, s, row ? row->items : NULL, row ? row->n_items : 0, condition);
	}
	visit_order(t, s, &out, q);
	return out;
}

static struct columns visit_select(struct steer *t, const PgQuery__SelectStmt *q, struct env *env, struct scope *outer, bool condition)
{
	struct scope s = scope_of(t->arena, env, outer);
	struct columns out;

	if (q->larg && q->rarg)
		return set_operation(t, q, env, outer, condition);
	if (q->n_values_lists > 0)
		return values_rows(t, q, &s, condition);
	for (size_t i = 0; i < q->n_from_clause; i++)
		scope_add(&s, tree_of(q->from_clause[i]));
	for (size_t i = 0; i < q->n_from_clause; i++)
		visit_from(t, &s, tree_of(q->from_clause[i]));
	out = scope_columns(&s, q->target_list, q->n_target_list);
	visit_list(t, &s, q->target_list, q->n_target_list, condition);
	steer_by(t, &s, tree_of(q->where_clause));
	for (size_t i = 0; i < q->n_group_clause; i++)
		visit_group(t, &s, &out, tree_of(q->group_clause[i]));
	steer_by(t, &s, tree_of(q->having_clause));
	steer_by_list(t, &s, q->window_clause, q->n_window_clause);
	visit_distinct(t, &s, &out, q);
	visit_order(t, &s, &out, q);
	return out;
}

/* USING and NATURAL compare columns of both sides; which these are, NATURAL does not say. */
static void visit_join(struct steer *t, struct scope *s, const PgQuery__JoinExpr *j)
{
	struct scope sides = scope_of(t->arena, s->env, NULL);

	visit_from(t, s, tree_of(j->larg));
	visit_from(t, s, tree_of(j->rarg));
	steer_by(t, s, tree_of(j->quals));
	if (!j->is_natural && j->n_using_clause == 0)
		return;
	scope_add(&sides, tree_of(j->larg));
	scope_add(&sides, tree_of(j->rarg));
	for (size_t i = 0; i < j->n_using_clause; i++)
		steer_add(t, scope_named(&sides, tree_string(j->using_clause[i]) ? tree_string(j->using_clause[i]) : ""));
	for (struct item *i = sides.first; j->is_natural && i; i = i->next)
		steer_add(t, item_row(t->arena, i));
}

static void visit_from(struct steer *t, struct scope *s, const ProtobufCMessage *from)
{
	const PgQuery__RangeSubselect *q = TREE_AS(from, RangeSubselect, range_subselect);
	const PgQuery__RangeTableSample *sample = TREE_AS(from, RangeTableSample, range_table_sample);

	if (!from || TREE_IS(from, range_var))
		return;
	if (q)
		(void)steer_query(t, tree_of(q->subquery), s->env, q->lateral ? s : s->outer, false);
	else if (TREE_IS(from, join_expr))
		visit_join(t, s, (const PgQuery__JoinExpr *)from);
	else if (sample)
		visit_from(t, s, tree_of(sample->relation));
	if (sample)
		steer_by_list(t, s, sample->args, sample->n_args);
	else if (!q && !TREE_IS(from, join_expr))
		steer_by(t, s, from); /* a function: how many rows, and whether it fails */
}

/* Whether a row is there already tells of the columns by which that is decided; without a list, of all. */
static void visit_conflict(struct steer *t, struct scope *s, const PgQuery__InsertStmt *q)
{
	const PgQuery__OnConflictClause *c = q->on_conflict_clause;

	if (!c)
		return;
	if (!c->infer || c->infer->n_index_elems == 0)
		steer_add(t, taint_one(t->arena, q->relation, ""));
	for (size_t i = 0; c->infer && i < c->infer->n_index_elems; i++) {
		const ProtobufCMessage *m = tree_of(c->infer->index_elems[i]);
		const PgQuery__IndexElem *e = TREE_AS(m, IndexElem, index_elem);

		if (e && *e->name)
			steer_add(t, taint_one(t->arena, q->relation, e->name));
		else
			steer_by(t, s, m);
	}
	if (c->infer)
		steer_by(t, s, tree_of(c->infer->where_clause));
	steer_values(t, s, c->target_list, c->n_target_list);
	steer_by(t, s, tree_of(c->where_clause));
}

static void visit_insert(struct steer *t, struct scope *s, const PgQuery__InsertStmt *q)
{
	(void)steer_query(t, tree_of(q->select_stmt), s->env, NULL, false);
	visit_conflict(t, s, q);
}

static void visit_merge(struct steer *t, struct scope *s, const PgQuery__MergeStmt *q)
{
	scope_add(s, tree_of(q->source_relation));
	visit_from(t, s, tree_of(q->source_relation));
	steer_by(t, s, tree_of(q->join_condition));
	for (size_t i = 0; i < q->n_merge_when_clauses; i++) {
		const ProtobufCMessage *m = tree_of(q->merge_when_clauses[i]);
		const PgQuery__MergeWhenClause *when = TREE_AS(m, MergeWhenClause, merge_when_clause);

		if (!when)
			continue;
		steer_by(t, s, tree_of(when->condition));
		steer_values(t, s, when->target_list, when->n_target_list);
		steer_values(t, s, when->values, when->n_values);
	}
}

/* INSERT, UPDATE, DELETE, MERGE. What is set flows into a column, as what is selected flows into a row. */
static struct columns visit_change(struct steer *t, const ProtobufCMessage *m, struct env *env, struct scope *outer)
{
	struct scope s = scope_of(t->arena, env, outer);
	const ProtobufCMessage *target = tree_field_message(m, "relation");
	PgQuery__Node *const *from = NULL, *const *list = NULL;
	size_t count = tree_field_list(m, TREE_IS(m, update_stmt) ? "from_clause" : "using_clause", &from), returned;

	if (TREE_IS(target, range_var))
		scope_add_relation(&s, (const PgQuery__RangeVar *)target);
	for (size_t i = 0; i < count; i++)
		scope_add(&s, tree_of(from[i]));
	for (size_t i = 0; i < count; i++)
		visit_from(t, &s, tree_of(from[i]));
	if (TREE_IS(m, insert_stmt))
		visit_insert(t, &s, (const PgQuery__InsertStmt *)m);
	else if (TREE_IS(m, merge_stmt))
		visit_merge(t, &s, (const PgQuery__MergeStmt *)m);
	steer_by(t, &s, tree_field_message(m, "where_clause"));
	if (TREE_IS(m, update_stmt))
		steer_values(t, &s, ((const PgQuery__UpdateStmt *)m)->target_list, ((const PgQuery__UpdateStmt *)m)->n_target_list);
	returned = tree_field_list(m, "returning_list", &list);
	steer_values(t, &s, list, returned);
	return scope_columns(&s, list, returned);
}

static bool is_query(const ProtobufCMessage *m)
{
	return TREE_IS(m, select_stmt) || TREE_IS(m, insert_stmt) || TREE_IS(m, update_stmt) || TREE_IS(m, delete_stmt) || TREE_IS(m, merge_stmt);
}

struct columns steer_query(struct steer *t, const ProtobufCMessage *m, struct env *env, struct scope *outer, bool condition)
{
	struct env *inner;

	if (!is_query(m))
		return (struct columns){ .loose = true };
	inner = env_with(t->arena, env, env_clause(m));
	for (struct env *e = inner; e != env; e = e->outer) {
		struct columns c = steer_query(t, tree_of(e->cte->ctequery), e->inside, NULL, condition);

		if (e->cte->cycle_clause) /* compares rows */
			add_output(t, &c);
	}
	if (TREE_IS(m, select_stmt))
		return visit_select(t, (const PgQuery__SelectStmt *)m, inner, outer, condition);
	return visit_change(t, m, inner, outer);
}

struct top {
	struct steer steer;
	bool condition;
};

static void visit_relation(struct steer *t, const ProtobufCMessage *m)
{
	const ProtobufCMessage *relation = tree_field_message(m, "relation");

	if (TREE_IS(relation, range_var))
		steer_add(t, taint_one(t->arena, (const PgQuery__RangeVar *)relation, ""));
}

/* Anything above queries. A column in a definition may be one of anything. */
static void visit_any(void *context, const ProtobufCMessage *m)
{
	struct top *t = context;

	if (is_query(m))
		(void)steer_query(&t->steer, m, NULL, NULL, t->condition);
	else if (TREE_IS(m, column_ref))
		t->steer.found.all = true;
	else if (!TREE_IS(m, create_stmt)) /* what it checks is not there yet */
		tree_children(m, visit_any, t);
	if (TREE_IS(m, alter_table_stmt) || TREE_IS(m, index_stmt))
		visit_relation(&t->steer, m);
}

void predicates_add(struct arena *a, const ProtobufCMessage *statement, bool condition, struct taint_set *into)
{
	struct top t = { .steer = { .arena = a, .found = *into }, .condition = condition };

	if (statement)
		visit_any(&t, statement);
	*into = t.steer.found;
}
