/* shm.c: see shm.h. Every file is made under a name of its own (O_EXCL, the process's id and a random number), filled, and
 * only then given its real name: linkat for rings and tables, which fails when another process was first, rename for
 * published files, which replace what was there. */
#include "platform/os/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/limits.h"
#include "platform/base/random.h"
#include "platform/contract/ring.h"

#define NAME_BYTES 128

size_t shm_ring_capacity(enum shm_ring which)
{
	return which == SHM_RING_UP ? LIMIT_RING_UP_BYTES : LIMIT_RING_DOWN_BYTES;
}

static void *fail(char *err, const char *dir, const char *name, const char *why, const char *remedy)
{
	snprintf(err, OS_ERROR_BYTES, "%.80s/%.60s: %.50s: %.50s", dir, name, why, remedy);
	return NULL;
}

/* A directory that somebody else could have planted files in is not a run directory. */
static int dir_open(const char *dir, char err[OS_ERROR_BYTES])
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail(err, dir, "", strerror(errno), "make the run directory");
	return fd;
}

static bool name_ok(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) < NAME_BYTES - 40;
}

/* An unnamed yet existing file of `len` reserved bytes with the directory's group; its name in `temp`. -1 with errno. */
static int temp_make(int dir_fd, const char *name, size_t len, unsigned mode, char temp[NAME_BYTES])
{
	uint32_t salt;
	struct stat at;
	int fd, saved;

	random_secret(&salt, sizeof(salt));
	snprintf(temp, NAME_BYTES, ".%s.%d.%08x", name, (int)getpid(), salt);
	fd = openat(dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	saved = posix_fallocate(fd, 0, (off_t)(len ? len : 1));
	if (!saved && (ftruncate(fd, (off_t)len) < 0 || fstat(dir_fd, &at) < 0))
		saved = errno;
	/* The group is the directory's; when we may not give it, the mode alone decides who can open the file. */
	if (!saved && fchown(fd, (uid_t)-1, at.st_gid) < 0 && errno != EPERM)
		saved = errno;
	if (!saved && fchmod(fd, (mode_t)mode) < 0)
		saved = errno;
	if (!saved)
		return fd;
	unlinkat(dir_fd, temp, 0);
	close(fd);
	errno = saved;
	return -1;
}

static void *map_shared(int fd, size_t len, bool write)
{
	void *memory = mmap(NULL, len, write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* The mapped file `name`, when it is there. `*absent` says that it is not. */
static void *existing_map(int dir_fd, const char *dir, const char *name, size_t len, bool *absent, char *err)
{
	int fd = openat(dir_fd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	struct stat at;
	void *memory = NULL;

	*absent = fd < 0 && errno == ENOENT;
	if (fd < 0)
		return *absent ? NULL : fail(err, dir, name, strerror(errno), "check its owner and mode");
	if (fstat(fd, &at) < 0 || !S_ISREG(at.st_mode) || (size_t)at.st_size != len)
		fail(err, dir, name, "not a file of the right size", "stop both processes and remove it");
	else if (!(memory = map_shared(fd, len, true)))
		fail(err, dir, name, strerror(errno), "free memory");
	close(fd);
	return memory;
}

/* Makes the file, `fill` its content, and links it in; NULL with `*lost` when another process was first. */
static void *made_map(int dir_fd, const char *dir, const char *name, size_t len, unsigned mode, void (*fill)(void *, size_t),
		      bool *lost, char *err)
{
	char temp[NAME_BYTES];
	int fd = temp_make(dir_fd, name, len, mode, temp);
	void *memory;

	*lost = false;
	if (fd < 0)
		return fail(err, dir, name, strerror(errno), "free room in the run directory");
	memory = map_shared(fd, len, true);
	close(fd);
	if (memory && fill)
		fill(memory, len);
	if (memory && linkat(dir_fd, temp, dir_fd, name, 0) < 0) {
		*lost = errno == EEXIST;
		fail(err, dir, name, strerror(errno), "check the run directory");
		munmap(memory, len);
		memory = NULL;
	} else if (!memory) {
		fail(err, dir, name, strerror(errno), "free memory");
	}
	unlinkat(dir_fd, temp, 0);
	return memory;
}

static void *open_or_make(const char *dir, const char *name, size_t len, unsigned mode, void (*fill)(void *, size_t), char *err)
{
	bool absent, lost = false;
	void *memory = NULL;
	int dir_fd;

	if (!name_ok(name) || len == 0)
		return fail(err, dir, name, "not a name of a memory file", "report this");
	dir_fd = dir_open(dir, err);
	if (dir_fd < 0)
		return NULL;
	for (int attempt = 0; attempt < 3 && !memory; attempt++) {
		memory = existing_map(dir_fd, dir, name, len, &absent, err);
		if (memory || !absent)
			break;
		memory = made_map(dir_fd, dir, name, len, mode, fill, &lost, err);
		if (!memory && !lost)
			break;
	}
	close(dir_fd);
	return memory;
}

void *shm_open_or_make(const char *dir, const char *name, size_t len, unsigned mode, char err[OS_ERROR_BYTES])
{
	return open_or_make(dir, name, len, mode, NULL, err);
}

void shm_unmap(void *memory, size_t len)
{
	if (memory)
		munmap(memory, len);
}

static void ring_fill(void *memory, size_t len)
{
	uint8_t id[16];

	random_secret(id, sizeof(id));
	ring_init(memory, len - RING_HEADER_BYTES, id);
}

void *shm_ring_open(const char *dir, unsigned worker, enum shm_ring which, char err[OS_ERROR_BYTES])
{
	size_t capacity = shm_ring_capacity(which), len = ring_bytes(capacity);
	struct ring_consumer probe;
	char name[NAME_BYTES];
	void *memory;

	snprintf(name, sizeof(name), "ring-%s-%u", which == SHM_RING_UP ? "up" : "down", worker);
	if (worker >= LIMIT_WORKERS)
		return fail(err, dir, name, "worker number too large", "lower the number of workers");
	memory = open_or_make(dir, name, len, 0660, ring_fill, err);
	if (memory && !ring_attach_consumer(&probe, memory, capacity)) {
		fail(err, dir, name, "does not hold a ring", "stop both processes and remove it");
		shm_unmap(memory, len);
		memory = NULL;
	}
	return memory;
}

void shm_ring_close(void *memory, enum shm_ring which)
{
	shm_unmap(memory, ring_bytes(shm_ring_capacity(which)));
}

bool shm_publish(const char *dir, const char *name, struct bytes content, unsigned mode, char err[OS_ERROR_BYTES])
{
	char temp[NAME_BYTES];
	int dir_fd = name_ok(name) ? dir_open(dir, err) : -1, fd;
	size_t done = 0;

	if (dir_fd < 0)
		return name_ok(name) ? false : fail(err, dir, name, "not a name of a memory file", "report this");
	fd = temp_make(dir_fd, name, content.len, mode, temp);
	while (fd >= 0 && done < content.len) {
		ssize_t n = pwrite(fd, content.base + done, content.len - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd < 0 || done < content.len || renameat(dir_fd, temp, dir_fd, name) < 0) {
		fail(err, dir, name, strerror(errno), "free room in the run directory");
		if (fd >= 0)
			unlinkat(dir_fd, temp, 0);
		done = SIZE_MAX;
	}
	if (fd >= 0)
		close(fd);
	close(dir_fd);
	return done == content.len;
}

struct bytes shm_map(const char *dir, const char *name, size_t max, char err[OS_ERROR_BYTES])
{
	struct bytes out = { 0 };
	struct stat at;
	int dir_fd, fd;

	if (!name_ok(name)) {
		fail(err, dir, name, "not a name of a memory file", "report this");
		return out;
	}
	dir_fd = dir_open(dir, err);
	if (dir_fd < 0)
		return out;
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &at) < 0)
		fail(err, dir, name, strerror(errno), "start sluice-control");
	else if (!S_ISREG(at.st_mode) || at.st_size <= 0 || (size_t)at.st_size > max)
		fail(err, dir, name, "empty, too large or not a file", "remove it and reload the policy");
	else if (!(out.base = map_shared(fd, (size_t)at.st_size, false)))
		fail(err, dir, name, strerror(errno), "free memory");
	else
		out.len = (size_t)at.st_size;
	if (fd >= 0)
		close(fd);
	close(dir_fd);
	return out;
}
