/* compile.h: proves rules against their own samples and compiles them into a blob.
 *
 * A rule is refused, with file and line, when Hyperscan does not take one of its patterns (block and stream mode, without start of
 * match) or reports it as too large, when a pattern matches the empty text, or when one of its samples does not do what its
 * keyword says with the real match path: trigger, pattern, backward scan, boundaries, validator.
 */
#ifndef HYPERSCAN_RULES_COMPILE_H
#define HYPERSCAN_RULES_COMPILE_H

#include "hyperscan-rules/rule.h"
#include "hyperscan-rules/validate/blob.h"

/* One database of one pattern may be at most this large: the limit that keeps a tier in the cache. */
#define COMPILE_PATTERN_BYTES_MAX (512u << 10)

enum compile_target {
	COMPILE_HOST,    /* for the processor it runs on */
	COMPILE_GENERIC, /* for any x86-64 that Hyperscan supports */
};

/* Told of each failure: "file:line: reason: sample". */
typedef void compile_report(void *ctx, const char *failure);

/* Every rule against its own samples and limits. Reports every failure; true when there is none. */
bool compile_check(const struct rule *rules, unsigned count, compile_report *report, void *ctx);

/* The blob of all rules, malloc'd; NULL with `err`. */
uint8_t *compile_blob(const struct rule *rules, unsigned count, enum compile_target target, size_t *len, char *err, size_t err_len);

#endif
