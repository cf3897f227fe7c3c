/* entry.h: one record of the journal, composed field by field as journal.md 3 names them.
 *
 * An entry says what belongs into the record; entry_compose writes it. Fields that do not apply are left out.
 * `op`, `out` and `data` are written in place by the caller's function, each as one object. Pure but for the clock, which is an
 * argument. Any thread.
 */
#ifndef CONTROL_INBOX_ENTRY_H
#define CONTROL_INBOX_ENTRY_H

#include "control/inbox/session.h"
#include "control/journal/jcs.h"
#include "control/journal/record.h"

#define ENTRY_CHUNKS_MAX 64u /* of one record; more of them are named by `payload` records */

/* When: the wall clock, the monotonic clock, and whether the former can be believed. */
struct entry_clock {
	uint64_t wall_us, mono_us;
	const char *clk; /* "synchronised", "holdover", "free" */
};

/* What is the same in every record of this node. */
struct entry_node {
	const char *name;
	uint8_t boot[16]; /* of the machine */
	struct entry_clock now;
};

struct entry_part {
	void (*write)(struct jcs *j, const void *from); /* between jcs_open and jcs_close; NULL: the field is left out */
	const void *from;
};

struct entry_chunk {
	const char *dir; /* "i" from the client, "o" to the client, "p" parameters, "n" normalised text, "s" approval statement */
	uint32_t number; /* within the session */
	struct record_chunk chunk;
};

struct entry {
	const char *type;
	const struct session *session;     /* sess, svc, who */
	bool has_n, has_ref, has_place;    /* has_place: src and dst */
	uint32_t n, ref;
	bool has_nc;                       /* set by inbox_append, on what has a session and no `n` */
	uint32_t nc;
	struct bytes who;                  /* instead of the session's */
	struct bytes tls;                  /* fingerprint of the client, for src */
	struct entry_part op, out, data;
	const char *approval_id;
	const uint8_t *approval_sha256;
	const uint8_t *policy_sha256;
	const struct bytes *rules;
	unsigned rules_count;
	bool has_rules;
	const struct entry_chunk *chunks;
	unsigned chunks_count;
};

/* The whole record into `j`, which has a fault when it cannot be written (too long, or a text that is no UTF-8). */
void entry_compose(const struct entry_node *node, const struct entry *e, struct jcs *j);

/* "192.0.2.10" or "2001:db8::1". */
#define ENTRY_ADDRESS_BYTES 48
const char *entry_address(const uint8_t *address, unsigned len, char out[ENTRY_ADDRESS_BYTES]);

/* RFC 3339 UTC with microseconds. */
#define ENTRY_TIME_BYTES 32
const char *entry_time(uint64_t wall_us, char out[ENTRY_TIME_BYTES]);

#endif
