/* What the server and the client get of a command with limits, message by message: a scripted server, every script at a segmentation of one
 * byte, seven bytes and whole. The kit's limits are three rows (ROWS) and sixty bytes (BYTES). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/inspect/postgres/frame.h"
#include "dataplane/inspect/postgres/postgres_kit.h"

static const size_t segments[] = { 1, 7, 0 };
static struct kit k;
static uint8_t buffer[65536];

#define FOR_EACH_SEGMENT for (size_t sg_ = 0; sg_ < 3; sg_++) for (size_t segment = segments[sg_], once_ = 1; once_; once_ = 0)

/* The types of the messages that `to` got since the last call, and forgets them. */
static void got(enum side to, const char *expected)
{
	char types[64] = "";
	size_t count = 0, at = 0;
	struct pg_frame f;

	while (pg_frame_read(bytes_of(k.out[to] + at, k.out_len[to] - at), &f) == PARSE_OK && count < sizeof types - 1) {
		types[count++] = (char)f.type;
		at += f.total;
	}
	assert_int_equal(at, k.out_len[to]);
	assert_string_equal(types, expected);
}

static void assert_client(const char *text) { assert_true(kit_wrote(&k, SIDE_CLIENT, text)); }
static void assert_server(const char *text) { assert_true(kit_wrote(&k, SIDE_SERVER, text)); }
static void assert_not_server(const char *text) { assert_false(kit_wrote(&k, SIDE_SERVER, text)); }

static struct writer fresh(void) { return writer_of(buffer, sizeof(buffer)); }

static void say(enum side from, struct writer *w, size_t segment)
{
	assert_true(w->ok);
	kit_feed(&k, from, writer_done(w), segment);
	*w = fresh();
}

static void ask(const char *text, size_t segment)
{
	struct writer w = fresh();

	kit_query(&w, text);
	say(SIDE_CLIENT, &w, segment);
}

/* What was sent is Parse, Bind, Describe, Execute, Flush (after the H that kit_clear leaves), for at most `portion` rows. */
static void begin(const char *text, unsigned portion, size_t segment)
{
	uint8_t execute[] = { 'E', 0, 0, 0, 9, 0, 0, 0, 0, (uint8_t)portion };

	kit_begin(&k);
	kit_login(&k, segment);
	ask(text, segment);
	assert_server(text);
	assert_memory_equal(k.out[SIDE_SERVER] + k.out_len[SIDE_SERVER] - 15, execute, sizeof(execute));
	got(SIDE_SERVER, "HPBDEH");
	got(SIDE_CLIENT, "");
	kit_clear(&k);
}

static void head(struct writer *w, bool rows)
{
	kit_message(w, '1', NULL, 0);
	kit_message(w, '2', NULL, 0);
	if (rows)
		kit_column(w, "x", 7, 1, 25, 0);
	else
		kit_message(w, 'n', NULL, 0);
}

/* The server's answer to what takes its commit away, and a query after it. */
static void denied(char status, size_t segment)
{
	struct writer w = fresh();

	assert_server("__denied");
	got(SIDE_SERVER, "HBS");
	kit_clear(&k);
	kit_error(&w, "26000", "prepared statement \"__denied\" does not exist");
	kit_ready(&w, status);
	say(SIDE_SERVER, &w, segment);
	got(SIDE_CLIENT, "Z");
	assert_int_equal(k.last.outcome, RESPONSE_ERROR);
	assert_string_equal(k.last_status, "42501");
	kit_clear(&k);
	ask("select 1", segment);
	got(SIDE_SERVER, "HQ");
	kit_end(&k);
}

static void the_row_too_many_stays_here(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		begin("select x ROWS", KIT_ROWS_MAX + 1, segment);
		head(&w, true);
		for (unsigned i = 0; i < 4; i++)
			kit_row(&w, i < 3 ? "seen" : "hidden");
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "TDDDE");
		assert_client("more than 3 rows in one command");
		assert_false(kit_wrote(&k, SIDE_CLIENT, "hidden"));
		got(SIDE_SERVER, "H");
		kit_clear(&k);
		kit_message(&w, 's', NULL, 0);
		say(SIDE_SERVER, &w, segment);
		assert_int_equal(k.last.limit, RESPONSE_LIMIT_ROWS);
		assert_int_equal(k.last.rows, 3);
		denied('I', segment);
	}
}

