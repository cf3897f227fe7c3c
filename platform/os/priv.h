/* priv.h: giving privileges up, for good.
 *
 * Order in a process: open what needs root, priv_drop, priv_harden, then the sandbox (sandbox.h). A process that was not
 * started by root keeps its user; priv_drop then accepts only that same user or no name at all.
 * Errors: false with a text in `err`. One thread, before any other exists.
 */
#ifndef PLATFORM_OS_PRIV_H
#define PLATFORM_OS_PRIV_H

#include <stdbool.h>
#include <sys/types.h>

#include "platform/os/error.h"

struct priv_user {
	uid_t uid;
	gid_t gid;
};

/* The user of that name; NULL or "" is who we are. */
bool priv_user_find(const char *name, struct priv_user *out, char err[OS_ERROR_BYTES]);

/* The group of that name; NULL or "" is our own. */
bool priv_group_find(const char *name, gid_t *out, char err[OS_ERROR_BYTES]);

/* Becomes `user` with that user's groups and no other, in all three ids, and makes sure that there is no way back. */
bool priv_drop(const char *user, char err[OS_ERROR_BYTES]);

/* No new privileges by exec, no core, not traceable by others of the same user. */
bool priv_harden(char err[OS_ERROR_BYTES]);

/* The directory, made when absent, owned by `user` and `gid` with `mode` (the ownership only when we are root). */
bool priv_directory(const char *path, const struct priv_user *user, gid_t gid, unsigned mode, char err[OS_ERROR_BYTES]);

#endif
