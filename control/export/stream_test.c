/* The forms for other systems, from records as the journal has them. What OCSF requires of each class stands in `required`
 * (schema.ocsf.io, 1.8.0). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/export/cef.h"
#include "control/export/ocsf.h"

#define SESSION "\"sess\":\"ab34accdc617e247f0d4ad1d27281a19\",\"svc\":\"shop-db\","
#define WHO "\"who\":{\"agent\":\"agent-7\",\"iss\":\"https://idp\",\"person\":\"p-alice\",\"run\":\"run-7\",\"sub\":\"alice\"}"
#define TIME "\"ts\":\"2026-11-29T19:05:15.676192Z\","
#define OPEN "{\"dst\":{\"addr\":\"10.0.0.10\",\"port\":5432,\"vlan\":210},\"node\":\"a\"," SESSION \
	     "\"src\":{\"addr\":\"10.0.0.2\",\"port\":48844,\"vlan\":210},\"t\":\"session.open\"," TIME "\"v\":1," WHO "}"
#define COMMAND(verb, verdict, norm) \
	"{\"node\":\"a\",\"op\":{\"norm\":\"" norm "\",\"objs\":{\"read\":[],\"write\":[\"orders\"]},\"verb\":\"" verb "\"},\"out\":{\"reason\":\"none\",\"verdict\":\"" \
	verdict "\"},\"pol\":\"90c6\",\"rules\":[\"r-1\"]," SESSION "\"t\":\"cmd\"," TIME "\"v\":1," WHO "}"
#define TYPED(type, more) "{" more "\"node\":\"a\"," SESSION "\"t\":\"" type "\"," TIME "\"v\":1," WHO "}"

static struct sessions *sessions;

static int make(void **state)
{
	sessions = sessions_create(NULL);
	return sessions ? 0 : -1;
}

static int drop(void **state)
{
	sessions_destroy(sessions);
	return 0;
}

static struct event opened(const char *record)
{
	struct event e;

	assert_true(event_open(sessions, 7, bytes_str(record), &e));
	return e;
}

static void remember_session(void)
{
	struct event e = opened(OPEN);

	event_close(&e);
}

static int64_t number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* The members that the schema requires of a class, by name. */
static const struct {
	int class_uid;
	const char *members[6];
} required[] = {
	{ 2004, { "finding_info" } },
	{ 2006, { "finding_info" } },
	{ 3002, { "user", "service" } },
	{ 3003, { "user", "privileges" } },
	{ 4001, { "dst_endpoint" } },
	{ 6002, { "app" } },
	{ 6003, { "actor", "api", "src_endpoint" } },
	{ 6005, { "actor", "src_endpoint", "database" } },
};

static void check_event(const json_t *event, const char *what)
{
	static const char *const always[] = { "activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid" };
	int64_t class_uid = number(event, "class_uid");
	bool known = false;

	for (size_t i = 0; i < sizeof always / sizeof *always; i++)
		if (!json_object_get(event, always[i]))
			fail_msg("%s: no %s", what, always[i]);
	assert_int_equal(number(event, "category_uid"), class_uid / 1000);
	assert_int_equal(number(event, "type_uid"), class_uid * 100 + number(event, "activity_id"));
	assert_int_equal(number(event, "time"), 1795979115676);
	for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
		if (required[i].class_uid != class_uid)
			continue;
		known = true;
		for (unsigned m = 0; m < 6 && required[i].members[m]; m++)
			if (!json_object_get(event, required[i].members[m]))
				fail_msg("%s: class %lld without %s", what, (long long)class_uid, required[i].members[m]);
	}
	if (!known)
		fail_msg("%s: class %lld", what, (long long)class_uid);
}

static void ocsf_class_and_decision(void **state)
{
	static const struct {
		const char *record;
		int class_uid, activity, action, disposition;
		unsigned events;
	} rows[] = {
		{ OPEN, 4001, 1, 1, 1, 1 },
		{ TYPED("session.close", "\"data\":{\"cause\":\"client\"},"), 4001, 2, 1, 1, 1 },
		{ TYPED("auth.ok", "\"data\":{\"database\":\"shop\"},"), 3002, 1, 1, 1, 1 },
		{ TYPED("auth.fail", "\"data\":{\"reason\":\"aud_wrong\"},"), 3002, 1, 2, 25, 1 },
		{ COMMAND("select", "forwarded", "select 1"), 6005, 4, 1, 1, 1 },
		{ COMMAND("insert", "forwarded", "insert"), 6005, 5, 1, 1, 1 },
		{ COMMAND("delete", "blocked", "delete"), 6005, 7, 2, 2, 2 },
		{ COMMAND("ddl", "blocked", "drop table t"), 6005, 99, 2, 2, 2 },
		{ TYPED("resp", "\"out\":{\"code\":\"00000\",\"masked\":{\"pii.email\":3},\"masked_cells\":3,\"rows\":3,\"tag\":\"SELECT 3\",\"verdict\":\"masked\"},"),
		  6005, 4, 4, 11, 2 },
		{ TYPED("hold", "\"op\":{\"norm\":\"delete\",\"verb\":\"delete\"},\"out\":{\"verdict\":\"held\"},"), 6005, 7, 99, 14, 1 },
		{ TYPED("approval.grant", "\"appr\":{\"h\":\"cf4b\",\"id\":\"48zs\"},"), 3003, 1, 1, 8, 1 },
		{ TYPED("approval.deny", "\"appr\":{\"h\":\"cf4b\",\"id\":\"48zs\"},"), 3003, 99, 2, 25, 1 },
		{ TYPED("policy.commit", ""), 6002, 8, 1, 1, 1 },
		{ TYPED("read.search", ""), 6003, 2, 1, 1, 1 },
		{ TYPED("kill", ""), 6003, 4, 2, 24, 2 },
		{ TYPED("something.new", ""), 6002, 99, 1, 1, 1 },
	};
	struct ocsf o = { .origin = "example/log" };

	for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++) {
		size_t row = i / 2;
		json_t *events[OCSF_EVENTS_MAX];
		struct event e;
		unsigned n;

		assert_true(ocsf_schema(&o, i % 2 ? "1.9.0-dev" : "1.8.0"));
		remember_session();
		e = opened(rows[row].record);
		n = ocsf_events(&o, &e, bytes_str(rows[row].record), events);
		assert_int_equal(n, rows[row].events);
		for (unsigned k = 0; k < n; k++)
			check_event(events[k], rows[row].record);
		if (number(events[0], "class_uid") != rows[row].class_uid || number(events[0], "activity_id") != rows[row].activity ||
		    number(events[0], "action_id") != rows[row].action || number(events[0], "disposition_id") != rows[row].disposition)
			fail_msg("row %zu: class %lld, activity %lld, action %lld, disposition %lld", row, (long long)number(events[0], "class_uid"),
				 (long long)number(events[0], "activity_id"), (long long)number(events[0], "action_id"), (long long)number(events[0], "disposition_id"));
		for (unsigned k = 0; k < n; k++)
			json_decref(events[k]);
		event_close(&e);
	}
	assert_false(ocsf_schema(&o, "1.7.0"));
}

