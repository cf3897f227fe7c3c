/* inbox.h: from the workers' rings to records in the journal, and the answers back.
 *
 * One turn: read events while the journal's batch has room, check each against the state of its flow, write its record, store the
 * reading position of each ring in the same transaction, commit, and only then release the ring, tell the worker `durable`, and let
 * go the orders that rest on those records. So every event becomes its record exactly once, whatever dies when.
 *
 * Group commit: a batch in which somebody waits for a record (a command of a service with audit "strict", a command or a part of an answer
 * of one with "answers", a hold, a login, anything that the host appended or ordered) is committed in the turn that read it. What nobody waits for (other answers and payload, commands of a
 * service with audit "prompt", ticks) stays in the batch until then, but no longer than INBOX_GROUP_US. Commands that come in a
 * stream share a commit: one waits for others as long as each turn brings some, they are fewer than in the batch before, and
 * INBOX_FILL_US is not over. So one client alone never waits for company.
 *
 * A worker is not trusted. A message that does not decode, or is not allowed in the state of its flow, is counted and journaled,
 * and its flow is killed; a ring that makes no sense is read no more, with an alarm. `n` is checked: a session's records have no gap.
 *
 * What is slow or belongs to others (identity, parsing, approvals) is the host's: it is called while the batch is open, and may
 * add records and orders at any time between two calls of inbox_turn (inbox_append, inbox_order).
 * A login that is being checked is noted in the session (phase SESSION_LOGIN): after a restart the host refuses it, with its record.
 *
 * Failure of the journal: inbox_turn says INBOX_STOPPED; nothing of the turn was acknowledged, and the process has to begin
 * anew. Threading: one thread.
 */
#ifndef CONTROL_INBOX_INBOX_H
#define CONTROL_INBOX_INBOX_H

#include "control/inbox/entry.h"
#include "control/inbox/orders.h"
#include "control/inbox/session.h"
#include "control/journal/journal.h"
#include "control/journal/payload_keys.h"
#include "platform/contract/message.h"
#include "platform/contract/policy.h"

/* From when a record can have been put into its ring, which is when that was last seen empty, to the commit, for which a millisecond is
 * left of the 5 ms that audit "prompt" promises. */
#define INBOX_GROUP_US 4000u
#define INBOX_FILL_US 1000u
#define INBOX_FORGET_US 10000u /* after so long the size of the batch before says nothing */

/* Cursors of the journal: the position of each worker's ring, which ring that was, and two counters. */
#define INBOX_CURSOR_RING 0u                       /* + worker */
#define INBOX_CURSOR_RING_ID LIMIT_WORKERS         /* + worker: the first 8 bytes of the ring's id */
#define INBOX_CURSOR_VERSION (2u * LIMIT_WORKERS)  /* of the session table */
#define INBOX_CURSOR_GENERATION (INBOX_CURSOR_VERSION + 1) /* of the policy */
#define INBOX_CURSOR_COMMANDS (INBOX_CURSOR_VERSION + 2)   /* + worker: commands recorded since its boot */

struct inbox_host {
	void *ctx;
	/* The image of a generation (0: the one in force); NULL when it is not known any more. */
	const struct policy_image *(*image)(void *ctx, uint64_t generation);
	/* A worker began: it wants its orders (control, snapshot, certificates, trust). */
	void (*hello)(void *ctx, unsigned worker);
	/* Ends with inbox_login_accepted or inbox_login_refused, now or later. Fields are borrowed for the call; the token is wiped
	 * after it. */
	void (*login)(void *ctx, struct session *s, const struct event_login *e);
	void (*scram)(void *ctx, struct session *s, const struct event_scram *e);
	void (*classify)(void *ctx, unsigned worker, const struct event_classify *e);
	/* After the record `hold` was appended. */
	void (*held)(void *ctx, struct session *s, const struct event_command *e, const struct policy_image *image);
	void (*withdrawn)(void *ctx, struct session *s, uint32_t ref, enum withdraw_cause cause);
	void (*responded)(void *ctx, struct session *s, const struct event_response *e);
	void (*closed)(void *ctx, struct session *s, const char *cause);
	/* A held command, judged again. `image`: of its generation, NULL when it is not known. */
	void (*rechecked)(void *ctx, struct session *s, const struct event_rechecked *e, const struct policy_image *image);
};

