/* operator_approvals.c: the verbs about approvals, and who may see which (approvals.md 5; export.md 8).
 *
 * Root and the user that control runs as are the machine's administrators: they could read the files, and see all. Anybody else shows a
 * token: an auditor's (and no administrator's: one person is not both) sees all, but of a held command no text: that is sealed payload of its
 * session (journal.md 4); an approver sees what it may decide on; who asked sees its own. A look does not tell what is not seen from what is not there; a vote or a revocation is refused with its reason. Each look, and
 * each refusal, is a record. */
#include <stdio.h>

#include "control/inbox/who.h"
#include "control/operator_verbs.h"

/* Who looks. */
struct viewer {
	struct principal *p; /* NULL: root, who sees everything */
	bool audits;         /* sees that there is each */
	struct bytes who;
};

static json_t *time_json(uint64_t wall_us)
{
	char text[ENTRY_TIME_BYTES];

	return json_string(entry_time(wall_us, text));
}

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

static void hex(const uint8_t *bytes, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static json_t *needs_json(const struct approval *a)
{
	json_t *needs = json_array();

	for (unsigned i = 0; i < a->needs; i++) {
		char text[LIMIT_NAME_BYTES + 16];

		snprintf(text, sizeof(text), "%.255s:%u", a->need[i].group, a->need[i].count);
		json_array_append_new(needs, json_string(text));
	}
	return needs;
}

/* Of a held command: what is sealed with its session. Its hash stays. */
static void seal_text(json_t *result, const struct approval *a)
{
	static const char *const sealed[] = { "command", "reason", "ticket", "statement", "statement_jcs" };

	if (a->kind != APPROVAL_ONCE_HOLD)
		return;
	for (unsigned i = 0; i < sizeof(sealed) / sizeof(*sealed); i++)
		json_object_del(result, sealed[i]);
	json_object_set_new(result, "sealed", json_string("command, reason and statement are payload of the session: an investigator asks two persons for it: sluice journal disclose"));
}

static json_t *approval_json(struct node *n, const struct approval *a)
{
	json_t *statement = json_loadb((const char *)a->statement, a->statement_len, JSON_REJECT_DUPLICATES, NULL);
	json_t *command = json_object_get(statement, "cmd"), *who = json_object_get(statement, "who"), *result;
	const char *suspended = a->state == APPROVAL_APPROVED ? approvals_suspended(n->approvals, a) : NULL;
	bool waits = a->on_demand && a->state == APPROVAL_APPROVED;
	uint64_t now = n->now.mono_us, until = waits ? a->use_by_mono_us : a->expires_mono_us;
	char session[33], hash[65];

	hex(a->statement_sha256, 32, hash);
	hex(a->session, 16, session);
	result = json_pack("{s:s, s:s, s:s, s:s, s:O?, s:O?, s:O?, s:s, s:i, s:o, s:i, s:o, s:o, s:I, s:s, s:s}", "id", a->id_text, "state",
			   approval_state_name(a->state), "kind", approval_kind_name(a->kind), "service", a->service, "person", json_object_get(who, "person"), "agent",
			   json_object_get(who, "agent"), "command", json_object_get(command, "norm"), "session", session, "n", (int)a->n, "approvers",
			   needs_json(a), "quorum", (int)a->quorum, "votes", votes_json(a), "created", time_json(a->created_us), "seconds_left",
			   (json_int_t)((a->state == APPROVAL_PENDING || waits) && until > now ? (until - now) / 1000000 : 0), "statement_sha256",
			   hash, "result", a->result);
	json_object_set(result, "reason", json_object_get(statement, "reason"));
	json_object_set(result, "ticket", json_object_get(statement, "ticket"));
	json_object_set(result, "class", json_object_get(json_object_get(statement, "policy"), "class"));
	if (suspended || waits)
		json_object_set_new(result, "waits_for", json_string(suspended ? suspended : "who asked, to use it"));
	json_decref(statement);
	return result;
}

/* --- who looks ----------------------------------------------------------------------------------------------------------- */

static bool sees(struct operation *o, const struct viewer *v, const struct approval *a)
{
	return !v->p || v->audits || approvals_may_see(o->node->approvals, a, v->p);
}

static bool sees_text(struct operation *o, const struct viewer *v, const struct approval *a)
{
	return !v->p || approvals_may_see(o->node->approvals, a, v->p);
}

static void look_refused(struct operation *o, const char *verb, struct bytes who, const char *why)
{
	const char *const pairs[] = { "reason", why, "verb", verb, NULL };

	node_record(o->node, "admin.refused", who, pairs);
	operation_fail(o, FRAME_NOT_PERMITTED, "%s: not permitted: %s: give --token-file of an approver, of the requester or of an auditor", verb, why);
}

static struct viewer viewer_of(struct operation *o, struct principal *p, struct writer *w)
{
	bool all = policy_has_role(o->node->tree, p, POLICY_ROLE_AUDITOR) && !policy_has_role(o->node->tree, p, POLICY_ROLE_ADMINISTRATOR);

	return (struct viewer){ .p = p, .audits = all, .who = who_write(p, w) };
}

/* A token was verified: `run` for what its owner sees. */
static void looks(struct operation *o, struct principal *p, const struct identity_failure *why, void (*run)(struct operation *, const struct viewer *))
{
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct viewer v;

	if (!p) {
		operation_token_refused(o, why);
		return;
	}
	v = viewer_of(o, p, &w);
	run(o, &v);
}

/* Lets the administrators of the machine look at once, others when their token was verified. */
static void look(struct operation *o, const char *verb, void (*run)(struct operation *, const struct viewer *),
		 void (*identified)(struct operation *, struct principal *, const struct identity_failure *))
{
	const struct viewer all = { .who = o->who };

	if (o->administrator && !json_object_get(o->args, "token"))
		run(o, &all);
	else if (!json_object_get(o->args, "token"))
		look_refused(o, verb, o->who, "without a token");
	else if (!o->node->tree)
		look_refused(o, verb, o->who, "no policy says who you are");
	else
		operation_identify(o, identified);
}

static struct approval *named(struct operation *o)
{
	const char *id = operation_text(o, "id");
	struct approval *a = id ? approvals_find(o->node->approvals, id) : NULL;

	if (!a)
		operation_fail(o, FRAME_REFUSED, "approval %.26s: not known, or not unique: see sluice approval list --all", id ? id : "");
	return a;
}

/* --- list ---------------------------------------------------------------------------------------------------------------- */

static void list(struct operation *o, const struct viewer *v)
{
	bool all = json_is_true(json_object_get(o->args, "all"));
	char count[16];
	const char *const pairs[] = { "all", all ? "true" : "false", "count", count, NULL };
	json_t *rows = json_array();
	struct approval *a;
	unsigned at = 0;

	while ((a = approvals_next(o->node->approvals, &at))) {
		json_t *row = (all || !approval_is_terminal(a->state)) && sees(o, v, a) ? approval_json(o->node, a) : NULL;

		if (row && !sees_text(o, v, a))
			seal_text(row, a);
		if (row)
			json_array_append_new(rows, row);
	}
	snprintf(count, sizeof(count), "%zu", json_array_size(rows));
	node_record(o->node, "read.approvals", v->who, pairs);
	o->result = json_pack("{s:o}", "approvals", rows);
}

static void list_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	looks(o, p, why, list);
}

