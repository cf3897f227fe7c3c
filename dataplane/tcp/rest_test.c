/* A pair at rest (rest.h). Two pairs hear the same; one of them is packed, and unpacked in other memory, wherever it is ready: both have to
 * say the same, number by number. ISNs: client 1000, server 9000. The simulation does this with losses and any timing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/half.h"
#include "dataplane/tcp/rest.h"

#define POOL_BYTES (1u << 20)
#define SENT_MAX 64

struct played {
	struct tcp_pair *pair;
	struct tcp_segment sent[2][SENT_MAX];
	unsigned count[2], rests;
	bool packs;
};

static struct tcp_config config;
static struct tcp_pool pool;
static struct played as_it_is, packed;
static uint64_t now_us;
static void *memory;

struct emitting {
	struct played *p;
	unsigned side;
};

static bool emit(void *context, const struct tcp_segment *s)
{
	struct emitting *e = context;

	assert_true(e->p->count[e->side] < SENT_MAX);
	e->p->sent[e->side][e->p->count[e->side]++] = *s;
	return true;
}

/* Into fresh memory; the old one must not be looked at again. */
static void rest(struct played *p)
{
	struct tcp_pair *fresh;
	struct tcp_rest kept;

	if (!p->packs || !tcp_rest_ready(p->pair, now_us))
		return;
	p->rests++;
	tcp_rest_pack(p->pair, &kept);
	fresh = malloc(sizeof *fresh);
	memset(fresh, 0xa5, sizeof *fresh);
	free(p->pair);
	p->pair = fresh;
	tcp_rest_unpack(&kept, fresh, &config, &pool);
}

static void output(struct played *p)
{
	for (unsigned side = 0; side < 2; side++) {
		struct emitting e = { p, side };

		(void)tcp_pair_output(p->pair, side, emit, &e, SENT_MAX, now_us);
	}
	rest(p);
}

static struct tcp_segment segment(uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
	static const uint8_t payload[20000];
	struct tcp_segment s = { .seq = seq, .ack = ack, .flags = flags, .window = 30000, .payload_bytes = (uint32_t)len, .span_count = len > 0 };

	s.spans[0] = bytes_of(payload, len);
	s.options.has_timestamps = true;
	s.options.ts_value = (uint32_t)(now_us / 1000) + 77;
	return s;
}

static void same(void)
{
	for (unsigned side = 0; side < 2; side++) {
		assert_int_equal(packed.count[side], as_it_is.count[side]);
		for (unsigned i = 0; i < packed.count[side]; i++) {
			const struct tcp_segment *a = &packed.sent[side][i], *b = &as_it_is.sent[side][i];

			assert_int_equal(a->seq, b->seq);
			assert_int_equal(a->ack, b->ack);
			assert_int_equal(a->window, b->window);
			assert_int_equal(a->flags, b->flags);
			assert_int_equal(a->payload_bytes, b->payload_bytes);
			assert_memory_equal(&a->options, &b->options, offsetof(struct tcp_options, sack));
		}
		packed.count[side] = as_it_is.count[side] = 0;
		assert_int_equal(tcp_pair_deadline_us(packed.pair), tcp_pair_deadline_us(as_it_is.pair));
	}
}

static void input(unsigned side, const struct tcp_segment *s)
{
	assert_int_equal(tcp_pair_input(packed.pair, side, s, now_us), tcp_pair_input(as_it_is.pair, side, s, now_us));
	now_us += 1000;
	output(&packed);
	output(&as_it_is);
	same();
}

static void say(unsigned side, uint8_t flags, uint32_t seq, uint32_t ack, size_t len)
{
	struct tcp_segment s = segment(flags, seq, ack, len);

	input(side, &s);
}

/* What is unread goes to the other half. */
static void move(unsigned from)
{
	for (int i = 0; i < 2; i++) {
		struct played *p = i ? &as_it_is : &packed;

		(void)tcp_move(&p->pair->half[from], &p->pair->half[!from], 1u << 20);
		output(p);
	}
	same();
}

static void pass(uint64_t us)
{
	unsigned a[2], b[2];

	now_us += us;
	tcp_pair_timer(packed.pair, now_us, a);
	tcp_pair_timer(as_it_is.pair, now_us, b);
	assert_memory_equal(a, b, sizeof a);
	output(&packed);
	output(&as_it_is);
	same();
}

static void open_one(struct played *p, const struct tcp_segment *syn, bool packs)
{
	*p = (struct played){ .pair = malloc(sizeof *p->pair), .packs = packs };
	memset(p->pair, 0x5a, sizeof *p->pair);
	assert_true(tcp_pair_open(p->pair, &config, &pool, syn, now_us));
	assert_false(tcp_rest_ready(p->pair, now_us));
	output(p);
}

