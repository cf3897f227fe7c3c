/* ask.c: the verbs that are one question to sluice-control: show, session list and kill, approval, identity, key, policy reload. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/cli/read.h"
#include "platform/base/limits.h"
#include "platform/base/secret.h"

int cli_ask_and_print(struct cli *c, const char *verb, json_t *args, void (*text)(json_t *result))
{
	int status;
	json_t *result = cli_ask(c, verb, args, &status);

	if (!result)
		return status;
	if (c->json) {
		print_json(result);
		return FRAME_DONE;
	}
	text(result);
	json_decref(result);
	return FRAME_DONE;
}

/* With the token, when there is one. `args` is taken. */
static int viewed(struct cli *c, const char *verb, json_t *args, void (*text)(json_t *result))
{
	if (cli_token(c, args))
		return cli_ask_and_print(c, verb, args, text);
	json_decref(args);
	return FRAME_USAGE;
}

void cli_members_text(json_t *result)
{
	print_members(result, 0);
}

/* --- show ---------------------------------------------------------------------------------------------------------------- */

int cli_show_health(struct cli *c)
{
	int status;
	json_t *result = cli_ask(c, "show health", NULL, &status);
	const char *state = json_string_value(json_object_get(result, "state"));

	if (!result)
		return status;
	status = state && !strcmp(state, "blocking") ? FRAME_REFUSED : FRAME_DONE;
	if (c->json) {
		print_json(result);
		return status;
	}
	print_members(result, 0);
	json_decref(result);
	return status;
}

static void journal_text(json_t *result)
{
	print_members(json_object_get(result, "journal"), 0);
}

int cli_show_journal(struct cli *c)
{
	return cli_ask_and_print(c, "show journal", NULL, journal_text);
}

static void policy_text(json_t *result)
{
	print_members(json_object_get(result, "policy"), 0);
	printf("services_by_audit:\n");
	print_members(json_object_get(result, "services_by_audit"), 2);
}

int cli_show_policy(struct cli *c)
{
	return cli_ask_and_print(c, "show policy", NULL, policy_text);
}

int cli_policy_reload(struct cli *c)
{
	return cli_ask_and_print(c, "policy reload", NULL, cli_members_text);
}

static void version_text(json_t *result)
{
	printf("sluice %s\nsluice-control %s on node %s\n", SLUICE_VERSION, json_string_value(json_object_get(result, "version")),
	       json_string_value(json_object_get(result, "node")));
}

int cli_show_version(struct cli *c)
{
	return cli_ask_and_print(c, "show version", NULL, version_text);
}

