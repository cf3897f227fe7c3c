/* Masks: shape, idempotence, not matched by any class, recognised on the way back. Usage: mask_test CLASSES.hsdb CLASSES_DIR */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/match/mask.h"
#include "dataplane/match/survey.h"
#include "hyperscan-rules/rule.h"

static const char *blob_path, *classes_dir;
static struct match_set *set;
static struct match_scratch *scratch;

static const uint8_t KEY[MASK_KEY_BYTES] = "0123456789abcdefghijklmnopqrstu";
static const uint8_t OTHER_KEY[MASK_KEY_BYTES] = "another key of another tenant..";

static struct bytes mask_one(const char *class, enum mask_kind kind, size_t len_max, struct bytes value, uint8_t *out, size_t cap)
{
	struct mask mask = { .kind = kind, .key = KEY, .len_max = len_max };
	struct writer w = writer_of(out, cap);
	int id = match_class_find(set, class);

	assert_true(id >= 0);
	mask_text(set, (unsigned)id, &mask, value, &w);
	assert_true(w.ok);
	return writer_done(&w);
}

static void shapes(void **state)
{
	static const struct { const char *class; enum mask_kind kind; const char *value, *masked; } ROWS[] = {
		{ "payment_card", MASK_LAST4, "4111111111111111", "0000000000001111" },
		{ "payment_card", MASK_LAST4, "4111-1111-1111-1111", "0000-0000-0000-1111" },
		{ "payment_card", MASK_LAST4, "5555555555550000", "0100000000000000" }, /* zeros alone would pass Luhn */
		{ "payment_card", MASK_FULL, "4111 1111 1111 1111", "0100 0000 0000 0000" },
		{ "us_ssn", MASK_FULL, "123-45-6789", "000-00-0000" },
		{ "us_ssn", MASK_LAST4, "123-45-6789", "000-00-6789" },
		{ "us_ssn", MASK_ZERO, "123456789", "000000000" },
		{ "email", MASK_FULL, "a.b@example.com", "***@masked.invalid" },
		{ "email", MASK_EMAIL_DOMAIN, "a.b@example.com", "***@example.com" },
		{ "email", MASK_LAST4, "a.b@example.com", "***@masked.invalid" },
		{ "email", MASK_EMAIL_DOMAIN, "not an address", "***@masked.invalid" },
		{ "phone", MASK_FULL, "+44 20 7946 0958", "+44 00 0000 0000" },
		{ "phone", MASK_FULL, "+1 (212) 555-0142", "+1 (000) 000-0000" },
		{ "phone", MASK_LAST4, "212-555-0142", "000-000-0142" },
		{ "iban", MASK_FULL, "DE89 3704 0044 0532 0130 00", "DE00 0000 0000 0000 0000 00" },
		{ "iban", MASK_LAST4, "GB29NWBK60161331926819", "GB00000000000000006819" },
		{ "br_cpf", MASK_FULL, "529.982.247-25", "000.000.000-00" },
		{ "ipv4", MASK_FULL, "192.0.2.1", "0.0.0.0" },
		{ "ipv6", MASK_FULL, "2001:db8::1", "::" },
		{ "mac_address", MASK_FULL, "00:1A:2B:3C:4D:5E", "00:00:00:00:00:00" },
		{ "date_of_birth", MASK_YEAR, "1984-07-13", "1984-01-01" },
		{ "date_of_birth", MASK_YEAR, "13.07.1984", "01.01.1984" },
		{ "date_of_birth", MASK_FULL, "1984-07-13", "1970-01-01" },
		{ "date_of_birth", MASK_YEAR, "July", "1970-01-01" },
		{ "salary", MASK_ZERO, "52000.00", "00000.00" },
	};
	uint8_t out[512];

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
		struct bytes got = mask_one(ROWS[i].class, ROWS[i].kind, 0, bytes_str(ROWS[i].value), out, sizeof out);

		if (!bytes_equal(got, bytes_str(ROWS[i].masked)))
			fail_msg("%s %s: wanted %s, got %.*s", ROWS[i].class, ROWS[i].value, ROWS[i].masked, (int)got.len, got.base);
	}
}

