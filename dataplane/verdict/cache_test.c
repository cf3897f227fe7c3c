#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/verdict/cache.h"
#include "dataplane/verdict/random_policy.h"

static struct random_policy policy;
static struct random_request request;

static struct cache *make(unsigned slots)
{
	void *memory = aligned_alloc(64, (cache_bytes(slots) + 63) & ~(size_t)63);

	assert_non_null(memory);
	return cache_init(memory, slots, (struct hash_key){ 1, 2 });
}

static struct bytes classification_of(uint8_t *room, size_t cap, bool generic, size_t text_len)
{
	static char text[2 * CACHE_SLOT_BYTES];
	struct classification_writer w = classification_writer_of(room, cap, generic);

	memset(text, 'x', sizeof text);
	classification_begin_statement(&w, 0);
	classification_add_access(&w, &(struct access){ .verb = VERB_select });
	classification_begin_targets(&w);
	classification_end_statement(&w, NULL);
	return classification_finish(&w, bytes_of(text, text_len), bytes_str("n"));
}

static void test_keeps_and_finds(void **state)
{
	struct cache *c = make(64);
	uint8_t room[4096];
	struct bytes exact = classification_of(room, sizeof room, false, 10), encoded;
	struct classification found;
	struct hash128 key = { 7, 9 };

	assert_false(cache_find(c, key, false, &found, &encoded));
	assert_true(cache_put(c, key, exact));
	memset(room, 0, sizeof room); /* it keeps its own copy */
	assert_true(cache_find(c, key, false, &found, &encoded));
	assert_int_equal(found.canonical.len, 10);
	assert_true(encoded.base != room && encoded.len == exact.len);
	assert_false(cache_find(c, (struct hash128){ 7, 8 }, false, &found, &encoded));
	assert_false(cache_find(c, (struct hash128){ 8, 9 }, false, &found, &encoded));
	assert_null(found.canonical.base);
	/* Not generic: nothing may be taken from it for another text of the same shape. */
	assert_false(cache_find(c, key, true, &found, &encoded));
	assert_true(cache_put(c, key, classification_of(room, sizeof room, true, 11)));
	assert_true(cache_find(c, key, true, &found, &encoded));
	assert_int_equal(found.canonical.len, 11);
	free(c);
}

static void test_refuses(void **state)
{
	struct cache *c = make(64);
	uint8_t room[4096];
	struct bytes encoded, good = classification_of(room, sizeof room, false, CACHE_SLOT_BYTES - 30);
	struct classification found;
	struct hash128 key = { 1, 1 };

	assert_true(good.len <= CACHE_SLOT_BYTES && cache_put(c, key, good));
	assert_false(cache_put(c, (struct hash128){ 1, 2 }, classification_of(room, sizeof room, false, CACHE_SLOT_BYTES)));
	assert_int_equal(cache_counts(c).too_large, 1);
	/* What does not open is not kept, and what stood there is gone. */
	assert_false(cache_put(c, key, bytes_of(room, 17)));
	assert_false(cache_find(c, key, false, &found, &encoded));
	assert_false(cache_put(c, key, (struct bytes){ 0 }));
	free(c);
	assert_null(cache_init(room, 3, (struct hash_key){ 0 }));
	assert_null(cache_init(room, 2, (struct hash_key){ 0 }));
	assert_null(cache_init(room, 96, (struct hash_key){ 0 }));
}

static void test_least_recently_used_goes(void **state)
{
	struct cache *c = make(4); /* one set */
	uint8_t room[4096];
	struct bytes encoded, e = classification_of(room, sizeof room, false, 5);
	struct classification found;

	for (unsigned i = 1; i <= 4; i++)
		assert_true(cache_put(c, (struct hash128){ i, i }, e));
	assert_true(cache_find(c, (struct hash128){ 1, 1 }, false, &found, &encoded));
	assert_true(cache_put(c, (struct hash128){ 5, 5 }, e));
	assert_true(cache_find(c, (struct hash128){ 1, 1 }, false, &found, &encoded));
	assert_false(cache_find(c, (struct hash128){ 2, 2 }, false, &found, &encoded));
	assert_int_equal(cache_counts(c).evicted, 1);
	free(c);
}

/* Whatever changes between two calls, the cached verdict is the one that verdict_evaluate gives now. */
static void test_verdict_is_never_stale(void **state)
{
	struct cache *c = make(64);
	struct rng r = rng_seeded(5);
	struct policy_image *image[2] = { NULL, NULL };
	struct classification found;
	struct bytes encoded;

	for (unsigned round = 0; round < 20000; round++) {
		struct hash128 key = { 3, round / 40 };
		struct verdict want, got;
		struct verdict_request *q = &request.request;

		if (round % 40 == 0) {
			for (unsigned i = 0; i < 2; i++) {
				free(image[i]);
				random_policy(&policy, &r, 12);
				image[i] = random_policy_image(&policy);
			}
			random_request(&request, &r);
			assert_true(cache_put(c, key, request.encoding));
		}
		/* One of the things a verdict rests on changes, or nothing. */
		switch (rng_below(&r, 12)) {
		case 0: q->service = (unsigned)rng_below(&r, 4); break;
		case 1: q->groups.w[0] = rng_below(&r, 16); break;
		case 2: q->in_transaction = !q->in_transaction; break;
		case 3: q->database = bytes_str(rng_below(&r, 2) ? "db" : "other"); break;
		case 4: q->default_schema = bytes_str(rng_below(&r, 2) ? "" : "other"); break;
		case 5: q->patterns.w[0] = rng_below(&r, 16); break;
		case 6: q->now_s = rng_below(&r, 604800); break;
		case 7: q->family = 4; memcpy(q->source, (uint8_t[]){ 10, 1, rng_below(&r, 2) ? 31 : 32, 7 }, 4); break;
		case 9: q->schema_unknown = !q->schema_unknown; break;
		case 10: q->now_s = 0; break;
		case 8: q->flags = rng_below(&r, 2) ? FLAG_binary_result : 0; break;
		}
		assert_true(cache_find(c, key, false, &found, &encoded));
		q->classification = &found;
		unsigned which = (unsigned)rng_below(&r, 2);
		cache_verdict(c, key, image[which], q, &got);
		verdict_evaluate(image[which], q, &want);
		assert_int_equal(got.action, want.action);
		assert_int_equal(got.approval, want.approval);
		assert_int_equal(got.rules_count, want.rules_count);
		assert_memory_equal(got.rules, want.rules, want.rules_count * sizeof *want.rules);
		assert_memory_equal(&got.mask, &want.mask, sizeof want.mask);
		assert_ptr_equal(got.say.base, want.say.base);
	}
	assert_true(cache_counts(c).verdict_hits > 1000 && cache_counts(c).verdict_misses > 1000);
	free(image[0]);
	free(image[1]);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keeps_and_finds), cmocka_unit_test(test_refuses), cmocka_unit_test(test_least_recently_used_goes),
		cmocka_unit_test(test_verdict_is_never_stale),
	};

	return cmocka_run_group_tests_name("verdict cache", tests, NULL, NULL);
}
