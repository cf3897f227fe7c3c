/* verdict.h: statement and snapshot to a verdict (policy.md 1).
 *
 * Order-free: each access of each statement is judged by itself against every rule; block is stricter than hold, hold
 * than allow; the strictest verdict of any access is the command's. An access that no rule matched gets defaults.unmatched.
 * What is not understood (no classification, verb `unknown`, an object without a name, a statement without any access, more than
 * LIMIT_ACCESSES accesses and statements together) is never allowed: rules that list `unknown` may block or hold it, otherwise
 * defaults.unknown decides. A level that is not known (an empty `database`, `schema_unknown`) fits every pattern of a block or hold rule and none of
 * an allow rule. A held unknown is released with all classes masked.
 * Names: a relation or function without schema is looked up in `default_schema`, names that begin with pg_ in
 * pg_catalog, and everything below `database`; settings and other objects stand for themselves.
 *
 * A class that a rule masks may be shown masked, but not decide anything: an access whose object has columns of it among the
 * statement's predicates is blocked by that rule, unless it says oracle = "allow" (policy.md 1; REASON_ORACLE).
 *
 * A limit of rows or bytes is kept by whoever lets the answer through; where it could not be (several statements in one message,
 * changes that no completion counts, TRUNCATE) the rule that sets it blocks instead (REASON_LIMIT). A rule with `objects` limits nothing that touches
 * no object (SELECT 1), though it matches that.
 *
 * Pure, no allocation, bounded by LIMIT_ACCESSES and the number of rules. Any thread. Everything borrowed must outlive the call;
 * `say` points into the image.
 */
#ifndef DATAPLANE_VERDICT_VERDICT_H
#define DATAPLANE_VERDICT_VERDICT_H

#include "platform/base/bytes.h"
#include "platform/contract/classification.h"
#include "platform/contract/message.h"
#include "platform/contract/policy.h"

/* Which text patterns hit (match_patterns_scan of dataplane/match/pattern.h): bit i is pattern i of the image. */
struct pattern_bits {
	uint64_t w[LIMIT_PATTERNS / 64];
};

struct verdict_request {
	unsigned service;
	struct group_bits groups;
	const struct classification *classification; /* NULL: unknown */
	struct bytes database, default_schema;       /* an empty default_schema means the service's search_path */
	bool schema_unknown;                         /* a name without a schema may be in any: the session changed its search_path */
	bool in_transaction;                         /* sets ddl-in-transaction on statements with a ddl access */
	uint32_t flags;                              /* enum flag, added to every statement: binary_result … */
	uint8_t family;                              /* of `source`: 4 or 6; 0: not known: rules with `source` match unless they allow */
	uint8_t source[16];
	uint64_t now_s;                              /* wall clock, for rules with `time`; 0: not known, as with `source` */
	struct pattern_bits patterns;

	/* What a column of a relation (empty: any of its columns) is beyond what its names say: a view's, a partition's, a copy's. NULL:
	 * nothing is known. The same until `tagged_version` is another number. */
	struct class_bits (*tagged)(void *context, const struct access *relation, struct bytes column);
	void *tagged_context;
	uint64_t tagged_version;
};

struct verdict {
	enum command_action action;
	enum command_reason reason;
	unsigned approval;               /* when held: number in the image */
	struct class_bits mask;          /* policy classes, of all matched allow and hold rules; all of them for a default hold */
	uint64_t rows_max, bytes_max;    /* the smallest of the matched rules; 0: no limit */
	unsigned rows_rule, bytes_rule;  /* the rules that say so, the lowest of several; POLICY_NONE */
	unsigned rules_count;
	uint16_t rules[LIMIT_VERDICT_RULES]; /* matched rules; the deciding one first */
	bool by_rule;                    /* rules[0] decided; otherwise a default did */
	bool rules_cut;                  /* more matched than are listed */
	struct bytes say;                /* of the deciding rule; may be empty */
};

void verdict_evaluate(const struct policy_image *image, const struct verdict_request *request, struct verdict *out);

#endif
