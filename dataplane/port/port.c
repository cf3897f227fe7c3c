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
#include <unistd.h>

#include "dataplane/port/environment.h"
#include "dataplane/port/exchange.h"
#include "dataplane/port/leave.h"
#include "dataplane/port/plan.h"
#include "dataplane/port/scale.h"

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024
#define TX_QUEUE 512
#define FAR_END_MS 5000u
/* net_af_xdp keeps 2,048 frames in each fill ring and up to 2,048 in each completion ring until the next send; with fewer than
 * all of them and our own queues, receiving could wait for frames that only sending gives back, for ever. */
#define POOL_FRAMES 16384u /* for each worker; one less in all is what fits best */
#define POOL_CACHE 256
/* A ring gives sent frames back only when it is nearly full: there are more large ones than fit into those of both ports. */
#define TX_DESCRIPTORS_LARGE 256u
#define POOL_LARGE (PORT_COUNT * TX_DESCRIPTORS_LARGE + 128u) /* for each worker */

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
	struct rte_mbuf *room[PORT_COUNT], *room_large[PORT_COUNT]; /* handed out by port_room and port_room_large */
	struct port_counters counters[PORT_COUNT];
};

/* Of all; not changed after the start. Worker w reads and writes queue w of a device that has so many. One that has no queue sends
 * through worker w % queues. */
