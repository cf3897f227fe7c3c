/* names.h: what the names of a session stand for: prepared statements and portals.
 *
 * The server learns of a name by Parse or Bind and forgets it by Close; it may refuse either, or skip them because an
 * earlier message of the group failed. So a slot is PENDING until its reply came: two slots may share a name, one that is
 * known and one that would take its place. Within the group that made it a pending slot counts (were it refused, the
 * server would skip the rest of the group too); from the next group on it is waited for. A PREPARE or DECLARE that is a text of
 * its own makes a name too, pending until its CommandComplete: its slot has the inner statement's text, and a cursor's has no command.
 * What SQL puts there in other ways (several statements in one text, functions) is unknown: it is never executed by name.
 *
 * PG_STATEMENTS and PG_PORTALS slots at most, and PG_TEXT_BYTES of text: a few of the session's own, the others in pieces (depth.h), which
 * move texts, never slots. One session, one thread.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_NAMES_H
#define DATAPLANE_INSPECT_POSTGRES_NAMES_H

#include "platform/base/bytes.h"
#include "platform/base/limits.h"

#define PG_NAME_BYTES 63 /* longer names are cut by no rule of the protocol: they are refused here */
#define PG_STATEMENTS 128
#define PG_STATEMENTS_OWN 24
#define PG_PORTALS 64
#define PG_PORTALS_OWN 4
#define PG_PORTALS_MORE 15 /* by a depth */
#define PG_TEXT_OWN_BYTES (8u << 10)
#define PG_TEXTS_BYTES (38u << 10)
#define PG_TEXT_BYTES (128u << 10)

_Static_assert(PG_TEXT_BYTES >= 2 * LIMIT_STATEMENT_BYTES, "the longest statement fits beside another one");

enum pg_name_space { PG_STATEMENT, PG_PORTAL };

struct pg_name {
	bool used, pending, closing;
	uint8_t space;
	uint8_t len;
	char name[PG_NAME_BYTES];
	uint32_t made_in, closed_in; /* group numbers */
	uint32_t serial;             /* tells the slot's users apart; never 0 while used */
	int16_t command;             /* of a portal: the judged command; -1 */
	uint32_t text_at, text_len;  /* of a statement, of a cursor made by SQL */
	uint32_t types_len;          /* behind the text: the type oids of its values, as Parse declared them */
	uint32_t epoch;              /* of the session's settings, when SQL made it */
};

struct pg_lender;
struct pg_depths;
struct pg_texts;

struct pg_names {
	struct pg_lender *lender;
	struct pg_depths *depths; /* portals beyond the session's own */
	struct pg_texts *texts;   /* NULL: not borrowed; statements beyond the session's own */
	uint8_t *large;           /* NULL: not borrowed; PG_TEXT_BYTES */
	uint8_t *text;            /* where the texts are: own_text, in `texts`, or `large` */
	uint32_t text_cap, text_used, serial;
	int statements_top, portals_top; /* slots from here to the end of their kind were never used */
	struct pg_name statement[PG_STATEMENTS_OWN], portal[PG_PORTALS_OWN];
	uint8_t own_text[PG_TEXT_OWN_BYTES];
};

/* Of zeroed memory. */
void pg_names_init(struct pg_names *n, struct pg_depths *depths);

struct pg_name *pg_name_beyond(const struct pg_names *n, int slot);

/* By number: statements from 0, portals from PG_STATEMENTS on. There is one. */
static inline struct pg_name *pg_name_at(const struct pg_names *n, int slot)
{
	if (slot < PG_STATEMENTS_OWN)
		return (struct pg_name *)&n->statement[slot];
	if ((unsigned)(slot - PG_STATEMENTS) < PG_PORTALS_OWN)
		return (struct pg_name *)&n->portal[slot - PG_STATEMENTS];
	return pg_name_beyond(n, slot);
}

/* The first slot from `i` on that was ever used; PG_STATEMENTS + PG_PORTALS behind the last. */
static inline int pg_name_slot(const struct pg_names *n, int i)
{
	if (i >= n->statements_top && i < PG_STATEMENTS)
		i = PG_STATEMENTS;
	return i >= PG_STATEMENTS + n->portals_top ? PG_STATEMENTS + PG_PORTALS : i;
}

enum pg_lookup {
	PG_NAME_FOUND,
	PG_NAME_UNKNOWN,
	PG_NAME_WAIT, /* depends on a reply of an earlier group */
};

/* What `name` means for a message of group `group`. */
enum pg_lookup pg_name_find(const struct pg_names *n, enum pg_name_space space, struct bytes name, uint32_t group, int *slot);

/* A pending slot; -1 when there is no room (`text` and `types` count for statements). */
int pg_name_add(struct pg_names *n, enum pg_name_space space, struct bytes name, uint32_t group, struct bytes text, struct bytes types);

/* Whether pg_name_add would find room for a text and types of this length; PG_NAME_WAIT: not now, but replies may make some. Borrows what
 * it takes, and may move the texts. */
enum pg_lookup pg_name_fits(struct pg_names *n, enum pg_name_space space, size_t text_len);

/* Gives back what holds nothing. `statements_top` and `portals_top` follow. */
void pg_names_settle(struct pg_names *n);

struct bytes pg_name_text(const struct pg_names *n, int slot);
struct bytes pg_name_types(const struct pg_names *n, int slot);

/* Whether `slot` still holds what had `serial` when it was added. */
static inline bool pg_name_is(const struct pg_names *n, int slot, uint32_t serial)
{
	return slot >= 0 && pg_name_at(n, slot)->used && pg_name_at(n, slot)->serial == serial;
}

/* The reply to the Parse or Bind that made it came: an older slot of this name is dropped through `drop`. */
void pg_name_confirm(struct pg_names *n, int slot, void (*drop)(void *ctx, int slot), void *ctx);

/* Frees the slot. Its portal's command is the caller's to release first. */
void pg_name_free(struct pg_names *n, int slot);

/* A Close was sent in `group`: the slot is gone for later messages, and for good when `pg_name_free` follows the reply. */
void pg_name_closing(struct pg_names *n, int slot, uint32_t group);

#endif