static void as_many_as_the_limit_are_let_through(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		begin("select x ROWS", KIT_ROWS_MAX + 1, segment);
		head(&w, true);
		for (unsigned i = 0; i < 3; i++)
			kit_row(&w, "seen");
		kit_complete(&w, "SELECT 3");
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "TDDD");
		got(SIDE_SERVER, "HS");
		kit_clear(&k);
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "CZ");
		assert_int_equal(k.last.outcome, RESPONSE_OK);
		assert_int_equal(k.last.limit, RESPONSE_LIMIT_NONE);
		kit_end(&k);
	}
}

static void a_change_of_too_many_is_not_committed(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		begin("update ROWS", KIT_ROWS_MAX + 1, segment);
		head(&w, false);
		kit_complete(&w, "UPDATE 4");
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "E");
		assert_client("more than 3 rows in one command");
		k.out_len[SIDE_CLIENT] = 0;
		assert_int_equal(k.last.limit, RESPONSE_LIMIT_ROWS);
		denied('E', segment);
	}
}

/* As a simple query: no completion before the commit, and none when that fails. */
static void the_completion_comes_with_the_commit(void **state)
{
	for (unsigned fails = 0; fails < 2; fails++) {
		FOR_EACH_SEGMENT {
			struct writer w = fresh();

			begin("update ROWS", KIT_ROWS_MAX + 1, segment);
			head(&w, false);
			kit_complete(&w, "UPDATE 3");
			say(SIDE_SERVER, &w, segment);
			got(SIDE_CLIENT, "");
			got(SIDE_SERVER, "HS");
			assert_int_equal(k.answered[k.n - 1], 1);
			if (fails)
				kit_error(&w, "23505", "deferred");
			kit_ready(&w, 'I');
			say(SIDE_SERVER, &w, segment);
			got(SIDE_CLIENT, fails ? "EZ" : "CZ");
			assert_int_equal(k.last.outcome, fails ? RESPONSE_ERROR : RESPONSE_OK);
			kit_end(&k);
		}
	}
}

static void an_error_of_its_own_ends_it(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		begin("update ROWS", KIT_ROWS_MAX + 1, segment);
		kit_message(&w, '1', NULL, 0);
		kit_error(&w, "42P01", "no such table");
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "E");
		got(SIDE_SERVER, "HS");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "EZ");
		kit_clear(&k);
		ask("select 1", segment);
		got(SIDE_SERVER, "HQ");
		kit_end(&k);
	}
}

/* Nothing behind a limited Execute is sent before it is counted, its Sync least of all. */
static void a_pipeline_waits_for_the_count(void **state)
{
	for (unsigned over = 0; over < 2; over++) {
		FOR_EACH_SEGMENT {
			struct writer w = fresh();

			kit_begin(&k);
			kit_login(&k, segment);
			kit_parse(&w, "", "update ROWS");
			kit_bind(&w, "", "");
			kit_execute(&w, "", 0);
			kit_parse(&w, "", "insert later");
			kit_bind(&w, "", "");
			kit_execute(&w, "", 0);
			kit_message(&w, 'S', NULL, 0);
			say(SIDE_CLIENT, &w, segment);
			got(SIDE_SERVER, "HPBDEH"); /* D: ours, for the masks; H: ours, to be told */
			head(&w, false);
			kit_complete(&w, over ? "UPDATE 4" : "UPDATE 3");
			say(SIDE_SERVER, &w, segment);
			if (!over) {
				got(SIDE_CLIENT, "12C");
				got(SIDE_SERVER, "HPBDEHPBDES");
				kit_end(&k);
				continue;
			}
			got(SIDE_CLIENT, "12E");
			assert_not_server("later");
			got(SIDE_SERVER, "HPBDEHBS");
			kit_error(&w, "26000", "no");
			kit_ready(&w, 'I');
			say(SIDE_SERVER, &w, segment);
			got(SIDE_CLIENT, "12EZ");
			assert_int_equal(k.last.limit, RESPONSE_LIMIT_ROWS);
			kit_end(&k);
		}
	}
}

