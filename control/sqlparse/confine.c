#include "control/sqlparse/confine.h"

#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control/sqlparse/wire.h"

/* The stack is 256 MiB; parse trees of texts within the caps stay below a tenth of the rest. */
#define ADDRESS_SPACE_BYTES (1ull << 30)

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* the sanitizer's shadow is larger than any limit that makes sense */
#endif

static bool limit(int resource, rlim_t value)
{
	struct rlimit r = { .rlim_cur = value, .rlim_max = value };

	return setrlimit(resource, &r) == 0;
}

bool confine_process(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 &&
	       syscall(SYS_close_range, SQLPARSE_FD + 1, ~0u, 0) == 0 && limit(RLIMIT_CORE, 0) && limit(RLIMIT_FSIZE, 0) &&
	       limit(RLIMIT_NOFILE, SQLPARSE_FD + 1) && (SANITIZED || limit(RLIMIT_AS, ADDRESS_SPACE_BYTES));
}

static const int free_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(futex),
	SCMP_SYS(setitimer), SCMP_SYS(clock_gettime), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(sigaltstack), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* Memory may be had, but never memory that can be executed. */
static const int memory_calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

bool confine_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	bool good = filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;

	for (size_t i = 0; good && i < sizeof free_calls / sizeof *free_calls; i++)
		good = seccomp_rule_add(filter, SCMP_ACT_ALLOW, free_calls[i], 0) == 0;
	for (size_t i = 0; good && i < sizeof memory_calls / sizeof *memory_calls; i++)
		good = seccomp_rule_add(filter, SCMP_ACT_ALLOW, memory_calls[i], 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)) == 0;
	good = good && seccomp_load(filter) == 0;
	if (filter)
		seccomp_release(filter);
	return good;
}
