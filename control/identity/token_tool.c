/* token_tool.c: for differential_test.py: the verifier on a pipe.
 *
 * token_tool JWKS-FILE ISSUER AUDIENCE NOW ALG...; each input line is a token in hex, each output line a reason's name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/identity/identity.h"

static struct identity *open_verifier(int argc, char **argv, struct identity_clock now)
{
	struct identity_issuer entry = { .name = "a", .issuer = argv[2], .audience = argv[3], .typ = { "at+jwt", "JWT" }, .skew_s = 30, .jwks_uri = "https://a/k" };
	static char body[LIMIT_FETCH_BYTES];
	FILE *f = fopen(argv[1], "r");
	size_t len = f ? fread(body, 1, sizeof(body), f) : 0;
	struct identity_fetch fetch;
	struct identity *id;
	char why[256];

	if (f)
		fclose(f);
	for (int i = 5; i < argc && i < 9; i++)
		entry.algs[i - 5] = argv[i];
	id = identity_create(&entry, 1, NULL, why, sizeof(why));
	if (!id || !identity_wants_fetch(id, now, &fetch))
		return NULL;
	struct identity_fetch_report report = identity_fetched(id, fetch.id, 200, bytes_of(body, len), now);

	if (!report.good)
		fprintf(stderr, "token_tool: %s %s\n", report.problem, report.dropped_why);
	return report.good ? id : NULL;
}

int main(int argc, char **argv)
{
	struct identity_clock now = { .mono_s = 1 };
	static char line[80000];
	static uint8_t token[40000];
	struct identity *id;

	if (argc < 6)
		return 2;
	now.wall_s = atoll(argv[4]);
	id = open_verifier(argc, argv, now);
	if (!id)
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		size_t len = strcspn(line, "\n") / 2;
		struct identity_login login = { .token = bytes_of(token, len), .now = now, .epoch = 1 };
		struct identity_failure why;
		struct principal *p;

		for (size_t i = 0; i < len; i++) {
			char two[3] = { line[2 * i], line[2 * i + 1], 0 };

			token[i] = (uint8_t)strtoul(two, NULL, 16);
		}
		(void)identity_verify(id, &login, &p, &why);
		puts(identity_reason_name(why.reason));
		fflush(stdout);
		principal_put(p);
	}
	identity_destroy(id);
	return 0;
}
