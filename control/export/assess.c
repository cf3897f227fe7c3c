/* A question is a function of one record: not its business, met, or broken. What a question needs of earlier records is kept by
 * `note`, which runs after all questions. */
#include "control/export/assess.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum finding { APART, MET, BROKEN };

static enum finding met(bool condition)
{
	return condition ? MET : BROKEN;
}

static bool is(const struct event *e, const char *type)
{
	size_t len = strlen(type);

	return type[len - 1] == '.' ? strncmp(e->type, type, len) == 0 : strcmp(e->type, type) == 0;
}

static bool passed(const struct event *e)
{
	return (is(e, "cmd") && strcmp(e->verdict, "forwarded") == 0) || is(e, "hold");
}

static const char *member(const struct event *e, const char *name)
{
	const char *text = json_string_value(json_object_get(json_object_get(e->record, "data"), name));

	return text ? text : "";
}

static void held_key(const struct event *e, const char *number, char out[80])
{
	snprintf(out, 80, "%.40s/%lld", e->session, (long long)json_integer_value(json_object_get(e->record, number)));
}

/* --- The questions ------------------------------------------------------------------------------------------------------ */

static enum finding ask_enforced(const struct assess *a, const struct event *e)
{
	return passed(e) ? met(e->rules && strlen(e->policy) == 64) : APART;
}

/* An answer without error to a held command needs an approval that was consumed. */
static enum finding ask_dual(const struct assess *a, const struct event *e)
{
	char key[80];
	const json_t *held;

	if (!is(e, "resp"))
		return APART;
	held_key(e, "ref", key);
	held = json_object_get(a->held, key);
	if (!held)
		return APART;
	return met(strcmp(e->verdict, "blocked") == 0 || strcmp(e->verdict, "error") == 0 ||
		   json_is_true(json_object_get(json_object_get(a->approvals, json_string_value(held)), "consumed")));
}

static enum finding ask_modified(const struct assess *a, const struct event *e)
{
	const char *class_name;
	json_t *cells;
	int64_t sum = 0;

	if (!is(e, "resp") || e->masked_cells == 0)
		return APART;
	json_object_foreach((json_t *)(uintptr_t)e->masked, class_name, cells)
		sum += json_integer_value(cells);
	return met(sum == e->masked_cells);
}

static enum finding ask_separated(const struct assess *a, const struct event *e)
{
	const char *requester = json_string_value(json_object_get(json_object_get(a->approvals, e->approval), "person"));

	return is(e, "approval.vote") ? met(*e->person && (!requester || strcmp(e->person, requester) != 0)) : APART;
}

static enum finding ask_privileged(const struct assess *a, const struct event *e)
{
	return is(e, "admin.") || is(e, "kill") ? met(*e->person || *e->subject) : APART;
}

static enum finding ask_terminated(const struct assess *a, const struct event *e)
{
	return is(e, "session.close") ? met(*e->cause) : APART;
}

static enum finding ask_content(const struct assess *a, const struct event *e)
{
	bool general = *e->type && *e->time && *e->node && json_object_get(e->record, "who");

	if (!is(e, "cmd") && !is(e, "hold"))
		return met(general);
	return met(general && *e->source.address && *e->verdict && (*e->subject || *e->person) && *e->service);
}

static enum finding ask_pii(const struct assess *a, const struct event *e)
{
	return *e->text ? met(!strchr(e->text, '\'')) : APART;
}

static enum finding ask_clock(const struct assess *a, const struct event *e)
{
	size_t len = strlen(e->time);

	return met(len == strlen("2026-01-01T00:00:00.000000Z") && e->time[len - 1] == 'Z' && e->time_ms > 0);
}

static enum finding ask_reads(const struct assess *a, const struct event *e)
{
	return is(e, "read.") || is(e, "export") ? met(*e->subject || *e->person) : APART;
}

static enum finding ask_changes(const struct assess *a, const struct event *e)
{
	return is(e, "policy.commit") ? met(strlen(member(e, "hash")) == 64 && strlen(member(e, "parent")) == 64) : APART;
}

static enum finding ask_identified(const struct assess *a, const struct event *e)
{
	return is(e, "cmd") || is(e, "hold") ? met(*e->person || *e->agent) : APART;
}

static enum finding ask_denied(const struct assess *a, const struct event *e)
{
	return is(e, "cmd") && !e->rules ? met(strcmp(e->verdict, "blocked") == 0) : APART;
}

