/* startup.c: the first, untagged requests of a connection (PostgreSQL 15 protocol, "Start-up", "Canceling Requests").
 *
 * Every name/value pair of a StartupMessage is a command: what is not on the list is refused. A token is asked for only
 * inside TLS, or where the service's policy says that there is none.
 */
#include "dataplane/inspect/postgres/session.h"

#define CODE_SSL 80877103u
#define CODE_GSS 80877104u
#define CODE_CANCEL 80877102u
#define STARTUP_EXTENSIONS 16

static enum pg_step fatal(struct pg_session *s, struct pg_io *io, const char *code, const char *text, enum close_cause cause)
{
	pg_error_write(to_client(io), "FATAL", code, bytes_str(text));
	io->cause = cause;
	return STEP_CLOSE;
}

static enum policy_tls tls_mode(const struct pg_session *s)
{
	return policy_service(s->env->snapshot->image, s->env->service).tls;
}

static enum pg_step want_tls(struct pg_session *s, struct pg_io *io)
{
	if (s->tls[SIDE_CLIENT] || s->asked_tls)
		return fatal(s, io, "08P01", "TLS was asked for twice", CLOSE_PROTOCOL);
	s->asked_tls = true;
	if (tls_mode(s) == POLICY_TLS_OFF) {
		writer_u8(to_client(io), 'N');
		return STEP_DONE;
	}
	writer_u8(to_client(io), 'S');
	s->tls[SIDE_CLIENT] = true;
	s->host->start_tls(s->host_context, SIDE_CLIENT, false);
	return STEP_DONE;
}

/* A key of four bytes, or with protocol 3.2 of up to 256. */
static enum pg_step cancel(struct pg_session *s, struct reader *r, struct pg_io *io)
{
	uint32_t process = reader_be32(r);
	struct bytes key = reader_rest(r);
	struct writer *w = to_server(io);

	if (r->ok && key.len >= PG_KEY_BYTES_MIN && key.len <= INSPECT_KEY_BYTES) {
		struct inspect_cancel c = s->host->cancel(s->host_context, process, key);

		if (c.later)
			return STEP_WAIT;
		if (c.forward) {
			writer_be32(w, (uint32_t)(12 + c.key.len));
			writer_be32(w, CODE_CANCEL);
			writer_be32(w, c.process);
			writer_put(w, c.key);
		}
	}
	io->cause = CLOSE_CLIENT;
	return STEP_CLOSE;
}

static bool parameter_add(struct pg_session *s, struct bytes name, struct bytes value)
{
	struct writer w = writer_of(s->parameters + s->parameters_len, sizeof(s->parameters) - s->parameters_len);

	writer_put(&w, name);
	writer_u8(&w, 0);
	writer_put(&w, value);
	writer_u8(&w, 0);
	s->parameters_len += w.ok ? (uint16_t)w.len : 0;
	return w.ok;
}

static bool take(char *into, uint8_t *len, struct bytes value)
{
	if (value.len >= 64)
		return false; /* NAMEDATALEN */
	memcpy(into, value.base, value.len);
	*len = (uint8_t)value.len;
	return true;
}

static bool is(struct bytes a, const char *text)
{
	return bytes_equal(a, bytes_str(text));
}

static bool setting(struct pg_session *s, struct bytes name, struct bytes value)
{
	if (!pg_parameter_allowed(name, value))
		return false;
	if (is(name, "client_encoding") || is(name, "standard_conforming_strings"))
		return true; /* pinned; sent for every session */
	if (is(name, "search_path")) {
		if (value.len > sizeof(s->path))
			return false;
		memcpy(s->path, value.base, value.len);
		s->path_len = (uint16_t)value.len;
		memcpy(s->path_saved, value.base, value.len); /* what a rolled-back SET goes back to */
		s->path_saved_len = s->path_len;
	}
	return parameter_add(s, name, value);
}

/* "-c name=value", "-cname=value" and "--name=value", with backslash escapes (postgres.c pg_split_opts). */
static bool options(struct pg_session *s, struct bytes text)
{
	uint8_t word[512];
	size_t at = 0;
	bool want_value = false;

	while (at < text.len) {
		struct writer w = writer_of(word, sizeof(word));
		struct bytes v;
		const uint8_t *equals;

		while (at < text.len && memchr(" \t\n\r\f\v", text.base[at], 6))
			at++;
		if (at == text.len)
			break;
		for (; at < text.len && !memchr(" \t\n\r\f\v", text.base[at], 6); at++) {
			if (text.base[at] == '\\' && at + 1 < text.len)
				at++;
			writer_u8(&w, text.base[at]);
		}
		v = writer_done(&w);
		if (!want_value && is(v, "-c")) {
			want_value = true;
			continue;
		}
		if (!want_value && (v.len < 3 || v.base[0] != '-' || (v.base[1] != 'c' && v.base[1] != '-')))
			return false;
		if (!want_value)
			v = bytes_of(v.base + 2, v.len - 2);
		want_value = false;
		equals = v.len ? memchr(v.base, '=', v.len) : NULL;
		if (!equals || !setting(s, bytes_of(v.base, (size_t)(equals - v.base)),
					bytes_of(equals + 1, v.len - (size_t)(equals - v.base) - 1)))
			return false;
	}
	return !want_value;
}

