#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "dataplane/tls/arena.h"
#include "dataplane/tls/engine.h"
#include "platform/base/random.h"

static struct tls_library *library;
static uint8_t chain[8192], key[2048];
static char roots[8192];
static struct bytes chain_bytes, key_bytes;

/* A self-signed P-256 certificate for db.example and 192.0.2.10, valid for a day. */
static void make_certificate(void)
{
	EVP_PKEY *pkey = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *san;
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *at = chain + 2, *key_at = key;
	int len;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, pkey);
	san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:db.example,IP:192.0.2.10");
	X509_add_ext(x, san, -1);
	X509_EXTENSION_free(san);
	assert_true(X509_sign(x, pkey, EVP_sha256()) > 0);
	len = i2d_X509(x, &at);
	chain[0] = (uint8_t)(len >> 8);
	chain[1] = (uint8_t)len;
	chain_bytes = bytes_of(chain, (size_t)len + 2);
	key_bytes = bytes_of(key, (size_t)i2d_PrivateKey(pkey, &key_at));
	PEM_write_bio_X509(bio, x);
	roots[BIO_read(bio, roots, sizeof roots - 1)] = 0;
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(pkey);
}

static int setup(void **state)
{
	make_certificate();
	library = tls_library_create();
	return library ? 0 : -1;
}

static int teardown(void **state)
{
	tls_library_destroy(library);
	return 0;
}

/* Moves at most `step` bytes of ciphertext. */
static size_t carry(struct tls_engine *from, struct tls_engine *to, size_t step)
{
	uint8_t wire[4096];
	size_t len = tls_engine_drain(from, wire, step < sizeof wire ? step : sizeof wire), taken = 0;

	while (taken < len) {
		uint8_t scratch[1];
		struct writer none = writer_of(scratch, 0);
		size_t took = tls_engine_feed(to, bytes_of(wire + taken, len - taken));

		taken += took;
		tls_engine_read(to, &none);
		assert_true(took > 0 || to->failed);
	}
	return len;
}

static void connect_pair(struct tls_engine *client, struct tls_engine *server, const char *name, size_t step)
{
	char err[200] = "";
	struct tls_context *sc = tls_context_server(library, chain_bytes, key_bytes, "", err, sizeof err);
	struct tls_context *cc = tls_context_client(library, bytes_str(roots), err, sizeof err);
	struct writer none = writer_of(err, 0);

	assert_non_null(sc);
	assert_non_null(cc);
	assert_true(tls_engine_open_server(server, sc, false));
	assert_true(tls_engine_open_client(client, cc, name));
	tls_context_destroy(sc);
	tls_context_destroy(cc);
	for (int i = 0; i < 20000 && !(client->established && server->established) && !client->failed; i++) {
		tls_engine_read(client, &none);
		carry(client, server, step);
		tls_engine_read(server, &none);
		carry(server, client, step);
	}
}

static void bytes_arrive_at_any_segmentation(void **state)
{
	static const size_t steps[] = { 1, 7, 4096 };

	for (size_t s = 0; s < 3; s++) {
		struct tls_engine client, server;
		uint8_t sent[40000], got[40000];
		struct writer out = writer_of(got, sizeof got);
		size_t written = 0;

		connect_pair(&client, &server, "db.example", steps[s]);
		assert_true(client.established && server.established);
		for (size_t i = 0; i < sizeof sent; i++)
			sent[i] = (uint8_t)(i * 7);
		while (out.len < sizeof sent) {
			written += tls_engine_write(&client, bytes_of(sent + written, sizeof sent - written));
			carry(&client, &server, steps[s]);
			tls_engine_read(&server, &out);
			assert_false(server.failed);
		}
		assert_memory_equal(sent, got, sizeof sent);
		tls_engine_end(&client);
		while (carry(&client, &server, 4096))
			;
		out.len = 0;
		tls_engine_read(&server, &out);
		assert_true(server.ended);
		tls_engine_close(&client);
		tls_engine_close(&server);
	}
}

static void address_is_verified_as_address(void **state)
{
	struct tls_engine client, server;

	connect_pair(&client, &server, "192.0.2.10", 4096);
	assert_true(client.established);
	tls_engine_close(&client);
	tls_engine_close(&server);
}

static void wrong_name_is_refused(void **state)
{
	struct tls_engine client, server;
	char text[200];

	connect_pair(&client, &server, "other.example", 4096);
	assert_true(client.failed);
	assert_int_equal(tls_engine_write(&client, bytes_str("secret")), 0);
	tls_engine_describe(&client, text, sizeof text);
	assert_non_null(strstr(text, "ostname mismatch"));
	tls_engine_close(&client);
	tls_engine_close(&server);
}

