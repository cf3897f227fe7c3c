/* scram_fuzz.c: both messages from bytes that neither peer can be trusted with; split at the first NUL. */
#include <stdlib.h>

#include "control/credential/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scram *scram;
	struct reader r = reader_of(data, size);
	struct scram_exchange e = { .login = bytes_str("l"), .password = bytes_str("p"), .channel_binding = bytes_str("n,,") };
	struct scram_final out;

	if (!scram)
		scram = scram_create();
	e.client_first_bare = reader_cstr(&r);
	e.server_first = r.ok ? reader_rest(&r) : bytes_of(data, size);
	if (scram_client_final(scram, &e, &out) != SCRAM_ok && out.message[0])
		abort();
	return 0;
}
