/* catalogue.c: loading. catalogue_find.c asks. */
#include "dataplane/inspect/postgres/catalogue.h"

#include "dataplane/inspect/postgres/frame.h"

/* Rows: kind, oid, schema, name, attnum, column, type, position, columns in all, root's schema, root's name.
 *   c  a column; its tag is that of the column of this name in the root (itself, or what it inherits from)
 *   v  a relation that shows the root's values
 *   w  a column of what other sessions sent to the server: any value may be in it
 *   m  the greatest oid of a relation
 * Everything is qualified, operators too: the session's search_path may be the agent's. */
#define EQ " operator(pg_catalog.=) "
const char pg_catalogue_query[] =
	"with recursive edge(child, parent, view) as ("
	" select inhrelid, inhparent, false from pg_catalog.pg_inherits"
	" union all select r.ev_class, d.refobjid, true from pg_catalog.pg_depend d join pg_catalog.pg_rewrite r on d.objid" EQ "r.oid"
	" where d.classid" EQ "'pg_catalog.pg_rewrite'::pg_catalog.regclass::pg_catalog.oid and d.refclassid" EQ
	"'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid and d.refobjid operator(pg_catalog.<>) r.ev_class"
	" union all select reltoastrelid, oid, true from pg_catalog.pg_class where reltoastrelid operator(pg_catalog.<>) 0::pg_catalog.oid"
	"), path(child, root, view) as ("
	" select child, parent, view from edge"
	" union select e.child, p.root, e.view or p.view from edge e join path p on e.parent" EQ "p.child"
	"), rel as (select c.oid, n.nspname, c.relname, c.relkind from pg_catalog.pg_class c join pg_catalog.pg_namespace n"
	" on n.oid" EQ "c.relnamespace where n.nspname operator(pg_catalog.<>) 'information_schema'"
	" and c.relkind" EQ "any (array['r','p','v','m','f','t']::pg_catalog.\"char\"[])"
	"), col as (select a.attrelid, a.attnum, a.attname, a.atttypid, pg_catalog.row_number() over (partition by a.attrelid"
	" order by a.attnum) as position, pg_catalog.count(*) over (partition by a.attrelid) as columns from pg_catalog.pg_attribute a where a.attnum operator(pg_catalog.>) 0::pg_catalog.int2"
	" and not a.attisdropped)"
	"select 'c', r.oid, r.nspname, r.relname, c.attnum, c.attname, c.atttypid, c.position, c.columns, r.nspname, r.relname"
	" from rel r join col c on c.attrelid" EQ "r.oid where r.nspname operator(pg_catalog.<>) 'pg_catalog'"
	" and r.nspname operator(pg_catalog.<>) 'pg_toast'"
	" union all select 'c', r.oid, r.nspname, r.relname, c.attnum, c.attname, c.atttypid, c.position, c.columns, o.nspname, o.relname"
	" from path p join rel r on r.oid" EQ "p.child join rel o on o.oid" EQ "p.root join col c on c.attrelid" EQ "r.oid"
	" where not p.view"
	" union all select 'v', r.oid, r.nspname, r.relname, 0, '', 0, 0, 0, o.nspname, o.relname"
	" from path p join rel r on r.oid" EQ "p.child join rel o on o.oid" EQ "p.root where p.view"
	" union all select 'v', r.oid, r.nspname, r.relname, 0, '', 0, 0, 0, '', '' from rel r where r.nspname" EQ "'pg_catalog'"
	" and r.relname" EQ "any (array['pg_stats','pg_stats_ext','pg_stats_ext_exprs','pg_statistic','pg_statistic_ext_data']"
	"::pg_catalog.name[])"
	" union all select 'w', r.oid, r.nspname, r.relname, c.attnum, c.attname, c.atttypid, c.position, c.columns, '', ''"
	" from rel r join col c on c.attrelid" EQ "r.oid where c.attname" EQ "'query' and r.relname" EQ
	"any (array['pg_stat_activity','pg_stat_statements']::pg_catalog.name[])"
	" union all select 'm', pg_catalog.max(c.oid), '', '', 0, '', 0, 0, 0, '', '' from pg_catalog.pg_class c";
