#include "dataplane/relay/piece.h"

#include "platform/base/secret.h"

#define RESERVE_SHARE 4 /* this part of each size is for who has none yet */

struct piece_node {
	struct piece_node *next;
};

static size_t rounded(size_t bytes)
{
	return (bytes + 63) & ~(size_t)63;
}

size_t piece_pool_bytes(const size_t bytes[PIECE_SIZES], const uint32_t counts[PIECE_SIZES])
{
	size_t total = 0;

	for (int i = 0; i < PIECE_SIZES; i++)
		total += rounded(bytes[i]) * counts[i];
	return total;
}

void piece_pool_init(struct piece_pool *pool, void *memory, const size_t bytes[PIECE_SIZES], const uint32_t counts[PIECE_SIZES])
{
	uint8_t *at = memory;

	*pool = (struct piece_pool){ 0 };
	for (int i = 0; i < PIECE_SIZES; i++) {
		pool->bytes[i] = rounded(bytes[i]);
		pool->total[i] = pool->free_count[i] = bytes[i] ? counts[i] : 0;
		for (uint32_t n = 0; n < pool->total[i]; n++, at += pool->bytes[i]) {
			struct piece_node *node = (struct piece_node *)at;

			node->next = pool->free[i];
			pool->free[i] = node;
		}
	}
}

void *piece_take(struct piece_pool *pool, unsigned size, unsigned held)
{
	struct piece_node *node = pool->free[size];

	if (!node || (held > 0 && pool->free_count[size] <= pool->total[size] / RESERVE_SHARE))
		return NULL;
	pool->free[size] = node->next;
	pool->free_count[size]--;
	node->next = NULL;
	return node;
}

void piece_give(struct piece_pool *pool, unsigned size, void *piece)
{
	struct piece_node *node = piece;

	secret_wipe(piece, pool->bytes[size]);
	node->next = pool->free[size];
	pool->free[size] = node;
	pool->free_count[size]++;
}
