/* child.h: one helper process: started with a socket on fd 3, watched by a pidfd, started again when it dies. Or asked for (`at`), where another
 * unit starts it (asked.h): then watched by its connection, and told to end by the end of that.
 *
 * The supervisor gives time as an argument and polls child->pidfd for child_events; child_reap says how a child ended, child_due when to
 * start it again (back-off: 100 ms, doubling to 5 s, back to the start after a minute without a fall).
 * The child gets: standard input from /dev/null, output and error of ours, fd 3 (when asked), nothing else; an empty
 * environment but PATH and TZ; its own user; SIGKILL when we die. Threading: one thread.
 */
#ifndef PLATFORM_OS_CHILD_H
#define PLATFORM_OS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "platform/os/error.h"

#define CHILD_ARGUMENTS 16

enum child_socket { CHILD_NO_SOCKET, CHILD_STREAM, CHILD_SEQPACKET };

struct child {
	/* Set by the caller, borrowed. */
	const char *program;                  /* absolute path */
	const char *argv[CHILD_ARGUMENTS];    /* NULL after the last; argv[0] is the name */
	const char *user;                     /* NULL: ours */
	const char *at;                       /* not NULL: the socket where it is asked for; program, user and output are the other unit's */
	enum child_socket socket;
	int output;                           /* becomes fd 1 and 2; 0: ours */
	bool keep_environment;
	/* Kept here. Start with zeros and `pidfd` -1. */
	pid_t pid;
	int pidfd;                            /* -1: not running; with `at` our second descriptor of its connection */
	unsigned falls;                       /* in a row */
	uint64_t started_ms, due_ms;
};

/* Starts it. `*fd` (may be NULL without a socket) is our end of the socket. False with a text; counts as a fall. */
bool child_start(struct child *c, uint64_t now_ms, int *fd, char err[OS_ERROR_BYTES]);

/* True when it has ended; `how` then says how ("exit status 1", "signal 9"). Never waits. */
bool child_reap(struct child *c, uint64_t now_ms, char how[OS_ERROR_BYTES]);

/* Milliseconds until it may be started again, 0: now. */
uint64_t child_due(const struct child *c, uint64_t now_ms);

/* What to poll child->pidfd for: it comes when the helper has ended. */
short child_events(const struct child *c);

/* Sends a signal through the pidfd: never to another process. One that was asked for loses its connection instead, and ends by that. */
void child_signal(const struct child *c, int signal);

#endif
