/* principal.h: who speaks (identity.md 6).
 *
 * Purpose: the one description of a verified speaker that policy, approvals and the journal share.
 * A principal is immutable and counted. principal_create copies a shape whose strings are borrowed into one
 * block; principal_get and principal_put count its users. A shape may also live on the stack (tests, local roles).
 * Strings: never NULL, empty means absent (the journal writes "unknown"); they hold no NUL and, where they come
 * from a token, no control characters. `person` is what quorum and self-approval compare, never `sub` or a group.
 * Rights come from `person`, `agent`, `groups` alone: act[0] is the current actor, act[1..] is history for audit
 * (RFC 8693 4.1).
 * Threading: the counter is not atomic; a principal belongs to control's one thread.
 */
#ifndef CONTROL_IDENTITY_PRINCIPAL_H
#define CONTROL_IDENTITY_PRINCIPAL_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/limits.h"

enum principal_kind {
	PRINCIPAL_HUMAN,
	PRINCIPAL_AGENT,
	PRINCIPAL_SERVICE,
};

enum principal_how {
	PRINCIPAL_BEARER,
	PRINCIPAL_TICKET,
	PRINCIPAL_MTLS,
	PRINCIPAL_SSHCERT,
	PRINCIPAL_SAML,
	PRINCIPAL_SOURCE,
};

enum principal_cnf {
	PRINCIPAL_CNF_NONE,
	PRINCIPAL_CNF_X5T, /* RFC 8705: SHA-256 of the client certificate */
	PRINCIPAL_CNF_JKT, /* RFC 9449: SHA-256 thumbprint of the proof key */
};

struct principal_actor {
	const char *iss; /* the token's own iss where the actor names none */
	const char *sub;
	enum principal_kind kind;
};

struct principal {
	const char *issuer; /* name of the issuer entry in the policy, as "corp"; what groups refer to */
	const char *iss;
	const char *sub;    /* identity key is the pair (iss, sub) */
	const char *person;
	const char *agent;
	const char *run;
	const char *purpose;
	const char *acr;
	const char *kid;    /* key that signed the token; empty where the set names none */
	struct principal_actor act[LIMIT_ACTORS]; /* outermost first */
	unsigned act_count;
	const char *groups[LIMIT_GROUPS];
	unsigned groups_count;
	const char *amr[8]; /* RFC 8176 */
	unsigned amr_count;
	enum principal_cnf cnf;
	uint8_t cnf_sha256[32];
	enum principal_how how;
	int64_t auth_time_s; /* 0 where the token says nothing */
	int64_t exp_s;       /* end of the token, without skew */
	int64_t end_s;       /* when the session ends: exp and the issuer's skew */
	uint64_t epoch;      /* revocation epoch under which it was verified */
	uint8_t token_sha256[32];
	uint8_t key_sha256[32]; /* RFC 7638 thumbprint of the key; identity_still_valid looks for it */
	unsigned refs;          /* of principal_create's block; 0 in a shape */
};

/* A counted copy of `shape` (NULL strings become empty), with one reference; NULL without memory. */
struct principal *principal_create(const struct principal *shape);
struct principal *principal_get(struct principal *p);
/* NULL is allowed. The last put wipes and frees. */
void principal_put(struct principal *p);

bool principal_has_group(const struct principal *p, const char *group);
/* The same human: both are known and equal. Unknown persons equal nobody. */
bool principal_same_person(const struct principal *a, const struct principal *b);
/* "human", "agent", "service"; "bearer", "ticket", "mtls", "sshcert", "saml", "source"; "none", "x5t", "jkt". */
const char *principal_kind_name(enum principal_kind kind);
const char *principal_how_name(enum principal_how how);
const char *principal_cnf_name(enum principal_cnf cnf);

#endif
