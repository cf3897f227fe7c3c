/* Sections issuers, groups and admin. */
#include <stdio.h>
#include <string.h>

#include "control/policy/parse.h"

static void copy_list(struct policy_parse *p, const struct config_item *g, const char *name, const char **to, unsigned max)
{
	struct policy_strings list = policy_parse_strings(p, g, name, CONFIG_OPTIONAL);

	if (list.count > max)
		config_item_error(p->c, g, "too-many", "%s has more than %u entries: name fewer", name, max);
	for (unsigned i = 0; i < list.count && i < max; i++)
		to[i] = list.at[i];
}

static void one_of(struct policy_parse *p, const struct config_item *g, const char *name, const char *const *given, unsigned max, const char *const *known)
{
	for (unsigned i = 0; i < max && given[i]; i++) {
		unsigned k = 0;

		while (known[k] && strcmp(known[k], given[i]) != 0)
			k++;
		if (!known[k])
			config_item_error(p->c, g, "unknown-word", "%s names \"%.40s\", which is not accepted: see identity.h", name, given[i]);
	}
}

static const char *https(struct policy_parse *p, const struct config_item *g, const char *name, enum config_presence presence)
{
	const char *url = config_string(p->c, g, name, presence, NULL);

	if (url && (strncmp(url, "https://", 8) != 0 || url[8] == 0 || url[8] == '/'))
		config_item_error(p->c, g, "not-https", "%s is \"%.80s\": write an https URL", name, url);
	return url;
}

static void parse_map(struct policy_parse *p, const struct config_item *g, struct identity_issuer *as)
{
	const struct config_item *map = config_group(p->c, g, "map", CONFIG_OPTIONAL);

	as->map.person = config_string(p->c, map, "person", CONFIG_OPTIONAL, NULL);
	as->map.agent = config_string(p->c, map, "agent", CONFIG_OPTIONAL, NULL);
	as->map.run = config_string(p->c, map, "run", CONFIG_OPTIONAL, NULL);
	as->map.groups = config_string(p->c, map, "groups", CONFIG_OPTIONAL, NULL);
	as->map.purpose = config_string(p->c, map, "purpose", CONFIG_OPTIONAL, NULL);
}

static void parse_algs(struct policy_parse *p, const struct config_item *g, struct identity_issuer *as)
{
	static const char *const algs[] = { "RS256", "PS256", "ES256", "ES384", NULL };

	copy_list(p, g, "algs", as->algs, 4);
	one_of(p, g, "algs", as->algs, 4, algs);
}

/* What both kinds have. */
static void parse_limits(struct policy_parse *p, const struct config_item *g, struct identity_issuer *as)
{
	as->skew_s = (unsigned)config_int(p->c, g, "skew", CONFIG_OPTIONAL, 0, 60, 30);
	as->life_s_max = (unsigned)config_int(p->c, g, "max_life", CONFIG_OPTIONAL, 1, 86400, 3600);
	as->stale_s_max = (unsigned)(config_duration_ms(p->c, g, "max_stale", CONFIG_OPTIONAL, 60000, 7 * 86400000ULL, 86400000) / 1000);
	as->single_use = config_bool(p->c, g, "single_use", CONFIG_OPTIONAL, false);
	as->ca = config_string(p->c, g, "ca", CONFIG_OPTIONAL, NULL);
	parse_map(p, g, as);
}

/* Whoever names no audience means this policy's: "sluice:prod" of policy "prod". */
static const char *default_audience(struct policy_parse *p)
{
	const char *name = p->tree->name ? p->tree->name : "";
	size_t size = sizeof("sluice:") + strlen(name);
	char *audience = policy_alloc(p->tree, size, 1);

	snprintf(audience, size, "sluice:%s", name);
	return audience;
}

