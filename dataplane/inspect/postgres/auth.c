/* auth.c: the agent's token in, the real credential out (postgres.md 7).
 *
 * Challenges are never relayed: the agent has proved itself to Sluice with its token; Sluice proves itself to the server with
 * SCRAM-SHA-256 (RFC 7677), whose proof control computes, and checks the server's signature before it believes it.
 */
#include "dataplane/inspect/postgres/session.h"
#include "platform/base/secret.h"

static enum pg_step fatal(struct pg_io *io, const char *code, struct bytes text, enum close_cause cause)
{
	pg_error_write(to_client(io), "FATAL", code, text);
	io->cause = cause;
	return STEP_CLOSE;
}

enum pg_step pg_password(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	struct inspect_login login = { .user = bytes_of(s->user, s->user_len), .database = pg_database(s),
				       .application = bytes_of(s->application, s->application_len) };

	login.token = reader_cstr(&r);
	if (f->type != 'p' || !r.ok || r.left)
		return fatal(io, "08P01", bytes_str("expected a password message"), CLOSE_PROTOCOL);
	if (!login.token.len || login.token.len > LIMIT_TOKEN_BYTES)
		return fatal(io, "28P01", bytes_str("authentication failed: the password has to be a token"), CLOSE_REFUSED_LOGIN);
	s->phase = PHASE_IDENTITY;
	s->host->login(s->host_context, &login);
	return STEP_DONE;
}

/* The client's version: who asks for 3.0 gets what a server of 3.0 does, whatever stands in between. */
static void startup_write(struct pg_session *s, struct writer *w)
{
	size_t mark = writer_mark(w, 4);

	s->server_minor = s->minor;
	writer_be32(w, 3u << 16 | s->minor);
	writer_cstr(w, "user");
	writer_bytes(w, s->upstream, s->upstream_len);
	writer_u8(w, 0);
	writer_cstr(w, "database");
	writer_bytes(w, s->database, s->database_len);
	writer_u8(w, 0);
	if (s->application_len) {
		writer_cstr(w, "application_name");
		writer_bytes(w, s->application, s->application_len);
		writer_u8(w, 0);
	}
	writer_bytes(w, s->parameters, s->parameters_len);
	writer_cstr(w, "client_encoding");
	writer_cstr(w, "UTF8");
	writer_cstr(w, "standard_conforming_strings");
	writer_cstr(w, "on");
	writer_u8(w, 0);
	writer_patch(w, mark, 4, w->len - mark);
}

enum pg_step pg_identity(struct pg_session *s, const struct inspect_answer *a, struct pg_io *io)
{
	enum policy_tls tls = policy_service(s->env->snapshot->image, s->env->service).tls;

	if (s->phase != PHASE_IDENTITY)
		return STEP_DONE;
	if (!a->allowed)
		return fatal(io, "28P01", a->text.len ? a->text : bytes_str("authentication failed"), CLOSE_REFUSED_LOGIN);
	if (!a->text.len || a->text.len >= 64 || memchr(a->text.base, 0, a->text.len))
		return fatal(io, "28000", bytes_str("no login is configured for this service"), CLOSE_REFUSED_LOGIN);
	memcpy(s->upstream, a->text.base, a->text.len);
	s->upstream_len = (uint8_t)a->text.len;
	if (tls == POLICY_TLS_OFF) {
		startup_write(s, to_server(io));
		s->phase = PHASE_LOGIN;
		return STEP_DONE;
	}
	writer_be32(to_server(io), 8);
	writer_be32(to_server(io), 80877103);
	s->phase = PHASE_TLS_ANSWER;
	return STEP_DONE;
}

enum pg_step pg_tls_answer(struct pg_session *s, uint8_t answer, struct pg_io *io)
{
	enum policy_tls tls = policy_service(s->env->snapshot->image, s->env->service).tls;

	if (answer == 'S') {
		s->tls[SIDE_SERVER] = true;
		s->host->start_tls(s->host_context, SIDE_SERVER, false);
	} else if (answer != 'N' || tls == POLICY_TLS_REQUIRED) {
		return fatal(io, "08001", bytes_str("the target does not offer TLS, which this service requires: nothing was sent to it; the operator "
						   "enables TLS there, or changes the service's tls"), CLOSE_TLS);
	}
	startup_write(s, to_server(io));
	s->phase = PHASE_LOGIN;
	return STEP_DONE;
}

