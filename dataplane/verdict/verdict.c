/* The rows of the image (policy_image.h) narrow 10,000 rules to a handful, rule_match decides each of them, and what matched is
 * joined without regard to order: the strictest action, the union of masks, the smallest limits, the lowest number as deciding
 * rule. Numbers follow ids, not the file. Nothing but a matching allow rule for every single access gives ALLOW. */
#include "dataplane/verdict/verdict.h"

#include "dataplane/verdict/rule.h"
#include "platform/contract/policy_image.h"

#define WORDS ((LIMIT_RULES + 63) / 64)

struct judge {
	const struct policy_image *image;
	const struct verdict_request *request;
	struct verdict *out;
	uint64_t candidates[WORDS]; /* by service and principal */
	uint64_t matched[WORDS];
	unsigned block_rule, hold_rule, allow_rule; /* POLICY_NONE: none */
	unsigned hold_approval;
	enum policy_action strictest, defaulted; /* of all accesses; of those that no rule matched */
	enum command_reason reason;              /* why a default spoke */
	enum command_reason block_reason;        /* why block_rule blocks, though it does not say so itself */
	bool unknown;
};

static void find_candidates(struct judge *j)
{
	const struct policy_image *p = j->image;
	uint32_t words = image_words(p);
	const uint64_t *service = image_service_rows(p) + (size_t)j->request->service * words;
	const uint64_t *rows = image_group_rows(p), *any = rows + (size_t)p->groups.count * words;

	memcpy(j->candidates, any, words * sizeof *any);
	for (unsigned g = 0; g < p->groups.count; g++) {
		if (!group_bits_has(&j->request->groups, g))
			continue;
		for (uint32_t w = 0; w < words; w++)
			j->candidates[w] |= rows[(size_t)g * words + w];
	}
	for (uint32_t w = 0; w < words; w++)
		j->candidates[w] &= service[w];
}

