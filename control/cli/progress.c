#include "control/cli/progress.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TERMINAL_MS 500
#define LINES_MS 10000

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void progress_begin(struct progress *p, bool asked)
{
	const struct sigaction once = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
	const int numbers[] = { SIGINT, SIGTERM, SIGHUP };

	*p = (struct progress){ .terminal = isatty(STDERR_FILENO) == 1, .lines = asked };
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sigaction old;

		/* What nohup and the like ignore stays ignored. */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			(void)sigaction(numbers[i], &once, NULL);
	}
}

bool progress_interrupted(void)
{
	return interrupted != 0;
}

/* "3 min" or "12 s" */
static void left_text(int64_t seconds, char out[32])
{
	if (seconds >= 120)
		snprintf(out, 32, "%" PRId64 " min", (seconds + 30) / 60);
	else
		snprintf(out, 32, "%" PRId64 " s", seconds);
}

static void show(struct progress *p, const struct export_progress *at, int64_t now)
{
	double seconds = (double)(now - p->began_ms) / 1000, rate = seconds > 0 ? (double)(at->done - p->begun) / seconds : 0;
	char left[32] = "";

	if (rate >= 1)
		left_text((int64_t)((double)(at->total - at->done) / rate), left);
	fprintf(stderr, "%s%" PRIu64 " of %" PRIu64 " records looked at, %" PRIu64 " in the bundle, %.0f a second%s%s%s", p->terminal ? "\r" : "", at->done, at->total,
		at->records, rate, *left ? ", " : "", left, *left ? " left" : "");
	fputs(p->terminal ? "\033[K" : "\n", stderr);
	fflush(stderr);
	p->shown = p->terminal;
}

bool progress_told(void *ctx, const struct export_progress *at)
{
	struct progress *p = ctx;
	int64_t now = now_ms();

	/* It is looked whether there are many first: then the same range begins anew. */
	if (p->began_ms == 0 || at->done < p->last) {
		p->began_ms = p->told_ms = now;
		p->begun = at->done;
	}
	p->last = at->done;
	if ((p->terminal || p->lines) && at->done <= at->total && now - p->told_ms >= (p->terminal ? TERMINAL_MS : LINES_MS)) {
		show(p, at, now);
		p->told_ms = now;
	}
	return !interrupted;
}

bool progress_frame(struct progress *p, json_t *frame)
{
	const json_t *said = json_object_get(frame, "progress");
	struct export_progress at = { .records = (uint64_t)json_integer_value(json_array_get(said, 0)), .done = (uint64_t)json_integer_value(json_array_get(said, 1)),
				      .total = (uint64_t)json_integer_value(json_array_get(said, 2)) };

	return json_array_size(said) == 3 ? progress_told(p, &at) : !interrupted;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