static int open_pairs(void **state)
{
	struct tcp_segment syn, answer;

	memory = malloc(POOL_BYTES);
	now_us = 1000000;
	config = tcp_config_default();
	(void)tcp_pool_init(&pool, memory, POOL_BYTES);
	syn = segment(TCP_SYN, 1000, 0, 0);
	answer = segment(TCP_SYN | TCP_ACK, 9000, 1001, 0);
	syn.options.has_mss = answer.options.has_mss = true;
	syn.options.mss = answer.options.mss = 1000;
	syn.options.has_shift = answer.options.has_shift = true;
	syn.options.shift = 2;
	answer.options.shift = 3;
	syn.options.sack_permitted = answer.options.sack_permitted = true;
	open_one(&packed, &syn, true);
	open_one(&as_it_is, &syn, false);
	same();
	input(TCP_SERVER, &answer);
	assert_false(tcp_rest_ready(packed.pair, now_us)); /* the client has not acknowledged yet */
	say(TCP_CLIENT, TCP_ACK, 1001, 9001, 0);
	assert_int_equal(packed.rests, 1);
	return 0;
}

static int close_pairs(void **state)
{
	tcp_pair_release(packed.pair);
	tcp_pair_release(as_it_is.pair);
	free(packed.pair);
	free(as_it_is.pair);
	assert_int_equal(tcp_pool_used(&pool), 0);
	free(memory);
	return 0;
}

/* A request of 100 bytes, a reply of 200. */
static void exchange(uint32_t client, uint32_t server)
{
	say(TCP_CLIENT, TCP_ACK | TCP_PSH, client, server, 100);
	assert_false(tcp_rest_ready(packed.pair, now_us)); /* unread */
	move(TCP_CLIENT);
	assert_false(tcp_rest_ready(packed.pair, now_us)); /* in flight */
	say(TCP_SERVER, TCP_ACK | TCP_PSH, server, client + 100, 200);
	move(TCP_SERVER);
	say(TCP_CLIENT, TCP_ACK, client + 100, server + 200, 0);
}

static void requests_and_replies(void **state)
{
	for (uint32_t i = 0; i < 20; i++) {
		exchange(1001 + 100 * i, 9001 + 200 * i);
		pass(3000000); /* longer than a time-out: the windows begin anew */
	}
	assert_true(packed.rests >= 20);
}

static void the_window_that_was_learnt_is_kept(void **state)
{
	uint32_t at = 9001;

	for (unsigned i = 0; i < 6; i++, at += 8000) { /* slow start, eight segments at a time */
		for (uint32_t part = 0; part < 8000; part += 1000)
			say(TCP_SERVER, TCP_ACK, at + part, 1001, 1000);
		move(TCP_SERVER);
		pass(2000);
		say(TCP_CLIENT, TCP_ACK, 1001, at + 8000, 0);
		pass(2000);
	}
	assert_true(packed.rests >= 6);
	assert_true(as_it_is.pair->half[TCP_CLIENT].congestion.window_bytes > 14600);
	assert_int_equal(packed.pair->half[TCP_CLIENT].congestion.window_bytes, as_it_is.pair->half[TCP_CLIENT].congestion.window_bytes);
	assert_int_equal(packed.pair->half[TCP_CLIENT].rtt.timeout_us, as_it_is.pair->half[TCP_CLIENT].rtt.timeout_us);
}

static void a_recovery_leaves_its_threshold_and_its_patience(void **state)
{
	const struct tcp_half *a, *b;

	say(TCP_SERVER, TCP_ACK | TCP_PSH, 9001, 1001, 900);
	move(TCP_SERVER);
	for (int i = 0; i < 4; i++) /* nobody answers: a probe, then time-outs */
		pass(1500000);
	assert_false(tcp_rest_ready(packed.pair, now_us));
	say(TCP_CLIENT, TCP_ACK, 1001, 9901, 0);
	pass(10000000);
	exchange(1001, 9901);
	a = &packed.pair->half[TCP_CLIENT];
	b = &as_it_is.pair->half[TCP_CLIENT];
	assert_true(b->recovery.lossy > 0 && b->congestion.threshold_bytes < UINT32_MAX);
	assert_int_equal(a->congestion.threshold_bytes, b->congestion.threshold_bytes);
	assert_int_equal(a->congestion.peak_bytes, b->congestion.peak_bytes);
	assert_int_equal(a->recovery.lossy, b->recovery.lossy);
	assert_int_equal(a->recovery.point, b->recovery.point);
}

/* While its D-SACK may come, what a needless recovery did can be undone. */
static void a_needless_recovery_is_waited_for(void **state)
{
	say(TCP_SERVER, TCP_ACK | TCP_PSH, 9001, 1001, 900);
	move(TCP_SERVER);
	for (int i = 0; i < 3; i++)
		pass(1500000);
	packed.rests = 0;
	say(TCP_CLIENT, TCP_ACK, 1001, 9901, 0);
	assert_int_equal(packed.rests, 0);
	pass(10000000);
	assert_int_equal(packed.rests, 1);
}

