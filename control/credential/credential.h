/* credential.h: secrets of upstream logins and keys, from files that only root or we can read.
 *
 * Purpose: load once, hold in memory that is locked, kept out of core files and wiped, and lend bytes.
 * Sources: an absolute path; a bare name in a directory of ours; or a bare name in $CREDENTIALS_DIRECTORY
 * (systemd.exec(5)). A bare name has no slash and does not start with a dot.
 * Refused: a symbolic link, anything but a regular file, an owner other than root or our effective uid, any permission
 * for others, any for the group, an empty file, more than 64 KiB. One exception: systemd grants the service's user its
 * credentials by an access list, whose mask shows as read permission of the group on a file of root:root; that is accepted.
 * Errors: NULL, and one line in `why` that never quotes content.
 * Threading: one thread.
 */
#ifndef CONTROL_CREDENTIAL_CREDENTIAL_H
#define CONTROL_CREDENTIAL_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/bytes.h"

#define CREDENTIAL_FILE_BYTES (64u << 10)

struct credential;

/* An absolute path, or a name in $CREDENTIALS_DIRECTORY. */
struct credential *credential_load(const char *name_or_path, char *why, size_t why_size);

/* The file `name` of the directory `dir`. */
struct credential *credential_load_from(const char *dir, const char *name, char *why, size_t why_size);

/* All bytes of the file; borrowed until credential_drop. */
struct bytes credential_bytes(const struct credential *c);

/* Wipes and frees. NULL is allowed. */
void credential_drop(struct credential *c);

/* A login file, as every `login` of the policy names one:
 *
 *	user app_readonly
 *	password correct horse battery staple
 *
 * Each line once, in any order; a value is the rest of its line, byte for byte, without the line break. Empty lines and
 * lines that start with '#' are skipped; any other line is refused. Both values are borrowed from `c`. */
struct credential_login {
	struct bytes user;
	struct bytes password;
};

bool credential_login_of(const struct credential *c, struct credential_login *out, char *why, size_t why_size);

#endif