static void parse_spiffe(struct policy_parse *p, const struct config_item *g, struct policy_tree_issuer *n)
{
	static const char *const algs[4] = { "ES256", "ES384", "RS256", "PS256" };
	struct identity_issuer *as = &n->as;

	as->spiffe = true;
	as->trust_domain = config_string(p->c, g, "trust_domain", CONFIG_REQUIRED, NULL);
	if (as->trust_domain && (!as->trust_domain[0] || strspn(as->trust_domain, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != strlen(as->trust_domain)))
		config_item_error(p->c, g, "bad-trust-domain", "trust_domain is \"%.80s\": write lower-case letters, digits, dots, dashes and underscores",
				  as->trust_domain);
	n->bundle = as->jwks_uri = https(p, g, "bundle", CONFIG_REQUIRED);
	as->issuer = https(p, g, "issuer", CONFIG_OPTIONAL);
	as->audience = config_string(p->c, g, "audience", CONFIG_OPTIONAL, NULL);
	if (!as->audience)
		as->audience = default_audience(p);
	parse_algs(p, g, as);
	if (!as->algs[0])
		memcpy(as->algs, algs, sizeof(algs));
	parse_limits(p, g, as);
	if (!as->map.agent)
		as->map.agent = "sub";
}

static void parse_oidc(struct policy_parse *p, const struct config_item *g, struct identity_issuer *as)
{
	static const char *const typs[] = { "at+jwt", "JWT", NULL };

	as->issuer = https(p, g, "issuer", CONFIG_REQUIRED);
	as->audience = config_string(p->c, g, "audience", CONFIG_REQUIRED, NULL);
	parse_algs(p, g, as);
	copy_list(p, g, "typ", as->typ, 4);
	one_of(p, g, "typ", as->typ, 4, typs);
	copy_list(p, g, "clients", as->clients, 16);
	if (!as->algs[0])
		as->algs[0] = "ES256";
	if (!as->typ[0])
		as->typ[0] = "at+jwt";
	as->bound = config_bool(p->c, g, "bound", CONFIG_OPTIONAL, false);
	as->trust_domain = config_string(p->c, g, "trust_domain", CONFIG_OPTIONAL, NULL);
	as->jwks_uri = https(p, g, "jwks_uri", CONFIG_OPTIONAL);
	parse_limits(p, g, as);
}

void policy_parse_issuers(struct policy_parse *p, const struct config_item *root)
{
	static const char *const kinds[] = { "oidc", "spiffe", NULL };
	unsigned count;
	const struct config_item *list = policy_parse_list(p, root, "issuers", LIMIT_ISSUERS, "remove some", &count);
	struct policy_tree *t = p->tree;

	t->issuers = policy_alloc(t, count, sizeof *t->issuers);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);
		struct policy_tree_issuer *n = &t->issuers[t->issuers_count];

		if (!g)
			continue;
		n->line = config_line(g);
		n->as.news_s_max = (unsigned)(config_duration_ms(p->c, g, "max_news_age", CONFIG_OPTIONAL, 60000, 86400000, 3600000) / 1000);
		n->as.name = policy_parse_name(p, g, "name");
		for (unsigned k = 0; k < t->issuers_count; k++)
			policy_refuse_duplicate(p, g, n->as.name, t->issuers[k].as.name, t->issuers[k].line);
		n->spiffe = config_word(p->c, g, "kind", CONFIG_OPTIONAL, kinds, 0) == 1;
		t->issuers_count++;
		if (n->spiffe)
			parse_spiffe(p, g, n);
		else
			parse_oidc(p, g, &n->as);
	}
}

static const struct policy_tree_issuer *find_issuer(const struct policy_tree *t, const char *name)
{
	for (unsigned i = 0; i < t->issuers_count; i++)
		if (strcmp(t->issuers[i].as.name, name) == 0)
			return &t->issuers[i];
	return NULL;
}

