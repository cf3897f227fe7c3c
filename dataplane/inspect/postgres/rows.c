/* rows.c: DataRow, and runs of rows. Rows in which nothing can be are recognised a run at a time and go as they are. */
#include "dataplane/inspect/postgres/session.h"

#define RUN_BYTES 65536

/* CopyData that ends where a row ends, of a text whose columns are all looked at by value. */
static bool copy_plain(const struct pg_session *s, const struct pg_command *c)
{
	return c->digest >= 0 && pg_digest_at(&s->commands, c->digest)->copy_format != COPY_BINARY && !s->copy_out.first && !s->copy_out.carry_len;
}

size_t pg_rows_run(struct pg_session *s, const struct pg_command *command, struct bytes in, size_t max)
{
	const struct pg_plan *p = &s->plan;
	size_t run = 0;
	unsigned rows = 0;
	bool copy = in.len && in.base[0] == 'd';

	if (s->run_skip || (p->active && (p->whole || p->slow)) || (copy && !copy_plain(s, command)))
		return 0;
	if (max > RUN_BYTES)
		max = RUN_BYTES;
	while (run < in.len && in.base[run] == in.base[0]) {
		struct pg_frame f;

		if (pg_frame_read(bytes_of(in.base + run, in.len - run), &f) != PARSE_OK || f.total > max - run)
			break;
		if (copy && (!f.body.len || f.body.base[f.body.len - 1] != '\n'))
			break;
		run += f.total;
		rows++;
	}
	if (run && p->active && match_any(s->env->snapshot->match, s->env->scratch, &p->want, bytes_of(in.base, run))) {
		s->run_skip = rows < UINT16_MAX ? (uint16_t)rows : UINT16_MAX;
		return 0;
	}
	return run;
}

bool pg_row(struct pg_session *s, struct pg_command *command, struct bytes body, struct writer *w)
{
	const struct pg_plan *p = &s->plan;
	struct reader r = reader_of_bytes(body);
	unsigned columns = reader_be16(&r);
	size_t frame;

	if (!r.ok || columns != p->columns)
		return false;
	frame = pg_frame_begin(w, 'D');
	writer_be16(w, (uint16_t)columns);
	for (unsigned i = 0; i < columns && w->ok; i++) {
		struct pg_masker m = pg_masker_of(s, command, p->column[i].context);
		uint32_t len = reader_be32(&r);
		size_t mark = writer_mark(w, 4), before = w->len;
		struct bytes v;

		if (len == UINT32_MAX) {
			writer_patch(w, mark, 4, UINT32_MAX);
			continue;
		}
		v = reader_bytes(&r, len);
		if (!r.ok)
			return false;
		if (pg_value(&m, &p->column[i], v, w) == MASKED_NULL) {
			if (w->ok)
				w->len = before;
			writer_patch(w, mark, 4, UINT32_MAX);
		} else {
			writer_patch(w, mark, 4, w->len - before);
		}
	}
	pg_frame_end(w, frame);
	return r.ok && (!r.left || !w->ok);
}

size_t pg_rows_relayed(struct bytes in, size_t max)
{
	size_t run = 0;

	if (max > RUN_BYTES)
		max = RUN_BYTES;
	while (run < in.len && in.base[run] == in.base[0]) {
		struct pg_frame f;

		if (pg_frame_read(bytes_of(in.base + run, in.len - run), &f) != PARSE_OK || f.total > max - run)
			break;
		run += f.total;
	}
	return run;
}
