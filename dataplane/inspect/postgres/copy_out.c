/* copy_out.c: the data of COPY TO STDOUT in text, CSV and binary (copyto.c), masked cell by cell.
 *
 * The server ends each CopyData where a row ends, but that is not promised: what is left of a row is carried to the next message. Each
 * message that has whole rows becomes one message again. Cells are looked at as they stand, escaped: a mask has no character that
 * needs escaping but perhaps the COPY's own delimiter, which is then escaped.
 * The client chooses delimiter, quote and escape: any of them may stand inside a value, which then comes in pieces. Where it chose others
 * than usual (pg_copy_odd), cells are looked at without escapes, and no row goes by unread; in text with a NULL word of the client's own a tagged
 * column shows no NULL.
 */
#include "dataplane/inspect/postgres/session.h"

struct copying {
	struct pg_session *s;
	struct pg_command *command;
	const struct pg_digest *d;
	struct writer *w;
};

/* Where the first row of `v` ends, its line end included; 0: not within `v`. */
static size_t text_row(const struct pg_digest *d, struct bytes v)
{
	bool quoted = false;

	if (d->copy_format == COPY_TEXT) {
		const uint8_t *nl = v.len ? memchr(v.base, '\n', v.len) : NULL;

		return nl ? (size_t)(nl - v.base) + 1 : 0;
	}
	for (size_t i = 0; i < v.len; i++) {
		if (quoted && v.base[i] == d->copy_escape && d->copy_escape != d->copy_quote)
			i++;
		else if (v.base[i] == d->copy_quote)
			quoted = !quoted;
		else if (v.base[i] == '\n' && !quoted)
			return i + 1;
	}
	return 0;
}

static const struct pg_column *column_at(const struct copying *c, unsigned i)
{
	return i < c->s->plan.columns ? &c->s->plan.column[i] : NULL;
}

/* A masked cell in the stream's own notation. */
static void put_escaped(struct copying *c, struct bytes v)
{
	const struct pg_digest *d = c->d;
	bool csv = d->copy_format == COPY_CSV, quote = false;

	for (size_t i = 0; csv && i < v.len; i++)
		quote |= v.base[i] == d->copy_delimiter || v.base[i] == d->copy_quote || v.base[i] == '\n' || v.base[i] == '\r';
	if (quote)
		writer_u8(c->w, d->copy_quote);
	for (size_t i = 0; i < v.len; i++) {
		if (csv && v.base[i] == d->copy_quote)
			writer_u8(c->w, d->copy_escape);
		else if (!csv && (v.base[i] == d->copy_delimiter || v.base[i] == '\\'))
			writer_u8(c->w, '\\');
		writer_u8(c->w, v.base[i] < 0x20 ? ' ' : v.base[i]);
	}
	if (quote)
		writer_u8(c->w, d->copy_quote);
}

static void put_null(struct copying *c)
{
	writer_bytes(c->w, c->d->copy_null, c->d->copy_null_len);
}

/* The whole cell of a tagged column. */
static void cell_whole(struct copying *c, struct pg_masker *m, const struct pg_column *column, struct bytes cell)
{
	uint8_t text[512];
	struct writer t = writer_of(text, sizeof(text));
	struct pg_type type = pg_type(column->type);
	bool short_text = column->type == 0 || type.shape == SHAPE_TEXT;

	/* A text keeps what its mask keeps; nothing that is escaped, so that no escape is cut in two. */
	if (short_text) {
		bool full = cell.len > 256 || (cell.len && (memchr(cell.base, '\\', cell.len) || memchr(cell.base, c->d->copy_quote, cell.len)));

		if (c->s->env->snapshot->classes[column->class].mask.kind == MASK_NULL) {
			pg_command_masked(c->command, (unsigned)column->class);
			put_null(c);
			return;
		}
		pg_command_masked(c->command, (unsigned)column->class);
		pg_class_text(m, column->class, 0, full, cell, &t);
	} else if (type.shape == SHAPE_JSON || type.shape == SHAPE_JSONB || type.shape == SHAPE_ARRAY ||
		   pg_whole(m, column, cell, &t) == MASKED_NULL) {
		/* Structured text stands escaped here: NULL keeps the type. */
		put_null(c);
		return;
	}
	put_escaped(c, t.ok ? writer_done(&t) : bytes_str("***"));
}

bool pg_copy_odd(const struct pg_digest *d)
{
	return (d->copy_format == COPY_TEXT && d->copy_delimiter != '\t') ||
	       (d->copy_format == COPY_CSV && (d->copy_quote != '"' || d->copy_escape != '"'));
}

