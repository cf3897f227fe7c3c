/* holds.h: legal holds: what must neither be pruned nor made unreadable, whatever the retention says (journal.md 4, 5).
 *
 * A hold is a record, `journal.hold`, and its name is that record's index. It covers every record that meets all of its terms, those
 * of before it and those of after it. It ends with `journal.hold_release`. Nothing but those records makes or ends one.
 *
 * Segments go the oldest first, so a hold keeps everything from the first record on that it covers: holds_limit. A session whose
 * records it covers keeps its payload key: holds_session. Both need the records to be compared with the terms, which holds_look does
 * in bounded steps, each record once for a hold and a process; what was not compared yet counts as covered. A record that cannot be read
 * counts as covered too.
 * Memory: 32 bytes a session and hold, up to HOLD_SESSIONS_MAX; a hold over more covers all. Threading: one thread.
 */
#ifndef CONTROL_JOURNAL_HOLDS_H
#define CONTROL_JOURNAL_HOLDS_H

#include "control/journal/archive.h"
#include "control/journal/jcs.h"

#define HOLDS_MAX 256u
#define HOLD_MATTER_BYTES 129u
#define HOLD_REASON_BYTES 501u
#define HOLD_NAME_BYTES 257u
#define HOLD_TIME_BYTES 28u
#define HOLD_SESSIONS_MAX (1u << 20)
#define HOLD_TEXT_BYTES (HOLD_MATTER_BYTES + 48)

/* All that is set must be met: "" and 0 are not set. Names are compared as search does (archive.h). */
struct hold_terms {
	char matter[HOLD_MATTER_BYTES]; /* the case's number where the order came from */
	char reason[HOLD_REASON_BYTES];
	char session[33];               /* hexadecimal */
	char person[HOLD_NAME_BYTES], agent[HOLD_NAME_BYTES];
	char since[HOLD_TIME_BYTES], until[HOLD_TIME_BYTES]; /* RFC 3339 UTC or its beginning, without the Z: [since, until) */
	uint64_t from, to;              /* indexes: [from, to) */
};

/* NULL, or what is wrong with them (fixed text). Takes the Z off the times. */
const char *hold_terms_check(struct hold_terms *t);
/* The `data` of journal.hold, between jcs_open and jcs_close. */
void hold_terms_put(struct jcs *j, const struct hold_terms *t);
/* From the record. False when it is no journal.hold of this form. */
bool hold_terms_read(struct bytes record, struct hold_terms *out);

struct hold {
	uint64_t index; /* of its record: its name */
	struct hold_terms terms;
	bool unreadable;     /* its record cannot be read: it covers everything */
	uint64_t seen;       /* records below were compared */
	uint64_t first;      /* the first one that it covers; UINT64_MAX: none so far */
	uint64_t broken;     /* the first one that could not be read; UINT64_MAX: none */
	uint8_t (*session)[16]; /* an open hash of `room` places, zeros are free */
	size_t sessions, room;
	bool has_zero, all_sessions;
};

struct holds;

struct holds *holds_create(void);
void holds_destroy(struct holds *hs);

/* `terms` NULL: the record cannot be read. NULL: HOLDS_MAX are there, or no memory. Valid until the next holds_add or holds_release. */
const struct hold *holds_add(struct holds *hs, uint64_t index, const struct hold_terms *terms);
/* False: there is no such hold. */
bool holds_release(struct holds *hs, uint64_t index);
const struct hold *holds_find(const struct holds *hs, uint64_t index);
/* Walks them, oldest first: `at` starts at 0. */
const struct hold *holds_next(const struct holds *hs, unsigned *at);
unsigned holds_count(const struct holds *hs);

/* Compares at most about `budget` records; true while there is more. */
bool holds_look(struct holds *hs, struct archive *a, unsigned budget);

/* The index from which on no record may be pruned; UINT64_MAX: all may. `*by` (may be NULL): the hold that says so. */
uint64_t holds_limit(const struct holds *hs, const struct hold **by);

enum hold_answer { HOLD_NONE, HOLD_COVERS, HOLD_NOT_KNOWN };
/* Whether a hold covers a session's records below `size`; NOT_KNOWN: they were not all compared. `*by`: the hold. */
enum hold_answer holds_session(const struct holds *hs, const uint8_t session[16], uint64_t size, const struct hold **by);

/* "legal hold 1234 (matter 7 O 12/26)". */
const char *hold_text(const struct hold *h, char out[HOLD_TEXT_BYTES]);

#endif
