#include "platform/os/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int durable_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = fd < 0 || fsync(fd) != 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return code;
}

int durable_sync_parent(const char *path)
{
	char copy[PATH_MAX];

	if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
		return ENAMETOOLONG;
	return durable_sync_dir(dirname(copy));
}

bool durable_create(const char *path, struct bytes content, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode), code;
	bool good;

	if (fd < 0)
		return false;
	errno = ENOSPC; /* for a short write, which sets none */
	good = write(fd, content.base, content.len) == (ssize_t)content.len;
	/* What others may do with it is not for the umask to say. */
	good = good && ((mode & 077) == 0 || fchmod(fd, mode) == 0) && fsync(fd) == 0;
	code = errno;
	close(fd);
	errno = code;
	return good;
}

bool durable_replace(const char *path, struct bytes content, mode_t mode)
{
	char temp[PATH_MAX];

	if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp) {
		errno = ENAMETOOLONG;
		return false;
	}
	/* What is left of an earlier attempt, if anything; what cannot be removed is met again by O_EXCL. */
	(void)unlink(temp);
	return durable_create(temp, content, mode) && rename(temp, path) == 0;
}
