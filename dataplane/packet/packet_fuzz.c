/* Any frame: parse, and when it is TCP build it again; what was built must parse back to the same segment. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[1 << 17];
	struct packet p, back;
	struct tcp_segment s, again;
	struct packet_template t;
	struct packet_built built;

	if (packet_parse(bytes_of(data, size), &p) != ERROR_none || p.ip_version == 0)
		return 0;
	if (packet_segment(&p, PACKET_CHECKSUM_GOOD, &s) != ERROR_none)
		return 0;
	packet_template_from(&t, &p);
	built = packet_build(&t, &s, out, sizeof(out), PACKET_BUILD_FULL);
	if (built.bytes == 0)
		return 0;
	if (packet_parse(bytes_of(out, built.bytes), &back) != ERROR_none ||
	    packet_segment(&back, PACKET_CHECKSUM_UNKNOWN, &again) != ERROR_none)
		abort();
	if (again.seq != s.seq || again.ack != s.ack || again.flags != s.flags || again.window != s.window ||
	    !bytes_equal(again.span_count ? again.spans[0] : (struct bytes){ 0 },
			 s.span_count ? s.spans[0] : (struct bytes){ 0 }))
		abort();
	return 0;
}
