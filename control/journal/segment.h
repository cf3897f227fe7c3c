/* segment.h: writing one segment of the journal, an LMDB environment of its own (journal.md 5).
 *
 * Databases, all with 8-byte integer keys and MDB_APPEND, nothing ever deleted:
 *	entry   leaf index -> stored record (record.h)
 *	chunk   chunk number -> stored payload chunk
 *	tile0   leaf index -> a run of leaf hashes from there on; a run ends with its batch, at a multiple of 256, or after 127
 *	        (127 hashes and LMDB's header fill one page)
 *	meta    segment_meta -> value; only the cursors, and the version of an older segment, are ever written twice
 *	kept    number -> small state of the writer's process (journal_keep), written over in place; no evidence, absent in old segments
 * Full durability: no NOSYNC, no NOMETASYNC, no WRITEMAP, no RESERVE. One thread, no nested transactions. After any error of a
 * commit the segment must be closed: nothing of the batch counts as written.
 * Reading goes through mdbfile.h, never through here.
 */
#ifndef CONTROL_JOURNAL_SEGMENT_H
#define CONTROL_JOURNAL_SEGMENT_H

#include <lmdb.h>

#include "control/journal/merkle.h"

#define SEGMENT_RUN_HASHES 127u
/* What is written. Each version down to SEGMENT_VERSION_OLDEST is read, and a segment of one is continued: opening it for writing raises
 * its entry. A newer one is refused. What came when: 1; 2 kept values from 65,536 on, which a program of version 1 takes for damage. */
#define SEGMENT_VERSION 2
#define SEGMENT_VERSION_OLDEST 1
#define SEGMENT_CURSORS 64u
#define SEGMENT_KEPT (65536u + 320u)
#define SEGMENT_KEPT_BYTES 96u
#define SEGMENT_FILE "data.mdb"
/* Codes beside LMDB's and errno's: */
#define SEGMENT_FLUSH_ELSEWHERE (-40001) /* LMDB flushes, and disk_flush.c does not see it */
#define SEGMENT_CUT_OFF (-40002) /* the file is shorter than its pages */

enum segment_meta {
	SEGMENT_META_VERSION = 1, /* u64 */
	SEGMENT_META_FIRST = 2,   /* u64: first leaf index */
	SEGMENT_META_CHUNK = 3,   /* u64: first chunk number */
	SEGMENT_META_CREATED = 4, /* u64: UTC microseconds */
	SEGMENT_META_ORIGIN = 5,  /* text */
	SEGMENT_META_RANGE = 6,   /* the tree's right edge before the first record: hashes, highest first */
	SEGMENT_META_SEAL = 7,    /* u64 end (last index + 1), root, u64 UTC microseconds */
	SEGMENT_META_CURSOR = 100, /* + ring id: u64 position */
};

struct segment {
	MDB_env *env;
	MDB_dbi entry, chunk, tile0, meta, kept;
	uint64_t first, created_us;
	char dir[512];
};

/* Numbered values; `dirty` has a bit for each that is to be written. */
struct segment_kept {
	bool changed;
	uint64_t dirty[SEGMENT_KEPT / 64];
	uint8_t len[SEGMENT_KEPT]; /* 0: none */
	uint8_t value[SEGMENT_KEPT][SEGMENT_KEPT_BYTES];
};

/* What one commit writes. Values are views that hold until it returns. */
struct segment_batch {
	uint64_t index;  /* of the first record */
	unsigned records;
	const struct bytes *stored;
	const struct merkle_hash *leaf;
	uint64_t chunk;  /* number of the first chunk */
	unsigned chunks;
	const struct bytes *chunk_stored;
	uint64_t cursors; /* a bit for each ring whose cursor is to be written */
	const uint64_t *cursor;
	const struct segment_kept *kept; /* NULL: nothing changed */
};

struct segment_start {
	uint64_t first, chunk, now_us;
	const char *origin;
	const struct merkle_range *range;
	const uint64_t *cursor; /* SEGMENT_CURSORS of them; zeros are not written */
	const struct segment_kept *kept; /* all of it is written; NULL: none */
};

/* All return 0, or an LMDB or errno code (segment_error tells what it is). */
int segment_create(struct segment *s, const char *dir, uint64_t map_bytes, const struct segment_start *start);
int segment_open(struct segment *s, const char *dir, uint64_t map_bytes);
/* On MDB_MAP_FULL the map grows by a quarter and the commit is tried once more. */
int segment_commit(struct segment *s, const struct segment_batch *batch);
/* After the directories above were synced: 0 when the file system still takes changes, so that it is durable. */
int segment_check(const struct segment *s);
/* Writes the seal, closes, removes the lock file and makes the file read only. The segment is closed afterwards in any case. */
int segment_seal(struct segment *s, uint64_t end, const struct merkle_hash *root, uint64_t now_us);
void segment_close(struct segment *s);
/* Bytes of the file that are in use. */
uint64_t segment_used(const struct segment *s);
/* A static or thread-local text. */
const char *segment_error(int code);

/* Environment of any layout, full durability; shared with the spine. A file that is shorter than its pages is SEGMENT_CUT_OFF. */
int segment_env_open(MDB_env **env, const char *dir, uint64_t map_bytes, unsigned dbs);
/* Frees reader slots of processes that died holding one: at most once a minute, `*last_us` says when (0: now). */
void segment_readers_check(MDB_env *env, uint64_t now_us, uint64_t *last_us);

#endif