static void what_is_out_of_order_is_no_rest(void **state)
{
	packed.rests = 0;
	say(TCP_CLIENT, TCP_ACK, 1101, 9001, 100);
	assert_int_equal(packed.rests, 0);
	say(TCP_CLIENT, TCP_ACK, 1001, 9001, 100);
	assert_int_equal(packed.rests, 0);
	move(TCP_CLIENT);
	say(TCP_SERVER, TCP_ACK, 9001, 1201, 0);
	assert_int_equal(packed.rests, 1);
}

static void old_segments_are_refused_as_before(void **state)
{
	exchange(1001, 9001);
	say(TCP_CLIENT, TCP_ACK, 901, 9201, 0);
	say(TCP_CLIENT, TCP_ACK | TCP_PSH, 1001, 9001, 100);
	say(TCP_SERVER, TCP_ACK, 9201, 1101 + 5, 0);
	say(TCP_SERVER, TCP_RST, 9205, 0, 0);
	assert_false(tcp_was_reset(&packed.pair->half[TCP_SERVER]));
	for (int i = 0; i < 20; i++) /* challenges run out, packed or not */
		say(TCP_CLIENT, TCP_SYN, 5000, 0, 0);
	exchange(1101, 9201);
}

static void a_closed_window_and_its_opening(void **state)
{
	struct tcp_segment s;

	exchange(1001, 9001);
	s = segment(TCP_ACK, 1101, 9201, 0);
	s.window = 0;
	input(TCP_CLIENT, &s);
	say(TCP_SERVER, TCP_ACK | TCP_PSH, 9201, 1101, 500);
	move(TCP_SERVER);
	pass(400000);
	s = segment(TCP_ACK, 1101, 9201, 0);
	input(TCP_CLIENT, &s);
	say(TCP_CLIENT, TCP_ACK, 1101, 9701, 0);
}

/* The client ends; the server has more to say; then it ends as well. */
static void half_closed_and_closed(void **state)
{
	struct tcp_rest kept;

	exchange(1001, 9001);
	say(TCP_CLIENT, TCP_FIN | TCP_ACK, 1101, 9201, 0);
	for (int i = 0; i < 2; i++) {
		struct played *p = i ? &as_it_is : &packed;

		tcp_send_close(&p->pair->half[TCP_SERVER]);
		output(p);
	}
	same();
	assert_false(tcp_rest_ready(packed.pair, now_us)); /* a FIN is in flight */
	packed.rests = 0;
	say(TCP_SERVER, TCP_ACK, 9201, 1102, 0);
	assert_int_equal(packed.rests, 1);
	say(TCP_SERVER, TCP_ACK | TCP_PSH, 9201, 1102, 50);
	move(TCP_SERVER);
	say(TCP_CLIENT, TCP_ACK, 1102, 9251, 0);
	say(TCP_SERVER, TCP_FIN | TCP_ACK, 9251, 1102, 0);
	for (int i = 0; i < 2; i++) {
		struct played *p = i ? &as_it_is : &packed;

		tcp_send_close(&p->pair->half[TCP_CLIENT]);
		output(p);
	}
	same();
	packed.rests = 0;
	say(TCP_CLIENT, TCP_ACK, 1102, 9252, 0);
	assert_int_equal(packed.rests, 1);
	say(TCP_SERVER, TCP_FIN | TCP_ACK, 9251, 1102, 0); /* its acknowledgement was lost */
	tcp_rest_pack(packed.pair, &kept);
	assert_false(tcp_rest_over(&kept, now_us));
	assert_true(tcp_rest_over(&kept, now_us + config.time_wait_us));
	pass(config.time_wait_us);
	assert_true(tcp_pair_done(packed.pair) && tcp_pair_done(as_it_is.pair));
}

static void keepalive_finds_a_dead_peer(void **state)
{
	exchange(1001, 9001);
	packed.rests = 0;
	for (int i = 0; i < 40 && !tcp_timed_out(&as_it_is.pair->half[TCP_CLIENT]); i++)
		pass(config.keepalive_interval_us);
	assert_true(packed.rests > 5);
	assert_true(tcp_timed_out(&as_it_is.pair->half[TCP_CLIENT]) && tcp_timed_out(&packed.pair->half[TCP_CLIENT]));
}

#define PAIRS(f) cmocka_unit_test_setup_teardown(f, open_pairs, close_pairs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PAIRS(requests_and_replies), PAIRS(the_window_that_was_learnt_is_kept), PAIRS(a_recovery_leaves_its_threshold_and_its_patience),
		PAIRS(a_needless_recovery_is_waited_for), PAIRS(what_is_out_of_order_is_no_rest), PAIRS(old_segments_are_refused_as_before),
		PAIRS(a_closed_window_and_its_opening), PAIRS(half_closed_and_closed), PAIRS(keepalive_finds_a_dead_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
