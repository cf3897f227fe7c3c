/* request.c: a held command becomes an object that people can decide on, or is refused with the reason. */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/remark.h"
#include "control/approval/speaker.h"
#include "control/approval/statement.h"
#include "control/approval/store.h"
#include "control/approval/values.h"
#include "platform/base/random.h"

/* "dba, security": who can approve, by group and never by name. */
const char *store_groups(const struct approval *a, char *out, size_t size)
{
	size_t at = 0;

	out[0] = 0;
	for (unsigned i = 0; i < a->needs && at + 2 < size; i++) {
		int n = snprintf(out + at, size - at, "%s%.60s", i ? ", " : "", a->need[i].group);

		at += n > 0 ? (size_t)n : 0;
	}
	return out;
}

/* --- what speaks against asking ------------------------------------------------------------------------------------------ */

static bool denied_often(const struct approvals *as, const struct principal *p, const uint8_t command_sha256[32])
{
	for (unsigned i = 0; i < STORE_DENIALS && i < as->denials; i++) {
		const struct store_denial *d = &as->denial[i];

		if (d->count >= APPROVAL_DENIALS_MAX && !strcmp(d->run, p->run) && !memcmp(d->command_sha256, command_sha256, 32))
			return true;
	}
	return false;
}

/* Without a run, what one account asks for counts as one run's. */
static bool same_run(const struct approval *a, const struct principal *p)
{
	if (p->run[0] || a->run[0])
		return !strcmp(a->run, p->run);
	return a->requester && !strcmp(a->requester->iss, p->iss) && !strcmp(a->requester->sub, p->sub);
}

static bool fatigued(struct approvals *as, const struct approval_command *c, const uint8_t command_sha256[32], char *say)
{
	unsigned of_run = 0, of_agent = 0;
	const struct principal *p = c->requester;

	if (denied_often(as, p, command_sha256)) {
		snprintf(say, APPROVAL_SAY_BYTES, "this command was denied %d times in this run; do not ask again", APPROVAL_DENIALS_MAX);
		return true;
	}
	for (unsigned i = 0; i < as->count; i++) {
		const struct approval *a = as->all[i];

		if (a->state != APPROVAL_REQUESTED && a->state != APPROVAL_PENDING)
			continue;
		of_run += same_run(a, p);
		of_agent += p->agent[0] && !strcmp(a->agent, p->agent);
	}
	if (of_run < APPROVAL_PENDING_PER_RUN && of_agent < APPROVAL_PENDING_PER_AGENT)
		return false;
	snprintf(say, APPROVAL_SAY_BYTES, "%u commands of this %s wait for approval already; wait for their answers first",
		 of_run >= APPROVAL_PENDING_PER_RUN ? of_run : of_agent, of_run >= APPROVAL_PENDING_PER_RUN ? "run" : "agent");
	return true;
}

static void digest_text(EVP_MD_CTX *ctx, struct bytes text)
{
	uint8_t len[4];
	struct writer w = writer_of(len, sizeof(len));

	writer_be32(&w, (uint32_t)text.len);
	EVP_DigestUpdate(ctx, len, sizeof(len));
	EVP_DigestUpdate(ctx, text.base, text.len);
}

/* Who asks for what of whom: person, agent, run, command, values, target. False without memory. */
static bool same_of(const struct approval_command *c, uint8_t out[32])
{
	const struct principal *p = c->requester;
	const char *const texts[] = { p->iss, p->person, p->agent, p->run, p->person[0] || p->agent[0] ? "" : p->sub, c->service, c->server, c->database, c->login };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	for (unsigned i = 0; good && i < sizeof(texts) / sizeof(*texts); i++)
		digest_text(ctx, bytes_str(texts[i]));
	if (good) {
		digest_text(ctx, c->event->raw);
		digest_text(ctx, c->event->params);
		digest_text(ctx, c->event->types);
		good = EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	}
	EVP_MD_CTX_free(ctx);
	return good;
}

