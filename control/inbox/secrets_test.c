#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "control/inbox/secrets.h"

static const uint8_t key[32] = { 1, 2, 3 };

/* In each text the secrets are hunter2 and s3same; # on the right stands for one that is hidden. NULL: it stays as it is. */
static const struct {
	const char *text, *shown;
} texts[] = {
	{ "create user bob password 'hunter2'", "create user bob password #" },
	{ "CREATE ROLE bob LOGIN ENCRYPTED PASSWORD 'hunter2' VALID UNTIL '2030-01-01'", "CREATE ROLE bob LOGIN ENCRYPTED PASSWORD # VALID UNTIL '2030-01-01'" },
	{ "alter user bob with password E'hunter2'", "alter user bob with password #" },
	{ "alter/**/role bob PassWord\n$$hunter2$$", "alter/**/role bob PassWord\n#" },
	{ "alter user bob password U&'hunter2'; select 'x'", "alter user bob password #; select 'x'" },
	{ "alter user bob password null", NULL },
	{ "alter user bob connection limit 5", NULL },
	{ "create user mapping for bob server s options (user 'bob', password 'hunter2')", "create user mapping for bob server s options (user 'bob', password #)" },
	{ "alter user mapping for bob server s options (set password 'hunter2')", "alter user mapping for bob server s options (set password #)" },
	{ "create server s foreign data wrapper w options (host 'h', secret_key 'hunter2')", "create server s foreign data wrapper w options (host 'h', secret_key #)" },
	{ "create subscription s connection 'host=h user=u password=hunter2' publication p", "create subscription s connection # publication p" },
	{ "alter subscription s connection 'host=h hunter2'", "alter subscription s connection #" },
	{ "alter system set primary_conninfo = 'host=h hunter2'", "alter system set primary_conninfo = #" },
	{ "alter system set primary_conninfo to 'a', 'hunter2'", "alter system set primary_conninfo to #, #" },
	{ "set app.api_token = 'hunter2'", "set app.api_token = #" },
	{ "set app.api_token to hunter2", "set app.api_token to #" },
	{ "set session my.password = 4711", "set session my.password = #" },
	{ "set password_encryption = 'scram-sha-256'", NULL },
	{ "select set_config('app.secret', 'hunter2', false)", "select set_config('app.secret', #, false)" },
	{ "select set_config('search_path', 'public', false)", NULL },
	{ "select * from dblink('host=h hunter2', 'select 1') t(a int)", "select * from dblink(#, #) t(a int)" },
	{ "select dblink_connect('c', 'hunter2'), 'x'", "select dblink_connect(#, #), 'x'" },
	{ "select pgp_sym_encrypt(note, 'hunter2') from t where a = 'x'", "select pgp_sym_encrypt(note, #) from t where a = 'x'" },
	{ "copy t to program 'psql postgres://u:hunter2@h/d'", "copy t to program #" },
	{ "copy t from program 'PGPASSWORD=hunter2 psql'", "copy t from program #" },
	{ "copy t from program 'cat /x'", NULL },
	{ "do $x$ begin execute 'alter user bob password ''hunter2'''; end $x$", "do $x$ begin execute #; end $x$" },
	{ "do $x$ begin alter user bob password 'hunter2'; perform 'y'; end $x$", "do $x$ begin alter user bob password #; perform 'y'; end $x$" },
	{ "do $a$ begin execute $b$ alter user bob password 'hunter2' $b$; end $a$", "do $a$ begin execute $b$ alter user bob password # $b$; end $a$" },
	{ "select 1 -- password=hunter2", "select 1#" },
	{ "select /* token: hunter2 */ 1", "select 1" },
	{ "alter user bob password 'hunter2", "alter user bob password#" },
	{ "select 'my password is ''hunter2'''", "select 'my password is ''hunter2'''" },
	{ "select * from t where password = 'hunter2'", "select * from t where password = #" },
	{ "select token_count from t where id = 5 and note = 'x'", NULL },
	{ "alter table t add column password text default 'x'", NULL },
	{ "select hmac, 'x' from t", NULL },
	{ "select 'https://example.com/a:b@c', 'a@b'", NULL },
	{ "insert into t values ('x', 'y')", NULL },
	{ "", NULL },
};

