/* node.h: the control process: one thread, one loop, and what its parts share.
 *
 * Two processes are called sluice-control. The monitor (monitor.c) keeps the privileges and does nothing with them but start the
 * helpers under their own users and hand their sockets over. The core (core.c) gave its privileges up; it is what this header
 * describes. When the core dies the monitor ends its helpers and itself, and whoever started it starts it again; everything
 * that counts is in the journal and in the memory files of the run directory.
 *
 * The turn of the core's loop: sockets and timers (which may append records and orders), then inbox_turn, whose commit makes them
 * durable, then answers to operators, then the journal's publishing. So nothing is answered that is not on disk.
 */
#ifndef CONTROL_NODE_H
#define CONTROL_NODE_H

#include "control/age_clock.h"
#include "control/approval/approval.h"
#include "control/credential/credential.h"
#include "control/credential/scram.h"
#include "control/egress/client.h"
#include "control/identity/identity.h"
#include "control/identity/runs.h"
#include "control/feeding.h"
#include "control/indexing.h"
#include "control/inbox/inbox.h"
#include "control/journal/flush.h"
#include "control/journal/holds.h"
#include "control/journal/jcs_read.h"
#include "control/journal/journal.h"
#include "control/keys/ca.h"
#include "control/keys/export_key.h"
#include "control/policy/policy.h"
#include "control/reading.h"
#include "control/signer/signer_client.h"
#include "control/sqlparse/sqlparse_client.h"
#include "control/watch.h"
#include "platform/os/settings.h"

#define NODE_IMAGES 8          /* policy generations that events may still name */
#define NODE_LOGINS 1024       /* being checked at once */
#define NODE_LOGIN_WAIT_US 6000000u
#define NODE_CREDENTIALS 256
#define NODE_DEEDS 8           /* approved, and being done */
#define NODE_CLOSED 1000       /* sessions that are over and can still be listed */
#define NODE_QUESTIONS 1024    /* texts at the parser's helper */
#define NODE_SLOW_COMMIT_US 2000000u /* workers refuse meanwhile, because the heartbeat stands still */

/* The helpers, as the monitor and the core number them. */
enum helper { HELPER_SIGNER, HELPER_EGRESS, HELPER_SQLPARSE, HELPER_count }; /* from HELPER_count on: the streams, one sluice-export each */
extern const char *const helper_names[HELPER_count];

/* An image that is, or was, in force. */
struct node_image {
	uint64_t generation;
	struct bytes mapped;
	const struct policy_image *image;
};

/* A token at work: of a flow's login, or of an operator's question. */
struct node_login {
	bool used;
	unsigned worker;
	uint64_t flow, deadline_us;
	uint64_t question;      /* not 0: an operator's, by this number */
	uint8_t *token;         /* secret */
	size_t token_len;
};

/* A certificate that the operator brings for a service. */
struct node_certificate {
	const char *service;
	uint8_t *chain, *key; /* as order `certificate` carries them; `key` is a secret */
	size_t chain_len, key_len;
};

struct node_credential {
	char login[LIMIT_NAME_BYTES];
	struct credential *file;
	struct bytes user, password; /* borrowed from the file; user may be empty */
};

struct node_closed {
	char id[33], service[64], person[64], agent[64], run[64], user[64], client[64], cause[32];
	uint64_t opened_us, closed_us, commands, blocked, held, rows;
};

struct node_question {
	bool used;
	unsigned worker;
	uint64_t id, key_hi, key_lo;
};

/* Something that two persons approved. Each commit leads from RELEASED to DURABLE, and from SAID to DONE. */
struct node_deed {
	enum { DEED_NONE, DEED_RELEASED, DEED_DURABLE, DEED_SAID, DEED_DONE } state;
	char approval[APPROVAL_ID_TEXT];
	bool prunes;
};

struct operators;
struct captures;
struct anchors;
struct rotation;

/* Whose the numbers of kept values are (journal_keep). They are on disk: none moves. */
enum node_kept {
	KEPT_RUNS = 0,
	KEPT_HOLDS = KEPT_RUNS + RUNS_ENTRIES,
	KEPT_STOP = KEPT_HOLDS + HOLDS_MAX,
	KEPT_AGE,
	KEPT_END
};
_Static_assert(KEPT_END <= JOURNAL_KEPT, "the journal keeps all of them");

