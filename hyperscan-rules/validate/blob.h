/* blob.h: the file classes.hsdb: classes, expressions and serialized Hyperscan databases in one position-independent blob.
 *
 * Layout, big endian: "SLUICEHS", version (4), length of the whole (8), SHA-256 of all that follows it (32); then
 * classes: count (2), each as class_encode writes it;
 * triggers: count (2), each a class set (32): trigger i of tier one wakes these classes;
 * expressions: count (2), each group (1) and class set (32): expression i of the exact databases belongs to these;
 * databases: count of groups (1), tier one, then one per group, each length (4) and bytes.
 * A reader gets views into the input, which must outlive them. The byte code of Hyperscan itself cannot be checked
 * beyond its own checksum: blobs come from the compiler by way of the control process, not from a wire.
 */
#ifndef HYPERSCAN_RULES_VALIDATE_BLOB_H
#define HYPERSCAN_RULES_VALIDATE_BLOB_H

#include "hyperscan-rules/validate/class.h"
#include "platform/base/limits.h"

#define BLOB_VERSION 1
#define BLOB_GROUPS 8
#define BLOB_EXPRESSIONS 1024
#define BLOB_SET_BYTES (LIMIT_CLASSES / 8)

struct blob_expression {
	uint8_t group;
	uint64_t classes[LIMIT_CLASSES / 64];
};

struct blob {
	unsigned classes_count, triggers_count, expressions_count, groups_count;
	struct class classes[LIMIT_CLASSES];
	struct blob_expression triggers[BLOB_EXPRESSIONS]; /* group 0 */
	struct blob_expression expressions[BLOB_EXPRESSIONS];
	struct bytes tier_one;
	struct bytes groups[BLOB_GROUPS];
};

/* `out->ok` false when there is no room. */
void blob_encode(const struct blob *blob, struct writer *out);

/* NULL, or a static text that says what is wrong; `out` is then zeroed. */
const char *blob_decode(struct bytes in, struct blob *out);

#endif
