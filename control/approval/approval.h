/* approval.h: held commands, the people who may release them, and the record of it (approvals.md 1 to 5, 8).
 *
 * Kind `once-hold`: one command held inside an open session. Kind `admin`: something that an operator asks for (admin.c). An object is a view of the journal: every change is a record
 * first, then memory, then effect. The records of one turn become durable together, so effects (host->answer) have to be kept
 * back by the host until the turn's commit; when the commit fails the process ends, and what was in memory never was.
 * approvals_durable follows each commit.
 *
 * Quorum counts distinct persons. Not eligible, without exception: the requester, everybody in the actor chain, whoever
 * shares a token with one of them, agents, and who has no `person`. A person fills one of the slots ("dba:1, security:1").
 * Eligibility counts at the vote and again at the release.
 *
 * A release has two steps. When the quorum is there the worker is asked to judge the held command again, under the policy in force
 * and with the session as it is now (host->recheck); approvals_rechecked compares what it says with the statement, looks at the
 * requester and the voters again, and only then spends the nonce. So a policy that changed supersedes only what it judges otherwise.
 *
 * Time is an argument: wall clock for what people read, monotonic for what runs out. While the wall clock stands more than a
 * second behind what it was, and, unless the policy says otherwise, while nobody sets it, nothing is released (approvals.md 8).
 * Ownership: objects belong to the struct approvals; a pointer is valid until the next call. Threading: one thread.
 */
#ifndef CONTROL_APPROVAL_APPROVAL_H
#define CONTROL_APPROVAL_APPROVAL_H

#include "control/approval/state.h"
#include "control/identity/principal.h"
#include "platform/base/bytes.h"
#include "platform/contract/message.h"

#define APPROVAL_ID_BYTES 16
#define APPROVAL_ID_TEXT 27       /* 26 characters of Crockford's base 32, lower case, and a NUL */
#define APPROVAL_NEEDS_MAX 8      /* groups in one selector */
#define APPROVAL_QUORUM_MAX 16
#define APPROVAL_VOTES_MAX 32
#define APPROVAL_NOTES_MAX 16    /* of refused acts and joined requests in an object's history: anybody can cause them, without end */
#define APPROVAL_HISTORY_MAX 96
#define APPROVAL_REASON_BYTES 256
#define APPROVAL_PENDING_MAX 10000
#define APPROVAL_PENDING_PER_RUN 5    /* against fatigue (approvals.md 7) */
#define APPROVAL_PENDING_PER_AGENT 20
#define APPROVAL_DENIALS_MAX 3        /* of one command in one run; then it is blocked */
#define APPROVAL_TEXT_BYTES (64u << 10) /* what people can be shown whole; above it no approval is possible */
#define APPROVAL_RECHECK_US 1000000u  /* a worker that does not say is asked again */
#define APPROVAL_KEPT 1000            /* terminal objects that can still be shown */
#define APPROVAL_SAY_BYTES LIMIT_SAY_BYTES
#define APPROVAL_ADMIN_PERSONS 2      /* kind admin: never fewer */

enum approval_kind { APPROVAL_ONCE_HOLD, APPROVAL_ADMIN };
/* "once-hold", "admin". */
const char *approval_kind_name(enum approval_kind kind);

struct approval_clock {
	uint64_t wall_us, mono_us;
	bool free; /* nobody sets the wall clock, and it was never right within a day */
};

/* "dba:1": `count` distinct persons of group `group`. */
struct approval_need {
	char group[LIMIT_NAME_BYTES];
	unsigned count;
};

struct approval_vote {
	struct principal *voter; /* one reference; NULL where the records do not say it: the vote has no weight */
	struct principal *newer; /* the same person by a later token that names none of the groups; NULL: none was seen */
	char person[LIMIT_CLAIM_BYTES + 1];
	char credential[65];     /* SHA-256 of the token, hexadecimal */
	char reason[APPROVAL_REASON_BYTES];
	bool approve;
	bool is_void;            /* kind admin: a record says that a later token took its weight */
	uint64_t wall_us;
};

