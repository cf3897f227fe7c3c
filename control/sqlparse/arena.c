#include "control/sqlparse/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_BYTES (64u << 10)

struct arena_block {
	struct arena_block *next;
	size_t used, cap;
	alignas(max_align_t) unsigned char data[];
};

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
	struct arena_block *b = a->blocks;
	size_t len;
	void *out;

	if (__builtin_mul_overflow(count, size, &len) || len > ARENA_BYTES - a->total)
		abort();
	len = (len + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (!b || b->cap - b->used < len) {
		size_t cap = len > BLOCK_BYTES ? len : BLOCK_BYTES;

		b = calloc(1, sizeof *b + cap);
		if (!b)
			abort();
		b->cap = cap;
		b->next = a->blocks;
		a->blocks = b;
	}
	out = b->data + b->used;
	b->used += len;
	a->total += len;
	return out;
}

void arena_free(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	a->total = 0;
}
