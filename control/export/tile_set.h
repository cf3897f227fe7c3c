/* tile_set.h: the hashes of a bundle's tiles, all of them shown to lead to the checkpoint's root before any is written.
 *
 * Reads level 1 from the spine and the last leaves from the segments, computes the levels above, and compares the root. Beside a
 * writer a view may be old, so it looks again some times. One thread, that of the archive.
 */
#ifndef CONTROL_EXPORT_TILE_SET_H
#define CONTROL_EXPORT_TILE_SET_H

#include "control/journal/archive.h"
#include "control/journal/checkpoint.h"
#include "control/journal/tiles.h"

#define TILE_SET_LEVELS 8u

struct tile_set {
	uint64_t size;
	struct merkle_hash *hash[TILE_SET_LEVELS]; /* of levels 1 and up; level 0 is too long to be kept */
	uint64_t count[TILE_SET_LEVELS];
	struct merkle_hash tail[TILES_WIDTH];      /* the leaves of the last, partial tile */
};

/* False when the stored hashes do not lead to the root, or memory is short. */
bool tile_set_load(struct tile_set *set, struct archive *a, const struct checkpoint *c);
void tile_set_free(struct tile_set *set);

/* How many hashes tile `number` of a level has; 0 when there is no such tile. */
unsigned tile_set_width(const struct tile_set *set, unsigned level, uint64_t number);
/* Its hashes. False when they are not those of the tree. */
bool tile_set_get(const struct tile_set *set, struct archive *a, unsigned level, uint64_t number, struct merkle_hash out[TILES_WIDTH]);

#endif
