/* judge.h: what the anchors of a journal are worth to somebody who has keys: for verify_journal's audit (journal/verify.h).
 *
 * A time stamp is good when it is for exactly its checkpoint's bytes, whole, and signed by a certificate for time stamping that led to a
 * known authority at the token's own time; a cosignature when it is by a known witness over its checkpoint's body. Of somebody whose key is
 * not known it is VERIFY_UNKNOWN; but what can be seen to be broken without a key is wrong.
 * With a policy (witness_policy.h) the judge also tells the newest checkpoint that has its quorum, of the anchors that it was shown.
 * Ownership: the judge keeps copies; judge_free. Threading: one thread per struct judge. Errors are fixed texts.
 */
#ifndef CONTROL_ANCHOR_JUDGE_H
#define CONTROL_ANCHOR_JUDGE_H

#include "control/anchor/cosignature.h"
#include "control/anchor/timestamp.h"
#include "control/anchor/witness_policy.h"
#include "control/journal/verify.h"

#define JUDGE_WITNESSES_MAX 64u
#define JUDGE_FILES_MAX 64u /* of a trust directory */

/* Of one checkpoint: who of the policy's witnesses cosigned it, a bit each, and the time in the last of these. */
struct judge_quorum {
	uint64_t size;
	uint64_t witnesses;
	int64_t time_s;
};

/* Zeroed: nobody is known. */
struct judge {
	struct timestamp_authority *authority; /* NULL: none */
	struct witness_key witness[JUDGE_WITNESSES_MAX];
	unsigned witnesses;
	struct witness_policy *policy; /* NULL: none */
	const char *policy_wrong;      /* of the one beside; NULL: nothing is */
	struct judge_quorum look;      /* the checkpoint that was judged last */
	struct judge_quorum quorum;    /* the newest one that has its quorum; size 0: none */
};

/* Adds certificates of authorities, PEM; keys of witnesses, one a line (empty lines are passed over). NULL, or what is wrong. */
const char *judge_add_authority(struct judge *j, struct bytes pem);
const char *judge_add_witnesses(struct judge *j, struct bytes text);
/* Takes the text of a policy, and knows its witnesses. NULL, or what is wrong and in which line (0: the whole). */
const char *judge_add_policy(struct judge *j, struct bytes text, unsigned *line);
/* The same from files. */
const char *judge_read_authority(struct judge *j, const char *path);
const char *judge_read_witnesses(struct judge *j, const char *path);
const char *judge_read_policy(struct judge *j, const char *path, unsigned *line);
/* What lies beside a journal, or in a bundle: DIR/trust/tsa-*.crt and witness-*.vkey, and the policy. Nothing there is no error; a
 * file that is none is passed over, and what it would have been good for is unverified; of a policy `policy_wrong` says why. */
void judge_read_beside(struct judge *j, const char *dir);
void judge_free(struct judge *j);

/* verify_options.judge; `ctx` is a struct judge. */
void judge_anchor(void *ctx, const struct verify_anchor *anchor, struct verify_judged *out);

#endif
