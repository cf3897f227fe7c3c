/* node_hold.c: between the inbox's held commands and control/approval. */
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/statement.h"
#include "control/inbox/describe.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/node.h"
#include "control/operators.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

struct raw {
	struct bytes object; /* canonical, with its braces */
};

/* The members of an object that is canonical already. */
static void describe_raw(struct jcs *j, const void *from)
{
	const struct raw *r = from;
	struct jcs_value object = jcs_value_of(r->object), value;
	struct bytes key;
	size_t at = 0;

	while (jcs_next(object, &at, &key, &value)) {
		jcs_key_bytes(j, key);
		jcs_raw(j, value.raw);
	}
}

static bool record(void *ctx, const struct approval *a, const char *type, struct bytes who, struct bytes data, struct bytes payload, uint64_t *index)
{
	struct node *n = ctx;
	const struct raw r = { .object = data };
	struct entry_chunk list[ENTRY_CHUNKS_MAX];
	struct session *s = a->kind == APPROVAL_ADMIN ? NULL : session_find(n->sessions, a->worker, a->flow);
	struct entry e = { .type = type, .who = who, .data = { describe_raw, &r }, .has_ref = a->kind != APPROVAL_ADMIN, .ref = a->n, .approval_id = a->id_text,
			   .approval_sha256 = a->statement_sha256, .policy_sha256 = a->policy_sha256, .chunks = list };

	/* The flow's number may have been given to another session since. */
	if (s && memcmp(s->id, a->session, 16))
		s = NULL;
	e.session = s;
	if (payload.len && !s) /* what was asked is sealed with its session's key, or not kept */
		return false;
	if (payload.len && !inbox_chunks(n->inbox, s, "s", payload, list, &e.chunks_count))
		return false;
	return inbox_append(n->inbox, &e, true, index);
}

static void answer(void *ctx, const struct approval *a, enum approval_answer what, const char *say)
{
	struct node *n = ctx;
	const struct order_approval m = { .flow = a->flow, .ref = a->n, .answer = (uint8_t)what, .id = bytes_str(a->id_text), .say = bytes_str(say) };
	const struct session *s = a->kind == APPROVAL_ADMIN ? NULL : session_find(n->sessions, a->worker, a->flow);
	uint8_t room[LIMIT_SAY_BYTES + 128];

	if (!s || memcmp(s->id, a->session, 16)) /* nobody waits any more */
		return;
	log_info("approval %s: %s%s%s", a->id_text, what == APPROVAL_RELEASE ? "released" : what == APPROVAL_WAITING ? "asked" : "refused",
		 say[0] && what == APPROVAL_REFUSE ? ": " : "", what == APPROVAL_REFUSE ? say : "");
	inbox_order(n->inbox, a->worker, ORDER_approval, order_approval_encode(&m, room, sizeof(room)), ORDERS_COMMITTED);
}

static void recheck(void *ctx, const struct approval *a)
{
	struct node *n = ctx;
	const struct order_approval m = { .flow = a->flow, .ref = a->n, .answer = APPROVAL_RECHECK, .id = bytes_str(a->id_text) };
	const struct session *s = session_find(n->sessions, a->worker, a->flow);
	uint8_t room[128];

	if (s && !memcmp(s->id, a->session, 16))
		inbox_order(n->inbox, a->worker, ORDER_approval, order_approval_encode(&m, room, sizeof(room)), ORDERS_NOW);
}

static void cut(void *ctx, const struct approval *a, const char *say)
{
	struct node *n = ctx;
	struct session *s = session_find(n->sessions, a->worker, a->flow);

	if (s && !memcmp(s->id, a->session, 16))
		inbox_kill(n->inbox, s, say);
}

static bool in_group(void *ctx, const struct principal *p, const char *group)
{
	struct node *n = ctx;
	int number = n->current ? policy_group_by_name(n->current, bytes_str(group)) : -1;
	struct group_bits groups;

	if (number < 0)
		return false;
	groups = policy_groups_of(n->tree, p);
	return group_bits_has(&groups, (unsigned)number);
}

