/* The file p256.uri, the PIN's file and the messages; what a module does is in control/signer/signer_token_fault_test.c, with the real programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/token/token_config.h"
#include "control/token/token_pin.h"

#define URI "pkcs11:token=t;object=k?module-path=/m.so&pin-source=file:/pin"

static void files_that_are_taken(void **state)
{
	static const struct {
		const char *text, *pin;
		unsigned variables;
	} rows[] = {
		{ URI, "/pin", 0 },
		{ URI "\n", "/pin", 0 },
		{ "# ours\n\n" URI " \r\nA=1\n# more\nB_2=x y\n", "/pin", 2 },
		{ "pkcs11:token=t;object=k?module-path=/m.so", NULL, 0 },
		{ "pkcs11:token=t;id=%01?module-path=/m.so&pin-source=/pin", "/pin", 0 },
		{ "pkcs11:token=t;id=%01?module-path=/m.so&pin-source=file:///pin", "/pin", 0 },
		{ "pkcs11:token=t;object=k;type=private?module-path=/m.so", NULL, 0 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct token_config c;
		const char *wrong = token_config_read(&c, bytes_str(rows[i].text));

		if (wrong)
			print_error("%s: %s\n", rows[i].text, wrong);
		assert_null(wrong);
		assert_string_equal(c.module, "/m.so");
		assert_true(rows[i].pin ? c.pin && !strcmp(c.pin, rows[i].pin) : !c.pin);
		assert_int_equal(c.variables, rows[i].variables);
		if (c.variables)
			assert_string_equal(c.variable[1], "B_2=x y");
		token_config_free(&c);
	}
}

static void files_that_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "empty" },
		{ "# only this\n", "empty" },
		{ "http://a/b", "no PKCS#11 URI" },
		{ "pkcs11:token=%zz?module-path=/m.so", "no PKCS#11 URI" },
		{ "pkcs11:token=t;object=k?module-path=/m.so&pin-value=4711", "a PIN is a secret" },
		{ "pkcs11:token=t;object=k?module-path=/m.so&pin-value=4711&pin-source=file:/pin", "a PIN is a secret" },
		{ "pkcs11:token=t;object=k?pin-source=file:/pin", "module-path= is missing" },
		{ "pkcs11:token=t;object=k?module-path=m.so", "not absolute" },
		{ "pkcs11:token=t?module-path=/m.so", "names no key" },
		{ "pkcs11:token=t;object=k;type=public?module-path=/m.so", "another one than private" },
		{ "pkcs11:token=t;object=k?module-path=/m.so&pin-source=pin", "pin-source= has to be" },
		{ "pkcs11:token=t;object=k?module-path=/m.so&pin-source=|/bin/pin", "pin-source= has to be" },
		{ "pkcs11:token=t;object=k?module-path=/m.so&pin-source=file://host/pin", "pin-source= has to be" },
		{ "pkcs11:token=t;object=k;colour=red?module-path=/m.so", "unknown" },
		{ URI "\nnothing\n", "no NAME=VALUE" },
		{ URI "\n=x\n", "no NAME=VALUE" },
		{ URI "\n1A=x\n", "no NAME=VALUE" },
		{ URI "\n" URI "\n", "no NAME=VALUE" },
		{ URI "\nA=1\nA=2\nA=3\nA=4\nA=5\nA=6\nA=7\nA=8\nA=9\nA=10\nA=11\nA=12\nA=13\nA=14\nA=15\nA=16\nA=17\n", "one too many" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct token_config c;
		const char *wrong = token_config_read(&c, bytes_str(rows[i].text));

		if (!wrong || !strstr(wrong, rows[i].why))
			print_error("%s: %s\n", rows[i].text, wrong ? wrong : "taken");
		assert_true(wrong && strstr(wrong, rows[i].why));
		assert_null(strstr(wrong, "4711"));
	}
}

static void nul_bytes_and_long_files_are_refused(void **state)
{
	static char text[TOKEN_FILE_BYTES_MAX + 1];
	struct token_config c;

	assert_non_null(token_config_read(&c, bytes_of(URI "\0A=1", sizeof URI + 4)));
	memset(text, '#', sizeof text);
	assert_non_null(token_config_read(&c, bytes_of(text, sizeof text)));
}

static void pin_file(const char *path, const char *text, unsigned mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void pin_is_read_without_its_line_end(void **state)
{
	static const struct {
		const char *text, *pin;
	} rows[] = { { "4711", "4711" }, { "4711\n", "4711" }, { "4711\r\n", "4711" }, { " 47 11 \n", " 47 11 " }, { "", NULL }, { "\n", NULL } };
	char dir[] = "/tmp/sluice-pin-XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/pin", dir);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t pin[TOKEN_PIN_BYTES_MAX];
		struct token_pin p;
		size_t len;

		pin_file(path, rows[i].text, 0600);
		assert_null(token_pin_open(&p, path));
		assert_int_equal(!token_pin_read(&p, pin, &len), rows[i].pin != NULL);
		if (rows[i].pin)
			assert_true(bytes_equal(bytes_of(pin, len), bytes_str(rows[i].pin)));
		token_pin_close(&p);
	}
	unlink(path);
	rmdir(dir);
}

/* Who may see a PIN; and what tells one file from the next. */
static void pin_file_is_private_and_known_again(void **state)
{
	char dir[] = "/tmp/sluice-pin-XXXXXX", path[64];
	uint8_t first[32], again[32], other[32];
	struct token_pin p;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/pin", dir);
	assert_non_null(token_pin_open(&p, path));
	pin_file(path, "4711", 0644);
	assert_non_null(strstr(token_pin_open(&p, path), "others may read"));
	assert_non_null(token_pin_open(&p, dir));
	pin_file(path, "4711", 0600);
	assert_null(token_pin_open(&p, path));
	assert_true(token_pin_identity(&p, bytes_str("uri"), first));
	assert_true(token_pin_identity(&p, bytes_str("other"), other));
	assert_memory_not_equal(first, other, 32);
	token_pin_close(&p);
	assert_null(token_pin_open(&p, path));
	assert_true(token_pin_identity(&p, bytes_str("uri"), again));
	assert_memory_equal(first, again, 32);
	token_pin_close(&p);
	usleep(20000);
	pin_file(path, "4712", 0600);
	assert_null(token_pin_open(&p, path));
	assert_true(token_pin_identity(&p, bytes_str("uri"), other));
	assert_memory_not_equal(first, other, 32);
	token_pin_close(&p);
	unlink(path);
	rmdir(dir);
}

