#include "control/journal/verify_report.h"

#include <stdarg.h>
#include <stdio.h>

#define FINDINGS_DEFAULT 100u

const struct verify_place verify_nowhere = { VERIFY_NOWHERE, VERIFY_NOWHERE, VERIFY_NOWHERE };

struct verify_place verify_record(uint64_t index, uint64_t byte)
{
	return (struct verify_place){ index, index, byte };
}

struct verify_place verify_range(uint64_t first, uint64_t last)
{
	return (struct verify_place){ first, last, VERIFY_NOWHERE };
}

const char *verify_kind_name(enum verify_kind kind)
{
	static const char *const names[VERIFY_KINDS] = { "record", "order", "tile", "spine", "checkpoint", "anchor", "fork", "unverified" };

	return names[(unsigned)kind < VERIFY_KINDS ? kind : VERIFY_RECORD];
}

const char *verify_kind_advice(enum verify_kind kind)
{
	static const char *const advice[VERIFY_KINDS] = {
		"keep the directory as it is, and compare the record with what was shipped and with earlier bundles",
		"keep the directory as it is, and compare these records with other copies and earlier bundles",
		"records and checkpoints are judged without it: take the tile from a copy whose audit is good",
		"records and checkpoints are judged without it: take spine/ from a copy whose audit is good",
		"ask whoever holds a checkpoint of this log (witness, earlier bundle): one that is signed and does not fit is proof of a second history",
		"ask the authority or the witness for its own record of it; the checkpoint under it is judged by itself",
		"keep the directory and that checkpoint: where both are signed, they prove a second history; ask others which one they know",
		"give the authority's certificate with --tsa, or the witness's key with --witness",
	};

	return advice[(unsigned)kind < VERIFY_KINDS ? kind : VERIFY_RECORD];
}

void verify_found(struct verify_report *r, enum verify_kind kind, struct verify_place place, const char *format, ...)
{
	char text[512];
	struct verify_finding finding = { .kind = kind, .what = text, .index = place.index, .last = place.last, .byte = place.byte, .segment = VERIFY_NOWHERE };
	unsigned max = r->options->findings_max ? r->options->findings_max : FINDINGS_DEFAULT;
	va_list args;

	if (r->full)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (size_t i = 0; i < r->list.count && place.index != VERIFY_NOWHERE; i++)
		if (r->list.first[i] <= place.index)
			finding.segment = r->list.first[i];
	if (kind == VERIFY_UNVERIFIED && r->summary->unverified++ >= max)
		return; /* counted */
	if (kind != VERIFY_UNVERIFIED)
		r->summary->findings++;
	if (r->options->found)
		r->options->found(r->options->ctx, &finding);
	r->full = r->summary->findings >= max;
}
