/* Caps, parse, walk, lineage, encode. The parser never sees a text that is over a cap. */
#include "control/sqlparse/classify.h"

#include <pg_query.h>
#include <stdlib.h>

#include "control/sqlparse/columns.h"
#include "control/sqlparse/filter.h"
#include "control/sqlparse/generic.h"
#include "control/sqlparse/walk.h"
#include "control/sqlparse/writes.h"
#include "dataplane/inspect/postgres/lex.h"

static const char *over_limit(const struct pg_lex_summary *s)
{
	if (s->over_bytes)
		return "longer than LIMIT_STATEMENT_BYTES";
	if (s->over_tokens)
		return "more tokens than LIMIT_TERMS";
	if (s->over_nesting)
		return "nested deeper than LIMIT_NESTING";
	return "the lexer refuses it";
}

/* RFC 3629 3, 4: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(struct bytes text)
{
	struct reader r = reader_of_bytes(text);

	while (r.ok && r.left > 0) {
		uint32_t c = reader_u8(&r);
		unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xf0 && c < 0xf5 ? 3 : 9;
		static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

		if (more > 3)
			return false;
		c &= more == 0 ? 0x7f : 0x3fu >> more;
		for (unsigned i = 0; i < more; i++) {
			uint8_t next = reader_u8(&r);

			if ((next & 0xc0) != 0x80)
				return false;
			c = c << 6 | (next & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return false;
	}
	return r.ok;
}

static const PgQuery__ParseResult *parse(struct parsed **all, const char *text)
{
	PgQueryProtobufParseResult r = pg_query_parse_protobuf(text);
	PgQuery__ParseResult *tree = NULL;
	struct parsed *p;

	if (!r.error)
		tree = pg_query__parse_result__unpack(NULL, r.parse_tree.len, (const uint8_t *)r.parse_tree.data);
	pg_query_free_protobuf_parse_result(r);
	if (!tree)
		return NULL;
	p = calloc(1, sizeof *p);
	if (!p)
		abort();
	*p = (struct parsed){ .next = *all, .tree = tree };
	*all = p;
	return tree;
}

static void parsed_free(struct parsed *all)
{
	while (all) {
		struct parsed *next = all->next;

		pg_query__parse_result__free_unpacked(all->tree, NULL);
		free(all);
		all = next;
	}
}

bool walk_text(struct walk *w, const char *text, bool condition)
{
	enum { CODE_DEPTH_MAX = 16 };
	struct pg_lex_summary summary;
	struct env *env = w->env;
	enum verb verb = w->verb;
	const ProtobufCMessage *counted = w->counted;
	struct copy_shape copy = w->facts->copy;
	const PgQuery__ParseResult *tree = NULL;

	if (w->depth < CODE_DEPTH_MAX && pg_lex_scan(bytes_str(text), (struct hash_key){ 0 }, &summary))
		tree = parse(w->parsed, text);
	if (!tree)
		return false;
	w->env = NULL;
	w->verb = VERB_select;
	w->counted = NULL;
	w->depth++;
	for (size_t i = 0; i < tree->n_stmts; i++) {
		walk_statement(w, tree_of(tree->stmts[i]->stmt));
		predicates_add(w->arena, tree_of(tree->stmts[i]->stmt), condition, w->predicates);
	}
	w->depth--;
	w->env = env;
	w->verb = verb;
	w->counted = counted;
	w->facts->copy = copy; /* the stream of an inner COPY is not the client's */
	return true;
}

/* The query whose rows a statement gives, or puts into something new; NULL when there is none. `*told` is false when
 * rows come that cannot be told from this statement. */
