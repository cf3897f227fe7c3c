/* What concerns more than one entry, or the outside: listeners, approvals that nobody can give, lock-out, patterns, things unused.
 * Runs only when every entry by itself is right. */
#include <stdlib.h>
#include <string.h>

#include "control/policy/parse.h"
#include "dataplane/match/pattern.h"

static bool same_place(const struct spec_listener *a, const struct spec_listener *b)
{
	return a->family == b->family && a->transport == b->transport && a->port == b->port && memcmp(a->address, b->address, 16) == 0;
}

static void compare_services(struct policy_parse *p, const struct policy_tree_service *a, const struct policy_tree_service *b)
{
	for (unsigned i = 0; i < a->as.listeners_count; i++) {
		for (unsigned k = 0; k < b->as.listeners_count; k++) {
			const struct spec_listener *x = &a->as.listeners[i], *y = &b->as.listeners[k];

			if (same_place(x, y) && x->any_vlan == y->any_vlan && x->vlan == y->vlan)
				config_error(p->report, b->line, "listener-overlap", "service \"%s\": listens at %s like service \"%s\" in line %u: remove one", b->as.name,
					     b->listen.at[k], a->as.name, a->line);
			else if (same_place(x, y) && x->any_vlan != y->any_vlan)
				config_warning(p->report, b->line, "listener-vlan", "service \"%s\": %s is also at service \"%s\"; the one that names the VLAN takes it there",
					       b->as.name, b->listen.at[k], a->as.name);
			else if (x->family == y->family && memcmp(x->address, y->address, 16) == 0 &&
				 (a->as.protocol == POLICY_PROTOCOL_PASS) != (b->as.protocol == POLICY_PROTOCOL_PASS))
				config_warning(p->report, b->line, "pass-at-guarded", "service \"%s\": a target that is inspected has a port that is passed unread (%s)",
					       b->as.name, b->listen.at[k]);
		}
	}
}

/* What a service does when something that it rests on fails (policy.md 4). */
static void check_fail_modes(struct policy_parse *p, const struct policy_tree_service *s)
{
	if (s->as.protocol == POLICY_PROTOCOL_PASS)
		return;
	if (s->as.on_stale_revocation == POLICY_STALE_ALLOW)
		config_warning(p->report, s->line, "stale-allowed",
			       "service \"%s\": goes on when the news of who was revoked is older than its issuer's max_news_age", s->as.name);
	if (s->as.on_journal_full == POLICY_FULL_DIGEST && s->as.record == POLICY_RECORD_FULL)
		config_warning(p->report, s->line, "digest-when-full", "service \"%s\": is recorded without payload while the journal's volume is over 90 %% full",
			       s->as.name);
}

static void check_services(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;

	for (unsigned i = 0; i < t->services_count; i++) {
		const struct policy_tree_service *s = &t->services[i];
		bool used = false;

		check_fail_modes(p, s);
		for (unsigned k = 0; k < i; k++)
			compare_services(p, &t->services[k], s);
		for (unsigned a = 0; a < s->as.listeners_count; a++)
			for (unsigned b = 0; b < a; b++)
				if (same_place(&s->as.listeners[a], &s->as.listeners[b]))
					config_error(p->report, s->line, "listener-overlap", "service \"%s\": listens at %s twice: remove one", s->as.name, s->listen.at[a]);
		for (unsigned r = 0; r < t->rules_count && !used; r++)
			used = t->rules[r].as.services[i / 64] >> (i % 64) & 1;
		if (s->as.fail == POLICY_FAIL_OPEN)
			config_warning(p->report, s->line, "fail-open", "service \"%s\": passes unread, also when Sluice is down", s->as.name);
		else if (s->as.protocol == POLICY_PROTOCOL_PASS || s->as.protocol == POLICY_PROTOCOL_OPAQUE)
			config_warning(p->report, s->line, "not-inspected", "service \"%s\": passes unread", s->as.name);
		else if (!used)
			config_warning(p->report, s->line, "service-without-rule", "service \"%s\": no rule names it: everything there is unmatched", s->as.name);
	}
}

static bool known_person(const struct policy_tree *t, const struct policy_tree_group *g)
{
	for (unsigned i = 0; i < t->issuers_count; i++)
		if (g->issuer && strcmp(t->issuers[i].as.name, g->issuer) == 0)
			return t->issuers[i].as.map.person;
	return false;
}

/* Different persons that the groups of an approval list by name; `open` when a group does not list them. */
static unsigned count_persons(const struct policy_tree *t, const struct policy_tree_approval *a, bool *open)
{
	unsigned count = 0;

	*open = false;
	for (unsigned n = 0; n < a->needs_count; n++) {
		const struct policy_tree_group *g = &t->groups[a->needs[n].group];

		*open |= g->person.count == 0;
		for (unsigned i = 0; i < g->person.count; i++) {
			bool seen = false;

			for (unsigned m = 0; m < n; m++)
				for (unsigned k = 0; k < t->groups[a->needs[m].group].person.count; k++)
					seen |= strcmp(t->groups[a->needs[m].group].person.at[k], g->person.at[i]) == 0;
			count += !seen;
		}
	}
	return count;
}

