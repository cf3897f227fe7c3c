/* Tree to image: sort (rules by id, classes by name, approvals by strictness), renumber, hand everything to the writer. The
 * strictest approval comes first, so that of two hold rules the smaller number is the one that counts, whatever their order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/policy/policy.h"
#include "dataplane/match/pattern.h"

/* An approval's or class's number in the tree becomes its number in the image. */
struct numbering {
	unsigned to[LIMIT_APPROVALS > LIMIT_CLASSES ? LIMIT_APPROVALS : LIMIT_CLASSES];
};

struct compile {
	const struct policy_tree *tree;
	struct policy_spec spec;
	struct spec_service *services;
	const char **groups;
	struct spec_class *classes;
	struct spec_approval *approvals;
	struct spec_rule *rules;
	char *purposes;
	size_t purposes_len;
	uint8_t *patterns;
	size_t patterns_len;
	struct numbering class_number, approval_number;
};

static int approval_order(const void *a, const void *b)
{
	const struct policy_tree_approval *x = *(const struct policy_tree_approval *const *)a, *y = *(const struct policy_tree_approval *const *)b;

	if (x->persons != y->persons)
		return x->persons > y->persons ? -1 : 1;
	if (x->needs_count != y->needs_count)
		return x->needs_count > y->needs_count ? -1 : 1;
	if (x->params_free != y->params_free)
		return x->params_free ? 1 : -1;
	if (x->use_by_s != y->use_by_s)
		return x->use_by_s < y->use_by_s ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int class_order(const void *a, const void *b)
{
	return strcmp((*(const struct policy_tree_class *const *)a)->name, (*(const struct policy_tree_class *const *)b)->name);
}

static int rule_order(const void *a, const void *b)
{
	return strcmp(((const struct spec_rule *)a)->id, ((const struct spec_rule *)b)->id);
}

static void number_approvals(struct compile *c)
{
	const struct policy_tree *t = c->tree;
	const struct policy_tree_approval *sorted[LIMIT_APPROVALS];

	for (unsigned i = 0; i < t->approvals_count; i++)
		sorted[i] = &t->approvals[i];
	qsort(sorted, t->approvals_count, sizeof *sorted, approval_order);
	for (unsigned i = 0; i < t->approvals_count; i++) {
		const struct policy_tree_approval *a = sorted[i];

		c->approval_number.to[a - t->approvals] = i;
		c->approvals[i] = (struct spec_approval){ .name = a->name, .needs = a->needs, .needs_count = a->needs_count, .deny_quorum = a->deny_quorum,
							  .expires_s = a->expires_s, .use_by_s = a->use_by_s, .params_free = a->params_free };
	}
}

static void number_classes(struct compile *c)
{
	const struct policy_tree *t = c->tree;
	const struct policy_tree_class *sorted[LIMIT_CLASSES];

	for (unsigned i = 0; i < t->classes_count; i++)
		sorted[i] = &t->classes[i];
	qsort(sorted, t->classes_count, sizeof *sorted, class_order);
	for (unsigned i = 0; i < t->classes_count; i++) {
		const struct policy_tree_class *k = sorted[i];

		c->class_number.to[k - t->classes] = i;
		c->classes[i] = (struct spec_class){ .name = k->name, .mask_kind = k->mask_kind, .detectors = k->detectors,
						     .columns = { .name = k->columns.at, .count = k->columns.count } };
	}
}

static unsigned renumber(const struct compile *c, unsigned approval)
{
	return approval == POLICY_NONE ? POLICY_NONE : c->approval_number.to[approval];
}

static void number_rules(struct compile *c)
{
	const struct policy_tree *t = c->tree;

	for (unsigned i = 0; i < t->rules_count; i++) {
		struct spec_rule *r = &c->rules[i];

		*r = t->rules[i].as;
		r->approval = renumber(c, r->approval);
		r->mask = (struct class_bits){ 0 };
		for (unsigned k = 0; k < t->classes_count; k++)
			if (class_bits_has(&t->rules[i].as.mask, k))
				class_bits_add(&r->mask, c->class_number.to[k]);
	}
	qsort(c->rules, t->rules_count, sizeof *c->rules, rule_order);
}

static void name_groups(struct compile *c)
{
	const struct policy_tree *t = c->tree;
	struct writer w = writer_of(c->purposes, c->purposes_len);

	for (unsigned i = 0; i < t->groups_count; i++)
		c->groups[i] = t->groups[i].name;
	for (unsigned i = 0; i < t->purposes.count; i++) {
		c->groups[t->groups_count + i] = c->purposes + w.len;
		writer_str(&w, "purpose:");
		writer_cstr(&w, t->purposes.at[i]);
	}
}

static bool allocate(struct compile *c)
{
	const struct policy_tree *t = c->tree;

	c->purposes_len = 1;
	for (unsigned i = 0; i < t->purposes.count; i++)
		c->purposes_len += strlen(t->purposes.at[i]) + sizeof "purpose:";
	c->services = calloc(t->services_count + 1, sizeof *c->services);
	c->groups = calloc(t->groups_count + t->purposes.count + 1, sizeof *c->groups);
	c->classes = calloc(t->classes_count + 1, sizeof *c->classes);
	c->approvals = calloc(t->approvals_count + 1, sizeof *c->approvals);
	c->rules = calloc(t->rules_count + 1, sizeof *c->rules);
	c->purposes = calloc(1, c->purposes_len);
	return c->services && c->groups && c->classes && c->approvals && c->rules && c->purposes;
}

static void release(struct compile *c)
{
	free(c->services);
	free(c->groups);
	free(c->classes);
	free(c->approvals);
	free(c->rules);
	free(c->purposes);
	free(c->patterns);
}

static void fill_spec(struct compile *c, struct bytes class_database, uint64_t generation)
{
	const struct policy_tree *t = c->tree;

	for (unsigned i = 0; i < t->services_count; i++)
		c->services[i] = t->services[i].as;
	number_approvals(c);
	number_classes(c);
	number_rules(c);
	name_groups(c);
	c->spec = (struct policy_spec){
		.name = t->name, .generation = generation, .defaults = t->defaults, .services = c->services, .services_count = t->services_count,
		.groups = c->groups, .groups_count = t->groups_count + t->purposes.count, .classes = c->classes, .classes_count = t->classes_count,
		.approvals = c->approvals, .approvals_count = t->approvals_count, .rules = c->rules, .rules_count = t->rules_count,
		.class_database = class_database, .pattern_database = bytes_of(c->patterns, c->patterns_len), .patterns_count = t->patterns.count,
	};
	c->spec.defaults.approval = renumber(c, t->defaults.approval);
	memcpy(c->spec.hash, t->hash, sizeof c->spec.hash);
}

static bool write_image(struct compile *c, uint8_t **image, size_t *len, char *err, size_t err_len)
{
	*len = policy_image_write(&c->spec, NULL, 0).len;
	*image = *len ? malloc(*len) : NULL;
	if (!*image) {
		snprintf(err, err_len, "the image: is over %u bytes, or memory is short", LIMIT_POLICY_IMAGE_BYTES);
		return false;
	}
	if (policy_image_write(&c->spec, *image, *len).len == *len && policy_image_open(*image, *len, err, err_len))
		return true;
	free(*image);
	*image = NULL;
	return false;
}

bool policy_compile(const struct policy_tree *tree, struct bytes class_database, uint64_t generation, uint8_t **image, size_t *len,
		    char *err, size_t err_len)
{
	struct compile c = { .tree = tree };
	unsigned bad;
	bool good = false;

	*image = NULL;
	*len = 0;
	for (unsigned i = 0; i < tree->classes_count; i++)
		if (tree->classes[i].detector && !class_bits_any(&tree->classes[i].detectors)) {
			snprintf(err, err_len, "class \"%s\": its detector was not looked up: give the class database", tree->classes[i].name);
			return false;
		}
	if (tree->patterns.count)
		c.patterns = match_patterns_compile(tree->patterns.at, tree->patterns.count, &c.patterns_len, &bad, err, err_len);
	if (tree->patterns.count && !c.patterns)
		return false;
	if (!allocate(&c)) {
		snprintf(err, err_len, "the image: memory is short");
	} else {
		fill_spec(&c, class_database, generation);
		good = write_image(&c, image, len, err, err_len);
	}
	release(&c);
	return good;
}
