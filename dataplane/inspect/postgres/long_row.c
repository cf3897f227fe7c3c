/* long_row.c: a DataRow that is longer than is read whole, masked while it goes by.
 *
 * Its length stands in front of it, so every mask here is as long as what it hides: stars, or digits 0 where the type is a number. A cell is
 * looked at through a window; what lies at the window's end and may go on behind it waits for the next one, and a few bytes of what went by
 * stay in sight, so that a value is seen with what stands before it. Memory is the window, however long the row. Rows with columns that
 * cannot be masked in place (JSON, arrays, records, hex, dates that are masked as a whole) are not begun: their answer ends in an error.
 */
#include "dataplane/inspect/postgres/session.h"

#define WINDOW 131072u
#define SIGHT 256u /* of what went by */
#define HITS 64

enum { AT_HEAD, AT_LENGTH, AT_CELL };

static bool in_place(const struct pg_column *c)
{
	enum pg_shape shape = pg_type(c->type).shape;

	if (c->class >= 0)
		return shape == SHAPE_TEXT;
	switch (shape) {
	case SHAPE_TEXT:
	case SHAPE_INTEGER:
	case SHAPE_BOOL:
	case SHAPE_DATE:
	case SHAPE_TIMESTAMP:
	case SHAPE_TIMESTAMPTZ:
	case SHAPE_UUID:
		return true;
	case SHAPE_FLOAT:
	case SHAPE_NUMERIC:
	case SHAPE_OTHER:
		return !c->binary;
	case SHAPE_BYTEA:
		return c->binary;
	default:
		return false;
	}
}

bool pg_long_begin(struct pg_session *s, const struct pg_command *command)
{
	const struct pg_plan *p = &s->plan;

	if (!p->valid || p->n != command->n || command->outdated)
		return false;
	for (unsigned i = 0; i < p->columns; i++)
		if (!in_place(&p->column[i]))
			return false;
	s->long_row = (struct pg_long_row){ .active = true, .at = AT_HEAD };
	return true;
}

static uint8_t filler(const struct pg_column *c)
{
	enum pg_shape shape = pg_type(c->type).shape;

	return shape == SHAPE_INTEGER || shape == SHAPE_FLOAT || shape == SHAPE_NUMERIC ? '0' : '*';
}

static void fill(struct writer *w, uint8_t with, size_t len)
{
	while (len--)
		writer_u8(w, with);
}

/* Integers in binary: the whole cell, by its decimal text. */
static void small_number(struct pg_session *s, struct pg_command *command, const struct pg_column *c, struct bytes cell, struct writer *w)
{
	struct pg_masker m = pg_masker_of(s, command, c->context);
	size_t before = w->len;

	if (pg_value(&m, c, cell, w) == MASKED_NULL || w->len - before != cell.len) {
		w->len = before;
		fill(w, 0, cell.len);
	}
}

/* The next bytes of a cell. `seen`: the window, of which the first `done` bytes went by already; `last`: the cell ends with it. Returns how
 * far it is dealt with now. */
static size_t cell_part(struct pg_session *s, struct pg_command *command, struct bytes seen, bool last, struct writer *w)
{
	const struct pg_column *c = &s->plan.column[s->long_row.column];
	struct match_want want = { .classes = s->plan.want.classes, .context = s->plan.context[c->context] };
	size_t longest = match_longest(s->env->snapshot->match), end = last ? seen.len : seen.len - longest, at = s->long_row.done;
	struct match_hit hits[HITS];
	size_t n = 0;

	if (c->class >= 0) {
		if (!at && last)
			pg_command_masked(command, (unsigned)c->class);
		fill(w, '*', seen.len - at);
		return seen.len;
	}
	if (class_bits_any(&want.classes))
		n = match_value(s->env->snapshot->match, s->env->scratch, &want, seen, hits, HITS);
	for (size_t i = 0; i < n; i++) {
		int class;

		if (hits[i].end <= at)
			continue;
		/* It may go on behind the window, if it is not already as long as anything can be. */
		if (!last && hits[i].end > end && hits[i].start > at) {
			end = hits[i].start < end ? hits[i].start : end;
			break;
		}
		if (hits[i].start >= end)
			break;
		if (hits[i].start > at) {
			writer_bytes(w, seen.base + at, hits[i].start - at);
			at = hits[i].start;
		}
		fill(w, filler(c), hits[i].end - at);
		at = hits[i].end;
		class = policy_class_of_detector(s->env->snapshot->image, &command->mask, hits[i].class);
		pg_command_masked(command, class < 0 ? 0 : (unsigned)class);
	}
	if (end > at) {
		writer_bytes(w, seen.base + at, end - at);
		at = end;
	}
	return at;
}

