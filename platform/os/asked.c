#include "platform/os/asked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/os/child.h"

static bool arguments_write(struct writer *w, const char *const *argv)
{
	size_t len = 0;

	for (const char *const *a = argv; *a; a++)
		len += strlen(*a) + 1;
	writer_be16(w, (uint16_t)len);
	for (const char *const *a = argv; *a; a++)
		writer_cstr(w, *a);
	return w->ok;
}

int asked_connect(const char *path, const char *const *argv, char err[OS_ERROR_BYTES])
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	uint8_t room[2 + ASKED_BYTES];
	struct writer w = writer_of(room, sizeof(room));
	int fd = -1;

	if (strlen(path) < sizeof(at.sun_path) && arguments_write(&w, argv)) {
		memcpy(at.sun_path, path, strlen(path) + 1);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	} else {
		errno = ENAMETOOLONG;
	}
	/* An empty socket has room for this: nothing is waited for. */
	if (fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && send(fd, room, w.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)w.len)
		return fd;
	snprintf(err, OS_ERROR_BYTES, "%.100s: %.60s: start the unit of that socket", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool read_all(uint8_t *at, size_t left)
{
	while (left) {
		ssize_t got = read(ASKED_FD, at, left);

		if (got == 0 || (got < 0 && errno != EINTR))
			return false;
		at += got > 0 ? got : 0;
		left -= got > 0 ? (size_t)got : 0;
	}
	return true;
}

bool asked_arguments(int *argc, char ***argv)
{
	static uint8_t text[ASKED_BYTES];
	static char *list[CHILD_ARGUMENTS + 1];
	uint8_t head[2];
	size_t len, at = 0;
	int count = 0;

	if (*argc != 2 || strcmp((*argv)[1], "--asked") != 0)
		return true;
	if (!read_all(head, sizeof(head)))
		return false;
	len = (size_t)head[0] << 8 | head[1];
	if (len == 0 || len > sizeof(text) || !read_all(text, len) || text[len - 1] != 0)
		return false;
	while (at < len) {
		if (count == CHILD_ARGUMENTS)
			return false;
		list[count++] = (char *)text + at;
		at += strlen((char *)text + at) + 1;
	}
	*argc = count;
	*argv = list;
	return true;
}