/* What is refused meanwhile is on record as any refusal: the stop says why, the resumption for how long. */
static enum finding ask_stops(const struct assess *a, const struct event *e)
{
	if (is(e, "journal.stop"))
		return met(*member(e, "cause"));
	return is(e, "journal.resume") ? met(*member(e, "cause") && *member(e, "seconds")) : APART;
}

static bool is_sha256(const json_t *text)
{
	const char *hex = json_string_value(text);

	return hex && strlen(hex) == 64 && strspn(hex, "0123456789abcdef") == 64;
}

static enum finding ask_hashed(const struct assess *a, const struct event *e)
{
	const json_t *list = json_object_get(e->record, "pl");
	bool all = true;

	for (size_t i = 0; i < json_array_size(list); i++)
		all &= is_sha256(json_object_get(json_array_get(list, i), "h"));
	return json_array_size(list) ? met(all) : APART;
}

static enum finding ask_retained(const struct assess *a, const struct event *e)
{
	const json_t *data = json_object_get(e->record, "data");

	if (!is(e, "journal.prune"))
		return APART;
	return met(json_integer_value(json_object_get(data, "end")) > json_integer_value(json_object_get(data, "first")) && is_sha256(json_object_get(data, "root")) &&
		   *member(e, "sealed") && strlen(e->policy) == 64);
}

static enum finding ask_generated(const struct assess *a, const struct event *e)
{
	const json_t *data = json_object_get(e->record, "data"), *judged = json_object_get(data, "commands"), *recorded = json_object_get(data, "recorded");

	return is(e, "node.tick") ? met(json_is_integer(judged) && json_is_integer(recorded) && json_integer_value(judged) == json_integer_value(recorded)) : APART;
}

static enum finding ask_texts(const struct assess *a, const struct event *e)
{
	return is(e, "policy.commit") ? met(is_sha256(json_object_get(json_object_get(e->record, "data"), "source")) && json_array_size(json_object_get(e->record, "pl"))) : APART;
}

/* At first a rotation has but the old ones. A destroyed key is one of a session, of all sessions of a day, of a capture, or of the log. */
static enum finding ask_keyed(const struct assess *a, const struct event *e)
{
	if (is(e, "key.rotate"))
		return met(*member(e, "old") && (*member(e, "new") || strcmp(member(e, "step"), "prepare") == 0) && *member(e, "step"));
	if (!is(e, "key.destroy"))
		return APART;
	return met(*member(e, "reason") && (*member(e, "key_h") || *member(e, "day") || *member(e, "old")));
}

static enum finding ask_sealed(const struct assess *a, const struct event *e)
{
	const json_t *list = json_object_get(e->record, "pl");
	bool all = true;

	for (size_t i = 0; i < json_array_size(list); i++)
		all &= json_object_get(json_array_get(list, i), "enc") != NULL;
	return *e->session && json_array_size(list) ? met(all) : APART;
}

static const struct question {
	const char *id, *objective, *title, *question;
	enum finding (*ask)(const struct assess *a, const struct event *e);
} questions[] = {
#define CONTROL(name, id, objective, title, question) { id, objective, title, question, ask_##name },
#include "control/export/controls.def"
#undef CONTROL
};

#define QUESTIONS (sizeof questions / sizeof *questions)

/* --- Counting ----------------------------------------------------------------------------------------------------------- */

static void count(json_t *words, const char *word, int64_t by)
{
	if (*word)
		(void)json_object_set_new(words, word, json_integer(json_integer_value(json_object_get(words, word)) + by));
}

static void count_all(json_t *words, const json_t *texts)
{
	for (size_t i = 0; i < json_array_size(texts); i++)
		count(words, json_string_value(json_array_get(texts, i)), 1);
}

static json_t *row_of(const struct event *e)
{
	const char *rule = json_string_value(json_array_get(e->rules, 0));

	return json_pack("{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "index", (json_int_t)e->index, "time", e->time, "person",
			 *e->person ? e->person : e->subject, "agent", e->agent, "service", e->service, "session", e->session, "verb", e->verb, "text", e->text, "rule",
			 rule ? rule : e->reason);
}

