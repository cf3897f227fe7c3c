/* scratch.h: a directory for a test, and what lies in it. Nothing but tests links this. */
#ifndef PLATFORM_OS_SCRATCH_H
#define PLATFORM_OS_SCRATCH_H

#include <stdbool.h>

#include "platform/base/bytes.h"

#define SCRATCH_BYTES 64

/* A new directory below /dev/shm, where memory files work. False when there is none to be had. */
bool scratch_make(char out[SCRATCH_BYTES]);

/* Removes it with everything in it; symbolic links are not followed. */
bool scratch_remove(const char *dir);

/* Whether any file below it holds these bytes. */
bool scratch_contains(const char *dir, struct bytes needle);

#endif
