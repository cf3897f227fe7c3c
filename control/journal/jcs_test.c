#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"

#define TEXT(s) bytes_of(s, sizeof s - 1)

static char out[4096];
static struct writer w;

static struct jcs fresh(void)
{
	w = writer_of(out, sizeof out);
	return jcs_of(&w);
}

static void assert_text(struct bytes have, const char *want)
{
	assert_int_equal(have.len, strlen(want));
	assert_memory_equal(have.base, want, have.len);
}

static void writes_what_rfc_8785_says(void **state)
{
	struct jcs j = fresh();

	jcs_open(&j);
	jcs_put_str(&j, "a", "\x01\b\t\n\f\r\"\\/\x1f\x7f\xe2\x82\xac\xf0\x9f\x98\x82");
	jcs_key(&j, "b");
	jcs_array(&j);
	jcs_int(&j, 0);
	jcs_int(&j, -1);
	jcs_int(&j, JCS_INTEGER_MAX);
	jcs_int(&j, -JCS_INTEGER_MAX);
	jcs_bool(&j, true);
	jcs_open(&j);
	jcs_close(&j);
	jcs_array_close(&j);
	jcs_put_uint(&j, "c", 18446744073709551615ull);
	jcs_put_text(&j, "d", TEXT("\xff\xfe?"));
	jcs_put_text(&j, "e", TEXT("plain"));
	jcs_put_hex(&j, "f", TEXT("\x00\xab"));
	jcs_put_bool(&j, "g", false);
	jcs_put_raw(&j, "h", TEXT("{\"x\":[1,2]}"));
	jcs_close(&j);
	assert_null(j.fault);
	assert_text(jcs_done(&j),
		    "{\"a\":\"\\u0001\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\x7f\xe2\x82\xac\xf0\x9f\x98\x82\",\"b\":[0,-1,9007199254740991,"
		    "-9007199254740991,true,{}],\"c\":\"18446744073709551615\",\"d_b64\":\"__4_\",\"e\":\"plain\",\"f\":\"00ab\",\"g\":false,"
		    "\"h\":{\"x\":[1,2]}}");
	assert_null(jcs_check(jcs_done(&j), NULL));
}

