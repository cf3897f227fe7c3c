/* archive.h: reading a journal directory: the live one, sealed segments, or a copy on an auditor's machine.
 *
 * Reads the segment files by its own bounded reader of LMDB's file format (mdbfile.h): no lock file, no reader slot, no write
 * access, and no way for a damaged file to crash the reader. A reader therefore never pins pages of the active segment.
 * On a journal that is being written, what an archive sees is the last commit at archive_refresh; a page that is replaced
 * while it is read shows as an error, never as a wrong record once leaf hashes are compared (archive_read compares).
 * Ownership: the archive owns what it hands out, until the next call on it. Threading: one thread per archive.
 */
#ifndef CONTROL_JOURNAL_ARCHIVE_H
#define CONTROL_JOURNAL_ARCHIVE_H

#include "control/journal/checkpoint.h"
#include "control/journal/merkle.h"
#include "control/journal/record.h"

#define ARCHIVE_ERROR_BYTES 256

struct archive;
struct search_index;
struct segment_view;

/* NULL with a text in `err`. The directory must hold seg/; the spine may be missing (then proofs cost more). */
struct archive *archive_open(const char *dir, char err[ARCHIVE_ERROR_BYTES]);
void archive_close(struct archive *a);
/* Looks again for new commits and segments. False with a text in `err`; the archive stays usable as it was. */
bool archive_refresh(struct archive *a, char err[ARCHIVE_ERROR_BYTES]);

/* Records present: [first, size). first > 0 after pruning. */
uint64_t archive_first(const struct archive *a);
uint64_t archive_size(const struct archive *a);

/* The newest segment, for the writer's recovery (segment_view.h). Valid until archive_refresh. */
const struct segment_view *archive_newest(const struct archive *a);

/* Segment `number` from the oldest; NULL when there are fewer. Valid until archive_refresh. */
const struct segment_view *archive_segment(const struct archive *a, size_t number);

/* A record's canonical bytes, its leaf hash checked against the stored one; they hold until the next record is read, also by a
 * search. NULL, or a text (valid until the next call). */
const char *archive_read(struct archive *a, uint64_t index, struct bytes *record);
/* A payload chunk as stored, and decompressed. `hash` (may be NULL) must match the stored bytes. */
const char *archive_chunk_stored(struct archive *a, uint64_t key, const uint8_t hash[32], struct bytes *stored);
const char *archive_chunk(struct archive *a, uint64_t key, const uint8_t hash[32], struct bytes *payload);
/* The content of a chunk as a record's `pl` names it; `seal` may be NULL: then only what is not sealed can be read. */
const char *archive_payload(struct archive *a, const struct record_chunk *chunk, const struct record_seal *seal, struct bytes *payload);

/* The stored leaf hash; of a pruned record from its published tile, if that is the one whose hash the spine holds. */
bool archive_leaf(struct archive *a, uint64_t index, struct merkle_hash *out);
/* Subtree hashes for roots and proofs, from the leaf hashes and the spine. Valid as long as the archive. */
struct merkle_source archive_source(struct archive *a);

/* The newest stored checkpoint with a size in [at_least, at_most]; its note. False when there is none. */
bool archive_checkpoint(struct archive *a, uint64_t at_least, uint64_t at_most, uint64_t *size, struct bytes *note);
/* The oldest one covering more than `index` records. */
bool archive_checkpoint_after(struct archive *a, uint64_t index, uint64_t *size, struct bytes *note);

/* What others vouched for a checkpoint with (spine.h): tokens over its note as archive_checkpoint gives it, cosignature lines over its body. */
enum archive_anchor { ARCHIVE_TOKEN, ARCHIVE_COSIGNATURE };
/* The newest anchored checkpoint of a size of at most `at_most`; the oldest one covering more than `index` records. */
bool archive_anchored(struct archive *a, enum archive_anchor kind, uint64_t at_most, uint64_t *size);
bool archive_anchored_after(struct archive *a, enum archive_anchor kind, uint64_t index, uint64_t *size);
/* Anchor `number` (0, 1, ...) of the checkpoint of that size; valid until archive_refresh. Whoever takes it checks it. */
bool archive_anchor(struct archive *a, enum archive_anchor kind, uint64_t size, unsigned number, struct bytes *value);
/* The directory that was opened. */
const char *archive_dir(const struct archive *a);

/* The .tlog-proof of a record under the note given (a checkpoint of this journal). NULL, or a text. */
const char *archive_proof(struct archive *a, uint64_t index, struct bytes note, struct writer *out);

/* --- search ----------------------------------------------------------------------------------------------------------- */

/* All that is set must match. Strings are compared with the record's plain text. */
struct archive_filter {
	uint64_t from, to;    /* indexes [from, to); to 0: the end */
	const char *session;  /* `sess`, 32 hexadecimal digits */
	const char *sessions; /* any of these, 32 digits each, with commas between */
	const char *type;     /* `t`; a trailing '.' or '*' matches the prefix */
	const char *person;   /* `who.person` or `who.sub` */
	const char *agent;    /* `who.agent` */
	const char *run;      /* `who.run` */
	const char *target;   /* any of terms_targets (search_terms.h): service, address, address:port, database, what is read or written */
	const char *service;  /* `svc` */
	const char *verdict;  /* `out.verdict` */
	const char *since, *until; /* `ts`, RFC 3339 UTC, compared as text: [since, until) */
	bool in_session;      /* has a `sess` */
	const char *text;     /* anywhere in the record's bytes, ASCII case ignored */
};

/* Has searches of this archive pass over records that the index beside the journal (search_index.h) knows to match nothing. An index
 * proves nothing: whoever searches for evidence does without. Where it is missing or damaged all records are read. */
bool archive_use_index(struct archive *a);
struct search_index *archive_index(const struct archive *a);

enum archive_next { ARCHIVE_FOUND, ARCHIVE_END, ARCHIVE_MORE, ARCHIVE_BROKEN };

/* The next match at or after `*index`, looking at no more than about `budget` records: ARCHIVE_MORE says that the budget was used
 * up and `*index` is where to go on. After ARCHIVE_FOUND `*index` is the match; go on with one more. ARCHIVE_BROKEN: record
 * `*index` cannot be read, `*why` says so. */
enum archive_next archive_search(struct archive *a, const struct archive_filter *filter, uint64_t *index, unsigned budget,
				 struct bytes *record, const char **why);

/* The log's public keys as they lie beside a journal: vkey, and log-p256.pem where there is a second signature. NULL, or a fixed text. */
const char *checkpoint_keys_beside(const char *dir, struct checkpoint_keys *keys);

#endif
