/* inbox_kit.h: control's end of one worker's rings, for the tests and the bench of this folder: a directory, the rings with a scripted worker at
 * the other end, and an inbox over a real journal, which may be started and stopped over the same rings any number of times. Deterministic: its
 * clock stands still but for inbox_kit_turn. No assertions in here: what fails is false, with a text in `err`. Not for anything but tests.
 *
 *     make → (start → turns → stop)* → free
 */
#ifndef CONTROL_INBOX_INBOX_KIT_H
#define CONTROL_INBOX_INBOX_KIT_H

#include "control/inbox/inbox.h"
#include "control/inbox/worker_script.h"
#include "control/journal/jcs_read.h"
#include "platform/contract/policy.h"
#include "platform/os/scratch.h"

#define INBOX_KIT_US 1790000000000000ull /* the wall clock at each start */
#define INBOX_KIT_ORIGIN "test.example/journal"
#define INBOX_KIT_POLICY_BYTES 16384

struct inbox_kit {
	char dir[SCRATCH_BYTES], run[80], journal_dir[80], keys_dir[80], err[512];
	void *up, *down; /* the rings' memory */
	struct worker_script worker;
	/* Between start and stop. */
	struct journal *journal;
	struct sessions *sessions;
	struct payload_keys *keys;
	struct inbox *inbox; /* NULL: not started */
	struct entry_clock now;
	/* The host. A test may change these at any time. */
	void (*login)(struct inbox_kit *k, struct session *s); /* NULL: inbox_kit_let_in, at once */
	const struct policy_image *image;                      /* of every generation; NULL: no generation is known */
	unsigned hellos;
	_Alignas(64) uint8_t policy[POLICY_AUDIT_count][INBOX_KIT_POLICY_BYTES]; /* of inbox_kit_policy */
};

/* Directory, rings, worker. Whatever comes of it, inbox_kit_free frees it. */
bool inbox_kit_make(struct inbox_kit *k);
/* Stops what was started. False: the directory is still there. */
bool inbox_kit_free(struct inbox_kit *k);

/* Opens payload keys, journal and sessions, and the inbox over them. `how`: NULL, or the journal's configuration, but for its directory and origin. */
bool inbox_kit_start(struct inbox_kit *k, const struct journal_config *how);
void inbox_kit_stop(struct inbox_kit *k);

/* A turn, a millisecond after the last one. The worker does not look at its orders. */
enum inbox_result inbox_kit_turn(struct inbox_kit *k);
/* Turns, and the worker takes its orders after each, until nothing is left to do. False: the journal stopped, or it never ends. */
bool inbox_kit_settle(struct inbox_kit *k);

/* Ends the login of `s`: alice, by agent-7, in the group "agents". */
void inbox_kit_let_in(struct inbox_kit *k, struct session *s);

/* The image of one service from now on, which records everything. The image of each `audit` has memory of its own. */
bool inbox_kit_policy(struct inbox_kit *k, enum policy_audit audit, enum policy_journal_full full);

/* The scripted worker's number of the flow of a record session.open. */
uint32_t inbox_kit_flow_of(struct jcs_value record);

#endif
