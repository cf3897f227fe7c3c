/* operator_subjects.c: the verbs about sessions and identities. */
#include <stdio.h>

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
	const char *const pairs[] = { "detail", open_only ? "live, open ones" : "live", "what", "sessions", NULL };
	json_t *list = json_array();

	/* A look at who does what is a record; while the journal takes none, whoever has to end sessions has to see them all the same. */
	(void)node_record(n, "read.sessions", o->who, pairs);
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

/* --- tokens -------------------------------------------------------------------------------------------------------------- */

void operation_token_refused(struct operation *o, const struct identity_failure *why)
{
	const char *pairs[] = { "reason", identity_reason_name(why->reason), NULL };

	node_record(o->node, "auth.fail", o->who, pairs);
	operation_fail(o, FRAME_NOT_PERMITTED, "token: %s (%s): get a fresh one from the provider", identity_reason_text(why->reason),
		       identity_reason_name(why->reason));
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
