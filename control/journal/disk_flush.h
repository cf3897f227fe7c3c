/* disk_flush.h: a flush that is worth what it says, also for LMDB.
 *
 * An ext4 whose own journal was aborted answers fdatasync with success for some milliseconds before it is read-only, and has then neither noted that the
 * blocks are written ("failed to convert unwritten extents ... potential data loss") nor the file's new length. LMDB's next meta page, written in place,
 * would lead to pages that are not there after the repair: all that was acknowledged by then is lost with them. So in every program that writes a
 * journal disk_flush.c stands in front of libc's fdatasync (it is the program's own symbol, so LMDB's calls come here as well): after a flush that was good
 * it asks the file system for one more change, which starts a transaction and which a file system that gave up refuses. A file system gives up once
 * and for good, so what was flushed before that change was really flushed. disk_flushes() shows a writer that LMDB's flushes do come here.
 */
#ifndef CONTROL_JOURNAL_DISK_FLUSH_H
#define CONTROL_JOURNAL_DISK_FLUSH_H

#include <stdint.h>

/* `flush` (an fdatasync: 0, or -1 and errno), and the question. A file system that has no such change to ask for is believed. Any thread. */
int disk_flush_of(int (*flush)(int fd), int fd);
/* After a good fsync or syncfs: 0, or -1 and errno when the file system had given up. `fd` is open for writing. */
int disk_flush_check(int fd);
/* How many flushes came here; to be compared. */
uint64_t disk_flushes(void);

#endif
