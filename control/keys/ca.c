#include "control/keys/ca.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/keys/key_file.h"
#include "platform/base/limits.h"
#include "platform/base/random.h"
#include "platform/base/secret.h"

#define DAY_S 86400
#define BACKDATE_S 3600 /* clients' clocks are behind at times */
#define ROOTS_BYTES 65536
#define PEM_BYTES 4096
#define SANS_BYTES 8192

struct ca {
	EVP_PKEY *key;
	X509 *certificate;
	uint8_t pem[PEM_BYTES];
	size_t pem_len;
};

/* --- the key of commitments ---------------------------------------------------------------------------------------------- */

bool ca_commitment_key(const char *dir, uint8_t out[32], char err[OS_ERROR_BYTES])
{
	char path[300];
	ssize_t n;

	snprintf(path, sizeof(path), "%.200s/commit.key", dir);
	n = key_file_read(path, out, 32, err);
	if (n == 32)
		return true;
	if (n != -1)
		return n == -2 ? false : key_file_failed(err, path, "restore it from a backup");
	random_secret(out, 32);
	return key_file_write(path, bytes_of(out, 32), 0600, err);
}

/* --- certificates -------------------------------------------------------------------------------------------------------- */

static bool extension_add(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool good;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	good = extension && X509_add_ext(certificate, extension, -1) == 1;
	X509_EXTENSION_free(extension);
	return good;
}

/* Version 3, a random serial number of 127 bits, and the times. */
static bool certificate_begin(X509 *c, EVP_PKEY *key, int64_t from_s, int64_t to_s)
{
	uint8_t serial[16];
	BIGNUM *number;
	bool good;

	random_secret(serial, sizeof(serial));
	serial[0] &= 0x7f;
	serial[15] |= 1;
	number = BN_bin2bn(serial, sizeof(serial), NULL);
	good = number && X509_set_version(c, 2) == 1 && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(c)) &&
	       ASN1_TIME_set(X509_getm_notBefore(c), (time_t)from_s) && ASN1_TIME_set(X509_getm_notAfter(c), (time_t)to_s) &&
	       X509_set_pubkey(c, key) == 1;
	BN_free(number);
	return good;
}

static bool name_add(X509_NAME *name, const char *field, const char *text)
{
	return X509_NAME_add_entry_by_txt(name, field, MBSTRING_ASC, (const unsigned char *)text, -1, -1, 0) == 1;
}

