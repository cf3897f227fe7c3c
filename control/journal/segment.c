#include "control/journal/segment.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/disk_flush.h"
#include "platform/os/durable.h"

#define READERS_CHECK_US (60ull * 1000000) /* journal.md 5 */
#define READERS_MAX 512 /* journal.md 5; slots for tools such as mdb_stat */

const char *segment_error(int code)
{
	switch (code) {
	case SEGMENT_FLUSH_ELSEWHERE:
		return "LMDB's flushes are not looked at: this program is linked wrongly";
	case SEGMENT_CUT_OFF:
		return "data.mdb is shorter than its pages: it was cut off; look at the volume, then bring back what is whole";
	default:
		return mdb_strerror(code);
	}
}

/* LMDB would look for its pages behind the end of the file, and die of it. */
static bool is_cut_off(MDB_env *env)
{
	MDB_envinfo info = { 0 };
	struct stat st;
	int fd;

	return mdb_env_info(env, &info) != 0 || mdb_env_get_fd(env, &fd) != 0 || fstat(fd, &st) != 0 ||
	       (uint64_t)st.st_size / (uint64_t)sysconf(_SC_PAGESIZE) < info.me_last_pgno + 1;
}

int segment_env_open(MDB_env **env, const char *dir, uint64_t map_bytes, unsigned dbs)
{
	int code = mdb_env_create(env);

	if (code)
		return code;
	if ((code = mdb_env_set_mapsize(*env, map_bytes & ~(uint64_t)0xfff)) != 0 || (code = mdb_env_set_maxdbs(*env, dbs)) != 0 ||
	    (code = mdb_env_set_maxreaders(*env, READERS_MAX)) != 0 || (code = mdb_env_open(*env, dir, MDB_NOTLS, 0600)) != 0) {
		mdb_env_close(*env);
		*env = NULL;
		return code;
	}
	if (is_cut_off(*env)) {
		mdb_env_close(*env);
		*env = NULL;
		return SEGMENT_CUT_OFF;
	}
	(void)mdb_reader_check(*env, NULL);
	return 0;
}

void segment_readers_check(MDB_env *env, uint64_t now_us, uint64_t *last_us)
{
	int dead;

	if (!env || (*last_us && now_us >= *last_us && now_us - *last_us < READERS_CHECK_US))
		return;
	*last_us = now_us;
	(void)mdb_reader_check(env, &dead);
}

static MDB_val val_u64(const uint64_t *key)
{
	return (MDB_val){ .mv_size = sizeof *key, .mv_data = (void *)(uintptr_t)key };
}

static MDB_val val_bytes(struct bytes b)
{
	return (MDB_val){ .mv_size = b.len, .mv_data = (void *)(uintptr_t)b.base };
}

static int put(MDB_txn *txn, MDB_dbi dbi, uint64_t key, struct bytes value, unsigned flags)
{
	MDB_val k = val_u64(&key), v = val_bytes(value);

	return mdb_put(txn, dbi, &k, &v, flags);
}

static int put_u64(MDB_txn *txn, MDB_dbi dbi, uint64_t key, uint64_t value)
{
	uint8_t raw[8];
	struct writer w = writer_of(raw, sizeof raw);

	writer_be64(&w, value);
	return put(txn, dbi, key, writer_done(&w), 0);
}

static int open_dbs(struct segment *s, MDB_txn *txn, unsigned flags)
{
	int code;

	flags |= MDB_INTEGERKEY;
	if ((code = mdb_dbi_open(txn, "entry", flags, &s->entry)) != 0 || (code = mdb_dbi_open(txn, "chunk", flags, &s->chunk)) != 0 ||
	    (code = mdb_dbi_open(txn, "tile0", flags, &s->tile0)) != 0)
		return code;
	return mdb_dbi_open(txn, "meta", flags, &s->meta);
}

/* Values of `k`: all of them, or those that changed. */
static int put_kept(struct segment *s, MDB_txn *txn, const struct segment_kept *k, bool all)
{
	int code = 0;

	for (unsigned key = 0; k && code == 0 && key < SEGMENT_KEPT; key++) {
		if (!all && key % 64 == 0 && k->dirty[key / 64] == 0) {
			key += 63;
			continue;
		}
		if (k->len[key] && (all || k->dirty[key / 64] >> (key % 64) & 1))
			code = put(txn, s->kept, key, bytes_of(k->value[key], k->len[key]), 0);
	}
	return code;
}

