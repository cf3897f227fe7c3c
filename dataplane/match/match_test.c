/* Matching on the compiled classes. Usage: match_test CLASSES.hsdb CLASSES_DIR */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/match/mask.h"
#include "dataplane/match/match.h"
#include "hyperscan-rules/rule.h"
#include "platform/base/random.h"

static const char *blob_path, *classes_dir;
static uint8_t *blob;
static size_t blob_len;
static struct match_set *set;
static struct match_scratch *scratch;

static struct class_bits all_classes(void)
{
	struct class_bits bits = { 0 };

	for (unsigned i = 0; i < match_class_count(set); i++)
		class_bits_add(&bits, i);
	return bits;
}

static struct class_bits only(const char *name)
{
	struct class_bits bits;

	if (!match_class_bits(set, name, &bits))
		fail_msg("no class %s", name);
	return bits;
}

/* The hits as "class[start,end) ...", in a static text. */
static const char *hits_of(const struct match_want *want, struct bytes value)
{
	static char text[1024];
	struct match_hit hits[32];
	size_t count = match_value(set, scratch, want, value, hits, 32), len = 0;

	text[0] = 0;
	for (size_t i = 0; i < count && len < sizeof text - 64; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s[%u,%u)", i ? " " : "", match_class_name(set, hits[i].class), hits[i].start, hits[i].end);
	return text;
}

struct row {
	const char *column, *value, *hits;
};

static void run_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct match_want want = match_want(set, all_classes(), bytes_str(rows[i].column));
		const char *got = hits_of(&want, bytes_str(rows[i].value));

		if (strcmp(got, rows[i].hits) != 0)
			fail_msg("row %zu, column '%s', '%s': wanted '%s', got '%s'", i, rows[i].column, rows[i].value, rows[i].hits, got);
	}
}

#define RUN(rows) run_rows(rows, sizeof(rows) / sizeof *(rows))

/* data-classes.md 9, V1 and V5: separators, other scripts' digits, neighbours. */
static void separators_and_boundaries(void **state)
{
	static const struct row ROWS[] = {
		{ "", "4111111111111111", "payment_card[0,16)" },
		{ "", "4111-1111-1111-1111", "payment_card[0,19)" },
		{ "", "4111.1111.1111.1111", "payment_card[0,19)" },
		{ "", "4111\xc2\xa0" "1111\xc2\xa0" "1111\xc2\xa0" "1111", "payment_card[0,22)" },
		{ "", "4111\xe2\x80\x89" "1111\xe2\x80\x89" "1111\xe2\x80\x89" "1111", "payment_card[0,25)" },
		{ "", "4111\xe2\x80\x8d" "111111111111", "payment_card[0,19)" },
		{ "", "\xef\xbc\x94\xef\xbc\x91" "11111111111111", "payment_card[0,20)" },
		{ "", "\xd9\xa4\xd9\xa1" "11111111111111", "payment_card[0,18)" },
		{ "", "4111 1111\n1111 1111", "payment_card[0,19)" },
		{ "", "4111\xe2\x80\x91" "1111\xe2\x80\x91" "1111\xe2\x80\x91" "1111", "payment_card[0,25)" },
		/* 17 digits hold a 16-digit card; letters next to it; a longer dashed or dotted number */
		{ "", "41111111111111117", "" },
		{ "", "74111111111111111", "" },
		{ "", "x4111111111111111", "" },
		{ "", "4111111111111111.5", "" },
		{ "", "4111111111111111.", "payment_card[0,16)" },
		{ "", "card_4111111111111111", "payment_card[5,21)" },
		/* groups that no card has */
		{ "", "41 11111111 111111", "" },
		{ "", "4111-1111 1111-1111", "" },
	};

	RUN(ROWS);
}

/* V3: inside, at the start, at the end, twice, overlapping two classes. */
static void places_in_a_text(void **state)
{
	static const struct row ROWS[] = {
		{ "", "a 4111111111111111 b", "payment_card[2,18)" },
		{ "", "4111111111111111,5555555555554444", "payment_card[0,16) payment_card[17,33)" },
		{ "", "x@example.com y@example.com", "email[0,13) email[14,27)" },
		{ "", "219-09-9998@example.com", "email[0,23)" },
		{ "", "{\"ssn\":\"536904399\",\"n\":536904399}", "us_ssn[8,17) us_ssn[23,32)" },
		{ "", "{\"ssn\":\"536904399\"}", "us_ssn[8,17)" },
		/* overlapping in part: the union, so that nothing of either stays */
		{ "", "postgres://app:pass@example.com/db", "email[8,31)" },
		{ "", "account 536904399", "" },
		{ "notes", "ssn is 536904399", "us_ssn[7,16)" },
	};

	RUN(ROWS);
}