struct inbox_counters {
	uint64_t events, records, bad_messages, killed, commits;
	uint64_t by_event[EVENT_end + 8];
};

/* What a worker said of itself last. */
struct inbox_worker {
	bool attached, broken, seen;
	uint8_t boot[16];
	struct event_tick tick;
	uint64_t tick_wall_us, hello_wall_us, position, backlog_bytes, bad_messages;
};

struct inbox_config {
	const char *node;            /* borrowed */
	uint8_t machine_boot[16];
	unsigned workers;
	void *const *up, *const *down; /* the rings' memory, one per worker */
	struct journal *journal;     /* borrowed */
	struct sessions *sessions;   /* borrowed; opened at the version that the journal's cursor says */
	struct inbox_host host;
	/* Keys of the sessions' payload, opened for writing; borrowed. */
	struct payload_keys *payload_keys;
	/* For `op.h` of sessions from before there were payload keys: HMAC key, 32 bytes, borrowed. */
	const uint8_t *commitment_key;
};

struct inbox;

/* NULL with a text in `err`. */
struct inbox *inbox_create(const struct inbox_config *config, char err[OS_ERROR_BYTES]);
void inbox_destroy(struct inbox *in);

/* OPEN: a batch is open for which nobody waits; come again within a millisecond. BUSY: something was done, come again at once. */
enum inbox_result { INBOX_IDLE, INBOX_OPEN, INBOX_BUSY, INBOX_STOPPED };

/* One turn as above. */
enum inbox_result inbox_turn(struct inbox *in, struct entry_clock now);

/* When the open batch is to be committed (monotonic): the turn after INBOX_OPEN is no later. 0: none is open. */
uint64_t inbox_due_us(const struct inbox *in);

/* While paused no event is read: the journal's volume is full. What is in the rings stays there. */
void inbox_pause(struct inbox *in, bool pause);

/* While thrifty, services whose on_journal_full is "digest" are recorded without payload. */
void inbox_set_thrifty(struct inbox *in, bool thrifty);

/* Writes the orders that wait for no commit: for a process that is about to end. */
void inbox_tell(struct inbox *in);

/* The clock for what is appended between turns. */
void inbox_set_clock(struct inbox *in, struct entry_clock now);

/* Appends a record of control's own. False: the journal does not take it (counted). `vital`: allowed when the journal is full. */
bool inbox_append(struct inbox *in, const struct entry *e, bool vital, uint64_t *index);

/* Cuts `payload` into chunks of session `s`, sealed with its key (NULL: of no session, and not sealed), and adds them to `list` (ENTRY_CHUNKS_MAX). False: no room. */
bool inbox_chunks(struct inbox *in, struct session *s, const char *dir, struct bytes payload, struct entry_chunk *list, unsigned *count);

/* Sends an order. */
bool inbox_order(struct inbox *in, unsigned worker, unsigned number, struct bytes encoded, enum orders_when when);

/* Ends a login: the record auth.ok or auth.fail with the login's counter, and order identity after the commit. `p`: its reference is
 * taken. `reason` and `detail` go into the record, `say` to the client. */
struct inbox_grant {
	struct principal *principal;
	struct group_bits groups;
	uint64_t generation;
	const char *upstream_user;
	const char *suspended; /* NULL, or why no command of the session is judged at present */
};
void inbox_login_accepted(struct inbox *in, struct session *s, const struct inbox_grant *grant);
struct inbox_refusal {
	const char *reason, *issuer, *kid, *alg, *claim; /* "" where it does not apply */
	const char *say;
};
void inbox_login_refused(struct inbox *in, struct session *s, const struct inbox_refusal *why);

/* Groups of an open session under a new snapshot: order identity again. */
void inbox_regrant(struct inbox *in, struct session *s, const struct inbox_grant *grant);

/* After a restart: what was answered may never have reached the worker. Says again that the login was refused, if it was. */
void inbox_repeat_refusal(struct inbox *in, struct session *s, const char *say);

/* Ends a flow from our side. */
void inbox_kill(struct inbox *in, struct session *s, const char *say);

const struct inbox_counters *inbox_counters(const struct inbox *in);
bool inbox_worker_state(const struct inbox *in, unsigned worker, struct inbox_worker *out);
struct sessions *inbox_sessions(struct inbox *in);

#endif
