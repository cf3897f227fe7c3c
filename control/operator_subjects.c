/* operator_subjects.c: the verbs about sessions, approvals and identities. */
#include <stdio.h>

#include "control/inbox/who.h"
#include "control/operator_verbs.h"

static json_t *time_json(uint64_t wall_us)
{
	char text[ENTRY_TIME_BYTES];

	return json_string(entry_time(wall_us, text));
}

/* --- sessions ------------------------------------------------------------------------------------------------------------ */

static void id_text(const uint8_t id[16], char out[33])
{
	for (unsigned i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static json_t *session_json(const struct session *s)
{
	static const char *const phases[] = { "", "open", "login", "logged in", "broken" };
	const struct principal *p = s->principal;
	char id[33], client[ENTRY_ADDRESS_BYTES + 8], address[ENTRY_ADDRESS_BYTES];

	id_text(s->id, id);
	snprintf(client, sizeof(client), "%s:%u", entry_address(s->client, s->address_len, address), s->client_port);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:n, s:I, s:I, s:I, s:I}", "id", id, "state", phases[s->phase], "service", s->service,
			 "person", p ? p->person : "", "agent", p ? p->agent : "", "run", p ? p->run : "", "user", s->user, "client", client, "opened",
			 time_json(s->opened_us), "closed", "commands", (json_int_t)s->commands, "blocked", (json_int_t)s->blocked, "held",
			 (json_int_t)s->held, "rows", (json_int_t)s->rows);
}

static json_t *closed_json(const struct node_closed *c)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:I, s:I, s:I, s:I}", "id", c->id, "state", "closed", "cause", c->cause,
			 "service", c->service, "person", c->person, "agent", c->agent, "run", c->run, "user", c->user, "client", c->client, "opened",
			 time_json(c->opened_us), "closed", time_json(c->closed_us), "commands", (json_int_t)c->commands, "blocked",
			 (json_int_t)c->blocked, "held", (json_int_t)c->held, "rows", (json_int_t)c->rows);
}

/* Those that ended, oldest first, then the open ones. */
void operation_sessions(struct operation *o)
{
	struct node *n = o->node;
	bool open_only = json_is_true(json_object_get(o->args, "open"));
	unsigned first = n->closed_count > NODE_CLOSED ? n->closed_count - NODE_CLOSED : 0;
	json_t *list = json_array();

	for (unsigned i = first; !open_only && i < n->closed_count; i++)
		json_array_append_new(list, closed_json(&n->closed[i % NODE_CLOSED]));
	for (struct session *s = session_next(n->sessions, NULL); s; s = session_next(n->sessions, s))
		json_array_append_new(list, session_json(s));
	o->result = json_pack("{s:o}", "sessions", list);
}

void operation_session_kill(struct operation *o)
{
	const char *id = operation_text(o, "id"), *reason = operation_text(o, "reason");
	struct session *s = id ? session_by_id(o->node->sessions, id) : NULL;
	char full[33], say[200];
	const char *pairs[] = { "reason", reason ? reason : "", "session", full, NULL };

	if (!s) {
		operation_fail(o, FRAME_REFUSED, "session %.32s: not open, or not unique: see sluice session list", id ? id : "");
		return;
	}
	if (!reason || !reason[0] || strlen(reason) > 120) {
		operation_fail(o, FRAME_USAGE, "session kill: no reason: give --reason in at most 120 characters");
		return;
	}
	id_text(s->id, full);
	/* The one act that may precede its record: it only stops traffic (identity.md 8). */
	snprintf(say, sizeof(say), "ended by the operator: %s", reason);
	inbox_kill(o->node->inbox, s, say);
	node_record(o->node, "kill", o->who, pairs);
	o->result = json_pack("{s:s}", "killed", full);
}

/* --- approvals ----------------------------------------------------------------------------------------------------------- */

static json_t *votes_json(const struct approval *a)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < a->votes; i++) {
		const struct approval_vote *v = &a->vote[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "person", v->person, "vote", v->approve ? "approve" : "deny", "reason", v->reason,
						      "time", time_json(v->wall_us)));
	}
	return list;
}

static json_t *approval_json(struct node *n, const struct approval *a)
{
	json_t *statement = json_loadb((const char *)a->statement, a->statement_len, JSON_REJECT_DUPLICATES, NULL), *needs = json_array();
	json_t *command = json_object_get(statement, "cmd"), *who = json_object_get(statement, "who"), *result;
	uint64_t now = n->now.mono_us;
	char session[33], hash[65];

	for (unsigned i = 0; i < a->needs; i++) {
		char text[LIMIT_NAME_BYTES + 16];

		snprintf(text, sizeof(text), "%.255s:%u", a->need[i].group, a->need[i].count);
		json_array_append_new(needs, json_string(text));
	}
	for (unsigned i = 0; i < 32; i++)
		snprintf(hash + 2 * i, 3, "%02x", a->statement_sha256[i]);
	id_text(a->session, session);
	result = json_pack("{s:s, s:s, s:s, s:s, s:O?, s:O?, s:O?, s:s, s:i, s:o, s:i, s:o, s:o, s:I, s:s, s:s}", "id", a->id_text, "state",
			   approval_state_name(a->state), "kind", "once-hold", "service", a->service, "person", json_object_get(who, "person"), "agent",
			   json_object_get(who, "agent"), "command", json_object_get(command, "norm"), "session", session, "n", (int)a->n, "approvers", needs,
			   "quorum", (int)a->quorum, "votes", votes_json(a), "created", time_json(a->created_us), "seconds_left",
			   (json_int_t)(a->state == APPROVAL_PENDING && a->expires_mono_us > now ? (a->expires_mono_us - now) / 1000000 : 0), "statement_sha256",
			   hash, "result", a->result);
	json_decref(statement);
	return result;
}

