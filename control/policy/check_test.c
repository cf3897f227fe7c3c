/* Each error and warning of the check: one line of a good policy is replaced, and the problem has to be reported at that line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/policy/parse.h"

static const char *const good[] = {
	/*  1 */ "policy : { format = 1; name = \"test\"; version = 1; };",
	/*  2 */ "defaults : { unmatched = \"block\"; unknown = \"block\"; };",
	/*  3 */ "issuers = ( { name = \"corp\"; issuer = \"https://idp.example\"; audience = \"a\"; map : { person = \"p\"; agent = \"a\"; groups = \"g\"; }; } );",
	/*  4 */ "groups = (",
	/*  5 */ "{ name = \"agents\"; agent = [ \"spiffe://d/a-*\" ]; },",
	/*  6 */ "{ name = \"dba\"; issuer = \"corp\"; group = [ \"dba\" ]; } );",
	/*  7 */ "services = (",
	/*  8 */ "{ name = \"db\"; protocol = \"postgres\"; listen = [ \"192.0.2.10:5432\" ]; upstream_name = \"db\"; login = \"ro\"; },",
	/*  9 */ "{ name = \"ntp\"; protocol = \"pass\"; listen = [ \"192.0.2.1:123/udp\" ]; reason = \"time\"; } );",
	/* 10 */ "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; } );",
	/* 11 */ "approvals = ( { name = \"one\"; need = [ \"dba:1\" ]; expires = \"15m\"; use_by = \"5m\"; } );",
	/* 12 */ "rules = (",
	/* 13 */ "{ id = \"read\"; who = [ \"agents\" ]; service = [ \"db\" ]; verbs = [ \"select\" ]; objects = [ \"db.public.*\" ]; action = \"allow\"; mask = [ \"email\" ]; },",
	/* 14 */ "{ id = \"write\"; who = [ \"agents\" ]; service = [ \"db\" ]; verbs = [ \"insert\" ]; action = \"hold\"; approval = \"one\"; } );",
	/* 15 */ "admin : { commit_approval = \"one\"; roles : { administrator = [ \"dba\" ]; }; };",
};
#define LINES (sizeof good / sizeof *good)

struct row {
	unsigned line; /* replaced, and where the problem is; 0: appended, problem anywhere */
	const char *text, *id;
};

#define SERVICE(rest) "{ name = \"db\"; protocol = \"postgres\"; upstream_name = \"db\"; login = \"ro\"; " rest " },"
#define RULE(rest) "{ id = \"read\"; who = [ \"agents\" ]; service = [ \"db\" ]; " rest " },"
#define ALLOW(rest) RULE("verbs = [ \"select\" ]; action = \"allow\"; mask = [ \"email\" ]; " rest)
#define APPROVAL(rest) "approvals = ( { name = \"one\"; " rest " } );"
#define MESH(rest) ISSUER("issuer = \"https://i\"; audience = \"a\"; }, { name = \"mesh\"; kind = \"spiffe\"; " rest)
#define ISSUER(rest) "issuers = ( { name = \"corp\"; map : { person = \"p\"; agent = \"a\"; groups = \"g\"; }; " rest " } );"
#define GROUP(rest) "{ name = \"agents\"; " rest " },"

