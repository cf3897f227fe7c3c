/* RFC 6962 section 2.1. A tree of n leaves splits at the largest power of two below n; every left part is therefore a complete
 * subtree that starts at a multiple of its own size, and a source needs to know only such subtrees. The trap: a proof is made
 * for ranges [begin, end) that touch the right edge, so only their left parts can be asked of the source.
 *
 * SHA256_Init and its sisters are deprecated in OpenSSL 3.0 in favour of EVP, which allocates a context and takes a lock a
 * call; two hashes of 65 bytes a record make that most of the cost. The primitive and its assembly are the same.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "control/journal/merkle.h"

#include <openssl/sha.h>
#include <string.h>

static struct merkle_hash sha256_prefixed(int prefix, struct bytes first, struct bytes second)
{
	struct merkle_hash out;
	SHA256_CTX ctx;
	uint8_t mark = (uint8_t)prefix;

	SHA256_Init(&ctx);
	if (prefix >= 0)
		SHA256_Update(&ctx, &mark, 1);
	if (first.len)
		SHA256_Update(&ctx, first.base, first.len);
	if (second.len)
		SHA256_Update(&ctx, second.base, second.len);
	SHA256_Final(out.b, &ctx);
	return out;
}

struct merkle_hash merkle_leaf(struct bytes entry)
{
	return sha256_prefixed(0, entry, (struct bytes){ 0 });
}

struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right)
{
	return sha256_prefixed(1, bytes_of(left->b, sizeof left->b), bytes_of(right->b, sizeof right->b));
}

struct merkle_hash merkle_empty(void)
{
	return sha256_prefixed(-1, (struct bytes){ 0 }, (struct bytes){ 0 });
}

struct merkle_hash merkle_sha256(struct bytes data)
{
	return sha256_prefixed(-1, data, (struct bytes){ 0 });
}

bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b)
{
	return memcmp(a->b, b->b, sizeof a->b) == 0;
}

bool merkle_range_push_subtree(struct merkle_range *r, unsigned height, const struct merkle_hash *hash)
{
	struct merkle_hash top = *hash;

	if (height > 62 || r->size & ((1ULL << height) - 1) || r->size > UINT64_MAX - (1ULL << height))
		return false;
	for (uint64_t above = r->size >> height; above & 1; above >>= 1)
		top = merkle_node(&r->node[--r->count], &top);
	r->node[r->count++] = top;
	r->size += 1ULL << height;
	return true;
}

void merkle_range_push(struct merkle_range *r, const struct merkle_hash *leaf)
{
	(void)merkle_range_push_subtree(r, 0, leaf);
}

struct merkle_hash merkle_range_root(const struct merkle_range *r)
{
	struct merkle_hash root;

	if (r->count == 0)
		return merkle_empty();
	root = r->node[r->count - 1];
	for (unsigned i = r->count - 1; i > 0; i--)
		root = merkle_node(&r->node[i - 1], &root);
	return root;
}

struct merkle_hash merkle_root_of(const struct merkle_hash *leaf, size_t count)
{
	struct merkle_range r = { 0 };

	for (size_t i = 0; i < count; i++)
		merkle_range_push(&r, &leaf[i]);
	return merkle_range_root(&r);
}

/* --- proofs ----------------------------------------------------------------------------------------------------------- */

/* The height of the left part: the largest power of two below `count` (> 1). */
static unsigned left_height(uint64_t count)
{
	return 63u - (unsigned)__builtin_clzll(count - 1);
}

/* The hash of leaves [begin, end), begin being a multiple of the left part's size at every step down. */
static bool range_hash(const struct merkle_source *s, uint64_t begin, uint64_t end, struct merkle_hash *out)
{
	struct merkle_range r = { .size = 0 };

	for (uint64_t at = begin; at < end;) {
		uint64_t left = end - at;
		unsigned height = 63u - (unsigned)__builtin_clzll(left);
		struct merkle_hash part;

		if (at & ((1ULL << height) - 1) || !s->get(s->ctx, height, at >> height, &part))
			return false;
		if (!merkle_range_push_subtree(&r, height, &part))
			return false;
		at += 1ULL << height;
	}
	*out = merkle_range_root(&r);
	return true;
}

static bool proof_add(const struct merkle_source *s, uint64_t begin, uint64_t end, struct merkle_proof *proof)
{
	return proof->count < MERKLE_PROOF_MAX && range_hash(s, begin, end, &proof->hash[proof->count]) && ++proof->count;
}

bool merkle_root_at(const struct merkle_source *s, uint64_t size, struct merkle_hash *root)
{
	memset(root, 0, sizeof *root);
	if (size >> 62)
		return false;
	return range_hash(s, 0, size, root);
}

