/* ca_test.c: the authority is made once, and what it signs verifies for the service's names only, by OpenSSL's own rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/keys/ca.h"
#include "platform/os/scratch.h"

static char dir[SCRATCH_BYTES], err[OS_ERROR_BYTES];
static int64_t now_s;

static int setup(void **state)
{
	now_s = time(NULL);
	return scratch_make(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return scratch_remove(dir) ? 0 : -1;
}

static void the_authority_is_made_once_and_kept(void **state)
{
	char a[CA_FINGERPRINT_BYTES], b[CA_FINGERPRINT_BYTES], path[128];
	struct stat at;
	bool made;
	struct ca *ca = ca_open(dir, "edge", now_s, &made, err);

	assert_non_null(ca);
	assert_true(made);
	ca_fingerprint(ca, a);
	assert_int_equal(strlen(a), 95);
	ca_close(ca);
	snprintf(path, sizeof(path), "%s/ca.key", dir);
	assert_int_equal(stat(path, &at), 0);
	assert_int_equal(at.st_mode & 0777, 0600);
	ca = ca_open(dir, "edge", now_s, &made, err);
	assert_non_null(ca);
	assert_false(made);
	ca_fingerprint(ca, b);
	assert_string_equal(a, b);
	ca_close(ca);
	assert_int_equal(chmod(path, 0640), 0);
	assert_null(ca_open(dir, "edge", now_s, &made, err));
	assert_non_null(strstr(err, "0600"));
}

static X509 *certificate_next(struct reader *r)
{
	struct bytes der = reader_bytes(r, reader_be16(r));
	const unsigned char *at = der.base;

	return d2i_X509(NULL, &at, (long)der.len);
}

static bool verifies(X509 *leaf, X509 *root, int64_t at_s)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	bool good;

	X509_STORE_add_cert(store, root);
	X509_STORE_CTX_init(context, store, leaf, NULL);
	X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(context), (time_t)at_s);
	good = X509_verify_cert(context) == 1;
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return good;
}

static void a_leaf_is_for_its_names_and_for_thirty_days(void **state)
{
	const struct ca_address address = { .len = 4, .bytes = { 192, 0, 2, 10 } };
	uint8_t chain_room[8192], key_room[2048];
	struct writer chain = writer_of(chain_room, sizeof(chain_room)), key = writer_of(key_room, sizeof(key_room));
	const unsigned char *at = key_room;
	struct reader r;
	EVP_PKEY *private;
	X509 *leaf, *root;
	bool made;
	struct ca *ca = ca_open(dir, "edge", now_s, &made, err);

	assert_non_null(ca);
	assert_true(ca_leaf(ca, "db.example", &address, 1, now_s, &chain, &key, err));
	r = reader_of_bytes(writer_done(&chain));
	leaf = certificate_next(&r);
	root = certificate_next(&r);
	assert_non_null(leaf);
	assert_non_null(root);
	assert_int_equal(r.left, 0);
	private = d2i_AutoPrivateKey(NULL, &at, (long)key.len);
	assert_int_equal(X509_check_private_key(leaf, private), 1);
	assert_true(verifies(leaf, root, now_s));
	assert_true(verifies(leaf, root, now_s + 29 * 86400));
	assert_false(verifies(leaf, root, now_s + 30 * 86400 + 1));
	assert_int_equal(X509_check_host(leaf, "db.example", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(leaf, "other.example", 0, 0, NULL), 0);
	assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.10", 0), 1);
	assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.11", 0), 0);
	assert_int_equal(X509_check_ca(leaf), 0);
	EVP_PKEY_free(private);
	X509_free(leaf);
	X509_free(root);
	ca_close(ca);
}

static void a_name_that_could_smuggle_another_is_refused(void **state)
{
	static const char *const bad[] = { "", "a,DNS:evil.example", "a b", "*", "x\ny", "dirName:x", "a:b" };
	uint8_t room[8192];
	bool made;
	struct ca *ca = ca_open(dir, "edge", now_s, &made, err);

	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct writer chain = writer_of(room, 4096), key = writer_of(room + 4096, 4096);

		assert_false(ca_leaf(ca, bad[i], NULL, 0, now_s, &chain, &key, err));
	}
	ca_close(ca);
}

static void roots_are_certificates_or_refused(void **state)
{
	char path[128];
	struct bytes roots;
	bool made;
	FILE *f;

	ca_close(ca_open(dir, "edge", now_s, &made, err));
	snprintf(path, sizeof(path), "%s/ca.pem", dir);
	roots = ca_roots_read(path, err);
	assert_non_null(roots.base);
	free((void *)roots.base);
	snprintf(path, sizeof(path), "%s/none.pem", dir);
	f = fopen(path, "w");
	fputs("not a certificate\n", f);
	fclose(f);
	assert_null(ca_roots_read(path, err).base);
	assert_null(ca_roots_read("/nonexistent", err).base);
}

static void the_commitment_key_stays_the_same(void **state)
{
	uint8_t a[32], b[32];

	assert_true(ca_commitment_key(dir, a, err));
	assert_true(ca_commitment_key(dir, b, err));
	assert_memory_equal(a, b, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_authority_is_made_once_and_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_leaf_is_for_its_names_and_for_thirty_days, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_that_could_smuggle_another_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(roots_are_certificates_or_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_commitment_key_stays_the_same, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
