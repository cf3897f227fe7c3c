/* durable_test.c: what is in place after each call, and what is left of one that fails. Whether it outlives a loss of power is for
 * control/journal/power_test.c, whose disk can lose what was not synced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "platform/os/durable.h"
#include "platform/os/scratch.h"

static char dir[SCRATCH_BYTES], path[SCRATCH_BYTES + 16], temp[SCRATCH_BYTES + 24];

static int set_up(void **state)
{
	if (!scratch_make(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(temp, sizeof(temp), "%s.new", path);
	return 0;
}

static int tear_down(void **state)
{
	return scratch_remove(dir) ? 0 : -1;
}

static void assert_holds(const char *name, const char *text)
{
	char got[64] = "";
	FILE *f = fopen(name, "re");

	assert_non_null(f);
	assert_int_equal(fread(got, 1, sizeof(got) - 1, f), strlen(text));
	fclose(f);
	assert_string_equal(got, text);
}

static void put(const char *name, const char *text)
{
	assert_true(durable_create(name, bytes_str(text), 0600));
}

static void assert_mode(const char *name, mode_t mode)
{
	struct stat st;

	assert_int_equal(lstat(name, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void directories(void **state)
{
	static const struct {
		const char *name; /* below the directory */
		int sync, parent;
	} rows[] = {
		{ "", 0, 0 },
		{ "/file", ENOTDIR, 0 },
		{ "/none", ENOENT, 0 },
		{ "/none/file", ENOENT, ENOENT },
		{ "/file/below", ENOTDIR, ENOTDIR },
	};
	char name[2 * SCRATCH_BYTES], long_name[PATH_MAX + 1];

	put(path, "x");
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", dir, rows[i].name);
		assert_int_equal(durable_sync_dir(name), rows[i].sync);
		assert_int_equal(durable_sync_parent(name), rows[i].parent);
	}
	assert_int_equal(durable_sync_parent("a name without a directory"), 0);
	memset(long_name, '/', sizeof(long_name) - 1);
	long_name[PATH_MAX] = 0;
	assert_int_equal(durable_sync_parent(long_name), ENAMETOOLONG);
}

static void a_new_file_is_new(void **state)
{
	put(path, "one");
	assert_holds(path, "one");
	assert_false(durable_create(path, bytes_str("two"), 0600));
	assert_int_equal(errno, EEXIST);
	assert_holds(path, "one");
}

static void a_link_is_not_followed(void **state)
{
	char elsewhere[sizeof(path) + 8];

	snprintf(elsewhere, sizeof(elsewhere), "%s.other", path);
	put(elsewhere, "theirs");
	assert_int_equal(symlink(elsewhere, path), 0);
	assert_false(durable_create(path, bytes_str("ours"), 0600));
	assert_int_equal(symlink(elsewhere, temp), 0);
	assert_true(durable_replace(path, bytes_str("ours"), 0600));
	assert_holds(elsewhere, "theirs");
	assert_mode(path, 0600);
	assert_holds(path, "ours");
}

static void modes(void **state)
{
	static const mode_t rows[] = { 0400, 0600, 0640, 0644, 0755 };
	mode_t mask = umask(0077);

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(durable_replace(path, bytes_str("text"), rows[i]));
		assert_mode(path, rows[i]);
	}
	umask(mask);
}

static void one_takes_the_place_of_another(void **state)
{
	assert_true(durable_replace(path, bytes_str("one"), 0600));
	assert_holds(path, "one");
	put(temp, "of an attempt that was killed, and longer");
	assert_true(durable_replace(path, bytes_str("two"), 0600));
	assert_holds(path, "two");
	assert_int_equal(access(temp, F_OK), -1);
	assert_true(durable_replace(path, (struct bytes){ 0 }, 0600));
	assert_holds(path, "");
}

static void the_file_before_stays(void **state)
{
	char long_name[PATH_MAX];

	put(path, "one");
	assert_int_equal(mkdir(temp, 0700), 0);
	assert_false(durable_replace(path, bytes_str("two"), 0600));
	assert_int_equal(errno, EEXIST);
	assert_holds(path, "one");
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	assert_false(durable_replace(long_name, bytes_str("two"), 0600));
	assert_int_equal(errno, ENAMETOOLONG);
}

/* A disk that takes the first bytes only: as a limit on the size of files does. */
static void a_short_write_is_none(void **state)
{
	struct rlimit before, few;

	put(path, "one");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	few = (struct rlimit){ .rlim_cur = 3, .rlim_max = before.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
	assert_false(durable_replace(path, bytes_str("twofold"), 0600));
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_holds(path, "one");
	assert_holds(temp, "two");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(directories, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_new_file_is_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_link_is_not_followed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(modes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_takes_the_place_of_another, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_file_before_stays, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_short_write_is_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
