/* Mutations of a journal, by seed: bits flipped anywhere in its files; records, chunks, leaf hashes, tiles and checkpoints deleted, swapped,
 * replaced and cut; time stamps and cosignatures changed and exchanged; parts of a fork put among the rest. Each is seen by the audit, which
 * says what and where.
 *
 * MUTATIONS in the environment: how many (250; the long form is 100,000); BRANCHES: how many of what leads to records (40); SEED: which ones. What is not seen is printed with seed, number, file and place.
 *
 * A flipped bit need not be seen where nothing depends on it: what is not seen has to leave every record, chunk and checkpoint as
 * it was (the audit's root over all records, its counts), and has to lie outside of what the format calls evidence (mutation_test_weigh.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/anchor/anchor_test_kit.h"
#include "control/anchor/judge.h"
#include "control/journal/base64.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/mutation_test_weigh.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

#define HOUR_US (3600ull * 1000000)
#define FILES_MAX 24

static char dir[128], fork_dir[128];
static struct fixture_signer signer;
static struct anchor_kit kit;
static struct anchor_kit_witness witness, second_witness;
static struct judge judge;
static struct file file[FILES_MAX], fork_file[FILES_MAX];
static unsigned files, fork_files;
static struct verify_summary whole;
static struct rng rng;
static uint64_t seed;
static unsigned long number, missed;

/* --- what was found ------------------------------------------------------------------------------------------------------ */

struct report {
	unsigned findings;
	bool named;      /* one of them is of the record in question, or of a range with it */
	uint64_t index;
	char first[200];
};

static void note(void *ctx, const struct verify_finding *f)
{
	struct report *r = ctx;

	if (!r->findings++)
		snprintf(r->first, sizeof r->first, "%s", f->what);
	r->named |= f->index != VERIFY_NOWHERE && f->index <= r->index && r->index <= f->last;
}

static bool audit(struct report *r, struct verify_summary *s, uint64_t index)
{
	const struct verify_options o = { .dir = dir, .keys = &signer.keys, .judge = judge_anchor, .judge_ctx = &judge, .ctx = r, .found = note };

	*r = (struct report){ .index = index };
	return verify_journal(&o, s);
}

static bool nothing_changed(const struct verify_summary *s)
{
	return s->size == whole.size && s->first == whole.first && s->covered == whole.covered && s->chunks == whole.chunks && s->sessions == whole.sessions &&
	       s->checkpoints == whole.checkpoints && s->segments == whole.segments && merkle_equal(&s->root, &whole.root) && s->tokens == whole.tokens &&
	       s->cosignatures == whole.cosignatures && s->unverified == whole.unverified && s->stamped == whole.stamped && s->stamped_s == whole.stamped_s &&
	       s->cosigned == whole.cosigned && s->cosigned_s == whole.cosigned_s;
}

