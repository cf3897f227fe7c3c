/* Engines as the conductor has them, with the contexts that it makes: towards the agent a server, towards the target a client that
 * verifies it. Their peers are engines too, made and freed in the same arena, so that what they leave is used again. */
#include "bench/tls_idle.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/relay/relay.h"
#include "dataplane/tls/arena.h"

#define ARENA_FLOW_BYTES (96u << 10)
#define SAID_BYTES 100

/* A leg and its peer. */
struct leg {
	struct tls_engine server, client;
};

static struct tls_context *server_context, *client_context;

static void need(bool truth, const char *what)
{
	if (truth)
		return;
	fprintf(stderr, "idle_bench: %s\n", what);
	exit(1);
}

static X509 *certificate(EVP_PKEY *key, const char *name, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *x = X509_new();
	X509_EXTENSION *e = issuer ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:db.example")
				   : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
	X509_set_pubkey(x, key);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	need(X509_sign(x, issuer_key, EVP_sha256()) > 0, "no certificate");
	return x;
}

static void make_contexts(struct tls_library *library)
{
	static uint8_t chain[4096], der[1024], pem[4096];
	EVP_PKEY *root_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *root = certificate(root_key, "root", NULL, root_key), *leaf = certificate(key, "db.example", root, root_key);
	BIO *bio = BIO_new(BIO_s_mem());
	uint8_t *at = chain + 2, *der_at = der;
	char err[200] = "";
	int len = i2d_X509(leaf, &at), pem_len;

	chain[0] = (uint8_t)(len >> 8);
	chain[1] = (uint8_t)len;
	PEM_write_bio_X509(bio, root);
	pem_len = BIO_read(bio, pem, sizeof pem);
	server_context = tls_context_server(library, bytes_of(chain, (size_t)len + 2), bytes_of(der, (size_t)i2d_PrivateKey(key, &der_at)), "", err, sizeof err);
	client_context = tls_context_client(library, bytes_of(pem, (size_t)pem_len), err, sizeof err);
	need(server_context && client_context, err);
	BIO_free(bio);
	X509_free(root);
	X509_free(leaf);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(key);
}

/* What `from` has to say, to `to`, who reads it. Returns the plaintext's length. */
static size_t carry(struct tls_engine *from, struct tls_engine *to)
{
	uint8_t wire[16384], plain[1024];
	struct writer w = writer_of(plain, sizeof plain);
	size_t len;

	while ((len = tls_engine_drain(from, wire, sizeof wire)) > 0) {
		need(tls_engine_feed(to, bytes_of(wire, len)) == len, "the engine is full");
		tls_engine_read(to, &w);
	}
	return w.len;
}

static void open_leg(struct leg *leg)
{
	static const uint8_t text[SAID_BYTES];
	struct writer none = { 0 };

	need(tls_engine_open_server(&leg->server, server_context, false) && tls_engine_open_client(&leg->client, client_context, "db.example"), "no memory");
	for (int i = 0; i < 10 && !(leg->server.established && leg->client.established); i++) {
		tls_engine_read(&leg->client, &none);
		(void)carry(&leg->client, &leg->server);
		(void)carry(&leg->server, &leg->client);
	}
	need(leg->server.established && leg->client.established, "no handshake");
	need(tls_engine_write(&leg->client, bytes_of(text, sizeof text)) == sizeof text && carry(&leg->client, &leg->server) == sizeof text, "nothing came");
	need(tls_engine_write(&leg->server, bytes_of(text, sizeof text)) == sizeof text && carry(&leg->server, &leg->client) == sizeof text, "nothing came back");
}

int tls_idle(uint32_t flows)
{
	struct tls_engine *mine = calloc((size_t)flows * 2, sizeof *mine);
	struct tls_library *library;
	size_t used[3], asked[3];

	need(mine && tls_arena_install() && tls_arena_enter((32u << 20) + (size_t)flows * ARENA_FLOW_BYTES), "no memory");
	library = tls_library_create();
	need(library != NULL, "no library");
	make_contexts(library);
	for (uint32_t i = 0; i <= flows; i++) { /* the first one only makes what all share */
		struct leg agent, target;

		open_leg(&agent);
		open_leg(&target);
		tls_engine_close(&agent.client);
		tls_engine_close(&target.server);
		if (i == 0) {
			tls_engine_close(&agent.server);
			tls_engine_close(&target.client);
			used[0] = tls_arena_used();
			asked[0] = tls_arena_asked();
			continue;
		}
		mine[2 * i - 2] = agent.server;
		mine[2 * i - 1] = target.client;
	}
	used[2] = tls_arena_used();
	asked[2] = tls_arena_asked();
	for (uint32_t i = 0; i < flows; i++)
		tls_engine_close(&mine[2 * i]); /* the agents' legs: the difference is theirs */
	used[1] = tls_arena_used();
	asked[1] = tls_arena_asked();
	printf("{\"flows\": %u, \"agent_bytes\": %.0f, \"target_bytes\": %.0f, \"agent_asked\": %.0f, \"target_asked\": %.0f, \"session_bytes\": %zu}\n", flows,
	       (double)(used[2] - used[1]) / flows, (double)(used[1] - used[0]) / flows, (double)(asked[2] - asked[1]) / flows,
	       (double)(asked[1] - asked[0]) / flows, relay_session_bytes());
	return 0;
}
