#include "control/export/bundle_picks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/journal/proof.h"

struct bundle_picks {
	uint64_t *index;
	size_t count, room;
};

struct bundle_picks *bundle_picks_create(void)
{
	return calloc(1, sizeof(struct bundle_picks));
}

void bundle_picks_destroy(struct bundle_picks *p)
{
	if (p)
		free(p->index);
	free(p);
}

bool bundle_picks_add(struct bundle_picks *p, uint64_t index)
{
	if (p->count == p->room) {
		size_t room = p->room ? 2 * p->room : 256;
		uint64_t *more = realloc(p->index, room * sizeof *more);

		if (!more)
			return false;
		p->index = more;
		p->room = room;
	}
	p->index[p->count++] = index;
	return true;
}

static bool add_row(struct bundle_picks *p, const json_t *row)
{
	return bundle_picks_add(p, (uint64_t)json_integer_value(json_object_get(row, "index")));
}

bool bundle_picks_report(struct bundle_picks *p, const struct assess *a)
{
	const char *id;
	json_t *row;
	size_t i, rows = 0;
	bool good = true;

	for (unsigned c = 0; c < a->controls; c++) {
		const struct assess_control *control = &a->control[c];

		for (uint64_t k = 0; good && k < control->examined && k < ASSESS_SAMPLES; k++)
			good = bundle_picks_add(p, control->sample[k]);
		for (uint64_t k = 0; good && k < control->broken && k < ASSESS_SAMPLES; k++)
			good = bundle_picks_add(p, control->fault[k]);
	}
	json_array_foreach(a->blocked, i, row)
		good = good && add_row(p, row);
	json_object_foreach(a->approvals, id, row)
		good = good && (rows++ >= ASSESS_NOTABLE || add_row(p, row));
	return good;
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

size_t bundle_picks_sort(struct bundle_picks *p)
{
	size_t kept = 0;

	if (p->count)
		qsort(p->index, p->count, sizeof *p->index, ascending);
	for (size_t i = 0; i < p->count; i++)
		if (i == 0 || p->index[i] != p->index[kept - 1])
			p->index[kept++] = p->index[i];
	p->count = kept;
	return kept;
}

uint64_t bundle_picks_at(const struct bundle_picks *p, size_t i)
{
	return p->index[i];
}

bool bundle_picks_put(struct bundle *b, struct archive *a, uint64_t index, struct bytes note, char err[EXPORT_ERROR_BYTES])
{
	static _Thread_local uint8_t proof[PROOF_BYTES_MAX];
	struct writer w = writer_of(proof, sizeof proof);
	struct bytes record;
	const char *wrong = archive_read(a, index, &record);
	char name[64];
	bool put;

	snprintf(name, sizeof name, "proofs/entry-%llu.json", (unsigned long long)index);
	put = !wrong && bundle_file(b, name, record);
	if (put && !(wrong = archive_proof(a, index, note, &w))) {
		snprintf(name, sizeof name, "proofs/%llu.tlog-proof", (unsigned long long)index);
		put = bundle_file(b, name, writer_done(&w));
	}
	if (wrong)
		snprintf(err, EXPORT_ERROR_BYTES, "record %llu: %s", (unsigned long long)index, wrong);
	else if (!put)
		snprintf(err, EXPORT_ERROR_BYTES, "the bundle/%s: %s", name, strerror(errno));
	return put && !wrong;
}