static int put_start(struct segment *s, MDB_txn *txn, const struct segment_start *start)
{
	int code;

	if ((code = put_u64(txn, s->meta, SEGMENT_META_VERSION, SEGMENT_VERSION)) != 0 ||
	    (code = put_u64(txn, s->meta, SEGMENT_META_FIRST, start->first)) != 0 ||
	    (code = put_u64(txn, s->meta, SEGMENT_META_CHUNK, start->chunk)) != 0 ||
	    (code = put_u64(txn, s->meta, SEGMENT_META_CREATED, start->now_us)) != 0 ||
	    (code = put(txn, s->meta, SEGMENT_META_ORIGIN, bytes_str(start->origin), 0)) != 0)
		return code;
	code = put(txn, s->meta, SEGMENT_META_RANGE, bytes_of(start->range->node, start->range->count * sizeof start->range->node[0]), 0);
	for (unsigned ring = 0; code == 0 && ring < SEGMENT_CURSORS; ring++)
		if (start->cursor[ring])
			code = put_u64(txn, s->meta, SEGMENT_META_CURSOR + ring, start->cursor[ring]);
	return code ? code : put_kept(s, txn, start->kept, true);
}

/* After MDB_MAP_FULL, with no transaction open: by a quarter, and by what the largest batch takes. */
static int grow(MDB_env *env)
{
	MDB_envinfo info;

	mdb_env_info(env, &info);
	return mdb_env_set_mapsize(env, (info.me_mapsize + info.me_mapsize / 4 + (64u << 20)) & ~(size_t)0xfff);
}

/* The first commit of each opening. */
static int commit_seen(MDB_txn *txn)
{
	uint64_t before = disk_flushes();
	int code = mdb_txn_commit(txn);

	return code == 0 && disk_flushes() == before ? SEGMENT_FLUSH_ELSEWHERE : code;
}

static int begin(struct segment *s, const char *dir, uint64_t map_bytes)
{
	*s = (struct segment){ 0 };
	if ((size_t)snprintf(s->dir, sizeof s->dir, "%s", dir) >= sizeof s->dir)
		return ENAMETOOLONG;
	return segment_env_open(&s->env, dir, map_bytes, 5);
}

int segment_create(struct segment *s, const char *dir, uint64_t map_bytes, const struct segment_start *start)
{
	MDB_txn *txn = NULL;
	int code = begin(s, dir, map_bytes);

	if (code == 0)
		code = mdb_txn_begin(s->env, NULL, 0, &txn);
	if (code == 0)
		code = open_dbs(s, txn, MDB_CREATE);
	if (code == 0)
		code = mdb_dbi_open(txn, "kept", MDB_CREATE | MDB_INTEGERKEY, &s->kept);
	if (code == 0)
		code = put_start(s, txn, start);
	if (code == 0) {
		code = commit_seen(txn);
		txn = NULL;
	}
	mdb_txn_abort(txn);
	if (code == 0)
		code = durable_sync_dir(dir);
	s->first = start->first;
	s->created_us = start->now_us;
	if (code)
		segment_close(s);
	return code;
}

static int take_over(struct segment *s)
{
	MDB_txn *txn = NULL;
	int code = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (code == 0)
		code = open_dbs(s, txn, 0);
	if (code == 0) /* the segment of an earlier version has none */
		code = mdb_dbi_open(txn, "kept", MDB_CREATE | MDB_INTEGERKEY, &s->kept);
	/* From here on it holds what this version writes. */
	if (code == 0)
		code = put_u64(txn, s->meta, SEGMENT_META_VERSION, SEGMENT_VERSION);
	/* Handles live on only when the transaction is committed. */
	if (code == 0) {
		code = commit_seen(txn);
		txn = NULL;
	}
	mdb_txn_abort(txn);
	return code;
}