void operation_approvals(struct operation *o)
{
	look(o, "approval list", list, list_identified);
}

/* --- show ---------------------------------------------------------------------------------------------------------------- */

static void show(struct operation *o, const struct viewer *v)
{
	struct approval *a = named(o);
	const char *pairs[] = { "approval", a ? a->id_text : "", NULL };
	json_t *records, *statement;

	if (v->p && !v->audits && (!a || !sees(o, v, a))) {
		look_refused(o, "approval show", v->who, "no approval of this number is yours to see");
		return;
	}
	if (!a)
		return;
	node_record(o->node, "read.approval", v->who, pairs);
	records = json_array();
	for (unsigned i = 0; i < a->history; i++)
		json_array_append_new(records, json_integer((json_int_t)a->record[i]));
	statement = json_loadb((const char *)a->statement, a->statement_len, JSON_REJECT_DUPLICATES, NULL);
	o->result = approval_json(o->node, a);
	json_object_set_new(o->result, "records", records);
	json_object_set_new(o->result, "notes_left_out", json_integer(a->notes_left_out));
	json_object_set_new(o->result, "statement", statement ? statement : json_null());
	json_object_set_new(o->result, "statement_jcs", json_stringn((const char *)a->statement, a->statement_len));
	if (!sees_text(o, v, a))
		seal_text(o->result, a);
}

