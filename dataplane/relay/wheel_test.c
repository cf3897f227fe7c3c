#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/relay/wheel.h"
#include "platform/base/random.h"

#define ENTRIES 500

static struct wheel wheel;

/* Random deadlines, some of them many turns of the wheel away: each is handed out once, when it is due, within 1 ms. */
static void hands_out_what_is_due(void **state)
{
	static struct wheel_entry entry[ENTRIES];
	struct rng rng = rng_seeded(5);
	unsigned out = 0;

	wheel_init(&wheel, 1000000);
	for (int i = 0; i < ENTRIES; i++)
		wheel_set(&wheel, &entry[i], 1000000 + rng_below(&rng, 20000000));
	for (uint64_t now = 1000000; now < 21010000; now += 700) {
		struct wheel_entry *e;
		unsigned budget = 100000;

		while ((e = wheel_next(&wheel, now, &budget))) {
			assert_true(e->deadline_us <= now);
			assert_true(now - e->deadline_us < 3000);
			out++;
		}
	}
	assert_int_equal(out, ENTRIES);
}

static void cleared_and_moved(void **state)
{
	struct wheel_entry a = { 0 }, b = { 0 };
	unsigned budget = 100000;

	wheel_init(&wheel, 1);
	wheel_set(&wheel, &a, 5000);
	wheel_set(&wheel, &b, 5000);
	wheel_clear(&a);
	wheel_set(&wheel, &b, 9000);
	assert_null(wheel_next(&wheel, 7000, &budget));
	assert_ptr_equal(wheel_next(&wheel, 9500, &budget), &b);
	assert_null(wheel_next(&wheel, 90000, &budget));
	wheel_set(&wheel, &a, 10); /* in the past */
	assert_ptr_equal(wheel_next(&wheel, 90000, &budget), &a);
}

static void budget_bounds_the_work(void **state)
{
	struct wheel_entry a = { 0 };
	unsigned budget = 10;

	wheel_init(&wheel, 1);
	wheel_set(&wheel, &a, 50000);
	assert_null(wheel_next(&wheel, 60000, &budget));
	assert_int_equal(budget, 0);
	budget = 1000;
	assert_ptr_equal(wheel_next(&wheel, 60000, &budget), &a);
}

/* A million flows whose keepalives fall into the same millisecond hours from now do not hide the one that is due. */
static void what_is_far_away_does_not_stand_before_what_is_due(void **state)
{
	enum { MANY = 5000, BUDGET = 64 };
	static struct wheel_entry far[MANY];
	struct wheel_entry due = { 0 };
	struct wheel_entry *e = NULL;

	wheel_init(&wheel, 1000000);
	for (unsigned i = 0; i < MANY; i++)
		wheel_set(&wheel, &far[i], 1005000 + (uint64_t)(1 + i % 3) * WHEEL_SLOTS * 1000);
	wheel_set(&wheel, &due, 1005000);
	for (unsigned calls = 0; !e && calls < 3; calls++) {
		unsigned budget = BUDGET;

		e = wheel_next(&wheel, 1006000, &budget);
	}
	assert_ptr_equal(e, &due);
}

/* Longer than both wheels reach, and in steps that are longer than one turn of either. */
static void days_from_now(void **state)
{
	const uint64_t day_us = 86400000000;
	struct wheel_entry a = { 0 };
	unsigned budget;

	wheel_init(&wheel, 1000);
	wheel_set(&wheel, &a, 3 * day_us);
	for (uint64_t now = 1000; now < 3 * day_us; now += day_us / 8) {
		budget = 20000000;
		assert_null(wheel_next(&wheel, now, &budget));
		assert_true(budget > 0);
	}
	budget = 20000000;
	assert_ptr_equal(wheel_next(&wheel, 3 * day_us, &budget), &a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hands_out_what_is_due),
		cmocka_unit_test(cleared_and_moved),
		cmocka_unit_test(budget_bounds_the_work),
		cmocka_unit_test(what_is_far_away_does_not_stand_before_what_is_due),
		cmocka_unit_test(days_from_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
