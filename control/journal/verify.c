/* The audit walks the records once, in order, and carries the tree along. The unit is the tile of 256: for each record it keeps
 * the leaf computed from the bytes and the leaf that was stored; where they differ, the record is named, and the tree goes on
 * with whichever set the spine's tile hash or the next checkpoint agrees with, so that one damaged record does not make every
 * later checkpoint look wrong. Whoever changes record and stored leaf together is caught by the tile hash (which names the 256
 * records), the published tile (which names the one) and the checkpoint's root.
 */
#include "control/journal/verify.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/jcs_read.h"
#include "control/journal/key_list.h"
#include "control/journal/record.h"
#include "control/journal/segment_list.h"
#include "control/journal/segment_view.h"
#include "control/journal/spine_view.h"
#include "control/journal/tiles.h"
#include "control/journal/verify_kept.h"
#include "control/journal/verify_report.h"
#include "control/journal/verify_session.h"
#include "control/journal/verify_spine.h"
#include "control/journal/verify_stamps.h"
#include "control/journal/verify_tiles.h"

#define TILE 256u

/* The spine's next checkpoint, checked; size UINT64_MAX when there is none. */
struct next_checkpoint {
	uint64_t size;
	struct checkpoint checkpoint;
	const char *wrong;
};

struct verify {
	const struct verify_options *options;
	struct verify_summary *summary;
	struct verify_report report;
	struct segment_view *view; /* all segments; those that did not open have fd -1 */
	size_t at;                /* the segment being walked */
	uint64_t index;           /* the next record */
	struct merkle_range range; /* up to the last tile boundary */
	struct merkle_hash computed[TILE], stored[TILE];
	unsigned in_tile;
	bool tile_differs;        /* some computed leaf is not the stored one */
	bool anchored;            /* range is known to be right: it came from the tree's start or a segment's own record */
	struct spine_view spine;
	struct next_checkpoint next;
	uint8_t note[CHECKPOINT_BYTES_MAX];
	struct verify_spine at_start;
	uint64_t must;            /* a prune record says that a checkpoint of so many was signed */
	uint8_t file_note[CHECKPOINT_BYTES_MAX];
	size_t file_note_len;
	struct checkpoint file;   /* the `checkpoint` file; size 0 when absent */
	uint64_t good_size;       /* the newest checkpoint that was right */
	struct merkle_hash good_root;
	bool has_tiles;
	bool prune_said;           /* a record says why the oldest ones are gone */
	struct key_list keys;      /* when options->keys is given */
	struct verify_sessions sessions;
	struct verify_stamps stamps;
	struct verify_tiles tiles;
	struct record_codec *codec;
	uint8_t scratch[RECORD_BYTES_MAX];
};

/* --- checkpoints ------------------------------------------------------------------------------------------------------ */

/* What is wrong with a stored note, or NULL. */
static const char *note_check(const struct verify *v, struct bytes note, uint64_t size, struct checkpoint *c)
{
	const struct checkpoint_keys *keys = v->options->keys ? &key_list_at(&v->keys, size)->keys : NULL;
	const char *wrong = keys ? key_list_verify(&v->keys, note, c) : checkpoint_parse(note, true, c, NULL);

	/* Who knows both keys expects both signatures. */
	if (!wrong && keys && keys->has_p256 && checkpoint_check_signatures(note, keys).p256 == SIGNATURE_ABSENT)
		wrong = "a checkpoint without an ECDSA P-256 signature of the known key";
	if (!wrong && c->size != size)
		wrong = "a checkpoint of another size";
	return wrong;
}

/* The checkpoint after the one of size `last` (UINT64_MAX: the first) into v->next, as this view of the spine has it. */
static enum mdbfile_status next_here(struct verify *v, uint64_t last)
{
	struct mdbfile_cursor c = mdbfile_cursor_of(&v->spine.file, &v->spine.checkpoint);
	struct mdbfile_entry entry;
	enum mdbfile_status status = last == UINT64_MAX ? MDBFILE_OK : mdbfile_floor(&c, last, &entry);

