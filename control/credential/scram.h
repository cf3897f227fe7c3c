/* scram.h: the client's half of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, where the password is (RFC 5802, RFC 7677).
 *
 * Purpose: the data plane speaks to the server; it sends us what was said so far and gets the client-final message
 * and the server signature to expect. So the password never leaves control.
 * A struct scram remembers SaltedPassword by (login, password, salt, iterations): the slow step runs once for each. That
 * memory is a secret like the password: locked, out of core files, wiped. At most 64 are kept, oldest use out first.
 * Passwords: printable ASCII, which SASLprep leaves as it is. Others are refused: what a server stored for them depends
 * on Unicode tables that we do not carry, and a wrong guess would look like a wrong password.
 * Limits: 4,096 to 600,000 iterations (RFC 7677 4 and common.md), salt 8 to 64 bytes, messages 1,024 bytes, nonces 16 to 256 characters.
 * Threading: one thread. The first computation for a login takes 1 ms per 2,000 iterations or so.
 */
#ifndef CONTROL_CREDENTIAL_SCRAM_H
#define CONTROL_CREDENTIAL_SCRAM_H

#include <stdbool.h>

#include "platform/base/bytes.h"

#define SCRAM_ITERATIONS_MIN 4096
#define SCRAM_ITERATIONS_MAX 600000
#define SCRAM_MESSAGE_BYTES 1024 /* of the client-final message, with its NUL: what order `proof` can carry */

enum scram_result {
#define SCRAM_RESULT(id, text) SCRAM_##id,
#include "control/credential/scram.def"
#undef SCRAM_RESULT
	SCRAM_result_count
};

struct scram_exchange {
	struct bytes login;             /* name under which the salted password is remembered */
	struct bytes password;          /* 1 to 1,024 bytes of printable ASCII */
	struct bytes client_first_bare; /* "n=,r=..." without the GS2 header */
	struct bytes server_first;      /* "r=...,s=...,i=..." */
	struct bytes channel_binding;   /* GS2 header and, for -PLUS, the binding data, raw: "n,," or "y,," or "p=tls-server-end-point,," + hash. Not "y,," to a server that offers -PLUS: it is refused as a downgrade */
};

struct scram_final {
	char message[SCRAM_MESSAGE_BYTES]; /* client-final-message, with its NUL */
	char server_signature[48];         /* base64 of 32 bytes: what `v=` has to be */
};

struct scram;

struct scram *scram_create(void);
void scram_destroy(struct scram *scram);

/* SCRAM_ok and `out`, or why not and `out` zeroed. */
enum scram_result scram_client_final(struct scram *scram, const struct scram_exchange *exchange, struct scram_final *out);

/* Forgets what was derived for `login` (its password changed). */
void scram_forget(struct scram *scram, struct bytes login);

const char *scram_result_text(enum scram_result result);

#endif
