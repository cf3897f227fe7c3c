/* disk_names.h: what a power cut leaves of the names in directories; the part of disk_kit.h that knows no contents.
 *
 * Of each directory below the watched one it keeps its listing as it is surely on disk, and every later one, in the order in which they
 * came to be. A name is on disk when its own directory was synced, as POSIX has it: a sync of the file alone does not do it. A cut
 * leaves any one of the listings, of each directory independently. Files and directories go by a number that is never used twice, which
 * an inode's is. One thread.
 */
#ifndef CONTROL_JOURNAL_DISK_NAMES_H
#define CONTROL_JOURNAL_DISK_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/random.h"

/* `root` is an absolute path, and empty; NULL: nothing is watched, all is forgotten. */
void disk_names_watch(const char *root);

/* Something in the directory of `path` was made, removed or renamed. Paths outside the watched directory are none of ours. */
void disk_names_changed(const char *path);

/* To be asked before `path` is removed or renamed onto; the inode whose last name that is, 0 when there is none. After it was done, the
 * inode's number is used for something else: `disk_names_gone` gives the file a number of its own, which is returned. */
uint64_t disk_names_last(const char *path);
uint64_t disk_names_gone(uint64_t inode);

/* The directory with this inode was synced; 0: all of them. */
void disk_names_synced(uint64_t inode);

/* Calls `file` for each file, after its directory was made below `to`; `keep` as for disk_image. */
void disk_names_image(const char *to, struct rng *rng, unsigned keep, void (*file)(void *ctx, const char *path, uint64_t number), void *ctx);

/* Whether some directory, as it is or as a cut may leave it, has this file. */
bool disk_names_known(uint64_t number);

#endif
