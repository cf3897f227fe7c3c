/* Section rules. Words become bits and numbers here; what concerns several rules is rules_check.c's. */
#include <stdio.h>
#include <string.h>

#include "control/policy/parse.h"

static bool is_star(struct policy_strings list)
{
	return list.count == 1 && strcmp(list.at[0], "*") == 0;
}

static struct group_bits parse_who(struct policy_parse *p, const struct config_item *g, struct policy_strings names)
{
	struct group_bits out = { 0 };

	for (unsigned i = 0; i < names.count; i++) {
		unsigned group = strcmp(names.at[i], "*") == 0 ? POLICY_NONE : policy_find_group(p, g, names.at[i]);

		if (group != POLICY_NONE)
			group_bits_add(&out, group);
		else if (strcmp(names.at[i], "*") == 0)
			config_item_error(p->c, g, "star", "names \"*\" beside others or in except_who: \"*\" stands alone, in who only");
	}
	return out;
}

/* Names of one list without repetition: the number of `name`, added when it is new. POLICY_NONE: there are `max` already. */
static unsigned intern(struct policy_tree *t, struct policy_strings *list, const char *name, unsigned max)
{
	for (unsigned i = 0; i < list->count; i++)
		if (strcmp(list->at[i], name) == 0)
			return i;
	if (list->count >= max)
		return POLICY_NONE;
	if (!list->at)
		list->at = policy_alloc(t, max, sizeof *list->at);
	list->at[list->count] = name;
	return list->count++;
}

static void parse_purposes(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	struct policy_tree *t = p->tree;

	r->purpose = policy_parse_strings(p, g, "purpose", CONFIG_OPTIONAL);
	r->as.purpose_any = r->purpose.count == 0;
	for (unsigned i = 0; i < r->purpose.count; i++) {
		unsigned number = intern(t, &t->purposes, r->purpose.at[i], LIMIT_GROUPS - t->groups_count);

		if (number == POLICY_NONE)
			config_item_error(p->c, g, "too-many", "brings groups and purposes over %d: join some", LIMIT_GROUPS);
		else
			group_bits_add(&r->as.purpose, t->groups_count + number);
	}
}

static void parse_services(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	struct policy_tree *t = p->tree;

	r->service = policy_parse_strings(p, g, "service", CONFIG_REQUIRED);
	for (unsigned i = 0; i < r->service.count; i++) {
		bool found = false;

		for (unsigned s = 0; s < t->services_count; s++) {
			if (!is_star(r->service) && strcmp(t->services[s].as.name, r->service.at[i]) != 0)
				continue;
			r->as.services[s / 64] |= 1ULL << (s % 64);
			found = true;
		}
		if (!found && !is_star(r->service))
			config_item_error(p->c, g, "unknown-service", "names the service \"%.80s\", which is not there: correct it or add the service",
					  r->service.at[i]);
	}
}

/* Whether every service of the rule speaks a protocol that this build does not: then its verbs and flags are not known either. */
static bool foreign(const struct policy_tree *t, const struct policy_tree_rule *r)
{
	bool any = false;

	for (unsigned s = 0; s < t->services_count; s++) {
		if (!(r->as.services[s / 64] >> (s % 64) & 1))
			continue;
		if (t->services[s].as.protocol != POLICY_PROTOCOL_OTHER)
			return false;
		any = true;
	}
	return any;
}

static void parse_verbs(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	r->verbs = policy_parse_strings(p, g, "verbs", CONFIG_REQUIRED);
	for (unsigned i = 0; i < r->verbs.count; i++) {
		int verb = verb_find(r->verbs.at[i]);

		if (is_star(r->verbs))
			r->as.verbs = ((1u << VERB_count) - 1) & ~(1u << VERB_unknown);
		else if (verb >= 0)
			r->as.verbs |= 1u << verb;
		else if (!foreign(p->tree, r))
			config_item_error(p->c, g, "unknown-verb", "verb \"%.40s\" is not known: correct it (see verbs.def)", r->verbs.at[i]);
	}
	r->flags = policy_parse_strings(p, g, "flags", CONFIG_OPTIONAL);
	for (unsigned i = 0; i < r->flags.count; i++) {
		int flag = flag_find(r->flags.at[i]);

		if (flag >= 0)
			r->as.flags |= 1u << flag;
		else
			config_item_error(p->c, g, "unknown-flag", "flag \"%.40s\" is not known: correct it (see flags.def)", r->flags.at[i]);
	}
}

