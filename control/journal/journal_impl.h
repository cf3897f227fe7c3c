/* journal_impl.h: inside of struct journal; for the files that it names, and tests. */
#ifndef CONTROL_JOURNAL_JOURNAL_IMPL_H
#define CONTROL_JOURNAL_JOURNAL_IMPL_H

#include <limits.h>

#include "control/journal/journal.h"
#include "control/journal/segment.h"
#include "control/journal/spine.h"

_Static_assert(JOURNAL_KEPT == SEGMENT_KEPT && JOURNAL_KEPT_BYTES == SEGMENT_KEPT_BYTES && SEGMENT_KEPT_BYTES < 256, "every segment has room for what is kept");
_Static_assert(JOURNAL_CURSORS == SEGMENT_CURSORS, "one cursor a ring in every segment");

/* The records and chunks since the last commit. Values lie in one arena, in the order of arrival. */
struct journal_batch {
	unsigned records, chunks;
	uint64_t cursors; /* a bit for each ring whose cursor was set */
	size_t used;
	uint8_t *arena;   /* JOURNAL_BATCH_BYTES and room for one more value */
	struct bytes stored[JOURNAL_BATCH_RECORDS];
	struct merkle_hash leaf[JOURNAL_BATCH_RECORDS];
	struct bytes chunk[JOURNAL_BATCH_RECORDS * 2];
};

enum publish_phase { PUBLISH_IDLE, PUBLISH_WORK };

struct publish {
	enum publish_phase phase;
	bool now;            /* a segment was sealed, or a flush is wanted */
	bool has_tried;
	bool repair;         /* tile files of what is published may be damaged: publish it once more */
	bool is_signed, partials_done;
	uint64_t tried_us;   /* when the last one began */
	uint64_t target;     /* the size that is being published */
	struct merkle_hash root;
	uint64_t tile[SPINE_LEVELS + 1]; /* the next full tile to write, by level */
	uint8_t *entries;                /* room for one bundle of entries, from the first one on: TILES_BUNDLE_MAX */
	uint64_t mark_size, mark_us;     /* what was published when; see publish.c */
	uint8_t note[CHECKPOINT_BYTES_MAX], pending[CHECKPOINT_BYTES_MAX];
	size_t note_len, stored_len, pending_len; /* stored_len: the note without cosignatures */
	uint64_t note_size, note_us;
	unsigned cosignatures; /* behind the note */
	bool refused;        /* the last answer of the signer was no */
	const char *why;     /* why the last one failed; NULL when it did not */
	char why_text[JOURNAL_ERROR_BYTES];
};

struct journal {
	char dir[PATH_MAX - 128];
	char origin[CHECKPOINT_ORIGIN_MAX];
	struct journal_config config;
	int lock;
	struct segment segment;
	struct spine spine;
	struct archive *archive;
	struct record_codec *codec;
	struct merkle_range range;  /* committed records */
	uint64_t chunks;            /* committed chunks */
	uint64_t cursor[JOURNAL_CURSORS];
	struct segment_kept *kept;
	uint64_t protect_from;      /* no record from here on is pruned */
	bool rotate;                /* due at the next multiple of 256 */
	bool next_reserved, has_reserve;
	uint64_t reserve_bytes;     /* of the volume, on disk or given up; 0: none wanted */
	enum journal_level level;
	unsigned used_percent;
	uint64_t commits, commit_us_last, commit_us_max;
	uint64_t readers_segment_us, readers_spine_us; /* segment_readers_check */
	const char *refusal;
	bool is_stopped;
	char stopped[JOURNAL_ERROR_BYTES];
	struct publish publish;
	struct journal_batch batch;
};

/* Stops the journal; the first reason stays. */
__attribute__((format(printf, 2, 3))) void journal_stop(struct journal *j, const char *format, ...);
/* Subtree hashes of what is committed, the spine's queue included. */
struct merkle_source journal_source(struct journal *j);

/* prune.c: removes what an interrupted pruning left. */
void prune_left_over(struct journal *j);

/* kept.c: memory; what the segment with this first index holds (NULL, or a fixed text); after a commit. */
bool kept_open(struct journal *j);
const char *kept_load(struct journal *j, uint64_t segment);
void kept_committed(struct journal *j);

/* spine_rebuild.c: NULL, or a fixed text. Before the segments are opened. */
const char *spine_rebuild(struct journal *j);

/* journal_anchor.c: cosignatures of the newest checkpoint, appended to its note. */
void anchor_note_open(struct journal *j);

/* publish.c: after opening, and before closing. */
bool publish_open(struct journal *j, char err[JOURNAL_ERROR_BYTES]);
void publish_close(struct journal *j);

/* By a clock that nobody sets. */
uint64_t journal_steady_us(const struct journal *j);

#endif
