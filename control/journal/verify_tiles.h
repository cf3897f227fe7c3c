/* verify_tiles.h: the published tiles above level 0, the partial ones, and the spine's hashes above the first: part of verify.h's audit.
 *
 * Gets the hash of each whole tile of level 0 in order, and carries one tile a level along. Threading: as verify.h's.
 */
#ifndef CONTROL_JOURNAL_VERIFY_TILES_H
#define CONTROL_JOURNAL_VERIFY_TILES_H

#include "control/journal/merkle.h"
#include "control/journal/spine_view.h"

#define VERIFY_TILES_LEVELS SPINE_LEVELS
#define VERIFY_TILE_WIDTH 256u

struct verify_tiles_level {
	uint64_t number;  /* of the tile that is being filled */
	unsigned width;   /* hashes in it */
	bool unknown;     /* its beginning was pruned, and the spine does not have it */
	struct merkle_hash hash[VERIFY_TILE_WIDTH];
};

struct verify_tiles {
	const char *dir;
	struct spine_view *spine;
	uint64_t published;   /* the size that the newest published checkpoint has */
	void *ctx;
	/* `level`, `number`: the tile; `what` is a fixed text. */
	void (*wrong)(void *ctx, unsigned level, uint64_t number, const char *what);
	struct verify_tiles_level level[VERIFY_TILES_LEVELS]; /* from level 1 on */
};

/* The tree begins, or begins anew, at the tile of level 0 with this number: what was before it comes from the spine. */
void verify_tiles_begin(struct verify_tiles *t, uint64_t number);
/* The next tile of level 0 has this hash. */
void verify_tiles_push(struct verify_tiles *t, const struct merkle_hash *hash);
/* All tiles were pushed: the partial ones of the published size. */
void verify_tiles_end(struct verify_tiles *t);

#endif
