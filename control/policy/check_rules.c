/* Rules against each other: repeated ids, rules that can never match or never matter, allow rules that reach far. */
#include <stdlib.h>
#include <string.h>

#include "control/policy/parse.h"
#include "platform/base/hash.h"

static int by_id(const void *a, const void *b)
{
	const struct policy_tree_rule *x = *(const struct policy_tree_rule *const *)a, *y = *(const struct policy_tree_rule *const *)b;
	int order = strcmp(x->as.id, y->as.id);

	return order ? order : x->line < y->line ? -1 : x->line > y->line;
}

static void check_ids(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;
	const struct policy_tree_rule **sorted = policy_alloc(p->tree, t->rules_count, sizeof *sorted);

	for (unsigned i = 0; i < t->rules_count; i++)
		sorted[i] = &t->rules[i];
	qsort(sorted, t->rules_count, sizeof *sorted, by_id);
	for (unsigned i = 1; i < t->rules_count; i++)
		if (strcmp(sorted[i]->as.id, sorted[i - 1]->as.id) == 0)
			config_error(p->report, sorted[i]->line, "duplicate-name", "rule \"%s\": is the id of the rule in line %u too: rename one", sorted[i]->as.id,
				     sorted[i - 1]->line);
}

static bool listed(struct policy_strings list, const char *word)
{
	for (unsigned i = 0; i < list.count; i++)
		if (strcmp(list.at[i], word) == 0)
			return true;
	return false;
}

static bool groups_within(const struct group_bits *a, const struct group_bits *b)
{
	for (unsigned w = 0; w < LIMIT_GROUPS / 64; w++)
		if (a->w[w] & ~b->w[w])
			return false;
	return true;
}

static const char *never(const struct policy_tree *t, const struct policy_tree_rule *r)
{
	bool inspected = false, left = r->objects.count == 0;

	for (unsigned s = 0; s < t->services_count; s++)
		inspected |= (r->as.services[s / 64] >> (s % 64) & 1) && t->services[s].as.protocol != POLICY_PROTOCOL_PASS;
	for (unsigned i = 0; i < r->objects.count; i++)
		left |= !listed(r->except_objects, r->objects.at[i]);
	if (!inspected)
		return "its services are not inspected";
	if (!r->as.who_any && groups_within(&r->as.who, &r->as.except_who))
		return "every group of who is in except_who";
	if (!left || listed(r->except_objects, "**"))
		return "every object is in except_objects";
	return NULL;
}

static bool services_within(const struct policy_tree_rule *a, const struct policy_tree_rule *b)
{
	for (unsigned w = 0; w < LIMIT_SERVICES / 64; w++)
		if (a->as.services[w] & ~b->as.services[w])
			return false;
	return true;
}

static bool objects_within(const struct policy_tree_rule *a, const struct policy_tree_rule *b)
{
	if (b->except_objects.count || (b->objects.count && a->objects.count == 0))
		return false;
	for (unsigned i = 0; i < a->objects.count && b->objects.count; i++)
		if (!listed(b->objects, a->objects.at[i]))
			return false;
	/* An access without an object is within any list of an allow rule, and within none of another. */
	return b->objects.count == 0 || b->as.action == POLICY_ALLOW || a->as.action != POLICY_ALLOW;
}

/* Whether `b` matches wherever `a` does. Says no when it is not plain. */
static bool covers(const struct policy_tree_rule *b, const struct policy_tree_rule *a)
{
	static const struct group_bits none;

	return !b->as.observe && (a->as.verbs & ~b->as.verbs) == 0 && (b->as.who_any || (!a->as.who_any && groups_within(&a->as.who, &b->as.who))) &&
	       groups_within(&b->as.except_who, &none) && b->as.purpose_any && b->as.pattern == POLICY_NONE && b->as.sources_count == 0 &&
	       b->as.windows_count == 0 && (b->as.flags & ~a->as.flags) == 0 && services_within(a, b) && objects_within(a, b);
}

static bool same_effects(const struct policy_tree_rule *a, const struct policy_tree_rule *b)
{
	struct class_bits both = class_bits_or(a->as.mask, b->as.mask);

	return a->as.action == b->as.action && a->as.approval == b->as.approval && memcmp(&both, &b->as.mask, sizeof both) == 0 &&
	       (!a->as.rows_max || (b->as.rows_max && b->as.rows_max <= a->as.rows_max)) &&
	       (!a->as.bytes_max || (b->as.bytes_max && b->as.bytes_max <= a->as.bytes_max)) && (a->as.oracle_allowed || !b->as.oracle_allowed) &&
	       a->budget.count == 0 && !a->as.say;
}

/* What `covers` needs first, side by side: every rule is compared with every other. */
struct outline {
	uint64_t objects; /* one bit for each object's hash; all bits for a rule without a list */
	uint32_t verbs;
};

