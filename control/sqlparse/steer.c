/* Expressions. The trap: a value that is shown may still decide. CASE, NULLIF and a regular expression that does not match
 * choose between a mask and NULL, a cast fails or does not, an aggregate counts: so what is not known to be total
 * (total.def, and the few constructions below) counts with every column that is in it. */
#include "control/sqlparse/steer.h"

#include <stdlib.h>
#include <string.h>

#include "control/sqlparse/functions.h"

void steer_add(struct steer *t, struct taint_set columns)
{
	t->found = taint_union(t->arena, t->found, columns);
}

struct gather {
	struct steer *steer;
	struct scope *scope;
};

static void gather(void *context, const ProtobufCMessage *m);

static void gather_query(struct gather *g, const ProtobufCMessage *query, bool shown)
{
	struct columns c = steer_query(g->steer, query, g->scope->env, g->scope, false);

	if (shown)
		steer_add(g->steer, columns_union(g->steer->arena, &c));
}

static void gather_sublink(struct gather *g, const PgQuery__SubLink *l)
{
	if (l->testexpr)
		gather(g, tree_of(l->testexpr));
	gather_query(g, tree_of(l->subselect), l->sub_link_type != PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK);
}

/* The entry of FROM that a name alone stands for, when it is a relation: (t).c and t.* are about it. */
static struct item *relation_named(struct scope *s, const ProtobufCMessage *m, size_t fields)
{
	const PgQuery__ColumnRef *ref = TREE_AS(m, ColumnRef, column_ref);
	const char *name = ref && ref->n_fields == fields ? tree_string(ref->fields[0]) : NULL;
	struct item *i = name ? scope_item(s, NULL, name) : NULL;

	return i && i->kind == ITEM_RELATION ? i : NULL;
}

static void gather_column(struct gather *g, const PgQuery__ColumnRef *ref)
{
	bool star = ref->n_fields > 0 && TREE_IS(tree_of(ref->fields[ref->n_fields - 1]), a__star);
	struct item *row = star ? relation_named(g->scope, (const ProtobufCMessage *)ref, 2) : NULL;
	struct columns all = { 0 };

	if (row) {
		steer_add(g->steer, item_row(g->steer->arena, row));
	} else if (star && ref->n_fields == 1) {
		scope_expand(g->scope, &all);
		steer_add(g->steer, columns_union(g->steer->arena, &all));
	} else {
		steer_add(g->steer, scope_lookup(g->scope, ref));
	}
}

static void gather_indirection(struct gather *g, const PgQuery__AIndirection *i)
{
	struct item *row = relation_named(g->scope, tree_of(i->arg), 1);
	const char *field = i->n_indirection > 0 ? tree_string(i->indirection[0]) : NULL;

	if (!row || !field || row->n_renamed > 0 || function_takes_row(field)) {
		tree_children((const ProtobufCMessage *)i, gather, g);
		return;
	}
	steer_add(g->steer, taint_one(g->steer->arena, row->relation, field));
	steer_add(g->steer, taint_one(g->steer->arena, NULL, row->name)); /* it may be a column of this name */
	for (size_t n = 1; n < i->n_indirection; n++)
		gather(g, tree_of(i->indirection[n]));
}

static void gather(void *context, const ProtobufCMessage *m)
{
	struct gather *g = context;

	if (!m)
		return;
	if (TREE_IS(m, column_ref))
		gather_column(g, (const PgQuery__ColumnRef *)m);
	else if (TREE_IS(m, sub_link))
		gather_sublink(g, (const PgQuery__SubLink *)m);
	else if (TREE_IS(m, select_stmt))
		gather_query(g, m, true);
	else if (TREE_IS(m, a__indirection))
		gather_indirection(g, (const PgQuery__AIndirection *)m);
	else
		tree_children(m, gather, g);
}

void steer_by(struct steer *t, struct scope *s, const ProtobufCMessage *expression)
{
	struct gather g = { .steer = t, .scope = s };

	gather(&g, expression);
}

void steer_by_list(struct steer *t, struct scope *s, PgQuery__Node *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		steer_by(t, s, tree_of(list[i]));
}

void steer_values(struct steer *t, struct scope *s, PgQuery__Node *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		steer_value(t, s, tree_of(list[i]));
}

enum total { TOTAL_NONE, TOTAL_ALL, TOTAL_FIRST };

static const struct total_function {
	const char *name;
	enum total arguments;
} totals[] = {
#define TOTAL(name, arguments) { name, TOTAL_##arguments },
#include "control/sqlparse/total.def"
#undef TOTAL
};

static int by_name(const void *key, const void *entry)
{
	return strcmp(key, *(const char *const *)entry);
}

static bool is_integer(const ProtobufCMessage *m)
{
	const PgQuery__AConst *c = TREE_AS(m, AConst, a__const);

	return c && c->val_case == PG_QUERY__A__CONST__VAL_IVAL;
}

/* An aggregate, a window function, a user's function, and substring with a pattern (which gives NULL where it does not fit) are
 * not total. */
static enum total totality(const PgQuery__FuncCall *f)
{
	const char *names[2];
	unsigned count = tree_names(f->funcname, f->n_funcname, names, 2);
	const struct total_function *at;

