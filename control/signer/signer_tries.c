#include "control/signer/signer_tries.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "platform/os/durable.h"

#define IDENTITY_BYTES 32
#define LINE_BYTES (2 * IDENTITY_BYTES + 3) /* hex, space, how, newline */
#define WRONG 'w'
#define TRIES_UNSEEN_MAX '2'

static void line_make(char line[LINE_BYTES + 1], struct bytes identity, char how)
{
	size_t at = 0;

	for (size_t i = 0; i < IDENTITY_BYTES; i++)
		at += (size_t)snprintf(line + at, 3, "%02x", identity.base[i]);
	snprintf(line + at, 4, " %c\n", how);
}

static bool write_line(const char *path, struct bytes identity, char how)
{
	char line[LINE_BYTES + 1];

	line_make(line, identity, how);
	return durable_replace(path, bytes_of(line, LINE_BYTES), 0600) && durable_sync_parent(path) == 0;
}

/* How what was tried ended: 0 when it was something else or nothing; WRONG also for a file that says nothing clear. */
static char read_how(const char *path, struct bytes identity)
{
	char line[LINE_BYTES + 1], wanted[LINE_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	ssize_t got = fd >= 0 ? read(fd, line, sizeof line) : -1;
	bool absent = fd < 0 && errno == ENOENT;

	if (fd >= 0)
		close(fd);
	if (absent)
		return 0;
	if (got != LINE_BYTES)
		return WRONG;
	line_make(wanted, identity, line[LINE_BYTES - 2]);
	return memcmp(line, wanted, LINE_BYTES) != 0 ? 0 : line[LINE_BYTES - 2];
}

const char *signer_tries_begin(const char *path, struct bytes identity, bool count_low)
{
	static char why[PATH_MAX + 200];
	char how = identity.len == IDENTITY_BYTES ? read_how(path, identity) : WRONG;

	if (how == 0 && write_line(path, identity, '1'))
		return NULL;
	/* The end of one try was not seen, as when the machine stops; but where the token counted a wrong PIN, it was ours. */
	if (how == '1' && !count_low && write_line(path, identity, TRIES_UNSEEN_MAX))
		return NULL;
	if (how == 0 || (how == '1' && !count_low))
		snprintf(why, sizeof why, "the token's PIN is not tried: %s cannot be written", path);
	else
		snprintf(why, sizeof why, "the token's PIN %s, and is not tried again, for the token would lock itself: until the PIN's file or p256.uri changes, or %s is removed",
			 how == WRONG ? "was wrong" : "was tried without a known end", path);
	return why;
}

bool signer_tries_end(const char *path, struct bytes identity, bool pin_wrong)
{
	if (pin_wrong)
		return write_line(path, identity, WRONG);
	return (unlink(path) == 0 || errno == ENOENT) && durable_sync_parent(path) == 0;
}
