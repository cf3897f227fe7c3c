/* classification.h: what a statement does, as the parser's helper tells it to the data plane.
 *
 * Shape: one message of a client holds one or more statements; each statement is a list of accesses
 * (verb, object), flags, output columns with their taint ("targets"), columns that decide something instead of being shown
 * ("predicates": conditions, joins, order, groups, and what may fail on a value; common.md C6), what flows into the columns of
 * the relations it writes ("writes") and, for COPY, the stream's format.
 * A policy judges access by access; the strictest answer wins; an access that nothing matched is unmatched.
 *
 * Encoding (big endian), at most LIMIT_CLASSIFICATION_BYTES:
 *   u8 version (3), u8 generic, u16 statements, then each statement:
 *     u32 flags
 *     u16 accesses, each: u8 verb, u8 kind, u8 levels (0..4), levels x (u8 length, bytes)
 *     u16 targets,  each: u8 taint, u8 names, names x (u8 length, bytes)
 *     u16 predicates, each: u16 access (number in this statement, 0xffff: any of its relations), u8 length, bytes (none: any
 *        column of it)
 *     u16 writes (0xffff: not told, everything read may be in everything written), each: u16 access (number in this
 *        statement), u16 position, u8 length, bytes of the column's name, u8 taint, u8 names, names x (u8 length, bytes)
 *     u8 copy_format (enum copy_format); when not COPY_NONE: u8 delimiter, u8 quote, u8 escape, u8 header,
 *        u8 null length, bytes
 *   u32 length, bytes: canonical text (comments removed, identifiers folded, literals kept); empty when generic and the
 *     text has literals, because the next text under this key has others: make it anew (dataplane/inspect/postgres/lex.h)
 *   u32 length, bytes: normalised text (literals replaced by $n), for the record
 *
 * A classification crosses processes twice and is checked by classification_open each time: after that the
 * iterators cannot fail. Values are views into the encoded bytes, which must outlive them. Any thread.
 */
#ifndef PLATFORM_CONTRACT_CLASSIFICATION_H
#define PLATFORM_CONTRACT_CLASSIFICATION_H

#include "platform/base/bytes.h"

enum verb {
#define VERB(name, word) VERB_##name,
#include "platform/contract/verbs.def"
#undef VERB
	VERB_count
};

enum flag_bit {
#define FLAG(name, word) FLAG_BIT_##name,
#include "platform/contract/flags.def"
#undef FLAG
	FLAG_count
};

enum flag {
#define FLAG(name, word) FLAG_##name = 1u << FLAG_BIT_##name,
#include "platform/contract/flags.def"
#undef FLAG
};

/* The policy words; NULL outside the list. Static strings. */
const char *verb_word(enum verb v);
const char *flag_word(enum flag_bit b);

/* Whether an access of this verb that names no object touches none (SELECT 1, BEGIN). Of any other verb it may touch what it does
 * not name: code in a DO block, VACUUM, ALTER DEFAULT PRIVILEGES. */
bool verb_touches_only_named(enum verb v);

/* The verb or flag of a policy word; -1 when there is none. */
int verb_find(const char *word);
int flag_find(const char *word);

enum object_kind {
	OBJECT_NONE,     /* none is named: it touches none (SELECT 1, BEGIN), or what the verb may touch: verb_touches_only_named */
	OBJECT_RELATION, /* levels: [schema,] name; folded as the server folds */
	OBJECT_FUNCTION, /* levels: [schema,] name */
	OBJECT_SETTING,  /* levels: name */
	OBJECT_OTHER,    /* role, database, file, channel, prepared statement …: levels as named */
	OBJECT_kinds
};

struct access {
	enum verb verb;
	enum object_kind kind;
	unsigned levels;
	struct bytes level[4]; /* outermost first */
};

enum taint {
	TAINT_NONE,  /* no value of a column flows into this output (count(*), constants) */
	TAINT_NAMES, /* values of the columns named flow into it (names without their relation, folded) */
	TAINT_ALL,   /* cannot be told: every column of every relation of the statement may flow into it */
	TAINT_STAR,  /* expands to an unknown number of output columns, each a plain column */
	TAINT_count
};