/* A strong column name over a value of any other form: nothing of it is left. */
static void other_forms_become_tokens(void **state)
{
	static const char *const VALUES[] = { "none yet", "Anna Smith", "\xe6\x9d\xb1\xe4\xba\xac", "", "a", "-" };
	static const char *const CLASSES[] = { "us_ssn", "payment_card", "phone", "iban", "person_name", "credential_field", "mac_address" };

	for (size_t c = 0; c < sizeof CLASSES / sizeof *CLASSES; c++)
		for (size_t i = 0; i < sizeof VALUES / sizeof *VALUES; i++) {
			uint8_t out[512];
			struct bytes got = mask_one(CLASSES[c], MASK_FULL, 0, bytes_str(VALUES[i]), out, sizeof out);

			assert_int_equal(got.len, 14);
			assert_memory_equal(got.base, "***", 3);
			assert_true(mask_present(KEY, got));
		}
}

static void secrets_keep_nothing(void **state)
{
	static const char SECRET[] = "AKIAIOSFODNN7EXAMPLE";

	for (unsigned kind = 0; kind < MASK_KIND_COUNT; kind++) {
		uint8_t out[512];
		struct bytes got = mask_one("aws_access_key", (enum mask_kind)kind, 0, bytes_str(SECRET), out, sizeof out);

		for (size_t i = 0; i + 4 <= sizeof SECRET - 1; i++)
			assert_null(memmem(got.base, got.len, SECRET + i, 4));
	}
}

/* data-classes.md 6 and V18: the mask of a mask is the mask, and no class matches it, for every positive sample of every class and
 * every kind, with all classes wanted and all of them in context. */
static void idempotent_and_unmatched(void **state)
{
	char err[512];
	unsigned count, tried = 0;
	struct rule *rules = rules_read(classes_dir, &count, err, sizeof err);
	struct match_want want = { 0 };

	memset(&want.classes, 0xff, sizeof want.classes);
	want.context = want.classes;
	assert_non_null(rules);
	for (unsigned r = 0; r < count; r++)
		for (unsigned i = 0; i < rules[r].samples_count; i++)
			for (unsigned kind = 0; kind < MASK_KIND_COUNT; kind++) {
				const struct sample *s = &rules[r].samples[i];
				uint8_t first[512], second[512];
				struct match_hit hits[4];
				struct bytes once, twice;

				if (s->kind == SAMPLE_NO)
					continue;
				once = mask_one(rules[r].class.name, (enum mask_kind)kind, 0, bytes_of(s->text.base + s->start, s->end - s->start), first, sizeof first);
				twice = mask_one(rules[r].class.name, (enum mask_kind)kind, 0, once, second, sizeof second);
				if (!bytes_equal(once, twice))
					fail_msg("%s:%u %s: %.*s became %.*s", rules[r].file, s->line, mask_kind_name((enum mask_kind)kind), (int)once.len, once.base, (int)twice.len, twice.base);
				if (match_value(set, scratch, &want, once, hits, 4))
					fail_msg("%s:%u %s: %.*s is matched as %s", rules[r].file, s->line, mask_kind_name((enum mask_kind)kind), (int)once.len, once.base, match_class_name(set, hits[0].class));
				tried++;
			}
	assert_true(tried > 8000);
	rules_free(rules, count);
}

