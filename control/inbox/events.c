/* events.c: what each event does: one function an event, from its checks to its record.
 *
 * The counter `n` is the worker's: it has to be the session's next one. A flow whose worker says something that is not allowed is
 * killed, and closed in the journal at once; what still comes of it is skipped. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "control/identity/reasons.h"
#include "control/inbox/describe.h"
#include "control/inbox/state.h"
#include "control/inbox/withheld.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

static struct bytes name_of(const struct policy_image *image, uint32_t service)
{
	return image && service < policy_counts(image).services ? policy_service(image, service).name : bytes_str("unknown");
}

static void copy_text(char *out, size_t size, struct bytes from)
{
	size_t len = from.len < size ? from.len : size - 1;

	for (size_t i = 0; i < len; i++)
		out[i] = from.base[i] ? (char)from.base[i] : '?';
	/* A cut or foreign text stays a text of the record. */
	if (!jcs_is_utf8(bytes_of(out, len))) {
		for (size_t i = 0; i < len; i++)
			out[i] = (unsigned char)out[i] < 0x80 ? out[i] : '?';
	}
	out[len] = 0;
}

/* --- payload ------------------------------------------------------------------------------------------------------------- */

void inbox_payload_take(struct inbox *in, struct session *s, struct entry_chunk *list, unsigned *count)
{
	for (unsigned i = 0; i < in->pendings; i++) {
		struct pending *p = &in->pending[i];

		if (p->session != s)
			continue;
		memcpy(list, p->chunk, p->count * sizeof(*list));
		*count = p->count;
		*p = in->pending[--in->pendings];
		return;
	}
}

void inbox_payload_flush(struct inbox *in, struct session *s)
{
	for (unsigned i = in->pendings; i > 0; i--) {
		struct entry_chunk list[ENTRY_CHUNKS_MAX];
		struct session *of = in->pending[i - 1].session;
		struct entry e = { .type = "payload", .session = of, .chunks = list };

		if (s && of != s)
			continue;
		inbox_payload_take(in, of, list, &e.chunks_count);
		(void)inbox_append(in, &e, false, NULL);
	}
}

void inbox_payload_add(struct inbox *in, struct session *s, const char *dir, struct bytes payload)
{
	struct pending *p = NULL;

	for (unsigned i = 0; i < in->pendings && !p; i++) {
		if (in->pending[i].session == s)
			p = &in->pending[i];
	}
	/* An event of 64 KiB is two chunks. */
	if (p && p->count + 2 > ENTRY_CHUNKS_MAX) {
		inbox_payload_flush(in, s);
		p = NULL;
	}
	if (!p && in->pendings == INBOX_PENDING_MAX)
		inbox_payload_flush(in, NULL);
	if (!p) {
		p = &in->pending[in->pendings++];
		p->session = s;
		p->count = 0;
	}
	if (!inbox_chunks(in, s, dir, payload, p->chunk, &p->count)) {
		in->stopped = true;
		log_error("payload: the journal does not take it: see `sluice show health`");
	}
}

/* --- ending a flow ------------------------------------------------------------------------------------------------------- */

void inbox_kill(struct inbox *in, struct session *s, const char *say)
{
	const struct order_kill m = { .flow = s->flow, .say = bytes_str(say) };
	uint8_t room[LIMIT_SAY_BYTES + 64];

	s->ending = true;
	session_touch(in->sessions, s);
	in->counters.killed++;
	inbox_order(in, s->worker, ORDER_kill, order_kill_encode(&m, room, sizeof(room)), ORDERS_NOW);
}

/* What it left undone is ended first, so that the close is the session's last record and counts all of them; then gone. `n` is the session's
 * next one: closes that control writes itself use it too. */
static void close_session(struct inbox *in, struct session *s, const struct event_flow_close *e)
{
	struct entry_chunk list[ENTRY_CHUNKS_MAX];
	struct describe_close close = { .event = e };
	struct entry record = { .type = "session.close", .session = s, .has_n = true, .n = s->n, .has_place = true,
				.data = { describe_flow_close, &close }, .chunks = list };

	in->host.closed(in->host.ctx, s, describe_close_cause(e->cause));
	close.own = s->own;
	inbox_payload_take(in, s, list, &record.chunks_count);
	(void)inbox_append(in, &record, true, NULL);
	session_remove(in->sessions, s);
}

