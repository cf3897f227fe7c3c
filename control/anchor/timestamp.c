/* timestamp.c: see timestamp.h. OpenSSL's TS functions do the work; what is ours is the limit in front of them and the order: length,
 * whole DER, status, then everything that the query fixed, then the signature. */
#include "control/anchor/timestamp.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <time.h>

struct timestamp_authority {
	STACK_OF(X509) *roots;
};

const char *timestamp_authority_add(struct timestamp_authority *a, struct bytes pem)
{
	BIO *bio = pem.len && pem.len <= TIMESTAMP_CA_BYTES ? BIO_new_mem_buf(pem.base, (int)pem.len) : NULL;
	int before = sk_X509_num(a->roots);
	X509 *cert;

	while (bio && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(a->roots, cert))
			X509_free(cert);
	BIO_free(bio);
	ERR_clear_error();
	return sk_X509_num(a->roots) > before ? NULL : "holds no certificate in PEM, or is too long";
}

struct timestamp_authority *timestamp_authority_create(struct bytes pem, const char **why)
{
	struct timestamp_authority *a = calloc(1, sizeof(*a));

	*why = "out of memory";
	if (a && (a->roots = sk_X509_new_null()))
		*why = timestamp_authority_add(a, pem);
	if (!*why)
		return a;
	timestamp_authority_destroy(a);
	return NULL;
}

void timestamp_authority_destroy(struct timestamp_authority *a)
{
	if (!a)
		return;
	sk_X509_pop_free(a->roots, X509_free);
	free(a);
}

static bool imprint_set(TS_REQ *request, const uint8_t hash[32])
{
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *algorithm = X509_ALGOR_new();
	bool good = imprint && algorithm && X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_sha256), V_ASN1_NULL, NULL) &&
		    TS_MSG_IMPRINT_set_algo(imprint, algorithm) && TS_MSG_IMPRINT_set_msg(imprint, (unsigned char *)(uintptr_t)hash, 32) &&
		    TS_REQ_set_msg_imprint(request, imprint);

	X509_ALGOR_free(algorithm);
	TS_MSG_IMPRINT_free(imprint);
	return good;
}

static bool nonce_set(TS_REQ *request, const uint8_t nonce[TIMESTAMP_NONCE_BYTES])
{
	BIGNUM *number = BN_bin2bn(nonce, TIMESTAMP_NONCE_BYTES, NULL);
	ASN1_INTEGER *integer = number ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
	bool good = integer && TS_REQ_set_nonce(request, integer);

	ASN1_INTEGER_free(integer);
	BN_free(number);
	return good;
}

/* `nonce` NULL: without one. */
static TS_REQ *request_of(const uint8_t imprint[32], const uint8_t nonce[TIMESTAMP_NONCE_BYTES])
{
	TS_REQ *request = TS_REQ_new();

	if (request && TS_REQ_set_version(request, 1) && imprint_set(request, imprint) && (!nonce || nonce_set(request, nonce)) && TS_REQ_set_cert_req(request, 1))
		return request;
	TS_REQ_free(request);
	return NULL;
}

bool timestamp_query(struct bytes data, const uint8_t nonce[TIMESTAMP_NONCE_BYTES], struct timestamp_query *q, struct writer *out)
{
	unsigned char *der = NULL;
	TS_REQ *request;
	int len;

	SHA256(data.base, data.len, q->imprint);
	memcpy(q->nonce, nonce, sizeof(q->nonce));
	request = request_of(q->imprint, q->nonce);
	len = request ? i2d_TS_REQ(request, &der) : 0;
	if (len > 0)
		writer_bytes(out, der, (size_t)len);
	OPENSSL_free(der);
	TS_REQ_free(request);
	return len > 0 && out->ok;
}

/* The answer, whole and nothing behind it; NULL otherwise. */
static TS_RESP *answer_read(struct bytes answer)
{
	const unsigned char *at = answer.base;
	TS_RESP *response = answer.len && answer.len <= TIMESTAMP_ANSWER_BYTES ? d2i_TS_RESP(NULL, &at, (long)answer.len) : NULL;

	if (response && at == answer.base + answer.len)
		return response;
	TS_RESP_free(response);
	return NULL;
}

static bool time_read(TS_RESP *response, int64_t *time_s)
{
	const TS_TST_INFO *info = TS_RESP_get_tst_info(response);
	const ASN1_GENERALIZEDTIME *time = info ? TS_TST_INFO_get_time(info) : NULL;
	struct tm parts = { 0 };

	if (!time || !ASN1_TIME_to_tm(time, &parts))
		return false;
	*time_s = timegm(&parts);
	return true;
}

/* `a` NULL: nobody is in it. */
static X509_STORE *store_of(const struct timestamp_authority *a, int64_t now_s)
{
	X509_STORE *store = X509_STORE_new();
	bool good = store != NULL;

	for (int i = 0; good && a && i < sk_X509_num(a->roots); i++)
		good = X509_STORE_add_cert(store, sk_X509_value(a->roots, i));
	if (good) {
		X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)now_s);
		return store;
	}
	X509_STORE_free(store);
	return NULL;
}

static const char *reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text ? text : "the answer is not that of the authority";
}

