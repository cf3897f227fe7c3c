/* Properties over random policies and requests (policy.md 8), and the rules of policy.md 1 one by one.
 * The seed is printed; SEED in the environment repeats a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/verdict/reference.h"

static struct random_policy policy;
static struct random_request request;
static uint64_t seed;

static enum policy_action strictness(enum command_action a)
{
	return a == COMMAND_ALLOW ? POLICY_ALLOW : a == COMMAND_HOLD ? POLICY_HOLD : POLICY_BLOCK;
}

static void expect_same(const struct policy_image *image, unsigned round)
{
	struct reference want;
	struct verdict got;
	unsigned matched = 0;

	reference_evaluate(&policy, &request, &want);
	verdict_evaluate(image, &request.request, &got);
	for (unsigned i = 0; i < policy.spec.rules_count; i++)
		matched += want.matched[i];
	for (unsigned i = 0; i < got.rules_count; i++)
		if (!want.matched[got.rules[i]])
			fail_msg("seed %llu round %u: rule %u did not match", (unsigned long long)seed, round, got.rules[i]);
	if (strictness(got.action) != want.action || got.approval != want.approval || memcmp(&got.mask, &want.mask, sizeof got.mask) ||
	    got.rows_max != want.rows_max || got.bytes_max != want.bytes_max || got.rows_rule != want.rows_rule || got.bytes_rule != want.bytes_rule ||
	    got.rules_count != (matched < LIMIT_VERDICT_RULES ? matched : LIMIT_VERDICT_RULES) || got.rules_cut != (matched > LIMIT_VERDICT_RULES) ||
	    got.by_rule != (want.deciding != POLICY_NONE) || (got.by_rule && got.rules[0] != want.deciding))
		fail_msg("seed %llu round %u: got %d approval %u, %u rules; want %d approval %u, %u rules", (unsigned long long)seed, round,
			 got.action, got.approval, got.rules_count, want.action, want.approval, matched);
	if (got.action == COMMAND_ALLOW ? got.reason != REASON_NONE : !got.by_rule && got.reason == REASON_NONE)
		fail_msg("seed %llu round %u: action %d with reason %d", (unsigned long long)seed, round, got.action, got.reason);
	if (!request.known && got.action == COMMAND_ALLOW)
		fail_msg("seed %llu round %u: unknown was allowed", (unsigned long long)seed, round);
}

static void test_agrees_with_reference(void **state)
{
	struct rng r = rng_seeded(seed);
	unsigned actions[POLICY_ACTION_count] = { 0 };

	for (unsigned round = 0; round < 6000; round++) {
		struct policy_image *image;

		random_policy(&policy, &r, (unsigned)rng_below(&r, round % 50 == 0 ? RANDOM_RULES + 1 : 14));
		image = random_policy_image(&policy);
		for (unsigned i = 0; i < 10; i++) {
			struct verdict v;

			random_request(&request, &r);
			expect_same(image, round);
			verdict_evaluate(image, &request.request, &v);
			actions[strictness(v.action)]++;
		}
		free(image);
	}
	/* The test must have seen each action often, or it tests nothing. */
	for (unsigned i = 0; i < POLICY_ACTION_count; i++)
		assert_in_range(actions[i], 1000, 60000);
}


static struct verdict judge(const struct random_policy *p)
{
	struct policy_image *image = random_policy_image(p);
	struct verdict v;

	verdict_evaluate(image, &request.request, &v);
	v.say = (struct bytes){ 0 };
	free(image);
	return v;
}

/* The numbers change with the order, nothing else may. */
static void test_order_never_matters(void **state)
{
	struct rng r = rng_seeded(seed + 1);

	for (unsigned round = 0; round < 2000; round++) {
		unsigned rules = 2 + (unsigned)rng_below(&r, 12);
		struct verdict before, after;

		random_policy(&policy, &r, rules);
		random_request(&request, &r);
		before = judge(&policy);
		for (unsigned i = rules - 1; i > 0; i--) {
			unsigned k = (unsigned)rng_below(&r, i + 1);
			struct spec_rule rule = policy.rules[i];

			policy.rules[i] = policy.rules[k];
			policy.rules[k] = rule;
		}
		after = judge(&policy);
		assert_int_equal(before.action, after.action);
		assert_int_equal(before.approval, after.approval);
		assert_memory_equal(&before.mask, &after.mask, sizeof before.mask);
		assert_int_equal(before.rows_max, after.rows_max);
		assert_int_equal(before.bytes_max, after.bytes_max);
		assert_int_equal(before.rules_count, after.rules_count);
	}
}

