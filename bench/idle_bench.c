/* What idle guarded connections cost: opens so many through a terminated, opaque service, which then lie idle. Prints one JSON object:
 * the memory that the process has, how many are open, the worst look-up of the flow table, and the cycles of an ACK to one of them.
 *
 *	idle_bench CONNECTIONS | tls FLOWS
 *
 * With `tls`: what TLS keeps of each of so many flows (tls_idle.h).
 * Fixed memory (rings, chunks, caches) is in the figure: the row takes it away by a run with few. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "bench/ends.h"
#include "bench/tls_idle.h"

#define BATCH 64
#define ACKS (2000u * BATCH)
#define CLIENT_ISN 1000u
#define SERVER_ISN 9000u

static const struct policy_spec plain = { .name = "bench", .generation = 1,
					  .defaults = { .unmatched = POLICY_BLOCK, .unknown = POLICY_BLOCK, .approval = POLICY_NONE } };
static struct spec_service service = { .name = "plain", .protocol_word = "opaque", .protocol = POLICY_PROTOCOL_OPAQUE, .audit = POLICY_AUDIT_PROMPT, .tls = POLICY_TLS_OFF,
				       .reason = "bench" };
static uint8_t message[LIMIT_MESSAGE_BYTES];

/* A frame of connection `number`, from the client (0) or the server (1). */
static void give(uint32_t number, unsigned from, uint8_t flags, uint32_t seq, uint32_t ack)
{
	struct tcp_segment s = { .seq = seq, .ack = ack, .window = 65535, .flags = flags };
	uint8_t head[sizeof ends_syn], frame[128];
	struct packet_template t;
	struct packet p;

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
	(void)relay_frame(ends.relay, from, bytes_of(frame, packet_build(&t, &s, frame, sizeof frame, PACKET_BUILD_FULL).bytes), PACKET_CHECKSUM_GOOD,
			  ends.now_us);
}

static void turn(void)
{
	struct bytes payload;
	uint64_t end = 0;
	uint16_t type;

	ends.now_us += 20;
	(void)relay_turn(ends.relay, ends.now_us);
	ends.head = ends.tail = 0;
	while (ring_read(&ends.events, message, sizeof message, &type, &payload, &end))
		continue;
	if (end)
		ring_release(&ends.events, end);
}

static void open_all(uint32_t count)
{
	for (uint32_t first = 0; first < count; first += BATCH) {
		uint32_t last = first + BATCH < count ? first + BATCH : count;

		for (uint32_t i = first; i < last; i++)
			give(i, 0, TCP_SYN, CLIENT_ISN, 0);
		turn();
		for (uint32_t i = first; i < last; i++)
			give(i, 1, TCP_SYN | TCP_ACK, SERVER_ISN, CLIENT_ISN + 1);
		turn();
		for (uint32_t i = first; i < last; i++)
			give(i, 0, TCP_ACK, CLIENT_ISN + 1, SERVER_ISN + 1);
		turn();
	}
}

static double resident_mb(void)
{
	unsigned long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &resident) != 2)
		exit(1);
	fclose(f);
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

/* Median cycles of a repeated ACK to one of all, with making the frame. */
static double cycles_an_ack(uint32_t count)
{
	uint64_t state = 88172645463325252ULL, begin;

	for (uint32_t i = 0; i < ACKS; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		begin = __rdtsc();
		give((uint32_t)(state % count), 0, TCP_ACK, CLIENT_ISN + 1, SERVER_ISN + 1);
		ends.cycles += __rdtsc() - begin;
		if (i % BATCH == BATCH - 1) {
			ends_slice(BATCH);
			turn();
		}
	}
	return ends_median();
}

int main(int argc, char **argv)
{
	uint32_t count = argc == 2 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
	struct page_worker page = { 0 };
	double cycles, megabytes;

	if (argc == 3 && !strcmp(argv[1], "tls") && strtoul(argv[2], NULL, 10) > 0)
		return tls_idle((uint32_t)strtoul(argv[2], NULL, 10));
	if (count == 0 || count > 10000000) {
		fprintf(stderr, "usage: idle_bench CONNECTIONS | tls FLOWS\n");
		return 2;
	}
	ends.flows_max = count;
	ends_open(&plain, &service);
	open_all(count);
	megabytes = resident_mb();
	cycles = cycles_an_ack(count);
	relay_publish(ends.relay, &page, ends.now_us);
	printf("{\"connections\": %u, \"open\": %u, \"opening\": %llu, \"resident_mb\": %.1f, \"worst_lookup_slots\": %llu, \"cycles_an_ack\": %.0f}\n", count,
	       relay_flows_open(ends.relay), (unsigned long long)page.flows_opening, megabytes, (unsigned long long)page.probe_longest, cycles);
	return relay_flows_open(ends.relay) == count && page.flows_opening == 0 ? 0 : 1;
}
