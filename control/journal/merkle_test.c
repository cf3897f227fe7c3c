#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "control/journal/base64.h"
#include "control/journal/merkle.h"
#include "platform/base/random.h"

/* The vectors of the Certificate Transparency code base for RFC 6962: entries and the root after each. */
static const char *const entries[] = { "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f" };
static const char *const roots[] = {
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
};

static struct merkle_hash from_hex(const char *text)
{
	struct merkle_hash h;
	struct writer w = writer_of(h.b, sizeof h.b);

	assert_true(hex_read(bytes_str(text), &w));
	return h;
}

static void roots_are_those_of_the_published_vectors(void **state)
{
	struct merkle_range r = { 0 };
	struct merkle_hash empty = merkle_empty();
	struct merkle_hash want = from_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

	assert_true(merkle_equal(&empty, &want));
	for (size_t i = 0; i < 8; i++) {
		uint8_t raw[16];
		struct writer w = writer_of(raw, sizeof raw);
		struct merkle_hash leaf, root;

		assert_true(hex_read(bytes_str(entries[i]), &w));
		leaf = merkle_leaf(bytes_of(raw, w.len));
		merkle_range_push(&r, &leaf);
		root = merkle_range_root(&r);
		want = from_hex(roots[i]);
		assert_true(merkle_equal(&root, &want));
	}
}

/* --- the definition, word for word, over leaves in memory --------------------------------------------------------------- */

#define LEAVES 300
static struct merkle_hash leaves[LEAVES];

static struct merkle_hash mth(size_t begin, size_t end)
{
	size_t k = 1;
	struct merkle_hash left, right;

	if (end == begin)
		return merkle_empty();
	if (end - begin == 1)
		return leaves[begin];
	while (k * 2 < end - begin)
		k *= 2;
	left = mth(begin, begin + k);
	right = mth(begin + k, end);
	return merkle_node(&left, &right);
}

static bool memory_get(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out)
{
	uint64_t begin = number << height, end = (number + 1) << height;

	if (end > LEAVES)
		return false;
	*out = mth(begin, end);
	return true;
}

static const struct merkle_source memory = { .get = memory_get };

static int make_leaves(void **state)
{
	struct rng rng = rng_seeded(7);

	for (size_t i = 0; i < LEAVES; i++) {
		uint64_t value = rng_next(&rng);

		leaves[i] = merkle_leaf(bytes_of(&value, sizeof value));
	}
	return 0;
}

static void roots_are_those_of_the_definition(void **state)
{
	struct merkle_range r = { 0 };

	for (size_t size = 0; size <= LEAVES; size++) {
		struct merkle_hash want = mth(0, size), root = merkle_range_root(&r), at;

		assert_true(merkle_equal(&root, &want));
		assert_true(merkle_root_at(&memory, size, &at));
		assert_true(merkle_equal(&at, &want));
		if (size < LEAVES)
			merkle_range_push(&r, &leaves[size]);
	}
}

static void inclusion_is_proven_for_each_leaf_and_no_other(void **state)
{
	struct merkle_proof proof;

	for (size_t size = 1; size <= 70; size++) {
		struct merkle_hash root = mth(0, size);

		for (size_t i = 0; i < size; i++) {
			assert_true(merkle_prove_inclusion(&memory, i, size, &proof));
			assert_true(merkle_check_inclusion(&leaves[i], i, size, &proof, &root));
			assert_false(merkle_check_inclusion(&leaves[i + 1], i, size, &proof, &root));
			if (size > 1)
				assert_false(merkle_check_inclusion(&leaves[i], (i + 1) % size, size, &proof, &root));
			for (size_t k = 0; k < proof.count; k++) {
				proof.hash[k].b[k % 32] ^= 1;
				assert_false(merkle_check_inclusion(&leaves[i], i, size, &proof, &root));
				proof.hash[k].b[k % 32] ^= 1;
			}
			proof.count++;
			assert_false(merkle_check_inclusion(&leaves[i], i, size, &proof, &root));
			if (proof.count > 1) {
				proof.count -= 2;
				assert_false(merkle_check_inclusion(&leaves[i], i, size, &proof, &root));
			}
		}
	}
	assert_false(merkle_prove_inclusion(&memory, 5, 5, &proof));
	assert_false(merkle_prove_inclusion(&memory, 5, LEAVES + 9, &proof));
	assert_int_equal(proof.count, 0);
}

static void consistency_is_proven_for_extensions_and_nothing_else(void **state)
{
	struct merkle_proof proof;

	for (size_t new = 1; new <= 70; new++) {
		struct merkle_hash new_root = mth(0, new);

		for (size_t old = 0; old <= new; old++) {
			struct merkle_hash old_root = mth(0, old), wrong = old_root;

			wrong.b[3] ^= 4;
			assert_true(merkle_prove_consistency(&memory, old, new, &proof));
			assert_true(merkle_check_consistency(old, &old_root, new, &new_root, &proof));
			if (old == 0)
				continue;
			assert_false(merkle_check_consistency(old, &wrong, new, &new_root, &proof));
			assert_false(merkle_check_consistency(old, &old_root, new, &leaves[0], &proof) && new != 1);
			for (size_t k = 0; k < proof.count; k++) {
				proof.hash[k].b[31] ^= 0x80;
				assert_false(merkle_check_consistency(old, &old_root, new, &new_root, &proof));
				proof.hash[k].b[31] ^= 0x80;
			}
			if (proof.count) {
				proof.count--;
				assert_false(merkle_check_consistency(old, &old_root, new, &new_root, &proof));
			}
		}
	}
	assert_false(merkle_prove_consistency(&memory, 8, 7, &proof));
	/* Nothing follows from an empty proof but an empty or an equal tree. */
	proof.count = 0;
	assert_false(merkle_check_consistency(3, &leaves[0], 5, &leaves[1], &proof));
	assert_false(merkle_check_consistency(4, &leaves[0], 5, &leaves[1], &proof));
}

static void subtrees_join_only_at_their_place(void **state)
{
	struct merkle_range r = { 0 };
	struct merkle_hash first = mth(0, 256), want = mth(0, 300), root;

	assert_true(merkle_range_push_subtree(&r, 8, &first));
	for (size_t i = 256; i < 300; i++)
		merkle_range_push(&r, &leaves[i]);
	root = merkle_range_root(&r);
	assert_true(merkle_equal(&root, &want));
	assert_false(merkle_range_push_subtree(&r, 3, &first));
	assert_int_equal(r.size, 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roots_are_those_of_the_published_vectors),
		cmocka_unit_test(roots_are_those_of_the_definition),
		cmocka_unit_test(inclusion_is_proven_for_each_leaf_and_no_other),
		cmocka_unit_test(consistency_is_proven_for_extensions_and_nothing_else),
		cmocka_unit_test(subtrees_join_only_at_their_place),
	};

	return cmocka_run_group_tests_name("merkle", tests, make_leaves, NULL);
}
