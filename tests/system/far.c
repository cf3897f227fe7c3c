/* far.c: the far ends of two virtio ports: net_vhost on one side, a network device of the kernel's on the other. For the system tests.
 *
 *	far DEVICE SOCKET DEVICE SOCKET QUEUES
 *
 * What the kernel leaves to the device (checksums, segments that are still to be cut) goes through as it is, both ways: virtio and the
 * kernel's packet sockets have the same word for it. A flow's frames go into one queue. Counts what came out of the virtio port, and
 * whether any of it would be longer on a wire than its MTU allows. SIGUSR1: from now on, or no more, a byte of every 40th TCP frame
 * whose checksum is complete is turned over on its way in. Prints "ready"; the counts since the last time on SIGUSR2 and at the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ENDS 2
#define BURST 32
#define ROOM_BYTES 65400
#define TAG_BYTES 4
#define IP_BYTES_MAX 1500
#define SOCKET_BYTES (16 << 20)
#define CORRUPT_EVERY 40

struct end {
	int fd;
	uint16_t port;
	struct rte_mbuf *waiting; /* for room in queue `queue` of the port; nothing else is taken meanwhile */
	unsigned queue;
	unsigned long in, in_large, in_partial, corrupted;                  /* towards the virtio port */
	unsigned long out, out_large, out_partial, out_longest, out_too_long; /* from there */
};

/* Where the headers of a frame are. `l4` 0: no TCP or UDP. */
struct headers {
	unsigned l2, l4, payload;
	uint8_t ip_version, protocol;
};

static struct end ends[ENDS];
static struct rte_mempool *pool;
static unsigned queues;
static volatile sig_atomic_t ending, corrupting, telling;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		corrupting = !corrupting;
	else if (number == SIGUSR2)
		telling = 1;
	else
		ending = 1;
}

static void die(const char *what)
{
	fprintf(stderr, "far: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int device_open(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name) };
	struct packet_mreq all = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, room = SOCKET_BYTES;

	if (fd < 0 || !at.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) ||
	    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) || setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) || setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) || bind(fd, (struct sockaddr *)&at, sizeof at))
		die(name);
	return fd;
}

static unsigned word(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static struct headers look(const uint8_t *frame, unsigned len)
{
	struct headers h = { .l2 = ETH_HLEN };

	while (h.l2 + TAG_BYTES <= len && word(frame + h.l2 - 2) == ETHERTYPE_VLAN)
		h.l2 += TAG_BYTES;
	if (word(frame + h.l2 - 2) == ETHERTYPE_IP && h.l2 + 20 <= len) {
		h.ip_version = 4;
		h.protocol = frame[h.l2 + 9];
		h.l4 = h.l2 + (frame[h.l2] & 15u) * 4;
	} else if (word(frame + h.l2 - 2) == ETHERTYPE_IPV6 && h.l2 + 40 <= len) {
		h.ip_version = 6;
		h.protocol = frame[h.l2 + 6];
		h.l4 = h.l2 + 40;
	}
	if (h.l4 && h.protocol == IPPROTO_TCP && h.l4 + 20 <= len)
		h.payload = h.l4 + (frame[h.l4 + 12] >> 4) * 4u;
	else if (h.l4 && h.protocol == IPPROTO_UDP && h.l4 + 8 <= len)
		h.payload = h.l4 + 8;
	else
		h.l4 = 0;
	return h;
}

/* The kernel hands a tag over beside the frame: it is put back. Returns by how much the frame grew. */
static unsigned put_tag(struct rte_mbuf *m, const struct msghdr *message)
{
	struct msghdr header = *message;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
		struct tpacket_auxdata aux;
		uint16_t tag[2];
		uint8_t *frame;

		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof aux);
		if (!(aux.tp_status & TP_STATUS_VLAN_VALID))
			return 0;
		frame = (uint8_t *)rte_pktmbuf_prepend(m, TAG_BYTES);
		memmove(frame, frame + TAG_BYTES, 12);
		tag[0] = htons(aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETHERTYPE_VLAN);
		tag[1] = htons(aux.tp_vlan_tci);
		memcpy(frame + 12, tag, sizeof tag);
		return TAG_BYTES;
	}
	return 0;
}

