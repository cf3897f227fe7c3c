/* Between fork and exec: everything is given up, the network first while we still may, the limits last, since our own memory may be over them. */
#include "platform/os/outside.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/os/sandbox.h"

#define NOBODY 65534u
#define CHILD_FAILED 125 /* exit status: it was not even started */

static int give_away(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return lchown(path, NOBODY, NOBODY);
}

static bool limit(int resource, uint64_t most)
{
	const struct rlimit bound = { .rlim_cur = most, .rlim_max = most };

	return setrlimit(resource, &bound) == 0;
}

static bool streams_to_nothing(void)
{
	int null = open("/dev/null", O_RDWR);

	return null >= 0 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2 && close_range(3, ~0u, 0) == 0;
}

static bool become_nobody(void)
{
	if (geteuid() != 0)
		return true;
	return unshare(CLONE_NEWNET) == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static bool bound(const struct outside *o)
{
	(void)alarm(o->wall_s);
	return limit(RLIMIT_CORE, 0) && limit(RLIMIT_CPU, o->cpu_s) && limit(RLIMIT_FSIZE, o->file_bytes) && limit(RLIMIT_AS, o->memory_bytes);
}

static void child(const struct outside *o)
{
	const char *const run[] = { "/usr", "/lib", "/lib64", "/bin", "/etc/fonts", "/etc/ld.so.cache", "/etc/alternatives", "/var/cache/fontconfig", NULL }, *const write[] = { o->directory, "/dev/null", NULL };
	char *const environment[] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", "HOME=/nonexistent", NULL };
	char err[OS_ERROR_BYTES];

	if (streams_to_nothing() && chdir(o->directory) == 0 && become_nobody() && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 &&
	    sandbox_program(run, write, err) != SANDBOX_FAILED && sandbox_no_network(err) && bound(o))
		(void)execve(o->argv[0], (char *const *)(uintptr_t)o->argv, environment);
	_exit(CHILD_FAILED);
}

enum outside_result outside_run(const struct outside *o, char err[OS_ERROR_BYTES])
{
	int status = 0;
	pid_t pid, ended;

	if (access(o->argv[0], X_OK) != 0) {
		snprintf(err, OS_ERROR_BYTES, "%.200s: %.50s", o->argv[0], strerror(errno));
		return OUTSIDE_ABSENT;
	}
	pid = geteuid() == 0 && nftw(o->directory, give_away, 8, FTW_PHYS) != 0 ? -1 : fork();
	if (pid == 0)
		child(o);
	do
		ended = pid > 0 ? waitpid(pid, &status, 0) : -1;
	while (ended < 0 && pid > 0 && errno == EINTR);
	if (ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OUTSIDE_DONE;
	if (ended != pid || (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_FAILED))
		snprintf(err, OS_ERROR_BYTES, "%.200s: cannot be started confined", o->argv[0]);
	else
		snprintf(err, OS_ERROR_BYTES, "%.200s: %s %d", o->argv[0], WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return OUTSIDE_FAILED;
}
