/* limit.c: max_rows and max_bytes of a rule (policy.md 1), kept inside the stream.
 *
 * The row that would exceed does not go out, and a change of too many rows is not committed: the client gets an error that
 * names the rule, and the server gets one too, so that what an error aborts is aborted on both sides. For that nothing behind
 * a limited command may be sent before its answer is known: nothing is read from the client meanwhile, and the Sync that would
 * commit it comes after the count. A simple query commits before it tells what it did; so a limited one is sent as Parse, Bind,
 * Describe and Execute instead, its completion is kept until the transaction's end is known, and Sync follows, or an error and Sync.
 *
 * Rows that come are counted as they go out, rows that change by the completion's count ("UPDATE 5"). Bytes are those of messages
 * with rows, as the client gets them, and of the data of a COPY FROM STDIN. A change that no completion counts was blocked by the verdict.
 * FETCH and EXECUTE keep the smallest limit of all names that the session made by SQL or Bind. A FETCH from a BINARY cursor comes as text; a
 * client that leaves without waiting for the answer has its change rolled back.
 */
#include <stdio.h>

#include "dataplane/inspect/postgres/session.h"

/* The smaller of two limits of a kind, and whose it is. */
static void join(uint64_t *limit, uint16_t *rule, uint64_t other, uint16_t others)
{
	if (!other || (*limit && *limit <= other))
		return;
	*limit = other;
	*rule = others;
}

void pg_limit_name(struct pg_session *s, const struct pg_command *c)
{
	join(&s->named.rows, &s->named.rows_rule, c->limits.rows, c->limits.rows_rule);
	join(&s->named.bytes, &s->named.bytes_rule, c->limits.bytes, c->limits.bytes_rule);
}

void pg_limit_keep(struct pg_session *s, struct pg_command *c)
{
	if (!c->traits.counts)
		c->limits = (struct pg_limits){ 0 };
	if (!c->traits.by_name)
		return;
	/* FETCH and EXECUTE give what DECLARE and PREPARE were allowed to. */
	pg_limit_name(s, c);
	c->limits = s->named;
}

uint32_t pg_limit_portion(const struct pg_command *c, uint32_t rows)
{
	uint64_t left = c->limits.rows > c->counted ? c->limits.rows - c->counted : 0;

	if (!c->limits.rows || left >= INT32_MAX)
		return rows;
	return rows && rows <= left ? rows : (uint32_t)left + 1;
}

struct pg_expect *pg_limit_wrap(struct pg_session *s, int command, struct bytes text, struct pg_io *io)
{
	static const enum pg_reply kinds[] = { REPLY_PARSE, REPLY_BIND, REPLY_DESCRIBE_PORTAL, REPLY_EXECUTE };
	struct writer *w = to_server(io);
	struct pg_expect *e = NULL;
	size_t mark = pg_frame_begin(w, 'P');

	writer_u8(w, 0);
	writer_put(w, text);
	writer_u8(w, 0);
	writer_be16(w, 0);
	pg_frame_end(w, mark);
	/* Unnamed portal and statement, no formats, no values, every column as text. */
	pg_frame_put(w, 'B', bytes_of("\0\0\0\0\0\0\0\0", 8));
	pg_frame_put(w, 'D', bytes_of("P\0", 2));
	mark = pg_frame_begin(w, 'E');
	writer_u8(w, 0);
	writer_be32(w, pg_limit_portion(pg_command_at(&s->commands, command), 0));
	pg_frame_end(w, mark);
	pg_frame_put(w, 'H', (struct bytes){ 0 });
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		e = pg_reply_push(&s->replies, kinds[i], s->group);
		e->command = (int16_t)command;
		e->wrapped = true;
		if (i)
			pg_command_get(&s->commands, command);
	}
	s->group_open = s->flushed = true;
	s->limited = s->wrapped = true;
	return e;
}

/* "more than 5 rows in one command", and whose limit that is. */
static struct bytes told(const struct pg_session *s, const struct pg_command *c, enum response_limit what, char text[64], struct bytes *rule)
{
	bool rows = what == RESPONSE_LIMIT_ROWS;
	int len = snprintf(text, 64, "more than %llu %s in one command", (unsigned long long)(rows ? c->limits.rows : c->limits.bytes), rows ? "rows" : "bytes");

	*rule = policy_rule_id(s->env->snapshot->image, rows ? c->limits.rows_rule : c->limits.bytes_rule);
	return bytes_of(text, (size_t)len);
}

static void say(struct pg_session *s, const struct pg_command *c, struct pg_io *io)
{
	char text[64], message[256];
	struct writer w = writer_of(message, sizeof(message));
	struct bytes rule, what = told(s, c, c->over, text, &rule);

	writer_str(&w, "permission denied");
	if (rule.len) {
		writer_str(&w, " by rule \"");
		writer_put(&w, bytes_of(rule.base, rule.len < 64 ? rule.len : 64));
		writer_str(&w, "\"");
	}
	writer_str(&w, ": ");
	writer_put(&w, what);
	pg_error_write(to_client(io), "ERROR", "42501", writer_done(&w));
}

