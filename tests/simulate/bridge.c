/* bridge.c: the smallest bump in the wire: two packet sockets, every TCP flow terminated in pairs, the rest passed on.
 *
 * It exists to put the pair between two real kernels before there is a port: what Linux does with our segments no model
 * peer can tell. One flow table slot a client port. Uses system calls as the data plane may not.
 *
 * Impairment is its own (tests/harness/wire.h, on both wires and in both directions), since not every kernel has netem. It
 * is for TCP only: a lost neighbour solicitation says nothing about us.
 *
 * `whole` takes frames as a host hands them over that leaves segmentation and checksums to its card: up to 64 KiB in one.
 * Segments are as large as both interfaces allow; what a router says of a smaller path the flow hears, and who it was sent to as well.
 *
 * usage: bridge CLIENT_INTERFACE SERVER_INTERFACE move|copy|whole [LOSS REORDER DUPLICATE CORRUPT (ppm) DELAY_US]
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/packet/inner.h"
#include "dataplane/packet/packet.h"
#include "dataplane/tcp/tcp.h"
#include "tests/harness/wire.h"

#define POOL_BYTES (256u << 20)
#define FRAME_BYTES WIRE_FRAME_BYTES
#define WHOLE_FRAME_BYTES 65600
#define BURST 64

struct flow {
	bool used;
	bool dirty;
	struct tcp_pair pair;
	struct packet_template template[2];
	unsigned have_template;
};

struct bridge {
	int fd[2];
	struct tcp_config config;
	struct tcp_pool pool;
	struct flow *flows[65536];
	uint16_t active[65536];
	unsigned active_count;
	bool copy, whole, impaired;
	struct wire in[2], out[2];
	uint64_t now_us, segments_in, segments_out, refused, opened, paths;
	unsigned side;
	struct flow *flow;
};

static volatile sig_atomic_t stopping;

static void stop(int signal_number)
{
	stopping = 1;
}

static int open_port(const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct packet_mreq promiscuous = { .mr_type = PACKET_MR_PROMISC };
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	int size = 64 << 20, one = 1;

	address.sll_ifindex = promiscuous.mr_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || address.sll_ifindex == 0 || bind(fd, (void *)&address, sizeof(address)) < 0) {
		perror(name);
		exit(1);
	}
	(void)setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous));
	(void)setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return fd;
}

static unsigned mtu_of(const struct bridge *b, unsigned side, const char *name)
{
	struct ifreq ask = { 0 };

	(void)snprintf(ask.ifr_name, sizeof(ask.ifr_name), "%s", name);
	if (ioctl(b->fd[side], SIOCGIFMTU, &ask) < 0) {
		perror(name);
		exit(1);
	}
	return (unsigned)ask.ifr_mtu;
}

static bool send_frame(struct bridge *b, unsigned side, const void *frame, size_t len)
{
	if (b->impaired) {
		wire_send(&b->out[side], frame, len, b->now_us);
		return true;
	}
	return send(b->fd[side], frame, len, MSG_DONTWAIT) == (ssize_t)len;
}

static bool emit(void *context, const struct tcp_segment *segment)
{
	static uint8_t frame[FRAME_BYTES];
	struct bridge *b = context;
	size_t len = packet_build(&b->flow->template[b->side], segment, frame, sizeof(frame), PACKET_BUILD_FULL).bytes;

	if (len == 0 || !send_frame(b, b->side, frame, len))
		return false;
	b->segments_out++;
	return true;
}

static void relay(struct bridge *b, struct flow *f)
{
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_half *from = &f->pair.half[side], *to = &f->pair.half[!side];
		struct bytes bytes;

		if (!b->copy)
			(void)tcp_move(from, to, SIZE_MAX);
		while (b->copy && (bytes = tcp_readable(from)).len > 0) {
			size_t taken = tcp_send(to, bytes.base, bytes.len);

			tcp_consume(from, taken);
			if (taken == 0)
				break;
		}
		if (tcp_read_closed(from))
			tcp_send_close(to);
		if (tcp_was_reset(from) || tcp_timed_out(from))
			tcp_pair_abort_behind(&f->pair, !side, b->now_us);
	}
}

static void turn(struct bridge *b, struct flow *f)
{
	unsigned events[2];

	if (tcp_pair_deadline_us(&f->pair) <= b->now_us)
		tcp_pair_timer(&f->pair, b->now_us, events);
	relay(b, f);
	b->flow = f;
	for (b->side = 0; b->side < 2; b->side++)
		(void)tcp_pair_output(&f->pair, b->side, emit, b, BURST, b->now_us);
	f->dirty = false;
}

static void refuse(struct bridge *b, unsigned side, const struct packet *p, const struct tcp_segment *s)
{
	struct packet_template t;
	struct tcp_segment answer;
	uint8_t frame[256];

	if (!packet_segment_refusal(s, &answer))
		return;
	packet_template_reply(&t, p);
	b->refused++;
	(void)send_frame(b, side, frame, packet_build(&t, &answer, frame, sizeof(frame), PACKET_BUILD_FULL).bytes);
}

static void tcp_frame(struct bridge *b, unsigned side, const struct packet *p, enum packet_checksum checksum)
{
	uint16_t port = ntohs(side == TCP_CLIENT ? p->source_port : p->destination_port);
	struct flow **slot = &b->flows[port], *f = *slot;
	struct tcp_segment s;
	unsigned events;

	if (packet_segment(p, checksum, &s) != ERROR_none)
		return;
	b->segments_in++;
	if (!f)
		f = *slot = calloc(1, sizeof(*f));
	if (!f->used) {
		if (side != TCP_CLIENT || !tcp_pair_open(&f->pair, &b->config, &b->pool, &s, b->now_us)) {
			refuse(b, side, p, &s);
			return;
		}
		f->used = true;
		f->have_template = 0;
		b->opened++;
		b->active[b->active_count++] = port;
	} else {
		events = tcp_pair_input(&f->pair, side, &s, b->now_us);
		if (events & TCP_EVENT_REOPEN) {
			tcp_pair_release(&f->pair);
			b->opened++;
			(void)tcp_pair_open(&f->pair, &b->config, &b->pool, &s, b->now_us);
		}
	}
	if (!(f->have_template & 1u << side)) {
		packet_template_from(&f->template[!side], p);
		if (!f->have_template)
			packet_template_reply(&f->template[side], p);
		f->have_template |= 1u << side;
	}
	f->dirty = true;
}

static bool is_tcp(const uint8_t *frame, size_t len, struct packet *p)
{
	return packet_parse(bytes_of(frame, len), p) == ERROR_none && p->ip_version != 0 && p->protocol == PACKET_TCP &&
	       !p->fragment;
}

static void frame_in(struct bridge *b, unsigned side, const uint8_t *frame, size_t len)
{
	struct packet p;

	if (is_tcp(frame, len, &p)) /* a corrupted header may say otherwise now */
		tcp_frame(b, side, &p, b->whole ? PACKET_CHECKSUM_PARTIAL : PACKET_CHECKSUM_UNKNOWN);
}