#undef EQ

struct pg_catalogue *pg_catalogue_of(struct pg_shared *shared, struct bytes database)
{
	for (unsigned i = 0; i < PG_DATABASES; i++) {
		struct pg_catalogue *c = &shared->database[i];

		if (!c->name_len && database.len <= sizeof(c->name) && database.len) {
			c->name_len = (uint8_t)database.len;
			memcpy(c->name, database.base, database.len);
		}
		if (bytes_equal(bytes_of(c->name, c->name_len), database))
			return c;
	}
	return NULL;
}

bool pg_catalogue_wanted(const struct inspect_snapshot *snapshot, struct bytes database)
{
	struct class_bits any = policy_column_classes(snapshot->image, database, bytes_str(""), bytes_str(""), bytes_str(""));

	return class_bits_any(&any);
}

uint64_t pg_catalogue_policy(struct pg_catalogue *c, const struct inspect_snapshot *snapshot)
{
	if (c->seen_generation != snapshot->generation || !c->seen_policy) {
		c->seen_generation = snapshot->generation;
		c->seen_policy = policy_columns_hash(snapshot->image) | 1;
	}
	return c->seen_policy;
}

bool pg_catalogue_usable(struct pg_catalogue *c, const struct inspect_snapshot *snapshot)
{
	return c->loaded && c->policy == pg_catalogue_policy(c, snapshot) && !c->tags[c->active].full;
}

bool pg_catalogue_due(struct pg_catalogue *c, const struct inspect_snapshot *snapshot, uint64_t now_us)
{
	return !pg_catalogue_usable(c, snapshot) || c->stale || now_us > c->due_us;
}

uint32_t pg_catalogue_begin(struct pg_catalogue *c, const struct inspect_snapshot *snapshot)
{
	struct pg_tags *next = &c->tags[!c->active];

	if (c->building && c->build_policy == pg_catalogue_policy(c, snapshot) && !c->stale)
		return c->build; /* somebody is at it: help */
	if (pg_catalogue_usable(c, snapshot))
		*next = c->tags[c->active];
	else
		memset(next, 0, sizeof(*next));
	c->stale = false;
	c->build_policy = pg_catalogue_policy(c, snapshot);
	c->building = true;
	/* Numbers of builds are never 0 and never reused within reach of a session that loads. */
	c->build = c->build + 2 > 2 ? c->build + 2 : 1;
	pg_catalogue_taints_seen(c);
	return c->build;
}

static int set_of(struct pg_tags *t, const struct class_bits *classes)
{
	for (int i = 0; i < t->sets; i++)
		if (!memcmp(&t->set[i], classes, sizeof(*classes)))
			return i;
	if (t->sets == PG_TAG_SETS)
		return -1;
	t->set[t->sets] = *classes;
	return t->sets++;
}

static struct pg_tagged_relation *relation_of(struct pg_tags *t, uint32_t oid)
{
	struct pg_tagged_relation *r;

	for (unsigned i = 0; i < t->relations; i++)
		if (t->relation[i].oid == oid)
			return &t->relation[i];
	if (t->relations == PG_TAGGED_RELATIONS)
		return NULL;
	r = &t->relation[t->relations++];
	*r = (struct pg_tagged_relation){ .oid = oid };
	return r;
}

static unsigned column_slot(const struct pg_tags *t, uint32_t relation, int16_t attnum)
{
	unsigned at = (unsigned)hash_mix((uint64_t)relation << 16 | (uint16_t)attnum) % PG_COLUMN_SLOTS;

	while (t->column[at].relation && (t->column[at].relation != relation || t->column[at].attnum != attnum))
		at = (at + 1) % PG_COLUMN_SLOTS;
	return at;
}