static bool still_valid(void *ctx, const struct principal *p)
{
	struct node *n = ctx;

	return n->identity && identity_still_valid(n->identity, p, node_identity_clock(n));
}

static bool news_known(void *ctx, const struct principal *p)
{
	struct node *n = ctx;

	for (unsigned i = 0; n->identity && i < identity_count(n->identity); i++) {
		struct identity_status s = identity_status_of(n->identity, i, node_identity_clock(n));

		if (!strcmp(s.name, p->issuer))
			return s.age_s >= 0;
	}
	return true; /* of no issuer that is there: still_valid says no */
}

struct approval_host node_approval_host(struct node *n)
{
	return (struct approval_host){ .ctx = n, .record = record, .answer = answer, .perform = node_perform, .recheck = recheck, .cut = cut, .in_group = in_group, .still_valid = still_valid, .news_known = news_known };
}

static void text_of(char *out, size_t size, struct bytes from)
{
	snprintf(out, size, "%.*s", (int)from.len, (const char *)from.base);
}

/* The groups by name; how many there are, 0 when nobody is named. */
static unsigned needs_of(const struct policy_image *image, unsigned number, struct approval_need out[APPROVAL_NEEDS_MAX])
{
	struct policy_approval p;

	if (!image || number >= policy_counts(image).approvals)
		return 0;
	p = policy_approval(image, number);
	if (p.needs > APPROVAL_NEEDS_MAX)
		return 0;
	for (unsigned i = 0; i < p.needs; i++) {
		struct policy_need need = policy_approval_need(image, number, i);

		text_of(out[i].group, sizeof(out[i].group), policy_group_name(image, need.group));
		out[i].count = need.count;
	}
	return p.needs;
}

/* Whether it is released also by a clock that nobody sets; not, when the policy in force does not know it. */
static bool free_clock_ok(const struct node *n, const struct policy_image *image, unsigned number)
{
	const struct policy_tree_approval *a = n->tree ? policy_approval_by_name(n->tree, policy_approval(image, number).name) : NULL;

	return a && a->free_clock_ok;
}

/* What the policy asks for: groups by name, times. */
static void asks_for(const struct node *n, const struct policy_image *image, unsigned number, struct approval_command *c)
{
	struct policy_approval p;

	c->terms.needs = needs_of(image, number, c->terms.need);
	if (!c->terms.needs)
		return;
	p = policy_approval(image, number);
	c->terms.deny_quorum = p.deny_quorum;
	c->terms.expires_s = p.expires_s;
	c->terms.use_by_s = p.use_by_s;
	c->params_free = p.params_free;
	c->terms.free_clock_ok = free_clock_ok(n, image, number);
}

static unsigned rules_of(const struct policy_image *image, struct bytes list, struct bytes out[256])
{
	struct reader r = reader_of_bytes(list);
	unsigned count = 0;

	while (image && r.left >= 2 && count < 256) {
		unsigned rule = reader_be16(&r);

		if (rule < policy_counts(image).rules)
			out[count++] = policy_rule_id(image, rule);
	}
	return count;
}

