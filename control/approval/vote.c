/* vote.c: what a vote does, and how many of the slots the voters fill (approvals.md 5).
 *
 * Quorum counts persons, so a person in five groups fills one slot. Slots are filled by the largest matching of persons to
 * needs: "dba:1, security:1" with one voter in both groups and one in dba only is met, whichever voted first. */
#include <stdio.h>
#include <stdlib.h>

#include "control/approval/remark.h"
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

		if (!a->vote[v].approve || !voter || (check_again && !as->host.still_valid(as->host.ctx, voter)))
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

static struct bytes vote_extra(const struct approval *a, const struct approval_vote *v, struct writer *w)
{
	uint8_t room[2048];
	struct writer document = writer_of(room, sizeof(room));
	struct bytes text = statement_vote(a, v->person, v->approve, v->reason, &document);
	struct jcs j = jcs_of(w);

	jcs_open(&j);
	jcs_put_str(&j, "credential", v->credential);
	jcs_put_raw(&j, "doc", text);
	jcs_close(&j);
	return text.len ? jcs_done(&j) : text;
}

static enum approval_vote_result decide(struct approvals *as, struct approval *a, bool approve, const char *reason, struct bytes who,
					char *text)
{
	unsigned denials = 0;
	const char *why;

	for (unsigned i = 0; i < a->votes; i++)
		denials += !a->vote[i].approve;
	if (!approve && denials >= a->deny_quorum) {
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
		a->use_by_mono_us = as->now.mono_us + a->use_by_s * 1000000ull;
		store_release(as, a);
		why = a->state == APPROVAL_APPROVED ? approvals_suspended(as, a) : NULL;
		snprintf(text, APPROVAL_SAY_BYTES, "approval %s: %s%s%s", a->id_text, approval_state_name(a->state), why ? "; its release waits: " : "", why ? why : "");
		return APPROVAL_DECIDED;
	}
	snprintf(text, APPROVAL_SAY_BYTES, "vote counted; approval %s is still %s", a->id_text, approval_state_name(a->state));
	return APPROVAL_VOTED;
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
	if (!store_step(as, a, APPROVAL_GETS_VOTE, "", who, vote_extra(a, v, &w))) {
		snprintf(text, APPROVAL_SAY_BYTES, "the journal does not take the vote");
		return APPROVAL_NOT_RECORDED;
	}
	v->voter = principal_get(voter);
	a->votes++;
	return decide(as, a, approve, v->reason, who, text);
}
