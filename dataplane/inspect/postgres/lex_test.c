#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/inspect/postgres/like.h"
#include "platform/base/limits.h"

static const struct hash_key key = { 1, 2 };

/* Tokens as text: kind letter, value, '|'. An error ends it with '!'. */
static const char *tokens_of(const char *text, size_t len)
{
	static const char letters[] = ".wiusEUDBnpom!";
	static char out[65536];
	struct pg_lex l = pg_lex_of(bytes_of(text, len));
	struct writer w = writer_of(out, sizeof out - 1);
	struct pg_token t;

	while (pg_lex_next(&l, &t)) {
		writer_u8(&w, (uint8_t)letters[t.kind]);
		if (!pg_lex_value(&t, &w))
			return "bad value";
		writer_u8(&w, '|');
	}
	if (t.kind == PG_TOKEN_ERROR)
		writer_u8(&w, '!');
	out[w.len] = 0;
	return out;
}

static const struct {
	const char *text, *tokens;
} lexical[] = {
	{ "", "" },
	{ "SELECT 1", "wselect|n1|" },
	{ "DROP/**/TABLE users", "wdrop|wtable|wusers|" },                       /* X1 */
	{ "dRoP /* /* */ */ TABLE users", "wdrop|wtable|wusers|" },              /* X2 */
	{ "a /* /* */ b", "wa|!" },
	{ "a /*/ b */ c", "wa|wc|" },
	{ "a /* **/ c", "wa|wc|" },
	{ "DROP -- x\nTABLE -- y\rusers--", "wdrop|wtable|wusers|" },
	{ "$a$x'$b$y$a$", "Dx'$b$y|" },                                          /* X3 */
	{ "$\xc3\xa9$x$\xc3\xa9$", "Dx|" },
	{ "$$a$b$$", "Da$b|" },
	{ "$b$a$a$b$", "Da$a|" },
	{ "$a$ x", "!" },
	{ "$a b", "!" },
	{ "a$b$c$b$", "wa$b$c$b$|" },
	{ "$1 $1$a$", "p$1|p$1|!" },
	{ "$12", "p$12|" },
	{ "$1a", "!" },
	{ "E'\\x64rop' e'a\\'b' E'\\101\\u0062\\U00000063'", "Edrop|Ea'b|EAbc|" }, /* X4 */
	{ "E'\\ud83d\\ude00'", "E\xf0\x9f\x98\x80|" },
	{ "E'\\", "!" },
	{ "E'\\ud83d'", "bad value" },
	{ "B'01' x'1f' B'0''1'", "B01|B1f|B0|s1|" },
	{ "N'a' n'b' na 'x'", "sa|sb|wna|sx|" },
	{ "U&\"\\0065mail\" U&\"us\\0065rs\"", "uemail|uusers|" },                 /* X5 */
	{ "U&\"d!0061t!+000061\" UESCAPE '!'", "udata|" },
	{ "U&'d!0061t!+000061!!' /* */ uescape '!' x", "Udata!|wx|" },
	{ "U&'a' uescape 'aa'", "!" },
	{ "U&'a' uescape '+'", "!" },
	{ "U&'a\\00'", "bad value" },
	{ "U & 'a'", "wu|o&|sa|" },
	{ "U&a", "wu|o&|wa|" },
	{ "U&\"\"", "!" },
	{ "\"email\" \"Em\"\"ail\" EMAIL", "iemail|iEm\"ail|wemail|" },             /* X6 */
	{ "\"\"", "!" },
	{ "\"a", "!" },
	{ "A1234567890123456789012345678901234567890123456789012345678901234567890",
	  "wa12345678901234567890123456789012345678901234567890123456789012|" },  /* X7 */
	{ "a\f\r\tb", "wa|wb|" },                                                /* X8 */
	{ "a\vb", "wa|!" },
	{ "a\xc2\xa0""b", "wa\xc2\xa0""b|" },
	{ "'a\\'; drop table x; --'", "sa\\|m;|wdrop|wtable|wx|m;|" },             /* X9 */
	{ "'a'\n'b'", "sab|" },                                                  /* X11 */
	{ "'a'  -- c\n  -- d\n 'b' 'c'", "sab|sc|" },
	{ "'a' 'b'", "sa|sb|" },
	{ "'a' /* \n */ 'b'", "sa|sb|" },
	{ "E'a'\n'\\x62'", "Eab|" },
	{ "'it''s'", "sit's|" },
	{ "'a", "!" },
	{ "1.5 .5 1. 1e5 1.e-5 1..2 0.1", "n1.5|n.5|n1.|n1e5|n1.e-5|n1|o..|n2|n0.1|" },
	{ "1e", "!" },
	{ "123abc", "!" },
	{ "0x1F", "!" },
	{ "1_000", "!" },
	{ "1.a", "!" },
	{ "1.5.5", "n1.5|n.5|" },
	{ "a.b.*", "wa|m.|wb|m.|o*|" },
	{ "a::int :=b =>c", "wa|o::|wint|o:=|wb|o=>|wc|" },
	{ "a<=b>=c<>d!=e", "wa|o<=|wb|o>=|wc|o<>|wd|o!=|we|" },
	{ "1=-1 a@-b a+-b a*-+c @+-", "n1|o=|o-|n1|wa|o@-|wb|wa|o+|o-|wb|wa|o*|o-|o+|wc|o@+-|" },
	{ "a+--c\n-b", "wa|o+|o-|wb|" },
	{ "a*/*c*/b", "wa|o*|wb|" },
	{ "a[1:2]", "wa|m[|n1|m:|n2|m]|" },
	{ "a ? b ?| c", "wa|o?|wb|o?||wc|" },
	{ "{", "!" },
	{ "a\\b", "wa|!" },
};

