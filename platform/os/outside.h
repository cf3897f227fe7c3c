/* outside.h: a program that is not ours, run once, on files in a directory of ours: without network, privileges or other files, bounded in
 * time and memory. For what turns one file into another (a page into PDF).
 *
 * The child gets: standard streams from and to /dev/null, no other descriptor, PATH and LC_ALL, the directory as its own (nobody's user when we
 * are root, a network namespace without a device then too), Landlock (reads and runs what the system installed, reads and writes the directory),
 * seccomp (no socket is made), limits, SIGKILL when we die. Blocks until it ends. Threading: for a process of one thread.
 */
#ifndef PLATFORM_OS_OUTSIDE_H
#define PLATFORM_OS_OUTSIDE_H

#include <stdint.h>

#include "platform/os/error.h"

struct outside {
	const char *const *argv;   /* argv[0] an absolute path; NULL after the last */
	const char *directory;     /* with everything in it it becomes the child's */
	unsigned cpu_s, wall_s;
	uint64_t memory_bytes, file_bytes;
};

enum outside_result { OUTSIDE_DONE, OUTSIDE_ABSENT, OUTSIDE_FAILED };

/* DONE: it ended with status 0. ABSENT: there is no such program. FAILED: `err` says how it ended ("exit status 1"). */
enum outside_result outside_run(const struct outside *o, char err[OS_ERROR_BYTES]);

#endif
