#include "control/journal/spine.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/segment.h"
#include "platform/os/durable.h"

#define MAP_BYTES (256ull << 20) /* grows by a quarter when full */

const char *const spine_anchor_names[SPINE_ANCHORS] = { "token", "cosignature" };

static MDB_val val_u64(const uint64_t *key)
{
	return (MDB_val){ .mv_size = sizeof *key, .mv_data = (void *)(uintptr_t)key };
}

static int put(MDB_txn *txn, MDB_dbi dbi, uint64_t key, struct bytes value, unsigned flags)
{
	MDB_val k = val_u64(&key), v = { .mv_size = value.len, .mv_data = (void *)(uintptr_t)value.base };

	return mdb_put(txn, dbi, &k, &v, flags);
}

static int put_u64(MDB_txn *txn, MDB_dbi dbi, uint64_t key, uint64_t value)
{
	uint8_t raw[8];
	struct writer w = writer_of(raw, sizeof raw);

	writer_be64(&w, value);
	return put(txn, dbi, key, writer_done(&w), 0);
}

/* The last key of a database plus one; 0 when it is empty. */
static int next_key(MDB_txn *txn, MDB_dbi dbi, uint64_t *out)
{
	MDB_cursor *cursor;
	MDB_val k, v;
	int code = mdb_cursor_open(txn, dbi, &cursor);

	*out = 0;
	if (code)
		return code;
	code = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
	if (code == 0 && k.mv_size == sizeof *out) {
		memcpy(out, k.mv_data, sizeof *out);
		++*out;
	}
	mdb_cursor_close(cursor);
	return code == MDB_NOTFOUND ? 0 : code;
}

static struct bytes meta_get(struct spine *s, MDB_txn *txn, uint64_t key)
{
	MDB_val k = val_u64(&key), v;

	return mdb_get(txn, s->meta, &k, &v) == 0 ? bytes_of(v.mv_data, v.mv_size) : (struct bytes){ 0 };
}

static int load(struct spine *s, MDB_txn *txn, const char *origin)
{
	struct bytes stored;
	struct reader r;
	uint64_t next;
	int code = 0;

	for (unsigned level = 0; code == 0 && level < SPINE_LEVELS; level++) {
		char name[16];

		snprintf(name, sizeof name, "level%u", level);
		code = mdb_dbi_open(txn, name, MDB_CREATE | MDB_INTEGERKEY, &s->level[level]);
		if (code == 0)
			code = next_key(txn, s->level[level], &s->count[level]);
	}
	for (unsigned kind = 0; code == 0 && kind < SPINE_ANCHORS; kind++)
		code = mdb_dbi_open(txn, spine_anchor_names[kind], MDB_CREATE | MDB_INTEGERKEY, &s->anchor[kind]);
	if (code || (code = mdb_dbi_open(txn, "checkpoint", MDB_CREATE | MDB_INTEGERKEY, &s->checkpoint)) != 0 ||
	    (code = mdb_dbi_open(txn, "meta", MDB_CREATE | MDB_INTEGERKEY, &s->meta)) != 0 ||
	    (code = next_key(txn, s->checkpoint, &next)) != 0)
		return code;
	s->checkpoint_size = next ? next - 1 : 0;
	stored = meta_get(s, txn, SPINE_META_ORIGIN);
	if (stored.len && stored.len < sizeof s->origin)
		memcpy(s->origin, stored.base, stored.len);
	r = reader_of_bytes(meta_get(s, txn, SPINE_META_TILES));
	s->tiles = reader_be64(&r);
	if (stored.len)
		return 0;
	if ((code = put_u64(txn, s->meta, SPINE_META_VERSION, SPINE_VERSION)) != 0)
		return code;
	return put(txn, s->meta, SPINE_META_ORIGIN, bytes_str(origin), 0);
}

/* A new environment is made beside its place and synced, then it gets its name: LMDB writes the first pages of one without syncing
 * between them, and a power cut there would leave a file that opens no more. */
int spine_make(const char *dir, const char *origin)
{
	char path[PATH_MAX], beside[PATH_MAX];
	struct spine s;
	struct stat st;
	int code;

	snprintf(path, sizeof path, "%s/data.mdb", dir);
	if (stat(path, &st) == 0)
		return 0;
	snprintf(beside, sizeof beside, "%s.new", dir);
	snprintf(path, sizeof path, "%s.new/data.mdb", dir);
	if ((unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR) || (mkdir(beside, 0700) != 0 && errno != EEXIST))
		return errno;
	code = spine_open(&s, beside, origin);
	if (code)
		return code;
	spine_close(&s);
	snprintf(path, sizeof path, "%s.new/lock.mdb", dir);
	(void)unlink(path);
	if (rename(beside, dir) != 0)
		return errno;
	return durable_sync_parent(dir);
}

