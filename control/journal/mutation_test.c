/* Mutations of a journal, by seed: bits flipped anywhere in its files; records, chunks, leaf hashes, tiles and checkpoints deleted, swapped,
 * replaced and cut; time stamps and cosignatures changed and exchanged; parts of a fork put among the rest. Each is seen by the audit, which
 * says what and where.
 *
 * MUTATIONS in the environment: how many (250; the long form is 100,000); SEED: which ones. What is not seen is printed with seed, number, file and
 * place. Single bits of what leads to evidence are in leads_test.c, all of them.
 *
 * A flipped bit need not be seen where nothing depends on it: what is not seen has to leave every record, chunk and checkpoint as
 * it was (the audit's root over all records, its counts), and has to lie outside of what the format calls evidence (mutation_test_weigh.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/journal/mutation_test_kit.h"

/* --- mutations ----------------------------------------------------------------------------------------------------------- */

static unsigned harmless, flips;

static struct file *any_file(bool (*of)(const struct file *))
{
	struct file *f;

	do
		f = &mutation.file[rng_below(&mutation.rng, mutation.files)];
	while (of && !of(f));
	return f;
}

static bool is_segment(const struct file *f)
{
	return strstr(f->name, "seg/") != NULL;
}

static bool is_tile(const struct file *f)
{
	return strstr(f->name, "tile/") != NULL;
}

static void flip(void)
{
	struct file *f = any_file(NULL);
	uint64_t at = rng_below(&mutation.rng, f->len);
	struct verify_summary s;
	struct mutation_report r;

	/* Most of a file of LMDB's holds nothing: every other one where something is. */
	while (f->live && mutation.number % 2 && !f->live[at])
		at = rng_below(&mutation.rng, f->len);
	mutation_poke(f, at, f->bytes[at] ^ (uint8_t)(1u << rng_below(&mutation.rng, 8)));
	flips++;
	if (mutation_audit(&r, &s, 0)) {
		harmless++;
		/* A cosignature may become a stranger's, which is told (leads_test.c). */
		if ((!f->live || f->live[at] || !mutation_nothing_changed(&s)) && !r.findings)
			mutation_not_seen("a flipped bit", f->name, at);
	} else if (!r.first[0]) {
		mutation_not_seen("a flipped bit (nothing was said)", f->name, at);
	}
	mutation_poke(f, at, f->bytes[at]);
}

/* What was published before the witnesses had answered: the note, and none or some of the lines of theirs. The spine holds them all. */
static bool has_fewer_cosignatures(const struct file *f, uint64_t len)
{
	const char *witnesses = memmem(f->bytes, f->len, "\xe2\x80\x94 w", 5);

	return strcmp(f->name, "checkpoint") == 0 && witnesses && len >= (uint64_t)((const uint8_t *)witnesses - f->bytes) && f->bytes[len - 1] == '\n';
}

static void cut(void)
{
	struct file *f = any_file(NULL);
	uint64_t len = rng_below(&mutation.rng, f->len), end = f->len;
	struct verify_summary s;
	struct mutation_report r;

	/* LMDB's file may end with pages that hold nothing. */
	while (f->live && end && !f->live[end - 1])
		end--;
	mutation_write(f, f->bytes, len);
	if (mutation_audit(&r, &s, 0) && (len < end || !mutation_nothing_changed(&s)) && !has_fewer_cosignatures(f, len))
		mutation_not_seen("a cut", f->name, len);
	mutation_restore(f);
}

static void lose(void)
{
	struct file *f = any_file(NULL);
	struct verify_summary s;
	char path[256];
	struct mutation_report r;

	mutation_path(mutation.dir, f->name, path);
	assert_int_equal(unlink(path), 0);
	if (mutation_audit(&r, &s, 0))
		mutation_not_seen("the loss", f->name, 0);
	mutation_restore(f);
}

/* A tile in the place of another, or a tile of another width. */
static void mix_up_tiles(void)
{
	struct file *a = any_file(is_tile), *b = any_file(is_tile);
	struct verify_summary s;
	struct mutation_report r;

	if (a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0)
		return;
	mutation_write(a, b->bytes, b->len);
	if (mutation_audit(&r, &s, 0))
		mutation_not_seen("another tile in the place", a->name, 0);
	mutation_restore(a);
}

/* Some of the files from a history that was signed with the same keys. All of them together are a journal that is right by itself: only a
 * checkpoint from elsewhere tells it from the first one (a_whole_fork_is_not_consistent). */
