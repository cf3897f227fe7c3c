/* rights.c: who may decide on an approval, and who may see it (approvals.md 5; export.md 8).
 *
 * Eligibility has no exception and no override. Seeing is wider: whoever may decide, and the side that asked; readers of everything
 * are the policy's roles, which the caller knows. An object that was rebuilt from records has no principal: its `who` says whose it is. */
#include "control/approval/store.h"
#include "control/journal/jcs_read.h"

static bool same_account(const char *iss, const char *sub, const struct principal *p)
{
	return sub[0] && !strcmp(sub, p->sub) && !strcmp(iss, p->iss);
}

/* The voter is the requester, stands behind the requester, or shares a credential with one of them. */
static bool on_requester_side(const struct principal *requester, const struct principal *voter)
{
	if (principal_same_person(requester, voter) || same_account(requester->iss, requester->sub, voter) ||
	    !memcmp(requester->token_sha256, voter->token_sha256, 32))
		return true;
	if (requester->cnf != PRINCIPAL_CNF_NONE && requester->cnf == voter->cnf && !memcmp(requester->cnf_sha256, voter->cnf_sha256, 32))
		return true;
	for (unsigned i = 0; i < requester->act_count; i++) {
		const struct principal_actor *actor = &requester->act[i];

		if (same_account(actor->iss, actor->sub, voter) || (actor->sub[0] && !strcmp(actor->sub, voter->person)))
			return true;
	}
	return false;
}

static bool in_any_group(struct approvals *as, const struct approval *a, const struct principal *voter)
{
	for (unsigned i = 0; i < a->needs; i++) {
		if (as->host.in_group(as->host.ctx, voter, a->need[i].group))
			return true;
	}
	return false;
}

const char *store_not_eligible(struct approvals *as, const struct approval *a, const struct principal *p)
{
	if (!p->person[0])
		return "your token names no person";
	if (p->agent[0] || p->act_count)
		return "agents do not vote";
	if (!a->requester || on_requester_side(a->requester, p))
		return "the requester, and whoever stands behind the requester, cannot approve";
	if (!in_any_group(as, a, p))
		return "you are in no group that can approve this";
	return as->host.still_valid(as->host.ctx, p) ? NULL : "your token is no longer valid";
}

/* --- seeing -------------------------------------------------------------------------------------------------------------- */

static bool says(struct jcs_value who, const char *key, const char *text)
{
	char room[LIMIT_CLAIM_BYTES + 1];
	struct writer w = writer_of(room, sizeof(room));

	return text[0] && jcs_read_str(jcs_get(who, key), &w) && bytes_equal(writer_done(&w), bytes_str(text));
}

bool approvals_may_see(struct approvals *as, const struct approval *a, const struct principal *p)
{
	struct jcs_value who = jcs_value_of(store_who(a));

	if (!as->host.still_valid(as->host.ctx, p))
		return false;
	if (says(who, "iss", p->iss) && says(who, "sub", p->sub))
		return true;
	if (strcmp(p->person, "unknown") != 0 && says(who, "person", p->person))
		return true;
	return p->person[0] && !p->agent[0] && !p->act_count && in_any_group(as, a, p);
}
