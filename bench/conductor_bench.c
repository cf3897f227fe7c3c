/* What the conductor costs a worker, in cycles, without ports: frames are handed to relay_frame and taken from its wire.
 *
 *   conductor_bench bridge     64-byte UDP frames of nothing that a service names: parse and classify
 *   conductor_bench opaque     bulk of 1,460-byte segments through a terminated, opaque service: both TCP halves, ACKs included
 *
 * Only the time inside the relay is counted; making and swallowing frames is not. Frames are given in bursts, as a port
 * gives them, so that reading the clock is not part of the figure. The run is cut into slices and the median slice is
 * reported, with the lowest beside it: on a shared machine some slices hold other people's time. Prints one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "dataplane/relay/relay.h"
#include "platform/contract/policy_write.h"
#include "platform/contract/ring.h"

#define FRAMES 1024
#define BURST 32
#define SLICES 2001 /* short ones: what preempts us then spoils few of them */
#define SEGMENT_BYTES 1460

struct end {
	struct packet_template template;
	uint32_t next, ack, acked;
	bool open;
	uint64_t got_bytes;
};

struct bench {
	struct relay *relay;
	struct relay_snapshot snapshot;
	struct ring_consumer events;
	struct end end[2];
	uint8_t queue[FRAMES][1600], burst[BURST][1600], payload[SEGMENT_BYTES];
	size_t queue_bytes[FRAMES], burst_bytes[BURST];
	unsigned queue_port[FRAMES], burst_port[BURST], burst_count, head, tail;
	uint64_t now_us, cycles;
	double slice[SLICES];
	unsigned slices;
};

static struct bench bench;

static uint8_t syn_head[] = {
	2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0,
	0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 10,
	0x9c, 0x40, 0x15, 0x38, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0,
};

static uint8_t *room(void *context, unsigned port, size_t *cap)
{
	*cap = sizeof bench.queue[0];
	return bench.tail - bench.head == FRAMES ? NULL : bench.queue[bench.tail % FRAMES];
}

static void send_frame(void *context, unsigned port, size_t bytes)
{
	bench.queue_bytes[bench.tail % FRAMES] = bytes;
	bench.queue_port[bench.tail++ % FRAMES] = port;
}

/* The burst into the relay. */
static void give(void)
{
	uint64_t begin = __rdtsc();

	for (unsigned i = 0; i < bench.burst_count; i++) {
		if (i + 1 < bench.burst_count)
			__builtin_prefetch(bench.burst[i + 1]); /* as the worker does */
		(void)relay_frame(bench.relay, bench.burst_port[i], bytes_of(bench.burst[i], bench.burst_bytes[i]), PACKET_CHECKSUM_UNKNOWN,
				  bench.now_us);
	}
	bench.cycles += __rdtsc() - begin;
	bench.burst_count = 0;
}

