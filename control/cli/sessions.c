/* sessions.c: the verbs that look for sessions in the journal and into them: session list, show, grep, replay. */
#include <string.h>

#include "control/cli/read.h"
#include "control/export/session_list.h"

#define LIMIT_DEFAULT 100

static const char *text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

bool read_session_id(struct cli *c, char out[33], int *status)
{
	const char *given = c->positional[0];
	json_t *list, *s;
	size_t i;
	unsigned found = 0;

	*status = FRAME_USAGE;
	if (strspn(given, "0123456789abcdef") != strlen(given) || strlen(given) > 32 || strlen(given) < 4) {
		cli_fail(c, FRAME_USAGE, "%s: not a session: give its id, or at least 4 digits of it", given);
		return false;
	}
	snprintf(out, 33, "%s", given);
	if (strlen(given) == 32)
		return true;
	if (cli_option(c, "dir")) {
		cli_fail(c, FRAME_USAGE, "%s: a beginning: give all 32 digits for a copy", given);
		return false;
	}
	list = cli_ask(c, "session list", NULL, status);
	if (!list)
		return false;
	json_array_foreach(json_object_get(list, "sessions"), i, s) {
		if (!strncmp(text_of(s, "id"), given, strlen(given))) {
			found++;
			snprintf(out, 33, "%s", text_of(s, "id"));
		}
	}
	json_decref(list);
	if (found != 1)
		*status = cli_fail(c, FRAME_REFUSED, "session %s: %s: give more digits, or all 32", given, found ? "more than one begins so" : "not known");
	return found == 1;
}

/* --- list ---------------------------------------------------------------------------------------------------------------- */

struct listing {
	struct cli *c;
	json_t *rows;
	uint64_t next;
};

/* Takes `session` over. */
static bool take_session(void *ctx, json_t *session)
{
	struct listing *l = ctx;

	if (session && !(cli_option(l->c, "open") && json_object_get(session, "closed")))
		json_array_append(l->rows, session);
	json_decref(session);
	return true;
}

static bool take_frame(void *ctx, json_t *frame)
{
	struct listing *l = ctx;

	read_page(frame, &l->next);
	return take_session(l, json_incref(json_object_get(frame, "s")));
}

static int list_copy(struct listing *l, const struct archive_filter *filter, uint64_t limit)
{
	struct archive *a = read_copy(l->c, cli_option(l->c, "dir"));
	char err[EXPORT_ERROR_BYTES];
	bool good;

	if (!a)
		return FRAME_REFUSED;
	good = session_list(a, filter, limit, take_session, l, &l->next, err);
	archive_close(a);
	return good ? FRAME_DONE : cli_fail(l->c, FRAME_REFUSED, "journal: %s: run sluice journal verify", err);
}

static bool asks_the_journal(const struct cli *c)
{
	for (unsigned i = 0; i < c->options; i++)
		if (strcmp(c->option[i].name, "open") != 0)
			return true;
	return false;
}

int cli_session_list(struct cli *c)
{
	static const struct print_column columns[] = {
		{ "session", "id", 32 }, { "opened", "opened", 27 }, { "closed", "closed", 27 }, { "service", "service", 12 }, { "person", "person", 16 },
		{ "agent", "agent", 16 }, { "run", "run", 16 }, { "target", "target", 24 }, { "database", "database", 12 }, { "cause", "cause", 12 },
	};
	struct listing l = { .c = c };
	struct archive_filter filter = { 0 };
	json_t *args = NULL;
	uint64_t limit;
	int status = FRAME_USAGE;

	if (!asks_the_journal(c))
		return cli_session_live(c);
	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	limit = limit ? limit : LIMIT_DEFAULT;
	l.rows = json_array();
	if (cli_option(c, "dir"))
		status = list_copy(&l, &filter, limit);
	else if (cli_token(c, args = read_arguments("sessions", &filter, limit)))
		status = cli_stream(c, json_incref(args), take_frame, &l);
	json_decref(args);
	if (status == FRAME_DONE && c->json) {
		json_t *document = json_pack("{s:O}", "sessions", l.rows);

		read_more(c, document, l.next);
		print_json(document);
	} else if (status == FRAME_DONE) {
		print_table(l.rows, columns, sizeof(columns) / sizeof(*columns));
		read_more(c, NULL, l.next);
	}
	json_decref(l.rows);
	return status;
}

/* --- records of sessions ------------------------------------------------------------------------------------------------- */

int cli_session_show(struct cli *c)
{
	struct archive_filter filter = { 0 };
	uint64_t limit;
	char id[33];
	int status;

	if (!read_session_id(c, id, &status))
		return status;
	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	filter.session = id;
	return read_records(c, "session", &filter, limit, id);
}

int cli_session_grep(struct cli *c)
{
	struct archive_filter filter = { 0 };
	uint64_t limit;

	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	filter.text = c->positional[0];
	filter.in_session = true;
	return read_records(c, "grep", &filter, limit, NULL);
}

/* A transcript is safe for a terminal as it comes (replay.h). */
int cli_session_replay(struct cli *c)
{
	struct archive_filter filter = { 0 };
	uint64_t limit;
	json_t *args;
	char id[33];
	int status;

	if (!read_session_id(c, id, &status))
		return status;
	if (!read_filter(c, &filter, &limit))
		return FRAME_USAGE;
	filter.session = id;
	if (cli_option(c, "keys") && !cli_option(c, "token-file"))
		return cli_fail(c, FRAME_USAGE, "session replay: --keys: is for who asked: give --token-file");
	args = read_arguments("replay", &filter, 0);
	if (cli_option(c, "keys"))
		json_object_set_new(args, "keys", json_string(cli_option(c, "keys")));
	if (cli_option(c, "speed") || cli_option(c, "step"))
		return read_play(c, args);
	if (c->json && !cli_option(c, "asciicast"))
		return read_replay_json(c, args, id);
	json_object_set_new(args, "asciicast", json_boolean(cli_option(c, "asciicast") != NULL));
	return read_from_control(c, args);
}
