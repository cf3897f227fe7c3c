#include "control/export/bundle_tiles.h"

#include <stdlib.h>

bool bundle_tiles_load(struct bundle_tiles *t, struct archive *a, const struct checkpoint *c)
{
	t->archive = a;
	return tile_set_load(&t->set, a, c);
}

void bundle_tiles_free(struct bundle_tiles *t)
{
	tile_set_free(&t->set);
}

static const char *put(struct bundle_tiles *t, struct bundle *b, unsigned level, uint64_t number, struct merkle_hash *hash)
{
	unsigned width = tile_set_width(&t->set, level, number);
	char name[TILES_PATH_MAX];

	if (!tile_set_get(&t->set, t->archive, level, number, hash))
		return "the hashes of a tile are not those of the tree: run journal verify";
	tiles_path((int)level, number, width, name);
	return bundle_file(b, name, bytes_of(hash, width * sizeof hash[0])) ? NULL : "a tile cannot be written: see the disk's space";
}

const char *bundle_tiles_record(struct bundle_tiles *t, struct bundle *b, uint64_t index, struct merkle_hash leaf)
{
	uint64_t number = index / TILES_WIDTH;
	const char *wrong = NULL;

	if (!t->begun || t->tile != number) {
		t->begun = true;
		t->tile = number;
		wrong = put(t, b, 0, number, t->leaf);
	}
	if (!wrong && !merkle_equal(&leaf, &t->leaf[index % TILES_WIDTH]))
		wrong = "it is not what its tile says: run journal verify";
	return wrong;
}

bool bundle_tiles_within(const struct bundle_tiles *t, uint64_t number, uint64_t from, uint64_t to)
{
	return number * TILES_WIDTH >= from && number * TILES_WIDTH + tile_set_width(&t->set, 0, number) <= to;
}

const char *bundle_tiles_entries(struct bundle_tiles *t, struct bundle *b, uint64_t number)
{
	unsigned width = tile_set_width(&t->set, 0, number);
	uint8_t *room;
	struct writer w;
	char name[TILES_PATH_MAX];
	const char *wrong = NULL;

	if (t->entered && t->entries == number)
		return NULL;
	t->entered = true;
	t->entries = number;
	room = malloc(TILES_BUNDLE_MAX);
	w = writer_of(room, room ? TILES_BUNDLE_MAX : 0);
	for (unsigned i = 0; !wrong && i < width; i++) {
		struct bytes record = { 0 };

		wrong = archive_read(t->archive, number * TILES_WIDTH + i, &record);
		if (!wrong)
			tiles_put_entry(&w, record);
	}
	tiles_path(TILES_ENTRIES, number, width, name);
	if (!wrong && !(w.ok && bundle_file(b, name, writer_done(&w))))
		wrong = "entries cannot be written: see the disk's space";
	free(room);
	return wrong;
}

/* What it takes to come from any leaf to the root. */
const char *bundle_tiles_above(struct bundle_tiles *t, struct bundle *b)
{
	uint64_t last = t->set.size / TILES_WIDTH;
	struct merkle_hash hash[TILES_WIDTH];
	const char *wrong = NULL;

	if (tile_set_width(&t->set, 0, last) && !(t->begun && t->tile == last))
		wrong = put(t, b, 0, last, hash);
	for (unsigned level = 1; !wrong && level < TILE_SET_LEVELS; level++)
		for (uint64_t n = 0; !wrong && tile_set_width(&t->set, level, n); n++)
			wrong = put(t, b, level, n, hash);
	return wrong;
}
