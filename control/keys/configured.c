#include "control/keys/configured.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/secret.h"

static bool fail(char err[OS_ERROR_BYTES], const char *path, const char *why)
{
	ERR_clear_error();
	snprintf(err, OS_ERROR_BYTES, "certificate: %.120s: %s", path, why);
	return false;
}

/* Appends the chain; keeps the leaf's public key. */
static bool read_chain(const char *path, struct writer *out, EVP_PKEY **leaf, char err[OS_ERROR_BYTES])
{
	FILE *f = fopen(path, "re");
	X509 *x;

	if (!f)
		return fail(err, path, "cannot be read: give a PEM file, leaf first");
	while ((x = PEM_read_X509(f, NULL, NULL, NULL))) {
		int len = i2d_X509(x, NULL);
		uint8_t *room;

		if (!*leaf)
			*leaf = X509_get_pubkey(x);
		writer_be16(out, (uint16_t)len);
		room = len > 0 && len <= UINT16_MAX ? writer_room(out, (size_t)len) : NULL;
		if (room)
			(void)i2d_X509(x, &room);
		else
			out->ok = false;
		X509_free(x);
	}
	fclose(f);
	ERR_clear_error();
	return *leaf && out->ok ? true : fail(err, path, "holds no certificate, or more than 16 KiB: give a PEM file, leaf first");
}

static EVP_PKEY *read_key(const char *path, char err[OS_ERROR_BYTES])
{
	FILE *f = fopen(path, "re");
	struct stat at;
	EVP_PKEY *key = NULL;

	if (!f || fstat(fileno(f), &at) != 0)
		(void)fail(err, path, "cannot be read: give the leaf's private key as PEM");
	else if ((at.st_uid != 0 && at.st_uid != geteuid()) || (at.st_mode & 077))
		(void)fail(err, path, "others may read it: chown root, chmod 600");
	else if (!(key = PEM_read_PrivateKey(f, NULL, NULL, NULL)))
		(void)fail(err, path, "is no private key: give PEM without a passphrase");
	if (f)
		fclose(f);
	return key;
}

bool configured_read(const char *chain_path, const char *key_path, struct writer *chain, struct writer *key, char err[OS_ERROR_BYTES])
{
	size_t chain_start = chain->len, key_start = key->len;
	EVP_PKEY *leaf = NULL, *pkey = NULL;
	bool good = read_chain(chain_path, chain, &leaf, err) && (pkey = read_key(key_path, err));

	if (good && EVP_PKEY_eq(leaf, pkey) != 1)
		good = fail(err, key_path, "is not the key of the chain's first certificate: give the one that belongs to it");
	if (good) {
		PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pkey);
		int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, NULL) : 0;
		uint8_t *room = len > 0 ? writer_room(key, (size_t)len) : NULL;

		good = room ? i2d_PKCS8_PRIV_KEY_INFO(info, &room) == len : fail(err, key_path, "is too large");
		PKCS8_PRIV_KEY_INFO_free(info);
	}
	EVP_PKEY_free(leaf);
	EVP_PKEY_free(pkey);
	if (good)
		return true;
	secret_wipe(key->base + key_start, key->len - key_start);
	chain->len = chain_start;
	key->len = key_start;
	return false;
}
