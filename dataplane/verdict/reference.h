/* reference.h: for tests: policy.md 1 read aloud. No index, no image, no shared code with verdict.c and rule.c. */
#ifndef DATAPLANE_VERDICT_REFERENCE_H
#define DATAPLANE_VERDICT_REFERENCE_H

#include "dataplane/verdict/random_policy.h"

struct reference {
	enum policy_action action;
	unsigned approval;
	struct class_bits mask;
	uint64_t rows_max, bytes_max;
	unsigned rows_rule, bytes_rule;
	bool matched[RANDOM_RULES];
	unsigned deciding; /* POLICY_NONE: a default */
};

void reference_evaluate(const struct random_policy *p, const struct random_request *q, struct reference *out);

#endif
