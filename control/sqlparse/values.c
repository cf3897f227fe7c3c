/* What flows out of an expression: everything that is in it, but for what only steers or counts. */
#include "control/sqlparse/functions.h"
#include "control/sqlparse/scope.h"

#include <string.h>

struct gather {
	struct scope *scope;
	struct taint_set taint;
};

static void gather(void *context, const ProtobufCMessage *m);

static void add(struct gather *g, struct taint_set t)
{
	g->taint = taint_union(g->scope->arena, g->taint, t);
}

static void add_all(struct gather *g)
{
	g->taint.all = true;
}

static void gather_call(struct gather *g, const PgQuery__FuncCall *f)
{
	const char *names[2];
	unsigned count = tree_names(f->funcname, f->n_funcname, names, 2);
	bool ours = count == 1 || (count == 2 && strcmp(names[0], "pg_catalog") == 0);
	const char *name = count ? names[count - 1] : "";

	if (!ours || !function_is_harmless(name)) {
		add_all(g);
		return;
	}
	if (strcmp(name, "count") == 0) { /* a number of rows is no value of a column; its filter may be an oracle */
		if (f->agg_filter)
			gather(g, tree_of(f->agg_filter));
		return;
	}
	tree_children((const ProtobufCMessage *)f, gather, g);
}

static void gather_sublink(struct gather *g, const PgQuery__SubLink *l)
{
	struct columns c;

	if (l->testexpr)
		gather(g, tree_of(l->testexpr));
	if (l->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXISTS_SUBLINK)
		return;
	c = query_columns(g->scope->arena, tree_of(l->subselect), g->scope->env, g->scope);
	add(g, columns_union(g->scope->arena, &c));
}

/* (t).column and (composite).field; everything else is its operand and its subscripts. */
static void gather_indirection(struct gather *g, const PgQuery__AIndirection *i)
{
	const PgQuery__ColumnRef *ref = TREE_AS(tree_of(i->arg), ColumnRef, column_ref);
	const char *row = ref && ref->n_fields == 1 ? tree_string(ref->fields[0]) : NULL;
	const char *field = i->n_indirection > 0 ? tree_string(i->indirection[0]) : NULL;
	struct item *item = row ? scope_item(g->scope, NULL, row) : NULL;

	if (item && item->kind == ITEM_RELATION && item->n_renamed == 0 && field && !function_takes_row(field)) {
		add(g, taint_one(g->scope->arena, item->relation, field));
		add(g, taint_one(g->scope->arena, NULL, row)); /* it may be a column of this name */
		for (size_t n = 1; n < i->n_indirection; n++)
			gather(g, tree_of(i->indirection[n]));
		return;
	}
	tree_children((const ProtobufCMessage *)i, gather, g);
}

static void gather(void *context, const ProtobufCMessage *m)
{
	struct gather *g = context;
	const PgQuery__AExpr *e = TREE_AS(m, AExpr, a__expr);

	if (!m)
		return;
	if (TREE_IS(m, column_ref)) {
		add(g, scope_lookup(g->scope, (const PgQuery__ColumnRef *)m));
	} else if (TREE_IS(m, func_call)) {
		gather_call(g, (const PgQuery__FuncCall *)m);
	} else if (TREE_IS(m, sub_link)) {
		gather_sublink(g, (const PgQuery__SubLink *)m);
	} else if (TREE_IS(m, select_stmt)) {
		struct columns c = query_columns(g->scope->arena, m, g->scope->env, g->scope);

		add(g, columns_union(g->scope->arena, &c));
	} else if (TREE_IS(m, a__indirection)) {
		gather_indirection(g, (const PgQuery__AIndirection *)m);
	} else if (TREE_IS(m, a__star)) {
		add_all(g);
	} else {
		if (e && e->n_name > 1)
			add_all(g);
		else if (e && e->n_name == 1 && e->kind <= PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL && !operator_is_builtin(tree_string(e->name[0])))
			add_all(g);
		tree_children(m, gather, g);
	}
}

struct taint_set value_taint(struct scope *s, const ProtobufCMessage *expression)
{
	struct gather g = { .scope = s };

	gather(&g, expression);
	return g.taint;
}
