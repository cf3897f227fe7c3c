/* What a connection costs a worker from its first SYN to its last ACK: both handshakes, a request and a reply of 64 bytes, both FINs,
 * through a terminated, opaque service, without ports. Prints one JSON object.
 *
 *	connect_bench CONNECTIONS
 *
 * So many connections are made in all, BATCH of them under way at a time, each with a client address and port of its own. The ends know
 * nothing: what they answer follows from the segment that they get. Time is the processor's, so that TIME-WAIT lasts as long as it
 * does in the product and the table fills as it would; what is counted is the time inside the relay alone. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "bench/ends.h"

#define BATCH 64
#define MESSAGE_BYTES 64
#define FLOWS_MAX 2000000u

static const struct policy_spec plain = { .name = "bench", .generation = 1,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
static struct spec_service service = { .name = "plain", .audit = POLICY_AUDIT_PROMPT, .protocol_word = "opaque", .protocol = POLICY_PROTOCOL_OPAQUE,
				       .tls = POLICY_TLS_OFF, .reason = "bench" };
static const uint8_t payload[MESSAGE_BYTES];
static uint8_t event[LIMIT_MESSAGE_BYTES];
static uint32_t begun, done, wanted;
static double ticks_per_us;
static uint64_t began;

static uint64_t now_us(void)
{
	return 1000000 + (uint64_t)((double)(__rdtsc() - began) / ticks_per_us);
}

static void put(struct packet_template *t, unsigned from, const struct tcp_segment *s)
{
	if (ends.burst_count == ENDS_BURST)
		ends_give();
	ends.burst_port[ends.burst_count] = from;
	ends.burst_bytes[ends.burst_count] = packet_build(t, s, ends.burst[ends.burst_count], sizeof ends.burst[0], PACKET_BUILD_FULL).bytes;
	ends.burst_count++;
}

/* The next client says hello. */
static void begin(void)
{
	struct tcp_segment s = { .seq = begun * 64000u, .window = 65535, .flags = TCP_SYN };
	uint8_t head[sizeof ends_syn];
	struct packet_template t;
	struct packet p;

	if (begun == wanted)
		return;
	memcpy(head, ends_syn, sizeof head);
	head[27] = (uint8_t)(1 + begun / 60000 % 250); /* 10.N.0.2, another port each */
	head[34] = (uint8_t)((1024 + begun % 60000) >> 8);
	head[35] = (uint8_t)(1024 + begun % 60000);
	if (packet_parse(bytes_of(head, sizeof head), &p) != ERROR_none)
		exit(1);
	packet_template_from(&t, &p);
	s.options.has_mss = true;
	s.options.mss = ENDS_SEGMENT_BYTES;
	begun++;
	put(&t, 0, &s);
}

/* The end at `at` gets a frame, and answers. */
static void arrive(unsigned at, struct bytes frame)
{
	struct packet_template t;
	struct tcp_segment in, out = { .window = 65535, .flags = TCP_ACK };
	struct packet p;

	if (packet_parse(frame, &p) != ERROR_none || packet_segment(&p, PACKET_CHECKSUM_GOOD, &in) != ERROR_none)
		return;
	if (!(in.flags & (TCP_SYN | TCP_FIN)) && in.payload_bytes == 0)
		return; /* an acknowledgement */
	packet_template_reply(&t, &p);
	out.seq = in.flags & TCP_ACK ? in.ack : 9000;
	out.ack = in.seq + in.payload_bytes + !!(in.flags & TCP_SYN) + !!(in.flags & TCP_FIN);
	if (in.flags & TCP_SYN && at == 1) {
		out.flags = TCP_SYN | TCP_ACK;
		out.options.has_mss = true;
		out.options.mss = ENDS_SEGMENT_BYTES;
	} else if (in.flags & TCP_SYN || (at == 1 && in.payload_bytes)) { /* the request, the reply */
		out.flags |= TCP_PSH;
		out.spans[0] = bytes_of(payload, sizeof payload);
		out.span_count = 1;
		out.payload_bytes = sizeof payload;
	} else if (at == 1 || in.payload_bytes) { /* the reply is there: the client ends; then the server does */
		out.flags |= TCP_FIN;
	}
	put(&t, at, &out);
	if (at == 0 && in.flags & TCP_FIN) {
		done++;
		begin();
	}
}

static void turn(void)
{
	struct bytes body;
	uint64_t end = 0, from;
	uint16_t type;

	ends_give();
	from = __rdtsc();
	(void)relay_turn(ends.relay, ends.now_us);
	ends.cycles += __rdtsc() - from;
	ends.now_us = now_us();
	while (ends.head != ends.tail) {
		unsigned slot = ends.head++ % ENDS_FRAMES;

		arrive(ends.queue_port[slot], bytes_of(ends.queue[slot], ends.queue_bytes[slot]));
	}
	ends.head = ends.tail = 0;
	while (ring_read(&ends.events, event, sizeof event, &type, &body, &end))
		continue;
	if (end)
		ring_release(&ends.events, end);
}

static void rate(void)
{
	struct timespec a, b;
	uint64_t from = __rdtsc();
	double us;

	clock_gettime(CLOCK_MONOTONIC, &a);
	do {
		clock_gettime(CLOCK_MONOTONIC, &b);
		us = (double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3;
	} while (us < 100000);
	ticks_per_us = (double)(__rdtsc() - from) / us;
	began = __rdtsc();
}

int main(int argc, char **argv)
{
	struct page_worker page = { 0 };
	uint32_t slice = 0;
	double cycles;

	wanted = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	if (wanted < 100 * BATCH || wanted > 100000000) {
		fprintf(stderr, "usage: connect_bench CONNECTIONS (%u or more)\n", 100 * BATCH);
		return 2;
	}
	ends.flows_max = FLOWS_MAX;
	ends_open(&plain, &service);
	rate();
	for (unsigned i = 0; i < BATCH; i++)
		begin();
	ends.cycles = 0;
	for (uint64_t idle = 0; done < wanted && idle < 10000000; idle++) {
		uint32_t before = done;

		turn();
		if (done - slice >= wanted / ENDS_SLICES + BATCH) {
			ends_slice(done - slice);
			slice = done;
		}
		if (done != before)
			idle = 0;
	}
	cycles = ends_median();
	relay_publish(ends.relay, &page, ends.now_us);
	printf("{\"connections\": %u, \"done\": %u, \"cycles_a_connection\": %.0f, \"per_second\": %.0f, \"lowest\": %.0f, \"in_table\": %u}\n", wanted, done, cycles,
	       ticks_per_us * 1e6 / cycles, ends.slice[0], relay_flows_open(ends.relay));
	return done == wanted ? 0 : 1;
}
