/* catalogue_taint.c: what statements copied out of tagged columns, and where to.
 *
 * A taint is by name: of the relation, and of the column, or of the relation as a whole where it is not known which column. It meets
 * a relation of that name and its kin: what inherits from it or is inherited, and views over it. Kin are found when the catalogue is
 * read, as are the relation's columns; from then on the taint is `listed`, and its relation's columns are told apart by number.
 * Until then it counts for every column that the relation may have.
 */
#include "dataplane/inspect/postgres/catalogue.h"

/* `view`: it may call its columns otherwise, so that any of them may show the tainted one. */
static void add_kin(struct pg_taint *t, uint64_t name, bool view)
{
	unsigned i = 0;

	while (i < t->kins && t->kin[i] != name)
		i++;
	if (i == PG_KIN) {
		t->schema = t->name = 0;
		t->column = view ? 0 : t->column;
		return;
	}
	t->kin[i] = name;
	t->kin_views |= view ? 1u << i : 0;
	t->kins += i == t->kins;
}

void pg_catalogue_kin(struct pg_catalogue *c, uint64_t child, uint64_t root, bool view)
{
	for (unsigned i = 0; c->taints && i < PG_TAINTS; i++) {
		struct pg_taint *t = &c->taint[i];

		if (t->used && t->name == root)
			add_kin(t, child, view);
		else if (t->used && t->name == child && !t->made)
			add_kin(t, root, view);
	}
}

void pg_catalogue_place(struct pg_catalogue *c, uint64_t schema, uint64_t name, unsigned position, uint64_t column)
{
	for (unsigned i = 0; c->taints && i < PG_TAINTS; i++) {
		struct pg_taint *t = &c->taint[i];

		/* Without a schema it may be another relation of this name. */
		if (t->used && t->name == name && t->schema && t->schema == schema && t->column == pg_place_hash(position))
			t->column = column;
	}
}

static bool named(const struct pg_taint *t, uint64_t schema, uint64_t name)
{
	return t->name == name && (!schema || !t->schema || t->schema == schema);
}

/* Whether the taint may be in this column (0: any) of this relation. */
static bool meets(const struct pg_taint *t, uint64_t schema, uint64_t name, uint64_t column)
{
	bool other = column && !pg_is_place(t->column) && t->column != column;

	if (!t->used)
		return false;
	if (!t->name || named(t, schema, name))
		return !other;
	for (unsigned i = 0; i < t->kins; i++)
		if (t->kin[i] == name)
			return !other || (t->kin_views >> i & 1);
	return false;
}

struct class_bits pg_catalogue_taints(const struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column)
{
	struct class_bits all = { 0 };

	for (unsigned i = 0; c->taints && i < PG_TAINTS; i++) {
		const struct pg_taint *t = &c->taint[i];

		if (meets(t, schema, name, column))
			all = class_bits_or(all, class_bits_or(t->classes, t->held));
	}
	return all;
}

/* Whether a listed relation of this name stands for all that the taint is about. */
static bool covered(const struct pg_catalogue *c, const struct pg_taint *t, uint64_t schema, uint64_t name)
{
	const struct pg_tags *tags = &c->tags[c->active];

	for (unsigned i = 0; t->listed && i < tags->relations; i++) {
		const struct pg_tagged_relation *r = &tags->relation[i];

		if (r->name == name && (!schema || r->schema == schema) && (t->name != name || !t->schema || r->schema == t->schema) &&
		    pg_relation_complete(r))
			return true;
	}
	return false;
}

struct class_bits pg_catalogue_washed(const struct pg_catalogue *c, const struct access *relation)
{
	struct class_bits all = { 0 };
	uint64_t schema, name;

	if (!c->taints || !pg_catalogue_names(relation, &schema, &name))
		return all;
	for (unsigned i = 0; i < PG_TAINTS; i++) {
		const struct pg_taint *t = &c->taint[i];

		if (meets(t, schema, name, 0) && !covered(c, t, schema, name))
			all = class_bits_or(all, class_bits_or(t->classes, t->held));
	}
	return all;
}

void pg_catalogue_taints_seen(struct pg_catalogue *c)
{
	for (unsigned i = 0; i < PG_TAINTS; i++)
		c->taint[i].seen = c->build;
}

void pg_catalogue_taints_listed(struct pg_catalogue *c)
{
	for (unsigned i = 0; i < PG_TAINTS; i++)
		c->taint[i].listed |= c->taint[i].used && c->taint[i].seen == c->build;
}

/* The slot of a taint, or a free one; PG_TAINTS: none. */
static unsigned taint_of(const struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column)
{
	unsigned free = PG_TAINTS;

	for (unsigned i = 0; i < PG_TAINTS; i++) {
		const struct pg_taint *t = &c->taint[i];

		if (t->used && t->name == name && t->schema == schema && t->column == column)
			return i;
		if (!t->used && free == PG_TAINTS)
			free = i;
	}
	return free;
}

bool pg_catalogue_taint_room(const struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column)
{
	return taint_of(c, schema, name, column) < PG_TAINTS;
}

unsigned pg_catalogue_taint_hold(struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column, bool made, const struct class_bits *classes)
{
	unsigned i = taint_of(c, schema, name, column);
	struct pg_taint *t;

	if (i == PG_TAINTS) {
		i = PG_TAINTS - 1; /* any relation, from now on */
		c->taint[i].schema = c->taint[i].name = c->taint[i].column = 0;
	}
	t = &c->taint[i];
	if (!t->used) {
		*t = (struct pg_taint){ .used = true, .schema = schema, .name = name, .column = column, .made = made };
		c->taints++;
		c->stale = true; /* who reads it next looks where it is */
	}
	/* Whoever writes through it now, too, is to find those below. */
	c->stale |= t->made && !made;
	t->made &= made;
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
	c->taints -= !t->used;
}