void operation_approvals(struct operation *o)
{
	bool all = json_is_true(json_object_get(o->args, "all"));
	json_t *list = json_array();
	struct approval *a;
	unsigned at = 0;

	while ((a = approvals_next(o->node->approvals, &at))) {
		if (all || !approval_is_terminal(a->state))
			json_array_append_new(list, approval_json(o->node, a));
	}
	o->result = json_pack("{s:o}", "approvals", list);
}

static struct approval *named(struct operation *o)
{
	const char *id = operation_text(o, "id");
	struct approval *a = id ? approvals_find(o->node->approvals, id) : NULL;

	if (!a)
		operation_fail(o, FRAME_REFUSED, "approval %.26s: not known, or not unique: see sluice approval list --all", id ? id : "");
	return a;
}

void operation_approval_show(struct operation *o)
{
	struct approval *a = named(o);
	const char *pairs[] = { "approval", a ? a->id_text : "", NULL };
	json_t *records = json_array(), *statement;

	if (!a) {
		json_decref(records);
		return;
	}
	node_record(o->node, "read.approval", o->who, pairs);
	for (unsigned i = 0; i < a->history; i++)
		json_array_append_new(records, json_integer((json_int_t)a->record[i]));
	statement = json_loadb((const char *)a->statement, a->statement_len, JSON_REJECT_DUPLICATES, NULL);
	o->result = approval_json(o->node, a);
	json_object_set_new(o->result, "records", records);
	json_object_set_new(o->result, "statement", statement ? statement : json_null());
	json_object_set_new(o->result, "statement_jcs", json_stringn((const char *)a->statement, a->statement_len));
}

void operation_token_refused(struct operation *o, const struct identity_failure *why)
{
	const char *pairs[] = { "reason", identity_reason_name(why->reason), NULL };

	node_record(o->node, "auth.fail", o->who, pairs);
	operation_fail(o, FRAME_NOT_PERMITTED, "token: %s (%s): get a fresh one from the provider", identity_reason_text(why->reason),
		       identity_reason_name(why->reason));
}

static void vote_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	static const enum frame_status statuses[] = {
		[APPROVAL_VOTED] = FRAME_DONE, [APPROVAL_DECIDED] = FRAME_DONE, [APPROVAL_NOT_FOUND] = FRAME_REFUSED, [APPROVAL_NOT_OPEN] = FRAME_REFUSED,
		[APPROVAL_NOT_ELIGIBLE] = FRAME_NOT_PERMITTED, [APPROVAL_NOT_RECORDED] = FRAME_REFUSED,
	};
	struct approval *a = p ? named(o) : NULL;
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	char text[APPROVAL_SAY_BYTES] = "";
	enum approval_vote_result result;

	if (!p)
		operation_token_refused(o, why);
	if (!a)
		return;
	approvals_tick(o->node->approvals, node_approval_clock(o->node));
	result = approvals_vote(o->node->approvals, a, p, who_write(p, &w), json_is_true(json_object_get(o->args, "approve")),
				operation_text(o, "reason"), node_approval_clock(o->node), text);
	if (statuses[result] != FRAME_DONE)
		operation_fail(o, statuses[result], "approval %s: %s: see sluice approval show %s", a->id_text, text, a->id_text);
	else
		o->result = json_pack("{s:s, s:s, s:s}", "id", a->id_text, "state", approval_state_name(a->state), "text", text);
}

void operation_identify(struct operation *o, void (*then)(struct operation *, struct principal *, const struct identity_failure *))
{
	json_t *token = json_object_get(o->args, "token");

	if (!json_is_string(token) || json_string_length(token) == 0 || json_string_length(token) > LIMIT_TOKEN_BYTES) {
		operation_fail(o, FRAME_USAGE, "token: missing or too long: give --token-file");
		return;
	}
	o->identified = then;
	o->waiting = true;
	node_identify(o->node, o->question, bytes_of(json_string_value(token), json_string_length(token)));
}

void operation_approval_vote(struct operation *o)
{
	const char *reason = operation_text(o, "reason");

	if (!reason || !reason[0] || strlen(reason) >= APPROVAL_REASON_BYTES)
		operation_fail(o, FRAME_USAGE, "approval: no reason: give --reason in at most 255 characters");
	else if (o->node->watch.stop != WATCH_RUNS && json_is_true(json_object_get(o->args, "approve")))
		operation_fail(o, FRAME_REFUSED, "approval: %s, and what is released must be recorded: only a denial is taken now", watch_text(o->node->watch.stop));
	else if (named(o))
		operation_identify(o, vote_identified);
}

/* --- identities ---------------------------------------------------------------------------------------------------------- */

static void test_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	struct group_bits groups = { 0 };
	json_t *list;

	if (!p) {
		o->result = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s}", "accepted", 0, "reason", identity_reason_name(why->reason), "text",
				      identity_reason_text(why->reason), "issuer", why->issuer, "kid", why->kid, "alg", why->alg, "claim", why->claim);
		return;
	}
	list = json_array();
	groups = policy_groups_of(o->node->tree, p);
	for (unsigned i = 0; i < policy_counts(o->node->current).groups; i++) {
		struct bytes name = policy_group_name(o->node->current, i);

		if (group_bits_has(&groups, i))
			json_array_append_new(list, json_stringn((const char *)name.base, name.len));
	}
	o->result = json_pack("{s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I}", "accepted", 1, "issuer", p->issuer, "iss", p->iss, "sub", p->sub, "person", p->person,
			      "agent", p->agent, "run", p->run, "groups", list, "expires_s", (json_int_t)p->exp_s);
}

void operation_identity_test(struct operation *o)
{
	operation_identify(o, test_identified);
}