static void not_seen(const char *what, const char *name, uint64_t at)
{
	if (missed++ < 20)
		print_error("seed %llu, mutation %lu: %s of %s at %llu was not seen, or not named\n", (unsigned long long)seed, number, what, name, (unsigned long long)at);
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

static void path_of(const char *in, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", in, name);
}

static void write_back(const struct file *f, const uint8_t *bytes, size_t len)
{
	char path[256];
	int fd;

	path_of(dir, f->name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static void restore(const struct file *f)
{
	write_back(f, f->bytes, f->len);
}

static void poke(const struct file *f, uint64_t at, uint8_t byte)
{
	char path[256];
	int fd;

	path_of(dir, f->name, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) == 1);
	close(fd);
}

static void read_in(const char *in, const char *name, struct file *f)
{
	char path[256];
	struct stat st;
	int fd;

	path_of(in, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	snprintf(f->name, sizeof f->name, "%s", name);
	f->len = (size_t)st.st_size;
	f->bytes = malloc(f->len + 1);
	assert_int_equal(read(fd, f->bytes, f->len), (ssize_t)f->len);
	close(fd);
	chmod(path, 0600);
}

static char found[FILES_MAX][80];
static unsigned found_count;
static size_t found_skip; /* the directory in front of the name */

/* A partial tile that a later one went beyond is nobody's any more. */
static bool is_outgrown(const char *name)
{
	return strstr(name, ".p/") && strcmp(name, "tile/0/001.p/150") != 0 && strcmp(name, "tile/1/000.p/1") != 0;
}

/* Keys come from elsewhere, locks hold nothing. */
static int find_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	static const char *const in[] = { "seg/", "spine/", "tile/", "checkpoint" };
	const char *name = path + found_skip;

	for (size_t i = 0; i < sizeof in / sizeof in[0] && flag == FTW_F && strcmp(path + ftw->base, "lock.mdb") != 0; i++)
		if (strncmp(name, in[i], strlen(in[i])) == 0 && !is_outgrown(name) && found_count < FILES_MAX)
			snprintf(found[found_count++], sizeof found[0], "%s", name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static unsigned read_all(const char *in, struct file *out)
{
	found_count = 0;
	found_skip = strlen(in) + 1;
	assert_int_equal(nftw(in, find_one, 16, FTW_PHYS), 0);
	qsort(found, found_count, sizeof found[0], by_name);
	for (unsigned i = 0; i < found_count; i++)
		read_in(in, found[i], &out[i]);
	return found_count;
}

static bool is_lmdb(const struct file *f)
{
	return strstr(f->name, "data.mdb") != NULL;
}

/* --- the journal and its fork -------------------------------------------------------------------------------------------- */

#define RECORDS 406u

/* What the records of time stamps will say. */
static struct {
	uint64_t size;
	struct merkle_hash hash;
} stamp[2];
static unsigned stamps;

/* Checkpoints of 100 and of 256 records are stamped, all but that of 100 cosigned, the last one by two. */
static void anchor_it(struct journal *j)
{
	struct bytes note_bytes = journal_checkpoint_stored(j), token;
	char room[COSIGNATURE_LINE_BYTES];
	struct journal_state now;

	journal_state(j, &now);
	if (now.checkpoint_size == 100 || now.checkpoint_size == 256) {
		token = anchor_kit_token(&kit, "tsa", note_bytes);
		stamp[stamps].size = now.checkpoint_size;
		stamp[stamps++].hash = merkle_sha256(token);
		assert_true(journal_anchor(j, ARCHIVE_TOKEN, now.checkpoint_size, token));
		free((void *)(uintptr_t)token.base);
	}
	if (now.checkpoint_size != 100)
		assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, now.checkpoint_size, anchor_kit_cosign(&witness, note_bytes, now.checkpoint_size, room)));
	if (now.checkpoint_size == RECORDS)
		assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, RECORDS, anchor_kit_cosign(&second_witness, note_bytes, 9, room)));
}

/* The records of both time stamps, in two places without payload. */
static unsigned tell_stamps(struct journal *j, unsigned at)
{
	uint64_t index;

	for (unsigned i = 0; i < stamps; i++) {
		char hash[2 * MERKLE_HASH_BYTES + 1] = "", text[300];
		struct writer w = writer_of(hash, sizeof hash - 1);

		hex_write(&w, bytes_of(stamp[i].hash.b, sizeof stamp[i].hash.b));
		snprintf(text, sizeof text, "{\"data\":{\"sha256\":\"%s\",\"size\":\"%llu\"},\"n\":%u,\"sess\":\"%032x\",\"t\":\"journal.stamp\"}", hash,
			 (unsigned long long)stamp[i].size, (at + i) % 50, (at + i) / 50);
		assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
	}
	return stamps;
}

static void fill(const char *in, struct fixture_signer *s, uint64_t *now_us, unsigned from, unsigned count, bool other)
{
	struct journal_config config = { .dir = in, .origin = FIXTURE_ORIGIN, .segment_bytes = 64 << 20, .segment_us = HOUR_US };
	struct journal_signer sign = fixture_signer_journal(s);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, *now_us, err);
	uint64_t index;

	if (!j)
		fail_msg("%s", err);
	for (unsigned i = 0; other && i < count; i++) {
		char text[200];

		snprintf(text, sizeof text, "{\"n\":%u,\"out\":\"another history\",\"sess\":\"%032x\",\"t\":\"cmd\"}", (from + i) % 50, (from + i) / 50);
		assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
		if (i % 20 == 19)
			assert_int_equal(journal_commit(j, *now_us), JOURNAL_OK);
	}
	if (from == 256)
		count -= tell_stamps(j, from);
	if (!other)
		assert_true(fixture_fill(j, count, 20, *now_us));
	assert_int_equal(journal_commit(j, *now_us), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &sign, *now_us, 1000));
	if (!other)
		anchor_it(j);
	journal_close(j);
}

static void vouchers(void)
{
	struct bytes pem;

	anchor_kit_open(&kit);
	anchor_kit_authority(&kit, "tsa", "extendedKeyUsage=critical,timeStamping", 2);
	witness = anchor_kit_witness("w1.example");
	second_witness = anchor_kit_witness("w2.example");
	pem = anchor_kit_file(&kit, "tsa.ca.pem");
	assert_null(judge_add_authority(&judge, pem));
	free((void *)(uintptr_t)pem.base);
	judge.witness[judge.witnesses++] = witness.public;
	judge.witness[judge.witnesses++] = second_witness.public;
}