struct node {
	struct settings *settings;
	struct entry_clock now;
	int64_t clock_checked_s;
	uint64_t clock_good_us;        /* monotonic; 0: never in this run */
	uint8_t boot[16];              /* of this process, for order control */
	uint8_t machine_boot[16];
	bool ending, reload, failed;
	uint64_t started_us, started_mono_us;
	struct watch watch;
	uint64_t slow_commit;          /* the number of the last one that an alarm told of */
	const char *clk_told;
	uint32_t stale_issuers;        /* a bit each: revoke.stale was recorded */
	struct { uint64_t beat, seen_us; } worker[LIMIT_WORKERS]; /* their heartbeats, and when they changed last (monotonic) */
	/* The journal and its keys. */
	struct journal *journal;
	struct signer_client signer;
	struct journal_signer journal_signer;
	struct flush_time flush; /* of the disk, when this is the journal's first start */
	bool first_start;
	int signer_fd;
	struct signer_client signer_greeted; /* one that was started and has not said its keys yet */
	int signer_fd_greeted;               /* -1: none */
	uint64_t signer_greeted_ms;
	uint8_t commitment_key[32];
	struct payload_keys *payload_keys;
	struct journal_prune prune;    /* said, and to be done after the commit */
	uint64_t prune_until_us;       /* monotonic; it is tried again while a checkpoint is under way */
	const char *prune_wrong;       /* of the last one: NULL, or why it was not done */
	char expired_day[PAYLOAD_KEYS_DAY_BYTES]; /* of payload keys, likewise */
	uint64_t retention_us;
	struct age_clock age;          /* what retention goes by */
	uint64_t age_kept_us;          /* monotonic */
	struct holds *holds;           /* legal holds in force */
	uint32_t streams_keep;         /* a bit each: an alarm told that it keeps back what would be pruned */
	uint64_t hold_told;            /* the one that a log line told of last, and one; 0: none */
	struct anchors *anchors;       /* node_anchor.h */
	struct rotation *rotation;     /* of the checkpoint keys; node_rotate.c */
	bool erasures;                 /* keys to be destroyed once their records are durable */
	/* Rings, sessions, approvals. */
	void *up[LIMIT_WORKERS], *down[LIMIT_WORKERS];
	struct sessions *sessions;
	struct inbox *inbox;
	struct approvals *approvals;
	struct node_deed deed[NODE_DEEDS];
	uint64_t approvals_low;
	struct node_closed *closed;
	unsigned closed_count;
	/* Policy. */
	uint8_t *classes;              /* the class database */
	size_t classes_len;
	struct match_set *match;
	struct policy_tree *tree;
	struct node_image image[NODE_IMAGES];
	const struct policy_image *current;
	uint64_t generation, policy_loaded_us;
	/* Who, and with what. */
	struct identity *identity;
	struct runs *runs;             /* whose each agent run is */
	struct egress_client *egress;
	struct node_login *login;
	struct scram *scram;
	struct node_credential credential[NODE_CREDENTIALS];
	unsigned credentials;
	struct ca *ca;
	struct export_key *export_key;
	struct node_certificate *certificate; /* settings->upstream_count of them; those without one are zeroed */
	int64_t certificates_s;        /* when the leaves were made */
	/* Statements. */
	struct sqlparse_client *sqlparse;
	struct node_question *question;
	uint64_t questions_asked;
	/* The operator's socket, and the monitor's channel. */
	struct operators *operators;
	struct readings *readings;
	struct captures *captures; /* node_capture.h */
	struct indexing *indexing;
	struct feeding *feeding;
	int channel;
	unsigned helper_starts[HELPER_count];
	bool helper_asked[HELPER_count]; /* to be started again */
};

/* core.c: runs the core with `channel` to the monitor; its exit status. */
int core_run(struct settings *settings, int channel);
uint64_t node_mono_ms(const struct node *n);
/* Tells the workers that control gets on; `busy`: that the next turn may take some seconds. */
void node_beat(struct node *n, bool busy);
struct identity_clock node_identity_clock(const struct node *n);
struct approval_clock node_approval_clock(const struct node *n);
/* Asks the monitor to end a helper, which starts it again. */
void node_restart_helper(struct node *n, enum helper h);
/* Logs and journals that it works again, unless this is its first start. */
void node_helper_back(struct node *n, enum helper h);
/* Appends one record of control's own with {"key":value,...}: keys sorted, NULL after the last pair. */
/* The record's index; UINT64_MAX: the journal does not take it. */
uint64_t node_record(struct node *n, const char *type, struct bytes who, const char *const *pairs);

/* monitor.c */
int monitor_run(struct settings *settings);

/* node_policy.c. False with a text in `err`; the policy in force stays. `*changed` (may be NULL). */
bool node_policy_start(struct node *n, char *err, size_t err_size);
bool node_policy_load(struct node *n, bool *changed, char *err, size_t err_size);
const struct policy_image *node_image(void *ctx, uint64_t generation);
void node_policy_close(struct node *n);

/* node_login.c */
bool node_login_start(struct node *n, char err[OS_ERROR_BYTES]); /* with privileges: reads the credentials; after the commitment key */
bool node_runs_begin(struct node *n, char err[OS_ERROR_BYTES]); /* whose runs are, from the journal, and into it from now on */
void node_login(void *ctx, struct session *s, const struct event_login *e);
void node_scram(void *ctx, struct session *s, const struct event_scram *e);
void node_egress_answer(void *ctx, const struct egress_answer *answer);
void node_login_tick(struct node *n);
void node_login_gone(struct node *n, unsigned worker, uint64_t flow);
void node_fetch(struct node *n);
bool node_grant(struct node *n, const struct session *s, struct principal *p, struct inbox_grant *out, const char **why);
void node_regrant_all(struct node *n);
void node_check_sessions(struct node *n, bool keys_changed);
/* Logins that the process before this one left open are refused. */
void node_login_restarted(struct node *n);
void node_login_close(struct node *n);
/* Verifies an operator's token, now or when keys are there: operators_identified follows. */
void node_identify(struct node *n, uint64_t question, struct bytes token);