static void tokens_are_keyed_and_stable(void **state)
{
	uint8_t a[64], b[64], c[64];
	struct bytes one = mask_one("person_name", MASK_TOKEN, 0, bytes_str("Anna"), a, sizeof a);
	struct bytes same = mask_one("person_name", MASK_TOKEN, 0, bytes_str("Anna"), b, sizeof b);
	struct bytes class = mask_one("street_address", MASK_TOKEN, 0, bytes_str("Anna"), c, sizeof c);
	struct mask other = { .kind = MASK_TOKEN, .key = OTHER_KEY };
	struct writer w;

	assert_true(bytes_equal(one, same));
	assert_false(bytes_equal(one, class));
	assert_false(bytes_equal(one, mask_one("person_name", MASK_TOKEN, 0, bytes_str("Anne"), b, sizeof b)));
	w = writer_of(b, sizeof b);
	mask_text(set, (unsigned)match_class_find(set, "person_name"), &other, bytes_str("Anna"), &w);
	assert_false(bytes_equal(one, writer_done(&w)));
	assert_true(mask_present(KEY, one));
	assert_false(mask_present(OTHER_KEY, one));
	assert_int_equal(mask_one("email", MASK_TOKEN, 0, bytes_str("a@example.com"), b, sizeof b).len, 1 + 20 + 15);
	assert_int_equal(mask_one("email", MASK_HASH, 0, bytes_str("a@example.com"), b, sizeof b).len, 32);
}

static void short_columns_get_short_masks(void **state)
{
	uint8_t out[64];

	for (size_t max = 1; max < 14; max++)
		assert_true(mask_one("person_name", MASK_FULL, max, bytes_str("Anna Smith"), out, sizeof out).len <= max);
	assert_true(bytes_equal(mask_one("person_name", MASK_FULL, 2, bytes_str("AS"), out, sizeof out), bytes_str("**")));
	assert_int_equal(mask_one("person_name", MASK_FULL, 20, bytes_str("Anna Smith"), out, sizeof out).len, 14);
}

static const struct mask *by_class(void *ctx, unsigned class)
{
	static struct mask mask;

	if (ctx && strcmp(match_class_name(set, class), ctx) == 0)
		return NULL;
	mask = (struct mask){ .kind = (enum mask_kind)match_class_mask_kind(set, class), .key = KEY };
	return &mask;
}

static void hits_inside_a_text(void **state)
{
	static const char TEXT[] = "Anna (a.b@example.com), card 4111 1111 1111 1111, ssn 219-09-9998.";
	uint8_t out[512];
	struct match_want want = { 0 };
	struct match_hit hits[8];
	struct writer w = writer_of(out, sizeof out);
	size_t count;

	memset(&want.classes, 0xff, sizeof want.classes);
	count = match_value(set, scratch, &want, bytes_str(TEXT), hits, 8);
	assert_int_equal(count, 3);
	assert_true(sizeof out >= mask_value_bound(hits, count, bytes_str(TEXT)));
	mask_value(set, hits, count, by_class, NULL, bytes_str(TEXT), &w);
	assert_true(bytes_equal(writer_done(&w), bytes_str("Anna (***@example.com), card 0000 0000 0000 1111, ssn 000-00-0000.")));
	/* A class that the policy does not mask stays. */
	w = writer_of(out, sizeof out);
	mask_value(set, hits, count, by_class, (void *)"email", bytes_str(TEXT), &w);
	assert_true(bytes_equal(writer_done(&w), bytes_str("Anna (a.b@example.com), card 0000 0000 0000 1111, ssn 000-00-0000.")));
	/* No room is said, never half a mask. */
	w = writer_of(out, 20);
	assert_int_equal(mask_value(set, hits, count, by_class, NULL, bytes_str(TEXT), &w), 0);
	assert_false(w.ok);
	/* Hits that are not of this value. */
	w = writer_of(out, sizeof out);
	hits[0].end = 10000;
	assert_int_equal(mask_value(set, hits, count, by_class, NULL, bytes_str(TEXT), &w), 0);
	assert_false(w.ok);
}

static void encode(const char *how, struct bytes in, char *out)
{
	static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = 0;

	if (strcmp(how, "base64") == 0)
		for (size_t i = 0; i < in.len; i += 3) {
			unsigned left = (unsigned)(in.len - i), bits = (unsigned)in.base[i] << 16 | (left > 1 ? in.base[i + 1] : 0u) << 8 | (left > 2 ? in.base[i + 2] : 0u);

			out[len++] = B64[bits >> 18 & 63];
			out[len++] = B64[bits >> 12 & 63];
			out[len++] = left > 1 ? B64[bits >> 6 & 63] : '=';
			out[len++] = left > 2 ? B64[bits & 63] : '=';
		}
	else
		for (size_t i = 0; i < in.len; i++)
			len += (size_t)snprintf(out + len, 8, strcmp(how, "hex") == 0 ? "%02x" : strcmp(how, "url") == 0 ? "%%%02X" : "\\u%04x", in.base[i]);
	out[len] = 0;
}

