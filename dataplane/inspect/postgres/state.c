/* state.c: session settings that change what a statement means (postgres.md 3).
 *
 * client_encoding and standard_conforming_strings are pinned: the lexer and the masks rely on them. A text that changes them to
 * anything else is refused; what slips through (a function) shows in ParameterStatus and ends the session.
 * search_path is followed, with its transaction. Every other setting only counts an epoch, so that an approval or a cached
 * verdict given under other settings does not hold.
 */
#include "dataplane/inspect/postgres/lex.h"
#include "dataplane/inspect/postgres/session.h"

static bool fold_is(struct bytes a, const char *word)
{
	if (a.len != strlen(word))
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (pg_fold(a.base[i]) != (uint8_t)word[i])
			return false;
	return true;
}

static bool utf8(struct bytes v)
{
	if (v.len >= 2 && v.base[0] == '\'' && v.base[v.len - 1] == '\'')
		v = bytes_of(v.base + 1, v.len - 2);
	return fold_is(v, "utf8") || fold_is(v, "utf-8") || fold_is(v, "unicode");
}

/* Names that a client may set at start-up, besides user, database, application_name and options. */
bool pg_parameter_allowed(struct bytes name, struct bytes value)
{
	static const char *const allowed[] = {
		"datestyle", "intervalstyle", "timezone", "extra_float_digits", "search_path", "geqo", "jit", "bytea_output",
		"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout",
		"default_transaction_isolation", "default_transaction_read_only", "default_transaction_deferrable",
		"plan_cache_mode", "work_mem", "enable_partitionwise_join", "tcp_keepalives_idle", "tcp_user_timeout",
	};

	/* SQL_ASCII means "do not convert", which is what the pinned UTF8 does between UTF8 ends. */
	if (fold_is(name, "client_encoding"))
		return utf8(value) || fold_is(value, "sql_ascii") || !value.len;
	if (fold_is(name, "standard_conforming_strings"))
		return fold_is(value, "on") || fold_is(value, "true") || fold_is(value, "1");
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if (fold_is(name, allowed[i]))
			return true;
	return false;
}

/* One statement of a text, while its tokens go by. */
struct walk {
	unsigned tokens;
	bool reset;
	bool prepare, declare, names; /* begins with PREPARE; DECLARE; with any word about names */
	unsigned depth;          /* of parentheses */
	bool cursor;             /* the word CURSOR went by */
	const uint8_t *inner;    /* where what is prepared or declared begins */
	bool set, quiet; /* begins with SET; with SHOW or RESET */
	bool routine;    /* DO or CREATE: its text runs later */
	bool changes;    /* may change a setting by other means */
	bool pinned;     /* names one of the pinned settings */
	unsigned expect; /* in SET: 1 the name, 2 = or TO, 3 the value */
	bool encoding;   /* … of client_encoding, not standard_conforming_strings */
	bool good;       /* … to the value it has */
	const uint8_t *path_from;
};

static bool pinned_name(struct bytes v)
{
	return fold_is(v, "client_encoding") || fold_is(v, "standard_conforming_strings");
}

static bool mentions(struct bytes text)
{
	static const char *const names[] = { "client_encoding", "standard_conforming_strings" };

	for (size_t at = 0; at < text.len; at++)
		for (size_t i = 0; i < 2; i++)
			if (text.len - at >= strlen(names[i]) && fold_is(bytes_of(text.base + at, strlen(names[i])), names[i]))
				return true;
	return false;
}

static void first_word(struct walk *w, const struct pg_token *t, struct pg_effects *e)
{
	bool deallocate = pg_lex_is(t, "deallocate"), close = pg_lex_is(t, "close"), discard = pg_lex_is(t, "discard");

	w->prepare = pg_lex_is(t, "prepare");
	w->declare = pg_lex_is(t, "declare");
	w->set = pg_lex_is(t, "set");
	w->quiet = pg_lex_is(t, "show") || pg_lex_is(t, "reset");
	w->routine = pg_lex_is(t, "do") || pg_lex_is(t, "create");
	w->changes = w->routine || pg_lex_is(t, "alter") || pg_lex_is(t, "update");
	w->names = w->prepare || w->declare || deallocate || close;
	e->one_len = 0; /* more than one statement: any name */
	e->drops[PG_STATEMENT] |= w->prepare || deallocate || discard;
	e->drops[PG_PORTAL] |= w->declare || close || discard;
	e->settings |= w->set || w->changes || pg_lex_is(t, "reset") || discard;
	e->routine |= pg_lex_is(t, "do") || pg_lex_is(t, "call") || pg_lex_is(t, "execute");
	e->path |= discard || pg_lex_is(t, "do") || pg_lex_is(t, "call");
	w->reset = pg_lex_is(t, "reset");
	w->expect = w->set ? 1 : 0;
}

