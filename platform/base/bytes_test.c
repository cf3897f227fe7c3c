#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/errors.h"
#include "platform/base/hash.h"
#include "platform/base/random.h"

static void reader_is_sticky(void **state)
{
	const uint8_t in[] = { 1, 2, 3 };
	struct reader r = reader_of(in, sizeof in);

	assert_int_equal(reader_be16(&r), 0x0102);
	assert_int_equal(reader_be16(&r), 0);
	assert_false(r.ok);
	assert_int_equal(reader_u8(&r), 0);
	assert_int_equal(r.left, 0);
}

static void sub_reader_is_bounded(void **state)
{
	const uint8_t in[] = { 1, 2, 3, 4 };
	struct reader r = reader_of(in, sizeof in);
	struct reader sub = reader_sub(&r, 2);

	assert_int_equal(reader_be32(&sub), 0);
	assert_false(sub.ok);
	assert_true(r.ok);
	assert_int_equal(reader_be16(&r), 0x0304);
	sub = reader_sub(&r, 1);
	assert_false(sub.ok);
	assert_false(r.ok);
}

static void cstr_needs_its_nul(void **state)
{
	struct reader r = reader_of("ab\0cd", 5);

	assert_true(bytes_equal(reader_cstr(&r), bytes_str("ab")));
	assert_int_equal(reader_cstr(&r).len, 0);
	assert_false(r.ok);
}

static void writer_refuses_overflow(void **state)
{
	uint8_t out[6] = { 0 };
	struct writer w = writer_of(out, sizeof out);
	size_t mark = writer_mark(&w, 2);

	writer_str(&w, "abcd");
	writer_patch(&w, mark, 2, 4);
	assert_true(w.ok);
	assert_memory_equal(out, "\0\4abcd", 6);
	writer_u8(&w, 1);
	assert_false(w.ok);
	assert_int_equal(writer_done(&w).len, 0);
}

static void little_and_big_agree(void **state)
{
	uint8_t out[16];
	struct writer w = writer_of(out, sizeof out);
	struct reader r;

	writer_le64(&w, 0x0102030405060708ULL);
	writer_be64(&w, 0x0102030405060708ULL);
	r = reader_of(out, sizeof out);
	assert_int_equal(reader_le64(&r), 0x0102030405060708ULL);
	assert_int_equal(reader_be64(&r), 0x0102030405060708ULL);
}

/* The first vectors of the SipHash reference implementation: key 00..0f, input 00..len-1. */
static void siphash_vectors(void **state)
{
	struct hash_key key = { 0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL };
	uint64_t words[5];
	uint8_t in[40];
	struct hash128 wide;

	for (unsigned i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)i;
	assert_int_equal(hash64(key, in, 0), 0x726fdb47dd0e0e31ULL);
	assert_int_equal(hash64(key, in, 15), 0xa129ca6149be45e5ULL);
	memcpy(words, in, sizeof words);
	assert_int_equal(hash64_words(key, words, 0), 0xabac0158050fc4dcULL);
	assert_int_equal(hash64_words(key, words, 3), 0xf464aeb267349c8cULL);
	assert_int_equal(hash64_words(key, words, 5), 0xc1d2363299e41531ULL);
	wide = hash128(key, in, 0);
	assert_int_equal(wide.lo, 0xe6a825ba047f81a3ULL);
	assert_int_equal(wide.hi, 0x930255c71472f66dULL);
}

static void seeded_is_repeatable(void **state)
{
	struct rng a = rng_seeded(7), b = rng_seeded(7), c = rng_seeded(8);

	assert_int_equal(rng_next(&a), rng_next(&b));
	assert_int_not_equal(rng_next(&a), rng_next(&c));
	for (int i = 0; i < 1000; i++)
		assert_true(rng_below(&a, 10) < 10);
}

static void errors_have_names(void **state)
{
	assert_string_equal(error_name(ERROR_bad_tcp_checksum), "bad_tcp_checksum");
	assert_string_equal(error_name((enum error)999), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_is_sticky),
		cmocka_unit_test(sub_reader_is_bounded),
		cmocka_unit_test(cstr_needs_its_nul),
		cmocka_unit_test(writer_refuses_overflow),
		cmocka_unit_test(little_and_big_agree),
		cmocka_unit_test(siphash_vectors),
		cmocka_unit_test(seeded_is_repeatable),
		cmocka_unit_test(errors_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