static void close_by_control(struct inbox *in, struct session *s, enum close_cause cause, const char *text)
{
	const struct event_flow_close e = { .flow = s->flow, .n = s->n, .cause = cause, .text = bytes_str(text), .commands = s->commands, .rows = s->rows };

	close_session(in, s, &e);
}

/* The worker broke the contract over this flow. */
static void break_session(struct inbox *in, struct session *s, const char *why)
{
	inbox_alarm(in, s->worker, "message_bad", why, s);
	inbox_kill(in, s, "protocol violation inside Sluice; the operator was told");
	if (s->phase == SESSION_BROKEN)
		return;
	s->phase = SESSION_BROKEN;
	session_touch(in->sessions, s);
}

/* --- the events ---------------------------------------------------------------------------------------------------------- */

static void on_hello(struct inbox *in, unsigned worker, const struct event_hello *e)
{
	struct lane *l = &in->lane[worker];
	struct session *s, *next;

	if (e->worker != worker || e->boot.len != 16) {
		inbox_alarm(in, worker, "message_bad", "hello of another worker, or without a boot id", NULL);
		return;
	}
	for (s = session_next(in->sessions, NULL); s; s = next) {
		next = session_next(in->sessions, s);
		if (s->worker != worker || !memcmp(s->boot, e->boot.base, 16))
			continue;
		if (!journal_has_room(in->journal, 8, LIMIT_MESSAGE_BYTES)) {
			in->again = true;
			return;
		}
		close_by_control(in, s, CLOSE_RESTART, "the data plane restarted");
	}
	/* Its counters begin anew; a hello that is read a second time after a restart says the boot that is known. */
	if (memcmp(l->state.boot, e->boot.base, 16) || !l->state.seen)
		journal_cursor_set(in->journal, INBOX_CURSOR_COMMANDS + worker, 0);
	memcpy(l->state.boot, e->boot.base, 16);
	l->state.seen = true;
	l->state.hello_wall_us = in->node.now.wall_us;
	in->host.hello(in->host.ctx, worker);
}

/* GCM does not commit to its key: the record does. */
static void describe_open(struct jcs *j, const void *from)
{
	const struct session *s = from;
	uint8_t hash[32];

	seal_commitment(&s->seal, hash);
	jcs_put_hex(j, "key_h", bytes_of(hash, sizeof(hash)));
}

static void on_flow_open(struct inbox *in, unsigned worker, const struct event_flow_open *e)
{
	const struct policy_image *image = in->host.image(in->host.ctx, e->generation);
	struct session *s;
	struct entry record = { .type = "session.open", .has_n = true, .has_place = true };

	if ((e->client.len != 4 && e->client.len != 16) || e->target.len != e->client.len || e->client_mac.len > 6 || e->n != 0) {
		inbox_alarm(in, worker, "message_bad", "flow_open with a malformed address or counter", NULL);
		return;
	}
	s = session_add(in->sessions, worker, e->flow);
	if (!s) {
		const struct order_kill m = { .flow = e->flow, .say = bytes_str("too many sessions") };
		uint8_t room[128];

		inbox_alarm(in, worker, "sessions_full", "no room for one more session; it was ended", NULL);
		inbox_order(in, worker, ORDER_kill, order_kill_encode(&m, room, sizeof(room)), ORDERS_NOW);
		return;
	}
	memcpy(s->boot, in->lane[worker].state.boot, 16);
	s->address_len = (uint8_t)e->client.len;
	memcpy(s->client, e->client.base, e->client.len);
	memcpy(s->target, e->target.base, e->target.len);
	if (e->client_mac.len)
		memcpy(s->client_mac, e->client_mac.base, e->client_mac.len);
	s->client_port = e->client_port;
	s->target_port = e->target_port;
	s->vlan = e->vlan;
	s->opened_us = in->node.now.wall_us;
	copy_text(s->service, sizeof(s->service), name_of(image, e->service));
	s->sealed = payload_keys_make(in->payload_keys, s->id, in->node.now.wall_us, &s->seal);
	in->stopped |= !s->sealed;
	s->n = 1;
	record.session = s;
	record.data = (struct entry_part){ describe_open, s };
	record.policy_sha256 = image ? policy_hash(image) : NULL;
	(void)inbox_append(in, &record, false, NULL);
}

