#include "control/journal/segment_view.h"

#include <limits.h>
#include <stdio.h>

#define NO_KEY UINT64_MAX
#define SEGMENT_NEWER "a segment of a newer format version than this program knows: use the program that wrote it, or a newer one"

bool segment_view_path(const char *dir, uint64_t first, char *out, size_t cap)
{
	return (size_t)snprintf(out, cap, "%s/seg/%020llu", dir, (unsigned long long)first) < cap;
}

static const char *not_there(enum mdbfile_status status, const struct segment_view *v)
{
	if (status == MDBFILE_OK)
		return NULL;
	return status == MDBFILE_END ? "not there" : v->file.wrong;
}

/* The database's range of keys: [first, end), empty at `first`. */
static const char *keys_end(struct segment_view *v, const struct mdbfile_db *db, uint64_t first, uint64_t *end)
{
	struct mdbfile_cursor c = mdbfile_cursor_of(&v->file, db);
	struct mdbfile_entry entry;
	enum mdbfile_status status = mdbfile_floor(&c, NO_KEY, &entry);

	*end = first;
	if (status == MDBFILE_BAD)
		return v->file.wrong;
	if (status == MDBFILE_OK) {
		if (entry.key < first || entry.key >= NO_KEY - 1)
			return "a key before the segment's first";
		*end = entry.key + 1;
	}
	return NULL;
}

static bool meta_one(struct segment_view *v, const struct mdbfile_entry *entry)
{
	struct reader r = reader_of_bytes(entry->value);

	switch (entry->key) {
	case SEGMENT_META_VERSION:
		v->version = reader_be64(&r);
		return v->version >= SEGMENT_VERSION_OLDEST && v->version <= SEGMENT_VERSION && r.ok && !r.left;
	case SEGMENT_META_FIRST:
		v->first = reader_be64(&r);
		break;
	case SEGMENT_META_CHUNK:
		v->chunk_first = reader_be64(&r);
		break;
	case SEGMENT_META_CREATED:
		v->created_us = reader_be64(&r);
		break;
	case SEGMENT_META_ORIGIN:
		if (r.left >= sizeof v->origin)
			return false;
		memcpy(v->origin, r.at, r.left);
		v->origin[r.left] = 0;
		return checkpoint_origin_ok(v->origin);
	case SEGMENT_META_RANGE:
		for (v->range.count = 0; r.ok && r.left && v->range.count < 64; v->range.count++) {
			struct bytes hash = reader_bytes(&r, MERKLE_HASH_BYTES);

			if (r.ok)
				memcpy(v->range.node[v->range.count].b, hash.base, hash.len);
		}
		break;
	case SEGMENT_META_SEAL: {
		struct bytes root;

		v->seal_end = reader_be64(&r);
		root = reader_bytes(&r, MERKLE_HASH_BYTES);
		v->seal_us = reader_be64(&r);
		if (r.ok)
			memcpy(v->seal_root.b, root.base, root.len);
		v->sealed = true;
		break;
	}
	default:
		if (entry->key < SEGMENT_META_CURSOR || entry->key >= SEGMENT_META_CURSOR + SEGMENT_CURSORS)
			return true;
		v->cursor[entry->key - SEGMENT_META_CURSOR] = reader_be64(&r);
	}
	return r.ok && !r.left;
}

static const char *meta_load(struct segment_view *v)
{
	struct mdbfile_cursor c = mdbfile_cursor_of(&v->file, &v->meta);
	struct mdbfile_entry entry;
	enum mdbfile_status status;
	unsigned needed = 0;

	while ((status = mdbfile_next(&c, &entry)) == MDBFILE_OK) {
		if (entry.key >= SEGMENT_META_VERSION && entry.key <= SEGMENT_META_RANGE)
			needed |= 1u << entry.key;
		if (!meta_one(v, &entry)) {
			v->file.wrong_at = entry.offset;
			return v->version > SEGMENT_VERSION ? SEGMENT_NEWER : "a segment's meta entry that is none";
		}
	}
	if (status == MDBFILE_BAD)
		return v->file.wrong;
	if (needed != 0x7e)
		return "a segment whose meta entries are not all there";
	v->range.size = v->first;
	if ((unsigned)__builtin_popcountll(v->first) != v->range.count)
		return "a segment whose tree does not fit its first index";
	return NULL;
}

/* Those of its version, and no other: one under another name would be one that nobody looks for. */
static const char *databases(struct segment_view *v)
{
	struct mdbfile_db kept;
	enum mdbfile_status status = mdbfile_db(&v->file, "kept", &kept);

	if (status == MDBFILE_BAD)
		return v->file.wrong;
	/* Version 1 began without `kept`. */
	if ((status == MDBFILE_END && v->version > 1) || v->file.main_entries != (status == MDBFILE_OK ? 5 : 4))
		return "a segment with other databases than its format version has";
	return NULL;
}

