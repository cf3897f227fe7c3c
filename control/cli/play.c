/* play.c: session replay in the terminal at the recorded speed, another one, or step by step; and as one JSON document.
 *
 * All of it is taken from sluice-control first and kept in memory: whoever looks at one step for an hour keeps nobody waiting, and nothing of a
 * session's content gets to a disk here. Lines are REPLAY_TIMED of replay.h: safe for a terminal as they come. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cli/read.h"

#define SPEED_LEAST 0.01
#define SPEED_MOST 1e6

static bool take(void *ctx, json_t *frame)
{
	FILE *out = ctx;
	json_t *text = json_object_get(frame, "t");

	return !text || fwrite(json_string_value(text), 1, json_string_length(text), out) == json_string_length(text);
}

/* Until `at` seconds of the session, counted at this speed, have gone by since `start`. */
static void wait_for(const struct timespec *start, double at)
{
	struct timespec until = *start;
	time_t whole = (time_t)at;

	until.tv_sec += whole;
	until.tv_nsec += (long)((at - (double)whole) * 1e9);
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	fflush(stdout);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) != 0)
		;
}

/* False when whoever looks wants no more: q, or the end of the input. */
static bool next_wanted(void)
{
	int c, first;

	fflush(stdout);
	first = c = getchar();
	while (c != '\n' && c != EOF)
		c = getchar();
	return c != EOF && first != 'q';
}

/* One event: its time, a mark (#), sent by the client (>) or to it (<), and the text. False when it is none. */
static bool show(json_t *event)
{
	const char *dir = json_string_value(json_array_get(event, 1)), *text = json_string_value(json_array_get(event, 2));

	if (!dir || !text)
		return false;
	printf("%13.6f %s ", json_number_value(json_array_get(event, 0)), *dir == 'm' ? "#" : *dir == 'i' ? ">" : "<");
	fwrite(text, 1, json_string_length(json_array_get(event, 2)), stdout);
	putchar('\n');
	return !ferror(stdout);
}

static int play(struct cli *c, const char *text, size_t len, double speed)
{
	struct timespec start;
	const char *end;
	bool going = true, first = true;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (; going && len; len -= (size_t)(end + 1 - text), text = end + 1, first = false) {
		json_t *event;

		end = memchr(text, '\n', len);
		if (!end)
			return cli_fail(c, FRAME_UNREACHABLE, "session replay: cut off: see the log of sluice-control");
		event = json_loadb(text, (size_t)(end - text), 0, NULL);
		if (speed > 0)
			wait_for(&start, json_number_value(json_array_get(event, 0)) / speed);
		else if (!first)
			going = next_wanted();
		going = going && show(event);
		json_decref(event);
	}
	return FRAME_DONE;
}

/* All of a replay, a line an event. Takes `args`; the text is the caller's to wipe. */
static int collect(struct cli *c, json_t *args, char **text, size_t *len)
{
	FILE *all = open_memstream(text, len);
	int status = FRAME_USAGE;

	if (!all)
		status = cli_fail(c, FRAME_REFUSED, "session replay: out of memory: take a part, with --since and --until");
	else if (json_object_set_new(args, "format", json_string("timed")) == 0 && cli_token(c, args))
		status = cli_stream(c, json_incref(args), take, all);
	json_decref(args);
	if (all && fclose(all) != 0 && status == FRAME_DONE)
		status = cli_fail(c, FRAME_REFUSED, "session replay: out of memory: take a part, with --since and --until");
	return status;
}

static void forget(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

int read_play(struct cli *c, json_t *args)
{
	const char *given = cli_option(c, "speed");
	char *text = NULL, *end = NULL;
	double speed = given ? strtod(given, &end) : 0;
	size_t len = 0;
	int status = FRAME_USAGE;

	if (given && (cli_option(c, "step") || !*given || *end || !(speed >= SPEED_LEAST && speed <= SPEED_MOST))) {
		cli_fail(c, FRAME_USAGE, "session replay: --speed %s: not a speed: give 1 for the recorded one, 10 for ten times that; or --step alone", given);
		json_decref(args);
	} else if (c->json || cli_option(c, "asciicast")) {
		cli_fail(c, FRAME_USAGE, "session replay: --speed and --step are for a terminal: leave --json and --asciicast out");
		json_decref(args);
	} else {
		status = collect(c, args, &text, &len);
	}
	if (status == FRAME_DONE)
		status = play(c, text, len, speed);
	forget(text, len);
	return status;
}

/* [seconds, "m" | "i" | "o", text] as an object. NULL: it is none. */
static json_t *event_json(const char *line, size_t len)
{
	json_t *event = json_loadb(line, len, 0, NULL), *text = json_array_get(event, 2), *out = NULL;
	const char *dir = json_string_value(json_array_get(event, 1));

	if (dir && text)
		out = json_pack("{s:O, s:s, s:O}", "at", json_array_get(event, 0), "dir", *dir == 'm' ? "mark" : *dir == 'i' ? "in" : "out", "text", text);
	json_decref(event);
	return out;
}

int read_replay_json(struct cli *c, json_t *args, const char *session)
{
	json_t *events = json_array();
	char *text = NULL;
	size_t len = 0;
	int status = collect(c, args, &text, &len);

	for (const char *at = text, *end; status == FRAME_DONE && at < text + len; at = end + 1) {
		end = memchr(at, '\n', len - (size_t)(at - text));
		if (!end || json_array_append_new(events, event_json(at, (size_t)(end - at))) != 0) {
			status = cli_fail(c, FRAME_UNREACHABLE, "session replay: cut off: see the log of sluice-control");
			break;
		}
	}
	if (status == FRAME_DONE)
		print_json(json_pack("{s:s, s:O}", "session", session, "events", events));
	json_decref(events);
	forget(text, len);
	return status;
}
