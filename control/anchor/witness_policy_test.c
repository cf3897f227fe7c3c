/* witness_policy_test.c: what is a policy, what is none and in which line, and which witnesses are its quorum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/anchor/anchor_test_kit.h"
#include "control/anchor/witness_policy.h"
#include "control/journal/journal_fixture.h"

#define KEYS 8

static struct anchor_kit_witness kit[KEYS]; /* of the letters A to H in the tables */
static struct fixture_signer signer, other; /* of L and M */
static struct witness_policy p;

/* A text with @A to @H for witnesses' keys and @L, @M for logs'; @a is A's key under another name. */
static struct bytes text_of(const char *pattern, char room[WITNESS_POLICY_BYTES])
{
	struct writer w = writer_of(room, WITNESS_POLICY_BYTES);

	for (const char *at = pattern; *at; at++) {
		if (*at != '@') {
			writer_u8(&w, (uint8_t)*at);
			continue;
		}
		at++;
		if (*at == 'L' || *at == 'M') {
			assert_true(checkpoint_vkey_write(*at == 'L' ? &signer.keys : &other.keys, &w));
		} else {
			struct witness_key k = kit[toupper(*at) - 'A'].public;

			if (islower(*at))
				snprintf(k.name, sizeof k.name, "another.name");
			witness_key_id(&k);
			assert_true(witness_key_write(&k, &w));
		}
	}
	return writer_done(&w);
}

static int make(void **state)
{
	for (unsigned i = 0; i < KEYS; i++) {
		char name[16];

		snprintf(name, sizeof name, "w%u.example", i);
		kit[i] = anchor_kit_witness(name);
	}
	fixture_signer_init(&signer);
	fixture_signer_init(&other);
	return 0;
}

static int unmake(void **state)
{
	for (unsigned i = 0; i < KEYS; i++)
		EVP_PKEY_free(kit[i].key);
	fixture_signer_free(&signer);
	fixture_signer_free(&other);
	return 0;
}

#define THREE "witness a @A\nwitness b @B\nwitness c @C\n"

/* Sets of witnesses, a letter each; those that are quorums and those that are not. */
static void quorums_are_met_or_not(void **state)
{
	static const struct {
		const char *text, *met, *not_met;
	} rows[] = {
		{ "quorum none\n", "- A", "" },
		{ THREE "quorum none\n", "- A AB", "" },
		{ "witness a @A https://w.example/x\nquorum a\n", "A AB", "- B" },
		{ THREE "group g any a b c\nquorum g\n", "A B C ABC", "- D" },
		{ THREE "group g all a b c\nquorum g\n", "ABC ABCD", "- A AB BC AC ABD" },
		{ THREE "group g 2 a b c\nquorum g\n", "AB BC AC ABC", "- A B C AD" },
		/* The example of tlog-policy: two of one house and one of another. */
		{ "log @L\nlog @M\thttps://log.example/\n\n" THREE "group X 2 a b c\n# another house\nwitness d @D\n  witness e @E\ngroup Y any d e\ngroup both all X Y\nquorum both\n",
		  "ABD ACE ABCDE", "- AB DE ADE ABC" },
		{ "witness a @A\nwitness b @B\ngroup one any a\ngroup two 2 one b\nquorum two\n", "AB", "- A B" },
		{ "witness \xe2\x84\xaa @A\nwitness K @B\nquorum \xe2\x84\xaa\n", "A", "B" }, /* names are octets */
		{ "\t \n #x\nwitness a @A\n quorum\ta \t\nwitness b @B\n", "A", "B" },
	};
	static char room[WITNESS_POLICY_BYTES];
	unsigned line;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *wrong = witness_policy_read(text_of(rows[i].text, room), &p, &line);

		if (wrong)
			fail_msg("%s: line %u: %s", rows[i].text, line, wrong);
		for (unsigned met = 0; met < 2; met++) {
			uint64_t witnesses = 0;
			const char *at = met ? rows[i].met : rows[i].not_met;

			for (; *at; at++) {
				int place = *at >= 'A' && *at <= 'H' ? witness_policy_find(&p, kit[*at - 'A'].public.key) : -1;

				if (place >= 0)
					witnesses |= 1ull << place;
				if (at[1] && at[1] != ' ')
					continue;
				if (witness_policy_met(&p, witnesses) != !!met)
					fail_msg("%s: up to %s", rows[i].text, at);
				witnesses = 0;
				at += at[1] == ' ';
			}
		}
	}
}

