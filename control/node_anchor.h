/* node_anchor.h: the anchors of the journal's checkpoints in the core: one time-stamp authority, and witnesses (journal.md 8).
 *
 * Each has its struct anchor_watch, which says when to ask and when its silence is an alarm. Questions go through sluice-egress; an
 * answer counts only once it was verified here and is durable in the spine. Losing an anchor stops nothing: it is recorded
 * (`journal.alarm` {alarm, state, ...}), shown, and asked again.
 *
 * Witnesses are asked in rounds, all for one checkpoint (anchor/watch.h). How many of them the policy wants, and who they are, lies beside the
 * journal as the text of a witness policy (anchor/witness_policy.h), with the log's keys.
 */
#ifndef CONTROL_NODE_ANCHOR_H
#define CONTROL_NODE_ANCHOR_H

#include "control/anchor/cosignature.h"
#include "control/anchor/timestamp.h"
#include "control/anchor/watch.h"
#include "control/anchor/witness_policy.h"
#include "control/node.h"

#define ANCHOR_WHY_BYTES 200
#define ANCHOR_ID (1ull << 62) /* the ids of our questions at egress begin here; those of identity stay far below */

/* What both kinds have. */
struct anchor {
	const char *alarm;  /* its word in records */
	struct anchor_watch watch;
	uint64_t id;        /* of the question under way */
	char why[ANCHOR_WHY_BYTES]; /* the last question's failure; "" after a success */
};

struct anchor_witness {
	struct anchor anchor;
	struct witness_key key;
	char alarm[CHECKPOINT_ORIGIN_MAX + 16];
	uint64_t old_size;       /* what it cosigned last, as far as we know */
	bool again;              /* it said another size: the question was sent anew once */
	uint8_t note[CHECKPOINT_BYTES_MAX]; /* of the question under way */
	size_t note_len;
	uint64_t time_s;         /* in its last cosignature */
};

struct anchors {
	uint64_t questions;
	struct anchor_witness witness[SETTINGS_WITNESSES]; /* settings->witnesses of them */
	struct anchor_round round;
	uint8_t round_note[CHECKPOINT_BYTES_MAX];
	size_t round_note_len;
	struct quorum_watch quorum;
	unsigned quorum_wanted;  /* of `quorum` */
	bool fork;               /* a witness saw another history: nothing is signed any more in this run */
	/* The time-stamp authority; NULL: none is configured. */
	struct timestamp_authority *authority;
	uint8_t *roots;     /* its file, TIMESTAMP_CA_BYTES */
	size_t roots_len;
	struct anchor stamp;
	struct timestamp_query query;
	int64_t stamp_time_s; /* in the last token */
};

/* Begins a question of this anchor over the checkpoint of that size; its id. And ends it, with a printf text or NULL. */
uint64_t anchor_question(struct node *n, struct anchor *a, uint64_t size);
[[gnu::format(printf, 3, 4)]] void anchor_failed(struct node *n, struct anchor *a, const char *format, ...);
void anchor_done(struct node *n, struct anchor *a);

/* Publishes what a later reader needs to check anchors with: journal/trust/<name>. */
void anchor_trust_write(struct node *n, const char *name, struct bytes text);

/* node_witness.c */
bool witnesses_read(struct node *n, char err[OS_ERROR_BYTES]);
void witnesses_begin(struct node *n);
void witnesses_tick(struct node *n, const struct journal_state *state);
/* True when the answer was to a question to a witness. */
bool witnesses_answer(struct node *n, const struct egress_answer *answer);
/* The rule as it is now, beside the journal: after the policy, or the log's keys, have changed. */
void witnesses_policy(struct node *n);
/* The newest checkpoint that as many witnesses cosigned as the policy wants (or one, when it wants none); 0: none in this run. */
uint64_t witnesses_size(const struct node *n);

/* node_stamp.c */
bool stamp_read(struct node *n, char err[OS_ERROR_BYTES]);
void stamp_begin(struct node *n);
void stamp_tick(struct node *n, const struct journal_state *state);
void stamp_answer(struct node *n, const struct egress_answer *answer);

#endif
