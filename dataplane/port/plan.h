/* plan.h: what is asked of the two devices, decided from what they say that they can do. Private to this folder. Pure.
 *
 * Queues: one pair for each worker, as far as the device has so many; receive side scaling over them with our symmetric key where it can
 * hash TCP over IPv4 and IPv6 and takes a key and a table. Nothing rests on it: dataplane/flow/steer.h. A device that does not say how long
 * its key is gets the usual 40 bytes, and is looked at (scale.h).
 * Checksums of TCP and UDP: looked at and filled in by the device where it can. A virtio pair that agrees on that hands on frames whose
 * checksum nobody has filled in (`partial`): they are finished when they are bridged (leave.h).
 * Segmentation (TSO): segments of a terminated flow leave in frames of up to `segment_bytes_max`, which the device cuts.
 * Large receive (LRO): only where the device says how large the segments were that it put together (virtio), and where both devices
 * cut: what was bridged leaves in the same segments as it came, and no wire sees a frame above its MTU. A card that joins what it has
 * received and forgets where it was cut is never asked to.
 * Source: the capabilities of struct rte_eth_dev_info; virtio 1.1, 5.1.6.
 */
#ifndef DATAPLANE_PORT_PLAN_H
#define DATAPLANE_PORT_PLAN_H

#include <rte_ethdev.h>
#include <stdbool.h>
#include <stdint.h>

#define PLAN_PORTS 2

#define PLAN_TABLE_ENTRIES_MAX 512

/* Why a device's receive side scaling is used, or not. */
enum plan_scaling {
	PLAN_ONE_QUEUE,        /* nothing to spread over */
	PLAN_SCALED,
	PLAN_NO_HASH,          /* it does not hash TCP over IPv4 and IPv6 by addresses and ports */
	PLAN_KEY_SIZE,         /* its key has no length that ours could have */
	PLAN_TABLE_SIZE,       /* its indirection table has no size that the rule fits */
	PLAN_KEY_NOT_TAKEN,    /* it was asked, and does not do it (scale.h) */
	PLAN_TABLE_NOT_TAKEN,
};

struct port_plan {
	unsigned queues;        /* pairs; at least 1 */
	enum plan_scaling scaling;
	uint64_t rss_functions; /* 0: no receive side scaling */
	uint8_t key_bytes;
	uint16_t table_entries; /* of the indirection table */
	uint64_t rx_offloads, tx_offloads;
	bool partial;           /* frames may come whose checksum is not filled in */
	uint32_t segment_bytes_max; /* of a whole frame that the device cuts; 0: it cuts none */
};

void port_plan(const struct rte_eth_dev_info info[PLAN_PORTS], unsigned workers, struct port_plan plan[PLAN_PORTS]);

/* The queue of entry `entry` of the indirection table. */
unsigned port_plan_queue(const struct port_plan *plan, unsigned entry, unsigned workers);

/* There is no memory for large frames: without segmentation and large receive. */
void port_plan_small(struct port_plan *plan);

/* Who spreads the frames over the workers, in words, for the log. */
const char *port_plan_spreads(const struct port_plan *plan);

/* What is shown of it: 1 << enum page_offload. */
uint8_t port_plan_offloads(const struct port_plan *plan);

#endif
