/* Two memory BIOs per connection. The trap: OpenSSL wants SSL_read called to make handshake progress, so a read with no
 * room for plaintext is still useful until the handshake is done; and a write may be refused in the middle of one. */
#include "dataplane/tls/engine.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>

#define IN_BYTES_MAX (64u << 10)  /* ciphertext taken but not decrypted: a few records */
#define OUT_BYTES_MAX (64u << 10) /* ciphertext waiting for the send queue */
#define WRITE_BYTES_MAX (16u << 10)

struct tls_library {
	OSSL_LIB_CTX *context;
};

struct tls_context {
	SSL_CTX *ctx;
	char alpn[32];
};

struct tls_library *tls_library_create(void)
{
	struct tls_library *library = OPENSSL_zalloc(sizeof *library);

	if (!library)
		return NULL;
	library->context = OSSL_LIB_CTX_new();
	if (library->context)
		return library;
	OPENSSL_free(library);
	return NULL;
}

void tls_library_destroy(struct tls_library *library)
{
	if (!library)
		return;
	OSSL_LIB_CTX_free(library->context);
	OPENSSL_free(library);
}

/* The first error in OpenSSL's queue; the queue is emptied. */
static void why(const char *what, char *err, size_t err_len)
{
	char text[160] = "no reason given";
	unsigned long code = ERR_get_error();

	if (code)
		ERR_error_string_n(code, text, sizeof text);
	ERR_clear_error();
	snprintf(err, err_len, "%s: %s", what, text);
}

static struct tls_context *context_create(struct tls_library *library, const SSL_METHOD *method)
{
	struct tls_context *context = OPENSSL_zalloc(sizeof *context);

