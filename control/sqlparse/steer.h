/* steer.h: the inside of predicates.h: expressions (steer.c) and the queries around them (predicates.c). */
#ifndef CONTROL_SQLPARSE_STEER_H
#define CONTROL_SQLPARSE_STEER_H

#include "control/sqlparse/scope.h"

/* What was found so far. */
struct steer {
	struct arena *arena;
	struct taint_set found;
};

void steer_add(struct steer *t, struct taint_set columns);

/* An expression that decides: every column in it. */
void steer_by(struct steer *t, struct scope *s, const ProtobufCMessage *expression);
void steer_by_list(struct steer *t, struct scope *s, PgQuery__Node *const *list, size_t count);

/* An expression whose value goes into a row: only what decides or may fail inside it. */
void steer_value(struct steer *t, struct scope *s, const ProtobufCMessage *expression);
void steer_values(struct steer *t, struct scope *s, PgQuery__Node *const *list, size_t count);

/* predicates.c: a query anywhere; returns its output columns. */
struct columns steer_query(struct steer *t, const ProtobufCMessage *query, struct env *env, struct scope *outer, bool condition);

#endif
