/* shm.h: memory files in the run directory (a tmpfs) that the processes share and that outlive each of them.
 *
 * Rings: `ring-up-<worker>` (events, LIMIT_RING_UP_BYTES) and `ring-down-<worker>` (orders, LIMIT_RING_DOWN_BYTES). Whoever
 * comes first makes them: filled under a private name, then linked to the real one, so that nobody ever sees half a ring
 * and nobody replaces one that is in use. Mode 0660, the group of the run directory. A file of the wrong size or without
 * a ring in it is refused, never repaired.
 *
 * Room is reserved when a file is made, and its pages are mapped at once: no page fault and no full tmpfs later.
 * Trust: a process of the group can truncate a file that another one has mapped, which ends that one with SIGBUS; the
 * sandboxes of both main processes forbid ftruncate for this reason.
 * Ownership: a mapping belongs to the caller, who ends it with shm_unmap. Errors: NULL or false, with a text in `err`.
 * Not for the poll loop. Threading: any thread.
 */
#ifndef PLATFORM_OS_SHM_H
#define PLATFORM_OS_SHM_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/bytes.h"
#include "platform/os/error.h"

enum shm_ring { SHM_RING_UP, SHM_RING_DOWN };

/* The memory of a worker's ring, made when it is not there, of shm_ring_capacity bytes plus its header: give it to
 * ring_attach_producer or ring_attach_consumer. */
void *shm_ring_open(const char *dir, unsigned worker, enum shm_ring which, char err[OS_ERROR_BYTES]);
void shm_ring_close(void *memory, enum shm_ring which);
size_t shm_ring_capacity(enum shm_ring which);

/* A zeroed memory file of exactly `len` bytes, mapped for reading and writing: the one that is there, or a new one. */
void *shm_open_or_make(const char *dir, const char *name, size_t len, unsigned mode, char err[OS_ERROR_BYTES]);
void shm_unmap(void *memory, size_t len);

/* Replaces file `name` by `content`, whole or not at all. */
bool shm_publish(const char *dir, const char *name, struct bytes content, unsigned mode, char err[OS_ERROR_BYTES]);

/* A published file of at most `max` bytes, mapped for reading. An empty base: not there or too large. End with shm_unmap. */
struct bytes shm_map(const char *dir, const char *name, size_t max, char err[OS_ERROR_BYTES]);

#endif