void node_held(void *ctx, struct session *s, const struct event_command *e, const struct policy_image *image)
{
	struct node *n = ctx;
	static const uint8_t no_policy[32];
	char server[ENTRY_ADDRESS_BYTES + 8], address[ENTRY_ADDRESS_BYTES], say[APPROVAL_SAY_BYTES];
	static char classes[TOUCHED_BYTES];
	struct writer touched = writer_of(classes, sizeof(classes) - 1);
	struct bytes rules[256];
	struct approval_command c = { .worker = s->worker, .flow = s->flow, .event = e, .requester = s->principal, .who = bytes_of(s->who, s->who_len),
				      .service = s->service, .server = server, .database = s->database, .user = s->user, .login = s->login,
				      .proto = "postgres", .parser = "libpg_query-15", .policy_sha256 = image ? policy_hash(image) : no_policy,
				      .rules = rules, .classes = classes };

	memcpy(c.session, s->id, 16);
	snprintf(server, sizeof(server), "%s:%u", entry_address(s->target, s->address_len, address), s->target_port);
	(void)touched_write(image, bytes_str(s->database), e->classification, &touched);
	classes[touched.len] = 0;
	c.rules_count = rules_of(image, e->rules, rules);
	asks_for(n, image, e->approval, &c);
	s->asked_approval = true;
	session_touch(n->sessions, s);
	if (!approvals_request(n->approvals, &c, node_approval_clock(n), say)) {
		const struct order_approval m = { .flow = s->flow, .ref = e->n, .answer = APPROVAL_REFUSE, .say = bytes_str(say) };
		uint8_t room[LIMIT_SAY_BYTES + 128];

		inbox_order(n->inbox, s->worker, ORDER_approval, order_approval_encode(&m, room, sizeof(room)), ORDERS_COMMITTED);
	}
}

void node_rechecked(void *ctx, struct session *s, const struct event_rechecked *e, const struct policy_image *image)
{
	struct node *n = ctx;
	struct approval_recheck r = { .action = (enum command_action)e->action, .current = image && image == n->current, .raw = e->raw, .params = e->params,
				      .types = e->types, .state = e->state };

	if (r.action == COMMAND_HOLD && (r.needs = needs_of(image, e->approval, r.need))) {
		struct policy_approval p = policy_approval(image, e->approval);

		r.deny_quorum = p.deny_quorum;
		r.params_free = p.params_free;
		r.free_clock_ok = free_clock_ok(n, image, e->approval);
	}
	approvals_rechecked(n->approvals, s->worker, s->flow, e->ref, &r, node_approval_clock(n));
}

void node_withdrawn(void *ctx, struct session *s, uint32_t ref, enum withdraw_cause cause)
{
	struct node *n = ctx;

	approvals_withdrawn(n->approvals, s->worker, s->flow, ref, describe_withdraw(cause));
}

void node_responded(void *ctx, struct session *s, const struct event_response *e)
{
	struct node *n = ctx;
	char status[40];

	snprintf(status, sizeof(status), "%.*s", (int)e->status.len, (const char *)e->status.base);
	approvals_responded(n->approvals, s->worker, s->flow, e->ref, e->outcome == RESPONSE_LOST, jcs_is_utf8(bytes_str(status)) ? status : "?");
}

void node_closed(void *ctx, struct session *s, const char *cause)
{
	struct node *n = ctx;
	struct node_closed *c = &n->closed[n->closed_count++ % NODE_CLOSED];
	char address[ENTRY_ADDRESS_BYTES];

	if (s->asked_approval)
		approvals_session_closed(n->approvals, s->worker, s->flow, cause);
	node_login_gone(n, s->worker, s->flow);
	*c = (struct node_closed){ .opened_us = s->opened_us, .closed_us = n->now.wall_us, .commands = s->commands, .blocked = s->blocked,
				   .held = s->held, .rows = s->rows };
	for (unsigned i = 0; i < 16; i++)
		snprintf(c->id + 2 * i, 3, "%02x", s->id[i]);
	snprintf(c->service, sizeof(c->service), "%.63s", s->service);
	snprintf(c->person, sizeof(c->person), "%.63s", s->principal ? s->principal->person : "");
	snprintf(c->agent, sizeof(c->agent), "%.63s", s->principal ? s->principal->agent : "");
	snprintf(c->run, sizeof(c->run), "%.63s", s->principal ? s->principal->run : "");
	snprintf(c->user, sizeof(c->user), "%.63s", s->user);
	snprintf(c->client, sizeof(c->client), "%s:%u", entry_address(s->client, s->address_len, address), s->client_port);
	snprintf(c->cause, sizeof(c->cause), "%s", cause);
}

/* --- after a restart ----------------------------------------------------------------------------------------------------- */

static const char *low_path(const struct node *n, char out[320])
{
	snprintf(out, 320, "%.240s/journal/approvals.low", n->settings->state_dir);
	return out;
}

