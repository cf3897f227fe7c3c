/* sluice-rules: the compiler of data classes.
 *
 *   sluice-rules check DIR                      every rule against its own samples
 *   sluice-rules compile DIR -o FILE [--generic] check, then write the blob
 *   sluice-rules list [--json] DIR              what there is
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hyperscan-rules/compile.h"

static const char USAGE[] =
	"usage: sluice-rules check DIR\n"
	"       sluice-rules compile DIR -o FILE [--generic]\n"
	"       sluice-rules list [--json] DIR\n";

struct options {
	const char *verb, *dir, *out;
	bool json, generic;
};

static bool read_options(int argc, char **argv, struct options *o)
{
	if (argc < 3)
		return false;
	o->verb = argv[1];
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			o->json = true;
		else if (strcmp(argv[i], "--generic") == 0)
			o->generic = true;
		else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			o->out = argv[++i];
		else if (argv[i][0] != '-' && !o->dir)
			o->dir = argv[i];
		else
			return false;
	}
	return o->dir != NULL;
}

static int list(const struct rule *rules, unsigned count, bool json)
{
	static const char *const ALONE[] = { "no", "separated", "yes" };

	if (json)
		printf("[");
	for (unsigned i = 0; i < count; i++) {
		const struct class *c = &rules[i].class;

		/* Names, validators and titles are checked words without quotes or control characters. */
		if (json)
			printf("%s\n {\"class\":\"%s\",\"title\":\"%s\",\"alias\":\"%s\",\"union\":\"%s\",\"validator\":\"%s\",\"alone\":\"%s\","
			       "\"samples\":%u}", i ? "," : "", c->name, rules[i].title, c->alias[0], c->unions[0],
			       validator_name((enum validator)c->validator), ALONE[c->alone], rules[i].samples_count);
		else
			printf("%-22s %-16s alone=%-9s samples=%-3u %s\n", c->name, validator_name((enum validator)c->validator),
			       ALONE[c->alone], rules[i].samples_count, rules[i].title);
	}
	if (json)
		printf("\n]\n");
	return 0;
}

static int compile(const struct rule *rules, unsigned count, const struct options *o)
{
	char err[512] = "";
	size_t len = 0;
	uint8_t *blob = compile_blob(rules, count, o->generic ? COMPILE_GENERIC : COMPILE_HOST, &len, err, sizeof err);
	FILE *file = blob ? fopen(o->out, "wbe") : NULL;
	bool ok = file && fwrite(blob, 1, len, file) == len;

	if (file && fclose(file) != 0)
		ok = false;
	free(blob);
	if (!ok) {
		fprintf(stderr, "sluice-rules: %s\n", err[0] ? err : "the output cannot be written");
		return 1;
	}
	fprintf(stderr, "%u classes, %zu bytes\n", count, len);
	return 0;
}

static void print_failure(void *ctx, const char *failure)
{
	fprintf(stderr, "sluice-rules: %s\n", failure);
}

int main(int argc, char **argv)
{
	struct options o = { 0 };
	char err[512] = "";
	struct rule *rules;
	unsigned count;
	int status;

	if (!read_options(argc, argv, &o) || (strcmp(o.verb, "compile") == 0 && !o.out)) {
		fputs(USAGE, stderr);
		return 2;
	}
	rules = rules_read(o.dir, &count, err, sizeof err);
	if (!rules)
		fprintf(stderr, "sluice-rules: %s\n", err);
	if (!rules || !compile_check(rules, count, print_failure, NULL)) {
		rules_free(rules, count);
		return 1;
	}
	if (strcmp(o.verb, "compile") == 0)
		status = compile(rules, count, &o);
	else if (strcmp(o.verb, "list") == 0)
		status = list(rules, count, o.json);
	else if (strcmp(o.verb, "check") == 0)
		status = (printf("%u classes hold\n", count), 0);
	else
		status = (fputs(USAGE, stderr), 2);
	rules_free(rules, count);
	return status;
}
