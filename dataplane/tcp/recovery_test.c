#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/ranges.h"
#include "dataplane/tcp/seq.h"
#include "platform/base/random.h"

#define BASE 0xfffff000u
#define MSS 100
#define NOW 0x1fffffff0ull /* the low 32 bits wrap soon */

static uint8_t memory[65 * TCP_CHUNK_BYTES];
static struct tcp_pool pool;
static struct tcp_recovery r;
static struct tcp_flight f;
static struct tcp_delivery d;
static uint64_t now_us;

static int fresh(void **state)
{
	(void)tcp_pool_init(&pool, memory, sizeof(memory));
	tcp_recovery_init(&r, BASE);
	f = (struct tcp_flight){ .una = BASE, .next = BASE, .mss = MSS, .sack = true };
	now_us = NOW;
	return 0;
}

static void sent(uint32_t start, uint32_t end)
{
	tcp_recovery_sent(&r, &pool, &f, BASE + start, BASE + end, now_us);
	f.next = seq_max(f.next, BASE + end);
	assert_true(tcp_recovery_consistent(&r, &f));
}

static uint32_t sack(uint32_t start, uint32_t end)
{
	struct tcp_options o = { .sack_count = 1, .sack = { { BASE + start, BASE + end } } };

	d = (struct tcp_delivery){ .now_us = now_us, .rtt_min_us = 1000 };
	tcp_recovery_sacked(&r, &pool, &f, &o, &d);
	assert_true(tcp_recovery_consistent(&r, &f));
	return d.bytes;
}

static void acked(uint32_t una)
{
	d = (struct tcp_delivery){ .now_us = now_us, .rtt_min_us = 1000 };
	tcp_recovery_acked(&r, &pool, &f, BASE + una, &d);
	f.una = BASE + una;
	assert_true(tcp_recovery_consistent(&r, &f));
}

static uint32_t detect(void)
{
	uint32_t wait_us = tcp_recovery_detect(&r, &f, now_us, 1000, 1000);

	assert_true(tcp_recovery_consistent(&r, &f));
	return wait_us;
}

static void lost_is(uint32_t start, uint32_t end)
{
	uint32_t from, upto;

	assert_true(tcp_recovery_lost(&r, &f, &from, &upto));
	assert_int_equal(from - BASE, start);
	assert_int_equal(upto - BASE, end);
}

static void one_burst_needs_no_chunk(void **state)
{
	sent(0, 100);
	sent(100, 1000);
	assert_int_equal(tcp_pool_used(&pool), 0);
	now_us += 10;
	sent(1000, 1100);
	assert_int_equal(tcp_pool_used(&pool), 1);
	acked(1100);
	assert_int_equal(tcp_pool_used(&pool), 0);
	assert_true(d.sampled);
	assert_int_equal(d.rtt_us, 10);
	assert_int_equal(d.bytes, 1100);
}

static void blocks_outside_the_flight_are_not_believed(void **state)
{
	sent(0, 10000);
	assert_int_equal(sack(9000, 10001), 0);
	assert_int_equal(sack(0, 100), 0);   /* what is at SND.UNA would have been acknowledged */
	assert_int_equal(sack(200, 200), 0);
	assert_int_equal(sack(300, 200), 0);
	assert_int_equal(r.sacked_bytes, 0);
}

static void blocks_merge(void **state)
{
	sent(0, 10000);
	assert_int_equal(sack(100, 200), 100);
	assert_int_equal(sack(300, 400), 100);
	assert_int_equal(sack(100, 200), 0);
	assert_int_equal(sack(150, 350), 100);
	assert_int_equal(tcp_ranges_count(&r, &f), 3);
	assert_int_equal(r.sacked_bytes, 300);
	assert_int_equal(tcp_recovery_pipe(&r, &f), 9700);
}

/*   0  100           400       | 400 bytes in one burst, then at +1 ms the rest
 *   |  |   SACKed    |
 */
static void three_segments_above_are_a_loss_at_once(void **state)
{
	sent(0, 1000);
	now_us += 1000;
	(void)sack(100, 300);
	assert_int_equal(detect(), 250); /* a quarter of the smallest round trip */
	assert_int_equal(r.lost_bytes, 0);
	(void)sack(300, 301);
	assert_int_equal(detect(), 0);
	lost_is(0, 100);
	assert_int_equal(tcp_recovery_pipe(&r, &f), 1000 - 100 - 201);
}

static void a_quarter_of_a_round_trip_later_it_is_a_loss_too(void **state)
{
	sent(0, 1000);
	now_us += 1000;
	(void)sack(100, 200);
	assert_int_equal(detect(), 250);
	now_us += 249;
	assert_int_equal(detect(), 1);
	now_us += 1;
	assert_int_equal(detect(), 0);
	lost_is(0, 100);
}