static void note_approval(struct assess *a, const struct event *e)
{
	json_t *approval = json_object_get(a->approvals, e->approval);
	char key[80];

	if (!*e->approval || (!approval && json_object_size(a->approvals) >= 20 * ASSESS_NOTABLE))
		return;
	if (!approval) {
		approval = json_pack("{s:I, s:s, s:s, s:[]}", "index", (json_int_t)e->index, "time", e->time, "state", "pending", "votes");
		(void)json_object_set_new(a->approvals, e->approval, approval);
	}
	if (is(e, "approval.request")) {
		(void)json_object_set_new(approval, "person", json_string(*e->person ? e->person : e->subject));
		(void)json_object_set_new(approval, "agent", json_string(e->agent));
		(void)json_object_set_new(approval, "session", json_string(e->session));
		held_key(e, "ref", key);
		(void)json_object_set_new(a->held, key, json_string(e->approval));
	}
	if (is(e, "approval.consume"))
		(void)json_object_set_new(approval, "consumed", json_true());
	if (is(e, "approval.vote")) {
		const json_t *doc = json_object_get(json_object_get(json_object_get(e->record, "data"), "extra"), "doc");
		const char *vote = json_string_value(json_object_get(doc, "vote")), *reason = json_string_value(json_object_get(doc, "reason"));

		(void)json_array_append_new(json_object_get(approval, "votes"),
					    json_pack("{s:s, s:s, s:s}", "voter", e->person, "vote", vote ? vote : "", "reason", reason ? reason : ""));
	}
	if (*member(e, "to"))
		(void)json_object_set_new(approval, "state", json_string(member(e, "to")));
}

static void note(struct assess *a, const struct event *e)
{
	char hour[20] = "", key[80];
	const char *class_name;
	json_t *cells;

	count(a->types, e->type, 1);
	count(a->services, e->service, is(e, "session.open"));
	json_object_foreach((json_t *)(uintptr_t)e->masked, class_name, cells)
		count(a->masked, class_name, json_integer_value(cells));
	if (is(e, "cmd") || is(e, "hold")) {
		count(a->verdicts, e->verdict, 1);
		count(a->persons, *e->person ? e->person : e->subject, 1);
		count(a->agents, e->agent, 1);
		count_all(a->rules, e->rules);
		snprintf(hour, sizeof hour, "%.13s", e->time);
		count(a->hours, hour, 1);
	}
	if (is(e, "cmd") && strcmp(e->verdict, "blocked") == 0 && json_array_size(a->blocked) < ASSESS_NOTABLE)
		(void)json_array_append_new(a->blocked, row_of(e));
	if (is(e, "hold")) {
		held_key(e, "n", key);
		(void)json_object_set_new(a->held, key, json_true());
		(void)json_object_set_new(a->held, "last", row_of(e)); /* its approval.request stands next to it */
	}
	if (is(e, "auth.fail"))
		count(a->refusals, *e->reason ? e->reason : "unknown", 1);
	if (is(e, "approval.")) {
		note_approval(a, e);
		if (is(e, "approval.request") && json_object_get(a->held, "last"))
			(void)json_object_set(json_object_get(a->approvals, e->approval), "text", json_object_get(json_object_get(a->held, "last"), "text"));
	}
}

bool assess_create(struct assess *a)
{
	json_t **const objects[] = { &a->types, &a->verdicts, &a->persons, &a->agents, &a->services, &a->rules, &a->masked, &a->hours, &a->refusals,
				     &a->approvals, &a->held };
	bool ok = true;

	*a = (struct assess){ .controls = QUESTIONS, .control = calloc(QUESTIONS, sizeof *a->control), .blocked = json_array() };
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
		ok &= (*objects[i] = json_object()) != NULL;
	for (unsigned i = 0; a->control && i < QUESTIONS; i++)
		a->control[i] = (struct assess_control){ .id = questions[i].id, .objective = questions[i].objective, .title = questions[i].title,
							 .question = questions[i].question };
	if (ok && a->control && a->blocked)
		return true;
	assess_destroy(a);
	return false;
}

void assess_destroy(struct assess *a)
{
	json_t *const all[] = { a->types, a->verdicts, a->persons, a->agents, a->services, a->rules, a->masked, a->hours, a->refusals, a->approvals,
				a->held, a->blocked };

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		json_decref(all[i]);
	free(a->control);
	*a = (struct assess){ 0 };
}

void assess_event(struct assess *a, const struct event *e)
{
	for (unsigned i = 0; i < QUESTIONS; i++) {
		struct assess_control *c = &a->control[i];
		enum finding f = questions[i].ask(a, e);

		if (f == APART)
			continue;
		if (c->examined++ < ASSESS_SAMPLES)
			c->sample[c->examined - 1] = e->index;
		if (f == BROKEN && c->broken++ < ASSESS_SAMPLES)
			c->fault[c->broken - 1] = e->index;
	}
	if (a->records++ == 0) {
		a->first = e->index;
		snprintf(a->since, sizeof a->since, "%s", e->time);
	}
	a->last = e->index;
	snprintf(a->until, sizeof a->until, "%s", e->time);
	note(a, e);
}
