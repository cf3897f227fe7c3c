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

static void rounds(void **state)
{
	static const struct {
		const char *what;
		struct anchor_round r;
		uint64_t size, sealed, now_us;
		bool over, due;
	} rows[] = {
		{ "no checkpoint", { 0 }, 0, 0, 5 * S, true, false },
		{ "the first one", { 0 }, 1, 0, 5 * S, false, true },
		{ "before the interval", { 5, 10 * S }, 9, 0, 609 * S, true, false },
		{ "after it", { 5, 10 * S }, 9, 0, 610 * S, true, true },
		{ "after it, and somebody is asked still", { 5, 10 * S }, 9, 0, 610 * S, false, false },
		{ "nothing new", { 9, 10 * S }, 9, 0, 6100 * S, true, false },
		{ "a seal", { 5, 10 * S }, 256, 256, 20 * S, true, true },
		{ "a seal, not yet under a checkpoint", { 5, 10 * S }, 9, 256, 20 * S, true, false },
		{ "a seal, and somebody is asked still", { 5, 10 * S }, 256, 256, 20 * S, false, false },
	};
	static const struct anchor_round now = { 20, 100 * S };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (anchor_round_due(&rows[i].r, rows[i].size, rows[i].sealed, rows[i].over, INTERVAL, rows[i].now_us) != rows[i].due)
			fail_msg("%s", rows[i].what);
	/* Once a round; again after a failure; who was slow is asked for the round that is then, and not for one that it was asked for. */
	assert_true(anchor_due_in_round(&(struct anchor_watch){ 0 }, &now, 5 * S, 100 * S));
	assert_true(anchor_due_in_round(&(struct anchor_watch){ .tried = true, .asked_us = 100 * S, .asked_size = 10, .anchored_size = 10 }, &now, 5 * S, 101 * S));
	assert_false(anchor_due_in_round(&(struct anchor_watch){ .tried = true, .asked_us = 100 * S, .asked_size = 20, .anchored_size = 20 }, &now, 5 * S, 900 * S));
	assert_false(anchor_due_in_round(&(struct anchor_watch){ .tried = true, .under_way = true, .asked_us = 90 * S, .asked_size = 10 }, &now, 5 * S, 900 * S));
	assert_false(anchor_due_in_round(&(struct anchor_watch){ .tried = true, .asked_us = 100 * S, .asked_size = 20, .failing_us = 1 }, &now, 5 * S, 104 * S));
	assert_true(anchor_due_in_round(&(struct anchor_watch){ .tried = true, .asked_us = 100 * S, .asked_size = 20, .failing_us = 1 }, &now, 5 * S, 105 * S));
}

/* Rows in the order of time: a checkpoint that gets its quorum (0: none does), the newest one, and what is told. */
static void a_while_below_the_quorum_is_an_alarm(void **state)
{
	static const struct {
		uint64_t reached, newest, now_us;
		bool wanted, changed, alarm;
	} rows[] = {
		{ 0, 10, 100 * S, false, false, false },
		{ 0, 10, 900 * S, false, false, false }, /* none is asked for */
		{ 0, 10, 1000 * S, true, false, false },
		{ 0, 10, 1059 * S, true, false, false },
		{ 0, 20, 1060 * S, true, true, true },
		{ 0, 30, 2000 * S, true, false, true },
		{ 20, 30, 2001 * S, true, true, false }, /* an older one than the newest: from now on */
		{ 0, 40, 2060 * S, true, false, false },
		{ 40, 40, 2061 * S, true, false, false },
		{ 0, 40, 9000 * S, true, false, false }, /* nothing newer */
		{ 0, 41, 9001 * S, true, false, false },
		{ 30, 41, 9061 * S, true, true, true },  /* an old one is no news */
		{ 0, 41, 9062 * S, false, true, false },
	};
	struct quorum_watch q = { 0 };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		quorum_reached(&q, rows[i].reached);
		if (quorum_alarm_changed(&q, rows[i].wanted, rows[i].newest, 60 * S, rows[i].now_us) != rows[i].changed || q.alarm != rows[i].alarm)
			fail_msg("row %zu", i);
	}
	assert_int_equal(q.size, 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(due), cmocka_unit_test(a_quarter_of_an_hour_of_failures_is_an_alarm), cmocka_unit_test(rounds),
					    cmocka_unit_test(a_while_below_the_quorum_is_an_alarm) };

	return cmocka_run_group_tests_name("anchor_watch", tests, NULL, NULL);
}
