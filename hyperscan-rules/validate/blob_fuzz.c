/* The loader of compiled classes on any file. The checksum is made right, so that the fields behind it are reached. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "hyperscan-rules/validate/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct blob blob;
	static uint8_t again[1 << 20];
	uint8_t *copy = malloc(size + 52);
	struct writer head = writer_of(copy, 52), out = writer_of(again, sizeof again);

	if (!copy)
		return 0;
	writer_str(&head, "SLUICEHS");
	writer_be32(&head, BLOB_VERSION);
	writer_be64(&head, size + 52);
	memcpy(copy + 52, data, size);
	EVP_Digest(copy + 52, size, copy + 20, NULL, EVP_sha256(), NULL);
	(void)blob_decode(bytes_of(data, size), &blob);
	/* What is accepted is written back as the same bytes. */
	if (!blob_decode(bytes_of(copy, size + 52), &blob)) {
		blob_encode(&blob, &out);
		if (out.ok && !bytes_equal(bytes_of(copy, size + 52), writer_done(&out)))
			abort();
	}
	free(copy);
	return 0;
}