struct target {
	enum taint taint;
	unsigned names;
	struct reader rest; /* names x (u8 length, bytes); see target_name */
};

#define PREDICATE_ANY 0xffffu

/* A column that decides something. It counts for every access of the statement that has the same object. */
struct predicate {
	unsigned access;     /* of the statement, PREDICATE_ANY: whichever relation has such a column */
	struct bytes column; /* folded; empty: all columns */
};

/* A column that the statement writes and columns flow into. Columns into which nothing flows are left out. */
struct written {
	unsigned access;      /* of the statement: to the relation */
	struct bytes column;  /* folded; empty: by its place */
	unsigned position;    /* among the relation's columns, from 1; 0 without a name: any of its columns */
	struct target from;   /* TAINT_NAMES or TAINT_ALL */
};

enum copy_format { COPY_NONE, COPY_TEXT, COPY_CSV, COPY_BINARY, COPY_formats };

struct copy_shape {
	enum copy_format format;
	uint8_t delimiter, quote, escape;
	bool header;
	struct bytes null_text;
};

struct classified_statement {
	uint32_t flags; /* enum flag */
	unsigned accesses, targets, predicates, writes;
	bool writes_told;
	struct reader access_bytes, target_bytes, predicate_bytes, write_bytes;
	struct copy_shape copy;
};

struct classification {
	bool generic;         /* the same for every other value of its literals: may be cached under the generic key */
	unsigned statements;
	struct bytes canonical, normalised;
	struct reader statement_bytes; /* position of the first statement */
};

/* Checks all of `encoded`. False, and `*out` zeroed, when anything is malformed or over a limit. */
[[gnu::warn_unused_result]] bool classification_open(struct bytes encoded, struct classification *out);

/* The next statement; `at` starts as `c->statement_bytes`. False after the last. */
bool classification_next(struct reader *at, struct classified_statement *out);

/* The next access, target, predicate or written column; `at` starts as `s->access_bytes`, `s->target_bytes`, `s->predicate_bytes`
 * or `s->write_bytes`. False after the last. */
bool access_next(struct reader *at, struct access *out);
bool target_next(struct reader *at, struct target *out);
bool predicate_next(struct reader *at, struct predicate *out);
bool written_next(struct reader *at, struct written *out);

/* Whether both touch the same object, as named. */
bool access_same_object(const struct access *a, const struct access *b);

/* The next name of a target. */
bool target_name(struct target *t, struct bytes *out);

/* Encoding, for the helper and for tests. Begin a statement, add its accesses, begin its targets, add them, begin its
 * predicates, add them (or leave them out), begin its writes, add them (or leave them out: not told), end it; counts are patched. `writer.ok` tells at the end whether it fitted. */
struct classification_writer {
	struct writer w;
	size_t statements_mark, count_mark;
	unsigned statements, count;
	bool predicates, writes;
};

struct classification_writer classification_writer_of(void *base, size_t cap, bool generic);
void classification_begin_statement(struct classification_writer *cw, uint32_t flags);
void classification_add_access(struct classification_writer *cw, const struct access *a);
void classification_begin_targets(struct classification_writer *cw);
void classification_add_target(struct classification_writer *cw, enum taint taint, const struct bytes *names, unsigned count);
void classification_begin_predicates(struct classification_writer *cw);
void classification_add_predicate(struct classification_writer *cw, unsigned access, struct bytes column);
void classification_begin_writes(struct classification_writer *cw);
void classification_add_write(struct classification_writer *cw, unsigned access, unsigned position, struct bytes column, enum taint taint,
			      const struct bytes *names, unsigned count);
void classification_end_statement(struct classification_writer *cw, const struct copy_shape *copy);
struct bytes classification_finish(struct classification_writer *cw, struct bytes canonical, struct bytes normalised);

#endif
