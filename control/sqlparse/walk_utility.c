/* Everything that is neither query, change nor definition. */
#include "control/sqlparse/walk.h"

/* EXPLAIN without ANALYZE runs nothing. */
static bool runs(const PgQuery__ExplainStmt *s)
{
	for (size_t i = 0; i < s->n_options; i++) {
		const ProtobufCMessage *node = tree_of(s->options[i]);
		const PgQuery__DefElem *d = TREE_AS(node, DefElem, def_elem);

		if (!d || strcmp(d->defname, "analyze") == 0)
			return true;
	}
	return false;
}

static void walk_explain(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__ExplainStmt *s = (const PgQuery__ExplainStmt *)m;

	facts_bare(w->facts, VERB_explain);
	if (!runs(s))
		w->counted = tree_of(s->query);
	walk_statement(w, tree_of(s->query));
}

static void walk_prepare(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__PrepareStmt *s = (const PgQuery__PrepareStmt *)m;

	facts_named(w->facts, VERB_prepare, OBJECT_OTHER, s->name);
	walk_statement(w, tree_of(s->query));
}

static void walk_execute(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__ExecuteStmt *s = (const PgQuery__ExecuteStmt *)m;

	facts_named(w->facts, VERB_dynamic, OBJECT_OTHER, s->name);
	w->facts->flags |= FLAG_dynamic;
	walk_nodes(w, s->params, s->n_params);
}

static void walk_declare(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__DeclareCursorStmt *s = (const PgQuery__DeclareCursorStmt *)m;

	facts_named(w->facts, VERB_cursor, OBJECT_OTHER, s->portalname);
	walk_statement(w, tree_of(s->query));
}

static void named_or_bare(struct walk *w, enum verb verb, enum object_kind kind, const char *name)
{
	if (*name)
		facts_named(w->facts, verb, kind, name);
	else
		facts_bare(w->facts, verb);
}

static void walk_fetch(struct walk *w, const ProtobufCMessage *m)
{
	named_or_bare(w, VERB_cursor, OBJECT_OTHER, tree_field_string(m, "portalname"));
}

static void walk_deallocate(struct walk *w, const ProtobufCMessage *m)
{
	named_or_bare(w, VERB_prepare, OBJECT_OTHER, tree_field_string(m, "name"));
}

/* A procedure is always code of the database. */
static void walk_call(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__CallStmt *s = (const PgQuery__CallStmt *)m;
	const char *names[4];
	unsigned count = s->funccall ? tree_names(s->funccall->funcname, s->funccall->n_funcname, names, 4) : 0;

	w->facts->flags |= FLAG_calls_unknown_function;
	facts_add(w->facts, VERB_call, count ? OBJECT_FUNCTION : OBJECT_NONE, names, count);
	if (s->funccall)
		walk_nodes(w, s->funccall->args, s->funccall->n_args);
}

static void walk_set(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__VariableSetStmt *s = (const PgQuery__VariableSetStmt *)m;

	if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_RESET_ALL)
		facts_named(w->facts, VERB_set, OBJECT_SETTING, "all");
	else if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI && strcmp(s->name, "SESSION CHARACTERISTICS") == 0)
		facts_named(w->facts, VERB_set, OBJECT_SETTING, "default_transaction");
	else if (s->kind == PG_QUERY__VARIABLE_SET_KIND__VAR_SET_MULTI)
		facts_bare(w->facts, VERB_transaction);
	else
		facts_setting(w->facts, w->arena, VERB_set, s->name);
	walk_nodes(w, s->args, s->n_args);
}

static void walk_alter_system(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__AlterSystemStmt *s = (const PgQuery__AlterSystemStmt *)m;

	if (s->setstmt && *s->setstmt->name)
		facts_setting(w->facts, w->arena, VERB_ddl, s->setstmt->name);
	else
		facts_bare(w->facts, VERB_ddl);
	walk_node(w, (const ProtobufCMessage *)s->setstmt);
}

static void walk_show(struct walk *w, const ProtobufCMessage *m)
{
	facts_setting(w->facts, w->arena, VERB_show, ((const PgQuery__VariableShowStmt *)m)->name);
}

static void walk_transaction(struct walk *w, const ProtobufCMessage *m)
{
	facts_bare(w->facts, VERB_transaction);
}

static void walk_notify(struct walk *w, const ProtobufCMessage *m)
{
	named_or_bare(w, VERB_notify, OBJECT_OTHER, tree_field_string(m, "conditionname"));
}

