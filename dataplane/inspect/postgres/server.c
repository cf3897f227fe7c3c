/* server.c: the server's messages after login, each against what is awaited. An answer that nothing asked for means that framing or
 * order is lost, and ends the session.
 */
#include "dataplane/inspect/postgres/session.h"

static enum pg_step lost_step(struct pg_io *io)
{
	pg_error_write(to_client(io), "FATAL", "08P01", bytes_str("the target's answer does not fit what was asked"));
	io->cause = CLOSE_PROTOCOL;
	return STEP_CLOSE;
}

static struct pg_command *command_of(struct pg_session *s, const struct pg_expect *e)
{
	return e && e->command >= 0 ? pg_command_at(&s->commands, e->command) : NULL;
}

void pg_drop_name(void *session, int slot)
{
	struct pg_session *s = session;

	if (pg_name_at(&s->names, slot)->command >= 0)
		pg_command_put(&s->commands, pg_name_at(&s->names, slot)->command, s->host, s->host_context, false);
	pg_name_free(&s->names, slot);
}

static void drop_if(struct pg_session *s, const struct pg_expect *e)
{
	if (pg_name_is(&s->names, e->slot, e->serial))
		pg_drop_name(s, e->slot);
}

/* What it would have made was not made. */
static void drop_pending(struct pg_session *s, const struct pg_expect *e)
{
	if (e->kind != REPLY_CLOSE && pg_name_is(&s->names, e->slot, e->serial) && pg_name_at(&s->names, e->slot)->pending)
		pg_drop_name(s, e->slot);
}

/* The oldest entry is answered. */
static void done(struct pg_session *s)
{
	struct pg_expect *e = pg_reply_first(&s->replies);

	if (e->refusal >= 0)
		s->refusal[e->refusal].used = false;
	pg_command_put(&s->commands, e->command, s->host, s->host_context, false);
	pg_reply_pop(&s->replies);
}

static void relay(struct pg_session *s, const struct pg_expect *e, const struct pg_frame *f, struct pg_io *io)
{
	if (!s->mute && !e->swallow && !(e->wrapped && memchr("12nCs", f->type, 5)))
		writer_put(to_client(io), f->whole);
}

void pg_lost(struct pg_session *s)
{
	pg_verdict_drop(s);
	if (s->catalogue)
		pg_taint_lost(s);
	while (s->replies.count) {
		struct pg_expect *e = pg_reply_first(&s->replies);

		if (e->catalogue && s->catalogue && s->catalogue_build)
			pg_catalogue_end(s->catalogue, s->catalogue_build, false, s->env->now_us);
		if (e->command >= 0)
			pg_command_respond(&s->commands, e->command, s->host, s->host_context, true);
		done(s);
	}
	for (int i = pg_name_slot(&s->names, 0); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(&s->names, i + 1))
		if (pg_name_at(&s->names, i)->used)
			pg_drop_name(s, i);
	s->catalogue_build = 0;
}

void pg_catalogue_send(struct pg_session *s, struct pg_io *io)
{
	struct pg_expect *e;
	size_t mark = pg_frame_begin(to_server(io), 'Q');

	writer_cstr(to_server(io), pg_catalogue_query);
	pg_frame_end(to_server(io), mark);
	e = pg_reply_push(&s->replies, REPLY_QUERY, s->group);
	s->group++;
	e->swallow = e->catalogue = true;
	s->described = -1;
	s->catalogue_build = pg_catalogue_begin(s->catalogue, s->env->snapshot);
	s->catalogue_policy = pg_catalogue_policy(s->catalogue, s->env->snapshot);
}

/* The answer under way cannot be given: the client gets an error, the rest is dropped up to ReadyForQuery. */
void pg_end_answer(struct pg_session *s, struct pg_command *c, const char *text, struct pg_io *io)
{
	if (!s->mute)
		pg_error_write(to_client(io), "ERROR", "54000", bytes_str(text));
	if (c)
		memcpy(c->status, "54000", 6);
	s->mute = s->mute_aborts = true;
	s->copy_out.running = s->copy_out.active = false;
}

