/* postgres.c: the inspector's entry points: framing, room, phases. The parts are named in session.h.
 *
 * One message at a time: when it is whole (or known to be too long to be read whole), and there is room for what it may cause,
 * its phase's handler deals with it completely. A handler that runs out of room is undone.
 */
#include "dataplane/inspect/postgres/session.h"
#include "platform/base/secret.h"

extern const struct inspector inspector_postgres;

#define STARTUP_MAX 10000 /* MAX_STARTUP_PACKET_LENGTH */
#define ROOM_MAX (LIMIT_STREAM_BYTES + LIMIT_STREAM_BYTES / 2)
#define TLS_HANDSHAKE 0x16
#define MESSAGES_A_CALL 16

static struct inspect_result more(size_t consumed, size_t needed)
{
	return (struct inspect_result){ .status = INSPECT_MORE, .consumed = consumed, .needed = needed };
}

static struct inspect_result closing(struct pg_session *s, size_t consumed, enum close_cause cause)
{
	s->phase = PHASE_DONE;
	return (struct inspect_result){ .status = INSPECT_CLOSE, .consumed = consumed, .cause = cause };
}

static struct inspect_result fatal(struct pg_session *s, struct inspect_io *io, const char *text)
{
	pg_error_write(io->out[SIDE_CLIENT], "FATAL", "08P01", bytes_str(text));
	return closing(s, 0, CLOSE_PROTOCOL);
}

/* Room for `len` more bytes towards `to` and for what may stand around them on both sides. */
static bool room(struct inspect_io *io, enum side to, size_t len, struct inspect_result *full)
{
	for (enum side side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
		size_t needed = (side == to ? len : 0) + PG_ROOM;

		if (writer_space(io->out[side]) >= needed)
			continue;
		*full = (struct inspect_result){ .status = INSPECT_FULL, .full = side, .needed = needed };
		return false;
	}
	return true;
}

static struct inspect_result conclude(struct pg_session *s, enum pg_step step, size_t consumed, const struct pg_io *io)
{
	switch (step) {
	case STEP_DONE:
		return (struct inspect_result){ .status = INSPECT_OK, .consumed = consumed };
	case STEP_CLOSE:
		return closing(s, consumed, io->cause);
	default:
		return (struct inspect_result){ .status = INSPECT_WAIT };
	}
}

/* What a message of the server may become: its values masked, the shortest ones longest. */
static size_t grown(const struct pg_session *s, const struct pg_frame *f)
{
	if (s->phase != PHASE_READY)
		return f->total;
	switch (f->type) {
	case 'D':
	case 'd':
	case 'E':
	case 'N':
	case 'A':
	case 'S':
		return f->total < ROOM_MAX / 8 ? f->total * 8 : ROOM_MAX;
	default:
		return f->total;
	}
}

/* Nothing of a message remains whose handler ran out of room. */
static void undo(struct inspect_io *io, const size_t len[2])
{
	for (enum side side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
		io->out[side]->len = len[side];
		io->out[side]->ok = true;
	}
}

static struct inspect_result client_first(struct pg_session *s, struct bytes in, struct inspect_io *io)
{
	struct pg_io p = { .io = io };
	struct reader r = reader_of_bytes(in);
	struct inspect_result full;
	uint32_t length;

	if (in.len && in.base[0] == TLS_HANDSHAKE && !s->tls[SIDE_CLIENT] &&
	    policy_service(s->env->snapshot->image, s->env->service).tls != POLICY_TLS_OFF) {
		/* Version 17 and newer begin with TLS at once, and have to say by ALPN that they mean PostgreSQL. */
		s->tls[SIDE_CLIENT] = s->asked_tls = true;
		s->host->start_tls(s->host_context, SIDE_CLIENT, true);
		return (struct inspect_result){ .status = INSPECT_OK };
	}
	if (in.len < 4)
		return more(0, 8);
	length = reader_be32(&r);
	if (length < 8 || length > STARTUP_MAX)
		return closing(s, 0, CLOSE_PROTOCOL);
	if (in.len < length)
		return more(0, length);
	if (!room(io, SIDE_SERVER, length, &full))
		return full;
	return conclude(s, pg_startup(s, bytes_of(in.base, length), &p), length, &p);
}

static struct inspect_result long_row(struct pg_session *s, struct bytes in, struct writer *out)
{
	struct pg_long_step step = pg_long_row(s, in, out);

