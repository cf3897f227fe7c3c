#include "control/journal/verify_tiles.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/journal/tiles.h"
#include "control/journal/verify_spine.h"

enum tile_state { TILE_ABSENT, TILE_RIGHT, TILE_WRONG };

static enum tile_state file_is(int fd, const struct merkle_hash *hash, unsigned width)
{
	struct merkle_hash file[VERIFY_TILE_WIDTH + 1];
	ssize_t got;

	if (fd < 0)
		return TILE_ABSENT;
	got = read(fd, file, sizeof file);
	close(fd);
	return got == (ssize_t)(width * sizeof file[0]) && memcmp(file, hash, (size_t)got) == 0 ? TILE_RIGHT : TILE_WRONG;
}

static bool tile_path(const struct verify_tiles *t, unsigned level, uint64_t number, const char *suffix, char out[PATH_MAX])
{
	char name[TILES_PATH_MAX];

	return tiles_path((int)level, number, TILES_WIDTH, name) && (size_t)snprintf(out, PATH_MAX, "%s/%s%s", t->dir, name, suffix) < PATH_MAX;
}

/* How many hashes the published tree of that size has at a level. */
static uint64_t published_hashes(const struct verify_tiles *t, unsigned level)
{
	return t->published >> 8 * level;
}

void verify_tiles_begin(struct verify_tiles *t, uint64_t number)
{
	for (unsigned i = 0; i < VERIFY_TILES_LEVELS; i++) {
		struct verify_tiles_level *l = &t->level[i];
		uint64_t hashes = number >> 8 * i; /* of level i + 1, before the beginning */

		l->number = hashes / VERIFY_TILE_WIDTH;
		l->width = (unsigned)(hashes % VERIFY_TILE_WIDTH);
		l->unknown = false;
		for (unsigned k = 0; k < l->width; k++)
			l->unknown |= !verify_spine_hash(t->spine, i, l->number * VERIFY_TILE_WIDTH + k, NULL, &l->hash[k]);
	}
}

static void tile_whole(struct verify_tiles *t, unsigned i)
{
	struct verify_tiles_level *l = &t->level[i];
	struct merkle_hash mine = merkle_root_of(l->hash, VERIFY_TILE_WIDTH), spine;
	bool known = !l->unknown;
	char path[PATH_MAX];

	if (i + 1 < SPINE_LEVELS && verify_spine_hash(t->spine, i + 1, l->number, l->unknown ? NULL : &mine, &spine)) {
		known = true;
		if (!l->unknown && !merkle_equal(&spine, &mine))
			t->wrong(t->ctx, i + 1, l->number, "is not what the spine holds of it");
		else if (l->unknown)
			mine = spine;
	} else if (i + 1 < SPINE_LEVELS && t->spine->open && (l->number + 1) << 8 * (i + 2) <= t->published) {
		t->wrong(t->ctx, i + 1, l->number, "has no hash in the spine");
	}
	if (!l->unknown && tile_path(t, i + 1, l->number, "", path)) {
		enum tile_state state = file_is(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), l->hash, VERIFY_TILE_WIDTH);

		if (state == TILE_WRONG)
			t->wrong(t->ctx, i + 1, l->number, "is not what the records lead to");
		else if (state == TILE_ABSENT && (l->number + 1) * VERIFY_TILE_WIDTH <= published_hashes(t, i + 1))
			t->wrong(t->ctx, i + 1, l->number, "is missing");
	}
	l->number++;
	l->width = 0;
	l->unknown = false;
	if (i + 1 == VERIFY_TILES_LEVELS)
		return;
	t->level[i + 1].unknown |= !known;
	t->level[i + 1].hash[t->level[i + 1].width++] = mine;
	if (t->level[i + 1].width == VERIFY_TILE_WIDTH)
		tile_whole(t, i + 1);
}

void verify_tiles_push(struct verify_tiles *t, const struct merkle_hash *hash)
{
	t->level[0].hash[t->level[0].width++] = *hash;
	if (t->level[0].width == VERIFY_TILE_WIDTH)
		tile_whole(t, 0);
}

/* The published one. Narrower ones were for earlier checkpoints, and a power cut may have torn them; wider ones are of what was committed
 * since the walk began. */
static void partial_check(struct verify_tiles *t, unsigned level, uint64_t number, const struct merkle_hash *hash, unsigned width)
{
	enum tile_state state;
	char suffix[16], path[PATH_MAX];

	snprintf(suffix, sizeof suffix, ".p/%u", width);
	if (!tile_path(t, level, number, suffix, path))
		return;
	state = file_is(open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), hash, width);
	if (state == TILE_WRONG)
		t->wrong(t->ctx, level, number, "has a partial file that is not what the records lead to");
	/* A full tile may have taken its place. */
	else if (state == TILE_ABSENT && (!tile_path(t, level, number, "", path) || access(path, F_OK) != 0))
		t->wrong(t->ctx, level, number, "is missing");
}

void verify_tiles_end(struct verify_tiles *t)
{
	for (unsigned i = 0; i < VERIFY_TILES_LEVELS; i++) {
		const struct verify_tiles_level *l = &t->level[i];
		uint64_t hashes = published_hashes(t, i + 1);
		unsigned width = (unsigned)(hashes % VERIFY_TILE_WIDTH);

		if (!l->unknown && width && width <= l->width && hashes / VERIFY_TILE_WIDTH == l->number)
			partial_check(t, i + 1, l->number, l->hash, width);
	}
}