static void give_flags(struct end *e, struct rte_mbuf *m, const struct virtio_net_hdr *v, const struct headers *h)
{
	m->l2_len = h->l2 & 127;
	m->l3_len = (h->l4 - h->l2) & 511;
	m->l4_len = (h->payload - h->l4) & 255;
	if (v->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		m->ol_flags |= h->protocol == IPPROTO_TCP ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
		m->ol_flags |= h->ip_version == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
		e->in_partial++;
	}
	if (v->gso_type != VIRTIO_NET_HDR_GSO_NONE) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = v->gso_size;
		e->in_large++;
	}
}

static bool hand_over(struct end *e)
{
	if (rte_eth_tx_burst(e->port, (uint16_t)e->queue, &e->waiting, 1) == 0)
		return false;
	e->waiting = NULL;
	return true;
}

/* One frame from the kernel into the virtio port. False: there is none, or no room for it yet. */
static bool from_kernel(struct end *e)
{
	struct rte_mbuf *m = e->waiting ? NULL : rte_pktmbuf_alloc(pool);
	struct virtio_net_hdr v;
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} beside;
	struct iovec piece[2] = { { &v, sizeof v }, { m ? rte_pktmbuf_mtod(m, void *) : NULL, ROOM_BYTES } };
	struct msghdr message = { .msg_iov = piece, .msg_iovlen = 2, .msg_control = &beside, .msg_controllen = sizeof beside };
	ssize_t got = m ? recvmsg(e->fd, &message, 0) : -1;
	struct headers h;
	uint8_t *frame;

	if (e->waiting)
		return hand_over(e);
	if (got < (ssize_t)sizeof v) {
		rte_pktmbuf_free(m);
		return false;
	}
	m->data_len = (uint16_t)((size_t)got - sizeof v);
	m->pkt_len = m->data_len;
	(void)put_tag(m, &message);
	frame = rte_pktmbuf_mtod(m, uint8_t *);
	h = look(frame, m->data_len);
	e->queue = 0;
	if (h.l4) {
		e->queue = (word(frame + h.l4) + word(frame + h.l4 + 2)) % queues;
		give_flags(e, m, &v, &h);
	}
	e->in++;
	if (corrupting && v.flags == 0 && h.protocol == IPPROTO_TCP && h.payload + 8 < m->data_len && e->in % CORRUPT_EVERY == 0) {
		frame[m->data_len - 3] ^= 0x40;
		e->corrupted++;
	}
	e->waiting = m;
	return hand_over(e);
}

static struct virtio_net_hdr read_flags(struct end *e, const struct rte_mbuf *m, const struct headers *h)
{
	struct virtio_net_hdr v = { 0 };
	unsigned ip_bytes = m->pkt_len - h->l2;

	if ((m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) == RTE_MBUF_F_RX_L4_CKSUM_NONE && h->l4) {
		v.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		v.csum_start = (uint16_t)h->l4;
		v.csum_offset = h->protocol == IPPROTO_TCP ? 16 : 6;
		e->out_partial++;
	}
	if (m->ol_flags & RTE_MBUF_F_RX_LRO) {
		v.gso_type = h->ip_version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		v.gso_size = m->tso_segsz;
		v.hdr_len = (uint16_t)h->payload;
		e->out_large++;
		ip_bytes = h->payload - h->l2 + m->tso_segsz;
	}
	e->out++;
	e->out_longest = m->pkt_len > e->out_longest ? m->pkt_len : e->out_longest;
	e->out_too_long += ip_bytes > IP_BYTES_MAX;
	return v;
}

