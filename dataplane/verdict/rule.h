/* rule.h: whether one rule matches one access, and if not, the first condition that failed.
 *
 * The one matching function: verdict_evaluate and `sluice policy explain` both call it. Conditions are looked at in the order of
 * the enum. Pure, bounded by the rule's own lists.
 */
#ifndef DATAPLANE_VERDICT_RULE_H
#define DATAPLANE_VERDICT_RULE_H

#include "dataplane/verdict/verdict.h"

enum rule_miss {
	MISS_NONE, /* it matches */
	MISS_SERVICE,
	MISS_VERB,
	MISS_WHO,
	MISS_EXCEPT_WHO,
	MISS_PURPOSE,
	MISS_SOURCE,
	MISS_TIME,
	MISS_FLAGS,
	MISS_PATTERN,
	MISS_OBJECTS,
	MISS_EXCEPT_OBJECTS,
	MISS_count
};

#define RULE_NAMES_MAX 5 /* database and the four levels of an access */

/* An access with its names resolved. */
struct rule_access {
	enum verb verb;
	uint32_t flags; /* of its statement */
	struct class_bits predicate; /* policy classes of its object's columns that decide something */
	unsigned names; /* 0: it touches no object */
	struct bytes name[RULE_NAMES_MAX];
};

/* The flags of a statement as rules see them: its own, the request's, and those that follow from both. `predicates` is what
 * rule_predicates returned. */
uint32_t rule_flags(const struct verdict_request *request, const struct classified_statement *s, const struct class_bits *predicates);

/* For each access of the statement the policy classes of its object's columns that decide something (predicate.c); returns all
 * of them. The flag tainted-predicate, given from outside, stands for every class. */
struct class_bits rule_predicates(const struct policy_image *image, const struct verdict_request *request, const struct classified_statement *s,
				  struct class_bits at[LIMIT_OBJECTS]);

/* Resolves names. An object without a name, or with an empty level, makes the verb `unknown`. */
struct rule_access rule_access_of(const struct policy_image *image, const struct verdict_request *request, const struct access *a, uint32_t flags);

/* What stands for a command, or statement, that is not understood. */
struct rule_access rule_access_unknown(const struct verdict_request *request);

/* `rule` below the count. */
enum rule_miss rule_match(const struct policy_image *image, unsigned rule, const struct verdict_request *request, const struct rule_access *a);

/* "objects", "except_who" …: the policy's word for the condition; "" for MISS_NONE. */
const char *rule_miss_word(enum rule_miss miss);

#endif