	if (!context)
		return NULL;
	context->ctx = SSL_CTX_new_ex(library->context, NULL, method);
	if (!context->ctx) {
		OPENSSL_free(context);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(context->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(context->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_cipher_list(context->ctx, "ECDHE+AESGCM:ECDHE+CHACHA20");
	return context;
}

/* RFC 7301 3.2: takes our protocol if the client offers it; an offer without it is refused. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
	const struct tls_context *context = arg;
	struct reader r = reader_of(in, in_len);

	while (r.ok && r.left) {
		struct bytes name = reader_bytes(&r, reader_u8(&r));

		if (!bytes_equal(name, bytes_str(context->alpn)))
			continue;
		*out = name.base;
		*out_len = (unsigned char)name.len;
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool use_chain(SSL_CTX *ctx, struct bytes chain)
{
	struct reader r = reader_of_bytes(chain);
	bool leaf = true;

	while (r.ok && r.left) {
		struct bytes der = reader_bytes(&r, reader_be16(&r));
		const unsigned char *at = der.base;
		X509 *cert = d2i_X509(NULL, &at, (long)der.len);
		int taken = cert ? (leaf ? SSL_CTX_use_certificate(ctx, cert) : (int)SSL_CTX_add1_chain_cert(ctx, cert)) : 0;

		X509_free(cert);
		if (taken != 1)
			return false;
		leaf = false;
	}
	return r.ok && !leaf;
}

struct tls_context *tls_context_server(struct tls_library *library, struct bytes chain, struct bytes key, const char *alpn,
				       char *err, size_t err_len)
{
	struct tls_context *context = context_create(library, TLS_server_method());
	const unsigned char *at = key.base;
	EVP_PKEY *pkey = context ? d2i_AutoPrivateKey_ex(NULL, &at, (long)key.len, library->context, NULL) : NULL;
	bool good = pkey && use_chain(context->ctx, chain) && SSL_CTX_use_PrivateKey(context->ctx, pkey) == 1 &&
		    SSL_CTX_check_private_key(context->ctx) == 1;

	EVP_PKEY_free(pkey);
	if (!good) {
		why("certificate or key cannot be used", err, err_len);
		tls_context_destroy(context);
		return NULL;
	}
	snprintf(context->alpn, sizeof context->alpn, "%s", alpn ? alpn : "");
	if (context->alpn[0])
		SSL_CTX_set_alpn_select_cb(context->ctx, choose_alpn, context);
	return context;
}

static bool use_roots(SSL_CTX *ctx, struct bytes roots)
{
	BIO *bio = BIO_new_mem_buf(roots.base, (int)roots.len);
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	unsigned count = 0;
	X509 *cert;

	while (bio && count < 1024 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		count += X509_STORE_add_cert(store, cert) == 1;
		X509_free(cert);
	}
	BIO_free(bio);
	ERR_clear_error();
	return count > 0;
}

struct tls_context *tls_context_client(struct tls_library *library, struct bytes roots, char *err, size_t err_len)
{
	struct tls_context *context = context_create(library, TLS_client_method());

	if (!context || roots.len > INT32_MAX || !use_roots(context->ctx, roots)) {
		snprintf(err, err_len, "no usable root certificate");
		tls_context_destroy(context);
		return NULL;
	}
	SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
	return context;
}

void tls_context_destroy(struct tls_context *context)
{
	if (!context)
		return;
	SSL_CTX_set_alpn_select_cb(context->ctx, NULL, NULL);
	SSL_CTX_free(context->ctx);
	OPENSSL_free(context);
}

static bool engine_open(struct tls_engine *e, struct tls_context *context)
{
	SSL *ssl = SSL_new(context->ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	*e = (struct tls_engine){ 0 };
	if (!ssl || !in || !out) {
		SSL_free(ssl);
		BIO_free(in);
		BIO_free(out);
		ERR_clear_error();
		return false;
	}
	BIO_set_mem_eof_return(in, -1);
	BIO_set_mem_eof_return(out, -1);
	SSL_set_bio(ssl, in, out);
	e->ssl = ssl;
	e->in = in;
	e->out = out;
	return true;
}

bool tls_engine_open_server(struct tls_engine *e, struct tls_context *context, bool named)
{
	if (!engine_open(e, context))
		return false;
	SSL_set_accept_state(e->ssl);
	e->named = named;
	return true;
}

bool tls_engine_open_client(struct tls_engine *e, struct tls_context *context, const char *name)
{
	uint8_t address[16];
	bool is_address = inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
	bool good;

	if (!name[0] || !engine_open(e, context))
		return false;
	if (is_address)
		good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(e->ssl), name) == 1;
	else
		good = SSL_set1_host(e->ssl, name) == 1 && SSL_set_tlsext_host_name(e->ssl, name) == 1;
	if (!good) {
		tls_engine_close(e);
		return false;
	}
	SSL_set_connect_state(e->ssl);
	return true;
}

size_t tls_engine_feed(struct tls_engine *e, struct bytes in)
{
	size_t held = BIO_ctrl_pending(e->in);
	size_t room = held < IN_BYTES_MAX ? IN_BYTES_MAX - held : 0;
	size_t len = in.len < room ? in.len : room;

	if (len == 0 || e->failed)
		return e->failed ? in.len : 0;
	return BIO_write(e->in, in.base, (int)len) == (int)len ? len : 0;
}

static void note_error(struct tls_engine *e, int rc)
{
	int code = SSL_get_error(e->ssl, rc);

	if (code == SSL_ERROR_ZERO_RETURN)
		e->ended = true;
	else if (code != SSL_ERROR_WANT_READ && code != SSL_ERROR_WANT_WRITE) {
		e->failed = true;
		e->error = ERR_peek_error();
	}
}

static bool names_protocol(const struct tls_engine *e)
{
	const unsigned char *name;
	unsigned len;

	SSL_get0_alpn_selected(e->ssl, &name, &len);
	return len > 0;
}

void tls_engine_read(struct tls_engine *e, struct writer *out)
{
	if (!e->established && !e->failed) {
		int rc;

		ERR_clear_error();
		rc = SSL_do_handshake(e->ssl);
		if (rc != 1) {
			note_error(e, rc);
			return;
		}
		e->nameless = e->named && !names_protocol(e);
		e->failed = e->nameless;
		e->established = !e->failed;
	}
	while (!e->failed && !e->ended && writer_space(out) > 0) {
		int rc;

		ERR_clear_error();
		rc = SSL_read(e->ssl, out->base + out->len, (int)writer_space(out));
		if (rc <= 0) {
			note_error(e, rc);
			return;
		}
		out->len += (size_t)rc;
	}
}

size_t tls_engine_write(struct tls_engine *e, struct bytes plain)
{
	size_t taken = 0;

	if (!e->established || e->failed)
		return 0;
	while (taken < plain.len && BIO_ctrl_pending(e->out) < OUT_BYTES_MAX) {
		size_t len = plain.len - taken < WRITE_BYTES_MAX ? plain.len - taken : WRITE_BYTES_MAX;
		int rc;

		ERR_clear_error();
		rc = SSL_write(e->ssl, plain.base + taken, (int)len);
		if (rc <= 0) {
			note_error(e, rc);
			break;
		}
		taken += (size_t)rc;
	}
	return taken;
}

size_t tls_engine_drain(struct tls_engine *e, void *out, size_t cap)
{
	int rc = cap ? BIO_read(e->out, out, cap > INT32_MAX ? INT32_MAX : (int)cap) : 0;

	return rc > 0 ? (size_t)rc : 0;
}

size_t tls_engine_pending(const struct tls_engine *e)
{
	return e->out ? BIO_ctrl_pending(e->out) : 0;
}

void tls_engine_end(struct tls_engine *e)
{
	if (!e->ssl || !e->established || e->failed)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(e->ssl);
	ERR_clear_error();
}

void tls_engine_describe(const struct tls_engine *e, char *out, size_t cap)
{
	long verify = e->ssl ? SSL_get_verify_result(e->ssl) : X509_V_OK;
	const char *reason = e->error ? ERR_reason_error_string(e->error) : NULL;

	if (!e->ssl)
		snprintf(out, cap, "none");
	else if (e->established)
		snprintf(out, cap, "%s %s", SSL_get_version(e->ssl), SSL_get_cipher_name(e->ssl));
	else if (e->nameless)
		snprintf(out, cap, "the client does not say which protocol it means (ALPN)");
	else if (verify != X509_V_OK)
		snprintf(out, cap, "certificate refused: %s", X509_verify_cert_error_string(verify));
	else
		snprintf(out, cap, "handshake failed%s%s", reason ? ": " : "", reason ? reason : "");
}

void tls_engine_close(struct tls_engine *e)
{
	if (e->ssl) {
		SSL_free(e->ssl);
		ERR_clear_error(); /* 800 instructions, which a flow without TLS need not pay twice */
	}
	*e = (struct tls_engine){ 0 };
}
