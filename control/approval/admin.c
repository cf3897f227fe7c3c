/* admin.c: kind `admin` (approvals.md 1): what an operator asks for instead of a held command: erasing a session's payload, pruning.
 *
 * The statement is that of a held command: what is to be done stands where the command's text stands, as canonical JSON
 * {"args":{...},"operation":"journal.erase"}, so that it is shown whole, hashed and signed like one. Nobody waits in a session, and no
 * worker is asked: at the release the requester and the voters are looked at again, the statement is hashed again, the nonce is spent, and
 * then the host has to do it (host->perform) and to say how it went (approvals_performed). What gives something out (`on_demand`) waits, approved,
 * until who asked comes for it (approvals_use).
 * The statement stands in approval.request itself: it has to outlive every payload key. So does who asked, and in each vote who voted
 * (speaker.h): what waits outlives the process, with its deadlines (replay.c). */
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/remark.h"
#include "control/approval/statement.h"
#include "control/approval/store.h"
#include "control/approval/values.h"
#include "control/journal/jcs_read.h"
#include "platform/base/random.h"

#define OPERATION_BYTES 2048

static void put_sha256(struct jcs *j, const char *key, struct bytes data)
{
	uint8_t hash[32];

	SHA256(data.base, data.len, hash);
	jcs_put_hex(j, key, bytes_of(hash, sizeof(hash)));
}

static struct bytes operation_text(const struct approval_operation *op, struct writer *w)
{
	struct jcs j = jcs_of(w);

	jcs_open(&j);
	jcs_put_raw(&j, "args", op->args);
	jcs_put_str(&j, "operation", op->name);
	jcs_close(&j);
	return jcs_done(&j);
}

static void put_command(struct jcs *j, const struct approval_operation *op, struct bytes text)
{
	const struct bytes verb = bytes_str(op->name);

	jcs_key(j, "cmd");
	jcs_open(j);
	jcs_put_strs(j, "flags", NULL, 0);
	jcs_put_int(j, "len", (int64_t)text.len);
	jcs_put_text(j, "norm", text);
	put_sha256(j, "norm_h", text);
	jcs_put_strs(j, "objs", NULL, 0);
	put_sha256(j, "raw_h", text);
	jcs_put_strs(j, "verbs", &verb, 1);
	jcs_close(j);
}

static void put_policy(struct jcs *j, const struct approval_operation *op)
{
	jcs_key(j, "policy");
	jcs_open(j);
	jcs_put_str(j, "class", "admin");
	jcs_put_hex(j, "h", bytes_of(op->policy_sha256, 32));
	jcs_put_str(j, "impact", "irreversible");
	jcs_put_strs(j, "rules", NULL, 0);
	jcs_close(j);
}

/* Of no database, and of no server: the node itself. */
static void put_target(struct jcs *j)
{
	jcs_key(j, "target");
	jcs_open(j);
	jcs_put_str(j, "database", "");
	jcs_put_str(j, "server", "");
	jcs_put_str(j, "service", ADMIN_SERVICE);
	jcs_put_str(j, "user", "");
	jcs_close(j);
}

static struct bytes statement_operation(struct approvals *as, const struct approval *a, const struct approval_operation *op, struct bytes text, struct writer *out)
{
	struct jcs j = jcs_of(out);
	char reason[APPROVAL_REASON_BYTES], time[STATEMENT_TIME_BYTES];
	uint8_t nonce[16];

