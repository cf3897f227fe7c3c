/* node_anchor.c: what the anchors have in common: their start, their questions, their alarms (node_anchor.h). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/journal/tiles.h"
#include "control/node_anchor.h"
#include "platform/os/log.h"

bool node_anchors_read(struct node *n, char err[OS_ERROR_BYTES])
{
	n->anchors = calloc(1, sizeof(*n->anchors));
	if (!n->anchors) {
		snprintf(err, OS_ERROR_BYTES, "out of memory");
		return false;
	}
	return stamp_read(n, err) && witnesses_read(n, err);
}

void node_anchors_begin(struct node *n)
{
	stamp_begin(n);
	witnesses_begin(n);
}

void node_anchors_policy(struct node *n)
{
	if (n->anchors && n->journal && n->tree)
		witnesses_policy(n);
}

void node_anchors_close(struct node *n)
{
	if (!n->anchors)
		return;
	timestamp_authority_destroy(n->anchors->authority);
	free(n->anchors->roots);
	free(n->anchors);
	n->anchors = NULL;
}

void anchor_trust_write(struct node *n, const char *name, struct bytes text)
{
	char dir[320];
	char file[120];
	int code;

	snprintf(dir, sizeof(dir), "%.240s/journal", n->settings->state_dir);
	snprintf(file, sizeof(file), "trust/%.100s", name);
	code = tiles_write_file(dir, file, text);
	if (code)
		log_warn("%s/%s: %s: bundles cannot carry it: check the directory", dir, file, strerror(code));
}

/* --- questions ----------------------------------------------------------------------------------------------------------- */

uint64_t anchor_question(struct node *n, struct anchor *a, uint64_t size)
{
	anchor_asked(&a->watch, size, n->now.mono_us);
	a->id = ANCHOR_ID + ++n->anchors->questions;
	return a->id;
}

static void alarm_look(struct node *n, struct anchor *a)
{
	bool changed = anchor_alarm_changed(&a->watch, n->now.mono_us);
	char since[24];
	const char *const pairs[] = { "alarm", a->alarm, "anchored_size", since, "detail", a->why, "state", a->watch.alarm ? "lost" : "back", NULL };

	if (!changed)
		return;
	snprintf(since, sizeof(since), "%llu", (unsigned long long)a->watch.anchored_size);
	node_record(n, "journal.alarm", (struct bytes){ 0 }, pairs);
	if (a->watch.alarm)
		log_warn("%s: no answer that counts for 15 minutes: %s: records from %s on are not anchored", a->alarm, a->why, since);
	else
		log_info("%s: answers again", a->alarm);
}

void anchor_failed(struct node *n, struct anchor *a, const char *format, ...)
{
	bool news = !a->watch.failing_us;
	va_list args;

	va_start(args, format);
	vsnprintf(a->why, sizeof(a->why), format, args);
	va_end(args);
	a->id = 0;
	anchor_answered(&a->watch, false, n->now.mono_us);
	if (news)
		log_warn("%s: %s: asking again", a->alarm, a->why);
	alarm_look(n, a);
}

void anchor_done(struct node *n, struct anchor *a)
{
	if (a->why[0])
		log_info("%s: the checkpoint of %llu records is anchored", a->alarm, (unsigned long long)a->watch.asked_size);
	a->id = 0;
	a->why[0] = 0;
	anchor_answered(&a->watch, true, n->now.mono_us);
	alarm_look(n, a);
}

void node_anchors_tick(struct node *n)
{
	struct journal_state state;

	journal_state(n->journal, &state);
	if (state.stopped)
		return;
	stamp_tick(n, &state);
	witnesses_tick(n, &state);
}

bool node_anchor_answer(struct node *n, const struct egress_answer *answer)
{
	if (answer->id < ANCHOR_ID)
		return false;
	if (n->anchors && answer->id == n->anchors->stamp.id)
		stamp_answer(n, answer);
	else if (n->anchors)
		(void)witnesses_answer(n, answer);
	return true;
}

bool node_anchors_fork(const struct node *n)
{
	return n->anchors && n->anchors->fork;
}