/* Whether something is found in a cell with its escapes taken away. `room`: for the value; what does not fit holds something. */
static bool found_inside(struct copying *c, struct pg_masker *m, struct bytes cell, struct writer room)
{
	uint8_t escape = c->d->copy_format == COPY_CSV ? c->d->copy_escape : '\\';

	for (size_t i = 0; i < cell.len; i++) {
		i += cell.base[i] == escape && i + 1 < cell.len;
		writer_u8(&room, cell.base[i]);
	}
	return !room.ok || (room.len != cell.len && pg_found(m, writer_done(&room)));
}

/* In text a value may be the word that the client chose for NULL: passed as it is, it would tell which value that is. */
bool pg_copy_null(const struct pg_digest *d, const struct pg_column *column, struct bytes cell)
{
	struct bytes null = bytes_of(d->copy_null, d->copy_null_len);
	bool may_be_value = d->copy_format == COPY_TEXT && null.len && !bytes_equal(null, bytes_str("\\N"));

	return bytes_equal(cell, null) && !(may_be_value && column && column->class >= 0);
}

static void cell_text(struct copying *c, unsigned index, struct bytes cell)
{
	const struct pg_column *column = column_at(c, index);
	struct pg_masker m = pg_masker_of(c->s, c->command, 0);
	uint8_t *scratch;
	struct writer t;
	struct bytes inside = cell;

	if (pg_copy_null(c->d, column, cell)) {
		writer_put(c->w, cell);
		return;
	}
	if (c->d->copy_format == COPY_CSV && cell.len >= 2 && cell.base[0] == c->d->copy_quote && cell.base[cell.len - 1] == c->d->copy_quote)
		inside = bytes_of(cell.base + 1, cell.len - 2);
	if (column && column->class >= 0) {
		cell_whole(c, &m, column, inside);
		return;
	}
	scratch = pg_shared(c->s)->scratch + sizeof(pg_shared(c->s)->scratch) / 2;
	t = writer_of(scratch, sizeof(pg_shared(c->s)->scratch) / 2);
	if (pg_copy_odd(c->d) && found_inside(c, &m, inside, t))
		put_escaped(c, bytes_str("***"));
	else if (!pg_text(&m, inside, &t))
		writer_put(c->w, cell);
	else if (!t.ok || (inside.len && memchr(inside.base, '\\', inside.len)) || memchr(inside.base, c->d->copy_quote, inside.len))
		put_escaped(c, bytes_str("***"));
	else
		put_escaped(c, writer_done(&t));
}

/* Where the cell that begins at `at` ends. */
static size_t cell_end(const struct pg_digest *d, struct bytes row, size_t at)
{
	bool quoted = false;

	for (; at < row.len; at++) {
		if (d->copy_format == COPY_TEXT) {
			if (row.base[at] == d->copy_delimiter)
				return at;
			at += row.base[at] == '\\';
			continue;
		}
		if (quoted && row.base[at] == d->copy_escape && d->copy_escape != d->copy_quote)
			at++;
		else if (row.base[at] == d->copy_quote)
			quoted = !quoted;
		else if (row.base[at] == d->copy_delimiter && !quoted)
			return at;
	}
	return row.len;
}

static bool row_text(struct copying *c, struct bytes row)
{
	size_t at = 0, end_of_line = row.len;
	unsigned index = 0;

	if (c->s->copy_out.first) {
		c->s->copy_out.first = false;
		if (c->d->copy_header) {
			writer_put(c->w, row);
			return true;
		}
	}
	while (end_of_line && (row.base[end_of_line - 1] == '\n' || row.base[end_of_line - 1] == '\r'))
		end_of_line--;
	for (;; index++) {
		struct bytes line = bytes_of(row.base, end_of_line);
		size_t end = cell_end(c->d, line, at);

		cell_text(c, index, bytes_of(row.base + at, end - at));
		if (end >= line.len)
			break;
		writer_u8(c->w, row.base[end]);
		at = end + 1;
	}
	writer_bytes(c->w, row.base + end_of_line, row.len - end_of_line);
	/* A row without columns is an empty line; any other must have those that the plan is for. */
	c->command->rows++;
	return index + 1 == c->s->plan.columns || (!c->s->plan.columns && !end_of_line);
}

/* The tuple at the start of `v`, or the file's header; 0: not whole. */
static size_t binary_row(const struct copying *c, struct bytes v)
{
	struct reader r = reader_of_bytes(v);
	unsigned cells;

	if (c->s->copy_out.first) {
		reader_skip(&r, 15);
		reader_skip(&r, reader_be32(&r));
		return r.ok ? v.len - r.left : 0;
	}
	cells = reader_be16(&r);
	for (unsigned i = 0; r.ok && cells != 0xffff && i < cells; i++) {
		uint32_t len = reader_be32(&r);

		if (len != UINT32_MAX)
			reader_skip(&r, len);
	}
	return r.ok ? v.len - r.left : 0;
}

