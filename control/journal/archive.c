/* A journal directory as one run of records. The list of segments is contiguous or the archive does not open; each record is
 * compared with its stored leaf hash before it is handed out. Subtree hashes come from leaf hashes below height 8 and from the
 * spine above, and where the spine has none, from the two halves.
 *
 * Beside a writer: LMDB uses a page again two commits after it was replaced, and we hold no reader slot. So a fault in the newest
 * segment or in the spine may only mean that our view is old: it counts when it is still there in a fresh view (TRIES).
 */
#include "control/journal/archive.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/journal/proof.h"
#include "control/journal/search_index.h"
#include "control/journal/segment_list.h"
#include "control/journal/segment_view.h"
#include "control/journal/spine_view.h"
#include "control/journal/tiles.h"
#include "platform/base/secret.h"

#define TRIES 64

struct archive {
	char dir[PATH_MAX];
	struct segment_view **segment; /* each stays where it is: its cursor points into it */
	size_t segments;
	struct spine_view spine;
	struct record_codec *codec;
	struct search_index *index; /* NULL: not used */
	bool has_tile;             /* of pruned records */
	uint64_t tile_number;
	struct merkle_hash tile[TILES_WIDTH];
	char wrong[ARCHIVE_ERROR_BYTES];
	uint8_t record[RECORD_BYTES_MAX];
	uint8_t chunk[RECORD_CHUNK_BYTES_MAX];
};

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static const char *view_open(const struct archive *a, uint64_t first, struct segment_view *v)
{
	char path[PATH_MAX];

	return segment_view_path(a->dir, first, path, sizeof path) ? segment_view_open(v, path) : "a path too long";
}

static bool segment_add(struct archive *a, uint64_t first, char err[ARCHIVE_ERROR_BYTES])
{
	const uint64_t expected = a->segments ? archive_size(a) : first;
	struct segment_view **grown = realloc(a->segment, (a->segments + 1) * sizeof(*grown));
	struct segment_view *v = calloc(1, sizeof(*v));
	const char *wrong = grown && v ? view_open(a, first, v) : "out of memory";

	a->segment = grown ? grown : a->segment;
	if (wrong) {
		snprintf(err, ARCHIVE_ERROR_BYTES, "segment %llu: %s (byte %llu of data.mdb)", (unsigned long long)first, wrong,
			 (unsigned long long)(v ? v->file.wrong_at : 0));
	} else if (v->first != first || expected != first) {
		segment_view_close(v);
		snprintf(err, ARCHIVE_ERROR_BYTES, "segment %llu does not follow record %llu: records are missing",
			 (unsigned long long)first, (unsigned long long)expected);
	} else {
		a->segment[a->segments++] = v;
		return true;
	}
	free(v);
	return false;
}

static bool refresh_once(struct archive *a, char err[ARCHIVE_ERROR_BYTES])
{
	struct segment_list list;
	bool ok = true;

	if (!segment_list_read(&list, a->dir)) {
		snprintf(err, ARCHIVE_ERROR_BYTES, "%.200s/seg cannot be read", a->dir);
		return false;
	}
	if (list.count == 0) {
		snprintf(err, ARCHIVE_ERROR_BYTES, "%.200s holds no segment", a->dir);
		ok = false;
	}
	/* A sealed segment does not change; the newest one may have grown, or been sealed with new ones behind it. */
	if (ok && a->segments && !a->segment[a->segments - 1]->sealed) {
		struct segment_view *last = a->segment[a->segments - 1];
		const char *wrong = segment_view_refresh(last);

		if (wrong) {
			snprintf(err, ARCHIVE_ERROR_BYTES, "segment %llu: %s (byte %llu of data.mdb)", (unsigned long long)last->first,
				 wrong, (unsigned long long)last->file.wrong_at);
			ok = false;
		}
	}
	for (size_t i = 0; ok && i < list.count; i++)
		if (a->segments == 0 || list.first[i] > a->segment[a->segments - 1]->first)
			ok = segment_add(a, list.first[i], err);
	segment_list_free(&list);
	if (a->spine.open)
		(void)spine_view_refresh(&a->spine);
	else
		(void)spine_view_open(&a->spine, a->dir);
	return ok;
}

bool archive_refresh(struct archive *a, char err[ARCHIVE_ERROR_BYTES])
{
	for (unsigned tries = 1; tries < TRIES; tries++)
		if (refresh_once(a, err))
			return true;
	return refresh_once(a, err);
}

struct archive *archive_open(const char *dir, char err[ARCHIVE_ERROR_BYTES])
{
	struct archive *a = calloc(1, sizeof *a);

