/* spine_rebuild.c: a spine that was lost after segments were pruned (journal.md 5). While every segment is there the next round of publishing
 * makes it anew from their leaf hashes; of pruned records only the level-0 tiles are left. They are files that anybody could have changed, so
 * nothing of them is taken before they are shown to lead to the tree that the first segment begins with. */
#include <stdio.h>

#include "control/journal/journal_impl.h"
#include "control/journal/segment_list.h"
#include "control/journal/segment_view.h"
#include "control/journal/tiles.h"

static bool tile_root(const struct journal *j, uint64_t number, struct merkle_hash *out)
{
	struct merkle_hash tile[TILES_WIDTH];
	char name[TILES_PATH_MAX], path[PATH_MAX + TILES_PATH_MAX];
	FILE *f;
	bool whole;

	if (!tiles_path(0, number, TILES_WIDTH, name))
		return false;
	snprintf(path, sizeof path, "%s/%s", j->dir, name);
	f = fopen(path, "re");
	whole = f && fread(tile, 1, sizeof tile, f) == sizeof tile;
	if (f)
		fclose(f);
	if (whole)
		*out = merkle_root_of(tile, TILES_WIDTH);
	return whole;
}

/* Full tiles of every level up to there, as publishing would have queued them. */
struct tower {
	struct merkle_hash of[SPINE_LEVELS][TILES_WIDTH];
	unsigned width[SPINE_LEVELS];
};

static const char *tower_push(struct journal *j, struct tower *t, struct merkle_hash hash)
{
	for (unsigned level = 0; level < SPINE_LEVELS; level++) {
		if (j->spine.queued[level] == SPINE_QUEUE && spine_commit(&j->spine, 0, (struct bytes){ 0 }, 0) != 0)
			return "the spine cannot be written";
		if (!spine_push(&j->spine, level, &hash))
			return "the spine's queue is full";
		t->of[level][t->width[level]++] = hash;
		if (t->width[level] < TILES_WIDTH)
			break;
		t->width[level] = 0;
		hash = merkle_root_of(t->of[level], TILES_WIDTH);
	}
	return NULL;
}

/* The tiles lead to the tree before the first segment. */
static const char *tiles_fit(const struct journal *j, const struct segment_view *first)
{
	struct merkle_range range = { 0 };
	struct merkle_hash hash;

	for (uint64_t n = 0; n < first->first / TILES_WIDTH; n++)
		if (!tile_root(j, n, &hash) || !merkle_range_push_subtree(&range, 8, &hash))
			return "the spine is lost, and a tile of pruned records is not there";
	if (range.count != first->range.count || memcmp(range.node, first->range.node, range.count * sizeof range.node[0]) != 0)
		return "the spine is lost, and the tiles of pruned records are not those of this journal";
	return NULL;
}

static const char *rebuild(struct journal *j, const struct segment_view *first)
{
	static struct tower tower;
	const char *wrong = tiles_fit(j, first);
	struct merkle_hash hash;

	tower = (struct tower){ 0 };
	for (uint64_t n = 0; !wrong && n < first->first / TILES_WIDTH; n++)
		wrong = tile_root(j, n, &hash) ? tower_push(j, &tower, hash) : "a tile of pruned records cannot be read";
	if (!wrong && spine_commit(&j->spine, 0, (struct bytes){ 0 }, 0) != 0)
		wrong = "the spine cannot be written";
	return wrong;
}

const char *spine_rebuild(struct journal *j)
{
	struct segment_list list;
	struct segment_view first;
	char path[PATH_MAX];
	const char *wrong;
	uint64_t begins;

	if (!segment_list_read(&list, j->dir))
		return "its segments cannot be listed";
	begins = list.count ? list.first[0] : 0;
	segment_list_free(&list);
	/* Pruning waits until the spine holds what it takes away: so one that is behind is empty, or it is not this journal's. */
	if (begins / TILES_WIDTH <= j->spine.count[0])
		return NULL;
	if (j->spine.count[0])
		return "the spine is not that of these segments";
	if (!segment_view_path(j->dir, begins, path, sizeof path))
		return "a path too long";
	wrong = segment_view_open(&first, path);
	if (wrong)
		return wrong;
	wrong = first.first % TILES_WIDTH ? "a segment that begins inside a tile" : rebuild(j, &first);
	segment_view_close(&first);
	return wrong;
}
