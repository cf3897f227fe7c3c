/* columns.h: which columns' values flow into which output column.
 *
 * No catalogue: `x` of a relation is the name x of that relation; where a name could be two things it is both;
 * where nothing can be said it is everything (`all`). A set only grows on its way outward, so a mistake masks too
 * much. What conditions, ORDER BY and GROUP BY let through is not value flow: predicates.h.
 */
#ifndef CONTROL_SQLPARSE_COLUMNS_H
#define CONTROL_SQLPARSE_COLUMNS_H

#include "control/sqlparse/env.h"

/* A column as written. */
struct taint_name {
	const char *name;                  /* empty: any column of the relation */
	const PgQuery__RangeVar *relation; /* NULL: of any relation of the statement */
};

struct taint_set {
	bool all;
	unsigned count;
	const struct taint_name *names; /* sorted by name, then relation, without doubles */
};

struct column {
	const char *name; /* NULL: not known, answers to any name */
	bool star;        /* an unknown number of plain columns of the relations in `taint` */
	struct taint_set taint;
};

struct columns {
	bool loose;       /* neither number nor order is known; anything may flow into any of them */
	unsigned count;
	struct column *list;
};

/* What a set holds at most before it becomes `all`. */
#define TAINT_NAMES_MAX 512

/* The output of SELECT, VALUES, INSERT, UPDATE or DELETE (RETURNING); no columns for any other statement. */
struct columns columns_of(struct arena *a, const ProtobufCMessage *statement, struct env *env);

void columns_add(struct arena *a, struct columns *c, struct column column);

/* The arms of a set operation, by position. */
struct columns columns_merge(struct arena *a, struct columns x, const struct columns *y);
struct taint_set columns_union(struct arena *a, const struct columns *c);
struct taint_set taint_one(struct arena *a, const PgQuery__RangeVar *relation, const char *name);
struct taint_set taint_union(struct arena *a, struct taint_set x, struct taint_set y);

#endif
