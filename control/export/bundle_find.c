#include "control/export/bundle_find.h"

#include <stdlib.h>
#include <string.h>

#define SCAN_BUDGET 65536u

static const char *search(struct archive *a, const struct archive_filter *filter, uint8_t *copy, bundle_found *found, void *ctx)
{
	enum archive_next next = ARCHIVE_MORE;
	const char *wrong = NULL;
	struct bytes record;
	uint64_t index = 0;

	while (!wrong && next != ARCHIVE_END) {
		next = archive_search(a, filter, &index, SCAN_BUDGET, &record, &wrong);
		if (next == ARCHIVE_FOUND) {
			memcpy(copy, record.base, record.len);
			wrong = found(ctx, a, index++, bytes_of(copy, record.len));
		}
	}
	return wrong;
}

const char *bundle_find(const char *dir, const struct archive_filter *filter, bundle_found *found, void *ctx)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct archive *a = archive_open(dir, err);
	uint8_t *copy = malloc(RECORD_BYTES_MAX);
	const char *wrong = !a ? "the journal cannot be opened a second time" : !copy ? "out of memory" : NULL;

	if (!wrong) {
		(void)archive_use_index(a);
		wrong = search(a, filter, copy, found, ctx);
	}
	free(copy);
	archive_close(a);
	return wrong;
}