static bool has_capital(const char *text)
{
	return text[strcspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != 0;
}

/* Names of tables and functions are database.schema.name; other lengths match settings, roles and the like only. */
static bool names_below_schema(const struct policy_tree_rule *r)
{
	const uint32_t others = 1u << VERB_set | 1u << VERB_show | 1u << VERB_notify | 1u << VERB_cursor | 1u << VERB_prepare | 1u << VERB_grant |
				1u << VERB_ddl | 1u << VERB_transaction;

	return (r->as.verbs & ~others) != 0;
}

static struct spec_names parse_objects(struct policy_parse *p, const struct config_item *g, const char *name, struct policy_tree_rule *r,
				       struct policy_strings *words)
{
	struct name_level level[LIMIT_LEVELS];
	char room[LIMIT_NAME_BYTES];

	*words = policy_parse_strings(p, g, name, CONFIG_OPTIONAL);
	for (unsigned i = 0; i < words->count; i++) {
		const char *why = NULL;
		unsigned levels = policy_name_split(words->at[i], level, room, &why);
		bool any = false;

		for (unsigned k = 0; k < levels; k++)
			any |= level[k].kind == NAME_LEVEL_ANY;
		if (why) {
			config_item_error(p->c, g, "bad-object", "%s \"%.80s\" %s: correct it", name, words->at[i], why);
			continue;
		}
		if (foreign(p->tree, r))
			continue;
		if (levels != 3 && !any && names_below_schema(r))
			config_warning(p->report, r->line, "object-levels", "rule \"%s\": %s \"%.80s\" fits no table: tables are database.schema.name", r->as.id, name,
				       words->at[i]);
		if (has_capital(words->at[i]))
			config_warning(p->report, r->line, "object-capital", "rule \"%s\": %s \"%.80s\" has capitals: it fits quoted names only", r->as.id, name,
				       words->at[i]);
	}
	return (struct spec_names){ .name = words->at, .count = words->count };
}

static void parse_conditions(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	struct spec_source *sources;
	struct spec_window *windows;
	const char *why;

	r->source = policy_parse_strings(p, g, "source", CONFIG_OPTIONAL);
	r->time = policy_parse_strings(p, g, "time", CONFIG_OPTIONAL);
	sources = policy_alloc(p->tree, r->source.count, sizeof *sources);
	windows = policy_alloc(p->tree, 7 * (size_t)r->time.count, sizeof *windows);
	for (unsigned i = 0; i < r->source.count; i++) {
		why = policy_parse_source(r->source.at[i], &sources[i]);
		if (why)
			config_item_error(p->c, g, "bad-address", "source \"%.80s\" %s: correct it", r->source.at[i], why);
	}
	for (unsigned i = 0; i < r->time.count; i++) {
		r->as.windows_count += policy_parse_time(r->time.at[i], windows + r->as.windows_count, &why);
		if (why)
			config_item_error(p->c, g, "bad-time", "time \"%.80s\" %s", r->time.at[i], why);
	}
	r->as.sources = sources;
	r->as.sources_count = r->source.count;
	r->as.windows = windows;
}

static void parse_pattern(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	r->pattern = config_string(p->c, g, "pattern", CONFIG_OPTIONAL, NULL);
	r->as.pattern = POLICY_NONE;
	if (!r->pattern)
		return;
	r->as.pattern = intern(p->tree, &p->tree->patterns, r->pattern, LIMIT_PATTERNS);
	if (r->as.pattern == POLICY_NONE)
		config_item_error(p->c, g, "too-many", "brings the patterns over %d: join some", LIMIT_PATTERNS);
	if (r->as.action == POLICY_ALLOW)
		config_item_error(p->c, g, "pattern-allow", "has a pattern and allows: a pattern can only tighten; write action = \"hold\" or \"block\"");
}

static void parse_budgets_of_rule(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	r->budget = policy_parse_strings(p, g, "budget", CONFIG_OPTIONAL);
	for (unsigned i = 0; i < r->budget.count; i++) {
		unsigned k = 0;

		while (k < p->tree->budgets_count && strcmp(p->tree->budgets[k].name, r->budget.at[i]) != 0)
			k++;
		if (k == p->tree->budgets_count)
			config_item_error(p->c, g, "unknown-budget", "names the budget \"%.80s\", which is not there: correct it or add the budget", r->budget.at[i]);
	}
}

static void parse_effects(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	static const char *const oracles[] = { "block", "allow", NULL };
	const char *approval = config_string(p->c, g, "approval", CONFIG_OPTIONAL, NULL);
	struct policy_numbers classes;

	r->mask = policy_parse_strings(p, g, "mask", CONFIG_OPTIONAL);
	classes = policy_find_classes(p, g, r->mask);
	for (unsigned i = 0; i < classes.count; i++)
		class_bits_add(&r->as.mask, classes.at[i]);
	parse_budgets_of_rule(p, g, r);
	r->as.oracle_allowed = config_word(p->c, g, "oracle", CONFIG_OPTIONAL, oracles, 0) == 1;
	r->as.rows_max = config_count(p->c, g, "max_rows", CONFIG_OPTIONAL, 1, 1ULL << 52, 0);
	r->as.bytes_max = config_bytes(p->c, g, "max_bytes", CONFIG_OPTIONAL, 1, 1ULL << 52, 0);
	r->as.say = config_string(p->c, g, "say", CONFIG_OPTIONAL, NULL);
	r->as.approval = approval ? policy_find_approval(p, g, approval) : POLICY_NONE;
	if (r->as.action == POLICY_HOLD && !approval)
		config_item_error(p->c, g, "hold-without-approval", "holds and names no approval: add approval = \"…\"");
	if (r->as.action != POLICY_HOLD && approval)
		config_item_error(p->c, g, "approval-without-hold", "names an approval and does not hold: remove it or write action = \"hold\"");
	if (r->as.action == POLICY_BLOCK && (r->mask.count || r->budget.count || r->as.rows_max || r->as.bytes_max || r->as.oracle_allowed))
		config_item_error(p->c, g, "block-with-effects", "blocks, and masks, limits or budgets: nothing passes that they could act on; remove them");
	if (r->as.say && r->pattern && strstr(r->as.say, r->pattern))
		config_item_error(p->c, g, "say-shows-pattern", "say repeats the pattern to whom it is to catch: describe it instead");
	if (r->as.say && strlen(r->as.say) > LIMIT_SAY_BYTES)
		config_item_error(p->c, g, "too-long", "say is longer than %d bytes: shorten it", LIMIT_SAY_BYTES);
	if (r->as.action == POLICY_ALLOW && (r->as.verbs >> VERB_unknown & 1))
		config_item_error(p->c, g, "allow-unknown", "allows what is not understood: unknown can be held or blocked only; remove the verb");
}

static void parse_rule(struct policy_parse *p, const struct config_item *g, struct policy_tree_rule *r)
{
	static const char *const actions[] = { "allow", "hold", "block", NULL }, *const modes[] = { "enforce", "observe", NULL };

	r->line = r->as.line = config_line(g);
	r->as.id = policy_parse_name(p, g, "id");
	r->as.action = config_word(p->c, g, "action", CONFIG_REQUIRED, actions, POLICY_BLOCK);
	r->as.observe = config_word(p->c, g, "mode", CONFIG_OPTIONAL, modes, 0) == 1;
	r->who = policy_parse_strings(p, g, "who", CONFIG_REQUIRED);
	r->as.who_any = is_star(r->who);
	if (!r->as.who_any)
		r->as.who = parse_who(p, g, r->who);
	r->except_who = policy_parse_strings(p, g, "except_who", CONFIG_OPTIONAL);
	r->as.except_who = parse_who(p, g, r->except_who);
	parse_purposes(p, g, r);
	parse_services(p, g, r);
	parse_verbs(p, g, r);
	r->as.objects = parse_objects(p, g, "objects", r, &r->objects);
	r->as.except_objects = parse_objects(p, g, "except_objects", r, &r->except_objects);
	parse_conditions(p, g, r);
	parse_pattern(p, g, r);
	parse_effects(p, g, r);
}

void policy_parse_rules(struct policy_parse *p, const struct config_item *root)
{
	unsigned count;
	const struct config_item *list = policy_parse_list(p, root, "rules", LIMIT_RULES, "use groups and wildcards", &count);
	struct policy_tree *t = p->tree;

	t->rules = policy_alloc(t, count, sizeof *t->rules);
	for (unsigned i = 0; i < count; i++) {
		const struct config_item *g = config_element(p->c, list, i);

		if (g)
			parse_rule(p, g, &t->rules[t->rules_count++]);
	}
}