static struct approval *waiting_already(struct approvals *as, const uint8_t same_sha256[32])
{
	for (unsigned i = as->count; i > 0; i--) {
		struct approval *a = as->all[i - 1];

		if ((a->state == APPROVAL_REQUESTED || a->state == APPROVAL_PENDING) && !memcmp(a->same_sha256, same_sha256, 32))
			return a;
	}
	return NULL;
}

/* People see it once. The second asker is told the number, and not held: one approval releases one command. */
static void join(struct approvals *as, struct approval *a, const struct approval_command *c, char *say)
{
	uint8_t room[512];
	struct writer w = writer_of(room, sizeof(room));
	struct jcs j = jcs_of(&w);
	char groups[200];
	uint64_t left_us = a->expires_mono_us > as->now.mono_us ? a->expires_mono_us - as->now.mono_us : 0;

	jcs_open(&j);
	jcs_put_uint(&j, "at_us", as->now.wall_us);
	jcs_put_int(&j, "n", c->event->n);
	jcs_put_hex(&j, "session", bytes_of(c->session, 16));
	jcs_close(&j);
	as->counters.joined++;
	(void)store_record(as, a, "approval.join", c->who, jcs_done(&j), (struct bytes){ 0 });
	snprintf(say, APPROVAL_SAY_BYTES, "the same command waits already as approval %s (%s): group %s can approve it within %llu s; wait for its answer", a->id_text,
		 approval_state_name(a->state), store_groups(a, groups, sizeof(groups)), (unsigned long long)(left_us / 1000000));
}

/* --- the object ---------------------------------------------------------------------------------------------------------- */

static void hash_of(struct bytes data, uint8_t out[32])
{
	SHA256(data.base, data.len, out);
}

/* What the object is before anything is written. False when memory is short. */
static bool request_fill(struct approval *a, const struct approval_command *c, const uint8_t same_sha256[32], struct approval_clock now)
{
	a->worker = c->worker;
	a->flow = c->flow;
	memcpy(a->session, c->session, sizeof(a->session));
	a->n = c->event->n;
	snprintf(a->service, sizeof(a->service), "%s", c->service);
	snprintf(a->agent, sizeof(a->agent), "%s", c->requester->agent);
	hash_of(c->event->raw, a->command_sha256);
	values_hash(c->event->types, c->event->params, a->params_sha256);
	hash_of(c->event->state, a->state_sha256);
	memcpy(a->same_sha256, same_sha256, 32);
	a->params_free = c->params_free;
	return store_begin(a, &c->terms, c->requester, c->who, c->policy_sha256, now);
}

static bool request_statement(struct approvals *as, struct approval *a, const struct approval_command *c)
{
	/* As STATEMENT_BYTES_MAX counts it, for this text and these values. */
	size_t size = 12 * c->event->raw.len + 24 * c->event->params.len + (c->classes ? strlen(c->classes) : 0) + (64u << 10);
	uint8_t *room = malloc(size), nonce[16];
	struct writer w = writer_of(room, room ? size : 0);
	bool good;

	random_secret(nonce, sizeof(nonce));
	good = store_statement(a, statement_write(a, c, nonce, as->node, as->origin, &w));
	free(room);
	return good;
}

