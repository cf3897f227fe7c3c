/* limits.h: every limit in one place, with the reason; relations are asserted at the end. Units are in the names. */
#ifndef PLATFORM_BASE_LIMITS_H
#define PLATFORM_BASE_LIMITS_H

/* Rings between the processes (platform/contract). */
#define LIMIT_WORKERS 16
#define LIMIT_RING_UP_BYTES (32u << 20)   /* 100,000 commands of 300 bytes while a disk stalls */
#define LIMIT_RING_DOWN_BYTES (4u << 20)
#define LIMIT_MESSAGE_BYTES (256u << 10)  /* one event or order, encoded; holds one statement and its parameters */

/* A statement, as sent. Longer is answered as unknown; an approver is never shown a cut text (approvals.md 3). */
#define LIMIT_STATEMENT_BYTES (64u << 10)
#define LIMIT_PARAMETERS_BYTES (64u << 10)
#define LIMIT_TYPES_BYTES (16u << 10)       /* declared types of bound values, 4 bytes each; more is never held: nobody could be shown it */
#define LIMIT_CLASSIFICATION_BYTES (16u << 10)
#define LIMIT_OBJECTS 64                  /* relations, functions and other objects of one statement */
#define LIMIT_TARGETS 512                 /* output columns with their taint; PostgreSQL's own limit is 1,664 */
#define LIMIT_PREDICATES 512              /* columns of one statement that decide something; more is all of them */
#define LIMIT_NAME_BYTES 256
#define LIMIT_NESTING 200                 /* parentheses, checked before a parser sees the text */
#define LIMIT_TERMS 5000                  /* tokens, likewise: the packaged parser is quadratic in operators */

/* Identity. */
#define LIMIT_TOKEN_BYTES 16384           /* identity.md 3 */
#define LIMIT_ACTORS 8                    /* actor chain of RFC 8693 (identity.md 6) */
#define LIMIT_ISSUERS 32
#define LIMIT_KEYS 64                     /* keys of one issuer (identity.md 5) */
#define LIMIT_FETCH_BYTES (256u << 10)    /* body of one answer from outside (identity.md 1) */
#define LIMIT_KID_BYTES 256
#define LIMIT_CLAIM_BYTES 255             /* sub and every mapped claim (identity.md 4) */
#define LIMIT_GROUPS 256                  /* groups in one policy: a principal's grants are a bit set of this size */
#define LIMIT_PRINCIPAL_BYTES 2048        /* the `who` object, encoded */

/* Policy. */
#define LIMIT_POLICY_FILE_BYTES (1u << 20)
#define LIMIT_POLICY_IMAGE_BYTES (64u << 20)
#define LIMIT_SERVICES 1024
#define LIMIT_RULES 10000
#define LIMIT_CLASSES 256                 /* data classes: a mask set is a bit set of this size */
#define LIMIT_SAY_BYTES 512
#define LIMIT_APPROVALS 256               /* kinds of approval in one policy */
#define LIMIT_PATTERNS 1024               /* rules' text patterns: their hits are a bit set of this size */
#define LIMIT_LISTENERS 4096              /* addresses of all services together */
#define LIMIT_LEVELS 8                    /* levels of one object pattern */
#define LIMIT_ACCESSES 512                /* judged per command; more is unknown: bounds a verdict in the poll loop */
#define LIMIT_VERDICT_RULES 64            /* matched rules named in one verdict */
#define LIMIT_CONFIG_DEPTH 8              /* nesting of a configuration file (policy.md 2) */

/* Data plane memory, sized at start. */
#define LIMIT_STREAM_BYTES (1u << 20)     /* one inspected protocol message that has to be whole */
#define LIMIT_COLUMNS 1664                /* MaxTupleAttributeNumber of PostgreSQL */

_Static_assert(LIMIT_STATEMENT_BYTES + LIMIT_PARAMETERS_BYTES + LIMIT_TYPES_BYTES + LIMIT_CLASSIFICATION_BYTES + 4096 <= LIMIT_MESSAGE_BYTES,
	       "a command event carries the statement, its parameters and its classification");
_Static_assert(LIMIT_MESSAGE_BYTES * 4 <= LIMIT_RING_DOWN_BYTES, "a ring holds several of the largest messages");
_Static_assert(LIMIT_VERDICT_RULES * 2 <= 512, "a command event carries the matched rules as u16");
_Static_assert(LIMIT_RULES <= 65535 && LIMIT_GROUPS == 256, "rule numbers are u16; order identity carries 32 bytes of groups");
_Static_assert(LIMIT_STATEMENT_BYTES < LIMIT_STREAM_BYTES, "a statement is one message");

#endif
