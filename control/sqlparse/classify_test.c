#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pg_query.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/sqlparse/classify.h"
#include "control/sqlparse/functions.h"
#include "control/sqlparse/text.h"
#include "control/sqlparse/tree.h"
#include "dataplane/inspect/postgres/lex.h"
#include "platform/contract/classification.h"

/* libpg_query 15-4.0.0 loses an empty string for each body of PL/pgSQL. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:pg_query_raw_parse\n";
}

const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
	return "print_suppressions=0";
}

struct text_case {
	const char *text, *expected;
};

static const struct text_case cases[] = {
#define CASE(text, expected) { text, expected },
#include "control/sqlparse/classify_cases.def"
#undef CASE
};

static const struct text_case predicate_cases[] = {
#define PREDICATES(text, expected) { text, expected },
#include "control/sqlparse/predicates_cases.def"
#undef PREDICATES
};

static const struct text_case writes_cases[] = {
#define WRITES(text, expected) { text, expected },
#include "control/sqlparse/writes_cases.def"
#undef WRITES
};

#define CASES (sizeof cases / sizeof *cases)

static uint8_t encoded[SQLPARSE_ENCODED_BYTES];
static char line[65536];

static const char *classified(const char *text)
{
	struct sqlparse_answer a = sqlparse_classify(bytes_str(text), SQLPARSE_POSTGRES, encoded, sizeof encoded);
	struct writer w = writer_of(line, sizeof line - 1);
	struct classification c;

	if (!a.known) {
		writer_str(&w, "UNKNOWN: ");
		writer_str(&w, a.why);
	} else {
		assert_true(classification_open(a.classification, &c));
		writer_str(&w, c.generic ? "[g] " : "");
		assert_true(classification_text(a.classification, &w));
	}
	line[w.len] = 0;
	return line;
}

static void cases_are_as_expected(void **state)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < CASES; i++) {
		const char *got = classified(cases[i].text);

		if (strcmp(got, cases[i].expected) == 0)
			continue;
		wrong++;
		print_message("%s\n  is       %s\n  expected %s\n", cases[i].text, got, cases[i].expected);
	}
	assert_int_equal(wrong, 0);
}

/* Texts as `text` shows their classifications. */
static void are_as_expected(const struct text_case *rows, size_t count, bool (*text)(struct bytes encoded, struct writer *w))
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct sqlparse_answer a = sqlparse_classify(bytes_str(rows[i].text), SQLPARSE_POSTGRES, encoded, sizeof encoded);
		struct writer w = writer_of(line, sizeof line - 1);

		if (!a.known)
			writer_str(&w, a.why);
		else
			assert_true(text(a.classification, &w));
		line[w.len] = 0;
		if (strcmp(line, rows[i].expected) == 0)
			continue;
		wrong++;
		print_message("%s\n  is       %s\n  expected %s\n", rows[i].text, line, rows[i].expected);
	}
	assert_int_equal(wrong, 0);
}

static void predicates_are_as_expected(void **state)
{
	are_as_expected(predicate_cases, sizeof predicate_cases / sizeof *predicate_cases, classification_predicates_text);
}

static void writes_are_as_expected(void **state)
{
	are_as_expected(writes_cases, sizeof writes_cases / sizeof *writes_cases, classification_writes_text);
}

/* What of a text decides: accesses and flags of all its statements, multi-statement aside. */
static void accesses_of(const char *text, char *out, size_t cap)
{
	struct sqlparse_answer a = sqlparse_classify(bytes_str(text), SQLPARSE_POSTGRES, encoded, sizeof encoded);
	struct classification c;
	struct classified_statement s;
	struct reader at;
	int n = 0;

	out[0] = 0;
	if (!a.known || !classification_open(a.classification, &c))
		return;
	at = c.statement_bytes;
	while (classification_next(&at, &s)) {
		struct access access;

		while (access_next(&s.access_bytes, &access)) {
			if (access.kind == OBJECT_NONE || (access.verb == VERB_select && (s.flags & FLAG_no_key_filter)))
				continue;
			n += snprintf(out + n, cap - (size_t)n, "%s %.*s %s%s;", verb_word(access.verb), (int)access.level[0].len,
				      (const char *)access.level[0].base, (s.flags & FLAG_no_key_filter) ? "k" : "",
				      (s.flags & FLAG_unbounded) ? "u" : "");
		}
	}
}