/* RFC 3161 2.4.2: the token is verified against the query, and its signature against the store, which is taken. */
static const char *verify(X509_STORE *store, TS_REQ *request, TS_RESP *response)
{
	TS_VERIFY_CTX *ctx = request && store ? TS_REQ_to_TS_VERIFY_CTX(request, NULL) : NULL;
	const char *why = "out of memory";

	ERR_clear_error();
	if (ctx) {
		(void)TS_VERIFY_CTX_set_store(ctx, store); /* now the context's */
		TS_VERIFY_CTX_add_flags(ctx, TS_VFY_SIGNATURE);
		why = TS_RESP_verify_response(ctx, response) == 1 ? NULL : reason();
	} else {
		X509_STORE_free(store);
	}
	TS_VERIFY_CTX_free(ctx);
	ERR_clear_error();
	return why;
}

const char *timestamp_accept(const struct timestamp_authority *a, const struct timestamp_query *q, struct bytes answer, int64_t now_s, int64_t *time_s)
{
	TS_RESP *response = answer_read(answer);
	const char *why = "not an answer to a time-stamp query";

	*time_s = 0;
	if (response) {
		TS_REQ *request = request_of(q->imprint, q->nonce);

		why = verify(store_of(a, now_s), request, response);
		TS_REQ_free(request);
	}
	if (!why && !time_read(response, time_s))
		why = "a token without a time";
	TS_RESP_free(response);
	ERR_clear_error();
	return why;
}

bool timestamp_is_for(struct bytes answer, struct bytes data, int64_t *time_s)
{
	TS_RESP *response = answer_read(answer);
	TS_TST_INFO *info = response ? TS_RESP_get_tst_info(response) : NULL;
	TS_MSG_IMPRINT *imprint = info ? TS_TST_INFO_get_msg_imprint(info) : NULL;
	const ASN1_OCTET_STRING *hash = imprint ? TS_MSG_IMPRINT_get_msg(imprint) : NULL;
	uint8_t wanted[32];
	bool good;

	*time_s = 0;
	SHA256(data.base, data.len, wanted);
	good = hash && bytes_equal(bytes_of(ASN1_STRING_get0_data(hash), (size_t)ASN1_STRING_length(hash)), bytes_of(wanted, sizeof(wanted))) &&
	       time_read(response, time_s);
	TS_RESP_free(response);
	ERR_clear_error();
	return good;
}

/* --- later ----------------------------------------------------------------------------------------------------------------- */

/* What is wrong with the chain is not asked for: is the token whole, and its signer's? */
static int any_chain(int good, X509_STORE_CTX *ctx)
{
	return 1;
}

/* The first thing that is wrong with the chain in the verification under way. */
static _Thread_local int chain_fault;

static int chain_noted(int good, X509_STORE_CTX *ctx)
{
	if (!good && chain_fault == X509_V_OK)
		chain_fault = X509_STORE_CTX_get_error(ctx);
	return good;
}

static bool leads_nowhere(int fault)
{
	return fault == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT || fault == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
	       fault == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE || fault == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN || fault == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
}

static void signer_name(TS_RESP *response, char who[TIMESTAMP_WHO_BYTES])
{
	PKCS7 *token = TS_RESP_get_token(response);
	STACK_OF(X509) *signers = token && PKCS7_type_is_signed(token) ? PKCS7_get0_signers(token, NULL, 0) : NULL;

	if (sk_X509_num(signers) > 0)
		(void)X509_NAME_oneline(X509_get_subject_name(sk_X509_value(signers, 0)), who, TIMESTAMP_WHO_BYTES);
	sk_X509_free(signers);
	ERR_clear_error();
}

static enum timestamp_verdict judge(const struct timestamp_authority *a, TS_REQ *request, TS_RESP *response, int64_t time_s, const char **why)
{
	X509_STORE *store = store_of(a, time_s);
	const char *wrong;

	chain_fault = X509_V_OK;
	if (store)
		X509_STORE_set_verify_cb(store, chain_noted);
	*why = verify(store, request, response);
	if (!*why)
		return TIMESTAMP_GOOD;
	if (!leads_nowhere(chain_fault)) {
		if (chain_fault != X509_V_OK)
			*why = X509_verify_cert_error_string(chain_fault);
		return TIMESTAMP_WRONG;
	}
	store = store_of(NULL, time_s);
	if (store)
		X509_STORE_set_verify_cb(store, any_chain);
	wrong = verify(store, request, response);
	*why = wrong ? wrong : a ? "its certificate leads to no authority that was given" : "no authority's certificate is given";
	return wrong ? TIMESTAMP_WRONG : TIMESTAMP_UNKNOWN;
}

enum timestamp_verdict timestamp_judge(const struct timestamp_authority *a, struct bytes answer, struct bytes data, int64_t *time_s,
				       char who[TIMESTAMP_WHO_BYTES], const char **why)
{
	enum timestamp_verdict verdict = TIMESTAMP_WRONG;
	TS_RESP *response = answer_read(answer);
	TS_REQ *request = NULL;
	uint8_t imprint[32];

	*time_s = 0;
	who[0] = 0;
	*why = "not an answer to a time-stamp query";
	if (response) {
		signer_name(response, who);
		*why = "a token without a time";
		SHA256(data.base, data.len, imprint);
		request = request_of(imprint, NULL);
	}
	if (response && time_read(response, time_s))
		verdict = judge(a, request, response, *time_s, why);
	if (verdict == TIMESTAMP_WRONG)
		*time_s = 0;
	TS_REQ_free(request);
	TS_RESP_free(response);
	ERR_clear_error();
	return verdict;
}
