#include "platform/os/scratch.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define DESCRIPTORS 16

static struct bytes sought;

bool scratch_make(char out[SCRATCH_BYTES])
{
	snprintf(out, SCRATCH_BYTES, "/dev/shm/sluice-test.XXXXXX");
	return mkdtemp(out) != NULL;
}

static int on_remove(const char *path, const struct stat *at, int kind, struct FTW *where)
{
	return remove(path);
}

bool scratch_remove(const char *dir)
{
	return nftw(dir, on_remove, DESCRIPTORS, FTW_DEPTH | FTW_PHYS) == 0;
}

static int on_search(const char *path, const struct stat *at, int kind, struct FTW *where)
{
	int fd = kind == FTW_F && at->st_size > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1, found = 0;
	void *memory = fd >= 0 ? mmap(NULL, (size_t)at->st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;

	if (memory != MAP_FAILED) {
		found = memmem(memory, (size_t)at->st_size, sought.base, sought.len) != NULL;
		munmap(memory, (size_t)at->st_size);
	}
	if (fd >= 0)
		close(fd);
	return found;
}

bool scratch_contains(const char *dir, struct bytes needle)
{
	sought = needle;
	return nftw(dir, on_search, DESCRIPTORS, FTW_PHYS) == 1;
}
