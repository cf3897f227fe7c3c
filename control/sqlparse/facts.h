/* facts.h: what has been found out about one statement, before it is encoded.
 *
 * Names are views into the parse tree or the arena. Accesses are a set: adding one twice changes nothing. When a
 * limit is reached `over` is set and the statement is unknown.
 */
#ifndef CONTROL_SQLPARSE_FACTS_H
#define CONTROL_SQLPARSE_FACTS_H

#include "control/sqlparse/arena.h"
#include "control/sqlparse/tree.h"
#include "platform/base/limits.h"
#include "platform/contract/classification.h"

struct facts {
	uint32_t flags;
	bool over;
	unsigned accesses;
	struct access access[LIMIT_OBJECTS];
	struct copy_shape copy;
};

void facts_add(struct facts *f, enum verb verb, enum object_kind kind, const char *const *names, unsigned count);

/* An access without an object, and one with a name of one level (folded to lower case for a setting). */
void facts_bare(struct facts *f, enum verb verb);
void facts_named(struct facts *f, enum verb verb, enum object_kind kind, const char *name);
void facts_setting(struct facts *f, struct arena *a, enum verb verb, const char *name);

/* A relation as written; an unqualified pg_* belongs to pg_catalog, which the server searches first. */
void facts_relation(struct facts *f, enum verb verb, const PgQuery__RangeVar *r);

#endif
