/* arena.h: OpenSSL's memory on a worker, taken at start.
 *
 * OpenSSL allocates for every connection. On a worker those calls are served from free lists over one block of memory that
 * tls_arena_enter took before the loop began; when it is used up an allocation fails, the handshake fails, and the
 * flow is refused. Threads that never entered use malloc. What a worker allocates it also frees, or nobody does.
 * Freed blocks are overwritten by OpenSSL where they held secrets (OPENSSL_cleanse).
 */
#ifndef DATAPLANE_TLS_ARENA_H
#define DATAPLANE_TLS_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Puts the arena under OpenSSL. Before any other OpenSSL call of the process; false when it was too late. */
[[gnu::warn_unused_result]] bool tls_arena_install(void);

/* Gives the calling thread `bytes` of its own. Once per thread. */
[[gnu::warn_unused_result]] bool tls_arena_enter(size_t bytes);

/* Bytes in use on the calling thread, as they were asked for, and allocations that failed. */
size_t tls_arena_used(void);
size_t tls_arena_asked(void);
uint64_t tls_arena_failures(void);

#endif