/* A router behind `side`: what our half sends there is too large. */
static void too_big(struct bridge *b, unsigned side, const struct packet *p)
{
	struct packet_too_big big;
	struct flow *f;

	if (!packet_too_big(p, &big))
		return;
	f = b->flows[ntohs(side == TCP_SERVER ? big.quoted.source_port : big.quoted.destination_port)];
	if (!f || !f->used)
		return;
	b->paths += tcp_pair_path_mtu(&f->pair, side, big.seq, packet_mss(big.quoted.ip_version, big.mtu_bytes), b->now_us);
	f->dirty = true;
}

static void pass_on(struct bridge *b, unsigned side, const uint8_t *frame, size_t len)
{
	struct packet p;

	if (packet_parse(bytes_of(frame, len), &p) == ERROR_none && p.ip_version != 0)
		too_big(b, side, &p);
	(void)send(b->fd[!side], frame, len, MSG_DONTWAIT);
}

static void receive(struct bridge *b, unsigned side)
{
	static uint8_t frame[WHOLE_FRAME_BYTES];
	struct packet p;
	size_t delayed;

	for (unsigned i = 0; i < BURST; i++) {
		ssize_t len = recv(b->fd[side], frame, sizeof(frame), MSG_DONTWAIT);

		if (len <= 0)
			break;
		if (!is_tcp(frame, (size_t)len, &p))
			pass_on(b, side, frame, (size_t)len);
		else if (b->impaired)
			wire_send(&b->in[side], frame, (size_t)len, b->now_us);
		else
			frame_in(b, side, frame, (size_t)len);
	}
	while (b->impaired && (delayed = wire_receive(&b->in[side], b->now_us, frame)) > 0)
		frame_in(b, side, frame, delayed);
}