const char *segment_view_refresh(struct segment_view *v)
{
	const char *wrong;
	enum mdbfile_status status;

	v->run = (struct bytes){ 0 };
	v->at_next = NO_KEY;
	if (!mdbfile_refresh(&v->file))
		return v->file.wrong;
	if ((status = mdbfile_db(&v->file, "entry", &v->entry)) != MDBFILE_OK ||
	    (status = mdbfile_db(&v->file, "chunk", &v->chunk)) != MDBFILE_OK ||
	    (status = mdbfile_db(&v->file, "tile0", &v->tile0)) != MDBFILE_OK ||
	    (status = mdbfile_db(&v->file, "meta", &v->meta)) != MDBFILE_OK)
		return status == MDBFILE_END ? "a segment without its databases" : v->file.wrong;
	if ((wrong = meta_load(v)) != NULL || (wrong = databases(v)) != NULL || (wrong = keys_end(v, &v->entry, v->first, &v->end)) != NULL)
		return wrong;
	return keys_end(v, &v->chunk, v->chunk_first, &v->chunk_end);
}

const char *segment_view_open(struct segment_view *v, const char *dir)
{
	char path[PATH_MAX];
	const char *wrong;

	*v = (struct segment_view){ .file.fd = -1 };
	if ((size_t)snprintf(path, sizeof path, "%s/" SEGMENT_FILE, dir) >= sizeof path)
		return "a path too long";
	if (!mdbfile_open(&v->file, path))
		return v->file.wrong;
	wrong = segment_view_refresh(v);
	if (wrong) {
		uint64_t at = v->file.wrong_at;

		segment_view_close(v);
		v->file.wrong_at = at;
	}
	return wrong;
}

void segment_view_close(struct segment_view *v)
{
	mdbfile_close(&v->file);
}

const char *segment_view_entry(struct segment_view *v, uint64_t index, struct mdbfile_entry *entry)
{
	enum mdbfile_status status;

	if (v->at_next == index) {
		status = mdbfile_next(&v->at, entry);
	} else {
		v->at = mdbfile_cursor_of(&v->file, &v->entry);
		status = mdbfile_floor(&v->at, index, entry);
	}
	v->at_next = status == MDBFILE_OK ? entry->key + 1 : NO_KEY;
	if (status == MDBFILE_OK && entry->key != index) {
		/* The next one in order stands behind a gap: the cursor has moved past `index`. */
		v->at_next = NO_KEY;
		status = MDBFILE_END;
	}
	return not_there(status, v);
}

const char *segment_view_chunk(struct segment_view *v, uint64_t number, struct mdbfile_entry *entry)
{
	return not_there(mdbfile_get(&v->file, &v->chunk, number, entry), v);
}

const char *segment_view_leaf(struct segment_view *v, uint64_t index, struct merkle_hash *out, uint64_t *offset)
{
	uint64_t slot = index - v->run_first;

	*out = (struct merkle_hash){ 0 };
	if (v->run.len == 0 || index < v->run_first || slot >= v->run.len / MERKLE_HASH_BYTES) {
		struct mdbfile_cursor c = mdbfile_cursor_of(&v->file, &v->tile0);
		struct mdbfile_entry entry;
		enum mdbfile_status status = mdbfile_floor(&c, index, &entry);

		v->run = (struct bytes){ 0 };
		if (status != MDBFILE_OK)
			return status == MDBFILE_END ? "no leaf hash is stored for it" : v->file.wrong;
		slot = index - entry.key;
		if (entry.value.len % MERKLE_HASH_BYTES || slot >= entry.value.len / MERKLE_HASH_BYTES)
			return "no leaf hash is stored for it";
		v->run_first = entry.key;
		v->run = entry.value;
		v->run_offset = entry.offset;
	}
	memcpy(out->b, v->run.base + slot * MERKLE_HASH_BYTES, MERKLE_HASH_BYTES);
	if (offset)
		*offset = v->run_offset + slot * MERKLE_HASH_BYTES;
	return NULL;
}

const char *segment_view_kept(struct segment_view *v, bool (*visit)(void *ctx, uint64_t key, struct bytes value), void *ctx)
{
	struct mdbfile_db kept;
	struct mdbfile_cursor c;
	struct mdbfile_entry entry;
	enum mdbfile_status status = mdbfile_db(&v->file, "kept", &kept);

	if (status != MDBFILE_OK)
		return status == MDBFILE_END ? NULL : v->file.wrong;
	c = mdbfile_cursor_of(&v->file, &kept);
	while ((status = mdbfile_next(&c, &entry)) == MDBFILE_OK) {
		if (visit(ctx, entry.key, entry.value))
			continue;
		v->file.wrong_at = entry.offset;
		return "a kept value that is none";
	}
	return status == MDBFILE_BAD ? v->file.wrong : NULL;
}
