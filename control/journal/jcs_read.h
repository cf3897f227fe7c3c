/* jcs_read.h: checking and reading canonical JSON (RFC 8785) that somebody else wrote.
 *
 * jcs_check accepts exactly what jcs.h can write and nothing else: it is the rule for what may enter the journal and what
 * an auditor may trust to have one meaning. The readers below are zero-copy, bounded and safe on any bytes, but mean
 * something only after jcs_check. Pure functions, any thread.
 */
#ifndef CONTROL_JOURNAL_JCS_READ_H
#define CONTROL_JOURNAL_JCS_READ_H

#include "control/journal/jcs.h"

enum jcs_kind { JCS_NONE, JCS_OBJECT, JCS_ARRAY, JCS_STRING, JCS_INTEGER, JCS_BOOL };

/* One value: its kind and its bytes as they stand, quotes and brackets included. */
struct jcs_value {
	enum jcs_kind kind;
	struct bytes raw;
};

/* NULL when `text` is one canonical value and nothing more, else a fixed text saying what is wrong. `*at` (may be NULL)
 * gets the offset of the fault. */
const char *jcs_check(struct bytes text, size_t *at);
/* The same with at most `depth` levels of objects and arrays. */
const char *jcs_check_depth(struct bytes text, unsigned depth, size_t *at);

/* The value that begins `text`; kind JCS_NONE when there is none. */
struct jcs_value jcs_value_of(struct bytes text);

/* The member `key` (plain ASCII, nothing that needs escaping) of an object; kind JCS_NONE when absent. */
struct jcs_value jcs_get(struct jcs_value object, const char *key);

/* Several members in one walk: `key` in ascending order, `out` as many; kind JCS_NONE where absent. A walk costs as much as the object is long, so
 * whoever wants more than two of a record takes them together. */
void jcs_pick(struct jcs_value object, unsigned count, const char *const key[], struct jcs_value out[]);

/* Walks an object or array: `*at` starts at 0; false at the end. For arrays `key` stays empty; may be NULL. Keys come as
 * they stand between their quotes (escaped). */
bool jcs_next(struct jcs_value container, size_t *at, struct bytes *key, struct jcs_value *value);

/* The string's text with escapes undone, into `out`; false when it is no string or does not fit. */
bool jcs_read_str(struct jcs_value value, struct writer *out);
/* The string's bytes between the quotes, as they stand; empty when it is no string. Equal to the text when nothing in it
 * needs escaping (ids, hashes, verbs, types). */
struct bytes jcs_read_plain(struct jcs_value value);
bool jcs_read_int(struct jcs_value value, int64_t *out);
bool jcs_read_bool(struct jcs_value value, bool *out);

#endif