/* Ends a slice of so many units of work. */
static void slice(double units)
{
	if (bench.slices < SLICES)
		bench.slice[bench.slices++] = (double)bench.cycles / units;
	bench.cycles = 0;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(void)
{
	qsort(bench.slice, bench.slices, sizeof bench.slice[0], ascending);
	return bench.slice[bench.slices / 2];
}

static void transmit(unsigned from, uint8_t flags, size_t len)
{
	struct end *e = &bench.end[from];
	struct tcp_segment s = { .seq = e->next, .ack = e->ack, .window = 65535, .flags = flags };

	if (flags & TCP_SYN) {
		s.options.has_mss = s.options.has_shift = true;
		s.options.mss = SEGMENT_BYTES;
		s.options.shift = 6;
	}
	if (len) {
		s.spans[0] = bytes_of(bench.payload, len);
		s.span_count = 1;
		s.payload_bytes = (uint32_t)len;
	}
	e->next += (uint32_t)len + ((flags & TCP_SYN) != 0);
	if (bench.burst_count == BURST)
		give();
	bench.burst_port[bench.burst_count] = from;
	bench.burst_bytes[bench.burst_count] =
		packet_build(&e->template, &s, bench.burst[bench.burst_count], sizeof bench.burst[0], PACKET_BUILD_FULL).bytes;
	bench.burst_count++;
}

static void arrive(unsigned at, struct bytes frame)
{
	struct end *e = &bench.end[at];
	struct tcp_segment s;
	struct packet p;

	if (packet_parse(frame, &p) != ERROR_none || packet_segment(&p, PACKET_CHECKSUM_GOOD, &s) != ERROR_none)
		return;
	if (s.flags & TCP_SYN) {
		e->ack = s.seq + 1;
		e->open = true;
		if (at == 1)
			packet_template_reply(&e->template, &p);
		transmit(at, at == 1 ? TCP_SYN | TCP_ACK : TCP_ACK, 0);
		return;
	}
	e->acked = s.ack;
	if (s.payload_bytes && s.seq == e->ack) {
		e->ack += s.payload_bytes;
		e->got_bytes += s.payload_bytes;
		if (e->got_bytes / SEGMENT_BYTES % 2 == 0)
			transmit(at, TCP_ACK, 0);
	}
}

static void turn(void)
{
	uint64_t begin;

	bench.now_us += 20;
	give();
	begin = __rdtsc();
	(void)relay_turn(bench.relay, bench.now_us);
	bench.cycles += __rdtsc() - begin;
	while (bench.head != bench.tail) {
		unsigned slot = bench.head++ % FRAMES;

		arrive(bench.queue_port[slot], bytes_of(bench.queue[slot], bench.queue_bytes[slot]));
	}
	bench.head = bench.tail = 0; /* the same few frames again, as a mempool's cache gives them */
}

static void set_up(void)
{
	static const struct spec_listener listener = { .family = 4, .address = { 10, 0, 0, 10 }, .port = 5432, .any_vlan = true };
	static const struct spec_service service = { .name = "plain", .protocol_word = "opaque", .protocol = POLICY_PROTOCOL_OPAQUE,
						     .tls = POLICY_TLS_OFF, .reason = "bench", .listeners = &listener, .listeners_count = 1 };
	const struct policy_spec spec = { .name = "bench", .generation = 1, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE },
					  .services = &service, .services_count = 1 };
	struct relay_config config = { .flows_max = 1024, .sessions_max = 64, .chunk_memory_bytes = 64u << 20, .buffers = { 256, 16, 4 },
				       .shared_bytes = 4u << 20, .mtu_bytes = 1500, .window_bytes = 1u << 20, .hash_key = { 1, 2 }, .lost_after_us = 1u << 30 };
	struct relay_wire wire = { .room = room, .send = send_frame };
	void *up = aligned_alloc(4096, ring_bytes(LIMIT_RING_UP_BYTES)), *down = aligned_alloc(4096, ring_bytes(LIMIT_RING_DOWN_BYTES));
	size_t len = policy_image_write(&spec, NULL, 0).len;
	void *image = aligned_alloc(64, (len + 63) & ~(size_t)63);
	char err[200] = "out of memory";
	struct packet p;

	if (!up || !down || !image)
		exit(1);
	ring_init(up, LIMIT_RING_UP_BYTES, config.boot);
	ring_init(down, LIMIT_RING_DOWN_BYTES, config.boot);
	bench.snapshot.inspect.image = policy_image_open(image, policy_image_write(&spec, image, len).len, err, sizeof err);
	bench.snapshot.inspect.generation = 1;
	bench.relay = bench.snapshot.inspect.image ? relay_create(&config, &wire, up, down, err, sizeof err) : NULL;
	if (!bench.relay || packet_parse(bytes_of(syn_head, sizeof syn_head), &p) != ERROR_none) {
		fprintf(stderr, "conductor_bench: %s\n", err);
		exit(1);
	}
	(void)relay_swap_snapshot(bench.relay, &bench.snapshot);
	bench.now_us = 1000000;
	packet_template_from(&bench.end[0].template, &p);
	packet_template_reply(&bench.end[1].template, &p);
	bench.end[0].next = 1000;
	bench.end[1].next = 9000;
}

static void run_bridge(void)
{
	static const unsigned bursts = 64;
	double middle;

	for (unsigned i = 0; i < BURST; i++) {
		memcpy(bench.burst[i], syn_head, sizeof syn_head);
		bench.burst[i][23] = PACKET_UDP;
		bench.burst[i][33] = 77; /* an address that no service names */
		bench.burst_bytes[i] = 64;
	}
	for (unsigned n = 0; n < SLICES; n++) {
		for (unsigned i = 0; i < bursts; i++) {
			for (unsigned k = 0; k < BURST; k++)
				bench.burst[k][35] = (uint8_t)(i + k); /* another flow each time */
			bench.burst_count = BURST;
			give();
		}
		slice(bursts * BURST);
	}
	middle = median();
	printf("{\"packets\": %u, \"cycles_per_packet\": %.1f, \"lowest\": %.1f}\n", SLICES * bursts * BURST, middle, bench.slice[0]);
}

static void run_opaque(void)
{
	static const uint64_t part = 384u << 10;
	const struct end *sender = &bench.end[0], *receiver = &bench.end[1];
	double middle;

	transmit(0, TCP_SYN, 0);
	for (int i = 0; i < 10; i++)
		turn();
	for (unsigned n = 0; n < SLICES + 200; n++) { /* the first ones warm up */
		uint64_t from = receiver->got_bytes;

		while (receiver->got_bytes - from < part) {
			for (int i = 0; i < BURST && sender->next - sender->acked < 512u << 10; i++)
				transmit(0, TCP_ACK, SEGMENT_BYTES);
			turn();
		}
		bench.slices = n < 200 ? 0 : bench.slices;
		slice((double)(receiver->got_bytes - from));
	}
	middle = median();
	printf("{\"bytes\": %llu, \"cycles_per_byte\": %.3f, \"lowest\": %.3f}\n", (unsigned long long)receiver->got_bytes, middle,
	       bench.slice[0]);
}

int main(int argc, char **argv)
{
	if (argc != 2 || (strcmp(argv[1], "bridge") && strcmp(argv[1], "opaque"))) {
		fprintf(stderr, "Usage: conductor_bench bridge|opaque\n");
		return 2;
	}
	set_up();
	if (argv[1][0] == 'b')
		run_bridge();
	else
		run_opaque();
	return 0;
}
