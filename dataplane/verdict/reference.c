#include "dataplane/verdict/reference.h"

struct named {
	unsigned count;
	const char *level[4];
};

/* Recursive, over the pattern's text; only "…" around a whole level is used by the random policies. */
static bool glob(const char *pattern, const struct named *n, unsigned at, bool open)
{
	const char *dot = pattern + (*pattern == '"' ? strcspn(pattern + 1, "\"") + 2 : strcspn(pattern, "."));
	const char *rest = *dot ? dot + 1 : NULL;
	size_t len = (size_t)(dot - pattern);
	char level[64];

	memcpy(level, pattern + (*pattern == '"'), len - (*pattern == '"' ? 2 : 0));
	level[len - (*pattern == '"' ? 2 : 0)] = 0;
	if (strcmp(level, "**") == 0) {
		for (unsigned skip = at; skip <= n->count; skip++)
			if (rest ? glob(rest, n, skip, open) : skip == n->count)
				return true;
		return false;
	}
	if (at >= n->count || (strcmp(level, "*") != 0 && strcmp(level, n->level[at]) != 0 && !(open && n->level[at][0] == 0)))
		return false;
	return rest ? glob(rest, n, at + 1, open) : at + 1 == n->count;
}

static bool any(struct spec_names patterns, const struct named *n, bool open)
{
	for (unsigned i = 0; i < patterns.count; i++)
		if (glob(patterns.name[i], n, 0, open))
			return true;
	return false;
}

static struct named name_of(const struct random_request *q, const struct random_access *a)
{
	struct named n = { 0 };
	bool table = a->kind == OBJECT_RELATION || a->kind == OBJECT_FUNCTION;
	const char *schema = q->request.schema_unknown ? "" : q->request.default_schema.len ? "other" : "public";

	if (a->levels == 0)
		return n;
	if (table && a->levels < 3)
		n.level[n.count++] = (const char *)q->request.database.base;
	if (table && a->levels == 1)
		n.level[n.count++] = *schema && strncmp(a->level[0], "pg_", 3) == 0 ? "pg_catalog" : schema;
	for (unsigned i = 0; i < a->levels; i++)
		n.level[n.count++] = a->level[i];
	return n;
}

static bool inside(const struct spec_source *s, const struct random_request *q)
{
	for (unsigned bit = 0; bit < s->bits; bit++)
		if ((s->address[bit / 8] ^ q->request.source[bit / 8]) >> (7 - bit % 8) & 1)
			return false;
	return s->family == q->request.family;
}

static bool never_unnamed(enum verb verb)
{
	switch (verb) {
	case VERB_select: case VERB_explain: case VERB_copy_out: case VERB_transaction: case VERB_cursor: case VERB_prepare: case VERB_notify: return true;
	default: return false;
	}
}

static bool objects_fit(const struct spec_rule *r, enum verb verb, const struct named *n)
{
	bool allow = r->action == POLICY_ALLOW;

	if (n->count)
		return (r->objects.count == 0 || any(r->objects, n, !allow)) && !any(r->except_objects, n, allow);
	if (never_unnamed(verb)) /* nothing is touched */
		return r->objects.count == 0 || allow;
	return allow ? r->objects.count + r->except_objects.count == 0 : true;
}

static bool matches(const struct spec_rule *r, const struct random_request *q, enum verb verb, uint32_t flags, const struct named *n)
{
	const struct verdict_request *v = &q->request;
	unsigned minute = (unsigned)(v->now_s / 60 + 4320) % 10080;
	bool allow = r->action == POLICY_ALLOW;

	return !r->observe && (r->services[0] >> v->service & 1) && (r->verbs >> verb & 1) &&
	       (r->who_any || group_bits_meet(&r->who, &v->groups)) && !group_bits_meet(&r->except_who, &v->groups) &&
	       (r->purpose_any || group_bits_has(&v->groups, 3)) &&
	       (r->sources_count == 0 || (v->family == 0 ? !allow : inside(r->sources, q))) &&
	       (r->windows_count == 0 || (v->now_s == 0 ? !allow : minute >= r->windows->start && minute < r->windows->end)) && (r->flags & ~flags) == 0 &&
	       (r->pattern == POLICY_NONE || (v->patterns.w[0] >> r->pattern & 1)) &&
	       objects_fit(r, verb, n);
}

static bool stricter_hold(const struct random_policy *p, unsigned a, unsigned b)
{
	return b == POLICY_NONE || p->rules[a].approval < p->rules[b].approval || (p->rules[a].approval == p->rules[b].approval && a < b);
}

struct sums {
	unsigned first[POLICY_ACTION_count];
	enum policy_action action, defaulted;
	bool unknown;
};

static bool same_object(const struct random_access *a, const struct random_access *b)
{
	if (a->kind != b->kind || a->levels != b->levels)
		return false;
	for (unsigned i = 0; i < a->levels; i++)
		if (strcmp(a->level[i], b->level[i]) != 0)
			return false;
	return true;
}

/* The classes of access `k`'s columns that decide something. */
static struct class_bits decides(const struct random_policy *p, const struct random_request *q, unsigned s, unsigned k)
{
	const struct random_access *a = &q->access[s][k];
	struct class_bits out = { 0 };

