#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/tcp.h"

static void first_sample_and_smoothing(void **state)
{
	struct tcp_config config = tcp_config_default();
	struct tcp_rtt rtt;

	config.rto_min_us = 1000;
	tcp_rtt_init(&rtt, &config);
	assert_int_equal(tcp_rtt_timeout_us(&rtt, &config), 1000000);
	tcp_rtt_sample(&rtt, &config, 80000); /* RFC 6298 2.2: R + 4 * R/2 */
	assert_int_equal(rtt.smoothed_us, 80000);
	assert_int_equal(tcp_rtt_timeout_us(&rtt, &config), 240000);
	tcp_rtt_sample(&rtt, &config, 160000); /* 2.3 */
	assert_int_equal(rtt.smoothed_us, 90000);
	assert_int_equal(rtt.variance_us, 50000);
	assert_int_equal(tcp_rtt_timeout_us(&rtt, &config), 290000);
	assert_int_equal(rtt.min_us, 80000);
}

static void backs_off_to_the_maximum(void **state)
{
	struct tcp_config config = tcp_config_default();
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, &config);
	for (unsigned i = 0; i < 6; i++, rtt.backoff++)
		assert_int_equal(tcp_rtt_timeout_us(&rtt, &config), i < 6 ? (i == 6 ? 60000000 : 1000000u << i) : 0);
	rtt.backoff = 255;
	assert_int_equal(tcp_rtt_timeout_us(&rtt, &config), 60000000);
	tcp_rtt_sample(&rtt, &config, 0); /* faster than the clock */
	assert_int_equal(rtt.smoothed_us, 1);
	assert_int_equal(tcp_rtt_timeout_us(&rtt, &config), 200001);
	tcp_rtt_sample(&rtt, &config, UINT64_MAX);
	assert_true(tcp_rtt_timeout_us(&rtt, &config) <= 60000000);
}

static void slow_start_then_cubic(void **state)
{
	struct tcp_congestion c;
	uint64_t now_us = 1000000;
	uint32_t after_loss;

	tcp_congestion_init(&c, 1000);
	assert_int_equal(c.window_bytes, 10000); /* RFC 6928 */
	tcp_congestion_acked(&c, 1000, 2000, 10000, now_us);
	assert_int_equal(c.window_bytes, 12000);
	while (c.window_bytes < 200000)
		tcp_congestion_acked(&c, 1000, 2000, 10000, now_us);
	tcp_congestion_lost(&c, 1000, 200000);
	assert_int_equal(c.window_bytes, 140000); /* beta 0.7 */
	after_loss = c.window_bytes;
	/* K = cbrt(60 / 0.4) = 5.3 s: back at W_max then, and not much earlier. */
	for (; now_us < 3000000; now_us += 100000)
		for (unsigned i = 0; i < 70; i++)
			tcp_congestion_acked(&c, 1000, 2000, 100000, now_us);
	assert_in_range(c.window_bytes, after_loss + 20000, 199000);
	for (; now_us < 6400000; now_us += 100000)
		for (unsigned i = 0; i < 70; i++)
			tcp_congestion_acked(&c, 1000, 2000, 100000, now_us);
	assert_in_range(c.window_bytes, 190000, 300000);
}

static void small_windows_grow_as_reno_does(void **state)
{
	struct tcp_congestion c;
	uint64_t now_us = 1000000;

	tcp_congestion_init(&c, 1000);
	tcp_congestion_lost(&c, 1000, 10000);
	assert_int_equal(c.window_bytes, 7000);
	for (unsigned round = 0; round < 100; round++, now_us += 100) /* 0.1 ms round trips: cubic alone would stand still */
		for (unsigned i = 0; i < 7; i++)
			tcp_congestion_acked(&c, 1000, 1000, 100, now_us);
	assert_true(c.window_bytes > 30000);
}

/* RFC 6937 4: 20 segments in flight, one lost, threshold 14: while more is on the path than that, seven go out for ten that
 * arrive; then one for one. */