static const struct row errors[] = {
	/* Syntax and types. */
	{ 1, "policy : { format = 2; name = \"test\"; version = 1; };", "out-of-range" },
	{ 1, "policy : { format = 1; name = \"te st\"; version = 1; };", "bad-name" },
	{ 1, "policy : { format = 1; version = 1; };", "missing" },
	{ 1, "policy : { format = 1; name = \"test\"; version = \"1\"; };", "wrong-type" },
	{ 1, "policy : { format = 1; name = \"test\"; version = 1; }; extra = 1;", "unknown-name" },
	{ 2, "defaults : { unmatched = \"allow\"; };", "unknown-word" },
	{ 2, "defaults : { unknown = \"allow\"; };", "unknown-word" },
	{ 2, "defaults : { unknown = \"hold\"; };", "hold-without-approval" },
	{ 2, "defaults : { unknown = \"hold\"; approval = \"none\"; };", "unknown-approval" },
	{ 2, "defaults : { approval = \"one\"; };", "approval-without-hold" },
	{ 2, "defaults : { unkown = \"hold\"; };", "unknown-name" },
	/* Issuers and groups. */
	{ 3, ISSUER("issuer = \"http://idp.example\"; audience = \"a\";"), "not-https" },
	{ 3, ISSUER("issuer = \"https://idp.example\";"), "missing" },
	{ 3, ISSUER("issuer = \"https://idp.example\"; audience = \"a\"; algs = [ \"HS256\" ];"), "unknown-word" },
	{ 3, ISSUER("issuer = \"https://idp.example\"; audience = \"a\"; algs = [ \"none\" ];"), "unknown-word" },
	{ 3, ISSUER("issuer = \"https://idp.example\"; audience = \"a\"; skew = 61;"), "out-of-range" },
	{ 3, ISSUER("issuer = \"https://idp.example\"; audience = \"a\"; max_news_age = \"59s\";"), "out-of-range" },
	{ 3, ISSUER("issuer = \"https://idp.example\"; audience = \"a\"; clients = [ \"a\", \"a\" ];"), "duplicate" },
	{ 3, ISSUER("issuer = \"https://idp.example\"; audience = \"a\"; }, { name = \"corp\"; issuer = \"https://b\"; audience = \"a\";"), "duplicate-name" },
	{ 3, MESH("bundle = \"https://b\";"), "missing" },
	{ 3, MESH("trust_domain = \"example.org\";"), "missing" },
	{ 3, MESH("trust_domain = \"Example.org\"; bundle = \"https://b\";"), "bad-trust-domain" },
	{ 3, MESH("trust_domain = \"example.org/a\"; bundle = \"https://b\";"), "bad-trust-domain" },
	{ 3, MESH("trust_domain = \"example.org\"; bundle = \"http://b\";"), "not-https" },
	{ 3, MESH("trust_domain = \"example.org\"; bundle = \"https://b\"; algs = [ \"EdDSA\" ];"), "unknown-word" },
	{ 3, MESH("trust_domain = \"example.org\"; bundle = \"https://b\"; typ = [ \"JWT\" ];"), "unknown-name" },
	{ 5, GROUP("issuer = \"corp\"; group = [ \"x\" ]; }, { name = \"mesh-people\"; issuer = \"mesh\"; person = [ \"p\" ];"), "unknown-issuer" },
	{ 5, GROUP("group = [ \"x\" ];"), "group-without-issuer" },
	{ 5, GROUP("issuer = \"other\"; group = [ \"x\" ];"), "unknown-issuer" },
	{ 5, GROUP("issuer = \"corp\";"), "empty-group" },
	{ 5, "{ name = \"dba\"; agent = [ \"spiffe://x\" ]; }, { name = \"agents\"; agent = [ \"b\" ]; },", NULL }, /* reported at 6 */
	{ 5, GROUP("agent = [ ];"), "empty" },
	/* Services. */
	{ 8, SERVICE("listen = [ \"192.0.2.10\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:0\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:65536\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"0.0.0.0:5432\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"224.0.0.1:5432\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"db.example:5432\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"2001:db8::1:5432\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"[::ffff:192.0.2.1]:5432\" ];"), "bad-address" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432/udp\" ];"), "udp-inspected" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; fail = \"open\";"), "fail-open-inspected" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; on_journal_full = \"pass\";"), "unknown-word" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; on_stale_revocation = \"wait\";"), "unknown-word" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; on_clock_free = \"block\";"), "unknown-word" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; vlan = 4095;"), "out-of-range" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; tls = \"maybe\";"), "unknown-word" },
	{ 8, "{ name = \"db\"; protocol = \"postgres\"; listen = [ \"192.0.2.10:5432\" ]; upstream_name = \"db\"; },", "missing" },
	{ 8, "{ name = \"db\"; protocol = \"oracle\"; listen = [ \"192.0.2.10:5432\" ]; upstream_name = \"db\"; login = \"a\"; },", "unknown-word" },
	{ 8, "{ name = \"db\"; protocol = \"redis\"; listen = [ \"192.0.2.10:5432\" ]; upstream_name = \"db\"; login = \"a\"; },", "no-inspector" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\", \"192.0.2.10:5432/tcp\" ];"), "listener-overlap" },
	{ 9, "{ name = \"b\"; protocol = \"pass\"; listen = [ \"192.0.2.10:5432\" ]; reason = \"x\"; } );", "listener-overlap" },
	{ 9, "{ name = \"ntp\"; protocol = \"pass\"; listen = [ \"192.0.2.1:123/udp\" ]; } );", "missing" },
	/* Classes and budgets. */
	{ 10, "classes = ( { name = \"email\"; columns = [ \"public.t.email\" ]; } );", "bad-column" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.e*\" ]; } );", "bad-column" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; mask = \"rot13\"; } );", "unknown-mask" },
	{ 10, "classes = ( { name = \"email\"; } );", "empty-class" },
	{ 10, "classes = ( { name = \"email\"; detector = \"nosuch\"; } );", "unknown-detector" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; } ); budgets = ( { name = \"b\"; per = \"run\"; window = \"1h\"; on_exceed = \"block\"; } );", "empty-budget" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; } ); budgets = ( { name = \"b\"; per = \"run\"; window = \"1h\"; rows = \"5\"; on_exceed = \"hold\"; } );", "hold-without-approval" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; } ); budgets = ( { name = \"b\"; per = \"run\"; window = \"1h\"; rows = 5; on_exceed = \"block\"; } );", "wrong-type" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; } ); budgets = ( { name = \"b\"; per = \"run\"; window = \"1h\"; cells = \"5\"; on_exceed = \"block\"; } );", "budget-class" },
	/* Approvals. */
	{ 11, APPROVAL("need = [ \"dba\" ]; expires = \"15m\"; use_by = \"5m\";"), "bad-need" },
	{ 11, APPROVAL("need = [ \"dba:1\" ]; expires = \"15m\"; use_by = \"5m\"; on_clock_free = \"allow\";"), "unknown-word" },
	{ 11, APPROVAL("need = [ \"dba:0\" ]; expires = \"15m\"; use_by = \"5m\";"), "bad-need" },
	{ 11, APPROVAL("need = [ \"nobody:1\" ]; expires = \"15m\"; use_by = \"5m\";"), "unknown-group" },
	{ 11, APPROVAL("need = [ \"dba:1\", \"dba:2\" ]; expires = \"15m\"; use_by = \"5m\";"), "duplicate" },
	{ 11, APPROVAL("need = [ \"dba:1\" ]; expires = \"15\"; use_by = \"5m\";"), "bad-amount" },
	{ 11, APPROVAL("need = [ \"dba:1\" ]; expires = \"15m\"; use_by = \"2d\";"), "out-of-range" },
	{ 11, APPROVAL("need = [ \"dba:1\" ]; expires = \"15m\"; use_by = \"5m\"; mode = \"retry\";"), "no-retry" },
	{ 11, APPROVAL("need = [ \"agents:1\" ]; expires = \"15m\"; use_by = \"5m\";"), "approval-impossible" },
	{ 6, "{ name = \"dba\"; issuer = \"corp\"; person = [ \"p1\" ]; } ); approvals = ( { name = \"one\"; need = [ \"dba:2\" ]; expires = \"15m\"; use_by = \"5m\"; } );", NULL },
	/* Rules. */
	{ 13, RULE("verbs = [ \"select\" ];"), "missing" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"permit\";"), "unknown-word" },
	{ 13, RULE("verbs = [ \"selekt\" ]; action = \"allow\";"), "unknown-verb" },
	{ 13, RULE("verbs = [ \"select\", \"*\" ]; action = \"allow\";"), "unknown-verb" },
	{ 13, RULE("verbs = [ \"select\", \"unknown\" ]; action = \"allow\";"), "allow-unknown" },
	{ 13, RULE("verbs = [ ]; action = \"allow\";"), "empty" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"hold\";"), "hold-without-approval" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"hold\"; approval = \"two\";"), "unknown-approval" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"block\"; mask = [ \"email\" ];"), "block-with-effects" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"block\"; max_rows = \"5\";"), "block-with-effects" },
	{ 13, ALLOW("approval = \"one\";"), "approval-without-hold" },
	{ 13, ALLOW("pattern = \"x\";"), "pattern-allow" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"block\"; pattern = \"card\"; say = \"no card numbers\";"), "say-shows-pattern" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"block\"; pattern = \"(?=a)b\";"), "bad-pattern" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"block\"; pattern = \"a\\x2eb\";"), "escape-hex" },
	{ 13, ALLOW("flags = [ \"no-such\" ];"), "unknown-flag" },
	{ 13, ALLOW("objects = [ \"db..t\" ];"), "bad-object" },
	{ 13, ALLOW("except_objects = [ \"db.public.t*\" ];"), "bad-object" },
	{ 13, ALLOW("budget = [ \"none\" ];"), "unknown-budget" },
	{ 13, ALLOW("except_who = [ \"*\" ];"), "star" },
	{ 13, ALLOW("source = [ \"192.0.2.1/24\" ];"), "bad-address" },
	{ 13, ALLOW("source = [ \"192.0.2.0/33\" ];"), "bad-address" },
	{ 13, ALLOW("time = [ \"Mon-Fri 8:00-18:00\" ];"), "bad-time" },
	{ 13, ALLOW("time = [ \"Fri 22:00-06:00\" ];"), "bad-time" },
	{ 13, ALLOW("max_rows = 5;"), "wrong-type" },
	{ 13, ALLOW("max_bytes = \"5MB\";"), "bad-amount" },
	{ 13, ALLOW("oracle = true;"), "wrong-type" },
	{ 13, ALLOW("acton = \"block\";"), "unknown-name" },
	{ 13, "{ id = \"read\"; who = [ \"*\", \"agents\" ]; service = [ \"db\" ]; verbs = [ \"select\" ]; action = \"allow\"; mask = [ \"email\" ]; },", "star" },
	{ 13, "{ id = \"read\"; who = [ \"nobody\" ]; service = [ \"db\" ]; verbs = [ \"select\" ]; action = \"allow\"; mask = [ \"email\" ]; },", "unknown-group" },
	{ 13, "{ id = \"read\"; who = [ \"agents\" ]; service = [ \"nodb\" ]; verbs = [ \"select\" ]; action = \"allow\"; mask = [ \"email\" ]; },", "unknown-service" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"allow\"; mask = [ \"none\" ];"), "unknown-class" },
	{ 14, "{ id = \"read\"; who = [ \"agents\" ]; service = [ \"db\" ]; verbs = [ \"insert\" ]; action = \"hold\"; approval = \"one\"; } );", "duplicate-name" },
	/* Administration. */
	{ 15, "admin : { commit_approval = \"none\"; roles : { administrator = [ \"dba\" ]; }; };", "unknown-approval" },
	{ 15, "admin : { commit_approval = \"one\"; };", "lock-out" },
	{ 15, "admin : { commit_approval = \"one\"; roles : { administrator = [ \"nobody\" ]; }; };", "unknown-group" },
	{ 15, "admin : { commit_approval = \"one\"; roles : { administrator = [ \"dba\" ]; root = [ \"dba\" ]; }; };", "unknown-name" },
	{ 15, "admin : { roles : { administrator = [ \"dba\" ]; }; }; journal : { retention_records = \"1d\"; retention_payload = \"2d\"; };", "out-of-range" },
	{ 15, "admin : { destroy_approval = \"one\"; roles : { administrator = [ \"dba\" ]; }; };", "one-person" },
	{ 15, "admin : { disclose_approval = \"one\"; roles : { administrator = [ \"dba\" ]; }; };", "one-person" },
	{ 15, "admin : { disclose_approval = \"none\"; roles : { administrator = [ \"dba\" ]; }; };", "unknown-approval" },
	{ 15, "admin : { roles : { administrator = [ \"dba\" ]; investigator = [ \"nobody\" ]; }; };", "unknown-group" },
	{ 15, "admin : { destroy_approval = \"none\"; roles : { administrator = [ \"dba\" ]; }; };", "unknown-approval" },
	{ 15, "admin : { roles : { administrator = [ \"dba\" ]; }; }; journal : { prune = \"approved\"; };", "never-pruned" },
	{ 15, "admin : { roles : { administrator = [ \"dba\" ]; }; }; journal : { prune = \"never\"; };", "unknown-word" },
};

