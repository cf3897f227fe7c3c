/* From the documents' own example to verdicts: it reads, its hash is its canonical text's, it compiles, judges as written, tells
 * why; and nothing of that depends on the order of the file. Arguments: the samples folder, the compiled classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>

#include "control/policy/policy.h"
#include "dataplane/match/mask.h"
#include "dataplane/match/match.h"
#include "dataplane/match/pattern.h"
#include "dataplane/verdict/random_policy.h"

static const char *samples, *classes_path;
static struct bytes classes_blob;
static struct match_set *set;
static struct policy_detectors detectors;
static struct config_report report;

static char *read_file(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*len = (size_t)ftell(f);
	rewind(f);
	text = malloc(*len + 1);
	assert_int_equal(fread(text, 1, *len, f), *len);
	text[*len] = 0;
	fclose(f);
	return text;
}

static struct policy_tree *parse(const char *text)
{
	config_report_free(&report);
	assert_true(config_report_init(&report, "policy.cfg"));
	return policy_parse(text, strlen(text), &detectors, &report);
}

static char *sample_text(const char *name)
{
	char path[512];
	size_t len;

	snprintf(path, sizeof path, "%s/%s", samples, name);
	return read_file(path, &len);
}

static struct policy_tree *parse_sample(void)
{
	char *text = sample_text("postgres.cfg");
	struct policy_tree *t = parse(text);

	free(text);
	assert_non_null(t);
	return t;
}

static uint8_t *compile(const struct policy_tree *t, size_t *len)
{
	char err[200];
	uint8_t *image;

	if (!policy_compile(t, classes_blob, 7, &image, len, err, sizeof err))
		fail_msg("%s", err);
	return image;
}

/* The document's example: what this build has no inspector for is an error, nothing else is. */
static void test_complete_example(void **state)
{
	char *text = sample_text("complete.cfg");

	assert_null(parse(text));
	assert_int_equal(report.errors, 1);
	for (unsigned i = 0; i < report.count; i++)
		if (!report.problem[i].warning) {
			assert_string_equal(report.problem[i].id, "no-inspector");
			assert_int_equal(report.problem[i].line, 27);
		}
	free(text);
}

/* Its issuers, as the verifier gets them: the mesh vouches for agents of its trust domain, and its audience is this policy's. */
static void test_spiffe_issuer(void **state)
{
	struct policy_tree *t = parse_sample();
	struct identity_issuer issuers[LIMIT_ISSUERS];
	char why[256];
	struct identity *id;
	struct group_bits none = { 0 }, groups;

	assert_int_equal(policy_issuers(t, issuers), 2);
	assert_true(issuers[1].spiffe);
	assert_string_equal(issuers[1].trust_domain, "example.org");
	assert_string_equal(issuers[1].jwks_uri, "https://spire.example/bundle");
	assert_string_equal(issuers[1].audience, "sluice:prod");
	assert_string_equal(issuers[1].map.agent, "sub");
	id = identity_create(issuers, 2, NULL, why, sizeof why);
	assert_non_null(id);
	identity_destroy(id);
	groups = policy_groups_of(t, &(struct principal){ .issuer = "mesh", .agent = "spiffe://example.org/agent/billing-7" });
	assert_true(group_bits_has(&groups, 0));
	groups = policy_groups_of(t, &(struct principal){ .issuer = "mesh", .agent = "spiffe://example.org/agent/billing-7/x" });
	assert_memory_equal(&groups, &none, sizeof none);
	groups = policy_groups_of(t, &(struct principal){ .issuer = "mesh", .agent = "spiffe://example.org/agent/shipping-7" });
	assert_memory_equal(&groups, &none, sizeof none);
	policy_close(t);
}

