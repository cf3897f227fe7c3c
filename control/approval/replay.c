/* replay.c: objects from the journal's records, after a restart.
 *
 * The journal alone says what exists: a record that does not fit what came before it is refused, and the object stays as it
 * was. Of kind admin the records say who asked and who voted (speaker.h), so it goes on; all of it is judged again at the release.
 * Of once-hold the principals do not come back, so it can neither be voted on nor released: "once-hold becomes cancelled". */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/speaker.h"
#include "control/approval/store.h"
#include "control/journal/jcs_read.h"

static bool read_text(struct jcs_value object, const char *key, char *out, size_t size)
{
	struct writer w = writer_of(out, size - 1);
	bool good = jcs_read_str(jcs_get(object, key), &w);

	out[good ? w.len : 0] = 0;
	return good;
}

static int digit(uint8_t c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(struct jcs_value object, const char *key, uint8_t *out, size_t len)
{
	struct bytes text = jcs_read_plain(jcs_get(object, key));

	memset(out, 0, len);
	if (text.len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = digit(text.base[2 * i]), low = digit(text.base[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool read_number(struct jcs_value object, const char *key, int64_t max, int64_t *out)
{
	return jcs_read_int(jcs_get(object, key), out) && *out >= 0 && *out <= max;
}

/* The id's bytes from its text; false when it is not one. */
static bool read_id(struct jcs_value appr, struct approval *a)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	struct bytes text = jcs_read_plain(jcs_get(appr, "id"));
	unsigned __int128 value = 0;

	if (text.len != APPROVAL_ID_TEXT - 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		const char *d = text.base[i] ? strchr(digits, text.base[i]) : NULL;

		if (!d)
			return false;
		value = value << 5 | (unsigned)(d - digits);
	}
	for (unsigned i = 0; i < APPROVAL_ID_BYTES; i++)
		a->id[i] = (uint8_t)(value >> (8 * (15 - i)));
	store_id_text(a->id, a->id_text);
	return !memcmp(a->id_text, text.base, text.len);
}

static bool read_needs(struct jcs_value data, struct approval *a)
{
	struct jcs_value list = jcs_get(data, "approvers"), element;
	size_t at = 0;

	if (list.kind != JCS_ARRAY)
		return false;
	while (jcs_next(list, &at, NULL, &element)) {
		char text[LIMIT_NAME_BYTES + 16], *colon;
		struct writer w = writer_of(text, sizeof(text) - 1);

		if (a->needs == APPROVAL_NEEDS_MAX || !jcs_read_str(element, &w))
			return false;
		text[w.len] = 0;
		colon = strrchr(text, ':');
		if (!colon || (size_t)(colon - text) >= LIMIT_NAME_BYTES)
			return false;
		*colon = 0;
		memcpy(a->need[a->needs].group, text, (size_t)(colon - text) + 1);
		a->need[a->needs++].count = (unsigned)strtoul(colon + 1, NULL, 10);
	}
	return true;
}

static bool read_request(struct approval *a, struct jcs_value record, struct jcs_value data, struct bytes statement)
{
	struct jcs_value who = jcs_get(record, "who");
	int64_t worker, n, quorum, deny_quorum, created, expires, use_by, len;
	uint8_t flow[8], hash[32], said[32];

	if (!read_needs(data, a) || !read_number(data, "worker", LIMIT_WORKERS - 1, &worker) || !read_number(data, "ref", UINT32_MAX, &n) ||
	    !read_number(data, "quorum", APPROVAL_QUORUM_MAX, &quorum) || !read_number(data, "deny_quorum", APPROVAL_VOTES_MAX, &deny_quorum) ||
	    !read_number(data, "created_us", INT64_MAX, &created) || !read_number(data, "expires_us", INT64_MAX, &expires) ||
	    !read_number(data, "use_by_s", UINT32_MAX, &use_by) || !read_number(data, "statement_len", INT64_MAX, &len) ||
	    !read_hex(data, "flow", flow, 8) || !read_hex(data, "command_h", a->command_sha256, 32) ||
	    (a->kind == APPROVAL_ONCE_HOLD && !read_hex(record, "sess", a->session, 16)) || !read_hex(record, "pol", a->policy_sha256, 32) ||
	    !read_hex(jcs_get(record, "appr"), "h", said, 32) || who.kind != JCS_OBJECT || (uint64_t)len != statement.len)
		return false;
	SHA256(statement.base, statement.len, hash);
	if (memcmp(hash, said, 32) || !read_text(data, "service", a->service, sizeof(a->service)))
		return false;
	(void)read_text(who, "run", a->run, sizeof(a->run));
	(void)read_text(who, "agent", a->agent, sizeof(a->agent));
	a->run[strcmp(a->run, "unknown") ? strlen(a->run) : 0] = 0;
	a->agent[strcmp(a->agent, "unknown") ? strlen(a->agent) : 0] = 0;
	a->worker = (unsigned)worker;
	a->n = (uint32_t)n;
	a->quorum = (unsigned)quorum;
	a->deny_quorum = (unsigned)deny_quorum;
	a->created_us = (uint64_t)created;
	a->expires_us = (uint64_t)expires;
	a->use_by_s = (uint32_t)use_by;
	a->use_by_us = a->expires_us + a->use_by_s * 1000000ull;
	for (unsigned i = 0; i < 8; i++)
		a->flow = a->flow << 8 | flow[i];
	memcpy(a->statement_sha256, hash, 32);
	a->statement = malloc(statement.len + 1);
	a->who = malloc(who.raw.len + 1);
	if (!a->statement || !a->who)
		return false;
	memcpy(a->statement, statement.base, statement.len);
	a->statement_len = statement.len;
	memcpy(a->who, who.raw.base, who.raw.len);
	a->who_len = who.raw.len;
	return true;
}

static bool replay_request(struct approvals *as, uint64_t index, struct jcs_value record, struct bytes statement)
{
	struct approval *a = store_add(as);
	bool clock_free_ok, on_demand;

	if (!a)
		return false;
	if (bytes_equal(jcs_read_plain(jcs_get(jcs_get(record, "data"), "kind")), bytes_str("admin"))) {
		a->kind = APPROVAL_ADMIN;
		statement = jcs_get(jcs_get(record, "data"), "statement").raw;
		a->requester = speaker_read(jcs_get(jcs_get(record, "data"), "asker"));
		a->free_clock_ok = jcs_read_bool(jcs_get(jcs_get(record, "data"), "clock_free_ok"), &clock_free_ok) && clock_free_ok;
		a->on_demand = jcs_read_bool(jcs_get(jcs_get(record, "data"), "on_demand"), &on_demand) && on_demand;
	}
	if (!read_id(jcs_get(record, "appr"), a) || !read_request(a, record, jcs_get(record, "data"), statement)) {
		store_drop(as, a);
		return false;
	}
	a->record[a->history++] = index;
	as->counters.requested++;
	/* The record is on disk, or it would not be read here. */
	store_enter(as, a, APPROVAL_PENDING, "");
	return true;
}

static bool replay_vote(struct approval *a, struct jcs_value data)
{
	struct jcs_value extra = jcs_get(data, "extra"), document = jcs_get(extra, "doc");
	struct approval_vote *v;
	struct bytes word = jcs_read_plain(jcs_get(document, "vote"));
	int64_t at;

	if (a->votes == APPROVAL_VOTES_MAX || (!a->vote && !(a->vote = calloc(APPROVAL_VOTES_MAX, sizeof(*a->vote)))))
		return false;
	v = &a->vote[a->votes];
	v->approve = bytes_equal(word, bytes_str("approve"));
	if (!read_text(document, "voter", v->person, sizeof(v->person)) || !read_text(document, "reason", v->reason, sizeof(v->reason)) ||
	    !read_text(extra, "credential", v->credential, sizeof(v->credential)) || !read_number(data, "at_us", INT64_MAX, &at))
		return false;
	v->wall_us = (uint64_t)at;
	v->voter = a->kind == APPROVAL_ADMIN ? speaker_read(jcs_get(extra, "voter")) : NULL;
	if (v->voter && strcmp(v->voter->person, v->person)) {
		principal_put(v->voter);
		v->voter = NULL;
	}
	a->votes++;
	return true;
}

static bool replay_void(struct approval *a, struct jcs_value data)
{
	char person[sizeof(a->vote->person)];

	if (!read_text(data, "voter", person, sizeof(person)))
		return false;
	for (unsigned i = 0; i < a->votes; i++)
		a->vote[i].is_void |= !strcmp(a->vote[i].person, person);
	return true;
}

/* The step whose record this is, from the state the object has. */
static bool replay_step(struct approvals *as, struct approval *a, struct bytes type, struct jcs_value data)
{
	char cause[sizeof(a->result)];
	int64_t at;

	for (enum approval_event e = 0; e < APPROVAL_events; e++) {
		struct approval_step step = approval_step(a->state, e);

		if (!step.allowed || !step.record || !bytes_equal(bytes_str(step.record), type))
			continue;
		if (e == APPROVAL_GETS_VOTE)
			return replay_vote(a, data);
		read_text(data, "cause", cause, sizeof(cause));
		store_enter(as, a, step.to, cause);
		if (e == APPROVAL_GETS_QUORUM && read_number(data, "at_us", INT64_MAX, &at))
			a->granted_us = (uint64_t)at;
		if (step.to == APPROVAL_DENIED)
			store_denied(as, a);
		return true;
	}
	return false;
}

bool approvals_replay(struct approvals *as, uint64_t index, struct bytes record, struct bytes statement)
{
	struct jcs_value object = jcs_value_of(record), data = jcs_get(object, "data");
	struct bytes type = jcs_read_plain(jcs_get(object, "t"));
	char id[APPROVAL_ID_TEXT];
	struct approval *a;

	if (bytes_equal(type, bytes_str("approval.request")))
		return replay_request(as, index, object, statement);
	if (!read_text(jcs_get(object, "appr"), "id", id, sizeof(id)) || !(a = approvals_find(as, id)))
		return false;
	store_keep(a, type, index);
	if (bytes_equal(type, bytes_str("approval.void")))
		return replay_void(a, data);
	return bytes_equal(type, bytes_str("approval.refused")) || bytes_equal(type, bytes_str("approval.join")) || replay_step(as, a, type, data);
}

static bool goes_on(const struct approval *a)
{
	return a->kind == APPROVAL_ADMIN && a->requester && (a->state == APPROVAL_PENDING || a->state == APPROVAL_APPROVED);
}

static uint64_t left_us(uint64_t end_us, uint64_t now_us, uint64_t most_us)
{
	uint64_t left = end_us > now_us ? end_us - now_us : 0;

	return left < most_us ? left : most_us;
}

/* Its deadlines on this process's clock. A wall clock that went back since gives it no more time, and releases nothing. */
static void go_on(struct approvals *as, struct approval *a)
{
	uint64_t use_by_us = a->use_by_s * 1000000ull;

	a->expires_mono_us = as->now.mono_us + left_us(a->expires_us, as->wall_us_max, a->expires_us - a->created_us);
	a->use_by_mono_us = as->now.mono_us + left_us(a->granted_us + use_by_us, as->wall_us_max, use_by_us);
	a->look_again = true;
	store_decide_again(as, a);
}

/* How far the clock was, as the records of what goes on say. */
static void clock_was(struct approvals *as, const struct approval *a)
{
	uint64_t at_us = a->granted_us > a->created_us ? a->granted_us : a->created_us;

	for (unsigned i = 0; i < a->votes; i++)
		at_us = a->vote[i].wall_us > at_us ? a->vote[i].wall_us : at_us;
	as->wall_us_max = at_us > as->wall_us_max ? at_us : as->wall_us_max;
}

void approvals_restarted(struct approvals *as, struct approval_clock now)
{
	for (unsigned i = 0; i < as->count; i++)
		if (goes_on(as->all[i]))
			clock_was(as, as->all[i]);
	store_clock(as, now);
	for (unsigned i = 0; i < as->count; i++) {
		struct approval *a = as->all[i];
		char say[APPROVAL_SAY_BYTES];

		if (a->state == APPROVAL_EXECUTED)
			continue;
		if (goes_on(a)) {
			go_on(as, a);
			continue;
		}
		/* Also of what had ended: the answer may have been lost with the process. A worker that has it takes no second one. */
		if (a->state == APPROVAL_EXECUTING)
			(void)store_step(as, a, APPROVAL_LOSES_RESPONSE, "restart", store_who(a), (struct bytes){ 0 });
		else if (!approval_is_terminal(a->state) && !store_step(as, a, APPROVAL_IS_CANCELLED, "restart", store_who(a), (struct bytes){ 0 }))
			continue;
		snprintf(say, sizeof(say), "approval %s: %s: %s", a->id_text, approval_state_name(a->state),
			 a->state == APPROVAL_UNKNOWN ? "Sluice restarted after it was released; look whether it was run" :
			 a->state == APPROVAL_CANCELLED ? "Sluice restarted; the command was not run; send it again" : a->result);
		as->host.answer(as->host.ctx, a, APPROVAL_REFUSE, say);
	}
}
