/* Matched by place: the tree marks where a literal may stand, the lexer says where literals are. A literal that the
 * tree does not know of, or knows elsewhere, is never found at a mark. */
#include "control/sqlparse/generic.h"

#include <string.h>

#include "dataplane/inspect/postgres/lex.h"
#include "platform/base/limits.h"

struct marks {
	uint8_t at[LIMIT_STATEMENT_BYTES + 1];
};

static void mark_constant(struct marks *k, const PgQuery__Node *n)
{
	const ProtobufCMessage *m = tree_of(n);
	const PgQuery__AConst *c = TREE_AS(m, AConst, a__const);

	if (c && c->location >= 0 && (size_t)c->location < sizeof k->at)
		k->at[c->location] = 1;
}

static void mark_operand(struct marks *k, const PgQuery__Node *n)
{
	const ProtobufCMessage *m = tree_of(n);
	const PgQuery__List *l = TREE_AS(m, List, list);

	mark_constant(k, n);
	for (size_t i = 0; l && i < l->n_items; i++)
		mark_constant(k, l->items[i]);
}

static bool is_comparison(const PgQuery__AExpr *e)
{
	static const char *const names[] = { "=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*" };
	const char *name = e->n_name == 1 ? tree_string(e->name[0]) : NULL;

	if (e->kind >= PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN)
		return true;
	for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], name) == 0)
			return e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP || e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_IN ||
			       e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_LIKE || e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_ILIKE;
	return false;
}

static void mark(void *context, const ProtobufCMessage *m)
{
	struct marks *k = context;
	const PgQuery__AExpr *e = TREE_AS(m, AExpr, a__expr);
	const PgQuery__SelectStmt *s = TREE_AS(m, SelectStmt, select_stmt);
	const PgQuery__InsertStmt *insert = TREE_AS(m, InsertStmt, insert_stmt);
	const PgQuery__UpdateStmt *update = TREE_AS(m, UpdateStmt, update_stmt);

	if (e && is_comparison(e) && TREE_IS(tree_of(e->lexpr), column_ref))
		mark_operand(k, e->rexpr);
	if (e && is_comparison(e) && TREE_IS(tree_of(e->rexpr), column_ref))
		mark_operand(k, e->lexpr);
	if (s) {
		mark_constant(k, s->limit_count);
		mark_constant(k, s->limit_offset);
	}
	if (insert) {
		const ProtobufCMessage *source = tree_of(insert->select_stmt);
		const PgQuery__SelectStmt *values = TREE_AS(source, SelectStmt, select_stmt);

		for (size_t i = 0; values && i < values->n_values_lists; i++)
			mark_operand(k, values->values_lists[i]);
	}
	for (size_t i = 0; update && i < update->n_target_list; i++) {
		const ProtobufCMessage *target = tree_of(update->target_list[i]);

		if (TREE_IS(target, res_target) && ((const PgQuery__ResTarget *)target)->n_indirection == 0)
			mark_constant(k, ((const PgQuery__ResTarget *)target)->val);
	}
	tree_children(m, mark, k);
}

static bool replaceable(const struct pg_token *t)
{
	return t->kind == PG_TOKEN_NUMBER || (t->kind == PG_TOKEN_STRING && !t->backslash && !t->national);
}

bool generic_is(struct bytes text, const PgQuery__ParseResult *tree)
{
	static struct marks k;
	struct pg_lex l = pg_lex_of(text);
	struct pg_token t;
	size_t before = SIZE_MAX; /* where a minus stands just before: the server folds it into the number */

	memset(&k, 0, sizeof k);
	for (size_t i = 0; i < tree->n_stmts; i++)
		if (tree_of(tree->stmts[i]->stmt))
			mark(&k, tree_of(tree->stmts[i]->stmt));
	while (pg_lex_next(&l, &t)) {
		size_t at = (size_t)(t.text.base - text.base);
		bool minus = t.kind == PG_TOKEN_OPERATOR && bytes_equal(t.text, bytes_of("-", 1));

		if (replaceable(&t) && !k.at[at] && !(t.kind == PG_TOKEN_NUMBER && before != SIZE_MAX && k.at[before]))
			return false;
		before = minus ? at : SIZE_MAX;
	}
	return t.kind == PG_TOKEN_END;
}
