/* The inspector as a sans-IO session: a scripted server, every script at a segmentation of one byte, seven bytes and whole. What needs a
 * real server is in tests/system/postgres. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "dataplane/inspect/postgres/effects.h"
#include "dataplane/inspect/postgres/lex.h"
#include "dataplane/inspect/postgres/postgres_kit.h"
#include "dataplane/inspect/postgres/session.h"

static const size_t segments[] = { 1, 7, 0 };
static struct kit k;
static uint8_t buffer[6u << 20];

#define FOR_EACH_SEGMENT for (size_t sg_ = 0; sg_ < 3; sg_++) for (size_t segment = segments[sg_], once_ = 1; once_; once_ = 0)

static struct writer fresh(void)
{
	return writer_of(buffer, sizeof(buffer));
}

static void start(size_t segment)
{
	kit_begin(&k);
	kit_login(&k, segment);
}

static void say(enum side from, struct writer *w, size_t segment)
{
	assert_true(w->ok);
	kit_feed(&k, from, writer_done(w), segment);
	*w = fresh();
}

static void assert_client(const char *text) { assert_true(kit_wrote(&k, SIDE_CLIENT, text)); }
static void assert_not_client(const char *text) { assert_false(kit_wrote(&k, SIDE_CLIENT, text)); }
static void assert_server(const char *text) { assert_true(kit_wrote(&k, SIDE_SERVER, text)); }
static void assert_not_server(const char *text) { assert_false(kit_wrote(&k, SIDE_SERVER, text)); }

/* One statement's whole answer: T, a row, C, Z. */
static void answer(const char *column, uint32_t relation, unsigned attnum, uint32_t type, const char *cell, size_t segment)
{
	struct writer w = fresh();

	kit_column(&w, column, relation, attnum, type, 0);
	kit_row(&w, cell);
	kit_complete(&w, "SELECT 1");
	kit_ready(&w, 'I');
	say(SIDE_SERVER, &w, segment);
}

static void ask(const char *text, size_t segment)
{
	struct writer w = fresh();

	kit_query(&w, text);
	say(SIDE_CLIENT, &w, segment);
}

static void a_query_goes_and_its_rows_come(void **state)
{
	FOR_EACH_SEGMENT {
		start(segment);
		ask("select 1", segment);
		assert_server("select 1");
		answer("x", 0, 0, 23, "17", segment);
		assert_client("17");
		assert_client("SELECT 1");
		assert_int_equal(k.last.outcome, RESPONSE_OK);
		assert_int_equal(k.last.rows, 1);
		kit_end(&k);
	}
}

static void lineage_masks_whatever_the_label(void **state)
{
	static const struct { const char *text, *column; uint32_t relation; unsigned attnum; uint32_t type; const char *cell; bool masked; } cases[] = {
		{ "select x from customers", "x", 1000, 2, 25, "Ada", true },         /* by (relation, column) */
		{ "select x from customers", "x", 1000, 1, 23, "4711", false },       /* the table's untagged column */
		{ "select x from customers", "x", 0, 0, 25, "avoL", true },           /* an expression over a tagged table */
		{ "select x from other", "x", 0, 0, 25, "avoL", false },              /* the same over nothing tagged */
		{ "select x from other", "email", 7, 1, 25, "no address", true },     /* the name alone speaks */
		{ "select x from other", "x", 7, 1, 25, "to ada@example.com now", true }, /* the value */
		{ "UNKNOWN", "x", 0, 0, 25, "avoL", true },                           /* cannot be told */
		{ "select x from customers", "x", 9999, 1, 25, "newer", true },       /* made after the catalogue was read */
		{ "select x from customers", "x", 1000, 0, 99999, "(1,Ada)", true },  /* the whole row */
		{ "select x from customers", "x", 1000, 2, 23, "4711", true },        /* a number becomes 0 */
		{ "select x from customers", "x", 1000, 2, 3904, "[4711,4712)", true }, /* a type without a mask becomes NULL */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FOR_EACH_SEGMENT {
			start(segment);
			ask(cases[i].text, segment);
			answer(cases[i].column, cases[i].relation, cases[i].attnum, cases[i].type, cases[i].cell, segment);
			if (cases[i].masked)
				assert_not_client(cases[i].cell);
			else
				assert_client(cases[i].cell);
			assert_client("SELECT 1");
			kit_end(&k);
		}
	}
}