static bool ca_make(struct ca *ca, const char *node, int64_t now_s)
{
	char name[65];
	X509_NAME *subject;

	ca->key = EVP_EC_gen("P-256");
	ca->certificate = X509_new();
	if (!ca->key || !ca->certificate)
		return false;
	snprintf(name, sizeof(name), "Sluice %.50s", node);
	subject = X509_get_subject_name(ca->certificate);
	return certificate_begin(ca->certificate, ca->key, now_s - BACKDATE_S, now_s + (int64_t)CA_YEARS * 365 * DAY_S) &&
	       name_add(subject, "O", "Sluice") && name_add(subject, "CN", name) && X509_set_issuer_name(ca->certificate, subject) == 1 &&
	       extension_add(ca->certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       extension_add(ca->certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	       extension_add(ca->certificate, NID_subject_key_identifier, "hash") &&
	       X509_sign(ca->certificate, ca->key, EVP_sha256()) > 0;
}

static bool ca_store(const struct ca *ca, const char *dir, char *err)
{
	char path[300];
	BIO *memory = BIO_new(BIO_s_secmem());
	char *text;
	long len;
	bool good = memory && PEM_write_bio_PKCS8PrivateKey(memory, ca->key, NULL, NULL, 0, NULL, NULL) == 1;

	snprintf(path, sizeof(path), "%.200s/ca.key", dir);
	len = good ? BIO_get_mem_data(memory, &text) : 0;
	good = good && key_file_write(path, bytes_of(text, (size_t)len), 0600, err);
	BIO_free(memory);
	snprintf(path, sizeof(path), "%.200s/ca.pem", dir);
	return good && key_file_write(path, bytes_of(ca->pem, ca->pem_len), 0644, err);
}

static bool ca_load(struct ca *ca, const uint8_t *key, size_t key_len, const char *dir, char *err)
{
	char path[300];
	BIO *memory = BIO_new_mem_buf(key, (int)key_len), *file;

	ca->key = memory ? PEM_read_bio_PrivateKey(memory, NULL, NULL, NULL) : NULL;
	BIO_free(memory);
	snprintf(path, sizeof(path), "%.200s/ca.pem", dir);
	file = BIO_new_file(path, "r");
	ca->certificate = file ? PEM_read_bio_X509(file, NULL, NULL, NULL) : NULL;
	BIO_free(file);
	if (!ca->key || !ca->certificate || X509_check_private_key(ca->certificate, ca->key) != 1)
		return key_file_failed(err, path, "restore ca.key and ca.pem together");
	return true;
}

static bool ca_pem_fill(struct ca *ca)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *text;
	long len = memory && PEM_write_bio_X509(memory, ca->certificate) == 1 ? BIO_get_mem_data(memory, &text) : 0;

	if (len > 0 && len <= PEM_BYTES) {
		memcpy(ca->pem, text, (size_t)len);
		ca->pem_len = (size_t)len;
	}
	BIO_free(memory);
	return ca->pem_len > 0;
}

struct ca *ca_open(const char *dir, const char *node, int64_t now_s, bool *made, char err[OS_ERROR_BYTES])
{
	uint8_t key[PEM_BYTES];
	char path[300];
	struct ca *ca = calloc(1, sizeof(*ca));
	ssize_t n;
	bool good;

	if (!ca)
		return NULL;
	errno = 0;
	snprintf(path, sizeof(path), "%.200s/ca.key", dir);
	n = key_file_read(path, key, sizeof(key), err);
	*made = n == -1 && errno == ENOENT;
	if (*made)
		good = (ca_make(ca, node, now_s) && ca_pem_fill(ca) && ca_store(ca, dir, err)) || key_file_failed(err, path, "check the key directory");
	else if (n == -2)
		good = false;
	else
		good = n > 0 ? ca_load(ca, key, (size_t)n, dir, err) && ca_pem_fill(ca) : key_file_failed(err, path, "start as the user that made it");
	secret_wipe(key, sizeof(key));
	if (good)
		return ca;
	ca_close(ca);
	return NULL;
}

void ca_close(struct ca *ca)
{
	if (!ca)
		return;
	EVP_PKEY_free(ca->key);
	X509_free(ca->certificate);
	free(ca);
}

struct bytes ca_pem(const struct ca *ca)
{
	return bytes_of(ca->pem, ca->pem_len);
}

void ca_fingerprint(const struct ca *ca, char out[CA_FINGERPRINT_BYTES])
{
	uint8_t hash[32];
	unsigned len = 0;

	X509_digest(ca->certificate, EVP_sha256(), hash, &len);
	for (unsigned i = 0; i < 32; i++)
		snprintf(out + 3 * i, 4, i < 31 ? "%02X:" : "%02X", hash[i]);
}

/* "DNS:name,IP:192.0.2.10". Names come from the checked policy; anything but a plain name is refused, not quoted. */
static bool sans_write(const char *name, const struct ca_address *addresses, unsigned count, char *out, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
	uint8_t ignored[16];
	bool address = inet_pton(AF_INET, name, ignored) == 1 || inet_pton(AF_INET6, name, ignored) == 1;
	size_t at;

	if (!name[0] || strspn(name, plain) != strlen(name) || strlen(name) > 253 || (!address && strchr(name, ':')))
		return false;
	at = (size_t)snprintf(out, size, "%s:%s", address ? "IP" : "DNS", name);
	for (unsigned i = 0; i < count; i++) {
		char text[INET6_ADDRSTRLEN];

		if (at + 64 > size || !inet_ntop(addresses[i].len == 16 ? AF_INET6 : AF_INET, addresses[i].bytes, text, sizeof(text)))
			return false;
		at += (size_t)snprintf(out + at, size - at, ",IP:%s", text);
	}
	return true;
}

static bool leaf_sign(struct ca *ca, X509 *leaf, EVP_PKEY *key, const char *name, const char *sans, int64_t now_s)
{
	X509_NAME *subject = X509_get_subject_name(leaf);
	char common[65];

	/* A common name has 64 characters at most; verification reads the alternative names alone. */
	snprintf(common, sizeof(common), "%.64s", name);
	return certificate_begin(leaf, key, now_s - BACKDATE_S, now_s + (int64_t)CA_LEAF_DAYS * DAY_S - BACKDATE_S) && name_add(subject, "CN", common) &&
	       X509_set_issuer_name(leaf, X509_get_subject_name(ca->certificate)) == 1 &&
	       extension_add(leaf, NID_basic_constraints, "critical,CA:FALSE") && extension_add(leaf, NID_key_usage, "critical,digitalSignature") &&
	       extension_add(leaf, NID_ext_key_usage, "serverAuth") && extension_add(leaf, NID_subject_alt_name, sans) &&
	       X509_sign(leaf, ca->key, EVP_sha256()) > 0;
}

static void certificate_put(struct writer *w, X509 *c)
{
	unsigned char *der = NULL;
	int len = i2d_X509(c, &der);

	if (len <= 0 || len > 65535) {
		w->ok = false;
		return;
	}
	writer_be16(w, (uint16_t)len);
	writer_bytes(w, der, (size_t)len);
	OPENSSL_free(der);
}

static void key_put(struct writer *w, EVP_PKEY *key)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

	if (len > 0)
		writer_bytes(w, der, (size_t)len);
	else
		w->ok = false;
	OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
	PKCS8_PRIV_KEY_INFO_free(info);
}

