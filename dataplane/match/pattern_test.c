#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/match/pattern.h"
#include "platform/base/limits.h"

static const char *const patterns[] = { "\\bcard\\b", "drop\\s+table", "\\.", "^$|xyz{2}" };

static uint8_t *compiled(const char *const *list, unsigned count, size_t *len)
{
	char err[200];
	unsigned bad;

	return match_patterns_compile(list, count, len, &bad, err, sizeof err);
}

static uint64_t scan(struct match_patterns *set, const char *text, size_t len)
{
	uint64_t hits[LIMIT_PATTERNS / 64] = { 0 };

	assert_true(match_patterns_scan(set, bytes_of(text, len), hits));
	return hits[0];
}

static void test_hits(void **state)
{
	char err[200];
	size_t len;
	uint8_t *blob = compiled(patterns, 3, &len);
	struct match_patterns *set = match_patterns_load(blob, len, 3, err, sizeof err);
	uint64_t hits[LIMIT_PATTERNS / 64] = { 8 };

	assert_non_null(set);
	free(blob); /* the set keeps nothing of it */
	assert_int_equal(scan(set, "select card from t", 18), 1);
	assert_int_equal(scan(set, "select CARD from t", 18), 1);
	assert_int_equal(scan(set, "select cards from t", 19), 0);
	assert_int_equal(scan(set, "DROP\n\tTABLE a.b", 15), 2 + 4);
	assert_int_equal(scan(set, "\xff\xfe card \x80", 9), 1); /* not UTF-8 */
	assert_int_equal(scan(set, "a\0card", 6), 1);
	assert_int_equal(scan(set, "", 0), 0);
	assert_true(match_patterns_scan(set, bytes_str("card"), hits)); /* hits are added to */
	assert_int_equal(hits[0], 8 + 1);
	match_patterns_free(set);
	match_patterns_free(NULL);
}

static void test_bad_patterns(void **state)
{
	static const char *const bad_ones[] = { "(?=a)b", "(?<=a)b", "(a)\\1", "a(", "[z-a]", "a*", "\\", "(?>a)" };
	char err[200], longest[1200];
	unsigned bad;
	size_t len;

	for (size_t i = 0; i < sizeof bad_ones / sizeof *bad_ones; i++) {
		const char *list[] = { "fine", bad_ones[i], "fine too" };

		if (match_patterns_compile(list, 3, &len, &bad, err, sizeof err) || bad != 1 || !err[0])
			fail_msg("%s: %u %s", bad_ones[i], bad, err);
	}
	memset(longest, 'a', sizeof longest);
	longest[1100] = 0;
	assert_null(match_patterns_compile((const char *const[]){ longest }, 1, &len, &bad, err, sizeof err));
	assert_int_equal(bad, 0);
	assert_null(match_patterns_compile(patterns, 0, &len, &bad, err, sizeof err));
}

static void test_damaged_blob(void **state)
{
	char err[200];
	size_t len;
	uint8_t *blob = compiled(patterns, 2, &len);
	struct match_patterns *set;

	assert_non_null(blob);
	assert_null(match_patterns_load(blob, len, 3, err, sizeof err)); /* another policy's */
	assert_null(match_patterns_load(blob, 0, 2, err, sizeof err));
	assert_null(match_patterns_load(NULL, 0, 0, err, sizeof err));
	for (size_t cut = 0; cut < len; cut += 1 + cut / 8)
		assert_null(match_patterns_load(blob, cut, 2, err, sizeof err));
	for (size_t at = 0; at < 16; at++) {
		blob[at] ^= 1;
		assert_null(match_patterns_load(blob, len, 2, err, sizeof err));
		blob[at] ^= 1;
	}
	for (size_t at = 16; at < len; at += 37) {
		blob[at] ^= 0x20;
		assert_null(match_patterns_load(blob, len, 2, err, sizeof err));
		blob[at] ^= 0x20;
	}
	set = match_patterns_load(blob, len, 2, err, sizeof err);
	assert_non_null(set);
	match_patterns_free(set);
	free(blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_hits), cmocka_unit_test(test_bad_patterns), cmocka_unit_test(test_damaged_blob) };

	return cmocka_run_group_tests_name("patterns", tests, NULL, NULL);
}