	if (status == MDBFILE_OK)
		status = mdbfile_next(&c, &entry);
	if (status != MDBFILE_OK)
		return status;
	v->next = (struct next_checkpoint){ .size = entry.key };
	if (entry.value.len <= sizeof v->note)
		memcpy(v->note, entry.value.base, entry.value.len);
	v->next.wrong = entry.value.len > sizeof v->note ? "too long" : note_check(v, bytes_of(v->note, entry.value.len), entry.key, &v->next.checkpoint);
	return MDBFILE_OK;
}

/* The next checkpoint, up to the newest one at the start. A fault in the view of a spine that is being written may only mean
 * that the view is old (archive.c). */
static void checkpoint_next(struct verify *v)
{
	uint64_t last = v->next.size;
	enum mdbfile_status status = v->spine.open ? next_here(v, last) : MDBFILE_END;

	for (unsigned tries = 1; tries < VERIFY_TRIES && (status == MDBFILE_BAD || (status == MDBFILE_OK && v->next.wrong)); tries++)
		if (spine_view_refresh(&v->spine) == NULL)
			status = next_here(v, last);
	if (status == MDBFILE_BAD)
		verify_found(&v->report, VERIFY_CHECKPOINT, (struct verify_place){ VERIFY_NOWHERE, VERIFY_NOWHERE, v->spine.file.wrong_at },
		      "the spine's checkpoints after size %llu cannot be read: %s", ULL(last == UINT64_MAX ? 0 : last), v->spine.file.wrong);
	if (status != MDBFILE_OK || v->next.size > v->at_start.newest)
		v->next = (struct next_checkpoint){ .size = UINT64_MAX };
}

/* The root at `size`, which is in the current tile or at its end, from the leaves given. */
static struct merkle_hash root_here(const struct verify *v, uint64_t size, const struct merkle_hash *leaf)
{
	struct merkle_range range = v->range;

	for (uint64_t i = range.size; i < size; i++)
		merkle_range_push(&range, &leaf[i - v->range.size]);
	return merkle_range_root(&range);
}

static void checkpoint_one(struct verify *v, const struct checkpoint *c, const char *wrong, uint64_t size, const char *where)
{
	struct merkle_hash computed = root_here(v, size, v->computed);
	struct verify_place place = { v->good_size, size - 1, VERIFY_NOWHERE };

	v->summary->checkpoints++;
	if (wrong) {
		verify_found(&v->report, VERIFY_CHECKPOINT, verify_nowhere, "the checkpoint of %llu records (%s) is %s", ULL(size), where, wrong);
		return;
	}
	if (!v->anchored)
		return;
	if (merkle_equal(&computed, &c->root)) {
		v->good_size = size;
		v->good_root = c->root;
		return;
	}
	if (v->tile_differs) {
		struct merkle_hash stored = root_here(v, size, v->stored);

		/* The damaged record is named already, and this checkpoint speaks for its stored leaf. */
		if (merkle_equal(&stored, &c->root)) {
			v->good_size = size;
			v->good_root = c->root;
			return;
		}
	}
	verify_found(&v->report, VERIFY_CHECKPOINT, place, "records %llu to %llu do not lead to the root of the checkpoint of %llu records (%s): one of them, or its place, was changed",
	      ULL(v->good_size), ULL(size - 1), ULL(size), where);
}

static void checkpoints_at(struct verify *v, uint64_t size)
{
	while (v->next.size < size)
		checkpoint_next(v);
	if (v->next.size == size && size)
		checkpoint_one(v, &v->next.checkpoint, v->next.wrong, size, "spine");
	if (v->file.size == size && size) {
		struct checkpoint c;
		const char *wrong = note_check(v, bytes_of(v->file_note, v->file_note_len), size, &c);

		checkpoint_one(v, &c, wrong, size, "the file checkpoint");
	}
}

