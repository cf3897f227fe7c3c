/* policy.c: policy check and explain. They need no running node: the file is read, checked and compiled here, and the same function
 * as in the data plane answers. */
#include "control/policy/policy.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "control/sqlparse/sqlparse_client.h"
#include "dataplane/match/match.h"
#include "platform/os/child.h"
#include "platform/os/settings.h"

#define CLASSES_BYTES_MAX (64u << 20)
#define PARSE_MS 5000u

struct classes {
	uint8_t *blob;
	size_t len;
	struct match_set *set;
};

static const char *classes_path(struct cli *c)
{
	const char *given = cli_option(c, "classes");

	if (given)
		return given;
	if (access(c->config, R_OK) == 0 && cli_settings(c))
		return c->settings->classes;
	return "/usr/share/sluice/classes.hsdb";
}

static bool classes_open(struct cli *c, struct classes *out)
{
	const char *path = classes_path(c);
	FILE *f = fopen(path, "re");
	char why[256] = "cannot be read";

	*out = (struct classes){ .blob = f ? malloc(CLASSES_BYTES_MAX) : NULL };
	if (out->blob)
		out->len = fread(out->blob, 1, CLASSES_BYTES_MAX, f);
	if (f)
		fclose(f);
	if (out->len)
		out->set = match_set_load(out->blob, out->len, why, sizeof(why));
	if (out->set)
		return true;
	cli_fail(c, FRAME_USAGE, "%s: %s: name the compiled data classes with --classes", path, why);
	free(out->blob);
	return false;
}

static void classes_close(struct classes *classes)
{
	match_set_free(classes->set);
	free(classes->blob);
}

static void report_print(struct cli *c, struct config_report *report, struct policy_tree *tree)
{
	json_t *problems = json_array();
	char hash[65] = "";

	config_report_sort(report);
	for (unsigned i = 0; i < report->count; i++) {
		const struct config_problem *p = &report->problem[i];
		char text[700];

		config_problem_text(report, p, text, sizeof(text));
		if (!c->json)
			fprintf(p->warning ? stdout : stderr, "%s\n", text);
		json_array_append_new(problems, json_pack("{s:i, s:b, s:s, s:s}", "line", (int)p->line, "warning", p->warning, "id", p->id, "text", p->text));
	}
	for (unsigned i = 0; tree && i < 32; i++)
		snprintf(hash + 2 * i, 3, "%02x", tree->hash[i]);
	if (c->json)
		print_json(json_pack("{s:b, s:i, s:i, s:s?, s:o}", "good", tree != NULL, "errors", (int)report->errors, "warnings", (int)report->warnings, "hash",
				     tree ? hash : NULL, "problems", problems));
	else if (tree)
		printf("good: policy %s version %u, %u rules, %u warnings, hash %s\n", tree->name, tree->version, tree->rules_count, report->warnings, hash);
	if (!c->json)
		json_decref(problems);
}

int cli_policy_check(struct cli *c)
{
	struct classes classes;
	struct config_report report;
	struct policy_tree *tree;
	struct policy_detectors detectors;
	int status;

	if (!classes_open(c, &classes))
		return FRAME_USAGE;
	detectors = policy_detectors_of_set(classes.set);
	if (!config_report_init(&report, c->positional[0]))
		return cli_fail(c, FRAME_REFUSED, "policy check: out of memory: free some");
	tree = policy_open(c->positional[0], &detectors, &report);
	report_print(c, &report, tree);
	status = tree ? FRAME_DONE : FRAME_USAGE;
	if (tree)
		policy_close(tree);
	config_report_free(&report);
	classes_close(&classes);
	return status;
}

/* --- explain ------------------------------------------------------------------------------------------------------------- */

struct parsed {
	bool done, known;
	uint8_t *encoded;
	size_t len;
	char why[SQLPARSE_WHY_BYTES + 1];
};

static void on_answer(void *context, uint64_t id, bool known, struct bytes why, struct bytes classification)
{
	struct parsed *p = context;

	p->done = true;
	p->known = known;
	snprintf(p->why, sizeof(p->why), "%.*s", (int)why.len, (const char *)why.base);
	p->encoded = known ? malloc(classification.len) : NULL;
	if (p->encoded) {
		memcpy(p->encoded, classification.base, classification.len);
		p->len = classification.len;
	}
}

static uint64_t mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Has the helper parse the text, as control does. */
static bool parse(struct cli *c, const char *text, struct parsed *out)
{
	const struct sqlparse_sink sink = { .answered = on_answer, .context = out };
	char program[300], err[OS_ERROR_BYTES], how[OS_ERROR_BYTES];
	struct child child = { .program = program, .argv = { "sluice-sqlparse" }, .socket = CHILD_STREAM, .pidfd = -1 };
	struct sqlparse_client *client = sqlparse_client_create(sink, 2000);
	uint64_t end = mono_ms() + PARSE_MS;
	int fd;

	snprintf(program, sizeof(program), "%s/sluice-sqlparse", c->settings->libexec);
	if (!client || !child_start(&child, mono_ms(), &fd, err)) {
		sqlparse_client_destroy(client);
		cli_fail(c, FRAME_REFUSED, "%s: %s: install it", program, err);
		return false;
	}
	sqlparse_connect(client, fd, mono_ms());
	if (!sqlparse_request(client, 1, SQLPARSE_POSTGRES, bytes_str(text), mono_ms()))
		out->done = true;
	while (!out->done && !sqlparse_lost(client) && mono_ms() < end) {
		struct pollfd p = { .fd = sqlparse_fd(client), .events = POLLIN | (sqlparse_wants_write(client) ? POLLOUT : 0) };

		poll(&p, 1, 20);
		if (p.revents & POLLOUT)
			sqlparse_writable(client, mono_ms());
		if (p.revents & ~POLLOUT)
			sqlparse_readable(client, mono_ms());
		sqlparse_tick(client, mono_ms());
	}
	sqlparse_client_destroy(client);
	child_signal(&child, 9);
	(void)poll(&(struct pollfd){ .fd = child.pidfd, .events = POLLIN }, 1, 1000);
	(void)child_reap(&child, mono_ms(), how);
	return true;
}

