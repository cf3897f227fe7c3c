/* recall.h: what pg_digest made of the last classifications, so that a statement that runs again is not read again for masking.
 *
 * Kept is only what is a function of the key: the classification's bytes, the classes to mask, whether there are limits, the policy and the
 * catalogue. So not: what
 * leaves something behind in the session (cursors, statements made by SQL, functions), what copies tagged values anywhere, and what has
 * a digest of its own. While a catalogue knows of taints nothing is kept, nor believed. One session, one thread.
 */
#ifndef DATAPLANE_INSPECT_POSTGRES_RECALL_H
#define DATAPLANE_INSPECT_POSTGRES_RECALL_H

#include "dataplane/inspect/postgres/commands.h"

#define PG_RECALLED 8
#define PG_RECALL_BYTES 512

struct pg_catalogue;
struct pg_session;

struct pg_recalled {
	uint16_t len; /* of the classification; 0: empty */
	bool blind, limited;
	const struct pg_catalogue *catalogue;
	uint32_t changes; /* of it */
	uint64_t policy_generation;
	struct class_bits mask;
	struct pg_traits traits;
	struct class_bits scope, washed;
	uint8_t classification[PG_RECALL_BYTES];
};

struct pg_recall {
	uint8_t last, next;
	struct pg_recalled kept[PG_RECALLED];
};

/* Sets what pg_digest would. `command` has its mask, its limits, and `blind`. False: it is not known. */
bool pg_recall(struct pg_session *s, struct pg_command *command, struct bytes classification);

/* pg_digest is done with `command`, and left nothing behind but in it. */
void pg_recall_keep(struct pg_session *s, const struct pg_command *command, struct bytes classification);

#endif
