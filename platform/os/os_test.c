/* os_test.c: children, sandboxes and log lines, each in a process of its own where it cannot be undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/os/arguments.h"
#include "platform/os/child.h"
#include "platform/os/log.h"
#include "platform/os/outside.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"
#include "platform/os/scratch.h"

static char err[OS_ERROR_BYTES];

static bool ends(struct child *c, uint64_t now_ms, char how[OS_ERROR_BYTES])
{
	struct pollfd watch = { .fd = c->pidfd, .events = POLLIN };

	assert_int_equal(poll(&watch, 1, 10000), 1);
	return child_reap(c, now_ms, how);
}

static void a_child_talks_over_descriptor_three_and_gets_nothing_else(void **state)
{
	struct child c = { .program = "/bin/sh", .argv = { "sh", "-c", "{ ls /proc/self/fd | tr '\\n' ' '; env | sort | tr '\\n' ' '; } >&3" },
			   .socket = CHILD_STREAM, .pidfd = -1 };
	char said[256] = "", how[OS_ERROR_BYTES];
	int fd, leak = open("/dev/null", O_RDONLY);
	ssize_t n;

	setenv("SECRET", "canary", 1);
	assert_true(child_start(&c, 1000, &fd, err));
	for (size_t at = 0; (n = read(fd, said + at, sizeof(said) - 1 - at)) > 0; at += (size_t)n)
		;
	assert_null(strstr(said, "canary"));
	assert_non_null(strstr(said, "0 1 2 3 "));
	assert_true(ends(&c, 1000, how));
	assert_string_equal(how, "exit status 0");
	close(fd);
	close(leak);
}

static void falls_wait_longer_each_time(void **state)
{
	struct child c = { .program = "/bin/false", .argv = { "false" }, .pidfd = -1 };
	char how[OS_ERROR_BYTES];
	uint64_t now = 1000, waits[8];

	for (int i = 0; i < 8; i++) {
		assert_true(child_start(&c, now, NULL, err));
		assert_true(ends(&c, now, how));
		waits[i] = child_due(&c, now);
		now += waits[i];
	}
	assert_int_equal(waits[0], 100);
	assert_int_equal(waits[1], 200);
	assert_int_equal(waits[7], 5000);
	assert_true(child_start(&c, now, NULL, err));
	assert_true(ends(&c, now + 60000, how));
	assert_int_equal(child_due(&c, now + 60000), 100);
}

static void what_cannot_run_is_told(void **state)
{
	struct child c = { .program = "/nonexistent/x", .argv = { "x" }, .pidfd = -1 };
	char how[OS_ERROR_BYTES];

	assert_true(child_start(&c, 1, NULL, err));
	assert_true(ends(&c, 1, how));
	assert_non_null(strstr(how, "cannot be run"));
	c = (struct child){ .program = "/bin/sleep", .argv = { "sleep", "100" }, .pidfd = -1 };
	assert_true(child_start(&c, 1, NULL, err));
	assert_false(child_reap(&c, 1, how));
	child_signal(&c, SIGKILL);
	assert_true(ends(&c, 1, how));
	assert_string_equal(how, "signal 9");
}

/* Runs `body` in a process of its own; its wait status. */
static int apart(void (*body)(void))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void body_socket_after_sandbox(void)
{
	const char *const none[] = { NULL };

	if (!priv_harden(err) || !sandbox_calls(none, err))
		_exit(2);
	if (getpid() <= 0)
		_exit(3);
	socket(AF_INET, SOCK_STREAM, 0);
}

static void body_allowed_call(void)
{
	const char *const some[] = { "socket", "no_such_call", NULL };
	int fd;

	if (!sandbox_calls(some, err))
		_exit(2);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	_exit(fd < 0);
}

static void a_call_that_is_not_on_the_list_ends_the_process(void **state)
{
	int status = apart(body_socket_after_sandbox);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	assert_int_equal(apart(body_allowed_call), 0);
}

static void body_landlock(void)
{
	const char *const read[] = { "/usr", NULL }, *const write[] = { "/tmp", NULL };
	enum sandbox_result r = sandbox_files(read, write, err);

	if (r == SANDBOX_ABSENT)
		_exit(0);
	if (r == SANDBOX_FAILED || open("/etc/passwd", O_RDONLY) >= 0 || open("/usr/bin", O_RDONLY) < 0)
		_exit(1);
}

static void files_outside_the_list_cannot_be_opened(void **state)
{
	assert_int_equal(apart(body_landlock), 0);
}

static void body_drop(void)
{
	struct rlimit core;

	if (geteuid() != 0)
		_exit(0);
	if (!priv_drop("nobody", err) || !priv_harden(err))
		_exit(1);
	getrlimit(RLIMIT_CORE, &core);
	_exit(geteuid() == 0 || setuid(0) == 0 || core.rlim_max != 0 || prctl(PR_GET_DUMPABLE) != 0 ||
	      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || open("/etc/shadow", O_RDONLY) >= 0);
}

static void privileges_do_not_come_back(void **state)
{
	struct priv_user user;

	assert_int_equal(apart(body_drop), 0);
	assert_false(priv_user_find("no-such-user-here", &user, err));
	assert_non_null(strstr(err, "no such user"));
}

static char directory[SCRATCH_BYTES];