static unsigned lower(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static void add_limit(uint64_t *limit, unsigned *by, uint64_t rules, unsigned rule)
{
	if (rules == 0 || (*limit != 0 && (rules > *limit || (rules == *limit && rule > *by))))
		return;
	*limit = rules;
	*by = rule;
}

/* What touches nothing is inside a rule's objects (rule_match), but not what its limits are about; what may touch more than it names is. */
static bool is_limited(const struct image_rule *r, const struct rule_access *a)
{
	return (r->rows_max || r->bytes_max) && (a->names || !r->objects.count || !verb_touches_only_named(a->verb));
}

/* A limit that nobody can keep. */
static bool is_beyond_counting(const struct image_rule *r, const struct rule_access *a)
{
	const uint32_t counted = 1u << VERB_insert | 1u << VERB_update | 1u << VERB_delete | 1u << VERB_copy_in | 1u << VERB_dynamic;

	if (!is_limited(r, a))
		return false;
	if (a->flags & FLAG_multi_statement)
		return true;
	return r->rows_max && (a->verb == VERB_truncate || ((a->flags & FLAG_uncounted_write) && (counted >> a->verb & 1)));
}

static void add_block(struct judge *j, unsigned rule, enum command_reason reason)
{
	/* Of two reasons of one rule the same one, whichever access came first. */
	if (rule < j->block_rule || (rule == j->block_rule && reason == REASON_ORACLE))
		j->block_reason = reason;
	j->block_rule = lower(j->block_rule, rule);
}

/* A rule that matched: what it adds to the verdict. Returns how strict it is for this access. */
static enum policy_action add_rule(struct judge *j, unsigned rule, const struct rule_access *a)
{
	const struct image_rule *r = image_rules(j->image) + rule;
	struct class_bits decides = class_bits_and(a->predicate, r->mask);
	bool oracle = r->action != POLICY_BLOCK && !r->oracle_allowed && class_bits_any(&decides);

	j->matched[rule / 64] |= 1ULL << (rule % 64);
	if (r->action == POLICY_BLOCK || oracle || is_beyond_counting(r, a)) {
		add_block(j, rule, r->action == POLICY_BLOCK ? REASON_NONE : oracle ? REASON_ORACLE : REASON_LIMIT);
		return POLICY_BLOCK;
	}
	j->out->mask = class_bits_or(j->out->mask, r->mask);
	if (is_limited(r, a)) {
		add_limit(&j->out->rows_max, &j->out->rows_rule, r->rows_max, rule);
		add_limit(&j->out->bytes_max, &j->out->bytes_rule, r->bytes_max, rule);
	}
	if (r->action == POLICY_ALLOW) {
		j->allow_rule = lower(j->allow_rule, rule);
		return POLICY_ALLOW;
	}
	if (j->hold_rule == POLICY_NONE || r->approval < j->hold_approval || (r->approval == j->hold_approval && rule < j->hold_rule)) {
		j->hold_rule = rule;
		j->hold_approval = r->approval;
	}
	return POLICY_HOLD;
}

static void judge_access(struct judge *j, const struct rule_access *a)
{
	const struct policy_image *p = j->image;
	uint32_t words = image_words(p);
	const uint64_t *verb = image_verb_rows(p) + (size_t)a->verb * words;
	const uint64_t *bucket = NULL;
	enum policy_action action = POLICY_ALLOW;
	bool any = false;

	if (a->names && a->name[a->names - 1].len)
		bucket = image_bucket_rows(p) + (size_t)(image_hash(a->name[a->names - 1]) % POLICY_BUCKETS) * words;
	for (uint32_t w = 0; w < words; w++) {
		uint64_t left = j->candidates[w] & verb[w] & (bucket ? bucket[w] : ~0ULL);

		for (; left; left &= left - 1) {
			unsigned rule = w * 64 + (unsigned)__builtin_ctzll(left);
			enum policy_action strict;

			if (rule >= p->rules.count || image_rules(p)[rule].observe || rule_match(p, rule, j->request, a) != MISS_NONE)
				continue;
			any = true;
			strict = add_rule(j, rule, a);
			action = strict > action ? strict : action;
		}
	}
	if (a->verb == VERB_unknown) {
		j->unknown = true;
		if (any && action == POLICY_ALLOW)
			any = false;
	}
	if (!any) {
		action = a->verb == VERB_unknown ? p->unknown : p->unmatched;
		j->defaulted = action > j->defaulted ? action : j->defaulted;
		if (j->reason == REASON_NONE)
			j->reason = a->verb == VERB_unknown ? REASON_UNKNOWN : REASON_UNMATCHED;
	}
	j->strictest = action > j->strictest ? action : j->strictest;
}

static void judge_unknown(struct judge *j, enum command_reason reason)
{
	struct rule_access a = rule_access_unknown(j->request);

	j->reason = reason;
	judge_access(j, &a);
}

static void judge_statements(struct judge *j)
{
	const struct classification *c = j->request->classification;
	struct reader at = c->statement_bytes, accesses;
	struct class_bits predicate[LIMIT_OBJECTS];
	struct classified_statement s;
	unsigned judged = 0;
	struct access a;

	while (classification_next(&at, &s)) {
		struct class_bits all = rule_predicates(j->image, j->request, &s, predicate);
		uint32_t flags = rule_flags(j->request, &s, &all);

		accesses = s.access_bytes;
		if (s.accesses == 0)
			judge_unknown(j, REASON_UNKNOWN);
		for (unsigned i = 0; i < s.accesses && access_next(&accesses, &a); i++) {
			struct rule_access resolved = rule_access_of(j->image, j->request, &a, flags);

			if (++judged > LIMIT_ACCESSES)
				break;
			resolved.predicate = predicate[i % LIMIT_OBJECTS];
			judge_access(j, &resolved);
		}
		if (++judged > LIMIT_ACCESSES) {
			judge_unknown(j, REASON_TOO_LONG);
			return;
		}
	}
	if (judged == 0)
		judge_unknown(j, REASON_UNKNOWN);
}

static void list_rules(struct judge *j, unsigned deciding)
{
	struct verdict *v = j->out;

	if (deciding != POLICY_NONE) {
		v->by_rule = true;
		v->rules[v->rules_count++] = (uint16_t)deciding;
		v->say = image_bytes(j->image, image_rules(j->image)[deciding].say);
	}
	for (uint32_t w = 0; w < image_words(j->image); w++) {
		for (uint64_t left = j->matched[w]; left; left &= left - 1) {
			unsigned rule = w * 64 + (unsigned)__builtin_ctzll(left);

			if (rule == deciding)
				continue;
			if (v->rules_count == LIMIT_VERDICT_RULES) {
				v->rules_cut = true;
				return;
			}
			v->rules[v->rules_count++] = (uint16_t)rule;
		}
	}
}

static void mask_everything(struct judge *j)
{
	for (uint32_t i = 0; i < j->image->classes.count; i++)
		class_bits_add(&j->out->mask, i);
}

static enum command_reason reason_of(const struct judge *j, unsigned deciding)
{
	const struct image_rule *r;

	if (deciding == POLICY_NONE)
		return j->reason;
	r = image_rules(j->image) + deciding;
	if (j->strictest == POLICY_BLOCK && r->action != POLICY_BLOCK)
		return j->block_reason;
	if (r->pattern != POLICY_NONE)
		return REASON_PATTERN;
	return j->unknown ? (j->reason == REASON_TOO_LONG ? REASON_TOO_LONG : REASON_UNKNOWN) : REASON_NONE;
}

static void finish(struct judge *j)
{
	struct verdict *v = j->out;
	unsigned deciding = POLICY_NONE;

	if (j->strictest == POLICY_BLOCK) {
		v->action = COMMAND_BLOCK;
		deciding = j->block_rule;
	} else if (j->strictest == POLICY_HOLD) {
		v->action = COMMAND_HOLD;
		v->approval = j->hold_approval;
		deciding = j->hold_rule;
		if (j->defaulted == POLICY_HOLD && (deciding == POLICY_NONE || j->image->approval < v->approval)) {
			v->approval = j->image->approval;
			deciding = POLICY_NONE;
		}
		if (j->unknown || j->defaulted == POLICY_HOLD)
			mask_everything(j);
	} else {
		v->action = COMMAND_ALLOW;
		deciding = j->allow_rule;
	}
	v->reason = j->strictest == POLICY_ALLOW ? REASON_NONE : reason_of(j, deciding);
	list_rules(j, deciding);
}

void verdict_evaluate(const struct policy_image *image, const struct verdict_request *request, struct verdict *out)
{
	struct judge j;

	*out = (struct verdict){ .action = COMMAND_BLOCK, .reason = REASON_UNMATCHED, .approval = POLICY_NONE,
				 .rows_rule = POLICY_NONE, .bytes_rule = POLICY_NONE };
	if (request->service >= image->services.count)
		return;
	j.image = image;
	j.request = request;
	j.out = out;
	j.block_rule = j.hold_rule = j.allow_rule = j.hold_approval = POLICY_NONE;
	j.strictest = j.defaulted = POLICY_ALLOW;
	j.reason = j.block_reason = REASON_NONE;
	j.unknown = false;
	memset(j.matched, 0, image_words(image) * sizeof *j.matched);
	find_candidates(&j);
	if (request->classification)
		judge_statements(&j);
	else
		judge_unknown(&j, REASON_UNKNOWN);
	finish(&j);
}