static void deliver(struct bridge *b)
{
	static uint8_t frame[FRAME_BYTES];
	size_t len;

	for (unsigned side = 0; b->impaired && side < 2; side++)
		while ((len = wire_receive(&b->out[side], b->now_us, frame)) > 0)
			(void)send(b->fd[side], frame, len, MSG_DONTWAIT);
}

static void impair(struct bridge *b, char **ppm)
{
	struct wire_profile profile = {
		.loss_ppm = (uint32_t)atoi(ppm[0]), .reorder_ppm = (uint32_t)atoi(ppm[1]),
		.duplicate_ppm = (uint32_t)atoi(ppm[2]), .corrupt_ppm = (uint32_t)atoi(ppm[3]), .delay_us = (uint32_t)atoi(ppm[4]),
	};

	b->impaired = true;
	for (unsigned side = 0; side < 2; side++) {
		wire_init(&b->in[side], &profile, side);
		wire_init(&b->out[side], &profile, side + 2);
	}
}

static void all_flows(struct bridge *b)
{
	for (unsigned i = 0; i < b->active_count; i++) {
		struct flow *f = b->flows[b->active[i]];

		turn(b, f);
		if (tcp_pair_done(&f->pair)) {
			tcp_pair_release(&f->pair);
			f->used = false;
			b->active[i--] = b->active[--b->active_count];
		}
	}
}

int main(int argc, char **argv)
{
	static struct bridge b;
	unsigned mtu;
	void *memory = malloc(POOL_BYTES);

	if (argc != 4 && argc != 9)
		return fprintf(stderr, "usage: see the top of bridge.c\n"), 2;
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	b.fd[0] = open_port(argv[1]);
	b.fd[1] = open_port(argv[2]);
	b.copy = !strcmp(argv[3], "copy");
	b.whole = !strcmp(argv[3], "whole");
	if (argc == 9)
		impair(&b, argv + 4);
	b.config = tcp_config_default();
	mtu = mtu_of(&b, 0, argv[1]) < mtu_of(&b, 1, argv[2]) ? mtu_of(&b, 0, argv[1]) : mtu_of(&b, 1, argv[2]);
	b.config.mss_max = (uint16_t)packet_mss(4, mtu);
	b.config.receive_bytes_max = b.config.send_bytes_max = 1u << 20;
	(void)tcp_pool_init(&b.pool, memory, POOL_BYTES);
	printf("ready\n");
	fflush(stdout);
	while (!stopping) {
		struct pollfd fds[2] = { { b.fd[0], POLLIN, 0 }, { b.fd[1], POLLIN, 0 } };
		struct timespec ts;

		(void)poll(fds, 2, 1);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		b.now_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
		receive(&b, 0);
		receive(&b, 1);
		all_flows(&b);
		deliver(&b);
	}
	printf("opened %llu, in %llu, out %llu, refused %llu, paths lowered %llu, active %u, chunks held %zu\n", (unsigned long long)b.opened,
	       (unsigned long long)b.segments_in, (unsigned long long)b.segments_out, (unsigned long long)b.refused, (unsigned long long)b.paths,
	       b.active_count, tcp_pool_used(&b.pool));
	return 0;
}