static void parse_group(struct policy_parse *p, const struct config_item *g, struct policy_tree_group *n)
{
	const struct policy_tree_issuer *issuer;

	n->line = config_line(g);
	n->name = policy_parse_name(p, g, "name");
	n->issuer = config_string(p->c, g, "issuer", CONFIG_OPTIONAL, NULL);
	n->group = policy_parse_strings(p, g, "group", CONFIG_OPTIONAL);
	n->agent = policy_parse_strings(p, g, "agent", CONFIG_OPTIONAL);
	n->person = policy_parse_strings(p, g, "person", CONFIG_OPTIONAL);
	if (n->group.count + n->agent.count + n->person.count == 0)
		config_item_error(p->c, g, "empty-group", "names no group, agent or person: name who belongs to it");
	if ((n->group.count || n->person.count) && !n->issuer)
		config_item_error(p->c, g, "group-without-issuer", "names groups or persons and no issuer: any issuer could assert them; add issuer = \"…\"");
	issuer = n->issuer ? find_issuer(p->tree, n->issuer) : NULL;
	if (n->issuer && !issuer)
		config_item_error(p->c, g, "unknown-issuer", "names the issuer \"%.80s\", which is not there: correct it or add the issuer", n->issuer);
	if (issuer && ((n->group.count && !issuer->as.map.groups) || (n->person.count && !issuer->as.map.person) ||
					  (n->agent.count && !issuer->as.map.agent)))
		config_item_error(p->c, g, "not-mapped", "asks for what issuer \"%s\" does not map: add it to that issuer's map", n->issuer);
	if (strncmp(n->name, "purpose:", 8) == 0)
		config_item_error(p->c, g, "bad-name", "begins with \"purpose:\", which is kept for purposes: rename it");
	for (unsigned i = 0; i < n->agent.count; i++)
		if (n->agent.at[i][0] == '*')
			config_warning(p->report, n->line, "wide-agent", "group \"%s\": the agent pattern \"%.60s\" begins with a star: name the trust domain", n->name,
				       n->agent.at[i]);
}

void policy_parse_groups(struct policy_parse *p, const struct config_item *root)
{
	unsigned count;
	const struct config_item *list = policy_parse_list(p, root, "groups", LIMIT_GROUPS, "join some", &count);
	struct policy_tree *t = p->tree;

	t->groups = policy_alloc(t, count, sizeof *t->groups);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);

		if (!g)
			continue;
		parse_group(p, g, &t->groups[t->groups_count]);
		for (unsigned k = 0; k < t->groups_count; k++)
			policy_refuse_duplicate(p, g, t->groups[t->groups_count].name, t->groups[k].name, t->groups[k].line);
		t->groups_count++;
	}
}

static struct group_bits parse_role(struct policy_parse *p, const struct config_item *roles, const char *name, struct policy_strings *names)
{
	struct group_bits out = { 0 };

	*names = policy_parse_strings(p, roles, name, CONFIG_OPTIONAL);
	for (unsigned i = 0; i < names->count; i++) {
		unsigned group = policy_find_group(p, roles, names->at[i]);

		if (group != POLICY_NONE)
			group_bits_add(&out, group);
	}
	return out;
}

void policy_parse_admin(struct policy_parse *p, const struct config_item *root)
{
	const struct config_item *g = config_group(p->c, root, "admin", CONFIG_OPTIONAL), *roles;
	struct policy_tree_admin *a = &p->tree->admin;
	const char *approval;

	a->commit_approval = a->destroy_approval = a->disclose_approval = POLICY_NONE;
	a->confirm_within_s = 600;
	if (!g)
		return;
	a->present = true;
	a->line = config_line(g);
	approval = config_string(p->c, g, "commit_approval", CONFIG_OPTIONAL, NULL);
	if (approval)
		a->commit_approval = policy_find_approval(p, g, approval);
	approval = config_string(p->c, g, "destroy_approval", CONFIG_OPTIONAL, NULL);
	if (approval)
		a->destroy_approval = policy_find_approval(p, g, approval);
	approval = config_string(p->c, g, "disclose_approval", CONFIG_OPTIONAL, NULL);
	if (approval)
		a->disclose_approval = policy_find_approval(p, g, approval);
	a->confirm_within_s = config_duration_ms(p->c, g, "confirm_within", CONFIG_OPTIONAL, 10000, 86400000, 600000) / 1000;
	roles = config_group(p->c, g, "roles", CONFIG_OPTIONAL);
	a->administrator = parse_role(p, roles, "administrator", &a->administrators);
	a->auditor = parse_role(p, roles, "auditor", &a->auditors);
	a->investigator = parse_role(p, roles, "investigator", &a->investigators);
	a->operator = parse_role(p, roles, "operator", &a->operators);
}
