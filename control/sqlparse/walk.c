/* Queries, changes and expressions. The order of handlers does not matter; each adds its accesses and descends. */
#include "control/sqlparse/walk.h"

#include "control/sqlparse/filter.h"
#include "control/sqlparse/functions.h"

static void visit(void *context, const ProtobufCMessage *child)
{
	walk_node(context, child);
}

struct skipping {
	struct walk *w;
	const void *skip;
};

static void visit_but(void *context, const ProtobufCMessage *child)
{
	struct skipping *s = context;

	/* WITH is walked by whoever opens its scope */
	if (child != s->skip && !TREE_IS(child, with_clause))
		walk_node(s->w, child);
}

void walk_nodes(struct walk *w, PgQuery__Node *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		walk_node(w, tree_of(list[i]));
}

void walk_children(struct walk *w, const ProtobufCMessage *m, enum verb verb, const void *skip)
{
	struct skipping s = { .w = w, .skip = skip };
	enum verb saved = w->verb;

	w->verb = verb;
	tree_children(m, visit_but, &s);
	w->verb = saved;
}

/* Opens the scope of a statement's WITH and walks its queries. */
static void open_scope(struct walk *w, const ProtobufCMessage *m)
{
	struct env *outer = w->env, *env = env_with(w->arena, outer, env_clause(m));

	for (struct env *e = env; e != outer; e = e->outer) {
		w->env = e->inside;
		walk_children(w, (const ProtobufCMessage *)e->cte, VERB_select, NULL);
	}
	w->env = env;
}

static void walk_relation(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__RangeVar *r = (const PgQuery__RangeVar *)m;

	if (w->verb == VERB_select && env_find(w->env, r))
		return;
	facts_relation(w->facts, w->verb, r);
	if (w->locking && w->verb == VERB_select)
		facts_relation(w->facts, VERB_lock, r);
}

static void walk_into(struct walk *w, const PgQuery__IntoClause *into)
{
	if (into && into->rel)
		facts_relation(w->facts, VERB_ddl, into->rel);
}

static void walk_select(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__SelectStmt *s = (const PgQuery__SelectStmt *)m;
	struct walk saved = *w;

	w->locking = false;
	open_scope(w, m);
	w->verb = VERB_select;
	walk_into(w, s->into_clause);
	w->locking = saved.locking || s->n_locking_clause > 0;
	walk_nodes(w, s->from_clause, s->n_from_clause);
	walk_node(w, (const ProtobufCMessage *)s->larg);
	walk_node(w, (const ProtobufCMessage *)s->rarg);
	w->locking = false;
	walk_nodes(w, s->distinct_clause, s->n_distinct_clause);
	walk_nodes(w, s->target_list, s->n_target_list);
	walk_node(w, tree_of(s->where_clause));
	walk_nodes(w, s->group_clause, s->n_group_clause);
	walk_node(w, tree_of(s->having_clause));
	walk_nodes(w, s->window_clause, s->n_window_clause);
	walk_nodes(w, s->values_lists, s->n_values_lists);
	walk_nodes(w, s->sort_clause, s->n_sort_clause);
	walk_node(w, tree_of(s->limit_offset));
	walk_node(w, tree_of(s->limit_count));
	w->env = saved.env;
	w->verb = saved.verb;
	w->locking = saved.locking;
}

void walk_changes(struct walk *w, const ProtobufCMessage *m)
{
	if (m != w->counted)
		w->facts->flags |= FLAG_uncounted_write;
}

/* INSERT, UPDATE, DELETE, MERGE: the target, then everything else as sources. */
static void walk_change(struct walk *w, const ProtobufCMessage *m, enum verb verb)
{
	struct env *saved = w->env;
	const ProtobufCMessage *target = tree_field_message(m, "relation");

	walk_changes(w, m);
	open_scope(w, m);
	if (TREE_IS(target, range_var))
		facts_relation(w->facts, verb, (const PgQuery__RangeVar *)target);
	walk_children(w, m, VERB_select, target);
	w->env = saved;
}

