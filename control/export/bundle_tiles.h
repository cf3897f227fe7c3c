/* bundle_tiles.h: the tiles of a bundle: those of level 0 that hold a record of it, and all above. Each was shown to lead to the signed root
 * (tile_set.h) before it is written, and each record of the bundle to stand in it. One thread, that of the archive.
 */
#ifndef CONTROL_EXPORT_BUNDLE_TILES_H
#define CONTROL_EXPORT_BUNDLE_TILES_H

#include "control/export/bundle.h"
#include "control/export/tile_set.h"

struct bundle_tiles {
	struct tile_set set;
	struct archive *archive;
	bool begun, entered;
	uint64_t tile;                        /* the one of level 0 that was written last */
	uint64_t entries;                     /* the one whose entries were */
	struct merkle_hash leaf[TILES_WIDTH]; /* of `tile` */
};

/* As tile_set_load. */
bool bundle_tiles_load(struct bundle_tiles *t, struct archive *a, const struct checkpoint *c);
void bundle_tiles_free(struct bundle_tiles *t);

/* The next record, of this leaf hash; indexes ascend. NULL, or what is wrong: a fixed text. */
const char *bundle_tiles_record(struct bundle_tiles *t, struct bundle *b, uint64_t index, struct merkle_hash leaf);
/* Whether all records of a tile of level 0 are in [from, to). */
bool bundle_tiles_within(const struct bundle_tiles *t, uint64_t number, uint64_t from, uint64_t to);
/* The entry bundle of that tile, once. NULL, or what is wrong; valid until the archive is asked again. */
const char *bundle_tiles_entries(struct bundle_tiles *t, struct bundle *b, uint64_t number);
/* After the last record: the last tile when it is not full, and the levels above. NULL, or what is wrong. */
const char *bundle_tiles_above(struct bundle_tiles *t, struct bundle *b);

#endif
