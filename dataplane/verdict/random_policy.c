#include "dataplane/verdict/random_policy.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const object_patterns[] = {
	"db.public.a", "db.public.b", "db.public.*", "db.*.a", "other.public.a", "**", "*.*.*", "db.**", "db.pg_catalog.*",
	"work_mem", "db.**.b", "*.pg_catalog.pg_class", "\"db\".public.a", "db.public.\"odd.name\"", "**.a", "*",
};
static const char *const column_patterns[] = {
	"db.public.a.x", "db.*.b.*", "*.*.*.y", "db.pg_catalog.pg_class.x", "other.public.*.x", "db.public.\"odd.name\".y", "**",
};
static const enum verb verbs[] = { VERB_select, VERB_insert, VERB_ddl, VERB_set, VERB_truncate, VERB_unknown };
static const char *const groups[] = { "g0", "g1", "g2", "purpose:p0" };

static bool often(struct rng *r, unsigned percent)
{
	return rng_below(r, 100) < percent;
}

static struct class_bits some_classes(struct rng *r)
{
	struct class_bits out = { 0 };

	for (unsigned i = 0; i < 4; i++)
		if (often(r, 40))
			class_bits_add(&out, i);
	return out;
}

static struct group_bits some_groups(struct rng *r, unsigned percent)
{
	struct group_bits out = { 0 };

	for (unsigned i = 0; i < 3; i++)
		if (often(r, percent))
			group_bits_add(&out, i);
	return out;
}

static struct spec_names some_patterns(struct rng *r, const char **room, unsigned percent)
{
	struct spec_names out = { .name = room };

	for (unsigned i = 0; i < 2 && often(r, percent); i++)
		room[out.count++] = object_patterns[rng_below(r, sizeof object_patterns / sizeof *object_patterns)];
	return out;
}

static struct spec_rule random_rule(struct random_policy *p, struct rng *r, unsigned i)
{
	struct spec_rule rule = { .id = p->ids[i], .say = often(r, 50) ? "no" : NULL, .action = rng_below(r, 3), .line = i + 1 };

	snprintf(p->ids[i], sizeof p->ids[i], "r%05u", i);
	rule.observe = often(r, 10);
	rule.oracle_allowed = often(r, 30);
	rule.who_any = often(r, 30);
	rule.who = some_groups(r, rule.who_any ? 0 : 50);
	rule.except_who = some_groups(r, 8);
	rule.purpose_any = often(r, 85);
	if (!rule.purpose_any)
		group_bits_add(&rule.purpose, 3);
	rule.services[0] = rng_below(r, 8);
	for (unsigned v = 0; v < 6; v++)
		if (often(r, 50) && !(verbs[v] == VERB_unknown && rule.action == POLICY_ALLOW))
			rule.verbs |= 1u << verbs[v];
	rule.flags = often(r, 20) ? 1u << rng_below(r, FLAG_count) : 0;
	rule.objects = some_patterns(r, &p->names[i][0], 60);
	rule.except_objects = some_patterns(r, &p->names[i][2], 20);
	if (often(r, 10)) {
		p->sources[i] = often(r, 50) ? (struct spec_source){ .family = 4, .bits = 20, .address = { 10, 1, 16 } }
					     : (struct spec_source){ .family = 6, .bits = 33, .address = { 0x20, 1, 0xd, 0xb8, 0x80 } };
		rule.sources = &p->sources[i];
		rule.sources_count = 1;
	}
	if (often(r, 10)) {
		p->windows[i] = (struct spec_window){ .start = 480, .end = 1080 };
		rule.windows = &p->windows[i];
		rule.windows_count = 1;
	}
	rule.approval = rule.action == POLICY_HOLD ? (unsigned)rng_below(r, 3) : POLICY_NONE;
	rule.pattern = rule.action != POLICY_ALLOW && often(r, 15) ? (unsigned)rng_below(r, 4) : POLICY_NONE;
	if (rule.action != POLICY_BLOCK)
		rule.mask = some_classes(r);
	rule.rows_max = often(r, 20) ? rng_below(r, 1000) : 0;
	rule.bytes_max = often(r, 20) ? rng_below(r, 1000) : 0;
	return rule;
}

