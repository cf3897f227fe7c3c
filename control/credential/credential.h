/* credential.h: secrets of upstream logins and keys, from files that only root or we can read.
 *
 * Purpose: load once, hold in memory that is locked, kept out of core files and wiped, and lend bytes.
 * Sources: an absolute path; or a bare name, looked up in $CREDENTIALS_DIRECTORY (systemd.exec(5)).
 * Refused: a symbolic link, anything but a regular file, an owner other than root or our effective uid, any
 * permission for group or other, an empty file, more than 64 KiB. One exception: systemd grants the service's user
 * its credentials by an ACL, which shows as group permission on a file of root:root; in $CREDENTIALS_DIRECTORY that
 * is accepted.
 * Errors: NULL, and one line in `why` that never quotes content.
 * Threading: one thread.
 */
#ifndef CONTROL_CREDENTIAL_CREDENTIAL_H
#define CONTROL_CREDENTIAL_CREDENTIAL_H

#include <stddef.h>

#include "platform/base/bytes.h"

struct credential;

struct credential *credential_load(const char *name_or_path, char *why, size_t why_size);

/* All bytes of the file; borrowed until credential_drop. */
struct bytes credential_bytes(const struct credential *c);

/* Wipes and frees. NULL is allowed. */
void credential_drop(struct credential *c);

/* A login file: lines `user NAME` and `password SECRET`, each once, in any order; the value is the rest of the line,
 * byte for byte. Empty lines and lines that start with '#' are skipped. Both are borrowed from `c`.
 * NULL `why` result: true. */
struct credential_login {
	struct bytes user;
	struct bytes password;
};
bool credential_login_of(const struct credential *c, struct credential_login *out, char *why, size_t why_size);

#endif
