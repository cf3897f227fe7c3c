#include "control/sqlparse/columns.h"

#include <stdlib.h>
#include <string.h>

#include "control/sqlparse/functions.h"
#include "control/sqlparse/scope.h"
#include "platform/base/limits.h"

struct taint_set taint_one(struct arena *a, const PgQuery__RangeVar *relation, const char *name)
{
	struct taint_name *names = arena_alloc(a, 1, sizeof *names);

	names[0] = (struct taint_name){ .name = name, .relation = relation };
	return (struct taint_set){ .count = 1, .names = names };
}

static int by_name(const void *a, const void *b)
{
	const struct taint_name *x = a, *y = b;
	int order = x->name == y->name ? 0 : strcmp(x->name, y->name);

	return order ? order : ((uintptr_t)x->relation > (uintptr_t)y->relation) - ((uintptr_t)x->relation < (uintptr_t)y->relation);
}

struct taint_set taint_union(struct arena *a, struct taint_set x, struct taint_set y)
{
	struct taint_name *names;
	unsigned i = 0, j = 0, n = 0;

	if (x.all || y.count + (unsigned)y.all == 0)
		return x;
	if (y.all || x.count == 0)
		return y;
	if (y.count == 1 && bsearch(&y.names[0], x.names, x.count, sizeof *x.names, by_name))
		return x;
	names = arena_alloc(a, x.count + y.count, sizeof *names);
	while (i < x.count || j < y.count) {
		int order = i == x.count ? 1 : j == y.count ? -1 : by_name(&x.names[i], &y.names[j]);

		names[n++] = order <= 0 ? x.names[i] : y.names[j];
		i += order <= 0;
		j += order >= 0;
	}
	if (n > TAINT_NAMES_MAX)
		return (struct taint_set){ .all = true };
	return (struct taint_set){ .count = n, .names = names };
}

void columns_add(struct arena *a, struct columns *c, struct column column)
{
	if (c->count == LIMIT_TARGETS) {
		c->loose = true;
		return;
	}
	if ((c->count & (c->count - 1)) == 0) { /* full at every power of two */
		struct column *list = arena_alloc(a, c->count ? c->count * 2 : 1, sizeof *list);

		if (c->count)
			memcpy(list, c->list, c->count * sizeof *list);
		c->list = list;
	}
	c->list[c->count++] = column;
}

struct taint_set columns_union(struct arena *a, const struct columns *c)
{
	struct taint_set out = { .all = c->loose };

	for (unsigned i = 0; i < c->count; i++)
		out = taint_union(a, out, c->list[i].taint);
	return out;
}

/* The name the server gives an output column, where it is easy to tell (FigureColname). */
static const char *column_name(const ProtobufCMessage *m)
{
	if (TREE_IS(m, column_ref)) {
		const PgQuery__ColumnRef *r = (const PgQuery__ColumnRef *)m;

		return tree_string(r->fields[r->n_fields - 1]);
	}
	if (TREE_IS(m, func_call)) {
		const PgQuery__FuncCall *f = (const PgQuery__FuncCall *)m;

		return tree_string(f->funcname[f->n_funcname - 1]);
	}
	return NULL;
}

static bool is_star(const PgQuery__ColumnRef *r)
{
	return r && TREE_IS(tree_of(r->fields[r->n_fields - 1]), a__star);
}

static void expand_star(struct scope *s, const PgQuery__ColumnRef *r, struct columns *out)
{
	const char *names[3];
	unsigned count = tree_names(r->fields, r->n_fields - 1, names, 3);
	struct item *i;

	if (r->n_fields == 1) {
		scope_expand(s, out);
		return;
	}
	i = count ? scope_item(s, count > 1 ? names[count - 2] : NULL, names[count - 1]) : NULL;
	if (i)
		item_expand(s->arena, i, out);
	else
		out->loose = true;
}

static bool ends_in_star(const ProtobufCMessage *m)
{
	const PgQuery__AIndirection *i = TREE_AS(m, AIndirection, a__indirection);

	return i && i->n_indirection > 0 && TREE_IS(tree_of(i->indirection[i->n_indirection - 1]), a__star);
}

struct columns scope_columns(struct scope *s, PgQuery__Node *const *list, size_t count)
{
	struct columns out = { 0 };

