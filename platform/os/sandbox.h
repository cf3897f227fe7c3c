/* sandbox.h: what a process can no longer do: files by Landlock, system calls by seccomp.
 *
 * sandbox_files first, then sandbox_calls; both are final. sandbox_files covers the calling thread and those it makes later,
 * sandbox_calls all threads of the process. A call that is not on the list
 * ends the process (SIGSYS). Landlock is not in every kernel: SANDBOX_ABSENT is for the caller to log; seccomp has to be.
 */
#ifndef PLATFORM_OS_SANDBOX_H
#define PLATFORM_OS_SANDBOX_H

#include <stdbool.h>

#include "platform/os/error.h"

enum sandbox_result { SANDBOX_DONE, SANDBOX_ABSENT, SANDBOX_FAILED };

/* After this only files below `read` (for reading) and `write` (for everything but running them) can be opened. Lists end
 * with NULL; paths that do not exist are skipped. */
enum sandbox_result sandbox_files(const char *const *read, const char *const *write, char err[OS_ERROR_BYTES]);

/* Allows the calls that any process of ours needs once it runs (memory, reading and writing what is open, waiting, time)
 * and those named in `calls`, which ends with NULL. A name that this kernel does not know is skipped. */
bool sandbox_calls(const char *const *calls, char err[OS_ERROR_BYTES]);

/* Before a program that is not ours is run: below `run` it reads and runs files, below `write` it reads and writes them. */
enum sandbox_result sandbox_program(const char *const *run, const char *const *write, char err[OS_ERROR_BYTES]);
/* No socket is made from now on, nor by what is run: EACCES. */
bool sandbox_no_network(char err[OS_ERROR_BYTES]);

/* Before a library that is not ours is loaded (sandbox_module.c): no file below `hide` can be opened, nothing is run, no process is made, traced or
 * signalled, nothing is mounted. Other files, sockets and threads are left to it. A kernel without Landlock is logged. */
bool sandbox_module(const char *hide, char err[OS_ERROR_BYTES]);

/* Both, for a process of one thread. A kernel without Landlock is logged. */
bool sandbox_enter(const char *const *read, const char *const *write, const char *const *calls, char err[OS_ERROR_BYTES]);

#endif