/* Both proofs walk from the root down to a leaf range and collect the parts beside the way, so they come out root first. */
static bool finish(struct merkle_proof *proof, bool ok)
{
	if (!ok) {
		memset(proof, 0, sizeof *proof);
		return false;
	}
	for (size_t i = 0; i < proof->count / 2; i++) {
		struct merkle_hash swap = proof->hash[i];

		proof->hash[i] = proof->hash[proof->count - 1 - i];
		proof->hash[proof->count - 1 - i] = swap;
	}
	return true;
}

bool merkle_prove_inclusion(const struct merkle_source *s, uint64_t index, uint64_t size, struct merkle_proof *proof)
{
	uint64_t begin = 0, end = size;
	bool ok = index < size && size >> 62 == 0;

	/* RFC 6962 2.1.1: PATH(m, D[n]). */
	memset(proof, 0, sizeof *proof);
	while (ok && end - begin > 1) {
		uint64_t middle = begin + (1ULL << left_height(end - begin));

		if (index < middle) {
			ok = proof_add(s, middle, end, proof);
			end = middle;
		} else {
			ok = proof_add(s, begin, middle, proof);
			begin = middle;
		}
	}
	return finish(proof, ok);
}

bool merkle_prove_consistency(const struct merkle_source *s, uint64_t old_size, uint64_t new_size, struct merkle_proof *proof)
{
	uint64_t begin = 0, end = new_size;
	bool whole = true; /* the old tree is all of what has been walked into, so its root needs no naming */
	bool ok = old_size <= new_size && new_size >> 62 == 0;

	memset(proof, 0, sizeof *proof);
	if (!ok || old_size == 0 || old_size == new_size)
		return ok;
	/* RFC 6962 2.1.2: SUBPROOF(m, D[n], b). */
	while (ok && old_size != end) {
		uint64_t middle = begin + (1ULL << left_height(end - begin));

		if (old_size <= middle) {
			ok = proof_add(s, middle, end, proof);
			end = middle;
		} else {
			ok = proof_add(s, begin, middle, proof);
			begin = middle;
			whole = false;
		}
	}
	if (ok && !whole)
		ok = proof_add(s, begin, end, proof);
	return finish(proof, ok);
}

/* --- checking --------------------------------------------------------------------------------------------------------- */

bool merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size, const struct merkle_proof *proof,
			    const struct merkle_hash *root)
{
	uint64_t fn = index, sn = size - 1;
	struct merkle_hash r = *leaf;

	if (index >= size || proof->count > MERKLE_PROOF_MAX)
		return false;
	/* RFC 9162 2.1.3.2. */
	for (size_t i = 0; i < proof->count; i++) {
		if (sn == 0)
			return false;
		if (fn & 1 || fn == sn) {
			r = merkle_node(&proof->hash[i], &r);
			for (; !(fn & 1) && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			r = merkle_node(&r, &proof->hash[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && merkle_equal(&r, root);
}

bool merkle_check_consistency(uint64_t old_size, const struct merkle_hash *old_root, uint64_t new_size,
			      const struct merkle_hash *new_root, const struct merkle_proof *proof)
{
	uint64_t fn = old_size - 1, sn = new_size - 1;
	struct merkle_hash fr, sr;
	size_t i = 0;

	if (old_size > new_size || proof->count > MERKLE_PROOF_MAX)
		return false;
	if (old_size == 0)
		return proof->count == 0;
	if (old_size == new_size)
		return proof->count == 0 && merkle_equal(old_root, new_root);
	/* RFC 9162 2.1.4.2; an old size that is a power of two is its own first hash. */
	for (; fn & 1; fn >>= 1)
		sn >>= 1;
	if ((old_size & (old_size - 1)) != 0 && proof->count == 0)
		return false;
	fr = sr = (old_size & (old_size - 1)) == 0 ? *old_root : proof->hash[i++];
	if (i >= proof->count)
		return false;
	for (; i < proof->count; i++) {
		if (sn == 0)
			return false;
		if (fn & 1 || fn == sn) {
			fr = merkle_node(&proof->hash[i], &fr);
			sr = merkle_node(&proof->hash[i], &sr);
			for (; !(fn & 1) && fn != 0; fn >>= 1)
				sn >>= 1;
		} else {
			sr = merkle_node(&sr, &proof->hash[i]);
		}
		fn >>= 1;
		sn >>= 1;
	}
	return sn == 0 && merkle_equal(&fr, old_root) && merkle_equal(&sr, new_root);
}
