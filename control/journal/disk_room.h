/* disk_room.h: room on the disk ahead of what LMDB writes.
 *
 * A flush that says "good" while the file system gives up is worth nothing where it needed new blocks, a new length, or blocks whose first writing the
 * file system still had to note: an ext4 whose own journal was aborted answers fdatasync with success for some milliseconds before it is read-only, and
 * has then neither noted that the blocks are written ("failed to convert unwritten extents ... potential data loss") nor the file's length. LMDB's next
 * meta page, written in place, would lead to pages that are not there. So the file is filled with zeros ahead of LMDB, flushed, and the file system is asked
 * for one more change, which it refuses once it has given up: what lies below `to` needs nothing of it any more but the blocks themselves.
 * Writing over what is there also spares each flush the file system's own journal.
 *
 * One thread, that which writes the environment. Functions return 0, or an LMDB or errno code.
 */
#ifndef CONTROL_JOURNAL_DISK_ROOM_H
#define CONTROL_JOURNAL_DISK_ROOM_H

#include <lmdb.h>
#include <stdint.h>

#define DISK_ROOM_STEP_BYTES (1u << 20) /* ahead of what is asked for, so that most commits find their room */
#define DISK_ROOM_TREE_BYTES (64u * 4096u) /* of any transaction: the path to each database's last page, the list of free pages */

struct disk_room {
	uint64_t to; /* bytes of the file that are surely on disk; 0: not known yet */
};

/* Bytes that a value takes in pages at most, with its node and the half of a page that may stay empty. */
uint64_t disk_room_value(uint64_t bytes);
/* Before a transaction that takes `bytes` of values (disk_room_value) at most. With less than that on the volume: ENOSPC. */
int disk_room_make(struct disk_room *r, MDB_env *env, uint64_t bytes);
/* After fsync, fdatasync or syncfs of what needed more than its blocks: 0 when the file system had not given up by then. `fd` is a file that can be written. */
int disk_room_check(int fd);
/* The file ends with its last page in use. Nothing is written to the environment afterwards. */
int disk_room_cut(MDB_env *env);

#endif
