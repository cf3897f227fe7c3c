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

struct class_bits pg_catalogue_column(const struct pg_catalogue *c, uint32_t relation, int16_t attnum, enum pg_column_found *listed)
{
	const struct pg_tags *t = tags(c);
	struct class_bits taints;

	*listed = relation <= t->oid_max ? PG_COLUMN_ELSEWHERE : PG_COLUMN_NEWER;
	for (unsigned i = 0; i < t->relations; i++) {
		const struct pg_tagged_relation *r = &t->relation[i];
		const struct pg_tagged_column *found;

		if (r->oid != relation)
			continue;
		*listed = PG_COLUMN_LISTED;
		/* Attribute 0 is the whole row. */
		if (r->whole || attnum == 0)
			return pg_catalogue_classes(c, (int)i);
		found = column(t, relation, attnum);
		/* What is not kept was made later, or found no room. */
		taints = attnum > 0 ? pg_catalogue_taints(c, r->schema, r->name, found ? found->name : 0) : (struct class_bits){ 0 };
		return found ? class_bits_or(taints, t->set[found->set]) : taints;
	}
	return (struct class_bits){ 0 };
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

const struct pg_tagged_relation *pg_catalogue_relation(const struct pg_catalogue *c, int relation)
{
	return &tags(c)->relation[relation];
}

struct class_bits pg_catalogue_classes(const struct pg_catalogue *c, int relation)
{
	const struct pg_tagged_relation *r = &tags(c)->relation[relation];

	return class_bits_or(r->classes, pg_catalogue_taints(c, r->schema, r->name, 0));
}

static const struct pg_tagged_column *column_where(const struct pg_catalogue *c, int relation, unsigned position, uint64_t name)
{
	const struct pg_tags *t = tags(c);

	for (unsigned k = t->relation[relation].first; k; k = t->column[k - 1].next) {
		const struct pg_tagged_column *at = &t->column[k - 1];

		if (name ? at->name == name : at->position == position)
			return at;
	}
	return NULL;
}

/* A column that is not found may be there all the same. */
static struct class_bits classes_of(const struct pg_catalogue *c, int relation, const struct pg_tagged_column *found, uint64_t name)
{
	const struct pg_tags *t = tags(c);
	const struct pg_tagged_relation *r = &t->relation[relation];
	struct class_bits taints;

	if (r->whole)
		return pg_catalogue_classes(c, relation);
	taints = pg_catalogue_taints(c, r->schema, r->name, found ? found->name : pg_relation_complete(r) ? name : 0);
	return found ? class_bits_or(taints, t->set[found->set]) : taints;
}

struct class_bits pg_catalogue_hashed(const struct pg_catalogue *c, int relation, uint64_t name)
{
	return classes_of(c, relation, column_where(c, relation, 0, name), name);
}

struct class_bits pg_catalogue_named(const struct pg_catalogue *c, int relation, struct bytes column_name)
{
	return pg_catalogue_hashed(c, relation, pg_name_hash(column_name));
}

const struct pg_tagged_column *pg_catalogue_position(const struct pg_catalogue *c, int relation, unsigned position,
						     struct class_bits *classes)
{
	const struct pg_tagged_column *found = column_where(c, relation, position, 0);

	*classes = classes_of(c, relation, found, 0);
	return found;
}

uint64_t pg_catalogue_name_at(const struct pg_catalogue *c, int relation, unsigned position)
{
	const struct pg_tagged_column *found = column_where(c, relation, position, 0);

	return found ? found->name : 0;
}
