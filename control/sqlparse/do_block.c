/* Code inside code: DO blocks, and texts given to EXECUTE. The server's own PL/pgSQL parser (through libpg_query) says
 * which statements and expressions a body has; each is walked as if it were sent. What is not constant, not PL/pgSQL
 * or not understood is dynamic.
 *
 * The trap: libpg_query's account of a body must be complete. It is a JSON text made by hand-written code, so every
 * kind of node is checked against a list, and every EXECUTE of the body against the ones accounted for. */
#include <jansson.h>
#include <pg_query.h>

#include "control/sqlparse/walk.h"
#include "dataplane/inspect/postgres/lex.h"

#define DEPTH_MAX 8

void walk_dynamic(struct walk *w)
{
	w->facts->flags |= FLAG_dynamic;
	facts_bare(w->facts, VERB_dynamic);
}

struct body {
	struct walk *w;
	unsigned executes; /* accounted for */
	bool lost;         /* something was not understood */
};

static char *copy_text(struct walk *w, const char *prefix, const char *text, size_t len)
{
	size_t before = strlen(prefix);
	char *out = arena_alloc(w->arena, before + len + 1, 1);

	memcpy(out, prefix, before);
	memcpy(out + before, text, len);
	return out;
}

/* An expression, as PL/pgSQL runs it: behind SELECT. `condition`: what comes out steers the code. */
static void walk_expression(struct body *b, const char *text, bool condition)
{
	if (!walk_text(b->w, copy_text(b->w, "SELECT ", text, strlen(text)), condition))
		b->lost = true;
}

/* `target := expression` or `target = expression`; the target may have subscripts. */
static void walk_assignment(struct body *b, const char *text)
{
	struct pg_lex l = pg_lex_of(bytes_str(text));
	struct pg_token t;
	unsigned depth = 0;

	while (pg_lex_next(&l, &t)) {
		uint8_t c = t.text.base[0];

		if (t.kind == PG_TOKEN_MARK && (c == '[' || c == '('))
			depth++;
		else if (t.kind == PG_TOKEN_MARK && (c == ']' || c == ')') && depth > 0)
			depth--;
		else if (depth == 0 && t.kind == PG_TOKEN_OPERATOR &&
			 (bytes_equal(t.text, bytes_of(":=", 2)) || bytes_equal(t.text, bytes_of("=", 1)))) {
			char *target = copy_text(b->w, "", text, (size_t)(t.text.base - (const uint8_t *)text));

			walk_expression(b, target, false);
			walk_expression(b, text + l.at, false);
			return;
		}
	}
	b->lost = true;
}

/* The text of EXECUTE: a constant is walked, anything else is dynamic. */
static void walk_execute(struct body *b, const char *text)
{
	struct pg_lex l = pg_lex_of(bytes_str(text));
	struct pg_token t, end;
	struct writer w;
	size_t cap = strlen(text) + 1;

	b->executes++;
	if (!pg_lex_next(&l, &t) || t.kind < PG_TOKEN_STRING || t.kind > PG_TOKEN_DOLLAR || pg_lex_next(&l, &end) ||
	    end.kind != PG_TOKEN_END) {
		walk_expression(b, text, true);
		walk_dynamic(b->w);
		return;
	}
	w = writer_of(arena_alloc(b->w->arena, cap, 1), cap);
	if (!pg_lex_value(&t, &w) || memchr(w.base, 0, w.len)) {
		b->lost = true;
		return;
	}
	writer_u8(&w, 0);
	if (!w.ok || !walk_text(b->w, (const char *)w.base, false))
		walk_dynamic(b->w);
}

enum meaning { MEANS_NOTHING, MEANS_STATEMENT, MEANS_EXPRESSION, MEANS_ASSIGNMENT, MEANS_EXECUTE, MEANS_TRANSACTION };

/* What an expression is for, by the node that holds it and its key there. */
static const struct {
	const char *node, *key;
	enum meaning meaning;
} meanings[] = {
	{ "PLpgSQL_stmt_execsql", "sqlstmt", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_perform", "expr", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_call", "expr", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_set", "expr", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_fors", "query", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_return_query", "query", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_open", "query", MEANS_STATEMENT },
	{ "PLpgSQL_var", "cursor_explicit_expr", MEANS_STATEMENT },
	{ "PLpgSQL_stmt_assign", "expr", MEANS_ASSIGNMENT },
	{ "PLpgSQL_stmt_dynexecute", "query", MEANS_EXECUTE },
	{ "PLpgSQL_stmt_dynfors", "query", MEANS_EXECUTE },
	{ "PLpgSQL_stmt_open", "dynquery", MEANS_EXECUTE },
	{ "PLpgSQL_stmt_return_query", "dynquery", MEANS_EXECUTE },
};

