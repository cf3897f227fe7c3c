/* Stored values, chunks and `pl` elements of any content: an answer in bounded memory, never a fall; what is encoded comes back. */
#include <stdlib.h>

#include "control/journal/jcs_read.h"
#include "control/journal/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct record_codec *codec;
	static uint8_t scratch[RECORD_BYTES_MAX], stored[RECORD_STORED_BYTES_MAX];
	struct writer w = writer_of(stored, sizeof stored), out = writer_of(scratch, sizeof scratch);
	struct jcs_value element = jcs_value_of(bytes_of(data, size));
	struct record_chunk chunk;
	struct bytes back, dir;
	uint64_t number;

	if (!codec)
		codec = record_codec_create();
	if (record_decode(codec, bytes_of(data, size), scratch, &back) == NULL && back.len > RECORD_BYTES_MAX)
		abort();
	(void)record_chunk_decode(codec, bytes_of(data, size), &out);
	(void)record_chunk_read(&element, &chunk, &dir, &number);
	if (record_encode(codec, bytes_of(data, size), &w) &&
	    (record_decode(codec, writer_done(&w), scratch, &back) != NULL || !bytes_equal(back, bytes_of(data, size))))
		abort();
	return 0;
}