/* 144 bits that nobody outside this worker can foresee: its hash key is random and secret (RFC 5802 5.1, "r="). */
static void nonce(const struct pg_session *s, char out[25])
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	struct { uint64_t now, session, part, pad; } seed = { s->env->now_us, (uint64_t)(uintptr_t)s, 0, 0x7363 };
	struct hash128 h = { 0 };

	for (unsigned i = 0; i < 24; i++) {
		if (i % 12 == 0) {
			seed.part = i;
			h = hash128(s->env->hash_key, &seed, sizeof(seed));
		}
		out[i] = alphabet[(i % 12 < 6 ? h.hi >> (i % 6 * 6) : h.lo >> (i % 6 * 6)) & 63];
	}
	out[24] = 0;
}

static bool offers_scram(struct reader *r)
{
	while (r->ok && r->left) {
		struct bytes name = reader_cstr(r);

		if (bytes_equal(name, bytes_str("SCRAM-SHA-256")))
			return true;
	}
	return false;
}

static void sasl_first(struct pg_session *s, struct writer *w)
{
	struct writer bare = writer_of(s->bare, sizeof(s->bare));
	char text[25];
	size_t mark = pg_frame_begin(w, 'p');

	nonce(s, text);
	writer_str(&bare, "n=,r=");
	writer_str(&bare, text);
	s->bare_len = (uint16_t)bare.len;
	writer_cstr(w, "SCRAM-SHA-256");
	writer_be32(w, 3u + s->bare_len);
	writer_str(w, "n,,");
	writer_bytes(w, s->bare, s->bare_len);
	pg_frame_end(w, mark);
	s->sasl = SASL_FIRST_SENT;
}

/* "v=" and the signature that control computed. */
static bool signature_good(const struct pg_session *s, struct bytes final)
{
	return s->signature_len && final.len == s->signature_len + 2u && final.base[0] == 'v' && final.base[1] == '=' &&
	       bytes_equal_secret(bytes_of(final.base + 2, final.len - 2), bytes_of(s->signature, s->signature_len));
}

static enum pg_step request(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	uint32_t kind = reader_be32(&r);

	if (r.ok && kind == 10 && s->sasl == SASL_NONE && offers_scram(&r)) {
		sasl_first(s, to_server(io));
		return STEP_DONE;
	}
	if (r.ok && kind == 11 && s->sasl == SASL_FIRST_SENT) {
		s->phase = PHASE_PROOF;
		s->host->scram(s->host_context, bytes_of(s->bare, s->bare_len), reader_rest(&r));
		return STEP_DONE;
	}
	if (r.ok && kind == 12 && s->sasl == SASL_PROOF_SENT && signature_good(s, reader_rest(&r))) {
		s->sasl = SASL_VERIFIED;
		return STEP_DONE;
	}
	if (r.ok && kind == 0 && s->sasl == SASL_VERIFIED) {
		secret_wipe(s->signature, sizeof(s->signature));
		pg_frame_put(to_client(io), 'R', bytes_of("\0\0\0\0", 4));
		s->phase = PHASE_SETTLE;
		return STEP_DONE;
	}
	return fatal(io, "08001", bytes_str("the target's authentication is not SCRAM-SHA-256, or it failed"), CLOSE_SERVER);
}

/* NegotiateProtocolVersion: an older server. No option was asked for. */
static enum pg_step negotiated(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	uint32_t newest = reader_be32(&r), options = reader_be32(&r);

	if (!r.ok || r.left || options || s->sasl != SASL_NONE || newest >> 16 != 3 || (newest & 0xffff) >= s->server_minor)
		return fatal(io, "08P01", bytes_str("the target negotiates a protocol that was not asked for"), CLOSE_PROTOCOL);
	s->server_minor = 0;
	return STEP_DONE;
}

