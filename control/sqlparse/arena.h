/* arena.h: memory for the analysis of one text; all of it is freed at once.
 *
 * An arena over ARENA_BYTES aborts the process: that is the helper's way to say "unknown" (its parent sees it die),
 * and no caller needs an error path. One thread.
 */
#ifndef CONTROL_SQLPARSE_ARENA_H
#define CONTROL_SQLPARSE_ARENA_H

#include <stddef.h>

#define ARENA_BYTES (128u << 20)

struct arena {
	struct arena_block *blocks;
	size_t total;
};

/* Zeroed and aligned for any type. Never NULL. */
void *arena_alloc(struct arena *a, size_t count, size_t size);
void arena_free(struct arena *a);

#endif
