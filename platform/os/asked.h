/* asked.h: a helper that nobody forks: another unit of systemd starts it, with a user and a sandbox of its own, for each connection to a
 * socket (Accept=yes). So a process that has no network, and may not become another user, has helpers that go out.
 *
 * The two ends: asked_connect by who wants one, asked_arguments first thing in the helper, which was started with the one argument
 * --asked and has the connection on descriptor 3, as a child of child.h has. What would have been its arguments comes first:
 *	bytes 2, big endian | argument NUL ... (of so many bytes together; argv[0] is the first)
 * Who may connect decides the socket's mode; the helper believes what it is told, as it would believe its arguments.
 */
#ifndef PLATFORM_OS_ASKED_H
#define PLATFORM_OS_ASKED_H

#include <stdbool.h>

#include "platform/os/error.h"

#define ASKED_BYTES 4096 /* of all arguments, with their NULs */
#define ASKED_FD 3

/* A connection to a new helper, close-on-exec, with `argv` (NULL after the last) sent. -1 with a text. */
int asked_connect(const char *path, const char *const *argv, char err[OS_ERROR_BYTES]);

/* When *argv is "PROGRAM --asked": reads the arguments from descriptor 3, and puts them in its place; they live for ever. Anything else is
 * left as it is. False: what came is no list of arguments, or the connection ended. Before any thread. */
bool asked_arguments(int *argc, char ***argv);

#endif
