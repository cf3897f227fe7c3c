/* inner.h: packets inside packets: what a tunnel carries, and what an ICMP error quotes.
 *
 * Purpose: a tunnel must not lead to a guarded target unread; a "packet too big" concerns the flow that it quotes.
 * Pure functions over borrowed frames. Source: RFC 2003, RFC 2473, RFC 4213, RFC 2784, RFC 2890, RFC 792, RFC 1191, RFC 4443.
 */
#ifndef DATAPLANE_PACKET_INNER_H
#define DATAPLANE_PACKET_INNER_H

#include "dataplane/packet/packet.h"

#define PACKET_TUNNELS_MAX 4 /* inside one another */

enum packet_inner {
	PACKET_INNER_NONE,    /* no tunnel that we know */
	PACKET_INNER_IP,      /* `out` is the packet inside, parsed up to its ports */
	PACKET_INNER_OTHER,   /* a tunnel whose content is no IP: GRE of another protocol, or an Ethernet frame without IP */
	PACKET_INNER_UNKNOWN, /* a tunnel that cannot be read here: cut off, a later fragment, malformed */
};

/* IP in IP (4, 41) and GRE (47). */
enum packet_inner packet_inner_of(const struct packet *p, struct packet *out);

/* The flow that an ICMP error is about, as its packet was sent. */
struct packet_too_big {
	struct packet quoted; /* addresses, ports and IP version only */
	uint32_t seq;
	uint32_t mtu_bytes;   /* at least what every link of that IP version carries */
};

/* "Fragmentation needed" (RFC 1191 4) or "packet too big" (RFC 4443 3.2) about a TCP segment, checksum verified. */
bool packet_too_big(const struct packet *p, struct packet_too_big *out);

#endif