static void fork_parts(void)
{
	unsigned taken = 0, different = 0;
	struct verify_summary s;
	char last[80] = "";
	struct mutation_report r;

	for (unsigned i = 0; i < mutation.files; i++) {
		if (!mutation.file[i].fork)
			continue;
		different++;
		if (rng_below(&mutation.rng, 2))
			continue;
		taken++;
		snprintf(last, sizeof last, "%s", mutation.file[i].name);
		mutation_write(&mutation.file[i], mutation.file[i].fork->bytes, mutation.file[i].fork->len);
	}
	assert_true(different >= 4);
	if (taken && taken < different && mutation_audit(&r, &s, 0))
		mutation_not_seen("parts of a fork, the last of them", last, taken);
	for (unsigned i = 0; i < mutation.files; i++)
		if (mutation.file[i].fork)
			mutation_restore(&mutation.file[i]);
}

/* --- by somebody who has LMDB too ---------------------------------------------------------------------------------------- */

struct opened {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi db;
	struct file *f;
};

static struct opened open_db(struct file *f, const char *db)
{
	struct opened o = { .f = f };
	char path[256];

	mutation_path(mutation.dir, f->name, path);
	assert_int_equal(mdb_env_create(&o.env), 0);
	assert_int_equal(mdb_env_set_maxdbs(o.env, 16), 0);
	assert_int_equal(mdb_env_set_mapsize(o.env, 16 << 20), 0);
	assert_int_equal(mdb_env_open(o.env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC, 0600), 0);
	assert_int_equal(mdb_txn_begin(o.env, NULL, 0, &o.txn), 0);
	assert_int_equal(mdb_dbi_open(o.txn, db, MDB_INTEGERKEY, &o.db), 0);
	return o;
}

static void close_db(struct opened *o)
{
	assert_int_equal(mdb_txn_commit(o->txn), 0);
	mdb_env_close(o->env);
}

static bool get(struct opened *o, uint64_t key, MDB_val *value)
{
	MDB_val k = { sizeof key, &key };

	return mdb_get(o->txn, o->db, &k, value) == 0;
}

static void put(struct opened *o, uint64_t key, struct bytes value)
{
	MDB_val k = { sizeof key, &key }, v = { value.len, (void *)(uintptr_t)value.base };

	assert_int_equal(mdb_put(o->txn, o->db, &k, &v, 0), 0);
}

/* A key of the database, and a copy of its value. */
static uint64_t any_entry(struct opened *o, uint64_t below, uint64_t from, uint8_t *room, size_t size, struct bytes *value)
{
	uint64_t key;
	MDB_val v;

	do
		key = from + rng_below(&mutation.rng, below - from);
	while (!get(o, key, &v) || v.mv_size > size);
	memcpy(room, v.mv_data, v.mv_size);
	*value = bytes_of(room, v.mv_size);
	return key;
}

/* Deletes, swaps, replaces or inserts entries of one database of a segment. */
static void change_entries(const char *db)
{
	static uint8_t a_room[70000], b_room[70000];
	struct file *f = any_file(is_segment);
	bool first = strstr(f->name, "00000000000000000000") != NULL, chunks = strcmp(db, "chunk") == 0;
	/* Records 0 to 255 and 256 to the end; every tenth has a chunk. */
	uint64_t from = first ? 0 : chunks ? 26 : 256, below = first ? chunks ? 26 : 256 : chunks ? (MUTATION_RECORDS + 9) / 10 : MUTATION_RECORDS;
	struct opened o = open_db(f, db);
	unsigned how = (unsigned)rng_below(&mutation.rng, 3);
	struct verify_summary s;
	struct bytes a, b;
	struct mutation_report r;
	uint64_t i = any_entry(&o, below, from, a_room, sizeof a_room, &a), k = any_entry(&o, below, from, b_room, sizeof b_room, &b);
	bool same = bytes_equal(a, b);

	if (how == 0) {
		MDB_val key = { sizeof i, &i };

		assert_int_equal(mdb_del(o.txn, o.db, &key, NULL), 0);
		same = false;
	} else {
		put(&o, i, b);
		if (how == 1)
			put(&o, k, a);
	}
	close_db(&o);
	if (!same && (!mutation_audit(&r, &s, chunks ? i * 10 : i) ? !r.named : true))
		mutation_not_seen(how == 0 ? "a deletion" : how == 1 ? "a swap" : "a replacement", db, i);
	mutation_restore(f);
}

