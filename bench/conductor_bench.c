/* What the conductor costs a worker, in cycles, without ports: frames are handed to relay_frame and taken from its wire.
 *
 *   conductor_bench bridge          64-byte UDP frames of nothing that a service names: parse and classify
 *   conductor_bench opaque          bulk of 1,460-byte segments through a terminated, opaque service: both TCP halves, ACKs included
 *   conductor_bench postgres FILE   queries through the inspector, in both protocols; FILE is classes.hsdb (postgres_load.c)
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

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "bridge"))
		return run_bridge();
	if (argc == 2 && !strcmp(argv[1], "opaque"))
		return run_opaque();
	if (argc == 3 && !strcmp(argv[1], "postgres"))
		return postgres_load(argv[2]);
	fprintf(stderr, "Usage: conductor_bench bridge|opaque|postgres CLASSES_HSDB\n");
	return 2;
}