/* common.md C7: in clear, JSON-escaped, URL-encoded, base64 or hex. */
static void masks_are_known_on_the_way_back(void **state)
{
	static const struct { const char *class; enum mask_kind kind; const char *value; } ROWS[] = {
		{ "person_name", MASK_FULL, "Anna Smith" }, { "person_name", MASK_TOKEN, "Anna Smith" }, { "person_name", MASK_HASH, "Anna Smith" },
		{ "person_name", MASK_LAST4, "Anna Smith" }, { "email", MASK_FULL, "a@example.com" }, { "email", MASK_TOKEN, "a@example.com" },
		{ "email", MASK_EMAIL_DOMAIN, "a@example.com" }, { "us_ssn", MASK_FULL, "219-09-9998" }, { "us_ssn", MASK_LAST4, "219-09-9998" },
		{ "payment_card", MASK_LAST4, "4111-1111-1111-1111" }, { "payment_card", MASK_FULL, "4111111111111111" },
		{ "iban", MASK_FULL, "DE89370400440532013000" }, { "iban", MASK_FULL, "DE89 3704 0044 0532 0130 00" }, { "phone", MASK_FULL, "+44 20 7946 0958" },
		{ "phone", MASK_LAST4, "212-555-0142" }, { "jwt", MASK_FULL, "eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.c2ln" },
	};
	static const char *const HOW[] = { "clear", "base64", "hex", "url", "json" };

	for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++)
		for (size_t h = 0; h < sizeof HOW / sizeof *HOW; h++) {
			uint8_t out[128];
			char inner[600], text[1200];
			struct bytes mask = mask_one(ROWS[i].class, ROWS[i].kind, 0, bytes_str(ROWS[i].value), out, sizeof out);

			if (h == 0)
				snprintf(inner, sizeof inner, "%.*s", (int)mask.len, mask.base);
			else
				encode(HOW[h], mask, inner);
			snprintf(text, sizeof text, "UPDATE t SET a = 7, n = '%s' WHERE id = 3", inner);
			if (!mask_present(KEY, bytes_str(text)))
				fail_msg("not known, %s: %s", HOW[h], text);
		}
}

static void other_texts_hold_no_mask(void **state)
{
	static const char *const TEXTS[] = {
		"", "SELECT * FROM t", "UPDATE t SET n = 'Anna' WHERE id = 1", "/* *** note *** */ SELECT 1", "***bcdfghjk***", "'00000000-0000-0000-0000-000000000000'",
		"INSERT INTO t VALUES (1000000, 0, 0.0000001)", "aGVsbG8gd29ybGQsIHRoaXMgaXMgYmFzZTY0", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"4111111111111111", "DE89370400440532013000", "a%20b%2Ac", "2024-01-01 00:00:00", "bcdfghjkmnpqrstvbcdfghjkmnpqrstv", "+1 212-555-0142", "x = 100000",
	};

	for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++)
		if (mask_present(KEY, bytes_str(TEXTS[i])))
			fail_msg("taken for a mask: %s", TEXTS[i]);
}

/* A mask across two windows of a decoder. */
static void long_encodings_hide_nothing(void **state)
{
	static char plain[4000], text[8100];
	uint8_t out[64];
	struct bytes mask = mask_one("person_name", MASK_FULL, 0, bytes_str("Anna"), out, sizeof out);

	for (size_t at = 980; at < 1060; at++) {
		memset(plain, 'x', sizeof plain);
		memcpy(plain + at, mask.base, mask.len);
		encode("hex", bytes_of(plain, 2000), text);
		assert_true(mask_present(KEY, bytes_str(text)));
	}
}