/* A text that the lexer's one pass calls plain does nothing to its session; what does something is never called plain. */
static void a_plain_text_has_no_effects(void **state)
{
	static const struct { const char *text; bool plain; } cases[] = {
		{ "select a from t where b = 'x'", true },
		{ "  /* c */ SELECT 1 ; select 'a longer literal', \"set_configs\"", true },
		{ "insert into t values ('search_path', 'client_encoding')", true },
		{ "begin; delete from t; commit", true },
		{ "select set_config('search_path', 'x', false)", false },
		{ "select pg_catalog.SET_CONFIG ('a', 'b', true)", false },
		{ "select \"set_config\"('a', 'b', true)", false },
		{ "select U&\"\\0073et_config\"('a', 'b', true)", false },
		{ "select 1 from set_config('a', 'b', true)", false },
		{ "select 'set_con'\n'fig'", false },
		{ "select 'set_config'", false },
		{ "select E'set_con\\x66ig'", false },
		{ "select 1; set search_path = x", false },
		{ "select (1; set search_path = x)", false },
		{ "update pg_settings set setting = 'x'", false },
		{ "prepare a as select 1", false },
		{ "discard all", false },
		{ "(select 1)", false },
		{ "select 'open", false },
	};
	static const struct pg_effects nothing;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes text = bytes_str(cases[i].text);
		struct pg_lex_summary lex;
		struct pg_effects e = pg_effects(text);

		(void)pg_lex_scan(text, (struct hash_key){ 1, 2 }, &lex);
		assert_int_equal(lex.plain, cases[i].plain);
		if (lex.plain)
			assert_memory_equal(&e, &nothing, sizeof(e));
	}
}

static void refusal_puts_an_error_in_the_servers_mouth(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		ask("DENY this", segment);
		assert_not_server("DENY");
		assert_server("__denied");
		kit_error(&w, "26000", "prepared statement \"__denied\" does not exist");
		kit_ready(&w, 'I');
		assert_not_client("42501"); /* nothing is answered before the server has */
		say(SIDE_SERVER, &w, segment);
		assert_client("42501");
		assert_client("kit-rule");
		assert_not_client("__denied");
		assert_int_equal(k.last.outcome, RESPONSE_REFUSED);
		ask("select 1", segment);
		assert_server("select 1");
		kit_end(&k);
	}
}

static void a_refused_group_is_dropped_up_to_sync(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		kit_parse(&w, "", "DENY this");
		kit_bind(&w, "", "");
		kit_execute(&w, "", 0);
		kit_parse(&w, "", "select 2");
		kit_message(&w, 'S', NULL, 0);
		say(SIDE_CLIENT, &w, segment);
		assert_not_server("DENY");
		assert_not_server("select 2");
		kit_error(&w, "26000", "no");
		kit_ready(&w, 'E');
		say(SIDE_SERVER, &w, segment);
		assert_client("42501");
		kit_end(&k);
	}
}

