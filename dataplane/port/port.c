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
#include <string.h>
#include <time.h>

#include "dataplane/port/environment.h"
#include "dataplane/port/exchange.h"

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024
#define TX_QUEUE 512
/* net_af_xdp keeps 2,048 frames in each fill ring and up to 2,048 in each completion ring until the next send; with fewer than
 * all of them and our own queues, receiving could wait for frames that only sending gives back, for ever. */
#define POOL_FRAMES 16384u /* for each worker; one less in all is what fits best */
#define POOL_CACHE 256

struct tx_queue {
	struct rte_mbuf *frame[TX_QUEUE];
	unsigned count;
	unsigned idle; /* turns without a frame; see settle */
};

/* Of one worker. */
struct ports {
	_Alignas(64) struct devices *devices;
	unsigned worker;
	unsigned take_next; /* of the other workers: whose frames are taken first */
	struct tx_queue tx[PORT_COUNT];
	struct rte_mbuf *room[PORT_COUNT]; /* handed out by port_room */
	struct port_counters counters[PORT_COUNT];
};

/* Of all; not changed after the start. Worker w reads and writes queue w of a device that has so many. One that has no queue sends
 * through worker w % queues. */
struct devices {
	uint16_t id[PORT_COUNT];
	unsigned queues[PORT_COUNT], workers;
	struct rte_mempool *pool;
	struct exchange *between;              /* frames to the worker whose they are, and messages; NULL: one worker */
	struct exchange *outgoing[PORT_COUNT]; /* frames of workers without a queue; NULL: each has one */
	size_t frame_bytes;
	struct ports worker[];
};

static struct rte_mbuf *mbuf_of(struct port_frame *frame)
{
	return (struct rte_mbuf *)frame;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool setup_queues(struct devices *d, uint16_t id, unsigned queues, const char **step, int *rc)
{
	uint16_t rx = RX_DESCRIPTORS, tx = TX_DESCRIPTORS;
	unsigned socket = (unsigned)rte_eth_dev_socket_id(id);

	*rc = rte_eth_dev_adjust_nb_rx_tx_desc(id, &rx, &tx);
	*step = "receive";
	for (uint16_t q = 0; *rc == 0 && q < queues; q++)
		*rc = rte_eth_rx_queue_setup(id, q, rx, socket, NULL, d->pool);
	if (*rc == 0)
		*step = "send";
	for (uint16_t q = 0; *rc == 0 && q < queues; q++)
		*rc = rte_eth_tx_queue_setup(id, q, tx, socket, NULL);
	return *rc == 0;
}

static bool start_device(struct devices *d, unsigned port, const char *device, size_t mtu_bytes, char *err, size_t err_len)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_dev_info info;
	const char *step = "be configured";
	uint16_t id = d->id[port];
	unsigned queues;
	int rc = rte_eth_dev_info_get(id, &info);

	queues = rc != 0 ? 1 : least(d->workers, least(info.max_rx_queues, info.max_tx_queues));
	if (rc == 0 && strcmp(info.driver_name, "net_af_packet") == 0 && info.max_rx_queues > d->workers) {
		snprintf(err, err_len, "port %s: the kernel spreads frames over %u queues, which %u workers do not read: set qpairs to at most that", device,
			 info.max_rx_queues, d->workers);
		return false;
	}
	if (rc == 0)
		rc = rte_eth_dev_configure(id, (uint16_t)queues, (uint16_t)queues, &conf);
	if (rc == 0 && setup_queues(d, id, queues, &step, &rc)) {
		step = "start";
		rc = rte_eth_dev_start(id);
	}
	if (rc != 0) {
		snprintf(err, err_len, "port %s: it cannot %s: %s: the driver's own message stands above", device, step, rte_strerror(-rc));
		return false;
	}
	d->queues[port] = queues;
	(void)rte_eth_promiscuous_enable(id); /* the bridge has to see every frame; a veth has no other mode */
	(void)rte_eth_dev_set_mtu(id, (uint16_t)mtu_bytes);
	return true;
}

/* The pool stays: a device may still hold frames of it. */
static void release(struct devices *d)
{
	exchange_destroy(d->between);
	for (unsigned i = 0; i < PORT_COUNT; i++)
		exchange_destroy(d->outgoing[i]);
	free(d);
}

