/* The mark of life between two processes: seen at once when the holder is killed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/standby/life.h"

static struct page_standby *page;

static int make(void **state)
{
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED || !life_prepare(page) ? -1 : 0;
}

static int unmake(void **state)
{
	return munmap(page, sizeof *page);
}

/* A process that holds it; returns once it does. */
static pid_t holder(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		byte = life_hold(page) ? 1 : 0;
		(void)!write(ready[1], &byte, 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void nobody_holds_it_at_first(void **state)
{
	assert_true(life_watch(page, 0));
	assert_true(life_prepare(page)); /* again: as it is */
}

static void a_living_holder_is_seen(void **state)
{
	pid_t pid = holder();

	assert_false(life_watch(page, 20));
	assert_false(life_hold(page)); /* nobody else can */
	kill(pid, SIGKILL);
	assert_true(life_watch(page, 10000));
	waitpid(pid, NULL, 0);
}

static void one_after_the_other(void **state)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = holder();

		assert_false(life_watch(page, 1));
		kill(pid, SIGKILL);
		assert_true(life_watch(page, 10000));
		waitpid(pid, NULL, 0);
	}
}

static void half_prepared_is_refused(void **state)
{
	atomic_store(&page->magic, 1);
	assert_false(life_prepare(page));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_holds_it_at_first, make, unmake), cmocka_unit_test_setup_teardown(a_living_holder_is_seen, make, unmake),
		cmocka_unit_test_setup_teardown(one_after_the_other, make, unmake), cmocka_unit_test_setup_teardown(half_prepared_is_refused, make, unmake),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