static void lexical_rules(void **state)
{
	for (size_t i = 0; i < sizeof lexical / sizeof *lexical; i++) {
		const char *got = tokens_of(lexical[i].text, strlen(lexical[i].text));

		if (strcmp(got, lexical[i].tokens) != 0)
			fail_msg("%s\n lexed to %s\n instead of %s", lexical[i].text, got, lexical[i].tokens);
	}
}

static void nul_is_an_error(void **state)
{
	struct pg_lex_summary s;

	assert_string_equal(tokens_of("a\0b", 3), "wa|!");
	assert_string_equal(tokens_of("'a\0b'", 5), "!");
	assert_string_equal(tokens_of("$$a\0b$$", 7), "!");
	assert_string_equal(tokens_of("\"a\0b\"", 5), "!");
	assert_string_equal(tokens_of("a -- \0 \n b", 10), "wa|!");
	assert_string_equal(tokens_of("a /* \0 */ b", 11), "wa|!");
	assert_string_equal(tokens_of("'a' -- \0 \n 'b'", 14), "sa|!");
	assert_false(pg_lex_scan(bytes_of("a\0b", 3), key, &s));
	assert_true(s.error);
}

static const struct {
	const char *text, *canonical;
} canonicals[] = {
	{ "DROP/**/TABLE users", "drop table users" },
	{ "dRoP /* /* */ */ TABLE\n\"users\" ;", "drop table users;" },
	{ "DROP TABLE \"Users\", \"select\", \"a b\", \"q\"\"q\"", "drop table \"Users\", \"select\", \"a b\", \"q\"\"q\"" },
	{ "select count ( * ),a . b,c.*from t where x in(1,2)", "select count(*), a.b, c.* from t where x in (1, 2)" },
	{ "SELECT U&\"\\0065mail\" FROM U&\"d!0061ta\" UESCAPE '!'", "select email from \"data\"" },
	{ "select 'a'  -- x\n 'b', E'a\\'b'", "select 'ab', E'a\\'b'" },
	{ "select a :: int,'x'::text , $1 :: int", "select a::int, 'x'::text, $1::int" },
	{ "select 1 .x, 1 . 5", "select 1 .x, 1 . 5" },
	{ "select a [ 1 ], array[1], - -1, a- -1", "select a[1], array[1], - - 1, a - - 1" },
	{ "select U&'d!0061' uescape '!'", "select U&'d!0061' uescape '!'" },
	{ "select N'x', X'1F', $q$ it's $q$", "select N'x', X'1F', $q$ it's $q$" },
};

