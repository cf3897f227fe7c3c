/* Any packet from the other end, and any file p256.uri: taken or refused, never a fall; what is taken says what it has to. */
#include <stdlib.h>

#include "control/token/token_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void file(struct bytes text)
{
	struct token_config c;

	if (token_config_read(&c, text) != NULL)
		return;
	if (c.module[0] != '/' || (c.pin && c.pin[0] != '/'))
		abort();
	for (unsigned i = 0; i < c.variables; i++)
		if (!strchr(c.variable[i], '='))
			abort();
	token_config_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[TOKEN_MESSAGE_BYTES_MAX];
	struct writer w = writer_of(again, sizeof again);
	struct token_message m;

	file(bytes_of(data, size));
	if (token_message_decode(bytes_of(data, size), &m) && (!token_message_encode(&m, &w) || !bytes_equal(writer_done(&w), bytes_of(data, size))))
		abort();
	return 0;
}