/* An error came for `e`'s group: what follows up to Sync will not be answered. */
static void skip_group(struct pg_session *s, const char code[6])
{
	while (s->replies.count && pg_reply_first(&s->replies)->kind != REPLY_SYNC) {
		struct pg_expect *e = pg_reply_first(&s->replies);
		struct pg_command *c = command_of(s, e);

		if (c && !c->status[0] && !c->responded)
			memcpy(c->status, code, 6);
		drop_pending(s, e);
		if (e->kind == REPLY_CLOSE && pg_name_is(&s->names, e->slot, e->serial))
			pg_name_at(&s->names, e->slot)->closing = false;
		done(s);
	}
	if (!s->replies.count)
		s->skipping = true;
	s->described = -1;
}

static enum pg_step on_error(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *c = command_of(s, e);
	bool shown = !s->mute && !(e && e->swallow);
	char code[6];

	if (!e || !e->catalogue)
		pg_state_failed(s);
	if (e && e->refusal >= 0) {
		memcpy(code, s->refusal[e->refusal].code, 6);
		if (shown)
			pg_refusal_write(s, e->refusal, to_client(io));
		s->refusal[e->refusal].used = false;
		e->refusal = -1;
	} else {
		pg_fields_write(s, c, 'E', e && e->kind == REPLY_PARSE, f->body, shown ? to_client(io) : NULL, code);
	}
	if (!e)
		return STEP_DONE; /* asynchronous: the connection is about to end */
	if (c && !c->status[0])
		memcpy(c->status, code, 6);
	if (e->kind == REPLY_QUERY)
		drop_pending(s, e);
	s->copy_out.running = s->copy_out.active = false;
	s->guard_len = 0;
	if (e->catalogue) {
		pg_catalogue_end(s->catalogue, s->catalogue_build, false, s->env->now_us);
		s->catalogue_build = 0;
		return STEP_DONE;
	}
	if (e->kind != REPLY_SYNC)
		s->copy_in = COPY_IN_NONE;
	if (e->kind != REPLY_QUERY && e->kind != REPLY_SYNC)
		skip_group(s, code);
	if (s->limited)
		pg_limit_failed(s, io);
	return STEP_DONE;
}

static void portals_end(struct pg_session *s, uint32_t group)
{
	for (int i = pg_name_slot(&s->names, PG_STATEMENTS); i < PG_STATEMENTS + PG_PORTALS; i = pg_name_slot(&s->names, i + 1))
		if (pg_name_at(&s->names, i)->used && (int32_t)(pg_name_at(&s->names, i)->made_in - group) <= 0)
			pg_drop_name(s, i);
}

static enum pg_step catalogue_ready(struct pg_session *s, struct pg_io *io)
{
	/* Read under a policy that is not in force any more: read again, without end, for each time is a policy's. */
	bool overtaken = s->catalogue_build != s->catalogue->build || s->catalogue_policy != pg_catalogue_policy(s->catalogue, s->env->snapshot);

	if (s->catalogue_build)
		pg_catalogue_end(s->catalogue, s->catalogue_build, true, s->env->now_us);
	s->catalogue_build = 0;
	done(s);
	s->catalogue_tries -= overtaken && s->catalogue_tries;
	if (s->settled)
		return STEP_DONE;
	if (!pg_catalogue_usable(s->catalogue, s->env->snapshot)) {
		s->catalogue_tries += !overtaken;
		if (s->catalogue_tries < 3 && !s->catalogue->tags[s->catalogue->active].full) {
			pg_catalogue_send(s, io);
			return STEP_DONE;
		}
		pg_error_write(to_client(io), "FATAL", "53400", bytes_str("the target's catalogue cannot be read for masking"));
		io->cause = CLOSE_PROTOCOL;
		return STEP_CLOSE;
	}
	s->settled = true;
	s->catalogue_tries = 0;
	pg_frame_put(to_client(io), 'Z', bytes_of("I", 1));
	return STEP_DONE;
}