	random_secret(nonce, sizeof(nonce));
	remark_clean(bytes_str(op->reason), reason, sizeof(reason));
	jcs_open(&j);
	statement_put_needs(&j, a);
	put_command(&j, op, text);
	jcs_put_str(&j, "expires", statement_time(a->expires_us, time));
	jcs_put_str(&j, "id", a->id_text);
	jcs_put_str(&j, "kind", approval_kind_name(a->kind));
	jcs_put_int(&j, "max_uses", 1);
	jcs_put_int(&j, "n", 0);
	jcs_put_str(&j, "node", as->node);
	jcs_put_hex(&j, "nonce", bytes_of(nonce, sizeof(nonce)));
	jcs_put_str(&j, "not_before", "");
	jcs_put_str(&j, "origin", as->origin);
	jcs_key(&j, "params");
	jcs_open(&j);
	jcs_put_int(&j, "bytes", 0);
	values_put(&j, (struct bytes){ 0 }, (struct bytes){ 0 });
	jcs_close(&j);
	jcs_put_str(&j, "parser", "sluice-control");
	put_policy(&j, op);
	jcs_key(&j, "preview");
	jcs_open(&j);
	jcs_close(&j);
	jcs_put_str(&j, "proto", ADMIN_SERVICE);
	jcs_put_int(&j, "quorum", a->quorum);
	jcs_put_str(&j, "reason", reason);
	jcs_put_str(&j, "sess", "");
	jcs_put_str(&j, "state_h", "");
	put_target(&j);
	jcs_put_str(&j, "ticket", "");
	jcs_put_str(&j, "use_by", statement_time(a->use_by_us, time));
	jcs_put_int(&j, "v", 1);
	jcs_put_raw(&j, "who", op->who);
	jcs_close(&j);
	return jcs_done(&j);
}

static bool fill(struct approval *a, const struct approval_operation *op, struct bytes text, struct approval_clock now)
{
	a->kind = APPROVAL_ADMIN;
	a->on_demand = op->on_demand;
	snprintf(a->service, sizeof(a->service), "%s", ADMIN_SERVICE);
	SHA256(text.base, text.len, a->command_sha256);
	return store_begin(a, &op->terms, op->requester, op->who, op->policy_sha256, now);
}

