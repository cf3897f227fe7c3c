/* engine.h: TLS over memory: ciphertext in, plaintext out, and back. The only user of OpenSSL's TLS.
 *
 * A context belongs to one worker and one leg of one service: Sluice is the server towards agents (with the certificate
 * that control minted for the target's name) and the client towards the target (which it verifies: chain and name, no
 * exception). TLS 1.2 and newer, AEAD suites, no renegotiation, no compression.
 * An engine is one connection's half. Nothing here blocks; memory comes from arena.h.
 */
#ifndef DATAPLANE_TLS_ENGINE_H
#define DATAPLANE_TLS_ENGINE_H

#include "platform/base/bytes.h"

struct tls_context;

/* One OpenSSL library context for the calling worker, algorithms fetched. NULL when OpenSSL refuses. */
struct tls_library;
struct tls_library *tls_library_create(void);
void tls_library_destroy(struct tls_library *library);

/* Towards agents. `chain` is (u16 length, DER)*, leaf first; `key` is DER. `alpn` may be empty. NULL with a text in `err`. */
struct tls_context *tls_context_server(struct tls_library *library, struct bytes chain, struct bytes key, const char *alpn,
				       char *err, size_t err_len);

/* Towards a target. `roots` is PEM. */
struct tls_context *tls_context_client(struct tls_library *library, struct bytes roots, char *err, size_t err_len);

/* Engines hold a reference: a context may be destroyed while connections made from it live. */
void tls_context_destroy(struct tls_context *context);

struct tls_engine {
	void *ssl, *in, *out; /* NULL: not in use */
	bool established, failed, ended; /* `ended`: the peer's close_notify was read */
	bool named, nameless;            /* the client has to name its protocol by ALPN; it did not */
	unsigned long error;             /* OpenSSL's, when it failed */
};

/* False when memory is out. `named`: a handshake without ALPN fails. `name` (client only) is what the certificate must be for: a DNS name or an address. */
[[gnu::warn_unused_result]] bool tls_engine_open_server(struct tls_engine *e, struct tls_context *context, bool named);
[[gnu::warn_unused_result]] bool tls_engine_open_client(struct tls_engine *e, struct tls_context *context, const char *name);

static inline bool tls_engine_active(const struct tls_engine *e)
{
	return e->ssl != NULL;
}

/* Takes ciphertext from the peer; returns how much (less than all while the engine is full of unread records). */
size_t tls_engine_feed(struct tls_engine *e, struct bytes in);

/* Runs the handshake if it is not done, then writes plaintext to `out` until there is none or no room. Sets `established`,
 * `failed`, `ended`. */
void tls_engine_read(struct tls_engine *e, struct writer *out);

/* Encrypts; returns how much was taken: 0 before the handshake is done and while too much waits in tls_engine_drain. */
size_t tls_engine_write(struct tls_engine *e, struct bytes plain);

/* Ciphertext for the peer: up to `cap` bytes moved to `out`; returns how many. */
size_t tls_engine_drain(struct tls_engine *e, void *out, size_t cap);
size_t tls_engine_pending(const struct tls_engine *e);

/* Says close_notify (it has to be drained). */
void tls_engine_end(struct tls_engine *e);

/* "TLSv1.3 TLS_AES_128_GCM_SHA256", for the record; or why it failed. */
void tls_engine_describe(const struct tls_engine *e, char *out, size_t cap);

/* Frees the connection's memory. */
void tls_engine_close(struct tls_engine *e);

#endif
