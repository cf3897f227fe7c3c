/* credential.c: the file is judged by its open descriptor, never by its path, so that nothing can change in between. */
#include "control/credential/credential.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/credential/vault.h"

struct credential {
	size_t len;
	uint8_t data[CREDENTIAL_FILE_BYTES];
};

static bool say(char *why, size_t why_size, const char *name, const char *problem)
{
	snprintf(why, why_size, "credential %.100s: %s", name, problem);
	return false;
}

static const char *judge(const struct stat *st)
{
	/* systemd 252: root:root, 0440 where the group's bit is the mask of an access list. */
	mode_t group_ok = st->st_uid == 0 && st->st_gid == 0 ? 0040 : 0;

	if (!S_ISREG(st->st_mode))
		return "not a regular file";
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "owned by another user than root or the service's";
	if (st->st_mode & 0077 & ~group_ok)
		return "open to group or others: chmod 0400";
	if (st->st_size <= 0)
		return "empty";
	return st->st_size > (off_t)CREDENTIAL_FILE_BYTES ? "larger than 64 KiB" : NULL;
}

static bool read_all(int fd, struct credential *c, size_t len)
{
	while (c->len < len) {
		ssize_t got = read(fd, c->data + c->len, len - c->len);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		c->len += (size_t)got;
	}
	return true;
}

static struct credential *load_fd(int fd, const char *shown, char *why, size_t why_size)
{
	struct credential *c = NULL;
	struct stat st;
	const char *problem;

	if (fstat(fd, &st) < 0)
		problem = strerror(errno);
	else
		problem = judge(&st);
	if (!problem) {
		c = vault_alloc(sizeof(*c));
		if (!c)
			problem = "its memory cannot be locked: raise LimitMEMLOCK";
		else if (!read_all(fd, c, (size_t)st.st_size))
			problem = "changed while it was read";
	}
	if (!problem)
		return c;
	credential_drop(c);
	say(why, why_size, shown, problem);
	return NULL;
}

static struct credential *load_at(int dir, const char *path, const char *shown, char *why, size_t why_size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct credential *c = NULL;

	if (why_size)
		why[0] = 0;
	if (fd < 0) {
		say(why, why_size, shown, errno == ELOOP ? "a symbolic link" : strerror(errno));
		return NULL;
	}
	c = load_fd(fd, shown, why, why_size);
	close(fd);
	return c;
}

static bool bare(const char *name)
{
	return name[0] && name[0] != '.' && !strchr(name, '/') && strlen(name) <= 255;
}

struct credential *credential_load_from(const char *dir, const char *name, char *why, size_t why_size)
{
	int fd;
	struct credential *c;

	if (!bare(name)) {
		say(why, why_size, name, "not a plain file name");
		return NULL;
	}
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		say(why, why_size, name, "its directory cannot be opened");
		return NULL;
	}
	c = load_at(fd, name, name, why, why_size);
	close(fd);
	return c;
}

struct credential *credential_load(const char *name_or_path, char *why, size_t why_size)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");

	if (name_or_path[0] == '/')
		return load_at(AT_FDCWD, name_or_path, name_or_path, why, why_size);
	if (dir && dir[0] == '/')
		return credential_load_from(dir, name_or_path, why, why_size);
	say(why, why_size, name_or_path, "neither an absolute path nor is there a $CREDENTIALS_DIRECTORY");
	return NULL;
}

struct bytes credential_bytes(const struct credential *c)
{
	return bytes_of(c->data, c->len);
}

void credential_drop(struct credential *c)
{
	vault_free(c, sizeof(*c));
}

/* The next line without its break; a file may end without one. */
static struct bytes next_line(struct reader *r)
{
	const uint8_t *end = r->left ? memchr(r->at, '\n', r->left) : NULL;
	struct bytes line = reader_bytes(r, end ? (size_t)(end - r->at) : r->left);

	if (end)
		reader_skip(r, 1);
	return line;
}

static bool take(struct bytes line, const char *word, struct bytes *value, bool *twice)
{
	struct reader r = reader_of_bytes(line);

	if (!bytes_equal(reader_bytes(&r, strlen(word)), bytes_str(word)))
		return false;
	*twice = *twice || value->base;
	*value = reader_rest(&r);
	return true;
}

bool credential_login_of(const struct credential *c, struct credential_login *out, char *why, size_t why_size)
{
	struct reader r = reader_of_bytes(credential_bytes(c));
	bool twice = false;

	*out = (struct credential_login){ 0 };
	if (why_size)
		why[0] = 0;
	while (r.left) {
		struct bytes line = next_line(&r);

		if (line.len == 0 || line.base[0] == '#')
			continue;
		if (!take(line, "user ", &out->user, &twice) && !take(line, "password ", &out->password, &twice)) {
			*out = (struct credential_login){ 0 };
			return say(why, why_size, "login file", "has a line that is neither user nor password");
		}
	}
	if (!twice && out->user.len && out->password.len && !memchr(out->user.base, 0, out->user.len) && !memchr(out->password.base, 0, out->password.len))
		return true;
	*out = (struct credential_login){ 0 };
	return say(why, why_size, "login file", "wants one line `user NAME` and one line `password SECRET`, without NUL");
}