static void walk_insert(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__InsertStmt *s = (const PgQuery__InsertStmt *)m;

	if (s->relation && s->on_conflict_clause && s->on_conflict_clause->action == PG_QUERY__ON_CONFLICT_ACTION__ONCONFLICT_UPDATE)
		facts_relation(w->facts, VERB_update, s->relation);
	walk_change(w, m, VERB_insert);
}

static void walk_update(struct walk *w, const ProtobufCMessage *m)
{
	if (!filter_selects(tree_of(((const PgQuery__UpdateStmt *)m)->where_clause)))
		w->facts->flags |= FLAG_no_key_filter;
	walk_change(w, m, VERB_update);
}

static void walk_delete(struct walk *w, const ProtobufCMessage *m)
{
	if (!filter_selects(tree_of(((const PgQuery__DeleteStmt *)m)->where_clause)))
		w->facts->flags |= FLAG_no_key_filter;
	walk_change(w, m, VERB_delete);
}

static void walk_merge(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__MergeStmt *s = (const PgQuery__MergeStmt *)m;
	bool joined = filter_selects(tree_of(s->join_condition));

	for (size_t i = 0; i < s->n_merge_when_clauses; i++) {
		const ProtobufCMessage *node = tree_of(s->merge_when_clauses[i]);
		const PgQuery__MergeWhenClause *when = TREE_AS(node, MergeWhenClause, merge_when_clause);
		PgQuery__CmdType command = when ? when->command_type : PG_QUERY__CMD_TYPE__CMD_UNKNOWN;
		enum verb verb = command == PG_QUERY__CMD_TYPE__CMD_INSERT ? VERB_insert :
				 command == PG_QUERY__CMD_TYPE__CMD_UPDATE ? VERB_update :
				 command == PG_QUERY__CMD_TYPE__CMD_DELETE ? VERB_delete : VERB_select;

		facts_relation(w->facts, verb, s->relation);
		if ((verb == VERB_update || verb == VERB_delete) && !joined && !filter_selects(tree_of(when->condition)))
			w->facts->flags |= FLAG_no_key_filter;
	}
	walk_change(w, m, VERB_select);
}

void walk_function(struct walk *w, PgQuery__Node *const *list, size_t count)
{
	const char *names[4];
	unsigned n = tree_names(list, count, names, 4);
	const char *name = n ? names[n - 1] : "";

	if (n == 0) {
		w->why = "a function without a name";
		return;
	}
	if ((n == 1 || (n == 2 && strcmp(names[0], "pg_catalog") == 0)) && function_is_harmless(name))
		return;
	w->facts->flags |= FLAG_calls_unknown_function;
	if (function_runs_text(name)) {
		w->facts->flags |= FLAG_uncounted_write;
		walk_dynamic(w);
	}
	if (function_writes_file(name))
		w->facts->flags |= FLAG_writes_file;
	facts_add(w->facts, VERB_call, OBJECT_FUNCTION, names, n);
}

void walk_operator(struct walk *w, PgQuery__Node *const *list, size_t count)
{
	const char *names[4];
	unsigned n = tree_names(list, count, names, 4);

	if (n == 0 || ((n == 1 || strcmp(names[0], "pg_catalog") == 0) && operator_is_builtin(names[n - 1])))
		return;
	w->facts->flags |= FLAG_calls_unknown_function;
	facts_add(w->facts, VERB_call, OBJECT_FUNCTION, names, n);
}

/* set_config(name, value, local) and current_setting(name): an access to the setting, when it is a constant. */
static bool walk_setting_call(struct walk *w, const PgQuery__FuncCall *f)
{
	const char *name = f->n_funcname ? tree_string(f->funcname[f->n_funcname - 1]) : NULL;
	const char *setting = f->n_args ? tree_constant(tree_of(f->args[0])) : NULL;
	bool sets = name && strcmp(name, "set_config") == 0;

	if (!sets && !(name && strcmp(name, "current_setting") == 0))
		return false;
	if (f->n_funcname == 2 && strcmp(tree_string(f->funcname[0]), "pg_catalog") != 0)
		return false;
	if (f->n_funcname > 2)
		return false;
	if (setting) {
		facts_setting(w->facts, w->arena, sets ? VERB_set : VERB_show, setting);
	} else {
		facts_bare(w->facts, sets ? VERB_set : VERB_show);
		walk_dynamic(w);
	}
	return true;
}

