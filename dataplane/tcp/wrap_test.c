#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/tcp.h"

/* Every comparison of numbers that lie further apart than 2^31 is wrong, and only a long flow shows it: nine gigabytes one
 * way, twice around the sequence space, while the other direction says nothing and its numbers grow stale. Then a loss. */

#define POOL_BYTES (8u << 20)
#define MSS 16000
#define TOTAL 9000000000ull
#define ISN 1000u

struct far_end {
	uint32_t next;       /* of the stream towards it */
	uint64_t bytes;

	bool drop_one;       /* loses the next segment */

};

static struct tcp_pool pool;
static struct tcp_pair pair;
static struct tcp_config config;
static struct far_end ends[2];
static unsigned side;
static bool sack;

static bool emit(void *context, const struct tcp_segment *s)
{
	struct far_end *end = &ends[side];

	if (s->payload_bytes == 0)
		return true;
	if (end->drop_one) {
		end->drop_one = false;
		return true;
	}
	if (s->seq == end->next) {
		end->next += s->payload_bytes;
		end->bytes += s->payload_bytes;
	}
	return true;
}

static void open_pair(uint64_t now_us)
{
	struct tcp_segment syn = {
		.seq = ISN, .flags = TCP_SYN, .window = 65535,
		.options = { .has_mss = true, .mss = MSS, .has_shift = true, .shift = 6, .sack_permitted = sack },
	};
	struct tcp_segment answer = syn, ack = { .seq = ISN + 1, .ack = ISN + 1, .flags = TCP_ACK, .window = 16384 };

	answer.flags = TCP_SYN | TCP_ACK;
	answer.ack = ISN + 1;
	assert_true(tcp_pair_open(&pair, &config, &pool, &syn, now_us));
	for (side = 0; side < 2; side++) {
		ends[side] = (struct far_end){ .next = ISN + 1 };
	}
	side = TCP_SERVER;
	(void)tcp_pair_output(&pair, TCP_SERVER, emit, NULL, 8, now_us);
	(void)tcp_pair_input(&pair, TCP_SERVER, &answer, now_us);
	side = TCP_CLIENT;
	(void)tcp_pair_output(&pair, TCP_CLIENT, emit, NULL, 8, now_us);
	assert_true(tcp_pair_input(&pair, TCP_CLIENT, &ack, now_us) & TCP_EVENT_ESTABLISHED);
}

static void turn(uint64_t now_us)
{
	unsigned events[2];

	tcp_pair_timer(&pair, now_us, events);
	(void)tcp_move(&pair.half[TCP_CLIENT], &pair.half[TCP_SERVER], SIZE_MAX);
	for (side = 0; side < 2; side++)
		(void)tcp_pair_output(&pair, side, emit, NULL, 64, now_us);
}

static void server_acks(uint64_t now_us, unsigned times)
{
	struct tcp_segment ack = { .seq = ISN + 1, .ack = ends[TCP_SERVER].next, .flags = TCP_ACK, .window = 16384 };

	for (unsigned i = 0; i < times; i++) {
		if (sack && times > 1) {
			ack.options.sack_count = 1;
			ack.options.sack[0] = (struct tcp_sack_block){ ack.ack + MSS, ack.ack + MSS * (i + 2) };
		}
		assert_false(tcp_pair_input(&pair, TCP_SERVER, &ack, now_us) & TCP_EVENT_DROPPED);
	}
}

static void run(void)
{
	static uint8_t payload[MSS];
	uint64_t now_us = 1000000, sent = 0;
	uint32_t seq = ISN + 1;

	config = tcp_config_default();
	config.mss_max = MSS;
	open_pair(now_us);
	while (sent < TOTAL) {
		for (unsigned i = 0; i < 4; i++) {
			struct tcp_segment s = {
				.seq = seq, .ack = ISN + 1, .flags = TCP_ACK, .window = 16384, .payload_bytes = MSS, .span_count = 1,
				.spans = { bytes_of(payload, MSS) },
			};

			assert_false(tcp_pair_input(&pair, TCP_CLIENT, &s, now_us) & TCP_EVENT_DROPPED);
			seq += MSS;
			sent += MSS;
		}
		for (unsigned i = 0; i < 4 && ends[TCP_SERVER].bytes != sent; i++) { /* the congestion window opens step by step */
			turn(now_us);
			now_us += 50;
			server_acks(now_us, 1);
		}
		if (ends[TCP_SERVER].bytes != sent)
			fail_msg("stands still after %llu of %llu bytes", (unsigned long long)ends[TCP_SERVER].bytes,
				 (unsigned long long)sent);
	}
	server_acks(now_us, 1);
	/* The loss is repaired by duplicates, without waiting for a timer; one round trip passes. */
	assert_int_equal(tcp_send(&pair.half[TCP_SERVER], payload, MSS), MSS);
	ends[TCP_SERVER].drop_one = true;
	turn(now_us);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(tcp_send(&pair.half[TCP_SERVER], payload, MSS), MSS);
	turn(now_us);
	now_us += 50;
	server_acks(now_us, 4);
	turn(now_us);
	assert_int_equal(ends[TCP_SERVER].bytes, sent + MSS);
	tcp_pair_release(&pair);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

static void around_the_space_with_sack(void **state)
{
	sack = true;
	run();
}

static void around_the_space_without_sack(void **state)
{
	sack = false;
	run();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(around_the_space_with_sack),
		cmocka_unit_test(around_the_space_without_sack),
	};
	void *memory = malloc(POOL_BYTES);
	int failed;

	(void)tcp_pool_init(&pool, memory, POOL_BYTES);
	failed = cmocka_run_group_tests_name("tcp wrap", tests, NULL, NULL);
	free(memory);
	return failed;
}
