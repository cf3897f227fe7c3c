/* asked_test.c: both ends of a helper that another unit starts; this process is that unit, and listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/os/asked.h"
#include "platform/os/child.h"
#include "platform/os/scratch.h"

static char err[OS_ERROR_BYTES];

struct place {
	char dir[SCRATCH_BYTES], path[SCRATCH_BYTES + 8];
	int listener;
};

static void place_make(struct place *p)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };

	assert_true(scratch_make(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/sock", p->dir);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(p->listener, 4), 0);
}

static void place_remove(struct place *p)
{
	close(p->listener);
	scratch_remove(p->dir);
}

/* What the helper reads when these bytes come: -1 refused, else how many arguments. The connection is on descriptor 3. */
static int arguments_of(const void *bytes, size_t len, char ***argv)
{
	static char *given[] = { "helper", "--asked", NULL };
	int pair[2], argc = 2, saved = dup(ASKED_FD);
	bool good;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[1], bytes, len), (ssize_t)len);
	close(pair[1]);
	dup2(pair[0], ASKED_FD);
	if (pair[0] != ASKED_FD)
		close(pair[0]);
	*argv = given;
	good = asked_arguments(&argc, argv);
	if (saved >= 0) {
		dup2(saved, ASKED_FD);
		close(saved);
	} else {
		close(ASKED_FD);
	}
	return good ? argc : -1;
}

static void what_is_no_list_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		int count;
	} rows[] = {
		{ "\0\3a\0b", 5, -1 },                 /* no NUL at the end */
		{ "\0\4a\0b\0", 6, 2 },
		{ "\0\4a\0b\0more", 10, 2 },           /* what follows is the helper's own */
		{ "\0\3a\0\0", 5, 2 },                 /* an empty one */
		{ "\0\0", 2, -1 },                     /* none at all */
		{ "\0", 1, -1 },
		{ "", 0, -1 },
		{ "\0\5a\0b\0", 6, -1 },               /* it ends before */
		{ "\x10\1", 2, -1 },                   /* more than ASKED_BYTES */
		{ "\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 18, 16 },
		{ "\0\x11\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 19, -1 }, /* more than CHILD_ARGUMENTS */
	};
	char **argv;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(arguments_of(rows[i].bytes, rows[i].len, &argv), rows[i].count);
}

static void other_command_lines_are_left_alone(void **state)
{
	char *one[] = { "helper", "--asked", "--name", NULL }, *other[] = { "helper", "--name", NULL }, **argv = one;
	int argc = 3;

	assert_true(asked_arguments(&argc, &argv) && argc == 3 && argv == one);
	argv = other;
	argc = 2;
	assert_true(asked_arguments(&argc, &argv) && argc == 2 && argv == other);
}

static void a_helper_that_is_asked_for_gets_its_arguments_first(void **state)
{
	struct place p;
	struct child c = { .argv = { "helper", "--name", "", "a b", NULL }, .at = p.path, .socket = CHILD_STREAM, .pidfd = -1 };
	char came[64], how[OS_ERROR_BYTES], **argv;
	int fd, helper;
	ssize_t len;

	place_make(&p);
	assert_true(child_start(&c, 1000, &fd, err));
	helper = accept(p.listener, NULL, NULL);
	assert_int_equal(write(fd, "x", 1), 1);
	len = read(helper, came, sizeof(came));
	assert_int_equal(arguments_of(came, (size_t)len, &argv), 4);
	assert_string_equal(argv[0], "helper");
	assert_string_equal(argv[1], "--name");
	assert_string_equal(argv[2], "");
	assert_string_equal(argv[3], "a b");
	assert_false(child_reap(&c, 1000, how));
	/* What it says is its user's: the supervisor does not wake for it. */
	assert_int_equal(write(helper, "y", 1), 1);
	assert_int_equal(poll(&(struct pollfd){ .fd = c.pidfd, .events = child_events(&c) }, 1, 0), 0);
	close(helper);
	assert_int_equal(poll(&(struct pollfd){ .fd = c.pidfd, .events = child_events(&c) }, 1, 10000), 1);
	assert_true(child_reap(&c, 1000, how));
	assert_string_equal(how, "its connection is over");
	assert_int_equal(child_due(&c, 1000), 100);
	close(fd);
	place_remove(&p);
}

static void told_to_end_it_loses_its_connection(void **state)
{
	struct place p;
	struct child c = { .argv = { "helper", NULL }, .at = p.path, .socket = CHILD_STREAM, .pidfd = -1 };
	char came[64], how[OS_ERROR_BYTES];
	int fd, helper;

	place_make(&p);
	assert_true(child_start(&c, 1, &fd, err));
	helper = accept(p.listener, NULL, NULL);
	assert_int_equal(read(helper, came, sizeof(came)), 2 + 7);
	child_signal(&c, SIGKILL);
	assert_int_equal(read(helper, came, sizeof(came)), 0);
	assert_true(child_reap(&c, 1, how));
	close(helper);
	close(fd);
	/* Nobody listens: told, and a fall. */
	close(p.listener);
	assert_false(child_start(&c, 5000, &fd, err));
	assert_non_null(strstr(err, "start the unit of that socket"));
	assert_int_equal(c.falls, 2);
	scratch_remove(p.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_list_is_refused),
		cmocka_unit_test(other_command_lines_are_left_alone),
		cmocka_unit_test(a_helper_that_is_asked_for_gets_its_arguments_first),
		cmocka_unit_test(told_to_end_it_loses_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