static void what_is_no_policy_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *says;
	} rows[] = {
		{ "", 0, "no quorum line" },
		{ THREE, 0, "no quorum line" },
		{ THREE "quorum a", 4, "without its end" },
		{ THREE "quorum a\nquorum b\n", 5, "a second quorum" },
		{ THREE "quorum g\n", 4, "not defined before it" },
		{ "quorum a\nwitness a @A\n", 1, "not defined before it" },
		{ THREE "quorum a b\n", 4, "more words" },
		{ "witness a @A\nwitness b @A\ngroup g 2 a b\nquorum g\n", 2, "listed already" }, /* one key under two names */
		{ "witness a @A\nwitness b @a\ngroup g 2 a b\nquorum g\n", 2, "listed already" }, /* and with two key names */
		{ "witness a @A\nwitness a @B\nquorum a\n", 2, "defined already" },
		{ "witness none @A\nquorum none\n", 1, "not a name" },
		{ "witness a @L\nquorum a\n", 1, "no Ed25519 key of a witness" },
		{ "log @A\nquorum none\n", 1, "no Ed25519 key" },
		{ "log @L\nlog @L\nquorum none\n", 2, "listed already" },
		{ "witness a @A url more\nquorum a\n", 1, "more words" },
		{ "log @L url more\nquorum none\n", 1, "more words" },
		{ "witness a\nquorum none\n", 1, "without a name" },
		{ THREE "group g 4 a b c\nquorum g\n", 4, "cannot reach" },
		{ THREE "group g 0 a b c\nquorum g\n", 4, "cannot reach" },
		{ THREE "group g 18446744073709551617 a b c\nquorum g\n", 4, "neither a number" },
		{ THREE "group g 02 a b c\nquorum g\n", 4, "neither a number" },
		{ THREE "group g some a b c\nquorum g\n", 4, "neither a number" },
		{ THREE "group g all\nquorum g\n", 4, "without members" },
		{ THREE "group g\nquorum g\n", 4, "without members" },
		{ THREE "group g all a g\nquorum g\n", 4, "not defined before it" },
		{ THREE "group g any a none\nquorum g\n", 4, "not defined before it" },
		{ THREE "group g any a b a\nquorum g\n", 4, "a member of a group already" },
		{ THREE "group g any a\ngroup h any a b\nquorum g\n", 5, "a member of a group already" },
		{ THREE "group a any b\nquorum a\n", 4, "defined already" },
		{ "witnesses a @A\nquorum none\n", 1, "not a line" },
		{ "quorum none\r\n", 1, "control character" },
		{ "quorum none\n\x7f\n", 2, "control character" },
	};
	static char room[WITNESS_POLICY_BYTES];
	unsigned line;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *wrong = witness_policy_read(text_of(rows[i].text, room), &p, &line);

		if (!wrong || !strstr(wrong, rows[i].says) || line != rows[i].line)
			fail_msg("%s: line %u: %s", rows[i].text, line, wrong ? wrong : "taken");
		assert_int_equal(p.logs + p.witnesses + p.groups + p.quorum.wanted, 0);
	}
}

