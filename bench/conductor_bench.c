/* What the conductor costs a worker, in cycles, without ports: frames are handed to relay_frame and taken from its wire.
 *
 *   conductor_bench bridge          64-byte UDP frames of nothing that a service names: parse and classify
 *   conductor_bench opaque          bulk of 1,460-byte segments through a terminated, opaque service: both TCP halves, ACKs included
 *   conductor_bench spliced FLOWS   64-byte and full frames of a spliced, opaque service, each of another one of so many flows, by chance
 *   conductor_bench postgres FILE   queries through the inspector, in both protocols; FILE is classes.hsdb (postgres_load.c)
 *   conductor_bench postgres FILE simple|extended|masked   one of these alone, for callgrind
 *
 * How it is counted: ends.h. Prints one JSON object.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/ends.h"
#include "bench/postgres_load.h"

static const struct policy_spec plain = { .name = "bench", .generation = 1,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
static struct spec_service plain_service = { .name = "plain", .audit = POLICY_AUDIT_PROMPT, .protocol_word = "opaque", .protocol = POLICY_PROTOCOL_OPAQUE, .tls = POLICY_TLS_OFF,
					     .reason = "bench" };

static int run_bridge(void)
{
	static const unsigned bursts = 64;
	double middle;

	ends_open(&plain, &plain_service);
	for (unsigned i = 0; i < ENDS_BURST; i++) {
		memset(ends.burst[i], 0, 64);
		memcpy(ends.burst[i], ends_syn, sizeof ends_syn);
		ends.burst[i][23] = PACKET_UDP;
		ends.burst[i][33] = 77; /* an address that no service names */
		ends.burst_bytes[i] = 64;
	}
	for (unsigned n = 0; n < ENDS_SLICES; n++) {
		for (unsigned i = 0; i < bursts; i++) {
			for (unsigned k = 0; k < ENDS_BURST; k++)
				ends.burst[k][35] = (uint8_t)(i + k); /* another flow each time */
			ends.burst_count = ENDS_BURST;
			ends_give();
		}
		ends_slice(bursts * ENDS_BURST);
	}
	middle = ends_median();
	printf("{\"packets\": %u, \"cycles_per_packet\": %.1f, \"lowest\": %.1f}\n", ENDS_SLICES * bursts * ENDS_BURST, middle, ends.slice[0]);
	return 0;
}

static void acknowledge_every_second(unsigned at, struct bytes data)
{
	if (ends.end[at].got_bytes / ENDS_SEGMENT_BYTES % 2 == 0)
		ends_transmit(at, TCP_ACK, (struct bytes){ 0 });
}

static int run_opaque(void)
{
	static const uint64_t part = 384u << 10;
	static const unsigned warm_up = 200;
	static uint8_t payload[ENDS_SEGMENT_BYTES];
	const struct end *sender = &ends.end[0], *receiver = &ends.end[1];
	double middle;

	ends_open(&plain, &plain_service);
	ends.received = acknowledge_every_second;
	ends_connect();
	for (unsigned n = 0; n < ENDS_SLICES + warm_up; n++) {
		uint64_t from = receiver->got_bytes, had;

		while (receiver->got_bytes - from < part) {
			uint32_t most = sender->window ? sender->window : ENDS_SEGMENT_BYTES;

			for (int i = 0; i < ENDS_BURST && sender->next - sender->acked + ENDS_SEGMENT_BYTES <= (most < 512u << 10 ? most : 512u << 10); i++)
				ends_transmit(0, TCP_ACK, bytes_of(payload, sizeof payload));
			had = receiver->got_bytes;
			ends_turn();
			if (receiver->got_bytes == had) /* the acknowledgement that a receiver delays */
				ends_transmit(1, TCP_ACK, (struct bytes){ 0 });
		}
		ends.slices = n < warm_up ? 0 : ends.slices;
		ends_slice((double)(receiver->got_bytes - from));
	}
	middle = ends_median();
	printf("{\"bytes\": %llu, \"cycles_per_byte\": %.3f, \"lowest\": %.3f}\n", (unsigned long long)receiver->got_bytes, middle, ends.slice[0]);
	return 0;
}

