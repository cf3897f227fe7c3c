/* canonical.h: the hash of a policy: SHA-256 of the RFC 8785 text of the tree with defaults filled in (policy.md 6). */
#ifndef CONTROL_POLICY_CANONICAL_H
#define CONTROL_POLICY_CANONICAL_H

#include "control/policy/tree.h"

/* Sets tree->hash. False without memory. */
[[nodiscard]] bool policy_hash_tree(struct policy_tree *tree);

#endif