static const char *const nodes[] = {
	"PLpgSQL_arrayelem", "PLpgSQL_case_when", "PLpgSQL_condition", "PLpgSQL_diag_item", "PLpgSQL_exception",
	"PLpgSQL_exception_block", "PLpgSQL_expr", "PLpgSQL_function", "PLpgSQL_if_elsif", "PLpgSQL_raise_option", "PLpgSQL_rec",
	"PLpgSQL_recfield", "PLpgSQL_row", "PLpgSQL_stmt_assert", "PLpgSQL_stmt_assign", "PLpgSQL_stmt_block", "PLpgSQL_stmt_call",
	"PLpgSQL_stmt_case", "PLpgSQL_stmt_close", "PLpgSQL_stmt_commit", "PLpgSQL_stmt_dynexecute", "PLpgSQL_stmt_dynfors",
	"PLpgSQL_stmt_execsql", "PLpgSQL_stmt_exit", "PLpgSQL_stmt_fetch", "PLpgSQL_stmt_forc", "PLpgSQL_stmt_foreach_a",
	"PLpgSQL_stmt_fori", "PLpgSQL_stmt_fors", "PLpgSQL_stmt_getdiag", "PLpgSQL_stmt_if", "PLpgSQL_stmt_loop", "PLpgSQL_stmt_open",
	"PLpgSQL_stmt_perform", "PLpgSQL_stmt_raise", "PLpgSQL_stmt_return", "PLpgSQL_stmt_return_next", "PLpgSQL_stmt_return_query",
	"PLpgSQL_stmt_rollback", "PLpgSQL_stmt_set", "PLpgSQL_stmt_while", "PLpgSQL_type", "PLpgSQL_var",
};

static bool is_known_node(const char *name)
{
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		if (strcmp(nodes[i], name) == 0)
			return true;
	return false;
}

static enum meaning meaning_of(const char *node, const char *key)
{
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (strcmp(meanings[i].node, node) == 0 && strcmp(meanings[i].key, key) == 0)
			return meanings[i].meaning;
	return MEANS_EXPRESSION;
}

static void walk_query(struct body *b, const json_t *expr, const char *node, const char *key)
{
	const char *text = json_string_value(json_object_get(expr, "query"));

	if (!text) {
		b->lost = true;
		return;
	}
	switch (meaning_of(node, key)) {
	case MEANS_STATEMENT:
		if (!walk_text(b->w, copy_text(b->w, "", text, strlen(text)), false))
			b->lost = true;
		break;
	case MEANS_ASSIGNMENT: walk_assignment(b, text); break;
	case MEANS_EXECUTE: walk_execute(b, text); break;
	default: walk_expression(b, text, true); break;
	}
}

/* `node` and `key` say where `value` was found. */
static void walk_json(struct body *b, json_t *value, const char *node, const char *key)
{
	const char *name;
	json_t *child;
	size_t i;

	json_array_foreach(value, i, child)
		walk_json(b, child, node, key);
	json_object_foreach(value, name, child) {
		bool is_node = strncmp(name, "PLpgSQL_", 8) == 0;

		if (is_node && !is_known_node(name))
			b->lost = true;
		if (strcmp(name, "PLpgSQL_stmt_commit") == 0 || strcmp(name, "PLpgSQL_stmt_rollback") == 0)
			facts_bare(b->w->facts, VERB_transaction);
		if (strcmp(name, "PLpgSQL_expr") == 0)
			walk_query(b, child, node, key);
		else
			walk_json(b, child, is_node ? name : node, is_node ? "" : name);
	}
}

/* The words EXECUTE of the body; each must have been accounted for (privileges named so cost a "dynamic", no more). */
static unsigned executes_in(const char *code)
{
	struct pg_lex l = pg_lex_of(bytes_str(code));
	struct pg_token t;
	unsigned count = 0;

	while (pg_lex_next(&l, &t))
		count += pg_lex_is(&t, "execute");
	return count;
}

static void walk_body(struct walk *w, const char *code)
{
	struct body b = { .w = w };
	char *statement = copy_text(w, "", "", 0);
	PgQueryPlpgsqlParseResult r;
	json_t *root;
	size_t len = strlen(code), at = 0;

	/* As a DO of our own making, so that no other clause of the statement matters. Quotes are doubled. */
	statement = arena_alloc(w->arena, 2 * len + 16, 1);
	memcpy(statement, "DO '", 4);
	at = 4;
	for (size_t i = 0; i < len; i++) {
		if (code[i] == '\'')
			statement[at++] = '\'';
		statement[at++] = code[i];
	}
	statement[at] = '\'';
	r = pg_query_parse_plpgsql(statement);
	root = r.error ? NULL : json_loads(r.plpgsql_funcs, 0, NULL);
	if (root)
		walk_json(&b, root, "", "");
	if (!root || b.lost || executes_in(code) > b.executes)
		walk_dynamic(w);
	json_decref(root);
	pg_query_free_plpgsql_parse_result(r);
}

void walk_do(struct walk *w, const ProtobufCMessage *m)
{
	const PgQuery__DoStmt *s = (const PgQuery__DoStmt *)m;
	const char *code = NULL, *language = "plpgsql";
	struct pg_lex_summary summary;

	for (size_t i = 0; i < s->n_args; i++) {
		const ProtobufCMessage *node = tree_of(s->args[i]);
		const PgQuery__DefElem *d = TREE_AS(node, DefElem, def_elem);
		const char *value = d ? tree_string(d->arg) : NULL;

		if (value && strcmp(d->defname, "as") == 0)
			code = value;
		else if (value && strcmp(d->defname, "language") == 0)
			language = value;
	}
	if (!code || strcmp(language, "plpgsql") != 0 || w->depth >= DEPTH_MAX) {
		w->facts->flags |= FLAG_uncounted_write;
		walk_dynamic(w);
		return;
	}
	if (!pg_lex_scan(bytes_str(code), (struct hash_key){ 0 }, &summary)) {
		w->why = "a body of code over a limit";
		return;
	}
	w->depth++;
	walk_body(w, code);
	w->depth--;
	if (w->facts->flags & FLAG_dynamic)
		w->facts->flags |= FLAG_uncounted_write;
}
