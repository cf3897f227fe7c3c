/* The disk's flush: figures in order, nothing left behind, a clear error where nothing can be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <string.h>

#include "control/journal/flush.h"
#include "control/journal/journal_fixture.h"

static void measured_and_nothing_left(void **state)
{
	char dir[128], err[JOURNAL_ERROR_BYTES] = "";
	struct flush_time t = { 0 };
	unsigned left = 0;
	DIR *d;

	fixture_dir(dir);
	if (!flush_measure(dir, &t, err))
		fail_msg("%s", err);
	assert_true(t.least_ns > 0 && t.least_ns <= t.median_ns && t.median_ns <= t.most_ns);
	assert_non_null(d = opendir(dir));
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		left += e->d_name[0] != '.';
	closedir(d);
	assert_int_equal(left, 0);
	fixture_remove(dir);
}

static void where_nothing_can_be_written(void **state)
{
	char err[JOURNAL_ERROR_BYTES] = "";
	struct flush_time t;

	assert_false(flush_measure("/proc/self", &t, err));
	assert_non_null(strstr(err, "/proc/self: the time of a flush cannot be measured: "));
}

static void rates(void **state)
{
	const struct flush_time t = { .least_ns = 1, .median_ns = 250000, .most_ns = 1000000 }, none = { 0 };

	assert_int_equal(flush_rate(&t, 1), 4000);
	assert_int_equal(flush_rate(&t, 64), 256000);
	assert_true(flush_rate(&none, 1) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(measured_and_nothing_left),
		cmocka_unit_test(where_nothing_can_be_written),
		cmocka_unit_test(rates),
	};

	return cmocka_run_group_tests_name("journal flush", tests, NULL, NULL);
}