/* False: more bytes, or more room, are wanted first. */
static bool cell(struct pg_session *s, struct pg_command *command, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct pg_long_row *l = &s->long_row;
	const struct pg_column *c = &s->plan.column[l->column];
	size_t window = l->left < WINDOW ? l->left : WINDOW, at;

	if (in.len < window) {
		step->needed = window;
		return false;
	}
	if (writer_space(w) < window) {
		step->room = window;
		return false;
	}
	if (c->binary && pg_type(c->type).shape == SHAPE_INTEGER && window == l->left) {
		small_number(s, command, c, bytes_of(in.base, window), w);
		at = window;
	} else {
		at = cell_part(s, command, bytes_of(in.base, window), window == l->left, w);
	}
	if (at == l->left) {
		step->consumed = at;
		l->column++;
		l->done = 0;
		l->at = AT_LENGTH;
		return true;
	}
	l->done = at < SIGHT ? (uint32_t)at : SIGHT;
	step->consumed = at - l->done;
	l->left -= (uint32_t)step->consumed;
	return true;
}

static bool length(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	struct reader r = reader_of_bytes(in);
	uint32_t len;

	if (in.len < 4) {
		step->needed = 4;
		return false;
	}
	len = reader_be32(&r);
	if (len != UINT32_MAX && len > s->pass[SIDE_SERVER] - 4) {
		step->bad = true;
		return false;
	}
	writer_be32(w, len);
	step->consumed = 4;
	s->long_row.left = len;
	if (len == UINT32_MAX || !len)
		s->long_row.column++;
	else
		s->long_row.at = AT_CELL;
	return true;
}

static bool head(struct pg_session *s, struct bytes in, struct pg_long_step *step, struct writer *w)
{
	if (in.len < PG_FRAME_HEAD + 2) {
		step->needed = PG_FRAME_HEAD + 2;
		return false;
	}
	step->bad = (in.base[5] << 8 | in.base[6]) != s->plan.columns;
	writer_bytes(w, in.base, PG_FRAME_HEAD + 2);
	step->consumed = PG_FRAME_HEAD + 2;
	s->long_row.at = AT_LENGTH;
	return !step->bad;
}

struct pg_long_step pg_long_row(struct pg_session *s, struct bytes in, struct writer *w)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *command = e && e->command >= 0 ? &s->commands.command[e->command] : NULL;
	struct pg_long_row *l = &s->long_row;
	struct pg_long_step all = { 0 };

	while (s->pass[SIDE_SERVER]) {
		struct bytes left = bytes_of(in.base + all.consumed, in.len - all.consumed);
		struct pg_long_step one = { 0 };
		bool good;

		/* The policy may have changed in the middle of it. */
		if (!command || !s->plan.valid || command->outdated || (l->at == AT_LENGTH && l->column == s->plan.columns))
			return (struct pg_long_step){ .bad = true };
		if (l->at != AT_CELL && writer_space(w) < 16) {
			all.room = 16;
			break;
		}
		good = l->at == AT_HEAD ? head(s, left, &one, w) : l->at == AT_LENGTH ? length(s, left, &one, w) : cell(s, command, left, &one, w);
		if (one.bad)
			return one;
		if (!good) {
			all.needed = one.needed;
			all.room = one.room;
			break;
		}
		all.consumed += one.consumed;
		s->pass[SIDE_SERVER] -= one.consumed;
	}
	l->active = s->pass[SIDE_SERVER] > 0;
	all.bad = !l->active && l->column != s->plan.columns;
	return all;
}
