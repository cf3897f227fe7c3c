/* operator_verbs.h: what the operator's verbs do in the core. One struct operation is one request. */
#ifndef CONTROL_OPERATOR_VERBS_H
#define CONTROL_OPERATOR_VERBS_H

#include <jansson.h>

#include "control/cli/frame.h"
#include "control/node.h"

struct operation {
	struct node *node;
	json_t *args;            /* object, or NULL */
	unsigned uid;
	bool administrator;
	struct bytes who;        /* canonical, of the local user */
	uint8_t who_room[1024];
	uint64_t question;
	/* The answer. */
	bool waiting;            /* operation_identified comes */
	void (*identified)(struct operation *o, struct principal *p, const struct identity_failure *why);
	enum frame_status status;
	json_t *result;
	json_t *stream;          /* not NULL: a reading of the journal follows on the connection (reading.h) */
	char error[1024];
	/* Of a stream: its record, and whose it is. */
	uint64_t reading;
	uint8_t reader_room[SESSION_WHO_BYTES];
	size_t reader_len;
	char disclosing[APPROVAL_ID_TEXT]; /* it gives out payload keys, by this approval, which was used for it; else "" */
};

/* Runs a verb; afterwards either `waiting` or answered. */
void operation_run(struct operation *o, const char *verb);
void operation_identified(struct operation *o, struct principal *p, const struct identity_failure *why);

/* Sets the error, "what: why: do". */
[[gnu::format(printf, 3, 4)]] void operation_fail(struct operation *o, enum frame_status status, const char *format, ...);
/* A text argument, NULL when it is not there. */
const char *operation_text(const struct operation *o, const char *name);

/* Has the token of the arguments verified; `then` follows. Afterwards waiting, or failed. */
void operation_identify(struct operation *o, void (*then)(struct operation *, struct principal *, const struct identity_failure *));
/* Records and answers that the token was not accepted. */
void operation_token_refused(struct operation *o, const struct identity_failure *why);
/* Pieces of answers. */
json_t *operation_time(uint64_t wall_us);
json_t *operation_policy_json(const struct node *n);

/* operator_anchor.c: time stamps and witnesses; and why the node is not better for them. */
json_t *operation_anchors(const struct node *n);
void operation_anchor_reasons(const struct node *n, json_t *reasons);
/* node_rotate.c: the checkpoint keys, and how far a rotation is. */
json_t *operation_keys(const struct node *n);

/* The verbs, by file. */
void operation_health(struct operation *o);
void operation_journal(struct operation *o);
void operation_version(struct operation *o);
void operation_workers(struct operation *o);
void operation_drops(struct operation *o);
void operation_ports(struct operation *o);
void operation_flows(struct operation *o);
void operation_flow(struct operation *o);
/* Adds what the worker's page says. */
void operation_worker_page(const struct node *n, unsigned worker, json_t *row);
/* The standby forwarder. */
json_t *operation_standby(const struct node *n);
/* Whether the worker was seen to turn within two seconds; `*known`: it has a page at all. */
bool operation_worker_alive(const struct node *n, unsigned worker, bool *known);
void operation_policy_show(struct operation *o);
void operation_policy_reload(struct operation *o);
void operation_key_fingerprints(struct operation *o);
void operation_journal_erase(struct operation *o);
void operation_journal_prune(struct operation *o);
void operation_journal_rotate_key(struct operation *o);
void operation_journal_disclose(struct operation *o);
/* node_disclose.c: members of the statement; false after an answer. */
bool node_disclose_describe(struct operation *o, struct jcs *j);
/* `p` comes for what it asked for: o->stream is narrowed to it, the approval is used up. False after an answer. */
bool node_disclose_use(struct operation *o, const struct principal *p, struct bytes who);
/* key.disclose, after the record of the reading; what the thread needs goes into o->stream. */
void node_disclose_record(struct operation *o, struct bytes who);
/* The reading ended; `approval` may be "". */
void node_disclose_ended(struct node *n, const char *approval, const char *went);
/* Whether an erasure (node_erase.c), a pruning (node_retention.c) can be asked for; false after an answer. */
bool node_erase_possible(struct operation *o, const char *session);
bool node_prune_possible(struct operation *o, struct journal_prune *what);
void operation_hold_add(struct operation *o);
void operation_hold_list(struct operation *o);
void operation_hold_release(struct operation *o);
void operation_journal_read(struct operation *o);
void operation_read(struct operation *o);
/* Once in 20 ms: records of what readings that ended gave out. */
void operation_readings_ended(struct node *n);
void operation_sessions(struct operation *o);
void operation_session_kill(struct operation *o);
void operation_approvals(struct operation *o);
void operation_approval_show(struct operation *o);
void operation_approval_vote(struct operation *o);
void operation_approval_revoke(struct operation *o);
void operation_identity_test(struct operation *o);
void operation_capture_start(struct operation *o);
/* Asks two persons for a capture of whole frames; what it is to be was looked at. */
void node_deeds_capture(struct operation *o, uint64_t for_s, uint64_t bytes_max);
void operation_capture_stop(struct operation *o);
void operation_capture_list(struct operation *o);
void operation_capture_save(struct operation *o);

#endif
