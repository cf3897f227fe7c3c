#include "control/sqlparse/writes.h"

#include "control/sqlparse/scope.h"

static void add_write(struct arena *a, struct writes *w, const PgQuery__RangeVar *relation, struct columns columns)
{
	struct write *one = arena_alloc(a, 1, sizeof *one);

	*one = (struct write){ w->first, relation, columns };
	w->first = one;
}

/* SET column = expression; a subscript or a field of it writes into the column. */
static void add_set(struct scope *s, PgQuery__Node *const *list, size_t count, struct columns *out)
{
	for (size_t i = 0; i < count; i++) {
		const ProtobufCMessage *m = tree_of(list[i]);
		const PgQuery__ResTarget *t = TREE_AS(m, ResTarget, res_target);

		if (!t || !*t->name) {
			out->loose = true;
			return;
		}
		columns_add(s->arena, out, (struct column){ .name = t->name, .taint = value_taint(s, tree_of(t->val)) });
	}
}

static struct columns update_writes(struct arena *a, const PgQuery__UpdateStmt *u, struct env *env)
{
	struct scope s = scope_of(a, env, NULL);
	struct columns out = { 0 };

	scope_add_relation(&s, u->relation);
	for (size_t i = 0; i < u->n_from_clause; i++)
		scope_add(&s, tree_of(u->from_clause[i]));
	add_set(&s, u->target_list, u->n_target_list, &out);
	return out;
}

/* A star stands for any number of columns: what comes from there on has no place, so nothing has. */
static struct columns placed(struct arena *a, const struct columns *from)
{
	struct columns out = { .loose = from->loose };

	for (unsigned i = 0; i < from->count; i++) {
		out.loose |= from->list[i].star;
		columns_add(a, &out, from->list[i]);
	}
	return out;
}

static struct columns insert_writes(struct arena *a, const PgQuery__InsertStmt *q, struct env *env)
{
	struct columns source = { 0 }, out;
	struct scope s = scope_of(a, env, NULL);
	const PgQuery__OnConflictClause *c = q->on_conflict_clause;

	if (q->select_stmt)
		source = query_columns(a, tree_of(q->select_stmt), env, NULL);
	out = placed(a, &source);
	out.loose |= q->n_cols > 0 && source.count > q->n_cols;
	for (unsigned i = 0; i < out.count && !out.loose; i++) {
		const ProtobufCMessage *m = i < q->n_cols ? tree_of(q->cols[i]) : NULL;
		const PgQuery__ResTarget *t = TREE_AS(m, ResTarget, res_target);

		out.list[i].name = t ? t->name : NULL;
	}
	if (!c || c->action != PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE)
		return out;
	scope_add_relation(&s, q->relation);
	scope_add_value(&s, "excluded", columns_union(a, &source));
	add_set(&s, c->target_list, c->n_target_list, &out);
	return out;
}

/* The columns of a relation that is made: their names are the query's, or those of the list. */
static struct columns made(struct arena *a, const ProtobufCMessage *query, const PgQuery__IntoClause *into)
{
	struct columns source = query_columns(a, query, NULL, NULL), out = placed(a, &source);

	columns_rename(&out, into->col_names, into->n_col_names);
	for (unsigned i = 0; i < out.count; i++)
		out.loose |= !out.list[i].name;
	return out;
}

/* INTO of a SELECT, also of the first arm of a set operation. */
static const PgQuery__IntoClause *select_into(const PgQuery__SelectStmt *s)
{
	while (s && s->larg && !s->into_clause)
		s = s->larg;
	return s ? s->into_clause : NULL;
}

static void add_change(struct arena *a, struct writes *w, const ProtobufCMessage *m, struct env *outer)
{
	const PgQuery__InsertStmt *insert = TREE_AS(m, InsertStmt, insert_stmt);
	const PgQuery__UpdateStmt *update = TREE_AS(m, UpdateStmt, update_stmt);
	const PgQuery__IntoClause *into = TREE_IS(m, select_stmt) ? select_into((const PgQuery__SelectStmt *)m) : NULL;
	struct env *env = env_with(a, outer, env_clause(m));

	for (struct env *e = env; e != outer; e = e->outer)
		add_change(a, w, tree_of(e->cte->ctequery), e->inside);
	if (insert && insert->relation)
		add_write(a, w, insert->relation, insert_writes(a, insert, env));
	else if (update && update->relation)
		add_write(a, w, update->relation, update_writes(a, update, env));
	else if (into && into->rel)
		add_write(a, w, into->rel, made(a, m, into));
	else if (!TREE_IS(m, select_stmt) && !TREE_IS(m, delete_stmt))
		w->told = false;
}

static void find_column(void *context, const ProtobufCMessage *m)
{
	bool *found = context;

	*found |= TREE_IS(m, column_ref);
	tree_children(m, find_column, found);
}

/* New columns and new types of columns may be worked out from other columns; constraints of the table only look. */
static struct writes altered(struct arena *a, const PgQuery__AlterTableStmt *s)
{
	struct writes w = { .told = s->relation != NULL };
	bool found = false;

	for (size_t i = 0; i < s->n_cmds; i++) {
		const ProtobufCMessage *m = tree_of(s->cmds[i]);
		const PgQuery__AlterTableCmd *c = TREE_AS(m, AlterTableCmd, alter_table_cmd);
		const ProtobufCMessage *def = c ? tree_of(c->def) : NULL;

		if (TREE_IS(def, column_def))
			find_column(&found, def);
	}
	if (w.told && found)
		add_write(a, &w, s->relation, (struct columns){ .loose = true });
	return w;
}

struct writes writes_of(struct arena *a, const ProtobufCMessage *m)
{
	const PgQuery__CreateTableAsStmt *create;
	struct writes w = { .told = true };

	while (TREE_IS(m, explain_stmt) || TREE_IS(m, prepare_stmt))
		m = tree_field_message(m, "query");
	create = TREE_AS(m, CreateTableAsStmt, create_table_as_stmt);
	if (TREE_IS(m, alter_table_stmt))
		return altered(a, (const PgQuery__AlterTableStmt *)m);
	if (create && create->into && create->into->rel && TREE_IS(tree_of(create->query), select_stmt))
		add_write(a, &w, create->into->rel, made(a, tree_of(create->query), create->into));
	if (m)
		add_change(a, &w, create ? tree_of(create->query) : m, NULL);
	return m ? w : (struct writes){ 0 };
}