static void walk_truncate(struct walk *w, const ProtobufCMessage *m)
{
	w->facts->flags |= FLAG_no_key_filter;
	walk_children(w, m, VERB_truncate, NULL);
}

static void walk_lock(struct walk *w, const ProtobufCMessage *m)
{
	walk_children(w, m, VERB_lock, NULL);
}

static void walk_maintain(struct walk *w, const ProtobufCMessage *m)
{
	unsigned before = w->facts->accesses;
	const char *name = TREE_IS(m, reindex_stmt) ? tree_field_string(m, "name") : "";

	if (*name)
		facts_named(w->facts, VERB_maintain, OBJECT_OTHER, name);
	walk_children(w, m, VERB_maintain, NULL);
	if (w->facts->accesses == before)
		facts_bare(w->facts, VERB_maintain);
}

static void walk_discard(struct walk *w, const ProtobufCMessage *m)
{
	switch (((const PgQuery__DiscardStmt *)m)->target) {
	case PG_QUERY__DISCARD_MODE__DISCARD_ALL: facts_named(w->facts, VERB_set, OBJECT_SETTING, "all"); break;
	case PG_QUERY__DISCARD_MODE__DISCARD_PLANS: facts_named(w->facts, VERB_set, OBJECT_OTHER, "plans"); break;
	case PG_QUERY__DISCARD_MODE__DISCARD_SEQUENCES: facts_named(w->facts, VERB_set, OBJECT_OTHER, "sequences"); break;
	default: facts_named(w->facts, VERB_set, OBJECT_OTHER, "temp"); break;
	}
}

static void walk_load(struct walk *w, const ProtobufCMessage *m)
{
	facts_named(w->facts, VERB_ddl, OBJECT_OTHER, ((const PgQuery__LoadStmt *)m)->filename);
}

/* CREATE TABLE AS and CREATE MATERIALIZED VIEW; the query may be an EXECUTE. */
static void walk_create_as(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__CreateTableAsStmt *s = (const PgQuery__CreateTableAsStmt *)m;

	if (s->into && s->into->rel)
		facts_relation(w->facts, VERB_ddl, s->into->rel);
	else
		facts_bare(w->facts, VERB_ddl);
	walk_statement(w, tree_of(s->query));
}

static const struct {
	const ProtobufCMessageDescriptor *kind;
	walk_handler *handler;
} handlers[] = {
	{ &pg_query__explain_stmt__descriptor, walk_explain },
	{ &pg_query__prepare_stmt__descriptor, walk_prepare },
	{ &pg_query__execute_stmt__descriptor, walk_execute },
	{ &pg_query__deallocate_stmt__descriptor, walk_deallocate },
	{ &pg_query__declare_cursor_stmt__descriptor, walk_declare },
	{ &pg_query__fetch_stmt__descriptor, walk_fetch },
	{ &pg_query__close_portal_stmt__descriptor, walk_fetch },
	{ &pg_query__call_stmt__descriptor, walk_call },
	{ &pg_query__do_stmt__descriptor, walk_do },
	{ &pg_query__copy_stmt__descriptor, walk_copy },
	{ &pg_query__variable_set_stmt__descriptor, walk_set },
	{ &pg_query__variable_show_stmt__descriptor, walk_show },
	{ &pg_query__alter_system_stmt__descriptor, walk_alter_system },
	{ &pg_query__discard_stmt__descriptor, walk_discard },
	{ &pg_query__transaction_stmt__descriptor, walk_transaction },
	{ &pg_query__constraints_set_stmt__descriptor, walk_transaction },
	{ &pg_query__listen_stmt__descriptor, walk_notify },
	{ &pg_query__unlisten_stmt__descriptor, walk_notify },
	{ &pg_query__notify_stmt__descriptor, walk_notify },
	{ &pg_query__lock_stmt__descriptor, walk_lock },
	{ &pg_query__truncate_stmt__descriptor, walk_truncate },
	{ &pg_query__vacuum_stmt__descriptor, walk_maintain },
	{ &pg_query__cluster_stmt__descriptor, walk_maintain },
	{ &pg_query__reindex_stmt__descriptor, walk_maintain },
	{ &pg_query__check_point_stmt__descriptor, walk_maintain },
	{ &pg_query__refresh_mat_view_stmt__descriptor, walk_maintain },
	{ &pg_query__load_stmt__descriptor, walk_load },
	{ &pg_query__create_table_as_stmt__descriptor, walk_create_as },
};

walk_handler *walk_utility_handler(const ProtobufCMessage *m)
{
	for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++)
		if (handlers[i].kind == m->descriptor)
			return handlers[i].handler;
	return NULL;
}
