/* tiles.h: the public form of the tree, C2SP tlog-tiles:
 *
 *	tile/<L>/<N>          256 hashes of level L (each over 256^L leaves), 8,192 bytes
 *	tile/<L>/<N>.p/<W>    the first W (1 to 255) of them
 *	tile/entries/<N>      256 entries, each a big-endian uint16 length and the entry; .p/<W> likewise
 * with N in groups of three digits, all but the last with an 'x' in front: 1234067 is x001/x234/067.
 *
 * A file appears whole or not at all (written beside, then renamed). Not synced: tiles can be made again from the journal.
 * Threading: any, one writer a directory.
 */
#ifndef CONTROL_JOURNAL_TILES_H
#define CONTROL_JOURNAL_TILES_H

#include "control/journal/merkle.h"

#define TILES_WIDTH 256u
#define TILES_ENTRIES (-1) /* as level: the entry bundles */
#define TILES_PATH_MAX 64  /* bytes, of the part that tiles_path writes */
#define TILES_BUNDLE_MAX (TILES_WIDTH * (65535u + 2u))

/* "tile/0/x001/x234/067.p/5" and a NUL; `width` 256 is a full tile. */
bool tiles_path(int level, uint64_t number, unsigned width, char out[TILES_PATH_MAX]);

/* Writes `data` as that tile below `dir`, making directories. 0 or an errno code. */
int tiles_write(const char *dir, int level, uint64_t number, unsigned width, struct bytes data);
/* Any other file below `dir`, whole or not at all. */
int tiles_write_file(const char *dir, const char *name, struct bytes data);

/* Removes the partial tiles that a full one replaces. */
void tiles_drop_partial(const char *dir, int level, uint64_t number);

/* One element of an entry bundle. */
void tiles_put_entry(struct writer *out, struct bytes entry);

#endif