static int build(void **state)
{
	struct fixture_signer second;
	struct report r;
	uint64_t now_us = FIXTURE_TIME;

	rng = rng_seeded(seed);
	fixture_dir(dir);
	fixture_dir(fork_dir);
	fixture_signer_init(&signer);
	vouchers();
	fill(dir, &signer, &now_us, 0, 100, false);
	now_us += 2 * HOUR_US;
	fill(dir, &signer, &now_us, 100, 156, false);
	fill(dir, &signer, &now_us, 256, 44, false);
	fixture_copy(dir, fork_dir);
	second = signer; /* the same keys, and a state that was set back */
	fill(dir, &signer, &now_us, 300, RECORDS - 300, false);
	fill(fork_dir, &second, &now_us, 300, RECORDS - 300, true);
	files = read_all(dir, file);
	fork_files = read_all(fork_dir, fork_file);
	for (unsigned i = 0; i < files; i++) {
		if (is_lmdb(&file[i]))
			weigh(&file[i]);
		for (unsigned k = 0; k < fork_files; k++)
			if (!strcmp(file[i].name, fork_file[k].name) && (file[i].len != fork_file[k].len || memcmp(file[i].bytes, fork_file[k].bytes, file[i].len) != 0))
				file[i].fork = &fork_file[k];
	}
	if (!audit(&r, &whole, 0))
		fail_msg("%s", r.first);
	assert_int_equal(whole.size, RECORDS);
	assert_int_equal(whole.segments, 2);
	assert_int_equal(whole.tokens, 2);
	assert_int_equal(whole.cosignatures, 4);
	assert_int_equal(whole.unverified, 0);
	return 0;
}

static int clean_up(void **state)
{
	for (unsigned i = 0; i < files; i++) {
		free(file[i].bytes);
		free(file[i].live);
	}
	for (unsigned i = 0; i < fork_files; i++)
		free(fork_file[i].bytes);
	fixture_remove(dir);
	fixture_remove(fork_dir);
	fixture_signer_free(&signer);
	judge_free(&judge);
	EVP_PKEY_free(witness.key);
	EVP_PKEY_free(second_witness.key);
	anchor_kit_close(&kit);
	return 0;
}

/* --- mutations ----------------------------------------------------------------------------------------------------------- */

static unsigned harmless, flips;

static struct file *any_file(bool (*of)(const struct file *))
{
	struct file *f;

	do
		f = &file[rng_below(&rng, files)];
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
	uint64_t at = rng_below(&rng, f->len);
	struct verify_summary s;
	struct report r;

	/* Most of a file of LMDB's holds nothing: every other one where something is. */
	while (f->live && number % 2 && !f->live[at])
		at = rng_below(&rng, f->len);
	poke(f, at, f->bytes[at] ^ (uint8_t)(1u << rng_below(&rng, 8)));
	flips++;
	if (audit(&r, &s, 0)) {
		harmless++;
		if (!f->live || f->live[at] || !nothing_changed(&s))
			not_seen("a flipped bit", f->name, at);
	} else if (!r.first[0]) {
		not_seen("a flipped bit (nothing was said)", f->name, at);
	}
	poke(f, at, f->bytes[at]);
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
	uint64_t len = rng_below(&rng, f->len), end = f->len;
	struct verify_summary s;
	struct report r;

	/* LMDB's file may end with pages that hold nothing. */
	while (f->live && end && !f->live[end - 1])
		end--;
	write_back(f, f->bytes, len);
	if (audit(&r, &s, 0) && (len < end || !nothing_changed(&s)) && !has_fewer_cosignatures(f, len))
		not_seen("a cut", f->name, len);
	restore(f);
}

static void lose(void)
{
	struct file *f = any_file(NULL);
	struct verify_summary s;
	char path[256];
	struct report r;

	path_of(dir, f->name, path);
	assert_int_equal(unlink(path), 0);
	if (audit(&r, &s, 0))
		not_seen("the loss", f->name, 0);
	restore(f);
}

/* A tile in the place of another, or a tile of another width. */
static void mix_up_tiles(void)
{
	struct file *a = any_file(is_tile), *b = any_file(is_tile);
	struct verify_summary s;
	struct report r;

	if (a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0)
		return;
	write_back(a, b->bytes, b->len);
	if (audit(&r, &s, 0))
		not_seen("another tile in the place", a->name, 0);
	restore(a);
}

/* Some of the files from a history that was signed with the same keys. All of them together are a journal that is right by itself: only a
 * checkpoint from elsewhere tells it from the first one (a_whole_fork_is_not_consistent). */