static void hold_release_and_cancel(void **state)
{
	for (unsigned how = 0; how < 3; how++) {
		FOR_EACH_SEGMENT {
			struct writer w = fresh();
			struct inspect_answer notice = { .kind = ANSWER_NOTICE, .text = bytes_str("waiting for 5") };
			uint8_t room[2][8192];
			struct writer out[2] = { writer_of(room[0], 8192), writer_of(room[1], 8192) };
			struct inspect_io io = { { &out[0], &out[1] } };

			start(segment);
			kit_query(&w, "HOLD this");
			kit_query(&w, "select 2");
			say(SIDE_CLIENT, &w, segment);
			assert_not_server("HOLD");
			assert_not_server("select 2");
			(void)inspector_postgres.answer(k.session, &notice, &io);
			assert_non_null(memmem(room[0], out[0].len, "waiting for 5", 13));
			/* The other direction keeps moving. */
			kit_message(&w, 'A', "\0\0\0\1news\0hello", 15);
			say(SIDE_SERVER, &w, segment);
			assert_client("hello");
			kit_release(&k, how == 0, how == 2);
			if (how == 0) {
				assert_server("HOLD");
				answer("x", 0, 0, 25, "y", segment);
			} else {
				assert_not_server("HOLD");
				kit_error(&w, "26000", "no");
				kit_ready(&w, 'I');
				say(SIDE_SERVER, &w, segment);
				assert_client(how == 1 ? "42501" : "57014");
			}
			assert_server("select 2");
			kit_end(&k);
		}
	}
}

static void errors_in_scope_say_only_their_code(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		ask("select x from customers", segment);
		kit_error(&w, "22P02", "invalid input syntax: \"Lovelace\"");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		assert_not_client("Lovelace");
		assert_client("22P02");
		assert_client("invalid text representation");
		ask("select x from other", segment);
		kit_error(&w, "22P02", "invalid input syntax: \"Lovelace\" of ada@example.com");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		assert_client("Lovelace");
		assert_not_client("ada@example.com");
		kit_end(&k);
	}
}

/* C8: what triggers and other sessions say is masked by every class of the policy, whatever the rule masks that let the command pass. */
static void what_is_said_beside_rows_is_masked_by_every_class(void **state)
{
	static const char notice[] = "SNOTICE\0C00000\0Mmail of ada@example.com\0DDETAIL bob@example.org\0HHINT eve@example.net\0WCONTEXT eve@example.net\0";

	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		ask("update other NOMASK", segment);
		kit_message(&w, 'N', notice, sizeof(notice));
		kit_message(&w, 'A', "\0\0\0\1news\0of ada@example.com", 28);
		kit_message(&w, 'S', "application_name\0ada@example.com", 33);
		kit_error(&w, "P0001", "raised by ada@example.com");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		assert_client("mail of ***@masked.invalid");
		assert_client("DETAIL ***@masked.invalid");
		assert_client("of ***@masked.invalid");
		assert_client("application_name");
		assert_client("raised by ***@masked.invalid");
		assert_not_client("ada@example.com");
		assert_not_client("bob@example.org");
		assert_not_client("eve@example.net");
		ask("UNKNOWN NOMASK", segment);
		kit_error(&w, "22P02", "invalid input syntax: \"Lovelace\"");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		assert_not_client("Lovelace");
		assert_client("invalid text representation");
		kit_end(&k);
	}
}

