/* reading.h: one statement of a classification while it is read for masking: digest.c, wash.c. Private to the two. */
#ifndef DATAPLANE_INSPECT_POSTGRES_READING_H
#define DATAPLANE_INSPECT_POSTGRES_READING_H

#include "dataplane/inspect/postgres/session.h"

#define PG_RELATIONS 16

struct pg_reader {
	struct pg_session *s;
	struct pg_command *command;
	struct pg_digest *digest; /* NULL: columns are not wanted */
	int relation[PG_RELATIONS];
	unsigned relations, copied; /* tagged ones; relations that a COPY TO reads */
	bool lasting;              /* leaves something in the session beyond the command */
	bool cursor;               /* about cursors or statements made by SQL */
	bool carries;              /* calls what takes values elsewhere than into the answer */
	bool tells;                /* calls what may answer with anything */
	bool many;                 /* more than there is room for */
	struct class_bits found, washed; /* of this statement, before the mask */
};

/* The classes of the columns that flow into `t`, of these names in any relation of the statement. Takes the names. */
struct class_bits pg_reading_named(const struct pg_reader *r, struct target *t);

/* wash.c: which columns the statement copies tagged values into. */
void pg_wash(struct pg_reader *r, const struct classified_statement *st);

#endif