static const struct row warnings[] = {
	{ 5, GROUP("agent = [ \"*\" ];"), "wide-agent" },
	{ 5, GROUP("agent = [ \"a\" ]; }, { name = \"idle\"; agent = [ \"b\" ];"), "unused" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; tls = \"optional\";"), "tls-not-required" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; on_stale_revocation = \"allow\";"), "stale-allowed" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; on_journal_full = \"digest\";"), "digest-when-full" },
	{ 8, SERVICE("listen = [ \"192.0.2.10:5432\" ]; }, { name = \"db2\"; protocol = \"postgres\"; listen = [ \"192.0.2.11:5432\" ]; upstream_name = \"b\"; login = \"c\";"), "service-without-rule" },
	{ 9, "{ name = \"ntp\"; protocol = \"pass\"; listen = [ \"192.0.2.1:123/udp\" ]; reason = \"x\"; } );", "not-inspected" },
	{ 9, "{ name = \"ntp\"; protocol = \"pass\"; listen = [ \"192.0.2.1:123/udp\" ]; reason = \"x\"; fail = \"open\"; } );", "fail-open" },
	{ 9, "{ name = \"ssh\"; protocol = \"pass\"; listen = [ \"192.0.2.10:22\" ]; reason = \"x\"; } );", "pass-at-guarded" },
	{ 9, "{ name = \"p\"; protocol = \"pass\"; vlan = 5; listen = [ \"192.0.2.10:5432\" ]; reason = \"x\"; } );", "listener-vlan" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; }, { name = \"x\"; columns = [ \"**\" ]; } );", "unused" },
	{ 10, "classes = ( { name = \"email\"; columns = [ \"db.public.t.email\" ]; } ); budgets = ( { name = \"b\"; per = \"run\"; window = \"1h\"; rows = \"5\"; on_exceed = \"block\"; } );", "budget-not-enforced" },
	{ 11, APPROVAL("need = [ \"dba:1\" ]; expires = \"15m\"; use_by = \"5m\"; params = \"free\";"), "params-free" },
	{ 11, APPROVAL("need = [ \"dba:1\" ]; expires = \"15m\"; use_by = \"5m\"; }, { name = \"two\"; need = [ \"dba:2\" ]; expires = \"15m\"; use_by = \"5m\";"), "unused" },
	{ 13, ALLOW("objects = [ \"public.t\" ];"), "object-levels" },
	{ 13, ALLOW("objects = [ \"db.public.Customer\" ];"), "object-capital" },
	{ 13, ALLOW("except_who = [ \"agents\" ];"), "never-matches" },
	{ 13, ALLOW("objects = [ \"db.public.t\" ]; except_objects = [ \"db.public.t\" ];"), "never-matches" },
	{ 13, ALLOW("}, { id = \"p\"; who = [ \"*\" ]; service = [ \"ntp\" ]; verbs = [ \"*\" ]; action = \"allow\";"), "never-matches" },
	{ 13, ALLOW("}, { id = \"b\"; who = [ \"*\" ]; service = [ \"*\" ]; verbs = [ \"select\" ]; action = \"block\";"), "covered" },
	{ 13, ALLOW("}, { id = \"r2\"; who = [ \"agents\" ]; service = [ \"db\" ]; verbs = [ \"select\" ]; objects = [ \"db.public.t\" ]; action = \"allow\";"), "covered" },
	{ 13, RULE("verbs = [ \"*\" ]; action = \"allow\"; mask = [ \"email\" ];"), "allow-dynamic" },
	{ 13, RULE("verbs = [ \"select\", \"grant\" ]; action = \"allow\"; mask = [ \"email\" ];"), "allow-grant" },
	{ 13, ALLOW("mode = \"observe\";"), "observe-not-reported" },
	{ 13, RULE("verbs = [ \"select\" ]; action = \"allow\"; oracle = \"allow\";"), "oracle-without-mask" },
	{ 13, RULE("verbs = [ \"set\", \"ddl\" ]; action = \"allow\"; max_rows = \"5\";"), "limit-not-counted" },
	{ 13, "{ id = \"read\"; who = [ \"agents\" ]; service = [ \"ntp\" ]; verbs = [ \"select\" ]; action = \"allow\"; max_bytes = \"5k\"; },", "limit-not-counted" },
	{ 13, RULE("verbs = [ \"select\", \"truncate\" ]; action = \"allow\"; max_rows = \"5\";"), "limit-blocks" },
	{ 15, "", "no-admin" },
	{ 15, "admin : { roles : { administrator = [ \"dba\" ]; }; };", "no-commit-approval" },
	{ 15, "admin : { commit_approval = \"one\"; roles : { administrator = [ \"dba\" ]; investigator = [ \"dba\" ]; }; };", "never-disclosed" },
};

