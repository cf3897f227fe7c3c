#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "control/age_clock.h"

#define HOUR (3600ull * 1000000)
#define DAY (24 * HOUR)
#define NOW (20000 * DAY)

/* In the order of time: the clocks, and what is said; the time that ages are judged by. */
struct row {
	uint64_t wall_us, mono_us;
	bool free;
	enum age_clock_news news;
	uint64_t time_us;
};

static void play(struct age_clock c, const struct row *row, size_t rows)
{
	for (size_t i = 0; i < rows; i++) {
		enum age_clock_news news = age_clock_look(&c, row[i].wall_us, row[i].mono_us, row[i].free);

		if (news != row[i].news || c.time_us != row[i].time_us)
			fail_msg("row %zu: news %d, time %llu", i, news, (unsigned long long)c.time_us);
	}
}

static void it_follows_the_wall_clock(void **state)
{
	static const struct row rows[] = {
		{ NOW, 5, true, AGE_CLOCK_SAME, NOW },
		{ NOW + HOUR, HOUR, true, AGE_CLOCK_SAME, NOW + HOUR },
		{ NOW - HOUR, 2 * HOUR, false, AGE_CLOCK_SAME, NOW - HOUR },             /* set back */
	};

	play((struct age_clock){ 0 }, rows, sizeof(rows) / sizeof(*rows));
}

static void a_small_step_is_caught_up_with(void **state)
{
	static const struct row rows[] = {
		{ NOW, 1, false, AGE_CLOCK_SAME, NOW },
		{ NOW + 2 * HOUR, 1, false, AGE_CLOCK_SAME, NOW },
		{ NOW + 26 * HOUR, 1 + 24 * HOUR, false, AGE_CLOCK_SAME, NOW + 25 * HOUR },
		{ NOW + 50 * HOUR, 1 + 48 * HOUR, false, AGE_CLOCK_SAME, NOW + 50 * HOUR },
		{ NOW + 51 * HOUR, 1 + 49 * HOUR, false, AGE_CLOCK_SAME, NOW + 51 * HOUR },
	};

	play((struct age_clock){ 0 }, rows, sizeof(rows) / sizeof(*rows));
}

/* Somebody sets the clock forward by 23 hours, each hour of ten days. */
static void small_steps_do_not_add_up(void **state)
{
	struct age_clock c = { .time_us = NOW, .mono_us = 1 };

	for (unsigned hour = 1; hour <= 240; hour++)
		age_clock_look(&c, c.time_us + 24 * HOUR, 1 + hour * HOUR, false);
	assert_true(c.time_us == NOW + 250 * HOUR);
}

static void a_step_forward_waits_a_day(void **state)
{
	static const struct row rows[] = {
		{ NOW, 1, false, AGE_CLOCK_SAME, NOW },
		{ NOW + 500 * DAY, 1 + HOUR, false, AGE_CLOCK_AHEAD, NOW + HOUR },
		{ NOW + 500 * DAY + 23 * HOUR, 1 + 24 * HOUR, false, AGE_CLOCK_SAME, NOW + 24 * HOUR },
		{ NOW + 500 * DAY + 24 * HOUR, 1 + 25 * HOUR, false, AGE_CLOCK_TAKEN, NOW + 500 * DAY + 24 * HOUR },
		{ NOW + 500 * DAY + 25 * HOUR, 1 + 26 * HOUR, false, AGE_CLOCK_SAME, NOW + 500 * DAY + 25 * HOUR },
	};

	play((struct age_clock){ 0 }, rows, sizeof(rows) / sizeof(*rows));
}

static void a_clock_that_nobody_sets_is_not_taken(void **state)
{
	static const struct row rows[] = {
		{ NOW + 500 * DAY, 1, true, AGE_CLOCK_AHEAD, NOW + 1 },
		{ NOW + 530 * DAY, 1 + 30 * DAY, true, AGE_CLOCK_SAME, NOW + 1 + 30 * DAY },
		{ NOW + 530 * DAY + 23 * HOUR, 1 + 30 * DAY + 23 * HOUR, false, AGE_CLOCK_SAME, NOW + 1 + 30 * DAY + 23 * HOUR },
		{ NOW + 531 * DAY, 1 + 31 * DAY, false, AGE_CLOCK_TAKEN, NOW + 531 * DAY },
	};

	play((struct age_clock){ .time_us = NOW }, rows, sizeof(rows) / sizeof(*rows));
}

static void set_right_again_it_goes_on(void **state)
{
	static const struct row rows[] = {
		{ NOW + 500 * DAY, 1, false, AGE_CLOCK_AHEAD, NOW + 1 },
		{ NOW + 2 * HOUR, 1 + 2 * HOUR, false, AGE_CLOCK_BACK, NOW + 2 * HOUR },
		{ NOW + 3 * HOUR, 1 + 3 * HOUR, false, AGE_CLOCK_SAME, NOW + 3 * HOUR },
	};

	play((struct age_clock){ .time_us = NOW }, rows, sizeof(rows) / sizeof(*rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_follows_the_wall_clock),
		cmocka_unit_test(a_small_step_is_caught_up_with),
		cmocka_unit_test(small_steps_do_not_add_up),
		cmocka_unit_test(a_step_forward_waits_a_day),
		cmocka_unit_test(a_clock_that_nobody_sets_is_not_taken),
		cmocka_unit_test(set_right_again_it_goes_on),
	};

	return cmocka_run_group_tests_name("age_clock", tests, NULL, NULL);
}