static bool pair(struct pg_session *s, struct bytes name, struct bytes value)
{
	if (is(name, "user"))
		return take(s->user, &s->user_len, value);
	if (is(name, "database"))
		return take(s->database, &s->database_len, value);
	if (is(name, "application_name")) {
		size_t len = value.len < LIMIT_NAME_BYTES - 1 ? value.len : LIMIT_NAME_BYTES - 1;

		memcpy(s->application, value.base, len);
		s->application_len = (uint8_t)len;
		return true;
	}
	if (is(name, "options"))
		return options(s, value);
	if (is(name, "replication"))
		return is(value, "false") || is(value, "off") || is(value, "no") || is(value, "0");
	return setting(s, name, value);
}

static void refuse_parameter(struct pg_io *io, struct bytes name)
{
	char text[160];
	struct writer w = writer_of(text, sizeof(text));

	writer_str(&w, "startup parameter \"");
	writer_put(&w, bytes_of(name.base, name.len < 64 ? name.len : 64));
	writer_str(&w, "\" with this value is not allowed here");
	pg_error_write(to_client(io), "FATAL", "42501", writer_done(&w));
	io->cause = CLOSE_REFUSED_LOGIN;
}

/* The answer that a server gives to a minor version that it does not speak, or to protocol options (ProtocolNegotiation). */
static void negotiate(unsigned minor, const struct bytes *extension, unsigned extensions, struct writer *w)
{
	size_t mark = pg_frame_begin(w, 'v');

	writer_be32(w, 3u << 16 | minor);
	writer_be32(w, extensions);
	for (unsigned i = 0; i < extensions; i++) {
		writer_put(w, extension[i]);
		writer_u8(w, 0);
	}
	pg_frame_end(w, mark);
}

static enum pg_step startup(struct pg_session *s, uint32_t code, struct reader *r, struct pg_io *io)
{
	struct bytes extension[STARTUP_EXTENSIONS];
	unsigned extensions = 0;

	if (tls_mode(s) != POLICY_TLS_OFF && !s->tls[SIDE_CLIENT])
		return fatal(s, io, "28000", "this server accepts TLS connections only", CLOSE_REFUSED_LOGIN);
	while (r->ok && r->left > 1) {
		struct bytes name = reader_cstr(r), value = reader_cstr(r);

		if (!r->ok || !name.len)
			break;
		if (name.len > 5 && !memcmp(name.base, "_pq_.", 5)) {
			if (extensions == STARTUP_EXTENSIONS)
				return fatal(s, io, "08P01", "too many protocol options", CLOSE_PROTOCOL);
			extension[extensions++] = name;
		} else if (!pair(s, name, value)) {
			refuse_parameter(io, name);
			return STEP_CLOSE;
		}
	}
	if (reader_u8(r) != 0 || !r->ok || r->left)
		return fatal(s, io, "08P01", "invalid startup packet layout: expected terminator as last byte", CLOSE_PROTOCOL);
	if (!s->user_len)
		return fatal(s, io, "28000", "no PostgreSQL user name specified in startup packet", CLOSE_REFUSED_LOGIN);
	if (!s->database_len)
		take(s->database, &s->database_len, bytes_of(s->user, s->user_len));
	s->minor = (code & 0xffff) >= PG_MINOR ? PG_MINOR : 0;
	if ((code & 0xffff) != s->minor || extensions)
		negotiate(s->minor, extension, extensions, to_client(io));
	/* AuthenticationCleartextPassword: the token is the password. */
	pg_frame_put(to_client(io), 'R', bytes_of("\0\0\0\3", 4));
	s->phase = PHASE_PASSWORD;
	return STEP_DONE;
}

enum pg_step pg_startup(struct pg_session *s, struct bytes request, struct pg_io *io)
{
	struct reader r = reader_of_bytes(request);
	uint32_t code;

	reader_skip(&r, 4);
	code = reader_be32(&r);
	if (code == CODE_SSL && !r.left)
		return want_tls(s, io);
	if (code == CODE_GSS && !r.left) {
		if (s->asked_gss)
			return fatal(s, io, "08P01", "GSS encryption was asked for twice", CLOSE_PROTOCOL);
		s->asked_gss = true;
		writer_u8(to_client(io), 'N');
		return STEP_DONE;
	}
	if (code == CODE_CANCEL)
		return cancel(s, &r, io);
	if (r.ok && code >> 16 == 3)
		return startup(s, code, &r, io);
	return fatal(s, io, "0A000", "unsupported frontend protocol: server supports 3.0 to 3.2", CLOSE_PROTOCOL);
}
