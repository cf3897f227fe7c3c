/* copy_in.c: the client's side of COPY FROM STDIN.
 *
 * The data runs under its COPY's verdict, and is kept as payload, as it was sent; what is looked at is whether it would write a mask back, also one that is split over
 * messages. A copy that is refused gets CopyFail: the server makes the error (postgres.md 4), and drops what still
 * comes, as it would itself.
 */
#include "dataplane/inspect/postgres/session.h"

/* Whether a mask is in `data`, or begins in what came before it. */
static bool guard(struct pg_session *s, struct bytes data)
{
	uint8_t joined[2 * PG_GUARD_BYTES];
	size_t head = data.len < PG_GUARD_BYTES ? data.len : PG_GUARD_BYTES, all = s->guard_len + head, keep;

	if (pg_mask_present(s, data))
		return true;
	memcpy(joined, s->guard, s->guard_len);
	memcpy(joined + s->guard_len, data.base ? data.base : joined, head);
	if (pg_mask_present(s, bytes_of(joined, all)))
		return true;
	if (data.len >= PG_GUARD_BYTES) {
		memcpy(s->guard, data.base + data.len - PG_GUARD_BYTES, PG_GUARD_BYTES);
		s->guard_len = PG_GUARD_BYTES;
		return false;
	}
	keep = all < PG_GUARD_BYTES ? all : PG_GUARD_BYTES;
	memcpy(s->guard, joined + all - keep, keep);
	s->guard_len = (uint16_t)keep;
	return false;
}

static enum pg_step fail(struct pg_session *s, const struct pg_frame *f, enum command_reason reason, struct pg_io *io)
{
	struct bytes head = bytes_of(f->body.base, f->body.len < 4096 ? f->body.len : 4096);
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct statement st = pg_statement(s, COMMAND_COPY, head);
	int command, refusal;
	enum pg_step step;

	st.reason = reason;
	step = pg_judge(s, &st, true, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	pg_frame_put(to_server(io), 'f', bytes_of("refused", 8));
	/* The COPY itself ends in this refusal; the refused data is answered with it. */
	if (e && e->refusal < 0)
		e->refusal = (int16_t)refusal;
	else
		s->refusal[refusal].used = false;
	pg_command_put(&s->commands, command, s->host, s->host_context, false);
	s->guard_len = 0;
	s->copy_in = COPY_IN_POSSIBLE;
	return STEP_DONE;
}

/* Counted, and kept as payload. */
static void keep(struct pg_session *s, struct pg_command *c, struct bytes data)
{
	c->octets += data.len;
	if (s->host->sent && data.len)
		c->cut |= !s->host->sent(s->host_context, c->n, data);
}

enum pg_step pg_copy_in_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);

	switch (f->type) {
	case 'd':
		if (f->total > LIMIT_STREAM_BYTES)
			return fail(s, f, REASON_TOO_LONG, io);
		if (guard(s, f->body))
			return fail(s, f, REASON_MASK_TOKEN, io);
		if (e && e->command >= 0 && !pg_limit_copy_in(s, e, f->body.len, io))
			return STEP_DONE;
		if (e && e->command >= 0)
			keep(s, pg_command_at(&s->commands, e->command), f->body);
		writer_put(to_server(io), f->whole);
		return STEP_DONE;
	case 'c':
	case 'f':
		writer_put(to_server(io), f->whole);
		/* The answer decides what may come next; in the extended protocol the server would keep it until a Sync. */
		pg_frame_put(to_server(io), 'H', (struct bytes){ 0 });
		s->guard_len = 0;
		s->copy_in = COPY_IN_POSSIBLE;
		return STEP_DONE;
	case 'S':
	case 'H':
		/* Ignored by the server during a copy (copyfromparse.c CopyGetData). */
		return STEP_DONE;
	default:
		return fail(s, f, REASON_PROTOCOL, io);
	}
}
