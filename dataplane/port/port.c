#include "dataplane/port/port.h"

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/port/environment.h"

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024
#define TX_QUEUE 512
/* net_af_xdp keeps 2,048 frames in each fill ring and up to 2,048 in each completion ring until the next send; with fewer than
 * all of them and our own queues, receiving could wait for frames that only sending gives back, for ever. */
#define POOL_FRAMES 16383
#define POOL_CACHE 256

struct tx_queue {
	struct rte_mbuf *frame[TX_QUEUE];
	unsigned count;
	unsigned idle; /* turns without a frame; see settle */
};

struct ports {
	uint16_t id[PORT_COUNT];
	struct rte_mempool *pool;
	struct tx_queue tx[PORT_COUNT];
	struct rte_mbuf *room[PORT_COUNT]; /* handed out by port_room */
	struct port_counters counters[PORT_COUNT];
	size_t frame_bytes;
};

static struct rte_mbuf *mbuf_of(struct port_frame *frame)
{
	return (struct rte_mbuf *)frame;
}

static bool start_device(struct ports *p, uint16_t id, const char *device, size_t mtu_bytes, char *err, size_t err_len)
{
	struct rte_eth_conf conf = { 0 };
	uint16_t rx = RX_DESCRIPTORS, tx = TX_DESCRIPTORS;
	unsigned socket = (unsigned)rte_eth_dev_socket_id(id);
	const char *step = "be configured";
	int rc = rte_eth_dev_configure(id, 1, 1, &conf);

	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx, &tx);
	if (rc == 0) {
		step = "receive";
		rc = rte_eth_rx_queue_setup(id, 0, rx, socket, NULL, p->pool);
	}
	if (rc == 0) {
		step = "send";
		rc = rte_eth_tx_queue_setup(id, 0, tx, socket, NULL);
	}
	if (rc == 0) {
		step = "start";
		rc = rte_eth_dev_start(id);
	}
	if (rc != 0) {
		snprintf(err, err_len, "port %s: it cannot %s: %s: the driver's own message stands above", device, step, rte_strerror(-rc));
		return false;
	}
	(void)rte_eth_promiscuous_enable(id); /* the bridge has to see every frame; a veth has no other mode */
	(void)rte_eth_dev_set_mtu(id, (uint16_t)mtu_bytes);
	return true;
}

struct ports *port_start(const char *const device[PORT_COUNT], size_t mtu_bytes, char *err, size_t err_len)
{
	struct ports *p = calloc(1, sizeof *p);
	uint16_t room = (uint16_t)(mtu_bytes + 64 > 2048 ? mtu_bytes + 64 : 2048);

	if (!p)
		return NULL;
	if (environment_same(device[0], device[1])) {
		snprintf(err, err_len, "ports %s and %s: the same device twice: name two", device[0], device[1]);
		free(p);
		return NULL;
	}
	p->frame_bytes = mtu_bytes + 14 + 8;
	p->pool = rte_pktmbuf_pool_create("frames", POOL_FRAMES, POOL_CACHE, 0, (uint16_t)(room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (!p->pool) {
		snprintf(err, err_len, "no memory for %d frames of %u bytes: %s: reserve more huge pages, or with --no-huge give a larger -m", POOL_FRAMES,
			 room + RTE_PKTMBUF_HEADROOM, rte_strerror(rte_errno));
		free(p);
		return NULL;
	}
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		if (!environment_attach(device[i], &p->id[i], err, err_len) || !start_device(p, p->id[i], device[i], mtu_bytes, err, err_len)) {
			free(p);
			return NULL;
		}
	}
	return p;
}

void port_stop(struct ports *p)
{
	for (unsigned i = 0; i < PORT_COUNT; i++)
		(void)rte_eth_dev_stop(p->id[i]);
	free(p);
}

int port_run_worker(int (*worker)(void *), void *argument, int (*housekeeping)(void *), void *housekeeping_argument)
{
	unsigned lcore = rte_get_next_lcore(-1, 1, 0);
	int rc;

	if (lcore == RTE_MAX_LCORE)
		return -1;
	rc = rte_eal_remote_launch(worker, argument, lcore);
	if (rc != 0)
		return rc;
	(void)housekeeping(housekeeping_argument);
	return rte_eal_wait_lcore(lcore);
}

#define DRAIN_BURSTS 1024

void port_drain(struct ports *p)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		struct port_frame *frame[PORT_BURST];
		struct rte_eth_dev_info info;
		unsigned count = PORT_BURST;

		if (rte_eth_dev_info_get(p->id[i], &info) != 0 || strcmp(info.driver_name, "net_af_packet") != 0)
			continue;
		for (unsigned n = 0; n < DRAIN_BURSTS && count > 0; n++) {
			count = port_receive(p, i, frame, PORT_BURST);
			for (unsigned k = 0; k < count; k++)
				port_drop(frame[k]);
		}
	}
}

unsigned port_receive(struct ports *p, unsigned port, struct port_frame **frames, unsigned max)
{
	unsigned count = rte_eth_rx_burst(p->id[port], 0, (struct rte_mbuf **)frames, (uint16_t)max), kept = 0;

	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = mbuf_of(frames[i]);

		if (m->nb_segs > 1 && rte_pktmbuf_linearize(m) != 0) {
			rte_pktmbuf_free(m);
			p->counters[port].dropped_split++;
			continue;
		}
		frames[kept++] = frames[i];
	}
	p->counters[port].received += kept;
	return kept;
}

struct bytes port_bytes(const struct port_frame *frame)
{
	const struct rte_mbuf *m = (const struct rte_mbuf *)frame;

