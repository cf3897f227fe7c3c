#include "platform/os/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fail(char *err, const char *what, const char *why, const char *remedy)
{
	snprintf(err, OS_ERROR_BYTES, "%.90s: %.60s: %.80s", what, why, remedy);
	return false;
}

bool priv_user_find(const char *name, struct priv_user *out, char err[OS_ERROR_BYTES])
{
	struct passwd *entry;

	if (!name || !name[0]) {
		*out = (struct priv_user){ .uid = geteuid(), .gid = getegid() };
		return true;
	}
	entry = getpwnam(name);
	if (!entry)
		return fail(err, name, "no such user", "useradd --system --no-create-home it, or change `users`");
	*out = (struct priv_user){ .uid = entry->pw_uid, .gid = entry->pw_gid };
	return true;
}

bool priv_group_find(const char *name, gid_t *out, char err[OS_ERROR_BYTES])
{
	struct group *entry;

	if (!name || !name[0]) {
		*out = getegid();
		return true;
	}
	entry = getgrnam(name);
	if (!entry)
		return fail(err, name, "no such group", "groupadd --system it, or change `group`");
	*out = entry->gr_gid;
	return true;
}

bool priv_drop(const char *user, char err[OS_ERROR_BYTES])
{
	struct priv_user to;

	if (!priv_user_find(user, &to, err))
		return false;
	if (geteuid() != 0)
		return to.uid == geteuid() || fail(err, user, "not started by root", "start as root, or name no user");
	if (to.uid == 0)
		return true;
	if (initgroups(user, to.gid) < 0 || setresgid(to.gid, to.gid, to.gid) < 0 || setresuid(to.uid, to.uid, to.uid) < 0)
		return fail(err, user, strerror(errno), "start as root");
	if (setresuid(0, 0, 0) == 0 || setgid(0) == 0 || geteuid() != to.uid || getegid() != to.gid)
		return fail(err, user, "privileges came back", "report this");
	return true;
}

bool priv_harden(char err[OS_ERROR_BYTES])
{
	const struct rlimit none = { 0, 0 };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return fail(err, "hardening", strerror(errno), "check the kernel");
	return true;
}

bool priv_directory(const char *path, const struct priv_user *user, gid_t gid, unsigned mode, char err[OS_ERROR_BYTES])
{
	bool made = mkdir(path, 0700) == 0, root = geteuid() == 0, owned, moded, good;
	struct stat at;
	int fd;

	if (!made && errno != EEXIST)
		return fail(err, path, strerror(errno), "make its parent directory");
	if (lstat(path, &at) < 0)
		return fail(err, path, strerror(errno), "check its parent directory");
	if (!S_ISDIR(at.st_mode))
		return fail(err, path, strerror(ENOTDIR), "must be a directory");
	owned = !root || (at.st_uid == user->uid && at.st_gid == gid);
	moded = !(made || root) || (at.st_mode & 07777) == mode;
	/* One that is right is not opened: a root without capabilities may not open what is another user's. */
	if (owned && moded)
		return true;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail(err, path, strerror(errno), "must be a directory");
	good = (owned || fchown(fd, user->uid, gid) == 0) && (moded || fchmod(fd, (mode_t)mode) == 0);
	close(fd);
	return good || fail(err, path, strerror(errno), "check its owner");
}
