/* secrets.h: what of a command may not be on record, nor be shown to an approver, in clear (common.md C11).
 *
 * Hidden are: the value after a word that names a credential (PASSWORD, OPTIONS (secret_key …), SET x.token, CONNECTION), the
 * arguments of functions that take connection strings or keys (dblink*, pgcrypto), of set_config of such a setting, and any
 * literal or comment that looks like a connection string with a password or a private key; also inside dollar quotes. The rule
 * is lexical, so that it holds for texts that nobody could parse. In its place stands 'secret:hmac-sha256:HEX:BYTES': a keyed
 * hash, so that a guess cannot be confirmed without the key, and the length.
 *
 * What is not found: a credential whose place says nothing of it (INSERT INTO users VALUES ('bob', 'hunter2')).
 * One thread; no allocation.
 */
#ifndef CONTROL_INBOX_SECRETS_H
#define CONTROL_INBOX_SECRETS_H

#include "platform/base/bytes.h"

struct secrets {
	bool text;   /* something in the text was hidden */
	bool values; /* a bound value stands where a secret would */
};

/* Whether `text` may hold something that secrets_hide hides. False: it would be copied as it is. */
bool secrets_suspect(struct bytes text);

/* `text` without its secrets, in `w`. What does not fit into `w` becomes one secret as a whole. */
struct secrets secrets_hide(struct bytes text, const uint8_t key[32], struct writer *w);

/* All of `bytes` as one secret, without quotes. */
void secrets_put(struct bytes bytes, const uint8_t key[32], struct writer *w);

/* Whether these bytes look like a credential, wherever they stand. */
bool secrets_look(struct bytes bytes);

#endif
