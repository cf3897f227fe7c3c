#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/timex.h>

#include "control/journal/journal.h"
#include "control/watch.h"

#define S 1000000u

/* Rows in the order of time: what is seen, and what watch_look says. */
struct row {
	struct watch_seen seen;
	enum watch_stop stop;
	bool level_news, stop_news;
	uint64_t without_s;
};

static void play(const struct row *row, size_t rows)
{
	struct watch w = { 0 };

	for (size_t i = 0; i < rows; i++) {
		struct watch_news news = watch_look(&w, &row[i].seen);

		if (w.stop != row[i].stop || news.level != row[i].level_news || news.stop != row[i].stop_news ||
		    (news.stop && w.stop == WATCH_RUNS && news.without_us != row[i].without_s * S))
			fail_msg("row %zu: stop %d level %d news %d without %llu", i, w.stop, news.level, news.stop, (unsigned long long)news.without_us);
	}
}

static void a_volume_fills_and_is_emptied(void **state)
{
	static const struct row rows[] = {
		{ { JOURNAL_LEVEL_OK, 10, false, 100 * S, 1 * S }, WATCH_RUNS, false, false, 0 },
		{ { JOURNAL_LEVEL_ALARM, 81, false, 101 * S, 2 * S }, WATCH_RUNS, true, false, 0 },
		{ { JOURNAL_LEVEL_DIGEST, 90, false, 102 * S, 3 * S }, WATCH_RUNS, true, false, 0 },
		{ { JOURNAL_LEVEL_NO_SESSIONS, 97, false, 103 * S, 4 * S }, WATCH_RUNS, true, false, 0 },
		{ { JOURNAL_LEVEL_FULL, 98, false, 104 * S, 5 * S }, WATCH_FULL, true, true, 0 },
		{ { JOURNAL_LEVEL_FULL, 99, false, 105 * S, 6 * S }, WATCH_FULL, false, false, 0 },
		{ { JOURNAL_LEVEL_NO_SESSIONS, 97, false, 106 * S, 9 * S }, WATCH_RUNS, true, true, 4 },
		{ { JOURNAL_LEVEL_OK, 10, false, 107 * S, 10 * S }, WATCH_RUNS, true, false, 0 },
	};

	play(rows, sizeof(rows) / sizeof(*rows));
}

static void a_signer_refuses(void **state)
{
	static const struct row rows[] = {
		{ { JOURNAL_LEVEL_OK, 10, false, 100 * S, 1 * S }, WATCH_RUNS, false, false, 0 },
		{ { JOURNAL_LEVEL_OK, 10, true, 101 * S, 2 * S }, WATCH_SIGNER, false, true, 0 },
		{ { JOURNAL_LEVEL_FULL, 99, true, 102 * S, 3 * S }, WATCH_FULL, true, true, 0 },
		{ { JOURNAL_LEVEL_OK, 10, false, 103 * S, 4 * S }, WATCH_RUNS, true, true, 2 },
	};

	play(rows, sizeof(rows) / sizeof(*rows));
}

static void a_clock_steps(void **state)
{
	static const struct row rows[] = {
		{ { JOURNAL_LEVEL_OK, 10, false, 100 * S, 1 * S }, WATCH_RUNS, false, false, 0 },
		{ { JOURNAL_LEVEL_OK, 10, false, 99 * S, 2 * S }, WATCH_RUNS, false, false, 0 },      /* exactly a second is allowed */
		{ { JOURNAL_LEVEL_OK, 10, false, 99 * S - 1, 2 * S }, WATCH_CLOCK, false, true, 0 },
		{ { JOURNAL_LEVEL_OK, 10, false, 100 * S - 1, 3 * S }, WATCH_CLOCK, false, false, 0 },
		{ { JOURNAL_LEVEL_OK, 10, false, 100 * S, 5 * S }, WATCH_RUNS, false, true, 3 },
		{ { JOURNAL_LEVEL_OK, 10, false, 4000 * S, 6 * S }, WATCH_RUNS, false, false, 0 },    /* forwards is no reason */
	};

	play(rows, sizeof(rows) / sizeof(*rows));
}

static void a_clock_is_free_or_synchronised(void **state)
{
	assert_string_equal(watch_clock_word(TIME_OK, 0), "synchronised");
	assert_string_equal(watch_clock_word(TIME_INS, STA_PLL), "synchronised");
	assert_string_equal(watch_clock_word(TIME_ERROR, STA_UNSYNC), "free");
	assert_string_equal(watch_clock_word(TIME_OK, STA_UNSYNC), "free");
	assert_string_equal(watch_clock_word(-1, 0), "free");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_volume_fills_and_is_emptied), cmocka_unit_test(a_signer_refuses), cmocka_unit_test(a_clock_steps),
		cmocka_unit_test(a_clock_is_free_or_synchronised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
