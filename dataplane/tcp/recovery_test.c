#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/seq.h"
#include "platform/base/random.h"

#define BASE 0xfffff000u
#define MSS 100

static uint8_t memory[65 * TCP_CHUNK_BYTES];
static struct tcp_pool pool;
static struct tcp_recovery r;
static struct tcp_flight f;

static int fresh(void **state)
{
	(void)tcp_pool_init(&pool, memory, sizeof(memory));
	tcp_recovery_init(&r, BASE - 1);
	f = (struct tcp_flight){ .una = BASE, .next = BASE + 10000, .mss = MSS, .sack = true };
	r.high_rxt = BASE;
	return 0;
}

static uint32_t sack(uint32_t start, uint32_t end)
{
	struct tcp_options o = { .sack_count = 1, .sack = { { BASE + start, BASE + end } } };
	bool duplicate;

	return tcp_recovery_sacked(&r, &pool, &f, &o, &duplicate);
}

static void ranges_merge(void **state)
{
	uint32_t start, end;

	assert_int_equal(sack(100, 200), 100);
	assert_int_equal(sack(300, 400), 100);
	assert_int_equal(sack(100, 200), 0);
	assert_int_equal(sack(150, 350), 100);
	assert_int_equal(tcp_recovery_sacked_above(&r, BASE), 300);
	assert_int_equal(tcp_recovery_highest(&r, BASE), BASE + 400);
	assert_true(tcp_recovery_hole(&r, BASE, BASE + 1000, &start, &end));
	assert_int_equal(start, BASE);
	assert_int_equal(end, BASE + 100);
	assert_true(tcp_recovery_hole(&r, BASE + 100, BASE + 1000, &start, &end));
	assert_int_equal(start, BASE + 400);
	assert_int_equal(end, BASE + 1000);
	assert_false(tcp_recovery_hole(&r, BASE + 120, BASE + 400, &start, &end));
}

static void blocks_outside_the_flight_are_not_believed(void **state)
{
	assert_int_equal(sack(9000, 10001), 0);
	assert_int_equal(sack(0, 100), 0);   /* what is at SND.UNA would have been acknowledged */
	assert_int_equal(sack(200, 200), 0);
	assert_int_equal(sack(300, 200), 0);
	assert_null(r.board);
}

static void lost_by_three_segments_or_three_ranges(void **state)
{
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE);
	(void)sack(100, 300);
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE);
	(void)sack(300, 301);
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE + 100);
	(void)fresh(NULL);
	(void)sack(100, 101);
	(void)sack(200, 201);
	(void)sack(300, 301);
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE + 100);
}

static void reordering_raises_the_threshold(void **state)
{
	tcp_recovery_reordered(&r, 5);
	(void)sack(100, 500);
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE);
	(void)sack(500, 700);
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE + 100);
	tcp_recovery_reordered(&r, 1000000);
	assert_int_equal(r.threshold, TCP_THRESHOLD_MAX);
	/* but with eight segments in flight nobody waits for 64 */
	f.next = BASE + 800;
	assert_int_equal(tcp_recovery_lost_edge(&r, &f), BASE + 100);
}

/*    0    100      600        900   1000
 *    |lost |SACKed 500|in flight|SACK|  high_rxt 50
 */
static void pipe_counts_what_is_on_the_path(void **state)
{
	f.next = BASE + 1000;
	(void)sack(100, 600);
	(void)sack(900, 1000);
	assert_int_equal(tcp_recovery_pipe(&r, &f), 300);
	r.high_rxt = BASE + 50;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 350);
	r.mode = TCP_RECOVERY_TIMEOUT;
	r.point = f.next;
	r.high_rxt = BASE;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 0);
}

static void pipe_without_sack(void **state)
{
	f = (struct tcp_flight){ .una = BASE, .next = BASE + 1000, .mss = MSS };
	assert_int_equal(tcp_recovery_pipe(&r, &f), 1000);
	r.duplicates = 3;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 700);
	r.mode = TCP_RECOVERY_FAST;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 600);
	r.high_rxt = BASE + MSS;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 700);
	r.duplicates = 200;
	assert_int_equal(tcp_recovery_pipe(&r, &f), 0);
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
		{ { BASE + 150, BASE + 200 }, { BASE + 100, BASE + 300 }, 2, true },
		{ { BASE + 150, BASE + 200 }, { BASE + 300, BASE + 400 }, 2, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tcp_options o = { .sack_count = rows[i].count, .sack = { rows[i].a, rows[i].b } };
		bool duplicate;

		(void)tcp_recovery_sacked(&r, &pool, &f, &o, &duplicate);
		assert_int_equal(duplicate, rows[i].want);
	}
}

static void the_board_goes_back_when_all_is_acknowledged(void **state)
{
	(void)sack(100, 200);
	assert_int_equal(tcp_pool_used(&pool), 1);
	tcp_recovery_advance(&r, &pool, BASE + 150);
	assert_int_equal(tcp_recovery_sacked_above(&r, BASE + 150), 50);
	tcp_recovery_advance(&r, &pool, BASE + 200);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

/* Any blocks, against a bitmap; more ranges than the board holds must not break it. */
static void random_blocks(void **state)
{
	struct rng rng = rng_seeded(5);

	for (unsigned round = 0; round < 300; round++) {
		bool have[10001] = { 0 };
		uint32_t una = 0;

		(void)fresh(NULL);
		for (unsigned i = 0; i < 100; i++) {
			uint32_t start = una + 1 + (uint32_t)rng_below(&rng, 9000);
			uint32_t end = start + 1 + (uint32_t)rng_below(&rng, 60), count = 0;

			if (end > 10000)
				continue;
			(void)sack(start, end);
			memset(have + start, 1, end - start);
			if (rng_below(&rng, 20) == 0) {
				una += (uint32_t)rng_below(&rng, 50);
				f.una = BASE + una;
				tcp_recovery_advance(&r, &pool, f.una);
			}
			for (uint32_t k = una; k < 10000; k++)
				count += have[k];
			assert_int_equal(tcp_recovery_sacked_above(&r, f.una), count);
			if (una > 900)
				break;
		}
		tcp_recovery_clear(&r, &pool);
	}
	(void)fresh(NULL);
	for (uint32_t i = 1; i < 5000; i++)
		(void)sack(i * 2 - 1, i * 2);
	assert_true(tcp_recovery_sacked_above(&r, BASE) <= 254);
	assert_int_equal(tcp_pool_used(&pool), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ranges_merge, fresh),
		cmocka_unit_test_setup(blocks_outside_the_flight_are_not_believed, fresh),
		cmocka_unit_test_setup(lost_by_three_segments_or_three_ranges, fresh),
		cmocka_unit_test_setup(reordering_raises_the_threshold, fresh),
		cmocka_unit_test_setup(pipe_counts_what_is_on_the_path, fresh),
		cmocka_unit_test_setup(pipe_without_sack, fresh),
		cmocka_unit_test_setup(duplicates_are_recognised, fresh),
		cmocka_unit_test_setup(the_board_goes_back_when_all_is_acknowledged, fresh),
		cmocka_unit_test_setup(random_blocks, fresh),
	};

	return cmocka_run_group_tests_name("tcp recovery", tests, NULL, NULL);
}