/* The pure tightenings of policy.md 1: one more block rule, more masks on a rule, one allow rule without masks less. */
static void test_tightening_never_loosens(void **state)
{
	struct rng r = rng_seeded(seed + 2);

	for (unsigned round = 0; round < 6000; round++) {
		unsigned rules = 1 + (unsigned)rng_below(&r, 12), at = (unsigned)rng_below(&r, rules);
		struct verdict before, after;

		random_policy(&policy, &r, rules + 1);
		policy.spec.rules_count = rules;
		random_request(&request, &r);
		before = judge(&policy);
		if (round % 3 == 0) {
			policy.rules[rules].action = POLICY_BLOCK;
			policy.rules[rules].approval = POLICY_NONE;
			policy.spec.rules_count = rules + 1;
		} else if (round % 3 == 1) {
			policy.rules[at].mask = class_bits_or(policy.rules[at].mask, (struct class_bits){ { 5 } });
		} else if (policy.rules[at].action == POLICY_ALLOW && !class_bits_any(&policy.rules[at].mask) && !policy.rules[at].rows_max &&
			   !policy.rules[at].bytes_max) {
			policy.rules[at].observe = true;
		}
		after = judge(&policy);
		assert_true(strictness(after.action) >= strictness(before.action));
		if (after.action == before.action && after.action != COMMAND_BLOCK) {
			struct class_bits both = class_bits_and(before.mask, after.mask);

			assert_memory_equal(&both, &before.mask, sizeof both);
		}
	}
}

/* --- One fact of policy.md 1 per row: a rule, an access, and whether the rule matched. --- */

struct fact {
	const char *what;
	enum policy_action action;
	const char *object, *except;
	enum verb verb;
	enum object_kind kind;
	const char *level[3];
	bool matches;
};