int spine_open(struct spine *s, const char *dir, const char *origin)
{
	MDB_txn *txn = NULL;
	int code;

	*s = (struct spine){ 0 };
	for (unsigned level = 0; level < SPINE_LEVELS; level++) {
		s->queue[level] = calloc(SPINE_QUEUE, sizeof *s->queue[level]);
		if (!s->queue[level]) {
			spine_close(s);
			return ENOMEM;
		}
	}
	code = segment_env_open(&s->env, dir, MAP_BYTES, SPINE_LEVELS + 2 + SPINE_ANCHORS);
	if (code == 0)
		code = mdb_txn_begin(s->env, NULL, 0, &txn);
	if (code == 0)
		code = load(s, txn, origin);
	if (code == 0) {
		code = mdb_txn_commit(txn);
		txn = NULL;
	}
	mdb_txn_abort(txn);
	if (code == 0)
		code = durable_sync_dir(dir);
	if (code)
		spine_close(s);
	return code;
}

void spine_close(struct spine *s)
{
	if (s->env)
		mdb_env_close(s->env);
	for (unsigned level = 0; level < SPINE_LEVELS; level++)
		free(s->queue[level]);
	*s = (struct spine){ 0 };
}

bool spine_push(struct spine *s, unsigned level, const struct merkle_hash *hash)
{
	if (level >= SPINE_LEVELS || s->queued[level] == SPINE_QUEUE)
		return false;
	s->queue[level][s->queued[level]++] = *hash;
	s->count[level]++;
	return true;
}

bool spine_queued(const struct spine *s, unsigned level, uint64_t number, struct merkle_hash *out)
{
	uint64_t stored;

	if (level >= SPINE_LEVELS || number >= s->count[level])
		return false;
	stored = s->count[level] - s->queued[level];
	if (number < stored)
		return false;
	*out = s->queue[level][number - stored];
	return true;
}

static int commit_once(struct spine *s, uint64_t size, struct bytes note, uint64_t tiles)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (code)
		return code;
	for (unsigned level = 0; level < SPINE_LEVELS; level++) {
		uint64_t at = s->count[level] - s->queued[level];

		for (unsigned i = 0; code == 0 && i < s->queued[level]; i++)
			code = put(txn, s->level[level], at + i, bytes_of(s->queue[level][i].b, MERKLE_HASH_BYTES), MDB_APPEND);
	}
	if (code == 0 && note.len && size > s->checkpoint_size)
		code = put(txn, s->checkpoint, size, note, MDB_APPEND);
	if (code == 0 && tiles != s->tiles)
		code = put_u64(txn, s->meta, SPINE_META_TILES, tiles);
	if (code) {
		mdb_txn_abort(txn);
		return code;
	}
	return mdb_txn_commit(txn);
}

static int grow(struct spine *s)
{
	MDB_envinfo info;

	mdb_env_info(s->env, &info);
	return mdb_env_set_mapsize(s->env, (info.me_mapsize + info.me_mapsize / 4) & ~(size_t)0xfff);
}

int spine_commit(struct spine *s, uint64_t size, struct bytes note, uint64_t tiles)
{
	int code = commit_once(s, size, note, tiles);

	if (code == MDB_MAP_FULL && (code = grow(s)) == 0)
		code = commit_once(s, size, note, tiles);
	if (code)
		return code;
	memset(s->queued, 0, sizeof s->queued);
	s->tiles = tiles;
	if (note.len && size > s->checkpoint_size)
		s->checkpoint_size = size;
	return 0;
}

static int anchor_once(struct spine *s, enum spine_anchor kind, uint64_t size, struct bytes value)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (code)
		return code;
	code = MDB_KEYEXIST;
	for (unsigned i = 0; code == MDB_KEYEXIST && i < SPINE_ANCHORS_EACH; i++)
		code = put(txn, s->anchor[kind], size * SPINE_ANCHORS_EACH + i, value, MDB_NOOVERWRITE);
	if (code == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return code;
}

int spine_anchor_put(struct spine *s, enum spine_anchor kind, uint64_t size, struct bytes value)
{
	int code = anchor_once(s, kind, size, value);

	if (code == MDB_MAP_FULL && (code = grow(s)) == 0)
		code = anchor_once(s, kind, size, value);
	return code;
}