struct approval {
	uint8_t id[APPROVAL_ID_BYTES];
	char id_text[APPROVAL_ID_TEXT];
	enum approval_kind kind;
	enum approval_state state;
	uint8_t *statement; /* JCS; what the approvers decide on */
	size_t statement_len;
	uint8_t statement_sha256[32];
	unsigned needs, quorum, deny_quorum;
	struct approval_need need[APPROVAL_NEEDS_MAX];
	uint64_t created_us, expires_us, use_by_us;     /* wall clock */
	uint64_t expires_mono_us, use_by_mono_us;       /* use_by counts from the grant */
	uint64_t granted_us;                            /* wall clock; 0: not granted */
	uint32_t use_by_s;
	uint64_t asked_mono_us;                         /* the worker, to judge again; 0: not asked */
	bool free_clock_ok;                             /* the policy releases also while the node's clock runs freely */
	bool on_demand;                                 /* kind admin: released when who asked comes for it, not by itself */
	bool look_again;                                /* the policy changed since it was judged */
	unsigned votes;
	struct approval_vote *vote;                     /* APPROVAL_VOTES_MAX of them, from the first vote on */
	unsigned history;
	uint64_t record[APPROVAL_HISTORY_MAX];          /* indexes in the journal: all that its state rests on, and the first notes */
	unsigned notes, notes_left_out;                 /* refused acts and joined requests: in the history, and in the journal only */
	bool history_cut;                               /* something else did not fit: nothing is given out by it */
	/* Where it waits (zeros for kind admin), and who asks. */
	unsigned worker;
	uint64_t flow;
	uint8_t session[16];
	uint32_t n;
	struct principal *requester; /* NULL in an object of kind once-hold that was rebuilt */
	uint8_t *who;                /* the requester's `who`, canonical */
	size_t who_len;
	char service[LIMIT_NAME_BYTES];
	char run[LIMIT_CLAIM_BYTES + 1], agent[LIMIT_CLAIM_BYTES + 1]; /* of the requester; "" when unknown */
	uint8_t command_sha256[32], params_sha256[32], state_sha256[32], policy_sha256[32];
	uint8_t same_sha256[32];     /* who asks for what of whom: equal for identical requests */
	bool params_free;
	/* How it ended. */
	char result[64];             /* protocol's status of the response, or the cause */
	bool cancel_wanted;          /* withdrawn before it was durable */
};

/* What the surroundings do. All return at once. */
struct approval_host {
	void *ctx;
	/* Appends the record `type` with the canonical object `data` and the canonical `who`, and `payload` (the statement) as chunks
	 * that it names; `*index` is its number. False: the journal does not take it. */
	bool (*record)(void *ctx, const struct approval *a, const char *type, struct bytes who, struct bytes data, struct bytes payload,
		       uint64_t *index);
	/* Tells the worker, after the turn's commit. */
	void (*answer)(void *ctx, const struct approval *a, enum approval_answer answer, const char *say);
	/* Kind admin: it was approved, and approval.consume is written: to be done after the turn's commit. approvals_performed follows. */
	void (*perform)(void *ctx, const struct approval *a);
	/* Has the worker judge the held command again; approvals_rechecked follows, or nothing. */
	void (*recheck)(void *ctx, const struct approval *a);
	/* Ends the session in which it waits or runs, with these words for its client. */
	void (*cut)(void *ctx, const struct approval *a, const char *say);
	/* Whether `p` is in the policy's group of that name, by the policy in force. */
	bool (*in_group)(void *ctx, const struct principal *p, const char *group);
	/* Whether `p` is still good: token not over, key not withdrawn. */
	bool (*still_valid)(void *ctx, const struct principal *p);
	/* Whether it is known by now which keys of the issuer of `p` were withdrawn; after a restart it takes a moment. */
	bool (*news_known)(void *ctx, const struct principal *p);
};

struct approval_counters {
	uint64_t requested, joined, granted, denied, expired, cancelled, superseded, executed, unknown, revoked, refused_events, refused_votes;
	unsigned open; /* not terminal */
};

struct approvals;

/* `host` is borrowed. NULL without memory. */
struct approvals *approvals_create(const struct approval_host *host, const char *node, const char *origin);
void approvals_destroy(struct approvals *as);

/* What a policy asks of an approval: who decides, and for how long. */
struct approval_terms {
	unsigned needs;
	struct approval_need need[APPROVAL_NEEDS_MAX]; /* kind admin: of two persons at least */
	unsigned deny_quorum; /* 0: one */
	uint32_t expires_s, use_by_s;
	bool free_clock_ok;
};

/* A held command, as statement.h writes it down. Views are borrowed. */
struct approval_command {
	unsigned worker;
	uint64_t flow;
	uint8_t session[16];
	const struct event_command *event;
	struct principal *requester;
	struct bytes who;                                      /* canonical */
	const char *service, *server, *database, *user, *login; /* server: "192.0.2.10:5432" */
	const char *proto, *parser;
	const uint8_t *policy_sha256;                          /* 32 bytes */
	const struct bytes *rules;
	unsigned rules_count;
	const char *classes;                                   /* of touched.h; NULL: unknown */
	bool params_free;
	struct approval_terms terms;
};

/* Makes the object, writes approval.request and answers WAITING. NULL: refused, answered with APPROVAL_REFUSE as `say` tells; a
 * request that waits already is refused with that one's number (approval.join). */
struct approval *approvals_request(struct approvals *as, const struct approval_command *command, struct approval_clock now,
				   char say[APPROVAL_SAY_BYTES]);

/* What an operator asks for. Views are borrowed. */
struct approval_operation {
	const char *name;              /* "journal.erase" */
	struct bytes args;             /* canonical object: all that it depends on */
	struct principal *requester;   /* a person */
	struct bytes who;              /* canonical */
	const char *reason;
	const uint8_t *policy_sha256;  /* 32 bytes */
	bool on_demand;                /* approvals_use releases it */
	struct approval_terms terms;
};

/* Makes the object of kind admin and writes approval.request. NULL: refused, and `say` tells why. */
struct approval *approvals_request_operation(struct approvals *as, const struct approval_operation *op, struct approval_clock now,
					     char say[APPROVAL_SAY_BYTES]);