static bool take_memory(struct devices *d, uint16_t room, char *err, size_t err_len)
{
	unsigned frames = POOL_FRAMES * d->workers - 1;

	d->pool = rte_pktmbuf_pool_create("frames", frames, POOL_CACHE, 0, (uint16_t)(room + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	if (!d->pool) {
		snprintf(err, err_len, "no memory for %u frames of %u bytes: %s: reserve more huge pages, or with --no-huge give a larger -m", frames,
			 room + RTE_PKTMBUF_HEADROOM, rte_strerror(rte_errno));
		return false;
	}
	d->between = d->workers > 1 ? exchange_create(d->workers, true) : NULL;
	if (d->workers > 1 && !d->between)
		snprintf(err, err_len, "no memory for what %u workers give one another", d->workers);
	return d->workers == 1 || d->between;
}

static bool start_devices(struct devices *d, const char *const device[PORT_COUNT], size_t mtu_bytes, char *err, size_t err_len)
{
	if (environment_same(device[0], device[1])) {
		snprintf(err, err_len, "ports %s and %s: the same device twice: name two", device[0], device[1]);
		return false;
	}
	if (!take_memory(d, (uint16_t)(mtu_bytes + 64 > 2048 ? mtu_bytes + 64 : 2048), err, err_len))
		return false;
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		if (!environment_attach(device[i], &d->id[i], err, err_len) || !start_device(d, i, device[i], mtu_bytes, err, err_len))
			return false;
		d->outgoing[i] = d->queues[i] < d->workers ? exchange_create(d->workers, false) : NULL;
		if (d->queues[i] < d->workers && !d->outgoing[i]) {
			snprintf(err, err_len, "no memory for the frames of workers without a queue");
			return false;
		}
	}
	return true;
}

struct ports *port_start(const char *const device[PORT_COUNT], size_t mtu_bytes, unsigned workers, char *err, size_t err_len)
{
	size_t bytes = sizeof(struct devices) + workers * sizeof(struct ports);
	struct devices *d = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

	if (!d)
		return NULL;
	memset(d, 0, bytes);
	d->workers = workers;
	d->frame_bytes = mtu_bytes + 14 + 8;
	for (unsigned w = 0; w < workers; w++) {
		d->worker[w].devices = d;
		d->worker[w].worker = w;
	}
	if (!start_devices(d, device, mtu_bytes, err, err_len)) {
		release(d);
		return NULL;
	}
	return &d->worker[0];
}

struct ports *port_of_worker(struct ports *first, unsigned worker)
{
	return &first->devices->worker[worker];
}

void port_stop(struct ports *first)
{
	struct devices *d = first->devices;

	for (unsigned i = 0; i < PORT_COUNT; i++)
		(void)rte_eth_dev_stop(d->id[i]);
	release(d);
}

unsigned port_workers_max(void)
{
	return rte_lcore_count() - 1;
}

int port_run_workers(int (*worker)(void *), void *const *arguments, unsigned workers, int (*housekeeping)(void *), void *housekeeping_argument)
{
	unsigned lcore = RTE_MAX_LCORE, started = 0;
	int rc = 0;

	if (workers > port_workers_max())
		return -1;
	RTE_LCORE_FOREACH_WORKER(lcore) {
		if (started == workers)
			break;
		rc = rte_eal_remote_launch(worker, arguments[started++], lcore);
		if (rc != 0)
			return rc; /* cannot be: they wait for work */
	}
	(void)housekeeping(housekeeping_argument);
	RTE_LCORE_FOREACH_WORKER(lcore) {
		int said = rte_eal_wait_lcore(lcore);

		rc = rc != 0 ? rc : said;
	}
	return rc;
}

#define DRAIN_BURSTS 1024

static unsigned receive(struct ports *p, unsigned port, unsigned queue, struct port_frame **frames, unsigned max)
{
	unsigned count = rte_eth_rx_burst(p->devices->id[port], (uint16_t)queue, (struct rte_mbuf **)frames, (uint16_t)max), kept = 0;

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

void port_drain(struct ports *first)
{
	struct devices *d = first->devices;

	for (unsigned i = 0; i < PORT_COUNT; i++) {
		struct rte_eth_dev_info info;

		if (rte_eth_dev_info_get(d->id[i], &info) != 0 || strcmp(info.driver_name, "net_af_packet") != 0)
			continue;
		for (unsigned q = 0; q < d->queues[i]; q++) {
			struct port_frame *frame[PORT_BURST];
			unsigned count = PORT_BURST;

			for (unsigned n = 0; n < DRAIN_BURSTS && count > 0; n++) {
				count = receive(first, i, q, frame, PORT_BURST);
				for (unsigned k = 0; k < count; k++)
					port_drop(frame[k]);
			}
		}
	}
}

unsigned port_receive(struct ports *p, unsigned port, struct port_frame **frames, unsigned max)
{
	return p->worker < p->devices->queues[port] ? receive(p, port, p->worker, frames, max) : 0;
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
		(void)rte_eth_tx_burst(p->devices->id[port], (uint16_t)p->worker, q->frame, 0);
}

/* Into a queue of its own, or to the worker that sends for this one. */
static unsigned send_burst(struct ports *p, unsigned port, struct rte_mbuf **frames, unsigned count)
{
	struct devices *d = p->devices;
	unsigned sent = 0;

	if (p->worker < d->queues[port])
		return rte_eth_tx_burst(d->id[port], (uint16_t)p->worker, frames, (uint16_t)count);
	while (sent < count && exchange_give(d->outgoing[port], p->worker, p->worker % d->queues[port], frames[sent]))
		sent++;
	return sent;
}

static void flush_one(struct ports *p, unsigned port)
{
	struct tx_queue *q = &p->tx[port];
	unsigned sent;

	if (q->count == 0) {
		if (p->worker < p->devices->queues[port])
			settle(p, port);
		return;
	}
	q->idle = 0;
	sent = send_burst(p, port, q->frame, q->count);
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
		p->room[port] = rte_pktmbuf_alloc(p->devices->pool);
	m = p->room[port];
	if (!m)
		return NULL;
	*cap = p->devices->frame_bytes < rte_pktmbuf_tailroom(m) ? p->devices->frame_bytes : rte_pktmbuf_tailroom(m);
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

/* What workers without a queue want sent: as much as finds room, each worker in turn. */
static void send_for_others(struct ports *p, unsigned port)
{
	struct devices *d = p->devices;
	struct tx_queue *q = &p->tx[port];

	for (unsigned w = p->worker + d->queues[port]; w < d->workers; w += d->queues[port]) {
		unsigned room = least(TX_QUEUE - q->count, PORT_BURST);

		q->count += exchange_take(d->outgoing[port], w, p->worker, (void **)(q->frame + q->count), room);
	}
}

void port_flush(struct ports *p)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		if (p->devices->outgoing[i] && p->worker < p->devices->queues[i])
			send_for_others(p, i);
		flush_one(p, i);
	}
}

void port_hand(struct ports *p, unsigned worker, struct port_frame *frame)
{
	if (exchange_give(p->devices->between, p->worker, worker, frame))
		return;
	p->counters[port_came_from(p, frame)].dropped_handover++;
	port_drop(frame);
}

bool port_hand_copy(struct ports *p, unsigned worker, unsigned port, struct bytes frame)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->devices->pool);

	if (!m)
		return false;
	m->port = p->devices->id[port];
	if (frame.len <= rte_pktmbuf_tailroom(m)) {
		memcpy(rte_pktmbuf_mtod(m, uint8_t *), frame.base, frame.len);
		m->data_len = (uint16_t)frame.len;
		m->pkt_len = (uint32_t)frame.len;
		if (exchange_give(p->devices->between, p->worker, worker, m))
			return true;
	}
	rte_pktmbuf_free(m);
	return false;
}