static const struct fact facts[] = {
	{ "whole name", POLICY_ALLOW, "db.public.t", NULL, VERB_select, OBJECT_RELATION, { "public", "t" }, true },
	{ "name without schema is in the default one", POLICY_ALLOW, "db.public.t", NULL, VERB_select, OBJECT_RELATION, { "t" }, true },
	{ "pg_ without schema is in pg_catalog", POLICY_ALLOW, "db.public.*", NULL, VERB_select, OBJECT_RELATION, { "pg_authid" }, false },
	{ "pg_ without schema, listed", POLICY_BLOCK, "db.pg_catalog.*", NULL, VERB_select, OBJECT_RELATION, { "pg_authid" }, true },
	{ "another table", POLICY_ALLOW, "db.public.t", NULL, VERB_select, OBJECT_RELATION, { "public", "tt" }, false },
	{ "case counts", POLICY_ALLOW, "db.public.t", NULL, VERB_select, OBJECT_RELATION, { "public", "T" }, false },
	{ "another database", POLICY_ALLOW, "dc.public.t", NULL, VERB_select, OBJECT_RELATION, { "public", "t" }, false },
	{ "a star is one level", POLICY_ALLOW, "db.*", NULL, VERB_select, OBJECT_RELATION, { "public", "t" }, false },
	{ "two stars are any depth", POLICY_ALLOW, "db.**", NULL, VERB_select, OBJECT_RELATION, { "public", "t" }, true },
	{ "a dot inside a quoted level", POLICY_ALLOW, "db.public.\"a.b\"", NULL, VERB_select, OBJECT_RELATION, { "public", "a.b" }, true },
	{ "a dot makes no level", POLICY_ALLOW, "db.public.a.b", NULL, VERB_select, OBJECT_RELATION, { "public", "a.b" }, false },
	{ "a quoted star is a name", POLICY_ALLOW, "db.public.\"*\"", NULL, VERB_select, OBJECT_RELATION, { "public", "t" }, false },
	{ "exception", POLICY_ALLOW, "db.public.*", "db.public.card", VERB_select, OBJECT_RELATION, { "card" }, false },
	{ "exception for another", POLICY_ALLOW, "db.public.*", "db.public.card", VERB_select, OBJECT_RELATION, { "t" }, true },
	{ "exception in a block rule", POLICY_BLOCK, "db.public.*", "db.public.card", VERB_select, OBJECT_RELATION, { "card" }, false },
	{ "no object: allow", POLICY_ALLOW, "db.public.t", NULL, VERB_select, OBJECT_NONE, { NULL }, true },
	{ "no object: block", POLICY_BLOCK, "db.public.t", NULL, VERB_select, OBJECT_NONE, { NULL }, false },
	{ "no object: block without a list", POLICY_BLOCK, NULL, NULL, VERB_select, OBJECT_NONE, { NULL }, true },
	{ "another verb", POLICY_ALLOW, NULL, NULL, VERB_insert, OBJECT_NONE, { NULL }, false },
	{ "a function", POLICY_BLOCK, "db.public.f", NULL, VERB_select, OBJECT_FUNCTION, { "f" }, true },
	{ "a setting stands for itself", POLICY_ALLOW, "work_mem", NULL, VERB_select, OBJECT_SETTING, { "work_mem" }, true },
	{ "a setting is in no schema", POLICY_ALLOW, "db.public.work_mem", NULL, VERB_select, OBJECT_SETTING, { "work_mem" }, false },
	{ "an object without a name is unknown", POLICY_ALLOW, "**", NULL, VERB_select, OBJECT_RELATION, { NULL }, false },
	{ "an object with an empty name is unknown", POLICY_ALLOW, "**", NULL, VERB_select, OBJECT_RELATION, { "" }, false },
	{ "what touches nothing is in a list", POLICY_ALLOW, "db.public.t", NULL, VERB_select, OBJECT_NONE, { NULL }, true },
	{ "and excepted from none", POLICY_ALLOW, NULL, "db.public.t", VERB_select, OBJECT_NONE, { NULL }, true },
	{ "but not what a block is about", POLICY_BLOCK, "db.public.t", NULL, VERB_select, OBJECT_NONE, { NULL }, false },
	{ "code may touch what no list has", POLICY_ALLOW, "db.public.t", NULL, VERB_dynamic, OBJECT_NONE, { NULL }, false },
	{ "or what is excepted", POLICY_ALLOW, NULL, "db.public.t", VERB_dynamic, OBJECT_NONE, { NULL }, false },
	{ "without any list it is allowed", POLICY_ALLOW, NULL, NULL, VERB_dynamic, OBJECT_NONE, { NULL }, true },
	{ "it may touch what a block is about", POLICY_BLOCK, "db.public.t", NULL, VERB_dynamic, OBJECT_NONE, { NULL }, true },
	{ "and is not what a block excepts", POLICY_BLOCK, NULL, "db.public.t", VERB_dynamic, OBJECT_NONE, { NULL }, true },
	{ "VACUUM without a table is every table's", POLICY_ALLOW, "db.public.*", NULL, VERB_maintain, OBJECT_NONE, { NULL }, false },
	{ "three levels name their database", POLICY_ALLOW, "other.public.t", NULL, VERB_select, OBJECT_RELATION, { "other", "public", "t" }, true },
};

static void one_rule(const struct fact *f, const char **names)
{
	struct rng r = rng_seeded(1);

	random_policy(&policy, &r, 1);
	names[0] = f->object;
	names[1] = f->except;
	policy.rules[0] = (struct spec_rule){ .id = "r", .action = f->action, .who_any = true, .purpose_any = true, .services = { 7 },
					      .verbs = 1u << VERB_select | 1u << VERB_dynamic | 1u << VERB_maintain, .objects = { names, f->object != NULL },
					      .except_objects = { names + 1, f->except != NULL }, .approval = POLICY_NONE, .pattern = POLICY_NONE };
	policy.spec.defaults.unmatched = policy.spec.defaults.unknown = POLICY_BLOCK;
}

static void encode_access(struct access a, uint32_t flags)
{
	struct classification_writer w = classification_writer_of(request.encoded, sizeof request.encoded, false);

	classification_begin_statement(&w, flags);
	classification_add_access(&w, &a);
	classification_begin_targets(&w);
	classification_end_statement(&w, NULL);
	assert_true(classification_open(classification_finish(&w, bytes_str("c"), bytes_str("n")), &request.classification));
	request.request = (struct verdict_request){ .classification = &request.classification, .database = bytes_str("db") };
}