/* A record and its leaf hash, changed together: only tile, spine and checkpoint are left to tell. */
static void forge(void)
{
	static uint8_t room[70000];
	struct file *f = any_file(is_segment);
	bool first = strstr(f->name, "00000000000000000000") != NULL;
	struct opened o = open_db(f, "entry");
	struct merkle_hash leaf;
	struct verify_summary s;
	struct bytes value;
	struct mutation_report r;
	uint64_t index = any_entry(&o, first ? 256 : MUTATION_RECORDS, first ? 0 : 256 + mutation.stamps, room, sizeof room, &value), run;
	uint8_t *at = memmem(room, value.len, "\"crm\"", 5);
	MDB_cursor *cursor;
	MDB_val key = { sizeof index, &index }, hashes;

	assert_true(at && room[0] == 0); /* stored as it is */
	memcpy(at, "\"crn\"", 5);
	put(&o, index, value);
	leaf = merkle_leaf(bytes_of(room + 1, value.len - 1));
	close_db(&o);
	o = open_db(f, "tile0");
	assert_int_equal(mdb_cursor_open(o.txn, o.db, &cursor), 0);
	if (mdb_cursor_get(cursor, &key, &hashes, MDB_SET_RANGE) != 0 || *(uint64_t *)key.mv_data > index)
		assert_int_equal(mdb_cursor_get(cursor, &key, &hashes, MDB_PREV), 0);
	memcpy(&run, key.mv_data, sizeof run);
	memcpy(room, hashes.mv_data, hashes.mv_size);
	value = bytes_of(room, hashes.mv_size);
	mdb_cursor_close(cursor);
	assert_true(index - run < value.len / MERKLE_HASH_BYTES);
	memcpy(room + (index - run) * MERKLE_HASH_BYTES, leaf.b, sizeof leaf.b);
	put(&o, run, value);
	close_db(&o);
	if (mutation_audit(&r, &s, index) || !r.named)
		mutation_not_seen("a forged record with its leaf", f->name, index);
	mutation_restore(f);
}

/* Hashes and checkpoints of the spine. */
static void change_spine(void)
{
	static const char *const dbs[] = { "level0", "checkpoint" };
	static const uint64_t sizes[] = { 100, 256, 300, MUTATION_RECORDS };
	const char *db = dbs[rng_below(&mutation.rng, 2)];
	struct file *f = NULL;
	struct opened o;
	uint64_t key = strcmp(db, "level0") ? sizes[rng_below(&mutation.rng, 4)] : 0;
	uint8_t room[CHECKPOINT_BYTES_MAX];
	struct verify_summary s;
	struct mutation_report r;
	MDB_val v, k = { sizeof key, &key };
	bool removes = rng_below(&mutation.rng, 2);

	for (unsigned i = 0; i < mutation.files; i++)
		if (strstr(mutation.file[i].name, "spine/"))
			f = &mutation.file[i];
	o = open_db(f, db);
	assert_true(get(&o, key, &v) && v.mv_size <= sizeof room);
	memcpy(room, v.mv_data, v.mv_size);
	if (removes) {
		assert_int_equal(mdb_del(o.txn, o.db, &k, NULL), 0);
	} else {
		room[rng_below(&mutation.rng, v.mv_size)] ^= (uint8_t)(1u << rng_below(&mutation.rng, 8));
		put(&o, key, bytes_of(room, v.mv_size));
	}
	close_db(&o);
	/* A checkpoint that a later one goes beyond proves nothing that the later one does not. */
	if (mutation_audit(&r, &s, 0) && !(removes && strcmp(db, "checkpoint") == 0 && key < MUTATION_RECORDS))
		mutation_not_seen(removes ? "a deletion" : "a flipped bit", db, key);
	mutation_restore(f);
}

static bool has_live(const struct file *f, const uint8_t *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (f->live[(size_t)(at - f->bytes) + i])
			return true;
	return false;
}

