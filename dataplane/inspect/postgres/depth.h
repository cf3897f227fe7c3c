/* depth.h: what a session takes beyond its own memory, and gives back.
 *
 * Tables of a session have a few entries of their own, which is what nearly all sessions ever use, and grow by pieces borrowed from the
 * host (inspect_host.borrow). A table that cannot grow is full: what fills it up is dealt with as at the table's limit, so more in flight
 * waits for replies, one more prepared statement is refused by name of the limit, and a wide result that would have to be masked is ended.
 * Nothing hangs, because at every depth commands and digests are more than the portals that keep some of them without a reply to come.
 * pg_settle gives back what is not in use; it is asked when an answer is complete.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_DEPTH_H
#define DATAPLANE_INSPECT_POSTGRES_DEPTH_H

#include "dataplane/inspect/inspector.h"
#include "dataplane/inspect/postgres/commands.h"
#include "dataplane/inspect/postgres/names.h"
#include "dataplane/inspect/postgres/replies.h"

#define PG_CARRY_BYTES 16384 /* the server ends a message where a row ends; a proxy in between may not */

/* How a column is masked. Built from RowDescription or from a COPY's targets. */
struct pg_column {
	uint32_t type;
	int32_t typmod;
	int16_t class;   /* policy class: the whole cell is masked; -1 */
	uint8_t binary;
	uint8_t context; /* index of pg_plan.context */
};

/* More commands, and what goes with them. */
struct pg_depth {
	struct pg_command command[PG_COMMANDS_MORE];
	struct pg_digest digest[PG_DIGESTS_MORE];
	struct pg_name portal[PG_PORTALS_MORE];
};

/* More prepared statements. */
struct pg_texts {
	struct pg_name statement[PG_STATEMENTS - PG_STATEMENTS_OWN];
	uint8_t text[PG_TEXTS_BYTES];
};

/* Results with many columns, and rows that end in another message. */
struct pg_wide {
	struct pg_column column[LIMIT_COLUMNS];
	uint8_t carry[PG_CARRY_BYTES];
};

/* More replies. */
struct pg_queue {
	struct pg_expect entry[PG_REPLIES];
};

/* Each of these is one small piece; the texts of many statements are one large piece. */
union pg_piece {
	struct pg_depth depth;
	struct pg_texts texts;
	struct pg_wide wide;
	struct pg_queue queue;
};

/* NULL: there is none. */
static inline void *pg_borrow(struct pg_lender *l, enum inspect_piece size)
{
	void *memory = l->host->borrow(l->context, size);

	l->held += memory != NULL;
	return memory;
}

static inline void pg_give_back(struct pg_lender *l, enum inspect_piece size, void *memory)
{
	l->host->give_back(l->context, size, memory);
	l->held--;
}

/* One depth more. False: there is none. */
bool pg_depths_add(struct pg_depths *d);

#endif
