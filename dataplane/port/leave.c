#include "dataplane/port/leave.h"

#define L2_BYTES_MAX 127 /* what the fields of an mbuf hold */
#define L3_BYTES_MAX 511

static uint64_t ip_flags(const struct port_plan *to, uint8_t ip_version, bool cut)
{
	if (ip_version == 6)
		return RTE_MBUF_F_TX_IPV6;
	return RTE_MBUF_F_TX_IPV4 | (cut && to->tx_offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM ? RTE_MBUF_F_TX_IP_CKSUM : 0);
}

static bool prepare_large(struct rte_mbuf *m, const struct port_plan *to, const struct packet *p, size_t mtu_bytes)
{
	size_t l4_bytes = p->frame.len >= p->l4_offset + 20u ? (p->frame.base[p->l4_offset + 12] >> 4) * 4u : 0;

	if (p->protocol != PACKET_TCP || p->extensions || l4_bytes < 20 || p->l4_offset + l4_bytes > p->frame.len || m->tso_segsz == 0 ||
	    p->l4_offset - p->l3_offset + l4_bytes + m->tso_segsz > mtu_bytes || m->data_len > to->segment_bytes_max)
		return false;
	m->l4_len = l4_bytes & 0xff;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | ip_flags(to, p->ip_version, true);
	return true;
}

bool leave_prepare(struct rte_mbuf *m, const struct port_plan *to, size_t mtu_bytes)
{
	bool large = (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
	uint64_t can;
	struct packet p;

	m->ol_flags &= ~(RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_L4_CKSUM_MASK);
	if (packet_parse(bytes_of(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len), &p) != ERROR_none || p.ip_version == 0 || p.fragment ||
	    p.l3_offset > L2_BYTES_MAX || p.l4_offset - p.l3_offset > L3_BYTES_MAX)
		return false;
	m->l2_len = p.l3_offset & L2_BYTES_MAX;
	m->l3_len = (p.l4_offset - p.l3_offset) & L3_BYTES_MAX;
	if (large)
		return prepare_large(m, to, &p, mtu_bytes);
	can = p.protocol == PACKET_TCP ? to->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM : p.protocol == PACKET_UDP ? to->tx_offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM : 0;
	if (!can || p.extensions) /* whoever looks at options and extension headers may not see TCP behind them */
		return packet_finish(&p);
	m->ol_flags |= ip_flags(to, p.ip_version, false) | (p.protocol == PACKET_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
	return true;
}

void leave_own(struct rte_mbuf *m, const struct port_plan *to, const struct packet_built *built, uint16_t segment_bytes)
{
	uint8_t ip_version = rte_pktmbuf_mtod(m, const uint8_t *)[built->l2_bytes] >> 4;

	m->l2_len = built->l2_bytes & L2_BYTES_MAX;
	m->l3_len = built->l3_bytes & L3_BYTES_MAX;
	m->l4_len = built->l4_bytes & 0xff;
	m->tso_segsz = segment_bytes;
	m->ol_flags |= ip_flags(to, ip_version, segment_bytes > 0) | (segment_bytes ? RTE_MBUF_F_TX_TCP_SEG : RTE_MBUF_F_TX_TCP_CKSUM);
}
