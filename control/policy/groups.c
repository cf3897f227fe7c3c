/* Who a principal is to the policy. */
#include <string.h>

#include "control/policy/policy.h"

/* `*` stands for any run of characters without '/': "spiffe://d/agent/billing-*" is no deeper path. Linear but for one place to
 * go back to. */
static bool glob(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star && *resume != '/') {
			text = ++resume;
			pattern = star;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == 0;
}

static bool any_glob(struct policy_strings list, const char *text)
{
	for (unsigned i = 0; i < list.count; i++)
		if (*text && glob(list.at[i], text))
			return true;
	return list.count == 0;
}

static bool any_equal(struct policy_strings list, const char *text)
{
	for (unsigned i = 0; i < list.count; i++)
		if (strcmp(list.at[i], text) == 0)
			return true;
	return list.count == 0;
}

static bool any_group(struct policy_strings list, const struct principal *p)
{
	for (unsigned i = 0; i < list.count; i++)
		if (principal_has_group(p, list.at[i]))
			return true;
	return list.count == 0;
}

static const char *text_of(const char *s)
{
	return s ? s : "";
}

struct group_bits policy_groups_of(const struct policy_tree *t, const struct principal *p)
{
	struct group_bits out = { 0 };

	for (unsigned i = 0; i < t->groups_count; i++) {
		const struct policy_tree_group *g = &t->groups[i];

		if ((!g->issuer || strcmp(g->issuer, text_of(p->issuer)) == 0) && any_group(g->group, p) && any_glob(g->agent, text_of(p->agent)) &&
		    any_equal(g->person, text_of(p->person)))
			group_bits_add(&out, i);
	}
	for (unsigned i = 0; i < t->purposes.count; i++)
		if (strcmp(t->purposes.at[i], text_of(p->purpose)) == 0)
			group_bits_add(&out, t->groups_count + i);
	return out;
}

bool policy_has_role(const struct policy_tree *t, const struct principal *p, enum policy_role role)
{
	struct group_bits groups = policy_groups_of(t, p);

	switch (role) {
	case POLICY_ROLE_ADMINISTRATOR: return group_bits_meet(&groups, &t->admin.administrator);
	case POLICY_ROLE_AUDITOR: return group_bits_meet(&groups, &t->admin.auditor);
	case POLICY_ROLE_INVESTIGATOR: return group_bits_meet(&groups, &t->admin.investigator);
	case POLICY_ROLE_OPERATOR: return group_bits_meet(&groups, &t->admin.operator);
	}
	return false;
}

unsigned policy_issuers(const struct policy_tree *t, struct identity_issuer out[LIMIT_ISSUERS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < t->issuers_count; i++)
		out[count++] = t->issuers[i].as;
	return count;
}

const struct policy_tree_approval *policy_approval_by_name(const struct policy_tree *t, struct bytes name)
{
	for (unsigned i = 0; i < t->approvals_count; i++)
		if (bytes_equal(bytes_str(t->approvals[i].name), name))
			return &t->approvals[i];
	return NULL;
}
