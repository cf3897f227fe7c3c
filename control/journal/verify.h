/* verify.h: the offline audit of a journal directory: what is wrong, and where.
 *
 * Recomputes every leaf hash from the stored records and compares it with the stored tile hashes, recomputes the tree and
 * compares its root with every checkpoint, checks every signature, that indexes have no gap, that each record is canonical,
 * that each session's counter `n` has no gap, and that each payload chunk hashes to what its record says. Also every published
 * tile, full and partial, of every level, and the spine's hashes, as far as records are there. A key that was given in one
 * generation of the log's keys stands for all that handovers connect it with (key_list.h). Needs the directory (a copy will do)
 * and public keys that the auditor got elsewhere; writes nothing, locks nothing.
 * What a log alone cannot prove: that records newer than the last checkpoint, or checkpoints newer than everything that speaks
 * of them (the file, the spine's mark, anchors, prune records, the signer's state), existed.
 * Checkpoints that the caller kept elsewhere are held against the journal: what it cannot say of itself.
 * What time stamps and cosignatures say is judged by whom the caller names (anchor/judge.h): this folder knows no authority.
 */
#ifndef CONTROL_JOURNAL_VERIFY_H
#define CONTROL_JOURNAL_VERIFY_H

#include "control/journal/checkpoint.h"

#define VERIFY_NOWHERE UINT64_MAX

enum verify_kind {
	VERIFY_RECORD,     /* a record, its leaf or payload is not what was written */
	VERIFY_ORDER,      /* records are missing, or do not lead to the tree, or to their session's counters */
	VERIFY_TILE,       /* a published tile */
	VERIFY_SPINE,      /* a hash or mark of the spine */
	VERIFY_CHECKPOINT, /* a checkpoint is wrong, or missing */
	VERIFY_ANCHOR,     /* a time stamp or cosignature */
	VERIFY_FORK,       /* a checkpoint that somebody kept is of another history */
	VERIFY_UNVERIFIED, /* no finding: an anchor of somebody whose key is not known */
	VERIFY_KINDS
};

/* A word, and what to do. */
const char *verify_kind_name(enum verify_kind kind);
const char *verify_kind_advice(enum verify_kind kind);

/* One finding. Unknown places are VERIFY_NOWHERE. */
struct verify_finding {
	enum verify_kind kind;
	const char *what;     /* one sentence that names the record: "record 77 does not hash to ..." */
	uint64_t index;       /* the record, or the first one of the range that is affected */
	uint64_t last;        /* the last one of that range; equal to index for one record */
	uint64_t segment;     /* first index of the segment */
	uint64_t byte;        /* offset in the segment's data.mdb */
};

/* A time stamp or a cosignature as it lies in the spine, and what a judge (anchor/judge.h) says of it. They come in the order of their
 * checkpoints' sizes, all time stamps first; one whose bytes a writer replaced meanwhile is shown once more. */
struct verify_anchor {
	bool is_token;
	uint64_t size;
	struct bytes note, body, value; /* the checkpoint as stored, its three lines, the anchor */
};
struct verify_judged {
	enum { VERIFY_GOOD, VERIFY_UNKNOWN, VERIFY_WRONG } verdict; /* UNKNOWN: no key of whoever made it */
	char who[CHECKPOINT_ORIGIN_MAX];
	int64_t time_s;
	const char *why; /* unless GOOD: a fixed text */
};

/* A checkpoint from elsewhere, and what findings call it. */
#define VERIFY_KEPT_MAX 8u
struct verify_kept_note {
	const char *name;
	struct bytes note;
};

struct verify_options {
	const char *dir;
	const struct checkpoint_keys *keys; /* NULL: signatures are not checked, and the summary says so */
	void *judge_ctx;
	void (*judge)(void *ctx, const struct verify_anchor *anchor, struct verify_judged *out); /* NULL: no anchor's content is looked at */
	void *signed_ctx;
	bool (*signed_last)(void *ctx, uint64_t *size, struct merkle_hash *root); /* the last checkpoint of the signer's state, as it is now; NULL or false: not known */
	const struct verify_kept_note *kept; /* at most VERIFY_KEPT_MAX */
	unsigned kept_count;
	unsigned findings_max;              /* stop after so many; 0: 100 */
	void *ctx;
	void (*found)(void *ctx, const struct verify_finding *finding); /* may be NULL */
	bool (*progress)(void *ctx, uint64_t done, uint64_t total);     /* may be NULL; every 65,536 records; false ends it, and nothing is good */
};

struct verify_summary {
	uint64_t first, size;  /* records present */
	uint64_t segments, checkpoints, chunks, sessions, tiles;
	uint64_t tokens, cosignatures, unverified; /* anchors that are good; those of unknown keys */
	uint64_t stamped, cosigned; /* records under the newest good one of each kind */
	int64_t stamped_s, cosigned_s; /* its time, seconds since 1970 */
	unsigned kept;         /* kept checkpoints that are the beginning of this journal */
	uint64_t kept_size;    /* of the newest of them */
	uint64_t findings;
	uint64_t covered;      /* records under a good checkpoint; the rest is the unsigned tail */
	bool signatures_checked;
	bool signer_known;     /* the newest checkpoint was compared with the signer's state */
	unsigned keys;         /* generations of keys that the checkpoints were checked under */
	struct merkle_hash root;
};

/* True when nothing is wrong. */
bool verify_journal(const struct verify_options *options, struct verify_summary *summary);

#endif
