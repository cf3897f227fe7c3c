#include "platform/os/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/os/log.h"

#define FILES_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FILES_WRITE (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
		     LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK)
#define FILES_OTHER (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
		     LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FILES_ONE_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

/* What any running process needs, and what the sanitizers and the C library do behind its back. */
static const char *const basic_calls[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "close", "lseek", "fstat", "newfstatat", "statx",
	"mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "mlock", "munlock", "mlock2", "msync",
	"poll", "ppoll", "epoll_wait", "epoll_pwait", "epoll_ctl", "select", "pselect6",
	"recvmsg", "sendmsg", "recvfrom", "sendto", "shutdown", "getsockopt", "fcntl", "dup",
	"clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "clock_getres",
	"futex", "sched_yield", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getrandom", "set_robust_list",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "tgkill", "rseq",
	"exit", "exit_group", "getrusage", "sysinfo", "uname", "prlimit64", "sched_getaffinity", "membarrier", NULL,
};

static bool fail(char *err, const char *what, const char *why, const char *remedy)
{
	snprintf(err, OS_ERROR_BYTES, "%.60s: %.100s: %.60s", what, why, remedy);
	return false;
}

static bool rule_add(int ruleset, const char *path, uint64_t allowed)
{
	struct landlock_path_beneath_attr below = { .allowed_access = allowed };
	struct stat at;
	bool good;

	below.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (below.parent_fd < 0)
		return errno == ENOENT;
	if (fstat(below.parent_fd, &at) == 0 && !S_ISDIR(at.st_mode))
		below.allowed_access &= FILES_ONE_FILE;
	good = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0) == 0;
	close(below.parent_fd);
	return good;
}

static enum sandbox_result confine(const char *const *read, uint64_t reading, const char *const *write, char err[OS_ERROR_BYTES])
{
	struct landlock_ruleset_attr all = { .handled_access_fs = FILES_READ | FILES_WRITE | FILES_OTHER };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	bool good = true;

	if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
		fail(err, "file sandbox", "this kernel has no Landlock", "boot with lsm=landlock,...");
		return SANDBOX_ABSENT;
	}
	for (; ruleset >= 0 && good && *read; read++)
		good = rule_add(ruleset, *read, reading);
	for (; ruleset >= 0 && good && *write; write++)
		good = rule_add(ruleset, *write, FILES_READ | FILES_WRITE);
	good = good && ruleset >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	if (!good)
		fail(err, "file sandbox", strerror(errno), "check the kernel");
	if (ruleset >= 0)
		close(ruleset);
	return good ? SANDBOX_DONE : SANDBOX_FAILED;
}

enum sandbox_result sandbox_files(const char *const *read, const char *const *write, char err[OS_ERROR_BYTES])
{
	return confine(read, FILES_READ, write, err);
}

enum sandbox_result sandbox_program(const char *const *run, const char *const *write, char err[OS_ERROR_BYTES])
{
	return confine(run, FILES_READ | LANDLOCK_ACCESS_FS_EXECUTE, write, err);
}

bool sandbox_no_network(char err[OS_ERROR_BYTES])
{
	static const int refused[] = { SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(io_uring_setup), SCMP_SYS(ptrace), SCMP_SYS(keyctl), SCMP_SYS(unshare) };
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int result = filter ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]) && result == 0; i++)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
	if (result == 0)
		result = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return result == 0 || fail(err, "system call sandbox", strerror(-result), "check the kernel for seccomp");
}

static bool calls_allow(scmp_filter_ctx filter, const char *const *calls)
{
	for (; *calls; calls++) {
		int number = seccomp_syscall_resolve_name(*calls);

		if (number >= 0 && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) < 0)
			return false;
	}
	return true;
}

bool sandbox_calls(const char *const *calls, char err[OS_ERROR_BYTES])
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int result = -ENOMEM;

	/* glibc asks for clone3 first and falls back when it is told that there is none. */
	/* TSYNC: the data plane's worker thread exists already when its process is confined. */
	if (filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 && calls_allow(filter, basic_calls) && calls_allow(filter, calls) &&
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) >= 0 &&
	    /* isatty on a log, asked by the C library: only ever "no". */
	    seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOTTY), SCMP_SYS(ioctl), 0) >= 0)
		result = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return result == 0 || fail(err, "system call sandbox", strerror(-result), "check the kernel for seccomp");
}

bool sandbox_enter(const char *const *read, const char *const *write, const char *const *calls, char err[OS_ERROR_BYTES])
{
	enum sandbox_result files = sandbox_files(read, write, err);

	if (files == SANDBOX_ABSENT)
		log_warn("%s", err);
	return files != SANDBOX_FAILED && sandbox_calls(calls, err);
}
