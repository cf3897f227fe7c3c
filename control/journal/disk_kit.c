/* Both names of each call are ours: libraries use the plain ones, our own code (64-bit offsets) the others. */
#undef _FILE_OFFSET_BITS
#include "control/journal/disk_kit.h"

#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096u
#define FILES_MAX 4096u

struct piece {
	uint32_t page, at, len;
	uint8_t *data;
};

struct tracked {
	ino_t inode;
	uint8_t *synced;
	size_t synced_len, synced_room;
	struct piece *piece;
	size_t pieces, room;
	size_t size;      /* as written, for cutting */
};

static struct {
	char dir[PATH_MAX];
	void (*before)(void *ctx);
	void *ctx;
	struct tracked file[FILES_MAX];
	unsigned files;
	struct disk_fault fault;
	bool inside;
} disk;


static ssize_t real_pwrite(int fd, const void *data, size_t len, off_t at)
{
	static ssize_t (*real)(int, const void *, size_t, off_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pwrite");
	return real(fd, data, len, at);
}

static int real_sync(const char *name, int fd)
{
	int (*real)(int);

	*(void **)&real = dlsym(RTLD_NEXT, name);
	return real(fd);
}

/* --- what is known of a file --------------------------------------------------------------------------------------------- */

static void forget(struct tracked *t)
{
	for (size_t i = 0; i < t->pieces; i++)
		free(t->piece[i].data);
	t->pieces = 0;
	t->synced_len = t->size = 0;
}

static bool below(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t len;

	if (!disk.dir[0])
		return false;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof path - 1);
	if (len <= 0)
		return false;
	path[len] = 0;
	return strncmp(path, disk.dir, strlen(disk.dir)) == 0 && path[strlen(disk.dir)] == '/';
}

static struct tracked *find(ino_t inode, bool make)
{
	for (unsigned i = 0; i < disk.files; i++)
		if (disk.file[i].inode == inode)
			return &disk.file[i];
	if (!make)
		return NULL;
	assert(disk.files < FILES_MAX);
	disk.file[disk.files] = (struct tracked){ .inode = inode };
	return &disk.file[disk.files++];
}

static struct tracked *tracked_of(int fd)
{
	struct stat st;

	if (disk.inside || !below(fd) || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return NULL;
	return find(st.st_ino, true);
}

static void remember(struct tracked *t, const uint8_t *data, size_t len, uint64_t at)
{
	while (len) {
		size_t in_page = at % PAGE, part = PAGE - in_page < len ? PAGE - in_page : len;

		if (t->pieces == t->room) {
			t->room = t->room ? t->room * 2 : 64;
			t->piece = realloc(t->piece, t->room * sizeof *t->piece);
			assert(t->piece);
		}
		t->piece[t->pieces] = (struct piece){ .page = (uint32_t)(at / PAGE), .at = (uint32_t)in_page, .len = (uint32_t)part, .data = malloc(part) };
		assert(t->piece[t->pieces].data);
		memcpy(t->piece[t->pieces++].data, data, part);
		data += part;
		len -= part;
		at += part;
		if (at > t->size)
			t->size = at;
	}
}

static void apply(uint8_t **to, size_t *len, size_t *room, const struct piece *p)
{
	size_t end = (size_t)p->page * PAGE + p->at + p->len;

	if (end > *room) {
		*room = end * 2;
		*to = realloc(*to, *room);
		assert(*to);
	}
	if (end > *len) {
		memset(*to + *len, 0, end - *len);
		*len = end;
	}
	memcpy(*to + (size_t)p->page * PAGE + p->at, p->data, p->len);
}

static void settle(struct tracked *t)
{
	for (size_t i = 0; i < t->pieces; i++) {
		apply(&t->synced, &t->synced_len, &t->synced_room, &t->piece[i]);
		free(t->piece[i].data);
	}
	t->pieces = 0;
}

/* --- the calls ----------------------------------------------------------------------------------------------------------- */

/* True when this call has to fail; errno is set. */
static bool faulty(bool is_sync)
{
	struct disk_fault *f = &disk.fault;

	if (!f->nth || (f->sync_only && !is_sync) || --f->nth)
		return false;
	f->nth = f->stays ? 1 : 0;
	errno = f->error;
	return true;
}

static void moment(void)
{
	if (disk.before && !disk.inside) {
		disk.inside = true;
		disk.before(disk.ctx);
		disk.inside = false;
	}
}

static ssize_t put(int fd, const uint8_t *data, size_t len, off_t at)
{
	struct tracked *t = tracked_of(fd);
	ssize_t got;

	if (!t)
		return real_pwrite(fd, data, len, at);
	moment();
	if (faulty(false)) {
		int error = errno;

		if (disk.fault.partial && len > PAGE)
			(void)!real_pwrite(fd, data, PAGE, at);
		errno = error;
		return -1;
	}
	got = real_pwrite(fd, data, len, at);
	if (got > 0) {
		remember(t, data, (size_t)got, (uint64_t)at);
		if (fcntl(fd, F_GETFL) & O_DSYNC)
			settle(t);
	}
	return got;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t at)
{
	return put(fd, data, len, at);
}

ssize_t write(int fd, const void *data, size_t len)
{
	off_t at = tracked_of(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
	static ssize_t (*real)(int, const void *, size_t);
	ssize_t got;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (at < 0 || (fcntl(fd, F_GETFL) & O_APPEND))
		return real(fd, data, len);
	got = put(fd, data, len, at);
	if (got > 0)
		(void)lseek(fd, at + got, SEEK_SET);
	return got;
}

ssize_t writev(int fd, const struct iovec *part, int parts)
{
	off_t at = tracked_of(fd) ? lseek(fd, 0, SEEK_CUR) : -1;
	static ssize_t (*real)(int, const struct iovec *, int);
	ssize_t all = 0;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "writev");
	if (at < 0)
		return real(fd, part, parts);
	for (int i = 0; i < parts; i++) {
		ssize_t got = put(fd, part[i].iov_base, part[i].iov_len, at + all);

		if (got < 0)
			return all ? all : -1;
		all += got;
		if ((size_t)got < part[i].iov_len)
			break;
	}
	(void)lseek(fd, at + all, SEEK_SET);
	return all;
}

static int sync_one(const char *name, int fd)
{
	struct tracked *t = tracked_of(fd);
	int code;

	if (!t)
		return real_sync(name, fd);
	moment();
	if (faulty(true))
		return -1;
	code = real_sync(name, fd);
	if (code == 0)
		settle(t);
	return code;
}

int fsync(int fd)
{
	return sync_one("fsync", fd);
}

int fdatasync(int fd)
{
	return sync_one("fdatasync", fd);
}

int syncfs(int fd)
{
	/* The test's disk is that of others too: only what is watched is synced. */
	if (!disk.dir[0])
		return real_sync("syncfs", fd);
	moment();
	for (unsigned i = 0; i < disk.files; i++)
		settle(&disk.file[i]);
	return 0;
}

int ftruncate(int fd, off_t size)
{
	static int (*real)(int, off_t);
	struct tracked *t = tracked_of(fd);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ftruncate");
	if (t && size == 0)
		forget(t);
	return real(fd, size);
}

/* A file that begins empty is a new one, whatever had its inode before. */
int open(const char *path, int flags, ...)
{
	static int (*real)(const char *, int, ...);
	mode_t mode = 0;
	va_list args;
	int fd;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "open");
	va_start(args, flags);
	if (flags & (O_CREAT | __O_TMPFILE))
		mode = va_arg(args, mode_t);
	va_end(args);
	fd = real(path, flags, mode);
	if (fd >= 0 && (flags & O_ACCMODE) != O_RDONLY && disk.dir[0] && !disk.inside) {
		struct stat st;

		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && below(fd))
			forget(find(st.st_ino, true));
	}
	return fd;
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int open64(const char *path, int flags, ...) __attribute__((alias("open")));