static void drops_text(json_t *result)
{
	static const struct print_column columns[] = { { "drop", "drop", 22 }, { "frames", "frames", 14 }, { "reason", "reason", 80 } };

	print_table(json_object_get(result, "drops"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_show_drops(struct cli *c)
{
	return cli_ask_and_print(c, "show drops", NULL, drops_text);
}

static void ports_text(json_t *result)
{
	static const struct print_column columns[] = {
		{ "port", "port", 4 }, { "faces", "faces", 8 }, { "device", "device", 32 }, { "driver", "driver", 15 }, { "link", "link", 4 }, { "queues", "queues", 6 }, { "received", "received", 12 },
		{ "sent", "sent", 12 }, { "full", "dropped_full", 8 }, { "missed", "device_missed", 8 }, { "errors", "device_errors_in", 8 },
		{ "offloads", "offloads", 44 },
	};

	print_table(json_object_get(result, "ports"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_show_ports(struct cli *c)
{
	return cli_ask_and_print(c, "show ports", NULL, ports_text);
}

static void flows_text(json_t *result)
{
	static const struct print_column columns[] = {
		{ "flow", "flow", 16 }, { "worker", "worker", 6 }, { "service", "service", 12 }, { "client", "client", 24 }, { "target", "target", 24 }, { "up", "octets_up", 12 },
		{ "down", "octets_down", 12 }, { "commands", "commands", 8 }, { "ended", "ended", 8 }, { "state", "state", 80 },
	};

	print_table(json_object_get(result, "flows"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_show_flows(struct cli *c)
{
	return cli_ask_and_print(c, "show flows", json_pack("{s:b}", "abnormal", cli_option(c, "abnormal") != NULL), flows_text);
}

static void flow_text(json_t *result)
{
	static const struct print_column columns[] = { { "ms", "ms", 14 }, { "what", "what", 200 } };
	json_t *trace = json_incref(json_object_get(result, "trace"));

	json_object_del(result, "trace");
	print_members(result, 0);
	putchar('\n');
	print_table(trace, columns, sizeof(columns) / sizeof(*columns));
	json_decref(trace);
}

int cli_show_flow(struct cli *c)
{
	return cli_ask_and_print(c, "show flow", json_pack("{s:s}", "id", c->positional[0]), flow_text);
}

static void workers_text(json_t *result)
{
	static const struct print_column columns[] = {
		{ "worker", "worker", 6 }, { "alive", "alive", 5 }, { "age ms", "heartbeat_age_ms", 7 }, { "flows", "flows_open", 8 }, { "of", "flows_max", 8 },
		{ "probe", "probe_longest", 5 }, { "commands", "commands", 10 }, { "blocked", "blocked", 8 }, { "held", "held", 6 },
		{ "handed on", "handed_on", 9 }, { "over", "handed_over", 9 }, { "backlog", "backlog_bytes", 10 }, { "bad", "bad_messages", 5 }, { "broken", "ring_broken", 6 }, { "last tick", "last_tick", 27 },
	};

	print_table(json_object_get(result, "workers"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_show_workers(struct cli *c)
{
	return cli_ask_and_print(c, "show workers", NULL, workers_text);
}

/* --- sessions ------------------------------------------------------------------------------------------------------------ */

static void sessions_text(json_t *result)
{
	static const struct print_column columns[] = {
		{ "session", "id", 32 }, { "state", "state", 9 }, { "service", "service", 12 }, { "person", "person", 14 }, { "agent", "agent", 20 },
		{ "client", "client", 21 }, { "commands", "commands", 8 }, { "blocked", "blocked", 7 }, { "held", "held", 4 }, { "opened", "opened", 27 },
	};

	print_table(json_object_get(result, "sessions"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_session_live(struct cli *c)
{
	return cli_ask_and_print(c, "session list", json_pack("{s:b}", "open", cli_option(c, "open") != NULL), sessions_text);
}

int cli_show_sessions(struct cli *c)
{
	return cli_ask_and_print(c, "session list", json_pack("{s:b}", "open", 1), sessions_text);
}

int cli_session_kill(struct cli *c)
{
	const char *reason = cli_option(c, "reason");

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "session kill: no reason: give --reason");
	return cli_ask_and_print(c, "session kill", json_pack("{s:s, s:s}", "id", c->positional[0], "reason", reason), cli_members_text);
}

int cli_journal_erase(struct cli *c)
{
	const char *reason = cli_option(c, "reason");

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "journal erase: no reason: give --reason");
	return viewed(c, "journal erase", json_pack("{s:s, s:s}", "session", c->positional[0], "reason", reason), cli_members_text);
}

int cli_journal_prune(struct cli *c)
{
	const char *reason = cli_option(c, "reason");

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "journal prune: no reason: give --reason");
	return viewed(c, "journal prune", json_pack("{s:s}", "reason", reason), cli_members_text);
}

int cli_journal_disclose(struct cli *c)
{
	const char *purpose = cli_option(c, "purpose"), *sessions = cli_option(c, "sessions");
	uint64_t from = 0, to = 0;
	json_t *args;

	if (!purpose)
		return cli_fail(c, FRAME_USAGE, "journal disclose: no purpose: give --purpose");
	if (!read_number_option(c, "from", &from) || !read_number_option(c, "to", &to))
		return FRAME_USAGE;
	args = json_pack("{s:s, s:I, s:I}", "reason", purpose, "from", (json_int_t)from, "to", (json_int_t)to);
	if (sessions)
		json_object_set_new(args, "sessions", json_string(sessions));
	return viewed(c, "journal disclose", args, cli_members_text);
}

int cli_journal_rotate_key(struct cli *c)
{
	const char *reason = cli_option(c, "reason");

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "journal rotate-key: no reason: give --reason");
	return viewed(c, "journal rotate-key", json_pack("{s:s}", "reason", reason), cli_members_text);
}

/* --- approvals ----------------------------------------------------------------------------------------------------------- */

static void approvals_text(json_t *result)
{
	static const struct print_column columns[] = {
		{ "approval", "id", 26 }, { "state", "state", 10 }, { "left s", "seconds_left", 6 }, { "service", "service", 12 }, { "person", "person", 14 },
		{ "agent", "agent", 16 }, { "approvers", "approvers", 16 }, { "command", "command", 80 },
	};

	print_table(json_object_get(result, "approvals"), columns, sizeof(columns) / sizeof(*columns));
}

int cli_approval_list(struct cli *c)
{
	return viewed(c, "approval list", json_pack("{s:b}", "all", cli_option(c, "all") != NULL), approvals_text);
}

int cli_show_approvals(struct cli *c)
{
	return viewed(c, "approval list", json_object(), approvals_text);
}

/* What people decide on: the command in full, unlike in the list, and nothing rendered. */
static void approval_text(json_t *result)
{
	json_t *statement = json_object_get(result, "statement"), *command = json_object_get(result, "command");

	if (json_object_get(result, "sealed")) {
		print_members(result, 0);
		return;
	}
	json_object_del(result, "statement_jcs");
	json_incref(statement);
	json_incref(command);
	json_object_del(result, "statement");
	json_object_del(result, "command");
	print_members(result, 0);
	if (json_is_true(json_object_get(json_object_get(statement, "params"), "free")))
		fputs("\n*** the values are NOT part of what is approved: the rule leaves them free ***\n", stdout);
	fputs("\ncommand, every character of it\n", stdout);
	if (json_is_string(command))
		print_exact(stdout, json_string_value(command), json_string_length(command));
	else
		fputs("  (not text: see `statement` with --json)\n", stdout);
	fputs("\nstatement\n", stdout);
	json_object_del(json_object_get(statement, "cmd"), "norm"); /* shown above, whole */
	print_members(statement, 2);
	json_decref(statement);
	json_decref(command);
}

int cli_approval_show(struct cli *c)
{
	return viewed(c, "approval show", json_pack("{s:s}", "id", c->positional[0]), approval_text);
}

/* A token from a file of its own; never an argument, never in the environment. False after an error line. */
static bool token_read(struct cli *c, char *token, size_t size)
{
	const char *path = cli_option(c, "token-file");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t len;

	if (!path) {
		cli_fail(c, FRAME_USAGE, "%s %s: no token: give --token-file", c->verb->object, c->verb->name);
		return false;
	}
	len = fd >= 0 ? read(fd, token, size - 1) : -1;
	if (len <= 0)
		cli_fail(c, FRAME_USAGE, "%s: %s: give a file with a token in it", path, len < 0 ? strerror(errno) : "empty");
	if (fd >= 0)
		close(fd);
	if (len <= 0)
		return false;
	while (len > 0 && strchr(" \t\r\n", token[len - 1]))
		len--;
	token[len] = 0;
	return true;
}

bool cli_token(struct cli *c, json_t *args)
{
	char token[LIMIT_TOKEN_BYTES + 8];
	bool good = !cli_option(c, "token-file") || token_read(c, token, sizeof(token));

	if (good && cli_option(c, "token-file"))
		json_object_set_new(args, "token", json_string(token));
	secret_wipe(token, sizeof(token));
	return good;
}

static json_t *with_token(struct cli *c)
{
	char token[LIMIT_TOKEN_BYTES + 8];
	json_t *args = token_read(c, token, sizeof(token)) ? json_pack("{s:s}", "token", token) : NULL;

	secret_wipe(token, sizeof(token));
	return args;
}

static void vote_text(json_t *result)
{
	const char *text = json_string_value(json_object_get(result, "text"));

	if (text)
		print_text(stdout, text, strlen(text), 0);
	putchar('\n');
}

static int vote(struct cli *c, bool approve)
{
	const char *reason = cli_option(c, "reason");
	json_t *args;

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "approval %s: no reason: give --reason", c->verb->name);
	args = with_token(c);
	if (!args)
		return FRAME_USAGE;
	json_object_set_new(args, "id", json_string(c->positional[0]));
	json_object_set_new(args, "reason", json_string(reason));
	json_object_set_new(args, "approve", json_boolean(approve));
	return cli_ask_and_print(c, "approval vote", args, vote_text);
}

int cli_approval_approve(struct cli *c)
{
	return vote(c, true);
}

int cli_approval_deny(struct cli *c)
{
	return vote(c, false);
}

int cli_approval_revoke(struct cli *c)
{
	const char *reason = cli_option(c, "reason");

	if (!reason)
		return cli_fail(c, FRAME_USAGE, "approval revoke: no reason: give --reason");
	return viewed(c, "approval revoke", json_pack("{s:s, s:s}", "id", c->positional[0], "reason", reason), vote_text);
}

/* --- identity, key ------------------------------------------------------------------------------------------------------- */

int cli_identity_test(struct cli *c)
{
	json_t *args = with_token(c), *result;
	int status;

	if (!args)
		return FRAME_USAGE;
	result = cli_ask(c, "identity test", args, &status);
	if (!result)
		return status;
	status = json_is_true(json_object_get(result, "accepted")) ? FRAME_DONE : FRAME_REFUSED;
	if (c->json) {
		print_json(result);
		return status;
	}
	print_members(result, 0);
	json_decref(result);
	return status;
}

int cli_key_show_fingerprints(struct cli *c)
{
	return cli_ask_and_print(c, "key show-fingerprints", NULL, cli_members_text);
}
