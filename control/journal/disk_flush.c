#include "control/journal/disk_flush.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

static _Atomic uint64_t flushes;

/* Asks for the first byte's block, which is there unless the file is empty. Errors that are not about the state of the file system say nothing of it. */
int disk_flush_check(int fd)
{
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1) != 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EOPNOTSUPP:
		case ENODEV: /* not a regular file */
		case ESPIPE:
		case EBADF: /* not open for writing */
		case EPERM: /* for appending only */
		case ENOSPC: /* its first byte is a hole */
		case EDQUOT:
			return 0;
		default:
			return -1;
		}
	}
	return 0;
}

int disk_flush_of(int (*flush)(int), int fd)
{
	atomic_fetch_add_explicit(&flushes, 1, memory_order_relaxed);
	return flush(fd) == 0 ? disk_flush_check(fd) : -1;
}

/* In libc's place; weak, for a test's own disk stands in front of this one (disk_kit.c). */
__attribute__((weak, visibility("default"))) int fdatasync(int fd)
{
	static int (*_Atomic real)(int);
	int (*next)(int) = real;

	if (!next) {
		*(void **)&next = dlsym(RTLD_NEXT, "fdatasync");
		real = next;
	}
	return disk_flush_of(next, fd);
}

uint64_t disk_flushes(void)
{
	return flushes;
}
