/* sqlparse_client.h: control's end of the connection to sluice-sqlparse.
 *
 * Purpose: asks for the classification of texts and hands back each answer exactly once, whatever happens to the
 * helper. One request is in flight at a time, so that a text which hangs or kills the helper is known by name and
 * costs the others a restart, not their answer. Queued requests survive a restart.
 *
 * Use: create once; start the helper with child.h (CHILD_STREAM) and give our end to sqlparse_connect; call
 * sqlparse_readable, sqlparse_writable and sqlparse_tick from the event loop. When sqlparse_lost is true the
 * connection is closed already: kill the helper, start it again and connect. Nothing here waits or starts a process.
 *
 * Trust: the helper parses hostile text, so its answers are hostile too: lengths, ids and classifications are
 * checked, and a bad one ends the connection. Threading: one thread. Times are monotonic milliseconds.
 */
#ifndef CONTROL_SQLPARSE_SQLPARSE_CLIENT_H
#define CONTROL_SQLPARSE_SQLPARSE_CLIENT_H

#include "control/sqlparse/wire.h"
#include "platform/base/bytes.h"

#define SQLPARSE_DEADLINE_MS 250u  /* from the moment the helper has the text */
#define SQLPARSE_WAIT_MS 5000u     /* in the queue, restarts included */
#define SQLPARSE_QUEUE 1024u       /* requests */
#define SQLPARSE_QUEUE_BYTES (8u << 20)

struct sqlparse_client;

/* The answer to a request. When `known` is false the statement is unknown and `why` says so in words for the record;
 * otherwise `classification` is what classification_open accepts. Both are valid during the call only. The callback
 * may call sqlparse_request, and nothing else here. */
struct sqlparse_sink {
	void (*answered)(void *context, uint64_t id, bool known, struct bytes why, struct bytes classification);
	void *context;
};

/* NULL when there is no memory. `deadline_ms` 0 means SQLPARSE_DEADLINE_MS. */
struct sqlparse_client *sqlparse_client_create(struct sqlparse_sink sink, uint32_t deadline_ms);

/* Closes the connection; open requests are forgotten without an answer. */
void sqlparse_client_destroy(struct sqlparse_client *c);

/* A fresh helper is on `fd`, which belongs to the client from now on and is made non-blocking. */
void sqlparse_connect(struct sqlparse_client *c, int fd, uint64_t now_ms);

/* The connection's fd for polling, -1 without one. */
int sqlparse_fd(const struct sqlparse_client *c);

/* Queues a text (copied). `id` is the caller's and comes back with the answer. False when the queue is full or the
 * text too long: then there will be no answer, and the statement is unknown. Works without a connection too. */
[[gnu::warn_unused_result]] bool sqlparse_request(struct sqlparse_client *c, uint64_t id, enum sqlparse_dialect dialect,
						  struct bytes text, uint64_t now_ms);

/* The fd is readable, or writable (poll for that only while sqlparse_wants_write). */
void sqlparse_readable(struct sqlparse_client *c, uint64_t now_ms);
void sqlparse_writable(struct sqlparse_client *c, uint64_t now_ms);
bool sqlparse_wants_write(const struct sqlparse_client *c);

/* Deadlines; call at least every 50 ms while sqlparse_open_requests is not 0. */
void sqlparse_tick(struct sqlparse_client *c, uint64_t now_ms);

/* True when the helper must be killed (if it still lives) and started again. */
bool sqlparse_lost(const struct sqlparse_client *c);

size_t sqlparse_open_requests(const struct sqlparse_client *c);

#endif