static void fork_parts(void)
{
	unsigned taken = 0, different = 0;
	struct verify_summary s;
	char last[80] = "";
	struct report r;

	for (unsigned i = 0; i < files; i++) {
		if (!file[i].fork)
			continue;
		different++;
		if (rng_below(&rng, 2))
			continue;
		taken++;
		snprintf(last, sizeof last, "%s", file[i].name);
		write_back(&file[i], file[i].fork->bytes, file[i].fork->len);
	}
	assert_true(different >= 4);
	if (taken && taken < different && audit(&r, &s, 0))
		not_seen("parts of a fork, the last of them", last, taken);
	for (unsigned i = 0; i < files; i++)
		if (file[i].fork)
			restore(&file[i]);
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

	path_of(dir, f->name, path);
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
		key = from + rng_below(&rng, below - from);
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
	uint64_t from = first ? 0 : chunks ? 26 : 256, below = first ? chunks ? 26 : 256 : chunks ? (RECORDS + 9) / 10 : RECORDS;
	struct opened o = open_db(f, db);
	unsigned how = (unsigned)rng_below(&rng, 3);
	struct verify_summary s;
	struct bytes a, b;
	struct report r;
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
	if (!same && (!audit(&r, &s, chunks ? i * 10 : i) ? !r.named : true))
		not_seen(how == 0 ? "a deletion" : how == 1 ? "a swap" : "a replacement", db, i);
	restore(f);
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
	struct report r;
	uint64_t index = any_entry(&o, first ? 256 : RECORDS, first ? 0 : 256 + stamps, room, sizeof room, &value), run;
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
	if (audit(&r, &s, index) || !r.named)
		not_seen("a forged record with its leaf", f->name, index);
	restore(f);
}

/* Hashes and checkpoints of the spine. */
static void change_spine(void)
{
	static const char *const dbs[] = { "level0", "checkpoint" };
	static const uint64_t sizes[] = { 100, 256, 300, RECORDS };
	const char *db = dbs[rng_below(&rng, 2)];
	struct file *f = NULL;
	struct opened o;
	uint64_t key = strcmp(db, "level0") ? sizes[rng_below(&rng, 4)] : 0;
	uint8_t room[CHECKPOINT_BYTES_MAX];
	struct verify_summary s;
	struct report r;
	MDB_val v, k = { sizeof key, &key };
	bool removes = rng_below(&rng, 2);

	for (unsigned i = 0; i < files; i++)
		if (strstr(file[i].name, "spine/"))
			f = &file[i];
	o = open_db(f, db);
	assert_true(get(&o, key, &v) && v.mv_size <= sizeof room);
	memcpy(room, v.mv_data, v.mv_size);
	if (removes) {
		assert_int_equal(mdb_del(o.txn, o.db, &k, NULL), 0);
	} else {
		room[rng_below(&rng, v.mv_size)] ^= (uint8_t)(1u << rng_below(&rng, 8));
		put(&o, key, bytes_of(room, v.mv_size));
	}
	close_db(&o);
	/* A checkpoint that a later one goes beyond proves nothing that the later one does not. */
	if (audit(&r, &s, 0) && !(removes && strcmp(db, "checkpoint") == 0 && key < RECORDS))
		not_seen(removes ? "a deletion" : "a flipped bit", db, key);
	restore(f);
}

static bool has_live(const struct file *f, const uint8_t *at, size_t len)
{
	return memchr(f->live + (at - f->bytes), 1, len) != NULL;
}

/* A time stamp or a cosignature in the place of another, or changed where it is signed. */
static void change_anchors(void)
{
	static const uint64_t stamped[] = { 16 * 100, 16 * 256 }, cosigned[] = { 16 * 256, 16 * 300, 16 * RECORDS, 16 * RECORDS + 1 };
	bool tokens = rng_below(&rng, 2);
	uint64_t key = tokens ? stamped[rng_below(&rng, 2)] : cosigned[rng_below(&rng, 4)], from = tokens ? stamped[rng_below(&rng, 2)] : cosigned[rng_below(&rng, 4)];
	static uint8_t room[TIMESTAMP_ANSWER_BYTES];
	struct file *f = NULL;
	struct verify_summary s;
	const uint8_t *where;
	struct opened o;
	struct report r;
	MDB_val v;

	for (unsigned i = 0; i < files; i++)
		if (strstr(file[i].name, "spine/"))
			f = &file[i];
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
			at = rng_below(&rng, v.mv_size);
		while (!f->live[(size_t)(where - f->bytes) + at]);
		room[at] ^= (uint8_t)(1u << rng_below(&rng, 8));
	}
	put(&o, key, bytes_of(room, v.mv_size));
	close_db(&o);
	if (audit(&r, &s, 0) && key / 16 != from / 16)
		not_seen("another's place", tokens ? "token" : "cosignature", key);
	else if (from == key && !r.findings)
		not_seen("a flipped bit", tokens ? "token" : "cosignature", key);
	restore(f);
}

