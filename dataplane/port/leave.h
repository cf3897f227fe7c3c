/* leave.h: a received frame made ready for the other wire, where its sender left work to whoever sends it on. Private to this folder.
 *
 * Virtio hands on frames whose TCP or UDP checksum holds the sum of the pseudo header only, and TCP segments that are still to be cut.
 * A device that can do that is told to; else the checksum is made here. Segments leave in the pieces in which they would have come.
 * Source: virtio 1.1, 5.1.6.2 and 5.1.6.4; rte_mbuf_core.h.
 */
#ifndef DATAPLANE_PORT_LEAVE_H
#define DATAPLANE_PORT_LEAVE_H

#include <rte_mbuf.h>

#include "dataplane/packet/packet.h"
#include "dataplane/port/plan.h"

/* Whether the device that received it says that there is something left to do. */
static inline bool leave_is_unfinished(const struct rte_mbuf *m)
{
	return (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE || (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
}

/* Of a frame in one buffer. False: it cannot leave through a device with that plan, on a wire of that MTU. */
[[gnu::warn_unused_result]] bool leave_prepare(struct rte_mbuf *m, const struct port_plan *to, size_t mtu_bytes);

/* Tells the device about a frame of ours that packet_build left to it; `segment_bytes` 0: not to be cut. */
void leave_own(struct rte_mbuf *m, const struct port_plan *to, const struct packet_built *built, uint16_t segment_bytes);

#endif
