/* errors.c: errors, notices, notifications and parameter reports, as the client may see them (postgres.md 8, common.md C8).
 *
 * Their texts carry values (keys, failing rows, input that would not parse, plans). When a tagged object is in scope, or cannot be ruled
 * out, the text becomes the canonical one of its SQLSTATE and every field that can hold a value is dropped: fail closed, not
 * "remove what is known to leak". Else each field is looked at as a value, and so is what nobody asked for (notifications, parameter
 * reports): with every class of the policy, never only those of the rule that judged the command under way. What triggers, functions and
 * other sessions say is explained by no statement, and no lineage leads to it (C8).
 */
#include "dataplane/inspect/postgres/session.h"

#define FIELD_BYTES 8192

static const char *canonical(const char code[6])
{
	static const struct { const char *code, *text; } known[] = {
#define SQLSTATE(code, text) { code, text },
#include "dataplane/inspect/postgres/sqlstates.def"
#undef SQLSTATE
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!memcmp(known[i].code, code, 6))
			return known[i].text;
	return "error";
}

/* A command to choose masks by: every class of the policy. */
static struct pg_command anything(const struct pg_session *s)
{
	return (struct pg_command){ .mask = s->env->snapshot->every, .digest = -1, .text_slot = -1 };
}

/* `text` with what is found in it masked; where anything is looked for, at most FIELD_BYTES of it, and no more is passed. */
static void put_value(struct pg_session *s, struct pg_command *c, struct bytes text, struct writer *w)
{
	struct pg_masker m = { .s = s, .command = c, .want = { .classes = s->env->snapshot->every_detectors } };

	if (text.len > FIELD_BYTES && class_bits_any(&m.want.classes))
		text.len = FIELD_BYTES;
	/* Words before a number speak for it; names are not known here, so none speaks against. */
	if (!pg_text(&m, text, w))
		writer_put(w, text);
}

static bool withheld(const struct pg_session *s, const struct pg_command *c, bool parsing)
{
	struct class_bits any = c ? pg_command_any(c) : (struct class_bits){ 0 };

	if (!class_bits_any(&s->env->snapshot->every))
		return false;
	/* Before anything ran, a text can only hold what the client sent. */
	if (parsing)
		return false;
	if (s->tagged_transaction)
		return true;
	return c && (c->outdated || c->unknown || c->blind || class_bits_any(&any) || (c->traits.calls && class_bits_any(&c->mask)));
}

/* Fields that cannot hold a value: severity, code, positions, place in the server's source. */
static bool harmless(uint8_t field)
{
	return field && strchr("SVCPpFLR", field);
}

void pg_fields_write(struct pg_session *s, const struct pg_command *command, char type, bool parsing, struct bytes body, struct writer *w,
		     char code[6])
{
	struct reader r = reader_of_bytes(body);
	struct pg_command own = anything(s);
	bool hide = withheld(s, command, parsing);
	size_t mark = 0;

	memcpy(code, "XX000", 6);
	for (struct reader look = r; look.ok && look.left > 1;) {
		uint8_t field = reader_u8(&look);
		struct bytes v = reader_cstr(&look);

		if (field == 'C' && v.len == 5)
			memcpy(code, v.base, 5);
	}
	if (!w)
		return;
	mark = pg_frame_begin(w, type);
	while (r.ok && r.left > 1) {
		uint8_t field = reader_u8(&r);
		struct bytes v = reader_cstr(&r);

		if (!r.ok)
			break;
		if (hide && !strchr("SVCMP", field))
			continue;
		writer_u8(w, field);
		if (hide && field == 'M')
			writer_str(w, type == 'N' ? "notice withheld: it may hold masked data" : canonical(code));
		else if (harmless(field))
			writer_put(w, v);
		else
			put_value(s, &own, v, w);
		writer_u8(w, 0);
	}
	writer_u8(w, 0);
	pg_frame_end(w, mark);
}

/* NotificationResponse: int32 pid, channel, payload. */
void pg_notification_write(struct pg_session *s, struct bytes body, struct writer *w)
{
	struct pg_command own = anything(s);
	struct reader r = reader_of_bytes(body);
	uint32_t process = reader_be32(&r);
	struct bytes channel = reader_cstr(&r), payload = reader_cstr(&r);
	size_t mark;

	if (!r.ok)
		return;
	mark = pg_frame_begin(w, 'A');
	writer_be32(w, process);
	put_value(s, &own, channel, w);
	writer_u8(w, 0);
	put_value(s, &own, payload, w);
	writer_u8(w, 0);
	pg_frame_end(w, mark);
}

static bool is(struct bytes a, const char *text)
{
	return bytes_equal(a, bytes_str(text));
}

/* False: a pinned setting has another value now. */
bool pg_parameter_status_write(struct pg_session *s, struct bytes body, struct writer *w)
{
	struct pg_command own = anything(s);
	struct reader r = reader_of_bytes(body);
	struct bytes name = reader_cstr(&r), value = reader_cstr(&r);
	size_t mark;

	if (!r.ok)
		return false;
	if (is(name, "client_encoding") && !is(value, "UTF8"))
		return false;
	if (is(name, "standard_conforming_strings") && !is(value, "on"))
		return false;
	if (is(name, "DateStyle"))
		s->dates_iso = value.len >= 3 && !memcmp(value.base, "ISO", 3);
	mark = pg_frame_begin(w, 'S');
	writer_put(w, name);
	writer_u8(w, 0);
	put_value(s, &own, value, w);
	writer_u8(w, 0);
	pg_frame_end(w, mark);
	return true;
}
