#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/tcp/queue.h"
#include "platform/base/random.h"

#define CHUNKS 32

static void *memory;
static struct tcp_pool pool;

static int set_up(void **state)
{
	memory = malloc((CHUNKS + 1) * TCP_CHUNK_BYTES);
	return tcp_pool_init(&pool, memory, (CHUNKS + 1) * TCP_CHUNK_BYTES) < CHUNKS;
}

static int tear_down(void **state)
{
	free(memory);
	return 0;
}

static void pool_keeps_a_reserve(void **state)
{
	struct tcp_chunk *taken[CHUNKS + 2];
	uint32_t count = 0;

	while ((taken[count] = tcp_pool_get(&pool, false)))
		count++;
	assert_int_equal(pool.free_count, pool.reserve);
	assert_true(pool.reserve > 0);
	assert_true(tcp_pool_low(&pool));
	while ((taken[count] = tcp_pool_get(&pool, true)))
		count++;
	assert_int_equal(count, pool.chunk_count);
	assert_int_equal(tcp_pool_used(&pool), count);
	while (count > 0)
		tcp_pool_put(&pool, taken[--count]);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

static void pool_of_unaligned_or_tiny_memory(void **state)
{
	static char at[4 * TCP_CHUNK_BYTES]; /* not the others' pool, whose free list lies in its chunks */
	struct tcp_pool small;

	assert_int_equal(tcp_pool_init(&small, at + 1, TCP_CHUNK_BYTES), 0);
	assert_null(tcp_pool_get(&small, true));
	assert_int_equal(tcp_pool_init(&small, at + 1, 2 * TCP_CHUNK_BYTES + 63), 2);
	assert_int_equal(tcp_pool_init(&small, NULL, 0), 0);
}

static void small_writes_share_a_chunk(void **state)
{
	struct tcp_queue q = { 0 };

	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(tcp_queue_append(&q, &pool, bytes_str("0123456789"), false), 10);
	assert_int_equal(q.chunks, 1);
	assert_int_equal(q.bytes, 1000);
	tcp_queue_clear(&q, &pool);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

static void append_stops_when_memory_does(void **state)
{
	static uint8_t much[(CHUNKS + 8) * TCP_CHUNK_BYTES];
	struct tcp_queue q = { 0 };
	size_t taken = tcp_queue_append(&q, &pool, bytes_of(much, sizeof(much)), false);

	assert_int_equal(taken, q.bytes);
	assert_int_equal(pool.free_count, pool.reserve);
	assert_int_equal(tcp_queue_append(&q, &pool, bytes_of(much, 1), false), 0);
	assert_int_equal(tcp_queue_append(&q, &pool, bytes_of(much, 1), true), 1);
	tcp_queue_clear(&q, &pool);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

/* Two queues and a model: appends, moves and consumes of any size keep every byte in its place. */
static void streams_stay_whole(void **state)
{
	struct rng rng = rng_seeded(3);
	struct tcp_queue a = { 0 }, b = { 0 };
	uint32_t written = 0, read = 0;

	for (unsigned i = 0; i < 20000; i++) {
		uint8_t data[3000];
		size_t len = 1 + rng_below(&rng, rng_below(&rng, 2) ? 20 : sizeof(data) - 1);

		for (size_t k = 0; k < len; k++)
			data[k] = (uint8_t)((written + k) * 31 >> 3);
		written += (uint32_t)tcp_queue_append(&a, &pool, bytes_of(data, len), false);
		(void)tcp_queue_move(&a, &b, &pool, rng_below(&rng, 5000));
		len = rng_below(&rng, 5000);
		while (len > 0 && b.head) {
			uint32_t part = b.head->len < len ? b.head->len : (uint32_t)len;

			for (uint32_t k = 0; k < part; k++)
				assert_int_equal(b.head->data[b.head->offset + k], (uint8_t)((read + k) * 31 >> 3));
			assert_int_equal(tcp_queue_consume(&b, &pool, part), part);
			read += part;
			len -= part;
		}
		assert_int_equal(written - read, a.bytes + b.bytes);
	}
	tcp_queue_clear(&a, &pool);
	tcp_queue_clear(&b, &pool);
	assert_int_equal(tcp_pool_used(&pool), 0);
}

static void moving_full_chunks_copies_nothing(void **state)
{
	static uint8_t data[3 * sizeof(((struct tcp_chunk *)0)->data)];
	struct tcp_queue a = { 0 }, b = { 0 };
	struct tcp_chunk *first;

	(void)tcp_queue_append(&a, &pool, bytes_of(data, sizeof(data)), false);
	first = a.head;
	assert_int_equal(tcp_queue_move(&a, &b, &pool, SIZE_MAX), sizeof(data));
	assert_ptr_equal(b.head, first);
	assert_int_equal(b.chunks, 3);
	assert_null(a.head);
	assert_null(a.tail);
	tcp_queue_clear(&b, &pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_keeps_a_reserve),
		cmocka_unit_test(pool_of_unaligned_or_tiny_memory),
		cmocka_unit_test(small_writes_share_a_chunk),
		cmocka_unit_test(append_stops_when_memory_does),
		cmocka_unit_test(streams_stay_whole),
		cmocka_unit_test(moving_full_chunks_copies_nothing),
	};

	return cmocka_run_group_tests_name("tcp queue", tests, set_up, tear_down);
}
