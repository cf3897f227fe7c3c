/* scram_tool.c: for scram_server_test.py: a login file and the lines of an exchange in, the two answers out.
 *
 * scram_tool LOGIN-FILE; each input line is `client-first-bare TAB server-first TAB channel-binding-in-hex`, each output
 * line `client-final TAB server-signature` or `refused TAB reason`. */
#include <stdio.h>
#include <stdlib.h>

#include "control/credential/credential.h"
#include "control/credential/scram.h"

static struct bytes field(struct reader *r, char end)
{
	size_t len = 0;

	while (len < r->left && r->at[len] != (uint8_t)end)
		len++;
	struct bytes out = reader_bytes(r, len);

	if (r->left)
		reader_skip(r, 1);
	return out;
}

static size_t unhex(struct bytes text, uint8_t *out, size_t size)
{
	size_t n = 0;

	for (; n < size && 2 * n + 1 < text.len; n++) {
		char two[3] = { (char)text.base[2 * n], (char)text.base[2 * n + 1], 0 };

		out[n] = (uint8_t)strtoul(two, NULL, 16);
	}
	return n;
}

int main(int argc, char **argv)
{
	char why[256], line[4096];
	struct credential *c = argc == 2 ? credential_load(argv[1], why, sizeof(why)) : NULL;
	struct scram *scram = scram_create();
	struct credential_login login;

	if (!c || !scram || !credential_login_of(c, &login, why, sizeof(why))) {
		fprintf(stderr, "scram_tool: %s\n", why);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		struct reader r = reader_of_bytes(bytes_str(line));
		struct scram_exchange e = { .login = login.user, .password = login.password, .client_first_bare = field(&r, '\t'), .server_first = field(&r, '\t') };
		uint8_t binding[128];
		struct scram_final out;
		enum scram_result result;

		e.channel_binding = bytes_of(binding, unhex(field(&r, '\n'), binding, sizeof(binding)));
		result = scram_client_final(scram, &e, &out);
		printf("%s\t%s\n", result ? "refused" : out.message, result ? scram_result_text(result) : out.server_signature);
		fflush(stdout);
	}
	scram_destroy(scram);
	credential_drop(c);
	return 0;
}
