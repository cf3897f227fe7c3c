/* long_row.c: a DataRow or CopyData that is longer than is read whole, masked while it goes by.
 *
 * Its length stands in front of it, so every mask is as long as what it hides (veil.h); the message's head, the cells' lengths and the items' of
 * arrays and rows in binary go as they came. A cell is seen through a window; what lies at the window's end and may go on behind it waits for
 * the next one. Memory is the window, however long the row. What has no value of its own length that its client could read (pg_long_begin) is
 * not begun: the answer ends in an error. COPY in text and CSV: long_copy.c.
 */
#include "dataplane/inspect/postgres/veil.h"

#define TYPE_XML 142u
#define TYPE_TSVECTOR 3614u
#define FIRST_USER_TYPE 16384u /* FirstNormalObjectId */

/* Whether a tagged value can be masked in its place. */
static bool in_place(const struct pg_session *s, const struct pg_column *c)
{
	enum pg_shape shape = pg_type(c->type).shape;

	if (c->class < 0)
		return true;
	if (shape == SHAPE_OTHER)
		return !c->binary && (!c->type || c->type >= FIRST_USER_TYPE || c->type == TYPE_XML || c->type == TYPE_TSVECTOR);
	if (shape == SHAPE_DATE || shape == SHAPE_TIMESTAMP || shape == SHAPE_TIMESTAMPTZ)
		return c->binary || s->dates_iso;
	return true;
}

static bool begin(struct pg_session *s, const struct pg_command *command, uint8_t at)
{
	const struct pg_plan *p = &s->plan;

	if (!p->valid || p->n != command->n || command->outdated)
		return false;
	for (unsigned i = 0; i < p->columns; i++)
		if (!in_place(s, &p->column[i]))
			return false;
	s->long_row = (struct pg_long_row){ .active = true, .at = at };
	return true;
}

bool pg_long_begin(struct pg_session *s, const struct pg_command *command)
{
	return begin(s, command, PG_LONG_HEAD);
}

bool pg_long_copy_begin(struct pg_session *s, const struct pg_command *command)
{
	struct pg_copy_out *o = &s->copy_out;
	const struct pg_digest *d = command->digest >= 0 ? pg_digest_at(&s->commands, command->digest) : NULL;
	bool binary = d && d->copy_format == COPY_BINARY;

	/* A row that began in an earlier message, or a line of names. */
	if (!d || o->carry_len || o->ended || (!binary && d->copy_header && o->first))
		return false;
	if (!begin(s, command, !binary ? PG_LONG_TEXT : o->first ? PG_LONG_FILE : PG_LONG_TUPLE))
		return false;
	s->long_row.head = true;
	o->first = false;
	return true;
}

/* `len` bytes of the input go as they are. */
static bool copy(struct bytes in, size_t len, struct pg_long_step *step, struct writer *w)
{
	if (in.len < len) {
		step->needed = len;
		return false;
	}
	writer_bytes(w, in.base, len);
	step->consumed = len;
	return true;
}

static void row_begins(struct pg_session *s, size_t left)
{
	struct pg_long_row *l = &s->long_row;

	l->depth = 0;
	l->column = 0;
	l->level[0] = (struct pg_long_level){ .left = (uint32_t)left, .items = s->plan.columns };
	l->at = PG_LONG_LENGTH;
}

static bool row_head(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	if (!copy(in, PG_FRAME_HEAD + 2, step, w))
		return false;
	step->bad = (in.base[5] << 8 | in.base[6]) != s->plan.columns;
	row_begins(s, s->pass[SIDE_SERVER] - step->consumed);
	return true;
}

/* The file's header (copyto.c): it comes in one message with the first tuple. */
static bool file_head(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct reader r = reader_of_bytes(in);
	size_t len = 19;

	if (in.len >= len) {
		reader_skip(&r, 15);
		len += reader_be32(&r);
	}
	if (len > 4096) {
		step->bad = true;
		return true;
	}
	if (!copy(in, len, step, w))
		return false;
	step->bad = memcmp(in.base, "PGCOPY\n\377\r\n\0", 11) != 0;
	s->long_row.at = PG_LONG_TUPLE;
	return true;
}

static bool tuple_head(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	if (!copy(in, 2, step, w))
		return false;
	step->bad = (in.base[0] << 8 | in.base[1]) != s->plan.columns;
	command->rows++;
	row_begins(s, s->pass[SIDE_SERVER] - step->consumed);
	return true;
}