/* RFC 8785 3.2.3: its own example, in the order of UTF-16 code units. */
static void keys_are_ordered_by_utf16_units(void **state)
{
	static const char *const keys[] = { "\r", "1", "\xc2\x80", "\xc3\xb6", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xef\xac\xb3" };
	struct jcs j = fresh();

	jcs_open(&j);
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		jcs_put_int(&j, keys[i], 1);
	jcs_close(&j);
	assert_null(j.fault);
	assert_null(jcs_check(jcs_done(&j), NULL));
	/* The last two the other way round, which is the order of UTF-8 bytes. */
	assert_non_null(jcs_check(TEXT("{\"\xef\xac\xb3\":1,\"\xf0\x9f\x98\x80\":1}"), NULL));
	/* "\n" sorts as U+000A, below '1', though its escape begins with a backslash. */
	assert_null(jcs_check(TEXT("{\"\\n\":1,\"\\r\":1,\"1\":1}"), NULL));
	assert_non_null(jcs_check(TEXT("{\"1\":1,\"\\n\":1}"), NULL));
	assert_null(jcs_check(TEXT("{\"a\":1,\"aa\":1,\"ab\":1}"), NULL));
	assert_non_null(jcs_check(TEXT("{\"aa\":1,\"a\":1}"), NULL));
}

#define FAULT(name, ...)                       \
	static void name(void **state)         \
	{                                      \
		struct jcs j = fresh();        \
		__VA_ARGS__;                   \
		assert_non_null(j.fault);      \
		assert_int_equal(jcs_done(&j).len, 0); \
	}

FAULT(key_out_of_order_is_a_fault, jcs_open(&j); jcs_put_int(&j, "b", 1); jcs_put_int(&j, "a", 1); jcs_close(&j))
FAULT(key_repeated_is_a_fault, jcs_open(&j); jcs_put_int(&j, "b", 1); jcs_put_int(&j, "b", 1); jcs_close(&j))
FAULT(number_too_big_is_a_fault, jcs_int(&j, JCS_INTEGER_MAX + 1))
FAULT(string_not_utf8_is_a_fault, jcs_str(&j, TEXT("\xc0\x80")))
FAULT(value_without_key_is_a_fault, jcs_open(&j); jcs_int(&j, 1))
FAULT(key_in_array_is_a_fault, jcs_array(&j); jcs_key(&j, "a"))
FAULT(close_after_key_is_a_fault, jcs_open(&j); jcs_key(&j, "a"); jcs_close(&j))
FAULT(close_of_the_other_kind_is_a_fault, jcs_open(&j); jcs_array_close(&j))
FAULT(second_value_is_a_fault, jcs_int(&j, 1); jcs_int(&j, 2))
FAULT(raw_that_is_not_canonical_is_a_fault, jcs_raw(&j, TEXT("{ }")))
FAULT(depth_nine_is_a_fault, for (int i = 0; i < 9; i++) jcs_array(&j))
FAULT(composed_too_deep_is_a_fault, for (int i = 0; i < 7; i++) jcs_array(&j); jcs_open(&j); jcs_put_composed(&j, "a", TEXT("{}"), 1))
FAULT(nothing_composed_is_a_fault, jcs_open(&j); jcs_put_composed(&j, "a", TEXT(""), 1); jcs_close(&j))
FAULT(raw_too_deep_is_a_fault, for (int i = 0; i < 7; i++) jcs_array(&j); jcs_raw(&j, TEXT("[[]]")))

/* Texts are looked at eight bytes at a time: every byte at every place, as a value and as a key, is written as one by one, or is a fault. */
static void every_byte_at_every_place(void **state)
{
	uint8_t text[24];

	for (size_t len = 1; len <= sizeof text; len++) {
		for (size_t at = 0; at < len * 256; at++) {
			uint8_t byte = (uint8_t)(at % 256);
			struct jcs j = fresh();

			memset(text, 'q', sizeof text);
			text[at / 256] = byte;
			jcs_open(&j);
			jcs_key_bytes(&j, bytes_of(text, len));
			jcs_str(&j, bytes_of(text, len));
			jcs_close(&j);
			assert_true((j.fault != NULL) == (byte >= 0x80));
			if (!j.fault) {
				size_t one = byte == '"' || byte == '\\' || strchr("\b\t\n\f\r", byte ? byte : 'x') ? 2 : byte < 0x20 ? 6 : 1;

				assert_null(jcs_check(jcs_done(&j), NULL));
				assert_int_equal(jcs_done(&j).len, 2 * (len + one - 1) + 7);
			}
		}
	}
}

static void depth_eight_is_allowed(void **state)
{
	struct jcs j = fresh();

	for (int i = 0; i < 8; i++)
		jcs_array(&j);
	for (int i = 0; i < 8; i++)
		jcs_array_close(&j);
	assert_text(jcs_done(&j), "[[[[[[[[]]]]]]]]");
	assert_null(jcs_check(jcs_done(&j), NULL));
	assert_non_null(jcs_check(TEXT("[[[[[[[[[]]]]]]]]]"), NULL));
}

static void open_value_is_not_done(void **state)
{
	struct jcs j = fresh();

	jcs_open(&j);
	assert_int_equal(jcs_done(&j).len, 0);
}

static void no_room_is_a_fault(void **state)
{
	char small[6];
	struct jcs j;

	w = writer_of(small, sizeof small);
	j = jcs_of(&w);
	jcs_open(&j);
	jcs_put_int(&j, "abc", 1);
	jcs_close(&j);
	assert_non_null(j.fault);
	assert_int_equal(jcs_done(&j).len, 0);
}

static void checker_refuses_every_other_spelling(void **state)
{
	static const char *const bad[] = {
		"", " ", "{", "}", "{}x", " {}", "{} ", "{\"a\" :1}", "{\"a\": 1}", "{\"a\":1,}", "{,}", "[1,]", "[,1]", "[1 ]", "null",
		"[null]", "nul", "True", "truE", "01", "-0", "-01", "+1", "1.0", "1e3", "1E3", ".5", "-", "9007199254740992",
		"-9007199254740992", "99999999999999999999999", "\"", "\"\\\"", "\"a", "'a'", "\"\\/\"", "\"\\u0041\"", "\"\\u000a\"", "\"\\u0008\"",
		"\"\\u001F\"", "\"\\u00e9\"", "\"\\ud83d\\ude00\"", "\"\\x\"", "\"\\u00\"", "\"\\u0020\"", "\"\n\"", "\"\xff\"", "\"\xc0\x80\"",
		"\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "{\"a\":1,\"a\":1}", "{\"b\":1,\"a\":1}", "{1:1}", "{\"a\"}", "{\"a\":}",
		"[1,2", "\xef\xbb\xbf{}", "[] []", "1 ", "1x", "truefalse",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *wrong = jcs_check(bytes_str(bad[i]), NULL);

		if (!wrong)
			print_error("accepted: %s\n", bad[i]);
		assert_non_null(wrong);
	}
	assert_non_null(jcs_check(TEXT("\"\0\""), NULL));
	assert_non_null(jcs_check(TEXT("{}\0"), NULL));
}

static void checker_accepts_what_is_canonical(void **state)
{
	static const char *const good[] = {
		"{}", "[]", "0", "-1", "true", "false", "\"\"", "\"\\u0000\"", "\"\\u001f\\b\\t\\n\\f\\r\\\"\\\\/\"", "\"\x7f\"",
		"[1,-2,\"a\",{\"a\":{\"b\":[]}}]", "9007199254740991", "-9007199254740991", "{\"\":1,\"A\":2,\"_\":3,\"a\":4}",
		"\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"",
	};

	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_null(jcs_check(bytes_str(good[i]), NULL));
}

static void reader_finds_members_and_walks(void **state)
{
	struct jcs_value top = jcs_value_of(TEXT("{\"a\":{\"t\":\"no\"},\"l\":[1,{\"x\":\"}]\\\"\"},true],\"n\":-42,\"t\":\"cmd\",\"u\":\"a\\u0001\\n\"}"));
	struct jcs_value list = jcs_get(top, "l"), item;
	size_t at = 0, count = 0;
	char text[16];
	struct writer t = writer_of(text, sizeof text);
	int64_t n;
	bool b;

	assert_text(jcs_read_plain(jcs_get(top, "t")), "cmd");
	assert_true(jcs_read_int(jcs_get(top, "n"), &n));
	assert_int_equal(n, -42);
	assert_int_equal(jcs_get(top, "x").kind, JCS_NONE);
	assert_false(jcs_read_int(jcs_get(top, "t"), &n));
	while (jcs_next(list, &at, NULL, &item))
		count++;
	assert_int_equal(count, 3);
	assert_true(jcs_read_bool(item, &b) == false && b == false);
	assert_true(jcs_read_str(jcs_get(top, "u"), &t));
	assert_text(writer_done(&t), "a\x01\n");
}

/* Keys that are there and keys that are not, before, between and behind; names that begin like a key, and names whose order is not that of their
 * bytes because of an escape. */
static void reader_picks_members_in_one_walk(void **state)
{
	static const char *const keys[] = { "a", "ab", "b", "bc", "d", "e", "z" };
	struct jcs_value top = jcs_value_of(TEXT("{\"\\u0001\":0,\"\\\"\":1,\"ab\":2,\"abc\":3,\"b\":{\"d\":4},\"c\":[\"d\"],\"d\":\"\\\\\",\"d\\n\":6,\"e\":7,\"\xc3\xa9\":8}"));
	static const char *const want[] = { NULL, "2", "{\"d\":4}", NULL, "\"\\\\\"", "7", NULL };
	struct jcs_value got[7];

	assert_null(jcs_check(top.raw, NULL));
	jcs_pick(top, 7, keys, got);
	for (unsigned i = 0; i < 7; i++) {
		assert_int_equal(got[i].kind == JCS_NONE, want[i] == NULL);
		assert_true(bytes_equal(got[i].raw, want[i] ? bytes_str(want[i]) : (struct bytes){ 0 }));
		assert_true(bytes_equal(jcs_get(top, keys[i]).raw, got[i].raw));
	}
	jcs_pick(jcs_value_of(TEXT("[1]")), 7, keys, got);
	assert_int_equal(got[0].kind, JCS_NONE);
}

/* Where a string ends: quotes and backslashes at each place of a word, at the end of the bytes too. */
static void reader_finds_the_end_of_a_string(void **state)
{
	for (unsigned place = 1; place < 20; place++) {
		char text[] = "\"aaaaaaaaaaaaaaaaaaaaa\"tail";

		text[place] = '\\';
		text[place + 1] = '"';
		assert_int_equal(jcs_value_of(bytes_of(text, sizeof text - 1)).raw.len, 23);
		assert_int_equal(jcs_value_of(bytes_of(text, place + 1)).kind, JCS_NONE);
		assert_int_equal(jcs_value_of(bytes_of(text, place + 2)).kind, JCS_NONE);
		assert_int_equal(jcs_value_of(bytes_of(text, 22)).kind, JCS_NONE);
		text[place] = '"';
		assert_int_equal(jcs_value_of(bytes_of(text, sizeof text - 1)).raw.len, place + 1);
	}
}

/* Strings are read eight bytes at a time where they can be: one odd byte at each place of a longer one. */
static void every_byte_at_every_place_of_a_string(void **state)
{
	for (unsigned byte = 0; byte < 256; byte++) {
		for (unsigned place = 0; place < 19; place++) {
			char text[] = "{\"a\":\"aaaaaaaaaaaaaaaaaaa\"}";
			bool good = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';

			text[6 + place] = (char)byte;
			assert_int_equal(jcs_check(bytes_of(text, sizeof(text) - 1), NULL) == NULL, good);
		}
	}
}

static void base64_is_strict(void **state)
{
	static const char *const bad[] = { "Zg=", "Zg", "Zh==", "Zg===", "Z===", "Zg==Zg==", "Zm9=", "Zm 9", "Zm9v\n", "====" };
	uint8_t raw[16];
	struct writer r;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		r = writer_of(raw, sizeof raw);
		assert_false(base64_read(bytes_str(bad[i]), &r));
	}
	r = writer_of(raw, sizeof raw);
	assert_true(base64_read(TEXT("Zm9vYmE="), &r));
	assert_text(writer_done(&r), "fooba");
	r = writer_of(raw, sizeof raw);
	assert_true(base64_url_read(TEXT("_-8"), &r));
	assert_int_equal(r.len, 2);
	r = writer_of(raw, 2);
	assert_false(base64_read(TEXT("Zm9v"), &r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_rfc_8785_says),
		cmocka_unit_test(keys_are_ordered_by_utf16_units),
		cmocka_unit_test(key_out_of_order_is_a_fault),
		cmocka_unit_test(key_repeated_is_a_fault),
		cmocka_unit_test(number_too_big_is_a_fault),
		cmocka_unit_test(string_not_utf8_is_a_fault),
		cmocka_unit_test(value_without_key_is_a_fault),
		cmocka_unit_test(key_in_array_is_a_fault),
		cmocka_unit_test(close_after_key_is_a_fault),
		cmocka_unit_test(close_of_the_other_kind_is_a_fault),
		cmocka_unit_test(second_value_is_a_fault),
		cmocka_unit_test(raw_that_is_not_canonical_is_a_fault),
		cmocka_unit_test(depth_nine_is_a_fault),
		cmocka_unit_test(raw_too_deep_is_a_fault),
		cmocka_unit_test(composed_too_deep_is_a_fault),
		cmocka_unit_test(nothing_composed_is_a_fault),
		cmocka_unit_test(every_byte_at_every_place),
		cmocka_unit_test(depth_eight_is_allowed),
		cmocka_unit_test(open_value_is_not_done),
		cmocka_unit_test(no_room_is_a_fault),
		cmocka_unit_test(checker_refuses_every_other_spelling),
		cmocka_unit_test(checker_accepts_what_is_canonical),
		cmocka_unit_test(reader_finds_members_and_walks),
		cmocka_unit_test(reader_picks_members_in_one_walk),
		cmocka_unit_test(reader_finds_the_end_of_a_string),
		cmocka_unit_test(every_byte_at_every_place_of_a_string),
		cmocka_unit_test(base64_is_strict),
	};

	return cmocka_run_group_tests_name("jcs", tests, NULL, NULL);
}
