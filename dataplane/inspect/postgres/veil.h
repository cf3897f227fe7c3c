/* veil.h: a value masked where it stands, a window at a time: every mask is as long as what it hides.
 *
 * A window is the next bytes of a value, changed in place. Its first `done` bytes went by already and are there so that a value is seen with
 * what stands before it. A call says how far the window is dealt with (`decided`; up to there it may go), and from where on the next window is
 * to begin (`keep`, at most PG_SIGHT places before). It is always either the value's last window or as long as one can be, and is then always
 * decided further than it was done. What stands between windows is in struct pg_veiled: structure is followed, but never nested state, so any
 * depth of JSON and of array text is the same to it. One worker, no allocation.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_VEIL_H
#define DATAPLANE_INSPECT_POSTGRES_VEIL_H

#include "dataplane/inspect/postgres/session.h"

#define PG_SIGHT 256u /* of what went by */

struct pg_window {
	uint8_t *v;
	size_t len, done;
	bool first, last; /* of the value */
};

struct pg_shown {
	size_t decided, keep;
};

/* Who masks, and how. */
struct pg_veil {
	struct pg_session *s;
	struct pg_command *command;
	struct pg_masker m; /* with the context of the column's name */
	struct pg_veiled *state;
	struct pg_marks marks;
	bool spaces; /* a space stands for itself here */
};

/* veil.c, veil_blank.c: any value; those of its parts. `column->type` 0: a text of a type that is not known. */
struct pg_shown pg_veil_value(struct pg_veil *x, const struct pg_column *column, const struct pg_window *w);
struct pg_shown pg_veil_text(struct pg_veil *x, int class, const struct class_bits *context, const struct pg_window *w);
void pg_veil_blank(const struct pg_type *type, bool binary, bool keep_year, uint8_t *v, size_t len);

/* veil_json.c, veil_items.c */
struct pg_shown pg_veil_json(struct pg_veil *x, int class, const struct pg_window *w);
struct pg_shown pg_veil_items(struct pg_veil *x, bool array, const struct pg_column *item, const struct pg_window *w);

/* long_row.c, long_copy.c: the veil of the row under way; the next of a COPY's text. */
struct pg_veil pg_long_veil(struct pg_session *s, struct pg_command *command, unsigned context);
bool pg_long_text(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w);

/* A window through a notation: `in` from `from` on, as `inner` shows it; then what was decided about that, back in `w`. */
void pg_veil_open(const struct pg_veil *x, struct pg_layer *l, enum pg_notation notation, const struct pg_window *w, size_t from,
		  struct pg_window *inner);
struct pg_shown pg_veil_close(const struct pg_veil *x, const struct pg_layer *l, enum pg_notation notation, const struct pg_window *w, size_t from,
			      struct pg_shown shown);

#endif
