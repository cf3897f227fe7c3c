/* scram_test.c: the vector of RFC 7677 3, every attribute bent, the memory of derived keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "control/credential/scram.h"

#define NONCE "rOprNGfwEbeRWgbNEkqO"
#define SERVER_NONCE NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define SALT "W22ZaJ0SNY7soEsUEjb6gQ=="
#define FIRST "n=user,r=" NONCE
#define SERVER "r=" SERVER_NONCE ",s=" SALT ",i=4096"

static struct scram *scram;

static enum scram_result run(const char *first, const char *server, const char *binding, const char *password, struct scram_final *out)
{
	struct scram_exchange e = { .login = bytes_str("login"), .password = bytes_str(password), .client_first_bare = bytes_str(first),
				    .server_first = bytes_str(server), .channel_binding = bytes_str(binding) };

	return scram_client_final(scram, &e, out);
}

static void rfc7677_vector(void **state)
{
	struct scram_final out;

	assert_int_equal(run(FIRST, SERVER, "n,,", "pencil", &out), SCRAM_ok);
	assert_string_equal(out.message, "c=biws,r=" SERVER_NONCE ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
	assert_string_equal(out.server_signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
	/* From memory, the same. */
	assert_int_equal(run(FIRST, SERVER, "n,,", "pencil", &out), SCRAM_ok);
	assert_string_equal(out.server_signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

struct row {
	const char *first, *server, *binding, *password;
	enum scram_result result;
};

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct scram_final out;
		enum scram_result got = run(rows[i].first, rows[i].server, rows[i].binding, rows[i].password, &out);

		if (got != rows[i].result)
			fail_msg("row %zu (%s | %s): %s", i, rows[i].first, rows[i].server, scram_result_text(got));
		assert_true(got == SCRAM_ok ? out.message[0] && out.server_signature[0] : !out.message[0] && !out.server_signature[0]);
	}
}

static void messages(void **state)
{
	static char long_nonce[400], many[1200];
	const struct row rows[] = {
		{ FIRST, SERVER, "y,,", "pencil", SCRAM_ok },
		{ FIRST, SERVER, "p=tls-server-end-point,,0123456789abcdef0123456789abcdef", "pencil", SCRAM_ok },
		{ "n=,r=" NONCE, SERVER, "n,,", "pencil", SCRAM_ok }, /* as libpq sends it */
		{ FIRST, SERVER, "", "pencil", SCRAM_bad_channel_binding },
		{ FIRST, SERVER, "n,a=admin,", "pencil", SCRAM_bad_channel_binding },
		{ FIRST, SERVER, "n,", "pencil", SCRAM_bad_channel_binding },
		{ FIRST, SERVER, "p=tls-unique,,x", "pencil", SCRAM_bad_channel_binding },
		{ FIRST, SERVER, "p=tls-server-end-point,,", "pencil", SCRAM_bad_channel_binding },
		{ FIRST, SERVER, "n,,", "", SCRAM_bad_password },
		{ FIRST, SERVER, "n,,", "p\xc3\xa4ss", SCRAM_bad_password },
		{ FIRST, SERVER, "n,,", "tab\there", SCRAM_bad_password },
		{ FIRST, SERVER, "n,,", "space is fine ", SCRAM_ok },
		{ "", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "n=user", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "r=" NONCE, SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "r=" NONCE ",n=user", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "n,,n=user,r=" NONCE, SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ FIRST ",x=1", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ FIRST ",", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "m=x," FIRST, SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "n=user,r=short", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ "n=user,r=with space in the nonce", SERVER, "n,,", "pencil", SCRAM_bad_client_first },
		{ FIRST, "", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE, "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT, "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "m=must," SERVER, "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, SERVER ",x=1", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, SERVER ",", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "s=" SALT ",r=" SERVER_NONCE ",i=4096", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "e=other-error", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" NONCE ",s=" SALT ",i=4096", "n,,", "pencil", SCRAM_bad_nonce }, /* our own, echoed */
		{ FIRST, "r=x" SERVER_NONCE ",s=" SALT ",i=4096", "n,,", "pencil", SCRAM_bad_nonce },
		{ FIRST, "r=rOprNGfwEbeRWgbNEkqX-longer-than-ours,s=" SALT ",i=4096", "n,,", "pencil", SCRAM_bad_nonce },
		{ FIRST, "r=" NONCE "\x01,s=" SALT ",i=4096", "n,,", "pencil", SCRAM_bad_nonce },
		{ FIRST, long_nonce, "n,,", "pencil", SCRAM_bad_nonce },
		{ FIRST, many, "n,,", "pencil", SCRAM_bad_server_first },
	};

	memset(long_nonce, 'n', sizeof(long_nonce) - 1);
	memcpy(long_nonce, "r=" NONCE, 2 + sizeof(NONCE) - 1);
	memcpy(long_nonce + 300, ",s=" SALT ",i=4096", sizeof(",s=" SALT ",i=4096"));
	memset(many, 'n', sizeof(many) - 1);
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void salts_and_counts(void **state)
{
	static const struct row rows[] = {
		{ FIRST, "r=" SERVER_NONCE ",s=,i=4096", "n,,", "pencil", SCRAM_bad_salt },
		{ FIRST, "r=" SERVER_NONCE ",s=AAAAAAAAAA==,i=4096", "n,,", "pencil", SCRAM_bad_salt }, /* 7 bytes */
		{ FIRST, "r=" SERVER_NONCE ",s=AAAAAAAAAAA=,i=4096", "n,,", "pencil", SCRAM_ok },       /* 8 bytes */
		{ FIRST, "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gQ,i=4096", "n,,", "pencil", SCRAM_bad_salt },
		{ FIRST, "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6gR==,i=4096", "n,,", "pencil", SCRAM_bad_salt }, /* unused bits */
		{ FIRST, "r=" SERVER_NONCE ",s=W22ZaJ0SNY7soEsUEjb6g-==,i=4096", "n,,", "pencil", SCRAM_bad_salt },
		{ FIRST, "r=" SERVER_NONCE ",s=W22Z aJ0SNY7soEsUEjb6gQ=,i=4096", "n,,", "pencil", SCRAM_bad_salt },
		{ FIRST, "r=" SERVER_NONCE ",s=====,i=4096", "n,,", "pencil", SCRAM_bad_salt },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=4095", "n,,", "pencil", SCRAM_iterations_too_few },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=1", "n,,", "pencil", SCRAM_iterations_too_few },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=0", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=04096", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=-4096", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=4096x", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=", "n,,", "pencil", SCRAM_bad_server_first },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=600001", "n,,", "pencil", SCRAM_iterations_too_many },
		{ FIRST, "r=" SERVER_NONCE ",s=" SALT ",i=4294971392", "n,,", "pencil", SCRAM_iterations_too_many }, /* 2^32 + 4096 */
	};

	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static double milliseconds(const char *server, const char *password)
{
	struct timespec a, b;
	struct scram_final out;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	assert_int_equal(run(FIRST, server, "n,,", password, &out), SCRAM_ok);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6;
}