static void kinds_have_words(void **state)
{
	enum mask_kind kind;

	for (unsigned i = 0; i < MASK_KIND_COUNT; i++) {
		assert_true(mask_kind_find(mask_kind_name((enum mask_kind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_true(mask_kind_find("redact", &kind) && kind == MASK_FULL);
	assert_true(mask_kind_find("partial", &kind) && kind == MASK_LAST4);
	assert_false(mask_kind_find("paint", &kind));
	/* The rule files use the same order. */
	assert_int_equal(match_class_mask_kind(set, (unsigned)match_class_find(set, "email")), MASK_EMAIL_DOMAIN);
	assert_int_equal(match_class_mask_kind(set, (unsigned)match_class_find(set, "date_of_birth")), MASK_YEAR);
	assert_int_equal(match_class_mask_kind(set, (unsigned)match_class_find(set, "payment_card")), MASK_LAST4);
}

static int load_all(void **state)
{
	static uint8_t blob[16 << 20];
	FILE *file = fopen(blob_path, "rb");
	char err[200];

	if (!file)
		return -1;
	set = match_set_load(blob, fread(blob, 1, sizeof blob, file), err, sizeof err);
	fclose(file);
	if (!set)
		print_error("%s\n", err);
	scratch = set ? match_scratch_create(set) : NULL;
	return scratch ? 0 : -1;
}

static int free_all(void **state)
{
	match_scratch_destroy(scratch);
	match_set_free(set);
	return 0;
}

/* Beside the plain way to find the same, at every length around the blocks' borders. */
static void surveys(void **state)
{
	static const char letters[] = "aZ09+/-_bcd12 .,@*%\\\n\r\x80\xff";
	uint32_t seed = 5;

	for (unsigned n = 0; n < 60000; n++) {
		uint8_t text[200];
		size_t len = n % sizeof text, run = 0, longest = 0, digits = 0;
		unsigned kinds = n % 3 ? 13 : sizeof letters - 1; /* long runs in two texts of three, broken now and then */
		struct survey s;

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = (uint8_t)letters[(seed >> 16) % kinds];
			if ((seed >> 8) % 24 == 0 && n % 3 == 1)
				text[i] = (uint8_t)letters[(seed >> 4) % (sizeof letters - 1)];
			digits += text[i] >= '0' && text[i] <= '9';
			run = memchr(letters, text[i], 13) ? run + 1 : 0;
			longest = run > longest ? run : longest;
		}
		s = survey(bytes_of(text, len));
		assert_int_equal(s.digits, digits);
		assert_int_equal(s.word_max, longest >= SURVEY_WORD_LONG ? SURVEY_WORD_LONG : longest >= SURVEY_WORD ? SURVEY_WORD : 0);
		assert_int_equal(s.at_sign, memchr(text, '@', len) != NULL);
		assert_int_equal(s.star, memchr(text, '*', len) != NULL);
		assert_int_equal(s.percent, memchr(text, '%', len) != NULL);
		assert_int_equal(s.backslash, memchr(text, '\\', len) != NULL);
		assert_int_equal(s.high, memchr(text, 0x80, len) || memchr(text, 0xff, len));
		s = survey_values(bytes_of(text, len));
		assert_true(s.digits == digits && s.at_sign == (memchr(text, '@', len) != NULL) && s.high == (memchr(text, 0x80, len) || memchr(text, 0xff, len)));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes),
		cmocka_unit_test(other_forms_become_tokens),
		cmocka_unit_test(secrets_keep_nothing),
		cmocka_unit_test(idempotent_and_unmatched),
		cmocka_unit_test(tokens_are_keyed_and_stable),
		cmocka_unit_test(short_columns_get_short_masks),
		cmocka_unit_test(hits_inside_a_text),
		cmocka_unit_test(masks_are_known_on_the_way_back),
		cmocka_unit_test(other_texts_hold_no_mask),
		cmocka_unit_test(long_encodings_hide_nothing),
		cmocka_unit_test(kinds_have_words),
		cmocka_unit_test(surveys),
	};

	if (argc < 3)
		return 2;
	blob_path = argv[1];
	classes_dir = argv[2];
	return cmocka_run_group_tests(tests, load_all, free_all);
}