static const char *canonical_of(const char *text)
{
	static char buffers[2][4096];
	static unsigned turn;
	char *out = buffers[turn++ & 1];
	struct writer w = writer_of(out, sizeof buffers[0] - 1);

	if (!pg_lex_canonical(bytes_str(text), &w))
		return "refused";
	out[w.len] = 0;
	return out;
}

static void canonical_text(void **state)
{
	for (size_t i = 0; i < sizeof canonicals / sizeof *canonicals; i++)
		assert_string_equal(canonical_of(canonicals[i].text), canonicals[i].canonical);
	assert_string_equal(canonical_of("select 'a"), "refused");
	assert_string_equal(canonical_of("select U&\"\\00\""), "refused");
}

/* Kinds may change only where quotes were dropped or a U& name was decoded. */
static void canonical_text_means_the_same(void **state)
{
	for (size_t i = 0; i < sizeof lexical / sizeof *lexical; i++) {
		const char *canonical = canonical_of(lexical[i].text);
		char before[4096], again[4096];

		if (strcmp(canonical, "refused") == 0)
			continue;
		snprintf(again, sizeof again, "%s", canonical_of(canonical));
		assert_string_equal(canonical_of(lexical[i].text), again);
		snprintf(before, sizeof before, "%s", tokens_of(lexical[i].text, strlen(lexical[i].text)));
		if (!strchr(before, 'i') && !strchr(before, 'u') && !strchr(before, 'U'))
			assert_string_equal(tokens_of(canonical, strlen(canonical)), before);
	}
}

static void normalised_text(void **state)
{
	char out[256] = { 0 };
	struct writer w = writer_of(out, sizeof out - 1);

	assert_true(pg_lex_normalised(bytes_str("select 'a', E'b', $$c$$, X'1', 5, $3 from T -- x"), &w));
	assert_string_equal(out, "select $4, $5, $6, $7, $8, $3 from t");
}

static struct pg_lex_summary scan(const char *text)
{
	struct pg_lex_summary s;

	(void)pg_lex_scan(bytes_str(text), key, &s);
	return s;
}

static bool same_generic(const char *a, const char *b)
{
	struct hash128 x = scan(a).generic, y = scan(b).generic;

	return x.hi == y.hi && x.lo == y.lo;
}

static void generic_key(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{ "select * from t where id = 1", "SELECT  *\nFROM T /* */ WHERE id=2.5e3", true },
		{ "select 'a'", "select 'it''s'", true },
		{ "select 'a'", "select 'a'\n'b'", true },
		{ "select 'a'", "select 1", false },
		{ "select 'a'", "select E'a'", false },
		{ "select 'a\\b'", "select 'a\\c'", false },
		{ "select a", "select b", false },
		{ "select \"A\"", "select a", false },
		{ "select \"A\"", "select \"B\"", false },
		{ "select ab", "select a b", false },
		{ "select $1", "select $2", false },
		{ "select $$a$$", "select $$b$$", false },
		{ "select U&\"!0061\" uescape '!'", "select U&\"!0061\" uescape '#'", false },
		{ "select a - 1", "select a -1", true },
		{ "select a -- 1", "select a", true },
		{ "select X'1'", "select X'2'", false },
		{ "select N'a'", "select N'b'", false },
		{ "do $$ a $$", "do $$ b $$", false },
	};

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (same_generic(pairs[i].a, pairs[i].b) != pairs[i].same)
			fail_msg("%s / %s", pairs[i].a, pairs[i].b);
}