static void on_login(struct inbox *in, struct session *s, const struct event_login *e)
{
	if (s->phase != SESSION_OPEN) {
		break_session(in, s, "login in a session that has one");
		return;
	}
	copy_text(s->user, sizeof(s->user), e->user);
	copy_text(s->database, sizeof(s->database), e->database);
	copy_text(s->application, sizeof(s->application), e->application);
	s->phase = SESSION_LOGIN;
	s->login_n = e->n;
	s->n = e->n + 1;
	session_touch(in->sessions, s);
	in->host.login(in->host.ctx, s, e);
}

void inbox_commitment(const struct inbox *in, const struct session *s, struct bytes raw, uint8_t out[32])
{
	uint8_t key[32];
	unsigned len = 32;

	if (s->sealed) {
		seal_command(&s->seal, raw, out);
		return;
	}
	if (!HMAC(EVP_sha256(), in->commitment_key, 32, s->id, 16, key, &len) || !HMAC(EVP_sha256(), key, 32, raw.base, raw.len, out, &len))
		memset(out, 0, 32);
	secret_wipe(key, sizeof(key));
}

static unsigned rules_read(const struct policy_image *image, struct bytes list, struct bytes out[256])
{
	struct reader r = reader_of_bytes(list);
	unsigned count = 0, rules = image ? policy_counts(image).rules : 0;

	while (r.left >= 2 && count < 256) {
		unsigned rule = reader_be16(&r);

		if (rule < rules)
			out[count++] = policy_rule_id(image, rule);
	}
	return count;
}

/* What the policy wants recorded of a service; all of it, and first, when it is not known. */
static void levels(const struct inbox *in, const struct policy_image *image, const char *service, bool *full, enum policy_audit *audit)
{
	int number = image ? policy_service_by_name(image, bytes_str(service)) : -1;
	struct policy_service s = number >= 0 ? policy_service(image, (unsigned)number) : (struct policy_service){ 0 };

	*full = (number < 0 || s.record == POLICY_RECORD_FULL) && !(in->thrifty && s.on_journal_full == POLICY_FULL_DIGEST);
	*audit = number < 0 ? POLICY_AUDIT_ANSWERS : s.audit;
}

/* The client of `s` waits for this batch, as long as its last command's policy holds answers back. */
static void answer_is_waited_for(struct inbox *in, struct session *s)
{
	if (s->audit != POLICY_AUDIT_ANSWERS || s->waits_for == in->counters.commits + 1)
		return;
	s->waits_for = in->counters.commits + 1;
	in->waiters++;
}

