/* operator_health.c: show health, show journal, show workers: what state the node is in, and why it is not better (operations.md 3). */
#include <stdio.h>

#include "control/node_capture.h"
#include "control/operator_verbs.h"

#define STANDSTILL_US 2000000u
#define STREAM_WAITS_S 60

static const char *const level_words[] = { "ok", "alarm", "digest", "no_sessions", "full", "stopped" };

enum worker_life { WORKER_NEVER, WORKER_RUNS, WORKER_STANDS, WORKER_OVER };

static enum worker_life life_of(const struct node *n, unsigned worker)
{
	const struct life *life = &((const struct ring_header *)n->up[worker])->producer;

	if (life_over(life))
		return WORKER_OVER;
	if (life_beats(life) == 0)
		return WORKER_NEVER;
	return n->now.mono_us - n->worker[worker].seen_us > STANDSTILL_US ? WORKER_STANDS : WORKER_RUNS;
}

static json_t *worker_json(const struct node *n, unsigned worker)
{
	static const char *const words[] = { "not_begun", "runs", "stands_still", "ended" };
	struct inbox_worker w;

	inbox_worker_state(n->inbox, worker, &w);
	return json_pack("{s:i, s:s, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "worker", (int)worker, "life", words[life_of(n, worker)], "seen",
			 w.seen || w.tick_wall_us, "ring_broken", w.broken, "backlog_bytes", (json_int_t)w.backlog_bytes, "bad_messages",
			 (json_int_t)w.bad_messages, "flows_open", (json_int_t)w.tick.flows_open, "commands", (json_int_t)w.tick.commands, "blocked",
			 (json_int_t)w.tick.blocked, "held", (json_int_t)w.tick.held, "packets", (json_int_t)w.tick.packets, "last_tick",
			 operation_time(w.tick_wall_us));
}

static json_t *workers_json(const struct node *n)
{
	json_t *list = json_array();

	for (unsigned w = 0; w < n->settings->workers; w++) {
		json_t *row = worker_json(n, w);

		operation_worker_page(n, w, row);
		json_array_append_new(list, row);
	}
	return list;
}

void operation_workers(struct operation *o)
{
	o->result = json_pack("{s:o}", "workers", workers_json(o->node));
}

static json_t *issuers_json(const struct node *n)
{
	json_t *list = json_array();

	for (unsigned i = 0; n->identity && i < identity_count(n->identity); i++) {
		struct identity_status s = identity_status_of(n->identity, i, node_identity_clock(n));

		json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:b, s:b, s:i}", "issuer", s.name, "keys", (int)s.keys, "age_s", (json_int_t)s.age_s,
						      "alarm", s.alarm, "news_stale", node_issuer_stale(n, &s), "max_news_age_s", (int)s.news_s_max));
	}
	return list;
}

static json_t *journal_json(const struct node *n, const struct journal_state *j)
{
	return json_pack("{s:I, s:I, s:o, s:i, s:s, s:I, s:I, s:I, s:b, s:s, s:s?, s:o, s:o}", "size", (json_int_t)j->size, "checkpoint_size",
			 (json_int_t)j->checkpoint_size, "checkpoint_at", operation_time(j->checkpoint_us), "used_pct", (int)j->used_percent, "level",
			 level_words[j->level], "commits", (json_int_t)j->commits, "commit_us_last", (json_int_t)j->commit_us_last, "commit_us_max",
			 (json_int_t)j->commit_us_max, "stopped", j->stopped || n->watch.stop != WATCH_RUNS, "stop", watch_word(n->watch.stop), "signer", j->signer,
			 "anchors", operation_anchors(n), "keys", operation_keys(n));
}

void operation_journal(struct operation *o)
{
	struct journal_state j;

	journal_state(o->node->journal, &j);
	o->result = json_pack("{s:o}", "journal", journal_json(o->node, &j));
}

/* Services that are passed unread while Sluice works (`unread`), and those that stay open when it does not (`open`). */
static void open_services(const struct node *n, json_t *open, json_t *unread)
{
	unsigned services = n->current ? policy_counts(n->current).services : 0;

	for (unsigned i = 0; i < services; i++) {
		struct policy_service s = policy_service(n->current, i);
		json_t *name = json_stringn((const char *)s.name.base, s.name.len);

		if (s.fail == POLICY_FAIL_OPEN)
			json_array_append(open, name);
		if (s.protocol == POLICY_PROTOCOL_PASS || s.protocol == POLICY_PROTOCOL_OPAQUE)
			json_array_append(unread, name);
		json_decref(name);
	}
}

static void add(json_t *list, bool wrong, const char *text)
{
	if (wrong)
		json_array_append_new(list, json_string(text));
}

static void add_workers(const struct node *n, json_t *reasons, bool *blocking)
{
	static const char *const texts[] = { "worker %u has not begun", NULL, "worker %u stands still", "worker %u has ended" };

	for (unsigned w = 0; w < n->settings->workers; w++) {
		enum worker_life life = life_of(n, w);
		struct inbox_worker state;
		char text[64];

		inbox_worker_state(n->inbox, w, &state);
		if (texts[life]) {
			snprintf(text, sizeof(text), texts[life], w);
			add(reasons, true, text);
		}
		add(reasons, state.broken, "a worker's ring is broken");
		*blocking |= life == WORKER_OVER || state.broken;
	}
}

