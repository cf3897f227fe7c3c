/* merkle.h: the RFC 6962 hash tree over SHA-256, unchanged: roots, inclusion and consistency proofs.
 *
 * Nothing here stores a tree. A struct merkle_range is the compact form that appends (at most 64 hashes); proofs are made
 * over a struct merkle_source that answers "the hash of the complete subtree of 2^height leaves with this number".
 * Pure functions over values, any thread. Source: RFC 6962 section 2.1, RFC 9162 section 2.1 (the verifying algorithms).
 */
#ifndef CONTROL_JOURNAL_MERKLE_H
#define CONTROL_JOURNAL_MERKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

#define MERKLE_HASH_BYTES 32
#define MERKLE_PROOF_MAX 64 /* hashes; a tree of 2^64 leaves has no longer path */

struct merkle_hash {
	uint8_t b[MERKLE_HASH_BYTES];
};

struct merkle_proof {
	size_t count;
	struct merkle_hash hash[MERKLE_PROOF_MAX];
};

/* SHA-256(0x00 || entry), SHA-256(0x01 || left || right), SHA-256(""), SHA-256(data). */
struct merkle_hash merkle_leaf(struct bytes entry);
struct merkle_hash merkle_node(const struct merkle_hash *left, const struct merkle_hash *right);
struct merkle_hash merkle_empty(void);
struct merkle_hash merkle_sha256(struct bytes data);
bool merkle_equal(const struct merkle_hash *a, const struct merkle_hash *b);

/* The tree's right edge: the roots of its complete subtrees, highest first; `size` leaves so far. */
struct merkle_range {
	uint64_t size;
	unsigned count;
	struct merkle_hash node[64];
};

void merkle_range_push(struct merkle_range *r, const struct merkle_hash *leaf);
/* Appends a complete subtree of 2^height leaves; false unless the size is a multiple of 2^height. */
bool merkle_range_push_subtree(struct merkle_range *r, unsigned height, const struct merkle_hash *hash);
struct merkle_hash merkle_range_root(const struct merkle_range *r);

/* The root of `count` leaf hashes (any count). */
struct merkle_hash merkle_root_of(const struct merkle_hash *leaf, size_t count);

/* `get` gives the hash of leaves [number << height, (number + 1) << height); false when it cannot. */
struct merkle_source {
	void *ctx;
	bool (*get)(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out);
};

/* All false when the source fails or the sizes make no sense; the output is then zeroed. */
bool merkle_root_at(const struct merkle_source *s, uint64_t size, struct merkle_hash *root);
bool merkle_prove_inclusion(const struct merkle_source *s, uint64_t index, uint64_t size, struct merkle_proof *proof);
bool merkle_prove_consistency(const struct merkle_source *s, uint64_t old_size, uint64_t new_size, struct merkle_proof *proof);

/* RFC 9162 2.1.3.2 and 2.1.4.2. Sizes 0: consistent with anything under an empty proof. */
bool merkle_check_inclusion(const struct merkle_hash *leaf, uint64_t index, uint64_t size, const struct merkle_proof *proof,
			    const struct merkle_hash *root);
bool merkle_check_consistency(uint64_t old_size, const struct merkle_hash *old_root, uint64_t new_size,
			      const struct merkle_hash *new_root, const struct merkle_proof *proof);

#endif