static struct outline outline_of(const struct policy_tree_rule *r)
{
	struct outline out = { .objects = r->objects.count ? 0 : ~0ULL, .verbs = r->as.verbs };

	for (unsigned i = 0; i < r->objects.count; i++)
		out.objects |= 1ULL << (hash64((struct hash_key){ 0 }, r->objects.at[i], strlen(r->objects.at[i])) % 64);
	return out;
}

static void check_cover(struct policy_parse *p, unsigned number, const struct outline *outlines)
{
	const struct policy_tree *t = p->tree;
	const struct policy_tree_rule *a = &t->rules[number];
	struct outline mine = outlines[number];

	for (unsigned i = 0; i < t->rules_count; i++) {
		const struct policy_tree_rule *b = &t->rules[i];

		if ((mine.verbs & ~outlines[i].verbs) || (mine.objects & ~outlines[i].objects) || i == number || !covers(b, a))
			continue;
		if (b->as.action == POLICY_BLOCK && a->as.action != POLICY_BLOCK) {
			config_warning(p->report, a->line, "covered", "rule \"%s\": never has its way: rule \"%s\" in line %u blocks everything it matches", a->as.id,
				       b->as.id, b->line);
			return;
		}
		if (same_effects(a, b) && (i < number || !covers(a, b) || !same_effects(b, a))) {
			config_warning(p->report, a->line, "covered", "rule \"%s\": adds nothing to rule \"%s\" in line %u", a->as.id, b->as.id, b->line);
			return;
		}
	}
}

static void check_reach(struct policy_parse *p, const struct policy_tree_rule *r)
{
	static const struct {
		enum verb verb;
		const char *id;
	} far[] = { { VERB_dynamic, "allow-dynamic" }, { VERB_grant, "allow-grant" }, { VERB_copy_program, "allow-copy-program" } };

	for (size_t i = 0; i < sizeof far / sizeof *far; i++)
		if (r->as.action == POLICY_ALLOW && (r->as.verbs >> far[i].verb & 1))
			config_warning(p->report, r->line, far[i].id, "rule \"%s\": allows %s", r->as.id, verb_word(far[i].verb));
}

/* Fields that say nothing beside the rule's other ones, or more than they seem to. */
static void check_effects(struct policy_parse *p, const struct policy_tree_rule *r)
{
	const uint32_t silent = 1u << VERB_ddl | 1u << VERB_grant | 1u << VERB_set | 1u << VERB_transaction | 1u << VERB_notify | 1u << VERB_lock |
				1u << VERB_maintain; /* no rows come or change */
	const struct policy_tree *t = p->tree;
	bool limited = r->as.rows_max || r->as.bytes_max, counted = false;

	for (unsigned s = 0; s < t->services_count; s++)
		counted |= (r->as.services[s / 64] >> (s % 64) & 1) && t->services[s].as.protocol == POLICY_PROTOCOL_POSTGRES;
	if (r->as.oracle_allowed && !class_bits_any(&r->as.mask))
		config_warning(p->report, r->line, "oracle-without-mask",
			       "rule \"%s\": oracle = \"allow\" is about the rule's own masks, and it has none: other rules' masks are as strict as before", r->as.id);
	if (limited && (!counted || !(r->as.verbs & ~silent)))
		config_warning(p->report, r->line, "limit-not-counted", "rule \"%s\": limits nothing: %s", r->as.id,
			       counted ? "none of its verbs gives or changes rows" : "its services' protocols have no rows");
	if (r->as.rows_max && counted && (r->as.verbs >> VERB_truncate & 1))
		config_warning(p->report, r->line, "limit-blocks", "rule \"%s\": truncate tells no number of rows, so max_rows blocks it", r->as.id);
}

void policy_check_rules(struct policy_parse *p)
{
	const struct policy_tree *t = p->tree;
	struct outline *outlines = policy_alloc(p->tree, t->rules_count, sizeof *outlines);

	check_ids(p);
	for (unsigned i = 0; i < t->rules_count; i++)
		outlines[i] = outline_of(&t->rules[i]);
	for (unsigned i = 0; i < t->rules_count; i++) {
		const struct policy_tree_rule *r = &t->rules[i];
		const char *why = never(t, r);

		if (why)
			config_warning(p->report, r->line, "never-matches", "rule \"%s\": can never match: %s", r->as.id, why);
		if (r->as.observe)
			config_warning(p->report, r->line, "observe-not-reported", "rule \"%s\": mode \"observe\" decides nothing and is not reported by this build; see policy explain", r->as.id);
		else if (!why)
			check_cover(p, i, outlines);
		check_reach(p, r);
		check_effects(p, r);
	}
}
