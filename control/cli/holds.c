/* holds.c: `sluice journal hold add|list|release`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/cli.h"

/* A record's index as an option; false after an error line. Absent: left out. */
static bool put_index(struct cli *c, json_t *args, const char *name)
{
	const char *text = cli_option(c, name);
	char *end = NULL;
	unsigned long long value;

	if (!text)
		return true;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno || value > INT64_MAX) {
		cli_fail(c, FRAME_USAGE, "--%s: %s is no index of a record: give a number", name, text);
		return false;
	}
	json_object_set_new(args, name, json_integer((json_int_t)value));
	return true;
}

static int ask(struct cli *c, const char *verb, json_t *args, bool table)
{
	static const struct print_column columns[] = {
		{ "hold", "hold", 10 }, { "matter", "matter", 20 }, { "session", "session", 32 }, { "person", "person", 14 }, { "agent", "agent", 14 },
		{ "since", "since", 19 }, { "until", "until", 19 }, { "from", "from", 10 }, { "to", "to", 10 }, { "first", "first", 10 },
		{ "compared", "compared", 10 }, { "reason", "reason", 40 },
	};
	json_t *result;
	int status;

	if (!cli_token(c, args)) {
		json_decref(args);
		return FRAME_USAGE;
	}
	result = cli_ask(c, verb, args, &status);
	if (!result)
		return status;
	if (c->json) {
		print_json(result);
		return FRAME_DONE;
	}
	if (table)
		print_table(json_object_get(result, "holds"), columns, sizeof(columns) / sizeof(*columns));
	else
		print_members(result, 0);
	json_decref(result);
	return FRAME_DONE;
}

static int add(struct cli *c)
{
	static const char *const texts[] = { "matter", "reason", "session", "person", "agent", "since", "until" };
	json_t *args = json_object();

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (cli_option(c, texts[i]))
			json_object_set_new(args, texts[i], json_string(cli_option(c, texts[i])));
	if (put_index(c, args, "from") && put_index(c, args, "to"))
		return ask(c, "journal hold add", args, false);
	json_decref(args);
	return FRAME_USAGE;
}

static int release(struct cli *c)
{
	json_t *args = json_object();

	if (!cli_option(c, "reason"))
		cli_fail(c, FRAME_USAGE, "journal hold release: no reason: give --reason");
	else if (!cli_option(c, "hold"))
		cli_fail(c, FRAME_USAGE, "journal hold release: no hold: give --hold, the number that sluice journal hold list shows");
	else if (put_index(c, args, "hold")) {
		json_object_set_new(args, "reason", json_string(cli_option(c, "reason")));
		return ask(c, "journal hold release", args, false);
	}
	json_decref(args);
	return FRAME_USAGE;
}

int cli_journal_hold(struct cli *c)
{
	const char *action = c->positional[0];

	if (!strcmp(action, "add"))
		return add(c);
	if (!strcmp(action, "list"))
		return ask(c, "journal hold list", json_object(), true);
	if (!strcmp(action, "release"))
		return release(c);
	return cli_fail(c, FRAME_USAGE, "journal hold: %s is none of add, list and release: see sluice journal hold --help", action);
}
