/* durable.h: files and names that are still there after a loss of power. Blocking: never in a poll loop that traffic waits for.
 *
 * A file is durable when its bytes and its name are: the first is fsync of the file, the second fsync of its directory. Who needs only
 * "whole or not at all" leaves out the directory: then either the file before or the new one is found.
 *
 * System calls: openat, write, fsync, close, unlink, rename; fchmod where the mode is for more than the owner.
 */
#ifndef PLATFORM_OS_DURABLE_H
#define PLATFORM_OS_DURABLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "platform/base/bytes.h"

/* Makes the names in a directory durable. 0 or errno. */
int durable_sync_dir(const char *dir);

/* The same for the directory that `path` lies in. */
int durable_sync_parent(const char *path);

/* A new file with this content, synced; its name is not durable yet. False with errno: it was there, or the disk refuses; what was
 * written of it stays, for it may hold a secret that its owner wipes. */
bool durable_create(const char *path, struct bytes content, mode_t mode);

/* The file with this content in the place of the one before, by way of PATH.new: whole or not at all. The directory is not synced.
 * False with errno; the file before stays. */
bool durable_replace(const char *path, struct bytes content, mode_t mode);

#endif