static void on_command(struct inbox *in, struct session *s, const struct event_command *e)
{
	const struct policy_image *image = in->host.image(in->host.ctx, e->generation);
	struct event_command shown;
	struct describe_command d = { .event = &shown, .proto = "postgres" };
	struct entry_chunk list[ENTRY_CHUNKS_MAX];
	struct bytes rules[256];
	struct entry record = { .session = s, .has_n = true, .n = e->n, .op = { describe_op, &d }, .out = { describe_command_out, e },
				.rules = rules, .has_rules = true, .chunks = list };
	enum policy_audit audit;
	bool full;

	if (e->action >= COMMAND_actions || e->kind >= COMMAND_kinds) {
		break_session(in, s, "command with an unknown kind or action");
		return;
	}
	s->n = e->n + 1;
	session_touch(in->sessions, s);
	s->generation = e->generation;
	s->commands++;
	s->blocked += e->action == COMMAND_BLOCK;
	s->held += e->action == COMMAND_HOLD;
	d.known = e->classification.len && classification_open(e->classification, &d.classified);
	inbox_commitment(in, s, e->raw, d.hash); /* op.h */
	shown = withheld_command(in, s, e, &d.classified.normalised);
	inbox_payload_take(in, s, list, &record.chunks_count);
	if (record.chunks_count + 8 > ENTRY_CHUNKS_MAX) {
		struct entry part = { .type = "payload", .session = s, .chunks = list, .chunks_count = record.chunks_count };

		(void)inbox_append(in, &part, false, NULL);
		record.chunks_count = 0;
	}
	d.norm_is_chunk = d.known && d.classified.normalised.len > DESCRIBE_NORM_BYTES;
	if (d.norm_is_chunk)
		in->stopped |= !inbox_chunks(in, s, "n", d.classified.normalised, list, &record.chunks_count);
	levels(in, image, s->service, &full, &audit);
	in->patient = e->action != COMMAND_HOLD;
	in->waiters += audit != POLICY_AUDIT_PROMPT;
	s->audit = audit;
	s->waits_for = in->counters.commits + 1;
	if (full) {
		in->stopped |= !inbox_chunks(in, s, "i", shown.raw, list, &record.chunks_count);
		in->stopped |= !inbox_chunks(in, s, "p", shown.params, list, &record.chunks_count);
	}
	record.type = e->action == COMMAND_HOLD ? "hold" : "cmd";
	record.rules_count = rules_read(image, e->rules, rules);
	record.policy_sha256 = image ? policy_hash(image) : NULL;
	journal_cursor_set(in->journal, INBOX_CURSOR_COMMANDS + s->worker, journal_cursor_get(in->journal, INBOX_CURSOR_COMMANDS + s->worker) + 1);
	if (inbox_append(in, &record, false, NULL) && e->action == COMMAND_HOLD)
		in->host.held(in->host.ctx, s, &shown, image);
}

static void on_response(struct inbox *in, struct session *s, const struct event_response *e)
{
	const struct policy_image *image = in->host.image(in->host.ctx, s->generation);
	struct event_response shown = *e;
	const struct describe_response d = { .event = &shown, .image = image };
	struct entry_chunk list[ENTRY_CHUNKS_MAX];
	struct entry record = { .type = "resp", .session = s, .has_n = true, .n = e->n, .has_ref = true, .ref = e->ref,
				.out = { describe_response_out, &d }, .chunks = list };

	if (e->ref >= e->n || e->outcome >= RESPONSE_outcomes || e->limit >= RESPONSE_limits || e->truncated & ~RESPONSE_CUT_BY_WORKER) {
		break_session(in, s, "response to a later command, or with an unknown outcome, limit or cut");
		return;
	}
	if (s->left_out_ref && s->left_out_ref == e->ref)
		shown.truncated |= RESPONSE_CUT_JOURNAL;
	in->patient = true;
	answer_is_waited_for(in, s);
	s->n = e->n + 1;
	s->rows += e->rows;
	session_touch(in->sessions, s);
	inbox_payload_take(in, s, list, &record.chunks_count);
	if (inbox_append(in, &record, false, NULL) && s->asked_approval)
		in->host.responded(in->host.ctx, s, e);
}

static void on_part(struct inbox *in, struct session *s, const struct event_part *e)
{
	struct entry_chunk list[ENTRY_CHUNKS_MAX];
	struct entry record = { .type = "resp.part", .session = s, .has_n = true, .n = e->n, .has_ref = true, .ref = e->ref,
				.out = { describe_part_out, e }, .chunks = list };

	if (e->ref >= e->n) {
		break_session(in, s, "part of the answer to a later command");
		return;
	}
	in->patient = true;
	answer_is_waited_for(in, s);
	s->n = e->n + 1;
	session_touch(in->sessions, s);
	inbox_payload_take(in, s, list, &record.chunks_count);
	(void)inbox_append(in, &record, false, NULL);
}

