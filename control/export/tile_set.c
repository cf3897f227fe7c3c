#include "control/export/tile_set.h"

#include <stdlib.h>

#define TRIES 8

static bool read_leaves(struct archive *a, uint64_t first, unsigned count, struct merkle_hash *out)
{
	for (unsigned i = 0; i < count; i++)
		if (!archive_leaf(a, first + i, &out[i]))
			return false;
	return true;
}

/* Level 1 and the tail as this view has them; true when they lead to the root. */
static bool read_once(struct tile_set *set, struct archive *a, const struct merkle_hash *root)
{
	struct merkle_source source = archive_source(a);
	unsigned tail = (unsigned)(set->size % TILES_WIDTH);
	struct merkle_range range = { 0 };
	struct merkle_hash have;

	for (uint64_t i = 0; i < set->count[1]; i++)
		if (!source.get(source.ctx, 8, i, &set->hash[1][i]) || !merkle_range_push_subtree(&range, 8, &set->hash[1][i]))
			return false;
	if (!read_leaves(a, set->size - tail, tail, set->tail))
		return false;
	for (unsigned i = 0; i < tail; i++)
		merkle_range_push(&range, &set->tail[i]);
	have = merkle_range_root(&range);
	return merkle_equal(&have, root);
}

bool tile_set_load(struct tile_set *set, struct archive *a, const struct checkpoint *c)
{
	char err[ARCHIVE_ERROR_BYTES];
	bool good = false;

	*set = (struct tile_set){ .size = c->size };
	for (unsigned level = 1; level < TILE_SET_LEVELS; level++) {
		set->count[level] = c->size >> (8 * level);
		set->hash[level] = calloc(set->count[level] + 1, sizeof *set->hash[level]);
		if (!set->hash[level])
			return false;
	}
	for (unsigned tries = 0; !good && tries < TRIES && (tries == 0 || archive_refresh(a, err)); tries++)
		good = read_once(set, a, &c->root);
	for (unsigned level = 2; good && level < TILE_SET_LEVELS; level++)
		for (uint64_t i = 0; i < set->count[level]; i++)
			set->hash[level][i] = merkle_root_of(set->hash[level - 1] + i * TILES_WIDTH, TILES_WIDTH);
	return good;
}

void tile_set_free(struct tile_set *set)
{
	for (unsigned level = 0; level < TILE_SET_LEVELS; level++)
		free(set->hash[level]);
	*set = (struct tile_set){ 0 };
}

unsigned tile_set_width(const struct tile_set *set, unsigned level, uint64_t number)
{
	uint64_t hashes = level < TILE_SET_LEVELS ? set->size >> (8 * level) : 0, first = number * TILES_WIDTH;

	return hashes <= first ? 0 : hashes - first < TILES_WIDTH ? (unsigned)(hashes - first) : TILES_WIDTH;
}

bool tile_set_get(const struct tile_set *set, struct archive *a, unsigned level, uint64_t number, struct merkle_hash out[TILES_WIDTH])
{
	unsigned width = tile_set_width(set, level, number);
	char err[ARCHIVE_ERROR_BYTES];

	if (width == 0)
		return false;
	if (level > 0 || width < TILES_WIDTH) {
		memcpy(out, level ? set->hash[level] + number * TILES_WIDTH : set->tail, width * sizeof *out);
		return true;
	}
	for (unsigned tries = 0; tries < TRIES && (tries == 0 || archive_refresh(a, err)); tries++) {
		struct merkle_hash have;

		if (!read_leaves(a, number * TILES_WIDTH, TILES_WIDTH, out))
			continue;
		have = merkle_root_of(out, TILES_WIDTH);
		if (merkle_equal(&have, &set->hash[1][number]))
			return true;
	}
	return false;
}