void random_policy(struct random_policy *p, struct rng *r, unsigned rules)
{
	static const char *const class_names[] = { "c0", "c1", "c2", "c3" }, *const approval_names[] = { "a0", "a1", "a2" };

	memset(p, 0, sizeof *p);
	for (unsigned i = 0; i < 3; i++) {
		p->listeners[i] = (struct spec_listener){ .family = 4, .address = { 192, 0, 2, (uint8_t)i }, .port = 5432, .any_vlan = true };
		p->services[i] = (struct spec_service){ .name = "s", .protocol_word = "postgres", .protocol = POLICY_PROTOCOL_POSTGRES,
							.search_path = "public", .listeners = &p->listeners[i], .listeners_count = 1 };
		p->needs[i] = (struct policy_need){ .group = i, .count = 1 };
		p->approvals[i] = (struct spec_approval){ .name = approval_names[i], .needs = &p->needs[i], .needs_count = 1, .deny_quorum = 1 };
	}
	for (unsigned i = 0; i < 4; i++) {
		p->columns[i] = column_patterns[rng_below(r, sizeof column_patterns / sizeof *column_patterns)];
		p->classes[i] = (struct spec_class){ .name = class_names[i], .columns = { &p->columns[i], often(r, 70) } };
	}
	for (unsigned i = 0; i < rules; i++)
		p->rules[i] = random_rule(p, r, i);
	p->spec = (struct policy_spec){
		.name = "random", .generation = rng_next(r),
		.defaults = { .unmatched = often(r, 80) ? POLICY_BLOCK : POLICY_HOLD, .unknown = often(r, 60) ? POLICY_BLOCK : POLICY_HOLD,
			      .approval = (unsigned)rng_below(r, 3) },
		.services = p->services, .services_count = 3, .groups = groups, .groups_count = 4, .classes = p->classes, .classes_count = 4,
		.approvals = p->approvals, .approvals_count = 3, .rules = p->rules, .rules_count = rules, .patterns_count = 4,
	};
}

struct policy_image *random_policy_image(const struct random_policy *p)
{
	size_t len = policy_image_write(&p->spec, NULL, 0).len;
	void *memory = malloc(len);
	char err[128];

	if (!memory || policy_image_write(&p->spec, memory, len).len != len || !policy_image_open(memory, len, err, sizeof err)) {
		fprintf(stderr, "the image does not open: %s\n", memory ? err : "memory");
		abort();
	}
	return memory;
}

static struct random_access random_access(struct rng *r)
{
	static const char *const tables[] = { "a", "b", "c", "odd.name", "pg_class", "" }, *const schemas[] = { "public", "other", "pg_catalog" };
	struct random_access a = { .verb = verbs[rng_below(r, 6)], .kind = rng_below(r, OBJECT_kinds) };

	if (a.kind == OBJECT_NONE)
		return a;
	if (a.kind == OBJECT_SETTING || a.kind == OBJECT_OTHER) {
		a.level[a.levels++] = often(r, 50) ? "work_mem" : "db";
		return a;
	}
	if (often(r, 4))
		return a;
	if (often(r, 10))
		a.level[a.levels++] = often(r, 50) ? "db" : "other";
	if (a.levels || often(r, 50))
		a.level[a.levels++] = schemas[rng_below(r, 3)];
	a.level[a.levels++] = tables[rng_below(r, often(r, 5) ? 6 : 5)];
	return a;
}