int segment_open(struct segment *s, const char *dir, uint64_t map_bytes)
{
	int code = begin(s, dir, map_bytes);

	if (code == 0)
		code = take_over(s);
	/* Its map had grown before: LMDB opens it with a map that is just full. */
	if (code == MDB_MAP_FULL && (code = grow(s->env)) == 0)
		code = take_over(s);
	if (code)
		segment_close(s);
	return code;
}

static int put_runs(struct segment *s, MDB_txn *txn, const struct segment_batch *b)
{
	int code = 0;

	for (unsigned at = 0; code == 0 && at < b->records;) {
		uint64_t index = b->index + at;
		unsigned count = 256 - (unsigned)(index % 256);

		if (count > SEGMENT_RUN_HASHES)
			count = SEGMENT_RUN_HASHES;
		if (count > b->records - at)
			count = b->records - at;
		code = put(txn, s->tile0, index, bytes_of(b->leaf + at, count * sizeof b->leaf[0]), MDB_APPEND);
		at += count;
	}
	return code;
}

static int put_batch(struct segment *s, MDB_txn *txn, const struct segment_batch *b)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < b->chunks; i++)
		code = put(txn, s->chunk, b->chunk + i, b->chunk_stored[i], MDB_APPEND);
	for (unsigned i = 0; code == 0 && i < b->records; i++)
		code = put(txn, s->entry, b->index + i, b->stored[i], MDB_APPEND);
	if (code == 0)
		code = put_runs(s, txn, b);
	for (unsigned ring = 0; code == 0 && ring < SEGMENT_CURSORS; ring++)
		if (b->cursors >> ring & 1)
			code = put_u64(txn, s->meta, SEGMENT_META_CURSOR + ring, b->cursor[ring]);
	return code ? code : put_kept(s, txn, b->kept, false);
}

static int commit_once(struct segment *s, const struct segment_batch *batch)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (code)
		return code;
	code = put_batch(s, txn, batch);
	if (code) {
		mdb_txn_abort(txn);
		return code;
	}
	return mdb_txn_commit(txn);
}

int segment_commit(struct segment *s, const struct segment_batch *batch)
{
	int code = commit_once(s, batch);

	if (code == MDB_MAP_FULL && (code = grow(s->env)) == 0)
		code = commit_once(s, batch);
	return code;
}

static int put_seal(struct segment *s, struct bytes seal)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(s->env, NULL, 0, &txn);

	if (code)
		return code;
	code = put(txn, s->meta, SEGMENT_META_SEAL, seal, 0);
	if (code) {
		mdb_txn_abort(txn);
		return code;
	}
	return mdb_txn_commit(txn);
}

int segment_seal(struct segment *s, uint64_t end, const struct merkle_hash *root, uint64_t now_us)
{
	uint8_t raw[8 + MERKLE_HASH_BYTES + 8];
	struct writer w = writer_of(raw, sizeof raw);
	char path[sizeof s->dir + 16];
	int code;

	writer_be64(&w, end);
	writer_bytes(&w, root->b, sizeof root->b);
	writer_be64(&w, now_us);
	code = put_seal(s, writer_done(&w));
	if (code == MDB_MAP_FULL && (code = grow(s->env)) == 0)
		code = put_seal(s, writer_done(&w));
	segment_close(s);
	if (code)
		return code;
	snprintf(path, sizeof path, "%s/lock.mdb", s->dir);
	(void)unlink(path);
	snprintf(path, sizeof path, "%s/" SEGMENT_FILE, s->dir);
	if (chmod(path, 0440) != 0)
		return errno;
	return durable_sync_dir(s->dir);
}

int segment_check(const struct segment *s)
{
	int fd, code = s->env ? mdb_env_get_fd(s->env, &fd) : EBADF;

	return code || disk_flush_check(fd) == 0 ? code : errno;
}

void segment_close(struct segment *s)
{
	if (s->env)
		mdb_env_close(s->env);
	s->env = NULL;
}

uint64_t segment_used(const struct segment *s)
{
	MDB_envinfo info = { 0 };
	MDB_stat stat = { 0 };

	mdb_env_info(s->env, &info);
	mdb_env_stat(s->env, &stat);
	return (info.me_last_pgno + 1) * stat.ms_psize;
}