/* postgres.md 9: copies launder tags. From then on the column that was copied into is masked, and no other. */
static void what_is_copied_into_a_column_taints_that_column(void **state)
{
	static const struct { const char *copy, *look; uint32_t relation; unsigned attnum; bool masked; } cases[] = {
		{ "copy name into customers", "select x from customers", 1000, 4, true },
		{ "copy name into customers", "select x from customers", 1000, 1, false },
		{ "copy name into customers", "select flow note from customers", 0, 0, true },
		{ "copy name into customers", "select flow id from customers", 0, 0, false },
		{ "copy name into customers", "select x from customers", 1000, 5, true }, /* a column that is newer than the catalogue */
		{ "copy name into other", "select x from other", 1002, 1, true },
		{ "copy name into other", "select x from other", 1002, 2, false },
		{ "copy name into other", "select x from kids", 1001, 1, true }, /* shows the same rows */
		{ "copy name into other", "select flow note from kids", 0, 0, true },
		{ "copy name into other", "select x from other", 9999, 2, true }, /* another relation of this name may be newer */
		{ "copy name into other untold", "select x from other", 1002, 2, true },
		{ "copy name into customers untold", "select x from customers", 1000, 1, true },
		{ "select x from customers", "select x from customers", 1000, 4, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned read = 0; read < 2; read++) {
			struct writer w = fresh();
			bool again = read && cases[i].copy[0] == 'c';

			start(0);
			ask(cases[i].copy, 0);
			kit_complete(&w, "UPDATE 1");
			kit_ready(&w, 'I');
			say(SIDE_SERVER, &w, 0);
			/* The catalogue is read again before the next command. */
			ask(cases[i].look, 0);
			if (cases[i].copy[0] == 'c') {
				assert_server("pg_catalog");
				assert_not_server(cases[i].look);
				kit_catalogue(&k, 0);
			}
			assert_server(cases[i].look);
			answer("x", cases[i].relation, cases[i].attnum, 25, "Lovelace", 0);
			if (again) {
				kit_clear(&k);
				ask(cases[i].look, 0);
				assert_not_server("pg_catalog");
				answer("x", cases[i].relation, cases[i].attnum, 25, "Lovelace", 0);
			}
			if (kit_wrote(&k, SIDE_CLIENT, "Lovelace") == cases[i].masked)
				fail_msg("%s; %s: %u", cases[i].copy, cases[i].look, cases[i].attnum);
			kit_end(&k);
		}
	}
}

/* A copy that did not happen blinds nobody. */
static void a_copy_that_failed_taints_nothing(void **state)
{
	struct writer w = fresh();

	start(0);
	ask("copy name into customers", 0);
	kit_error(&w, "23505", "no");
	kit_ready(&w, 'I');
	say(SIDE_SERVER, &w, 0);
	ask("select x from customers", 0);
	kit_catalogue(&k, 0);
	answer("x", 1000, 4, 25, "Lovelace", 0);
	assert_client("Lovelace");
	kit_end(&k);
}

static void what_the_server_may_not_say_ends_the_session(void **state)
{
	static const struct { const char *name; char type; const char *body; size_t len; } cases[] = {
		{ "a function's result", 'V', "\0\0\0\4abcd", 8 }, { "CopyBoth", 'W', "\0\0\0", 3 }, { "authentication again", 'R', "\0\0\0\3", 4 },
		{ "a row nobody asked for", 'D', "\0\0", 2 },       { "ReadyForQuery twice", 'Z', "I", 1 },      { "ParseComplete", '1', "", 0 },
		{ "CopyIn", 'G', "\0\0\0", 3 },                     { "no message at all", 0x7f, "", 0 },         { "encoding changed", 'S', "client_encoding\0SJIS", 21 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		FOR_EACH_SEGMENT {
			struct writer w = fresh();

			start(segment);
			kit_message(&w, cases[i].type, cases[i].body, cases[i].len);
			say(SIDE_SERVER, &w, segment);
			if (!k.closed)
				fail_msg("%s was taken", cases[i].name);
			kit_end(&k);
		}
	}
}

static void lengths_that_cannot_be(void **state)
{
	static const char lengths[][5] = { "Q\0\0\0\3", "Q\377\377\377\377", "Q\x7f\377\377\377" };

	for (size_t i = 0; i < 3; i++) {
		for (enum side side = SIDE_CLIENT; side <= SIDE_SERVER; side++) {
			start(0);
			kit_feed(&k, side, bytes_of(lengths[i], 5), 1);
			assert_true(k.closed);
			kit_end(&k);
		}
	}
}

static void a_row_without_its_description_is_not_passed(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		ask("select x from customers", segment);
		kit_row(&w, "Lovelace");
		kit_complete(&w, "SELECT 1");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		assert_not_client("Lovelace");
		assert_client("54000");
		kit_end(&k);
	}
}