static bool tag_column(struct pg_tags *t, struct pg_tagged_relation *relation, const struct pg_tagged_column *column,
		       const struct class_bits *classes)
{
	unsigned at = column_slot(t, column->relation, column->attnum);
	struct pg_tagged_column *slot = &t->column[at];
	struct class_bits all = *classes;
	uint16_t next = slot->next;
	int set;

	if (slot->relation)
		all = class_bits_or(all, t->set[slot->set]);
	else if (t->columns == PG_TAGGED_COLUMNS)
		return false;
	set = set_of(t, &all);
	if (set < 0)
		return false;
	if (!slot->relation) {
		t->columns++;
		relation->listed++;
		next = relation->first;
		relation->first = (uint16_t)(at + 1);
	}
	*slot = *column;
	slot->next = next;
	slot->set = (uint16_t)set;
	return true;
}

static uint32_t number(struct bytes text)
{
	uint64_t value = 0;

	for (size_t i = 0; i < text.len && text.base[i] >= '0' && text.base[i] <= '9'; i++)
		value = value * 10 + (text.base[i] - '0');
	return (uint32_t)value;
}

enum { ROW_KIND, ROW_OID, ROW_SCHEMA, ROW_NAME, ROW_ATTNUM, ROW_COLUMN, ROW_TYPE, ROW_POSITION, ROW_COLUMNS,
       ROW_ROOT_SCHEMA, ROW_ROOT_NAME, ROW_CELLS };

static bool row_cells(struct bytes row, struct bytes cell[ROW_CELLS])
{
	struct reader r = reader_of_bytes(row);

	if (reader_be16(&r) != ROW_CELLS)
		return false;
	for (unsigned i = 0; i < ROW_CELLS; i++) {
		uint32_t len = reader_be32(&r);

		cell[i] = len == UINT32_MAX ? bytes_str("") : reader_bytes(&r, len);
	}
	return r.ok && !r.left && cell[ROW_KIND].len == 1;
}

/* False: no room. */
static bool tag_row(struct pg_tags *t, const struct bytes cell[ROW_CELLS], const struct class_bits *classes)
{
	struct pg_tagged_relation *relation;
	struct pg_tagged_column column = {
		.relation = number(cell[ROW_OID]), .attnum = (int16_t)number(cell[ROW_ATTNUM]), .type = number(cell[ROW_TYPE]),
		.position = (uint16_t)number(cell[ROW_POSITION]), .name = pg_name_hash(cell[ROW_COLUMN]),
	};

	relation = relation_of(t, column.relation);
	if (!relation)
		return false;
	relation->schema = pg_name_hash(cell[ROW_SCHEMA]);
	relation->name = pg_name_hash(cell[ROW_NAME]);
	relation->classes = class_bits_or(relation->classes, *classes);
	if (cell[ROW_KIND].base[0] == 'v') {
		relation->whole = true;
		return true;
	}
	relation->columns = (uint16_t)number(cell[ROW_COLUMNS]);
	return tag_column(t, relation, &column, classes);
}

/* Room for tags is not taken by what has none. */
static bool room_to_keep(const struct pg_tags *t, uint32_t oid)
{
	unsigned i = 0;

	while (i < t->relations && t->relation[i].oid != oid)
		i++;
	return t->kept_columns < PG_KEPT_COLUMNS && (i < t->relations || t->kept_relations < PG_KEPT_RELATIONS);
}

/* A column without a tag: without room its relation's columns are not told apart. */
static void keep_row(struct pg_tags *t, const struct bytes cell[ROW_CELLS])
{
	unsigned relations = t->relations, columns = t->columns;
	struct class_bits none = { 0 };

	if (!room_to_keep(t, number(cell[ROW_OID])))
		return;
	(void)tag_row(t, cell, &none);
	t->kept_relations += t->relations > relations;
	t->kept_columns += t->columns > columns;
}

