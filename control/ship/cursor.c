#include "control/ship/cursor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAME_BYTES 80u
#define TEXT_BYTES 32u

bool cursor_load(int dir, const char *name, uint64_t *next)
{
	char path[NAME_BYTES], text[TEXT_BYTES] = "", *end;
	ssize_t len;
	int fd;

	*next = 0;
	snprintf(path, sizeof path, "%s.next", name);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT;
	len = read(fd, text, sizeof text - 1);
	close(fd);
	if (len <= 0 || text[0] < '0' || text[0] > '9')
		return false;
	*next = strtoull(text, &end, 10);
	return *end == '\n' && end[1] == 0;
}

bool cursor_store(int dir, const char *name, uint64_t next)
{
	char path[NAME_BYTES], part[NAME_BYTES + 8], text[TEXT_BYTES];
	int len = snprintf(text, sizeof text, "%llu\n", (unsigned long long)next), fd;
	bool good;

	snprintf(path, sizeof path, "%s.next", name);
	snprintf(part, sizeof part, "%s.part", path);
	fd = openat(dir, part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	good = write(fd, text, (size_t)len) == len && fsync(fd) == 0;
	good = close(fd) == 0 && good;
	return good && renameat(dir, part, dir, path) == 0 && fsync(dir) == 0;
}