	for (unsigned i = 0; i < p->spec.classes_count; i++)
		if ((q->flags[s] | q->request.flags) & FLAG_tainted_predicate)
			class_bits_add(&out, i);
	for (unsigned i = 0; i < q->predicates[s]; i++) {
		const struct random_predicate *d = &q->predicate[s][i];
		struct named n = name_of(q, a);

		if (a->kind != OBJECT_RELATION || n.count != 3 || (d->access != PREDICATE_ANY && !same_object(a, &q->access[s][d->access])))
			continue;
		n.level[n.count++] = d->column;
		for (unsigned c = 0; c < p->spec.classes_count; c++)
			if (any(p->classes[c].columns, &n, true))
				class_bits_add(&out, c);
		if (q->request.tagged && strcmp(n.level[2], RANDOM_TAGGED_RELATION) == 0 && (!*d->column || strcmp(d->column, RANDOM_TAGGED_COLUMN) == 0))
			class_bits_add(&out, RANDOM_TAGGED_CLASS);
	}
	return out;
}

static bool changes(enum verb verb)
{
	return verb == VERB_insert || verb == VERB_update || verb == VERB_delete || verb == VERB_copy_in || verb == VERB_dynamic;
}

static void one_access(const struct random_policy *p, const struct random_request *q, enum verb verb, uint32_t flags, const struct named *n,
		       struct class_bits predicate, struct reference *out, struct sums *sums)
{
	enum policy_action action = POLICY_ALLOW;
	bool found = false;

	for (unsigned i = 0; i < p->spec.rules_count; i++) {
		const struct spec_rule *r = &p->rules[i];
		enum policy_action does = r->action;
		bool limited;
		struct class_bits hidden = class_bits_and(predicate, r->mask);

		if (!matches(r, q, verb, flags, n))
			continue;
		found = out->matched[i] = true;
		if (does != POLICY_BLOCK && !r->oracle_allowed && class_bits_any(&hidden))
			does = POLICY_BLOCK;
		limited = n->count || !r->objects.count || !never_unnamed(verb);
		if (does != POLICY_BLOCK && limited && (r->rows_max || r->bytes_max) && (flags & FLAG_multi_statement))
			does = POLICY_BLOCK;
		if (does != POLICY_BLOCK && limited && r->rows_max && (verb == VERB_truncate || (changes(verb) && (flags & FLAG_uncounted_write))))
			does = POLICY_BLOCK;
		if (does != POLICY_BLOCK) {
			out->mask = class_bits_or(out->mask, r->mask);
			if (limited && r->rows_max && (!out->rows_max || r->rows_max < out->rows_max || (r->rows_max == out->rows_max && i < out->rows_rule))) {
				out->rows_max = r->rows_max;
				out->rows_rule = i;
			}
			if (limited && r->bytes_max && (!out->bytes_max || r->bytes_max < out->bytes_max || (r->bytes_max == out->bytes_max && i < out->bytes_rule))) {
				out->bytes_max = r->bytes_max;
				out->bytes_rule = i;
			}
		}
		if (does == POLICY_HOLD ? stricter_hold(p, i, sums->first[does]) : i < sums->first[does])
			sums->first[does] = i;
		action = does > action ? does : action;
	}
	if (!found) {
		action = verb == VERB_unknown ? p->spec.defaults.unknown : p->spec.defaults.unmatched;
		sums->defaulted = action > sums->defaulted ? action : sums->defaulted;
	}
	sums->unknown |= verb == VERB_unknown;
	sums->action = action > sums->action ? action : sums->action;
}

static void statement(const struct random_policy *p, const struct random_request *q, unsigned s, struct reference *out, struct sums *sums)
{
	uint32_t flags = q->flags[s] | q->request.flags | (q->statements > 1 ? FLAG_multi_statement : 0);
	struct named nothing = { 0 };

	for (unsigned i = 0; i < q->accesses[s]; i++)
		if (q->access[s][i].verb == VERB_ddl && (q->statements > 1 || q->request.in_transaction))
			flags |= FLAG_ddl_in_transaction;
	for (unsigned i = 0; i < q->accesses[s]; i++) {
		struct class_bits some = decides(p, q, s, i);

		flags |= class_bits_any(&some) ? FLAG_tainted_predicate : 0;
	}
	for (unsigned i = 0; i < q->accesses[s]; i++) {
		const struct random_access *a = &q->access[s][i];
		bool nameless = a->kind != OBJECT_NONE && (a->levels == 0 || a->level[a->levels - 1][0] == 0);
		struct named n = name_of(q, a);

		one_access(p, q, nameless ? VERB_unknown : a->verb, flags, &n, decides(p, q, s, i), out, sums);
	}
	if (q->accesses[s] == 0)
		one_access(p, q, VERB_unknown, q->request.flags, &nothing, (struct class_bits){ 0 }, out, sums);
}

void reference_evaluate(const struct random_policy *p, const struct random_request *q, struct reference *out)
{
	struct sums sums = { .first = { POLICY_NONE, POLICY_NONE, POLICY_NONE } };
	struct named nothing = { 0 };
	bool default_holds;

	memset(out, 0, sizeof *out);
	out->rows_rule = out->bytes_rule = POLICY_NONE;
	if (!q->known)
		one_access(p, q, VERB_unknown, q->request.flags, &nothing, (struct class_bits){ 0 }, out, &sums);
	for (unsigned s = 0; q->known && s < q->statements; s++)
		statement(p, q, s, out, &sums);
	out->action = sums.action;
	out->deciding = sums.first[sums.action];
	out->approval = POLICY_NONE;
	if (sums.action != POLICY_HOLD)
		return;
	out->approval = out->deciding == POLICY_NONE ? POLICY_NONE : p->rules[out->deciding].approval;
	default_holds = sums.defaulted == POLICY_HOLD;
	if (default_holds && p->spec.defaults.approval < out->approval) {
		out->approval = p->spec.defaults.approval;
		out->deciding = POLICY_NONE;
	}
	for (unsigned i = 0; (default_holds || sums.unknown) && i < p->spec.classes_count; i++)
		class_bits_add(&out->mask, i);
}
