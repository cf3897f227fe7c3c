/* Definitions: for each statement, the verb, the kind of what it names, and the fields that hold the names. Relations
 * (RangeVar) are found by descent and get the same verb. */
#include "control/sqlparse/walk.h"

static const struct definition {
	const ProtobufCMessageDescriptor *kind;
	enum verb verb;
	enum object_kind object;
	const char *field, *second;
} definitions[] = {
#define DEFINITION(kind, verb, object, field, second) { &pg_query__##kind##__descriptor, VERB_##verb, OBJECT_##object, field, second },
	DEFINITION(alter_table_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(alter_domain_stmt, ddl, OTHER, "type_name", NULL)
	DEFINITION(alter_default_privileges_stmt, grant, NONE, NULL, NULL)
	DEFINITION(create_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(define_stmt, ddl, OTHER, "defnames", NULL)
	DEFINITION(index_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(create_function_stmt, ddl, FUNCTION, "funcname", NULL)
	DEFINITION(alter_function_stmt, ddl, FUNCTION, "func", NULL)
	DEFINITION(rule_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(view_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(create_domain_stmt, ddl, OTHER, "domainname", NULL)
	DEFINITION(createdb_stmt, ddl, OTHER, "dbname", NULL)
	DEFINITION(dropdb_stmt, ddl, OTHER, "dbname", NULL)
	DEFINITION(create_seq_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(alter_seq_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(create_trig_stmt, ddl, FUNCTION, "funcname", NULL)
	DEFINITION(create_plang_stmt, ddl, OTHER, "plname", NULL)
	DEFINITION(create_role_stmt, grant, OTHER, "role", NULL)
	DEFINITION(alter_role_stmt, grant, OTHER, "role", NULL)
	DEFINITION(drop_role_stmt, grant, OTHER, "roles", NULL)
	DEFINITION(alter_role_set_stmt, grant, OTHER, "role", NULL)
	DEFINITION(grant_role_stmt, grant, OTHER, "granted_roles", NULL)
	DEFINITION(drop_owned_stmt, grant, OTHER, "roles", NULL)
	DEFINITION(reassign_owned_stmt, grant, OTHER, "roles", NULL)
	DEFINITION(create_schema_stmt, ddl, OTHER, "schemaname", NULL)
	DEFINITION(alter_database_stmt, ddl, OTHER, "dbname", NULL)
	DEFINITION(alter_database_refresh_coll_stmt, ddl, OTHER, "dbname", NULL)
	DEFINITION(alter_database_set_stmt, ddl, OTHER, "dbname", NULL)
	DEFINITION(create_conversion_stmt, ddl, OTHER, "conversion_name", NULL)
	DEFINITION(create_cast_stmt, ddl, OTHER, "sourcetype", "targettype")
	DEFINITION(create_op_class_stmt, ddl, OTHER, "opclassname", NULL)
	DEFINITION(create_op_family_stmt, ddl, OTHER, "opfamilyname", NULL)
	DEFINITION(alter_op_family_stmt, ddl, OTHER, "opfamilyname", NULL)
	DEFINITION(create_table_space_stmt, ddl, OTHER, "tablespacename", NULL)
	DEFINITION(drop_table_space_stmt, ddl, OTHER, "tablespacename", NULL)
	DEFINITION(alter_table_space_options_stmt, ddl, OTHER, "tablespacename", NULL)
	DEFINITION(alter_table_move_all_stmt, ddl, OTHER, "orig_tablespacename", NULL)
	DEFINITION(alter_operator_stmt, ddl, FUNCTION, "opername", NULL)
	DEFINITION(alter_type_stmt, ddl, OTHER, "type_name", NULL)
	DEFINITION(composite_type_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(create_enum_stmt, ddl, OTHER, "type_name", NULL)
	DEFINITION(create_range_stmt, ddl, OTHER, "type_name", NULL)
	DEFINITION(alter_enum_stmt, ddl, OTHER, "type_name", NULL)
	DEFINITION(alter_tsdictionary_stmt, ddl, OTHER, "dictname", NULL)
	DEFINITION(alter_tsconfiguration_stmt, ddl, OTHER, "cfgname", NULL)
	DEFINITION(create_fdw_stmt, ddl, OTHER, "fdwname", NULL)
	DEFINITION(alter_fdw_stmt, ddl, OTHER, "fdwname", NULL)
	DEFINITION(create_foreign_server_stmt, ddl, OTHER, "servername", NULL)
	DEFINITION(alter_foreign_server_stmt, ddl, OTHER, "servername", NULL)
	DEFINITION(create_user_mapping_stmt, grant, OTHER, "servername", "user")
	DEFINITION(alter_user_mapping_stmt, grant, OTHER, "servername", "user")
	DEFINITION(drop_user_mapping_stmt, grant, OTHER, "servername", "user")
	DEFINITION(create_foreign_table_stmt, ddl, OTHER, "servername", NULL)
	DEFINITION(import_foreign_schema_stmt, ddl, OTHER, "local_schema", "server_name")
	DEFINITION(create_extension_stmt, ddl, OTHER, "extname", NULL)
	DEFINITION(alter_extension_stmt, ddl, OTHER, "extname", NULL)
	DEFINITION(alter_extension_contents_stmt, ddl, OTHER, "extname", "object")
	DEFINITION(create_event_trig_stmt, ddl, OTHER, "trigname", NULL)
	DEFINITION(alter_event_trig_stmt, ddl, OTHER, "trigname", NULL)
	DEFINITION(create_policy_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(alter_policy_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(create_transform_stmt, ddl, OTHER, "type_name", NULL)
	DEFINITION(create_am_stmt, ddl, OTHER, "amname", NULL)
	DEFINITION(create_publication_stmt, ddl, OTHER, "pubname", NULL)
	DEFINITION(alter_publication_stmt, ddl, OTHER, "pubname", NULL)
	DEFINITION(create_subscription_stmt, ddl, OTHER, "subname", NULL)
	DEFINITION(alter_subscription_stmt, ddl, OTHER, "subname", NULL)
	DEFINITION(drop_subscription_stmt, ddl, OTHER, "subname", NULL)
	DEFINITION(create_stats_stmt, ddl, OTHER, "defnames", NULL)
	DEFINITION(alter_stats_stmt, ddl, OTHER, "defnames", NULL)
	DEFINITION(alter_collation_stmt, ddl, OTHER, "collname", NULL)
	DEFINITION(replica_identity_stmt, ddl, NONE, NULL, NULL)
	DEFINITION(alter_object_depends_stmt, ddl, OTHER, "object", "extname")
#undef DEFINITION
};

static enum object_kind kind_of(PgQuery__ObjectType type)
{
	switch (type) {
	case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE: case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW: case PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW:
	case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX: case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
	case PG_QUERY__OBJECT_TYPE__OBJECT_FOREIGN_TABLE: return OBJECT_RELATION;
	case PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION: case PG_QUERY__OBJECT_TYPE__OBJECT_PROCEDURE:
	case PG_QUERY__OBJECT_TYPE__OBJECT_ROUTINE: case PG_QUERY__OBJECT_TYPE__OBJECT_AGGREGATE: return OBJECT_FUNCTION;
	default: return OBJECT_OTHER;
	}
}

/* Objects whose last name is that of a part and the names before it those of its relation. */
static bool is_part(PgQuery__ObjectType type)
{
	switch (type) {
	case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN: case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER: case PG_QUERY__OBJECT_TYPE__OBJECT_RULE:
	case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY: case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT: return true;
	default: return false;
	}
}

static void add_names(struct walk *w, enum verb verb, enum object_kind kind, PgQuery__Node *const *list, size_t count)
{
	const char *names[5] = { "pg_catalog" };
	unsigned n = tree_names(list, count, names + 1, 4);

	if (kind == OBJECT_RELATION && n == 1 && strncmp(names[1], "pg_", 3) == 0)
		facts_add(w->facts, verb, kind, names, 2);
	else if (n > 0)
		facts_add(w->facts, verb, kind, names + 1, n);
	else
		for (size_t i = 0; i < count; i++)
			walk_named(w, verb, kind, tree_of(list[i]));
}

void walk_named(struct walk *w, enum verb verb, enum object_kind kind, const ProtobufCMessage *m)
{
	const PgQuery__ObjectWithArgs *f = TREE_AS(m, ObjectWithArgs, object_with_args);
	const PgQuery__TypeName *t = TREE_AS(m, TypeName, type_name);
	const PgQuery__RoleSpec *role = TREE_AS(m, RoleSpec, role_spec);
	const PgQuery__AccessPriv *granted = TREE_AS(m, AccessPriv, access_priv);
	const PgQuery__List *list = TREE_AS(m, List, list);
	const PgQuery__String *name = TREE_AS(m, String, string);

	if (name)
		facts_named(w->facts, verb, kind, name->sval);
	else if (list)
		add_names(w, verb, kind, list->items, list->n_items);
	else if (f)
		add_names(w, verb, kind == OBJECT_OTHER ? OBJECT_FUNCTION : kind, f->objname, f->n_objname);
	else if (t)
		add_names(w, verb, kind, t->names, t->n_names);
	else if (role)
		facts_named(w->facts, verb, kind, *role->rolename ? role->rolename : "public");
	else if (granted)
		facts_named(w->facts, verb, kind, granted->priv_name);
	else if (TREE_IS(m, range_var))
		facts_relation(w->facts, verb, (const PgQuery__RangeVar *)m);
}

static void add_field(struct walk *w, const ProtobufCMessage *m, enum verb verb, enum object_kind kind, const char *field)
{
	const char *text = tree_field_string(m, field);
	PgQuery__Node *const *list = NULL;
	size_t count = tree_field_list(m, field, &list);

	if (text && *text)
		facts_named(w->facts, verb, kind, text);
	else if (count > 0 && strcmp(field, "roles") != 0 && strcmp(field, "granted_roles") != 0 && strcmp(field, "defnames") != 0)
		add_names(w, verb, kind, list, count);
	else if (count > 0 && tree_string(list[0]) && strcmp(field, "defnames") == 0)
		add_names(w, verb, kind, list, count);
	else if (count > 0)
		for (size_t i = 0; i < count; i++)
			walk_named(w, verb, kind, tree_of(list[i]));
	else
		walk_named(w, verb, kind, tree_field_message(m, field));
}

static void walk_definition(struct walk *w, const ProtobufCMessage *m)
{
	for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++) {
		const struct definition *d = &definitions[i];
		unsigned before = w->facts->accesses;

		if (d->kind != m->descriptor)
			continue;
		if (d->field)
			add_field(w, m, d->verb, d->object, d->field);
		if (d->second)
			add_field(w, m, d->verb, d->object, d->second);
		walk_children(w, m, d->verb, NULL);
		if (w->facts->accesses == before) /* nothing named that was not there before */
			facts_bare(w->facts, d->verb);
	}
}

static void add_object(struct walk *w, enum verb verb, PgQuery__ObjectType type, const ProtobufCMessage *object)
{
	const PgQuery__List *l = TREE_AS(object, List, list);

	if (l && is_part(type) && l->n_items > 1) {
		add_names(w, verb, OBJECT_RELATION, l->items, l->n_items - 1);
		add_names(w, verb, OBJECT_OTHER, l->items, l->n_items);
	} else {
		walk_named(w, verb, kind_of(type), object);
	}
}

static void walk_drop(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__DropStmt *s = (const PgQuery__DropStmt *)m;

	for (size_t i = 0; i < s->n_objects; i++)
		add_object(w, VERB_ddl, s->remove_type, tree_of(s->objects[i]));
}

/* COMMENT, SECURITY LABEL, RENAME, SET SCHEMA, OWNER TO: one object with its type. */
static void walk_alter_object(struct walk *w, const ProtobufCMessage *m, PgQuery__ObjectType type)
{
	enum verb verb = type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE ? VERB_grant : VERB_ddl;
	const char *name = tree_field_string(m, "subname");

	if (TREE_IS(m, rename_stmt) && name && *name && (type == PG_QUERY__OBJECT_TYPE__OBJECT_ROLE || type == PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA ||
							 type == PG_QUERY__OBJECT_TYPE__OBJECT_DATABASE || type == PG_QUERY__OBJECT_TYPE__OBJECT_TABLESPACE))
		facts_named(w->facts, verb, OBJECT_OTHER, name);
	add_object(w, verb, type, tree_field_message(m, "object"));
	walk_children(w, m, verb, tree_field_message(m, "object"));
	if (w->facts->accesses == 0)
		facts_bare(w->facts, verb);
}

static void walk_comment(struct walk *w, const ProtobufCMessage *m) { walk_alter_object(w, m, ((const PgQuery__CommentStmt *)m)->objtype); }
static void walk_label(struct walk *w, const ProtobufCMessage *m) { walk_alter_object(w, m, ((const PgQuery__SecLabelStmt *)m)->objtype); }
static void walk_rename(struct walk *w, const ProtobufCMessage *m) { walk_alter_object(w, m, ((const PgQuery__RenameStmt *)m)->rename_type); }
static void walk_owner(struct walk *w, const ProtobufCMessage *m) { walk_alter_object(w, m, ((const PgQuery__AlterOwnerStmt *)m)->object_type); }
static void walk_schema(struct walk *w, const ProtobufCMessage *m) { walk_alter_object(w, m, ((const PgQuery__AlterObjectSchemaStmt *)m)->object_type); }

static void walk_grant(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__GrantStmt *s = (const PgQuery__GrantStmt *)m;

	for (size_t i = 0; i < s->n_objects; i++)
		add_object(w, VERB_grant, s->targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_OBJECT ? s->objtype : PG_QUERY__OBJECT_TYPE__OBJECT_SCHEMA,
			   tree_of(s->objects[i]));
	if (s->n_objects == 0) /* ALTER DEFAULT PRIVILEGES */
		facts_bare(w->facts, VERB_grant);
}

walk_handler *walk_ddl_handler(const ProtobufCMessage *m)
{
	if (TREE_IS(m, drop_stmt))
		return walk_drop;
	if (TREE_IS(m, comment_stmt))
		return walk_comment;
	if (TREE_IS(m, sec_label_stmt))
		return walk_label;
	if (TREE_IS(m, rename_stmt))
		return walk_rename;
	if (TREE_IS(m, alter_owner_stmt))
		return walk_owner;
	if (TREE_IS(m, alter_object_schema_stmt))
		return walk_schema;
	if (TREE_IS(m, grant_stmt))
		return walk_grant;
	for (size_t i = 0; i < sizeof definitions / sizeof *definitions; i++)
		if (definitions[i].kind == m->descriptor)
			return walk_definition;
	return NULL;
}
