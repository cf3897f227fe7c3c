/* A programme of fragments: the input is frames, each with a length in front. A whole datagram must parse, be no fragment,
 * and be as long as its pieces together. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/packet/fragment.h"
#include "dataplane/packet/inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool truth)
{
	if (!truth)
		abort();
}

static void check(const struct packet_whole *whole)
{
	struct packet p;
	size_t sum = 0;

	must(whole->pieces > 0 && whole->pieces <= PACKET_PIECES_MAX);
	for (unsigned i = 0; i < whole->pieces; i++)
		sum += whole->piece[i].len;
	must(whole->frame.len <= sum);
	if (packet_parse(whole->frame, &p) == ERROR_none)
		must(p.frame.len == whole->frame.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct packet_fragments *t;
	struct reader r = reader_of(data, size);
	uint64_t now_us = 1;

	if (!t)
		t = malloc(packet_fragments_bytes());
	packet_fragments_init(t);
	while (r.ok && r.left > 0) {
		size_t len = reader_be16(&r) % 2048;
		struct bytes frame = reader_bytes(&r, len < r.left ? len : r.left);
		struct packet_too_big big;
		struct packet_whole whole;
		struct packet p, inner;

		if (packet_parse(frame, &p) != ERROR_none || p.ip_version == 0)
			continue;
		(void)packet_inner_of(&p, &inner);
		(void)packet_too_big(&p, &big);
		must(p.route_offset + p.route_bytes <= frame.len);
		if (p.fragment && packet_fragments_add(t, &p, now_us, &whole) == PACKET_FRAGMENT_WHOLE)
			check(&whole);
		now_us += len * 100;
	}
	return 0;
}