static bool find_detector(const void *context, const char *name, struct class_bits *out)
{
	class_bits_add(out, 3);
	return strcmp(name, "email") == 0;
}

static struct config_report report;

static const struct policy_detectors detectors = { .find = find_detector };

static struct policy_tree *read_with(unsigned line, const char *text)
{
	static char file[16384];
	size_t len = 0;

	for (unsigned i = 0; i < LINES; i++)
		len += (size_t)snprintf(file + len, sizeof file - len, "%s\n", i + 1 == line ? text : good[i]);
	config_report_free(&report);
	assert_true(config_report_init(&report, "policy.cfg"));
	return policy_parse(file, len, &detectors, &report);
}

static const struct config_problem *problem(const char *id, bool warning)
{
	for (unsigned i = 0; i < report.count; i++)
		if (report.problem[i].warning == warning && (!id || strcmp(report.problem[i].id, id) == 0))
			return &report.problem[i];
	return NULL;
}

static void show(void)
{
	char text[600];

	for (unsigned i = 0; i < report.count; i++) {
		config_problem_text(&report, &report.problem[i], text, sizeof text);
		print_message("# %s\n", text);
	}
}

static void test_good(void **state)
{
	struct policy_tree *t = read_with(0, NULL);

	if (!t)
		show();
	assert_non_null(t);
	assert_int_equal(report.errors, 0);
	assert_int_equal(report.warnings, 1); /* ntp is not inspected */
	policy_close(t);
}

