/* wash.c: where a statement puts what it reads out of tagged columns (postgres.md 9: copies launder tags).
 *
 * Column by column where the classification tells what flows into which; else everything that it reads may be in everything that it
 * writes (MERGE, DO, `*`, an unnamed output; through a view). More of them than are followed, and the command is refused. Over tagged columns
 * no setting, notification, advisory lock, sequence or large object may be written. Ways tried: tests/system/postgres/copy_taint_checks.py.
 */
#include "dataplane/inspect/postgres/reading.h"

static void add(struct pg_reader *r, const struct access *a, uint64_t column, const struct class_bits *classes)
{
	struct pg_command *c = r->command;
	unsigned same = PG_WRITES;
	uint64_t schema, name;

	if (!pg_catalogue_names(a, &schema, &name)) {
		c->traits.carries = true;
		return;
	}
	c->written = class_bits_or(c->written, *classes);
	for (unsigned i = 0; i < c->writes; i++) {
		if (c->write[i].schema != schema || c->write[i].name != name)
			continue;
		if (!c->write[i].column || c->write[i].column == column)
			return;
		same = i;
	}
	if (c->writes == PG_WRITES && same < PG_WRITES) {
		c->write[same].column = 0;
		return;
	}
	if (!pg_catalogue_taint_room(r->s->catalogue, schema, name, column))
		column = 0;
	if (c->writes == PG_WRITES || !pg_catalogue_taint_room(r->s->catalogue, schema, name, column) ||
	    (r->s->host->share_room && !r->s->host->share_room(r->s->host_context))) {
		c->traits.carries = true;
		return;
	}
	c->write[c->writes].schema = schema;
	c->write[c->writes].name = name;
	c->write[c->writes].made = a->verb == VERB_ddl;
	c->write[c->writes++].column = column;
}

/* The hash of the column's name; 0: any column. `*tagged`: it has these classes anyhow. */
static uint64_t column_of(const struct pg_reader *r, const struct access *a, const struct written *w, const struct class_bits *classes,
			  bool *tagged)
{
	const struct pg_catalogue *c = r->s->catalogue;
	int found[PG_RELATIONS];
	unsigned count = pg_catalogue_find(c, a, found, PG_RELATIONS);
	uint64_t column = w->column.len ? pg_name_hash(w->column) : 0;

	*tagged = count > 0 && count <= PG_RELATIONS;
	if (!column && w->position && count == 1)
		column = pg_catalogue_name_at(c, found[0], w->position);
	if (!column)
		column = pg_place_hash(w->position);
	for (unsigned i = 0; i < count && i < PG_RELATIONS; i++) {
		struct class_bits has = !pg_is_place(column) ? pg_catalogue_hashed(c, found[i], column) : (struct class_bits){ 0 };

		has = class_bits_and(has, *classes);
		*tagged &= !memcmp(&has, classes, sizeof(has));
		/* A view's columns may have other names below. */
		if (pg_catalogue_relation(c, found[i])->whole)
			column = 0;
	}
	return count > PG_RELATIONS ? 0 : column;
}

static bool access_at(const struct classified_statement *st, unsigned number, struct access *a)
{
	struct reader at = st->access_bytes;

	for (unsigned i = 0; access_next(&at, a); i++)
		if (i == number)
			return true;
	return false;
}

static void told(struct pg_reader *r, const struct classified_statement *st, const struct class_bits *all)
{
	struct reader at = st->write_bytes;
	struct written w;
	struct access a;

	while (written_next(&at, &w)) {
		struct class_bits classes = w.from.taint == TAINT_ALL || r->many ? *all : pg_reading_named(r, &w.from);
		uint64_t column;
		bool tagged;

		if (!class_bits_any(&classes) || !access_at(st, w.access, &a))
			continue;
		column = column_of(r, &a, &w, &classes, &tagged);
		if (!tagged)
			add(r, &a, column, &classes);
	}
}

static bool writes(enum verb v)
{
	return v == VERB_ddl || v == VERB_insert || v == VERB_update;
}

/* A definition that only names a tagged table puts nothing into it. */
static bool tagged(const struct pg_reader *r, const struct access *a)
{
	int found[PG_RELATIONS];
	unsigned count = pg_catalogue_find(r->s->catalogue, a, found, PG_RELATIONS);
	bool any = false;

	for (unsigned i = 0; i < count && i < PG_RELATIONS; i++)
		any |= class_bits_any(&pg_catalogue_relation(r->s->catalogue, found[i])->classes);
	return any;
}

static void untold(struct pg_reader *r, const struct classified_statement *st, const struct class_bits *all)
{
	struct reader at = st->access_bytes;
	bool reads = false;
	struct access a;

	while (access_next(&at, &a))
		reads |= a.verb == VERB_select || a.verb == VERB_copy_out || a.verb == VERB_update;
	at = st->access_bytes;
	while (reads && access_next(&at, &a)) {
		if (!writes(a.verb) || a.kind != OBJECT_RELATION)
			continue;
		if (a.verb != VERB_ddl || !tagged(r, &a))
			add(r, &a, 0, all);
	}
}

void pg_wash(struct pg_reader *r, const struct classified_statement *st)
{
	struct class_bits all = class_bits_or(r->found, r->washed);

	if (!class_bits_any(&all))
		return;
	if (st->writes_told)
		told(r, st, &all);
	else
		untold(r, st, &all);
}
