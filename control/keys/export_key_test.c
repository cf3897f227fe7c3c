/* export_key_test.c: made once, its owner's alone; a signature is of these bytes by this key; another file in its place is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/keys/export_key.h"
#include "platform/os/scratch.h"

static char dir[SCRATCH_BYTES], path[SCRATCH_BYTES + 16], err[OS_ERROR_BYTES];

static int setup(void **state)
{
	bool made = scratch_make(dir);

	snprintf(path, sizeof(path), "%s/export.key", dir);
	return made ? 0 : -1;
}

static int teardown(void **state)
{
	return scratch_remove(dir) ? 0 : -1;
}

static bool verifies(struct bytes pem, const char *text, const uint8_t signature[EXPORT_KEY_SIGNATURE_BYTES])
{
	BIO *in = BIO_new_mem_buf(pem.base, (int)pem.len);
	EVP_PKEY *key = PEM_read_bio_PUBKEY(in, NULL, NULL, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good = key && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
		    EVP_DigestVerify(ctx, signature, EXPORT_KEY_SIGNATURE_BYTES, (const uint8_t *)text, strlen(text)) == 1;

	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(in);
	return good;
}

static void the_key_is_made_once_and_signs(void **state)
{
	char first[EXPORT_KEY_FINGERPRINT_BYTES], again[EXPORT_KEY_FINGERPRINT_BYTES];
	uint8_t signature[EXPORT_KEY_SIGNATURE_BYTES];
	struct export_key *k;
	struct stat at;

	assert_null(export_key_open(dir, false, err));
	k = export_key_open(dir, true, err);
	assert_non_null(k);
	export_key_fingerprint(k, first);
	assert_int_equal(strlen(first), 64);
	assert_int_equal(stat(path, &at), 0);
	assert_int_equal(at.st_mode & 0777, 0600);
	assert_true(export_key_sign(k, bytes_str("a manifest"), signature));
	assert_true(verifies(export_key_pem(k), "a manifest", signature));
	assert_false(verifies(export_key_pem(k), "a Manifest", signature));
	export_key_close(k);
	k = export_key_open(dir, false, err);
	assert_non_null(k);
	export_key_fingerprint(k, again);
	assert_string_equal(first, again);
	export_key_close(k);
}

static void what_is_no_key_of_its_owner_is_refused(void **state)
{
	FILE *f;

	export_key_close(export_key_open(dir, true, err));
	assert_int_equal(chmod(path, 0640), 0);
	assert_null(export_key_open(dir, true, err));
	assert_non_null(strstr(err, "0600"));
	assert_int_equal(chmod(path, 0600), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("-----BEGIN PRIVATE KEY-----\n", f);
	fclose(f);
	assert_null(export_key_open(dir, true, err));
	assert_non_null(strstr(err, "restore it"));
	/* Emptied: not taken for one that is to be made. */
	assert_int_equal(truncate(path, 0), 0);
	assert_null(export_key_open(dir, true, err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_key_is_made_once_and_signs, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_key_of_its_owner_is_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("export_key", tests, NULL, NULL);
}
