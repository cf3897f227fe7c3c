/* Each question of controls.def is asked of a record that answers yes and of one that answers no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "control/export/report.h"

#define POLICY "\"pol\":\"90c636cd544827a47670366036ad52ca796fee10fba3c69163ebd66316228f26\","
#define WHO "\"who\":{\"agent\":\"agent-7\",\"person\":\"p-alice\",\"sub\":\"alice\"}"
#define NOBODY "\"who\":{\"agent\":\"unknown\",\"person\":\"unknown\",\"sub\":\"unknown\"}"
#define REST "\"node\":\"a\",\"sess\":\"ab34\",\"svc\":\"shop\",\"ts\":\"2026-11-29T19:05:15.676192Z\","
#define OPEN "{\"t\":\"session.open\",\"src\":{\"addr\":\"10.0.0.2\",\"port\":1}," REST WHO "}"
#define COMMAND(verdict, more, who) "{\"t\":\"cmd\",\"op\":{\"norm\":\"select $1\",\"verb\":\"select\"},\"out\":{\"verdict\":\"" verdict "\"}," POLICY more REST who "}"
#define HOLD "{\"t\":\"hold\",\"n\":4,\"op\":{\"norm\":\"delete\",\"verb\":\"delete\"},\"out\":{\"verdict\":\"held\"}," POLICY "\"rules\":[\"r\"]," REST WHO "}"
#define APPROVAL(what, more, who) "{\"t\":\"approval." what "\",\"appr\":{\"h\":\"cf\",\"id\":\"48zs\"},\"ref\":4," more REST who "}"
#define VOTE "\"data\":{\"extra\":{\"doc\":{\"reason\":\"<b>why\",\"vote\":\"approve\"}}},"
#define RESPONSE(more) "{\"t\":\"resp\",\"ref\":4,\"out\":{" more "}," REST WHO "}"

#define HASH "90c636cd544827a47670366036ad52ca796fee10fba3c69163ebd66316228f26"
#define HASH_REST "0c636cd544827a47670366036ad52ca796fee10fba3c69163ebd66316228f26"
#define PRUNE(end, root, sealed, policy) "{\"t\":\"journal.prune\",\"data\":{\"end\":" end ",\"first\":256,\"root\":\"" root "\",\"sealed\":\"" sealed "\"}," policy REST WHO "}"
#define AT "2026-01-01T00:00:00.000000Z"
#define KEYS(type, members) "{\"t\":\"key." type "\",\"data\":{" members "}," REST WHO "}"
#define PAYLOAD(piece) "{\"t\":\"resp\",\"pl\":[{" piece "}]," REST WHO "}"

static struct sessions *sessions;
static struct assess assess;

static int make(void **state)
{
	sessions = sessions_create(NULL);
	return sessions && assess_create(&assess) ? 0 : -1;
}

static int drop(void **state)
{
	assess_destroy(&assess);
	sessions_destroy(sessions);
	return 0;
}

static void add(const char *record)
{
	struct event e;

	assert_true(event_open(sessions, assess.records, bytes_str(record), &e));
	assess_event(&assess, &e);
	event_close(&e);
}

static const struct assess_control *control(const char *id)
{
	for (unsigned i = 0; i < assess.controls; i++)
		if (strcmp(assess.control[i].id, id) == 0)
			return &assess.control[i];
	fail_msg("no control %s", id);
	return NULL;
}

static const struct {
	const char *id, *record[5]; /* the last one is the one that is judged */
	bool broken;
} rows[] = {
	{ "ac-3", { COMMAND("forwarded", "\"rules\":[\"r\"],", WHO) }, false },
	{ "ac-3", { COMMAND("forwarded", "", WHO) }, true },
	{ "ac-3.2", { HOLD, APPROVAL("request", "", WHO), APPROVAL("consume", "", WHO), RESPONSE("\"verdict\":\"forwarded\"") }, false },
	{ "ac-3.2", { HOLD, RESPONSE("\"verdict\":\"blocked\"") }, false },
	{ "ac-3.2", { HOLD, APPROVAL("request", "", WHO), RESPONSE("\"verdict\":\"forwarded\"") }, true },
	{ "ac-4.23", { RESPONSE("\"masked\":{\"pii.email\":2,\"pii.ssn\":1},\"masked_cells\":3,\"verdict\":\"masked\"") }, false },
	{ "ac-4.23", { RESPONSE("\"masked\":{\"pii.email\":2},\"masked_cells\":3,\"verdict\":\"masked\"") }, true },
	{ "ac-5", { APPROVAL("request", "", WHO), APPROVAL("vote", VOTE, "\"who\":{\"person\":\"p-bob\"}") }, false },
	{ "ac-5", { APPROVAL("request", "", WHO), APPROVAL("vote", VOTE, WHO) }, true },
	{ "ac-6.9", { "{\"t\":\"admin.set\"," REST WHO "}" }, false },
	{ "ac-6.9", { "{\"t\":\"admin.set\"," REST NOBODY "}" }, true },
	{ "ac-12", { "{\"t\":\"session.close\",\"data\":{\"cause\":\"client\"}," REST WHO "}" }, false },
	{ "ac-12", { "{\"t\":\"session.close\",\"data\":{\"cause\":\"\"}," REST WHO "}" }, true },
	{ "au-3", { OPEN, COMMAND("forwarded", "", WHO) }, false },
	{ "au-3", { COMMAND("forwarded", "", WHO) }, true },
	{ "au-3.3", { COMMAND("forwarded", "", WHO) }, false },
	{ "au-3.3", { "{\"t\":\"cmd\",\"op\":{\"norm\":\"select 'ada@calc.io'\"}," REST WHO "}" }, true },
	{ "au-8", { OPEN }, false },
	{ "au-8", { "{\"t\":\"cmd\",\"ts\":\"2026-11-29T19:05:15+01:00\"}" }, true },
	{ "au-14", { "{\"t\":\"read.replay\"," REST WHO "}" }, false },
	{ "au-14", { "{\"t\":\"read.replay\"," REST NOBODY "}" }, true },
	{ "cm-5.1", { "{\"t\":\"policy.commit\",\"data\":{\"hash\":\"90c636cd544827a47670366036ad52ca796fee10fba3c69163ebd66316228f26\",\"parent\":"
		      "\"0000000000000000000000000000000000000000000000000000000000000000\"}," REST WHO "}" }, false },
	{ "cm-5.1", { "{\"t\":\"policy.commit\",\"data\":{\"hash\":\"90c6\"}," REST WHO "}" }, true },
	{ "ia-2", { COMMAND("forwarded", "", WHO) }, false },
	{ "ia-2", { COMMAND("forwarded", "", NOBODY) }, true },
	{ "au-5", { "{\"t\":\"journal.stop\",\"data\":{\"cause\":\"full\"}," REST WHO "}", "{\"t\":\"journal.resume\",\"data\":{\"cause\":\"full\",\"seconds\":\"7\"}," REST WHO "}" }, false },
	{ "au-5", { "{\"t\":\"journal.stop\",\"data\":{\"cause\":\"\"}," REST WHO "}" }, true },
	{ "au-5", { "{\"t\":\"journal.resume\",\"data\":{\"cause\":\"\",\"seconds\":\"7\"}," REST WHO "}" }, true },
	{ "au-5", { "{\"t\":\"journal.resume\",\"data\":{\"cause\":\"full\"}," REST WHO "}" }, true },
	{ "au-9.3", { PAYLOAD("\"enc\":\"gcm\",\"h\":\"" HASH "\"") }, false },
	{ "au-9.3", { PAYLOAD("\"h\":\"90c6\"},{\"h\":\"" HASH "\"") }, true }, /* one of them */
	{ "au-9.3", { PAYLOAD("\"h\":\"G" HASH_REST "\"") }, true },
	{ "au-9.3", { PAYLOAD("\"enc\":\"gcm\",\"h\":\"90c6\"") }, true },
	{ "au-11", { PRUNE("512", HASH, AT, POLICY) }, false },
	{ "au-11", { PRUNE("256", HASH, AT, POLICY) }, true }, /* of nothing */
	{ "au-11", { PRUNE("512", "90c6", AT, POLICY) }, true },
	{ "au-11", { PRUNE("512", HASH, "", POLICY) }, true },
	{ "au-11", { PRUNE("512", HASH, AT, "") }, true },
	{ "au-12", { "{\"t\":\"node.tick\",\"data\":{\"commands\":7,\"recorded\":7}," REST WHO "}" }, false },
	{ "au-12", { "{\"t\":\"node.tick\",\"data\":{\"commands\":7,\"recorded\":6}," REST WHO "}" }, true },
	{ "au-12", { "{\"t\":\"node.tick\",\"data\":{\"commands\":6,\"recorded\":7}," REST WHO "}" }, true },
	{ "au-12", { "{\"t\":\"node.tick\",\"data\":{\"commands\":0}," REST WHO "}" }, true },
	{ "cm-3", { "{\"t\":\"policy.commit\",\"data\":{\"source\":\"" HASH "\"},\"pl\":[{\"h\":\"" HASH "\"}]," REST WHO "}" }, false },
	{ "cm-3", { "{\"t\":\"policy.commit\",\"data\":{\"source\":\"" HASH "\"}," REST WHO "}" }, true },
	{ "cm-3", { "{\"t\":\"policy.commit\",\"data\":{\"source\":\"90c6\"},\"pl\":[{\"h\":\"" HASH "\"}]," REST WHO "}" }, true },
	{ "sc-12", { KEYS("rotate", "\"new\":\"l+1\",\"old\":\"l+0\",\"step\":\"begin\"") }, false },
	{ "sc-12", { KEYS("rotate", "\"old\":\"l+0\",\"step\":\"prepare\"") }, false },
	{ "sc-12", { KEYS("rotate", "\"old\":\"l+0\",\"step\":\"begin\"") }, true },
	{ "sc-12", { KEYS("rotate", "\"new\":\"l+1\",\"step\":\"begin\"") }, true },
	{ "sc-12", { KEYS("rotate", "\"new\":\"l+1\",\"old\":\"l+0\"") }, true },
	{ "sc-12", { KEYS("destroy", "\"day\":\"2026-01-01\",\"reason\":\"retention_payload of the policy\"") }, false },
	{ "sc-12", { KEYS("destroy", "\"key_h\":\"" HASH "\",\"reason\":\"asked for\"") }, false },
	{ "sc-12", { KEYS("destroy", "\"old\":\"l+0\",\"reason\":\"rotated\"") }, false },
	{ "sc-12", { KEYS("destroy", "\"key_h\":\"" HASH "\"") }, true },
	{ "sc-12", { KEYS("destroy", "\"reason\":\"asked for\"") }, true },
	{ "sc-28.1", { PAYLOAD("\"enc\":\"gcm\",\"h\":\"" HASH "\"") }, false },
	{ "sc-28.1", { PAYLOAD("\"h\":\"" HASH "\"") }, true },
	{ "sc-28.1", { PAYLOAD("\"h\":\"" HASH "\"},{\"enc\":\"gcm\",\"h\":\"" HASH "\"") }, true }, /* one of them */
	{ "sc-7.5", { COMMAND("blocked", "", WHO) }, false },
	{ "sc-7.5", { COMMAND("forwarded", "", WHO) }, true },
};

