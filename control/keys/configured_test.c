#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/keys/configured.h"

static char dir[] = "/tmp/sluice-configured.XXXXXX", chain_path[64], key_path[64], other_path[64];
static uint8_t chain_room[CONFIGURED_CHAIN_BYTES], key_room[CONFIGURED_KEY_BYTES];

static void write_key(EVP_PKEY *key, const char *path)
{
	FILE *f = fopen(path, "w");

	assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(f);
	chmod(path, 0600);
}

static int make(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(chain_path, sizeof chain_path, "%s/chain.pem", dir);
	snprintf(key_path, sizeof key_path, "%s/key.pem", dir);
	snprintf(other_path, sizeof other_path, "%s/other.pem", dir);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	X509_sign(x, key, EVP_sha256());
	f = fopen(chain_path, "w");
	PEM_write_X509(f, x);
	PEM_write_X509(f, x);
	fclose(f);
	write_key(key, key_path);
	write_key(other, other_path);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

static int drop(void **state)
{
	unlink(chain_path);
	unlink(key_path);
	unlink(other_path);
	return rmdir(dir);
}

static bool read_pair(const char *chain, const char *key, struct writer *c, struct writer *k, char err[OS_ERROR_BYTES])
{
	*c = writer_of(chain_room, sizeof chain_room);
	*k = writer_of(key_room, sizeof key_room);
	return configured_read(chain, key, c, k, err);
}

static void chain_and_key_are_read(void **state)
{
	char err[OS_ERROR_BYTES] = "";
	struct writer c, k;
	struct reader r;
	unsigned count = 0;

	assert_true(read_pair(chain_path, key_path, &c, &k, err));
	r = reader_of_bytes(writer_done(&c));
	while (r.left) {
		(void)reader_bytes(&r, reader_be16(&r));
		count++;
	}
	assert_true(r.ok);
	assert_int_equal(count, 2);
	assert_true(k.len > 100);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const struct {
		const char *chain, *key, *why;
	} rows[] = {
		{ chain_path, other_path, "is not the key" },
		{ key_path, key_path, "holds no certificate" },
		{ chain_path, chain_path, "others may read it" },
		{ "/nonexistent", key_path, "cannot be read" },
		{ chain_path, "/nonexistent", "cannot be read" },
	};
	char err[OS_ERROR_BYTES] = "";
	struct writer c, k;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_false(read_pair(rows[i].chain, rows[i].key, &c, &k, err));
		assert_non_null(strstr(err, rows[i].why));
		assert_int_equal(c.len + k.len, 0);
	}
	chmod(key_path, 0640);
	assert_false(read_pair(chain_path, key_path, &c, &k, err));
	assert_non_null(strstr(err, "chmod 600"));
	chmod(key_path, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(chain_and_key_are_read), cmocka_unit_test(what_does_not_fit_is_refused) };

	return cmocka_run_group_tests(tests, make, drop);
}