/* What was asked for with `on_demand`: who asked comes for it, once, before its use-by. Everything that it rests on is looked at again, and
 * approval.consume is written with `who`. APPROVAL_DECIDED: it is to be done after the turn's commit, and approvals_performed follows.
 * Otherwise nothing may be done: `text` says why, and the attempt is a record. */
enum approval_vote_result approvals_use(struct approvals *as, struct approval *a, const struct principal *p, struct bytes who, struct approval_clock now,
					char text[APPROVAL_SAY_BYTES]);
/* How it went; nothing else than its state APPROVAL_EXECUTING may have led to it. */
void approvals_performed(struct approvals *as, struct approval *a, const char *status, struct approval_clock now);
/* Name and arguments, out of the statement that was signed, into `room`. False: it is of another kind. */
bool approval_operation_read(const struct approval *a, struct writer *room, struct bytes *name, struct bytes *args);

enum approval_vote_result {
	APPROVAL_VOTED,        /* counted, not decided yet */
	APPROVAL_DECIDED,      /* it was the deciding one */
	APPROVAL_NOT_FOUND,
	APPROVAL_NOT_OPEN,     /* of a state in which nobody votes */
	APPROVAL_NOT_ELIGIBLE,
	APPROVAL_NOT_RECORDED, /* the journal does not take it */
};

/* `text` says in a few words what was done, or why not. A vote that is refused is journaled too. */
enum approval_vote_result approvals_vote(struct approvals *as, struct approval *a, struct principal *voter, struct bytes voter_who,
					 bool approve, const char *reason, struct approval_clock now, char text[APPROVAL_SAY_BYTES]);

/* Takes back a grant: one that was not used yet is refused to its requester, one that was sent already has its session ended. `p`: an
 * eligible approver; NULL: the caller knows that `who` may (the machine's administrators, the policy's role). APPROVAL_DECIDED when done;
 * otherwise nothing changed, and the attempt is a record. */
enum approval_vote_result approvals_revoke(struct approvals *as, struct approval *a, struct principal *p, struct bytes who, const char *reason,
					   struct approval_clock now, char text[APPROVAL_SAY_BYTES]);

/* Whether `p` may see it: who may decide on it, and the side that asked. */
bool approvals_may_see(struct approvals *as, const struct approval *a, const struct principal *p);

/* Why what was granted is not released now (fixed text), NULL when it may be. */
const char *approvals_suspended(const struct approvals *as, const struct approval *a);

/* What the worker says of a held command when it is asked again. Views are borrowed. */
struct approval_recheck {
	enum command_action action;
	bool current;                 /* judged under the policy in force */
	struct bytes raw, params, types, state;
	bool params_free, free_clock_ok; /* of the approval that is asked for; only with COMMAND_HOLD */
	unsigned needs, deny_quorum;
	struct approval_need need[APPROVAL_NEEDS_MAX];
};
void approvals_rechecked(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, const struct approval_recheck *r,
			 struct approval_clock now);

/* A token of a person was accepted: one that names none of an approver's groups any more takes that vote's weight. */
void approvals_seen(struct approvals *as, struct principal *p);

/* What happens to held commands from outside. */
void approvals_withdrawn(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, const char *cause);
void approvals_responded(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n, bool lost, const char *status);
void approvals_session_closed(struct approvals *as, unsigned worker, uint64_t flow, const char *cause);
/* Everything that waits is to be judged again. */
void approvals_policy_changed(struct approvals *as);

/* Runs the clocks. Once a second or so, and before approvals_vote. */
void approvals_tick(struct approvals *as, struct approval_clock now);
/* The turn's records are on disk. */
void approvals_durable(struct approvals *as);

/* By number: any unique beginning of at least 4 characters, either case. NULL: none, or more than one. */
struct approval *approvals_find(struct approvals *as, const char *id_text);
struct approval *approvals_of_command(struct approvals *as, unsigned worker, uint64_t flow, uint32_t n);
/* Walks all, newest first: `at` starts at 0. */
struct approval *approvals_next(struct approvals *as, unsigned *at);
struct approval_counters approvals_counters(const struct approvals *as);

/* --- after a restart ---------------------------------------------------------------------------------------------------- */

/* Gives the records of the journal back in order, each approval.* record with its number. Objects are what the records say and
 * nothing else. `statement` is what its chunks hold, for approval.request only. False: not a record of this form. */
bool approvals_replay(struct approvals *as, uint64_t index, struct bytes record, struct bytes statement);
/* Ends what cannot go on: once-hold becomes cancelled, executing without a result unknown. What of kind admin was pending or approved goes
 * on until its own deadlines, and is judged again at its release. Answers REFUSE for each that was not
 * executed, also for those that had ended: the answer may have been lost. A worker to whom the release came takes no refusal after it. */
void approvals_restarted(struct approvals *as, struct approval_clock now);
/* The number of the oldest record that an open object needs; `size` when there is none. */
uint64_t approvals_low_water(const struct approvals *as, uint64_t size);

#endif
