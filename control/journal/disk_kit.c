/* Both names of each call are ours: libraries use the plain ones, our own code (64-bit offsets) the others. */
#undef _FILE_OFFSET_BITS
#include "control/journal/disk_kit.h"

#include "control/journal/disk_flush.h"
#include "control/journal/disk_names.h"

#include <assert.h>
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
	uint64_t number; /* the inode, or what disk_names.h gave it when that went */
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
	bool inside, gave_up;
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

/* In the watched directory, or, a directory, that itself. */
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
	return strncmp(path, disk.dir, strlen(disk.dir)) == 0 && (path[strlen(disk.dir)] == '/' || path[strlen(disk.dir)] == 0);
}

static struct tracked *find(uint64_t number, bool make)
{
	unsigned at = 0;

	while (at < disk.files && disk.file[at].number != number)
		at++;
	if (at == disk.files && !make)
		return NULL;
	assert(at < FILES_MAX);
	if (at == disk.files)
		disk.file[disk.files++] = (struct tracked){ .number = number };
	return &disk.file[at];
}

/* What no directory names any more, whatever the cut leaves. */
static void forget_unnamed(void)
{
	for (unsigned i = 0; i < disk.files;) {
		struct tracked *t = &disk.file[i];

		if (disk_names_known(t->number)) {
			i++;
			continue;
		}
		forget(t);
		free(t->piece);
		free(t->synced);
		*t = disk.file[--disk.files];
	}
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

/* On a disk that gave up: what lies in blocks that are there. */
static void settle(struct tracked *t)
{
	size_t there = disk.gave_up ? t->synced_len : SIZE_MAX;

	for (size_t i = 0; i < t->pieces; i++) {
		if ((size_t)t->piece[i].page * PAGE + t->piece[i].at + t->piece[i].len <= there)
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

	if (!f->nth || ((f->sync_only || f->lies) && !is_sync) || --f->nth)
		return false;
	if (f->lies) {
		disk.gave_up = true;
		return false;
	}
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
	struct stat st;
	bool directory = !t && !disk.inside && below(fd) && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
	int code;

	if (!t && !directory)
		return real_sync(name, fd);
	moment();
	if (t && faulty(true))
		return -1;
	code = real_sync(name, fd);
	if (code == 0 && t)
		settle(t);
	if (code == 0 && directory && !disk.gave_up) {
		disk_names_synced(st.st_ino);
		forget_unnamed();
	}
	return code;
}

int fsync(int fd)
{
	return sync_one("fsync", fd);
}

/* disk_flush.c calls it, in whose place the one of this file stands. */
static int sync_data(int fd)
{
	return sync_one("fdatasync", fd);
}

int fdatasync(int fd)
{
	return disk_flush_of(sync_data, fd);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
	static int (*real)(int, int, off_t, off_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fallocate");
	errno = EROFS;
	return disk.gave_up && tracked_of(fd) ? -1 : real(fd, mode, at, len);
}

int syncfs(int fd)
{
	/* The test's disk is that of others too: only what is watched is synced, and not by the journal that is opened from an image. */
	if (!disk.dir[0])
		return real_sync("syncfs", fd);
	if (disk.inside)
		return 0;
	moment();
	for (unsigned i = 0; i < disk.files; i++)
		settle(&disk.file[i]);
	disk_names_synced(0);
	forget_unnamed();
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

		if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && below(fd)) {
			disk_names_changed(path);
			forget(find(st.st_ino, true));
		}
	}
	return fd;
}

/* A change of names: a moment before it, and what lost its last name by it keeps what it had, under a number of its own. */
struct change {
	bool watched;
	uint64_t last;
};

static struct change change_begin(const char *goes)
{
	struct change c = { .watched = disk.dir[0] && !disk.inside };

	if (c.watched) {
		moment();
		c.last = goes ? disk_names_last(goes) : 0;
	}
	return c;
}

static int change_end(const struct change *c, int code, const char *path, const char *other)
{
	struct tracked *t;

	if (code != 0 || !c->watched)
		return code;
	t = c->last ? find(c->last, false) : NULL;
	if (c->last) {
		uint64_t number = disk_names_gone(c->last);

		if (t)
			t->number = number;
	}
	disk_names_changed(path);
	if (other)
		disk_names_changed(other);
	return code;
}

int rename(const char *from, const char *to)
{
	static int (*real)(const char *, const char *);
	struct change c = change_begin(to);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "rename");
	return change_end(&c, real(from, to), from, to);
}

static int remove_by(const char *call, const char *path)
{
	int (*real)(const char *);
	struct change c = change_begin(path);

	*(void **)&real = dlsym(RTLD_NEXT, call);
	return change_end(&c, real(path), path, NULL);
}

int unlink(const char *path)
{
	return remove_by("unlink", path);
}

int rmdir(const char *path)
{
	return remove_by("rmdir", path);
}

int unlinkat(int fd, const char *name, int flags)
{
	char link[64], path[PATH_MAX];
	ssize_t len;
	static int (*real)(int, const char *, int);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "unlinkat");
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = disk.dir[0] && !disk.inside && name[0] != '/' ? readlink(link, path, sizeof path - 1) : -1;
	if (len <= 0)
		return real(fd, name, flags);
	snprintf(path + len, sizeof path - (size_t)len, "/%s", name);
	return flags & AT_REMOVEDIR ? rmdir(path) : unlink(path);
}

int mkdir(const char *path, mode_t mode)
{
	static int (*real)(const char *, mode_t);
	struct change c = change_begin(NULL);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "mkdir");
	return change_end(&c, real(path, mode), path, NULL);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t at) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int fallocate64(int fd, int mode, off_t at, off_t len) __attribute__((alias("fallocate")));
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
	disk.gave_up = disk.inside = false; /* a test that failed in `before` never came back */
	disk.fault = (struct disk_fault){ 0 };
	disk.dir[0] = 0;
	if (dir && !realpath(dir, disk.dir))
		disk.dir[0] = 0;
	disk_names_watch(disk.dir[0] ? disk.dir : NULL);
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

struct contents {
	struct rng *rng;
	unsigned keep;
};

/* lock.mdb is no evidence: LMDB makes it anew. */
static void image_contents(void *ctx, const char *path, uint64_t number)
{
	const struct contents *c = ctx;
	const struct tracked *t = find(number, false);

	if (t)
		image_file(path, t, c->rng, c->keep);
}

void disk_image(const char *to, struct rng *rng, unsigned keep)
{
	struct contents c = { rng, keep };
	bool was = disk.inside;

	disk.inside = true;
	disk_names_image(to, rng, keep, image_contents, &c);
	disk.inside = was;
}
