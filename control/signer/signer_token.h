/* signer_token.h: a checkpoint key that lies in a PKCS#11 token, through sluice-token (control/token).
 *
 * In the key directory p256.uri takes the place of p256.pem. signer_token_open starts the helper over a socket pair that nobody else has; it is
 * for the start, before the sandbox. signer_token_sign is for both. Each waits a few seconds at most; after the first failure the token is not
 * asked any more: the process has to end, and its next start tries again. Of the token nothing is believed: its key is parsed, and a signature
 * that does not verify under it is no signature. Texts live until the next call. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_TOKEN_H
#define CONTROL_SIGNER_SIGNER_TOKEN_H

#include <openssl/evp.h>

#include "control/journal/checkpoint.h"

#define SIGNER_TOKEN_START_MS 10000 /* for the module, the login and the key */
#define SIGNER_TOKEN_SIGN_MS 5000
#define SIGNER_SIGNATURE_BYTES_MAX 128

/* Where a signer's things lie. `state` and `token` may be NULL for who has no keys in tokens. */
struct signer_place {
	const char *dir;    /* of the key files */
	const char *origin;
	const char *state;  /* its file; beside it lies what signer_tries.h keeps */
	const char *token;  /* the program sluice-token */
};

struct signer_token {
	bool is_used; /* zeros: no token */
	bool failed;
	int fd;
	EVP_PKEY *public;
};

/* The token of the file <dir>/<prefix>p256.uri. NULL, or a text; then nothing is left behind. */
const char *signer_token_open(struct signer_token *t, const struct signer_place *place, const char *prefix);
/* ECDSA over SHA-256 of `body`, DER. NULL, or a text. */
const char *signer_token_sign(struct signer_token *t, struct bytes body, uint8_t signature[SIGNER_SIGNATURE_BYTES_MAX], size_t *len);
/* The helper ends by the end of its socket. */
void signer_token_close(struct signer_token *t);

#endif
