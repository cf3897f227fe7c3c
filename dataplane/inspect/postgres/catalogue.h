/* catalogue.h: which relations and columns of a database carry data classes, by the server's own numbers.
 *
 * RowDescription names columns by (relation oid, attnum); the policy names them by database, schema, table and column. The
 * catalogue is the bridge: a session sends PG_CATALOGUE_QUERY and gives every row to pg_catalogue_row. Kept are only tagged columns,
 * also of partitions and inheriting tables; views, materialized views and toast tables that read a tagged
 * table are tainted as a whole (postgres.md 9: a view's column cannot be told from the outside).
 *
 * A policy that tags the same columns is the same policy here, so that reloads do not make the catalogue be read again.
 * Tags are sticky: a refresh under the same policy adds and never removes, so that renaming a column or a table does not
 * wash it. What a statement copies out of tagged columns taints the column that it is copied into, by name (of the relation, and of the
 * column where that is known): for everybody from the moment that the statement is sent, for good when its transaction committed, and
 * no longer when it did not (catalogue_taint.c). Relations with tagged columns, and tainted ones, are kept with all of their columns, as
 * far as there is room; a column that is not there is taken for every tainted one.
 *
 * One struct per service and worker (inspect_env.shared), shared by its sessions, one database each of PG_DATABASES. Each worker reads
 * the catalogue for itself; taints are told to the others, who hold, keep and drop them as well (taint.c).
 * Loading is additive and any number of sessions may do it at once: the first to finish publishes. Fixed memory; what does
 * not fit makes the catalogue `full`, and no session may go on: fail closed.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_CATALOGUE_H
#define DATAPLANE_INSPECT_POSTGRES_CATALOGUE_H

#include "dataplane/inspect/inspector.h"
#include "dataplane/inspect/postgres/notation.h"

#define PG_DATABASES 4
#define PG_TAGGED_RELATIONS 1024
#define PG_TAGGED_COLUMNS 4096
#define PG_COLUMN_SLOTS 8192 /* open addressing: twice the columns */
#define PG_TAG_SETS 64       /* distinct sets of classes */
#define PG_TAINTS 256
#define PG_KEPT_RELATIONS 512 /* at most, of them without a tag; the same for columns */
#define PG_KEPT_COLUMNS 2048
#define PG_KIN 16 /* relations that show the rows of a tainted one; with more, it is any relation */
#define PG_CATALOGUE_AGE_US (300ull * 1000000)  /* refreshed after this */
#define PG_CATALOGUE_RETRY_US (10ull * 1000000) /* … when that failed */

_Static_assert(PG_TAINTS <= 256, "a session keeps the number of a taint in a byte");
_Static_assert(PG_KIN <= 32, "kin_views has a bit for each");
_Static_assert(PG_COLUMN_SLOTS >= 2 * PG_TAGGED_COLUMNS, "probing stays short");

struct pg_tagged_column {
	uint32_t relation; /* 0: free */
	int16_t attnum;
	uint16_t position; /* among the columns that are not dropped, from 1 */
	uint32_t type;
	uint16_t set;
	uint16_t next; /* of this relation: slot + 1; 0: the last */
	uint64_t name; /* hash */
};

struct pg_tagged_relation {
	uint32_t oid;
	bool whole;          /* every column, whatever its number */
	uint16_t columns;    /* of the relation, not dropped */
	uint16_t listed;     /* … that are kept, tagged or not */
	uint16_t first;      /* kept column: slot + 1 */
	uint64_t schema, name;
	struct class_bits classes;
};

struct pg_tags {
	bool full;
	uint16_t relations, columns, sets;
	uint16_t kept_relations, kept_columns; /* that were kept before any tag of theirs was read */
	uint32_t oid_max; /* of all relations when it was read */
	struct pg_tagged_relation relation[PG_TAGGED_RELATIONS];
	struct pg_tagged_column column[PG_COLUMN_SLOTS];
	struct class_bits set[PG_TAG_SETS];
};

struct pg_taint {
	uint64_t schema, name, column; /* 0: any */
	struct class_bits classes; /* for good */
	struct class_bits held;    /* as long as there are holders */
	uint16_t holders;          /* transactions that wrote it and are not at their end */
	bool used, listed;         /* listed: relations of this name have been read since */
	bool made;                 /* … was made with what it holds: nothing went through it into those it shows */
	uint8_t kins;
	uint32_t seen;             /* the last build that began after it was made */
	uint32_t kin_views;        /* a bit for each kin: a view is between the two */
	uint64_t kin[PG_KIN];      /* names of relations that show the same rows */
};

struct pg_catalogue {
	uint8_t name_len; /* 0: free */
	char name[63];    /* of the database */
	bool loaded, stale;
	uint64_t policy, due_us;        /* of the tags in force: policy_columns_hash, and when they are to be read again */
	uint64_t seen_generation, seen_policy; /* the snapshot looked at last, and its policy_columns_hash */
	uint32_t build;                 /* names the tags being loaded */
	uint64_t build_policy;
	bool building;
	unsigned active;                /* index of the tags in force */
	uint32_t changes;               /* of tags or taints */
	unsigned taints;                /* in use */
	struct pg_taint taint[PG_TAINTS];
	uint8_t of_peer[LIMIT_WORKERS][PG_TAINTS]; /* another worker's taint of this number, here */
	struct pg_tags tags[2];
};

/* The whole of inspect_env.shared. */
struct pg_shared {
	struct pg_catalogue database[PG_DATABASES];
	/* For one call. */
	union {
		uint8_t scratch[LIMIT_STREAM_BYTES];
		struct {
			struct pg_layer layer[3]; /* of a COPY's cell, of an item, of a JSON string or hex */
			uint8_t window[PG_WINDOW];
			struct match_hit hits[PG_VEIL_HITS];
		} veil;
	};
};