static const ProtobufCMessage *query_of(const ProtobufCMessage *m, bool *told)
{
	const ProtobufCMessage *inner;

	*told = true;
	while (TREE_IS(m, prepare_stmt) || TREE_IS(m, declare_cursor_stmt) || TREE_IS(m, create_table_as_stmt) || TREE_IS(m, view_stmt) ||
	       TREE_IS(m, copy_stmt)) {
		inner = tree_field_message(m, "query");
		m = inner;
	}
	if (TREE_IS(m, execute_stmt) || TREE_IS(m, fetch_stmt) || TREE_IS(m, call_stmt))
		*told = false;
	return m;
}

static struct columns copy_columns(struct arena *a, const PgQuery__CopyStmt *s)
{
	struct columns out = { 0 };

	if (s->n_attlist == 0)
		columns_add(a, &out, (struct column){ .star = true, .taint = taint_one(a, s->relation, "") });
	for (size_t i = 0; i < s->n_attlist; i++) {
		const char *name = tree_string(s->attlist[i]);

		columns_add(a, &out, (struct column){ .name = name, .taint = name ? taint_one(a, s->relation, name) : (struct taint_set){ .all = true } });
	}
	return out;
}

static struct columns targets_of(struct arena *a, const ProtobufCMessage *m, uint32_t flags)
{
	const PgQuery__CopyStmt *copy = TREE_AS(m, CopyStmt, copy_stmt);
	struct columns plan = { .loose = (flags & FLAG_calls_unknown_function) != 0 };
	bool told;

	if (copy && copy->relation)
		return copy_columns(a, copy);
	/* A plan shows constants, and what a function gave that was run for it. */
	if (TREE_IS(m, explain_stmt)) {
		if (!plan.loose)
			columns_add(a, &plan, (struct column){ 0 });
		return plan;
	}
	m = query_of(m, &told);
	return told ? columns_of(a, m, NULL) : (struct columns){ .loose = true };
}

#define TARGET_NAMES_MAX 128

/* By name only: whoever reads it looks in all relations of the statement. */
static enum taint names_of(const struct taint_set *t, struct bytes names[TARGET_NAMES_MAX], unsigned *count)
{
	bool all = t->all;

	*count = 0;
	for (unsigned n = 0; n < t->count && !all; n++) {
		bool another = n == 0 || strcmp(t->names[n].name, t->names[n - 1].name) != 0;

		all = !*t->names[n].name || (another && *count == TARGET_NAMES_MAX);
		if (another && !all)
			names[(*count)++] = bytes_str(t->names[n].name);
	}
	if (all)
		*count = 0;
	return all ? TAINT_ALL : *count ? TAINT_NAMES : TAINT_NONE;
}

static void encode_targets(struct classification_writer *cw, const struct columns *c)
{
	bool in_star = false;

	if (c->loose) {
		classification_add_target(cw, TAINT_ALL, NULL, 0);
		return;
	}
	for (unsigned i = 0; i < c->count; i++) {
		struct bytes names[TARGET_NAMES_MAX];
		unsigned count;
		enum taint taint = names_of(&c->list[i].taint, names, &count);

		if (!c->list[i].star)
			classification_add_target(cw, taint, names, count);
		else if (!in_star) /* neighbours are one stretch of columns */
			classification_add_target(cw, TAINT_STAR, NULL, 0);
		in_star = c->list[i].star;
	}
}

/* The access of the statement that is to the relation as written. */
static unsigned access_of(const struct facts *f, const PgQuery__RangeVar *r)
{
	static struct facts one; /* several kilobytes; one thread */
	unsigned i = 0;

	if (!r)
		return PREDICATE_ANY;
	one.accesses = 0;
	facts_relation(&one, VERB_select, r);
	while (i < f->accesses && !access_same_object(&f->access[i], &one.access[0]))
		i++;
	return i < f->accesses ? i : PREDICATE_ANY;
}

_Static_assert(TAINT_NAMES_MAX <= LIMIT_PREDICATES, "a set of columns can be told");

struct told {
	unsigned access;
	const char *column;
};