struct devices {
	uint16_t id[PORT_COUNT];
	struct port_plan plan[PORT_COUNT];
	unsigned workers;
	struct rte_mempool *pool, *pool_large; /* pool_large: NULL: no device cuts or joins segments */
	struct exchange *between;              /* frames to the worker whose they are, and messages; NULL: one worker */
	struct exchange *outgoing[PORT_COUNT]; /* frames of workers without a queue; NULL: each has one */
	size_t frame_bytes, mtu_bytes;
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

static bool setup_queues(struct devices *d, unsigned port, const char **step, int *rc)
{
	uint16_t rx = RX_DESCRIPTORS, tx = d->plan[port].segment_bytes_max ? TX_DESCRIPTORS_LARGE : TX_DESCRIPTORS, id = d->id[port];
	unsigned queues = d->plan[port].queues;
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

static int configure(uint16_t id, const struct port_plan *plan)
{
	struct rte_eth_conf conf = { .rxmode = { .offloads = plan->rx_offloads }, .txmode = { .offloads = plan->tx_offloads } };

	scale_configure(plan, &conf);
	return rte_eth_dev_configure(id, (uint16_t)plan->queues, (uint16_t)plan->queues, &conf);
}

/* A memif port maps its memory when the far end answers, on a thread of DPDK's and with calls that are forbidden once this process is
 * confined: who connects waits for that. The far end has to be there first, and to stay. */
static bool wait_for_far_end(uint16_t id, const char *device)
{
	struct rte_eth_link link = { 0 };

	if (strncmp(device, "net_memif", 9) != 0 || strstr(device, "role=server"))
		return true;
	for (unsigned i = 0; i < FAR_END_MS; i++) {
		if (rte_eth_link_get_nowait(id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP)
			return true;
		usleep(1000);
	}
	return false;
}

static bool start_device(struct devices *d, unsigned port, const char *device, size_t mtu_bytes, char *err, size_t err_len)
{
	struct port_plan *plan = &d->plan[port];
	const char *step = "be configured";
	uint16_t id = d->id[port];
	int rc = configure(id, plan);

	if (rc == 0 && setup_queues(d, port, &step, &rc)) {
		step = "start";
		rc = rte_eth_dev_start(id);
	}
	if (rc != 0) {
		snprintf(err, err_len, "port %s: it cannot %s: %s: the driver's own message stands above", device, step, rte_strerror(-rc));
		return false;
	}
	if (!wait_for_far_end(id, device)) {
		snprintf(err, err_len, "port %s: the far end does not answer: start it first", device);
		return false;
	}
	scale_check(id, d->workers, plan);
	(void)rte_eth_promiscuous_enable(id); /* the bridge has to see every frame; a veth has no other mode */
	(void)rte_eth_dev_set_mtu(id, (uint16_t)mtu_bytes);
	return true;
}

/* Room for frames that a device is to cut, or has joined. */
static void take_large(struct devices *d)
{
	uint32_t bytes = 0;

	for (unsigned i = 0; i < PORT_COUNT; i++)
		bytes = d->plan[i].segment_bytes_max > bytes ? d->plan[i].segment_bytes_max : bytes;
	if (bytes > 0)
		d->pool_large = rte_pktmbuf_pool_create("large frames", POOL_LARGE * d->workers - 1, 0, 0, (uint16_t)(bytes + RTE_PKTMBUF_HEADROOM), SOCKET_ID_ANY);
	for (unsigned i = 0; i < PORT_COUNT && !d->pool_large; i++)
		port_plan_small(&d->plan[i]);
}

/* Attaches both, and plans what is asked of them. */
static bool look_at_devices(struct devices *d, const char *const device[PORT_COUNT], char *err, size_t err_len)
{
	struct rte_eth_dev_info info[PORT_COUNT];

	for (unsigned i = 0; i < PORT_COUNT; i++) {
		int rc = environment_attach(device[i], &d->id[i], err, err_len) ? rte_eth_dev_info_get(d->id[i], &info[i]) : 1;

		if (rc < 0)
			snprintf(err, err_len, "port %s: it does not say what it can do: %s", device[i], rte_strerror(-rc));
		if (rc != 0)
			return false;
		if (strcmp(info[i].driver_name, "net_af_packet") == 0 && info[i].max_rx_queues > d->workers) {
			snprintf(err, err_len, "port %s: the kernel spreads frames over %u queues, which %u workers do not read: set qpairs to at most that", device[i],
				 info[i].max_rx_queues, d->workers);
			return false;
		}
	}
	port_plan(info, d->workers, d->plan);
	take_large(d);
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
	if (!look_at_devices(d, device, err, err_len))
		return false;
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		if (!start_device(d, i, device[i], mtu_bytes, err, err_len))
			return false;
		d->outgoing[i] = d->plan[i].queues < d->workers ? exchange_create(d->workers, false) : NULL;
		if (d->plan[i].queues < d->workers && !d->outgoing[i]) {
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
	d->mtu_bytes = mtu_bytes;
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

/* A frame in several buffers, in one; NULL: none holds it. */
static struct rte_mbuf *join(struct devices *d, struct rte_mbuf *m)
{
	struct rte_mbuf *large;

	if (m->pkt_len <= d->frame_bytes && rte_pktmbuf_linearize(m) == 0)
		return m;
	large = d->pool_large ? rte_pktmbuf_alloc(d->pool_large) : NULL;
	if (large && m->pkt_len <= rte_pktmbuf_tailroom(large)) {
		for (const struct rte_mbuf *part = m; part; part = part->next) {
			memcpy(rte_pktmbuf_mtod_offset(large, uint8_t *, large->data_len), rte_pktmbuf_mtod(part, const uint8_t *), part->data_len);
			large->data_len = (uint16_t)(large->data_len + part->data_len);
		}
		large->pkt_len = large->data_len;
		large->port = m->port;
		large->tso_segsz = m->tso_segsz;
		large->ol_flags |= m->ol_flags & (RTE_MBUF_F_RX_L4_CKSUM_MASK | RTE_MBUF_F_RX_LRO);
	} else {
		rte_pktmbuf_free(large);
		large = NULL;
	}
	rte_pktmbuf_free(m);
	return large;
}

static unsigned receive(struct ports *p, unsigned port, unsigned queue, struct port_frame **frames, unsigned max)
{
	unsigned count = rte_eth_rx_burst(p->devices->id[port], (uint16_t)queue, (struct rte_mbuf **)frames, (uint16_t)max), kept = 0;

	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = mbuf_of(frames[i]);

		if (m->nb_segs > 1 && !(m = join(p->devices, m))) {
			p->counters[port].dropped_split++;
			continue;
		}
		frames[kept++] = (struct port_frame *)m;
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
		for (unsigned q = 0; q < d->plan[i].queues; q++) {
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
	return p->worker < p->devices->plan[port].queues ? receive(p, port, p->worker, frames, max) : 0;
}

struct bytes port_bytes(const struct port_frame *frame)
{
	const struct rte_mbuf *m = (const struct rte_mbuf *)frame;

	return bytes_of(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len);
}

/* What was not asked for is not believed. */
enum packet_checksum port_checksum(const struct ports *p, const struct port_frame *frame)
{
	const struct rte_mbuf *m = (const struct rte_mbuf *)frame;
	const struct port_plan *plan = &p->devices->plan[port_came_from(p, frame)];

	if (!(plan->rx_offloads & RTE_ETH_RX_OFFLOAD_TCP_CKSUM))
		return PACKET_CHECKSUM_UNKNOWN;
	switch (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
	case RTE_MBUF_F_RX_L4_CKSUM_GOOD: return PACKET_CHECKSUM_GOOD;
	case RTE_MBUF_F_RX_L4_CKSUM_BAD: return PACKET_CHECKSUM_BAD;
	case RTE_MBUF_F_RX_L4_CKSUM_NONE: return plan->partial ? PACKET_CHECKSUM_PARTIAL : PACKET_CHECKSUM_UNKNOWN;
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

/* The driver's own preparation of what it is to finish. What it refuses would stop all that is behind it, and may not leave as it is. */
static void prepare_burst(struct ports *p, unsigned port)
{
	struct tx_queue *q = &p->tx[port];
	unsigned prepared = 0;

	while (prepared < q->count) {
		prepared += rte_eth_tx_prepare(p->devices->id[port], (uint16_t)p->worker, q->frame + prepared, (uint16_t)(q->count - prepared));
		if (prepared == q->count)
			return;
		rte_pktmbuf_free(q->frame[prepared]);
		q->count--;
		memmove(q->frame + prepared, q->frame + prepared + 1, (q->count - prepared) * sizeof *q->frame);
		p->counters[port].dropped_full++;
	}
}

/* Into a queue of its own, or to the worker that sends for this one. */
static unsigned send_burst(struct ports *p, unsigned port, struct rte_mbuf **frames, unsigned count)
{
	struct devices *d = p->devices;
	unsigned sent = 0;

	if (p->worker < d->plan[port].queues)
		return rte_eth_tx_burst(d->id[port], (uint16_t)p->worker, frames, (uint16_t)count);
	while (sent < count && exchange_give(d->outgoing[port], p->worker, p->worker % d->plan[port].queues, frames[sent]))
		sent++;
	return sent;
}

static void flush_one(struct ports *p, unsigned port)
{
	struct tx_queue *q = &p->tx[port];
	unsigned sent;

	if (q->count == 0) {
		if (p->worker < p->devices->plan[port].queues)
			settle(p, port);
		return;
	}
	q->idle = 0;
	if (p->devices->plan[port].tx_offloads && p->worker < p->devices->plan[port].queues)
		prepare_burst(p, port);
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

/* Only virtio leaves checksums to others; NONE of a card, or of net_tap, is a datagram without one, which stays as it is. */
static bool was_left(const struct ports *p, unsigned from, const struct rte_mbuf *m)
{
	return p->devices->plan[from].partial || (m->ol_flags & RTE_MBUF_F_RX_LRO) != 0;
}

void port_forward(struct ports *p, unsigned to, struct port_frame *frame)
{
	if (__builtin_expect(leave_is_unfinished(mbuf_of(frame)), 0) && was_left(p, 1 - to, mbuf_of(frame)) &&
	    !leave_prepare(mbuf_of(frame), &p->devices->plan[to], p->devices->mtu_bytes)) {
		p->counters[1 - to].dropped_split++;
		rte_pktmbuf_free(mbuf_of(frame));
		return;
	}
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

/* The frame in `*room`, whose first `bytes` bytes are written. */
static void queue_room(struct ports *p, unsigned port, struct rte_mbuf **room, size_t bytes)
{
	struct rte_mbuf *m = *room;
	uint8_t *base = rte_pktmbuf_mtod(m, uint8_t *);

	if (bytes < PORT_FRAME_BYTES_MIN) {
		memset(base + bytes, 0, PORT_FRAME_BYTES_MIN - bytes);
		bytes = PORT_FRAME_BYTES_MIN;
	}
	m->data_len = (uint16_t)bytes;
	m->pkt_len = (uint32_t)bytes;
	*room = NULL;
	if (!enqueue(p, port, m))
		rte_pktmbuf_free(m);
}

void port_send(struct ports *p, unsigned port, size_t bytes)
{
	if (bytes > 0 && p->room[port]) /* else the room stays for the next frame */
		queue_room(p, port, &p->room[port], bytes);
}

struct port_help port_help(const struct ports *p, unsigned port)
{
	const struct port_plan *plan = &p->devices->plan[port];

	return (struct port_help){ (plan->tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0, plan->segment_bytes_max };
}

uint8_t *port_room_large(struct ports *p, unsigned port, size_t *cap)
{
	if (p->tx[port].count >= TX_QUEUE)
		flush_one(p, port);
	if (p->tx[port].count >= TX_QUEUE || !p->devices->pool_large)
		return NULL;
	if (!p->room_large[port])
		p->room_large[port] = rte_pktmbuf_alloc(p->devices->pool_large);
	if (!p->room_large[port])
		return NULL;
	*cap = p->devices->plan[port].segment_bytes_max;
	return rte_pktmbuf_mtod(p->room_large[port], uint8_t *);
}

void port_send_helped(struct ports *p, unsigned port, const struct packet_built *built, uint16_t segment_bytes)
{
	struct rte_mbuf **room = segment_bytes ? p->room_large : p->room, *m = room[port];

	if (built->bytes == 0 || !m)
		return;
	leave_own(m, &p->devices->plan[port], built, segment_bytes);
	queue_room(p, port, &room[port], built->bytes);
}

/* What workers without a queue want sent: as much as finds room, each worker in turn. */
static void send_for_others(struct ports *p, unsigned port)
{
	struct devices *d = p->devices;
	struct tx_queue *q = &p->tx[port];

	for (unsigned w = p->worker + d->plan[port].queues; w < d->workers; w += d->plan[port].queues) {
		unsigned room = least(TX_QUEUE - q->count, PORT_BURST);

		q->count += exchange_take(d->outgoing[port], w, p->worker, (void **)(q->frame + q->count), room);
	}
}

void port_flush(struct ports *p)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		if (p->devices->outgoing[i] && p->worker < p->devices->plan[i].queues)
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
	out->queues = p->devices->plan[port].queues;
	out->offloads = port_plan_offloads(&p->devices->plan[port]);
}

const char *port_spreads(const struct ports *p, unsigned port)
{
	return port_plan_spreads(&p->devices->plan[port]);
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