	err[0] = 0;
	if (a)
		a->spine.file.fd = -1;
	if (!a || (a->codec = record_codec_create()) == NULL ||
	    (size_t)snprintf(a->dir, sizeof a->dir, "%s", dir) >= sizeof a->dir - 64) {
		snprintf(err, ARCHIVE_ERROR_BYTES, "out of memory, or a path too long");
		archive_close(a);
		return NULL;
	}
	if (!archive_refresh(a, err)) {
		archive_close(a);
		return NULL;
	}
	return a;
}

void archive_close(struct archive *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < a->segments; i++) {
		segment_view_close(a->segment[i]);
		free(a->segment[i]);
	}
	secret_wipe(a->chunk, sizeof a->chunk);
	free(a->segment);
	spine_view_close(&a->spine);
	record_codec_destroy(a->codec);
	search_index_close(a->index);
	free(a);
}

bool archive_use_index(struct archive *a)
{
	if (!a->index)
		a->index = search_index_open(a->dir);
	return a->index != NULL;
}

struct search_index *archive_index(const struct archive *a)
{
	return a->index;
}

uint64_t archive_first(const struct archive *a)
{
	return a->segment[0]->first;
}

uint64_t archive_size(const struct archive *a)
{
	return a->segment[a->segments - 1]->end;
}

const struct segment_view *archive_newest(const struct archive *a)
{
	return a->segment[a->segments - 1];
}

const struct segment_view *archive_segment(const struct archive *a, size_t number)
{
	return number < a->segments ? a->segment[number] : NULL;
}

/* --- records and chunks ----------------------------------------------------------------------------------------------- */

static struct segment_view *segment_of(struct archive *a, uint64_t index)
{
	size_t low = 0, high = a->segments;

	if (index < archive_first(a) || index >= archive_size(a))
		return NULL;
	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (a->segment[middle]->first <= index)
			low = middle;
		else
			high = middle;
	}
	return a->segment[low];
}

static const char *broken(struct archive *a, const struct segment_view *v, const char *what, uint64_t number, const char *wrong,
			  uint64_t offset)
{
	snprintf(a->wrong, sizeof a->wrong, "%s %llu: %s (segment %llu, byte %llu of data.mdb)", what, (unsigned long long)number, wrong,
		 (unsigned long long)v->first, (unsigned long long)offset);
	return a->wrong;
}

/* A fault in the spine beside a writer: once more in a fresh view, until TRIES are used up. That one cannot be had is a fault like any. */
static bool spine_again(struct archive *a, unsigned *tries)
{
	while (a->spine.file.wrong && ++*tries < TRIES)
		if (spine_view_refresh(&a->spine) == NULL)
			return true;
	return false;
}

/* Whether a fault in this segment may be gone in a fresh view, which it then gets. */
static bool again(struct archive *a, struct segment_view *v, unsigned *tries)
{
	if (v->sealed || v != a->segment[a->segments - 1] || ++*tries >= TRIES)
		return false;
	(void)segment_view_refresh(v);
	return true;
}

static const char *read_once(struct archive *a, struct segment_view *v, uint64_t index, struct bytes *record)
{
	struct merkle_hash want, leaf;
	struct mdbfile_entry entry;
	const char *wrong;

	*record = (struct bytes){ 0 };
	wrong = segment_view_entry(v, index, &entry);
	if (wrong)
		return broken(a, v, "record", index, wrong, v->file.wrong_at);
	wrong = record_decode(a->codec, entry.value, a->record, record);
	if (wrong)
		return broken(a, v, "record", index, wrong, entry.offset);
	/* A copy: it holds whatever is read next but another record. */
	if (record->base != a->record) {
		memcpy(a->record, record->base, record->len);
		record->base = a->record;
	}
	leaf = merkle_leaf(*record);
	wrong = segment_view_leaf(v, index, &want, NULL);
	if (!wrong && !merkle_equal(&leaf, &want))
		wrong = "its bytes do not hash to its leaf of the tree";
	if (wrong) {
		*record = (struct bytes){ 0 };
		return broken(a, v, "record", index, wrong, entry.offset);
	}
	return NULL;
}

const char *archive_read(struct archive *a, uint64_t index, struct bytes *record)
{
	struct segment_view *v = segment_of(a, index);
	const char *wrong;
	unsigned tries = 0;

	*record = (struct bytes){ 0 };
	if (!v) {
		snprintf(a->wrong, sizeof a->wrong, "record %llu: not in this journal", (unsigned long long)index);
		return a->wrong;
	}
	do
		wrong = read_once(a, v, index, record);
	while (wrong && again(a, v, &tries));
	return wrong;
}