static void each_question_can_be_answered_no(void **state)
{
	uint64_t asked = 0; /* a bit for each control */

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct assess_control *c;
		unsigned last = 0;

		assess_destroy(&assess);
		sessions_destroy(sessions);
		assert_int_equal(make(NULL), 0);
		for (; last < 5 && rows[i].record[last]; last++)
			add(rows[i].record[last]);
		c = control(rows[i].id);
		if (c->examined == 0 || (c->broken > 0) != rows[i].broken)
			fail_msg("row %zu, %s: examined %llu, broken %llu", i, rows[i].id, (unsigned long long)c->examined, (unsigned long long)c->broken);
		if (rows[i].broken)
			assert_int_equal(c->fault[c->broken - 1], last - 1);
		asked |= (uint64_t)rows[i].broken << (c - assess.control);
	}
	assert_int_equal(asked, (1ull << assess.controls) - 1); /* no question without a no */
}

static char *page(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	assert_true(report_html(&assess, "example/log", out));
	fclose(out);
	return text;
}

static void the_page_tells_it_and_escapes(void **state)
{
	char *text;

	add(OPEN);
	add("{\"t\":\"cmd\",\"op\":{\"norm\":\"drop table \\\"<script>\\\" & \\u0007\",\"verb\":\"ddl\"},\"out\":{\"verdict\":\"blocked\"},\"rules\":[\"no-ddl\"]," REST WHO "}");
	add(HOLD);
	add(APPROVAL("request", "", WHO));
	add(APPROVAL("vote", VOTE, "\"who\":{\"person\":\"p-bob\"}"));
	add(APPROVAL("grant", "\"data\":{\"to\":\"approved\"},", "\"who\":{\"person\":\"p-bob\"}"));
	text = page();
	assert_non_null(strstr(text, "drop table &quot;&lt;script&gt;&quot; &amp; \\x07</code></td> <td><span class=\"label\">&#183; rule </span>no-ddl</td>"));
	assert_non_null(strstr(text, "<a href=\"proofs/entry-1.json\">1</a>"));
	assert_non_null(strstr(text, "<span class=\"label\">&#183; outcome </span>approved</td> <td>p-bob: approve <span class=\"quiet\">&lt;b&gt;why</span>"));
	assert_non_null(strstr(text, "session <code>ab34</code>"));
	assert_non_null(strstr(text, "<figcaption>Commands by verdict"));
	assert_null(strstr(text, "<figcaption>Masked values")); /* no chart of nothing */
	assert_null(strstr(text, "<script>"));
	assert_null(strstr(text, "http"));
	free(text);
}