/* --- tiles ------------------------------------------------------------------------------------------------------------ */

/* The published tile's hashes; false when it is absent. A file of another length counts as all zeros. */
static bool tile_file(struct verify *v, unsigned level, uint64_t number, unsigned width, struct merkle_hash *out)
{
	char name[TILES_PATH_MAX], path[PATH_MAX];
	size_t want = width * sizeof *out;
	ssize_t got;
	int fd;

	if (!tiles_path((int)level, number, width, name) ||
	    (size_t)snprintf(path, sizeof path, "%s/%s", v->options->dir, name) >= sizeof path)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	memset(out, 0, TILE * sizeof *out);
	got = read(fd, out, TILE * sizeof *out);
	if (got != (ssize_t)want)
		memset(out, 0, TILE * sizeof *out);
	close(fd);
	return true;
}

static void tile_published(struct verify *v, unsigned width)
{
	uint64_t first = v->range.size;
	struct merkle_hash file[TILE];

	if (!v->has_tiles)
		return;
	/* A partial tile gives way to the full one, which begins with the same hashes. */
	if (!tile_file(v, 0, first / TILE, width, file) && !tile_file(v, 0, first / TILE, TILE, file)) {
		if (first + width <= v->file.size)
			verify_found(&v->report, VERIFY_TILE, verify_range(first, first + width - 1), "the published tile of records %llu to %llu is missing",
			      ULL(first), ULL(first + width - 1));
		return;
	}
	for (unsigned i = 0; i < width; i++)
		if (!merkle_equal(&file[i], &v->computed[i]) && !merkle_equal(&file[i], &v->stored[i]))
			verify_found(&v->report, VERIFY_TILE, verify_record(first + i, VERIFY_NOWHERE), "record %llu is not what its published tile says", ULL(first + i));
}

static void tile_wrong(void *ctx, unsigned level, uint64_t number, const char *what)
{
	uint64_t first = number << 8 * (level + 1), last = ((number + 1) << 8 * (level + 1)) - 1;
	struct verify *v = ctx;

	verify_found(&v->report, VERIFY_TILE, verify_range(first, last), "the published tile %llu of level %u, of records %llu to %llu, %s", ULL(number), level,
	      ULL(first), ULL(last), what);
}

