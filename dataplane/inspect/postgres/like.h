/* like.h: statements that differ from one that was read before in nothing but numbers and plain strings, known without being read again.
 *
 * The lexer is most of what a short statement costs, and an application sends the same few texts with other values all day. So the last
 * PG_LIKE_TEXTS texts of a session are kept with the places of their literals; a new text that has the same bytes around others of the
 * same kind has the same tokens, and all that pg_lex_scan says of it but `exact`, which is made anew.
 *
 * Shape: texts of up to PG_LIKE_BYTES with up to PG_LITERALS places; literals beyond that, and those that are not one run of digits or
 * one plain '...' on one line, belong to the bytes around. Zeroed: nothing is kept. One session, one thread; pure besides.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_LIKE_H
#define DATAPLANE_INSPECT_POSTGRES_LIKE_H

#include "dataplane/inspect/postgres/lex.h"

#define PG_LIKE_TEXTS 8
#define PG_LIKE_BYTES 512

struct pg_like_text {
	uint16_t len; /* 0: empty */
	struct pg_literals literals;
	struct pg_lex_summary lex;
	uint8_t text[PG_LIKE_BYTES];
};

struct pg_like {
	uint8_t last, next; /* hit last; replaced next */
	struct pg_like_text kept[PG_LIKE_TEXTS];
};

/* pg_lex_scan, with memory. */
bool pg_like_scan(struct pg_like *like, struct bytes text, struct hash_key key, struct pg_lex_summary *out);

#endif