/* A frame of connection `number` into the burst, from the client (0) or the server (1). */
static void put(uint32_t number, unsigned from, uint8_t flags, uint32_t seq, uint32_t ack, struct bytes payload)
{
	struct tcp_segment s = { .seq = seq, .ack = ack, .window = 65535, .flags = flags, .payload_bytes = (uint32_t)payload.len, .span_count = payload.len > 0 };
	uint8_t head[sizeof ends_syn];
	struct packet_template t;
	struct packet p;

	s.spans[0] = payload;
	memcpy(head, ends_syn, sizeof head);
	head[27] = (uint8_t)(1 + number / 60000); /* 10.N.0.2, another port each */
	head[34] = (uint8_t)((1024 + number % 60000) >> 8);
	head[35] = (uint8_t)(1024 + number % 60000);
	if (packet_parse(bytes_of(head, sizeof head), &p) != ERROR_none)
		exit(1);
	if (from == 0)
		packet_template_from(&t, &p);
	else
		packet_template_reply(&t, &p);
	if (ends.burst_count == ENDS_BURST)
		ends_give();
	memset(ends.burst[ends.burst_count], 0, 64);
	ends.burst_bytes[ends.burst_count] = packet_build(&t, &s, ends.burst[ends.burst_count], sizeof ends.burst[0], PACKET_BUILD_FULL).bytes;
	if (ends.burst_bytes[ends.burst_count] < 64)
		ends.burst_bytes[ends.burst_count] = 64;
	ends.burst_port[ends.burst_count++] = from;
}

/* The ends of this load say what they have to without listening. */
static void turn_unheard(void)
{
	static uint8_t event[LIMIT_MESSAGE_BYTES];
	struct bytes payload;
	uint64_t end = 0;
	uint16_t type;

	ends.now_us += 20;
	ends_give();
	(void)relay_turn(ends.relay, ends.now_us);
	ends.head = ends.tail = 0;
	while (ring_read(&ends.events, event, sizeof event, &type, &payload, &end))
		continue;
	if (end)
		ring_release(&ends.events, end);
}

static void open_spliced(uint32_t flows)
{
	static const uint32_t client = 1000, server = 9000;

	for (uint32_t first = 0; first < flows; first += ENDS_BURST) {
		uint32_t last = first + ENDS_BURST < flows ? first + ENDS_BURST : flows;

		for (uint32_t i = first; i < last; i++)
			put(i, 0, TCP_SYN, client, 0, (struct bytes){ 0 });
		turn_unheard();
		for (uint32_t i = first; i < last; i++)
			put(i, 1, TCP_SYN | TCP_ACK, server, client + 1, (struct bytes){ 0 });
		turn_unheard();
		for (uint32_t i = first; i < last; i++)
			put(i, 0, TCP_ACK, client + 1, server + 1, (struct bytes){ 0 });
		turn_unheard();
	}
}

static double spliced_cycles(uint32_t flows, struct bytes payload)
{
	uint64_t state = 88172645463325252ULL, sent = 0;

	ends.slices = 0;
	ends.cycles = ends.passed = 0;
	for (unsigned n = 0; n < ENDS_SLICES; n++) {
		for (unsigned i = 0; i < 16 * ENDS_BURST; i++, sent++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			put((uint32_t)(state % flows), 0, TCP_ACK, 1001, 9001, payload);
		}
		ends_give();
		ends_slice(16 * ENDS_BURST);
	}
	if (ends.passed != sent)
		fprintf(stderr, "conductor_bench: %llu of %llu frames were passed on\n", (unsigned long long)ends.passed, (unsigned long long)sent);
	return ends_median();
}

static int run_spliced(uint32_t flows)
{
	static const uint8_t payload[ENDS_SEGMENT_BYTES];
	double small, full;

	if (flows == 0 || flows > 10000000)
		return 2;
	ends.flows_max = flows < 1024 ? 1024 : flows;
	ends.spliced = true;
	ends_open(&plain, &plain_service);
	open_spliced(flows);
	small = spliced_cycles(flows, (struct bytes){ 0 });
	full = spliced_cycles(flows, bytes_of(payload, sizeof payload));
	printf("{\"flows\": %u, \"cycles_per_small_frame\": %.1f, \"cycles_per_full_frame\": %.1f}\n", flows, small, full);
	return relay_flows_open(ends.relay) == flows && relay_counters(ends.relay)->spliced == ends.passed * 2 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "bridge"))
		return run_bridge();
	if (argc == 2 && !strcmp(argv[1], "opaque"))
		return run_opaque();
	if (argc == 3 && !strcmp(argv[1], "spliced"))
		return run_spliced((uint32_t)strtoul(argv[2], NULL, 10));
	if (argc == 3 && !strcmp(argv[1], "postgres"))
		return postgres_load(argv[2]);
	if (argc == 4 && !strcmp(argv[1], "postgres"))
		return postgres_load_one(argv[2], argv[3]);
	fprintf(stderr, "Usage: conductor_bench bridge|opaque|spliced FLOWS|postgres CLASSES_HSDB [simple|extended|masked]\n");
	return 2;
}