static void rows_get_their_description_by_an_injected_describe(void **state)
{
	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		kit_parse(&w, "", "select x from customers");
		kit_bind(&w, "", "");
		kit_execute(&w, "", 0);
		kit_message(&w, 'S', NULL, 0);
		say(SIDE_CLIENT, &w, segment);
		kit_message(&w, '1', NULL, 0);
		kit_message(&w, '2', NULL, 0);
		kit_column(&w, "theLabel", 1000, 2, 25, 1);
		kit_row(&w, "Lovelace");
		kit_complete(&w, "SELECT 1");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, segment);
		assert_not_client("Lovelace");
		assert_not_client("theLabel"); /* swallowed: the client did not ask for it */
		assert_client("SELECT 1");
		assert_int_equal(k.masked[1], 1);
		kit_end(&k);
	}
}

/* Twenty unnamed statements after another, each bound twice: every Bind is judged under the keys of its own text, though texts are
 * read once only. */
static void bound_again_is_the_text_it_was(void **state)
{
	struct hash128 exact, generic;
	char text[64];

	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		for (int i = 0; i < 20; i++) {
			snprintf(text, sizeof(text), "select c%d, %d from orders", i / 2, i);
			kit_parse(&w, "", text);
			say(SIDE_CLIENT, &w, segment);
			exact = k.exact;
			generic = k.generic;
			for (int n = 0; n < 2; n++) {
				k.exact = k.generic = (struct hash128){ 0 };
				kit_bind(&w, "", "");
				say(SIDE_CLIENT, &w, segment);
				assert_memory_equal(&k.exact, &exact, sizeof(exact));
				assert_memory_equal(&k.generic, &generic, sizeof(generic));
			}
			kit_message(&w, 'S', NULL, 0);
			say(SIDE_CLIENT, &w, segment);
			kit_message(&w, '1', NULL, 0);
			kit_message(&w, '2', NULL, 0);
			kit_message(&w, '2', NULL, 0);
			kit_ready(&w, 'I');
			say(SIDE_SERVER, &w, segment);
		}
		kit_end(&k);
	}
}

/* What an approver is told of the values' types is what this text was parsed with, also when others were parsed and closed around it. */
static void types_are_those_of_the_text(void **state)
{
	static const uint32_t first[] = { 23, 25 }, second[] = { 0 }, third[] = { 2950, 16450, 1700, 16 };
	static const struct { const char *name; const uint32_t *types; unsigned count; } made[] = { { "a", first, 2 }, { "b", NULL, 0 }, { "c", second, 1 }, { "d", third, 4 } };

	FOR_EACH_SEGMENT {
		struct writer w = fresh();

		start(segment);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned i = 0; i < 4; i++)
				kit_parse_types(&w, made[i].name, "select 1", made[i].types, made[i].count);
			say(SIDE_CLIENT, &w, segment);
			for (unsigned i = 4; i-- > 0;) {
				struct reader r;

				kit_bind(&w, "", made[i].name);
				say(SIDE_CLIENT, &w, segment);
				assert_int_equal(k.types_len, 4 * made[i].count);
				r = reader_of(k.types, k.types_len);
				for (unsigned t = 0; t < made[i].count; t++)
					assert_int_equal(reader_be32(&r), made[i].types[t]);
			}
			for (unsigned i = 0; i < 4; i++)
				kit_message(&w, 'C', i % 2 ? "Sb" : "Sa", 3);
			kit_message(&w, 'S', NULL, 0);
			say(SIDE_CLIENT, &w, segment);
			for (unsigned i = 0; i < 4; i++)
				kit_message(&w, '1', NULL, 0);
			for (unsigned i = 0; i < 4; i++)
				kit_message(&w, '2', NULL, 0);
			for (unsigned i = 0; i < 4; i++)
				kit_message(&w, '3', NULL, 0);
			kit_ready(&w, 'I');
			say(SIDE_SERVER, &w, segment);
		}
		kit_end(&k);
	}
}