static void test_hash(void **state)
{
	struct policy_tree *t = parse_sample(), *other;
	char *canonical = policy_canonical(t), *text = sample_text("postgres.cfg"), *again;
	uint8_t hash[POLICY_HASH_BYTES];
	json_t *json;
	char *place;

	assert_int_equal(EVP_Digest(canonical, strlen(canonical), hash, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(hash, t->hash, sizeof hash);
	/* Canonical is a fixed point of reading and writing with sorted names. */
	json = json_loads(canonical, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(json);
	again = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(again, canonical);
	free(again);
	json_decref(json);
	/* Layout and comments do not count, a default written out does not count; a value does. */
	place = strstr(text, "run_id = \"required\";");
	assert_non_null(place);
	memset(place, ' ', strlen("run_id = \"required\";"));
	other = parse(text);
	assert_memory_equal(other->hash, t->hash, sizeof hash);
	policy_close(other);
	place = strstr(text, "\"last4\"");
	memcpy(place, "\"hash\" ", 7);
	other = parse(text);
	assert_memory_not_equal(other->hash, t->hash, sizeof hash);
	policy_close(other);
	free(text);
	free(canonical);
	policy_close(t);
}

/* --- Verdicts of the example --- */

struct asked {
	enum verb verb;
	const char *table;
	uint32_t flags;
};

static uint8_t room[1024];

static struct verdict ask(const struct policy_image *image, struct group_bits groups, struct asked a, struct classification *c)
{
	struct classification_writer w = classification_writer_of(room, sizeof room, true);
	struct verdict_request q = { .groups = groups, .classification = c, .database = bytes_str("billing") };
	struct verdict v;

	q.service = (unsigned)policy_service_by_name(image, bytes_str("billing-db"));
	classification_begin_statement(&w, a.flags);
	classification_add_access(&w, &(struct access){ .verb = a.verb, .kind = a.table ? OBJECT_RELATION : OBJECT_NONE, .levels = a.table != NULL,
							.level = { bytes_str(a.table) } });
	classification_begin_targets(&w);
	classification_end_statement(&w, NULL);
	assert_true(classification_open(classification_finish(&w, bytes_str("c"), bytes_str("n")), c));
	verdict_evaluate(image, &q, &v);
	return v;
}

static bool rule_is(const struct policy_image *image, const struct verdict *v, const char *id)
{
	return v->by_rule && bytes_equal(policy_rule_id(image, v->rules[0]), bytes_str(id));
}

static bool approval_is(const struct policy_image *image, const struct verdict *v, const char *name)
{
	return v->action == COMMAND_HOLD && bytes_equal(policy_approval(image, v->approval).name, bytes_str(name));
}

static void test_verdicts_of_example(void **state)
{
	struct policy_tree *t = parse_sample();
	size_t len;
	uint8_t *memory = compile(t, &len);
	const struct policy_image *p = policy_image_open(memory, len, NULL, 0);
	struct group_bits agent = policy_groups_of(t, &(struct principal){ .issuer = "corp", .agent = "spiffe://example.org/agent/billing-7" });
	struct group_bits dba = policy_groups_of(t, &(struct principal){ .issuer = "corp", .groups = { "dba" }, .groups_count = 1 });
	struct classification c;
	struct verdict v;

	assert_non_null(p);
	assert_int_equal(policy_generation(p), 7);
	assert_memory_equal(policy_hash(p), t->hash, POLICY_HASH_BYTES);
	v = ask(p, agent, (struct asked){ VERB_select, "customer", 0 }, &c);
	assert_true(v.action == COMMAND_ALLOW && rule_is(p, &v, "bill-read"));
	assert_int_equal(v.mask.w[0], 7);
	v = ask(p, agent, (struct asked){ VERB_select, "card", 0 }, &c);
	assert_true(v.action == COMMAND_BLOCK && !v.by_rule && v.reason == REASON_UNMATCHED);
	v = ask(p, agent, (struct asked){ VERB_insert, "invoice", 0 }, &c);
	assert_true(approval_is(p, &v, "one-dba") && v.rows_max == 100);
	v = ask(p, agent, (struct asked){ VERB_update, "invoice", FLAG_no_key_filter }, &c);
	assert_true(v.action == COMMAND_BLOCK && rule_is(p, &v, "no-delete-all"));
	v = ask(p, agent, (struct asked){ VERB_ddl, "customer", 0 }, &c);
	assert_true(v.action == COMMAND_BLOCK && rule_is(p, &v, "bill-ddl"));
	assert_string_equal((const char *)v.say.base, "schema changes go through the database team");
	v = ask(p, dba, (struct asked){ VERB_ddl, "customer", 0 }, &c);
	assert_true(approval_is(p, &v, "two"));
	v = ask(p, dba, (struct asked){ VERB_select, "customer", 0 }, &c);
	assert_true(v.action == COMMAND_BLOCK);
	v = ask(p, agent, (struct asked){ VERB_unknown, NULL, 0 }, &c);
	assert_true(v.action == COMMAND_BLOCK && v.reason == REASON_UNKNOWN);
	policy_close(t);
	free(memory);
}

static void test_data_of_example(void **state)
{
	struct policy_tree *t = parse_sample();
	size_t len;
	uint8_t *memory = compile(t, &len);
	const struct policy_image *p = policy_image_open(memory, len, NULL, 0);
	struct class_bits email = policy_column_classes(p, bytes_str("billing"), bytes_str("public"), bytes_str("customer"), bytes_str("email")), found;
	static const uint8_t target[4] = { 192, 0, 2, 10 }, ntp[4] = { 192, 0, 2, 1 };
	struct policy_service s;
	char err[100];
	struct match_patterns *patterns;
	uint64_t hits[LIMIT_PATTERNS / 64] = { 0 };

	assert_int_equal(policy_counts(p).classes, 3);
	assert_string_equal((const char *)policy_class(p, 1).name.base, "pii.email"); /* sorted by name */
	assert_int_equal(policy_class(p, 1).mask_kind, MASK_EMAIL_DOMAIN);
	assert_int_equal(email.w[0], 2);
	assert_true(match_class_bits(set, "email", &found));
	email = policy_detectors(p, &email);
	assert_memory_equal(&email, &found, sizeof found);
	assert_int_equal(policy_service_find(p, 4, target, 5432, POLICY_TCP, 210), 0);
	assert_int_equal(policy_service_find(p, 4, target, 5432, POLICY_TCP, 0), -1);
	assert_true(policy_target_guarded(p, 4, target));
	assert_false(policy_target_guarded(p, 4, ntp));
	s = policy_service(p, 0);
	assert_string_equal((const char *)s.upstream_name.base, "billing-db.example");
	assert_string_equal((const char *)s.login.base, "billing_ro");
	assert_string_equal((const char *)s.search_path.base, "public");
	assert_true(s.run_id_required && s.tls == POLICY_TLS_REQUIRED && s.audit == POLICY_AUDIT_STRICT);
	assert_true(policy_service(p, 1).fail == POLICY_FAIL_OPEN);
	assert_int_equal(policy_class_database(p).len, classes_blob.len);
	patterns = match_patterns_load(policy_pattern_database(p).base, policy_pattern_database(p).len, policy_counts(p).patterns, err, sizeof err);
	assert_non_null(patterns);
	assert_true(match_patterns_scan(patterns, bytes_str("select card from x"), hits) && hits[0] == 1);
	match_patterns_free(patterns);
	policy_close(t);
	free(memory);
}

/* --- Order of the file --- */

#define RULE_COUNT 6

static const char *const rules[RULE_COUNT] = {
	"{ id = \"z\"; who = [ \"*\" ]; service = [ \"db\" ]; verbs = [ \"insert\" ]; action = \"hold\"; approval = \"one\"; }",
	"{ id = \"a\"; who = [ \"*\" ]; service = [ \"db\" ]; verbs = [ \"insert\", \"delete\" ]; action = \"hold\"; approval = \"two\"; mask = [ \"y\" ]; }",
	"{ id = \"m\"; who = [ \"*\" ]; service = [ \"db\" ]; verbs = [ \"select\", \"insert\" ]; action = \"allow\"; mask = [ \"x\" ]; max_rows = \"5\"; }",
	"{ id = \"b\"; who = [ \"*\" ]; service = [ \"db\" ]; verbs = [ \"select\" ]; action = \"allow\"; mask = [ \"y\" ]; max_rows = \"3\"; }",
	"{ id = \"k\"; who = [ \"*\" ]; service = [ \"db\" ]; verbs = [ \"ddl\" ]; action = \"block\"; say = \"k\"; }",
	"{ id = \"c\"; who = [ \"*\" ]; service = [ \"db\" ]; verbs = [ \"ddl\" ]; action = \"block\"; say = \"c\"; }",
};
static const char *const approvals[2] = { "{ name = \"one\"; need = [ \"dba:1\" ]; expires = \"1m\"; use_by = \"1m\"; }",
					  "{ name = \"two\"; need = [ \"dba:2\" ]; expires = \"1m\"; use_by = \"1m\"; }" };
static const char *const classes[2] = { "{ name = \"x\"; columns = [ \"db.public.t.x\" ]; }", "{ name = \"y\"; columns = [ \"db.public.t.y\" ]; }" };

static struct policy_tree *parse_ordered(const unsigned order[RULE_COUNT], bool swap)
{
	static char text[8192];
	size_t len = (size_t)snprintf(text, sizeof text,
		"policy : { format = 1; name = \"t\"; version = 1; };\n"
		"issuers = ( { name = \"i\"; issuer = \"https://i\"; audience = \"a\"; map : { person = \"p\"; groups = \"g\"; }; } );\n"
		"services = ( { name = \"db\"; protocol = \"postgres\"; listen = [ \"192.0.2.1:5432\" ]; upstream_name = \"d\"; login = \"l\"; } );\n"
		"rules = ( %s, %s, %s, %s, %s, %s );\napprovals = ( %s, %s );\nclasses = ( %s, %s );\n"
		"groups = ( { name = \"dba\"; issuer = \"i\"; group = [ \"dba\" ]; } );\n",
		rules[order[0]], rules[order[1]], rules[order[2]], rules[order[3]], rules[order[4]], rules[order[5]], approvals[swap], approvals[!swap],
		classes[swap], classes[!swap]);

	assert_true(len < sizeof text);
	return parse(text);
}

static void test_order_of_the_file(void **state)
{
	unsigned order[RULE_COUNT] = { 0, 1, 2, 3, 4, 5 };
	struct rng r = rng_seeded(4);

	for (unsigned round = 0; round < 60; round++) {
		struct group_bits none = { 0 };
		struct classification c;
		struct verdict v;
		size_t len;

		struct policy_tree *t = parse_ordered(order, round & 1);
		assert_non_null(t);
		uint8_t *memory = compile(t, &len);
		const struct policy_image *p = policy_image_open(memory, len, NULL, 0);
		struct verdict_request q = { .classification = &c };

		v = ask(p, none, (struct asked){ VERB_select, NULL, 0 }, &c); /* no such service: billing-db */
		assert_int_equal(v.action, COMMAND_BLOCK);
		verdict_evaluate(p, &q, &v);
		assert_true(v.action == COMMAND_ALLOW && rule_is(p, &v, "b") && v.mask.w[0] == 3 && v.rows_max == 3);
		(void)ask(p, none, (struct asked){ VERB_insert, NULL, 0 }, &c);
		verdict_evaluate(p, &q, &v);
		assert_true(approval_is(p, &v, "two") && rule_is(p, &v, "a") && v.mask.w[0] == 3 && v.rows_max == 5);
		(void)ask(p, none, (struct asked){ VERB_ddl, NULL, 0 }, &c);
		verdict_evaluate(p, &q, &v);
		assert_true(v.action == COMMAND_BLOCK && rule_is(p, &v, "c"));
		assert_string_equal((const char *)v.say.base, "c");
		free(memory);
		policy_close(t);
		for (unsigned i = RULE_COUNT - 1; i > 0; i--) {
			unsigned k = (unsigned)rng_below(&r, i + 1), kept = order[i];

			order[i] = order[k];
			order[k] = kept;
		}
	}
}

/* --- How much waits for the journal --- */

static void test_audit_levels(void **state)
{
	static const enum policy_audit levels[] = { POLICY_AUDIT_ANSWERS, POLICY_AUDIT_PROMPT, POLICY_AUDIT_STRICT };
	struct policy_tree *t = parse(
		"policy : { format = 1; name = \"t\"; version = 1; };\n"
		"defaults : { audit = \"answers\"; };\n"
		"services = ( { name = \"a\"; protocol = \"postgres\"; listen = [ \"192.0.2.1:1\" ]; upstream_name = \"d\"; login = \"l\"; },\n"
		"             { name = \"b\"; protocol = \"postgres\"; listen = [ \"192.0.2.1:2\" ]; upstream_name = \"d\"; login = \"l\"; audit = \"prompt\"; },\n"
		"             { name = \"c\"; protocol = \"postgres\"; listen = [ \"192.0.2.1:3\" ]; upstream_name = \"d\"; login = \"l\"; audit = \"strict\"; } );\n");
	size_t len;
	uint8_t *memory = compile(t, &len);
	const struct policy_image *p = policy_image_open(memory, len, NULL, 0);

	assert_non_null(p);
	assert_int_equal(policy_defaults(p).audit, POLICY_AUDIT_ANSWERS);
	for (unsigned i = 0; i < 3; i++) {
		const struct verdict_request q = { .service = i };
		char wanted[32], *text = policy_explain(p, &q);

		assert_int_equal(policy_service(p, i).audit, levels[i]);
		(void)snprintf(wanted, sizeof wanted, "\"audit\": \"%s\"", policy_audit_words[levels[i]]);
		assert_non_null(strstr(text, wanted));
		free(text);
	}
	free(memory);
	policy_close(t);
}

/* --- Whether flows go over to forwarding --- */

static void test_splice(void **state)
{
	struct policy_tree *t = parse(
		"policy : { format = 1; name = \"t\"; version = 1; };\n"
		"services = ( { name = \"a\"; protocol = \"opaque\"; listen = [ \"192.0.2.1:1\" ]; tls = \"off\"; reason = \"r\"; },\n"
		"             { name = \"b\"; protocol = \"opaque\"; listen = [ \"192.0.2.1:2\" ]; tls = \"off\"; reason = \"r\"; splice = \"off\"; },\n"
		"             { name = \"c\"; protocol = \"opaque\"; listen = [ \"192.0.2.1:3\" ]; tls = \"off\"; reason = \"r\"; splice = \"on\"; } );\n");
	size_t len;
	uint8_t *memory = compile(t, &len);
	const struct policy_image *p = policy_image_open(memory, len, NULL, 0);

	assert_non_null(p);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(policy_service(p, i).splice, i == 1 ? POLICY_SPLICE_OFF : POLICY_SPLICE_ON);
	free(memory);
	policy_close(t);
}

/* --- Groups --- */

static void test_groups(void **state)
{
	struct policy_tree *t = parse(
		"policy : { format = 1; name = \"t\"; version = 1; };\n"
		"issuers = ( { name = \"i\"; issuer = \"https://i\"; audience = \"a\"; map : { person = \"p\"; groups = \"g\"; agent = \"a\"; }; },\n"
		"            { name = \"j\"; issuer = \"https://j\"; audience = \"a\"; map : { person = \"p\"; groups = \"g\"; agent = \"a\"; }; } );\n"
		"groups = ( { name = \"g0\"; issuer = \"i\"; group = [ \"dba\", \"ops\" ]; }, { name = \"g1\"; agent = [ \"spiffe://d/a-*\" ]; },\n"
		"           { name = \"g2\"; issuer = \"i\"; person = [ \"p1\", \"p2\" ]; group = [ \"dba\" ]; } );\n"
		"services = ( { name = \"db\"; protocol = \"postgres\"; listen = [ \"192.0.2.1:5432\" ]; upstream_name = \"d\"; login = \"l\"; } );\n"
		"rules = ( { id = \"r\"; who = [ \"g0\", \"g1\", \"g2\" ]; service = [ \"*\" ]; verbs = [ \"select\" ]; purpose = [ \"audit\" ]; action = \"allow\"; } );\n"
		"admin : { roles : { administrator = [ \"g0\" ]; auditor = [ \"g1\" ]; investigator = [ \"g1\", \"g2\" ]; }; };\n");
	struct principal p = { .issuer = "i", .groups = { "ops" }, .groups_count = 1 };
	struct identity_issuer issuers[LIMIT_ISSUERS];

	assert_non_null(t);
	assert_int_equal(policy_groups_of(t, &p).w[0], 1);
	assert_true(policy_has_role(t, &p, POLICY_ROLE_ADMINISTRATOR));
	assert_false(policy_has_role(t, &p, POLICY_ROLE_AUDITOR));
	assert_false(policy_has_role(t, &p, POLICY_ROLE_INVESTIGATOR));
	assert_false(policy_has_role(t, &p, POLICY_ROLE_OPERATOR));
	p.issuer = "j"; /* another issuer may say what it likes */
	assert_int_equal(policy_groups_of(t, &p).w[0], 0);
	p = (struct principal){ .issuer = "i", .agent = "spiffe://d/a-7" };
	assert_int_equal(policy_groups_of(t, &p).w[0], 2);
	p.agent = "spiffe://d/a-7/x"; /* a star does not pass a '/' */
	assert_int_equal(policy_groups_of(t, &p).w[0], 0);
	p.agent = "xspiffe://d/a-7";
	assert_int_equal(policy_groups_of(t, &p).w[0], 0);
	p = (struct principal){ .issuer = "i", .person = "p1", .purpose = "audit" };
	assert_int_equal(policy_groups_of(t, &p).w[0], 8); /* g2 wants both; purpose:audit */
	p.groups[0] = "dba";
	p.groups_count = 1;
	assert_int_equal(policy_groups_of(t, &p).w[0], 1 + 4 + 8);
	assert_true(policy_has_role(t, &p, POLICY_ROLE_INVESTIGATOR));
	assert_false(policy_has_role(t, &p, POLICY_ROLE_AUDITOR));
	p.purpose = "audits";
	assert_int_equal(policy_groups_of(t, &p).w[0], 1 + 4);
	assert_int_equal(policy_groups_of(t, &(struct principal){ 0 }).w[0], 0);
	assert_int_equal(policy_issuers(t, issuers), 2);
	assert_string_equal(issuers[1].issuer, "https://j");
	assert_int_equal(issuers[0].skew_s, 30);
	policy_close(t);
}

/* --- Explain --- */

static void test_explain_equals_verdict(void **state)
{
	static struct random_policy policy;
	static struct random_request request;
	static const char *const words[COMMAND_actions] = { [COMMAND_ALLOW] = "allow", [COMMAND_BLOCK] = "block", [COMMAND_HOLD] = "hold" };
	struct rng r = rng_seeded(8);

	for (unsigned round = 0; round < 1500; round++) {
		struct policy_image *p;
		struct verdict v;
		unsigned matched = 0;

		random_policy(&policy, &r, (unsigned)rng_below(&r, 12));
		random_request(&request, &r);
		p = random_policy_image(&policy);
		verdict_evaluate(p, &request.request, &v);
		char *text = policy_explain(p, &request.request);
		json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *rule;
		size_t i;

		assert_non_null(json);
		assert_string_equal(json_string_value(json_object_get(json, "action")), words[v.action]);
		assert_int_equal(json_array_size(json_object_get(json, "rules")), policy.spec.rules_count);
		json_array_foreach(json_object_get(json, "rules"), i, rule) {
			bool is = json_is_true(json_object_get(rule, "matched"));

			matched += is && !json_is_true(json_object_get(rule, "observe"));
			assert_int_equal(is, json_string_value(json_object_get(rule, "failed"))[0] == 0);
		}
		assert_int_equal(matched, v.rules_count);
		json_decref(json);
		free(text);
		free(p);
	}
}

/* A masked column in a condition: which column, of which class, and the rule that says no. */
static void test_explain_tells_the_oracle(void **state)
{
	struct policy_tree *t = parse_sample();
	size_t len, i;
	uint8_t *memory = compile(t, &len);
	const struct policy_image *p = policy_image_open(memory, len, NULL, 0);
	struct classification_writer w = classification_writer_of(room, sizeof room, true);
	struct classification c;
	struct verdict_request q = { .classification = &c, .database = bytes_str("billing") };
	json_t *json, *rule, *access;
	char *text;

	q.service = (unsigned)policy_service_by_name(p, bytes_str("billing-db"));
	q.groups = policy_groups_of(t, &(struct principal){ .issuer = "corp", .agent = "spiffe://example.org/agent/billing-7" });
	classification_begin_statement(&w, 0);
	classification_add_access(&w, &(struct access){ .verb = VERB_select, .kind = OBJECT_RELATION, .levels = 1, .level = { bytes_str("customer") } });
	classification_begin_targets(&w);
	classification_begin_predicates(&w);
	classification_add_predicate(&w, 0, bytes_str("email"));
	classification_end_statement(&w, NULL);
	assert_true(classification_open(classification_finish(&w, bytes_str("c"), bytes_str("n")), &c));
	text = policy_explain(p, &q);
	json = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "action")), "block");
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "oracle");
	assert_string_equal(json_string_value(json_object_get(json, "decided_by")), "bill-read");
	access = json_array_get(json_object_get(json, "accesses"), 0);
	assert_string_equal(json_string_value(json_array_get(json_object_get(access, "decides"), 0)), "pii.email");
	assert_string_equal(json_string_value(json_array_get(json_object_get(access, "flags"), 0)), "tainted-predicate");
	access = json_array_get(json_object_get(json, "predicates"), 0);
	assert_string_equal(json_string_value(json_array_get(access, 0)), "customer");
	assert_string_equal(json_string_value(json_array_get(access, 1)), "email");
	json_array_foreach(json_object_get(json, "rules"), i, rule) {
		bool reads = strcmp(json_string_value(json_object_get(rule, "rule")), "bill-read") == 0;

		assert_string_equal(json_string_value(json_object_get(rule, "oracle")), reads ? "blocked" : "");
	}
	json_decref(json);
	free(text);
	free(memory);
	policy_close(t);
}

