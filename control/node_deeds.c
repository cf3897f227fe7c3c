/* node_deeds.c: what only two persons together may have done (journal.md 4, 5 and 9): destroying a session's payload key, pruning by hand,
 * rotating the checkpoint keys; giving out the keys of payload (node_disclose.c), and capturing frames with theirs (operator_capture.c).
 *
 * An administrator of the policy asks (for payload an investigator), with a token that names a person; admin.destroy_approval of the policy
 * (admin.disclose_approval) says who decides, two at least, and the requester is none of them (control/approval). Then, each in a turn of its own, so that each rests on what is on disk:
 * approval.consume; the record of the deed, with the approval's number and the statement's hash; the deed; approval.executed with
 * how it went. What the statement says is looked at again before the second: holds, sessions, segments may have changed.
 * Killed in between: the approval is `unknown` after the start; a noted erasure is completed (node_erase.c). */
#include <stdio.h>

#include "control/inbox/who.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "control/operator_verbs.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"

#define REASON_BYTES_MAX 255u
#define ARGS_BYTES 1024

/* --- asking -------------------------------------------------------------------------------------------------------------- */

static bool reason_good(const char *reason)
{
	return reason && strlen(reason) >= 4 && strlen(reason) <= REASON_BYTES_MAX && jcs_is_utf8(bytes_str(reason));
}

static void asks_for(const struct policy_tree *t, const struct policy_tree_approval *p, struct approval_terms *terms)
{
	terms->needs = p->needs_count <= APPROVAL_NEEDS_MAX ? p->needs_count : 0;
	for (unsigned i = 0; i < terms->needs; i++) {
		snprintf(terms->need[i].group, sizeof(terms->need[i].group), "%.255s", t->groups[p->needs[i].group].name);
		terms->need[i].count = p->needs[i].count;
	}
	terms->deny_quorum = p->deny_quorum;
	terms->expires_s = p->expires_s;
	terms->use_by_s = p->use_by_s;
	terms->free_clock_ok = p->free_clock_ok;
}

/* What shows payload, as verb or operation: another role asks, and others decide. */
static bool gives_out(const char *name)
{
	return !strcmp(name, "journal disclose") || !strcmp(name, "journal.disclose") || !strcmp(name, "capture start") || !strcmp(name, "capture.start");
}

static void ask(struct operation *o, struct principal *p, struct bytes who, const char *name, struct bytes args)
{
	struct node *n = o->node;
	bool discloses = gives_out(name);
	unsigned by = discloses ? n->tree->admin.disclose_approval : n->tree->admin.destroy_approval;
	struct approval_operation op = { .name = name, .args = args, .requester = p, .who = who, .reason = operation_text(o, "reason"),
					 .policy_sha256 = policy_hash(n->current), .on_demand = !strcmp(name, "journal.disclose") };
	char say[APPROVAL_SAY_BYTES];
	struct approval *a;

	if (by < n->tree->approvals_count)
		asks_for(n->tree, &n->tree->approvals[by], &op.terms);
	approvals_tick(n->approvals, node_approval_clock(n));
	a = approvals_request_operation(n->approvals, &op, node_approval_clock(n), say);
	if (!a)
		operation_fail(o, FRAME_REFUSED, "%s: %s: see sluice approval list, and admin.%s_approval of the policy", name, say, discloses ? "disclose" : "destroy");
	else
		o->result = json_pack("{s:s, s:s, s:s, s:s}", "approval", a->id_text, "state", approval_state_name(a->state), "operation", name, "text", say);
}

static void ask_refused(struct operation *o, const char *verb, struct bytes who, const char *why)
{
	const char *const pairs[] = { "reason", why, "verb", verb, NULL };

	node_record(o->node, "admin.refused", who, pairs);
	operation_fail(o, FRAME_NOT_PERMITTED, "%s: not permitted: %s: give --token-file of an %s; two other persons approve it", verb, why,
		       gives_out(verb) ? "investigator" : "administrator");
}

