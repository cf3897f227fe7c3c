/* fragment.h: IPv4 and IPv6 fragments put together, in front of guarded services only.
 *
 * Purpose: nothing that is guarded is judged by a part. Within a cap: so many datagrams at a time, each of so many pieces
 * and bytes, for so long; more is dropped. Pieces that overlap end their datagram (RFC 5722 3, RFC 8200 4.5; for IPv4 as
 * well), since two readers could see two different ones; only an exact copy is ignored.
 * Ownership: pieces are copied in; a whole datagram is a view that the next call ends. The pieces are given back as well,
 * for whoever passes the datagram on unchanged.
 * Threading: one worker. No allocation; the caller gives the memory. Source: RFC 791 3.2, RFC 8200 4.5.
 */
#ifndef DATAPLANE_PACKET_FRAGMENT_H
#define DATAPLANE_PACKET_FRAGMENT_H

#include "dataplane/packet/packet.h"

#define PACKET_DATAGRAMS_MAX 64       /* at a time */
#define PACKET_PIECES_MAX 16          /* of one datagram */
#define PACKET_PIECES_BYTES 20480     /* frames of one datagram together */
#define PACKET_FRAGMENT_WAIT_US 5000000 /* from the first piece */

struct packet_fragments;

size_t packet_fragments_bytes(void);
struct packet_fragments *packet_fragments_init(void *memory);

enum packet_fragment_status {
	PACKET_FRAGMENT_HELD,  /* more is to come, or it is a copy of what was there */
	PACKET_FRAGMENT_WHOLE,
	PACKET_FRAGMENT_BAD,   /* overlap, or sizes that cannot be: the datagram is dropped, and what else comes of it */
	PACKET_FRAGMENT_FULL,  /* over the cap */
};

struct packet_whole {
	struct bytes frame; /* one frame with one IP header and all of the payload, IPv4's header checksum right */
	unsigned pieces;
	struct bytes piece[PACKET_PIECES_MAX]; /* the frames as they came, in the order in which they came */
};

/* Takes one frame that packet_parse called a fragment. `out` is set when WHOLE. */
enum packet_fragment_status packet_fragments_add(struct packet_fragments *t, const struct packet *p, uint64_t now_us,
						 struct packet_whole *out);

/* Datagrams that wait for more. */
unsigned packet_fragments_waiting(const struct packet_fragments *t, uint64_t now_us);

#endif