/* Runs a script of that interpreter; NULL: it ended well, otherwise how it ended, without its name. */
static const char *outside(const char *interpreter, const char *script)
{
	const char *const argv[] = { interpreter, strcmp(interpreter, "/usr/bin/perl") ? "-c" : "-e", script, NULL };
	const struct outside o = { .argv = argv, .directory = directory, .cpu_s = 1, .wall_s = 20, .memory_bytes = 256u << 20, .file_bytes = 1u << 20 };

	switch (outside_run(&o, err)) {
	case OUTSIDE_DONE: return NULL;
	case OUTSIDE_ABSENT: return "absent";
	default: return strstr(err, ": ") + 2;
	}
}

static void a_program_of_others_gets_nothing_but_its_directory(void **state)
{
	static const struct {
		const char *interpreter, *script, *ends; /* NULL: well */
	} rows[] = {
		{ "/bin/sh", "cat given > made && echo more > given", NULL },
		{ "/bin/sh", "test -z \"$SECRET\" && ! (: >&9) 2> t", NULL },
		{ "/bin/sh", "cat ../sluice-outside-secret > t 2> t", "exit status 1" },
		{ "/bin/sh", "echo x > ../sluice-outside-made", "exit status 2" },
		{ "/usr/bin/perl", "exit(syscall(41, 2, 1, 0) < 0 ? 7 : 0)", "exit status 7" }, /* socket(AF_INET, SOCK_STREAM) */
		{ "/usr/bin/perl", "exit(syscall(41, 1, 1, 0) < 0 ? 7 : 0)", "exit status 7" }, /* AF_UNIX */
		{ "/usr/bin/perl", "$x = 'x' x (1 << 29)", "exit status 12" },
		{ "/usr/bin/perl", "1 while 1", "signal 9" },
		{ "/usr/bin/perl", "open F, '>', 'big'; print F 'x' x 2000000; close F", "signal 25" },
		{ "/bin/sh", "kill -11 $$", "signal 11" },
		{ "/usr/bin/no-such-program", "", "absent" },
	};
	char secret[2 * SCRATCH_BYTES], given[2 * SCRATCH_BYTES];
	int leak;

	assert_true(scratch_make(directory));
	snprintf(secret, sizeof(secret), "%s/../sluice-outside-secret", directory);
	snprintf(given, sizeof(given), "%s/given", directory);
	for (unsigned i = 0; i < 2; i++) {
		int fd = open(i ? given : secret, O_WRONLY | O_CREAT, 0644);

		assert_true(fd >= 0 && write(fd, "words\n", 6) == 6 && close(fd) == 0);
	}
	leak = dup2(2, 9);
	setenv("SECRET", "canary", 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *ends = outside(rows[i].interpreter, rows[i].script);

		if (!ends != !rows[i].ends || (ends && strcmp(ends, rows[i].ends)))
			fail_msg("%s: %s: %s", rows[i].interpreter, rows[i].script, ends ? ends : "ended well");
	}
	assert_true(scratch_contains(directory, (struct bytes){ (const uint8_t *)"words", 5 }));
	close(leak);
	assert_int_equal(unlink(secret), 0);
	assert_true(scratch_remove(directory));
}

static char **words;

static void body_arguments(void)
{
	int argc = 0;

	while (words[argc])
		argc++;
	optind = 1;
	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
		_exit(99);
	_exit(strcmp(arguments_config(argc, words, "sluice-it", "About.\n", ""), "a.conf") == 0 ? 10 : 11);
}

/* 10: the file was taken; otherwise what the process ended with. */
static void the_command_line_of_a_daemon(void **state)
{
	static const struct {
		char *words[5];
		int status;
	} row[] = {
		{ { "it", "-c", "a.conf" }, 10 }, { { "it", "--config", "a.conf" }, 10 }, { { "it", "--config=a.conf" }, 10 },
		{ { "it", "-h" }, 0 }, { { "it", "--help" }, 0 }, { { "it", "-V" }, 0 }, { { "it", "--version" }, 0 },
		{ { "it" }, 2 }, { { "it", "-c" }, 2 }, { { "it", "a.conf" }, 2 }, { { "it", "-c", "a.conf", "b.conf" }, 2 }, { { "it", "-x" }, 2 },
	};

	for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
		words = (char **)(uintptr_t)row[i].words;
		assert_int_equal(WEXITSTATUS(apart(body_arguments)), row[i].status);
	}
}

static void a_log_line_carries_no_control_characters(void **state)
{
	char line[2048];
	int pipes[2], saved = dup(2);
	ssize_t n;

	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], 2);
	log_open("test", LOG_LEVEL_INFO);
	log_warn("what: %s: do", "\x1b[31mred\nnext line");
	log_debug("left out");
	dup2(saved, 2);
	n = read(pipes[0], line, sizeof(line) - 1);
	assert_true(n > 0);
	line[n] = 0;
	assert_string_equal(line, "test: what: ?[31mred?next line: do\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_talks_over_descriptor_three_and_gets_nothing_else),
		cmocka_unit_test(falls_wait_longer_each_time),
		cmocka_unit_test(what_cannot_run_is_told),
		cmocka_unit_test(a_call_that_is_not_on_the_list_ends_the_process),
		cmocka_unit_test(files_outside_the_list_cannot_be_opened),
		cmocka_unit_test(privileges_do_not_come_back),
		cmocka_unit_test(a_program_of_others_gets_nothing_but_its_directory),
		cmocka_unit_test(the_command_line_of_a_daemon),
		cmocka_unit_test(a_log_line_carries_no_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