/* A whole tile: against the spine and the published file, then into the tree. */
static void tile_end(struct verify *v)
{
	uint64_t first = v->range.size;
	struct merkle_hash computed = merkle_root_of(v->computed, TILE), spine;
	const struct merkle_hash *leaf = v->computed;

	if (!verify_spine_hash(&v->spine, 0, first / TILE, &computed, &spine)) {
		/* Written with the checkpoint, or before it. */
		if (v->spine.open && v->at_start.newest != UINT64_MAX && first + TILE <= v->at_start.newest)
			verify_found(&v->report, VERIFY_SPINE, verify_range(first, first + TILE - 1), "the spine holds no hash of records %llu to %llu", ULL(first),
			      ULL(first + TILE - 1));
	} else if (!merkle_equal(&spine, &computed)) {
		struct merkle_hash stored = merkle_root_of(v->stored, TILE);

		if (v->tile_differs && merkle_equal(&spine, &stored))
			leaf = v->stored;
		else
			verify_found(&v->report, VERIFY_SPINE, verify_range(first, first + TILE - 1),
			      "records %llu to %llu do not hash to the tile that the spine holds: one of them, or its place, was changed",
			      ULL(first), ULL(first + TILE - 1));
	}
	tile_published(v, TILE);
	if (leaf == v->stored)
		computed = merkle_root_of(v->stored, TILE);
	verify_tiles_push(&v->tiles, &computed);
	for (unsigned i = 0; i < TILE; i++)
		merkle_range_push(&v->range, &leaf[i]);
	v->in_tile = 0;
	v->tile_differs = false;
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

/* A fault in a segment that is being written: whether there is a fresh view to look in once more. That one cannot be had is a fault like any. */
static bool again(struct segment_view *view, unsigned *tries)
{
	while (!view->sealed && ++*tries < VERIFY_TRIES)
		if (segment_view_refresh(view) == NULL)
			return true;
	return false;
}

static const char *chunk_check(struct verify *v, const struct record_chunk *chunk, uint64_t *byte)
{
	struct mdbfile_entry entry;
	const char *wrong = "not there";
	unsigned tries = 0;

	*byte = VERIFY_NOWHERE;
	for (size_t i = v->at + 1; i-- > 0;) {
		struct segment_view *view = &v->view[i];

		if (view->file.fd < 0 || chunk->key < view->chunk_first)
			continue;
		do {
			wrong = segment_view_chunk(view, chunk->key, &entry);
			*byte = wrong ? view->file.wrong_at : entry.offset;
			if (!wrong && memcmp(merkle_sha256(entry.value).b, chunk->hash, sizeof chunk->hash) != 0)
				wrong = "not what the record says (SHA-256 differs)";
		} while (wrong && again(view, &tries));
		break;
	}
	return wrong;
}

static void payload_check(struct verify *v, uint64_t index, struct jcs_value list)
{
	struct jcs_value element;
	struct record_chunk chunk;
	struct bytes dir;
	uint64_t number, byte;
	size_t at = 0;

	while (jcs_next(list, &at, NULL, &element)) {
		const char *wrong;

		if (!record_chunk_read(&element, &chunk, &dir, &number)) {
			verify_found(&v->report, VERIFY_RECORD, verify_record(index, VERIFY_NOWHERE), "record %llu names a payload chunk in another form than the format's", ULL(index));
			continue;
		}
		v->summary->chunks++;
		wrong = chunk_check(v, &chunk, &byte);
		if (wrong)
			verify_found(&v->report, VERIFY_RECORD, verify_record(index, byte), "payload chunk %llu of record %llu is %s", ULL(chunk.key), ULL(index), wrong);
	}
}

static void content_check(struct verify *v, uint64_t index, struct bytes record, uint64_t byte)
{
	enum { N, NC, PL, SESS, T, V, MEMBERS };
	static const char *const name[MEMBERS] = { "n", "nc", "pl", "sess", "t", "v" };
	struct jcs_value value = jcs_value_of(record), of[MEMBERS];
	const char *wrong = jcs_check(record, NULL);
	const char *key;
	struct bytes type;
	int64_t n, expected;

	if (wrong) {
		verify_found(&v->report, VERIFY_RECORD, verify_record(index, byte), "record %llu is not canonical: %s", ULL(index), wrong);
		return;
	}
	jcs_pick(value, MEMBERS, name, of);
	if (jcs_read_int(of[V], &n) && n > RECORD_VERSION)
		verify_found(&v->report, VERIFY_RECORD, verify_record(index, byte), "record %llu is of format version %lld, and this program knows %d: verify it with a newer one", ULL(index),
		      (long long)n, RECORD_VERSION);
	if (verify_sessions_count(&v->sessions, &(struct verify_counters){ of[SESS], of[N], of[NC] }, &key, &n, &expected) == VERIFY_COUNT_GAP)
		verify_found(&v->report, VERIFY_RECORD, verify_record(index, byte), "record %llu has counter %s %lld of its session where %lld should follow: records of the session are missing",
		      ULL(index), key, (long long)n, (long long)expected);
	type = jcs_read_plain(of[T]);
	wrong = verify_sessions_totals(&v->sessions, value, type);
	if (wrong)
		verify_found(&v->report, VERIFY_RECORD, verify_record(index, byte), "record %llu is %s", ULL(index), wrong);
	if (bytes_equal(type, bytes_str("journal.prune")) && jcs_read_int(jcs_get(jcs_get(value, "data"), "end"), &n) && n > 0) {
		v->prune_said |= n == (int64_t)v->summary->first;
		v->must = (uint64_t)n > v->must ? (uint64_t)n : v->must;
	}
	if (bytes_equal(type, bytes_str("journal.stamp")) && !verify_stamps_add(&v->stamps, index, value))
		verify_found(&v->report, VERIFY_RECORD, verify_record(index, byte), "record %llu tells of a time stamp, and memory is short: free some", ULL(index));
	payload_check(v, index, of[PL]);
}

struct record_found {
	struct bytes record;
	struct merkle_hash computed, stored;
	const char *wrong, *no_leaf;
	uint64_t byte;
};

/* The record's bytes and its stored leaf; what is wrong with each, or NULL. */
static void record_read(struct verify *v, struct segment_view *view, uint64_t index, struct record_found *out)
{
	struct mdbfile_entry entry = { 0 };

	*out = (struct record_found){ 0 };
	out->no_leaf = segment_view_leaf(view, index, &out->stored, NULL);
	out->wrong = segment_view_entry(view, index, &entry);
	out->byte = out->wrong ? view->file.wrong_at : entry.offset;
	if (!out->wrong)
		out->wrong = record_decode(v->codec, entry.value, v->scratch, &out->record);
	/* A copy: looking again for a chunk may let the mapping go. */
	if (!out->wrong && out->record.base != v->scratch) {
		memcpy(v->scratch, out->record.base, out->record.len);
		out->record.base = v->scratch;
	}
	out->computed = out->wrong ? out->stored : merkle_leaf(out->record);
}

static bool is_sound(const struct record_found *r)
{
	return !r->wrong && !r->no_leaf && merkle_equal(&r->computed, &r->stored);
}

/* In a fresh view, from the record before: a branch that divides its pages wrongly would lead to this one, and no longer to that. */
static void record_read_again(struct verify *v, struct segment_view *view, uint64_t index, struct record_found *out)
{
	struct mdbfile_entry before;
	const char *wrong = index > view->first ? segment_view_entry(view, index - 1, &before) : NULL;

	record_read(v, view, index, out);
	if (wrong && !out->wrong)
		out->wrong = "the one before it is not found by its number";
}

/* One record: its bytes, its stored leaf, its content. Always adds a leaf to the tile. */
static void record_check(struct verify *v, struct segment_view *view, uint64_t index)
{
	struct record_found r;
	unsigned tries = 0;

	record_read(v, view, index, &r);
	while (!is_sound(&r) && again(view, &tries))
		record_read_again(v, view, index, &r);
	if (r.wrong) {
		verify_found(&v->report, VERIFY_RECORD, verify_record(index, r.byte), "record %llu is damaged or missing: %s", ULL(index), r.wrong);
	} else {
		if (r.no_leaf) {
			verify_found(&v->report, VERIFY_RECORD, verify_record(index, r.byte), "record %llu: %s", ULL(index), r.no_leaf);
			r.stored = r.computed;
		} else if (!merkle_equal(&r.computed, &r.stored)) {
			verify_found(&v->report, VERIFY_RECORD, verify_record(index, r.byte), "record %llu was changed: its bytes do not hash to its leaf of the tree", ULL(index));
			v->tile_differs = true;
		}
		content_check(v, index, r.record, r.byte);
	}
	v->computed[v->in_tile] = r.computed;
	v->stored[v->in_tile++] = r.stored;
}

/* --- segments --------------------------------------------------------------------------------------------------------- */

static void restart_tree(struct verify *v, const struct segment_view *view)
{
	v->range = view->range;
	v->in_tile = 0;
	v->index = view->first;
	v->tile_differs = false;
	verify_tiles_begin(&v->tiles, view->first / TILE);
}

/* Chunks are numbered without gaps: where a segment's begin decides in which one a chunk is looked for. */
static void chunks_begin(struct verify *v, struct segment_view *view)
{
	const struct segment_view *before = v->at ? &v->view[v->at - 1] : NULL;
	struct mdbfile_entry entry;
	unsigned tries = 0;
	bool good;

	do {
		struct mdbfile_cursor c = mdbfile_cursor_of(&view->file, &view->chunk);
		enum mdbfile_status status = mdbfile_next(&c, &entry);

		good = status == MDBFILE_END || (status == MDBFILE_OK && entry.key == view->chunk_first);
		if (before && before->file.fd >= 0 && before->end == view->first)
			good &= before->chunk_end == view->chunk_first;
	} while (!good && again(view, &tries));
	if (!good)
		verify_found(&v->report, VERIFY_ORDER, verify_record(view->first, VERIFY_NOWHERE), "segment %llu says that its payload chunks begin with number %llu, and they do not",
		      ULL(view->first), ULL(view->chunk_first));
}

/* Begins a segment; false when it cannot be read. */
static bool segment_begin(struct verify *v, struct segment_view *view, uint64_t named, bool first)
{
	char path[PATH_MAX];
	const char *wrong = segment_view_path(v->options->dir, named, path, sizeof path) ? segment_view_open(view, path) : "a path too long";

	for (unsigned tries = 1; wrong && tries < VERIFY_TRIES; tries++)
		wrong = segment_view_open(view, path);
	v->summary->segments++;
	if (wrong) {
		verify_found(&v->report, VERIFY_ORDER, (struct verify_place){ named, named, view->file.wrong_at }, "segment %llu cannot be read, record %llu is the first that is missing: %s",
		      ULL(named), ULL(named), wrong);
		return false;
	}
	if (view->first != named || named % TILE) {
		verify_found(&v->report, VERIFY_ORDER, verify_range(named, named), "segment %llu says that it begins at record %llu", ULL(named), ULL(view->first));
		segment_view_close(view);
		return false;
	}
	if (v->options->keys && strcmp(view->origin, v->options->keys->name) != 0)
		verify_found(&v->report, VERIFY_ORDER, verify_nowhere, "segment %llu is of another journal, %s", ULL(named), view->origin);
	chunks_begin(v, view);
	if (first) {
		v->summary->first = named;
		restart_tree(v, view);
		return true;
	}
	if (view->first != v->index) {
		uint64_t from = v->index < view->first ? v->index : view->first;

		verify_found(&v->report, VERIFY_ORDER, verify_range(from, (v->index < view->first ? view->first : v->index) - 1),
		      "segment %llu does not follow record %llu: records %llu to %llu are missing or there twice", ULL(named), ULL(v->index),
		      ULL(from), ULL((v->index < view->first ? view->first : v->index) - 1));
		restart_tree(v, view);
	}
	if (v->in_tile == 0 && memcmp(v->range.node, view->range.node, view->range.count * sizeof view->range.node[0]) != 0)
		verify_found(&v->report, VERIFY_ORDER, verify_record(named, VERIFY_NOWHERE), "the tree that segment %llu begins with is not that of the records before it", ULL(named));
	return true;
}

static void segment_walk(struct verify *v, struct segment_view *view)
{
	uint64_t end = view->end;
	bool sealed = view->sealed; /* it may be sealed while it is walked: that is for the next audit */

	if (sealed && view->seal_end > end)
		end = view->seal_end;
	while (v->index < end && !v->report.full) {
		record_check(v, view, v->index++);
		checkpoints_at(v, v->index);
		if (v->in_tile == TILE)
			tile_end(v);
		if (v->options->progress && v->index % 65536 == 0 && !v->options->progress(v->options->ctx, v->index, v->file.size > v->index ? v->file.size : v->index))
			v->report.full = true;
	}
	if (sealed && !v->report.full && v->anchored) {
		struct merkle_hash root = root_here(v, v->index, v->computed);

		if (view->seal_end != v->index || (!merkle_equal(&root, &view->seal_root) && !v->summary->findings))
			verify_found(&v->report, VERIFY_ORDER, verify_range(view->first, v->index ? v->index - 1 : 0),
			      "segment %llu, records %llu to %llu, is not what its seal says", ULL(view->first), ULL(view->first), ULL(v->index - 1));
	}
}

/* --- the whole -------------------------------------------------------------------------------------------------------- */

/* The keys that the given one is connected with. What cannot be read for it, the walk names. */
static void load_keys(struct verify *v)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(v->options->dir, err);
	const char *wrong = a ? key_list_load(a, v->options->keys, &v->keys) : NULL;

	if (!a)
		v->keys = (struct key_list){ 1, { { .keys = *v->options->keys, .end = UINT64_MAX } } };
	if (wrong)
		verify_found(&v->report, VERIFY_CHECKPOINT, verify_nowhere, "the log's keys: %s", wrong);
	v->summary->keys = v->keys.count;
	archive_close(a);
}