	if (step.bad) /* in the middle of a message: nothing more can be said */
		return closing(s, step.consumed, CLOSE_PROTOCOL);
	if (step.consumed || !s->long_row.active)
		return (struct inspect_result){ .status = INSPECT_OK, .consumed = step.consumed };
	if (step.room)
		return (struct inspect_result){ .status = INSPECT_FULL, .full = SIDE_CLIENT, .needed = step.room };
	return more(0, step.needed);
}

/* Bytes of a message whose fate is sealed. */
static bool rest_of_message(struct pg_session *s, enum side from, struct bytes in, struct inspect_io *io, struct inspect_result *result)
{
	struct writer *out = io->out[from == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT];
	size_t len;

	if (s->skip[from]) {
		len = in.len < s->skip[from] ? in.len : s->skip[from];
		s->skip[from] -= len;
		*result = (struct inspect_result){ .status = INSPECT_OK, .consumed = len };
		return true;
	}
	if (!s->pass[from])
		return false;
	if (s->long_row.active && from == SIDE_SERVER) {
		*result = long_row(s, in, out);
		return true;
	}
	if (!writer_space(out)) {
		*result = (struct inspect_result){ .status = INSPECT_FULL, .full = from == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, .needed = PG_ROOM };
		return true;
	}
	len = in.len < s->pass[from] ? in.len : s->pass[from];
	len = len < writer_space(out) ? len : writer_space(out);
	writer_bytes(out, in.base, len);
	s->pass[from] -= len;
	*result = (struct inspect_result){ .status = INSPECT_OK, .consumed = len };
	return true;
}

static struct inspect_result client_message(struct pg_session *s, const struct pg_frame *f, bool whole, struct bytes in, struct inspect_io *io)
{
	const size_t len[2] = { io->out[0]->len, io->out[1]->len };
	struct pg_io p = { .io = io };
	struct inspect_result full;
	enum pg_step step;

	if (!room(io, SIDE_SERVER, whole ? f->total : 0, &full))
		return full;
	if (s->phase == PHASE_PASSWORD)
		step = pg_password(s, f, &p);
	else
		step = whole ? pg_client_message(s, f, &p) : pg_client_long(s, f, &p);
	if (!io->out[SIDE_CLIENT]->ok || !io->out[SIDE_SERVER]->ok) {
		undo(io, len);
		return closing(s, 0, CLOSE_PROTOCOL); /* PG_ROOM was asked for: cannot be */
	}
	if (!whole && step == STEP_DONE) {
		size_t there = in.len < f->total ? in.len : f->total;

		s->skip[SIDE_CLIENT] = f->total - there;
		return (struct inspect_result){ .status = INSPECT_OK, .consumed = there };
	}
	return conclude(s, step, f->total, &p);
}

static struct inspect_result feed_client(struct pg_session *s, struct bytes in, struct inspect_io *io)
{
	size_t max = s->phase == PHASE_PASSWORD ? LIMIT_TOKEN_BYTES + 64 : LIMIT_STREAM_BYTES;
	struct pg_frame f;

	if (s->phase == PHASE_FIRST)
		return client_first(s, in, io);
	if (s->waiting || (s->phase != PHASE_PASSWORD && s->phase != PHASE_READY) || (s->phase == PHASE_READY && !s->settled))
		return (struct inspect_result){ .status = INSPECT_WAIT };
	switch (pg_frame_read(in, &f)) {
	case PARSE_BAD:
		return fatal(s, io, "invalid message length");
	case PARSE_OK:
		if (f.total <= max)
			return client_message(s, &f, true, in, io);
		break;
	case PARSE_MORE:
		if (!f.head || f.total <= max)
			return more(0, f.total);
		break;
	}
	if (s->phase == PHASE_PASSWORD)
		return fatal(s, io, "the password is longer than a token can be");
	/* Enough of it for the record. */
	if (f.body.len < LIMIT_STATEMENT_BYTES)
		return more(0, PG_FRAME_HEAD + LIMIT_STATEMENT_BYTES);
	return client_message(s, &f, false, in, io);
}

/* Many small messages of a result at once, when they may go as they are. */
static struct inspect_result server_run(struct pg_session *s, struct bytes in, struct inspect_io *io)
{
	struct pg_expect *e = pg_reply_first(&s->replies);
	uint8_t type = in.base[0];
	struct pg_command *c;
	size_t run;