/* False after an answer. */
static bool may_ask(struct operation *o, struct principal *p, const struct identity_failure *why, const char *verb, struct bytes *who, struct writer *w)
{
	bool discloses = gives_out(verb), administrator;

	if (!p) {
		operation_token_refused(o, why);
		return false;
	}
	*who = who_write(p, w);
	administrator = policy_has_role(o->node->tree, p, POLICY_ROLE_ADMINISTRATOR);
	if (discloses ? policy_has_role(o->node->tree, p, POLICY_ROLE_INVESTIGATOR) && !administrator : administrator)
		return true;
	ask_refused(o, verb, *who, !discloses ? "your token is no administrator's" : administrator ? "your token is an administrator's" : "your token is no investigator's");
	return false;
}

/* No verb of these without a token, not even for root: who asks has to be a person that is told apart from those who approve. */
static void identify(struct operation *o, const char *verb, void (*then)(struct operation *, struct principal *, const struct identity_failure *))
{
	if (!o->node->current || !o->node->tree)
		operation_fail(o, FRAME_REFUSED, "%s: no policy is in force, so nothing says who decides: load one", verb);
	else if (!reason_good(operation_text(o, "reason")))
		operation_fail(o, FRAME_USAGE, "%s: no reason, or no purpose: give one, 4 to %u bytes of text", verb, REASON_BYTES_MAX);
	else if (!json_object_get(o->args, "token"))
		ask_refused(o, verb, o->who, "without a token");
	else
		operation_identify(o, then);
}

/* Who asks is known: `describe` writes all that the deed depends on, or is false after an answer. */
static void identified(struct operation *o, struct principal *p, const struct identity_failure *why, const char *verb, const char *name,
		       bool (*describe)(struct operation *o, struct jcs *j))
{
	uint8_t room[SESSION_WHO_BYTES], args[ARGS_BYTES];
	struct writer w = writer_of(room, sizeof(room)), at = writer_of(args, sizeof(args));
	struct jcs j = jcs_of(&at);
	struct bytes who;
	bool possible;

	if (!may_ask(o, p, why, verb, &who, &w))
		return;
	jcs_open(&j);
	possible = describe(o, &j);
	jcs_close(&j);
	if (possible)
		ask(o, p, who, name, jcs_done(&j));
}

static bool erase_describe(struct operation *o, struct jcs *j)
{
	if (!node_erase_possible(o, operation_text(o, "session")))
		return false;
	jcs_put_str(j, "session", operation_text(o, "session"));
	return true;
}

static void erase_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, "journal erase", "journal.erase", erase_describe);
}

void operation_journal_erase(struct operation *o)
{
	identify(o, "journal erase", erase_identified);
}

static bool prune_describe(struct operation *o, struct jcs *j)
{
	struct journal_prune what;

	if (!node_prune_possible(o, &what))
		return false;
	node_prune_describe(j, o->node, &what);
	return true;
}

static void prune_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, "journal prune", "journal.prune", prune_describe);
}

void operation_journal_prune(struct operation *o)
{
	identify(o, "journal prune", prune_identified);
}

static bool rotate_describe(struct operation *o, struct jcs *j)
{
	const char *wrong = node_rotate_describe(o->node, j);

	if (wrong)
		operation_fail(o, FRAME_REFUSED, "rotate-key: %s: see sluice show journal", wrong);
	return !wrong;
}

static void rotate_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, "journal rotate-key", "journal.rotate-key", rotate_describe);
}

void operation_journal_rotate_key(struct operation *o)
{
	identify(o, "journal rotate-key", rotate_identified);
}

static void disclose_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, "journal disclose", "journal.disclose", node_disclose_describe);
}

void operation_journal_disclose(struct operation *o)
{
	identify(o, "journal disclose", disclose_identified);
}

static bool capture_describe(struct operation *o, struct jcs *j)
{
	const char *service = operation_text(o, "service"), *filter = operation_text(o, "filter");

	jcs_put_str(j, "filter", filter ? filter : "");
	jcs_put_uint(j, "for_s", (uint64_t)json_integer_value(json_object_get(o->args, "for_s")));
	jcs_put_uint(j, "max_bytes", (uint64_t)json_integer_value(json_object_get(o->args, "max_bytes")));
	jcs_put_str(j, "service", service ? service : "");
	return true;
}

