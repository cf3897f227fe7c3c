/* sluice: the operator's command. Finds the verb, checks what was given against its row, runs it. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"
#include "platform/os/settings.h"

const char *cli_option(const struct cli *c, const char *name)
{
	for (unsigned i = 0; i < c->options; i++) {
		if (!strcmp(c->option[i].name, name))
			return c->option[i].value;
	}
	return NULL;
}

int cli_fail(const struct cli *c, enum frame_status status, const char *format, ...)
{
	static const char *const ids[] = { "done", "refused", "usage", "not_permitted", "unreachable", "pending" };
	char text[8192];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (c->quiet)
		return (int)status;
	if (c->json) {
		const char *last = strrchr(text, ':');
		json_t *e = json_pack("{s:s, s:s, s:s}", "error", text, "id", status <= FRAME_PENDING ? ids[status] : "error", "hint", last ? last + 2 : "");

		json_dumpf(e, stderr, JSON_COMPACT);
		json_decref(e);
	} else {
		fputs("sluice: ", stderr);
		print_text(stderr, text, strlen(text), 0);
	}
	fputc('\n', stderr);
	return (int)status;
}

struct settings *cli_settings(struct cli *c)
{
	char why[8192];

	if (!c->settings && !(c->settings = settings_open(c->config, why, sizeof(why))))
		cli_fail(c, FRAME_USAGE, "%s", why);
	return c->settings;
}

const char *cli_journal_dir(struct cli *c, char out[320])
{
	const char *given = cli_option(c, "dir");

	if (given)
		snprintf(out, 320, "%s", given);
	else if (!cli_settings(c))
		return NULL;
	else
		snprintf(out, 320, "%s/journal", c->settings->state_dir);
	return out;
}

/* The verb's own list of options: 0 unknown, 1 a switch, 2 takes a value. */
static int option_kind(const struct cli_verb *v, const char *name, size_t len)
{
	for (const char *at = v->options; *at;) {
		size_t word = strcspn(at, " "), bare = word && at[word - 1] == '=' ? word - 1 : word;

		if (bare == len && !strncmp(at, name, len))
			return bare == word ? 1 : 2;
		at += word;
		at += strspn(at, " ");
	}
	return 0;
}

static const struct cli_verb *verb_find(const char *object, const char *name, bool *object_known)
{
	*object_known = false;
	for (unsigned i = 0; i < cli_verbs_count; i++) {
		if (strcmp(cli_verbs[i].object, object))
			continue;
		*object_known = true;
		if (!cli_verbs[i].name[0] || (name && !strcmp(cli_verbs[i].name, name)))
			return &cli_verbs[i];
	}
	return NULL;
}

/* Options that every verb has. The number of words used, 0: not one of them. */
static int common_option(struct cli *c, char **word)
{
	if (!strcmp(word[0], "--json")) {
		c->json = true;
		return 1;
	}
	if ((!strcmp(word[0], "-c") || !strcmp(word[0], "--config")) && word[1]) {
		c->config = word[1];
		return 2;
	}
	if (!strncmp(word[0], "--config=", 9)) {
		c->config = word[0] + 9;
		return 1;
	}
	if (!strcmp(word[0], "--help") || !strcmp(word[0], "-h")) {
		if (c->verb)
			cli_help(stdout, c->verb);
		else
			cli_usage(stdout);
		exit(FRAME_DONE);
	}
	return 0;
}

/* One word of a verb's arguments. The number of words used, 0 after an error line. */
static int argument(struct cli *c, char **word)
{
	const char *name = word[0] + 2, *equals = strchr(word[0], '=');
	size_t len = equals ? (size_t)(equals - name) : strlen(name);
	int kind;

	if (word[0][0] != '-' || !strcmp(word[0], "-")) {
		if (c->positionals == CLI_POSITIONALS || !c->verb->arguments[0] || (c->positionals >= 1)) {
			cli_fail(c, FRAME_USAGE, "%s: one argument too many: see sluice %s %s --help", word[0], c->verb->object, c->verb->name);
			return 0;
		}
		c->positional[c->positionals++] = word[0];
		return 1;
	}
	kind = !strncmp(word[0], "--", 2) ? option_kind(c->verb, name, len) : 0;
	if (kind == 0 || (kind == 1 && equals) || (kind == 2 && !equals && !word[1]) || c->options == CLI_OPTIONS) {
		cli_fail(c, FRAME_USAGE, "%s: no such option, or its value is missing: see sluice %s %s --help", word[0], c->verb->object, c->verb->name);
		return 0;
	}
	c->option[c->options].name = strndup(name, len);
	c->option[c->options++].value = kind == 1 ? "" : equals ? equals + 1 : word[1];
	return kind == 2 && !equals ? 2 : 1;
}

static int special(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))) {
		puts("sluice " SLUICE_VERSION);
		return FRAME_DONE;
	}
	if (argc == 2 && !strcmp(argv[1], "--man")) {
		cli_man(stdout);
		return FRAME_DONE;
	}
	if (argc == 2 && !strcmp(argv[1], "--completion")) {
		cli_completion(stdout);
		return FRAME_DONE;
	}
	return -1;
}

/* -c, --json and the like in front of the verb; then the verb. False after an error line, with the status. */
static bool verb_take(struct cli *c, char ***word, int *status)
{
	bool known = false;

	while (**word && (**word)[0] == '-') {
		int used = common_option(c, *word);

		if (!used) {
			*status = cli_fail(c, FRAME_USAGE, "%s: no such option: see sluice --help", **word);
			return false;
		}
		*word += used;
	}
	if (!**word) {
		cli_usage(stderr);
		*status = FRAME_USAGE;
		return false;
	}
	if (!strcmp(**word, "help")) {
		cli_usage(stdout);
		*status = FRAME_DONE;
		return false;
	}
	c->verb = verb_find((*word)[0], (*word)[1], &known);
	if (!c->verb) {
		*status = known && (*word)[1] && !strcmp((*word)[1], "--help") ? FRAME_DONE : FRAME_USAGE;
		if (*status == FRAME_DONE)
			cli_usage(stdout);
		else
			cli_fail(c, FRAME_USAGE, "%s%s%s: no such command: see sluice --help", **word, (*word)[1] ? " " : "", (*word)[1] ? (*word)[1] : "");
		return false;
	}
	*word += c->verb->name[0] ? 2 : 1;
	return true;
}

int main(int argc, char **argv)
{
	struct cli c = { .config = CLI_CONFIG };
	char **word = argv + 1;
	int status = special(argc, argv);

	if (status >= 0)
		return status;
	if (!verb_take(&c, &word, &status))
		return status;
	while (*word) {
		int used = common_option(&c, word);

		if (!used)
			used = argument(&c, word);
		if (!used)
			return FRAME_USAGE;
		word += used;
	}
	if (c.verb->arguments[0] && c.verb->arguments[0] != '[' && !c.positionals)
		return cli_fail(&c, FRAME_USAGE, "%s %s: %s is missing: see sluice %s %s --help", c.verb->object, c.verb->name, c.verb->arguments,
				c.verb->object, c.verb->name);
	status = c.verb->run(&c);
	settings_close(c.settings);
	for (unsigned i = 0; i < c.options; i++)
		free((char *)c.option[i].name);
	if (fflush(stdout) != 0 && status == FRAME_DONE)
		status = FRAME_REFUSED;
	return status;
}