/* V6 to V11, V13: forms of single classes; what is not found is listed too. */
static void forms(void **state)
{
	static const struct row ROWS[] = {
		{ "", "de89 3704 0044 0532 0130 00", "iban[0,27)" },
		{ "", "DE89-3704-0044-0532-0130-00", "iban[0,27)" },
		{ "", "user+tag@example.com", "email[0,20)" },
		{ "", "x@xn--bcher-kva.example", "email[0,23)" },
		{ "", "j@b\xc3\xbc" "cher.example", "email[0,17)" },
		{ "", "\"john doe\"@example.com", "" },          /* V7 quoted local part: only by column */
		{ "", "john(comment)@example.com", "" },         /* V7 comment: only by column */
		{ "", "+1 212-555-0142 ext. 12", "phone[0,15)" },
		{ "phone", "020 7946 0958", "phone[0,13)" },
		{ "", "1-800-FLOWERS", "" },                     /* V8 letters: only by column */
		{ "", "fe80::1ff:fe23:4567:890a", "ipv6[0,24)" },
		{ "", "::ffff:192.0.2.128", "ipv6[0,18)" },
		{ "client_ip", "192.0.2.128", "ipv4[0,11)" },
		{ "version", "10.15.7.1", "" },
		{ "client_ip", "3221226112", "" },               /* V9 decimal address: only by column */
		{ "", "Cookie: t=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln; x", "jwt[10,46)" },
		{ "", "/?t=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln&u=1", "jwt[4,40)" },
		{ "cc_num", "4.111111111111111E15", "" },        /* V13 float rounding: only by column */
		{ "ssn", "78051121", "" },                       /* V13 lost leading zero: only by column */
		{ "", "NDExMTExMTExMTExMTExMQ==", "" },          /* V2 base64: a tripwire's business, not a cell's */
		{ "", "***@masked.invalid", "" },
		{ "", "000-00-0000 0000-0000-0000-1111", "" },
		/* test numbers are masked like real ones; so are addresses at example.com */
		{ "", "4242424242424242", "payment_card[0,16)" },
	};

	RUN(ROWS);
}

/* A bare number of 9 to 13 digits is a hit only with context. */
static void bare_numbers_need_context(void **state)
{
	static const struct row ROWS[] = {
		{ "", "536904399", "" },
		{ "order_id", "536904399", "" },
		{ "ssn", "536904399", "us_ssn[0,9)" },
		{ "customerSSN", "536904399", "us_ssn[0,9)" },
		{ "tax_id", "536904399", "us_ssn[0,9)" },
		{ "tax_id_hash", "536904399", "" },
		{ "nhs_number", "9434765919", "uk_nhs[0,10)" },
		{ "", "9434765919", "" },
		{ "order_phone", "2125550142", "phone[0,10)" },
		{ "tracking", "2125550142", "" },
	};

	RUN(ROWS);
}

static void names_give_evidence(void **state)
{
	static const struct { const char *name, *class; char strength; } ROWS[] = {
		{ "email", "email", 's' }, { "customerEmail", "email", 's' }, { "EMAIL_ADDRESS", "email", 's' }, { "user_name", "email", 'w' },
		{ "ssn", "us_ssn", 's' }, { "SSNNumber", "us_ssn", 's' }, { "ssn_last4", "us_ssn", 's' }, { "tax_id", "us_ssn", 'w' },
		{ "passn", "us_ssn", '-' }, { "session", "us_ssn", '-' }, { "cc_num", "payment_card", 's' }, { "pan", "payment_card", 'w' },
		{ "panel", "payment_card", '-' }, { "geburtsdatum", "date_of_birth", 's' }, { "firstname", "person_name", 's' },
		{ "first_name", "person_name", 's' }, { "file_name", "person_name", 'w' }, { "ip_address", "street_address", '-' },
		{ "home_address", "street_address", 's' }, { "telefono", "phone", 's' }, { "tel\xc3\xa9" "fono", "phone", 's' },
		{ "order_phone", "phone", 's' }, { "order_contact_cell", "phone", '-' }, { "password_hash", "credential_field", 's' },
		{ "public.customers.iban", "iban", 's' }, { "", "email", '-' },
	};

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct match_name said = match_name(set, bytes_str(ROWS[i].name));
		unsigned class = (unsigned)match_class_find(set, ROWS[i].class);
		char got = class_bits_has(&said.strong, class) ? 's' : class_bits_has(&said.weak, class) ? 'w' : '-';

		if (got != ROWS[i].strength)
			fail_msg("%s for %s: wanted %c, got %c", ROWS[i].name, ROWS[i].class, ROWS[i].strength, got);
	}
}

