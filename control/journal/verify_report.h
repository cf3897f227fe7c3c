/* verify_report.h: where the parts of the audit (verify.h) put what they find. Threading: as verify.h's. */
#ifndef CONTROL_JOURNAL_VERIFY_REPORT_H
#define CONTROL_JOURNAL_VERIFY_REPORT_H

#include "control/journal/segment_list.h"
#include "control/journal/verify.h"

#define ULL(x) ((unsigned long long)(x))
/* Views, until a fault in a file that may be being written counts: a writer may be several commits ahead each time that the reader has a
 * processor. A damaged record costs as many looks at one page. */
#define VERIFY_TRIES 64
#define VERIFY_WAITS 8 /* moments, until a file or checkpoint that is written after another one has to be there */

struct verify_stamps;

struct verify_report {
	const struct verify_options *options;
	struct verify_summary *summary;
	struct segment_list list;
	struct verify_stamps *stamps;
	bool full; /* as many findings as wanted */
};

/* Records `index` to `last`, byte in the segment's file; each may be VERIFY_NOWHERE. */
struct verify_place {
	uint64_t index, last, byte;
};

struct verify_place verify_record(uint64_t index, uint64_t byte);
struct verify_place verify_range(uint64_t first, uint64_t last);
extern const struct verify_place verify_nowhere;

__attribute__((format(printf, 4, 5))) void verify_found(struct verify_report *r, enum verify_kind kind, struct verify_place place, const char *format, ...);

#endif