/* The limit is the portal's, over all its portions, and the last one asks for no more than shows that there are too many. */
static void portions_are_added_up(void **state)
{
	static const uint8_t second[] = { 'E', 0, 0, 0, 10, 'p', 0, 0, 0, 0, 2 };

	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		kit_begin(&k);
		kit_login(&k, segment);
		kit_parse(&w, "", "select x ROWS");
		kit_bind(&w, "p", "");
		kit_execute(&w, "p", 2);
		kit_message(&w, 'S', NULL, 0);
		say(SIDE_CLIENT, &w, segment);
		head(&w, true);
		kit_row(&w, "a");
		kit_row(&w, "b");
		kit_message(&w, 's', NULL, 0);
		say(SIDE_SERVER, &w, segment); /* the Sync waited for it */
		kit_ready(&w, 'T');
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "12DDsZ");
		kit_clear(&k);
		kit_execute(&w, "p", 100);
		kit_message(&w, 'S', NULL, 0);
		say(SIDE_CLIENT, &w, segment);
		assert_memory_equal(k.out[SIDE_SERVER] + k.out_len[SIDE_SERVER] - 5 - sizeof(second), second, sizeof(second));
		kit_column(&w, "x", 7, 1, 25, 0);
		kit_row(&w, "c");
		kit_row(&w, "d");
		kit_message(&w, 's', NULL, 0);
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "DE");
		got(SIDE_SERVER, "HDEHBS");
		kit_error(&w, "26000", "no");
		kit_ready(&w, 'E');
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "DEZ");
		kit_end(&k);
	}
}

/* A row of ten bytes is a message of 21. */
static void bytes_are_counted_as_they_go_out(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		begin("select x BYTES", 0, segment);
		head(&w, true);
		for (unsigned i = 0; i < 3; i++)
			kit_row(&w, i < 2 ? "0123456789" : "hidden....");
		kit_complete(&w, "SELECT 3");
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "TDDE");
		assert_client("more than 60 bytes in one command");
		assert_int_equal(k.last.limit, RESPONSE_LIMIT_BYTES);
		k.out_len[SIDE_CLIENT] = 0;
		denied('I', segment);
	}
}

static void a_copy_of_too_many_bytes_is_ended(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		begin("copy t from stdin BYTES", 0, segment);
		head(&w, false);
		kit_message(&w, 'G', "\0\0\0", 3);
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "G");
		for (unsigned i = 0; i < 3; i++)
			kit_message(&w, 'd', "0123456789012345678901234\n", 26);
		kit_message(&w, 'c', NULL, 0);
		say(SIDE_CLIENT, &w, segment);
		got(SIDE_SERVER, "Hddf");
		kit_error(&w, "57014", "COPY from stdin failed: refused");
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "GE");
		assert_client("more than 60 bytes in one command");
		got(SIDE_SERVER, "HddfS");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		got(SIDE_CLIENT, "GEZ");
		assert_int_equal(k.last.limit, RESPONSE_LIMIT_BYTES);
		kit_end(&k);
	}
}

/* FETCH and EXECUTE show no relation: what was declared under a limit keeps it. */
static void a_name_keeps_its_limit(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		kit_begin(&k);
		kit_login(&k, segment);
		kit_parse(&w, "", "select x ROWS");
		kit_bind(&w, "p", "");
		kit_message(&w, 'S', NULL, 0);
		say(SIDE_CLIENT, &w, segment);
		kit_message(&w, '1', NULL, 0);
		kit_message(&w, '2', NULL, 0);
		kit_ready(&w, 'T');
		say(SIDE_SERVER, &w, segment);
		kit_clear(&k);
		ask("UNKNOWN fetch", segment);
		got(SIDE_SERVER, "HPBDEH");
		kit_end(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_row_too_many_stays_here), cmocka_unit_test(as_many_as_the_limit_are_let_through),
		cmocka_unit_test(a_change_of_too_many_is_not_committed), cmocka_unit_test(the_completion_comes_with_the_commit),
		cmocka_unit_test(an_error_of_its_own_ends_it), cmocka_unit_test(a_pipeline_waits_for_the_count),
		cmocka_unit_test(portions_are_added_up), cmocka_unit_test(bytes_are_counted_as_they_go_out),
		cmocka_unit_test(a_copy_of_too_many_bytes_is_ended), cmocka_unit_test(a_name_keeps_its_limit),
	};

	return cmocka_run_group_tests_name("inspect_postgres_limit", tests, NULL, NULL);
}