static void reduction_is_proportional(void **state)
{
	struct tcp_congestion c;
	uint32_t pipe = 20000 - 1000, sent = 0;

	tcp_congestion_init(&c, 1000);
	c.window_bytes = 20000;
	tcp_congestion_lost(&c, 1000, 20000);
	tcp_congestion_recovering(&c, 1000, 1000, pipe -= 1000, false);
	assert_int_equal(c.window_bytes, pipe + 1000); /* the retransmission, though 700 bytes would be its share */
	tcp_congestion_sent(&c, 1000);
	pipe += 1000;
	for (unsigned acks = 2; acks <= 10; acks++) {
		tcp_congestion_recovering(&c, 1000, 1000, pipe -= 1000, false);
		if (c.window_bytes >= pipe + 1000) {
			tcp_congestion_sent(&c, 1000);
			pipe += 1000;
			sent++;
		}
	}
	assert_int_equal(sent, 6);
	/* A burst was lost: the pipe is far below; what arrives lets as much out, and one more when it is safe. */
	pipe = 4000;
	tcp_congestion_recovering(&c, 1000, 1000, pipe, false);
	assert_in_range(c.window_bytes, 5000, 8000);
	tcp_congestion_recovered(&c);
	assert_int_equal(c.window_bytes, 14000);
}

static void undo_restores(void **state)
{
	struct tcp_congestion c;

	tcp_congestion_init(&c, 1000);
	c.window_bytes = 50000;
	c.threshold_bytes = 40000;
	tcp_congestion_timeout(&c, 1000, false);
	assert_int_equal(c.window_bytes, 1000);
	tcp_congestion_undo(&c);
	assert_int_equal(c.window_bytes, 50000);
	assert_int_equal(c.threshold_bytes, 40000);
}

/* Whoever times out again before the loss is repaired is not punished twice. */
static void a_second_time_out_keeps_the_threshold(void **state)
{
	struct tcp_congestion c;

	tcp_congestion_init(&c, 1000);
	c.window_bytes = 50000;
	tcp_congestion_timeout(&c, 1000, false);
	assert_int_equal(c.threshold_bytes, 35000);
	c.window_bytes = 4000;
	tcp_congestion_timeout(&c, 1000, true);
	assert_int_equal(c.window_bytes, 1000);
	assert_int_equal(c.threshold_bytes, 35000);
	tcp_congestion_undo(&c);
	assert_int_equal(c.window_bytes, 50000);
}

static void the_variance_may_come_to_nothing(void **state)
{
	struct tcp_config config = tcp_config_default();
	struct tcp_rtt rtt;

	tcp_rtt_init(&rtt, &config);
	for (unsigned i = 0; i < 100; i++)
		tcp_rtt_sample(&rtt, &config, 400000);
	assert_in_range(tcp_rtt_timeout_us(&rtt, &config), 599000, 601000); /* a delayed ACK is no loss */
}

static void never_below_two_segments(void **state)
{
	struct tcp_congestion c;

	tcp_congestion_init(&c, 1460);
	for (unsigned i = 0; i < 20; i++)
		tcp_congestion_lost(&c, 1460, c.window_bytes);
	assert_int_equal(c.window_bytes, 2920);
	tcp_congestion_timeout(&c, 1460, false);
	assert_int_equal(c.window_bytes, 1460);
	assert_int_equal(c.threshold_bytes, 2920);
}

static void extremes_do_not_overflow(void **state)
{
	struct tcp_congestion c;
	uint64_t now_us = 1;

	tcp_congestion_init(&c, 65535);
	tcp_congestion_lost(&c, 65535, UINT32_MAX);
	c.window_bytes = 1u << 29;
	c.peak_bytes = UINT32_MAX;
	for (unsigned i = 0; i < 1000; i++, now_us += 100000000000ull)
		tcp_congestion_acked(&c, 65535, 1u << 30, UINT32_MAX, now_us);
	assert_true(c.window_bytes >= 1u << 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_sample_and_smoothing),
		cmocka_unit_test(backs_off_to_the_maximum),
		cmocka_unit_test(slow_start_then_cubic),
		cmocka_unit_test(small_windows_grow_as_reno_does),
		cmocka_unit_test(reduction_is_proportional),
		cmocka_unit_test(undo_restores),
		cmocka_unit_test(a_second_time_out_keeps_the_threshold),
		cmocka_unit_test(the_variance_may_come_to_nothing),
		cmocka_unit_test(never_below_two_segments),
		cmocka_unit_test(extremes_do_not_overflow),
	};

	return cmocka_run_group_tests_name("tcp congestion and rtt", tests, NULL, NULL);
}
