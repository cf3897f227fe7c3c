#include "control/export/recipients.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#define RSA_BITS_LEAST 2048
#define RSA_BITS_MOST 8192

/* NULL, or why nothing can be sealed to this key. */
static const char *key_wrong(EVP_PKEY *key, uint32_t usage)
{
	static const char *const curves[] = { "prime256v1", "secp384r1", "secp521r1" };
	char group[64] = "";
	size_t len;

	if (!key)
		return "its key cannot be read";
	if (EVP_PKEY_is_a(key, "RSA")) {
		if (EVP_PKEY_get_bits(key) < RSA_BITS_LEAST || EVP_PKEY_get_bits(key) > RSA_BITS_MOST)
			return "its RSA key is not of 2048 to 8192 bits";
		return usage & KU_KEY_ENCIPHERMENT ? NULL : "its key usage does not allow key encipherment";
	}
	if (!EVP_PKEY_is_a(key, "EC"))
		return "its key is neither RSA nor EC: nothing can be sealed to it";
	if (!EVP_PKEY_get_group_name(key, group, sizeof group, &len))
		return "its curve is not known";
	for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
		if (!strcmp(group, curves[i]))
			return usage & KU_KEY_AGREEMENT ? NULL : "its key usage does not allow key agreement";
	return "its curve is none of P-256, P-384 and P-521";
}

static const char *certificate_wrong(X509 *x, int64_t now_s)
{
	time_t now = (time_t)now_s;

	/* 0 is a time that cannot be read. */
	if (X509_cmp_time(X509_get0_notBefore(x), &now) >= 0)
		return "it is not valid yet";
	if (X509_cmp_time(X509_get0_notAfter(x), &now) <= 0)
		return "it is no longer valid";
	if (X509_get_extension_flags(x) & EXFLAG_INVALID)
		return "its extensions cannot be read";
	return key_wrong(X509_get0_pubkey(x), X509_get_key_usage(x));
}

static bool fingerprint(X509 *x, char out[RECIPIENTS_FINGERPRINT_BYTES])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (X509_digest(x, EVP_sha256(), hash, &len) != 1 || len != 32)
		return false;
	for (unsigned i = 0; i < len; i++)
		snprintf(out + 2 * (size_t)i, 3, "%02x", hash[i]);
	return true;
}

/* Takes `x` over when it is good. NULL, or what is wrong. */
static const char *add(struct recipients *r, X509 *x, int64_t now_s)
{
	const char *wrong = certificate_wrong(x, now_s);

	if (!wrong && !fingerprint(x, r->fingerprint[r->count]))
		wrong = "its fingerprint cannot be made";
	for (unsigned i = 0; !wrong && i < r->count; i++)
		if (!strcmp(r->fingerprint[i], r->fingerprint[r->count]))
			wrong = "it is named twice";
	if (!wrong)
		r->certificate[r->count++] = x;
	return wrong;
}

static const char *read_all(struct recipients *r, BIO *in, int64_t now_s)
{
	const char *wrong = NULL;
	X509 *x = NULL;

	while (!wrong && (x = PEM_read_bio_X509(in, NULL, NULL, (void *)""))) {
		wrong = r->count == RECIPIENTS_MAX ? "there are more than eight" : add(r, x, now_s);
		if (wrong)
			X509_free(x);
	}
	/* PEM ends by finding no more of it, and nothing else. */
	if (!wrong && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		wrong = "it cannot be read";
	return !wrong && !r->count ? "there is no certificate in it" : wrong;
}

bool recipients_read(struct recipients *r, struct bytes pem, int64_t now_s, char err[RECIPIENTS_ERROR_BYTES])
{
	BIO *in = pem.len && pem.len <= RECIPIENTS_PEM_BYTES ? BIO_new_mem_buf(pem.base, (int)pem.len) : NULL;
	const char *wrong;

	*r = (struct recipients){ 0 };
	ERR_clear_error();
	wrong = in ? read_all(r, in, now_s) : "there is no certificate in it, or too much";
	ERR_clear_error();
	BIO_free(in);
	if (!wrong)
		return true;
	snprintf(err, RECIPIENTS_ERROR_BYTES, "certificate %u: %s", r->count + 1, wrong);
	recipients_free(r);
	return false;
}

void recipients_free(struct recipients *r)
{
	for (unsigned i = 0; i < r->count; i++)
		X509_free(r->certificate[i]);
	*r = (struct recipients){ 0 };
}
