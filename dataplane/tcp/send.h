/* send.h: the send queue: bytes from the oldest unacknowledged one on, found again by sequence number.
 *
 *   base                 next                end
 *    |-- unacknowledged --|----- unsent ------|  (then the FIN, when one is queued)
 * A cursor remembers where `next` lies, so that new data is found without walking.
 */
#ifndef DATAPLANE_TCP_SEND_H
#define DATAPLANE_TCP_SEND_H

#include "dataplane/tcp/tcp.h"

void tcp_send_init(struct tcp_send *send, uint32_t isn, uint32_t limit_bytes);

/* The sequence number behind the last queued byte: the FIN's, when there is one. */
static inline uint32_t tcp_send_end(const struct tcp_send *send)
{
	return send->base + send->queue.bytes;
}

/* After bytes were put behind the queue: keeps the cursor valid. */
void tcp_send_grown(struct tcp_send *send);

/* Everything below `upto` was acknowledged. Returns the number of bytes freed. */
uint32_t tcp_send_acked(struct tcp_send *send, struct tcp_pool *pool, uint32_t upto);

/* Points the segment's spans at up to `len` bytes from `seq` on; fewer when the spans run out. Returns how many. */
uint32_t tcp_send_spans(struct tcp_send *send, uint32_t seq, uint32_t len, struct tcp_segment *segment);

/* The same for up to TCP_SPANS_MANY spans in `many`, which the segment then refers to. */
#define TCP_SPANS_MANY 40 /* 64 KiB out of 2 KiB chunks, and a few that are short */
uint32_t tcp_send_spans_many(struct tcp_send *send, uint32_t seq, uint32_t len, struct bytes many[TCP_SPANS_MANY], struct tcp_segment *segment);

#endif
