/* notation.h: text that stands with escapes in it, taken apart so that it can be masked where it stands.
 *
 * pg_layer_read decodes the next bytes of a value up to the mark that ends it, or as far as they go, and keeps which bytes of the input each
 * decoded one stands for. Whoever masks changes bytes of `plain` in place; pg_layer_write then changes the input in the same places and
 * nowhere else, so that its length stays. A byte that would need an escape of its own is written as the filler. Pure functions; a layer is
 * memory of one worker, for one call.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_NOTATION_H
#define DATAPLANE_INSPECT_POSTGRES_NOTATION_H

#include "platform/base/bytes.h"

#define PG_WINDOW 64512u /* of a long value, seen at once: positions in it are 16 bits */

#define PG_VEIL_HITS 8192u /* in one window; behind more of them all is masked */

enum pg_notation {
	NOTE_JSON,        /* a string, between its quotes */
	NOTE_ARRAY,       /* array_out: an item between its quotes */
	NOTE_ARRAY_BARE,  /* … without quotes */
	NOTE_RECORD,      /* record_out, the same */
	NOTE_RECORD_BARE,
	NOTE_COPY,        /* COPY text: a cell */
	NOTE_CSV,         /* COPY csv: a cell between its quotes */
	NOTE_CSV_BARE,
	NOTE_HEX,         /* bytea: digits behind \x */
};

/* What the client chose for a COPY; zeros elsewhere. */
struct pg_marks {
	uint8_t delimiter, quote, escape;
	uint8_t filler; /* what masks are filled with: '*', unless that is one of the marks */
};

struct pg_layer {
	bool ended;    /* by its mark, which is the byte at `used` */
	uint16_t len;  /* of `plain` */
	uint16_t used; /* of the input */
	uint16_t at[PG_WINDOW + 1]; /* where in the input a byte of `plain` stands; at[len] is `used` */
	uint8_t plain[PG_WINDOW], was[PG_WINDOW]; /* `was`: before it was masked */
};

/* `last`: the value does not go on behind `in`. At most PG_WINDOW bytes. Half an escape at the end is left for the next call. */
void pg_layer_read(struct pg_layer *l, enum pg_notation notation, const struct pg_marks *marks, struct bytes in, bool last);

/* What was changed among the first `len` bytes of `plain`, into the input that was read. */
void pg_layer_write(const struct pg_layer *l, enum pg_notation notation, const struct pg_marks *marks, size_t len, uint8_t *in);

/* How many bytes of `plain` stand for the first `used` of the input. */
size_t pg_layer_place(const struct pg_layer *l, size_t used);

/* Four hex digits at `at`; -1. */
int pg_hex4(struct bytes v, size_t at);

#endif