	if (count == 0 || (count == 2 && strcmp(names[0], "pg_catalog") != 0) || f->over || f->agg_filter || f->agg_distinct || f->agg_star ||
	    f->agg_within_group || f->n_agg_order > 0 || f->func_variadic)
		return TOTAL_NONE;
	at = bsearch(names[count - 1], totals, sizeof totals / sizeof *totals, sizeof *totals, by_name);
	if (!at || (strcmp(at->name, "length") == 0 && f->n_args > 1)) /* length(bytes, encoding) fails on bytes */
		return TOTAL_NONE;
	if (strcmp(at->name, "substring") != 0)
		return at->arguments;
	for (size_t i = 1; i < f->n_args; i++)
		if (!is_integer(tree_of(f->args[i])))
			return TOTAL_NONE;
	return f->n_args < 2 ? TOTAL_NONE : at->arguments;
}

static void value_call(struct steer *t, struct scope *s, const PgQuery__FuncCall *f)
{
	enum total total = totality(f);
	size_t values = total == TOTAL_ALL ? f->n_args : total == TOTAL_FIRST && f->n_args > 0 ? 1 : 0;

	if (total == TOTAL_NONE) {
		steer_by(t, s, (const ProtobufCMessage *)f);
		return;
	}
	steer_values(t, s, f->args, values);
	steer_by_list(t, s, f->args + values, f->n_args - values);
}

/* The conditions decide, the results are shown. */
static void value_case(struct steer *t, struct scope *s, const PgQuery__CaseExpr *c)
{
	steer_by(t, s, tree_of(c->arg));
	for (size_t i = 0; i < c->n_args; i++) {
		const ProtobufCMessage *m = tree_of(c->args[i]);
		const PgQuery__CaseWhen *when = TREE_AS(m, CaseWhen, case_when);

		if (!when)
			continue;
		steer_by(t, s, tree_of(when->expr));
		steer_value(t, s, tree_of(when->result));
	}
	steer_value(t, s, tree_of(c->defresult));
}

/* a || 'text' || b: the word for concat, as long as a literal says that it is about text. */
static bool is_concatenation(const ProtobufCMessage *m)
{
	const PgQuery__AExpr *e = TREE_AS(m, AExpr, a__expr);

	if (!e || e->kind != PG_QUERY__A__EXPR__KIND__AEXPR_OP || e->n_name != 1 || !e->lexpr || strcmp(tree_string(e->name[0]), "||") != 0)
		return false;
	for (const PgQuery__Node *const *side = (const PgQuery__Node *const[]){ e->lexpr, e->rexpr, NULL }; *side; side++) {
		const ProtobufCMessage *operand = tree_of(*side);
		const PgQuery__AConst *c = TREE_AS(operand, AConst, a__const);

		if ((c && c->val_case == PG_QUERY__A__CONST__VAL_SVAL) || is_concatenation(operand))
			return true;
	}
	return false;
}

static void value_sublink(struct steer *t, struct scope *s, const PgQuery__SubLink *l)
{
	switch (l->sub_link_type) {
	case PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK: case PG_QUERY__SUB_LINK_TYPE__ARRAY_SUBLINK: case PG_QUERY__SUB_LINK_TYPE__MULTIEXPR_SUBLINK:
		(void)steer_query(t, tree_of(l->subselect), s->env, s, false);
		break;
	default:
		steer_by(t, s, (const ProtobufCMessage *)l);
		break;
	}
}

/* (composite).field is its field; a subscript gives NULL out of range. */
static bool only_fields(const PgQuery__AIndirection *i)
{
	for (size_t n = 0; n < i->n_indirection; n++)
		if (!tree_string(i->indirection[n]) && !TREE_IS(tree_of(i->indirection[n]), a__star))
			return false;
	return true;
}

static void value_visit(void *context, const ProtobufCMessage *m)
{
	struct gather *g = context;

	steer_value(g->steer, g->scope, m);
}

/* Constructions that only put values together or hand them on. */
static bool is_constructor(const ProtobufCMessage *m)
{
	return TREE_IS(m, res_target) || TREE_IS(m, coalesce_expr) || TREE_IS(m, row_expr) || TREE_IS(m, a__array_expr) || TREE_IS(m, list) ||
	       TREE_IS(m, collate_clause) || TREE_IS(m, multi_assign_ref) || is_concatenation(m);
}

void steer_value(struct steer *t, struct scope *s, const ProtobufCMessage *m)
{
	const PgQuery__AIndirection *i = TREE_AS(m, AIndirection, a__indirection);
	struct gather g = { .steer = t, .scope = s };

	if (!m || TREE_IS(m, column_ref))
		return;
	if (is_constructor(m))
		tree_children(m, value_visit, &g);
	else if (TREE_IS(m, func_call))
		value_call(t, s, (const PgQuery__FuncCall *)m);
	else if (TREE_IS(m, case_expr))
		value_case(t, s, (const PgQuery__CaseExpr *)m);
	else if (TREE_IS(m, sub_link))
		value_sublink(t, s, (const PgQuery__SubLink *)m);
	else if (i && only_fields(i))
		steer_value(t, s, tree_of(i->arg));
	else
		steer_by(t, s, m);
}
