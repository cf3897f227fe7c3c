#include "control/approval/touched.h"

static bool reads(enum verb v)
{
	return v == VERB_select || v == VERB_explain || v == VERB_copy_out || v == VERB_show;
}

/* Whether the columns it touches are all named. */
static bool columns_named(const struct classified_statement *s)
{
	struct reader accesses = s->access_bytes, targets = s->target_bytes, predicates = s->predicate_bytes;
	struct access a;
	struct target t;
	struct predicate p;

	while (access_next(&accesses, &a)) {
		if (!reads(a.verb) && a.verb != VERB_call)
			return false;
	}
	while (target_next(&targets, &t)) {
		if (t.taint != TAINT_NONE && t.taint != TAINT_NAMES)
			return false;
	}
	while (predicate_next(&predicates, &p)) {
		if (!p.column.len)
			return false;
	}
	return s->targets > 0;
}

/* The classes of one column of the relation `a`. */
static struct class_bits column(const struct policy_image *image, struct bytes database, const struct access *a, struct bytes name)
{
	struct bytes none = { 0 };

	return policy_column_classes(image, database, a->levels > 1 ? a->level[a->levels - 2] : none, a->level[a->levels - 1], name);
}

static struct class_bits of_relation(const struct policy_image *image, struct bytes database, const struct classified_statement *s, const struct access *a)
{
	struct reader targets = s->target_bytes, predicates = s->predicate_bytes;
	struct class_bits found = { 0 };
	struct bytes name;
	struct target t;
	struct predicate p;

	if (!columns_named(s))
		return column(image, database, a, (struct bytes){ 0 });
	while (target_next(&targets, &t)) {
		while (target_name(&t, &name))
			found = class_bits_or(found, column(image, database, a, name));
	}
	while (predicate_next(&predicates, &p))
		found = class_bits_or(found, column(image, database, a, p.column));
	return found;
}

static struct class_bits of_statement(const struct policy_image *image, struct bytes database, struct classified_statement *s)
{
	struct reader accesses = s->access_bytes;
	struct class_bits found = { 0 };
	struct access a;

	while (access_next(&accesses, &a)) {
		if (a.kind == OBJECT_RELATION && a.levels)
			found = class_bits_or(found, of_relation(image, database, s, &a));
	}
	return found;
}

static void put_word(struct writer *out, struct bytes word)
{
	if (out->len)
		writer_u8(out, ',');
	writer_put(out, word);
}

struct bytes touched_write(const struct policy_image *image, struct bytes database, struct bytes classification, struct writer *out)
{
	struct classification c;
	struct classified_statement s;
	struct class_bits found = { 0 };
	bool unknown = !image || !classification.len || !classification_open(classification, &c);
	struct reader at = unknown ? (struct reader){ 0 } : c.statement_bytes;

	while (classification_next(&at, &s)) {
		found = class_bits_or(found, of_statement(image, database, &s));
		if (s.flags & (FLAG_dynamic | FLAG_calls_unknown_function))
			unknown = true;
	}
	for (unsigned i = 0; image && i < policy_counts(image).classes; i++) {
		if (class_bits_has(&found, i))
			put_word(out, policy_class(image, i).name);
	}
	if (unknown)
		put_word(out, bytes_str("unknown"));
	return writer_done(out);
}
