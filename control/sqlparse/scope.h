/* scope.h: what the names of a query's FROM stand for; internal to columns.c, scope.c and values.c. */
#ifndef CONTROL_SQLPARSE_SCOPE_H
#define CONTROL_SQLPARSE_SCOPE_H

#include "control/sqlparse/columns.h"

enum item_kind {
	ITEM_RELATION, /* a table or view: any name may be one of its columns */
	ITEM_QUERY,    /* a subquery, CTE or VALUES: `columns` */
	ITEM_OPAQUE,   /* a function, an aliased join: `taint` flows into every column */
};

struct item {
	struct item *next;
	enum item_kind kind;
	const char *name, *schema; /* as visible; NULL without one */
	struct columns columns;
	struct taint_set taint;
	const PgQuery__RangeVar *relation; /* of a relation: as written */
	PgQuery__Node *const *renamed; /* relation: column names given by the alias */
	size_t n_renamed;
	bool hidden;                   /* inside an aliased join: its own name is not visible, its columns are */
};

struct scope {
	struct scope *outer;
	struct env *env;
	struct arena *arena;
	struct item *first, **last;
	bool merged; /* a join of this FROM merges columns (USING, NATURAL) in a way that moves values */
};

struct scope scope_of(struct arena *a, struct env *env, struct scope *outer);

/* Adds an entry of FROM. */
void scope_add(struct scope *s, const ProtobufCMessage *from);
void scope_add_relation(struct scope *s, const PgQuery__RangeVar *r);

/* A row of this name, into whose every column `taint` flows. */
void scope_add_value(struct scope *s, const char *name, struct taint_set taint);

/* What flows out of a column reference; of an expression. */
struct taint_set scope_lookup(struct scope *s, const PgQuery__ColumnRef *ref);
struct taint_set value_taint(struct scope *s, const ProtobufCMessage *expression);

/* The entry of this name that is visible, innermost first. */
struct item *scope_item(struct scope *s, const char *schema, const char *name);

/* Everything of an entry: what its row as a value holds. */
struct taint_set item_row(struct arena *a, const struct item *i);

/* A column of any entry of this scope and those around it, named without its relation. */
struct taint_set scope_named(struct scope *s, const char *name);

/* The output columns of a target list. */
struct columns scope_columns(struct scope *s, PgQuery__Node *const *list, size_t count);

/* All columns of the scope, or of one item, as `*` and `item.*` expand. */
void scope_expand(struct scope *s, struct columns *out);
void item_expand(struct arena *a, const struct item *i, struct columns *out);

/* Gives the first columns new names, by position; past a star nothing is known of positions. */
void columns_rename(struct columns *c, PgQuery__Node *const *names, size_t count);

struct columns query_columns(struct arena *a, const ProtobufCMessage *statement, struct env *env, struct scope *outer);

#endif