static void test_explain_names_what_failed(void **state)
{
	struct policy_tree *t = parse_sample();
	size_t len, i;
	uint8_t *memory = compile(t, &len);
	const struct policy_image *p = policy_image_open(memory, len, NULL, 0);
	struct classification c;
	struct verdict_request q = { .classification = &c, .database = bytes_str("billing") };
	static const char *const expected[][2] = { { "bill-ddl", "verbs" }, { "bill-ddl-dba", "verbs" }, { "bill-read", "except_objects" },
						   { "bill-write", "verbs" }, { "no-delete-all", "verbs" }, { "trial-1", "pattern" } };
	json_t *json, *rule;
	char *text;

	q.groups = policy_groups_of(t, &(struct principal){ .issuer = "corp", .agent = "spiffe://example.org/agent/billing-7" });
	(void)ask(p, q.groups, (struct asked){ VERB_select, "card", 0 }, &c);
	text = policy_explain(p, &q);
	json = json_loads(text, 0, NULL);
	json_array_foreach(json_object_get(json, "rules"), i, rule) {
		assert_string_equal(json_string_value(json_object_get(rule, "rule")), expected[i][0]);
		assert_string_equal(json_string_value(json_object_get(rule, "failed")), expected[i][1]);
	}
	assert_int_equal(i, 6);
	assert_string_equal(json_string_value(json_object_get(json, "reason")), "unmatched");
	assert_int_equal(strlen(json_string_value(json_object_get(json, "policy"))), 64);
	json_decref(json);
	free(text);
	/* The tripwire of the rule under observation, once it hits. */
	policy_scan(p, bytes_str("select * from Card"), &q.patterns);
	assert_int_equal(q.patterns.w[0], 1);
	text = policy_explain(p, &q);
	json = json_loads(text, 0, NULL);
	rule = json_array_get(json_object_get(json, "rules"), 5);
	assert_true(json_is_true(json_object_get(rule, "matched")) && json_is_true(json_object_get(rule, "observe")));
	assert_string_equal(json_string_value(json_object_get(json, "action")), "block");
	json_decref(json);
	free(text);
	q.service = 99;
	assert_null(policy_explain(p, &q));
	free(memory);
	policy_close(t);
}

