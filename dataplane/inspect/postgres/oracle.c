/* oracle.c: which classes a column has that a statement would decide by, as the catalogue knows it: also through views,
 * partitions and copies, where names say nothing. In doubt: every class. */
#include "dataplane/inspect/postgres/session.h"

#define RELATIONS 16

struct class_bits pg_tagged(void *session, const struct access *relation, struct bytes column)
{
	struct pg_session *s = session;
	struct class_bits classes;
	int found[RELATIONS];
	unsigned count;

	if (!s->catalogue)
		return (struct class_bits){ 0 };
	if (!pg_catalogue_usable(s->catalogue, s->env->snapshot))
		return s->env->snapshot->every;
	classes = pg_catalogue_washed(s->catalogue, relation);
	count = pg_catalogue_find(s->catalogue, relation, found, RELATIONS);
	if (count > RELATIONS)
		return s->env->snapshot->every;
	for (unsigned i = 0; i < count; i++)
		classes = class_bits_or(classes, column.len ? pg_catalogue_named(s->catalogue, found[i], column)
							    : pg_catalogue_classes(s->catalogue, found[i]));
	return classes;
}

uint64_t pg_tagged_version(void *session)
{
	struct pg_session *s = session;

	return s->catalogue ? (uint64_t)s->catalogue->changes << 1 | pg_catalogue_usable(s->catalogue, s->env->snapshot) : 0;
}
