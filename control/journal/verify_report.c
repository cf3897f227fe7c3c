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
	r->summary->findings++;
	if (r->options->found)
		r->options->found(r->options->ctx, &finding);
	r->full = r->summary->findings >= max;
}
