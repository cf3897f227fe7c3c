/* key.h: what names a flow: both addresses, both ports, the VLAN tags.
 *
 * The key is symmetric: both directions of a flow give the same key, whichever comes first. `low` is the end whose
 * (address, port) compares lower in some order of this machine's. Addresses and ports in network order. Plain value, no padding (it is hashed as bytes).
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
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "flow_key_of packs the ports and tags into a word");

/* The key of a TCP packet. Built of whole words, as it is hashed and compared. Any total order of the ends does. */
static inline struct flow_key flow_key_of(const struct packet *p)
{
	uint64_t source[2], destination[2], word[5];
	uint16_t vlan[PACKET_VLAN_MAX], low = p->source_port, high = p->destination_port;
	struct flow_key key;
	bool swap;

	for (unsigned i = 0; i < PACKET_VLAN_MAX; i++)
		vlan[i] = i < p->vlan_count ? p->vlan_tci[i] & 0xfff : 0xffff;
	memcpy(&source[0], p->source.byte, 8);
	memcpy(&source[1], p->source.byte + 8, 8);
	memcpy(&destination[0], p->destination.byte, 8);
	memcpy(&destination[1], p->destination.byte + 8, 8);
	swap = source[0] != destination[0] ? source[0] > destination[0] : source[1] != destination[1] ? source[1] > destination[1] : low > high;
	word[0] = swap ? destination[0] : source[0];
	word[1] = swap ? destination[1] : source[1];
	word[2] = swap ? source[0] : destination[0];
	word[3] = swap ? source[1] : destination[1];
	word[4] = (uint64_t)(swap ? high : low) | (uint64_t)(swap ? low : high) << 16 | (uint64_t)vlan[0] << 32 | (uint64_t)vlan[1] << 48;
	memcpy(&key, word, sizeof key);
	return key;
}

static inline bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	uint64_t x[5], y[5];

	memcpy(x, a, sizeof x);
	memcpy(y, b, sizeof y);
	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

#endif