bool ca_leaf(struct ca *ca, const char *name, const struct ca_address *addresses, unsigned count, int64_t now_s, struct writer *chain,
	     struct writer *key_out, char err[OS_ERROR_BYTES])
{
	char sans[SANS_BYTES];
	EVP_PKEY *key = NULL;
	X509 *leaf = NULL;
	bool good = false;

	errno = 0;
	if (!sans_write(name, addresses, count, sans, sizeof(sans))) {
		snprintf(err, OS_ERROR_BYTES, "certificate for %.100s: not a name for a certificate: correct upstream_name", name);
		return false;
	}
	key = EVP_EC_gen("P-256");
	leaf = X509_new();
	if (key && leaf && leaf_sign(ca, leaf, key, name, sans, now_s)) {
		certificate_put(chain, leaf);
		certificate_put(chain, ca->certificate);
		key_put(key_out, key);
		good = chain->ok && key_out->ok;
	}
	EVP_PKEY_free(key);
	X509_free(leaf);
	return good || key_file_failed(err, name, "report this");
}

struct bytes ca_roots_read(const char *path, char err[OS_ERROR_BYTES])
{
	uint8_t *text = malloc(ROOTS_BYTES + 1);
	FILE *f = text ? fopen(path, "re") : NULL;
	size_t len = f ? fread(text, 1, ROOTS_BYTES + 1, f) : 0;
	BIO *memory = len && len <= ROOTS_BYTES ? BIO_new_mem_buf(text, (int)len) : NULL;
	unsigned count = 0;

	if (f)
		fclose(f);
	while (memory) {
		X509 *c = PEM_read_bio_X509(memory, NULL, NULL, NULL);

		if (!c)
			break;
		count++;
		X509_free(c);
	}
	BIO_free(memory);
	if (count) {
		ERR_clear_error();
		return bytes_of(text, len);
	}
	free(text);
	key_file_failed(err, path, "give a PEM file of certificates, at most 64 KiB");
	return (struct bytes){ 0 };
}