static void encode(struct random_request *q)
{
	struct classification_writer w = classification_writer_of(q->encoded, sizeof q->encoded, true);

	for (unsigned s = 0; s < q->statements; s++) {
		classification_begin_statement(&w, q->flags[s]);
		for (unsigned i = 0; i < q->accesses[s]; i++) {
			struct access a = { .verb = q->access[s][i].verb, .kind = q->access[s][i].kind, .levels = q->access[s][i].levels };

			for (unsigned k = 0; k < a.levels; k++)
				a.level[k] = bytes_str(q->access[s][i].level[k]);
			classification_add_access(&w, &a);
		}
		classification_begin_targets(&w);
		classification_begin_predicates(&w);
		for (unsigned i = 0; i < q->predicates[s]; i++)
			classification_add_predicate(&w, q->predicate[s][i].access, bytes_str(q->predicate[s][i].column));
		classification_end_statement(&w, NULL);
	}
	q->encoding = classification_finish(&w, bytes_str("canonical"), bytes_str("normal"));
	if (!classification_open(q->encoding, &q->classification))
		abort();
}

static struct class_bits tagged(void *context, const struct access *relation, struct bytes column)
{
	struct class_bits out = { 0 };

	if (bytes_equal(relation->level[relation->levels - 1], bytes_str(RANDOM_TAGGED_RELATION)) &&
	    (!column.len || bytes_equal(column, bytes_str(RANDOM_TAGGED_COLUMN))))
		class_bits_add(&out, RANDOM_TAGGED_CLASS);
	return out;
}

static void random_predicates(struct random_request *q, struct rng *r, unsigned s)
{
	static const char *const columns[] = { "x", "y", "z", "" };

	q->predicates[s] = q->accesses[s] && often(r, 40) ? 1 + (unsigned)rng_below(r, RANDOM_PREDICATES) : 0;
	for (unsigned i = 0; i < q->predicates[s]; i++)
		q->predicate[s][i] = (struct random_predicate){ .access = often(r, 20) ? PREDICATE_ANY : (unsigned)rng_below(r, q->accesses[s]),
								.column = columns[rng_below(r, 4)] };
}

void random_request(struct random_request *q, struct rng *r)
{
	memset(q, 0, sizeof *q);
	q->known = often(r, 95);
	q->statements = 1 + (unsigned)(often(r, 20) ? rng_below(r, RANDOM_STATEMENTS) : 0);
	for (unsigned s = 0; s < q->statements; s++) {
		q->accesses[s] = often(r, 3) ? 0 : 1 + (unsigned)rng_below(r, RANDOM_ACCESSES);
		q->flags[s] = often(r, 25) ? (uint32_t)rng_below(r, 1u << FLAG_count) & (often(r, 20) ? ~0u : ~(uint32_t)FLAG_tainted_predicate) : 0;
		for (unsigned i = 0; i < q->accesses[s]; i++)
			q->access[s][i] = random_access(r);
		random_predicates(q, r, s);
	}
	encode(q);
	q->request = (struct verdict_request){
		.service = (unsigned)rng_below(r, 3), .groups = some_groups(r, 40), .classification = q->known ? &q->classification : NULL,
		.database = bytes_str(often(r, 5) ? "" : often(r, 80) ? "db" : "other"), .in_transaction = often(r, 30),
		.default_schema = bytes_str(often(r, 20) ? "other" : ""), .flags = often(r, 10) ? FLAG_binary_result : 0,
		.schema_unknown = often(r, 15), .now_s = often(r, 5) ? 0 : rng_below(r, 604800), .family = often(r, 20) ? 0 : often(r, 50) ? 4 : 6,
	};
	if (often(r, 50))
		group_bits_add(&q->request.groups, 3);
	if (often(r, 50))
		q->request.tagged = tagged;
	if (q->request.family == 4)
		memcpy(q->request.source, (uint8_t[]){ 10, 1, often(r, 50) ? 31 : 32, 7 }, 4);
	else if (q->request.family == 6)
		memcpy(q->request.source, (uint8_t[]){ 0x20, 1, 0xd, 0xb8, often(r, 50) ? 0xff : 0x7f, 1 }, 6);
	q->request.patterns.w[0] = often(r, 30) ? rng_below(r, 16) : 0;
}