static void add_issuers(const struct node *n, json_t *reasons)
{
	for (unsigned i = 0; n->identity && i < identity_count(n->identity); i++) {
		struct identity_status s = identity_status_of(n->identity, i, node_identity_clock(n));
		char text[200];

		if (!node_issuer_stale(n, &s) && !s.alarm)
			continue;
		snprintf(text, sizeof(text), node_issuer_stale(n, &s) ? "issuer %s: its news of who was revoked is too old" : s.age_s < 0 ? "issuer %s: no keys yet" :
			 "issuer %s: its keys are over an hour old", s.name);
		add(reasons, true, text);
	}
}

static void add_streams(const struct node *n, const json_t *streams, json_t *reasons)
{
	const json_t *s;
	size_t i;

	json_array_foreach(streams, i, s) {
		char text[160];

		snprintf(text, sizeof(text), "stream %s: its receiver confirms nothing", n->settings->stream[i].name);
		add(reasons, json_integer_value(json_object_get(s, "waits_s")) >= STREAM_WAITS_S, text);
		snprintf(text, sizeof(text), "stream %s: records whose time is over stay until it confirms them", n->settings->stream[i].name);
		add(reasons, n->streams_keep >> i & 1, text);
	}
}

/* Why the node is not better; `blocking`: it refuses everything for one of them. */
static void add_keys(const struct node *n, json_t *reasons)
{
	json_t *keys = operation_keys(n);
	const char *problem = json_string_value(json_object_get(keys, "problem"));

	add(reasons, problem && problem[0], problem);
	json_decref(keys);
}

static json_t *reasons_json(const struct node *n, const struct journal_state *j, bool *blocking)
{
	json_t *reasons = json_array();

	*blocking = j->stopped || n->watch.stop != WATCH_RUNS || !n->current;
	add(reasons, j->stopped != NULL, "the journal is stopped");
	add(reasons, n->watch.stop != WATCH_RUNS, watch_text(n->watch.stop));
	add(reasons, n->watch.stop == WATCH_RUNS && j->level == JOURNAL_LEVEL_NO_SESSIONS, "the journal's volume is over 95 % full: new sessions are refused");
	add(reasons, n->watch.stop == WATCH_RUNS && j->level == JOURNAL_LEVEL_DIGEST, "the journal's volume is over 90 % full");
	add(reasons, n->watch.stop == WATCH_RUNS && j->level == JOURNAL_LEVEL_ALARM, "the journal's volume is over 80 % full");
	add(reasons, !n->current, "no policy is in force");
	add(reasons, n->signer_fd < 0 || j->signer, "checkpoints are not signed");
	add(reasons, egress_client_fd(n->egress) < 0, "sluice-egress is not running");
	add(reasons, sqlparse_fd(n->sqlparse) < 0, "sluice-sqlparse is not running");
	operation_anchor_reasons(n, reasons);
	add_keys(n, reasons);
	add_workers(n, reasons, blocking);
	add_issuers(n, reasons);
	add(reasons, !strcmp(n->now.clk, "free"), "the clock is not synchronised");
	add(reasons, n->age.doubt_us != 0, "the clock was set ahead: retention waits");
	return reasons;
}

void operation_health(struct operation *o)
{
	struct node *n = o->node;
	struct journal_state j;
	json_t *open = json_array(), *unread = json_array(), *standby = operation_standby(n), *reasons, *streams;
	const char *state;
	bool blocking;

	journal_state(n->journal, &j);
	open_services(n, open, unread);
	reasons = reasons_json(n, &j, &blocking);
	streams = feeding_state(n->feeding, j.size, n->now.mono_us);
	add_streams(n, streams, reasons);
	add(reasons, !strcmp(json_string_value(json_object_get(standby, "state")), "bridging"), "the data plane is down: the standby bridges");
	state = blocking ? "blocking" : json_array_size(reasons) ? "degraded" : "inspecting";
	o->result = json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:{s:b, s:b, s:b}, s:o, s:o, s:I, s:I}", "state", state, "since",
			      operation_time(n->started_us), "reasons", reasons, "workers", workers_json(n), "journal", journal_json(n, &j), "clock", n->now.clk,
			      "policy", operation_policy_json(n), "idp", issuers_json(n), "standby", standby, "helpers", "signer", n->signer_fd >= 0, "egress",
			      egress_client_fd(n->egress) >= 0, "sqlparse", sqlparse_fd(n->sqlparse) >= 0, "fail_open_services", open, "unread_services", unread,
			      "sessions", (json_int_t)sessions_count(n->sessions), "approvals_open", (json_int_t)approvals_counters(n->approvals).open);
	json_object_set_new(o->result, "captures", node_capture_health(n));
	json_object_set_new(o->result, "streams", streams);
}
