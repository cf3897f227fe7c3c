/* statement_test.c: what the approvers are shown and sign: values with their types, what the requester says, data classes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "control/approval/approval_fixture.h"
#include "control/approval/remark.h"
#include "control/approval/statement.h"
#include "control/approval/values.h"
#include "platform/contract/policy_write.h"

/* --- values -------------------------------------------------------------------------------------------------------------- */

/* `h` covers count, types and bytes of every value; the rest is read out for people. */
static void the_statement_shows_the_bound_values(void **state)
{
	static const struct {
		const char *types;
		size_t types_len;
		const char *bytes;
		size_t len;
		int64_t count;
		const char *formats, *names, *values;
	} rows[] = {
		{ "", 0, "", 0, 0, "[]", "[]", "[]" },
		{ "", 0, "\0\0\0\1\0\0\0\1x", 9, 1, "[\"text\"]", "[\"undeclared\"]", "[\"'x'\"]" },
		{ "\0\0\0\27\0\0\3\357", 8, "\0\1\0\1\0\2\0\0\0\4\377\377\377\371\0\0\0\0", 18, 2, "[\"binary\",\"binary\"]", "[\"int4\",\"int4[]\"]",
		  "[\"-7\",\"'\\\\x'\"]" },
		{ "\0\0\0\0\0\0\100\102", 8, "\0\2\0\0\0\1\0\2\377\377\377\377\0\0\0\2\1\2", 18, 2, "[\"text\",\"binary\"]", "[\"undeclared\",\"oid 16450\"]",
		  "[\"NULL\",\"'\\\\x0102'\"]" },
		{ "\0\0\0\31", 4, "\0\0\0\1\0\0\0\2''", 10, 1, "[\"text\"]", "[\"text\"]", "[\"''''''\"]" },
		{ "\0\0\0\20", 4, "\0\1\0\1\0\1\0\0\0\1\1", 11, 1, "[\"binary\"]", "[\"bool\"]", "[\"true\"]" },
		{ "", 0, "\0\0\0\1\0\0\0\1\377", 9, 1, "[\"text\"]", "[\"undeclared\"]", "[\"'\\\\xff'\"]" },
		{ "", 0, "\0\2\0\1", 4, 0, "[]", "[]", "[]" },
		{ "", 0, "\0\0\0\2\0\0\0\1x", 9, 0, "[]", "[]", "[]" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct event_command e = { .raw = bytes_str("select $1"), .params = bytes_of(rows[i].bytes, rows[i].len),
						 .types = bytes_of(rows[i].types, rows[i].types_len) };
		const struct approval_command c = { .event = &e, .who = who_json(), .service = "db", .server = "s", .database = "d", .login = "l", .proto = "p",
						    .parser = "q", .policy_sha256 = policy_hash_a };
		static const struct approval a;
		static uint8_t room[STATEMENT_BYTES_MAX], nonce[16];
		struct writer out = writer_of(room, sizeof(room));
		struct bytes text = statement_write(&a, &c, nonce, "n", "o", &out);
		struct jcs_value params = jcs_get(jcs_value_of(text), "params");
		int64_t count;

		assert_null(jcs_check(text, NULL));
		assert_true(jcs_read_int(jcs_get(params, "count"), &count));
		assert_int_equal(count, rows[i].count);
		assert_true(bytes_equal(jcs_get(params, "formats").raw, bytes_str(rows[i].formats)));
		assert_true(bytes_equal(jcs_get(params, "types").raw, bytes_str(rows[i].names)));
		assert_true(bytes_equal(jcs_get(params, "values").raw, bytes_str(rows[i].values)));
	}
}

static void any_other_value_or_type_is_another_hash(void **state)
{
	static const struct {
		const char *types, *params;
		size_t types_len, params_len;
	} rows[] = {
		{ "", "\0\0\0\1\0\0\0\1x", 0, 9 },
		{ "", "\0\0\0\1\0\0\0\1y", 0, 9 },
		{ "\0\0\0\31", "\0\0\0\1\0\0\0\1x", 4, 9 },
		{ "\0\0\0\27", "\0\0\0\1\0\0\0\1x", 4, 9 },
		{ "\0\0\0\31\0\0", "\0\1\0\0\0\1x", 6, 7 }, /* the same bytes, cut elsewhere */
	};
	uint8_t hash[5][32];

	for (size_t i = 0; i < 5; i++) {
		values_hash(bytes_of(rows[i].types, rows[i].types_len), bytes_of(rows[i].params, rows[i].params_len), hash[i]);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(hash[i], hash[k], 32);
	}
}

static void values_count_towards_what_can_be_shown(void **state)
{
	static uint8_t params[LIMIT_PARAMETERS_BYTES];
	struct writer out = writer_of(params, sizeof(params));
	struct bytes types = { 0 };

	writer_str(&out, "");
	writer_be16(&out, 0);
	writer_be16(&out, 1);
	writer_be32(&out, 60000);
	for (unsigned i = 0; i < 60000; i++)
		writer_u8(&out, i < 30000 ? 'a' : '\'');
	assert_int_equal(values_shown_bytes(types, writer_done(&out), 100000), 90002);
	assert_true(values_shown_bytes(types, writer_done(&out), 90001) > 90001);
	assert_int_equal(values_shown_bytes(types, (struct bytes){ 0 }, 5), 0);
	assert_true(values_shown_bytes(types, bytes_of(params, 100), 100000) > 100000); /* cut short */
	assert_true(values_shown_bytes(types, bytes_of("\0\0\0\0x", 5), 100000) > 100000); /* more than it says */
}

/* --- what the requester says of it --------------------------------------------------------------------------------------- */

static void reason_and_ticket_stand_in_the_last_comment(void **state)
{
	static const struct {
		const char *text, *reason, *ticket;
	} rows[] = {
		{ "DELETE FROM t /*reason='duplicate%20entry',ticket='CHG-20417'*/", "duplicate entry", "CHG-20417" },
		{ "/* ticket='A-1' , app='x' */ DELETE FROM t", "", "A-1" },
		{ "/*reason='first'*/ DELETE /*reason='last'*/ FROM t -- reason='line'", "last", "" },
		{ "DELETE FROM t /*reason='it\\'s'*/;", "it's", "" },
		{ "DELETE FROM t /* outer /*reason='inner'*/ */", "", "" },
		/* Not a comment, or not of this form. */
		{ "SELECT '/*reason=''a''*/'", "", "" },
		{ "SELECT $$/*reason='a'*/$$", "", "" },
		{ "SELECT \"/*reason='a'*/\"", "", "" },
		{ "-- /*reason='a'*/\nSELECT 1", "", "" },
		{ "SELECT 1", "", "" },
		{ "SELECT 1 /* why: because */", "", "" },
		{ "SELECT 1 /*reason='a',reason='b'*/", "", "" },
		{ "SELECT 1 /*reason='a' ticket='b'*/", "", "" },
		{ "SELECT 1 /*reason='a%2*/", "", "" },
		{ "SELECT 1 /*reason='%zz',ticket='T'*/", "", "" },
		{ "SELECT 'open /*reason='a'*/", "", "" },
		/* Shown to people: nothing that moves a cursor, hides or is markup. */
		{ "SELECT 1 /*reason='%1b[2Jok%00%3cb%3e%E2%80%AE'*/", " [2Jok  b    ", "" },
		{ "SELECT 1 /*ticket='xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'*/", "", "(longer than 64 characters)" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct remark r = remark_read(bytes_str(rows[i].text));

		assert_string_equal(r.reason, rows[i].reason);
		assert_string_equal(r.ticket, rows[i].ticket);
	}
}

static void the_signed_statement_has_them(void **state)
{
	struct principal *alice = somebody("alice", "agent-7", "agents");
	struct approval *a = held_by(alice, "dba:1", 3, "DELETE FROM orders /*reason='clean%20up',ticket='CHG-1'*/", 900);
	struct jcs_value s;

	assert_non_null(a);
	s = jcs_value_of(bytes_of(a->statement, a->statement_len));
	assert_true(bytes_equal(jcs_read_plain(jcs_get(s, "reason")), bytes_str("clean up")));
	assert_true(bytes_equal(jcs_read_plain(jcs_get(s, "ticket")), bytes_str("CHG-1")));
	assert_non_null(strstr(w.record[0], "\"ticket\":\"CHG-1\""));
	assert_null(strstr(w.record[0], "clean up")); /* people's words are sealed with the session */
	principal_put(alice);
}

/* --- data classes -------------------------------------------------------------------------------------------------------- */

static const struct policy_image *two_classes(void)
{
	static _Alignas(8) uint8_t room[1u << 16];
	static const char *const cards[] = { "shop.public.card.pan" }, *const emails[] = { "shop.public.customer.email", "shop.public.card.email" };
	static const struct spec_class classes[] = { { .name = "pii.card", .columns = { cards, 1 } }, { .name = "pii.email", .columns = { emails, 2 } } };
	const struct policy_spec spec = { .name = "test", .generation = 1, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE },
					  .classes = classes, .classes_count = 2 };
	struct bytes image = policy_image_write(&spec, room, sizeof(room));
	char err[200] = "";
	const struct policy_image *opened = policy_image_open(image.base, image.len, err, sizeof(err));

	assert_string_equal(err, "");
	return opened;
}

struct touch {
	enum verb verb;
	const char *schema, *relation, *column, *decides; /* column "*": all; NULL: none flows out */
	uint32_t flags;
	const char *classes;
};

static struct bytes classified(const struct touch *t, void *room, size_t size)
{
	struct classification_writer cw = classification_writer_of(room, size, false);
	struct access a = { .verb = t->verb, .kind = OBJECT_RELATION };
	const struct copy_shape none = { .format = COPY_NONE };
	struct bytes column = bytes_str(t->column ? t->column : "");

	if (t->schema)
		a.level[a.levels++] = bytes_str(t->schema);
	a.level[a.levels++] = bytes_str(t->relation);
	classification_begin_statement(&cw, t->flags);
	classification_add_access(&cw, &a);
	classification_begin_targets(&cw);
	if (t->verb == VERB_select || t->column)
		classification_add_target(&cw, !t->column ? TAINT_NONE : !strcmp(t->column, "*") ? TAINT_STAR : TAINT_NAMES, &column,
					  t->column && strcmp(t->column, "*") ? 1 : 0);
	if (t->decides) {
		classification_begin_predicates(&cw);
		classification_add_predicate(&cw, 0, bytes_str(t->decides));
	}
	classification_end_statement(&cw, &none);
	return classification_finish(&cw, bytes_str("x"), bytes_str("x"));
}

static void the_classes_of_what_is_touched(void **state)
{
	static const struct touch rows[] = {
		{ VERB_select, "public", "customer", "name", NULL, 0, "" },
		{ VERB_select, "public", "customer", "email", NULL, 0, "pii.email" },
		{ VERB_select, NULL, "customer", "email", NULL, 0, "pii.email" },
		{ VERB_select, "other", "customer", "email", NULL, 0, "" },
		{ VERB_select, "public", "customer", NULL, "email", 0, "pii.email" }, /* count(*) where email = … */
		{ VERB_select, "public", "customer", NULL, NULL, 0, "" },
		{ VERB_select, "public", "card", "*", NULL, 0, "pii.card,pii.email" },
		{ VERB_select, "public", "card", "pan", "", 0, "pii.card,pii.email" }, /* any column decides */
		{ VERB_delete, "public", "card", NULL, "id", 0, "pii.card,pii.email" },
		{ VERB_update, "public", "card", "id", NULL, 0, "pii.card,pii.email" }, /* returning id */
		{ VERB_update, NULL, "orders", NULL, NULL, 0, "" },
		{ VERB_select, "public", "customer", "email", NULL, FLAG_calls_unknown_function, "pii.email,unknown" },
		{ VERB_select, "public", "orders", "x", NULL, FLAG_dynamic, "unknown" },
	};
	const struct policy_image *image = two_classes();
	char text[TOUCHED_BYTES];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t room[1024];
		struct writer out = writer_of(text, sizeof(text));
		struct bytes c = classified(&rows[i], room, sizeof(room));

		assert_true(c.len > 0);
		assert_true(bytes_equal(touched_write(image, bytes_str("shop"), c, &out), bytes_str(rows[i].classes)));
		out = writer_of(text, sizeof(text));
		assert_true(bytes_equal(touched_write(NULL, bytes_str("shop"), c, &out), bytes_str("unknown")));
	}
	for (unsigned i = 0; i < 2; i++) {
		struct writer out = writer_of(text, sizeof(text));

		assert_true(bytes_equal(touched_write(image, bytes_str("shop"), bytes_str(i ? "nonsense" : ""), &out), bytes_str("unknown")));
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_statement_shows_the_bound_values),
		CASE(any_other_value_or_type_is_another_hash),
		CASE(values_count_towards_what_can_be_shown),
		CASE(reason_and_ticket_stand_in_the_last_comment),
		CASE(the_signed_statement_has_them),
		CASE(the_classes_of_what_is_touched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
