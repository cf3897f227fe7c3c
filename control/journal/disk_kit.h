/* disk_kit.h: a disk that forgets, and one that fails, for tests of the journal.
 *
 * This file's functions stand in front of libc's pwrite, write, writev, fsync, fdatasync, syncfs, ftruncate, open and what changes names (they are the
 * program's own symbols, so LMDB's calls come here as well). While watching a directory they keep, for each file below it, what is
 * surely on disk and what was written since, cut into pages of 4 KiB. From that disk_image makes what a power cut could leave at this
 * moment: of each page any prefix of its unsynced writes, independent of the other pages. A write through a descriptor with O_DSYNC
 * (LMDB's meta page) is on disk when it returns. The names of mkdir, rename, unlink, unlinkat, rmdir and open are lost too, unless their
 * directory was synced (disk_names.h). One thread.
 */
#ifndef CONTROL_JOURNAL_DISK_KIT_H
#define CONTROL_JOURNAL_DISK_KIT_H

#include <stdbool.h>

#include "platform/base/random.h"

/* Begins to watch `dir` (which must hold no file yet) or stops (NULL); forgets what was seen. `before` is called before each write and
 * each sync takes effect: a moment at which the power may go. */
void disk_watch(const char *dir, void (*before)(void *ctx), void *ctx);

/* Writes what a power cut leaves into the new directory `to`. `keep` in [0, 100]: how likely an unsynced write is on disk. */
void disk_image(const char *to, struct rng *rng, unsigned keep);

/* Lets the `nth` (from 1) write or sync from now on fail with `error`, and all after it if `stays`; a write may first write a part
 * (`partial`). 0 ends it. */
struct disk_fault {
	unsigned nth;
	int error;
	bool stays, partial, sync_only;
	bool lies; /* not fails: from that sync on nothing that needs a new length or new blocks is kept, syncs are good for some while, and fallocate fails */
};
void disk_fail(const struct disk_fault *fault);

#endif
