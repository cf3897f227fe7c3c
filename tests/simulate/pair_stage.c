#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "tests/simulate/pair_stage.h"

#define POOL_BYTES (1u << 20)

struct pair_stage stage;

struct tcp_segment stamped(uint8_t flags, uint32_t seq, uint32_t ack, size_t len, uint32_t ts, uint32_t echo)
{
	static const uint8_t payload[4096];
	struct tcp_segment s = { .seq = seq, .ack = ack, .flags = flags, .window = 30000, .payload_bytes = (uint32_t)len, .span_count = len > 0 };

	s.spans[0] = bytes_of(payload, len);
	s.options.has_timestamps = true;
	s.options.ts_value = ts;
	s.options.ts_echo = echo;
	return s;
}

struct tcp_segment opening(struct tcp_segment s)
{
	s.options.has_mss = true;
	s.options.mss = 1460;
	s.options.sack_permitted = true;
	return s;
}

static bool emit(void *context, const struct tcp_segment *s)
{
	unsigned side = (unsigned)(uintptr_t)context;

	assert_true(stage.count[side] < PAIR_STAGE_SENT);
	stage.sent[side][stage.count[side]++] = *s;
	return true;
}

void output(void)
{
	for (unsigned side = 0; side < 2; side++)
		(void)tcp_pair_output(&stage.pair, side, emit, (void *)(uintptr_t)side, PAIR_STAGE_SENT, stage.now_us);
}

void open_stage(struct tcp_segment syn)
{
	stage.memory = malloc(POOL_BYTES);
	stage.now_us = 1000000;
	stage.count[0] = stage.count[1] = 0;
	stage.config = tcp_config_default();
	(void)tcp_pool_init(&stage.pool, stage.memory, POOL_BYTES);
	stage.pair = (struct tcp_pair){ 0 };
	assert_true(tcp_pair_open(&stage.pair, &stage.config, &stage.pool, &syn, stage.now_us));
	tcp_pair_window_rule(&stage.pair, TCP_WINDOW_FOLLOW);
	output();
}

int close_stage(void **state)
{
	tcp_pair_release(&stage.pair);
	assert_int_equal(tcp_pool_used(&stage.pool), 0);
	free(stage.memory);
	return 0;
}