/* Long texts pass through several blocks; a change in the first one must reach the key. */
static void generic_key_of_long_texts(void **state)
{
	char a[20000], b[20000];

	memset(a, 'x', sizeof a);
	for (size_t i = 3; i < sizeof a; i += 4)
		a[i] = ' ';
	a[sizeof a - 1] = 0;
	memcpy(b, a, sizeof a);
	assert_true(same_generic(a, b));
	b[1] = 'y';
	assert_false(same_generic(a, b));
}

static char *repeated(const char *part, size_t times)
{
	size_t len = strlen(part);
	char *out = malloc(len * times + 1);

	for (size_t i = 0; i < times; i++)
		memcpy(out + i * len, part, len);
	out[len * times] = 0;
	return out;
}

static void caps_stand_before_the_parser(void **state)
{
	char *sum = repeated("1+", 20000), *deep = repeated("(", LIMIT_NESTING + 1), *big = repeated(" ", LIMIT_STATEMENT_BYTES + 1);
	char *unions = repeated("union select 1 ", 4000);
	struct pg_lex_summary s;

	assert_false(pg_lex_scan(bytes_str(sum), key, &s)); /* X13 */
	assert_true(s.over_tokens);
	assert_false(pg_lex_scan(bytes_str(unions), key, &s));
	assert_true(s.over_tokens);
	assert_false(pg_lex_scan(bytes_str(deep), key, &s));
	assert_true(s.over_nesting);
	assert_true(pg_lex_scan(bytes_str(deep + 1), key, &s));
	assert_false(pg_lex_scan(bytes_str(big), key, &s));
	assert_true(s.over_bytes);
	assert_true(pg_lex_scan(bytes_str(big + 1), key, &s));
	free(sum);
	free(deep);
	free(big);
	free(unions);
}

static void counts(void **state)
{
	struct pg_lex_summary s = scan("select (1, 'a', $1); ; update t set a = 2;");

	assert_int_equal(s.statements, 2);
	assert_int_equal(s.literals, 3);
	assert_int_equal(s.nesting, 1);
	assert_int_equal(s.tokens, 17);
	assert_int_equal(scan("").statements, 0);
	assert_int_equal(scan("create rule r as on insert to t do (select 1; select 2)").statements, 1);
}

/* Prints the figure; a statement of a client must not cost the poll loop a microsecond. */
static void same_summary(struct pg_like *like, struct bytes text)
{
	struct pg_lex_summary lexed, known;
	bool good = pg_lex_scan(text, key, &lexed);

	assert_int_equal(pg_like_scan(like, text, key, &known), good);
	if (!good)
		return;
	assert_true(known.exact.hi == lexed.exact.hi && known.exact.lo == lexed.exact.lo);
	assert_true(known.generic.hi == lexed.generic.hi && known.generic.lo == lexed.generic.lo);
	assert_true(known.tokens == lexed.tokens && known.nesting == lexed.nesting && known.statements == lexed.statements);
	assert_true(known.literals == lexed.literals && known.plain == lexed.plain);
}

