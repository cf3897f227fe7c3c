/* token_module.h: one PKCS#11 module, one token, one EC P-256 key in it.
 *
 * Order: token_module_open (finds the token), token_module_login (nothing, or one try of a PIN; finds the key), token_module_sign. Each call may
 * take as long as the module likes: who asks has a time limit. There is no close: the process ends. Errors: false with a text in `err`, which
 * never holds a PIN. One thread; the module may have more.
 */
#ifndef CONTROL_TOKEN_TOKEN_MODULE_H
#define CONTROL_TOKEN_TOKEN_MODULE_H

#include "control/token/token_config.h"
#include "platform/os/error.h"

struct _CK_FUNCTION_LIST;

struct token_module {
	struct _CK_FUNCTION_LIST *call; /* PKCS#11's, as its other types below, which are CK_ULONG */
	unsigned long slot, session, key;
	bool wants_login;   /* after open: it takes a PIN */
	bool pin_count_low; /* after open: somebody gave a wrong PIN since the last right one */
	bool pin_wrong;     /* after login: so it said of ours */
};

bool token_module_open(struct token_module *m, const struct token_config *c, char err[OS_ERROR_BYTES]);
/* `pin` is used for one C_Login when the token wants one. `spki` gets the public key. */
bool token_module_login(struct token_module *m, const struct token_config *c, struct bytes pin, uint8_t spki[TOKEN_SPKI_BYTES], char err[OS_ERROR_BYTES]);
/* r || s over `digest`. */
bool token_module_sign(struct token_module *m, struct bytes digest, uint8_t signature[TOKEN_SIGNATURE_BYTES], char err[OS_ERROR_BYTES]);

#endif
