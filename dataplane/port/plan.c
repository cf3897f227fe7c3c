#include "dataplane/port/plan.h"

#include <string.h>

#include "dataplane/flow/steer.h"
#include "platform/contract/page.h"

#define HASHES_WANTED (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP)
#define KEY_BYTES_MIN 40 /* two IPv6 addresses, two ports, and the window */
#define SEGMENT_BYTES_VIRTIO 65400 /* with its headers, and headroom before it, in one buffer, whose length is 16 bits */
#define SEGMENT_BYTES_CARD 16320   /* what one descriptor of any card takes: 14 bits (i40e, ice) */

#define RX_CHECKSUM RTE_ETH_RX_OFFLOAD_TCP_CKSUM
#define TX_CHECKSUM RTE_ETH_TX_OFFLOAD_TCP_CKSUM
#define TX_OTHERS (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM) /* asked for with TCP's, where they are there */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Its frames were never on a wire: their checksums need not be there, and it is said how they are to be cut. */
static bool is_virtio(const struct rte_eth_dev_info *info)
{
	return info->driver_name && (strstr(info->driver_name, "virtio") || strstr(info->driver_name, "vhost"));
}

/* It says that it cuts, and refuses a frame whose pieces are longer than the MTU with the Ethernet header counted in: those of every full
 * segment, and all that is queued behind it. Frames of IPv6 it lets out whole (DPDK 22.11: pmd_tx_burst, rte_gso_segment). Nothing that it
 * says of itself tells. */
static bool cuts_wrong(const struct rte_eth_dev_info *info)
{
	return info->driver_name && strcmp(info->driver_name, "net_tap") == 0;
}

static enum plan_scaling scaling(const struct rte_eth_dev_info *info, unsigned queues, unsigned key_bytes)
{
	if (queues == 1)
		return PLAN_ONE_QUEUE;
	if ((info->flow_type_rss_offloads & HASHES_WANTED) != HASHES_WANTED)
		return PLAN_NO_HASH;
	if (key_bytes < KEY_BYTES_MIN || key_bytes > STEER_KEY_BYTES_MAX)
		return PLAN_KEY_SIZE;
	if (info->reta_size == 0 || info->reta_size % STEER_BUCKETS != 0 || info->reta_size > PLAN_TABLE_ENTRIES_MAX)
		return PLAN_TABLE_SIZE;
	return PLAN_SCALED;
}

static void plan_scaling(const struct rte_eth_dev_info *info, struct port_plan *p)
{
	unsigned key_bytes = info->hash_key_size ? info->hash_key_size : KEY_BYTES_MIN;

	p->scaling = scaling(info, p->queues, key_bytes);
	if (p->scaling != PLAN_SCALED)
		return;
	p->rss_functions = HASHES_WANTED;
	p->key_bytes = (uint8_t)key_bytes;
	p->table_entries = info->reta_size;
}

/* A card that cuts IPv4 wants its header's checksum left to it. A virtio device has no word for that, and wants it filled in. */
static void plan_sending(const struct rte_eth_dev_info *info, struct port_plan *p)
{
	uint64_t can = info->tx_offload_capa;

	if (!(can & TX_CHECKSUM))
		return;
	p->tx_offloads = TX_CHECKSUM | (can & TX_OTHERS);
	if (!(can & RTE_ETH_TX_OFFLOAD_TCP_TSO) || cuts_wrong(info) || (!is_virtio(info) && !(can & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)))
		return;
	p->tx_offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;
	p->segment_bytes_max = is_virtio(info) ? SEGMENT_BYTES_VIRTIO : SEGMENT_BYTES_CARD;
}

static void plan_receiving(const struct rte_eth_dev_info *info, bool both_cut, struct port_plan *p)
{
	if (!(info->rx_offload_capa & RX_CHECKSUM))
		return;
	p->rx_offloads = RX_CHECKSUM;
	p->partial = is_virtio(info);
	if (both_cut && is_virtio(info) && info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_TCP_LRO)
		p->rx_offloads |= RTE_ETH_RX_OFFLOAD_TCP_LRO | (info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER);
}

void port_plan(const struct rte_eth_dev_info info[PLAN_PORTS], unsigned workers, struct port_plan plan[PLAN_PORTS])
{
	bool both_cut = true;

	for (unsigned i = 0; i < PLAN_PORTS; i++) {
		unsigned queues = least(workers, least(info[i].max_rx_queues, info[i].max_tx_queues));

		plan[i] = (struct port_plan){ .queues = queues ? queues : 1 };
		plan_scaling(&info[i], &plan[i]);
		plan_sending(&info[i], &plan[i]);
		both_cut &= plan[i].segment_bytes_max == SEGMENT_BYTES_VIRTIO; /* what one joins the other has to take */
	}
	for (unsigned i = 0; i < PLAN_PORTS; i++)
		plan_receiving(&info[i], both_cut, &plan[i]);
}

void port_plan_small(struct port_plan *plan)
{
	plan->segment_bytes_max = 0;
	plan->tx_offloads &= ~RTE_ETH_TX_OFFLOAD_TCP_TSO;
	plan->rx_offloads &= ~RTE_ETH_RX_OFFLOAD_TCP_LRO;
}

unsigned port_plan_queue(const struct port_plan *plan, unsigned entry, unsigned workers)
{
	return steer_worker(entry, workers) % plan->queues;
}

const char *port_plan_spreads(const struct port_plan *plan)
{
	static const char *const words[] = {
		[PLAN_ONE_QUEUE] = "one queue",
		[PLAN_SCALED] = "the device spreads (symmetric key)",
		[PLAN_NO_HASH] = "the workers spread: the device does not hash TCP over IPv4 and IPv6",
		[PLAN_KEY_SIZE] = "the workers spread: no key of ours has the length of the device's",
		[PLAN_TABLE_SIZE] = "the workers spread: no indirection table of a size that fits",
		[PLAN_KEY_NOT_TAKEN] = "the workers spread: the device did not take the key",
		[PLAN_TABLE_NOT_TAKEN] = "the workers spread: the device did not take the indirection table",
	};

	return words[plan->scaling];
}

uint8_t port_plan_offloads(const struct port_plan *plan)
{
	return (uint8_t)((plan->rss_functions ? 1u << PAGE_OFFLOAD_RSS : 0) | (plan->rx_offloads & RX_CHECKSUM ? 1u << PAGE_OFFLOAD_RX_CHECKSUM : 0) |
			 (plan->tx_offloads & TX_CHECKSUM ? 1u << PAGE_OFFLOAD_TX_CHECKSUM : 0) | (plan->segment_bytes_max ? 1u << PAGE_OFFLOAD_TSO : 0) |
			 (plan->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO ? 1u << PAGE_OFFLOAD_LRO : 0));
}
