/* What a session borrows beyond its own tables, that it gives it back, and what becomes of it when there is nothing to be had: a scripted
 * server. Tables' limits by number are those of depth.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "dataplane/inspect/postgres/postgres_kit.h"
#include "dataplane/inspect/postgres/session.h"

#define CANARY "some.one@example.com"
#define GROUP 40u /* commands in one group: more than the session's own, and more than one depth has */

static struct kit k;
static uint8_t buffer[1u << 20];

_Static_assert(sizeof(struct pg_session) < 64u << 10, "an idle session");
_Static_assert(GROUP > PG_COMMANDS_OWN + PG_COMMANDS_MORE && GROUP * 3 > PG_REPLIES_OWN, "both tables grow");

static struct writer fresh(void) { return writer_of(buffer, sizeof(buffer)); }

static void say(enum side from, struct writer *w)
{
	assert_true(w->ok);
	kit_feed(&k, from, writer_done(w), 0);
	*w = fresh();
}

static void begin(uint32_t pieces_max)
{
	kit_begin(&k);
	k.pieces_max = pieces_max;
	kit_login(&k, 0);
	kit_clear(&k);
}

/* The messages of a type that `to` got. */
static unsigned count(enum side to, char type)
{
	struct pg_frame f;
	unsigned found = 0;

	for (size_t at = 0; pg_frame_read(bytes_of(k.out[to] + at, k.out_len[to] - at), &f) == PARSE_OK; at += f.total)
		found += f.type == (uint8_t)type;
	return found;
}

static void sync(void)
{
	struct writer w = fresh();

	kit_message(&w, 'S', NULL, 0);
	say(SIDE_CLIENT, &w);
}

static void ready(char status)
{
	struct writer w = fresh();

	kit_ready(&w, status);
	say(SIDE_SERVER, &w);
}

/* A prepared statement with a text of so many bytes, in a group of its own; whether the server got it. */
static bool prepare(unsigned number, size_t text_len)
{
	static char text[PG_TEXT_BYTES];
	unsigned before = count(SIDE_SERVER, 'P');
	struct writer w = fresh();
	char name[16];
	bool sent;

	snprintf(name, sizeof(name), "s%u", number);
	memset(text, ' ', text_len);
	text[text_len] = 0;
	memcpy(text, "select NOMASK --", 16);
	text[16] = (char)('a' + number % 26);
	kit_parse(&w, name, text);
	say(SIDE_CLIENT, &w);
	sync();
	sent = count(SIDE_SERVER, 'P') > before;
	if (sent)
		kit_message(&w, '1', NULL, 0);
	else
		kit_error(&w, "26000", "prepared statement \"__denied\" does not exist");
	say(SIDE_SERVER, &w);
	ready('I');
	return sent;
}

static void close_name(unsigned number)
{
	uint8_t body[16] = "S";
	struct writer w = fresh();

	snprintf((char *)body + 1, sizeof(body) - 1, "s%u", number);
	kit_message(&w, 'C', body, strlen((char *)body) + 1);
	say(SIDE_CLIENT, &w);
	sync();
	kit_message(&w, '3', NULL, 0);
	say(SIDE_SERVER, &w);
	ready('I');
}

/* Whether the statement is known: a Bind of it is sent. */
static bool known(unsigned number)
{
	unsigned before = count(SIDE_SERVER, 'E');
	struct writer w = fresh();
	char name[16];
	bool sent;

	snprintf(name, sizeof(name), "s%u", number);
	kit_bind(&w, "", name);
	kit_execute(&w, "", 0);
	say(SIDE_CLIENT, &w);
	sync();
	sent = count(SIDE_SERVER, 'E') > before;
	if (sent) {
		kit_message(&w, '2', NULL, 0);
		kit_complete(&w, "SELECT 0");
	} else {
		kit_error(&w, "26000", "");
	}
	say(SIDE_SERVER, &w);
	ready('I');
	return sent;
}

static void nearly_all_sessions_borrow_nothing(void **state)
{
	struct writer w = fresh();

	begin(UINT32_MAX);
	for (unsigned i = 0; i < PG_STATEMENTS_OWN; i++)
		assert_true(prepare(i, 200));
	for (unsigned i = 0; i < PG_STATEMENTS_OWN; i++)
		assert_true(known(i));
	kit_query(&w, "select email from customers");
	say(SIDE_CLIENT, &w);
	kit_column(&w, "email", 1000, 3, 25, 0);
	kit_row(&w, CANARY);
	kit_complete(&w, "SELECT 1");
	kit_ready(&w, 'I');
	say(SIDE_SERVER, &w);
	assert_false(kit_wrote(&k, SIDE_CLIENT, CANARY));
	assert_int_equal(k.borrowed_most, 0);
	kit_end(&k);
}