/* common.md C1: within a group the same verdict. */
static void groups_are_judged_alike(void **state)
{
	static const char *const drop[] = {
		"DROP TABLE users", "drop  table users", "DROP/**/TABLE users", "DROP /* x */ TABLE users", "DROP -- x\nTABLE users",
		"SELECT 1; DROP TABLE users", "DROP TABLE \"users\"", "BEGIN; DROP TABLE users", "dRoP /* /* */ */ TABLE users",
		"DROP\fTABLE\rusers", "DROP TABLE U&\"us\\0065rs\"", "DROP TABLE U&\"us!0065rs\" UESCAPE '!'",
		"DO $$ BEGIN DROP TABLE users; END $$", "DO $$ BEGIN EXECUTE 'DROP TABLE users'; END $$",
		"DO $$ BEGIN EXECUTE E'\\x44ROP TABLE users'; END $$", "DO LANGUAGE plpgsql $x$ BEGIN IF true THEN DROP TABLE users; END IF; END $x$",
		NULL,
	};
	static const char *const without_key[] = {
		"DELETE FROM users", "/**/DELETE FROM users", "-- x\nDELETE FROM users", "DELETE FROM users; SELECT 1",
		"DELETE FROM users WHERE true", "DELETE FROM users WHERE 1=1", "DELETE FROM users /* where */", "DELETE FROM users -- where x",
		"DELETE FROM users RETURNING 'where '", "WITH x AS (DELETE FROM users RETURNING *) SELECT count(*) FROM x",
		"EXPLAIN ANALYZE DELETE FROM users", "DELETE FROM users WHERE id = id", "DELETE FROM users WHERE id = 1 OR true",
		"DELETE FROM users WHERE NOT false", "DELETE FROM users WHERE EXISTS (SELECT 1)", "MERGE INTO users u USING users s ON true WHEN MATCHED THEN DELETE",
		NULL,
	};
	static const char *const everything[] = {
		"SELECT * FROM users", "SELECT users.* FROM users", "SELECT * /**/ FROM users", "SELECT * FROM ONLY users", "TABLE users",
		"SELECT *, 1 FROM users", "(SELECT * FROM users)", "SELECT * FROM users LIMIT ALL", "SELECT * FROM users LIMIT NULL",
		"WITH a AS (SELECT * FROM users) SELECT * FROM a", "SELECT * FROM users WHERE true", "SELECT * FROM (TABLE users) s",
		"SELECT * FROM users OFFSET 0", "SELECT * FROM users UNION ALL SELECT * FROM users WHERE id = 1",
		NULL,
	};
	static const char *const *const groups[] = { drop, without_key, everything };
	static const char *const expected[] = { "ddl users ;", "delete users k;", "select users u;" };
	char got[512];

	for (size_t g = 0; g < 3; g++)
		for (size_t i = 0; groups[g][i]; i++) {
			accesses_of(groups[g][i], got, sizeof got);
			if (strcmp(got, expected[g]) != 0)
				fail_msg("%s: %s, not %s", groups[g][i], got, expected[g]);
		}
	accesses_of("SELECT * FROM t JOIN users u ON true", got, sizeof got);
	assert_string_equal(got, "select t u;select users u;");
	accesses_of("UPDATE users SET note='go where ' ", got, sizeof got);
	assert_string_equal(got, "update users k;");
	accesses_of("TRUNCATE users", got, sizeof got);
	assert_string_equal(got, "truncate users k;");
}

static void filtered_changes_are_not_flagged(void **state)
{
	char got[512];

	accesses_of("DELETE FROM users\nWHERE id=1", got, sizeof got);
	assert_string_equal(got, "delete users ;");
	accesses_of("UPDATE users\nSET a=1\nWHERE id=1", got, sizeof got);
	assert_string_equal(got, "update users ;");
	assert_string_equal(classified("SELECT 'how to drop table x'"), "select | | -");
}