static void names_of_classes_are_found(void **state)
{
	struct class_bits bits, card = only("pan-luhn"), secret = only("secret-any");
	unsigned count = 0;

	assert_true(match_class_find(set, "email") >= 0);
	assert_int_equal(match_class_find(set, "no-such"), -1);
	assert_int_equal(match_class_find(set, "mac"), match_class_find(set, "mac_address"));
	assert_false(match_class_bits(set, "no-such", &bits));
	assert_true(class_bits_has(&card, (unsigned)match_class_find(set, "payment_card")));
	for (unsigned i = 0; i < match_class_count(set); i++)
		count += class_bits_has(&secret, i);
	assert_true(count >= 10);
	assert_string_equal(match_class_name(set, 9999), "?");
}

/* Only what the policy wants is found. */
static void only_wanted_classes(void **state)
{
	struct match_want want = match_want(set, only("email"), bytes_str(""));

	assert_string_equal(hits_of(&want, bytes_str("4111111111111111 a@example.com")), "email[17,30)");
	want = (struct match_want){ 0 };
	assert_string_equal(hits_of(&want, bytes_str("4111111111111111 a@example.com")), "");
}

/* Each class file's samples through the loaded blob: positives are covered by hits of the class alone, and match_any sees them, also
 * between the framing bytes of a message. */
static void every_sample_of_every_class(void **state)
{
	char err[512];
	unsigned count, tried = 0;
	struct rule *rules = rules_read(classes_dir, &count, err, sizeof err);

	assert_non_null(rules);
	for (unsigned r = 0; r < count; r++) {
		int class = match_class_find(set, rules[r].class.name);
		struct match_want want = match_want(set, only(rules[r].class.name), bytes_str("")), quiet;

		assert_true(class >= 0);
		quiet = want;
		want.context = want.classes;
		for (unsigned i = 0; i < rules[r].samples_count && rules[r].class.shape != SHAPE_NAME; i++) {
			const struct sample *s = &rules[r].samples[i];
			struct match_hit hits[8];
			size_t found = match_value(set, scratch, &want, s->text, hits, 8);
			uint8_t framed[9000] = "1";

			tried++;
			if (s->kind == SAMPLE_NO) {
				if (found)
					fail_msg("%s:%u: found", rules[r].file, s->line);
				continue;
			}
			if (found != 1 || hits[0].start != s->start || hits[0].end != s->end || hits[0].class != class)
				fail_msg("%s:%u: %zu hits", rules[r].file, s->line, found);
			if (s->kind == SAMPLE_QUIET && s->start == 0 && match_value(set, scratch, &quiet, s->text, hits, 8))
				fail_msg("%s:%u: found without context", rules[r].file, s->line);
			assert_true(s->text.len + 8 < sizeof framed);
			memcpy(framed + 4, s->text.base, s->text.len);
			memcpy(framed, "\0\0\0001", 4);
			framed[4 + s->text.len] = 'D';
			if (!match_any(set, scratch, &want, bytes_of(framed, s->text.len + 5)))
				fail_msg("%s:%u: match_any does not see it", rules[r].file, s->line);
		}
	}
	assert_true(tried > 2000);
	rules_free(rules, count);
}

/* Hostile values: many hits, many near-hits, no end of work. The result is bounded, sorted, and masks too much rather than too little. */
static void hostile_values_are_bounded(void **state)
{
	static uint8_t text[300000];
	struct match_hit hits[4];
	struct match_want want = match_want(set, all_classes(), bytes_str("phone ssn nhs iban tax_id"));
	static const char *const FILLS[] = { "4111111111111111 ", "1 2 3 4 5 6 7 8 9 0 ", "a@b.co,", "a://b:c@@@", "GB29 ", "eyJa.", "1:2:3:4::", "-----BEGIN PRIVATE KEY-----AAAA" };

	for (size_t f = 0; f < sizeof FILLS / sizeof *FILLS; f++) {
		size_t len = strlen(FILLS[f]), count;

		for (size_t i = 0; i < sizeof text; i++)
			text[i] = (uint8_t)FILLS[f][i % len];
		count = match_value(set, scratch, &want, bytes_of(text, sizeof text), hits, 4);
		assert_true(count <= 4);
		for (size_t i = 0; i < count; i++) {
			assert_true(hits[i].start < hits[i].end && hits[i].end <= sizeof text);
			assert_true(i == 0 || hits[i].start >= hits[i - 1].end);
		}
		if (f == 0)
			assert_int_equal(hits[count - 1].end, sizeof text);
	}
}

