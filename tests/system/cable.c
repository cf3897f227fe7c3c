/* cable.c: a cable between two network devices, with faults. For the system tests, on kernels without netem or 802.1Q.
 *
 *	cable A B [seed=N] [loss=PER_MILLE] [reorder=PER_MILLE] [duplicate=PER_MILLE] [corrupt=PER_MILLE] [tag=VLAN]
 *
 * Frames that come in on one device go out of the other. Each is lost, sent twice, or kept for 1 to 4 ms while others pass
 * it, with the given chances. Of TCP some are damaged: most have a wrong checksum, one in four one wrong bit anywhere behind the Ethernet
 * header, for a checksum to find. SIGUSR1: one frame in five is lost from now on, and at the next one as before. With `tag`, frames from A get that 802.1Q tag on their way to B, and only frames with it
 * come back, without it. Prints "ready", then the counts when it is told to end. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_BYTES 65600
#define HELD_MAX 512
#define BURST 64
#define TAG_BYTES 4
#define LOSS_HEAVY 200

struct held {
	uint64_t due_us;
	unsigned to;
	size_t len;
	uint8_t *frame;
};

struct cable {
	int fd[2];
	unsigned loss, reorder, duplicate, corrupt, tag;
	uint64_t random;
	struct held held[HELD_MAX];
	unsigned held_count;
	unsigned long passed, lost, late, doubled, damaged, unsent;
};

static volatile sig_atomic_t ending, heavy;

static void end(int signal)
{
	(void)signal;
	ending = 1;
}

static void change(int signal)
{
	(void)signal;
	heavy = !heavy;
}

static void die(const char *what)
{
	fprintf(stderr, "cable: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* xorshift64* */
static unsigned dice(struct cable *c, unsigned sides)
{
	c->random ^= c->random >> 12;
	c->random ^= c->random << 25;
	c->random ^= c->random >> 27;
	return (unsigned)((c->random * 2685821657736338717ull) >> 33) % sides;
}

static int device_open(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(name) };
	struct packet_mreq all = { .mr_ifindex = at.sll_ifindex, .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), one = 1, room = 64 << 20;

	if (fd < 0 || !at.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) ||
	    setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one) || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) ||
	    setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) || bind(fd, (struct sockaddr *)&at, sizeof at))
		die(name);
	return fd;
}

static void transmit(struct cable *c, unsigned to, const uint8_t *frame, size_t len)
{
	struct pollfd room = { .fd = c->fd[to], .events = POLLOUT };

	while (send(c->fd[to], frame, len, 0) < 0) {
		if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR) {
			c->unsent++;
			return;
		}
		if (ending)
			return;
		poll(&room, 1, 1);
	}
	c->passed++;
}

static void hold(struct cable *c, unsigned to, const uint8_t *frame, size_t len)
{
	struct held *h = &c->held[c->held_count];

	h->frame = malloc(len);
	if (!h->frame)
		die("memory");
	memcpy(h->frame, frame, len);
	h->len = len;
	h->to = to;
	h->due_us = now_us() + 1000 + dice(c, 3000);
	c->held_count++;
	c->late++;
}

static void release(struct cable *c)
{
	uint64_t now = c->held_count ? now_us() : 0;

	for (unsigned i = 0; i < c->held_count;) {
		if (c->held[i].due_us > now) {
			i++;
			continue;
		}
		transmit(c, c->held[i].to, c->held[i].frame, c->held[i].len);
		free(c->held[i].frame);
		c->held[i] = c->held[--c->held_count];
	}
}

/* Where the IP header of a TCP segment begins, and its own; false: it is none. Anything else stays whole: what ARP says nobody checks. */
static bool find_tcp(const uint8_t *frame, size_t len, size_t *l3, size_t *l4)
{
	size_t at = 12;
	unsigned type;

	for (type = frame[at] << 8 | frame[at + 1]; type == ETHERTYPE_VLAN && at + 6 <= len; type = frame[at] << 8 | frame[at + 1])
		at += TAG_BYTES;
	*l3 = at + 2;
	if (type == ETHERTYPE_IP && *l3 + 20 <= len && frame[*l3 + 9] == 6)
		*l4 = *l3 + (frame[*l3] & 15u) * 4;
	else if (type == ETHERTYPE_IPV6 && *l3 + 40 <= len && frame[*l3 + 6] == 6)
		*l4 = *l3 + 40;
	else
		return false;
	return *l4 + 20 <= len;
}

static void damage(struct cable *c, uint8_t *frame, size_t len)
{
	size_t l3, l4, bit;

	if (!find_tcp(frame, len, &l3, &l4))
		return;
	bit = dice(c, 4) ? (l4 + 16) * 8 + dice(c, 16) : l3 * 8 + dice(c, (unsigned)(len - l3) * 8);
	frame[bit / 8] ^= (uint8_t)(1u << bit % 8);
	c->damaged++;
}

