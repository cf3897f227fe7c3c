/* vote.c: what a vote does, and how many of the slots the voters fill (approvals.md 5).
 *
 * Quorum counts persons, so a person in five groups fills one slot. Slots are filled by the largest matching of persons to
 * needs: "dba:1, security:1" with one voter in both groups and one in dba only is met, whichever voted first. */
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/remark.h"
#include "control/approval/speaker.h"
#include "control/approval/statement.h"
#include "control/approval/store.h"

/* NULL, or why this person may not vote on this. */
static const char *may_not_vote(struct approvals *as, const struct approval *a, const struct principal *voter)
{
	const char *why = store_not_eligible(as, a, voter);

	if (why)
		return why;
	for (unsigned i = 0; i < a->votes; i++) {
		if (!strcmp(a->vote[i].person, voter->person))
			return "you have voted already";
	}
	return a->votes < APPROVAL_VOTES_MAX ? NULL : "too many votes";
}

/* Slot numbers run over the needs in order; the owner of each is a vote, or -1. Augmenting path from vote `v`. */
struct matching {
	struct approvals *as;
	const struct approval *a;
	int owner[APPROVAL_QUORUM_MAX];
	bool seen[APPROVAL_QUORUM_MAX];
};

/* By the token of the vote, and by every later one of that person that was seen. */
static bool in_group(struct approvals *as, const struct approval_vote *v, const char *group)
{
	return as->host.in_group(as->host.ctx, v->voter, group) && (!v->newer || as->host.in_group(as->host.ctx, v->newer, group));
}

static bool place(struct matching *m, unsigned v)
{
	unsigned slot = 0;

	for (unsigned need = 0; need < m->a->needs; need++) {
		bool fits = in_group(m->as, &m->a->vote[v], m->a->need[need].group);

		for (unsigned i = 0; i < m->a->need[need].count && slot < APPROVAL_QUORUM_MAX; i++, slot++) {
			if (!fits || m->seen[slot])
				continue;
			m->seen[slot] = true;
			if (m->owner[slot] < 0 || place(m, (unsigned)m->owner[slot])) {
				m->owner[slot] = (int)v;
				return true;
			}
		}
	}
	return false;
}

unsigned store_slots_filled(struct approvals *as, const struct approval *a, bool check_again)
{
	struct matching m = { .as = as, .a = a };
	unsigned filled = 0;

	memset(m.owner, -1, sizeof(m.owner));
	for (unsigned v = 0; v < a->votes; v++) {
		const struct principal *voter = a->vote[v].voter;

		if (!a->vote[v].approve || !voter || a->vote[v].is_void || (check_again && !as->host.still_valid(as->host.ctx, voter)))
			continue;
		memset(m.seen, 0, sizeof(m.seen));
		filled += place(&m, v);
	}
	return filled;
}

/* Whether the voter fills one of the slots by `voter`'s token that this token does not name. */
static bool lost_a_group(struct approvals *as, const struct approval *a, const struct approval_vote *v, const struct principal *p)
{
	for (unsigned i = 0; i < a->needs; i++) {
		if (as->host.in_group(as->host.ctx, v->voter, a->need[i].group) && !as->host.in_group(as->host.ctx, p, a->need[i].group))
			return true;
	}
	return false;
}