/* A time stamp or a cosignature in the place of another, or changed where it is signed. */
static void change_anchors(void)
{
	static const uint64_t stamped[] = { 16 * 100, 16 * 256 }, cosigned[] = { 16 * 256, 16 * 300, 16 * MUTATION_RECORDS, 16 * MUTATION_RECORDS + 1 };
	bool tokens = rng_below(&mutation.rng, 2);
	uint64_t key = tokens ? stamped[rng_below(&mutation.rng, 2)] : cosigned[rng_below(&mutation.rng, 4)], from = tokens ? stamped[rng_below(&mutation.rng, 2)] : cosigned[rng_below(&mutation.rng, 4)];
	static uint8_t room[TIMESTAMP_ANSWER_BYTES];
	struct file *f = NULL;
	struct verify_summary s;
	const uint8_t *where;
	struct opened o;
	struct mutation_report r;
	MDB_val v;

	for (unsigned i = 0; i < mutation.files; i++)
		if (strstr(mutation.file[i].name, "spine/"))
			f = &mutation.file[i];
	o = open_db(f, tokens ? "token" : "cosignature");
	assert_true(get(&o, from, &v) && v.mv_size <= sizeof room);
	memcpy(room, v.mv_data, v.mv_size);
	/* Older pages may hold it too. */
	for (where = memmem(f->bytes, f->len, room, v.mv_size); where && !has_live(f, where, v.mv_size);)
		where = memmem(where + 1, f->len - (size_t)(where + 1 - f->bytes), room, v.mv_size);
	assert_non_null(where);
	/* Two cosignatures of one checkpoint may stand in any order, not twice. */
	if (from == key) {
		size_t at;

		do
			at = rng_below(&mutation.rng, v.mv_size);
		while (!f->live[(size_t)(where - f->bytes) + at]);
		room[at] ^= (uint8_t)(1u << rng_below(&mutation.rng, 8));
	}
	put(&o, key, bytes_of(room, v.mv_size));
	close_db(&o);
	if (mutation_audit(&r, &s, 0) && key / 16 != from / 16)
		mutation_not_seen("another's place", tokens ? "token" : "cosignature", key);
	else if (from == key && !r.findings)
		mutation_not_seen("a flipped bit", tokens ? "token" : "cosignature", key);
	mutation_restore(f);
}

static void mutate(void)
{
	unsigned what = (unsigned)rng_below(&mutation.rng, 100);

	if (what < 70)
		flip();
	else if (what < 76)
		change_entries("entry");
	else if (what < 80)
		change_entries("chunk");
	else if (what < 83)
		forge();
	else if (what < 86)
		change_spine();
	else if (what < 88)
		change_anchors();
	else if (what < 91)
		cut();
	else if (what < 93)
		lose();
	else if (what < 96)
		mix_up_tiles();
	else
		fork_parts();
}

static void every_mutation_is_seen(void **state)
{
	const char *asked = getenv("MUTATIONS");
	unsigned long count = asked ? strtoul(asked, NULL, 10) : 250;
	struct verify_summary s;
	struct mutation_report r;

	for (mutation.number = 0; mutation.number < count; mutation.number++)
		mutate();
	print_message("# seed %llu: %lu mutations, %u of %u flipped bits changed nothing\n", (unsigned long long)mutation.seed, count, harmless, flips);
	assert_int_equal(mutation.missed, 0);
	assert_true(mutation_audit(&r, &s, 0));
	assert_true(mutation_nothing_changed(&s));
}

/* A fork that is whole verifies; no proof leads from a checkpoint that somebody has to it. */
static void a_whole_fork_is_not_consistent(void **state)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *mine = archive_open(mutation.dir, err), *theirs = archive_open(mutation.fork_dir, err);
	struct merkle_source source;
	struct merkle_proof proof;
	struct checkpoint old, forked;
	struct bytes note_bytes;
	uint64_t size;

	assert_non_null(mine);
	assert_non_null(theirs);
	for (uint64_t at = 300; at <= MUTATION_RECORDS; at += MUTATION_RECORDS - 300) {
		bool before = at == 300;

		assert_true(archive_checkpoint(mine, at, at, &size, &note_bytes));
		assert_null(checkpoint_verify(note_bytes, &mutation.signer.keys, &old));
		assert_true(archive_checkpoint(theirs, MUTATION_RECORDS, MUTATION_RECORDS, &size, &note_bytes));
		assert_null(checkpoint_verify(note_bytes, &mutation.signer.keys, &forked));
		source = archive_source(theirs);
		assert_true(merkle_prove_consistency(&source, old.size, forked.size, &proof));
		assert_int_equal(merkle_check_consistency(old.size, &old.root, forked.size, &forked.root, &proof), before);
	}
	archive_close(mine);
	archive_close(theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mutation_is_seen), cmocka_unit_test(a_whole_fork_is_not_consistent),
	};

	mutation.seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 20261130;
	return cmocka_run_group_tests_name("mutation", tests, mutation_build, mutation_clean_up);
}
