/* client.c: the client's messages after login: simple query, group borders, and what is never passed. bind.c has the extended protocol.
 *
 * What is not in the table is refused: a message that the server would not know either ends the session as the server would
 * end it.
 */
#include "dataplane/inspect/postgres/session.h"

static enum pg_step fatal(struct pg_io *io, const char *code, const char *text)
{
	pg_error_write(to_client(io), "FATAL", code, bytes_str(text));
	io->cause = CLOSE_PROTOCOL;
	return STEP_CLOSE;
}

/* Names that SQL may have changed stand for nothing known any more. PREPARE and DECLARE of a name that is there fail. */
static void drop_names(struct pg_session *s, const struct pg_command *c, const struct pg_effects *e)
{
	for (int i = pg_name_slot(&s->names, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(&s->names, i + 1)) {
		const struct pg_name *p = pg_name_at(&s->names, i);
		bool named = !e->one_len || bytes_equal(bytes_of(p->name, p->len), bytes_of(e->one, e->one_len));

		if (p->used && (c->traits.drops_names || (e->drops[p->space] && !e->makes[p->space] && named)))
			pg_drop_name(s, i);
	}
}

void pg_makes_name(struct pg_session *s, const struct pg_effects *e, struct pg_expect *reply)
{
	enum pg_name_space space = e->makes[PG_PORTAL] ? PG_PORTAL : PG_STATEMENT;
	uint8_t *text = pg_shared(s)->scratch;
	int slot;

	if (!e->makes[space] || !e->inner.len || e->inner.len > PG_TEXT_BYTES)
		return;
	memcpy(text, e->inner.base, e->inner.len); /* it may be a view into the texts that are moved now */
	if (pg_name_fits(&s->names, space, e->inner.len) != PG_NAME_FOUND)
		return; /* a name without a slot is unknown: it is not executed */
	slot = pg_name_add(&s->names, space, bytes_of(e->one, e->one_len), reply->group, bytes_of(text, e->inner.len), (struct bytes){ 0 });
	if (slot < 0)
		return;
	s->reading[slot % PG_READINGS].serial = 0;
	pg_name_at(&s->names, slot)->epoch = s->epoch;
	reply->slot = (int16_t)slot;
	reply->serial = pg_name_at(&s->names, slot)->serial;
}

void pg_sent(struct pg_session *s, struct pg_command *c, const struct pg_effects *e)
{
	struct class_bits any = pg_command_any(c);

	if (c->sent)
		return;
	c->sent = true;
	pg_taint_sent(s, c, c->traits.calls || e->routine);
	pg_state_sets(s, e);
	if (c->unknown || c->traits.drops_names)
		s->epoch++;
	drop_names(s, c, e);
	if (class_bits_any(&any) || ((c->unknown || c->blind) && class_bits_any(&c->mask)))
		s->tagged_transaction = true;
}

static enum pg_step query(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct bytes text = f->body.len ? bytes_of(f->body.base, f->body.len - 1) : f->body;
	/* PostgreSQL: pq_getmsgstring, pq_getmsgend. */
	bool malformed = !f->body.len || f->body.base[f->body.len - 1] || memchr(f->body.base, 0, f->body.len - 1);
	struct statement st;
	struct pg_effects effects;
	struct pg_expect *e;
	int command, refusal;
	enum pg_step step;

	/* A query inside an unfinished group: what it meets depends on replies that are still to come. */
	if (s->group_open && s->replies.count)
		return STEP_STALL;
	st = pg_statement_effects(s, COMMAND_SIMPLE, text, &effects);
	if (effects.path) /* SET search_path = x; SELECT … from t: the names after it mean something else */
		st.search_path = bytes_str("?");
	if (malformed || effects.denied)
		st.reason = REASON_PROTOCOL;
	else if (effects.pins)
		st.reason = REASON_PINNED_SETTING;
	else if (pg_mask_present(s, text))
		st.reason = REASON_MASK_TOKEN;
	step = pg_judge(s, &st, st.reason != REASON_NONE && st.reason != REASON_UNKNOWN, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	s->group_open = false;
	if (refusal >= 0) {
		if (malformed) {
			memcpy(s->refusal[refusal].code, "08P01", 5);
			pg_refusal_say(s, refusal, "invalid message format", bytes_str(""), bytes_str(""));
		}
		pg_refuse_query(s, command, refusal, io);
		return STEP_DONE;
	}
	if (pg_limited(pg_command_at(&s->commands, command))) {
		e = pg_limit_wrap(s, command, text, io);
	} else {
		writer_put(to_server(io), f->whole);
		e = pg_reply_push(&s->replies, REPLY_QUERY, s->group);
		e->command = (int16_t)command;
	}
	s->described = -1;
	/* The server drops the unnamed statement and portal (exec_simple_query). */
	for (int i = pg_name_slot(&s->names, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(&s->names, i + 1))
		if (pg_name_at(&s->names, i)->used && !pg_name_at(&s->names, i)->len)
			pg_drop_name(s, i);
	pg_taint_hold(s, pg_command_at(&s->commands, command));
	pg_sent(s, pg_command_at(&s->commands, command), &effects);
	pg_makes_name(s, &effects, e);
	s->group += e->kind == REPLY_QUERY;
	if (pg_command_at(&s->commands, command)->traits.may_copy_in)
		s->copy_in = COPY_IN_POSSIBLE;
	return STEP_DONE;
}

/* FunctionCall runs a function by its number, past every parser: never passed. It has a ReadyForQuery of its own. */
static enum pg_step function_call(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct statement st;
	int command, refusal;
	enum pg_step step;

	if (s->group_open && s->replies.count)
		return STEP_STALL;
	st = pg_statement(s, COMMAND_OTHER, bytes_of(f->body.base, f->body.len < LIMIT_STATEMENT_BYTES ? f->body.len : LIMIT_STATEMENT_BYTES));
	st.reason = REASON_PROTOCOL;
	step = pg_judge(s, &st, true, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	s->group_open = false;
	pg_refuse_query(s, command, refusal, io);
	return STEP_DONE;
}

static enum pg_step sync(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	if (f->body.len)
		return fatal(io, "08P01", "invalid message format");
	writer_put(to_server(io), f->whole);
	pg_reply_push(&s->replies, REPLY_SYNC, s->group);
	s->group++;
	s->group_open = s->skipping = false;
	pg_verdict_drop(s);
	return STEP_DONE;
}

/* The catalogue is read again between commands, when nothing is under way. */
static bool refresh(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	if (!s->catalogue || s->verdict_ready || s->catalogue_tries || s->group_open || s->replies.count || s->status == 'E')
		return false;
	if ((f->type != 'Q' && f->type != 'P' && f->type != 'B') || !pg_catalogue_due(s->catalogue, s->env->snapshot, s->env->now_us))
		return false;
	s->catalogue_tries++;
	pg_catalogue_send(s, io);
	return true;
}

static enum pg_step dispatch(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	switch (f->type) {
	case 'Q': return query(s, f, io);
	case 'P': return pg_parse(s, f, io);
	case 'B': return pg_bind(s, f, io);
	case 'D': return pg_describe(s, f, io);
	case 'E': return pg_execute(s, f, io);
	case 'C': return pg_close_name(s, f, io);
	case 'F': return function_call(s, f, io);
	case 'S': return sync(s, f, io);
	case 'H':
		writer_put(to_server(io), f->whole);
		s->flushed = true;
		return STEP_DONE;
	case 'd':
	case 'c':
	case 'f':
		/* Outside a copy the server ignores these (postgres.c PostgresMain). */
		return STEP_DONE;
	default:
		return fatal(io, "08P01", "invalid frontend message type");
	}
}

static enum pg_step message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	enum pg_step step;

	if (f->type == 'X') {
		writer_put(to_server(io), f->whole);
		io->cause = CLOSE_CLIENT;
		return STEP_CLOSE;
	}
	if (s->catalogue_build || s->copy_in == COPY_IN_POSSIBLE || pg_limit_waits(s) || !pg_room_replies(s))
		return STEP_STALL;
	if (s->copy_in == COPY_IN_RUNNING)
		return pg_copy_in_message(s, f, io);
	if (s->skipping && f->type != 'S') {
		pg_verdict_drop(s);
		return STEP_DONE;
	}
	if (refresh(s, f, io))
		return STEP_STALL;
	step = dispatch(s, f, io);
	if (step == STEP_DONE)
		s->catalogue_tries = 0;
	return step;
}

/* What is waited for may be in the server's buffer until a Sync that stands behind this message: it is asked for. */
enum pg_step pg_client_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	enum pg_step step = message(s, f, io);

	if (step == STEP_STALL && s->group_open && !s->flushed && s->replies.count) {
		pg_frame_put(to_server(io), 'H', (struct bytes){ 0 });
		s->flushed = true;
	}
	return step;
}

/* A message longer than is read whole: refused by name of the limit, and its bytes are dropped. */
enum pg_step pg_client_long(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct bytes head = bytes_of(f->body.base, f->body.len < LIMIT_STATEMENT_BYTES ? f->body.len : LIMIT_STATEMENT_BYTES);
	bool extended = f->type == 'P' || f->type == 'B';
	struct statement st;
	int command, refusal;
	enum pg_step step;

	if (s->catalogue_build || s->copy_in == COPY_IN_POSSIBLE || pg_limit_waits(s) || !pg_room_replies(s))
		return STEP_STALL;
	if (s->copy_in == COPY_IN_RUNNING && f->type == 'd')
		return pg_copy_in_message(s, f, io);
	if (!extended && f->type != 'Q' && f->type != 'F')
		return fatal(io, "08P01", "message is longer than this gateway reads");
	if (s->skipping)
		return STEP_DONE;
	if (!extended && s->group_open && s->replies.count)
		return fatal(io, "08P01", "message is longer than this gateway reads");
	st = pg_statement(s, extended ? COMMAND_PREPARE : COMMAND_SIMPLE, head);
	st.reason = REASON_TOO_LONG;
	step = pg_judge(s, &st, true, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	if (extended)
		pg_refuse_extended(s, command, refusal, io);
	else
		pg_refuse_query(s, command, refusal, io);
	return STEP_DONE;
}
