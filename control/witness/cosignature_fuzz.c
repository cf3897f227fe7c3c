/* cosignature_fuzz.c: a witness's answer, key and size, a log's request, and the web server's around it. What parses is written again and must be the same bytes. */
#include <stdlib.h>

#include "control/witness/scgi.h"
#include "control/witness/witness.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct witness_key key = { .name = "w" };
	static uint8_t again[2 * WITNESS_REQUEST_BYTES];
	struct writer w = writer_of(again, sizeof(again));
	struct bytes in = bytes_of(data, size), line;
	struct cosignature_request q;
	struct witness_key k;
	uint64_t number;
	struct scgi_request scgi;
	struct scgi_read read = scgi_read(in, &scgi);

	if ((read.status == PARSE_OK && (read.consumed > size || scgi.body.base + scgi.body.len != data + read.consumed)) ||
	    (read.status == PARSE_MORE && (read.needed <= size || read.needed > SCGI_BYTES)) || (read.status != PARSE_OK && scgi.body.len))
		abort();
	(void)cosignature_size_read(in, &number);
	if (size <= WITNESS_REQUEST_BYTES && cosignature_request_read(in, &q) && (!cosignature_request_write(&q, &w) || !bytes_equal(writer_done(&w), in)))
		abort();
	w = writer_of(again, sizeof(again));
	if (witness_key_read(in, &k) == NULL && (!witness_key_write(&k, &w) || w.len > size || memcmp(again, data, w.len) != 0))
		abort();
	if (cosignature_find(in, bytes_str("o\n1\nx\n"), &key, &line, &number) == NULL)
		abort(); /* nobody has that key */
	return 0;
}