static void what_was_sent_later_is_not_lost(void **state)
{
	sent(0, 100);
	sent(100, 200);
	now_us += 900;
	sent(200, 300);
	now_us += 200;
	(void)sack(100, 200);
	now_us += 10000;
	(void)detect();
	lost_is(0, 100);
	assert_int_equal(r.lost_bytes, 100);
}

static void a_retransmission_is_lost_when_something_later_arrives(void **state)
{
	sent(0, 1000);
	now_us += 1000;
	(void)sack(100, 500);
	(void)detect();
	sent(0, 100);
	assert_int_equal(r.lost_bytes, 0);
	now_us += 500;
	sent(1000, 1100);
	now_us += 600;
	(void)sack(500, 1000); /* sent before it */
	(void)detect();
	assert_int_equal(r.lost_bytes, 0);
	now_us += 400;
	(void)sack(1000, 1100); /* sent after it, and a round trip ago */
	(void)detect();
	lost_is(0, 100);
}

/* Something that was sent again, and arrives sooner than a round trip takes: it is the first copy. */
static void an_early_answer_to_a_retransmission_measures_nothing(void **state)
{
	sent(0, 300);
	now_us += 5000;
	tcp_recovery_lose_all(&r, &f, false);
	sent(0, 100);
	now_us += 400;
	acked(100);
	assert_false(d.sampled);
	assert_int_equal(r.rack_rtt_us, 0);
}

static void reordering_is_seen_and_waited_for(void **state)
{
	sent(0, 1000);
	now_us += 1000;
	(void)sack(500, 600);
	assert_false(r.reordering);
	(void)sack(200, 300);
	assert_true(r.reordering);
	(void)sack(600, 1000);
	assert_int_equal(detect(), 250); /* though far more than three are SACKed */
	tcp_recovery_adapt(&r, &f, true, false);
	tcp_recovery_adapt(&r, &f, true, false); /* once a round trip */
	assert_int_equal(detect(), 500);
	for (unsigned i = 0; i < 16; i++)
		tcp_recovery_adapt(&r, &f, false, true);
	assert_int_equal(detect(), 250);
}

static void needless_by_duplicates(void **state)
{
	struct tcp_options o = { .sack_count = 1, .sack = { { BASE, BASE + 100 } } };

	sent(0, 1000);
	tcp_recovery_lose_all(&r, &f, false);
	tcp_recovery_begin(&r, &f, TCP_RECOVERY_TIMEOUT);
	sent(0, 100);
	sent(100, 200);
	acked(1000);
	tcp_recovery_sacked(&r, &pool, &f, &o, &d);
	assert_true(d.duplicate);
	assert_false(tcp_recovery_needless(&r, &f, &d, true)); /* one of two */
	d.duplicate_start = BASE + 100;
	assert_true(tcp_recovery_needless(&r, &f, &d, false));
}

static void needless_by_timestamp(void **state)
{
	sent(0, 1000);
	now_us += 300000;
	tcp_recovery_lose_all(&r, &f, false);
	tcp_recovery_begin(&r, &f, TCP_RECOVERY_TIMEOUT);
	sent(0, 100);
	now_us += 5000;
	acked(300);
	d.echo_known = true;
	d.echo_ms_ago = 5; /* of the copy */
	assert_false(tcp_recovery_needless(&r, &f, &d, true));
	d.echo_ms_ago = 305; /* of the first */
	assert_true(tcp_recovery_needless(&r, &f, &d, true));
}

static void duplicates_are_recognised(void **state)
{
	static const struct {
		struct tcp_sack_block a, b;
		uint8_t count;
		bool want;
	} rows[] = {
		{ { BASE + 100, BASE + 200 }, { 0, 0 }, 1, false },
		{ { BASE - 200, BASE - 100 }, { 0, 0 }, 1, true },
		{ { BASE - 100, BASE }, { 0, 0 }, 1, true },
		{ { BASE, BASE - 100 }, { 0, 0 }, 1, false },
		{ { BASE + 150, BASE + 200 }, { BASE + 100, BASE + 300 }, 2, true },
		{ { BASE + 150, BASE + 200 }, { BASE + 300, BASE + 400 }, 2, false },
	};

	sent(0, 10000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp_options o = { .sack_count = rows[i].count, .sack = { rows[i].a, rows[i].b } };

		d = (struct tcp_delivery){ .now_us = now_us };
		tcp_recovery_sacked(&r, &pool, &f, &o, &d);
		assert_int_equal(d.duplicate, rows[i].want);
	}
}

