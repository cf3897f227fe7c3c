/* Every syntax fact of policy.md 2, with the line it is reported at; the getters; the report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/limits.h"
#include "platform/os/config.h"

static struct config_report report;

static struct config *parse(const char *text)
{
	config_report_free(&report);
	assert_true(config_report_init(&report, "t.cfg"));
	return config_parse(text, strlen(text), &report);
}

static bool has(const char *id, unsigned line)
{
	for (unsigned i = 0; i < report.count; i++)
		if (strcmp(report.problem[i].id, id) == 0 && report.problem[i].line == line)
			return true;
	for (unsigned i = 0; i < report.count; i++)
		print_message("# line %u [%s] %s\n", report.problem[i].line, report.problem[i].id, report.problem[i].text);
	return false;
}

struct refused {
	const char *what, *text, *id;
	unsigned line;
};

static const struct refused refused[] = {
	{ "integer that would wrap", "a = 1;\nb = 5000000000;\n", "number-range", 2 },
	{ "one over the largest", "b = 2147483648;\n", "number-range", 1 },
	{ "suffix L", "b = 5L;\n", "number-form", 1 },
	{ "hexadecimal", "b = 0x7fffffff;\n", "number-form", 1 },
	{ "fraction", "b = 1.5;\n", "number-form", 1 },
	{ "exponent", "b = 1e9;\n", "number-form", 1 },
	{ "duplicate name", "a = 1;\na = 2;\n", "syntax", 2 },
	{ "escape that hides a wildcard", "a = 1;\np = \"a\\x2e\";\n", "escape-hex", 2 },
	{ "escape of NUL", "p = \"a\\x00b\";\n", "escape-hex", 1 },
	{ "include", "a = 1;\n  @include \"/etc/passwd\"\n", "include", 2 },
	{ "include inside a comment", "/*\n@include \"/etc/passwd\"\n*/\n", "include", 2 },
	{ "at sign elsewhere", "a = @include;\n", "character", 1 },
	{ "line break in a string", "a = \"x\ny\";\n", "string-line-break", 1 },
	{ "escaped line break in a string", "a = \"x\\\ny\";\n", "string-line-break", 1 },
	{ "byte-order mark", "\xef\xbb\xbf" "a = 1;\n", "byte-order-mark", 1 },
	{ "invalid UTF-8", "a = 1;\nb = \"\xc3\x28\";\n", "not-printable", 2 },
	{ "overlong UTF-8", "b = \"\xc0\xaf\";\n", "not-printable", 1 },
	{ "surrogate", "b = \"\xed\xa0\x80\";\n", "not-printable", 1 },
	{ "control character", "b = \"\x01\";\n", "not-printable", 1 },
	{ "delete", "b = \"\x7f\";\n", "not-printable", 1 },
	{ "mark that turns the direction", "# \xe2\x80\xae\na = 1;\n", "not-printable", 1 },
	{ "character without width", "b = \"bil\xe2\x80\x8bling\";\n", "not-printable", 1 },
	{ "nine levels", "a=(\n(((((((((1)))))))));\n", "too-deep", 2 },
	{ "bracket never closed", "a = (\n", "bracket", 2 },
	{ "bracket that closes nothing", "a = 1;\n)\n", "bracket", 2 },
	{ "string never closed", "a = \"x\n", "string-open", 2 },
	{ "comment never closed", "a = 1; /* x\n", "comment-open", 2 },
	{ "two strings joined", "a = [ \"x\"\n \"y\" ];\n", "strings-adjacent", 2 },
	{ "two strings joined over a comment", "a = [ \"x\" /* , */ \"y\" ];\n", "strings-adjacent", 1 },
	{ "array of two types", "a = [ 1, \"x\" ];\n", "syntax", 1 },
	{ "no value", "a = ;\n", "syntax", 1 },
};

static void test_refused(void **state)
{
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		struct config *c = parse(refused[i].text);

		if (c || !has(refused[i].id, refused[i].line))
			fail_msg("%s", refused[i].what);
	}
}

static void test_nul_and_size(void **state)
{
	char *big = malloc(LIMIT_POLICY_FILE_BYTES + 1);

	memset(big, ' ', LIMIT_POLICY_FILE_BYTES + 1);
	config_close(parse(""));
	assert_null(config_parse("a = 1;\0b = 2;", 13, &report));
	assert_true(has("not-printable", 1));
	assert_null(config_parse(big, LIMIT_POLICY_FILE_BYTES + 1, &report));
	assert_true(has("too-large", 0));
	config_close(config_parse(big, LIMIT_POLICY_FILE_BYTES, &report));
	free(big);
}

