/* sandbox_module.c: what a library of somebody else can no longer do in a process of ours: see sandbox.h.
 *
 * Nobody knows which files, sockets and threads it needs, so this names what it must not have. Landlock knows no "all but": so each neighbour of
 * `hide` and of each directory above it is allowed as it is now, and what is not listed there stays closed. Links are passed over: they lead to
 * something that has been allowed by its own path, or not at all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "platform/os/log.h"
#include "platform/os/sandbox.h"

/* Landlock's first version; what later ones know is not handled, and so as before. */
#define FILES_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FILES_ALLOWED (FILES_ALL & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE)
#define FILES_ONE_FILE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

static bool fail(char err[OS_ERROR_BYTES], const char *what, const char *why, const char *remedy)
{
	snprintf(err, OS_ERROR_BYTES, "%.60s: %.100s: %.60s", what, why, remedy);
	return false;
}

static void allow(int ruleset, int dir, const char *name)
{
	struct landlock_path_beneath_attr below = { .allowed_access = FILES_ALLOWED };
	struct stat at;

	below.parent_fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (below.parent_fd < 0)
		return;
	if (fstat(below.parent_fd, &at) == 0 && !S_ISLNK(at.st_mode)) {
		if (!S_ISDIR(at.st_mode))
			below.allowed_access &= FILES_ONE_FILE;
		/* One that fails stays closed. */
		(void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &below, 0);
	}
	close(below.parent_fd);
}

/* All that lies in `path` but `name`. A directory that cannot be listed stays closed as a whole. */
static void allow_others(int ruleset, const char *path, const char *name)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, name) != 0)
			allow(ruleset, dirfd(dir), entry->d_name);
	}
	if (dir)
		closedir(dir);
}

static bool files_hide(const char *hide, char err[OS_ERROR_BYTES])
{
	static const struct landlock_ruleset_attr all = { .handled_access_fs = FILES_ALL };
	char path[PATH_MAX], name[NAME_MAX + 1];
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
	bool good;

	if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP)) {
		log_warn("file sandbox: this kernel has no Landlock: a module could read %s: boot with lsm=landlock,...", hide);
		return true;
	}
	if (ruleset < 0 || !realpath(hide, path) || path[1] == 0) {
		fail(err, "file sandbox", strerror(errno), "check the kernel and the directory");
		if (ruleset >= 0)
			close(ruleset);
		return false;
	}
	/* From the end up: /a/b/c, then /a/b, then /a. */
	for (char *slash; (slash = strrchr(path, '/')) != NULL && slash[1];) {
		snprintf(name, sizeof name, "%s", slash + 1);
		slash[slash == path] = 0;
		allow_others(ruleset, path, name);
	}
	good = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
	close(ruleset);
	return good || fail(err, "file sandbox", strerror(errno), "check the kernel");
}

static int calls_refuse(scmp_filter_ctx filter)
{
	static const char *const refused[] = {
		"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "pidfd_send_signal", "kill", "tkill",
		"rt_sigqueueinfo", "rt_tgsigqueueinfo", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick", "open_tree", "move_mount",
		"mount_setattr", "unshare", "setns", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key",
		"request_key", "open_by_handle_at", "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "personality", "reboot", "swapon",
		"swapoff", "quotactl", "quotactl_fd", "acct", "syslog", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "iopl", "ioperm", "modify_ldt", NULL,
	};
	int result = 0;

	for (const char *const *name = refused; *name && result == 0; name++) {
		int number = seccomp_syscall_resolve_name(*name);

		if (number >= 0)
			result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
	}
	/* A thread, but no process. The C library asks for clone3 first and falls back. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
	/* abort and raise are for ourselves; so are limits. */
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1, SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid()));
	if (result == 0)
		result = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_NE, 0));
	return result;
}

bool sandbox_module(const char *hide, char err[OS_ERROR_BYTES])
{
	scmp_filter_ctx filter;
	int result;

	if (!files_hide(hide, err))
		return false;
	filter = seccomp_init(SCMP_ACT_ALLOW);
	result = filter ? calls_refuse(filter) : -ENOMEM;
	if (result == 0)
		result = seccomp_load(filter);
	if (filter)
		seccomp_release(filter);
	return result == 0 || fail(err, "system call sandbox", strerror(-result), "check the kernel for seccomp");
}