unsigned port_came_from(const struct ports *p, const struct port_frame *frame)
{
	return ((const struct rte_mbuf *)frame)->port == p->devices->id[1];
}

unsigned port_handed(struct ports *p, struct port_frame **frames, unsigned max)
{
	struct devices *d = p->devices;
	unsigned count = 0;

	for (unsigned i = 0; d->between && i < d->workers && count < max; i++)
		count += exchange_take(d->between, (i + p->take_next) % d->workers, p->worker, (void **)(frames + count), max - count);
	p->take_next = p->take_next + 1 < d->workers ? p->take_next + 1 : 0;
	return count;
}

bool port_tell(struct ports *p, unsigned worker, struct bytes message)
{
	return exchange_tell(p->devices->between, p->worker, worker, message, PORT_TELL_ROOM);
}

bool port_told(struct ports *p, uint8_t out[PORT_MESSAGE_BYTES], size_t *len)
{
	struct devices *d = p->devices;

	for (unsigned w = 0; d->between && w < d->workers; w++)
		if (w != p->worker && exchange_told(d->between, w, p->worker, out, len))
			return true;
	return false;
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

	if (rte_eth_dev_info_get(p->devices->id[port], &info) == 0)
		snprintf(out->driver, sizeof out->driver, "%s", info.driver_name);
	if (rte_eth_macaddr_get(p->devices->id[port], &mac) == 0)
		memcpy(out->mac, mac.addr_bytes, sizeof out->mac);
	if (rte_eth_link_get_nowait(p->devices->id[port], &link) == 0) {
		out->link_up = link.link_status == RTE_ETH_LINK_UP;
		out->link_mbps = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	}
	if (rte_eth_stats_get(p->devices->id[port], &stats) == 0) {
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