static void test_errors(void **state)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		const struct row *r = &errors[i];
		struct policy_tree *t = read_with(r->line, r->text);
		const struct config_problem *p = problem(r->id, false);

		if (t || !p || (r->id && p->line != r->line && strcmp(r->id, "lock-out") != 0)) {
			show();
			fail_msg("line %u: %s: expected [%s]", r->line, r->text, r->id ? r->id : "an error");
		}
		policy_close(t);
	}
}

static void test_warnings(void **state)
{
	for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++) {
		const struct row *r = &warnings[i];
		struct policy_tree *t = read_with(r->line, r->text);
		const struct config_problem *p = problem(r->id, true);

		if (!t || report.errors || !p || (p->line != r->line && strncmp(r->id, "no-", 3) != 0)) {
			show();
			fail_msg("line %u: %s: expected warning [%s]", r->line, r->text, r->id);
		}
		policy_close(t);
	}
}

/* A section with `count` entries, none of them good. */
static bool is_too_many(const char *section, unsigned count)
{
	char *text = malloc(LIMIT_POLICY_FILE_BYTES + 1);
	size_t len = (size_t)snprintf(text, LIMIT_POLICY_FILE_BYTES, "%s = ( ", section);
	const struct config_problem *p;

	for (unsigned i = 0; i < count; i++, len += 3)
		memcpy(text + len, "{},", 3);
	memcpy(text + len - 1, ");", 3);
	len++;
	config_report_free(&report);
	assert_true(config_report_init(&report, "policy.cfg"));
	assert_null(policy_parse(text, len, &detectors, &report));
	free(text);
	p = problem("too-many", false);
	return p && strstr(p->text, section) && strstr(p->text, "has more than");
}