enum pg_step pg_login_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	char code[6];

	switch (f->type) {
	case 'R':
		return request(s, f, io);
	case 'N':
		return STEP_DONE;
	case 'v':
		return negotiated(s, f, io);
	case 'E':
		/* What the server says of Sluice's own login is not for the agent, except that there is no such database. */
		pg_fields_write(s, NULL, 'E', false, f->body, NULL, code);
		if (!memcmp(code, "3D000", 6) || !memcmp(code, "53300", 6) || !memcmp(code, "57P03", 6))
			return fatal(io, code, bytes_str(code[0] == '3' ? "database does not exist" : "the target is not ready"), CLOSE_SERVER);
		return fatal(io, "08001", bytes_str("the target refused the login of this service"), CLOSE_SERVER);
	default:
		return fatal(io, "08P01", bytes_str("unexpected message of the target during login"), CLOSE_PROTOCOL);
	}
}

enum pg_step pg_proof(struct pg_session *s, const struct inspect_answer *a, struct pg_io *io)
{
	if (s->phase != PHASE_PROOF)
		return STEP_DONE;
	if (!a->allowed || !a->more.len || a->more.len > sizeof(s->signature) || a->text.len > 2048)
		return fatal(io, "28000", a->text.len && !a->allowed ? a->text : bytes_str("the login of this service is not available"),
			     CLOSE_REFUSED_LOGIN);
	memcpy(s->signature, a->more.base, a->more.len);
	s->signature_len = (uint16_t)a->more.len;
	pg_frame_put(to_server(io), 'p', a->text);
	s->sasl = SASL_PROOF_SENT;
	s->phase = PHASE_LOGIN;
	return STEP_DONE;
}

/* The client never sees the server's key, and gets one of its own protocol's length. */
static enum pg_step key_data(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	struct reader r = reader_of_bytes(f->body);
	uint32_t process = reader_be32(&r);
	struct bytes key = reader_rest(&r);
	size_t longest = s->server_minor ? INSPECT_KEY_BYTES : PG_KEY_BYTES_MIN, len = s->minor ? INSPECT_ISSUED_BYTES : PG_KEY_BYTES_MIN, mark;
	uint8_t issued[INSPECT_ISSUED_BYTES];

	if (!r.ok || key.len < PG_KEY_BYTES_MIN || key.len > longest)
		return fatal(io, "08P01", bytes_str("the target's cancel key is not of its protocol's length"), CLOSE_PROTOCOL);
	memcpy(s->key, key.base, key.len);
	process = s->host->cancel_issue(s->host_context, process, bytes_of(s->key, key.len), issued, len);
	mark = pg_frame_begin(to_client(io), 'K');
	writer_be32(to_client(io), process);
	writer_bytes(to_client(io), issued, len);
	pg_frame_end(to_client(io), mark);
	return STEP_DONE;
}

/* From AuthenticationOk to the first ReadyForQuery. */
enum pg_step pg_settle_message(struct pg_session *s, const struct pg_frame *f, struct pg_io *io)
{
	char code[6];

	switch (f->type) {
	case 'S':
		if (!pg_parameter_status_write(s, f->body, to_client(io)))
			return fatal(io, "0A000", bytes_str("the target did not accept client_encoding and standard_conforming_strings"),
				     CLOSE_PROTOCOL);
		return STEP_DONE;
	case 'K':
		return key_data(s, f, io);
	case 'N':
		pg_fields_write(s, NULL, 'N', false, f->body, to_client(io), code);
		return STEP_DONE;
	case 'E':
		pg_fields_write(s, NULL, 'E', false, f->body, to_client(io), code);
		io->cause = CLOSE_SERVER;
		return STEP_CLOSE;
	case 'Z':
		s->phase = PHASE_READY;
		s->status = f->body.len == 1 ? f->body.base[0] : 'I';
		s->catalogue = NULL;
		if (pg_catalogue_wanted(s->env->snapshot, pg_database(s))) {
			s->catalogue = pg_catalogue_of(pg_shared(s), pg_database(s));
			if (!s->catalogue)
				return fatal(io, "53400", bytes_str("too many databases with tagged columns behind this service"), CLOSE_PROTOCOL);
			if (pg_catalogue_due(s->catalogue, s->env->snapshot, s->env->now_us)) {
				pg_catalogue_send(s, io);
				return STEP_DONE;
			}
		}
		s->settled = true;
		writer_put(to_client(io), f->whole);
		return STEP_DONE;
	default:
		return fatal(io, "08P01", bytes_str("unexpected message of the target after login"), CLOSE_PROTOCOL);
	}
}