static void unknown_issuer_is_refused(void **state)
{
	struct tls_engine client, server;
	char saved[sizeof roots];
	uint8_t saved_chain[sizeof chain], saved_key[sizeof key];
	struct bytes chain_was = chain_bytes, key_was = key_bytes;

	memcpy(saved, roots, sizeof roots);
	memcpy(saved_chain, chain, sizeof chain);
	memcpy(saved_key, key, sizeof key);
	make_certificate(); /* another one: its roots stay, the server goes back to the first */
	memcpy(chain, saved_chain, sizeof chain);
	memcpy(key, saved_key, sizeof key);
	chain_bytes = chain_was;
	key_bytes = key_was;
	connect_pair(&client, &server, "db.example", 4096);
	assert_true(client.failed);
	memcpy(roots, saved, sizeof roots);
	tls_engine_close(&client);
	tls_engine_close(&server);
}

/* TLS from the first byte on has to say what it carries; who asked for TLS in its own protocol has said so. */
static void a_client_that_names_no_protocol(void **state)
{
	for (int named = 0; named < 2; named++) {
		struct tls_engine client = { 0 }, server = { 0 };
		char err[200] = "";
		struct tls_context *sc = tls_context_server(library, chain_bytes, key_bytes, "postgresql", err, sizeof err);
		struct tls_context *cc = tls_context_client(library, bytes_str(roots), err, sizeof err);
		struct writer none = writer_of(err, 0);

		assert_true(tls_engine_open_server(&server, sc, named));
		assert_true(tls_engine_open_client(&client, cc, "db.example"));
		for (int i = 0; i < 100 && !server.established && !server.failed; i++) {
			tls_engine_read(&client, &none);
			carry(&client, &server, 4096);
			tls_engine_read(&server, &none);
			carry(&server, &client, 4096);
		}
		assert_int_equal(server.established, !named);
		assert_int_equal(server.failed, named);
		assert_int_equal(tls_engine_write(&server, bytes_str("x")), !named);
		tls_engine_describe(&server, err, sizeof err);
		assert_true((strstr(err, "ALPN") != NULL) == named);
		tls_engine_close(&client);
		tls_engine_close(&server);
		tls_context_destroy(sc);
		tls_context_destroy(cc);
	}
}

static void garbage_fails_and_nothing_else(void **state)
{
	struct rng rng = rng_seeded(11);

	for (int round = 0; round < 50; round++) {
		struct tls_engine server;
		char err[200];
		struct tls_context *sc = tls_context_server(library, chain_bytes, key_bytes, "", err, sizeof err);
		uint8_t junk[300], plain[100];
		struct writer out = writer_of(plain, sizeof plain);

		assert_true(tls_engine_open_server(&server, sc, false));
		for (size_t i = 0; i < sizeof junk; i++)
			junk[i] = (uint8_t)rng_next(&rng);
		junk[0] = 0x17;
		tls_engine_feed(&server, bytes_of(junk, sizeof junk));
		tls_engine_read(&server, &out);
		assert_true(server.failed);
		assert_int_equal(out.len, 0);
		tls_engine_close(&server);
		tls_context_destroy(sc);
	}
}

static void bad_key_is_an_error(void **state)
{
	char err[200] = "";

	assert_null(tls_context_server(library, chain_bytes, bytes_of(key, 20), "", err, sizeof err));
	assert_non_null(strstr(err, "cannot be used"));
	assert_null(tls_context_client(library, bytes_str("nonsense"), err, sizeof err));
	assert_non_null(strstr(err, "no usable root"));
}

static void *on_a_worker(void *arg)
{
	struct tls_engine client, server;
	size_t before, during;

	assert_true(tls_arena_enter(32u << 20));
	library = tls_library_create();
	connect_pair(&client, &server, "db.example", 4096);
	tls_engine_close(&client);
	tls_engine_close(&server);
	before = tls_arena_used();
	for (int i = 0; i < 200; i++) {
		connect_pair(&client, &server, "db.example", 4096);
		during = tls_arena_used();
		assert_true(client.established);
		tls_engine_close(&client);
		tls_engine_close(&server);
	}
	assert_true(during > before);
	assert_true(tls_arena_used() <= before + 4096);
	assert_int_equal(tls_arena_failures(), 0);
	tls_library_destroy(library);
	return NULL;
}

/* A worker's connections live in its arena and give everything back. */
static void arena_gives_back(void **state)
{
	struct tls_library *mine = library;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, on_a_worker, NULL), 0);
	pthread_join(thread, NULL);
	library = mine;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_arrive_at_any_segmentation),
		cmocka_unit_test(address_is_verified_as_address),
		cmocka_unit_test(wrong_name_is_refused),
		cmocka_unit_test(unknown_issuer_is_refused),
		cmocka_unit_test(a_client_that_names_no_protocol),
		cmocka_unit_test(garbage_fails_and_nothing_else),
		cmocka_unit_test(bad_key_is_an_error),
		cmocka_unit_test(arena_gives_back),
	};

	if (!tls_arena_install())
		return 1;
	return cmocka_run_group_tests(tests, setup, teardown);
}