static int by_access(const void *a, const void *b)
{
	const struct told *x = a, *y = b;

	return x->access != y->access ? (x->access > y->access) - (x->access < y->access) : strcmp(x->column, y->column);
}

/* In the order of accesses and names, without doubles; a whole row says all of it. */
static void encode_predicates(struct classification_writer *cw, const struct facts *f, const struct taint_set *p)
{
	struct told told[TAINT_NAMES_MAX];
	bool all = p->all;

	for (unsigned i = 0; i < p->count; i++) {
		told[i] = (struct told){ access_of(f, p->names[i].relation), p->names[i].name };
		all |= !*told[i].column && told[i].access == PREDICATE_ANY;
	}
	classification_begin_predicates(cw);
	if (all) {
		classification_add_predicate(cw, PREDICATE_ANY, (struct bytes){ 0 });
		return;
	}
	qsort(told, p->count, sizeof *told, by_access);
	for (unsigned i = 0, kept = 0; i < p->count; i++) {
		if (i > 0 && told[i].access == told[kept].access && (!*told[kept].column || strcmp(told[i].column, told[kept].column) == 0))
			continue;
		kept = i;
		classification_add_predicate(cw, told[i].access, bytes_str(told[i].column));
	}
}

/* What nothing flows into is left out. */
static void encode_write(struct classification_writer *cw, unsigned access, const struct columns *columns)
{
	struct bytes names[TARGET_NAMES_MAX];
	unsigned count;

	if (columns->loose)
		classification_add_write(cw, access, 0, (struct bytes){ 0 }, TAINT_ALL, NULL, 0);
	for (unsigned i = 0; i < columns->count && !columns->loose; i++) {
		const struct column *c = &columns->list[i];
		enum taint taint = names_of(&c->taint, names, &count);

		if (taint != TAINT_NONE)
			classification_add_write(cw, access, c->name ? 0 : i + 1, c->name ? bytes_str(c->name) : (struct bytes){ 0 }, taint, names, count);
	}
}

static void encode_writes(struct classification_writer *cw, const struct facts *f, const struct writes *w)
{
	bool told = w->told;

	for (const struct write *one = w->first; one; one = one->next)
		told &= access_of(f, one->relation) != PREDICATE_ANY;
	if (!told)
		return;
	classification_begin_writes(cw);
	for (const struct write *one = w->first; one; one = one->next)
		encode_write(cw, access_of(f, one->relation), &one->columns);
}

static bool gives_all_rows(struct arena *a, const ProtobufCMessage *m)
{
	const PgQuery__InsertStmt *insert;
	bool told;

	while (TREE_IS(m, explain_stmt))
		m = tree_of(((const PgQuery__ExplainStmt *)m)->query);
	if (TREE_IS(m, copy_stmt) && ((const PgQuery__CopyStmt *)m)->relation)
		return !((const PgQuery__CopyStmt *)m)->is_from;
	m = query_of(m, &told);
	insert = TREE_AS(m, InsertStmt, insert_stmt);
	if (insert)
		return filter_is_unbounded(tree_of(insert->select_stmt), env_with(a, NULL, env_clause(m)), a);
	return TREE_IS(m, select_stmt) && filter_is_unbounded(m, NULL, a);
}

