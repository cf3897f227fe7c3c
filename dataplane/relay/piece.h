/* piece.h: memory that sessions borrow while they need more than nearly all of them do (inspect_host.borrow), in two sizes, sized at start.
 *
 * The rule when it runs dry: the last quarter of each size is for sessions that have borrowed nothing yet, so that a few that take much do not
 * leave the others without; then nobody gets any, and a session does with its own tables, which are then full (inspector.h). Nobody waits
 * for a piece. All pieces are zero while they are free. One worker only.
 */
#ifndef DATAPLANE_RELAY_PIECE_H
#define DATAPLANE_RELAY_PIECE_H

#include <stddef.h>
#include <stdint.h>

#define PIECE_SIZES 2

struct piece_pool {
	struct piece_node *free[PIECE_SIZES];
	size_t bytes[PIECE_SIZES]; /* of a piece */
	uint32_t free_count[PIECE_SIZES], total[PIECE_SIZES];
};

/* What so many pieces take, a multiple of 64. */
size_t piece_pool_bytes(const size_t bytes[PIECE_SIZES], const uint32_t counts[PIECE_SIZES]);

/* In `memory` of that size, zeroed and aligned to 64. */
void piece_pool_init(struct piece_pool *pool, void *memory, const size_t bytes[PIECE_SIZES], const uint32_t counts[PIECE_SIZES]);

/* For a session that has `held` pieces. NULL: it has to do without. */
[[gnu::warn_unused_result]] void *piece_take(struct piece_pool *pool, unsigned size, unsigned held);

/* Wiped. */
void piece_give(struct piece_pool *pool, unsigned size, void *piece);

#endif