/* Whatever is called generic must be classified the same with every other literal. */
static void generic_holds_for_other_literals(void **state)
{
	static uint8_t other_encoded[SQLPARSE_ENCODED_BYTES];
	static char other[65536];
	unsigned tried = 0;

	for (size_t i = 0; i < CASES; i++) {
		struct pg_lex l = pg_lex_of(bytes_str(cases[i].text));
		struct writer w = writer_of(other, sizeof other - 1);
		struct pg_lex_summary a, b;
		struct sqlparse_answer x, y;
		struct classification cx, cy;
		struct pg_token t;

		while (pg_lex_next(&l, &t)) {
			writer_u8(&w, ' ');
			if (t.kind == PG_TOKEN_NUMBER)
				writer_str(&w, "77");
			else if (t.kind == PG_TOKEN_STRING && !t.backslash && !t.national)
				writer_str(&w, "'select ssn from users; drop table x'");
			else
				writer_put(&w, t.text);
		}
		if (!pg_lex_scan(bytes_str(cases[i].text), (struct hash_key){ 1, 1 }, &a) || !pg_lex_scan(writer_done(&w), (struct hash_key){ 1, 1 }, &b))
			continue;
		assert_memory_equal(&a.generic, &b.generic, sizeof a.generic);
		x = sqlparse_classify(bytes_str(cases[i].text), SQLPARSE_POSTGRES, encoded, sizeof encoded);
		y = sqlparse_classify(writer_done(&w), SQLPARSE_POSTGRES, other_encoded, sizeof other_encoded);
		if (!x.known || !classification_open(x.classification, &cx) || !cx.generic)
			continue;
		tried++;
		assert_true(y.known && classification_open(y.classification, &cy));
		assert_true(cy.generic);
		assert_true(bytes_equal(bytes_of(cx.statement_bytes.at, cx.statement_bytes.left), bytes_of(cy.statement_bytes.at, cy.statement_bytes.left)));
	}
	assert_true(tried > 150);
}

/* What is stored under the generic key is shown for other texts too: it may hold nothing that differs between them. */
static void generic_texts_show_no_literals(void **state)
{
	struct sqlparse_answer a = sqlparse_classify(bytes_str("delete from t where id = 4711 and x = 'secret'"), SQLPARSE_POSTGRES, encoded, sizeof encoded);
	struct classification c;

	assert_true(a.known && classification_open(a.classification, &c));
	assert_true(c.generic);
	assert_int_equal(c.canonical.len, 0);
	assert_true(bytes_equal(c.normalised, bytes_str("delete from t where id = $1 and x = $2")));
	assert_null(memmem(a.classification.base, a.classification.len, "4711", 4));
	assert_null(memmem(a.classification.base, a.classification.len, "secret", 6));
	a = sqlparse_classify(bytes_str("select f('secret') /* x */"), SQLPARSE_POSTGRES, encoded, sizeof encoded);
	assert_true(a.known && classification_open(a.classification, &c));
	assert_false(c.generic);
	assert_true(bytes_equal(c.canonical, bytes_str("select f('secret')")));
	a = sqlparse_classify(bytes_str("DROP/**/TABLE users"), SQLPARSE_POSTGRES, encoded, sizeof encoded);
	assert_true(a.known && classification_open(a.classification, &c));
	assert_true(c.generic);
	assert_true(bytes_equal(c.canonical, bytes_str("drop table users")));
}