	if (!e || e->catalogue || e->command < 0 || s->mute || (e->kind != REPLY_QUERY && e->kind != REPLY_EXECUTE))
		return (struct inspect_result){ 0 };
	c = pg_command_at(&s->commands, e->command);
	if ((type == 'd') != s->copy_out.running || pg_limited(c))
		return (struct inspect_result){ 0 };
	if (class_bits_any(&c->mask))
		run = s->plan.valid && s->plan.n == c->n && !c->outdated ? pg_rows_run(s, c, in, writer_space(io->out[SIDE_CLIENT])) : 0;
	else
		run = pg_rows_relayed(in, writer_space(io->out[SIDE_CLIENT]));
	for (size_t at = 0; at < run;) {
		struct pg_frame f;

		(void)pg_frame_read(bytes_of(in.base + at, run - at), &f);
		at += f.total;
		c->rows++;
	}
	c->octets += run;
	writer_bytes(io->out[SIDE_CLIENT], in.base, run);
	return (struct inspect_result){ .status = INSPECT_OK, .consumed = run };
}

static struct inspect_result server_long(struct pg_session *s, const struct pg_frame *f, struct bytes in, struct inspect_io *io)
{
	struct pg_io p = { .io = io };
	struct inspect_result full;

	if (s->phase != PHASE_READY)
		return fatal(s, io, "the target's message is longer than is read");
	if (!room(io, SIDE_CLIENT, 0, &full))
		return full;
	switch (pg_server_long(s, f, &p)) {
	case STEP_DONE:
		s->skip[SIDE_SERVER] = f->total;
		break;
	case STEP_STALL:
		s->pass[SIDE_SERVER] = f->total;
		break;
	default:
		return closing(s, 0, p.cause);
	}
	/* What is there of it goes now: nothing else may come before there is room again. */
	(void)rest_of_message(s, SIDE_SERVER, in, io, &full);
	return full;
}

static enum pg_step server_phase(struct pg_session *s, const struct pg_frame *f, struct pg_io *p)
{
	if (s->phase == PHASE_LOGIN)
		return pg_login_message(s, f, p);
	if (s->phase == PHASE_SETTLE)
		return pg_settle_message(s, f, p);
	return pg_server_message(s, f, p);
}

static struct inspect_result feed_server(struct pg_session *s, struct bytes in, struct inspect_io *io)
{
	const size_t len[2] = { io->out[0]->len, io->out[1]->len };
	struct pg_io p = { .io = io };
	struct inspect_result r;
	enum pg_step step;
	struct pg_frame f;

	if (s->phase == PHASE_TLS_ANSWER && in.len) {
		if (!room(io, SIDE_SERVER, PG_PARAMETERS_BYTES, &r))
			return r;
		return conclude(s, pg_tls_answer(s, in.base[0], &p), 1, &p);
	}
	if (s->phase == PHASE_PROOF)
		return (struct inspect_result){ .status = INSPECT_WAIT };
	if (s->phase < PHASE_TLS_ANSWER)
		return closing(s, 0, CLOSE_PROTOCOL); /* a server that speaks first is none */
	if (s->phase == PHASE_READY && in.len && (in.base[0] == 'D' || in.base[0] == 'd')) {
		r = server_run(s, in, io);
		if (r.consumed)
			return r;
	}
	switch (pg_frame_read(in, &f)) {
	case PARSE_BAD:
		return fatal(s, io, "the target's message has no valid length");
	case PARSE_MORE:
	case PARSE_OK:
		break;
	}
	if (f.head && f.total > LIMIT_STREAM_BYTES)
		return server_long(s, &f, in, io);
	if (!f.whole.len)
		return more(0, f.total);
	/* A short row may do with less than it could grow to; if it does not, it comes again with all of that. */
	if (!room(io, SIDE_CLIENT, f.type == 'D' || f.type == 'd' ? f.total : grown(s, &f), &r)) {
		if (r.full == SIDE_CLIENT)
			r.needed = grown(s, &f) + PG_ROOM;
		return r;
	}
	p.last = writer_space(io->out[SIDE_CLIENT]) >= grown(s, &f) + PG_ROOM;
	step = server_phase(s, &f, &p);
	if (step == STEP_FULL || !io->out[SIDE_CLIENT]->ok || !io->out[SIDE_SERVER]->ok) {
		undo(io, len);
		if (step == STEP_FULL)
			return (struct inspect_result){ .status = INSPECT_FULL, .full = SIDE_CLIENT, .needed = grown(s, &f) + PG_ROOM };
		return fatal(s, io, "a message of the target grew beyond what can be held when it was masked");
	}
	return conclude(s, step, f.total, &p);
}

