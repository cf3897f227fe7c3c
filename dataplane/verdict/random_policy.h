/* random_policy.h: for tests: small random policies and requests over a few names, so that rules meet requests often. */
#ifndef DATAPLANE_VERDICT_RANDOM_POLICY_H
#define DATAPLANE_VERDICT_RANDOM_POLICY_H

#include "dataplane/verdict/verdict.h"
#include "platform/base/random.h"
#include "platform/contract/policy_write.h"

#define RANDOM_RULES 140
#define RANDOM_STATEMENTS 3
#define RANDOM_ACCESSES 3
#define RANDOM_PREDICATES 2

struct random_policy {
	struct policy_spec spec;
	struct spec_service services[3];
	struct spec_listener listeners[3];
	struct spec_class classes[4];
	const char *columns[4];
	struct spec_approval approvals[3];
	struct policy_need needs[3];
	struct spec_rule rules[RANDOM_RULES];
	char ids[RANDOM_RULES][16];
	const char *names[RANDOM_RULES][4];
	struct spec_source sources[RANDOM_RULES];
	struct spec_window windows[RANDOM_RULES];
};

struct random_access {
	enum verb verb;
	enum object_kind kind;
	unsigned levels;
	const char *level[3];
};

struct random_predicate {
	unsigned access; /* or PREDICATE_ANY */
	const char *column;
};

/* A request and, in plain form, what its classification says. */
struct random_request {
	struct verdict_request request;
	bool known;
	unsigned statements, accesses[RANDOM_STATEMENTS];
	uint32_t flags[RANDOM_STATEMENTS];
	struct random_access access[RANDOM_STATEMENTS][RANDOM_ACCESSES];
	unsigned predicates[RANDOM_STATEMENTS];
	struct random_predicate predicate[RANDOM_STATEMENTS][RANDOM_PREDICATES];
	struct classification classification;
	uint8_t encoded[1024];
	struct bytes encoding;
};

/* `rules` of them, at most RANDOM_RULES. */
void random_policy(struct random_policy *p, struct rng *r, unsigned rules);

/* The image, from malloc; the caller frees it. Aborts when it does not open. */
struct policy_image *random_policy_image(const struct random_policy *p);

void random_request(struct random_request *q, struct rng *r);

/* Of requests with `tagged`: column x of every relation named b is of class 3, whatever the policy says. */
#define RANDOM_TAGGED_RELATION "b"
#define RANDOM_TAGGED_COLUMN "x"
#define RANDOM_TAGGED_CLASS 3

#endif
