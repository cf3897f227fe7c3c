/* watch_test.c: when anchors are asked, and when their silence is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/anchor/watch.h"

#define S 1000000ull
#define INTERVAL (600 * S)

static void due(void **state)
{
	static const struct {
		const char *what;
		struct anchor_watch w;
		uint64_t size, sealed, now_us;
		bool due;
	} rows[] = {
		{ "nothing to anchor", { 0 }, 0, 0, 5 * S, false },
		{ "the first checkpoint", { 0 }, 1, 0, 5 * S, true },
		{ "under way", { .under_way = true, .tried = true }, 9, 0, 5000 * S, false },
		{ "before the interval", { .tried = true, .asked_us = 10 * S, .anchored_size = 5 }, 9, 0, 609 * S, false },
		{ "after the interval", { .tried = true, .asked_us = 10 * S, .anchored_size = 5 }, 9, 0, 610 * S, true },
		{ "nothing new", { .tried = true, .asked_us = 10 * S, .anchored_size = 9 }, 9, 0, 6100 * S, false },
		{ "a seal, not yet under a checkpoint", { .tried = true, .asked_us = 10 * S, .anchored_size = 5 }, 9, 256, 20 * S, false },
		{ "a seal", { .tried = true, .asked_us = 10 * S, .anchored_size = 5 }, 256, 256, 20 * S, true },
		{ "a seal that is anchored", { .tried = true, .asked_us = 10 * S, .anchored_size = 256 }, 257, 256, 20 * S, false },
		{ "soon after a failure, also for a seal", { .tried = true, .asked_us = 10 * S, .failing_us = 11 * S }, 300, 256, 39 * S, false },
		{ "half a minute after a failure", { .tried = true, .asked_us = 10 * S, .failing_us = 11 * S }, 300, 0, 40 * S, true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (anchor_due(&rows[i].w, rows[i].size, rows[i].sealed, INTERVAL, rows[i].now_us) != rows[i].due)
			fail_msg("%s", rows[i].what);
	/* A short interval is also how soon it is tried again. */
	assert_true(anchor_due(&(struct anchor_watch){ .tried = true, .failing_us = 1 }, 1, 0, 5 * S, 5 * S));
}

static void a_quarter_of_an_hour_of_failures_is_an_alarm(void **state)
{
	struct anchor_watch w = { 0 };

	anchor_asked(&w, 10, 100 * S);
	anchor_answered(&w, true, 101 * S);
	assert_int_equal(w.anchored_size, 10);
	for (uint64_t t = 200; t < 200 + 900; t += 30) {
		anchor_asked(&w, 20, t * S);
		anchor_answered(&w, false, t * S);
		assert_false(anchor_alarm_changed(&w, t * S));
	}
	assert_int_equal(w.anchored_size, 10);
	assert_true(anchor_alarm_changed(&w, 1100 * S));
	assert_true(w.alarm);
	assert_false(anchor_alarm_changed(&w, 5000 * S));
	anchor_asked(&w, 30, 5001 * S);
	anchor_answered(&w, true, 5002 * S);
	assert_true(anchor_alarm_changed(&w, 5002 * S));
	assert_false(w.alarm);
	assert_int_equal(w.anchored_size, 30);
	assert_false(anchor_alarm_changed(&w, 99999 * S)); /* nothing to anchor is no failure */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(due), cmocka_unit_test(a_quarter_of_an_hour_of_failures_is_an_alarm) };

	return cmocka_run_group_tests_name("anchor_watch", tests, NULL, NULL);
}
