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

static json_t *witnesses_json(const struct node *n, uint64_t size)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < n->settings->witnesses; i++) {
		const struct anchor_witness *w = &n->anchors->witness[i];
		const struct anchor_watch *watch = &w->anchor.watch;

		json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I, s:o, s:b, s:s}", "witness", w->key.name, "url", n->settings->witness[i].url, "size",
						      (json_int_t)watch->anchored_size, "unanchored", (json_int_t)(size - watch->anchored_size), "age_s",
						      age_s(n, watch), "cosigned_at", operation_time(w->time_s * 1000000), "alarm", watch->alarm, "problem",
						      w->anchor.why));
	}
	return list;
}

json_t *operation_anchors(const struct node *n)
{
	struct journal_state state;

	journal_state(n->journal, &state);
	return json_pack("{s:o, s:o, s:I, s:i, s:b, s:b}", "timestamp", stamp_json(n, state.size), "witnesses", witnesses_json(n, state.size), "witnessed",
			 (json_int_t)witnesses_size(n), "wanted", n->tree ? (int)n->tree->journal.witnesses : 0, "quorum_alarm", n->anchors->quorum.alarm, "fork",
			 n->anchors->fork);
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
	for (unsigned i = 0; i < n->settings->witnesses; i++)
		reason(reasons, &n->anchors->witness[i].anchor, n->anchors->witness[i].alarm);
	if (n->anchors->quorum.alarm)
		json_array_append_new(reasons, json_string("witnesses: too few cosign one checkpoint for the policy's quorum"));
	if (n->anchors->fork)
		json_array_append_new(reasons, json_string("fork: a witness saw another history of this journal: nothing is signed any more"));
	if (n->settings->witnesses && n->tree && n->tree->journal.witnesses > n->settings->witnesses)
		json_array_append_new(reasons, json_string("the policy wants more witnesses than sluice.conf names"));
}