static const char *state_of(const json_t *document, const char *objective)
{
	const json_t *result = json_array_get(json_object_get(json_object_get(document, "assessment-results"), "results"), 0), *finding;
	size_t i;

	json_array_foreach(json_object_get(result, "findings"), i, finding) {
		const json_t *target = json_object_get(finding, "target");

		if (strcmp(json_string_value(json_object_get(target, "target-id")), objective) == 0)
			return json_string_value(json_object_get(json_object_get(target, "status"), "state"));
	}
	return "absent";
}

static void oscal_says_what_was_found_and_nothing_else(void **state)
{
	json_t *document, *again;

	assert_null(report_oscal(&assess, "example/log", "2026-11-29T20:00:00Z"));
	add(OPEN);
	add(COMMAND("forwarded", "", WHO));
	document = report_oscal(&assess, "example/log", "2026-11-29T20:00:00Z");
	again = report_oscal(&assess, "example/log", "2026-11-29T20:00:00Z");
	assert_non_null(document);
	assert_true(json_equal(document, again));
	assert_string_equal(state_of(document, "au-3_obj"), "satisfied");
	assert_string_equal(state_of(document, "ac-3_obj"), "not-satisfied");
	assert_string_equal(state_of(document, "ac-12_obj"), "absent");
	json_decref(document);
	json_decref(again);
}

#define MADE(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MADE(each_question_can_be_answered_no), MADE(the_page_tells_it_and_escapes), MADE(oscal_says_what_was_found_and_nothing_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
