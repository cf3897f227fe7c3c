/* Names to taint. Every lookup is a union over what the name may be: without a catalogue a relation may or may not
 * have the column, so the search goes on outward; only what is certain ends it. */
#include "control/sqlparse/scope.h"

#include <string.h>

#include "control/sqlparse/functions.h"

static const struct taint_set everything = { .all = true };

struct scope scope_of(struct arena *a, struct env *env, struct scope *outer)
{
	return (struct scope){ .outer = outer, .env = env, .arena = a };
}

static struct item *add_item(struct scope *s, enum item_kind kind, const char *name)
{
	struct item *i = arena_alloc(s->arena, 1, sizeof *i);

	i->kind = kind;
	i->name = name;
	if (!s->last)
		s->last = &s->first;
	*s->last = i;
	s->last = &i->next;
	return i;
}

void columns_rename(struct columns *c, PgQuery__Node *const *names, size_t count)
{
	for (size_t n = 0; n < count && !c->loose; n++) {
		if (n >= c->count || c->list[n].star)
			c->loose = true;
		else
			c->list[n].name = tree_string(names[n]);
	}
}

static struct columns copy_of(struct arena *a, const struct columns *c)
{
	struct columns out = { .loose = c->loose };

	for (unsigned i = 0; i < c->count; i++)
		columns_add(a, &out, c->list[i]);
	return out;
}

static void add_query(struct scope *s, const char *name, struct columns columns, const PgQuery__Alias *alias)
{
	struct item *i = add_item(s, ITEM_QUERY, name);

	i->columns = copy_of(s->arena, &columns);
	if (alias)
		columns_rename(&i->columns, alias->colnames, alias->n_colnames);
}

static bool same_size(const struct columns *x, const struct columns *y)
{
	if (x->loose != y->loose || x->count != y->count)
		return false;
	for (unsigned i = 0; i < x->count; i++)
		if (x->list[i].taint.all != y->list[i].taint.all || x->list[i].taint.count != y->list[i].taint.count)
			return false;
	return true;
}

static bool inside_recursion(const struct env *e)
{
	for (; e; e = e->outer)
		if (e->columns_busy && e->recursive)
			return true;
	return false;
}

/* A recursive expression may flow into itself: what is known grows until it stays the same. Sets only grow, so equal
 * sizes are equal sets. Inside another one a single round has to do, or the rounds would multiply. */
static void work_out(struct scope *s, struct env *e)
{
	enum { ROUNDS = 6 };
	struct columns *known = arena_alloc(s->arena, 1, sizeof *known);
	int rounds = inside_recursion(e) ? 1 : ROUNDS;
	bool stable = false;

	e->columns = known;
	e->columns_busy = true;
	for (int round = 0; round < rounds && !stable; round++) {
		struct columns next = query_columns(s->arena, tree_of(e->cte->ctequery), e->inside, NULL);

		columns_rename(&next, e->cte->aliascolnames, e->cte->n_aliascolnames);
		stable = !e->recursive || same_size(&next, known);
		*known = next;
	}
	known->loose |= !stable;
	e->columns_busy = false;
	e->columns_done = true;
}

static void add_cte(struct scope *s, struct env *e, const PgQuery__RangeVar *r)
{
	if (!e->columns_done && !e->columns_busy)
		work_out(s, e);
	add_query(s, r->alias ? r->alias->aliasname : r->relname, *e->columns, r->alias);
}

void scope_add_relation(struct scope *s, const PgQuery__RangeVar *r)
{
	struct item *i = add_item(s, ITEM_RELATION, r->alias ? r->alias->aliasname : r->relname);

	i->relation = r;
	i->schema = !r->alias && *r->schemaname ? r->schemaname : NULL;
	if (r->alias) {
		i->renamed = r->alias->colnames;
		i->n_renamed = r->alias->n_colnames;
	}
}

void scope_add_value(struct scope *s, const char *name, struct taint_set taint)
{
	add_item(s, ITEM_OPAQUE, name)->taint = taint;
}

static void add_join(struct scope *s, const PgQuery__JoinExpr *j)
{
	struct item **start = s->last ? s->last : &s->first;

	scope_add(s, tree_of(j->larg));
	scope_add(s, tree_of(j->rarg));
	if (j->is_natural || j->n_using_clause > 0) {
		bool plain = j->jointype != PG_QUERY__JOIN_TYPE__JOIN_FULL;

		for (struct item *i = *start; i; i = i->next)
			plain &= i->kind == ITEM_RELATION;
		s->merged |= !plain;
	}
	if (j->join_using_alias)
		add_item(s, ITEM_OPAQUE, j->join_using_alias->aliasname)->taint = everything;
	if (!j->alias)
		return;
	/* Inside, only the columns stay visible, unless they were renamed too. */
	for (struct item *i = *start; i; i = i->next)
		i->hidden = true;
	add_item(s, ITEM_OPAQUE, j->alias->aliasname)->taint = everything;
	s->merged = true;
}

static void add_function(struct scope *s, const ProtobufCMessage *m)
{
	const ProtobufCMessage *alias = tree_field_message(m, "alias");
	struct taint_set taint = value_taint(s, m);
	struct item *i = add_item(s, ITEM_OPAQUE, alias ? ((const PgQuery__Alias *)alias)->aliasname : NULL);

	i->taint = taint;
}