/* "person=p17,agent=spiffe://…,group=dba,group=x" as a principal. Cuts `text`. False after an error line. */
static bool principal_read(struct cli *c, char *text, struct principal *p)
{
	*p = (struct principal){ .issuer = "", .iss = "", .sub = "", .person = "", .agent = "", .run = "", .purpose = "", .acr = "", .kid = "" };
	for (char *at; (at = strsep(&text, ","));) {
		if (!*at)
			continue;
		char *value = strchr(at, '=');
		const struct {
			const char *name, **field;
		} fields[] = { { "person", &p->person }, { "agent", &p->agent }, { "issuer", &p->issuer }, { "run", &p->run }, { "purpose", &p->purpose }, { "sub", &p->sub } };
		bool known = false;

		if (value)
			*value++ = 0;
		for (unsigned i = 0; value && i < sizeof(fields) / sizeof(*fields); i++) {
			if (!strcmp(fields[i].name, at)) {
				*fields[i].field = value;
				known = true;
			}
		}
		if (value && !strcmp(at, "group") && p->groups_count < LIMIT_GROUPS) {
			p->groups[p->groups_count++] = value;
			known = true;
		}
		if (!known) {
			cli_fail(c, FRAME_USAGE, "--as %s: not known: use person, agent, issuer, group, run, purpose, sub", at);
			return false;
		}
	}
	return true;
}

static int explain(struct cli *c, struct policy_tree *tree, const struct policy_image *image, const struct principal *p, const char *text)
{
	struct verdict_request request = { .groups = policy_groups_of(tree, p), .database = bytes_str(cli_option(c, "database")), .now_s = (uint64_t)time(NULL) };
	struct parsed parsed = { 0 };
	struct classification classification;
	const char *service = cli_option(c, "service");
	int number = service ? policy_service_by_name(image, bytes_str(service)) : -1;
	char *json;

	if (number < 0)
		return cli_fail(c, FRAME_USAGE, "--service %s: not a service of this policy: see its services", service ? service : "");
	if (!parse(c, text, &parsed))
		return FRAME_REFUSED;
	request.service = (unsigned)number;
	if (parsed.known && parsed.encoded && classification_open(bytes_of(parsed.encoded, parsed.len), &classification))
		request.classification = &classification;
	policy_scan(image, bytes_str(text), &request.patterns);
	if (request.classification)
		policy_scan(image, classification.canonical, &request.patterns);
	json = policy_explain(image, &request);
	if (json) {
		json_t *document = json_loads(json, 0, NULL);

		if (request.classification)
			json_object_set_new(document, "canonical", json_stringn((const char *)classification.canonical.base, classification.canonical.len));
		else
			json_object_set_new(document, "unknown_because", json_string(parsed.why));
		if (c->json)
			print_json(json_incref(document));
		else
			print_members(document, 0);
		json_decref(document);
	}
	free(json);
	free(parsed.encoded);
	return json ? FRAME_DONE : cli_fail(c, FRAME_REFUSED, "policy explain: out of memory: free some");
}

int cli_policy_explain(struct cli *c)
{
	const char *as = cli_option(c, "as"), *text = cli_option(c, "text"), *path = cli_option(c, "policy");
	char who[2048] = "", err[512] = "";
	struct classes classes;
	struct config_report report;
	struct principal p;
	struct policy_tree *tree;
	const struct policy_image *image = NULL;
	uint8_t *blob = NULL;
	size_t len;
	int status = FRAME_USAGE;

	if (!text)
		return cli_fail(c, FRAME_USAGE, "policy explain: no command: give --text");
	snprintf(who, sizeof(who), "%s", as ? as : "");
	if (!cli_settings(c) || !principal_read(c, who, &p) || !classes_open(c, &classes))
		return FRAME_USAGE;
	path = path ? path : c->settings->policy;
	if (config_report_init(&report, path)) {
		const struct policy_detectors detectors = policy_detectors_of_set(classes.set);

		tree = policy_open(path, &detectors, &report);
		if (!tree)
			report_print(c, &report, NULL);
		else if (!policy_compile(tree, bytes_of(classes.blob, classes.len), 1, &blob, &len, err, sizeof(err)) ||
			 !(image = policy_image_open(blob, len, err, sizeof(err))))
			cli_fail(c, FRAME_REFUSED, "%s: %s: see sluice policy check", path, err);
		else
			status = explain(c, tree, image, &p, text);
		if (tree)
			policy_close(tree);
		config_report_free(&report);
	}
	free(blob);
	classes_close(&classes);
	return status;
}