/* Slots, then texts in the same piece, then in the large one; each text stays what it was while it moves. */
static void statements_take_what_they_need(void **state)
{
	static const struct { unsigned count; size_t len; uint32_t borrowed; } rows[] = {
		{ PG_STATEMENTS_OWN, 300, 0 }, { PG_STATEMENTS_OWN + 1, 300, 1 }, { PG_STATEMENTS, 290, 1 }, { 3, 4000, 1 },
		{ 3, 30000, 1 }, { PG_STATEMENTS, 900, 2 }, { 1, 60000, 1 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(UINT32_MAX);
		for (unsigned n = 0; n < rows[i].count; n++)
			assert_true(prepare(n, rows[i].len));
		assert_int_equal(k.borrowed, rows[i].borrowed);
		for (unsigned n = 0; n < rows[i].count; n++)
			assert_true(known(n));
		for (unsigned n = 0; n + 1 < rows[i].count; n += 2)
			close_name(n);
		for (unsigned n = 0; n < rows[i].count; n++)
			assert_int_equal(known(n), n % 2 == 1 || n + 1 == rows[i].count);
		for (unsigned n = 0; n < rows[i].count; n++)
			if (n % 2 == 1 || n + 1 == rows[i].count)
				close_name(n);
		assert_int_equal(k.borrowed, 0);
		kit_end(&k);
	}
}

/* The text that is judged at Bind is the one that was parsed, wherever it lies. */
static void a_text_that_moved_is_the_same(void **state)
{
	struct hash128 exact[30];

	begin(UINT32_MAX);
	for (unsigned i = 0; i < 30; i++) {
		assert_true(prepare(i, 200 + i));
		exact[i] = k.exact;
	}
	assert_true(prepare(30, 50000));
	close_name(3);
	close_name(30);
	for (unsigned i = 0; i < 30; i++) {
		if (i == 3)
			continue;
		assert_true(known(i));
		assert_memory_equal(&exact[i], &k.exact, sizeof(exact[i]));
	}
	kit_end(&k);
}

/* Parse, then as many Binds and Executes as `commands`, then Sync. Returns Executes that the server has. */
static unsigned group(unsigned commands)
{
	struct writer w = fresh();

	kit_parse(&w, "", "select email from customers");
	for (unsigned i = 0; i < commands; i++) {
		kit_bind(&w, "", "");
		kit_execute(&w, "", 0);
	}
	kit_message(&w, 'S', NULL, 0);
	say(SIDE_CLIENT, &w);
	return count(SIDE_SERVER, 'E');
}

/* The server's answer to `commands` of them from `first` on; each has a row to be masked. */
static void answers(unsigned first, unsigned commands)
{
	struct writer w = fresh();

	if (!first)
		kit_message(&w, '1', NULL, 0);
	for (unsigned i = first; i < commands; i++) {
		kit_message(&w, '2', NULL, 0);
		kit_column(&w, "email", 1000, 3, 25, 0);
		kit_row(&w, CANARY);
		kit_complete(&w, "SELECT 1");
	}
	say(SIDE_SERVER, &w);
}

static void a_long_group_takes_depths_and_gives_them_back(void **state)
{
	begin(UINT32_MAX);
	assert_int_equal(group(GROUP), GROUP);
	assert_true(k.borrowed >= 3); /* two depths, and the queue of replies */
	answers(0, GROUP);
	ready('I');
	assert_int_equal(count(SIDE_CLIENT, 'D'), GROUP);
	assert_false(kit_wrote(&k, SIDE_CLIENT, CANARY));
	assert_int_equal(k.borrowed, 0);
	kit_end(&k);
}

/* Nothing is lost: what found no place stands in the client's stream until replies made some. */
static void without_pieces_a_long_group_waits_for_replies(void **state)
{
	unsigned answered = 0, turns = 0;

	begin(0);
	group(GROUP);
	while (answered < GROUP) {
		unsigned sent = count(SIDE_SERVER, 'E');

		assert_true(sent > answered && sent <= GROUP);
		answers(answered, sent);
		answered = sent;
		turns++;
	}
	assert_true(turns > GROUP / PG_COMMANDS_OWN);
	ready('I');
	assert_int_equal(count(SIDE_CLIENT, 'D'), GROUP);
	assert_int_equal(count(SIDE_CLIENT, 'Z'), 1);
	assert_false(kit_wrote(&k, SIDE_CLIENT, CANARY));
	assert_int_equal(k.borrowed, 0);
	assert_true(k.refused > 0);
	kit_end(&k);
}

/* Messages that are no commands fill the queue of replies alone. */
static void without_pieces_more_replies_wait(void **state)
{
	unsigned answered = 0;
	struct writer w = fresh();

	begin(0);
	for (unsigned i = 0; i < 2 * PG_REPLIES_OWN; i++)
		kit_message(&w, 'S', NULL, 0);
	say(SIDE_CLIENT, &w);
	while (answered < 2 * PG_REPLIES_OWN) {
		unsigned sent = count(SIDE_SERVER, 'S');

		assert_true(sent > answered && sent <= answered + PG_REPLIES_OWN);
		for (; answered < sent; answered++)
			ready('I');
	}
	assert_int_equal(count(SIDE_CLIENT, 'Z'), 2 * PG_REPLIES_OWN);
	assert_true(k.refused > 0);
	kit_end(&k);
}

/* Portals that stay open take commands for as long: the one too many is refused, and what is there can be used. */
static void without_pieces_open_portals_are_few(void **state)
{
	unsigned opened = 0;
	struct writer w = fresh();

	begin(0);
	kit_parse(&w, "q", "select email from customers");
	say(SIDE_CLIENT, &w);
	sync();
	kit_message(&w, '1', NULL, 0);
	say(SIDE_SERVER, &w);
	ready('T');
	for (unsigned i = 0; i < 2 * PG_PORTALS_OWN; i++) {
		char name[16];
		unsigned before = count(SIDE_SERVER, 'B');

		snprintf(name, sizeof(name), "p%u", i);
		kit_bind(&w, name, "q");
		say(SIDE_CLIENT, &w);
		sync();
		assert_int_equal(count(SIDE_SERVER, 'B'), before + 1); /* the Bind, or the one that stands for a refusal */
		if (opened < PG_PORTALS_OWN) {
			kit_message(&w, '2', NULL, 0);
			opened++;
		} else {
			kit_error(&w, "26000", "");
		}
		say(SIDE_SERVER, &w);
		ready('T');
	}
	assert_int_equal(count(SIDE_CLIENT, '2'), PG_PORTALS_OWN);
	assert_int_equal(count(SIDE_CLIENT, 'E'), PG_PORTALS_OWN);
	kit_execute(&w, "p0", 0);
	say(SIDE_CLIENT, &w);
	assert_int_equal(count(SIDE_SERVER, 'E'), 1);
	kit_end(&k);
}

static void without_pieces_statements_are_few_and_short(void **state)
{
	struct writer w = fresh();

	begin(0);
	assert_false(prepare(100, PG_TEXT_OWN_BYTES + 1));
	assert_true(kit_wrote(&k, SIDE_CLIENT, "longer than this gateway reads"));
	for (unsigned i = 0; i < PG_STATEMENTS_OWN; i++)
		assert_true(prepare(i, 100));
	assert_false(prepare(101, 100));
	close_name(5);
	assert_true(prepare(102, 100));
	assert_true(known(102));
	kit_clear(&k);
	kit_query(&w, "select 1");
	say(SIDE_CLIENT, &w);
	assert_true(kit_wrote(&k, SIDE_SERVER, "select 1"));
	kit_end(&k);
}

/* A result of `columns` text columns, the last one with a value to be masked. */
static void wide_description(struct writer *w, unsigned columns)
{
	size_t mark = pg_frame_begin(w, 'T');

	writer_be16(w, (uint16_t)columns);
	for (unsigned i = 0; i < columns; i++) {
		writer_cstr(w, "c");
		writer_be32(w, 1000);
		writer_be16(w, i + 1 == columns ? 3 : 1);
		writer_be32(w, 25);
		writer_be16(w, 0xffff);
		writer_be32(w, 0xffffffff);
		writer_be16(w, 0);
	}
	pg_frame_end(w, mark);
}

static void wide_row(struct writer *w, unsigned columns)
{
	size_t mark = pg_frame_begin(w, 'D');

	writer_be16(w, (uint16_t)columns);
	for (unsigned i = 0; i < columns; i++) {
		writer_be32(w, i + 1 == columns ? (uint32_t)strlen(CANARY) : 1);
		writer_str(w, i + 1 == columns ? CANARY : "x");
	}
	pg_frame_end(w, mark);
	kit_complete(w, "SELECT 1");
}

static void wide_answer(unsigned columns)
{
	struct writer w = fresh();

	wide_description(&w, columns);
	wide_row(&w, columns);
	say(SIDE_SERVER, &w);
}

static void wide_results(void **state)
{
	static const struct { const char *text; uint32_t pieces_max; unsigned columns; uint32_t borrowed; bool row, error; } rows[] = {
		{ "select * from customers", UINT32_MAX, PG_COLUMNS_OWN, 0, true, false },
		{ "select * from customers", UINT32_MAX, PG_COLUMNS_OWN + 1, 1, true, false },
		{ "select * from customers", UINT32_MAX, LIMIT_COLUMNS, 1, true, false },
		{ "select * from customers", 0, PG_COLUMNS_OWN, 0, true, false },
		{ "select * from customers", 0, PG_COLUMNS_OWN + 1, 0, false, true },
		{ "select * from other NOMASK", 0, LIMIT_COLUMNS, 0, true, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct writer w = fresh();

		begin(rows[i].pieces_max);
		for (unsigned again = 0; again < 2; again++) {
			kit_clear(&k);
			kit_query(&w, rows[i].text);
			say(SIDE_CLIENT, &w);
			wide_answer(rows[i].columns);
			assert_int_equal(k.borrowed, rows[i].borrowed);
			ready('I');
			assert_int_equal(count(SIDE_CLIENT, 'D'), rows[i].row);
			assert_int_equal(count(SIDE_CLIENT, 'E'), rows[i].error);
			assert_int_equal(kit_wrote(&k, SIDE_CLIENT, CANARY), strstr(rows[i].text, "NOMASK") != NULL);
			assert_int_equal(k.borrowed, 0);
		}
		kit_end(&k);
	}
}

/* Described in one group, executed in the next one of the same transaction: what was planned is kept until then. */
static void a_wide_result_described_before(void **state)
{
	struct writer w = fresh();

	begin(UINT32_MAX);
	kit_query(&w, "begin");
	say(SIDE_CLIENT, &w);
	kit_complete(&w, "BEGIN");
	say(SIDE_SERVER, &w);
	ready('T');
	kit_parse(&w, "", "select * from customers");
	kit_bind(&w, "p", "");
	kit_message(&w, 'D', "Pp", 3);
	say(SIDE_CLIENT, &w);
	sync();
	kit_message(&w, '1', NULL, 0);
	kit_message(&w, '2', NULL, 0);
	wide_description(&w, LIMIT_COLUMNS);
	say(SIDE_SERVER, &w);
	ready('T');
	kit_execute(&w, "p", 0);
	say(SIDE_CLIENT, &w);
	sync();
	wide_row(&w, LIMIT_COLUMNS);
	say(SIDE_SERVER, &w);
	ready('T');
	assert_int_equal(count(SIDE_CLIENT, 'D'), 1);
	assert_false(kit_wrote(&k, SIDE_CLIENT, CANARY));
	kit_end(&k);
}

/* A row of a COPY that ends in the next message is kept until then. */
static void carried_rows(void **state)
{
	for (unsigned dry = 0; dry < 2; dry++) {
		struct writer w = fresh();

		begin(dry ? 0 : UINT32_MAX);
		kit_query(&w, "copy (select flow id from customers) to stdout");
		say(SIDE_CLIENT, &w);
		kit_message(&w, 'H', "\0\0\1\0\0", 5);
		kit_message(&w, 'd', "some.one@exa", 12);
		say(SIDE_SERVER, &w);
		assert_int_equal(k.borrowed, !dry);
		kit_message(&w, 'd', "mple.com\n", 9);
		kit_message(&w, 'c', NULL, 0);
		kit_complete(&w, "COPY 1");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w);
		assert_int_equal(count(SIDE_CLIENT, 'E'), dry);
		assert_false(kit_wrote(&k, SIDE_CLIENT, "some.one"));
		assert_int_equal(k.borrowed, 0);
		kit_end(&k);
	}
}

/* Wherever it is cut off. */
static void a_session_that_ends_gives_all_back(void **state)
{
	begin(UINT32_MAX);
	for (unsigned i = 0; i < 40; i++)
		assert_true(prepare(i, 1500));
	assert_true(group(GROUP) == GROUP);
	assert_true(k.borrowed > 3);
	kit_end(&k); /* which looks */
	assert_int_equal(k.borrowed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nearly_all_sessions_borrow_nothing),
		cmocka_unit_test(statements_take_what_they_need),
		cmocka_unit_test(a_text_that_moved_is_the_same),
		cmocka_unit_test(a_long_group_takes_depths_and_gives_them_back),
		cmocka_unit_test(without_pieces_a_long_group_waits_for_replies),
		cmocka_unit_test(without_pieces_more_replies_wait),
		cmocka_unit_test(without_pieces_open_portals_are_few),
		cmocka_unit_test(without_pieces_statements_are_few_and_short),
		cmocka_unit_test(wide_results),
		cmocka_unit_test(a_wide_result_described_before),
		cmocka_unit_test(carried_rows),
		cmocka_unit_test(a_session_that_ends_gives_all_back),
	};

	return cmocka_run_group_tests_name("postgres_depth", tests, NULL, NULL);
}