static void mutate(void)
{
	unsigned what = (unsigned)rng_below(&rng, 100);

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
	struct report r;

	for (number = 0; number < count; number++)
		mutate();
	print_message("# seed %llu: %lu mutations, %u of %u flipped bits changed nothing\n", (unsigned long long)seed, count, harmless, flips);
	assert_int_equal(missed, 0);
	assert_true(audit(&r, &s, 0));
	assert_true(nothing_changed(&s));
}

/* What leads to the records is as good as they are: who looks for one by its number goes by it. */
static void what_leads_to_evidence_is_seen(void **state)
{
	const char *asked = getenv("BRANCHES");
	unsigned count = asked ? (unsigned)strtoul(asked, NULL, 10) : 40, tried = 0;
	struct verify_summary s;
	struct report r;

	for (unsigned turn = 0; tried < count && turn < 1000 * count; turn++) {
		struct file *f = any_file(is_lmdb);
		uint64_t page = rng_below(&rng, f->len / 4096) * 4096;
		/* Among a branch's nodes, or how many slots there are. */
		uint64_t at = page + (rng_below(&rng, 8) ? 3800 + rng_below(&rng, 296) : 12);
		uint8_t bit = (uint8_t)(1u << rng_below(&rng, 8));

		if (!f->live[at] || (f->bytes[page + 10] != 1 && at != page + 12))
			continue;
		tried++;
		poke(f, at, f->bytes[at] ^ bit);
		if (audit(&r, &s, 0))
			not_seen("a flipped bit of a branch", f->name, at);
		poke(f, at, f->bytes[at]);
	}
	assert_int_equal(tried, count);
	assert_int_equal(missed, 0);
}

/* The key that divides two pages, one lower and one higher: also where no key lies between, for what is looked for may (a leaf in its run). */
static void every_divider_is_held(void **state)
{
	struct verify_summary s;
	unsigned tried = 0;
	struct report r;

	for (unsigned i = 0; i < files; i++) {
		struct file *f = &file[i];

		for (uint64_t page = 0; is_lmdb(f) && page + 4096 <= f->len; page += 4096) {
			unsigned slots = f->live[page + 12] && f->bytes[page + 10] == 1 ? (unsigned)(f->bytes[page + 12] | f->bytes[page + 13] << 8) / 2 - 8 : 0;

			for (unsigned slot = 1; slot < slots; slot++) {
				uint64_t at = page + (uint64_t)(f->bytes[page + 16 + 2 * slot] | f->bytes[page + 17 + 2 * slot] << 8) + 8;

				for (int by = -1; by <= 1; by += 2, tried++) {
					poke(f, at, (uint8_t)(f->bytes[at] + by));
					if (audit(&r, &s, 0))
						not_seen(by < 0 ? "a lower divider" : "a higher divider", f->name, at);
				}
				poke(f, at, f->bytes[at]);
			}
		}
	}
	print_message("# %u dividers\n", tried);
	assert_true(tried > 10 && missed == 0);
}

/* A fork that is whole verifies; no proof leads from a checkpoint that somebody has to it. */
static void a_whole_fork_is_not_consistent(void **state)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *mine = archive_open(dir, err), *theirs = archive_open(fork_dir, err);
	struct merkle_source source;
	struct merkle_proof proof;
	struct checkpoint old, forked;
	struct bytes note_bytes;
	uint64_t size;

	assert_non_null(mine);
	assert_non_null(theirs);
	for (uint64_t at = 300; at <= RECORDS; at += RECORDS - 300) {
		bool before = at == 300;

		assert_true(archive_checkpoint(mine, at, at, &size, &note_bytes));
		assert_null(checkpoint_verify(note_bytes, &signer.keys, &old));
		assert_true(archive_checkpoint(theirs, RECORDS, RECORDS, &size, &note_bytes));
		assert_null(checkpoint_verify(note_bytes, &signer.keys, &forked));
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
		cmocka_unit_test(every_mutation_is_seen), cmocka_unit_test(what_leads_to_evidence_is_seen), cmocka_unit_test(every_divider_is_held),
		cmocka_unit_test(a_whole_fork_is_not_consistent),
	};

	seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 20261130;
	return cmocka_run_group_tests_name("mutation", tests, build, clean_up);
}