/* node_orders.c: what a worker has to know. */
void node_hello(void *ctx, unsigned worker);
void node_orders_snapshot(struct node *n, unsigned worker);
void node_orders_services(struct node *n, unsigned worker); /* certificates and trust */
void node_certificates_tick(struct node *n);
bool node_certificates_read(struct node *n, char err[OS_ERROR_BYTES]); /* those that sluice.conf names */
void node_certificates_close(struct node *n);

/* node_journal.c */
void node_orders_control(struct node *n, unsigned worker);
void node_journal_begun(struct node *n);
void node_journal_look(struct node *n);
/* The process ends for it: the workers are told, and the next process records it. */
void node_journal_failed(struct node *n, const char *why);
void node_clock_look(struct node *n);
void node_news_look(struct node *n);
bool node_issuer_stale(const struct node *n, const struct identity_status *s);
/* node_erase.c: the ends of payload keys. After the commit that made `key.destroy` durable; at the start, what was left undone. */
void node_erase_start(struct node *n);
bool node_erase_commit(struct node *n);

/* node_holds.c: legal holds. At the start, those in force; false with a text. Once in 20 ms: the next records are compared with them. */
bool node_holds_begin(struct node *n, char err[OS_ERROR_BYTES]);
void node_holds_tick(struct node *n);
/* Compares what is left, when it is little; false: some of the journal was not compared yet. */
bool node_holds_current(struct node *n);
/* Has the journal keep what they cover. */
void node_holds_apply(struct node *n);

/* node_signer.c: the signer's client, which also tells readers what was signed last. Valid as long as the node. */
struct journal_signer node_signer_journal(struct node *n);
/* A signer was started (its socket is ours now), and has to say its keys; what comes of that. */
void node_signer_arrived(struct node *n, int fd);
void node_signer_tick(struct node *n);

/* node_anchor.c: what others vouch for checkpoints with. With privileges: reads what sluice.conf names; with the journal and egress: begins. */
bool node_anchors_read(struct node *n, char err[OS_ERROR_BYTES]);
void node_anchors_begin(struct node *n);
void node_anchors_tick(struct node *n);
/* The policy, or the log's keys, are others now. */
void node_anchors_policy(struct node *n);
/* True when the answer was to a question of an anchor. */
bool node_anchor_answer(struct node *n, const struct egress_answer *answer);
void node_anchors_close(struct node *n);
/* A witness saw another history of this journal: no checkpoint is signed any more. */
bool node_anchors_fork(const struct node *n);

/* node_deeds.c: what two persons approved. `node_perform` is the approvals' host; after a commit; once in 20 ms. */
void node_perform(void *ctx, const struct approval *a);
void node_deeds_commit(struct node *n);
void node_deeds_tick(struct node *n);
/* Say the record of an approved deed, which is done after the commit: "" then; NULL: it has to wait; else why it is not done. */
const char *node_erase_begin(struct node *n, const struct approval *a, struct jcs_value args);
const char *node_prune_begin(struct node *n, const struct approval *a, struct jcs_value args);
const char *node_rotate_begin(struct node *n, const struct approval *a, struct jcs_value args);
const char *node_capture_begin(struct node *n, const struct approval *a, struct jcs_value args);
/* Members of journal.prune, and of the statement that was approved. */
void node_prune_describe(struct jcs *j, const struct node *n, const struct journal_prune *p);
/* No record from here on is pruned: a legal hold covers it, or a stream has not confirmed it. `*stream`: the one that is furthest behind
 * of those that are waited for; NULL: none is behind. */
uint64_t node_prune_limit(const struct node *n, const struct settings_stream **stream);

/* node_rotate.c: rotation of the checkpoint keys; once in 20 ms: its next step. */
bool node_rotate_open(struct node *n);
void node_rotate_close(struct node *n);
void node_rotate_tick(struct node *n);
/* Members of the statement to be approved; NULL, or why none can be asked for. */
const char *node_rotate_describe(struct node *n, struct jcs *j);

/* node_retention.c: asks once a minute what is past its time. The acts follow the commit. */
void node_retention_tick(struct node *n);
void node_retention_commit(struct node *n);

/* node_classify.c */
void node_classify(void *ctx, unsigned worker, const struct event_classify *e);
void node_classified(void *ctx, uint64_t id, bool known, struct bytes why, struct bytes classification);

/* node_hold.c */
struct approval_host node_approval_host(struct node *n);
void node_held(void *ctx, struct session *s, const struct event_command *e, const struct policy_image *image);
void node_withdrawn(void *ctx, struct session *s, uint32_t ref, enum withdraw_cause cause);
void node_responded(void *ctx, struct session *s, const struct event_response *e);
void node_closed(void *ctx, struct session *s, const char *cause);
void node_rechecked(void *ctx, struct session *s, const struct event_rechecked *e, const struct policy_image *image);
bool node_approvals_rebuild(struct node *n, char err[OS_ERROR_BYTES]);
void node_approvals_tick(struct node *n);

#endif