static void copy_rows_need_not_be_aligned(void **state)
{
	static const char data[] = "1\tAda\tada@example.com\n2\tBob \\\"B\\\" \tbob@example.com\n3\t\\N\t\\N\n";

	for (size_t cut = 1; cut < sizeof(data) - 1; cut++) {
		struct writer w = fresh();

		start(0);
		ask("copy customers to stdout UNKNOWN", 0);
		kit_message(&w, 'H', "\0\0\3\0\0\0\0\0", 9);
		say(SIDE_SERVER, &w, 0);
		assert_client("54000"); /* without a classification nobody knows the columns */
		kit_end(&k);
		start(0);
		ask("copy other to stdout", 0);
		kit_message(&w, 'H', "\0\0\3\0\0\0\0\0\0", 9);
		kit_message(&w, 'd', data, cut);
		kit_message(&w, 'd', data + cut, sizeof(data) - 1 - cut);
		kit_message(&w, 'c', NULL, 0);
		kit_complete(&w, "COPY 3");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, 0);
		assert_not_client("ada@example.com");
		assert_not_client("bob@example.com");
		assert_client("COPY 3");
		kit_end(&k);
	}
}

static void rows_of_any_length(void **state)
{
	static char cell[3u << 20];
	static const size_t lengths[] = { 1000, 70000, (1u << 20) - 100, 1u << 20, (3u << 20) - 1 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		memset(cell, 'x', lengths[i]);
		memcpy(cell + lengths[i] / 2, " ada@example.com ", 17);
		cell[lengths[i]] = 0;
		start(0);
		ask("select x from other", 0);
		answer("x", 0, 0, 25, cell, 0);
		assert_not_client("ada@example.com");
		assert_client(lengths[i] < LIMIT_STREAM_BYTES - 50 ? "***@masked.invalid" : "x ***************");
		assert_client("SELECT 1");
		kit_end(&k);
	}
}

static void masks_do_not_come_back_in_a_copy(void **state)
{
	static const char mask[] = "1\t***@masked.invalid\n";

	for (size_t cut = 1; cut < sizeof(mask) - 1; cut++) {
		struct writer w = fresh();

		start(0);
		ask("copy t from stdin", 0);
		kit_message(&w, 'G', "\0\0\1\0\0", 5);
		say(SIDE_SERVER, &w, 0);
		kit_message(&w, 'd', mask, cut);
		kit_message(&w, 'd', mask + cut, sizeof(mask) - 1 - cut);
		kit_message(&w, 'c', NULL, 0);
		say(SIDE_CLIENT, &w, 0);
		assert_server("refused"); /* CopyFail */
		assert_not_server("masked.invalid\n");
		kit_error(&w, "57014", "COPY from stdin failed: refused");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, 0);
		assert_client("42501");
		ask("select 1", 0);
		assert_server("select 1");
		kit_end(&k);
	}
}

/* Rows of a copy are kept as they were sent, in any pieces; where not all of them are, the answer says so, and the server gets them all. */
static void rows_of_a_copy_are_kept(void **state)
{
	static const size_t max[] = { 256, 8, 7, 0 };

	for (size_t i = 0; i < 4; i++) {
		struct writer w = fresh();

		start(0);
		k.kept_max = max[i];
		ask("copy t from stdin", 0);
		kit_message(&w, 'G', "\0\0\1\0\0", 5);
		say(SIDE_SERVER, &w, 0);
		kit_message(&w, 'd', "1\ta\n", 4);
		kit_message(&w, 'd', "2\tb\n", 4);
		kit_message(&w, 'c', NULL, 0);
		say(SIDE_CLIENT, &w, i % 2 ? 1 : 0);
		assert_server("2\tb\n");
		kit_complete(&w, "COPY 2");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, 0);
		assert_int_equal(k.kept_len, max[i] < 8 ? max[i] : 8);
		assert_memory_equal(k.kept, "1\ta\n2\tb\n", k.kept_len);
		assert_int_equal(k.last.sent_cut, max[i] < 8);
		assert_int_equal(k.last.octets, 8);
		ask("select 1", 0);
		kit_complete(&w, "SELECT 0");
		kit_ready(&w, 'I');
		say(SIDE_SERVER, &w, 0);
		assert_false(k.last.sent_cut);
		kit_end(&k);
	}
}

