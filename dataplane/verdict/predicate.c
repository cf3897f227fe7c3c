/* What the policy (and the session's catalogue) calls the columns that decide something. A name stands for the column of every
 * object that it may belong to. Bounded: over PREDICATE_LOOKUPS names everything counts, of every access. */
#include "dataplane/verdict/rule.h"

#define PREDICATE_LOOKUPS 2048

struct finder {
	const struct policy_image *image;
	const struct verdict_request *request;
	struct access access[LIMIT_OBJECTS];
	uint8_t same[LIMIT_OBJECTS]; /* the first access to the same object */
	unsigned accesses, lookups;
};

static struct class_bits every_class(const struct policy_image *image)
{
	struct class_bits out = { 0 };

	for (unsigned i = 0; i < policy_counts(image).classes; i++)
		class_bits_add(&out, i);
	return out;
}

static void read_accesses(struct finder *f, const struct classified_statement *s)
{
	struct reader at = s->access_bytes;

	while (f->accesses < LIMIT_OBJECTS && access_next(&at, &f->access[f->accesses])) {
		unsigned i = f->accesses++, first = 0;

		while (first < i && !access_same_object(&f->access[first], &f->access[i]))
			first++;
		f->same[i] = (uint8_t)first;
	}
}

static void add(struct finder *f, unsigned i, struct bytes column, struct class_bits *out)
{
	const struct access *a = &f->access[i];
	struct rule_access name = rule_access_of(f->image, f->request, a, 0);

	if (a->kind != OBJECT_RELATION || name.names < 3 || ++f->lookups > PREDICATE_LOOKUPS)
		return;
	*out = class_bits_or(*out, policy_column_classes(f->image, name.name[name.names - 3], name.name[name.names - 2], name.name[name.names - 1], column));
	if (f->request->tagged)
		*out = class_bits_or(*out, f->request->tagged(f->request->tagged_context, a, column));
}

struct class_bits rule_predicates(const struct policy_image *image, const struct verdict_request *request, const struct classified_statement *s,
				  struct class_bits at[LIMIT_OBJECTS])
{
	struct finder f = { .image = image, .request = request };
	struct reader predicates = s->predicate_bytes;
	struct class_bits all = { 0 };
	struct predicate p;
	bool told = (s->flags | request->flags) & FLAG_tainted_predicate;

	memset(at, 0, LIMIT_OBJECTS * sizeof *at);
	if (!told && s->predicates == 0)
		return all;
	read_accesses(&f, s);
	while (!told && predicate_next(&predicates, &p)) {
		for (unsigned i = 0; i < f.accesses; i++)
			if (f.same[i] == i && (p.access == PREDICATE_ANY || (p.access < f.accesses && f.same[p.access] == i)))
				add(&f, i, p.column, &at[i]);
		told = f.lookups > PREDICATE_LOOKUPS;
	}
	for (unsigned i = 0; i < f.accesses; i++) {
		at[i] = told ? every_class(image) : at[f.same[i]];
		all = class_bits_or(all, at[i]);
	}
	return all;
}