static void check_approval(struct policy_parse *p, const struct policy_tree_approval *a)
{
	const struct policy_tree *t = p->tree;
	bool open;
	unsigned persons = count_persons(t, a, &open);

	for (unsigned n = 0; n < a->needs_count; n++) {
		const struct policy_tree_group *g = &t->groups[a->needs[n].group];
		const char *why = g->agent.count ? "is a group of agents, and agents cannot vote"
				: !known_person(t, g) ? "has no issuer that maps person, so its members cannot be told apart"
				: g->person.count && g->person.count < a->needs[n].count ? "lists fewer people" : NULL;

		if (why)
			config_error(p->report, a->line, "approval-impossible", "approval \"%s\": needs %u of group \"%s\", which %s: name another group", a->name,
				     a->needs[n].count, g->name, why);
	}
	if (!open && persons < a->persons)
		config_error(p->report, a->line, "approval-impossible", "approval \"%s\": needs %u people, and its groups list %u: add people", a->name, a->persons, persons);
	else if (!open && persons == a->persons)
		config_warning(p->report, a->line, "approval-tight", "approval \"%s\": needs all %u people it can come from: none of them can ask for it", a->name, persons);
}

static bool approval_used(const struct policy_tree *t, unsigned number)
{
	bool used = t->defaults.approval == number || t->admin.commit_approval == number || t->admin.destroy_approval == number;

	for (unsigned i = 0; i < t->rules_count && !used; i++)
		used = t->rules[i].as.approval == number;
	for (unsigned i = 0; i < t->budgets_count && !used; i++)
		used = t->budgets[i].approval == number;
	return used;
}

static void check_approvals(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;

	for (unsigned i = 0; i < t->approvals_count; i++) {
		check_approval(p, &t->approvals[i]);
		if (!approval_used(t, i))
			config_warning(p->report, t->approvals[i].line, "unused", "approval \"%s\": nothing needs it", t->approvals[i].name);
	}
}

static void check_classes(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;

	for (unsigned i = 0; i < t->classes_count; i++) {
		bool used = false;

		for (unsigned r = 0; r < t->rules_count && !used; r++)
			used = class_bits_has(&t->rules[r].as.mask, i);
		if (!used)
			config_warning(p->report, t->classes[i].line, "unused", "class \"%s\": no rule masks it, it passes in clear", t->classes[i].name);
	}
}

static void check_groups(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;
	struct group_bits used = { 0 };

	for (unsigned i = 0; i < t->rules_count; i++)
		for (unsigned w = 0; w < LIMIT_GROUPS / 64; w++)
			used.w[w] |= t->rules[i].as.who.w[w] | t->rules[i].as.except_who.w[w];
	for (unsigned i = 0; i < t->approvals_count; i++)
		for (unsigned n = 0; n < t->approvals[i].needs_count; n++)
			group_bits_add(&used, t->approvals[i].needs[n].group);
	for (unsigned w = 0; w < LIMIT_GROUPS / 64; w++)
		used.w[w] |= t->admin.administrator.w[w] | t->admin.auditor.w[w] | t->admin.investigator.w[w] | t->admin.operator.w[w];
	for (unsigned i = 0; i < t->groups_count; i++)
		if (!group_bits_has(&used, i))
			config_warning(p->report, t->groups[i].line, "unused", "group \"%s\": nothing names it", t->groups[i].name);
}

/* Whoever commits this must not lock everybody out of the next commit. */
static void check_admin(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;

	if (t->issuers_count == 0)
		config_warning(p->report, 0, "no-issuer", "issuers: there is none: nobody can log in");
	if (!t->admin.present)
		config_warning(p->report, 0, "no-admin", "admin: there is no such section: nobody has a role");
	else if (t->admin.administrators.count == 0)
		config_error(p->report, t->admin.line, "lock-out", "admin.roles: names no administrator: nobody could change the policy again; name a group");
	else if (t->admin.commit_approval == POLICY_NONE)
		config_warning(p->report, t->admin.line, "no-commit-approval", "admin: names no commit_approval: one person alone changes the policy");
	if (t->admin.destroy_approval < t->approvals_count && t->approvals[t->admin.destroy_approval].persons < 2)
		config_error(p->report, t->admin.line, "one-person", "admin: destroy_approval \"%s\" needs one person: evidence is destroyed by two: name an approval of two",
			     t->approvals[t->admin.destroy_approval].name);
	else if (t->journal.prune_approved && t->admin.destroy_approval >= t->approvals_count)
		config_error(p->report, t->admin.line, "never-pruned", "journal: prune is \"approved\", and admin.destroy_approval names none: nothing could ever be pruned");
	if (t->admin.disclose_approval < t->approvals_count && t->approvals[t->admin.disclose_approval].persons < 2)
		config_error(p->report, t->admin.line, "one-person", "admin: disclose_approval \"%s\" needs one person: payload is disclosed by two: name an approval of two",
			     t->approvals[t->admin.disclose_approval].name);
	else if (t->admin.investigators.count && t->admin.disclose_approval >= t->approvals_count)
		config_warning(p->report, t->admin.line, "never-disclosed", "admin: names investigators and no disclose_approval: they can ask for no payload key");
}

static void check_patterns(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;
	char err[160] = "";
	uint8_t *blob;
	unsigned bad;
	size_t len;

	if (t->patterns.count == 0)
		return;
	blob = match_patterns_compile(t->patterns.at, t->patterns.count, &len, &bad, err, sizeof err);
	if (blob) {
		free(blob);
		return;
	}
	for (unsigned i = 0; i < t->rules_count; i++)
		if (t->rules[i].as.pattern == bad) {
			config_error(p->report, t->rules[i].line, "bad-pattern", "rule \"%s\": pattern \"%.80s\": %s: write it without look-around and back-references",
				     t->rules[i].as.id, t->rules[i].pattern, err);
			return;
		}
	config_error(p->report, 0, "bad-pattern", "rules: the patterns together do not compile: %s: use fewer", err);
}

void policy_check(struct policy_parse *p)
{
	check_services(p);
	check_approvals(p);
	check_classes(p);
	check_groups(p);
	check_admin(p);
	check_patterns(p);
	policy_check_rules(p);
}