static enum pg_step on_ready(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	uint8_t status = f->body.len == 1 ? f->body.base[0] : 0;
	uint32_t group;

	if (!e || (e->kind != REPLY_QUERY && e->kind != REPLY_SYNC) || (status != 'I' && status != 'T' && status != 'E'))
		return lost_step(io);
	if (e->catalogue)
		return catalogue_ready(s, io);
	group = e->group;
	if (e->kind == REPLY_QUERY)
		s->copy_in = COPY_IN_NONE;
	if (s->mute) {
		s->mute = false;
		if (s->mute_aborts && status == 'T' && s->replies.count == 1) {
			/* The client was told of an error: the transaction is to end as after one. Nothing else
			 * is under way. */
			struct pg_expect *b;

			done(s);
			s->mute_aborts = false;
			pg_frame_put(to_server(io), 'B', bytes_of("\0__denied\0\0\0\0\0\0\0", 16));
			pg_frame_put(to_server(io), 'S', (struct bytes){ 0 });
			b = pg_reply_push(&s->replies, REPLY_BIND, s->group);
			b->swallow = true;
			pg_reply_push(&s->replies, REPLY_SYNC, s->group);
			s->group++;
			return STEP_DONE;
		}
		s->mute_aborts = false;
	}
	pg_limit_commit(s, e, io);
	relay(s, e, f, io);
	done(s);
	if (status == 'I')
		pg_taint_ended(s, group, !s->failed && !s->rolled_back);
	pg_state_ready(s, status);
	if (status == 'I') {
		s->tagged_transaction = false;
		portals_end(s, group);
	}
	return STEP_DONE;
}

static void row_count(struct pg_command *c, struct bytes tag)
{
	size_t len = tag.len < sizeof(c->tag) ? tag.len : sizeof(c->tag);

	memcpy(c->tag, tag.base, len);
	c->tag_len = (uint8_t)len;
}

static enum pg_step on_complete(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *c = command_of(s, e);
	struct reader r = reader_of_bytes(f->body);
	struct bytes tag = f->type == 'C' ? reader_cstr(&r) : bytes_str("");

	if (!e || (e->kind != REPLY_QUERY && e->kind != REPLY_EXECUTE) || !r.ok)
		return lost_step(io);
	if (c && pg_limited(c))
		pg_limit_completed(s, c, tag, io);
	relay(s, e, f, io);
	if (c && !c->refused) {
		row_count(c, tag);
		c->statement++;
		if (c->traits.alters && s->catalogue)
			s->catalogue->stale = true;
	}
	if (pg_name_is(&s->names, e->slot, e->serial)) {
		bool cursor = pg_name_at(&s->names, e->slot)->space == PG_PORTAL;

		if (bytes_equal(tag, bytes_str(cursor ? "DECLARE CURSOR" : "PREPARE")))
			pg_name_confirm(&s->names, e->slot, pg_drop_name, s);
		else
			drop_pending(s, e);
	}
	if (bytes_equal(tag, bytes_str("COMMIT")) || bytes_equal(tag, bytes_str("PREPARE TRANSACTION")))
		pg_taint_committed(s, e->group);
	pg_state_completed(s, bytes_equal(tag, bytes_str("ROLLBACK")));
	s->copy_out.running = s->copy_out.active = false;
	pg_plan_none(s);
	if (e->kind == REPLY_EXECUTE) {
		bool wrapped = e->wrapped;

		s->copy_in = COPY_IN_NONE;
		if (c && pg_limited(c))
			pg_limit_done(s, e->command, f->type == 'C', io);
		/* A portal runs once: its command is answered now, though the name may live on; a wrapped one with its commit. */
		if (c && !wrapped)
			pg_command_respond(&s->commands, e->command, s->host, s->host_context, false);
		done(s);
	} else if (s->copy_in == COPY_IN_RUNNING) {
		s->copy_in = COPY_IN_POSSIBLE;
	}
	return STEP_DONE;
}

static enum pg_step on_row(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *c = command_of(s, e);
	size_t at;

	if (!e || (e->kind != REPLY_QUERY && e->kind != REPLY_EXECUTE))
		return lost_step(io);
	if (e->catalogue) {
		if (!pg_catalogue_row(s->catalogue, s->catalogue_build, s->env->snapshot, f->body))
			return lost_step(io);
		return STEP_DONE;
	}
	if (!c)
		return lost_step(io);
	at = to_client(io)->len;
	if (pg_limited(c) && !pg_limit_row(s, c, io))
		return STEP_DONE;
	if (!s->mute && class_bits_any(&c->mask)) {
		struct pg_command before = *c;
		bool good = s->plan.valid && s->plan.n == c->n && !c->outdated && pg_row(s, c, f->body, to_client(io));

		if (!to_client(io)->ok && !io->last) {
			*c = before;
			c->counted -= pg_limited(c); /* it comes again */
			return STEP_FULL;
		}
		if (!good || !to_client(io)->ok) {
			to_client(io)->ok = true;
			to_client(io)->len = at;
			pg_end_answer(s, c, "a row of the result cannot be masked", io);
		}
	} else if (!s->mute) {
		writer_put(to_client(io), f->whole);
	}
	if (!s->mute && !pg_limit_bytes(s, c, at, io))
		return STEP_DONE;
	s->run_skip -= s->run_skip > 0;
	c->rows++;
	c->octets += f->total;
	return STEP_DONE;
}

