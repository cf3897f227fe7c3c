/* token_config.h: the file p256.uri: which key of which token, through which module (RFC 7512).
 *
 *	pkcs11:token=sluice;object=journal?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/sluice/token-pin
 *	SOFTHSM2_CONF=/etc/sluice/softhsm2.conf
 *
 * The first line is the URI; lines below it are for the environment of the module. Empty lines and lines with `#` in front are passed over.
 * The only user of p11-kit's URIs beside token_module.c. One thread.
 */
#ifndef CONTROL_TOKEN_TOKEN_CONFIG_H
#define CONTROL_TOKEN_TOKEN_CONFIG_H

#include "control/token/token_message.h"

struct p11_kit_uri;

struct token_config {
	struct p11_kit_uri *uri;              /* p11-kit's */
	const char *module;                   /* absolute path, of `uri` */
	const char *pin;                      /* absolute path of the PIN's file, of `uri`; NULL: none */
	unsigned variables;
	char text[TOKEN_FILE_BYTES_MAX + 1];
	const char *variable[16];             /* "NAME=VALUE", in `text` */
};

/* NULL, or what is wrong with the file, and then nothing is to be freed. No text repeats what the file says: it could be a PIN. */
const char *token_config_read(struct token_config *c, struct bytes file);
void token_config_free(struct token_config *c);

#endif
