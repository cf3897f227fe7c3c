/* operator_anchor.c: show journal's part about time stamps and witnesses: up to where, since when, and what is wrong. */
#include <stdio.h>

#include "control/node_anchor.h"
#include "control/operator_verbs.h"

static json_int_t age_s(const struct node *n, const struct anchor_watch *w)
{
	return w->anchored_us ? (json_int_t)((n->now.mono_us - w->anchored_us) / 1000000) : -1;
}

static json_t *stamp_json(const struct node *n, uint64_t size)
{
	const struct anchors *a = n->anchors;

	if (!a->authority)
		return json_null();
	return json_pack("{s:s, s:I, s:I, s:I, s:o, s:b, s:s}", "url", n->settings->timestamp.url, "size", (json_int_t)a->stamp.watch.anchored_size, "unanchored",
			 (json_int_t)(size - a->stamp.watch.anchored_size), "age_s", age_s(n, &a->stamp.watch), "token_time",
			 operation_time((uint64_t)a->stamp_time_s * 1000000), "alarm", a->stamp.watch.alarm, "problem", a->stamp.why);
}

json_t *operation_anchors(const struct node *n)
{
	struct journal_state state;

	journal_state(n->journal, &state);
	return json_pack("{s:o}", "timestamp", stamp_json(n, state.size));
}

static void reason(json_t *reasons, const struct anchor *a, const char *who)
{
	char text[ANCHOR_WHY_BYTES + 120];

	if (!a->watch.alarm)
		return;
	snprintf(text, sizeof(text), "%s: no answer that counts for 15 minutes: records from %llu on are not anchored", who,
		 (unsigned long long)a->watch.anchored_size);
	json_array_append_new(reasons, json_string(text));
}

void operation_anchor_reasons(const struct node *n, json_t *reasons)
{
	reason(reasons, &n->anchors->stamp, "time-stamp authority");
}