static enum pg_step on_description(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *c = command_of(s, e);

	if (!e || (e->kind != REPLY_QUERY && e->kind != REPLY_DESCRIBE_STATEMENT && e->kind != REPLY_DESCRIBE_PORTAL))
		return lost_step(io);
	relay(s, e, f, io);
	pg_plan_none(s);
	if (f->type == 'T' && c && e->kind != REPLY_DESCRIBE_STATEMENT && class_bits_any(&c->mask) && !c->outdated)
		pg_plan_rows(s, c, f->body);
	if (e->kind != REPLY_QUERY)
		done(s);
	return STEP_DONE;
}

/* ParseComplete, BindComplete, CloseComplete, ParameterDescription, PortalSuspended. */
static enum pg_step on_simple(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	unsigned kind = f->type == '1' ? REPLY_PARSE : f->type == '2' ? REPLY_BIND : f->type == '3' ? REPLY_CLOSE :
			f->type == 't' ? REPLY_DESCRIBE_STATEMENT : REPLY_EXECUTE;

	if (!e || e->kind != kind || e->refusal >= 0)
		return lost_step(io);
	relay(s, e, f, io);
	if ((kind == REPLY_PARSE || kind == REPLY_BIND) && pg_name_is(&s->names, e->slot, e->serial))
		pg_name_confirm(&s->names, e->slot, pg_drop_name, s);
	if (kind == REPLY_CLOSE)
		drop_if(s, e);
	if (kind == REPLY_EXECUTE) {
		pg_plan_none(s);
		if (e->command >= 0 && pg_limited(pg_command_at(&s->commands, e->command)))
			pg_limit_done(s, e->command, false, io);
	}
	if (kind != REPLY_DESCRIBE_STATEMENT)
		done(s);
	return STEP_DONE;
}

/* Undone when there was no room: the message comes again. */
static enum pg_step copy_data(struct pg_session *s, struct pg_command *c, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_command before = *c;
	struct writer *w = to_client(io);
	size_t at = w->len;
	bool good = f->type == 'd' ? pg_copy_rows(s, c, f->body, w) : pg_copy_done(s, c, w);

	if (good && f->type == 'c')
		writer_put(w, f->whole);
	if (!w->ok && !io->last) {
		*c = before;
		return STEP_FULL;
	}
	if (good && w->ok && !pg_limit_bytes(s, c, at, io))
		return STEP_DONE;
	if (good && w->ok) {
		s->run_skip -= s->run_skip > 0;
		c->octets += f->type == 'd' ? f->body.len : 0;
		return STEP_DONE;
	}
	w->ok = true;
	w->len = at;
	pg_end_answer(s, c, "a row of this COPY cannot be masked", io);
	return STEP_DONE;
}

/* CopyOutResponse: int8 format, int16 columns, formats. */
static bool copy_described(struct pg_session *s, const struct pg_command *c, struct bytes body)
{
	struct reader r = reader_of_bytes(body);
	bool binary = reader_u8(&r) != 0;

	s->plan.columns = reader_be16(&r);
	return r.ok && pg_plan_copy(s, c) && binary == (pg_digest_at(&s->commands, c->digest)->copy_format == COPY_BINARY);
}

/* PostgreSQL sends a row a message ("Message Formats", CopyData), and besides: the header line, and the binary trailer. */
static bool is_copy_row(const struct pg_session *s, const struct pg_command *c, struct bytes body)
{
	const struct pg_digest *d = c->digest >= 0 ? pg_digest_at(&s->commands, c->digest) : NULL;

	if (d && d->copy_format == COPY_BINARY)
		return body.len != 2;
	return !(d && d->copy_header && s->copy_out.first);
}

