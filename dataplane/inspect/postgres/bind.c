/* bind.c: the extended query protocol of the client.
 *
 * A text is judged when it is parsed, and again with its values when it is bound: the server plans a statement at Bind and may
 * run immutable functions then, so that a command that has to wait, waits there. A portal runs once; so what Bind was
 * allowed holds for its Execute, however many rows that asks for at a time.
 */
#include "dataplane/inspect/postgres/session.h"

static enum pg_step malformed(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct statement st = pg_statement(s, COMMAND_OTHER, bytes_of(f->body.base, f->body.len < 4096 ? f->body.len : 4096));
	int command, refusal;
	enum pg_step step;

	st.reason = REASON_PROTOCOL;
	step = pg_judge(s, &st, true, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	memcpy(s->refusal[refusal].code, "08P01", 5);
	pg_refusal_say(s, refusal, "invalid message format", bytes_str(""), bytes_str(""));
	pg_refuse_extended(s, command, refusal, io);
	return STEP_DONE;
}

static struct pg_expect *sent(struct pg_session *s, const struct pg_frame *f, enum pg_reply kind, struct pg_io *io)
{
	writer_put(to_server(io), f->whole);
	s->group_open = true;
	s->flushed = false;
	return pg_reply_push(&s->replies, kind, s->group);
}

static void expect_slot(struct pg_session *s, struct pg_expect *e, int slot)
{
	e->slot = (int16_t)slot;
	e->serial = slot >= 0 ? pg_name_at(&s->names, slot)->serial : 0;
}

enum pg_step pg_parse(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	struct bytes name = reader_cstr(&r), text = reader_cstr(&r), types;
	struct pg_effects effects;
	struct pg_expect *e;
	struct statement st;
	int slot, command, refusal;
	enum pg_lookup fits;
	enum pg_step step;

	types = reader_bytes(&r, (size_t)reader_be16(&r) * 4);
	if (!r.ok || r.left)
		return malformed(s, f, io);
	if (types.len > LIMIT_TYPES_BYTES) /* too long to be shown stays so; the rest is not kept */
		types.len = LIMIT_TYPES_BYTES + 4;
	fits = pg_name_fits(&s->names, PG_STATEMENT, text.len + types.len);
	if (fits == PG_NAME_WAIT)
		return STEP_STALL;
	st = pg_statement_effects(s, COMMAND_PREPARE, text, &effects);
	if (name.len > PG_NAME_BYTES || (name.len >= 8 && !memcmp(name.base, "__denied", 8)) || effects.denied)
		st.reason = REASON_PROTOCOL;
	else if (effects.pins)
		st.reason = REASON_PINNED_SETTING;
	else if (fits != PG_NAME_FOUND)
		st.reason = REASON_TOO_LONG;
	else if (pg_mask_present(s, text))
		st.reason = REASON_MASK_TOKEN;
	step = pg_judge(s, &st, st.reason != REASON_NONE && st.reason != REASON_UNKNOWN, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	if (refusal >= 0) {
		pg_refuse_extended(s, command, refusal, io);
		return STEP_DONE;
	}
	e = sent(s, f, REPLY_PARSE, io);
	e->command = (int16_t)command;
	slot = pg_name_add(&s->names, PG_STATEMENT, name, s->group, text, types);
	if (slot >= 0)
		s->reading[slot % PG_READINGS].serial = 0;
	expect_slot(s, e, slot);
	return STEP_DONE;
}

/* Bind's tail: formats and values (`params`), then result formats. */
static bool values(struct reader *r, struct bytes *params, bool *binary)
{
	const uint8_t *from = r->at;
	unsigned count;

	reader_skip(r, (size_t)reader_be16(r) * 2);
	count = reader_be16(r);
	for (unsigned i = 0; i < count && r->ok; i++) {
		uint32_t len = reader_be32(r);

		if (len != UINT32_MAX)
			reader_skip(r, len);
	}
	if (!r->ok)
		return false;
	*params = bytes_of(from, (size_t)(r->at - from));
	*binary = false;
	count = reader_be16(r);
	for (unsigned i = 0; i < count && r->ok; i++)
		*binary |= reader_be16(r) == 1;
	return r->ok && !r->left;
}

static void bound(struct pg_session *s, const struct pg_frame *f, struct bytes portal, int statement, int command, struct pg_io *io)
{
	struct pg_expect *e = sent(s, f, REPLY_BIND, io);
	struct pg_command *c = pg_command_at(&s->commands, command);
	int slot = pg_name_add(&s->names, PG_PORTAL, portal, s->group, (struct bytes){ 0 }, (struct bytes){ 0 });

	pg_taint_hold(s, c);
	if (portal.len) { /* FETCH reads it too */
		pg_limit_name(s, c);
		s->hidden = class_bits_or(s->hidden, pg_command_any(c));
	}
	c->text_slot = (int16_t)statement;
	c->text_serial = pg_name_at(&s->names, statement)->serial;
	c->effects = *pg_effects_prepared(s, statement);
	e->command = (int16_t)command;
	expect_slot(s, e, slot);
	pg_command_get(&s->commands, command);
	pg_name_at(&s->names, slot)->command = (int16_t)command;
	if (!portal.len)
		s->described = -1;
}

enum pg_step pg_bind(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	struct bytes portal = reader_cstr(&r), name = reader_cstr(&r), params;
	int slot, command, refusal;
	struct statement st;
	enum pg_lookup found, fits = pg_name_fits(&s->names, PG_PORTAL, 0);
	enum pg_step step;
	bool binary;

	if (!values(&r, &params, &binary))
		return malformed(s, f, io);
	found = pg_name_find(&s->names, PG_STATEMENT, name, s->group, &slot);
	if (found == PG_NAME_WAIT || fits == PG_NAME_WAIT)
		return STEP_STALL;
	st = found == PG_NAME_FOUND ? pg_statement_prepared(s, slot) : pg_statement(s, COMMAND_EXECUTE, name);
	st.binary_result = binary;
	st.params = params.len > LIMIT_PARAMETERS_BYTES ? bytes_of(params.base, LIMIT_PARAMETERS_BYTES) : params;
	if (found == PG_NAME_UNKNOWN || portal.len > PG_NAME_BYTES)
		st.reason = REASON_PROTOCOL;
	else if (params.len > LIMIT_PARAMETERS_BYTES || fits != PG_NAME_FOUND)
		st.reason = REASON_TOO_LONG;
	else if (pg_mask_present(s, params))
		st.reason = REASON_MASK_TOKEN;
	step = pg_judge(s, &st, st.reason != REASON_NONE && st.reason != REASON_UNKNOWN, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	if (refusal < 0) {
		bound(s, f, portal, slot, command, io);
		return STEP_DONE;
	}
	if (found == PG_NAME_UNKNOWN && !pg_command_at(&s->commands, command)->cancelled)
		pg_refusal_say(s, refusal, "permission denied: the prepared statement was not made by a Parse message of this session",
			       bytes_str(""), bytes_str(""));
	pg_refuse_extended(s, command, refusal, io);
	return STEP_DONE;
}

/* Rows need their description just before them: the server's answer to a Describe that the client never sees. */
static void describe_before(struct pg_session *s, int slot, int command, struct pg_io *io)
{
	const struct pg_name *p = pg_name_at(&s->names, slot);
	struct pg_expect *e;
	size_t mark;

	if (!class_bits_any(&pg_command_at(&s->commands, command)->mask) || (s->described == slot && s->described_serial == p->serial))
		return;
	mark = pg_frame_begin(to_server(io), 'D');
	writer_u8(to_server(io), 'P');
	writer_bytes(to_server(io), p->name, p->len);
	writer_u8(to_server(io), 0);
	pg_frame_end(to_server(io), mark);
	e = pg_reply_push(&s->replies, REPLY_DESCRIBE_PORTAL, s->group);
	e->swallow = true;
	e->command = (int16_t)command;
	pg_command_get(&s->commands, command);
	s->described = (int16_t)slot;
	s->described_serial = p->serial;
}

static enum pg_step execute_unknown(struct pg_session *s, struct bytes name, struct pg_io *io)
{
	struct statement st = pg_statement(s, COMMAND_EXECUTE, name);
	int command, refusal;
	enum pg_step step;

	st.reason = REASON_PROTOCOL;
	step = pg_judge(s, &st, true, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	if (!pg_command_at(&s->commands, command)->cancelled)
		pg_refusal_say(s, refusal, "permission denied: the portal was not made by a Bind message of this session",
			       bytes_str(""), bytes_str(""));
	pg_refuse_extended(s, command, refusal, io);
	return STEP_DONE;
}

/* No more rows are asked for than tell that there are too many. */
static struct pg_expect *execute(struct pg_session *s, const struct pg_frame *f, const struct pg_command *c, struct bytes name, uint32_t rows,
				 struct pg_io *io)
{
	uint32_t capped = pg_limit_portion(c, rows);
	struct pg_frame capped_frame = *f;
	uint8_t room[PG_NAME_BYTES + 16];
	struct writer w = writer_of(room, sizeof(room));
	size_t mark = pg_frame_begin(&w, 'E');

	if (capped == rows)
		return sent(s, f, REPLY_EXECUTE, io);
	writer_put(&w, name);
	writer_u8(&w, 0);
	writer_be32(&w, capped);
	pg_frame_end(&w, mark);
	capped_frame.whole = writer_done(&w);
	return sent(s, &capped_frame, REPLY_EXECUTE, io);
}

/* A cursor that SQL declared: each Execute is a command of its own, judged by what was declared. */
static enum pg_step execute_cursor(struct pg_session *s, const struct pg_frame *f, struct bytes name, uint32_t rows, int slot, struct pg_io *io)
{
	struct statement st = pg_statement_prepared(s, slot);
	const struct pg_effects none = { 0 };
	int command, refusal;
	struct pg_expect *e;
	enum pg_step step;

	if (pg_name_at(&s->names, slot)->epoch != s->epoch)
		st.search_path = bytes_str("?"); /* not the one that it was declared under, perhaps */
	step = pg_judge(s, &st, st.reason != REASON_NONE && st.reason != REASON_UNKNOWN, &command, &refusal);
	if (step != STEP_DONE)
		return step;
	if (refusal >= 0) {
		pg_refuse_extended(s, command, refusal, io);
		return STEP_DONE;
	}
	describe_before(s, slot, command, io);
	e = execute(s, f, pg_command_at(&s->commands, command), name, rows, io);
	e->command = (int16_t)command;
	s->described = -1;
	s->limited = pg_limited(pg_command_at(&s->commands, command));
	pg_sent(s, pg_command_at(&s->commands, command), &none);
	return STEP_DONE;
}

enum pg_step pg_execute(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	struct bytes name = reader_cstr(&r);
	struct pg_command *c;
	struct pg_expect *e;
	enum pg_lookup found;
	struct pg_effects effects;
	uint32_t rows;
	int slot;

	rows = reader_be32(&r);
	if (!r.ok || r.left)
		return malformed(s, f, io);
	found = pg_name_find(&s->names, PG_PORTAL, name, s->group, &slot);
	if (found == PG_NAME_WAIT)
		return STEP_STALL;
	if (found == PG_NAME_UNKNOWN)
		return execute_unknown(s, name, io);
	if (pg_name_at(&s->names, slot)->command < 0)
		return execute_cursor(s, f, name, rows, slot, io);
	describe_before(s, slot, pg_name_at(&s->names, slot)->command, io);
	e = execute(s, f, pg_command_at(&s->commands, pg_name_at(&s->names, slot)->command), name, rows, io);
	e->command = pg_name_at(&s->names, slot)->command;
	pg_command_get(&s->commands, e->command);
	s->described = -1; /* its rows use the description up */
	c = pg_command_at(&s->commands, e->command);
	s->limited = pg_limited(c);
	effects = c->effects;
	/* Views into the text are made again, as long as it is there. */
	effects.makes[PG_STATEMENT] = effects.makes[PG_PORTAL] = false;
	if ((effects.path || c->effects.inner.len) && pg_name_is(&s->names, c->text_slot, c->text_serial))
		effects = pg_effects(pg_name_text(&s->names, c->text_slot));
	pg_sent(s, c, &effects);
	pg_makes_name(s, &effects, e);
	if (c->traits.may_copy_in) {
		/* What comes next depends on the answer, which the server would keep until a Sync. */
		s->copy_in = COPY_IN_POSSIBLE;
		pg_frame_put(to_server(io), 'H', (struct bytes){ 0 });
		s->flushed = true;
	}
	return STEP_DONE;
}

enum pg_step pg_describe(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	uint8_t kind = reader_u8(&r);
	struct bytes name = reader_cstr(&r);
	struct pg_expect *e;
	int slot;

	if (!r.ok || r.left || (kind != 'S' && kind != 'P'))
		return malformed(s, f, io);
	if (kind == 'S') {
		sent(s, f, REPLY_DESCRIBE_STATEMENT, io);
		s->described = -1;
		return STEP_DONE;
	}
	if (pg_name_find(&s->names, PG_PORTAL, name, s->group, &slot) == PG_NAME_WAIT)
		return STEP_STALL;
	e = sent(s, f, REPLY_DESCRIBE_PORTAL, io);
	s->described = (int16_t)slot;
	if (slot >= 0 && pg_name_at(&s->names, slot)->command < 0) {
		s->described = -1; /* of no command yet: what rows it gives is told when it is executed */
	} else if (slot >= 0) {
		s->described_serial = pg_name_at(&s->names, slot)->serial;
		e->command = pg_name_at(&s->names, slot)->command;
		pg_command_get(&s->commands, e->command);
	}
	return STEP_DONE;
}

enum pg_step pg_close_name(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	uint8_t kind = reader_u8(&r);
	struct bytes name = reader_cstr(&r);
	struct pg_expect *e;
	int slot;

	if (!r.ok || r.left || (kind != 'S' && kind != 'P'))
		return malformed(s, f, io);
	if (pg_name_find(&s->names, kind == 'S' ? PG_STATEMENT : PG_PORTAL, name, s->group, &slot) == PG_NAME_WAIT)
		return STEP_STALL;
	e = sent(s, f, REPLY_CLOSE, io);
	expect_slot(s, e, slot);
	if (slot >= 0)
		pg_name_closing(&s->names, slot, s->group);
	return STEP_DONE;
}
