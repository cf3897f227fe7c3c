/* long_copy.c: lines of COPY TO STDOUT in text and CSV that are longer than is read whole: cells between the marks that the client chose, each
 * decoded, masked in place and put back with the escapes that it had. The message keeps its length, so that one message stays one row.
 */
#include "dataplane/inspect/postgres/veil.h"

static struct pg_veil veil_of(struct pg_session *s, struct pg_command *command, const struct pg_digest *d)
{
	static const uint8_t fillers[] = "*x-#";
	struct pg_veil x = pg_long_veil(s, command, 0);
	bool csv = d->copy_format == COPY_CSV;

	x.marks = (struct pg_marks){ .delimiter = d->copy_delimiter, .quote = csv ? d->copy_quote : 0, .escape = csv ? d->copy_escape : 0 };
	for (unsigned i = 0; i < 4 && !x.marks.filler; i++)
		if (fillers[i] != x.marks.delimiter && fillers[i] != x.marks.quote && fillers[i] != x.marks.escape)
			x.marks.filler = fillers[i];
	x.spaces = d->copy_delimiter != ' ';
	return x;
}

/* Behind a cell: the quote that ends it, and the mark or the line's end. */
static bool behind(struct pg_session *s, struct pg_command *command, const struct pg_digest *d, struct bytes in, struct pg_long_step *step,
		   struct writer *w)
{
	struct pg_long_row *l = &s->long_row;
	size_t len = l->cell == PG_CELL_BEHIND_QUOTED ? 2 : 1;

	if (in.len < len) {
		step->needed = len;
		return false;
	}
	if (writer_space(w) < len) {
		step->room = PG_ROOM;
		return false;
	}
	writer_bytes(w, in.base, len);
	step->consumed = len;
	l->cell = PG_CELL_BEFORE;
	l->column++;
	if (in.base[len - 1] == '\n') {
		step->bad = l->column != s->plan.columns;
		l->column = 0;
		command->rows++;
	} else {
		step->bad = in.base[len - 1] != d->copy_delimiter || l->column >= s->plan.columns;
	}
	return true;
}

/* `in` is a window of the cell, or what is left of the message. */
static bool cell(struct pg_session *s, struct pg_command *command, const struct pg_digest *d, struct bytes in, struct pg_long_step *step,
		 struct writer *w)
{
	struct pg_long_row *l = &s->long_row;
	struct pg_veil x = veil_of(s, command, d);
	const struct pg_column *column = &s->plan.column[l->column];
	struct pg_layer *layer = &pg_shared(s)->veil.layer[0];
	bool csv = d->copy_format == COPY_CSV, before = l->cell == PG_CELL_BEFORE, quoted;
	size_t from = before && csv && in.base[0] == d->copy_quote;
	struct pg_window window = { .len = in.len, .done = l->done, .first = !l->begun, .last = in.len == s->pass[SIDE_SERVER] }, inner;
	enum pg_notation notation;
	struct pg_shown shown;

	quoted = before ? from > 0 : l->cell == PG_CELL_QUOTED;
	notation = !csv ? NOTE_COPY : quoted ? NOTE_CSV : NOTE_CSV_BARE;
	window.v = pg_shared(s)->veil.window;
	memcpy(window.v, in.base, in.len);
	pg_veil_open(&x, layer, notation, &window, from, &inner);
	/* A row ends with its message, at the latest. */
	if (window.last && !layer->ended) {
		step->bad = true;
		return true;
	}
	if (before && !quoted && layer->ended && pg_copy_null(d, column, bytes_of(in.base, layer->used)))
		shown = (struct pg_shown){ inner.len, inner.len };
	else
		shown = inner.len ? pg_veil_value(&x, column, &inner) : (struct pg_shown){ 0 };
	if (inner.last && shown.decided == inner.len)
		l->cell = quoted ? PG_CELL_BEHIND_QUOTED : PG_CELL_BEHIND;
	else
		l->cell = quoted ? PG_CELL_QUOTED : PG_CELL_BARE;
	shown = pg_veil_close(&x, layer, notation, &window, from, shown);
	step->bad = shown.decided < l->done || (shown.decided == l->done && !inner.last); /* never */
	writer_bytes(w, window.v + l->done, step->bad ? 0 : shown.decided - l->done);
	l->begun = true;
	if (l->cell == PG_CELL_BEHIND || l->cell == PG_CELL_BEHIND_QUOTED)
		shown.keep = shown.decided;
	step->consumed = shown.keep;
	l->done = (uint32_t)(shown.decided - shown.keep);
	return true;
}

bool pg_long_text(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	const struct pg_digest *d = pg_digest_at(&s->commands, command->digest);
	struct pg_long_row *l = &s->long_row;
	size_t window = s->pass[SIDE_SERVER] < PG_WINDOW ? s->pass[SIDE_SERVER] : PG_WINDOW;

	if (l->cell == PG_CELL_BEHIND || l->cell == PG_CELL_BEHIND_QUOTED)
		return behind(s, command, d, in, step, w);
	if (l->column >= s->plan.columns) {
		step->bad = true;
		return true;
	}
	if (in.len < window) {
		step->needed = window;
		return false;
	}
	if (writer_space(w) < window) {
		step->room = window;
		return false;
	}
	if (l->cell == PG_CELL_BEFORE) {
		l->begun = false;
		l->done = 0;
		l->value = (struct pg_veiled){ .key_class = -1 };
		if (s->plan.column[l->column].class >= 0)
			pg_command_masked(command, (unsigned)s->plan.column[l->column].class);
	}
	return cell(s, command, d, bytes_of(in.base, window), step, w);
}