/* NULL, or why the text is unknown. */
static const char *encode_statement(struct classification_writer *cw, struct arena *a, struct parsed **parsed, const ProtobufCMessage *m,
				    bool several)
{
	struct facts facts = { .flags = several ? FLAG_multi_statement : 0 };
	struct taint_set predicates = { 0 };
	struct walk w = { .arena = a, .facts = &facts, .parsed = parsed, .predicates = &predicates, .verb = VERB_select };
	struct columns targets;
	struct writes writes;

	w.counted = TREE_IS(m, prepare_stmt) ? tree_field_message(m, "query") : m;
	walk_statement(&w, m);
	predicates_add(a, m, false, &predicates);
	if (facts.accesses == 0) /* SELECT 1 */
		facts_bare(&facts, TREE_IS(m, select_stmt) ? VERB_select : VERB_unknown);
	if (gives_all_rows(a, m))
		facts.flags |= FLAG_unbounded;
	if (w.why || facts.over)
		return w.why ? w.why : "more objects than LIMIT_OBJECTS";
	targets = targets_of(a, m, facts.flags);
	writes = writes_of(a, m);
	classification_begin_statement(cw, facts.flags);
	for (unsigned i = 0; i < facts.accesses; i++)
		classification_add_access(cw, &facts.access[i]);
	classification_begin_targets(cw);
	encode_targets(cw, &targets);
	encode_predicates(cw, &facts, &predicates);
	encode_writes(cw, &facts, &writes);
	classification_end_statement(cw, &facts.copy);
	return NULL;
}

static void encode_nothing(struct classification_writer *cw)
{
	struct access nothing = { .verb = VERB_select, .kind = OBJECT_NONE };

	classification_begin_statement(cw, 0);
	classification_add_access(cw, &nothing);
	classification_begin_targets(cw);
	classification_end_statement(cw, NULL);
}

/* `literals`: how many the generic key leaves out. */
static const char *classify(struct arena *a, struct parsed **parsed, struct bytes text, uint32_t literals, const char *string, void *into,
			    size_t cap, struct bytes *out)
{
	static uint8_t canonical[2 * LIMIT_STATEMENT_BYTES], normalised[2 * LIMIT_STATEMENT_BYTES];
	struct writer c = writer_of(canonical, sizeof canonical), n = writer_of(normalised, sizeof normalised);
	const PgQuery__ParseResult *tree = parse(parsed, string);
	struct classification_writer cw;
	const char *why = NULL;
	bool generic;

	if (!tree)
		return "the parser refuses it";
	if (!pg_lex_canonical(text, &c) || !pg_lex_normalised(text, &n))
		return "no canonical form";
	generic = generic_is(text, tree);
	cw = classification_writer_of(into, cap, generic);
	if (tree->n_stmts == 0) /* nothing but comments and semicolons: the server answers EmptyQueryResponse */
		encode_nothing(&cw);
	for (size_t i = 0; i < tree->n_stmts && !why; i++)
		why = encode_statement(&cw, a, parsed, tree_of(tree->stmts[i]->stmt), tree->n_stmts > 1);
	if (!why && cw.w.len > LIMIT_CLASSIFICATION_BYTES)
		return "does more than LIMIT_CLASSIFICATION_BYTES can tell";
	/* A text that is found under the generic key later has other literals; nobody may be shown these. */
	*out = classification_finish(&cw, generic && literals > 0 ? (struct bytes){ 0 } : writer_done(&c), writer_done(&n));
	return why ? why : out->len == 0 ? "the answer does not fit" : NULL;
}

struct sqlparse_answer sqlparse_classify(struct bytes text, enum sqlparse_dialect dialect, void *into, size_t cap)
{
	struct arena arena = { 0 };
	struct parsed *parsed = NULL;
	struct pg_lex_summary summary;
	struct sqlparse_answer answer = { 0 };
	char *string;

	if (dialect != SQLPARSE_POSTGRES)
		answer.why = "a dialect that is not known";
	else if (!pg_lex_scan(text, (struct hash_key){ 0 }, &summary))
		answer.why = over_limit(&summary);
	else if (!is_utf8(text))
		answer.why = "not UTF-8";
	if (answer.why)
		return answer;
	string = arena_alloc(&arena, text.len + 1, 1);
	if (text.len)
		memcpy(string, text.base, text.len);
	answer.why = classify(&arena, &parsed, text, summary.literals, string, into, cap, &answer.classification);
	answer.known = answer.why == NULL;
	if (!answer.known)
		answer.classification = (struct bytes){ 0 };
	parsed_free(parsed);
	arena_free(&arena);
	return answer;
}
