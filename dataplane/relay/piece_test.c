#include "dataplane/relay/piece.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#define SMALL 8u
#define LARGE 4u

static const size_t bytes[PIECE_SIZES] = { 100, 1000 };
static const uint32_t counts[PIECE_SIZES] = { SMALL, LARGE };
static _Alignas(64) uint8_t memory[SMALL * 128 + LARGE * 1024];
static struct piece_pool pool;

static int begin(void **state)
{
	memset(memory, 0, sizeof memory);
	piece_pool_init(&pool, memory, bytes, counts);
	return 0;
}

static bool is_zero(const uint8_t *piece, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (piece[i])
			return false;
	return true;
}

static void each_has_its_own_memory(void **state)
{
	assert_int_equal(piece_pool_bytes(bytes, counts), sizeof memory);
	for (unsigned size = 0; size < PIECE_SIZES; size++) {
		for (uint32_t i = 0; i < counts[size]; i++) {
			uint8_t *piece = piece_take(&pool, size, 0);

			assert_non_null(piece);
			assert_true(is_zero(piece, bytes[size]));
			memset(piece, 0xaa, bytes[size]);
		}
		assert_int_equal(pool.free_count[size], 0);
	}
}

/* A quarter is left for the others, and then for nobody. */
static void who_has_some_leaves_the_last_quarter(void **state)
{
	unsigned held = 0;

	while (piece_take(&pool, 0, held))
		held++;
	assert_int_equal(held, SMALL - SMALL / 4);
	assert_non_null(piece_take(&pool, 0, 0));
	assert_non_null(piece_take(&pool, 0, 0));
	assert_null(piece_take(&pool, 0, 0));
	assert_non_null(piece_take(&pool, 1, 0)); /* of the other size there are all */
}

static void what_comes_back_is_wiped_and_found_again(void **state)
{
	uint8_t *piece = piece_take(&pool, 1, 0);

	memset(piece, 0x55, bytes[1]);
	piece_give(&pool, 1, piece);
	assert_int_equal(pool.free_count[1], LARGE);
	assert_ptr_equal(piece_take(&pool, 1, 0), piece);
	assert_true(is_zero(piece, bytes[1]));
}

static void a_size_that_nobody_uses_is_empty(void **state)
{
	static const size_t none[PIECE_SIZES] = { 100, 0 };

	assert_int_equal(piece_pool_bytes(none, counts), SMALL * 128);
	piece_pool_init(&pool, memory, none, counts);
	assert_null(piece_take(&pool, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_has_its_own_memory, begin),
		cmocka_unit_test_setup(who_has_some_leaves_the_last_quarter, begin),
		cmocka_unit_test_setup(what_comes_back_is_wiped_and_found_again, begin),
		cmocka_unit_test_setup(a_size_that_nobody_uses_is_empty, begin),
	};

	return cmocka_run_group_tests_name("piece", tests, NULL, NULL);
}