/* The next item's column, and how many bytes stand before it. */
static size_t next_item(const struct pg_session *s, struct bytes in, struct pg_column *column)
{
	const struct pg_long_row *l = &s->long_row;
	const struct pg_long_level *level = &l->level[l->depth];
	struct reader r = reader_of_bytes(in);

	if (!l->depth) {
		*column = s->plan.column[l->column];
		return 4;
	}
	*column = (struct pg_column){ .type = level->row ? reader_be32(&r) : level->element, .typmod = -1, .class = level->class, .binary = 1,
				      .context = level->context };
	return level->row ? 8 : 4;
}

/* What an item of this type and length is dealt with as. */
static uint8_t dealt_with(const struct pg_session *s, const struct pg_column *c, uint32_t len)
{
	enum pg_shape shape = pg_type(c->type).shape;

	if (!c->binary || s->long_row.depth + 1 == PG_LONG_DEPTH)
		return PG_LONG_CELL;
	if (shape == SHAPE_ARRAY && len >= 12)
		return PG_LONG_ARRAY;
	return shape == SHAPE_RECORD && len >= 4 ? PG_LONG_ROW : PG_LONG_CELL;
}

static bool length(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct pg_long_row *l = &s->long_row;
	struct pg_long_level *level = &l->level[l->depth];
	struct pg_column column;
	size_t head = next_item(s, in, &column);
	uint32_t len;

	if (!copy(in, head, step, w))
		return false;
	len = (uint32_t)in.base[head - 4] << 24 | (uint32_t)in.base[head - 3] << 16 | (uint32_t)in.base[head - 2] << 8 | in.base[head - 1];
	if (level->left < head || (len != UINT32_MAX && len > level->left - head)) {
		step->bad = true;
		return true;
	}
	level->left -= (uint32_t)head + (len == UINT32_MAX ? 0 : len);
	level->items--;
	l->column += !l->depth;
	if (len == UINT32_MAX || !len)
		return true;
	l->item = column;
	l->left = len;
	l->done = 0;
	l->begun = false;
	l->value = (struct pg_veiled){ .key_class = -1 };
	l->at = dealt_with(s, &column, len);
	if (!l->depth && column.class >= 0)
		pg_command_masked(command, (unsigned)column.class);
	return true;
}

static void nest(struct pg_session *s, struct pg_long_level level)
{
	struct pg_long_row *l = &s->long_row;

	level.class = l->item.class;
	level.context = l->item.context;
	l->level[++l->depth] = level;
	l->at = PG_LONG_LENGTH;
}

/* array_send: ndim, flags, element type, (dimension, lower bound)*. */
static bool array_head(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct reader r = reader_of_bytes(in);
	uint32_t dimensions = reader_be32(&r), element;
	size_t head = 12 + 8 * (size_t)(dimensions <= 6 ? dimensions : 0);
	uint64_t items = dimensions ? 1 : 0;

	step->bad = r.ok && (dimensions > 6 || head > s->long_row.left); /* MAXDIM */
	if (step->bad)
		return true;
	if (!copy(in, r.ok ? head : 12, step, w))
		return false;
	reader_skip(&r, 4);
	element = reader_be32(&r);
	for (uint32_t i = 0; i < dimensions; i++) {
		items = items * reader_be32(&r);
		step->bad |= items > PG_FRAME_MAX;
		items = items > PG_FRAME_MAX ? 0 : items;
		reader_skip(&r, 4);
	}
	nest(s, (struct pg_long_level){ .left = s->long_row.left - (uint32_t)head, .items = (uint32_t)items, .element = element });
	return true;
}

/* record_send: how many, (type, length, bytes)*. */
static bool fields_head(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct reader r = reader_of_bytes(in);
	uint32_t fields = reader_be32(&r);

	if (!copy(in, 4, step, w))
		return false;
	step->bad = fields > LIMIT_COLUMNS;
	nest(s, (struct pg_long_level){ .left = s->long_row.left - 4, .items = fields, .row = true });
	return true;
}

/* Levels whose items all went by are over, and with the last one the row. */
static bool row_over(struct pg_session *s, struct pg_long_step *step)
{
	struct pg_long_row *l = &s->long_row;

	while (!l->level[l->depth].items) {
		if (!l->depth)
			return true;
		/* What stands behind them is none of the value's. */
		step->bad |= l->level[l->depth].left > 0;
		l->depth--;
	}
	return false;
}

