/* store.h: what the files of this folder share: the objects, and the one function through which they change. */
#ifndef CONTROL_APPROVAL_STORE_H
#define CONTROL_APPROVAL_STORE_H

#include "control/approval/approval.h"
#include "control/journal/jcs.h"

#define STORE_DENIALS 256
#define STORE_DATA_BYTES 8192 /* the `data` object of one record */

/* How often a command was denied in a run. */
struct store_denial {
	uint8_t command_sha256[32];
	char run[LIMIT_CLAIM_BYTES + 1];
	unsigned count;
};

struct approvals {
	struct approval_host host;
	char node[64], origin[LIMIT_NAME_BYTES];
	struct approval **all; /* oldest first */
	unsigned count, room, terminal, requested;
	struct approval_counters counters;
	struct store_denial denial[STORE_DENIALS];
	unsigned denials;
	uint64_t wall_us_max; /* the furthest that the clock was */
	bool clock_stepped_back, clock_free;
	struct approval_clock now;
};

/* A new object at the end; NULL when there is no room. */
struct approval *store_add(struct approvals *as);
void store_drop(struct approvals *as, struct approval *a);

/* What an object of either kind has before anything is written: its number, what the policy asks, its times, and who asks. False when
 * memory is short. */
bool store_begin(struct approval *a, const struct approval_terms *terms, struct principal *requester, struct bytes who, const uint8_t policy_sha256[32],
		 struct approval_clock now);
/* The statement that is decided on: a copy, and its hash. False when it is empty, which is one that could not be written, or memory is short. */
bool store_statement(struct approval *a, struct bytes text);

/* Writes the record of the step and takes it; false when the table refuses it (journaled, counted) or the journal does. The
 * record's data is {"cause","event","state"} and `extra`, a value for the key "extra" (may be empty). */
bool store_step(struct approvals *as, struct approval *a, enum approval_event event, const char *cause, struct bytes who, struct bytes extra);

/* `index` into the object's history, or counted when it is one note too many. */
void store_keep(struct approval *a, struct bytes type, uint64_t index);

/* The record of something that changed no state. */
bool store_record(struct approvals *as, struct approval *a, const char *type, struct bytes who, struct bytes data, struct bytes payload);

/* Memory alone, after the record: shared by store_step and the replay of records. */
void store_enter(struct approvals *as, struct approval *a, enum approval_state to, const char *result);

void store_id_text(const uint8_t id[APPROVAL_ID_BYTES], char out[APPROVAL_ID_TEXT]);
struct bytes store_who(const struct approval *a);

#define ADMIN_SERVICE "sluice" /* `service` of kind admin */

/* Writes approval.request (request.c). */
bool store_request_record(struct approvals *as, struct approval *a, const char *ticket);
/* The end of store_release for kind admin (admin.c). */
void store_release_operation(struct approvals *as, struct approval *a);

/* How many slots the approving persons fill (vote.c): each person one slot at most. `check_again`: only voters who are
 * eligible now count. */
unsigned store_slots_filled(struct approvals *as, const struct approval *a, bool check_again);

/* What the votes lead to, where the process ended between the last vote's record and the decision's (vote.c). */
void store_decide_again(struct approvals *as, struct approval *a);

/* NULL, or why this person may not decide on this (rights.c). */
const char *store_not_eligible(struct approvals *as, const struct approval *a, const struct principal *p);

/* Somebody may not do that: counted, recorded, and said in `text`. `voter`: whom the record names; NULL: only `who`. */
enum approval_vote_result store_refuse(struct approvals *as, struct approval *a, enum approval_event event, const struct principal *voter,
				       struct bytes who, const char *why, char text[APPROVAL_SAY_BYTES]);

/* Tries the release of an approved object: asks the worker, unless it was asked just now. */
void store_release(struct approvals *as, struct approval *a);

/* Ends an object and tells the worker why. */
void store_end(struct approvals *as, struct approval *a, enum approval_event event, const char *cause);

void store_tell(struct approvals *as, const struct approval *a, enum approval_answer answer, const char *say);

/* Takes the time, and sees whether the wall clock went back. */
void store_clock(struct approvals *as, struct approval_clock now);

/* "dba, security": who can approve, by group and never by name. */
const char *store_groups(const struct approval *a, char *out, size_t size);

void store_denied(struct approvals *as, const struct approval *a);

#endif
