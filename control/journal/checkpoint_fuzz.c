/* Notes, proofs and keys of any content. A body that parses is written back the same. */
#include <stdlib.h>

#include "control/journal/proof.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = bytes_of(data, size), note, body;
	struct checkpoint_keys keys = { .name = "a", .has_ed25519 = true }, read = { 0 };
	struct merkle_proof proof;
	struct checkpoint c;
	uint64_t index;
	char again[CHECKPOINT_BYTES_MAX];
	struct writer w = writer_of(again, sizeof again);

	if (checkpoint_parse(input, false, &c, NULL) == NULL && (!checkpoint_body(&c, &w) || !bytes_equal(writer_done(&w), input)))
		abort();
	(void)checkpoint_parse(input, true, &c, &body);
	(void)checkpoint_check_signatures(input, &keys);
	(void)proof_verify(input, input, &keys, &index);
	(void)proof_parse(input, &index, &proof, &note);
	w = writer_of(again, sizeof again);
	if (checkpoint_vkey_read(input, &read) == NULL && !checkpoint_vkey_write(&read, &w))
		abort();
	(void)checkpoint_pem_read(input, &read);
	return 0;
}
