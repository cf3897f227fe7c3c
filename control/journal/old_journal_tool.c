/* old_journal_tool: for tests of retention: a journal whose sealed segments are DAYS old.
 *
 * usage: old_journal_tool DIRECTORY ORIGIN DAYS
 * Records [0, 512) are sealed then, [512, 1024) an hour later, and 100 more are in the live segment. Nothing is signed: whoever
 * opens it signs. Sessions of 50 records; ada has the odd ones. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/journal/journal_fixture.h"

#define HOUR_US (3600ull * 1000000)

int main(int argc, char **argv)
{
	struct journal_config config = { .dir = argc > 1 ? argv[1] : "", .origin = argc > 2 ? argv[2] : "", .segment_bytes = 64 << 20, .segment_us = HOUR_US / 2 };
	uint64_t now_us = ((uint64_t)time(NULL) - (argc > 3 ? strtoull(argv[3], NULL, 10) : 0) * 86400) * 1000000;
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = argc == 4 ? journal_open(&config, now_us, err) : NULL;
	bool good = j != NULL;

	for (unsigned i = 0; good && i < 2; i++) {
		good = fixture_fill(j, 300, 50, now_us);
		now_us += HOUR_US;
		good = good && fixture_fill(j, 212, 53, now_us);
	}
	good = good && fixture_fill(j, 100, 50, now_us);
	if (!good)
		fprintf(stderr, "%s\n", j ? "a record was not taken" : argc == 4 ? err : "usage: old_journal_tool DIRECTORY ORIGIN DAYS");
	journal_close(j);
	return good ? 0 : 1;
}