/* A value that has to be folded is matched the same wherever a window ends. */
static void folding_windows_hide_nothing(void **state)
{
	static uint8_t text[200000];
	struct match_want want = match_want(set, only("payment_card"), bytes_str(""));

	for (size_t at = 60000; at < 70000; at += 97) {
		struct match_hit hits[4];

		memset(text, 'x', sizeof text);
		memcpy(text, "\xc2\xa0", 2);
		memcpy(text + at, " 4111111111111111 ", 18);
		assert_int_equal(match_value(set, scratch, &want, bytes_of(text, sizeof text), hits, 4), 1);
		assert_int_equal(hits[0].start, at + 1);
		assert_int_equal(hits[0].end, at + 17);
	}
}

/* match_any never says no where match_value finds something: random texts made of pieces. */
static void match_any_has_no_false_negative(void **state)
{
	static const char *const PIECES[] = { "4111111111111111", "a@example.com", "219-09-9998", " ", "\n", "x", "12", "GB29NWBK60161331926819", "-", ".", "+44 20 7946 0958",
					      "\xc2\xa0", "://u:p@", "AB 12 34 56 C", "00:1a:2b:3c:4d:5e", "1", "::1", "2001:db8::1" };
	struct rng rng = rng_seeded(7);
	struct match_want want = match_want(set, all_classes(), bytes_str("ssn"));

	for (unsigned round = 0; round < 20000; round++) {
		char text[256] = "";
		size_t len = 0;
		struct match_hit hits[8];

		for (unsigned i = 0, n = (unsigned)rng_below(&rng, 8); i < n; i++)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s", PIECES[rng_below(&rng, sizeof PIECES / sizeof *PIECES)]);
		if (match_value(set, scratch, &want, bytes_str(text), hits, 8) && !match_any(set, scratch, &want, bytes_str(text)))
			fail_msg("round %u: '%s'", round, text);
	}
	want = match_want(set, all_classes(), bytes_str(""));
	assert_false(match_any(set, scratch, &want, bytes_str("the quick brown fox, item 42 of 100")));
}

static void damaged_blobs_are_refused(void **state)
{
	char err[128] = "";
	uint8_t *copy = malloc(blob_len);
	struct rng rng = rng_seeded(11);

	assert_null(match_set_load("", 0, err, sizeof err));
	assert_string_equal(err, "not a file of compiled classes");
	for (unsigned round = 0; round < 60; round++) {
		size_t cut = rng_below(&rng, blob_len), at = rng_below(&rng, blob_len);

		memcpy(copy, blob, blob_len);
		assert_null(match_set_load(copy, cut, err, sizeof err));
		copy[at] ^= (uint8_t)(1 + rng_below(&rng, 255));
		assert_null(match_set_load(copy, blob_len, err, sizeof err));
		assert_true(err[0] != 0);
	}
	free(copy);
}

static int load_all(void **state)
{
	FILE *file = fopen(blob_path, "rb");
	char err[200];

	blob = malloc(16 << 20);
	if (!file || !blob)
		return -1;
	blob_len = fread(blob, 1, 16 << 20, file);
	fclose(file);
	set = match_set_load(blob, blob_len, err, sizeof err);
	if (!set)
		print_error("%s\n", err);
	scratch = set ? match_scratch_create(set) : NULL;
	return scratch ? 0 : -1;
}

static int free_all(void **state)
{
	match_scratch_destroy(scratch);
	match_set_free(set);
	free(blob);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(separators_and_boundaries),
		cmocka_unit_test(places_in_a_text),
		cmocka_unit_test(forms),
		cmocka_unit_test(bare_numbers_need_context),
		cmocka_unit_test(names_give_evidence),
		cmocka_unit_test(names_of_classes_are_found),
		cmocka_unit_test(only_wanted_classes),
		cmocka_unit_test(every_sample_of_every_class),
		cmocka_unit_test(hostile_values_are_bounded),
		cmocka_unit_test(folding_windows_hide_nothing),
		cmocka_unit_test(match_any_has_no_false_negative),
		cmocka_unit_test(damaged_blobs_are_refused),
	};

	if (argc < 3)
		return 2;
	blob_path = argv[1];
	classes_dir = argv[2];
	return cmocka_run_group_tests(tests, load_all, free_all);
}
