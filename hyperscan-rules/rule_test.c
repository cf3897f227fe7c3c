/* The compiler refuses what it must, with file and line; the shipped classes hold. Usage: rule_test CLASSES_DIR */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "hyperscan-rules/compile.h"

static const char *classes_dir;

/* A rule that holds; rows of a test replace or add one line. */
static const char HEAD[] = "class toy\ntitle a toy\ngroup toys\ntrigger toy-\nshape run word\nlead toy-\nlength 8 8\nvalidator none\nalone yes\n";
static const char PATTERN[] = "pattern toy-[0-9]{4}\n";

static void write_rule(const char *path, const char *head, const char *pattern, const char *extra, bool samples)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fprintf(file, "%s%s%s", head, pattern, extra);
	for (int i = 0; samples && i < 20; i++)
		fprintf(file, "yes toy-%04d\nno boy-%04d\n", i, i);
	fclose(file);
}

struct heard {
	char first[512];
	unsigned count;
};

static void hear(void *ctx, const char *failure)
{
	struct heard *heard = ctx;

	if (heard->count++ == 0)
		snprintf(heard->first, sizeof heard->first, "%s", failure);
}

/* The first failure of one file, or "" when it holds. */
static const char *judge(const char *head, const char *pattern, const char *extra, bool samples)
{
	static struct heard heard;
	char path[] = "/tmp/rule_test_XXXXXX";
	int fd = mkstemp(path);
	struct rule rule;

	assert_true(fd >= 0);
	close(fd);
	memset(&heard, 0, sizeof heard);
	write_rule(path, head, pattern, extra, samples);
	if (rule_read(path, &rule, heard.first, sizeof heard.first))
		(void)compile_check(&rule, 1, hear, &heard);
	rule_free(&rule);
	unlink(path);
	return heard.first;
}

static void expect(const char *got, const char *part)
{
	if (*part ? !strstr(got, part) : *got)
		fail_msg("wanted '%s', got '%s'", part, got);
}

static void a_good_rule_holds(void **state)
{
	expect(judge(HEAD, PATTERN, "", true), "");
}

static void samples_decide(void **state)
{
	expect(judge(HEAD, PATTERN, "yes toy-12345\n", true), ":11: a positive sample is not matched: toy-12345");
	expect(judge(HEAD, PATTERN, "no see toy-1234\n", true), ":11: a negative sample is matched: see toy-1234");
	expect(judge(HEAD, PATTERN, "yes x toy-1234\n", true), ":11: the match is not the marked part");
	expect(judge(HEAD, PATTERN, "yes x [[toy-1234]]\n", true), "");
	expect(judge(HEAD, PATTERN, "quiet toy-1234\n", true), ":11: a sample that wants context is matched without");
	expect(judge(HEAD, "pattern [a-z]oy-[0-9]{4}\n", "yes Toy-1234\n", true), ":11: no trigger wakes");
	expect(judge(HEAD, PATTERN, "", false), "0 positive and 0 negative samples");
}

static void hyperscan_decides(void **state)
{
	expect(judge(HEAD, "pattern toy-(?=[0-9])[0-9]{4}\n", "", true), ":10: Hyperscan refuses the pattern: Zero-width assertions");
	expect(judge(HEAD, "pattern (toy)-\\1\n", "", true), ":10: Hyperscan refuses the pattern: Back-references");
	expect(judge(HEAD, "pattern (?:toy-[0-9]{4})?\n", "", true), ":10: Hyperscan refuses the pattern: Pattern matches empty buffer");
	expect(judge(HEAD, "pattern (?:[a-m]{30,60}|[g-z]{20,90}){20,60}toy\n", "", true), ":10: Hyperscan refuses the pattern: Pattern is too large");
	expect(judge(HEAD, "pattern toy-[0-9\n", "", true), ":10: Hyperscan refuses the pattern");
}

static void the_format_is_strict(void **state)
{
	expect(judge(HEAD, PATTERN, "colour red\n", true), ":11: unknown keyword 'colour'");
	expect(judge(HEAD, PATTERN, "yes\n", true), ":11: a keyword and its value are wanted");
	expect(judge(HEAD, PATTERN, "validator luck\n", true), ":11: no validator 'luck'");
	expect(judge(HEAD, PATTERN, "length 9 8\n", true), ":11: lengths out of order");
	expect(judge(HEAD, PATTERN, "length 1 9000\n", true), ":11: lengths out of order");
	expect(judge(HEAD, PATTERN, "grouping 3-x\n", true), ":11: bad grouping");
	expect(judge(HEAD, PATTERN, "yes [[toy-1234\n", true), ":11: [[ without ]]");
	expect(judge(HEAD, PATTERN, "priority 300\n", true), ":11: wants a number");
	expect(judge(HEAD, PATTERN, "mask paint\n", true), ":11: 'paint' is none of the words");
	expect(judge(HEAD, "", "", true), "pattern, trigger and group are wanted");
	expect(judge("class toy\ntitle a toy\nshape packed digits\nlength 9 9\nvalidator none\nalone yes\n", "", "", true), "how many digits");
	expect(judge("class toy\ntitle a toy\nshape packed digits\ndigits 9\nlength 9 9\nvalidator none\nalone yes\n", PATTERN, "", true), "has no pattern");
	expect(judge("title x\n", "", "", true), "class and title are missing");
}

static void the_shipped_classes_hold(void **state)
{
	struct heard heard = { 0 };
	char err[512] = "";
	unsigned count = 0;
	struct rule *rules = rules_read(classes_dir, &count, err, sizeof err);
	uint8_t *blob;
	size_t len;

	if (!rules)
		fail_msg("%s", err);
	assert_true(count >= 24);
	if (!compile_check(rules, count, hear, &heard))
		fail_msg("%u failures, first: %s", heard.count, heard.first);
	/* The portable form compiles too. */
	blob = compile_blob(rules, count, COMPILE_GENERIC, &len, err, sizeof err);
	if (!blob)
		fail_msg("%s", err);
	free(blob);
	rules_free(rules, count);
}

static void a_missing_directory_is_said(void **state)
{
	char err[512] = "";
	unsigned count;

	assert_null(rules_read("/nonexistent", &count, err, sizeof err));
	expect(err, "no class files");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_rule_holds),
		cmocka_unit_test(samples_decide),
		cmocka_unit_test(hyperscan_decides),
		cmocka_unit_test(the_format_is_strict),
		cmocka_unit_test(the_shipped_classes_hold),
		cmocka_unit_test(a_missing_directory_is_said),
	};

	if (argc < 2)
		return 2;
	classes_dir = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
