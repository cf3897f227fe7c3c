/* kept.c: small state of the writer's process that has to be as durable as the records beside which it came about, and is no evidence:
 * numbered values, written over in place as the cursors are, and carried into each new segment. */
#include <stdlib.h>

#include "control/journal/journal_impl.h"
#include "control/journal/segment_view.h"

static bool visit(void *ctx, uint64_t key, struct bytes value)
{
	struct segment_kept *k = ctx;

	if (key >= SEGMENT_KEPT || value.len == 0 || value.len > SEGMENT_KEPT_BYTES)
		return false;
	memcpy(k->value[key], value.base, value.len);
	k->len[key] = (uint8_t)value.len;
	return true;
}

bool kept_open(struct journal *j)
{
	j->kept = calloc(1, sizeof *j->kept);
	return j->kept != NULL;
}

const char *kept_load(struct journal *j, uint64_t segment)
{
	struct segment_view v;
	char path[PATH_MAX];
	const char *wrong;

	if (!segment_view_path(j->dir, segment, path, sizeof path))
		return "a path too long";
	wrong = segment_view_open(&v, path);
	if (wrong)
		return wrong;
	wrong = segment_view_kept(&v, visit, j->kept);
	segment_view_close(&v);
	return wrong;
}

void kept_committed(struct journal *j)
{
	if (j->kept->changed)
		memset(j->kept->dirty, 0, sizeof j->kept->dirty);
	j->kept->changed = false;
}

bool journal_keep(struct journal *j, unsigned key, struct bytes value)
{
	if (j->is_stopped || key >= JOURNAL_KEPT || value.len == 0 || value.len > JOURNAL_KEPT_BYTES)
		return false;
	memcpy(j->kept->value[key], value.base, value.len);
	j->kept->len[key] = (uint8_t)value.len;
	j->kept->dirty[key / 64] |= 1ull << (key % 64);
	j->kept->changed = true;
	return true;
}

struct bytes journal_kept(const struct journal *j, unsigned key)
{
	return key < JOURNAL_KEPT ? bytes_of(j->kept->value[key], j->kept->len[key]) : (struct bytes){ 0 };
}
