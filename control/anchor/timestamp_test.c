/* timestamp_test.c: queries answered by a real authority, openssl ts, and by what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/anchor/timestamp.h"

#define DAY_S 86400

static char dir[] = "/tmp/sluice-tsa.XXXXXX";
static struct timestamp_authority *ours, *others;
static const uint8_t nonce[TIMESTAMP_NONCE_BYTES] = { 0, 0x80, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0 };
static const char note[] = "sluice.example/journal/t\n5\nroot\n\n\xe2\x80\x94 sluice.example/journal/t signature\n";

__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
	char text[2048], command[2200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(command, sizeof(command), "cd %s && { %s; } >log 2>&1", dir, text);
	if (system(command) != 0)
		fail_msg("%s", command);
}

static struct bytes file_of(const char *name)
{
	static uint8_t content[4][40000];
	static unsigned next;
	uint8_t *to = content[next++ % 4];
	char path[200];
	FILE *f;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "re");
	assert_non_null(f);
	len = fread(to, 1, sizeof(content[0]), f);
	fclose(f);
	return bytes_of(to, len);
}

static int setup(void **state)
{
	static const char extensions[] = "extendedKeyUsage=critical,timeStamping\\n";
	const char *why;

	if (!mkdtemp(dir))
		return -1;
	for (const char *const *ca = (const char *const[]){ "ca", "other", NULL }; *ca; ca++)
		shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=%s -keyout %s.key -out %s.pem", *ca, *ca, *ca);
	shell("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=tsa -keyout tsa.key -out tsa.csr && printf '%s' > ext && "
	      "openssl x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out tsa.pem", extensions);
	for (const char *const *digest = (const char *const[]){ "sha256", "sha512", NULL }; *digest; digest++)
		shell("printf '[tsa]\\ndefault_tsa=t\\n[t]\\nserial=%s/serial\\nsigner_cert=%s/tsa.pem\\nsigner_key=%s/tsa.key\\nsigner_digest=sha256\\n"
		      "default_policy=1.2.3.4.1\\ndigests=%s\\naccuracy=secs:1\\n' > %s.cnf && echo 01 > serial", dir, dir, dir, *digest, *digest);
	ours = timestamp_authority_create(file_of("ca.pem"), &why);
	others = timestamp_authority_create(file_of("other.pem"), &why);
	return ours && others ? 0 : -1;
}

static int teardown(void **state)
{
	timestamp_authority_destroy(ours);
	timestamp_authority_destroy(others);
	shell("rm -rf %s", dir);
	return 0;
}

/* The answer of openssl ts under a configuration. */
static struct bytes answer_of(struct bytes query, const char *config)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/query", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fwrite(query.base, 1, query.len, f);
	assert_int_equal(fclose(f), 0);
	shell("openssl ts -reply -config %s.cnf -queryfile query -out answer", config);
	return file_of("answer");
}

static struct bytes ask(struct timestamp_query *q, const char *config)
{
	static uint8_t room[TIMESTAMP_QUERY_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	assert_true(timestamp_query(bytes_str(note), nonce, q, &w));
	return answer_of(writer_done(&w), config);
}

static void an_answer_to_the_query_is_taken(void **state)
{
	struct timestamp_query q;
	struct bytes answer = ask(&q, "sha256");
	int64_t now_s = time(NULL), time_s;
	char text[200];

	assert_null(timestamp_accept(ours, &q, answer, now_s, &time_s));
	assert_true(time_s >= now_s - 3600 && time_s <= now_s + 3600);
	/* The certificate came with it, as asked. */
	shell("openssl ts -reply -in answer -token_out -out token && openssl pkcs7 -inform DER -in token -print_certs | grep -q BEGIN");
	snprintf(text, sizeof(text), "[ \"$(date -u -d \"$(openssl ts -reply -in answer -text | sed -n 's/^Time stamp: //p')\" +%%s)\" = %lld ]", (long long)time_s);
	shell("%s", text);
	assert_true(timestamp_is_for(answer, bytes_str(note), &time_s));
	assert_false(timestamp_is_for(answer, bytes_str("another"), &time_s));
	assert_int_equal(time_s, 0);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct timestamp_query q, other;
	struct bytes answer = ask(&q, "sha256"), refusal;
	int64_t now_s = time(NULL), time_s;

	other = q;
	other.imprint[31] ^= 1;
	assert_string_equal(timestamp_accept(ours, &other, answer, now_s, &time_s), "message imprint mismatch");
	other = q;
	other.nonce[15] ^= 1;
	assert_string_equal(timestamp_accept(ours, &other, answer, now_s, &time_s), "nonce mismatch");
	assert_string_equal(timestamp_accept(others, &q, answer, now_s, &time_s), "certificate verify error");
	/* The authority's certificate is over, or has not begun. */
	assert_string_equal(timestamp_accept(ours, &q, answer, now_s + 3 * DAY_S, &time_s), "certificate verify error");
	assert_string_equal(timestamp_accept(ours, &q, answer, now_s - DAY_S, &time_s), "certificate verify error");
	assert_int_equal(time_s, 0);
	assert_null(timestamp_accept(ours, &q, answer, now_s, &time_s));
	refusal = ask(&q, "sha512");
	assert_non_null(timestamp_accept(ours, &q, refusal, now_s, &time_s));
	assert_false(timestamp_is_for(refusal, bytes_str(note), &time_s));
}

static void garbage_is_refused(void **state)
{
	static uint8_t changed[40000];
	struct timestamp_query q;
	struct bytes answer = ask(&q, "sha256");
	int64_t now_s = time(NULL), good_s, time_s;

	assert_null(timestamp_accept(ours, &q, answer, now_s, &good_s));
	for (size_t len = 0; len < answer.len; len++)
		assert_non_null(timestamp_accept(ours, &q, bytes_of(answer.base, len), now_s, &time_s));
	memset(changed, 0x30, sizeof(changed));
	memcpy(changed, answer.base, answer.len);
	assert_non_null(timestamp_accept(ours, &q, bytes_of(changed, answer.len + 1), now_s, &time_s));
	assert_non_null(timestamp_accept(ours, &q, bytes_of(changed, TIMESTAMP_ANSWER_BYTES + 1), now_s, &time_s));
	/* Whatever byte is changed: it is refused, or says the same as before. */
	for (size_t at = 0; at < answer.len; at += 3) {
		changed[at] ^= 0x01;
		if (timestamp_accept(ours, &q, bytes_of(changed, answer.len), now_s, &time_s) == NULL)
			assert_int_equal(time_s, good_s);
		changed[at] ^= 0x01;
	}
	assert_non_null(timestamp_accept(ours, &q, bytes_str("<html>"), now_s, &time_s));
}

static void an_authority_is_certificates(void **state)
{
	const char *why;

	assert_null(timestamp_authority_create(bytes_str(""), &why));
	assert_null(timestamp_authority_create(bytes_str("no certificate"), &why));
	assert_null(timestamp_authority_create(file_of("ca.key"), &why));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_to_the_query_is_taken), cmocka_unit_test(what_does_not_fit_is_refused), cmocka_unit_test(garbage_is_refused),
		cmocka_unit_test(an_authority_is_certificates),
	};

	return cmocka_run_group_tests_name("anchor_timestamp", tests, setup, teardown);
}