/* The slow step runs once for (login, password, salt, iterations); a new password is another one. */
static void remembered(void **state)
{
	static const char slow[] = "r=" SERVER_NONCE ",s=" SALT ",i=200000";
	double first = milliseconds(slow, "one"), again = milliseconds(slow, "one"), other = milliseconds(slow, "two");

	assert_true(again * 10 < first);
	assert_true(again * 10 < other);
	assert_true(milliseconds(slow, "one") * 10 < first);
	scram_forget(scram, bytes_str("another"));
	assert_true(milliseconds(slow, "one") * 10 < first);
	scram_forget(scram, bytes_str("login"));
	assert_true(milliseconds(slow, "one") > again * 10);
}

/* A full memory forgets the oldest and stays right. */
static void memory_is_bounded(void **state)
{
	struct scram_final first, out;
	char server[256];

	assert_int_equal(run(FIRST, SERVER, "n,,", "pencil", &first), SCRAM_ok);
	for (unsigned i = 0; i < 70; i++) {
		snprintf(server, sizeof(server), "r=%s,s=" SALT ",i=%u", SERVER_NONCE, 4097 + i);
		assert_int_equal(run(FIRST, server, "n,,", "pencil", &out), SCRAM_ok);
		assert_string_not_equal(out.server_signature, first.server_signature);
	}
	assert_int_equal(run(FIRST, SERVER, "n,,", "pencil", &out), SCRAM_ok);
	assert_string_equal(out.server_signature, first.server_signature);
}

static int open_all(void **state)
{
	scram = scram_create();
	return scram ? 0 : -1;
}

static int close_all(void **state)
{
	scram_destroy(scram);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc7677_vector), cmocka_unit_test(messages), cmocka_unit_test(salts_and_counts), cmocka_unit_test(remembered), cmocka_unit_test(memory_is_bounded),
	};

	return cmocka_run_group_tests_name("scram", tests, open_all, close_all);
}