/* A text of so many lines, each made by `line`. */
static const char *many(unsigned count, const char *format, const char *end)
{
	static char room[2 * WITNESS_POLICY_BYTES];
	size_t at = 0;
	unsigned line;

	for (unsigned i = 0; i < count; i++) {
		struct witness_key k = kit[0].public;
		char vkey[CHECKPOINT_KEY_TEXT_BYTES] = "";
		struct writer w = writer_of(vkey, sizeof vkey - 1);

		k.key[0] = (uint8_t)i;
		witness_key_id(&k);
		assert_true(witness_key_write(&k, &w));
		at += (size_t)snprintf(room + at, sizeof room - at, format, i, vkey);
	}
	at += (size_t)snprintf(room + at, sizeof room - at, "%s", end);
	assert_true(at < sizeof room);
	return witness_policy_read(bytes_of(room, at), &p, &line);
}

static void limits_are_kept(void **state)
{
	assert_null(many(64, "witness w%1$u %2$s\n", "quorum w63\n"));
	assert_true(witness_policy_met(&p, 1ull << 63));
	assert_non_null(strstr(many(65, "witness w%1$u %2$s\n", "quorum none\n"), "more witnesses"));
	assert_null(many(32, "witness w%1$u %2$s\ngroup g%1$u any w%1$u\n", "quorum g31\n"));
	assert_non_null(strstr(many(33, "witness w%1$u %2$s\ngroup g%1$u any w%1$u\n", "quorum g1\n"), "more groups"));
	assert_non_null(strstr(many(65, "#%1$u %2$1100s\n", "quorum none\n"), "longer than"));
}

static void a_log_that_is_not_listed_is_not_believed(void **state)
{
	static uint8_t note[CHECKPOINT_BYTES_MAX];
	struct journal_signer s = fixture_signer_journal(&signer);
	const struct checkpoint c = { .origin = FIXTURE_ORIGIN, .size = 1, .root = merkle_leaf(bytes_str("x")) };
	struct merkle_proof none = { 0 };
	struct writer w = writer_of(note, sizeof note);
	static char room[WITNESS_POLICY_BYTES];
	const char *why;
	unsigned line;

	assert_true(checkpoint_body(&c, &w));
	assert_true(s.ask(s.ctx, 0, &none, writer_done(&w)));
	writer_u8(&w, '\n');
	assert_int_equal(s.poll(s.ctx, &w, &why), JOURNAL_SIGNER_DONE);
	assert_null(witness_policy_read(text_of("quorum none\n", room), &p, &line));
	assert_true(witness_policy_signed(&p, writer_done(&w)));
	assert_null(witness_policy_read(text_of("log @M\nquorum none\n", room), &p, &line));
	assert_false(witness_policy_signed(&p, writer_done(&w)));
	assert_null(witness_policy_read(text_of("log @M\nlog @L\nquorum none\n", room), &p, &line));
	assert_true(witness_policy_signed(&p, writer_done(&w)));
}

static void what_is_written_is_read(void **state)
{
	const struct witness_policy_witness two[] = { { &kit[0].public, "https://a.example/" }, { &kit[1].public, "" } };
	static char room[WITNESS_POLICY_BYTES];
	unsigned line;

	for (unsigned wanted = 0; wanted <= 3; wanted++) {
		struct writer w = writer_of(room, sizeof room);
		const char *wrong;

		assert_true(witness_policy_write_log(&signer.keys, &w));
		assert_true(witness_policy_write_quorum(two, 2, wanted, &w));
		wrong = witness_policy_read(writer_done(&w), &p, &line);
		if (wanted == 3) {
			assert_non_null(wrong); /* nobody may think that it was met */
			continue;
		}
		assert_null(wrong);
		assert_int_equal(p.logs, 1);
		assert_int_equal(p.witnesses, 2);
		assert_int_equal(witness_policy_asks(&p), wanted > 0);
		for (unsigned set = 0; set < 4; set++)
			assert_int_equal(witness_policy_met(&p, set), (unsigned)__builtin_popcount(set) >= wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quorums_are_met_or_not), cmocka_unit_test(what_is_no_policy_is_refused_with_its_line), cmocka_unit_test(limits_are_kept),
		cmocka_unit_test(a_log_that_is_not_listed_is_not_believed), cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests_name("witness_policy", tests, make, unmake);
}