static void show_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	looks(o, p, why, show);
}

void operation_approval_show(struct operation *o)
{
	look(o, "approval show", show, show_identified);
}

/* --- vote and revoke ----------------------------------------------------------------------------------------------------- */

static void answer(struct operation *o, const struct approval *a, enum approval_vote_result result, const char *text)
{
	static const enum frame_status statuses[] = {
		[APPROVAL_VOTED] = FRAME_DONE, [APPROVAL_DECIDED] = FRAME_DONE, [APPROVAL_NOT_FOUND] = FRAME_REFUSED, [APPROVAL_NOT_OPEN] = FRAME_REFUSED,
		[APPROVAL_NOT_ELIGIBLE] = FRAME_NOT_PERMITTED, [APPROVAL_NOT_RECORDED] = FRAME_REFUSED,
	};

	if (statuses[result] != FRAME_DONE)
		operation_fail(o, statuses[result], "approval %s: %s: see sluice approval show %s", a->id_text, text, a->id_text);
	else
		o->result = json_pack("{s:s, s:s, s:s}", "id", a->id_text, "state", approval_state_name(a->state), "text", text);
}

static void vote_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	struct approval *a = p ? named(o) : NULL;
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	char text[APPROVAL_SAY_BYTES] = "";

	if (!p)
		operation_token_refused(o, why);
	if (!a)
		return;
	approvals_tick(o->node->approvals, node_approval_clock(o->node));
	answer(o, a,
	       approvals_vote(o->node->approvals, a, p, who_write(p, &w), json_is_true(json_object_get(o->args, "approve")), operation_text(o, "reason"),
			      node_approval_clock(o->node), text),
	       text);
}

static bool reason_given(struct operation *o)
{
	const char *reason = operation_text(o, "reason");
	bool given = reason && reason[0] && strlen(reason) < APPROVAL_REASON_BYTES;

	if (!given)
		operation_fail(o, FRAME_USAGE, "approval: no reason: give --reason in at most 255 characters");
	return given;
}

void operation_approval_vote(struct operation *o)
{
	if (!reason_given(o))
		return;
	if (o->node->watch.stop != WATCH_RUNS && json_is_true(json_object_get(o->args, "approve")))
		operation_fail(o, FRAME_REFUSED, "approval: %s, and what is released must be recorded: only a denial is taken now", watch_text(o->node->watch.stop));
	else
		operation_identify(o, vote_identified);
}

/* `p`: an approver, as approvals.md 4 has it; the policy's administrators may too, who are nobody's approver by that. */
static void revoke(struct operation *o, struct principal *p, struct bytes who)
{
	struct approval *a = named(o);
	char text[APPROVAL_SAY_BYTES] = "";

	if (!a)
		return;
	approvals_tick(o->node->approvals, node_approval_clock(o->node));
	answer(o, a, approvals_revoke(o->node->approvals, a, p, who, operation_text(o, "reason"), node_approval_clock(o->node), text), text);
}

static void revoke_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	uint8_t room[SESSION_WHO_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	if (!p)
		operation_token_refused(o, why);
	else
		revoke(o, o->node->tree && policy_has_role(o->node->tree, p, POLICY_ROLE_ADMINISTRATOR) ? NULL : p, who_write(p, &w));
}

void operation_approval_revoke(struct operation *o)
{
	if (!reason_given(o))
		return;
	if (json_object_get(o->args, "token"))
		operation_identify(o, revoke_identified);
	else if (o->administrator)
		revoke(o, NULL, o->who);
	else
		look_refused(o, "approval revoke", o->who, "without a token");
}