static void on_flow_close(struct inbox *in, struct session *s, const struct event_flow_close *e)
{
	struct event_flow_close at_end = *e;

	if (e->cause >= CLOSE_causes)
		at_end.cause = CLOSE_PROTOCOL;
	/* A login that is still being checked has its record before the session's last one. */
	if (s->phase == SESSION_LOGIN) {
		const struct inbox_refusal gone = { .reason = "client_gone", .issuer = "", .kid = "", .alg = "", .claim = "", .say = "" };

		inbox_login_refused(in, s, &gone);
	}
	s->n = e->n;
	close_session(in, s, &at_end);
}

/* --- logins come back ---------------------------------------------------------------------------------------------------- */

static void describe_login(struct jcs *j, const void *from)
{
	const struct session *s = from;

	jcs_put_str(j, "application", s->application);
	jcs_put_str(j, "database", s->database);
	jcs_put_str(j, "upstream_user", s->login);
	jcs_put_str(j, "user", s->user);
}

struct refusal {
	const struct inbox_refusal *why;
	const struct session *session;
};

static void describe_refusal(struct jcs *j, const void *from)
{
	const struct refusal *r = from;

	jcs_put_str(j, "alg", r->why->alg);
	jcs_put_str(j, "claim", r->why->claim);
	jcs_put_str(j, "database", r->session->database);
	jcs_put_str(j, "issuer", r->why->issuer);
	jcs_put_str(j, "kid", r->why->kid);
	jcs_put_str(j, "reason", r->why->reason);
	jcs_put_str(j, "user", r->session->user);
}

static void identity_order(struct inbox *in, const struct session *s, const struct inbox_grant *g, const char *say)
{
	uint8_t groups[LIMIT_GROUPS / 8] = { 0 }, room[2048];
	struct order_identity m = { .flow = s->flow, .say = bytes_str(say), .groups = bytes_of(groups, sizeof(groups)) };

	if (g) {
		group_bits_write(&g->groups, groups);
		m.accepted = 1;
		m.suspended = g->suspended != NULL;
		if (g->suspended)
			m.say = bytes_str(g->suspended);
		m.generation = g->generation;
		m.expires_s = (uint64_t)g->principal->end_s;
		m.upstream_user = bytes_str(g->upstream_user);
	}
	inbox_order(in, s->worker, ORDER_identity, order_identity_encode(&m, room, sizeof(room)), ORDERS_COMMITTED);
}

void inbox_login_accepted(struct inbox *in, struct session *s, const struct inbox_grant *grant)
{
	const struct inbox_refusal large = { .reason = "principal_too_large", .issuer = "", .kid = "", .alg = "", .claim = "", .say = IDENTITY_CLIENT_TEXT };
	struct entry record = { .type = "auth.ok", .session = s, .has_n = true, .n = s->login_n, .has_place = true, .data = { describe_login, s } };
	const struct policy_image *image = in->host.image(in->host.ctx, grant->generation);

	if (s->phase != SESSION_LOGIN)
		return;
	if (!session_identify(in->sessions, s, grant->principal)) {
		principal_put(grant->principal);
		inbox_login_refused(in, s, &large);
		return;
	}
	snprintf(s->login, sizeof(s->login), "%s", grant->upstream_user);
	s->phase = SESSION_LOGGED_IN;
	session_touch(in->sessions, s);
	record.policy_sha256 = image ? policy_hash(image) : NULL;
	if (inbox_append(in, &record, false, NULL))
		identity_order(in, s, grant, "");
}

void inbox_login_refused(struct inbox *in, struct session *s, const struct inbox_refusal *why)
{
	const struct refusal r = { .why = why, .session = s };
	struct entry record = { .type = "auth.fail", .session = s, .has_n = true, .n = s->login_n, .has_place = true, .data = { describe_refusal, &r } };

	if (s->phase != SESSION_LOGIN)
		return;
	s->phase = SESSION_OPEN;
	session_touch(in->sessions, s);
	if (inbox_append(in, &record, false, NULL))
		identity_order(in, s, NULL, why->say);
}

