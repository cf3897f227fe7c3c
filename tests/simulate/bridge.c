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
 * `splice` hands each flow over to forwarding (dataplane/tcp/splice.h) and takes it back, again and again, at random moments.
 *
 * usage: bridge CLIENT_INTERFACE SERVER_INTERFACE move|copy|whole|splice [LOSS REORDER DUPLICATE CORRUPT (ppm) DELAY_US]
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/packet/inner.h"
#include "dataplane/packet/packet.h"
#include "dataplane/tcp/splice.h"
#include "tests/harness/wire.h"

#define POOL_BYTES (256u << 20)
#define FRAME_BYTES WIRE_FRAME_BYTES
#define WHOLE_FRAME_BYTES 65600
#define BURST 64
#define CYCLE_US 60000u  /* of waiting for a moment to hand over, */
#define HOLD_US 40000u   /* in which the windows stand still for so long */

struct flow {
	bool used;
	bool dirty;
	struct tcp_pair pair;
	struct packet_template template[2];
	unsigned have_template;
	struct tcp_splice splice;
	uint64_t change_at_us; /* it is handed over, or taken back, then */
};

struct bridge {
	int fd[2];
	struct tcp_config config;
	struct tcp_pool pool;
	struct flow *flows[65536];
	uint16_t active[65536];
	unsigned active_count;
	bool copy, whole, splice, impaired;
	struct wire in[2], out[2];
	uint64_t now_us, segments_in, segments_out, refused, opened, paths;
	uint64_t spliced, drained, back, returning; /* handed over, with something of ours in flight; taken back, with something that is not */
	struct rng rng;
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

/* --- Handed over and taken back --- */

static uint64_t some_time(struct bridge *b)
{
	static const uint64_t most_us[] = { 1, 1000, 5000, 40000 };

	return rng_below(&b->rng, most_us[rng_below(&b->rng, 4)]);
}

static void splice_answer(struct bridge *b, struct flow *f, unsigned side)
{
	struct tcp_segment s;

	b->flow = f;
	b->side = side;
	tcp_splice_ack(&f->splice, &f->pair, side, &s);
	(void)emit(b, &s);
}

static void take_back(struct bridge *b, struct flow *f)
{
	tcp_splice_take_back(&f->splice, &f->pair, b->now_us);
	b->back++;
	b->returning += f->pair.half[0].returning || f->pair.half[1].returning;
	f->change_at_us = b->now_us + some_time(b);
}

/* As the conductor does: a flow that does not come to rest by itself is promised nothing new for a while. */
static void hand_over(struct bridge *b, struct flow *f)
{
	unsigned answers;

	tcp_pair_window_rule(&f->pair, (b->now_us - f->change_at_us) % CYCLE_US < HOLD_US ? TCP_WINDOW_HOLD : TCP_WINDOW_FOLLOW);
	if (!tcp_splice_ready(&f->pair))
		return;
	answers = tcp_splice_begin(&f->splice, &f->pair, b->now_us);
	b->spliced++;
	b->drained += f->splice.side[0].draining || f->splice.side[1].draining;
	f->change_at_us = b->now_us + some_time(b);
	for (unsigned side = 0; side < 2; side++)
		if (answers & 1u << side)
			splice_answer(b, f, side);
}

static void splice_segment(struct bridge *b, struct flow *f, unsigned side, const struct packet *p, struct tcp_segment *s)
{
	struct packet_shift by = tcp_splice_shift(&f->splice, side);
	unsigned events = tcp_splice_input(&f->splice, &f->pair, side, s, b->now_us);

	f->dirty = true;
	if (f->splice.on && events & TCP_SPLICE_ANSWER)
		splice_answer(b, f, side);
	if (!(events & TCP_SPLICE_FORWARD))
		return;
	b->flow = f;
	b->side = !side;
	if (events & TCP_SPLICE_REBUILT) {
		(void)emit(b, s);
		return;
	}
	packet_shift_frame(p, &by);
	(void)send_frame(b, !side, p->frame.base, p->frame.len);
}

static void turn(struct bridge *b, struct flow *f)
{
	unsigned events[2];

	if (f->splice.on && b->now_us >= f->change_at_us)
		take_back(b, f);
	if (f->splice.on)
		tcp_splice_sync(&f->splice, &f->pair, b->now_us);
	if (tcp_pair_deadline_us(&f->pair) <= b->now_us)
		tcp_pair_timer(&f->pair, b->now_us, events);
	if (!f->splice.on)
		relay(b, f);
	else if (tcp_timed_out(&f->pair.half[0]) || tcp_timed_out(&f->pair.half[1]))
		tcp_splice_abort(&f->splice, &f->pair, b->now_us);
	if (b->splice && !f->splice.on && b->now_us >= f->change_at_us)
		hand_over(b, f);
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
	if (f->splice.on && b->now_us < f->change_at_us) {
		splice_segment(b, f, side, p, &s);
		return;
	}
	if (f->splice.on)
		take_back(b, f);
	if (!f->used) {
		if (side != TCP_CLIENT || !tcp_pair_open(&f->pair, &b->config, &b->pool, &s, b->now_us)) {
			refuse(b, side, p, &s);
			return;
		}
		f->used = true;
		f->change_at_us = b->now_us + some_time(b);
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
	/* Its frames are polled for without end: it must not outlive the test. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	b.fd[0] = open_port(argv[1]);
	b.fd[1] = open_port(argv[2]);
	b.rng = rng_seeded((uint64_t)getpid());
	b.splice = !strcmp(argv[3], "splice");
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
	if (b.splice)
		printf("handed over %llu, %llu in flight, taken back %llu, %llu in flight, ", (unsigned long long)b.spliced, (unsigned long long)b.drained,
		       (unsigned long long)b.back, (unsigned long long)b.returning);
	printf("opened %llu, in %llu, out %llu, refused %llu, paths lowered %llu, active %u, chunks held %zu\n", (unsigned long long)b.opened,
	       (unsigned long long)b.segments_in, (unsigned long long)b.segments_out, (unsigned long long)b.refused, (unsigned long long)b.paths,
	       b.active_count, tcp_pool_used(&b.pool));
	return 0;
}