/* Each would be a way round: a value that differs where the classification depends on it, or a count that fits by luck. */
static void what_depends_on_literals_is_not_generic(void **state)
{
	static const char *const texts[] = {
		"select set_config('a', 'b', false)", "select f(5) from t where a = E'x'", "select f(5) from t fetch first row only",
		"select 5", "select a from t where b = '5'::int", "select a::numeric(5) from t", "delete from t where 1 = 1", "select a from t limit (5)+1",
		"copy t to stdout (delimiter '|')", "do 'begin null; end'", "set x = 'y'", "select a from t where b = f('x')", "select $$x$$, 'y'",
		"explain (costs off) select 1", "select a from t order by 1", "insert into t select 5", "select a from t where 5 = 5",
		"notify x, 'y'", "select a from t where b in (1, f(2))", "update t set a = f(1) where b = 2",
		"select a from t where b = 'x' or 1 = 1",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (strncmp(classified(texts[i]), "[g]", 3) == 0)
			fail_msg("%s", texts[i]);
}

static char *repeated(const char *before, const char *part, size_t times, const char *after)
{
	size_t len = strlen(part), at = strlen(before);
	char *out = malloc(at + len * times + strlen(after) + 1);

	memcpy(out, before, at);
	for (size_t i = 0; i < times; i++, at += len)
		memcpy(out + at, part, len);
	memcpy(out + at, after, strlen(after) + 1);
	return out;
}

static void over_caps_is_unknown(void **state)
{
	static const struct {
		const char *before, *part;
		size_t times;
		const char *after, *expected;
	} texts[] = {
		{ "select ", "1+", 20000, "1", "UNKNOWN: more tokens than LIMIT_TERMS" }, /* X13 */
		{ "select 1", " union select 1", 4000, "", "UNKNOWN: more tokens than LIMIT_TERMS" },
		{ "select 1", " union select 1", 80000, "", "UNKNOWN: longer than LIMIT_STATEMENT_BYTES" },
		{ "select ", "(", 201, "1", "UNKNOWN: nested deeper than LIMIT_NESTING" },
		{ "do $$ begin perform ", "1+", 20000, "1; end $$", "UNKNOWN: a body of code over a limit" },
		{ "select '", "x", 65536, "'", "UNKNOWN: longer than LIMIT_STATEMENT_BYTES" },
	};
	struct writer w;
	char names[2048];

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char *text = repeated(texts[i].before, texts[i].part, texts[i].times, texts[i].after);

		assert_string_equal(classified(text), texts[i].expected);
		free(text);
	}
	w = writer_of(names, sizeof names - 1);
	writer_str(&w, "select * from t0");
	for (int i = 1; i <= LIMIT_OBJECTS; i++)
		w.len += (size_t)snprintf(names + w.len, sizeof names - w.len, ", t%d", i);
	assert_string_equal(classified(names), "UNKNOWN: more objects than LIMIT_OBJECTS");
}

static void not_text_is_unknown(void **state)
{
	static const char *const bad[] = { "select '\x80'", "select '\xc0\xaf'", "select '\xed\xa0\x80'", "select '\xf4\x90\x80\x80'", "select '\xe2\x82" };
	struct sqlparse_answer a = sqlparse_classify(bytes_of("select 1\0", 9), SQLPARSE_POSTGRES, encoded, sizeof encoded);

	assert_false(a.known); /* X12 */
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_memory_equal(classified(bad[i]), "UNKNOWN", 7);
	assert_string_equal(classified("select '\xe2\x82\xac \xf0\x9f\x98\x80'"), "select | | -");
	a = sqlparse_classify(bytes_str("select 1"), 7, encoded, sizeof encoded);
	assert_false(a.known);
	a = sqlparse_classify(bytes_str("select 1"), SQLPARSE_POSTGRES, encoded, 20);
	assert_false(a.known);
}

/* Chains of CTEs that double their columns, and recursive ones inside one another, end. */
static void blow_ups_end(void **state)
{
	char text[8192] = "with a0 as (select x, y from t)", nested[8192] = "select ssn as x from t";
	size_t at = strlen(text);

	for (int i = 1; i < 40; i++)
		at += (size_t)snprintf(text + at, sizeof text - at, ", a%d as (select * from a%d, a%d b)", i, i - 1, i - 1);
	snprintf(text + at, sizeof text - at, " select * from a39");
	assert_string_equal(classified(text), "[g] select t | unbounded | !");
	for (int i = 0; i < 60; i++) {
		char outer[sizeof nested];

		snprintf(outer, sizeof outer, "with recursive r%d as (select q.x from (%.8000s) q union select x from r%d) select x from r%d", i, nested, i, i);
		memcpy(nested, outer, sizeof nested);
	}
	assert_string_equal(classified(nested), "[g] select t | unbounded | ssn");
}