static bool row_binary(struct copying *c, struct bytes row)
{
	struct reader r = reader_of_bytes(row);
	unsigned cells;

	if (c->s->copy_out.first) {
		c->s->copy_out.first = false;
		writer_put(c->w, row);
		return row.len >= 11 && !memcmp(row.base, "PGCOPY\n\377\r\n\0", 11);
	}
	cells = reader_be16(&r);
	writer_be16(c->w, (uint16_t)cells);
	if (cells == 0xffff) {
		c->s->copy_out.ended = true;
		return true;
	}
	if (cells != c->s->plan.columns || c->s->copy_out.ended)
		return false;
	c->command->rows++;
	for (unsigned i = 0; i < cells; i++) {
		struct pg_column column = *column_at(c, i);
		struct pg_masker m = pg_masker_of(c->s, c->command, 0);
		uint32_t len = reader_be32(&r);
		size_t mark = writer_mark(c->w, 4), before = c->w->len;

		if (len != UINT32_MAX && pg_value(&m, &column, reader_bytes(&r, len), c->w) == MASKED_VALUE) {
			writer_patch(c->w, mark, 4, c->w->len - before);
			continue;
		}
		if (c->w->ok)
			c->w->len = before;
		writer_patch(c->w, mark, 4, UINT32_MAX);
	}
	return r.ok;
}

/* All whole rows of `v` as one message. Says how much they were. */
static bool rows(struct copying *c, struct bytes v, size_t *used)
{
	bool binary = c->d->copy_format == COPY_BINARY;
	size_t mark = pg_frame_begin(c->w, 'd');

	for (*used = 0; *used < v.len && c->w->ok;) {
		struct bytes left = bytes_of(v.base + *used, v.len - *used);
		size_t len = binary ? binary_row(c, left) : text_row(c->d, left);

		if (!len)
			break;
		if (!(binary ? row_binary(c, bytes_of(left.base, len)) : row_text(c, bytes_of(left.base, len))))
			return false;
		*used += len;
	}
	if (!*used && c->w->ok)
		c->w->len = mark - 1;
	pg_frame_end(c->w, mark);
	return true;
}

static bool plain(const struct pg_session *s, const struct pg_digest *d, struct bytes body)
{
	const struct pg_plan *p = &s->plan;

	if (p->whole || p->slow || d->copy_format == COPY_BINARY || s->copy_out.first || s->copy_out.carry_len)
		return false;
	return !p->active || (body.len && body.base[body.len - 1] == '\n' &&
			      !match_any(s->env->snapshot->match, s->env->scratch, &p->want, body));
}

bool pg_copy_rows(struct pg_session *s, struct pg_command *command, struct bytes body, struct writer *w)
{
	struct pg_copy_out *o = &s->copy_out;
	struct copying c = { .s = s, .command = command, .w = w };
	uint8_t *scratch = pg_shared(s)->scratch;
	uint32_t carried = o->carry_len;
	struct bytes all = body;
	bool first = o->first;
	size_t used;

	if (!s->plan.valid || s->plan.n != command->n || command->outdated || command->digest < 0)
		return false;
	c.d = pg_digest_at(&s->commands, command->digest);
	if (plain(s, c.d, body)) {
		pg_frame_put(w, 'd', body);
		command->rows += c.d->copy_format == COPY_TEXT;
		return true;
	}
	if (carried) {
		if (body.len > sizeof(pg_shared(s)->scratch) / 2 - carried)
			return false;
		memcpy(scratch, s->wide->carry, carried);
		memcpy(scratch + carried, body.base, body.len);
		all = bytes_of(scratch, carried + body.len);
	}
	if (!rows(&c, all, &used))
		return false;
	if (!w->ok) {
		o->first = first;
		return true;
	}
	if (all.len - used > PG_CARRY_BYTES || (all.len > used && !pg_room_wide(s)))
		return false;
	o->carry_len = (uint32_t)(all.len - used);
	if (o->carry_len)
		memcpy(s->wide->carry, all.base + used, o->carry_len);
	return true;
}

/* CopyDone: what was carried is a last row without its line end. */
bool pg_copy_done(struct pg_session *s, struct pg_command *command, struct writer *w)
{
	struct copying c = { .s = s, .command = command, .w = w };
	struct bytes v = bytes_of(s->copy_out.carry_len ? s->wide->carry : NULL, s->copy_out.carry_len);
	size_t mark;
	bool good;

	if (!v.len)
		return true;
	c.d = pg_digest_at(&s->commands, command->digest);
	if (c.d->copy_format == COPY_BINARY)
		return false;
	mark = pg_frame_begin(w, 'd');
	good = row_text(&c, v);
	pg_frame_end(w, mark);
	if (w->ok)
		s->copy_out.carry_len = 0;
	return good;
}