/* The quick look stops at every word, in both cases, wherever it stands, and at nothing that is none. */
static void every_word_is_suspect(void **state)
{
	static const char *const words[] = { "passw", "passphrase", "pwd", "secret", "token", "credential", "conninfo", "apikey", "api_key", "private_key",
					     "access_key", "crypt", "dblink", "decrypt", "encrypt", "hmac", "pgp_", "connection", "set_config", "://",
					     "private key-----" };
	char text[64];

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		size_t len = (size_t)snprintf(text, sizeof(text), "1 %s", words[i]);

		assert_true(secrets_suspect(bytes_of(text, len)));
		for (size_t at = 0; at < len; at++)
			text[at] = (char)toupper((unsigned char)text[at]);
		assert_true(secrets_suspect(bytes_of(text, len)));
		assert_false(secrets_suspect(bytes_of(text, len - 1)));
	}
	assert_false(secrets_suspect(bytes_str("select abalance from pgbench_accounts where aid = 4711")));
}

static char *hidden(const char *text, char *into, size_t cap, struct secrets *found)
{
	struct writer w = writer_of(into, cap - 1);

	*found = secrets_hide(bytes_str(text), key, &w);
	assert_true(w.ok);
	into[w.len] = 0;
	return into;
}

static void secrets_are_hidden(void **state)
{
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char got[2048], plain[2048] = "";
		struct secrets found;
		size_t n = 0;

		hidden(texts[i].text, got, sizeof got, &found);
		for (char *at = got; *at; at++) {
			if (strncmp(at, "'secret:hmac-sha256:", 20) == 0) {
				plain[n++] = '#';
				at = strchr(at + 1, '\'');
			} else {
				plain[n++] = *at;
			}
		}
		if (strcmp(plain, texts[i].shown ? texts[i].shown : texts[i].text) != 0)
			fail_msg("%s\n  is       %s", texts[i].text, plain);
		assert_int_equal(found.text, texts[i].shown && strcmp(texts[i].shown, texts[i].text) != 0);
	}
}

static void bound_values_are_told(void **state)
{
	static const struct {
		const char *text;
		bool values;
	} cases[] = {
		{ "select set_config('app.password', $1, false)", true }, { "select set_config($1, $2, false)", true },
		{ "select dblink_connect($1)", true }, { "select * from t where password = $1", true }, { "select * from t where id = $1", false },
		{ "select * from t where token is null and id = $1", false },
	};
	char room[512];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct secrets found;

		hidden(cases[i].text, room, sizeof room, &found);
		if (found.values != cases[i].values)
			fail_msg("%s", cases[i].text);
	}
	assert_true(secrets_look(bytes_str("postgres://app:hunter2@db/shop")));
	assert_true(secrets_look(bytes_str("{\"Token\": \"hunter2\"}")));
	assert_true(secrets_look(bytes_str("-----BEGIN PRIVATE KEY-----")));
	assert_false(secrets_look(bytes_str("token")));
	assert_false(secrets_look(bytes_str("mailto://ada@example.com")));
}

/* Equal secrets can be told to be equal, under one key; nothing else can. */
static void the_hash_is_keyed(void **state)
{
	const uint8_t other[32] = { 9 };
	char a[256], b[256], c[256];
	struct secrets found;
	struct writer w = writer_of(c, sizeof c - 1);

	hidden("alter user bob password 'hunter2'", a, sizeof a, &found);
	hidden("alter user bob password E'hunter2'", b, sizeof b, &found);
	assert_string_equal(a, b);
	assert_non_null(strstr(a, ":7'"));
	(void)secrets_hide(bytes_str("alter user bob password 'hunter2'"), other, &w);
	c[w.len] = 0;
	assert_string_not_equal(a, c);
}

static void what_does_not_fit_is_one_secret(void **state)
{
	uint8_t text[4096];
	char room[256];
	struct writer t = writer_of(text, sizeof text), w = writer_of(room, sizeof room);

	writer_str(&t, "alter user bob password 'a'");
	for (unsigned i = 0; i < 100; i++)
		writer_str(&t, ", password 'hunter2'");
	assert_true(secrets_hide(writer_done(&t), key, &w).text);
	assert_true(w.ok);
	assert_null(memmem(room, w.len, "hunter2", 7));
	assert_null(memmem(room, w.len, "alter", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_word_is_suspect),
		cmocka_unit_test(secrets_are_hidden),
		cmocka_unit_test(bound_values_are_told),
		cmocka_unit_test(the_hash_is_keyed),
		cmocka_unit_test(what_does_not_fit_is_one_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