_Static_assert(sizeof(((struct pg_shared *)0)->veil) <= LIMIT_STREAM_BYTES, "a long value's windows take no memory of their own");

extern const char pg_catalogue_query[];

/* Names are kept as hashes, never 0: a collision can only tag too much. */
static inline uint64_t pg_name_hash(struct bytes name)
{
	return hash64((struct hash_key){ 0x706763, 0x6e616d65 }, name.len ? name.base : (const uint8_t *)"", name.len) | 1;
}

/* In the place of a column's name while only its position is known, or nothing (0): names' hashes are odd. */
static inline uint64_t pg_place_hash(unsigned position)
{
	return (uint64_t)position << 1;
}

static inline bool pg_is_place(uint64_t column)
{
	return !(column & 1);
}

/* The database's catalogue; NULL when PG_DATABASES others are in use. */
struct pg_catalogue *pg_catalogue_of(struct pg_shared *shared, struct bytes database);

/* Whether the policy tags any column of this database; if not, no catalogue is needed. */
bool pg_catalogue_wanted(const struct inspect_snapshot *snapshot, struct bytes database);

/* What the policy in force tags, as a number: equal numbers, equal tags. */
uint64_t pg_catalogue_policy(struct pg_catalogue *c, const struct inspect_snapshot *snapshot);

/* Loaded under the policy in force (it may be old: see pg_catalogue_due). */
bool pg_catalogue_usable(struct pg_catalogue *c, const struct inspect_snapshot *snapshot);
bool pg_catalogue_due(struct pg_catalogue *c, const struct inspect_snapshot *snapshot, uint64_t now_us);

/* Loading: begin, a row for each DataRow body, end. `build` is kept by the session. */
uint32_t pg_catalogue_begin(struct pg_catalogue *c, const struct inspect_snapshot *snapshot);
bool pg_catalogue_row(struct pg_catalogue *c, uint32_t build, const struct inspect_snapshot *snapshot, struct bytes row);
void pg_catalogue_end(struct pg_catalogue *c, uint32_t build, bool good, uint64_t now_us);

/* How much the number of a column tells. */
enum pg_column_found {
	PG_COLUMN_LISTED,    /* its classes are all it has */
	PG_COLUMN_ELSEWHERE, /* its relation is not kept: what its name is tainted by is not among the classes */
	PG_COLUMN_NEWER,     /* its relation was made after the catalogue was read */
};

/* The classes of a column of a result; attnum 0 is the whole row. */
struct class_bits pg_catalogue_column(const struct pg_catalogue *c, uint32_t relation, int16_t attnum, enum pg_column_found *found);

/* By names, as a classification gives them; a name without schema means every relation of that name. Writes indices of
 * tagged relations, at most `max`, and returns how many there are (it may be more). */
unsigned pg_catalogue_find(const struct pg_catalogue *c, const struct access *relation, int *out, unsigned max);

/* What was copied into a relation of this name or its kin; `column` 0: into any of its columns. */
struct class_bits pg_catalogue_taints(const struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column);

/* The same of a relation as an access names it, without what its columns as they are kept tell. */
struct class_bits pg_catalogue_washed(const struct pg_catalogue *c, const struct access *relation);

/* Of the kept relation with this index: itself; all its classes, tainted ones too; a column's by name; a column by position, and the name
 * there (0: not known). A column that is not kept may be any of those that are tainted. */
const struct pg_tagged_relation *pg_catalogue_relation(const struct pg_catalogue *c, int relation);
struct class_bits pg_catalogue_classes(const struct pg_catalogue *c, int relation);
struct class_bits pg_catalogue_named(const struct pg_catalogue *c, int relation, struct bytes column);
struct class_bits pg_catalogue_hashed(const struct pg_catalogue *c, int relation, uint64_t column);
const struct pg_tagged_column *pg_catalogue_position(const struct pg_catalogue *c, int relation, unsigned position, struct class_bits *classes);
uint64_t pg_catalogue_name_at(const struct pg_catalogue *c, int relation, unsigned position);

/* Whether every column of it is kept. */
static inline bool pg_relation_complete(const struct pg_tagged_relation *r)
{
	return r->whole || (r->columns && r->listed >= r->columns);
}

/* The hashes of a relation's name; `schema` 0 when it is not given. False: it names no relation. */
bool pg_catalogue_names(const struct access *relation, uint64_t *schema, uint64_t *name);

/* A column (0: any of the relation; pg_place_hash: the one there, any of them until it is known) may now hold what came out of columns of these classes: one holder more. Returns what the other two
 * take. Without room every relation does: see pg_catalogue_taint_room. */
unsigned pg_catalogue_taint_hold(struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column, bool made, const struct class_bits *classes);
void pg_catalogue_taint_keep(struct pg_catalogue *c, unsigned taint, const struct class_bits *classes);
void pg_catalogue_taint_drop(struct pg_catalogue *c, unsigned taint);

/* Whether a taint more would find room. */
bool pg_catalogue_taint_room(const struct pg_catalogue *c, uint64_t schema, uint64_t name, uint64_t column);

/* While the catalogue is read: `child` shows rows of `root`; the column at a position has this name. At its beginning, and when it is
 * published. */
void pg_catalogue_place(struct pg_catalogue *c, uint64_t schema, uint64_t name, unsigned position, uint64_t column);
void pg_catalogue_kin(struct pg_catalogue *c, uint64_t child, uint64_t root, bool view);
void pg_catalogue_taints_seen(struct pg_catalogue *c);
void pg_catalogue_taints_listed(struct pg_catalogue *c);

#endif
