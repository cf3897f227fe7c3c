/* journal.h: the writer of the audit journal (journal.md 2, 5, 6, 7, 10).
 *
 * One thread of one process owns a struct journal, and one process a directory (a second one is refused by lock). Records are
 * appended to a batch in memory and become durable together in journal_commit; an index that append gave out may be
 * acknowledged only after that commit returned JOURNAL_OK. Nothing else acknowledges.
 *
 *	for each message of a ring, while journal_has_room(j, records it may cause, bytes):
 *		journal_chunk(...); compose; journal_append(j, record, &index);
 *		journal_cursor_set(j, ring, position after the message);
 *	if (journal_commit(j, now_us) == JOURNAL_OK) acknowledge;
 *	journal_publish(j, &signer, now_us);
 *
 * The cursors are stored in the same transaction as the records, so after a crash the reading of each ring continues exactly
 * after the last message that is in the journal: no record twice, none missed.
 *
 * Failure: after an error of the disk nothing of the batch counts as written, and the journal is stopped: every call answers
 * JOURNAL_STOPPED, journal_stopped gives the reason, and only journal_close and journal_open (which recovers from what is
 * really on disk) end it. It never retries by itself.
 *
 * Directory: lock, seg/<first index, 20 digits>/ (LMDB: entry, chunk, tile0, meta), spine/ (LMDB, never pruned: hashes of
 * full tiles, checkpoints), checkpoint, tile/ (C2SP tlog-tiles), vkey. Times are UTC microseconds, given by the caller.
 */
#ifndef CONTROL_JOURNAL_JOURNAL_H
#define CONTROL_JOURNAL_JOURNAL_H

#include "control/journal/archive.h"
#include "control/journal/checkpoint.h"
#include "control/journal/proof.h"
#include "control/journal/record.h"

#define JOURNAL_ERROR_BYTES 256
#define JOURNAL_BATCH_RECORDS 1024u
#define JOURNAL_BATCH_BYTES (32u << 20) /* stored bytes, records and chunks together */
#define JOURNAL_CURSORS 64u             /* ring ids 0..63 */
#define JOURNAL_KEPT (65536u + 320u)    /* numbers of kept values */
#define JOURNAL_KEPT_BYTES 96u          /* the longest one */

struct journal;

struct journal_config {
	const char *dir;        /* made when absent, mode 0700 */
	const char *origin;     /* checkpoint_origin_ok; must not change over the life of the directory */
	uint64_t segment_bytes; /* 0: 16 GiB; at least 1 MiB */
	uint64_t segment_us;    /* 0: 24 h */
	uint64_t publish_us;    /* 0: 1 s; the shortest time between two checkpoints */
	uint64_t (*steady_us)(void); /* a clock that nobody sets; NULL: CLOCK_MONOTONIC */
	bool publish_entries;   /* entry bundles under tile/entries too; doubles what is written. Exports make them anyway. */
	bool preallocate;       /* reserve the next segment at 80 % of the current one */
	bool reserve;           /* keep room on the volume for vital records: 64 MiB, or 2 % of it when that is less */
};

enum journal_status {
	JOURNAL_OK,
	JOURNAL_BATCH_FULL, /* commit first, then again */
	JOURNAL_BAD_RECORD, /* not canonical, or too long: nothing was added */
	JOURNAL_NO_SPACE,   /* level JOURNAL_LEVEL_FULL and the record is not vital: nothing was added */
	JOURNAL_STOPPED,    /* see journal_stopped */
};

/* Opens or creates, and recovers. NULL with a text in `err`. */
struct journal *journal_open(const struct journal_config *config, uint64_t now_us, char err[JOURNAL_ERROR_BYTES]);
/* Drops the uncommitted batch. NULL is allowed. */
void journal_close(struct journal *j);

/* True when `records` more records and chunks of `bytes` in all fit into the batch; always true on an empty batch, when
 * within the limits at all. Also false where a segment ends, so that it ends where batches end. */