/* 200,000 nested lists, and more names in one group than libconfig compares in reasonable time. */
static void test_costly(void **state)
{
	char *text = malloc(400100);

	memcpy(text, "a=", 2);
	memset(text + 2, '(', 200000);
	text[200002] = 0;
	assert_null(parse(text));
	assert_true(has("too-deep", 1));
	for (unsigned i = 0, len = 0; i < 300; i++)
		len += (unsigned)snprintf(text + len, 16, "a%u=1;", i);
	assert_null(parse(text));
	assert_true(has("too-many-names", 1));
	free(text);
}

static void test_accepted(void **state)
{
	struct config *c = parse("a = -2147483647; ten = 010; t = TRUE; n = 5;\n"
				 "p = \"\\\\bcard\\\\b \\d \\\\.\"; # @include here is text\n"
				 "u = \"K\xc3\xb6ln\"; s = [ \"a\", \"b\" ]; // \"\n"
				 "g : { h = \"15m\"; l = ( { x = 1; }, { x = 2; } ); };\n");
	const struct config_item *root, *g, *l;

	assert_non_null(c);
	root = config_root(c);
	assert_int_equal(config_int(c, root, "a", CONFIG_REQUIRED, -2147483647, 0, 0), -2147483647);
	assert_int_equal(config_int(c, root, "ten", CONFIG_REQUIRED, 0, 100, 0), 10);
	assert_true(config_bool(c, root, "t", CONFIG_REQUIRED, false));
	assert_int_equal(config_int(c, root, "n", CONFIG_REQUIRED, 0, 100, 0), 5);
	assert_string_equal(config_string(c, root, "p", CONFIG_REQUIRED, ""), "\\bcard\\b \\d \\.");
	assert_string_equal(config_string(c, root, "u", CONFIG_REQUIRED, ""), "K\xc3\xb6ln");
	l = config_strings(c, root, "s", CONFIG_REQUIRED);
	assert_int_equal(config_length(l), 2);
	assert_string_equal(config_string_at(c, l, 1), "b");
	g = config_group(c, root, "g", CONFIG_REQUIRED);
	assert_int_equal(config_line(g), 4);
	assert_int_equal(config_duration_ms(c, g, "h", CONFIG_REQUIRED, 0, 3600000, 0), 900000);
	l = config_list(c, g, "l", CONFIG_REQUIRED);
	assert_int_equal(config_length(l), 2);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(config_int(c, config_element(c, l, i), "x", CONFIG_REQUIRED, 1, 2, 0), i + 1);
	assert_null(config_string(c, root, "absent", CONFIG_OPTIONAL, NULL));
	config_finish(c);
	assert_int_equal(report.errors, 0);
	config_close(c);
}

static void test_wrong_and_unknown(void **state)
{
	static const char *const words[] = { "block", "hold", NULL };
	struct config *c = parse("a = \"1\";\nb = 1;\nc = \"x\";\nd = 7;\ne : { f = 1;\n unknown = 2; };\n"
				 "l = ( { y = 1; },\n 5 );\ns = [ \"q\", \"q\" ];\nw = \"allow\";\nm = \"15 m\";\nv = \"\";\n"
				 "k = \"9k\";\nz = ( \"a\",\n 1 );\nesc = \"a\\nb\";\n");
	const struct config_item *root = config_root(c), *l, *z;
	char path[64];

	assert_int_equal(config_int(c, root, "a", CONFIG_REQUIRED, 0, 9, 3), 3);
	assert_true(has("wrong-type", 1));
	assert_false(config_bool(c, root, "b", CONFIG_REQUIRED, false));
	assert_true(has("wrong-type", 2));
	assert_null(config_group(c, root, "c", CONFIG_REQUIRED));
	assert_true(has("wrong-type", 3));
	assert_int_equal(config_int(c, root, "d", CONFIG_REQUIRED, 0, 5, 2), 2);
	assert_true(has("out-of-range", 4));
	assert_int_equal(config_int(c, config_group(c, root, "e", CONFIG_REQUIRED), "f", CONFIG_REQUIRED, 0, 5, 2), 1);
	l = config_list(c, root, "l", CONFIG_REQUIRED);
	assert_true(has("wrong-type", 8));
	assert_null(config_element(c, l, 1));
	assert_string_equal(config_path(config_element(c, l, 0), path, sizeof path), "l[0]");
	(void)config_strings(c, root, "s", CONFIG_REQUIRED);
	assert_true(has("duplicate", 9));
	assert_int_equal(config_word(c, root, "w", CONFIG_REQUIRED, words, 0), 0);
	assert_true(has("unknown-word", 10));
	assert_int_equal(config_duration_ms(c, root, "m", CONFIG_REQUIRED, 0, 1, 1), 1);
	assert_true(has("bad-amount", 11));
	assert_string_equal(config_string(c, root, "v", CONFIG_REQUIRED, "else"), "else");
	assert_true(has("empty", 12));
	assert_int_equal(config_count(c, root, "k", CONFIG_REQUIRED, 0, 8999, 7), 7);
	assert_true(has("out-of-range", 13));
	z = config_strings(c, root, "z", CONFIG_REQUIRED);
	assert_true(has("wrong-type", 15));
	assert_string_equal(config_string_at(c, z, 1), "");
	assert_string_equal(config_string(c, root, "esc", CONFIG_REQUIRED, "else"), "else");
	assert_true(has("not-printable", 16));
	assert_null(config_string(c, root, "needed", CONFIG_REQUIRED, NULL));
	assert_true(has("missing", 0));
	config_finish(c);
	assert_true(has("unknown-name", 6));
	assert_true(has("unknown-name", 7));
	config_close(c);
}