static void dangerous_functions_are_not_harmless(void **state)
{
	static const char *const dangerous[] = {
		"query_to_xml", "query_to_xmlschema", "cursor_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "ts_stat", "ts_rewrite",
		"crosstab", "dblink", "dblink_exec", "pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_ls_waldir", "pg_stat_file", "lo_import",
		"lo_export", "lo_get", "lo_put", "lo_from_bytea", "loread", "lowrite", "lo_open", "pg_reload_conf", "pg_terminate_backend",
		"pg_cancel_backend", "set_config", "current_setting", "pg_notify", "nextval", "setval", "currval", "lastval", "pg_sleep", "pg_sleep_for",
		"pg_sleep_until", "pg_logical_slot_get_changes", "pg_logical_slot_peek_changes", "pg_create_logical_replication_slot",
		"pg_export_snapshot", "pg_advisory_lock", "pg_try_advisory_lock", "pg_advisory_xact_lock", "pg_stat_get_activity",
		"pg_stat_get_backend_activity", "pg_rotate_logfile", "pg_switch_wal", "pg_promote", "pg_hba_file_rules", "pg_show_all_file_settings",
		"pg_prepared_statement", "pg_cursor", "pg_mcv_list_items", "pg_logical_emit_message", "pg_import_system_collations",
		"pg_replication_origin_create", "txid_current", "pg_config", "pg_current_logfile", "pg_get_shmem_allocations",
		"pg_get_backend_memory_contexts", "pg_log_backend_memory_contexts", "pg_backup_start", "binary_upgrade_set_next_pg_type_oid",
	};

	for (size_t i = 0; i < sizeof dangerous / sizeof *dangerous; i++)
		if (function_is_harmless(dangerous[i]))
			fail_msg("%s", dangerous[i]);
	assert_true(function_is_harmless("abbrev"));
	assert_true(function_is_harmless("lower"));
	assert_true(function_is_harmless("xpath_exists"));
	assert_true(operator_is_builtin("!!"));
	assert_true(operator_is_builtin("~~*"));
}

/* The poll loop's lexer and the server's agree on how many tokens a text has and where they end. */
static void lexers_agree(void **state)
{
	for (size_t i = 0; i < CASES; i++) {
		PgQueryScanResult r = pg_query_scan(cases[i].text);
		PgQuery__ScanResult *theirs = r.error ? NULL : pg_query__scan_result__unpack(NULL, r.pbuf.len, (const uint8_t *)r.pbuf.data);
		struct pg_lex l = pg_lex_of(bytes_str(cases[i].text));
		struct pg_token t;
		size_t n = 0;

		while (theirs && pg_lex_next(&l, &t)) {
			while (n < theirs->n_tokens && (theirs->tokens[n]->token == PG_QUERY__TOKEN__SQL_COMMENT ||
							theirs->tokens[n]->token == PG_QUERY__TOKEN__C_COMMENT))
				n++;
			if (n >= theirs->n_tokens || cases[i].text + theirs->tokens[n]->start != (const char *)t.text.base)
				fail_msg("%s: token %zu", cases[i].text, n);
			/* U& and its clause are one token here, N'' is two there */
			n += t.escape != 0 && t.text.base + t.text.len > t.inside.base + t.inside.len + 1 ? 3 : t.national ? 2 : 1;
		}
		if (theirs)
			pg_query__scan_result__free_unpacked(theirs, NULL);
		pg_query_free_scan_result(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_are_as_expected),
		cmocka_unit_test(predicates_are_as_expected),
		cmocka_unit_test(writes_are_as_expected),
		cmocka_unit_test(groups_are_judged_alike),
		cmocka_unit_test(filtered_changes_are_not_flagged),
		cmocka_unit_test(generic_holds_for_other_literals),
		cmocka_unit_test(generic_texts_show_no_literals),
		cmocka_unit_test(what_depends_on_literals_is_not_generic),
		cmocka_unit_test(over_caps_is_unknown),
		cmocka_unit_test(not_text_is_unknown),
		cmocka_unit_test(blow_ups_end),
		cmocka_unit_test(dangerous_functions_are_not_harmless),
		cmocka_unit_test(lexers_agree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