static bool write_down(struct approvals *as, struct approval *a, const struct approval_operation *op, struct bytes text)
{
	uint8_t room[3 * STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes statement = statement_operation(as, a, op, text, &w);

	return store_statement(a, statement) && store_request_record(as, a, "");
}

/* NULL, or why this is not asked. */
static const char *not_askable(struct approvals *as, const struct approval_operation *op, struct bytes text, char *say)
{
	unsigned waiting = 0;

	if (!text.len)
		return "it cannot be written down";
	if (!op->requester || !op->requester->person[0])
		return "your token names no person";
	if (op->requester->agent[0] || op->requester->act_count)
		return "agents do not ask for it";
	for (unsigned i = 0; i < as->count; i++) {
		const struct approval *a = as->all[i];
		uint8_t hash[32];

		if (a->kind != APPROVAL_ADMIN || approval_is_terminal(a->state))
			continue;
		SHA256(text.base, text.len, hash);
		if (!memcmp(hash, a->command_sha256, 32)) {
			snprintf(say, APPROVAL_SAY_BYTES, "the same waits already as approval %s (%s)", a->id_text, approval_state_name(a->state));
			return say;
		}
		waiting += a->requester && principal_same_person(a->requester, op->requester);
	}
	return waiting < APPROVAL_PENDING_PER_RUN ? NULL : "too much that you asked for waits already";
}

struct approval *approvals_request_operation(struct approvals *as, const struct approval_operation *op, struct approval_clock now,
					     char say[APPROVAL_SAY_BYTES])
{
	uint8_t room[OPERATION_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes text = operation_text(op, &w);
	struct approval *a;
	unsigned persons = 0;
	const char *why;
	char groups[200];

	store_clock(as, now);
	for (unsigned i = 0; i < op->terms.needs && i < APPROVAL_NEEDS_MAX; i++)
		persons += op->terms.need[i].count;
	why = persons < APPROVAL_ADMIN_PERSONS || op->terms.needs > APPROVAL_NEEDS_MAX || persons > APPROVAL_QUORUM_MAX
		      ? "the policy names no approval of two persons for it"
		      : not_askable(as, op, text, say);
	a = why ? NULL : store_add(as);
	if (!why && !a)
		why = "too much waits for approval";
	if (a && (!fill(a, op, text, now) || !write_down(as, a, op, text))) {
		/* "no object exists": nothing but a record can make one. */
		store_drop(as, a);
		why = "the journal does not take it";
	}
	if (why) {
		if (why != say)
			snprintf(say, APPROVAL_SAY_BYTES, "%s", why);
		return NULL;
	}
	as->counters.requested++;
	snprintf(say, APPROVAL_SAY_BYTES, "waiting for approval %s: %u persons of group %s can approve it within %u s", a->id_text, a->quorum,
		 store_groups(a, groups, sizeof(groups)), op->terms.expires_s);
	return a;
}

void store_release_operation(struct approvals *as, struct approval *a)
{
	uint8_t hash[32];

	a->look_again = false;
	if (a->state != APPROVAL_APPROVED)
		return;
	SHA256(a->statement, a->statement_len, hash);
	if (memcmp(hash, a->statement_sha256, 32))
		store_end(as, a, APPROVAL_IS_SUPERSEDED, "the statement is not what was signed");
	else if (!a->on_demand && store_step(as, a, APPROVAL_IS_RELEASED, "", store_who(a), (struct bytes){ 0 }))
		as->host.perform(as->host.ctx, a);
}

/* NULL, or why this is not for `p` to use. */
static const char *not_usable(const struct approval *a, const struct principal *p)
{
	if (!a->on_demand)
		return "it is done by itself, and gives nothing out";
	if (p->agent[0] || p->act_count)
		return "agents do not use it";
	if (!a->requester || !principal_same_person(a->requester, p))
		return "only who asked for it uses it";
	return a->history_cut ? "more has happened to it than can be shown beside what is given out: ask anew" : NULL;
}

enum approval_vote_result approvals_use(struct approvals *as, struct approval *a, const struct principal *p, struct bytes who, struct approval_clock now,
					char text[APPROVAL_SAY_BYTES])
{
	const char *why = not_usable(a, p);

	store_clock(as, now);
	if (why)
		return store_refuse(as, a, APPROVAL_IS_RELEASED, NULL, who, why, text);
	/* What it can no longer rest on ends it here. */
	if (a->state == APPROVAL_APPROVED)
		store_release(as, a);
	why = a->state == APPROVAL_APPROVED ? approvals_suspended(as, a) : NULL;
	if (why)
		return store_refuse(as, a, APPROVAL_IS_RELEASED, NULL, who, why, text);
	snprintf(text, APPROVAL_SAY_BYTES, a->state == APPROVAL_APPROVED ? "the journal does not take it" : "it is %s", approval_state_name(a->state));
	if (a->state != APPROVAL_APPROVED) {
		(void)store_step(as, a, APPROVAL_IS_RELEASED, "", who, (struct bytes){ 0 }); /* the table refuses it */
		return APPROVAL_NOT_OPEN;
	}
	return store_step(as, a, APPROVAL_IS_RELEASED, "", who, (struct bytes){ 0 }) ? APPROVAL_DECIDED : APPROVAL_NOT_RECORDED;
}

void approvals_performed(struct approvals *as, struct approval *a, const char *status, struct approval_clock now)
{
	store_clock(as, now);
	if (a->kind == APPROVAL_ADMIN && a->state == APPROVAL_EXECUTING)
		(void)store_step(as, a, APPROVAL_HAS_RESPONSE, status, store_who(a), (struct bytes){ 0 });
}

bool approval_operation_read(const struct approval *a, struct writer *room, struct bytes *name, struct bytes *args)
{
	struct jcs_value command = jcs_get(jcs_value_of(bytes_of(a->statement, a->statement_len)), "cmd"), op;

	*name = *args = (struct bytes){ 0 };
	if (a->kind != APPROVAL_ADMIN || !jcs_read_str(jcs_get(command, "norm"), room) || jcs_check(writer_done(room), NULL))
		return false;
	op = jcs_value_of(writer_done(room));
	*name = jcs_read_plain(jcs_get(op, "operation"));
	*args = jcs_get(op, "args").raw;
	return name->len && args->len;
}

const char *approval_kind_name(enum approval_kind kind)
{
	return kind == APPROVAL_ADMIN ? "admin" : "once-hold";
}
