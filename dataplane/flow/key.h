/* key.h: what names a flow: both addresses, both ports, the VLAN tags.
 *
 * The key is symmetric: both directions of a flow give the same key, whichever comes first. `low` is the end whose
 * (address, port) compares lower. Addresses and ports in network order. Plain value, no padding (it is hashed as bytes).
 */
#ifndef DATAPLANE_FLOW_KEY_H
#define DATAPLANE_FLOW_KEY_H

#include "dataplane/packet/packet.h"

struct flow_key {
	struct packet_address low, high;
	uint16_t low_port, high_port;
	uint16_t vlan[PACKET_VLAN_MAX]; /* identifiers, outermost first; 0xffff where there is no tag */
};

_Static_assert(sizeof(struct flow_key) == 40, "hashed as bytes: no padding");

/* The key of a TCP packet. */
static inline struct flow_key flow_key_of(const struct packet *p)
{
	struct flow_key key;
	int order = memcmp(&p->source, &p->destination, sizeof p->source);

	if (order == 0)
		order = memcmp(&p->source_port, &p->destination_port, sizeof p->source_port);
	key.low = order <= 0 ? p->source : p->destination;
	key.high = order <= 0 ? p->destination : p->source;
	key.low_port = order <= 0 ? p->source_port : p->destination_port;
	key.high_port = order <= 0 ? p->destination_port : p->source_port;
	for (unsigned i = 0; i < PACKET_VLAN_MAX; i++)
		key.vlan[i] = i < p->vlan_count ? p->vlan_tci[i] & 0xfff : 0xffff;
	return key;
}

#endif