const char *archive_chunk_stored(struct archive *a, uint64_t key, const uint8_t hash[32], struct bytes *stored)
{
	struct segment_view *v = NULL;
	struct mdbfile_entry entry;
	const char *wrong;
	unsigned tries = 0;

	*stored = (struct bytes){ 0 };
	for (size_t i = 0; i < a->segments && !v; i++)
		if (key >= a->segment[i]->chunk_first && key < a->segment[i]->chunk_end)
			v = a->segment[i];
	if (!v) {
		snprintf(a->wrong, sizeof a->wrong, "chunk %llu: not in this journal", (unsigned long long)key);
		return a->wrong;
	}
	do {
		wrong = segment_view_chunk(v, key, &entry);
		if (!wrong && hash && memcmp(merkle_sha256(entry.value).b, hash, 32) != 0)
			wrong = "its bytes do not hash to what the record says";
	} while (wrong && again(a, v, &tries));
	if (wrong)
		return broken(a, v, "chunk", key, wrong, entry.offset ? entry.offset : v->file.wrong_at);
	*stored = entry.value;
	return NULL;
}

static const char *chunk_read(struct archive *a, const struct record_chunk *chunk, const uint8_t *hash, const struct record_seal *seal, struct bytes *payload)
{
	struct writer w = writer_of(a->chunk, sizeof a->chunk);
	struct bytes stored;
	const char *wrong = archive_chunk_stored(a, chunk->key, hash, &stored);

	*payload = (struct bytes){ 0 };
	if (wrong)
		return wrong;
	wrong = seal ? record_chunk_unseal(a->codec, seal, stored, &w) : record_chunk_decode(a->codec, stored, &w);
	if (wrong) {
		snprintf(a->wrong, sizeof a->wrong, "chunk %llu: %s", (unsigned long long)chunk->key, wrong);
		return a->wrong;
	}
	*payload = writer_done(&w);
	return NULL;
}

const char *archive_chunk(struct archive *a, uint64_t key, const uint8_t hash[32], struct bytes *payload)
{
	struct record_chunk chunk = { .key = key };

	if (!hash)
		return chunk_read(a, &chunk, NULL, NULL, payload);
	memcpy(chunk.hash, hash, sizeof chunk.hash);
	return chunk_read(a, &chunk, chunk.hash, NULL, payload);
}

const char *archive_payload(struct archive *a, const struct record_chunk *chunk, const struct record_seal *seal, struct bytes *payload)
{
	*payload = (struct bytes){ 0 };
	if (chunk->sealed && !seal) {
		snprintf(a->wrong, sizeof a->wrong, "chunk %llu: sealed, and its session's key is not here: it was destroyed, or never given",
			 (unsigned long long)chunk->key);
		return a->wrong;
	}
	return chunk_read(a, chunk, chunk->hash, chunk->sealed ? seal : NULL, payload);
}

/* --- the tree --------------------------------------------------------------------------------------------------------- */

/* The tile of a pruned record, read once for its 256 neighbours. */
static bool pruned_leaf(struct archive *a, uint64_t index, struct merkle_hash *out)
{
	uint64_t number = index / TILES_WIDTH;
	char name[TILES_PATH_MAX], path[PATH_MAX + TILES_PATH_MAX];
	struct merkle_hash want, is;
	FILE *f;

	if (!a->has_tile || a->tile_number != number) {
		a->has_tile = false;
		if (!tiles_path(0, number, TILES_WIDTH, name))
			return false;
		snprintf(path, sizeof path, "%s/%s", a->dir, name);
		f = fopen(path, "re");
		if (!f)
			return false;
		a->has_tile = fread(a->tile, 1, sizeof a->tile, f) == sizeof a->tile;
		fclose(f);
		is = merkle_root_of(a->tile, TILES_WIDTH);
		a->has_tile = a->has_tile && spine_view_hash(&a->spine, 0, number, &want) && merkle_equal(&want, &is);
		a->tile_number = number;
	}
	if (a->has_tile)
		*out = a->tile[index % TILES_WIDTH];
	return a->has_tile;
}

bool archive_leaf(struct archive *a, uint64_t index, struct merkle_hash *out)
{
	struct segment_view *v = segment_of(a, index);
	unsigned tries = 0;

	*out = (struct merkle_hash){ 0 };
	if (index < archive_first(a))
		return pruned_leaf(a, index, out);
	while (v && segment_view_leaf(v, index, out, NULL) != NULL)
		if (!again(a, v, &tries))
			return false;
	return v != NULL;
}

