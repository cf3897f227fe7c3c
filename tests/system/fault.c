/* fault.c: faults for the real sluice-control, preloaded (LD_PRELOAD): flushes that stall, and a wall clock that was stepped.
 *
 * The file that FAULT_PAGE names is mapped before the process confines itself; the test writes into it: at 0, not zero while flushes
 * stall; at 8, microseconds that are added to the wall clock (signed); at 16, how many flushes stalled. Other processes are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct page {
	volatile uint64_t stalls;
	volatile int64_t offset_us;
	volatile uint64_t stalled;
};

static struct page none, *page = &none;
static int (*real_clock)(clockid_t, struct timespec *);
static int (*real_sync)(int), (*real_datasync)(int), (*real_memory)(void *, size_t, int);

__attribute__((constructor)) static void begin(void)
{
	static const char wanted[] = "/sluice-control";
	const char *file = getenv("FAULT_PAGE");
	char exe[4096];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int fd;
	void *map;

	real_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_sync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
	real_datasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	real_memory = (int (*)(void *, size_t, int))dlsym(RTLD_NEXT, "msync");
	exe[len > 0 ? len : 0] = 0;
	if (!file || strlen(exe) < sizeof(wanted) || strcmp(exe + strlen(exe) - strlen(wanted), wanted) != 0)
		return;
	fd = open(file, O_RDWR | O_CLOEXEC);
	map = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (map == MAP_FAILED)
		abort();
	page = map;
}

static void stall(void)
{
	const struct timespec nap = { 0, 10000000 };

	if (page->stalls)
		page->stalled++;
	while (page->stalls)
		nanosleep(&nap, NULL);
}

int fsync(int fd)
{
	stall();
	return real_sync(fd);
}

int fdatasync(int fd)
{
	stall();
	return real_datasync(fd);
}

int msync(void *at, size_t len, int flags)
{
	stall();
	return real_memory(at, len, flags);
}

int clock_gettime(clockid_t id, struct timespec *out)
{
	int result = (real_clock ? real_clock : (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(id, out);

	if (result == 0 && page->offset_us && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
		int64_t us = (int64_t)out->tv_sec * 1000000 + out->tv_nsec / 1000 + page->offset_us;

		*out = (struct timespec){ us / 1000000, us % 1000000 * 1000 };
	}
	return result;
}

time_t time(time_t *out)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone __attribute__((unused)))
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	out->tv_sec = t.tv_sec;
	out->tv_usec = t.tv_nsec / 1000;
	return 0;
}