static void walk_call(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__FuncCall *f = (const PgQuery__FuncCall *)m;

	if (!walk_setting_call(w, f))
		walk_function(w, f->funcname, f->n_funcname);
	tree_children(m, visit, w);
}

/* BETWEEN and the like carry their key word where others have an operator. */
static void walk_expression(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__AExpr *e = (const PgQuery__AExpr *)m;

	if (e->kind < PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN)
		walk_operator(w, e->name, e->n_name);
	tree_children(m, visit, w);
}

static void walk_sublink(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__SubLink *l = (const PgQuery__SubLink *)m;

	walk_operator(w, l->oper_name, l->n_oper_name);
	tree_children(m, visit, w);
}

static void walk_sort(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__SortBy *s = (const PgQuery__SortBy *)m;

	walk_operator(w, s->use_op, s->n_use_op);
	tree_children(m, visit, w);
}

/* A sampling method is a function by its name. */
static void walk_sample(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__RangeTableSample *s = (const PgQuery__RangeTableSample *)m;
	const char *name = s->n_method == 1 ? tree_string(s->method[0]) : NULL;

	if (!name || (strcmp(name, "system") != 0 && strcmp(name, "bernoulli") != 0))
		walk_function(w, s->method, s->n_method);
	walk_node(w, tree_of(s->relation));
	walk_nodes(w, s->args, s->n_args);
	walk_node(w, tree_of(s->repeatable));
}

static void walk_nothing(struct walk *w, const ProtobufCMessage *m)
{
}

static const struct {
	const ProtobufCMessageDescriptor *kind;
	walk_handler *handler;
} handlers[] = {
	{ &pg_query__select_stmt__descriptor, walk_select },
	{ &pg_query__insert_stmt__descriptor, walk_insert },
	{ &pg_query__update_stmt__descriptor, walk_update },
	{ &pg_query__delete_stmt__descriptor, walk_delete },
	{ &pg_query__merge_stmt__descriptor, walk_merge },
	{ &pg_query__range_var__descriptor, walk_relation },
	{ &pg_query__func_call__descriptor, walk_call },
	{ &pg_query__a__expr__descriptor, walk_expression },
	{ &pg_query__sub_link__descriptor, walk_sublink },
	{ &pg_query__sort_by__descriptor, walk_sort },
	{ &pg_query__range_table_sample__descriptor, walk_sample },
	{ &pg_query__locking_clause__descriptor, walk_nothing }, /* walk_select locks what its FROM reads */
};

static walk_handler *handler_of(const ProtobufCMessage *m)
{
	walk_handler *h;

	for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].kind == m->descriptor)
			return handlers[i].handler;
	h = walk_utility_handler(m);
	return h ? h : walk_ddl_handler(m);
}

static bool is_statement(const ProtobufCMessage *m)
{
	size_t len = strlen(m->descriptor->short_name);

	return len > 4 && strcmp(m->descriptor->short_name + len - 4, "Stmt") == 0;
}

void walk_node(struct walk *w, const ProtobufCMessage *m)
{
	walk_handler *h = m ? handler_of(m) : NULL;

	if (h)
		h(w, m);
	else if (m && is_statement(m))
		facts_bare(w->facts, VERB_unknown);
	else if (m)
		tree_children(m, visit, w);
}

void walk_statement(struct walk *w, const ProtobufCMessage *m)
{
	if (m && (handler_of(m) || is_statement(m)))
		walk_node(w, m);
	else
		facts_bare(w->facts, VERB_unknown);
}