static void capture_identified(struct operation *o, struct principal *p, const struct identity_failure *why)
{
	identified(o, p, why, "capture start", "capture.start", capture_describe);
}

void node_deeds_capture(struct operation *o, uint64_t for_s, uint64_t bytes_max)
{
	/* Between the question and who asks lies a look at the token: what was read is kept beside it. */
	json_object_set_new(o->args, "for_s", json_integer((json_int_t)for_s));
	json_object_set_new(o->args, "max_bytes", json_integer((json_int_t)bytes_max));
	identify(o, "capture start", capture_identified);
}

/* --- doing --------------------------------------------------------------------------------------------------------------- */

void node_perform(void *ctx, const struct approval *a)
{
	struct node *n = ctx;

	for (unsigned i = 0; i < NODE_DEEDS; i++) {
		if (n->deed[i].state != DEED_NONE)
			continue;
		n->deed[i].state = DEED_RELEASED;
		memcpy(n->deed[i].approval, a->id_text, sizeof(n->deed[i].approval));
		return;
	}
	/* It stays executing, and is unknown after the next start: nothing was done. */
	log_error("approval %s: too many are being done at once: it is not done", a->id_text);
}

void node_deeds_commit(struct node *n)
{
	for (unsigned i = 0; i < NODE_DEEDS; i++)
		if (n->deed[i].state == DEED_RELEASED || n->deed[i].state == DEED_SAID)
			n->deed[i].state++;
}

/* Begins it: its record. NULL while it has to wait; otherwise how it went, or "" when it was begun. */
static const char *begin(struct node *n, const struct approval *a)
{
	uint8_t room[2048];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes name, args;

	if (!approval_operation_read(a, &w, &name, &args))
		return "not done: the statement cannot be read";
	if (bytes_equal(name, bytes_str("journal.erase")))
		return node_erase_begin(n, a, jcs_value_of(args));
	if (bytes_equal(name, bytes_str("journal.prune")))
		return node_prune_begin(n, a, jcs_value_of(args));
	if (bytes_equal(name, bytes_str("journal.rotate-key")))
		return node_rotate_begin(n, a, jcs_value_of(args));
	if (bytes_equal(name, bytes_str("capture.start")))
		return node_capture_begin(n, a, jcs_value_of(args));
	return "not done: no such operation";
}

static void deed_step(struct node *n, struct node_deed *d)
{
	struct approval *a = approvals_find(n->approvals, d->approval);
	const char *went = "done";

	/* Revoked meanwhile: what was not begun is not begun. */
	if (d->state == DEED_DURABLE && (!a || a->state != APPROVAL_EXECUTING)) {
		d->state = DEED_NONE;
		return;
	}
	if (d->state == DEED_DURABLE) {
		went = begin(n, a);
		if (!went)
			return;
		if (!went[0]) {
			d->prunes = n->prune.segments > 0;
			d->state = DEED_SAID;
			return;
		}
	}
	/* Only one is under way: what waits is its own. */
	if (d->state == DEED_DONE && (n->prune.segments || n->erasures))
		return;
	if (d->state == DEED_DONE && d->prunes && n->prune_wrong)
		went = "not done, although it is on record: the segments could not go";
	if (a) {
		log_info("approval %s: %s", a->id_text, went);
		approvals_performed(n->approvals, a, went, node_approval_clock(n));
	}
	d->state = DEED_NONE;
}

void node_deeds_tick(struct node *n)
{
	for (unsigned i = 0; i < NODE_DEEDS; i++) {
		/* One at a time: what it does is looked at as it is then. */
		if (n->deed[i].state == DEED_DURABLE || n->deed[i].state == DEED_DONE) {
			deed_step(n, &n->deed[i]);
			return;
		}
		if (n->deed[i].state != DEED_NONE)
			return;
	}
}