void inbox_repeat_refusal(struct inbox *in, struct session *s, const char *say)
{
	if (s->phase == SESSION_OPEN && s->login_n)
		identity_order(in, s, NULL, say);
}

void inbox_regrant(struct inbox *in, struct session *s, const struct inbox_grant *grant)
{
	identity_order(in, s, grant, "");
}

/* --- dispatch ------------------------------------------------------------------------------------------------------------ */

/* The session of `flow` when it is in the state that the message asks for, and `n` (NULL: it has none) is its next counter. */
static struct session *allowed(struct inbox *in, unsigned worker, uint64_t flow, enum message_when when, const uint32_t *n)
{
	struct session *s = session_find(in->sessions, worker, flow);

	if (!s) {
		inbox_alarm(in, worker, "message_bad", "a message about a flow that is not open", NULL);
		in->lane[worker].state.bad_messages++;
		in->counters.bad_messages++;
		return NULL;
	}
	if (s->phase == SESSION_BROKEN)
		return NULL;
	if ((when == WHEN_LOGGED_IN && s->phase != SESSION_LOGGED_IN) || (n && *n != s->n)) {
		in->lane[worker].state.bad_messages++;
		in->counters.bad_messages++;
		break_session(in, s, n && *n != s->n ? "a session's counter has a gap" : "a message that needs a login, without one");
		return NULL;
	}
	return s;
}

static bool decode_failed(struct inbox *in, unsigned worker, uint16_t type)
{
	in->lane[worker].state.bad_messages++;
	in->counters.bad_messages++;
	inbox_alarm(in, worker, "message_bad", event_name(type, NULL) ? "an event does not decode" : "an event of an unknown number", NULL);
	return false;
}

#define DECODE(name) \
	struct event_##name e; \
	if (!event_##name##_decode(payload, &e)) { \
		(void)decode_failed(in, worker, EVENT_##name); \
		return; \
	}

static void dispatch_open(struct inbox *in, unsigned worker, struct bytes payload)
{
	DECODE(flow_open);
	if (session_find(in->sessions, worker, e.flow)) {
		break_session(in, session_find(in->sessions, worker, e.flow), "flow_open of a flow that is open");
		in->lane[worker].state.bad_messages++;
		in->counters.bad_messages++;
		return;
	}
	on_flow_open(in, worker, &e);
}

static void dispatch_login(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(login);
	s = allowed(in, worker, e.flow, WHEN_OPEN, &e.n);
	if (s)
		on_login(in, s, &e);
}

static void dispatch_scram(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(scram);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, NULL);
	if (s)
		in->host.scram(in->host.ctx, s, &e);
}

static void dispatch_classify(struct inbox *in, unsigned worker, struct bytes payload)
{
	DECODE(classify);
	in->host.classify(in->host.ctx, worker, &e);
}

static void dispatch_command(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(command);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, &e.n);
	if (s)
		on_command(in, s, &e);
}

static void dispatch_response(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(response);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, &e.n);
	if (s)
		on_response(in, s, &e);
}

static void dispatch_part(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(part);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, &e.n);
	if (s)
		on_part(in, s, &e);
}

/* From 90 % of the journal's volume on, of a service that has it so: its digest, where somebody waits for a record of it, and no more. */
struct left_out {
	const struct event_payload *event;
	uint8_t hash[32];
};

static void describe_left_out(struct jcs *j, const void *from)
{
	const struct left_out *l = from;

	jcs_put_str(j, "dir", l->event->direction ? "o" : "i");
	jcs_put_hex(j, "h", bytes_of(l->hash, sizeof(l->hash)));
	jcs_put_str(j, "left_out", "journal_full");
	jcs_put_uint(j, "len", l->event->data.len);
}

