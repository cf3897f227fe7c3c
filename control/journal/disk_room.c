#include "control/journal/disk_room.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PAGE_BYTES 4096u
#define PAGE_HEADER_BYTES 16u
#define NODE_BYTES 32u          /* header, key, slot, padding */
#define NODE_MAX_BYTES 1900u    /* below LMDB's limit: a value above it gets pages of its own */

uint64_t disk_room_value(uint64_t bytes)
{
	if (bytes > NODE_MAX_BYTES)
		return (bytes + PAGE_HEADER_BYTES + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES + 2 * NODE_BYTES;
	return 2 * (bytes + NODE_BYTES);
}

static int used(MDB_env *env, int *fd, uint64_t *bytes)
{
	MDB_envinfo info = { 0 };
	MDB_stat stat = { 0 };
	int code = mdb_env_get_fd(env, fd);

	if (code == 0)
		code = mdb_env_info(env, &info);
	if (code == 0)
		code = mdb_env_stat(env, &stat);
	*bytes = (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize;
	return code;
}

static int zeros(int fd, uint64_t from, uint64_t to)
{
	static const uint8_t none[64 << 10];

	while (from < to) {
		ssize_t n = pwrite(fd, none, to - from < sizeof none ? to - from : sizeof none, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errno : ENOSPC;
		from += (uint64_t)n;
	}
	return 0;
}

int disk_room_check(int fd)
{
	while (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1) != 0)
		if (errno != EINTR)
			return errno == EOPNOTSUPP ? 0 : errno;
	return 0;
}

/* The first byte is there, so that the check's request is for nothing new. */
static int fill(int fd, uint64_t from, uint64_t to)
{
	int code = zeros(fd, from, to);

	if (code == 0 && fdatasync(fd) != 0)
		code = errno;
	return code ? code : disk_room_check(fd);
}

int disk_room_make(struct disk_room *r, MDB_env *env, uint64_t bytes)
{
	uint64_t begin, need;
	int fd, code = used(env, &fd, &begin);

	need = begin + bytes + DISK_ROOM_TREE_BYTES;
	if (code || need <= r->to)
		return code;
	if (r->to < begin)
		r->to = begin;
	code = fill(fd, r->to, need + DISK_ROOM_STEP_BYTES);
	if (code == 0)
		need += DISK_ROOM_STEP_BYTES;
	else if (code == ENOSPC || code == EDQUOT)
		code = fill(fd, r->to, need);
	if (code == 0)
		r->to = need;
	return code;
}

int disk_room_cut(MDB_env *env)
{
	uint64_t end;
	int fd, code = env ? used(env, &fd, &end) : EINVAL;

	return code || ftruncate(fd, (off_t)end) == 0 ? code : errno;
}