static void messages_come_back_as_they_went(void **state)
{
	static const uint8_t bytes[TOKEN_FILE_BYTES_MAX] = { 1, 2, 3 };
	const struct token_message rows[] = {
		{ .type = TOKEN_OPEN, .body = bytes_of(bytes, TOKEN_FILE_BYTES_MAX) },
		{ .type = TOKEN_LOGIN },
		{ .type = TOKEN_SIGN, .body = bytes_of(bytes, 32) },
		{ .type = TOKEN_FOUND, .tries_pin = true, .body = bytes_of(bytes, 32) },
		{ .type = TOKEN_FOUND, .pin_count_low = true, .body = bytes_of(bytes, 32) },
		{ .type = TOKEN_KEY, .body = bytes_of(bytes, TOKEN_SPKI_BYTES) },
		{ .type = TOKEN_SIGNED, .body = bytes_of(bytes, 64) },
		{ .type = TOKEN_FAILED, .pin_wrong = true, .body = bytes_of(bytes, 9) },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t packet[TOKEN_MESSAGE_BYTES_MAX + 1];
		struct writer w = writer_of(packet, sizeof packet);
		struct token_message m;

		assert_true(token_message_encode(&rows[i], &w));
		assert_true(token_message_decode(writer_done(&w), &m));
		assert_int_equal(m.type, rows[i].type);
		assert_int_equal(m.tries_pin, rows[i].tries_pin);
		assert_int_equal(m.pin_count_low, rows[i].pin_count_low);
		assert_int_equal(m.pin_wrong, rows[i].pin_wrong);
		assert_true(bytes_equal(m.body, rows[i].body));
		/* Of no other length; OPEN and FAILED have none of their own. */
		packet[w.len] = 0;
		if (rows[i].type != TOKEN_FAILED)
			assert_false(token_message_decode(bytes_of(packet, w.len + 1), &m));
		if (rows[i].type != TOKEN_FAILED && rows[i].type != TOKEN_OPEN)
			assert_false(token_message_decode(bytes_of(packet, w.len - 1), &m));
		assert_int_equal(m.type, rows[i].type == TOKEN_FAILED || rows[i].type == TOKEN_OPEN ? (int)m.type : TOKEN_NONE);
	}
}

static void malformed_messages_are_refused(void **state)
{
	static const char *const rows[] = { "\x00", "\x04", "\x81\x02\x00" "01234567890123456789012345678901", "\x84\x01", "\x84\x02xx", "\xff", "\x03" "0123" };
	static const size_t lengths[] = { 1, 1, 35, 2, 4, 1, 5 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct token_message m;

		assert_false(token_message_decode(bytes_of(rows[i], lengths[i]), &m));
		assert_int_equal(m.type, TOKEN_NONE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_are_taken),
		cmocka_unit_test(files_that_are_refused),
		cmocka_unit_test(nul_bytes_and_long_files_are_refused),
		cmocka_unit_test(pin_is_read_without_its_line_end),
		cmocka_unit_test(pin_file_is_private_and_known_again),
		cmocka_unit_test(messages_come_back_as_they_went),
		cmocka_unit_test(malformed_messages_are_refused),
	};

	return cmocka_run_group_tests_name("token", tests, NULL, NULL);
}
