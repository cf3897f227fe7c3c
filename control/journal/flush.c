#include "control/journal/flush.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES (1u << 20)
#define META_BYTES 4096u
#define DATA_BYTES (4 * 4096u)

static uint64_t clock_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static bool put(int fd, const uint8_t *from, size_t len, off_t at)
{
	ssize_t n = pwrite(fd, from, len, at);

	if (n >= 0 && (size_t)n != len)
		errno = ENOSPC;
	return n == (ssize_t)len && fdatasync(fd) == 0;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool rounds(int fd, uint64_t taken[FLUSH_ROUNDS])
{
	static uint8_t pages[FILE_BYTES];
	const unsigned places = (FILE_BYTES - META_BYTES) / DATA_BYTES;

	memset(pages, 0x5a, sizeof(pages));
	if (!put(fd, pages, FILE_BYTES, 0))
		return false;
	for (unsigned i = 0; i < FLUSH_ROUNDS; i++) {
		uint64_t begin = clock_ns();

		memset(pages, (int)i, DATA_BYTES);
		if (!put(fd, pages, DATA_BYTES, META_BYTES + (off_t)(i % places) * DATA_BYTES) || !put(fd, pages, META_BYTES, 0))
			return false;
		taken[i] = clock_ns() - begin;
	}
	return true;
}

bool flush_measure(const char *dir, struct flush_time *out, char err[JOURNAL_ERROR_BYTES])
{
	uint64_t taken[FLUSH_ROUNDS];
	char path[300];
	bool good = false;
	int fd = -1;

	if (snprintf(path, sizeof(path), "%s/flush.XXXXXX", dir) < (int)sizeof(path))
		fd = mkostemp(path, O_CLOEXEC);
	else
		errno = ENAMETOOLONG;
	if (fd >= 0) {
		(void)unlink(path);
		good = rounds(fd, taken);
	}
	if (!good) {
		snprintf(err, JOURNAL_ERROR_BYTES, "%.150s: the time of a flush cannot be measured: %s", dir, strerror(errno));
	} else {
		qsort(taken, FLUSH_ROUNDS, sizeof(taken[0]), by_size);
		*out = (struct flush_time){ .least_ns = taken[0], .median_ns = taken[FLUSH_ROUNDS / 2], .most_ns = taken[FLUSH_ROUNDS - 1] };
	}
	if (fd >= 0)
		close(fd);
	return good;
}

uint64_t flush_rate(const struct flush_time *t, unsigned batch)
{
	return 1000000000u * (uint64_t)batch / (t->median_ns ? t->median_ns : 1);
}