bool journal_has_room(const struct journal *j, unsigned records, size_t bytes);

/* Adds a canonical record; `*index` is its leaf index once committed. Why a record was refused: journal_refusal. */
enum journal_status journal_append(struct journal *j, struct bytes record, uint64_t *index);
/* As journal_append, and allowed at level JOURNAL_LEVEL_FULL, from the reserve: approvals (deny, revoke), kill, admin and
 * journal records. */
enum journal_status journal_append_vital(struct journal *j, struct bytes record, uint64_t *index);
/* As both, of what the canonical writer has just made: it can make nothing else, so that it is not read again to check it. Empty (a fault,
 * or something is open): JOURNAL_BAD_RECORD. */
enum journal_status journal_append_composed(struct journal *j, const struct jcs *record, bool vital, uint64_t *index);
/* Adds a payload chunk of at most RECORD_CHUNK_BYTES_MAX bytes. Append it before the record that names it, in one batch. */
enum journal_status journal_chunk(struct journal *j, struct bytes payload, struct record_chunk *out);
/* As journal_chunk, sealed with a session's key (record.h). */
enum journal_status journal_chunk_sealed(struct journal *j, const struct record_seal *seal, struct bytes payload, struct record_chunk *out);
/* The fixed text for the last JOURNAL_BAD_RECORD. */
const char *journal_refusal(const struct journal *j);

/* Cursors: 0 when never set. The set value counts from the next commit on; get gives the last one set. */
uint64_t journal_cursor_get(const struct journal *j, unsigned ring);
void journal_cursor_set(struct journal *j, unsigned ring, uint64_t position);

/* Small state of this process that becomes durable with the records of the same commit and comes back at the next opening; it is no
 * evidence, and no reader of the journal sees it. False: a number or length over the limits, an empty value, or the journal is stopped. */
bool journal_keep(struct journal *j, unsigned key, struct bytes value);
/* The value as it was last set; empty: none. Valid until the next journal_keep. */
struct bytes journal_kept(const struct journal *j, unsigned key);

/* One durable commit of the batch, the cursors and what is kept. An empty batch without a change costs nothing. Rotates the segment
 * when that is due. */
enum journal_status journal_commit(struct journal *j, uint64_t now_us);

/* NULL while running, else why not. */
const char *journal_stopped(const struct journal *j);

/* How full the volume is (statvfs; the reserve counts as used, also when it was given up for vital records): 80, 90, 95, 98 %, and
 * stopped (journal.md 10). */
enum journal_level { JOURNAL_LEVEL_OK, JOURNAL_LEVEL_ALARM, JOURNAL_LEVEL_DIGEST, JOURNAL_LEVEL_NO_SESSIONS, JOURNAL_LEVEL_FULL, JOURNAL_LEVEL_STOPPED };
struct journal_state {
	enum journal_level level;
	unsigned used_percent;
	uint64_t size;            /* committed records */
	uint64_t pending;         /* records in the batch */
	uint64_t checkpoint_size; /* newest published checkpoint; 0 when none */
	uint64_t checkpoint_us;   /* when it was published; 0 when not in this run */
	uint64_t segment_first;   /* the active segment */
	uint64_t commits;         /* in this run */
	uint64_t commit_us_last, commit_us_max; /* how long commits took, in this run; over 2 s is a stalled disk */
	const char *stopped;      /* as journal_stopped */
	const char *signer;       /* why the last checkpoint could not be had; NULL when it could */
	bool signer_refused;      /* because the signer saw a journal that does not go on from what it signed */
};
void journal_state(struct journal *j, struct journal_state *out);
/* The level as of the last commit or journal_state; no call. */
enum journal_level journal_level(const struct journal *j);

/* --- publishing ------------------------------------------------------------------------------------------------------- */