/* --- for the tests ------------------------------------------------------------------------------------------------------- */

void disk_watch(const char *dir, void (*before)(void *ctx), void *ctx)
{
	for (unsigned i = 0; i < disk.files; i++) {
		forget(&disk.file[i]);
		free(disk.file[i].piece);
		free(disk.file[i].synced);
	}
	disk.files = 0;
	disk.inside = false; /* a test that failed in `before` never came back */
	disk.fault = (struct disk_fault){ 0 };
	disk.dir[0] = 0;
	if (dir && !realpath(dir, disk.dir))
		disk.dir[0] = 0;
	disk.before = before;
	disk.ctx = ctx;
}

void disk_fail(const struct disk_fault *fault)
{
	disk.fault = fault ? *fault : (struct disk_fault){ 0 };
}

static void put_file(const char *path, const uint8_t *data, size_t len)
{
	FILE *f = fopen(path, "we");

	assert(f);
	assert(len == 0 || fwrite(data, 1, len, f) == len);
	assert(fclose(f) == 0);
}

static void image_file(const char *path, const struct tracked *t, struct rng *rng, unsigned keep)
{
	size_t len = t->synced_len, room = len + PAGE;
	uint8_t *data = malloc(room);
	uint32_t *lost = malloc((t->pieces + 1) * sizeof *lost);
	size_t losts = 0;

	assert(data && lost);
	if (len)
		memcpy(data, t->synced, len);
	for (size_t i = 0; i < t->pieces; i++) {
		bool gone = rng_below(rng, 100) >= keep;

		/* After a lost write of a page the later ones of that page are lost as well. */
		for (size_t k = 0; k < losts && !gone; k++)
			gone = lost[k] == t->piece[i].page;
		if (gone)
			lost[losts++] = t->piece[i].page;
		else
			apply(&data, &len, &room, &t->piece[i]);
	}
	put_file(path, data, len);
	free(lost);
	free(data);
}

static void image_dir(const char *from, const char *to, struct rng *rng, unsigned keep)
{
	char a[PATH_MAX], b[PATH_MAX];
	DIR *d = opendir(from);
	struct dirent *e;

	assert(mkdir(to, 0700) == 0 && d);
	while ((e = readdir(d)) != NULL) {
		struct stat st;
		struct tracked *t;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(a, sizeof a, "%s/%s", from, e->d_name);
		snprintf(b, sizeof b, "%s/%s", to, e->d_name);
		if (lstat(a, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode)) {
			image_dir(a, b, rng, keep);
			continue;
		}
		/* lock.mdb is no evidence: LMDB makes it anew. */
		t = find(st.st_ino, false);
		if (t)
			image_file(b, t, rng, keep);
	}
	closedir(d);
}

void disk_image(const char *to, struct rng *rng, unsigned keep)
{
	bool was = disk.inside;

	disk.inside = true;
	image_dir(disk.dir, to, rng, keep);
	disk.inside = was;
}