static void test_too_many(void **state)
{
	static const struct {
		const char *section;
		unsigned max;
	} rows[] = {
		{ "issuers", LIMIT_ISSUERS }, { "groups", LIMIT_GROUPS }, { "services", LIMIT_SERVICES }, { "classes", LIMIT_CLASSES },
		{ "budgets", LIMIT_CLASSES }, { "approvals", LIMIT_APPROVALS }, { "rules", LIMIT_RULES },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_false(is_too_many(rows[i].section, rows[i].max));
		assert_true(is_too_many(rows[i].section, rows[i].max + 1));
	}
}

/* A block rule with one more condition than the other covers nothing. */
static void test_not_covered(void **state)
{
	static const char *const conditions[] = {
		"purpose = [ \"audit\" ];", "time = [ \"Mon 08:00-09:00\" ];", "source = [ \"192.0.2.0/24\" ];", "pattern = \"card\";",
		"flags = [ \"unbounded\" ];", "objects = [ \"db.public.*\" ];", "except_objects = [ \"db.public.t\" ];", "except_who = [ \"dba\" ];",
		"mode = \"observe\";",
	};
	char rule[1024];

	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		snprintf(rule, sizeof rule, ALLOW("}, { id = \"b\"; who = [ \"*\" ]; service = [ \"*\" ]; verbs = [ \"select\" ]; action = \"block\"; %s"),
			 conditions[i]);
		policy_close(read_with(13, rule));
		if (report.errors || problem("covered", true)) {
			show();
			fail_msg("%s", conditions[i]);
		}
	}
}

