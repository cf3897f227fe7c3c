/* Size classes are powers of two from 32 bytes to 256 KiB; the 16 bytes before a block name its class and owner, so
 * that a free finds its list. A block that was carved stays in its class. */
#include "dataplane/tls/arena.h"

#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLASS_FIRST_SHIFT 5
#define CLASSES 14
#define HEADER_BYTES 16
#define OWNER_MALLOC 0xffffffffu

struct header {
	uint32_t class;
	uint32_t spare;
	size_t size; /* as asked for */
};

_Static_assert(sizeof(struct header) == HEADER_BYTES, "keeps blocks aligned to 16");

struct arena {
	uint8_t *at, *end;
	void *free[CLASSES];
	size_t used, asked;
	uint64_t failures;
};

static _Thread_local struct arena arena;

static unsigned class_of(size_t size)
{
	size_t total = size + HEADER_BYTES;

	if (total <= 1u << CLASS_FIRST_SHIFT)
		return 0;
	return (unsigned)(64 - __builtin_clzll(total - 1)) - CLASS_FIRST_SHIFT;
}

static void *carve(unsigned class)
{
	size_t bytes = (size_t)1 << (class + CLASS_FIRST_SHIFT);
	void *block = arena.free[class];

	if (block) {
		memcpy(&arena.free[class], (uint8_t *)block + HEADER_BYTES, sizeof(void *));
		return block;
	}
	if ((size_t)(arena.end - arena.at) < bytes)
		return NULL;
	block = arena.at;
	arena.at += bytes;
	return block;
}

static void *arena_malloc(size_t size, const char *file, int line)
{
	unsigned class = class_of(size);
	struct header *h;

	if (size == 0)
		return NULL;
	if (!arena.end) {
		h = size > SIZE_MAX - HEADER_BYTES ? NULL : malloc(size + HEADER_BYTES);
		class = OWNER_MALLOC;
	} else {
		h = class < CLASSES ? carve(class) : NULL;
		if (!h)
			arena.failures++;
		else
			arena.used += (size_t)1 << (class + CLASS_FIRST_SHIFT), arena.asked += size;
	}
	if (!h)
		return NULL;
	h->class = class;
	h->size = size;
	return (uint8_t *)h + HEADER_BYTES;
}

static void arena_free(void *block, const char *file, int line)
{
	struct header *h;

	if (!block)
		return;
	h = (struct header *)((uint8_t *)block - HEADER_BYTES);
	if (h->class == OWNER_MALLOC) {
		free(h);
		return;
	}
	if (!arena.end) /* a worker's block, freed by another thread: it stays the worker's and is lost to it */
		return;
	arena.used -= (size_t)1 << (h->class + CLASS_FIRST_SHIFT);
	arena.asked -= h->size;
	memcpy(block, &arena.free[h->class], sizeof(void *));
	arena.free[h->class] = h;
}

static void *arena_realloc(void *block, size_t size, const char *file, int line)
{
	struct header *h;
	void *moved;

	if (!block)
		return arena_malloc(size, file, line);
	if (size == 0) {
		arena_free(block, file, line);
		return NULL;
	}
	h = (struct header *)((uint8_t *)block - HEADER_BYTES);
	if (h->class != OWNER_MALLOC && size + HEADER_BYTES <= (size_t)1 << (h->class + CLASS_FIRST_SHIFT)) {
		if (h->class != OWNER_MALLOC)
			arena.asked += size - h->size;
		h->size = size;
		return block;
	}
	moved = arena_malloc(size, file, line);
	if (!moved)
		return NULL;
	memcpy(moved, block, h->size < size ? h->size : size);
	OPENSSL_cleanse(block, h->size);
	arena_free(block, file, line);
	return moved;
}

bool tls_arena_install(void)
{
	return CRYPTO_set_mem_functions(arena_malloc, arena_realloc, arena_free) == 1;
}

bool tls_arena_enter(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	(void)madvise(memory, bytes, MADV_HUGEPAGE);
	if (madvise(memory, bytes, MADV_POPULATE_WRITE) != 0)
		memset(memory, 0, bytes);
	(void)madvise(memory, bytes, MADV_DONTDUMP);
	arena.at = memory;
	arena.end = arena.at + bytes;
	return true;
}

size_t tls_arena_used(void)
{
	return arena.used;
}

size_t tls_arena_asked(void)
{
	return arena.asked;
}

uint64_t tls_arena_failures(void)
{
	return arena.failures;
}