static bool leaves_out(struct inbox *in, struct session *s, const struct event_payload *e)
{
	struct left_out out = { .event = e };
	const struct entry record = { .type = "payload", .session = s, .has_ref = true, .ref = e->ref, .data = { describe_left_out, &out } };
	enum policy_audit audit;
	bool full = true;

	if (in->thrifty)
		levels(in, in->host.image(in->host.ctx, s->generation), s->service, &full, &audit);
	if (full)
		return false;
	s->left_out_ref = e->ref;
	if (audit == POLICY_AUDIT_ANSWERS || (audit == POLICY_AUDIT_STRICT && e->direction == 0)) {
		inbox_commitment(in, s, e->data, out.hash);
		(void)inbox_append(in, &record, false, NULL);
	}
	return true;
}

static void dispatch_payload(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(payload);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, NULL);
	in->patient = s != NULL;
	if (s)
		withheld_payload(in, s, &e);
	if (s)
		answer_is_waited_for(in, s);
	if (s && e.data.len && !leaves_out(in, s, &e))
		inbox_payload_add(in, s, e.direction ? "o" : "i", e.data);
}

static void dispatch_withdraw(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(withdraw);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, NULL);
	if (s && s->asked_approval)
		in->host.withdrawn(in->host.ctx, s, e.ref, e.cause);
}

static void dispatch_rechecked(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(rechecked);
	s = allowed(in, worker, e.flow, WHEN_LOGGED_IN, NULL);
	if (s && e.action >= COMMAND_actions)
		break_session(in, s, "a held command judged again, with an unknown action");
	else if (s && s->asked_approval) {
		withheld_recheck(in, s, &e);
		in->host.rechecked(in->host.ctx, s, &e, in->host.image(in->host.ctx, e.generation));
	}
}

static void dispatch_close(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct session *s;
	DECODE(flow_close);
	s = session_find(in->sessions, worker, e.flow);
	/* Of a session that was broken off the counter is not believed: the record gets the one that follows. */
	if (s && s->phase == SESSION_BROKEN) {
		e.n = s->n;
		on_flow_close(in, s, &e);
		return;
	}
	s = allowed(in, worker, e.flow, WHEN_OPEN, &e.n);
	if (s)
		on_flow_close(in, s, &e);
}

static void dispatch_tick(struct inbox *in, unsigned worker, struct bytes payload)
{
	struct describe_tick d = { .recorded = journal_cursor_get(in->journal, INBOX_CURSOR_COMMANDS + worker) };
	struct entry record = { .type = "node.tick" };
	DECODE(tick);
	in->lane[worker].state.tick = e;
	in->lane[worker].state.tick_wall_us = in->node.now.wall_us;
	e.worker = (uint16_t)worker;
	d.event = &e;
	record.data = (struct entry_part){ describe_tick, &d };
	in->patient = true;
	(void)inbox_append(in, &record, false, NULL);
	/* What the worker says it judged, and what is in the journal: the totals of a boot have to meet at every tick. */
	if (e.commands != d.recorded)
		inbox_alarm(in, worker, "totals_differ", "the worker counts another number of commands than the journal has records of", NULL);
}

static void dispatch_hello(struct inbox *in, unsigned worker, struct bytes payload)
{
	DECODE(hello);
	on_hello(in, worker, &e);
}

void inbox_event(struct inbox *in, unsigned worker, uint16_t type, struct bytes payload)
{
	static void (*const handlers[])(struct inbox *, unsigned, struct bytes) = {
		[EVENT_hello] = dispatch_hello, [EVENT_flow_open] = dispatch_open, [EVENT_login] = dispatch_login,
		[EVENT_scram] = dispatch_scram, [EVENT_classify] = dispatch_classify, [EVENT_command] = dispatch_command,
		[EVENT_response] = dispatch_response, [EVENT_payload] = dispatch_payload, [EVENT_withdraw] = dispatch_withdraw,
		[EVENT_flow_close] = dispatch_close, [EVENT_tick] = dispatch_tick, [EVENT_rechecked] = dispatch_rechecked,
		[EVENT_part] = dispatch_part,
	};

	if (type >= sizeof(handlers) / sizeof(*handlers) || !handlers[type])
		(void)decode_failed(in, worker, type);
	else
		handlers[type](in, worker, payload);
}