static void test_facts(void **state)
{
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		const struct fact *f = &facts[i];
		struct access a = { .verb = f->verb, .kind = f->kind };
		const char *names[2];
		struct verdict v;

		for (; a.levels < 3 && f->level[a.levels]; a.levels++)
			a.level[a.levels] = bytes_str(f->level[a.levels]);
		one_rule(f, names);
		encode_access(a, 0);
		v = judge(&policy);
		if (v.rules_count != f->matches || (v.action == COMMAND_ALLOW) != (f->matches && f->action == POLICY_ALLOW))
			fail_msg("%s", f->what);
	}
}

/* After SET search_path a bare name may be in any schema: allowed only where every schema is, blocked where any is. */
static void test_unknown_schema(void **state)
{
	static const struct {
		enum policy_action action;
		const char *object;
		bool matches;
	} rows[] = { { POLICY_ALLOW, "db.public.t", false }, { POLICY_ALLOW, "db.*.t", true }, { POLICY_BLOCK, "db.secret.t", true },
		     { POLICY_BLOCK, "db.secret.u", false }, { POLICY_BLOCK, "db.pg_catalog.t", true } };
	const char *names[2];

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		one_rule(&(struct fact){ .action = rows[i].action, .object = rows[i].object }, names);
		encode_access((struct access){ .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("t") } }, 0);
		request.request.schema_unknown = true;
		assert_int_equal(judge(&policy).rules_count, rows[i].matches);
	}
}

static void test_unknown_is_never_allowed(void **state)
{
	static const struct fact all = { .action = POLICY_ALLOW };
	struct access a = { .verb = VERB_unknown };
	const char *names[2];
	struct verdict v;

	one_rule(&all, names);
	policy.rules[0].verbs = ((1u << VERB_count) - 1) & ~(1u << VERB_unknown);
	encode_access(a, 0);
	v = judge(&policy);
	assert_int_equal(v.action, COMMAND_BLOCK);
	assert_int_equal(v.reason, REASON_UNKNOWN);
	request.request.classification = NULL;
	assert_int_equal(judge(&policy).action, COMMAND_BLOCK);
	policy.spec.defaults.unknown = POLICY_HOLD;
	v = judge(&policy);
	assert_int_equal(v.action, COMMAND_HOLD);
	assert_int_equal(v.approval, policy.spec.defaults.approval);
	assert_int_equal(v.mask.w[0], 15); /* whatever comes back is masked */
	/* A service that is not there is nothing that could be allowed. */
	request.request.service = 3;
	assert_int_equal(judge(&policy).action, COMMAND_BLOCK);
	/* An image in which an allow rule lists unknown does not open. */
	policy.rules[0].verbs = 1u << VERB_unknown;
	size_t len = policy_image_write(&policy.spec, NULL, 0).len;
	void *memory = malloc(len);
	char err[80];

	assert_int_equal(policy_image_write(&policy.spec, memory, len).len, len);
	assert_null(policy_image_open(memory, len, err, sizeof err));
	assert_string_equal(err, "a rule that allows what is unknown");
	free(memory);
}

static void test_too_many_accesses(void **state)
{
	static const struct fact all = { .action = POLICY_ALLOW };
	static uint8_t big[16384];
	const struct access a = { .verb = VERB_select };
	const char *names[2];
	struct verdict v;

	one_rule(&all, names);
	for (unsigned statements = 255; statements <= 257; statements++) {
		struct classification_writer w = classification_writer_of(big, sizeof big, false);

		for (unsigned i = 0; i < statements; i++) {
			classification_begin_statement(&w, 0);
			classification_add_access(&w, &a);
			classification_begin_targets(&w);
			classification_end_statement(&w, NULL);
		}
		assert_true(classification_open(classification_finish(&w, bytes_str("c"), bytes_str("n")), &request.classification));
		request.request = (struct verdict_request){ .classification = &request.classification, .database = bytes_str("db") };
		v = judge(&policy);
		assert_int_equal(v.action, statements * 2 <= LIMIT_ACCESSES ? COMMAND_ALLOW : COMMAND_BLOCK);
		assert_int_equal(v.reason, statements * 2 <= LIMIT_ACCESSES ? REASON_NONE : REASON_TOO_LONG);
	}
}