/* Kind admin outlives the process, and so has this to: or the vote would have its weight again. */
static void void_vote(struct approvals *as, struct approval *a, const struct approval_vote *v)
{
	uint8_t room[STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct jcs j = jcs_of(&w);

	jcs_open(&j);
	jcs_put_uint(&j, "at_us", as->now.wall_us);
	jcs_put_str(&j, "cause", "a later token of the voter names the group no more");
	jcs_put_str(&j, "voter", v->person);
	jcs_close(&j);
	(void)store_record(as, a, "approval.void", store_who(a), jcs_done(&j), (struct bytes){ 0 });
}

void approvals_seen(struct approvals *as, struct principal *p)
{
	/* What an agent's token names says nothing about its person's own groups. */
	if (!p->person[0] || p->agent[0] || p->act_count)
		return;
	for (unsigned i = 0; as->counters.open && i < as->count; i++) {
		struct approval *a = as->all[i];

		for (unsigned k = 0; !approval_is_terminal(a->state) && k < a->votes; k++) {
			struct approval_vote *v = &a->vote[k];

			if (!v->voter || strcmp(v->person, p->person) || strcmp(v->voter->iss, p->iss) || p->exp_s < v->voter->exp_s ||
			    !lost_a_group(as, a, v, p))
				continue;
			if (a->kind == APPROVAL_ADMIN && !v->newer && !v->is_void)
				void_vote(as, a, v);
			principal_put(v->newer);
			v->newer = principal_get(p);
		}
	}
}

static void hex(const uint8_t *from, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
		snprintf(out + 2 * i, 3, "%02x", from[i]);
}

/* For each need one group of the token that fills it, if it is a group that does. */
static unsigned groups_that_count(struct approvals *as, const struct approval *a, const struct principal *p, struct bytes out[APPROVAL_NEEDS_MAX])
{
	struct principal alone = *p;
	unsigned count = 0;

	for (unsigned need = 0; need < a->needs; need++) {
		bool fits;

		alone.groups_count = 0;
		fits = as->host.in_group(as->host.ctx, &alone, a->need[need].group);
		alone.groups_count = 1;
		for (unsigned i = 0; !fits && i < p->groups_count; i++) {
			alone.groups[0] = p->groups[i];
			fits = as->host.in_group(as->host.ctx, &alone, a->need[need].group);
			if (fits)
				out[count++] = bytes_str(p->groups[i]);
		}
	}
	return count;
}

static struct bytes vote_extra(struct approvals *as, const struct approval *a, const struct approval_vote *v, struct writer *w)
{
	struct bytes groups[APPROVAL_NEEDS_MAX];
	uint8_t room[2048];
	struct writer document = writer_of(room, sizeof(room));
	struct bytes text = statement_vote(a, v->person, v->approve, v->reason, &document);
	struct jcs j = jcs_of(w);

	jcs_open(&j);
	jcs_put_str(&j, "credential", v->credential);
	jcs_put_raw(&j, "doc", text);
	if (a->kind == APPROVAL_ADMIN)
		speaker_put(&j, "voter", v->voter, groups, groups_that_count(as, a, v->voter, groups));
	jcs_close(&j);
	return text.len ? jcs_done(&j) : text;
}

static unsigned denials(const struct approval *a)
{
	unsigned count = 0;

	for (unsigned i = 0; i < a->votes; i++)
		count += !a->vote[i].approve;
	return count;
}

static enum approval_vote_result decide(struct approvals *as, struct approval *a, bool approve, const char *reason, struct bytes who,
					char *text)
{
	const char *why;

	if (!approve && denials(a) >= a->deny_quorum) {
		if (!store_step(as, a, APPROVAL_IS_DENIED, reason, who, (struct bytes){ 0 }))
			return APPROVAL_NOT_RECORDED;
		store_denied(as, a);
		snprintf(text, APPROVAL_SAY_BYTES, "approval %s: denied: %.200s; the command was not run", a->id_text, reason);
		as->host.answer(as->host.ctx, a, APPROVAL_REFUSE, text);
		return APPROVAL_DECIDED;
	}
	if (approve && store_slots_filled(as, a, false) >= a->quorum) {
		if (!store_step(as, a, APPROVAL_GETS_QUORUM, "", who, (struct bytes){ 0 }))
			return APPROVAL_NOT_RECORDED;
		a->granted_us = as->now.wall_us;
		a->use_by_mono_us = as->now.mono_us + a->use_by_s * 1000000ull;
		store_release(as, a);
		why = a->state == APPROVAL_APPROVED ? approvals_suspended(as, a) : NULL;
		snprintf(text, APPROVAL_SAY_BYTES, "approval %s: %s%s%s", a->id_text, approval_state_name(a->state), why ? "; its release waits: " : "", why ? why : "");
		return APPROVAL_DECIDED;
	}
	snprintf(text, APPROVAL_SAY_BYTES, "vote counted; approval %s is still %s", a->id_text, approval_state_name(a->state));
	return APPROVAL_VOTED;
}

void store_decide_again(struct approvals *as, struct approval *a)
{
	char text[APPROVAL_SAY_BYTES];
	bool denied = denials(a) >= a->deny_quorum;

	if (a->state == APPROVAL_PENDING && a->votes)
		(void)decide(as, a, !denied, denied ? "denied before a restart" : "", store_who(a), text);
}

enum approval_vote_result approvals_vote(struct approvals *as, struct approval *a, struct principal *voter, struct bytes who, bool approve,
					 const char *reason, struct approval_clock now, char text[APPROVAL_SAY_BYTES])
{
	uint8_t room[STORE_DATA_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	struct approval_vote *v;
	const char *why;

	store_clock(as, now);
	if (a->state != APPROVAL_PENDING) {
		(void)store_refuse(as, a, APPROVAL_GETS_VOTE, voter, who, "not open for votes", text);
		snprintf(text, APPROVAL_SAY_BYTES, "approval %s is %s", a->id_text, approval_state_name(a->state));
		return APPROVAL_NOT_OPEN;
	}
	why = may_not_vote(as, a, voter);
	if (why)
		return store_refuse(as, a, APPROVAL_GETS_VOTE, voter, who, why, text);
	if (!a->vote && !(a->vote = calloc(APPROVAL_VOTES_MAX, sizeof(*a->vote))))
		return APPROVAL_NOT_RECORDED;
	v = &a->vote[a->votes];
	*v = (struct approval_vote){ .voter = voter, .approve = approve, .wall_us = now.wall_us };
	snprintf(v->person, sizeof(v->person), "%s", voter->person);
	hex(voter->token_sha256, 32, v->credential);
	remark_clean(bytes_str(reason), v->reason, sizeof(v->reason));
	if (!store_step(as, a, APPROVAL_GETS_VOTE, "", who, vote_extra(as, a, v, &w))) {
		snprintf(text, APPROVAL_SAY_BYTES, "the journal does not take the vote");
		return APPROVAL_NOT_RECORDED;
	}
	v->voter = principal_get(voter);
	a->votes++;
	return decide(as, a, approve, v->reason, who, text);
}