static void pass(struct cable *c, unsigned to, uint8_t *frame, size_t len)
{
	if (dice(c, 1000) < (heavy ? LOSS_HEAVY : c->loss)) {
		c->lost++;
		return;
	}
	if (dice(c, 1000) < c->duplicate) {
		transmit(c, to, frame, len);
		c->doubled++;
	}
	if (dice(c, 1000) < c->corrupt)
		damage(c, frame, len);
	if (dice(c, 1000) < c->reorder && c->held_count < HELD_MAX)
		hold(c, to, frame, len);
	else
		transmit(c, to, frame, len);
}

static void tag_push(uint8_t *frame, uint16_t tpid, uint16_t tci)
{
	memmove(frame, frame + TAG_BYTES, 12);
	frame[12] = (uint8_t)(tpid >> 8);
	frame[13] = (uint8_t)tpid;
	frame[14] = (uint8_t)(tci >> 8);
	frame[15] = (uint8_t)tci;
}

/* One frame; false when there is none. The kernel hands a tag over beside the frame: it is put back. */
static bool take(struct cable *c, unsigned from)
{
	static uint8_t room[TAG_BYTES + FRAME_BYTES];
	union {
		struct cmsghdr header;
		uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} beside;
	struct iovec piece = { .iov_base = room + TAG_BYTES, .iov_len = FRAME_BYTES };
	struct msghdr m = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = sizeof beside };
	ssize_t got = recvmsg(c->fd[from], &m, 0);
	struct tpacket_auxdata aux = { 0 };
	uint8_t *frame = room + TAG_BYTES;
	size_t len = (size_t)got;

	if (got < 0)
		return false;
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
		if (h->cmsg_level == SOL_PACKET && h->cmsg_type == PACKET_AUXDATA)
			memcpy(&aux, CMSG_DATA(h), sizeof aux);
	if (len < ETH_HLEN)
		return true;
	if (aux.tp_status & TP_STATUS_VLAN_VALID) {
		if (c->tag && from == 1) {
			if ((aux.tp_vlan_tci & 0xfff) == c->tag)
				pass(c, 0, frame, len);
			return true;
		}
		frame -= TAG_BYTES;
		len += TAG_BYTES;
		tag_push(frame, aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETHERTYPE_VLAN, aux.tp_vlan_tci);
	} else if (c->tag && from == 1) {
		return true;
	} else if (c->tag) {
		frame -= TAG_BYTES;
		len += TAG_BYTES;
		tag_push(frame, ETHERTYPE_VLAN, (uint16_t)c->tag);
	}
	pass(c, 1 - from, frame, len);
	return true;
}

int main(int argc, char **argv)
{
	static struct cable c = { .random = 0x5eed };
	struct sigaction act = { .sa_handler = end }, other = { .sa_handler = change };

	if (argc < 3) {
		fprintf(stderr, "usage: cable A B [seed=N] [loss=N] [reorder=N] [duplicate=N] [corrupt=N] [tag=N]\n");
		return 2;
	}
	for (int i = 3; i < argc; i++) {
		unsigned long seed = 0;

		if (sscanf(argv[i], "loss=%u", &c.loss) != 1 && sscanf(argv[i], "reorder=%u", &c.reorder) != 1 &&
		    sscanf(argv[i], "duplicate=%u", &c.duplicate) != 1 && sscanf(argv[i], "tag=%u", &c.tag) != 1 && sscanf(argv[i], "corrupt=%u", &c.corrupt) != 1 &&
		    sscanf(argv[i], "seed=%lu", &seed) != 1) {
			fprintf(stderr, "cable: %s: not known\n", argv[i]);
			return 2;
		}
		if (seed)
			c.random = seed;
	}
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGUSR1, &other, NULL);
	c.fd[0] = device_open(argv[1]);
	c.fd[1] = device_open(argv[2]);
	printf("ready\n");
	fflush(stdout);
	while (!ending) {
		struct pollfd fds[2] = { { .fd = c.fd[0], .events = POLLIN }, { .fd = c.fd[1], .events = POLLIN } };

		poll(fds, 2, c.held_count ? 1 : 200);
		for (unsigned from = 0; from < 2; from++)
			for (unsigned i = 0; fds[from].revents && i < BURST && take(&c, from); i++)
				;
		release(&c);
	}
	printf("passed %lu lost %lu late %lu doubled %lu damaged %lu unsent %lu\n", c.passed, c.lost, c.late, c.doubled, c.damaged, c.unsent);
	return 0;
}
