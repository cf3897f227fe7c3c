/* refresh_test.c: how often a provider is asked, under a virtual clock (identity.md 5, 10.8). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "control/identity/refresh.h"

static struct refresh r;

static void start(bool discovers)
{
	refresh_init(&r, discovers, (struct hash_key){ 1, 2 });
}

static void load(int64_t at_s)
{
	assert_int_equal(refresh_next(&r, at_s), REFRESH_LOAD);
	refresh_answered(&r, true, at_s);
}

static void first_load_by_discovery(void **state)
{
	start(true);
	assert_int_equal(refresh_age_s(&r, 5), -1);
	assert_true(refresh_alarm(&r, 5));
	assert_int_equal(refresh_next(&r, 5), REFRESH_DISCOVER);
	assert_int_equal(refresh_next(&r, 5), REFRESH_NOTHING);
	refresh_answered(&r, true, 6);
	load(6);
	assert_int_equal(refresh_age_s(&r, 16), 10);
	assert_false(refresh_alarm(&r, 16));
	assert_int_equal(refresh_next(&r, 605), REFRESH_NOTHING);
	load(606); /* discovery is still fresh */
	load(1206);
}

static void discovery_is_repeated_hourly(void **state)
{
	start(true);
	assert_int_equal(refresh_next(&r, 1), REFRESH_DISCOVER);
	refresh_answered(&r, true, 1);
	load(1);
	for (int64_t at = 601; at < 3601; at += 600)
		load(at);
	assert_int_equal(refresh_next(&r, 3601), REFRESH_DISCOVER);
}

static void failures_are_30_s_apart(void **state)
{
	start(false);
	assert_int_equal(refresh_next(&r, 1), REFRESH_LOAD);
	refresh_answered(&r, false, 6);
	assert_int_equal(refresh_next(&r, 30), REFRESH_NOTHING);
	assert_int_equal(refresh_next(&r, 31), REFRESH_LOAD);
}

static void lost_answer_ends_by_itself(void **state)
{
	start(false);
	assert_int_equal(refresh_next(&r, 1), REFRESH_LOAD);
	assert_true(refresh_want(&r, bytes_str("k"), 10));
	assert_int_equal(refresh_next(&r, 15), REFRESH_NOTHING);
	assert_false(refresh_want(&r, bytes_str("k"), 16)); /* given up, and 30 s are not over */
	assert_int_equal(refresh_next(&r, 31), REFRESH_LOAD);
	refresh_answered(&r, true, 31);
	refresh_answered(&r, true, 32); /* a late second answer changes nothing */
	assert_int_equal(refresh_age_s(&r, 41), 10);
}

static void unknown_kid(void **state)
{
	start(false);
	load(1);
	assert_false(refresh_want(&r, bytes_str("new"), 20)); /* within 30 s of the last */
	refresh_kid_missing(&r, bytes_str("new"), 20);
	assert_false(refresh_want(&r, bytes_str("new"), 49)); /* remembered */
	refresh_kid_missing(&r, bytes_str("new"), 49);        /* which does not prolong it */
	assert_true(refresh_want(&r, bytes_str("newer"), 49));
	assert_true(refresh_want(&r, bytes_str("new"), 50));
	assert_int_equal(refresh_next(&r, 50), REFRESH_LOAD);
	assert_true(refresh_want(&r, bytes_str("new"), 51)); /* under way: wait for it */
	refresh_answered(&r, true, 51);
	assert_false(refresh_want(&r, bytes_str("new"), 51)); /* one refresh per token, no more */
}

/* 1,000 new kids each second for ten minutes: at most two requests in any minute. */
static void flood(void **state)
{
	unsigned requests = 0, in_minute = 0;
	char kid[32];

	start(true);
	assert_int_equal(refresh_next(&r, 1), REFRESH_DISCOVER);
	refresh_answered(&r, true, 1);
	load(1);
	for (int64_t at = 2; at < 602; at++) {
		for (unsigned i = 0; i < 1000; i++) {
			snprintf(kid, sizeof(kid), "%ld-%u", (long)at, i);
			if (!refresh_want(&r, bytes_str(kid), at))
				refresh_kid_missing(&r, bytes_str(kid), at);
		}
		while (refresh_next(&r, at) != REFRESH_NOTHING) {
			refresh_answered(&r, true, at);
			requests++;
			in_minute++;
		}
		if (at % 60 == 0) {
			assert_true(in_minute <= 2);
			in_minute = 0;
		}
	}
	assert_true(requests >= 18 && requests <= 20);
}

/* The same with a key-set server that is down, and its discovery up. */
static void flood_in_an_outage(void **state)
{
	unsigned requests = 0;

	start(true);
	assert_int_equal(refresh_next(&r, 1), REFRESH_DISCOVER);
	refresh_answered(&r, true, 1);
	load(1);
	for (int64_t at = 2; at < 602; at++) {
		(void)refresh_want(&r, bytes_of(&at, sizeof(at)), at);
		while (refresh_next(&r, at) != REFRESH_NOTHING) {
			refresh_answered(&r, false, at);
			requests++;
		}
	}
	assert_true(requests <= 20);
}

static void clock_restarts(void **state)
{
	start(false);
	load(1000000);
	assert_int_equal(refresh_age_s(&r, 10), 0);
	assert_int_equal(refresh_next(&r, 10), REFRESH_LOAD); /* a time ahead of now does not block */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_load_by_discovery), cmocka_unit_test(discovery_is_repeated_hourly), cmocka_unit_test(failures_are_30_s_apart),
		cmocka_unit_test(lost_answer_ends_by_itself), cmocka_unit_test(unknown_kid), cmocka_unit_test(flood),
		cmocka_unit_test(flood_in_an_outage), cmocka_unit_test(clock_restarts),
	};

	return cmocka_run_group_tests_name("refresh", tests, NULL, NULL);
}
