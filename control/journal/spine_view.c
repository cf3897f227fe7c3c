#include "control/journal/spine_view.h"

#include <limits.h>
#include <stdio.h>

const char *spine_view_refresh(struct spine_view *v)
{
	enum mdbfile_status status = MDBFILE_OK;
	uint64_t known = SPINE_LEVELS + 2;

	v->open = false;
	if (!mdbfile_refresh(&v->file))
		return v->file.wrong;
	for (unsigned level = 0; status == MDBFILE_OK && level < SPINE_LEVELS; level++) {
		char name[16];

		snprintf(name, sizeof name, "level%u", level);
		status = mdbfile_db(&v->file, name, &v->level[level]);
	}
	if (status == MDBFILE_OK)
		status = mdbfile_db(&v->file, "checkpoint", &v->checkpoint);
	if (status == MDBFILE_OK)
		status = mdbfile_db(&v->file, "meta", &v->meta);
	for (unsigned kind = 0; status == MDBFILE_OK && kind < SPINE_ANCHORS; kind++) {
		status = mdbfile_db(&v->file, spine_anchor_names[kind], &v->anchor[kind]);
		v->has_anchors[kind] = status == MDBFILE_OK;
		known += v->has_anchors[kind];
		if (status == MDBFILE_END) {
			v->anchor[kind] = (struct mdbfile_db){ .root = UINT64_MAX };
			status = MDBFILE_OK;
		}
	}
	if (status != MDBFILE_OK)
		return status == MDBFILE_END ? "a spine without its databases" : v->file.wrong;
	if (v->file.main_entries != known)
		return "a spine with a database that is none of the format's";
	v->open = true;
	return NULL;
}

const char *spine_view_open(struct spine_view *v, const char *dir)
{
	char path[PATH_MAX];
	const char *wrong;

	*v = (struct spine_view){ .file.fd = -1 };
	if ((size_t)snprintf(path, sizeof path, "%s/spine/data.mdb", dir) >= sizeof path)
		return "a path too long";
	if (!mdbfile_open(&v->file, path))
		return v->file.wrong;
	wrong = spine_view_refresh(v);
	if (wrong)
		spine_view_close(v);
	return wrong;
}

void spine_view_close(struct spine_view *v)
{
	mdbfile_close(&v->file);
	v->open = false;
}

bool spine_view_hash(struct spine_view *v, unsigned level, uint64_t number, struct merkle_hash *out)
{
	struct mdbfile_entry entry;

	*out = (struct merkle_hash){ 0 };
	if (!v->open || level >= SPINE_LEVELS || mdbfile_get(&v->file, &v->level[level], number, &entry) != MDBFILE_OK ||
	    entry.value.len != MERKLE_HASH_BYTES)
		return false;
	memcpy(out->b, entry.value.base, MERKLE_HASH_BYTES);
	return true;
}

bool spine_view_checkpoint(struct spine_view *v, uint64_t size, struct mdbfile_entry *entry)
{
	struct mdbfile_cursor c;

	if (!v->open)
		return false;
	c = mdbfile_cursor_of(&v->file, &v->checkpoint);
	return mdbfile_floor(&c, size, entry) == MDBFILE_OK;
}

bool spine_view_anchor(struct spine_view *v, enum spine_anchor kind, uint64_t size, unsigned number, struct bytes *value)
{
	struct mdbfile_entry entry;

	*value = (struct bytes){ 0 };
	if (!v->open || size > SPINE_SIZE_MAX || number >= SPINE_ANCHORS_EACH ||
	    mdbfile_get(&v->file, &v->anchor[kind], size * SPINE_ANCHORS_EACH + number, &entry) != MDBFILE_OK)
		return false;
	*value = entry.value;
	return true;
}

bool spine_view_anchored(struct spine_view *v, enum spine_anchor kind, uint64_t size, uint64_t *anchored)
{
	struct mdbfile_cursor c;
	struct mdbfile_entry entry;

	*anchored = 0;
	if (!v->open)
		return false;
	size = size < SPINE_SIZE_MAX ? size : SPINE_SIZE_MAX;
	c = mdbfile_cursor_of(&v->file, &v->anchor[kind]);
	if (mdbfile_floor(&c, size * SPINE_ANCHORS_EACH + SPINE_ANCHORS_EACH - 1, &entry) != MDBFILE_OK)
		return false;
	*anchored = entry.key / SPINE_ANCHORS_EACH;
	return true;
}

bool spine_view_anchored_above(struct spine_view *v, enum spine_anchor kind, uint64_t size, uint64_t *anchored)
{
	struct mdbfile_cursor c;
	struct mdbfile_entry entry;
	enum mdbfile_status status;

	*anchored = 0;
	if (!v->open || size >= SPINE_SIZE_MAX)
		return false;
	c = mdbfile_cursor_of(&v->file, &v->anchor[kind]);
	status = mdbfile_floor(&c, size * SPINE_ANCHORS_EACH + SPINE_ANCHORS_EACH - 1, &entry);
	if (status == MDBFILE_END)
		c = mdbfile_cursor_of(&v->file, &v->anchor[kind]);
	if (status == MDBFILE_BAD || mdbfile_next(&c, &entry) != MDBFILE_OK)
		return false;
	*anchored = entry.key / SPINE_ANCHORS_EACH;
	return *anchored > size;
}