void scope_add(struct scope *s, const ProtobufCMessage *from)
{
	const PgQuery__RangeVar *r = TREE_AS(from, RangeVar, range_var);
	const PgQuery__RangeSubselect *q = TREE_AS(from, RangeSubselect, range_subselect);
	struct env *e = r ? env_find(s->env, r) : NULL;

	if (!from)
		return;
	if (e)
		add_cte(s, e, r);
	else if (r)
		scope_add_relation(s, r);
	else if (q)
		add_query(s, q->alias ? q->alias->aliasname : NULL,
			  query_columns(s->arena, tree_of(q->subquery), s->env, q->lateral ? s : s->outer), q->alias);
	else if (TREE_IS(from, join_expr))
		add_join(s, (const PgQuery__JoinExpr *)from);
	else if (TREE_IS(from, range_table_sample))
		scope_add(s, tree_of(((const PgQuery__RangeTableSample *)from)->relation));
	else
		add_function(s, from);
}

struct item *scope_item(struct scope *s, const char *schema, const char *name)
{
	for (; s; s = s->outer)
		for (struct item *i = s->first; i; i = i->next)
			if (i->name && !i->hidden && strcmp(i->name, name) == 0 && (!schema || !i->schema || strcmp(schema, i->schema) == 0))
				return i;
	return NULL;
}

static bool is_renamed(const struct item *i, const char *name)
{
	for (size_t n = 0; n < i->n_renamed; n++) {
		const char *to = tree_string(i->renamed[n]);

		if (!to || strcmp(to, name) == 0)
			return true;
	}
	return false;
}

/* What column `name` of an item may hold; `*certain` when it is known to be there. */
static struct taint_set column_of(struct arena *a, const struct item *i, const char *name, bool *certain)
{
	struct taint_set out = { 0 };

	if (i->kind == ITEM_OPAQUE)
		return i->taint;
	if (i->kind == ITEM_RELATION)
		return is_renamed(i, name) ? everything : taint_one(a, i->relation, name);
	if (i->columns.loose)
		return everything;
	for (unsigned n = 0; n < i->columns.count; n++) {
		const struct column *c = &i->columns.list[n];

		if (c->star) {
			for (unsigned k = 0; k < c->taint.count; k++)
				out = taint_union(a, out, taint_one(a, c->taint.names[k].relation, name));
			out.all |= c->taint.all;
		} else if (!c->name || strcmp(c->name, name) == 0) {
			out = taint_union(a, out, c->taint);
			*certain |= c->name != NULL;
		}
	}
	return out;
}

struct taint_set item_row(struct arena *a, const struct item *i)
{
	switch (i->kind) {
	case ITEM_OPAQUE: return i->taint;
	case ITEM_QUERY: return columns_union(a, &i->columns);
	default: return taint_one(a, i->relation, "");
	}
}

struct taint_set scope_named(struct scope *s, const char *name)
{
	struct arena *a = s->arena;
	struct item *row = scope_item(s, NULL, name);
	struct taint_set out = row ? item_row(a, row) : (struct taint_set){ 0 };
	bool certain = false, possible = row != NULL;

	for (; s && !certain; s = s->outer)
		for (struct item *i = s->first; i; i = i->next) {
			out = taint_union(a, out, column_of(a, i, name, &certain));
			possible |= i->kind == ITEM_OPAQUE;
		}
	return certain || possible || out.all || out.count > 0 ? out : everything;
}

/* Columns whose names are not known here: of a relation, or of a relation's star. */
static bool may_have_any(const struct item *i)
{
	bool star = i->kind == ITEM_RELATION;

	for (unsigned n = 0; i->kind == ITEM_QUERY && !i->columns.loose && n < i->columns.count; n++)
		star |= i->columns.list[n].star;
	return star;
}

static struct taint_set qualified(struct scope *s, const char *schema, const char *table, const char *name)
{
	struct item *i = scope_item(s, schema, table);
	bool certain = false;
	struct taint_set out;

	if (!i)
		return everything;
	out = column_of(s->arena, i, name, &certain);
	/* t.f is f(t) when t has no column f */
	if (!certain && (!may_have_any(i) || function_takes_row(name)))
		out = taint_union(s->arena, out, item_row(s->arena, i));
	return out;
}

struct taint_set scope_lookup(struct scope *s, const PgQuery__ColumnRef *ref)
{
	const char *names[4];
	unsigned count = tree_names(ref->fields, ref->n_fields, names, 4);

	switch (count) {
	case 1: return scope_named(s, names[0]);
	case 2: return qualified(s, NULL, names[0], names[1]);
	case 3: return qualified(s, names[0], names[1], names[2]);
	case 4: return qualified(s, names[1], names[2], names[3]);
	default: return everything; /* a star inside an expression is the whole row */
	}
}

void item_expand(struct arena *a, const struct item *i, struct columns *out)
{
	if (i->kind == ITEM_RELATION) {
		struct column star = { .star = true, .taint = taint_one(a, i->relation, "") };

		if (i->n_renamed > 0) /* the names are new, the columns still plain; a name outside must not be believed */
			out->loose = true;
		columns_add(a, out, star);
	} else if (i->kind == ITEM_OPAQUE || i->columns.loose) {
		out->loose = true;
	} else {
		for (unsigned n = 0; n < i->columns.count; n++)
			columns_add(a, out, i->columns.list[n]);
	}
}

void scope_expand(struct scope *s, struct columns *out)
{
	if (s->merged)
		out->loose = true;
	for (struct item *i = s->first; i; i = i->next)
		item_expand(s->arena, i, out);
}