static void test_listen(void **state)
{
	static const char *const bad[] = { "", ":", "1.2.3.4:", "1.2.3.4:05", "1.2.3.4:5/sctp", "[2001:db8::1]", "[2001:db8::1]5432", "[1.2.3.4]:5", "1.2.3.4:5:6",
					   "1.2.3:5", "1.2.3.256:5", " 1.2.3.4:5", "[::]:5", "[::1]:5", "[ff02::1]:5", "127.0.0.1:5", "255.255.255.255:5", "]:5", "[:5" };
	struct spec_listener l;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!policy_parse_listen(bad[i], &l))
			fail_msg("\"%s\"", bad[i]);
	assert_null(policy_parse_listen("[2001:db8::1]:5432/tcp", &l));
	assert_true(l.family == 6 && l.port == 5432 && l.transport == POLICY_TCP && l.address[15] == 1);
	assert_null(policy_parse_listen("192.0.2.1:123/udp", &l));
	assert_true(l.family == 4 && l.port == 123 && l.transport == POLICY_UDP && l.address[3] == 1);
}

static void test_source_and_time(void **state)
{
	struct spec_window w[7];
	struct spec_source s;
	const char *why;

	assert_null(policy_parse_source("10.1.0.0/16", &s));
	assert_true(s.family == 4 && s.bits == 16);
	assert_null(policy_parse_source("10.1.2.3", &s));
	assert_int_equal(s.bits, 32);
	assert_null(policy_parse_source("0.0.0.0/0", &s));
	assert_null(policy_parse_source("2001:db8::/32", &s));
	assert_true(s.family == 6 && s.bits == 32);
	assert_non_null(policy_parse_source("10.1.0.0/", &s));
	assert_non_null(policy_parse_source("10.1.0.0/08", &s));
	assert_non_null(policy_parse_source("10.1.0.0/16/1", &s));
	assert_int_equal(policy_parse_time("Mon-Fri 08:00-18:00", w, &why), 5);
	assert_true(w[0].start == 480 && w[0].end == 1080 && w[4].start == 4 * 1440 + 480);
	assert_int_equal(policy_parse_time("Fri-Mon 00:00-24:00", w, &why), 4);
	assert_true(w[3].start == 0 && w[3].end == 1440 && w[2].end == 10080);
	assert_int_equal(policy_parse_time("Sun 10:00-10:01", w, &why), 1);
	for (const char *const *bad = (const char *const[]){ "", "Mon", "Mon 08:00", "mon 08:00-09:00", "Mon-Moo 08:00-09:00", "Mon 08:60-09:00", "Mon 24:00-24:00",
							     "Mon 08:00-24:01", "Mon 08:00-09:00 ", "Mon  08:00-09:00", "Mon-Fri08:00-09:00", "Mon- 08:00-09:00", NULL }; *bad; bad++)
		if (policy_parse_time(*bad, w, &why) || !why)
			fail_msg("\"%s\"", *bad);
}

static int done(void **state)
{
	config_report_free(&report);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_errors), cmocka_unit_test(test_warnings), cmocka_unit_test(test_not_covered), cmocka_unit_test(test_listen),
		cmocka_unit_test(test_source_and_time), cmocka_unit_test(test_too_many),
	};

	return cmocka_run_group_tests_name("policy check", tests, NULL, done);
}
