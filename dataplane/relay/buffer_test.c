#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dataplane/relay/buffer.h"

static struct buffer_pool pool;

static int make(void **state)
{
	return buffer_pool_create(&pool, (const uint32_t[]){ 2, 1, 1 }) ? 0 : -1;
}

static int drop(void **state)
{
	for (int i = 0; i < BUFFER_SIZES; i++)
		assert_int_equal(pool.free_count[i], pool.total[i]);
	buffer_pool_destroy(&pool);
	return 0;
}

static void append(struct stream *s, const char *text)
{
	struct writer w;

	assert_true(stream_reserve(s, &pool, strlen(text)));
	w = stream_writer(s);
	writer_str(&w, text);
	stream_commit(s, w.len);
}

static void grows_and_gives_back(void **state)
{
	struct stream s = { 0 };

	append(&s, "hello ");
	append(&s, "world");
	assert_true(bytes_equal(stream_readable(&s), bytes_str("hello world")));
	stream_consume(&s, &pool, 6);
	assert_true(stream_reserve(&s, &pool, BUFFER_SMALL_BYTES));
	assert_int_equal(s.size, BUFFER_MEDIUM);
	assert_true(bytes_equal(stream_readable(&s), bytes_str("world")));
	assert_int_equal(s.written, 11);
	stream_consume(&s, &pool, 5);
	assert_null(s.base);
}

static void compacts_before_it_grows(void **state)
{
	struct stream s = { 0 };

	assert_true(stream_reserve(&s, &pool, 10));
	stream_commit(&s, BUFFER_SMALL_BYTES - 4);
	stream_consume(&s, &pool, BUFFER_SMALL_BYTES - 10);
	assert_true(stream_reserve(&s, &pool, 100));
	assert_int_equal(s.size, BUFFER_SMALL);
	assert_int_equal(stream_bytes(&s), 6);
	stream_release(&s, &pool);
}

static void truncation_takes_back_the_end(void **state)
{
	struct stream s = { 0 };
	struct writer w;

	assert_true(stream_reserve(&s, &pool, 20));
	w = stream_writer(&s);
	writer_str(&w, "hello world");
	stream_commit(&s, w.len);
	stream_consume(&s, &pool, 2);
	stream_truncate(&s, &pool, 3);
	assert_true(bytes_equal(stream_readable(&s), bytes_str("llo")));
	assert_int_equal(s.written, 5);
	assert_memory_equal(s.base + s.tail, "\0\0\0\0\0\0", 6); /* overwritten: it may have held a secret */
	stream_truncate(&s, &pool, 3);
	assert_int_equal(stream_bytes(&s), 3);
	stream_truncate(&s, &pool, 0);
	assert_null(s.base);
}

static void empty_pool_says_no(void **state)
{
	struct stream s[5] = { 0 };

	for (int i = 0; i < 4; i++)
		assert_true(stream_reserve(&s[i], &pool, 1)); /* a larger size serves when the small ones are gone */
	assert_false(stream_reserve(&s[4], &pool, 1));
	assert_false(stream_reserve(&s[0], &pool, BUFFER_LARGE_BYTES + 1));
	for (int i = 0; i < 4; i++) {
		stream_commit(&s[i], 1);
		stream_release(&s[i], &pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(grows_and_gives_back, make, drop),
		cmocka_unit_test_setup_teardown(compacts_before_it_grows, make, drop),
		cmocka_unit_test_setup_teardown(truncation_takes_back_the_end, make, drop),
		cmocka_unit_test_setup_teardown(empty_pool_says_no, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
