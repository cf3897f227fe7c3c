/* shift.h: the numbers of a TCP header moved from one wire's sequence spaces to the other's, in place.
 *
 * Purpose: all that a spliced flow needs of a frame: sequence and acknowledgement number, SACK blocks and timestamps, each with
 * something added, and the checksum corrected for the difference (RFC 1624), so that a frame that was damaged stays damaged.
 * Pure functions over borrowed memory. Source: RFC 9293 3.1, RFC 7323 3.2, RFC 2018 3, RFC 1624 3.
 */
#ifndef DATAPLANE_PACKET_SHIFT_H
#define DATAPLANE_PACKET_SHIFT_H

#include "dataplane/packet/packet.h"

/* Added, modulo 2^32. An echo of zero stays zero: it says that there is none. */
struct packet_shift {
	uint32_t seq, ack, ts_value, ts_echo;
};

static inline bool packet_shift_is_nothing(const struct packet_shift *by)
{
	return (by->seq | by->ack | by->ts_value | by->ts_echo) == 0;
}

/* Moves the numbers of a frame that packet_segment took; its memory is written to. */
void packet_shift_frame(const struct packet *p, const struct packet_shift *by);

/* The same for a frame whose checksum is the pseudo header's sum: the numbers are no part of that. */
void packet_shift_unfinished(const struct packet *p, const struct packet_shift *by);

/* The same for a segment that was read from it. */
void packet_shift_segment(struct tcp_segment *s, const struct packet_shift *by);

#endif
