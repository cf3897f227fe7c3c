/* wire_fuzz.c: bytes from either peer, and URLs. What parses is written again and must be the same bytes. */
#include <stdlib.h>

#include "control/egress/url.h"
#include "control/egress/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t again[EGRESS_FRAME_DONE_BYTES];
	struct egress_request get;
	struct egress_done done;
	struct egress_url url;
	struct writer w;
	size_t len;

	w = writer_of(again, sizeof(again));
	if (egress_parse_request(bytes_of(data, size), &get, &len) == PARSE_OK) {
		egress_put_request(&w, &get);
		if (!bytes_equal(writer_done(&w), bytes_of(data, len)))
			abort();
	}
	w = writer_of(again, sizeof(again));
	if (egress_parse_done(bytes_of(data, size), &done, &len) == PARSE_OK) {
		egress_put_done(&w, &done);
		if (!bytes_equal(writer_done(&w), bytes_of(data, len)))
			abort();
	}
	if (egress_url_parse(bytes_of(data, size), &url) && (url.host.len == 0 || url.port == 0))
		abort();
	return 0;
}
