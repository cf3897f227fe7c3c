#include "control/journal/tiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool tiles_path(int level, uint64_t number, unsigned width, char out[TILES_PATH_MAX])
{
	char name[TILES_PATH_MAX];
	char *at = name + sizeof name;
	int len;

	if (level < TILES_ENTRIES || level > 63 || width < 1 || width > TILES_WIDTH)
		return false;
	/* Groups from the last to the first. */
	*--at = 0;
	for (bool last = true; last || number; last = false, number /= 1000) {
		char group[6];
		size_t chars = (size_t)snprintf(group, sizeof group, last ? "%03u" : "x%03u/", (unsigned)(number % 1000));

		at -= chars;
		memcpy(at, group, chars);
	}
	if (level == TILES_ENTRIES)
		len = snprintf(out, TILES_PATH_MAX, "tile/entries/%s", at);
	else
		len = snprintf(out, TILES_PATH_MAX, "tile/%d/%s", level, at);
	if (width < TILES_WIDTH)
		snprintf(out + len, TILES_PATH_MAX - (size_t)len, ".p/%u", width);
	return true;
}

/* Makes every directory in front of the last slash of `path`. */
static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	return 0;
}

static int write_all(int fd, struct bytes data)
{
	for (size_t at = 0; at < data.len;) {
		ssize_t got = write(fd, data.base + at, data.len - at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? errno : EIO;
		at += (size_t)got;
	}
	return 0;
}

int tiles_write_file(const char *dir, const char *name, struct bytes data)
{
	char path[PATH_MAX], beside[PATH_MAX + 8];
	int fd, code;

	if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, name) >= sizeof path)
		return ENAMETOOLONG;
	snprintf(beside, sizeof beside, "%s.new", path);
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0 && errno == ENOENT) {
		if ((code = make_parents(path)) != 0)
			return code;
		fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	}
	if (fd < 0)
		return errno;
	code = write_all(fd, data);
	if (close(fd) != 0 && code == 0)
		code = errno;
	if (code == 0 && rename(beside, path) != 0)
		code = errno;
	if (code)
		(void)unlink(beside);
	return code;
}

int tiles_write(const char *dir, int level, uint64_t number, unsigned width, struct bytes data)
{
	char name[TILES_PATH_MAX];

	if (!tiles_path(level, number, width, name))
		return EINVAL;
	return tiles_write_file(dir, name, data);
}

void tiles_drop_partial(const char *dir, int level, uint64_t number)
{
	char name[TILES_PATH_MAX], path[PATH_MAX];
	struct dirent *entry;
	DIR *partial;

	if (!tiles_path(level, number, TILES_WIDTH, name) ||
	    (size_t)snprintf(path, sizeof path, "%s/%s.p", dir, name) >= sizeof path)
		return;
	partial = opendir(path);
	if (!partial)
		return;
	while ((entry = readdir(partial)) != NULL)
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(partial), entry->d_name, 0);
	closedir(partial);
	(void)rmdir(path);
}

void tiles_put_entry(struct writer *out, struct bytes entry)
{
	if (entry.len > 65535)
		out->ok = false;
	writer_be16(out, (uint16_t)entry.len);
	writer_put(out, entry);
}
