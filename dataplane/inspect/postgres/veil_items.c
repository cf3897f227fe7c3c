/* veil_items.c: arrays and rows in text, as items.c takes them apart, masked in place: quotes, commas and brackets stay where they were, so any
 * number of dimensions is the same. An item that does not end within the window waits for one that begins with it; a longer one is shown to
 * its type's veil in windows of its own. NULL stays NULL.
 */
#include "dataplane/inspect/postgres/veil.h"

static bool is_null(const struct pg_layer *l)
{
	return l->len == 4 && (l->plain[0] | 32) == 'n' && (l->plain[1] | 32) == 'u' && (l->plain[2] | 32) == 'l' && (l->plain[3] | 32) == 'l';
}

/* A byte between items. An array's bounds may stand before its first brace. */
static bool structural(struct pg_veil *x, bool array, const struct pg_window *w, size_t at)
{
	uint8_t c = w->v[at];
	bool begun = x->state->brace;

	x->state->brace |= c == '{' || !array;
	if (c == ',' || (array && (!begun || c == '{' || c == '}')))
		return true;
	return !array && ((!begun && c == '(') || (w->last && at + 1 == w->len && c == ')'));
}

/* The item whose first character is at `from`. `*over`: all of it is decided. */
static struct pg_shown item(struct pg_veil *x, bool array, const struct pg_column *column, const struct pg_window *w, size_t from, bool *over)
{
	struct pg_layer *l = &pg_shared(x->s)->veil.layer[1];
	bool quoted = x->state->item == PG_ITEM_QUOTED, spaces = x->spaces;
	enum pg_notation notation = array ? (quoted ? NOTE_ARRAY : NOTE_ARRAY_BARE) : (quoted ? NOTE_RECORD : NOTE_RECORD_BARE);
	struct pg_window inner;
	struct pg_shown shown;

	pg_veil_open(x, l, notation, w, from, &inner);
	inner.first = !x->state->item_begun;
	if (!inner.len || (!quoted && inner.first && inner.last && is_null(l))) {
		shown = (struct pg_shown){ inner.len, inner.len };
	} else {
		x->spaces &= quoted;
		shown = pg_veil_value(x, column, &inner);
		x->spaces = spaces;
	}
	*over = inner.last && shown.decided == inner.len;
	x->state->item_begun |= shown.decided > 0;
	return pg_veil_close(x, l, notation, w, from, shown);
}

/* Whether the item that begins at `at` ends within the window. */
static bool ends(const struct pg_veil *x, bool array, const struct pg_window *w, size_t at)
{
	bool quoted = w->v[at] == '"';
	struct pg_layer *l = &pg_shared(x->s)->veil.layer[1];

	pg_layer_read(l, array ? (quoted ? NOTE_ARRAY : NOTE_ARRAY_BARE) : (quoted ? NOTE_RECORD : NOTE_RECORD_BARE), &x->marks,
		      bytes_of(w->v + at + quoted, w->len - at - quoted), w->last);
	return l->ended || w->last;
}

struct pg_shown pg_veil_items(struct pg_veil *x, bool array, const struct pg_column *column, const struct pg_window *w)
{
	/* A row in an array is a text here. */
	const struct pg_column as = { .type = pg_type(column->type).shape == SHAPE_RECORD ? PG_TYPE_TEXT : column->type, .typmod = -1, .class = column->class };
	size_t at = 0;

	if (w->first)
		x->state->brace = false;
	while (at < w->len) {
		struct pg_shown shown;
		bool over;

		if (x->state->item == PG_ITEM_NONE) {
			if (structural(x, array, w, at)) {
				at++;
				continue;
			}
			if (at > 0 && !ends(x, array, w, at))
				break;
			x->state->item = w->v[at] == '"' ? PG_ITEM_QUOTED : PG_ITEM_BARE;
			x->state->item_begun = false;
			at += x->state->item == PG_ITEM_QUOTED;
		}
		shown = item(x, array, &as, w, at, &over);
		if (!over)
			return shown;
		/* A mark that stands where none can, as in a malformed value, goes as it is. */
		at = shown.decided + (shown.decided == at && x->state->item == PG_ITEM_BARE && !x->state->item_begun);
		at += x->state->item == PG_ITEM_QUOTED && at < w->len;
		x->state->item = PG_ITEM_NONE;
	}
	return (struct pg_shown){ at, at };
}