static bool file_read(struct verify *v)
{
	char path[PATH_MAX];
	ssize_t got;
	int fd;

	v->file_note_len = 0;
	snprintf(path, sizeof path, "%s/checkpoint", v->options->dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	got = read(fd, v->file_note, sizeof v->file_note);
	close(fd);
	v->file_note_len = got > 0 ? (size_t)got : 0;
	return true;
}

static void load_checkpoint_file(struct verify *v)
{
	char path[PATH_MAX];
	struct stat st;
	const char *wrong;

	snprintf(path, sizeof path, "%s/tile", v->options->dir);
	v->has_tiles = stat(path, &st) == 0;
	if (!file_read(v)) {
		if (v->next.size != UINT64_MAX)
			verify_found(&v->report, VERIFY_CHECKPOINT, verify_nowhere, "the file checkpoint is missing");
		return;
	}
	wrong = checkpoint_parse(bytes_of(v->file_note, v->file_note_len), true, &v->file, NULL);
	if (wrong)
		verify_found(&v->report, VERIFY_CHECKPOINT, verify_nowhere, "the file checkpoint is %s", wrong);
}

/* The file is written right after the spine: beside a writer it may be a moment behind. */
static void file_follows(struct verify *v)
{
	const struct timespec moment = { .tv_nsec = 20000000 };
	struct checkpoint c;

	for (unsigned tries = 0; tries < VERIFY_WAITS && v->at_start.newest != UINT64_MAX; tries++) {
		if (file_read(v) && checkpoint_parse(bytes_of(v->file_note, v->file_note_len), true, &c, NULL) == NULL && c.size >= v->at_start.newest)
			break;
		nanosleep(&moment, NULL);
	}
	load_checkpoint_file(v);
}

/* Checkpoints for more records than there are: the tail was cut. */
static void tail_check(struct verify *v)
{
	uint64_t signed_size = v->file.size;

	while (v->next.size != UINT64_MAX) {
		if (v->next.size > v->index && v->next.size > signed_size)
			signed_size = v->next.size;
		checkpoint_next(v);
	}
	if (signed_size > v->index)
		verify_found(&v->report, VERIFY_ORDER, verify_range(v->index, signed_size - 1),
		      "records %llu to %llu are missing: a checkpoint of %llu records was signed", ULL(v->index), ULL(signed_size - 1),
		      ULL(signed_size));
	else if (v->index / TILE * TILE < v->file.size && v->file.size % TILE && v->file.size / TILE == v->index / TILE && v->anchored)
		tile_published(v, (unsigned)(v->file.size % TILE));
	if (!v->anchored)
		return;
	verify_tiles_end(&v->tiles);
}

/* Once more when the checkpoints are known: beside a writer a segment may have begun meanwhile, and what was signed of it would be missing. */
static void list_segments(struct verify *v)
{
	segment_list_free(&v->report.list);
	if (!segment_list_read(&v->report.list, v->options->dir) || v->report.list.count == 0)
		verify_found(&v->report, VERIFY_ORDER, verify_nowhere, "%.300s holds no segment of a journal", v->options->dir);
	v->view = calloc(v->report.list.count + 1, sizeof *v->view);
	for (size_t i = 0; v->view && i < v->report.list.count; i++)
		v->view[i].file.fd = -1;
}

static void walk(struct verify *v)
{
	bool first = true;

	for (v->at = 0; v->at < v->report.list.count && !v->report.full; v->at++) {
		struct segment_view *view = &v->view[v->at];

		if (!segment_begin(v, view, v->report.list.first[v->at], first)) {
			v->anchored = false;
			first = false;
			continue;
		}
		/* A tree that begins at 0, or at a segment that says how it begins, which every later checkpoint proves or refutes. */
		v->anchored = true;
		first = false;
		if (!view->sealed && v->at + 1 < v->report.list.count)
			verify_found(&v->report, VERIFY_ORDER, verify_range(view->first, view->end ? view->end - 1 : 0), "segment %llu has no seal, and another one follows it", ULL(view->first));
		segment_walk(v, view);
	}
	if (!v->report.full && v->summary->first && !v->prune_said)
		verify_found(&v->report, VERIFY_ORDER, verify_range(0, v->summary->first - 1),
		      "records 0 to %llu are missing, and no journal.prune record says that they were pruned", ULL(v->summary->first - 1));
	if (!v->report.full)
		tail_check(v);
	if (!v->report.full)
		verify_spine_end(&v->at_start, &v->report, &v->spine, v->index, bytes_of(v->file_note, v->file_note_len), v->file.size, v->must);
}

bool verify_journal(const struct verify_options *options, struct verify_summary *summary)
{
	struct verify *v = calloc(1, sizeof *v);
	const char *wrong = NULL;

	*summary = (struct verify_summary){ .signatures_checked = options->keys != NULL };
	if (!v || (v->codec = record_codec_create()) == NULL) {
		free(v);
		summary->findings = 1;
		return false;
	}
	v->options = options;
	v->summary = summary;
	v->report = (struct verify_report){ .options = options, .summary = summary, .stamps = &v->stamps };
	v->next.size = UINT64_MAX;
	(void)segment_list_read(&v->report.list, options->dir); /* for what is found before the walk */
	if (options->keys)
		load_keys(v);
	wrong = spine_view_open(&v->spine, options->dir);
	if (v->spine.open) {
		verify_spine_begin(&v->at_start, &v->report, &v->spine, options->keys ? options->keys->name : NULL);
		checkpoint_next(v);
	}
	file_follows(v);
	list_segments(v);
	if (wrong && v->report.list.count)
		verify_found(&v->report, VERIFY_ORDER, (struct verify_place){ VERIFY_NOWHERE, VERIFY_NOWHERE, v->spine.file.wrong_at }, "the spine cannot be read: %s", wrong);
	v->tiles = (struct verify_tiles){ .dir = options->dir, .spine = &v->spine, .published = v->has_tiles ? v->file.size : 0, .ctx = v, .wrong = tile_wrong };
	verify_sessions_init(&v->sessions, v->report.list.count && v->report.list.first[0] > 0);
	if (v->view)
		walk(v);
	if (!v->report.full)
		verify_kept(&v->report, options->keys ? &v->keys : NULL, v->index, &(struct checkpoint){ .size = v->good_size, .root = v->good_root });
	summary->size = v->index;
	summary->covered = v->good_size;
	summary->sessions = v->sessions.used;
	if (v->view && v->report.list.count)
		summary->root = root_here(v, v->index, v->computed);
	for (size_t i = 0; v->view && i < v->report.list.count; i++)
		segment_view_close(&v->view[i]);
	spine_view_close(&v->spine);
	segment_list_free(&v->report.list);
	verify_sessions_free(&v->sessions);
	verify_stamps_free(&v->stamps);
	record_codec_destroy(v->codec);
	free(v->view);
	free(v);
	return summary->findings == 0;
}