static void test_amounts(void **state)
{
	uint64_t v;

	assert_true(config_parse_bytes("512Mi", &v) && v == 512ULL << 20);
	assert_true(config_parse_bytes("2Ti", &v) && v == 2ULL << 40);
	assert_true(config_parse_bytes("3k", &v) && v == 3000);
	assert_true(config_parse_count("100k", &v) && v == 100000);
	assert_true(config_parse_count("50", &v) && v == 50);
	assert_true(config_parse_count("18446744073709551609", &v));
	assert_true(config_parse_duration_ms("15m", &v) && v == 900000);
	assert_true(config_parse_duration_ms("400d", &v) && v == 400ULL * 86400000);
	assert_true(config_parse_duration_ms("5ms", &v) && v == 5);
	for (const char *const *bad = (const char *const[]){ "", "k", "-1", "1.5k", "1 k", "1K", "1kk", "18446744073709551616", "99999999999999999999k", "1Mi", NULL }; *bad; bad++)
		if (config_parse_count(*bad, &v))
			fail_msg("count \"%s\"", *bad);
	assert_false(config_parse_bytes("18446744073709551615Ti", &v));
	assert_int_equal(v, 0);
	assert_false(config_parse_duration_ms("15", &v));
}

static void test_report(void **state)
{
	char text[600];

	config_close(parse(""));
	config_warning(&report, 7, "odd", "rules[1]: \033[31m: %s", "look");
	config_error(&report, 3, "bad", "x: y: z");
	config_report_sort(&report);
	config_problem_text(&report, &report.problem[0], text, sizeof text);
	assert_string_equal(text, "t.cfg:3: x: y: z");
	config_problem_text(&report, &report.problem[1], text, sizeof text);
	assert_string_equal(text, "t.cfg:7: warning [odd]: rules[1]: ?[31m: look");
	for (unsigned i = 0; i < 1000; i++)
		config_error(&report, i, "many", "x");
	assert_int_equal(report.errors, 1001);
	assert_int_equal(report.count, CONFIG_PROBLEMS_MAX);
}

static void test_files(void **state)
{
	char path[] = "/tmp/config_test_XXXXXX";
	int fd = mkstemp(path);
	struct config *c;

	config_close(parse(""));
	assert_true(fd >= 0 && write(fd, "a = 1;\n", 7) == 7);
	c = config_open(path, &report);
	assert_non_null(c);
	config_close(c);
	unlink(path);
	close(fd);
	assert_null(config_open(path, &report));
	assert_true(has("open", 0));
	assert_null(config_open("/tmp", &report));
	assert_true(has("read", 0));
	assert_null(config_open("/dev/zero", &report));
}

static int done(void **state)
{
	config_report_free(&report);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_nul_and_size), cmocka_unit_test(test_costly),
		cmocka_unit_test(test_accepted), cmocka_unit_test(test_wrong_and_unknown), cmocka_unit_test(test_amounts),
		cmocka_unit_test(test_report), cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, done);
}
