/* catalogue_find.c: questions to the tags in force. */
#include "dataplane/inspect/postgres/catalogue.h"

static const struct pg_tags *tags(const struct pg_catalogue *c)
{
	return &c->tags[c->active];
}

static const struct pg_tagged_column *column(const struct pg_tags *t, uint32_t relation, int16_t attnum)
{
	unsigned at = (unsigned)hash_mix((uint64_t)relation << 16 | (uint16_t)attnum) % PG_COLUMN_SLOTS;

	for (; t->column[at].relation; at = (at + 1) % PG_COLUMN_SLOTS)
		if (t->column[at].relation == relation && t->column[at].attnum == attnum)
			return &t->column[at];
	return NULL;
}

static struct class_bits tainted(const struct pg_catalogue *c, uint64_t schema, uint64_t name)
{
	struct class_bits all = { 0 };

	for (unsigned i = 0; i < PG_TAINTS; i++) {
		const struct pg_taint *t = &c->taint[i];

		if (t->used && (!t->name || t->name == name) && (!schema || !t->schema || t->schema == schema))
			all = class_bits_or(all, class_bits_or(t->classes, t->held));
	}
	return all;
}

struct class_bits pg_catalogue_column(const struct pg_catalogue *c, uint32_t relation, int16_t attnum, bool *known)
{
	const struct pg_tags *t = tags(c);
	struct class_bits all = { 0 };

	*known = relation <= t->oid_max;
	for (unsigned i = 0; i < t->relations; i++) {
		const struct pg_tagged_relation *r = &t->relation[i];
		const struct pg_tagged_column *found;

		if (r->oid != relation)
			continue;
		all = tainted(c, r->schema, r->name);
		/* Attribute 0 is the whole row. */
		if (r->whole || attnum == 0)
			return class_bits_or(all, r->classes);
		found = column(t, relation, attnum);
		return found ? class_bits_or(all, t->set[found->set]) : all;
	}
	return all;
}

bool pg_catalogue_names(const struct access *a, uint64_t *schema, uint64_t *name)
{
	if (a->kind != OBJECT_RELATION || !a->levels || a->levels > 4)
		return false;
	*name = pg_name_hash(a->level[a->levels - 1]);
	*schema = a->levels > 1 && a->level[a->levels - 2].len ? pg_name_hash(a->level[a->levels - 2]) : 0;
	return true;
}

static bool is(const struct pg_tagged_relation *r, uint64_t schema, uint64_t name)
{
	return r->name == name && (!schema || r->schema == schema);
}

unsigned pg_catalogue_find(const struct pg_catalogue *c, const struct access *relation, int *out, unsigned max)
{
	const struct pg_tags *t = tags(c);
	uint64_t schema, name;
	unsigned count = 0;

	if (!pg_catalogue_names(relation, &schema, &name))
		return 0;
	for (unsigned i = 0; i < t->relations; i++) {
		if (!is(&t->relation[i], schema, name))
			continue;
		if (count < max)
			out[count] = (int)i;
		count++;
	}
	return count;
}

struct class_bits pg_catalogue_tainted(const struct pg_catalogue *c, const struct access *relation)
{
	uint64_t schema, name;

	return pg_catalogue_names(relation, &schema, &name) ? tainted(c, schema, name) : (struct class_bits){ 0 };
}

const struct pg_tagged_relation *pg_catalogue_relation(const struct pg_catalogue *c, int relation)
{
	return &tags(c)->relation[relation];
}

static const struct pg_tagged_column *column_where(const struct pg_catalogue *c, int relation, unsigned position, uint64_t name,
						   struct class_bits *classes)
{
	const struct pg_tags *t = tags(c);
	const struct pg_tagged_relation *r = &t->relation[relation];

	*classes = r->whole ? r->classes : (struct class_bits){ 0 };
	for (unsigned k = r->first; k; k = t->column[k - 1].next) {
		const struct pg_tagged_column *at = &t->column[k - 1];

		if (name ? at->name == name : at->position == position) {
			*classes = class_bits_or(*classes, t->set[at->set]);
			return at;
		}
	}
	return NULL;
}

struct class_bits pg_catalogue_named(const struct pg_catalogue *c, int relation, struct bytes column_name)
{
	struct class_bits classes;

	(void)column_where(c, relation, 0, pg_name_hash(column_name), &classes);
	return classes;
}

const struct pg_tagged_column *pg_catalogue_position(const struct pg_catalogue *c, int relation, unsigned position,
						     struct class_bits *classes)
{
	return column_where(c, relation, position, 0, classes);
}

const struct pg_tagged_column *pg_catalogue_column_named(const struct pg_catalogue *c, int relation, struct bytes name,
							 struct class_bits *classes)
{
	return column_where(c, relation, 0, pg_name_hash(name), classes);
}

/* The slot of a relation's taint, or a free one; PG_TAINTS: none. */
static unsigned taint_of(const struct pg_catalogue *c, uint64_t schema, uint64_t name)
{
	unsigned free = PG_TAINTS;

	for (unsigned i = 0; i < PG_TAINTS; i++) {
		if (c->taint[i].used && c->taint[i].name == name && c->taint[i].schema == schema)
			return i;
		if (!c->taint[i].used && free == PG_TAINTS)
			free = i;
	}
	return free;
}

bool pg_catalogue_taint_room(const struct pg_catalogue *c, uint64_t schema, uint64_t name)
{
	return taint_of(c, schema, name) < PG_TAINTS;
}

unsigned pg_catalogue_taint_hold(struct pg_catalogue *c, uint64_t schema, uint64_t name, const struct class_bits *classes)
{
	unsigned i = taint_of(c, schema, name);
	struct pg_taint *t;

	if (i == PG_TAINTS) {
		i = PG_TAINTS - 1; /* any relation, from now on */
		c->taint[i].schema = c->taint[i].name = 0;
	}
	t = &c->taint[i];
	if (!t->used)
		*t = (struct pg_taint){ .used = true, .schema = schema, .name = name };
	t->held = class_bits_or(t->held, *classes);
	t->holders++;
	c->changes++;
	return i;
}

void pg_catalogue_taint_keep(struct pg_catalogue *c, unsigned taint, const struct class_bits *classes)
{
	c->taint[taint].classes = class_bits_or(c->taint[taint].classes, *classes);
	c->changes++;
	pg_catalogue_taint_drop(c, taint);
}

void pg_catalogue_taint_drop(struct pg_catalogue *c, unsigned taint)
{
	struct pg_taint *t = &c->taint[taint];

	if (!t->holders || --t->holders)
		return;
	t->held = (struct class_bits){ 0 };
	c->changes++;
	t->used = class_bits_any(&t->classes);
}