struct pg_veil pg_long_veil(struct pg_session *s, struct pg_command *command, unsigned context)
{
	struct pg_veil x = { .s = s, .command = command, .m = pg_masker_of(s, command, context), .state = &s->long_row.value, .spaces = true };

	x.marks.filler = '*';
	return x;
}

static bool cell(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct pg_long_row *l = &s->long_row;
	struct pg_veil x = pg_long_veil(s, command, l->item.context);
	uint8_t *v = pg_shared(s)->veil.window;
	struct pg_window window = { .v = v, .len = l->left < PG_WINDOW ? l->left : PG_WINDOW, .done = l->done, .first = !l->begun };
	struct pg_shown shown;

	if (in.len < window.len) {
		step->needed = window.len;
		return false;
	}
	if (writer_space(w) < window.len) {
		step->room = window.len;
		return false;
	}
	memcpy(v, in.base, window.len);
	window.last = window.len == l->left;
	shown = pg_veil_value(&x, &l->item, &window);
	step->bad = shown.decided <= l->done || shown.decided > window.len; /* never */
	if (step->bad)
		return true;
	writer_bytes(w, v + l->done, shown.decided - l->done);
	l->begun = true;
	if (window.last && shown.decided == window.len) {
		step->consumed = window.len;
		l->at = PG_LONG_LENGTH;
		return true;
	}
	step->consumed = shown.keep;
	l->done = (uint32_t)(shown.decided - shown.keep);
	l->left -= (uint32_t)shown.keep;
	return true;
}

/* Where a CopyData begins: its head goes first. */
static bool message_head(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	if (!copy(in, PG_FRAME_HEAD, step, w))
		return false;
	s->long_row.head = false;
	return true;
}

static bool part(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct pg_long_row *l = &s->long_row;

	if (l->head)
		return message_head(s, in, step, w);
	switch (l->at) {
	case PG_LONG_HEAD:
		return row_head(s, in, step, w);
	case PG_LONG_FILE:
		return file_head(s, in, step, w);
	case PG_LONG_TUPLE:
		return tuple_head(s, command, in, step, w);
	case PG_LONG_LENGTH:
		return length(s, command, in, step, w);
	case PG_LONG_ARRAY:
		return array_head(s, in, step, w);
	case PG_LONG_ROW:
		return fields_head(s, in, step, w);
	case PG_LONG_TEXT:
		return pg_long_text(s, command, in, step, w);
	default:
		return cell(s, command, in, step, w);
	}
}

struct pg_long_step pg_long_row(struct pg_session *s, struct bytes in, struct writer *w)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *command = e && e->command >= 0 ? pg_command_at(&s->commands, e->command) : NULL;
	struct pg_long_row *l = &s->long_row;
	struct pg_long_step all = { 0 };

	while (s->pass[SIDE_SERVER]) {
		struct bytes left = bytes_of(in.base + all.consumed, in.len - all.consumed);
		struct pg_long_step one = { 0 };
		bool good;

		/* The policy may have changed in the middle of it. */
		if (!command || !s->plan.valid || command->outdated)
			return (struct pg_long_step){ .bad = true };
		if (left.len > s->pass[SIDE_SERVER])
			left.len = s->pass[SIDE_SERVER];
		if (l->at != PG_LONG_CELL && l->at != PG_LONG_TEXT && writer_space(w) < PG_ROOM) {
			all.room = PG_ROOM;
			break;
		}
		good = part(s, command, left, &one, w);
		if (l->at == PG_LONG_LENGTH && row_over(s, &one))
			l->at = s->copy_out.running ? PG_LONG_TUPLE : PG_LONG_OVER;
		/* Nothing is expected that is not there; behind its last cell a row has nothing. */
		one.bad |= !good && one.needed > s->pass[SIDE_SERVER];
		one.bad |= l->at == PG_LONG_OVER && s->pass[SIDE_SERVER] > one.consumed;
		if (one.bad)
			return (struct pg_long_step){ .bad = true };
		if (!good) {
			all.needed = one.needed;
			all.room = one.room;
			break;
		}
		all.consumed += one.consumed;
		s->pass[SIDE_SERVER] -= one.consumed;
	}
	l->active = s->pass[SIDE_SERVER] > 0;
	all.bad = !l->active && l->at != PG_LONG_OVER && l->at != PG_LONG_TUPLE && !(l->at == PG_LONG_TEXT && l->cell == PG_CELL_BEFORE && !l->column);
	return all;
}