/* Monday 08:00 is in the window, 18:00 is not. 1970-01-05 was a Monday. */
static void test_window(void **state)
{
	static const struct fact all = { .action = POLICY_ALLOW };
	static const struct spec_window window = { .start = 480, .end = 1080 };
	static const struct {
		uint64_t second;
		bool in;
	} moments[] = { { 480 * 60 - 1, false }, { 480 * 60, true }, { 1080 * 60 - 1, true }, { 1080 * 60, false }, { 86400 + 480 * 60, false } };
	const char *names[2];

	one_rule(&all, names);
	policy.rules[0].windows = &window;
	policy.rules[0].windows_count = 1;
	encode_access((struct access){ .verb = VERB_select }, 0);
	for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
		request.request.now_s = 4 * 86400 + moments[i].second;
		assert_int_equal(judge(&policy).action, moments[i].in ? COMMAND_ALLOW : COMMAND_BLOCK);
	}
}

static void test_oracle(void **state)
{
	static const struct fact all = { .action = POLICY_ALLOW };
	const char *names[2];
	struct verdict v;

	one_rule(&all, names);
	class_bits_add(&policy.rules[0].mask, 2);
	encode_access((struct access){ .verb = VERB_select }, FLAG_tainted_predicate);
	v = judge(&policy);
	assert_int_equal(v.action, COMMAND_BLOCK);
	assert_int_equal(v.reason, REASON_ORACLE);
	policy.rules[0].oracle_allowed = true;
	assert_int_equal(judge(&policy).action, COMMAND_ALLOW);
}

/* Limits that could not be kept block; the rule that sets them is named. */
static void test_limits(void **state)
{
	static const struct fact all = { .action = POLICY_ALLOW };
	static const struct {
		enum verb verb;
		uint32_t flags;
		bool rows, bytes;
		enum command_action action;
	} limits[] = {
		{ VERB_select, 0, true, true, COMMAND_ALLOW },
		{ VERB_delete, 0, true, true, COMMAND_ALLOW },
		{ VERB_delete, FLAG_uncounted_write, true, false, COMMAND_BLOCK },
		{ VERB_delete, FLAG_uncounted_write, false, true, COMMAND_ALLOW },
		{ VERB_select, FLAG_uncounted_write, true, true, COMMAND_ALLOW },
		{ VERB_dynamic, FLAG_uncounted_write, true, false, COMMAND_BLOCK },
		{ VERB_truncate, 0, true, false, COMMAND_BLOCK },
		{ VERB_truncate, 0, false, true, COMMAND_ALLOW },
		{ VERB_select, FLAG_multi_statement, true, false, COMMAND_BLOCK },
		{ VERB_select, FLAG_multi_statement, false, true, COMMAND_BLOCK },
		{ VERB_select, FLAG_multi_statement, false, false, COMMAND_ALLOW },
	};
	const char *names[2];

	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		struct verdict v;

		one_rule(&all, names);
		policy.rules[0].verbs = 1u << limits[i].verb;
		policy.rules[0].rows_max = limits[i].rows ? 7 : 0;
		policy.rules[0].bytes_max = limits[i].bytes ? 70 : 0;
		encode_access((struct access){ .verb = limits[i].verb }, limits[i].flags);
		v = judge(&policy);
		if (v.action != limits[i].action || v.reason != (v.action == COMMAND_ALLOW ? REASON_NONE : REASON_LIMIT) || !v.by_rule)
			fail_msg("%zu: %d %d", i, (int)v.action, (int)v.reason);
		if (v.action == COMMAND_BLOCK)
			continue;
		assert_int_equal(v.rows_rule, limits[i].rows ? 0 : POLICY_NONE);
		assert_int_equal(v.bytes_rule, limits[i].bytes ? 0 : POLICY_NONE);
	}
}

/* A rule about objects limits what touches one of them, not every SELECT 1 that it matches. */
static void test_limits_of_objects(void **state)
{
	static const struct fact table = { .action = POLICY_ALLOW, .object = "db.public.t" };
	static const struct access accesses[] = { { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { { (const uint8_t *)"t", 1 } } },
						  { .verb = VERB_select } };
	const char *names[2];

	for (size_t i = 0; i < sizeof accesses / sizeof *accesses; i++) {
		struct verdict v;

		one_rule(&table, names);
		policy.rules[0].rows_max = policy.rules[0].bytes_max = 7;
		encode_access(accesses[i], 0);
		v = judge(&policy);
		assert_int_equal(v.action, COMMAND_ALLOW);
		assert_int_equal(v.rows_max, i == 1 ? 0 : 7);
		assert_int_equal(v.bytes_max, i == 1 ? 0 : 7);
		encode_access(accesses[i], FLAG_multi_statement);
		assert_int_equal(judge(&policy).action, i == 1 ? COMMAND_ALLOW : COMMAND_BLOCK);
	}
}