/* The client hears the error now; what still comes of the answer is dropped. */
static void over(struct pg_session *s, struct pg_command *c, enum response_limit what, struct pg_io *io)
{
	if (s->mute)
		return; /* it had an error already */
	c->over = what;
	say(s, c, io);
	s->mute = true;
	s->copy_out.running = s->copy_out.active = false;
	memcpy(c->status, "42501", 6);
}

bool pg_limit_row(struct pg_session *s, struct pg_command *c, struct pg_io *io)
{
	if (!s->mute && c->limits.rows && c->counted >= c->limits.rows)
		over(s, c, RESPONSE_LIMIT_ROWS, io);
	c->counted += !s->mute;
	return !s->mute;
}

static bool fits(struct pg_command *c, size_t len)
{
	if (c->limits.bytes && len > c->limits.bytes - c->delivered)
		return false;
	c->delivered += len;
	return true;
}

bool pg_limit_bytes(struct pg_session *s, struct pg_command *c, size_t at, struct pg_io *io)
{
	if (s->mute || !pg_limited(c) || fits(c, to_client(io)->len - at))
		return true;
	to_client(io)->len = at;
	over(s, c, RESPONSE_LIMIT_BYTES, io);
	return false;
}

bool pg_limit_long(struct pg_session *s, struct pg_command *c, size_t len, struct pg_io *io)
{
	if (!pg_limit_row(s, c, io))
		return false;
	if (fits(c, len))
		return true;
	over(s, c, RESPONSE_LIMIT_BYTES, io);
	return false;
}

bool pg_limit_copy_in(struct pg_session *s, struct pg_expect *e, size_t len, struct pg_io *io)
{
	struct pg_command *c = pg_command_at(&s->commands, e->command);
	struct bytes rule, what;
	int refusal = -1;
	char text[64];

	if (!pg_limited(c) || fits(c, len))
		return true;
	pg_frame_put(to_server(io), 'f', bytes_of("refused", 8));
	s->guard_len = 0;
	s->copy_in = COPY_IN_POSSIBLE;
	c->over = RESPONSE_LIMIT_BYTES;
	if (e->refusal < 0)
		refusal = pg_refusal_new(s, "42501");
	if (refusal < 0)
		return false; /* the server's own error tells that the copy was ended */
	what = told(s, c, RESPONSE_LIMIT_BYTES, text, &rule);
	pg_refusal_say(s, refusal, "permission denied", what, rule);
	e->refusal = (int16_t)refusal;
	return false;
}

/* The number at the end of a completion's text; MOVE moves no rows to anybody. */
static uint64_t rows_in(struct bytes tag)
{
	uint64_t value = 0;
	size_t at = tag.len;

	while (at > 0 && tag.base[at - 1] >= '0' && tag.base[at - 1] <= '9')
		at--;
	if (tag.len >= 4 && !memcmp(tag.base, "MOVE", 4))
		return 0;
	for (; at < tag.len; at++)
		value = value < UINT64_MAX / 16 ? value * 10 + (tag.base[at] - '0') : value;
	return value;
}

void pg_limit_completed(struct pg_session *s, struct pg_command *c, struct bytes tag, struct pg_io *io)
{
	if (c->limits.rows && rows_in(tag) > c->limits.rows)
		over(s, c, RESPONSE_LIMIT_ROWS, io);
}

/* Commits, or ends the group that failed. */
static void sync(struct pg_session *s, int command, bool completes, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_push(&s->replies, REPLY_SYNC, s->group);

	pg_frame_put(to_server(io), 'S', (struct bytes){ 0 });
	e->command = (int16_t)command;
	e->completes = completes;
	pg_command_get(&s->commands, command);
	s->group++;
	s->wrapped = s->group_open = s->skipping = false;
}

void pg_limit_done(struct pg_session *s, int command, bool completed, struct pg_io *io)
{
	bool denied = s->mute; /* the client was told of an error */

	if (!s->limited)
		return;
	s->limited = false;
	if (denied) {
		/* One for the server, as refuse.c makes them, that the client does not see. */
		pg_frame_put(to_server(io), 'B', bytes_of("\0__denied\0\0\0\0\0\0\0", 16));
		pg_reply_push(&s->replies, REPLY_BIND, s->group)->swallow = true;
		s->skipping = true;
		s->mute_aborts = false;
		s->described = -1;
	}
	if (s->wrapped)
		sync(s, denied ? -1 : command, completed && !denied, io);
}

void pg_limit_failed(struct pg_session *s, struct pg_io *io)
{
	for (unsigned i = 0; i < s->replies.count; i++) {
		const struct pg_expect *e = pg_reply_at(&s->replies, i);

		if (e->kind == REPLY_EXECUTE && e->command >= 0 && pg_limited(pg_command_at(&s->commands, e->command)))
			return; /* an earlier group failed */
	}
	s->limited = false;
	if (s->wrapped)
		sync(s, -1, false, io);
}

void pg_limit_commit(struct pg_session *s, const struct pg_expect *e, struct pg_io *io)
{
	const struct pg_command *c = e->completes ? pg_command_at(&s->commands, e->command) : NULL;
	size_t mark;

	if (!c || c->status[0] || s->mute)
		return;
	mark = pg_frame_begin(to_client(io), 'C');
	writer_bytes(to_client(io), c->tag, c->tag_len);
	writer_u8(to_client(io), 0);
	pg_frame_end(to_client(io), mark);
}