static void the_session_ends_in_the_protocols_words(void **state)
{
	start(0);
	ask("select 1", 0);
	kit_end_session(&k, "expired");
	assert_client("57P01");
	assert_client("expired");
	assert_true(k.closed);
	kit_end(&k);
	assert_int_equal(k.last.outcome, RESPONSE_LOST);
}

/* However often the policy changes while a session opens, it opens; reloads that tag the same columns read nothing again. */
static void policies_that_change_while_a_session_opens(void **state)
{
	kit_begin(&k);
	k.reloads = 9;
	kit_login(&k, 0);
	ask("select x from customers", 0);
	answer("x", 1000, 3, 25, "ada@example.com", 0);
	assert_not_client("ada@example.com");
	for (unsigned i = 0; i < 5; i++) {
		kit_clear(&k);
		kit_reload(&k, true);
		ask("select x from customers", 0);
		assert_server("select x from customers");
		assert_not_server("pg_catalog");
		answer("x", 1000, 3, 25, "ada@example.com", 0);
		assert_not_client("ada@example.com");
	}
	kit_end(&k);
}

/* Where bare names are looked up after each of these, whatever becomes of the transaction. */
static void search_path_is_followed(void **state)
{
	static const struct { const char *name; struct { const char *text, *tag; char status; } step[7]; const char *schema; } cases[] = {
		{ "never set", { { "select 1", "SELECT 1", 'I' } }, "" },
		{ "set", { { "set search_path = made", "SET", 'I' } }, "made" },
		{ "set with TO, quoted", { { "SET SESSION search_path TO \"made\"", "SET", 'I' } }, "made" },
		{ "set schema", { { "set schema 'made'", "SET", 'I' } }, "made" },
		{ "a list", { { "set search_path = made, public", "SET", 'I' } }, "?" },
		{ "by function", { { "select set_config('search_path', 'made', false)", "SELECT 1", 'I' } }, "?" },
		{ "reset", { { "set search_path = made", "SET", 'I' }, { "reset all", "RESET", 'I' } }, "?" },
		{ "two statements", { { "set search_path = a; set search_path = b", "SET", 'I' } }, "?" },
		{ "that failed", { { "set search_path = made", NULL, 'I' } }, "" },
		{ "committed", { { "begin", "BEGIN", 'T' }, { "set search_path = made", "SET", 'T' }, { "commit", "COMMIT", 'I' } }, "made" },
		{ "rolled back", { { "begin", "BEGIN", 'T' }, { "set search_path = made", "SET", 'T' }, { "rollback", "ROLLBACK", 'I' } }, "" },
		{ "local", { { "begin", "BEGIN", 'T' }, { "set local search_path = made", "SET", 'T' }, { "commit", "COMMIT", 'I' } }, "" },
		{ "inside", { { "begin", "BEGIN", 'T' }, { "set local search_path = made", "SET", 'T' } }, "made" },
		{ "local, then not", { { "begin", "BEGIN", 'T' }, { "set local search_path = a", "SET", 'T' }, { "set search_path = b", "SET", 'T' },
				       { "commit", "COMMIT", 'I' } }, "?" },
		{ "a savepoint's end", { { "begin", "BEGIN", 'T' }, { "set search_path = made", "SET", 'T' }, { "savepoint s", "SAVEPOINT", 'T' },
					 { "rollback to s", "ROLLBACK", 'T' }, { "commit", "COMMIT", 'I' } }, "?" },
		{ "an error in between", { { "begin", "BEGIN", 'T' }, { "set search_path = made", "SET", 'T' }, { "selekt", NULL, 'E' },
					   { "commit", "ROLLBACK", 'I' } }, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(0);
		for (unsigned n = 0; n < 7 && cases[i].step[n].text; n++) {
			struct writer w = fresh();

			ask(cases[i].step[n].text, 0);
			if (cases[i].step[n].tag)
				kit_complete(&w, cases[i].step[n].tag);
			else
				kit_error(&w, "42601", "no");
			kit_ready(&w, cases[i].step[n].status);
			say(SIDE_SERVER, &w, 0);
		}
		ask("select 2", 0);
		if (strcmp(k.schema, cases[i].schema))
			fail_msg("%s: %s is not %s", cases[i].name, k.schema, cases[i].schema);
		kit_end(&k);
	}
}

/* What a classification was found to say is believed only while all is as it was then. */
static void what_is_recalled(void **state)
{
	struct pg_command kept = { .digest = -1 }, c = kept;
	struct bytes text = bytes_str("a classification");
	struct pg_session *s;
	uint32_t changes;

	start(0);
	s = k.session;
	assert_non_null(s->catalogue);
	class_bits_add(&kept.mask, 1);
	kept.traits.alters = true;
	pg_recall_keep(s, &kept, text);
	c.mask = kept.mask;
	assert_true(pg_recall(s, &c, text));
	assert_true(c.traits.alters && !c.traits.calls && c.digest < 0);
	assert_false(pg_recall(s, &c, bytes_str("a classificatiom")));
	c.blind = true;
	assert_false(pg_recall(s, &c, text));
	c.blind = false;
	c.limits.rows = 1;
	assert_false(pg_recall(s, &c, text));
	c.limits.rows = 0;
	class_bits_add(&c.mask, 0);
	assert_false(pg_recall(s, &c, text));
	c.mask = kept.mask;
	changes = s->catalogue->changes++;
	assert_false(pg_recall(s, &c, text));
	s->catalogue->changes = changes;
	s->catalogue->taints++;
	assert_false(pg_recall(s, &c, text));
	s->catalogue->taints--;
	s->policy_generation++;
	assert_false(pg_recall(s, &c, text));
	s->policy_generation--;
	assert_true(pg_recall(s, &c, text));

	/* Not kept at all: what has something of its own. */
	text = bytes_str("another");
	kept.digest = 0;
	pg_recall_keep(s, &kept, text);
	kept.digest = -1;
	kept.writes = 1;
	pg_recall_keep(s, &kept, text);
	kept.writes = 0;
	kept.scope = kept.mask;
	pg_recall_keep(s, &kept, text);
	assert_false(pg_recall(s, &c, text));
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_goes_and_its_rows_come),
		cmocka_unit_test(lineage_masks_whatever_the_label),
		cmocka_unit_test(a_plain_text_has_no_effects),
		cmocka_unit_test(refusal_puts_an_error_in_the_servers_mouth),
		cmocka_unit_test(a_refused_group_is_dropped_up_to_sync),
		cmocka_unit_test(hold_release_and_cancel),
		cmocka_unit_test(errors_in_scope_say_only_their_code),
		cmocka_unit_test(what_is_said_beside_rows_is_masked_by_every_class),
		cmocka_unit_test(what_is_copied_into_a_column_taints_that_column),
		cmocka_unit_test(a_copy_that_failed_taints_nothing),
		cmocka_unit_test(what_the_server_may_not_say_ends_the_session),
		cmocka_unit_test(lengths_that_cannot_be),
		cmocka_unit_test(a_row_without_its_description_is_not_passed),
		cmocka_unit_test(rows_get_their_description_by_an_injected_describe),
		cmocka_unit_test(bound_again_is_the_text_it_was),
		cmocka_unit_test(types_are_those_of_the_text),
		cmocka_unit_test(copy_rows_need_not_be_aligned),
		cmocka_unit_test(rows_of_any_length),
		cmocka_unit_test(masks_do_not_come_back_in_a_copy),
		cmocka_unit_test(rows_of_a_copy_are_kept),
		cmocka_unit_test(search_path_is_followed),
		cmocka_unit_test(policies_that_change_while_a_session_opens),
		cmocka_unit_test(the_session_ends_in_the_protocols_words),
		cmocka_unit_test(what_is_recalled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
