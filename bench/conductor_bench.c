/* What the conductor costs a worker, in cycles, without ports: frames are handed to relay_frame and taken from its wire.
 *
 *   conductor_bench bridge     64-byte UDP frames of nothing that a service names: parse and classify
 *   conductor_bench opaque     bulk of 1,460-byte segments through a terminated, opaque service: both TCP halves, ACKs included
 *
 * Only the time inside the relay is counted; making and swallowing frames is not. Prints one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <x86intrin.h>

#include "dataplane/relay/relay.h"
#include "platform/contract/policy_write.h"
#include "platform/contract/ring.h"

#define FRAMES 1024
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
	uint8_t queue[FRAMES][1600], frame[1600], payload[SEGMENT_BYTES];
	size_t queue_bytes[FRAMES];
	unsigned queue_port[FRAMES], head, tail;
	uint64_t now_us, cycles;
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

static void give(unsigned port, size_t bytes)
{
	uint64_t begin = __rdtsc();

	(void)relay_frame(bench.relay, port, bytes_of(bench.frame, bytes), PACKET_CHECKSUM_UNKNOWN, bench.now_us);
	bench.cycles += __rdtsc() - begin;
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
	give(from, packet_build(&e->template, &s, bench.frame, sizeof bench.frame, PACKET_BUILD_FULL).bytes);
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
	uint64_t begin = __rdtsc();

	bench.now_us += 20;
	(void)relay_turn(bench.relay, bench.now_us);
	bench.cycles += __rdtsc() - begin;
	while (bench.head != bench.tail) {
		unsigned slot = bench.head++ % FRAMES;

		arrive(bench.queue_port[slot], bytes_of(bench.queue[slot], bench.queue_bytes[slot]));
	}
}

static void set_up(void)
{
	static const struct spec_listener listener = { .family = 4, .address = { 10, 0, 0, 10 }, .port = 5432, .any_vlan = true };
	static const struct spec_service service = { .name = "plain", .protocol_word = "opaque", .protocol = POLICY_PROTOCOL_OPAQUE,
						     .tls = POLICY_TLS_OFF, .reason = "bench", .listeners = &listener, .listeners_count = 1 };
	const struct policy_spec spec = { .name = "bench", .generation = 1, .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE },
					  .services = &service, .services_count = 1 };
	struct relay_config config = { .flows_max = 1024, .sessions_max = 64, .chunk_memory_bytes = 64u << 20, .buffers = { 256, 16, 4 },
				       .mtu_bytes = 1500, .window_bytes = 1u << 20, .hash_key = { 1, 2 }, .lost_after_us = 1u << 30 };
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
	static const uint64_t packets = 5000000;

	memcpy(bench.frame, syn_head, sizeof syn_head);
	memset(bench.frame + sizeof syn_head, 0, 64 - sizeof syn_head);
	bench.frame[23] = PACKET_UDP;
	bench.frame[33] = 77; /* an address that no service names */
	for (uint64_t i = 0; i < packets; i++) {
		bench.frame[35] = (uint8_t)i; /* another flow each time */
		give(0, 64);
	}
	printf("{\"packets\": %llu, \"cycles_per_packet\": %.1f}\n", (unsigned long long)packets, (double)bench.cycles / (double)packets);
}

static void run_opaque(void)
{
	static const uint64_t warm_up = 64u << 20, total = 1u << 30;

	transmit(0, TCP_SYN, 0);
	for (int i = 0; i < 10; i++)
		turn();
	for (uint64_t began = 0; bench.end[1].got_bytes < total + warm_up;) {
		if (!began && bench.end[1].got_bytes > warm_up) {
			began = bench.end[1].got_bytes;
			bench.cycles = 0;
		}
		for (int i = 0; i < 32 && bench.end[0].next - bench.end[0].acked < 512u << 10; i++)
			transmit(0, TCP_ACK, SEGMENT_BYTES);
		turn();
	}
	printf("{\"bytes\": %llu, \"cycles_per_byte\": %.3f}\n", (unsigned long long)total, (double)bench.cycles / (double)total);
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
