/* mdbfile.h: a bounded reader of LMDB's file format, for evidence that may be damaged or hostile.
 *
 * liblmdb trusts its file: a flipped page number makes it crash. An auditor's tool must name the damage instead, and must need
 * neither a lock file nor write access. So all reading goes through here, and liblmdb only writes. Every page number, offset
 * and length is checked against the file before use; the walk down is bounded by the tree's own depth.
 *
 * Format: LMDB 0.9, data version 1, 64-bit little-endian hosts (journal.md 5: environments do not move across endianness,
 * exports do). Databases here have 8-byte integer keys, no duplicates. Source: lmdb 0.9.24 mdb.c, MDB_page, MDB_node, MDB_meta.
 *
 * Lifetime: views point into a mapping of the file and hold until mdbfile_refresh or mdbfile_close. Threading: one thread.
 * A file cut short by somebody else after the last refresh ends the reader by SIGBUS; the writer never shortens one.
 */
#ifndef CONTROL_JOURNAL_MDBFILE_H
#define CONTROL_JOURNAL_MDBFILE_H

#include "platform/base/bytes.h"

#define MDBFILE_DEPTH_MAX 32
#define MDBFILE_SOUND 64

struct mdbfile {
	int fd;
	const uint8_t *base;
	size_t mapped, size; /* bytes */
	uint32_t page_bytes;
	uint64_t pages;      /* in the last commit */
	uint64_t txn;        /* number of the last commit */
	uint64_t main_root;
	unsigned main_depth;
	uint64_t main_entries;
	uint64_t sound[MDBFILE_SOUND]; /* by number modulo: pages of this commit whose nodes were added up */
	const char *wrong;   /* the last fault, a fixed text; NULL when none */
	uint64_t wrong_at;   /* its offset in the file */
};

struct mdbfile_db {
	uint64_t root; /* UINT64_MAX when empty */
	unsigned depth;
	uint64_t entries;
};

struct mdbfile_cursor {
	struct mdbfile *file;
	struct mdbfile_db db;
	unsigned depth; /* of the stack that is valid; 0 when not placed */
	bool started;   /* `key` holds the last key that was given */
	uint64_t key;
	struct {
		uint64_t page;
		unsigned slot;
	} stack[MDBFILE_DEPTH_MAX];
};

/* One entry: key, value, and where the value's bytes are in the file. */
struct mdbfile_entry {
	uint64_t key;
	struct bytes value;
	uint64_t offset;
};

enum mdbfile_status { MDBFILE_OK, MDBFILE_END, MDBFILE_BAD };

/* False with `wrong` set; then nothing is open. A file of length 0 is not one. */
bool mdbfile_open(struct mdbfile *f, const char *path);
void mdbfile_close(struct mdbfile *f);
/* Sees the newest commit. False with `wrong` set; the old view is then gone. */
bool mdbfile_refresh(struct mdbfile *f);

/* A named database; MDBFILE_END when there is none of that name. */
enum mdbfile_status mdbfile_db(struct mdbfile *f, const char *name, struct mdbfile_db *db);

struct mdbfile_cursor mdbfile_cursor_of(struct mdbfile *f, const struct mdbfile_db *db);
/* The last entry with a key of at most `key`; END when there is none. */
enum mdbfile_status mdbfile_floor(struct mdbfile_cursor *c, uint64_t key, struct mdbfile_entry *entry);
/* The entry after the one that the cursor gave last; the first one on a new cursor. Keys that do not ascend are BAD. After
 * BAD the cursor may be placed again by mdbfile_floor. */
enum mdbfile_status mdbfile_next(struct mdbfile_cursor *c, struct mdbfile_entry *entry);
/* Exactly `key`. */
enum mdbfile_status mdbfile_get(struct mdbfile *f, const struct mdbfile_db *db, uint64_t key, struct mdbfile_entry *entry);

#endif