static struct class_bits tagged_view(void *context, const struct access *relation, struct bytes column)
{
	struct class_bits out = { 0 };

	if (bytes_equal(relation->level[0], bytes_str("v")))
		class_bits_add(&out, 2);
	return out;
}

/* One rule that masks class 2 (column db.public.t.email); the statement reads t and o. */
static const struct predicate_fact {
	const char *what;
	unsigned access;
	const char *column, *first, *second;
	unsigned mask;
	bool search_path_unknown;
	enum command_action action;
	bool flag;
} predicate_facts[] = {
	{ "the class of the rule", 0, "email", "t", "o", 2, false, COMMAND_BLOCK, true },
	{ "another column", 0, "id", "t", "o", 2, false, COMMAND_ALLOW, false },
	{ "the same name elsewhere", 1, "email", "t", "o", 2, false, COMMAND_ALLOW, false },
	{ "it may be either's", PREDICATE_ANY, "email", "t", "o", 2, false, COMMAND_BLOCK, true },
	{ "all of a row", 0, "", "t", "o", 2, false, COMMAND_BLOCK, true },
	{ "all of the other row", 1, "", "t", "o", 2, false, COMMAND_ALLOW, false },
	{ "a class that the rule shows", 0, "email", "t", "o", 1, false, COMMAND_ALLOW, true },
	{ "in some schema", 0, "email", "t", "o", 2, true, COMMAND_BLOCK, true },
	{ "the same table twice", 1, "email", "t", "t", 2, false, COMMAND_BLOCK, true },
	{ "a view over it", 0, "anything", "v", "o", 2, false, COMMAND_BLOCK, true },
};

static void test_predicates(void **state)
{
	static const struct fact all = { .action = POLICY_ALLOW };
	const char *names[2], *column = "db.public.t.email";

	for (size_t i = 0; i < sizeof predicate_facts / sizeof *predicate_facts; i++) {
		const struct predicate_fact *f = &predicate_facts[i];
		struct classification_writer w = classification_writer_of(request.encoded, sizeof request.encoded, false);
		struct access first = { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str(f->first) } };
		struct access second = { .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str(f->second) } };
		struct verdict v;

		one_rule(&all, names);
		for (unsigned c = 0; c < 4; c++)
			policy.classes[c].columns = (struct spec_names){ &column, c == 2 };
		class_bits_add(&policy.rules[0].mask, f->mask);
		classification_begin_statement(&w, 0);
		classification_add_access(&w, &first);
		classification_add_access(&w, &second);
		classification_begin_targets(&w);
		classification_begin_predicates(&w);
		classification_add_predicate(&w, f->access, bytes_str(f->column));
		classification_end_statement(&w, NULL);
		assert_true(classification_open(classification_finish(&w, bytes_str("c"), bytes_str("n")), &request.classification));
		request.request = (struct verdict_request){ .classification = &request.classification, .database = bytes_str("db"),
							    .schema_unknown = f->search_path_unknown, .tagged = tagged_view };
		v = judge(&policy);
		if (v.action != f->action || (v.action == COMMAND_BLOCK) != (v.reason == REASON_ORACLE))
			fail_msg("%s: %d, %d", f->what, (int)v.action, (int)v.reason);
		assert_true(v.by_rule);
		/* the flag is a rule's to look at */
		policy.rules[0].action = POLICY_BLOCK;
		policy.rules[0].mask = (struct class_bits){ 0 };
		policy.rules[0].flags = FLAG_tainted_predicate;
		v = judge(&policy);
		if (v.by_rule != f->flag)
			fail_msg("%s: the flag", f->what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts), cmocka_unit_test(test_unknown_schema), cmocka_unit_test(test_unknown_is_never_allowed), cmocka_unit_test(test_too_many_accesses),
		cmocka_unit_test(test_window), cmocka_unit_test(test_oracle), cmocka_unit_test(test_predicates), cmocka_unit_test(test_limits), cmocka_unit_test(test_limits_of_objects),
		cmocka_unit_test(test_agrees_with_reference), cmocka_unit_test(test_order_never_matters),
		cmocka_unit_test(test_tightening_never_loosens),
	};
	const char *given = getenv("SEED");

	seed = given ? strtoull(given, NULL, 0) : 20261120;
	print_message("# SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}
