/* jcs.h: writing canonical JSON (RFC 8785), the form of every record.
 *
 * A streaming writer over struct writer: values go straight into the caller's buffer, nothing is allocated.
 * What it writes is canonical by construction, or nothing: the first breach (a key out of order or repeated,
 * a number beyond 2^53-1, a string that is not UTF-8, depth above 8, no room) sets `fault` to a fixed text, and from
 * then on nothing is written and jcs_done gives an empty string. So compose straight down, check once:
 *
 *	struct jcs j = jcs_of(&w);
 *	jcs_open(&j);
 *	jcs_put_text(&j, "norm", text);       -> "norm":"..." or "norm_b64":"..." when the bytes are not UTF-8
 *	jcs_put_int(&j, "rows", 7);
 *	jcs_close(&j);
 *	record = jcs_done(&j);
 *
 * Only objects, arrays, strings, booleans and integers with |n| <= 2^53-1 exist here (journal.md 3): no null, no fraction.
 * Keys of one object come in the order of their UTF-16 code units (RFC 8785 3.2.3). For ASCII names that is byte order:
 * digits, then capitals, then '_', then small letters. Threading: a value belongs to one thread.
 */
#ifndef CONTROL_JOURNAL_JCS_H
#define CONTROL_JOURNAL_JCS_H

#include "platform/base/bytes.h"

#define JCS_DEPTH_MAX 8
#define JCS_INTEGER_MAX 9007199254740991 /* 2^53-1, RFC 7493 2.2 */

struct jcs {
	struct writer *out;
	const char *fault; /* NULL while all is well; a fixed text */
	unsigned depth;    /* open objects and arrays */
	bool done;         /* the one outermost value is complete */
	size_t start;      /* where in `out` it began */
	struct {
		bool object, wants_value;
		size_t count;
		size_t key_at, key_len; /* the last key, as it stands in the output between its quotes */
	} level[JCS_DEPTH_MAX];
};

/* Writes at the end of what `out` holds already. `out` must outlive the value. */
struct jcs jcs_of(struct writer *out);

/* The canonical bytes from the first value's start, or an empty string after a fault or while something is open. */
struct bytes jcs_done(const struct jcs *j);

/* Values, in an array or after jcs_key. */
void jcs_open(struct jcs *j);  /* { */
void jcs_close(struct jcs *j); /* } */
void jcs_array(struct jcs *j); /* [ */
void jcs_array_close(struct jcs *j);
void jcs_str(struct jcs *j, struct bytes utf8);
void jcs_int(struct jcs *j, int64_t value);
void jcs_bool(struct jcs *j, bool value);
/* A value that is canonical already, from outside this process; checked, the depth counts. */
void jcs_raw(struct jcs *j, struct bytes canonical);

void jcs_key(struct jcs *j, const char *key);
void jcs_key_bytes(struct jcs *j, struct bytes utf8);

/* Key and value in one. */
void jcs_put_str(struct jcs *j, const char *key, const char *text);
void jcs_put_int(struct jcs *j, const char *key, int64_t value);
/* Beyond 2^53-1 the number is written as a decimal string (journal.md 3). */
void jcs_put_uint(struct jcs *j, const char *key, uint64_t value);
void jcs_put_bool(struct jcs *j, const char *key, bool value);
void jcs_put_raw(struct jcs *j, const char *key, struct bytes canonical);
/* What this writer made before, kept unchanged in this process' memory (the `who` of a session), nested `depth` deep: not read again. */
void jcs_put_composed(struct jcs *j, const char *key, struct bytes composed, unsigned depth);
/* Text from a wire: valid UTF-8 as "key", anything else as "key_b64" in base64url without padding. */
void jcs_put_text(struct jcs *j, const char *key, struct bytes text);
/* Always base64url, under the name as given. */
void jcs_put_b64(struct jcs *j, const char *key, struct bytes data);
/* Lower-case hexadecimal: hashes and session ids. */
void jcs_put_hex(struct jcs *j, const char *key, struct bytes data);
/* An array of texts; ones that are not UTF-8 are a fault. */
void jcs_put_strs(struct jcs *j, const char *key, const struct bytes *texts, size_t count);

/* RFC 3629: no surrogates, no overlong forms, nothing above U+10FFFF. */
bool jcs_is_utf8(struct bytes b);

#endif
