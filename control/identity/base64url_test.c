/* base64url_test.c: one byte string has exactly one text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/identity/base64url.h"

static void decodes_or_refuses(void **state)
{
	static const struct {
		const char *text;
		enum base64url_status status;
		const char *out;
	} rows[] = {
		/* RFC 4648 10, without padding */
		{ "", BASE64URL_OK, "" },
		{ "Zg", BASE64URL_OK, "f" },
		{ "Zm8", BASE64URL_OK, "fo" },
		{ "Zm9v", BASE64URL_OK, "foo" },
		{ "Zm9vYg", BASE64URL_OK, "foob" },
		{ "Zm9vYmE", BASE64URL_OK, "fooba" },
		{ "Zm9vYmFy", BASE64URL_OK, "foobar" },
		{ "-_-_", BASE64URL_OK, "\xfb\xff\xbf" },
		{ "Zg==", BASE64URL_ALPHABET, "" },
		{ "Zm8=", BASE64URL_ALPHABET, "" },
		{ "Zm9v=", BASE64URL_ALPHABET, "" },
		{ "+_-_", BASE64URL_ALPHABET, "" },
		{ "/_-_", BASE64URL_ALPHABET, "" },
		{ "Zm 9", BASE64URL_ALPHABET, "" },
		{ "Zm9v\n", BASE64URL_ALPHABET, "" },
		{ " Zm9v", BASE64URL_ALPHABET, "" },
		{ "Zm9v.", BASE64URL_ALPHABET, "" },
		{ "Zm9\xc3", BASE64URL_ALPHABET, "" },
		{ "Z", BASE64URL_NOT_CANONICAL, "" },
		{ "Zm9vY", BASE64URL_NOT_CANONICAL, "" },
		{ "A", BASE64URL_NOT_CANONICAL, "" },
		{ "Zh", BASE64URL_NOT_CANONICAL, "" }, /* unused bits 0001 */
		{ "Zn", BASE64URL_NOT_CANONICAL, "" },
		{ "Zm9", BASE64URL_NOT_CANONICAL, "" }, /* unused bits 01 */
		{ "Zm-", BASE64URL_NOT_CANONICAL, "" },
		{ "Zm9vZmZmZm9vZm9v", BASE64URL_NO_ROOM, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t out[8] = { 0x55 };
		size_t len = 99;

		assert_int_equal(base64url_decode(bytes_str(rows[i].text), out, sizeof(out), &len), rows[i].status);
		assert_int_equal(len, strlen(rows[i].out));
		assert_memory_equal(out, rows[i].out, len);
	}
}

/* Of all texts of one last character, exactly one in 16 (one byte) or in 4 (two bytes) decodes. */
static void every_last_character(void **state)
{
	unsigned good_one = 0, good_two = 0;

	for (unsigned c = 0; c < 256; c++) {
		uint8_t text[3] = { 'Z', (uint8_t)c, (uint8_t)c }, out[4];
		size_t len;

		good_one += base64url_decode(bytes_of(text, 2), out, sizeof(out), &len) == BASE64URL_OK;
		text[1] = 'm';
		good_two += base64url_decode(bytes_of(text, 3), out, sizeof(out), &len) == BASE64URL_OK;
	}
	assert_int_equal(good_one, 4);
	assert_int_equal(good_two, 16);
}

static void round_trip(void **state)
{
	uint8_t data[64], out[64];
	char text[128];

	for (size_t n = 0; n < sizeof(data); n++) {
		struct writer w = writer_of(text, sizeof(text));
		size_t len;

		data[n] = (uint8_t)(n * 37 + 200);
		base64url_encode(&w, bytes_of(data, n));
		assert_int_equal(w.len, base64url_encoded_len(n));
		assert_int_equal(base64url_decoded_len(w.len), n);
		assert_int_equal(base64url_decode(writer_done(&w), out, sizeof(out), &len), BASE64URL_OK);
		assert_int_equal(len, n);
		assert_memory_equal(out, data, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_or_refuses),
		cmocka_unit_test(every_last_character),
		cmocka_unit_test(round_trip),
	};

	return cmocka_run_group_tests_name("base64url", tests, NULL, NULL);
}