/* A command's record does not say where it came from; its session's first record does. */
static void a_session_lends_its_addresses(void **state)
{
	struct event e;

	e = opened(COMMAND("select", "forwarded", "select 1"));
	assert_string_equal(e.source.address, "");
	event_close(&e);
	remember_session();
	e = opened(COMMAND("select", "forwarded", "select 1"));
	assert_string_equal(e.source.address, "10.0.0.2");
	assert_int_equal(e.target.port, 5432);
	assert_string_equal(e.person, "p-alice");
	event_close(&e);
}

static void what_is_unknown_is_left_out(void **state)
{
	struct event e = opened("{\"t\":\"node.boot\",\"who\":{\"agent\":\"unknown\",\"person\":\"unknown\"}}");

	assert_string_equal(e.agent, "");
	assert_string_equal(e.person, "");
	assert_int_equal(e.time_ms, 0);
	event_close(&e);
	assert_false(event_open(sessions, 0, bytes_str("[1]"), &e));
	assert_false(event_open(sessions, 0, bytes_str("{\"t\":"), &e));
	assert_false(event_open(sessions, 0, bytes_str("{\"t\":\"a\",\"t\":\"b\"}"), &e));
}

static char *cef(const char *record, char *text, size_t size)
{
	struct writer w = writer_of(text, size - 1);
	struct event e = opened(record);

	assert_true(cef_write("example/log", &e, &w));
	text[w.len] = 0;
	event_close(&e);
	return text;
}

static void cef_escapes(void **state)
{
	char text[CEF_LINE_BYTES];

	cef(COMMAND("del|ete", "blocked", "a=b\\\\c\\nd|e \\u0001"), text, sizeof text);
	assert_non_null(strstr(text, "CEF:0|Sluice|Sluice|" SLUICE_VERSION "|cmd|del\\|ete|6|rt=1795979115676 externalId=example/log#7 "));
	assert_non_null(strstr(text, " msg=a\\=b\\\\c\\nd|e "));
	assert_null(strchr(text, '\n'));
	assert_null(strchr(text, 1));
}

static void cef_cuts_what_is_too_long(void **state)
{
	static char record[3 * CEF_TEXT_BYTES], long_text[2 * CEF_TEXT_BYTES];
	char text[CEF_LINE_BYTES];

	memset(long_text, 'x', sizeof long_text - 1);
	snprintf(record, sizeof record, "{\"op\":{\"norm\":\"%s\",\"verb\":\"select\"},\"t\":\"cmd\"}", long_text);
	cef(record, text, sizeof text);
	assert_true(strlen(text) < CEF_TEXT_BYTES + 512);
	assert_string_equal(text + strlen(text) - 4, "x...");
}

static void syslog_message(void **state)
{
	static char long_message[SYSLOG_MESSAGE_BYTES + 2];
	char text[CEF_LINE_BYTES];
	struct writer w = writer_of(text, sizeof text - 1);
	struct event e = opened(COMMAND("ddl", "bl]o\\\"cked", "x"));

	assert_true(syslog_write("example/log", &e, bytes_str("{}"), &w));
	text[w.len] = 0;
	assert_string_equal(text, "<110>1 2026-11-29T19:05:15.676192Z a sluice - cmd [sluice@32473 idx=\"7\" origin=\"example/log\" type=\"cmd\" "
				  "sess=\"ab34accdc617e247f0d4ad1d27281a19\" verdict=\"bl\\]o\\\"cked\"] {}");
	memset(long_message, 'm', sizeof long_message - 1);
	w = writer_of(text, sizeof text - 1);
	assert_true(syslog_write("example/log", &e, bytes_str(long_message), &w));
	text[w.len] = 0;
	assert_non_null(strstr(text, "] record 7 is too long for a message; cmd "));
	event_close(&e);
}

#define MADE(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MADE(ocsf_class_and_decision), MADE(a_session_lends_its_addresses), MADE(what_is_unknown_is_left_out), MADE(cef_escapes),
		MADE(cef_cuts_what_is_too_long), MADE(syslog_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