static unsigned to_kernel(struct end *e, unsigned queue)
{
	struct rte_mbuf *m[BURST];
	unsigned count = rte_eth_rx_burst(e->port, (uint16_t)queue, m, BURST);

	for (unsigned i = 0; i < count; i++) {
		struct headers h = look(rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len);
		struct virtio_net_hdr v = read_flags(e, m[i], &h);
		struct iovec piece[2] = { { &v, sizeof v }, { rte_pktmbuf_mtod(m[i], void *), m[i]->data_len } };
		struct msghdr message = { .msg_iov = piece, .msg_iovlen = 2 };
		struct pollfd room = { .fd = e->fd, .events = POLLOUT };

		while (m[i]->nb_segs == 1 && sendmsg(e->fd, &message, 0) < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == EINTR) && !ending)
			(void)poll(&room, 1, 1);
		rte_pktmbuf_free(m[i]);
	}
	return count;
}

static void start_port(struct end *e, const char *name)
{
	struct rte_eth_conf conf = { 0 };
	struct rte_eth_dev_info info;

	if (rte_eth_dev_get_port_by_name(name, &e->port) != 0 || rte_eth_dev_info_get(e->port, &info) != 0)
		die(name);
	conf.rxmode.offloads = info.rx_offload_capa & (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM);
	conf.txmode.offloads = info.tx_offload_capa & (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM);
	if (rte_eth_dev_configure(e->port, (uint16_t)queues, (uint16_t)queues, &conf) != 0)
		die("configure");
	for (uint16_t q = 0; q < queues; q++)
		if (rte_eth_rx_queue_setup(e->port, q, 256, SOCKET_ID_ANY, NULL, pool) != 0 || rte_eth_tx_queue_setup(e->port, q, 256, SOCKET_ID_ANY, NULL) != 0)
			die("queues");
	if (rte_eth_dev_start(e->port) != 0)
		die("start");
}

static void start(char **argv)
{
	static char device[ENDS][256];
	char *words[] = { "far", "--no-huge", "-m", "160", "--no-shconf", "--no-pci", "--no-telemetry", "-l", "0", "--vdev", device[0], "--vdev", device[1], NULL };

	for (unsigned i = 0; i < ENDS; i++)
		snprintf(device[i], sizeof device[i], "net_vhost%u,iface=%s,queues=%u,tso=1", i, argv[2 + 2 * i], queues);
	if (rte_eal_init((int)(sizeof words / sizeof *words) - 1, words) < 0)
		die("environment");
	pool = rte_pktmbuf_pool_create("frames", 1500, 0, 0, ROOM_BYTES + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	if (!pool)
		die("memory");
	for (unsigned i = 0; i < ENDS; i++) {
		char name[32];

		snprintf(name, sizeof name, "net_vhost%u", i);
		ends[i].fd = device_open(argv[1 + 2 * i]);
		start_port(&ends[i], name);
	}
}

/* The counts since the last time. */
static void tell(void)
{
	for (unsigned i = 0; i < ENDS; i++) {
		struct end *e = &ends[i];

		printf("end %u: in %lu in_large %lu in_partial %lu corrupted %lu out %lu out_large %lu out_partial %lu out_longest %lu out_too_long %lu\n", i,
		       e->in, e->in_large, e->in_partial, e->corrupted, e->out, e->out_large, e->out_partial, e->out_longest, e->out_too_long);
		*e = (struct end){ .fd = e->fd, .port = e->port, .waiting = e->waiting, .queue = e->queue };
	}
	printf("told\n");
	fflush(stdout);
	telling = 0;
}

int main(int argc, char **argv)
{
	struct sigaction act = { .sa_handler = on_signal };

	queues = argc == 6 ? (unsigned)atoi(argv[5]) : 0;
	if (queues == 0) {
		fprintf(stderr, "usage: far DEVICE SOCKET DEVICE SOCKET QUEUES\n");
		return 2;
	}
	start(argv);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	sigaction(SIGUSR2, &act, NULL);
	printf("ready\n");
	fflush(stdout);
	while (!ending) {
		unsigned did = 0;

		for (unsigned i = 0; i < ENDS; i++) {
			for (unsigned n = 0; n < BURST && from_kernel(&ends[i]); n++)
				did++;
			for (unsigned q = 0; q < queues; q++)
				did += to_kernel(&ends[i], q);
		}
		if (telling)
			tell();
		if (!did)
			usleep(20);
	}
	tell();
	_exit(0);
}