static bool source_get(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out)
{
	struct archive *a = ctx;
	struct merkle_hash left, right;

	if (height == 0)
		return archive_leaf(a, number, out);
	if (height % 8 == 0 && spine_view_hash(&a->spine, height / 8 - 1, number, out))
		return true;
	if (height > 62 || number >> (62 - height) || !source_get(ctx, height - 1, 2 * number, &left) ||
	    !source_get(ctx, height - 1, 2 * number + 1, &right))
		return false;
	*out = merkle_node(&left, &right);
	return true;
}

struct merkle_source archive_source(struct archive *a)
{
	return (struct merkle_source){ .ctx = a, .get = source_get };
}

bool archive_checkpoint(struct archive *a, uint64_t at_least, uint64_t at_most, uint64_t *size, struct bytes *note)
{
	struct mdbfile_entry entry;

	unsigned tries = 0;

	*size = 0;
	*note = (struct bytes){ 0 };
	while (!spine_view_checkpoint(&a->spine, at_most, &entry))
		if (!spine_again(a, &tries))
			return false;
	if (entry.key < at_least)
		return false;
	*size = entry.key;
	*note = entry.value;
	return true;
}

bool archive_checkpoint_after(struct archive *a, uint64_t index, uint64_t *size, struct bytes *note)
{
	struct mdbfile_cursor c;
	struct mdbfile_entry entry;
	enum mdbfile_status status;

	*size = 0;
	*note = (struct bytes){ 0 };
	if (!a->spine.open)
		return false;
	c = mdbfile_cursor_of(&a->spine.file, &a->spine.checkpoint);
	status = mdbfile_floor(&c, index, &entry);
	if (status == MDBFILE_END)
		c = mdbfile_cursor_of(&a->spine.file, &a->spine.checkpoint);
	if (status == MDBFILE_BAD || mdbfile_next(&c, &entry) != MDBFILE_OK || entry.key <= index)
		return false;
	*size = entry.key;
	*note = entry.value;
	return true;
}

_Static_assert((int)ARCHIVE_TOKEN == (int)SPINE_TOKEN && (int)ARCHIVE_COSIGNATURE == (int)SPINE_COSIGNATURE, "one number for one kind");

bool archive_anchored(struct archive *a, enum archive_anchor kind, uint64_t at_most, uint64_t *size)
{
	unsigned tries = 0;

	while (!spine_view_anchored(&a->spine, (enum spine_anchor)kind, at_most, size))
		if (!spine_again(a, &tries))
			return false;
	return true;
}

bool archive_anchored_after(struct archive *a, enum archive_anchor kind, uint64_t index, uint64_t *size)
{
	unsigned tries = 0;

	while (!spine_view_anchored_above(&a->spine, (enum spine_anchor)kind, index, size))
		if (!spine_again(a, &tries))
			return false;
	return true;
}

bool archive_anchor(struct archive *a, enum archive_anchor kind, uint64_t size, unsigned number, struct bytes *value)
{
	unsigned tries = 0;

	while (!spine_view_anchor(&a->spine, (enum spine_anchor)kind, size, number, value))
		if (!spine_again(a, &tries))
			return false;
	return true;
}

const char *archive_dir(const struct archive *a)
{
	return a->dir;
}

static const char *proof_once(struct archive *a, uint64_t index, const struct checkpoint *c, struct merkle_proof *proof)
{
	struct merkle_source source = archive_source(a);
	struct merkle_hash leaf;

	if (!archive_leaf(a, index, &leaf) || !merkle_prove_inclusion(&source, index, c->size, proof))
		return "the hashes for the proof are not all there";
	return merkle_check_inclusion(&leaf, index, c->size, proof, &c->root) ? NULL : "the stored hashes do not lead to the checkpoint's root";
}

const char *archive_proof(struct archive *a, uint64_t index, struct bytes note, struct writer *out)
{
	/* The note may be a view into the spine, which trying again lets go. */
	uint8_t copy[CHECKPOINT_BYTES_MAX];
	char err[ARCHIVE_ERROR_BYTES];
	struct merkle_proof proof;
	struct checkpoint c;
	const char *wrong = checkpoint_parse(note, true, &c, NULL);

	if (wrong)
		return wrong;
	if (index >= c.size)
		return "the record is newer than the checkpoint";
	memcpy(copy, note.base, note.len);
	wrong = proof_once(a, index, &c, &proof);
	for (unsigned tries = 1; wrong && tries < TRIES && archive_refresh(a, err); tries++)
		wrong = proof_once(a, index, &c, &proof);
	if (wrong)
		return wrong;
	return proof_write(index, &proof, bytes_of(copy, note.len), out) ? NULL : "no room for the proof";
}