/* Each behind each: what is taken for like the first must be what the lexer says of the second. */
static void like_texts(void **state)
{
	static const char *const texts[] = {
		"select 1", "select 22", "select 2.5", "select 2.", "select 2..3", "select 1e5", "select 1e", "select $1", "select a1", "select .5", "select 7a",
		"select 1 from t where a = 'x'", "select 22 from t where a = 'yyy'", "select 1 from t where a = 'it''s'", "select 1 from t where a = 'a\\b'",
		"select 1 from t where a = 'a' 'b'", "select 1 from t where a = 'a'\n'b'", "select 1 from t where a = N'x'", "select 1 from t where a = E'x'",
		"select 1 from t where a = 'x", "select 1 from t where a = x'", "select 1 from t where a = 5", "select 'x' from t where a = 'x'", "select 1 from t where a = ''",
		"select f('set_config')", "select f('set-config')", "select f('short')", "select f('SET_CONFIG')", "select 'set_config'('a')",
		"select 1 -- 1", "select 1 -- 2", "select 1 /* 1 */", "select \"1\"", "select 1;select 2", "select 1;;select 33", "select (1)", "select ((1))",
		"select a-1", "select a - 1", "select a--1", "select 1||2", "select 1.1.1", "select 12 12", "select '1'1", "select 1'1'", "values(1,2,3)", "values(1,2,33)",
		"set a = 1", "set a = 2", "set a = 'x'", "update t set a = 1", "prepare x as select 1", "select U&'x' uescape '!'", "select b'1'", "select 1 from t where a = 'x' and b = 'y'",
	};
	static struct pg_like like;
	unsigned seed = 7;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
			like = (struct pg_like){ 0 };
			same_summary(&like, bytes_str(texts[i]));
			same_summary(&like, bytes_str(texts[k]));
			same_summary(&like, bytes_str(texts[i]));
		}
	/* Bytes that mean something, put together by chance, and then one of them another, with what was said last still kept. */
	like = (struct pg_like){ 0 };
	for (unsigned n = 0; n < 100000; n++) {
		static const char letters[] = "12''.eE \\\n-a$;(\"";
		char text[16] = "select ";
		size_t len = 7;

		for (; len < 13; len++)
			text[len] = letters[(seed = seed * 1103515245 + 12345) >> 16 & 15];
		same_summary(&like, bytes_of(text, len));
		text[7 + n % 6] = letters[(seed = seed * 1103515245 + 12345) >> 16 & 15];
		same_summary(&like, bytes_of(text, len));
	}
}

/* The memory is used: else its test proves nothing. */
static void like_texts_are_known(void **state)
{
	static struct pg_like like;
	struct pg_lex_summary lex;

	assert_true(pg_like_scan(&like, bytes_str("select a from t where b = 1 and c = 'x' and d = 2.5"), key, &lex));
	assert_int_equal(like.next, 1);
	assert_int_equal(like.kept[0].literals.count, 2);
	assert_true(pg_like_scan(&like, bytes_str("select a from t where b = 98765 and c = 'another' and d = 2.5"), key, &lex));
	assert_int_equal(like.next, 1);
	assert_true(pg_like_scan(&like, bytes_str("select a from t where b = 98765 and c = 'another' and d = 2.6"), key, &lex));
	assert_int_equal(like.next, 2);
}

static void scan_is_quick(void **state)
{
	const char *text = "SELECT abalance FROM pgbench_accounts WHERE aid = 123456789;";
	enum { ROUNDS = 200000 };
	struct timespec a, b;
	uint64_t sum = 0;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	for (int i = 0; i < ROUNDS; i++) {
		struct pg_lex_summary s;

		assert_true(pg_lex_scan(bytes_str(text), (struct hash_key){ (uint64_t)i, 2 }, &s));
		sum += s.generic.lo;
	}
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	print_message("# %zu bytes: %.0f ns of CPU a scan (%llx)\n", strlen(text),
		      ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / ROUNDS, (unsigned long long)sum);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lexical_rules),
		cmocka_unit_test(nul_is_an_error),
		cmocka_unit_test(canonical_text),
		cmocka_unit_test(canonical_text_means_the_same),
		cmocka_unit_test(normalised_text),
		cmocka_unit_test(generic_key),
		cmocka_unit_test(generic_key_of_long_texts),
		cmocka_unit_test(caps_stand_before_the_parser),
		cmocka_unit_test(counts),
		cmocka_unit_test(like_texts),
		cmocka_unit_test(like_texts_are_known),
		cmocka_unit_test(scan_is_quick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