static void set_word(struct walk *w, const struct pg_token *t, struct bytes value, struct pg_effects *e)
{
	bool good;

	if (w->expect == 1 && (pg_lex_is(t, "session") || pg_lex_is(t, "local"))) {
		e->local |= pg_lex_is(t, "local");
		return;
	}
	if (w->expect == 1) {
		bool names = pg_lex_is(t, "names");

		w->encoding = names || fold_is(value, "client_encoding");
		w->pinned |= names || pinned_name(value);
		if (fold_is(value, "search_path") || pg_lex_is(t, "schema")) {
			e->path = true;
			w->path_from = t->text.base + t->text.len;
		}
		w->expect = names ? 3 : 2;
		return;
	}
	if (w->expect == 2) {
		w->expect = pg_lex_is(t, "to") || bytes_equal(t->text, bytes_str("=")) ? 3 : 0;
		return;
	}
	if (w->expect == 3) {
		good = w->encoding ? utf8(value) : fold_is(value, "on") || fold_is(value, "true") || fold_is(value, "1");
		w->good = good;
		w->expect = 4;
		return;
	}
	w->good = false; /* more than one value */
}

static void statement_ends(struct walk *w, const uint8_t *end, unsigned statements, struct pg_effects *e)
{
	if (w->pinned && !w->quiet && ((w->set && !w->good) || (!w->set && w->changes)))
		e->pins = true;
	if (w->inner && !statements && e->one_len) {
		e->inner = bytes_of(w->inner, (size_t)(end - w->inner));
		e->makes[w->declare ? PG_PORTAL : PG_STATEMENT] = true;
	} else if (statements && w->tokens) {
		e->makes[0] = e->makes[1] = false;
	}
	if (w->path_from)
		e->path_value = statements ? (struct bytes){ 0 } : bytes_of(w->path_from, (size_t)(end - w->path_from));
	*w = (struct walk){ 0 };
}

/* PREPARE x [(types)] AS …, DECLARE x … CURSOR … FOR …: where the inner statement begins. */
static void inner(struct walk *w, const struct pg_token *t)
{
	if ((!w->prepare && !w->declare) || w->inner || w->tokens < 3)
		return;
	w->depth += bytes_equal(t->text, bytes_str("("));
	w->depth -= w->depth && bytes_equal(t->text, bytes_str(")"));
	w->cursor |= pg_lex_is(t, "cursor");
	if (!w->depth && (w->prepare ? pg_lex_is(t, "as") : w->cursor && pg_lex_is(t, "for")))
		w->inner = t->text.base + t->text.len;
}

/* PREPARE x, DECLARE x, DEALLOCATE x, CLOSE x as the only statement. */
static void one_name(const struct walk *w, const struct pg_token *t, struct bytes value, unsigned statements, struct pg_effects *e)
{
	bool all = pg_lex_is(t, "all") || pg_lex_is(t, "prepare");

	if (!w->names || statements || w->tokens != 2 || all || !value.len || value.len > PG_NAME_BYTES)
		return;
	e->one_len = (uint8_t)value.len;
	memcpy(e->one, value.base, value.len);
}

/* Behind the first two tokens only names from "set_config" on mean anything, and no token's value is longer than its text. */
static bool idle_token(const struct walk *w, const struct pg_token *t)
{
	return w->tokens >= 2 && !w->set && t->text.len < sizeof("set_config") - 1 && t->kind != PG_TOKEN_DOLLAR &&
	       !(w->routine && t->kind == PG_TOKEN_STRING);
}

struct pg_effects pg_effects(struct bytes text)
{
	struct pg_lex l = pg_lex_of(text);
	struct pg_effects e = { 0 };
	struct walk w = { 0 };
	unsigned statements = 0;
	struct pg_token t;

	while (pg_lex_next(&l, &t)) {
		uint8_t buffer[96];
		struct writer value = writer_of(buffer, sizeof(buffer));
		struct bytes v;

		if (t.kind == PG_TOKEN_MARK && bytes_equal(t.text, bytes_str(";"))) {
			statement_ends(&w, t.text.base, statements, &e);
			statements++;
			continue;
		}
		if (idle_token(&w, &t)) {
			w.tokens++;
			inner(&w, &t);
			continue;
		}
		v = pg_lex_value(&t, &value) ? writer_done(&value) : (struct bytes){ 0 };
		if (!w.tokens++) {
			first_word(&w, &t, &e);
			continue;
		}
		one_name(&w, &t, v, statements, &e);
		inner(&w, &t);
		if (w.tokens == 2 && w.prepare && v.len >= 8 && !memcmp(v.base, "__denied", 8))
			e.denied = true;
		e.path |= w.reset && (fold_is(v, "search_path") || pg_lex_is(&t, "all"));
		if (w.set)
			set_word(&w, &t, v, &e);
		else
			w.pinned |= t.kind != PG_TOKEN_OPERATOR && pinned_name(v);
		e.path |= w.changes && fold_is(v, "search_path"); /* UPDATE pg_settings */
		if (fold_is(v, "set_config")) {
			w.changes = e.settings = true;
			e.path = true;
		}
		/* ALTER, DO, CREATE and EXPLAIN-like wrappers: a text inside that names the settings. */
		if (t.kind == PG_TOKEN_DOLLAR || (w.routine && t.kind == PG_TOKEN_STRING))
			w.pinned |= w.routine && mentions(t.inside);
	}
	if (t.kind == PG_TOKEN_END || t.kind == PG_TOKEN_ERROR)
		statement_ends(&w, text.base + text.len, statements, &e);
	return e;
}

