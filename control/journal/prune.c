/* Retention: whole sealed segments go, the oldest first (journal.md 5). What stays of them is in the spine and in the level-0 tiles:
 * every hash, so that each earlier proof still verifies and new consistency proofs can be made.
 *
 * A segment first loses its number (seg/<first> becomes seg/<first>.gone, synced), then its files; opening removes what is `.gone`. So
 * at every moment the numbered ones are whole and without a gap.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/journal_impl.h"
#include "control/journal/segment_view.h"
#include "platform/os/durable.h"

bool journal_prune_candidate(struct journal *j, uint64_t before_us, struct journal_prune *out)
{
	struct archive *a = journal_archive(j);
	uint64_t end = 0;

	*out = (struct journal_prune){ 0 };
	if (!a)
		return false;
	out->first = archive_first(a);
	/* Sealed before that time, and under a published checkpoint. */
	for (const struct segment_view *v = archive_segment(a, 0);
	     v && v->sealed && v->seal_us < before_us && v->end <= j->publish.note_size && v->end <= j->protect_from;
	     v = archive_segment(a, out->segments)) {
		end = v->end;
		out->sealed_us = v->seal_us;
		out->root = v->seal_root;
		out->segments++;
	}
	out->end = end;
	return out->segments > 0;
}

void journal_protect(struct journal *j, uint64_t from)
{
	j->protect_from = from;
}

static bool remove_gone(const char *seg, const char *name)
{
	static const char *const files[] = { SEGMENT_FILE, "lock.mdb" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "%s/%s/%s", seg, name, files[i]);
		(void)unlink(path);
	}
	snprintf(path, sizeof path, "%s/%s", seg, name);
	return rmdir(path) == 0;
}

void prune_left_over(struct journal *j)
{
	char seg[PATH_MAX];
	struct dirent *e;
	DIR *dir;

	snprintf(seg, sizeof seg, "%s/seg", j->dir);
	dir = opendir(seg);
	while (dir && (e = readdir(dir)) != NULL)
		if (strlen(e->d_name) == 25 && strcmp(e->d_name + 20, ".gone") == 0)
			(void)remove_gone(seg, e->d_name);
	if (dir)
		closedir(dir);
}

/* Everything that has to outlive the segments is on disk: tiles, and the spine's hashes up to a checkpoint behind them. */
static bool tiles_are_safe(struct journal *j, uint64_t end)
{
	uint64_t tiles = j->publish.note_size;

	if (j->publish.phase != PUBLISH_IDLE || end > tiles || j->spine.queued[0])
		return false;
	if (j->spine.tiles >= end)
		return true;
	if (syncfs(j->lock) != 0 || segment_check(&j->segment) != 0 || spine_commit(&j->spine, 0, (struct bytes){ 0 }, tiles) != 0)
		return false;
	j->publish.mark_size = tiles;
	return true;
}

const char *journal_prune(struct journal *j, const struct journal_prune *what)
{
	struct journal_prune now;
	char seg[PATH_MAX], from[PATH_MAX + 32], to[PATH_MAX + 40], err[ARCHIVE_ERROR_BYTES];

	if (j->is_stopped)
		return "the journal is stopped";
	if (what->end > j->protect_from)
		return "a legal hold covers records of these segments or of older ones, or a stream has not confirmed them";
	if (!journal_prune_candidate(j, UINT64_MAX, &now) || now.first != what->first || now.end < what->end)
		return "these segments are not there, not sealed, or not under a checkpoint";
	if (!tiles_are_safe(j, what->end))
		return JOURNAL_PRUNE_LATER;
	snprintf(seg, sizeof seg, "%s/seg", j->dir);
	for (unsigned i = 0; i < what->segments; i++) {
		const struct segment_view *v = archive_segment(j->archive, i);

		snprintf(from, sizeof from, "%s/%020llu", seg, (unsigned long long)v->first);
		snprintf(to, sizeof to, "%s.gone", from);
		if (rename(from, to) != 0 || durable_sync_dir(seg) != 0)
			return "a segment cannot be removed";
		if (!remove_gone(seg, strrchr(to, '/') + 1))
			return "a segment cannot be removed";
	}
	archive_close(j->archive);
	j->archive = archive_open(j->dir, err);
	if (!j->archive)
		journal_stop(j, "the journal cannot be read back: %s", err);
	return j->archive ? NULL : "the journal is stopped";
}