static void pipe_without_sack(void **state)
{
	f.sack = false;
	sent(0, 1000);
	assert_int_equal(tcp_recovery_pipe(&r, &f), 1000);
	r.duplicates = 3;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 700);
	tcp_recovery_lose_first(&r, &pool, &f);
	lost_is(0, 100);
	assert_int_equal(tcp_recovery_pipe(&r, &f), 600);
	sent(0, 100);
	assert_int_equal(tcp_recovery_pipe(&r, &f), 700);
	r.duplicates = 200;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 0);
}

/* Without memory everything is one range: less is known, and nothing false. */
static void without_memory(void **state)
{
	pool.free_count = 0;
	pool.free = NULL;
	sent(0, 1000);
	now_us += 1000;
	sent(1000, 2000);
	assert_int_equal(sack(500, 1000), 0);
	tcp_recovery_lose_all(&r, &f, false);
	sent(0, 100);
	assert_int_equal(r.lost_bytes, 0);
	now_us += 5000;
	acked(500);
	assert_false(d.sampled);
	acked(2000);
}

/* Every second segment is SACKed, over more segments than a chunk has room for. */
static void more_holes_than_room(void **state)
{
	for (uint32_t i = 0; i < 400; i++) {
		now_us++;
		sent(i * 100, i * 100 + 100);
	}
	assert_true(tcp_ranges_count(&r, &f) <= TCP_RANGES_MAX);
	now_us += 1000;
	for (uint32_t i = 1; i < 400; i += 2)
		(void)sack(i * 100, i * 100 + 100);
	assert_true(r.sacked_bytes > 5000);
	(void)detect();
	sent(40000, 40100);
	assert_int_equal(tcp_pool_used(&pool), 1);
	acked(40100);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

/* Any blocks, against a bitmap; the sums are checked after each step. */
static void random_blocks(void **state)
{
	struct rng rng = rng_seeded(5);

	for (unsigned round = 0; round < 300; round++) {
		static bool have[10001];
		uint32_t una = 0;

		memset(have, 0, sizeof(have));
		(void)fresh(NULL);
		for (uint32_t at = 0; at < 10000; at += 500, now_us += rng_below(&rng, 3))
			sent(at, at + 500);
		for (unsigned i = 0; i < 70; i++) {
			uint32_t start = una + 1 + (uint32_t)rng_below(&rng, 9000), count = 0;
			uint32_t end = start + 1 + (uint32_t)rng_below(&rng, 60), from, upto;

			if (end > 10000)
				continue;
			now_us += rng_below(&rng, 100);
			(void)sack(start, end);
			memset(have + start, 1, end - start);
			(void)detect();
			if (rng_below(&rng, 3) == 0 && tcp_recovery_lost(&r, &f, &from, &upto)) {
				for (uint32_t k = from - BASE; k < upto - BASE; k++)
					assert_false(have[k]);
				sent(from - BASE, upto - BASE < from - BASE + 100 ? upto - BASE : from - BASE + 100);
			}
			if (rng_below(&rng, 20) == 0) {
				una += (uint32_t)rng_below(&rng, 50);
				acked(una);
			}
			for (uint32_t k = una; k < 10000; k++)
				count += have[k];
			assert_int_equal(r.sacked_bytes, count);
		}
		tcp_recovery_clear(&r, &pool);
		assert_int_equal(tcp_pool_used(&pool), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_burst_needs_no_chunk, fresh),
		cmocka_unit_test_setup(blocks_outside_the_flight_are_not_believed, fresh),
		cmocka_unit_test_setup(blocks_merge, fresh),
		cmocka_unit_test_setup(three_segments_above_are_a_loss_at_once, fresh),
		cmocka_unit_test_setup(a_quarter_of_a_round_trip_later_it_is_a_loss_too, fresh),
		cmocka_unit_test_setup(what_was_sent_later_is_not_lost, fresh),
		cmocka_unit_test_setup(a_retransmission_is_lost_when_something_later_arrives, fresh),
		cmocka_unit_test_setup(an_early_answer_to_a_retransmission_measures_nothing, fresh),
		cmocka_unit_test_setup(reordering_is_seen_and_waited_for, fresh),
		cmocka_unit_test_setup(needless_by_duplicates, fresh),
		cmocka_unit_test_setup(needless_by_timestamp, fresh),
		cmocka_unit_test_setup(duplicates_are_recognised, fresh),
		cmocka_unit_test_setup(pipe_without_sack, fresh),
		cmocka_unit_test_setup(without_memory, fresh),
		cmocka_unit_test_setup(more_holes_than_room, fresh),
		cmocka_unit_test_setup(random_blocks, fresh),
	};

	return cmocka_run_group_tests_name("tcp recovery", tests, NULL, NULL);
}