static uint64_t low_read(const struct node *n)
{
	char path[320];
	unsigned long long low = 0;
	FILE *f = fopen(low_path(n, path), "re");

	if (f && fscanf(f, "%llu", &low) != 1)
		low = 0;
	if (f)
		fclose(f);
	return low;
}

static void low_write(struct node *n, uint64_t low)
{
	char path[320], temp[330];
	FILE *f;

	snprintf(temp, sizeof(temp), "%s.new", low_path(n, path));
	f = fopen(temp, "we");
	if (!f)
		return;
	fprintf(f, "%llu\n", (unsigned long long)low);
	/* Lost or old: the next start reads more of the journal than it has to, and finds the same. */
	if (fclose(f) == 0 && rename(temp, path) == 0)
		n->approvals_low = low;
}

/* The statement of an approval.request, from its chunks in order; empty when its session's key was destroyed. */
static struct bytes statement_read(struct node *n, struct archive *archive, struct bytes record_bytes, struct writer *out)
{
	struct writer id = { 0 };
	struct seal key = { 0 };
	uint8_t session[16];
	bool known;

	struct jcs_value list = jcs_get(jcs_value_of(record_bytes), "pl"), element;
	size_t at = 0;

	id = writer_of(session, sizeof(session));
	known = list.kind == JCS_ARRAY && hex_read(jcs_read_plain(jcs_get(jcs_value_of(record_bytes), "sess")), &id) && id.len == 16 &&
		payload_keys_find(n->payload_keys, session, &key);
	while (list.kind == JCS_ARRAY && jcs_next(list, &at, NULL, &element)) {
		struct record_chunk chunk;
		struct bytes payload;
		struct record_seal seal = { .seal = &key };

		if (!record_chunk_read(&element, &chunk, &seal.dir, &seal.number) || archive_payload(archive, &chunk, known ? &seal : NULL, &payload)) {
			*out = (struct writer){ 0 };
			break;
		}
		writer_put(out, payload);
	}
	secret_wipe(&key, sizeof(key));
	return writer_done(out);
}

bool node_approvals_rebuild(struct node *n, char err[OS_ERROR_BYTES])
{
	struct archive *archive = journal_archive(n->journal);
	const struct archive_filter filter = { .type = "approval." };
	uint64_t index = low_read(n);
	uint8_t *copy = malloc(RECORD_BYTES_MAX), *room = malloc(STATEMENT_BYTES_MAX);
	enum archive_next next = ARCHIVE_MORE;
	struct bytes record_bytes;
	const char *why = "";

	if (archive && index > archive_size(archive))
		index = 0;
	while (archive && copy && room && (next = archive_search(archive, &filter, &index, 4096, &record_bytes, &why)) != ARCHIVE_END &&
	       next != ARCHIVE_BROKEN) {
		struct writer w = writer_of(room, STATEMENT_BYTES_MAX);
		size_t len = record_bytes.len;

		if (next == ARCHIVE_MORE)
			continue;
		memcpy(copy, record_bytes.base, len);
		if (!approvals_replay(n->approvals, index, bytes_of(copy, len), statement_read(n, archive, bytes_of(copy, len), &w)))
			log_debug("approval record %llu: belongs to no object that is kept", (unsigned long long)index);
		index++;
	}
	free(copy);
	free(room);
	if (next != ARCHIVE_END)
		snprintf(err, OS_ERROR_BYTES, "approvals: record %llu: %.100s: run sluice journal verify", (unsigned long long)index, why);
	return next == ARCHIVE_END;
}

void node_approvals_tick(struct node *n)
{
	struct journal_state state;
	uint64_t low;

	approvals_tick(n->approvals, node_approval_clock(n));
	journal_state(n->journal, &state);
	low = approvals_low_water(n->approvals, state.size);
	/* Seldom enough to cost nothing, often enough that a start reads little. */
	if (low > n->approvals_low + 20000 || (n->approvals_low == 0 && low > 0))
		low_write(n, low);
}