static void path_set(struct pg_session *s, struct bytes value)
{
	size_t len = value.len < sizeof(s->path) ? value.len : sizeof(s->path);

	if (len)
		memcpy(s->path, value.base, len);
	s->path_len = (uint16_t)len;
	s->state_len = 0;
}

void pg_state_sets(struct pg_session *s, const struct pg_effects *e)
{
	if (!e->settings)
		return;
	s->epoch++;
	if (!e->path)
		return;
	/* SET LOCAL and SET in one transaction: what is left of them at its end cannot be told from here. */
	s->path_unsure |= s->path_dirty && s->path_local != e->local;
	s->path_dirty = true;
	s->path_local = e->local;
	path_set(s, e->path_value.len ? e->path_value : bytes_str("?"));
}

void pg_state_failed(struct pg_session *s)
{
	s->failed = true;
}

/* After a savepoint's ROLLBACK it cannot be told which of the settings made in the transaction are left. */
void pg_state_completed(struct pg_session *s, bool rollback)
{
	s->path_unsure |= s->path_dirty && s->rolled_back;
	s->rolled_back |= rollback;
}

void pg_state_ready(struct pg_session *s, uint8_t status)
{
	s->status = status;
	if (status != 'I') {
		s->path_unsure |= s->path_dirty && s->rolled_back;
		s->rolled_back = false;
		return;
	}
	if (s->path_dirty) {
		if (s->path_unsure) {
			path_set(s, bytes_str("?"));
		} else if (s->failed || s->path_local || s->rolled_back) {
			path_set(s, bytes_of(s->path_saved, s->path_saved_len));
			s->epoch++;
		}
		memcpy(s->path_saved, s->path, s->path_len);
		s->path_saved_len = s->path_len;
	}
	s->path_dirty = s->path_local = s->path_unsure = s->failed = s->rolled_back = false;
}

/* The one schema of unqualified names: empty when search_path was never set, "?" when it is not one plain name. */
struct bytes pg_search_path(const struct pg_session *s, char into[64])
{
	struct pg_lex l = pg_lex_of(bytes_of(s->path, s->path_len));
	struct writer w = writer_of(into, 64);
	unsigned names = 0;
	struct pg_token t;

	if (!s->path_len)
		return (struct bytes){ 0 };
	while (pg_lex_next(&l, &t)) {
		char name[64];
		struct writer value = writer_of(name, sizeof(name));
		bool good = pg_lex_value(&t, &value);

		if (bytes_equal(t.text, bytes_str("=")) || bytes_equal(t.text, bytes_str(",")) || (!names && pg_lex_is(&t, "to")))
			continue;
		if (!good || t.kind == PG_TOKEN_OPERATOR || t.kind == PG_TOKEN_MARK || pg_lex_is(&t, "default") || names++)
			return bytes_str("?");
		writer_put(&w, writer_done(&value));
	}
	/* A list inside one string is one name to the server, and no schema's. */
	return t.kind == PG_TOKEN_END && w.ok && w.len ? writer_done(&w) : bytes_str("?");
}

static void decimal(struct writer *w, uint32_t value)
{
	char text[10];
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	writer_bytes(w, text + at, sizeof(text) - at);
}

void pg_state_build(struct pg_session *s)
{
	struct writer w = writer_of(s->state, sizeof(s->state));

	if (s->state_len && s->state_epoch == s->epoch && s->state_status == s->status)
		return;
	s->state_epoch = s->epoch;
	s->state_status = s->status;
	writer_str(&w, "database=");
	writer_bytes(&w, s->database, s->database_len);
	writer_str(&w, " role=");
	writer_bytes(&w, s->upstream, s->upstream_len);
	writer_str(&w, " search_path=");
	writer_bytes(&w, s->path, s->path_len);
	writer_str(&w, " epoch=");
	decimal(&w, s->epoch);
	writer_str(&w, " transaction=");
	writer_u8(&w, s->status ? s->status : 'I');
	s->state_len = (uint16_t)w.len;
}

struct bytes pg_state_now(void *session, bool *in_transaction)
{
	struct pg_session *s = session;

	pg_state_build(s);
	*in_transaction = s->status == 'T' || s->status == 'E';
	return bytes_of(s->state, s->state_len);
}