static void flush_notice(struct pg_session *s, struct inspect_io *io)
{
	if (!s->notice_len || s->pass[SIDE_SERVER] || s->phase != PHASE_READY || writer_space(io->out[SIDE_CLIENT]) < PG_ROOM)
		return;
	pg_notice_write(io->out[SIDE_CLIENT], bytes_of(s->notice, s->notice_len));
	s->notice_len = 0;
}

static struct inspect_result feed_message(struct pg_session *s, enum side from, struct bytes in, struct inspect_io *io)
{
	struct pg_io p = { .io = io };
	struct inspect_result r;

	if (rest_of_message(s, from, in, io, &r))
		return r;
	if (writer_space(io->out[SIDE_CLIENT]) < PG_ROOM)
		return (struct inspect_result){ .status = INSPECT_FULL, .full = SIDE_CLIENT, .needed = PG_ROOM };
	if (pg_adopt(s, &p) != STEP_DONE)
		return closing(s, 0, p.cause);
	flush_notice(s, io);
	return from == SIDE_CLIENT ? feed_client(s, in, io) : feed_server(s, in, io);
}

/* A call costs the conductor more than a short message costs here. At login it is one message a call: the conductor wipes them, and
 * TLS may begin behind any. */
static struct inspect_result feed(void *session, enum side from, struct bytes in, struct inspect_io *io)
{
	struct pg_session *s = session;
	struct inspect_result r;
	size_t consumed = 0;

	if (s->phase == PHASE_DONE)
		return (struct inspect_result){ .status = INSPECT_CLOSE, .cause = CLOSE_PROTOCOL };
	if (!in.len)
		return more(0, 1);
	for (unsigned i = 0; i < MESSAGES_A_CALL; i++) {
		r = feed_message(s, from, bytes_of(in.base + consumed, in.len - consumed), io);
		consumed += r.consumed;
		if (r.status != INSPECT_OK || !r.consumed || consumed == in.len || s->phase != PHASE_READY)
			break;
	}
	/* Room is asked for by the message that lacks it, when it is the first. */
	if (r.status == INSPECT_FULL && consumed)
		r.status = INSPECT_OK;
	r.consumed = consumed;
	return r;
}

/* Between the agent's password and the target's readiness: only then a lost target is news to the client. */
static bool logging_in(const struct pg_session *s)
{
	return s->phase > PHASE_PASSWORD && s->phase < PHASE_READY;
}

static struct inspect_result end(struct pg_session *s, const struct inspect_answer *a, struct inspect_io *io)
{
	static const struct {
		const char *code;
		enum close_cause cause;
	} ends[] = {
		[END_KILLED] = { "57P01", CLOSE_KILLED },     /* admin_shutdown */
		[END_UNAVAILABLE] = { "57P03", CLOSE_KILLED }, /* cannot_connect_now */
		[END_UPSTREAM] = { "08001", CLOSE_TLS },      /* sqlclient_unable_to_establish_sqlconnection */
		[END_UPSTREAM_LOST] = { "08006", CLOSE_SERVER }, /* connection_failure */
	};

	if (a->end == END_UPSTREAM_LOST && !logging_in(s))
		return (struct inspect_result){ .status = INSPECT_OK };
	if (!s->pass[SIDE_SERVER] && s->phase != PHASE_FIRST)
		pg_error_write(io->out[SIDE_CLIENT], "FATAL", ends[a->end].code, a->text.len ? a->text : bytes_str("terminating connection"));
	return closing(s, 0, ends[a->end].cause);
}

static struct inspect_result answer(void *session, const struct inspect_answer *a, struct inspect_io *io)
{
	struct pg_session *s = session;
	struct pg_io p = { .io = io };
	struct inspect_result full;
	int command, refusal;