static enum pg_step on_copy(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *c = command_of(s, e);
	bool counts;
	size_t at;

	if (!e || !c || (e->kind != REPLY_QUERY && e->kind != REPLY_EXECUTE))
		return lost_step(io);
	if (f->type == 'G') {
		if (s->copy_in != COPY_IN_POSSIBLE)
			return lost_step(io);
		s->copy_in = COPY_IN_RUNNING;
		s->guard_len = 0;
		relay(s, e, f, io);
		return STEP_DONE;
	}
	if ((f->type == 'H') == s->copy_out.running && !s->mute)
		return lost_step(io);
	if (f->type == 'H') {
		if (s->mute)
			return STEP_DONE;
		s->copy_out.running = true;
		s->copy_out.active = class_bits_any(&c->mask);
		s->copy_out.first = true;
		s->copy_out.ended = false;
		s->copy_out.carry_len = 0;
		if (s->copy_out.active && (c->outdated || !copy_described(s, c, f->body)))
			pg_end_answer(s, c, "the columns of this COPY cannot be told: it cannot be masked", io);
		else
			relay(s, e, f, io);
		return STEP_DONE;
	}
	if (s->mute)
		return STEP_DONE;
	counts = f->type == 'd' && pg_limited(c) && is_copy_row(s, c, f->body);
	if (counts && !pg_limit_row(s, c, io))
		return STEP_DONE;
	at = to_client(io)->len;
	if (s->copy_out.active) {
		enum pg_step step = copy_data(s, c, f, io);

		c->counted -= counts && step == STEP_FULL; /* it comes again */
		return step;
	}
	relay(s, e, f, io);
	s->copy_out.first = false;
	if (f->type == 'd' && !pg_limit_bytes(s, c, at, io))
		return STEP_DONE;
	c->octets += f->type == 'd' ? f->body.len : 0;
	s->run_skip -= s->run_skip > 0;
	return STEP_DONE;
}

static enum pg_step asynchronous(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	char code[6];

	if (f->type == 'S') {
		if (pg_parameter_status_write(s, f->body, to_client(io)))
			return STEP_DONE;
		pg_error_write(to_client(io), "FATAL", "0A000", bytes_str("client_encoding and standard_conforming_strings cannot be changed here"));
		io->cause = CLOSE_PROTOCOL;
		return STEP_CLOSE;
	}
	if (f->type == 'A')
		pg_notification_write(s, f->body, to_client(io));
	else if (!(e && e->swallow))
		pg_fields_write(s, command_of(s, e), 'N', false, f->body, to_client(io), code);
	return STEP_DONE;
}

enum pg_step pg_server_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	enum pg_step step;

	switch (f->type) {
	case 'A':
	case 'N':
	case 'S':
		return asynchronous(s, f, io);
	case 'E': return on_error(s, f, io);
	case 'Z':
		step = on_ready(s, f, io);
		if (s->lender.held)
			pg_room_settle(s);
		return step;
	case 'C':
	case 'I':
		return on_complete(s, f, io);
	case 'D': return on_row(s, f, io);
	case 'T':
	case 'n':
		return on_description(s, f, io);
	case '1':
	case '2':
	case '3':
	case 't':
	case 's':
		return on_simple(s, f, io);
	case 'G':
	case 'H':
	case 'd':
	case 'c':
		return on_copy(s, f, io);
	default:
		return lost_step(io); /* V, W, R, K and what is no message of protocol 3 */
	}
}

/* A row that is longer than is read whole: passed when nothing can be masked in it, or masked while it goes by, else its answer ends. STEP_DONE: the rest is
 * to be dropped; STEP_STALL: passed on. */
enum pg_step pg_server_long(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	struct pg_command *c = command_of(s, e);

	if ((f->type != 'D' && f->type != 'd') || !c || e->catalogue)
		return lost_step(io);
	if (pg_limited(c) && !pg_limit_long(s, c, f->total, io))
		return STEP_DONE;
	c->rows += f->type == 'D';
	c->octets += f->total;
	if (s->mute)
		return STEP_DONE;
	if ((f->type == 'd') != s->copy_out.running)
		return lost_step(io);
	if (!class_bits_any(&c->mask) || (f->type == 'D' ? pg_long_begin(s, c) : pg_long_copy_begin(s, c)))
		return STEP_STALL;
	pg_end_answer(s, c, f->type == 'D' ? "a row of more than 1 MiB with such columns cannot be masked" : "a row of this COPY is longer than 1 MiB and cannot be masked", io);
	return STEP_DONE;
}
