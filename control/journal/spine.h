/* spine.h: writing the journal's spine, the part that pruning never touches (journal.md 5): an LMDB environment beside the
 * segments with
 *	level0..level4   tile number -> hash of that full tile (the root over its 256 hashes), one database a level
 *	checkpoint       tree size -> signed note
 *	token            16 x tree size + number -> RFC 3161 answer over that checkpoint's note as stored (anchor.h)
 *	cosignature      the same -> a witness's signature line over that checkpoint's body
 *	meta             spine_meta -> value
 * It is written after the segments and rebuilt from them when behind, so a failed commit here loses nothing: what is queued
 * stays queued. A struct spine belongs to the writer's thread. Reading goes through mdbfile.h.
 */
#ifndef CONTROL_JOURNAL_SPINE_H
#define CONTROL_JOURNAL_SPINE_H

#include <lmdb.h>

#include "control/journal/merkle.h"

#define SPINE_VERSION 1u
#define SPINE_LEVELS 5u  /* 256^6 leaves */
#define SPINE_QUEUE 4096u /* hashes of one level that wait for a commit */

enum spine_meta {
	SPINE_META_VERSION = 1, /* u64: 1 */
	SPINE_META_ORIGIN = 2,  /* text */
	SPINE_META_TILES = 3,   /* u64: tree size up to which the tile files are known to be on disk */
};

/* What others vouch for a checkpoint with. */
enum spine_anchor { SPINE_TOKEN, SPINE_COSIGNATURE, SPINE_ANCHORS };
#define SPINE_SIZE_MAX (UINT64_MAX / 32) /* far above 256^6 */
#define SPINE_ANCHORS_EACH 16u /* of one kind for one checkpoint */
extern const char *const spine_anchor_names[SPINE_ANCHORS];

struct spine {
	MDB_env *env;
	MDB_dbi level[SPINE_LEVELS], checkpoint, meta, anchor[SPINE_ANCHORS];
	uint64_t count[SPINE_LEVELS];  /* full tiles stored and queued */
	unsigned queued[SPINE_LEVELS];
	struct merkle_hash *queue[SPINE_LEVELS]; /* the last `queued` of `count` */
	uint64_t checkpoint_size; /* the newest one stored */
	uint64_t tiles;           /* SPINE_META_TILES */
	char origin[128];         /* as stored; empty in a new spine */
};

/* Makes `dir` with an empty spine, whole or not at all, when it holds none. 0, or a code. */
int spine_make(const char *dir, const char *origin);
/* Opens or creates `dir` (which must exist). 0, or an LMDB or errno code. */
int spine_open(struct spine *s, const char *dir, const char *origin);
void spine_close(struct spine *s);

/* Queues the hash of the next full tile of a level; false when the queue is full: commit first. */
bool spine_push(struct spine *s, unsigned level, const struct merkle_hash *hash);
/* A queued hash; false when it is not queued. */
bool spine_queued(const struct spine *s, unsigned level, uint64_t number, struct merkle_hash *out);

/* Makes the queue durable, with a checkpoint (note.len 0: none; one of a size that is stored already is kept as it is) and the
 * new SPINE_META_TILES. */
int spine_commit(struct spine *s, uint64_t size, struct bytes note, uint64_t tiles);

/* Makes one anchor of the checkpoint of that size durable; one more than SPINE_ANCHORS_EACH is MDB_KEYEXIST. */
int spine_anchor_put(struct spine *s, enum spine_anchor kind, uint64_t size, struct bytes value);

#endif