/* A class that is to be found by value is never compiled without its detectors. */
static void test_no_class_database(void **state)
{
	struct policy_detectors kept = detectors;
	struct policy_tree *t;
	uint8_t *image;
	char err[200];
	size_t len;

	detectors = (struct policy_detectors){ 0 };
	t = parse_sample();
	assert_false(policy_compile(t, classes_blob, 1, &image, &len, err, sizeof err));
	assert_null(image);
	assert_non_null(strstr(err, "detector"));
	policy_close(t);
	detectors = kept;
}

static int load(void **state)
{
	char err[200];
	size_t len;
	char *blob = read_file(classes_path, &len);

	classes_blob = bytes_of(blob, len);
	set = match_set_load(blob, len, err, sizeof err);
	if (!set)
		fail_msg("%s", err);
	detectors = policy_detectors_of_set(set);
	return 0;
}

static int done(void **state)
{
	match_set_free(set);
	free((void *)(uintptr_t)classes_blob.base);
	config_report_free(&report);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete_example), cmocka_unit_test(test_spiffe_issuer), cmocka_unit_test(test_hash), cmocka_unit_test(test_verdicts_of_example),
		cmocka_unit_test(test_data_of_example), cmocka_unit_test(test_order_of_the_file), cmocka_unit_test(test_audit_levels), cmocka_unit_test(test_splice),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_explain_equals_verdict), cmocka_unit_test(test_explain_tells_the_oracle),
		cmocka_unit_test(test_explain_names_what_failed), cmocka_unit_test(test_no_class_database),
	};

	if (argc != 3)
		return 2;
	samples = argv[1];
	classes_path = argv[2];
	return cmocka_run_group_tests_name("policy", tests, load, done);
}
