/* refuse.c: refusing as the server itself would (postgres.md 4).
 *
 * A refused message is replaced by a Bind of a statement that does not exist: the server then aborts what an error would
 * abort and skips what an error would skip, and its error 26000 is rewritten on the way back. Nothing is answered here.
 */
#include "dataplane/inspect/postgres/session.h"

int pg_refusal_new(struct pg_session *s, const char *code)
{
	for (int i = 0; i < PG_REFUSALS; i++) {
		struct pg_refusal *r = &s->refusal[i];

		if (r->used)
			continue;
		*r = (struct pg_refusal){ .used = true };
		memcpy(r->code, code, 5);
		return i;
	}
	return -1; /* pg_judge asked for room */
}

/* Text for a client: no NUL, no control characters. */
static void clean(struct writer *w, struct bytes text)
{
	for (size_t i = 0; i < text.len && writer_space(w) > 0; i++)
		writer_u8(w, text.base[i] < 0x20 ? ' ' : text.base[i]);
}

void pg_refusal_say(struct pg_session *s, int refusal, const char *prefix, struct bytes text, struct bytes rule)
{
	struct pg_refusal *r = &s->refusal[refusal];
	struct writer m = writer_of(r->message, sizeof(r->message)), h = writer_of(r->hint, sizeof(r->hint));

	writer_str(&m, prefix);
	if (rule.len) {
		writer_str(&m, " by rule \"");
		clean(&m, bytes_of(rule.base, rule.len < 64 ? rule.len : 64));
		writer_str(&m, "\"");
	}
	if (text.len) {
		writer_str(&m, ": ");
		clean(&m, text);
	}
	if (!rule.len && !text.len && !memcmp(r->code, "42501", 5))
		writer_str(&h, "Do not repeat the command unchanged.");
	r->message_len = (uint16_t)m.len;
	r->hint_len = (uint16_t)h.len;
}

/* Bind, portal "", statement "__denied", no formats, no parameters, no result formats. */
static void denied(struct pg_session *s, int command, int refusal, struct pg_io *io)
{
	struct pg_expect *e = pg_reply_push(&s->replies, REPLY_BIND, s->group);

	e->command = (int16_t)command;
	e->refusal = (int16_t)refusal;
	pg_frame_put(to_server(io), 'B', bytes_of("\0__denied\0\0\0\0\0\0\0", 16));
	s->described = -1;
}

void pg_refuse_extended(struct pg_session *s, int command, int refusal, struct pg_io *io)
{
	denied(s, command, refusal, io);
	s->group_open = true;
	s->skipping = true;
}

void pg_refuse_query(struct pg_session *s, int command, int refusal, struct pg_io *io)
{
	denied(s, command, refusal, io);
	pg_frame_put(to_server(io), 'S', (struct bytes){ 0 });
	pg_reply_push(&s->replies, REPLY_SYNC, s->group);
	s->group++;
}

static void field(struct writer *w, char name, struct bytes value)
{
	writer_u8(w, (uint8_t)name);
	writer_put(w, value);
	writer_u8(w, 0);
}

void pg_refusal_write(struct pg_session *s, int refusal, struct writer *w)
{
	const struct pg_refusal *r = &s->refusal[refusal];
	size_t mark = pg_frame_begin(w, 'E');

	field(w, 'S', bytes_str("ERROR"));
	field(w, 'V', bytes_str("ERROR"));
	field(w, 'C', bytes_str(r->code));
	field(w, 'M', bytes_of(r->message, r->message_len));
	if (r->hint_len)
		field(w, 'H', bytes_of(r->hint, r->hint_len));
	writer_u8(w, 0);
	pg_frame_end(w, mark);
}

void pg_error_write(struct writer *w, const char *severity, const char *code, struct bytes message)
{
	size_t mark = pg_frame_begin(w, 'E');

	field(w, 'S', bytes_str(severity));
	field(w, 'V', bytes_str(severity));
	field(w, 'C', bytes_str(code));
	writer_u8(w, 'M');
	clean(w, message);
	writer_u8(w, 0);
	writer_u8(w, 0);
	pg_frame_end(w, mark);
}

void pg_notice_write(struct writer *w, struct bytes text)
{
	size_t mark = pg_frame_begin(w, 'N');

	field(w, 'S', bytes_str("NOTICE"));
	field(w, 'V', bytes_str("NOTICE"));
	field(w, 'C', bytes_str("00000"));
	writer_u8(w, 'M');
	clean(w, text);
	writer_u8(w, 0);
	writer_u8(w, 0);
	pg_frame_end(w, mark);
}