	for (size_t i = 0; i < count; i++) {
		const ProtobufCMessage *m = tree_of(list[i]);
		const PgQuery__ResTarget *t = TREE_AS(m, ResTarget, res_target);
		const ProtobufCMessage *value = t ? tree_of(t->val) : m;
		const PgQuery__ColumnRef *ref = TREE_AS(value, ColumnRef, column_ref);

		if (is_star(ref))
			expand_star(s, ref, &out);
		else if (ends_in_star(value)) /* (composite).* */
			out.loose = true;
		else
			columns_add(s->arena, &out, (struct column){
				.name = t && *t->name ? t->name : column_name(value),
				.taint = value_taint(s, value),
			});
	}
	return out;
}

/* Where positions are not known, anything may be anywhere. */
struct columns columns_merge(struct arena *a, struct columns x, const struct columns *y)
{
	x.loose |= y->loose || x.count != y->count;
	for (unsigned i = 0; i < x.count && !x.loose; i++) {
		x.loose |= x.list[i].star || y->list[i].star;
		x.list[i].taint = taint_union(a, x.list[i].taint, y->list[i].taint);
	}
	return x;
}

/* At first the recursive term of a WITH RECURSIVE sees what the other term gives. */
static void seed_recursion(struct env *env, const PgQuery__SelectStmt *s, const struct columns *left)
{
	for (struct env *e = env; e; e = e->outer)
		if (e->columns_busy && e->recursive && e->columns->count == 0 && !e->columns->loose &&
		    tree_of(e->cte->ctequery) == (const ProtobufCMessage *)s) {
			*e->columns = *left;
			columns_rename(e->columns, e->cte->aliascolnames, e->cte->n_aliascolnames);
		}
}

static struct columns select_columns(struct arena *a, const PgQuery__SelectStmt *s, struct env *env, struct scope *outer)
{
	struct scope scope = scope_of(a, env, outer);
	struct columns out = { 0 };

	if (s->larg && s->rarg) {
		struct columns left = query_columns(a, (const ProtobufCMessage *)s->larg, env, outer);
		struct columns right;

		seed_recursion(env, s, &left);
		right = query_columns(a, (const ProtobufCMessage *)s->rarg, env, outer);
		return columns_merge(a, left, &right);
	}
	for (size_t i = 0; i < s->n_values_lists; i++) {
		const PgQuery__List *row = TREE_AS(tree_of(s->values_lists[i]), List, list);
		struct columns cells = scope_columns(&scope, row ? row->items : NULL, row ? row->n_items : 0);

		for (unsigned n = 0; n < cells.count; n++)
			cells.list[n].name = NULL;
		out = i == 0 ? cells : columns_merge(a, out, &cells);
	}
	if (s->n_values_lists > 0)
		return out;
	for (size_t i = 0; i < s->n_from_clause; i++)
		scope_add(&scope, tree_of(s->from_clause[i]));
	return scope_columns(&scope, s->target_list, s->n_target_list);
}

static struct columns returning_columns(struct arena *a, const ProtobufCMessage *m, struct env *env, struct scope *outer)
{
	struct scope scope = scope_of(a, env, outer);
	const ProtobufCMessage *target = tree_field_message(m, "relation");
	PgQuery__Node *const *list = NULL;
	size_t count;

	if (TREE_IS(target, range_var))
		scope_add_relation(&scope, (const PgQuery__RangeVar *)target);
	count = tree_field_list(m, TREE_IS(m, update_stmt) ? "from_clause" : "using_clause", &list);
	for (size_t i = 0; i < count; i++)
		scope_add(&scope, tree_of(list[i]));
	count = tree_field_list(m, "returning_list", &list);
	return scope_columns(&scope, list, count);
}

struct columns query_columns(struct arena *a, const ProtobufCMessage *statement, struct env *env, struct scope *outer)
{
	if (!statement)
		return (struct columns){ .loose = true };
	env = env_with(a, env, env_clause(statement));
	if (TREE_IS(statement, select_stmt))
		return select_columns(a, (const PgQuery__SelectStmt *)statement, env, outer);
	if (TREE_IS(statement, insert_stmt) || TREE_IS(statement, update_stmt) || TREE_IS(statement, delete_stmt))
		return returning_columns(a, statement, env, outer);
	return (struct columns){ 0 };
}

struct columns columns_of(struct arena *a, const ProtobufCMessage *statement, struct env *env)
{
	return query_columns(a, statement, env, NULL);
}
