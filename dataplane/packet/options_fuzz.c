/* Any option bytes: what was understood is written and read back the same. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t raw[TCP_OPTIONS_BYTES_MAX];
	struct tcp_options o, back;
	size_t len;

	if (size > TCP_OPTIONS_BYTES_MAX || !tcp_options_parse(bytes_of(data, size), &o))
		return 0;
	len = tcp_options_write(&o, raw);
	if (len > sizeof(raw) || len % 4 != 0 || !tcp_options_parse(bytes_of(raw, len), &back))
		abort();
	if (back.has_mss != o.has_mss || back.mss != o.mss || back.has_timestamps != o.has_timestamps ||
	    back.ts_value != o.ts_value || back.shift != o.shift || back.sack_permitted != o.sack_permitted)
		abort();
	return 0;
}