bool store_request_record(struct approvals *as, struct approval *a, const char *ticket)
{
	const struct bytes statement = bytes_of(a->statement, a->statement_len);
	uint8_t room[2 * STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct jcs j = jcs_of(&w);

	jcs_open(&j);
	jcs_key(&j, "approvers");
	jcs_array(&j);
	for (unsigned i = 0; i < a->needs; i++) {
		char need[LIMIT_NAME_BYTES + 16];

		snprintf(need, sizeof(need), "%.255s:%u", a->need[i].group, a->need[i].count);
		jcs_str(&j, bytes_str(need));
	}
	jcs_array_close(&j);
	/* Nobody waits in a session whose end would end it: it outlives the process, and so has whoever asked to. */
	if (a->kind == APPROVAL_ADMIN) {
		speaker_put(&j, "asker", a->requester, NULL, 0);
		jcs_put_bool(&j, "clock_free_ok", a->free_clock_ok);
	}
	jcs_put_hex(&j, "command_h", bytes_of(a->command_sha256, 32));
	jcs_put_uint(&j, "created_us", a->created_us);
	jcs_put_int(&j, "deny_quorum", a->deny_quorum);
	jcs_put_uint(&j, "expires_us", a->expires_us);
	jcs_put_hex(&j, "flow", bytes_of((uint8_t[8]){ a->flow >> 56, a->flow >> 48, a->flow >> 40, a->flow >> 32, a->flow >> 24,
						       a->flow >> 16, a->flow >> 8, a->flow }, 8));
	jcs_put_str(&j, "kind", approval_kind_name(a->kind));
	if (a->on_demand)
		jcs_put_bool(&j, "on_demand", true);
	jcs_put_int(&j, "quorum", a->quorum);
	jcs_put_int(&j, "ref", a->n);
	jcs_put_str(&j, "service", a->service);
	/* Of no session, so with no key that could be destroyed: the statement stands here. */
	if (a->kind == APPROVAL_ADMIN)
		jcs_put_raw(&j, "statement", statement);
	jcs_put_int(&j, "statement_len", (int64_t)a->statement_len);
	jcs_put_str(&j, "ticket", ticket);
	jcs_put_uint(&j, "use_by_s", a->use_by_s);
	jcs_put_int(&j, "worker", a->worker);
	jcs_close(&j);
	return store_record(as, a, "approval.request", store_who(a), jcs_done(&j), a->kind == APPROVAL_ADMIN ? (struct bytes){ 0 } : statement);
}

/* NULL, or why nobody can be shown this command whole (approvals.md 3). */
static const char *not_showable(const struct approval_command *c)
{
	size_t text = c->event->raw.len > APPROVAL_TEXT_BYTES ? c->event->raw.len : statement_norm(c->event->raw).len;

	if (text > APPROVAL_TEXT_BYTES ||
	    (!c->params_free && values_shown_bytes(c->event->types, c->event->params, APPROVAL_TEXT_BYTES - text) > APPROVAL_TEXT_BYTES - text))
		return "this command is longer than 64 KiB: no approval is possible; it was refused";
	return NULL;
}

struct approval *approvals_request(struct approvals *as, const struct approval_command *c, struct approval_clock now,
				   char say[APPROVAL_SAY_BYTES])
{
	struct approval *a = NULL, *same;
	uint8_t command_sha256[32], same_sha256[32];
	const char *why = not_showable(c);
	char groups[200];

	store_clock(as, now);
	hash_of(c->event->raw, command_sha256);
	say[0] = 0;
	if (c->terms.needs == 0 || c->terms.needs > APPROVAL_NEEDS_MAX)
		snprintf(say, APPROVAL_SAY_BYTES, "the policy names nobody who could approve this; ask the operator");
	else if (why)
		snprintf(say, APPROVAL_SAY_BYTES, "%s", why);
	else if (!same_of(c, same_sha256))
		snprintf(say, APPROVAL_SAY_BYTES, "this command cannot be put to approval; it was refused");
	else if ((same = waiting_already(as, same_sha256)))
		join(as, same, c, say);
	else if (fatigued(as, c, command_sha256, say))
		;
	else if (!(a = store_add(as)))
		snprintf(say, APPROVAL_SAY_BYTES, "too many commands wait for approval; try again later");
	else if (!request_fill(a, c, same_sha256, now) || !request_statement(as, a, c) || !store_request_record(as, a, remark_read(c->event->raw).ticket)) {
		/* "no object exists": nothing but a record can make one. */
		store_drop(as, a);
		snprintf(say, APPROVAL_SAY_BYTES, "this command cannot be put to approval; it was refused");
	}
	if (say[0])
		return NULL;
	as->counters.requested++;
	snprintf(say, APPROVAL_SAY_BYTES, "waiting for approval %s: group %s can approve it within %u s; wait", a->id_text,
		 store_groups(a, groups, sizeof(groups)), c->terms.expires_s);
	store_tell(as, a, APPROVAL_WAITING, say);
	return a;
}