static void taints_of_row(struct pg_catalogue *c, const struct bytes cell[ROW_CELLS])
{
	bool same = bytes_equal(cell[ROW_NAME], cell[ROW_ROOT_NAME]) && bytes_equal(cell[ROW_SCHEMA], cell[ROW_ROOT_SCHEMA]);

	if (c->taints && same && cell[ROW_KIND].base[0] == 'c')
		pg_catalogue_place(c, pg_name_hash(cell[ROW_SCHEMA]), pg_name_hash(cell[ROW_NAME]), number(cell[ROW_POSITION]), pg_name_hash(cell[ROW_COLUMN]));
	if (c->taints && cell[ROW_ROOT_NAME].len && !same)
		pg_catalogue_kin(c, pg_name_hash(cell[ROW_NAME]), pg_name_hash(cell[ROW_ROOT_NAME]), cell[ROW_KIND].base[0] == 'v');
}

/* An untagged column is kept when another one of its table is tagged, or the table is tainted. */
static bool kept(const struct pg_catalogue *c, const struct inspect_snapshot *snapshot, const struct bytes cell[ROW_CELLS])
{
	struct class_bits any;

	if (cell[ROW_KIND].base[0] != 'c')
		return false;
	any = pg_catalogue_taints(c, pg_name_hash(cell[ROW_SCHEMA]), pg_name_hash(cell[ROW_NAME]), 0);
	if (class_bits_any(&any))
		return true;
	any = policy_column_classes(snapshot->image, bytes_of(c->name, c->name_len), cell[ROW_ROOT_SCHEMA], cell[ROW_ROOT_NAME], bytes_str(""));
	return class_bits_any(&any);
}

bool pg_catalogue_row(struct pg_catalogue *c, uint32_t build, const struct inspect_snapshot *snapshot, struct bytes row)
{
	struct bytes cell[ROW_CELLS], database = bytes_of(c->name, c->name_len);
	struct pg_tags *t = &c->tags[!c->active];
	struct class_bits classes;

	if (!row_cells(row, cell))
		return false;
	if (build != c->build)
		return true; /* published by another session meanwhile */
	if (c->build_policy != pg_catalogue_policy(c, snapshot)) {
		/* It would tag other columns by now: what was read so far is of no use. */
		c->build++;
		c->building = false;
		return true;
	}
	if (cell[ROW_KIND].base[0] == 'm') {
		t->oid_max = number(cell[ROW_OID]);
		return true;
	}
	taints_of_row(c, cell);
	classes = policy_column_classes(snapshot->image, database, cell[ROW_ROOT_SCHEMA], cell[ROW_ROOT_NAME],
					cell[ROW_KIND].base[0] == 'w' ? bytes_str("") : cell[ROW_COLUMN]);
	if (class_bits_any(&classes))
		t->full |= !tag_row(t, cell, &classes);
	else if (kept(c, snapshot, cell))
		keep_row(t, cell);
	return true;
}

/* Classes may have other numbers now. */
static void taints_of_any_class(struct pg_catalogue *c)
{
	for (unsigned i = 0; i < PG_TAINTS; i++)
		for (unsigned k = 0; c->taint[i].used && k < LIMIT_CLASSES; k++)
			class_bits_add(class_bits_any(&c->taint[i].classes) ? &c->taint[i].classes : &c->taint[i].held, k);
}

void pg_catalogue_end(struct pg_catalogue *c, uint32_t build, bool good, uint64_t now_us)
{
	if (build != c->build)
		return;
	if (!good) {
		c->build++;
		c->building = false;
		/* What is in force stays so. */
		if (c->loaded)
			c->due_us = now_us + PG_CATALOGUE_RETRY_US;
		return;
	}
	if (c->loaded && c->policy != c->build_policy)
		taints_of_any_class(c);
	c->active = !c->active;
	pg_catalogue_taints_listed(c);
	c->changes++;
	c->policy = c->build_policy;
	c->loaded = true;
	c->due_us = now_us + PG_CATALOGUE_AGE_US;
	c->build++; /* rows of sessions that still read go nowhere */
	c->building = false;
}
