#include "control/keys/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/os/durable.h"

bool key_file_failed(char err[OS_ERROR_BYTES], const char *what, const char *remedy)
{
	unsigned long code = ERR_get_error();
	const char *why = code ? ERR_reason_error_string(code) : errno ? strerror(errno) : "failed";

	ERR_clear_error();
	snprintf(err, OS_ERROR_BYTES, "%.110s: %.60s: %.60s", what, why ? why : "failed", remedy);
	return false;
}

ssize_t key_file_read(const char *path, uint8_t *out, size_t size, char err[OS_ERROR_BYTES])
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat at;
	ssize_t n;

	if (fd < 0)
		return -1;
	if (fstat(fd, &at) < 0 || !S_ISREG(at.st_mode) || (at.st_mode & 077) || (at.st_uid != geteuid() && at.st_uid != 0)) {
		snprintf(err, OS_ERROR_BYTES, "%.110s: not a file that only its owner can read: chmod 0600", path);
		close(fd);
		return -2;
	}
	n = read(fd, out, size);
	close(fd);
	return n;
}

bool key_file_write(const char *path, struct bytes content, mode_t mode, char err[OS_ERROR_BYTES])
{
	return durable_replace(path, content, mode) || key_file_failed(err, path, "check the key directory");
}
