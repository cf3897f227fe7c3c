#include "control/keys/export_key.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/keys/key_file.h"
#include "platform/base/secret.h"

#define KEY_BYTES_MAX 1024

struct export_key {
	EVP_PKEY *key;
	uint8_t pem[EXPORT_KEY_PEM_BYTES];
	size_t pem_len;
};

static bool make(struct export_key *k, const char *path, char *err)
{
	BIO *out = BIO_new(BIO_s_secmem());
	char *text = NULL;
	long len = 0;
	bool good;

	k->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	good = k->key && out && PEM_write_bio_PrivateKey(out, k->key, NULL, NULL, 0, NULL, NULL) == 1 && (len = BIO_get_mem_data(out, &text)) > 0;
	good = good ? key_file_write(path, bytes_of(text, (size_t)len), 0600, err) : key_file_failed(err, path, "check the key directory");
	if (text)
		secret_wipe(text, (size_t)len);
	BIO_free(out);
	return good;
}

static bool load(struct export_key *k, struct bytes text, const char *path, char *err)
{
	BIO *in = BIO_new_mem_buf(text.base, (int)text.len);

	k->key = in ? PEM_read_bio_PrivateKey(in, NULL, NULL, NULL) : NULL;
	BIO_free(in);
	return (k->key && EVP_PKEY_is_a(k->key, "ED25519")) || key_file_failed(err, path, "restore it, or remove it to have a new one made");
}

static bool publish(struct export_key *k)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;
	bool good = out && PEM_write_bio_PUBKEY(out, k->key) == 1 && (len = BIO_get_mem_data(out, &text)) > 0 && (size_t)len <= sizeof(k->pem);

	if (good)
		memcpy(k->pem, text, (size_t)len);
	k->pem_len = good ? (size_t)len : 0;
	BIO_free(out);
	return good;
}

struct export_key *export_key_open(const char *dir, bool may_make, char err[OS_ERROR_BYTES])
{
	struct export_key *k = calloc(1, sizeof(*k));
	uint8_t text[KEY_BYTES_MAX];
	char path[300];
	ssize_t n;
	bool good = false;

	snprintf(path, sizeof(path), "%.250s/export.key", dir);
	n = key_file_read(path, text, sizeof(text), err);
	if (k && n > 0)
		good = load(k, bytes_of(text, (size_t)n), path, err);
	else if (k && n == -1 && errno == ENOENT && may_make)
		good = make(k, path, err);
	else if (n != -2)
		(void)key_file_failed(err, path, "start as the user that made it");
	secret_wipe(text, sizeof(text));
	if (good && (publish(k) || key_file_failed(err, path, "report this")))
		return k;
	export_key_close(k);
	return NULL;
}

void export_key_close(struct export_key *k)
{
	if (k)
		EVP_PKEY_free(k->key);
	free(k);
}

bool export_key_sign(const struct export_key *k, struct bytes text, uint8_t out[EXPORT_KEY_SIGNATURE_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t len = EXPORT_KEY_SIGNATURE_BYTES;
	bool good = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1 && EVP_DigestSign(ctx, out, &len, text.base, text.len) == 1;

	EVP_MD_CTX_free(ctx);
	return good && len == EXPORT_KEY_SIGNATURE_BYTES;
}

struct bytes export_key_pem(const struct export_key *k)
{
	return bytes_of(k->pem, k->pem_len);
}

void export_key_fingerprint(const struct export_key *k, char out[EXPORT_KEY_FINGERPRINT_BYTES])
{
	unsigned char *der = NULL, hash[32] = { 0 };
	int len = i2d_PUBKEY(k->key, &der);

	if (len > 0)
		SHA256(der, (size_t)len, hash);
	for (unsigned i = 0; i < sizeof(hash); i++)
		snprintf(out + 2 * i, 3, "%02x", hash[i]);
	OPENSSL_free(der);
}