/* What the journal needs of the signing process; control/signer/signer_client.h provides one. No call may block. */
enum journal_signer_answer { JOURNAL_SIGNER_WAIT, JOURNAL_SIGNER_DONE, JOURNAL_SIGNER_REFUSED, JOURNAL_SIGNER_GONE };
struct journal_signer {
	void *ctx;
	/* The size that the signer signed last (0: nothing yet); false when the signer is not there. */
	bool (*size)(void *ctx, uint64_t *size);
	/* Sends a request; false when it cannot be sent. */
	bool (*ask)(void *ctx, uint64_t old_size, const struct merkle_proof *proof, struct bytes body);
	/* The answer to the last request: signature lines into `lines`, or a text into `*why` (fixed or living in ctx). */
	enum journal_signer_answer (*poll)(void *ctx, struct writer *lines, const char **why);
};

/* One bounded step (at most about a millisecond of work and one commit of the spine), to be called every turn. When the tree
 * grew and publish_us is over, or a segment was sealed: asks for a checkpoint of the committed size, writes the tiles, stores
 * the checkpoint in the spine, then publishes the file. True while it has work left: call again soon. A refusal shows in
 * journal_state, and stops nothing here. */
bool journal_publish(struct journal *j, const struct journal_signer *signer, uint64_t now_us);
/* All that is left to it is the signer's answer: no reason to call again at once. */
bool journal_publish_waits(const struct journal *j);
/* The shortest time between two checkpoints from now on, as publish_us of the configuration. */
void journal_publish_every(struct journal *j, uint64_t us);
/* Publishes the committed size now, waiting at most `wait_ms`; for shutdown. False when it could not be had. */
bool journal_publish_flush(struct journal *j, const struct journal_signer *signer, uint64_t now_us, unsigned wait_ms);

/* --- anchors ---------------------------------------------------------------------------------------------------------- */

/* The newest published checkpoint's note as it is stored, without cosignatures: what is time-stamped and given to witnesses. */
struct bytes journal_checkpoint_stored(const struct journal *j);
/* The proof that the tree of size `new_size` extends that of `old_size`, both committed. */
bool journal_consistency(struct journal *j, uint64_t old_size, uint64_t new_size, struct merkle_proof *out);
/* Makes an anchor of the checkpoint of that size durable (two flushes), and appends a cosignature to the published file while that is
 * still the newest. The caller verified it. False: refused as one too many, or the journal is stopped. */
bool journal_anchor(struct journal *j, enum archive_anchor kind, uint64_t size, struct bytes value);

/* --- retention -------------------------------------------------------------------------------------------------------- */

/* Segments [first, end), the oldest ones; `root` is the tree's of size `end`, `sealed_us` when the last of them was sealed. */
struct journal_prune {
	uint64_t first, end, sealed_us;
	unsigned segments;
	struct merkle_hash root;
};
/* The segments that were sealed before `before_us` and are under a published checkpoint; false when there are none. */
bool journal_prune_candidate(struct journal *j, uint64_t before_us, struct journal_prune *out);
/* From now on nothing from record `from` on is a candidate, nor removed (legal holds, streams); UINT64_MAX, as after opening: nothing is protected. */
void journal_protect(struct journal *j, uint64_t from);
/* Removes them. The record `journal.prune` {end, first, root} must be durable before: the audit asks for it. Proofs made before stay
 * valid, and consistency with every earlier size can be proven. NULL, or a fixed text; what was begun the next opening completes. */
#define JOURNAL_PRUNE_LATER "a checkpoint is being published: try again"
const char *journal_prune(struct journal *j, const struct journal_prune *what);

/* --- reading ---------------------------------------------------------------------------------------------------------- */

/* What is committed, for reading in the writer's own thread between commits; refreshed by this call, owned by the journal.
 * NULL when stopped. Other processes open the directory with archive_open. */
struct archive *journal_archive(struct journal *j);

/* The newest published checkpoint's note; empty when none. Valid until the next journal_publish. */
struct bytes journal_checkpoint(const struct journal *j);

/* The .tlog-proof of a record under the newest published checkpoint. NULL, or a fixed text (not covered yet, unreadable). */
const char *journal_proof(struct journal *j, uint64_t index, struct writer *out);

#endif