	if (s->phase == PHASE_DONE)
		return (struct inspect_result){ .status = INSPECT_OK };
	if (!room(io, SIDE_SERVER, PG_PARAMETERS_BYTES, &full))
		return full;
	if (pg_adopt(s, &p) != STEP_DONE)
		return closing(s, 0, p.cause);
	switch (a->kind) {
	case ANSWER_JUDGED:
		if (!s->waiting)
			return (struct inspect_result){ .status = INSPECT_OK };
		pg_verdict(s, a->allowed, &a->judgement, &command, &refusal);
		s->verdict_command = (int16_t)command;
		s->verdict_refusal = (int16_t)refusal;
		s->verdict_ready = true;
		s->waiting = false;
		return (struct inspect_result){ .status = INSPECT_OK };
	case ANSWER_NOTICE:
		s->notice_len = (uint16_t)(a->text.len < sizeof(s->notice) ? a->text.len : sizeof(s->notice));
		memcpy(s->notice, a->text.base ? a->text.base : (const uint8_t *)"", s->notice_len);
		flush_notice(s, io);
		return (struct inspect_result){ .status = INSPECT_OK };
	case ANSWER_IDENTITY:
		return conclude(s, pg_identity(s, a, &p), 0, &p);
	case ANSWER_PROOF:
		return conclude(s, pg_proof(s, a, &p), 0, &p);
	case ANSWER_END:
		return end(s, a, io);
	}
	return (struct inspect_result){ .status = INSPECT_OK };
}

static struct inspect_result ended(void *session, enum side from, struct inspect_io *io)
{
	struct pg_session *s = session;

	if (from == SIDE_SERVER) {
		/* A client that waits in front of a dead server is told. */
		if (logging_in(s) && writer_space(io->out[SIDE_CLIENT]) > PG_ROOM)
			pg_error_write(io->out[SIDE_CLIENT], "FATAL", "08006",
				       bytes_str("the target closed the connection before the login was done: the operator looks at the target's log"));
		pg_lost(s);
		return closing(s, 0, CLOSE_SERVER);
	}
	return (struct inspect_result){ .status = INSPECT_OK };
}

static void close_session(void *session)
{
	struct pg_session *s = session;

	pg_lost(s);
	pg_room_close(s);
	secret_wipe(s->signature, sizeof(s->signature));
	secret_wipe(s->bare, sizeof(s->bare));
	/* Texts and what was carried may hold values. */
	secret_wipe(&s->names, sizeof(s->names));
	secret_wipe(&s->copy_out, sizeof(s->copy_out));
	s->phase = PHASE_DONE;
}

static void open_session(void *session, const struct inspect_env *env, const struct inspect_host *host, void *host_context)
{
	struct pg_session *s = session;

	s->env = env;
	s->host = host;
	s->host_context = host_context;
	s->lender = (struct pg_lender){ host, host_context };
	pg_room_open(s);
	s->phase = PHASE_FIRST;
	s->status = 'I';
	s->described = -1;
	s->dates_iso = true;
}

static struct inspect_progress progress(void *session)
{
	struct pg_session *s = session;
	const struct pg_expect *e = pg_reply_first(&s->replies);

	const struct pg_command *c = e && e->command >= 0 ? pg_command_at(&s->commands, e->command) : NULL;

	return (struct inspect_progress){ .rows = c ? c->rows : 0, .ref = c ? c->n : 0, .answers = c != NULL, .within = s->pass[SIDE_SERVER] > 0 };
}

static unsigned guess(struct bytes first)
{
	struct reader r = reader_of_bytes(first);
	uint32_t length = reader_be32(&r), code = reader_be32(&r);

	if (!r.ok || length < 8 || length > STARTUP_MAX)
		return 0;
	return code == 80877103 || code == 80877104 || code == 80877102 ? 95 : code >> 16 == 3 ? 90 : 0;
}

const struct inspector inspector_postgres = {
	.name = "postgres",
	.session_bytes = sizeof(struct pg_session),
	.piece_bytes = { sizeof(union pg_piece), PG_TEXT_BYTES },
	.shared_bytes = sizeof(struct pg_shared),
	.tls_capable = true,
	.guess = guess,
	.open = open_session,
	.feed = feed,
	.state = pg_state_now,
	.progress = progress,
	.answer = answer,
	.ended = ended,
	.close = close_session,
	.heard = pg_taint_heard,
	.tagged = pg_tagged,
	.tagged_version = pg_tagged_version,
};