	return bytes_of(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
}

enum packet_checksum port_checksum(const struct port_frame *frame)
{
	const struct rte_mbuf *m = (const struct rte_mbuf *)frame;

	switch (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
	case RTE_MBUF_F_RX_L4_CKSUM_GOOD: return PACKET_CHECKSUM_GOOD;
	case RTE_MBUF_F_RX_L4_CKSUM_BAD: return PACKET_CHECKSUM_BAD;
	case RTE_MBUF_F_RX_L4_CKSUM_NONE: return PACKET_CHECKSUM_PARTIAL;
	default: return PACKET_CHECKSUM_UNKNOWN;
	}
}

/* net_af_xdp only hands frames to the kernel; sending them is a system call within a burst, which may end before all of
 * them are out (ENOBUFS). What is left goes with the next burst, so an empty one is due 1, 2, 4, 8 … turns after the last frame, and
 * every so many later. To other drivers an empty burst is nothing. */
#define KICK_EVERY_IDLE 1024

static void settle(struct ports *p, unsigned port)
{
	struct tx_queue *q = &p->tx[port];

	q->idle++;
	if ((q->idle & (q->idle - 1)) == 0 || q->idle % KICK_EVERY_IDLE == 0)
		(void)rte_eth_tx_burst(p->id[port], 0, q->frame, 0);
}

static void flush_one(struct ports *p, unsigned port)
{
	struct tx_queue *q = &p->tx[port];
	uint16_t sent;

	if (q->count == 0) {
		settle(p, port);
		return;
	}
	q->idle = 0;
	sent = rte_eth_tx_burst(p->id[port], 0, q->frame, (uint16_t)q->count);
	p->counters[port].sent += sent;
	q->count -= sent;
	if (q->count && sent)
		memmove(q->frame, q->frame + sent, q->count * sizeof *q->frame);
}

static bool enqueue(struct ports *p, unsigned port, struct rte_mbuf *m)
{
	struct tx_queue *q = &p->tx[port];

	if (q->count >= TX_QUEUE)
		flush_one(p, port);
	if (q->count >= TX_QUEUE)
		return false;
	q->frame[q->count++] = m;
	return true;
}

void port_forward(struct ports *p, unsigned to, struct port_frame *frame)
{
	if (enqueue(p, to, mbuf_of(frame)))
		return;
	p->counters[to].dropped_full++;
	rte_pktmbuf_free(mbuf_of(frame));
}

void port_drop(struct port_frame *frame)
{
	rte_pktmbuf_free(mbuf_of(frame));
}

uint8_t *port_room(struct ports *p, unsigned port, size_t *cap)
{
	struct rte_mbuf *m;

	if (p->tx[port].count >= TX_QUEUE)
		flush_one(p, port);
	if (p->tx[port].count >= TX_QUEUE)
		return NULL;
	if (!p->room[port])
		p->room[port] = rte_pktmbuf_alloc(p->pool);
	m = p->room[port];
	if (!m)
		return NULL;
	*cap = p->frame_bytes < rte_pktmbuf_tailroom(m) ? p->frame_bytes : rte_pktmbuf_tailroom(m);
	return rte_pktmbuf_mtod(m, uint8_t *);
}

void port_send(struct ports *p, unsigned port, size_t bytes)
{
	struct rte_mbuf *m = p->room[port];
	uint8_t *base;

	if (bytes == 0 || !m)
		return; /* the room stays for the next frame */
	base = rte_pktmbuf_mtod(m, uint8_t *);
	if (bytes < PORT_FRAME_BYTES_MIN) {
		memset(base + bytes, 0, PORT_FRAME_BYTES_MIN - bytes);
		bytes = PORT_FRAME_BYTES_MIN;
	}
	m->data_len = (uint16_t)bytes;
	m->pkt_len = (uint32_t)bytes;
	p->room[port] = NULL;
	if (!enqueue(p, port, m))
		rte_pktmbuf_free(m);
}

void port_flush(struct ports *p)
{
	for (unsigned i = 0; i < PORT_COUNT; i++)
		flush_one(p, i);
}

struct port_counters port_counters(const struct ports *p, unsigned port)
{
	return p->counters[port];
}

void port_describe(const struct ports *p, unsigned port, struct page_port *out)
{
	struct rte_eth_dev_info info;
	struct rte_eth_stats stats;
	struct rte_eth_link link;
	struct rte_ether_addr mac;

	if (rte_eth_dev_info_get(p->id[port], &info) == 0)
		snprintf(out->driver, sizeof out->driver, "%s", info.driver_name);
	if (rte_eth_macaddr_get(p->id[port], &mac) == 0)
		memcpy(out->mac, mac.addr_bytes, sizeof out->mac);
	if (rte_eth_link_get_nowait(p->id[port], &link) == 0) {
		out->link_up = link.link_status == RTE_ETH_LINK_UP;
		out->link_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	}
	if (rte_eth_stats_get(p->id[port], &stats) == 0) {
		out->device_missed = stats.imissed;
		out->device_errors_in = stats.ierrors;
		out->device_errors_out = stats.oerrors;
		out->device_no_buffer = stats.rx_nombuf;
	}
}

uint64_t port_now_us(void)
{
	static uint64_t per_us;

	if (per_us == 0)
		per_us = rte_get_tsc_hz() / 1000000;
	return rte_rdtsc() / per_us + 1;
}

uint64_t port_cycles(void)
{
	return rte_rdtsc();
}

uint64_t port_cycles_per_second(void)
{
	return rte_get_tsc_hz();
}

void port_nap(unsigned us)
{
	struct timespec t = { .tv_nsec = (long)us * 1000 };

	(void)nanosleep(&t, NULL);
}
