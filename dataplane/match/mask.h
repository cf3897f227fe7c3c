/* mask.h: what stands in the place of a value (protocols/data-classes.md 6, common.md C6 and C7).
 *
 * A mask is text of the same shape where a strict reader needs it (`000-00-0000`, `***@masked.invalid`, an IBAN of zeros) and a token
 * `***bcdf…***` elsewhere. No mask is matched by any class, and masking a mask gives the same mask. Tokens carry a
 * keyed check, so that mask_present knows its own. What has no room for one (a zero, a date, NULL) is not
 * recognised: the caller's rule for such columns is common.md C7, second point.
 *
 * Types other than text are the protocol's business: it writes its own zero, epoch or NULL and uses mask_text for the rest.
 * Ownership: the 32-byte key is the caller's, one per tenant, never on a wire. Pure functions, any thread, no allocation.
 */
#ifndef DATAPLANE_MATCH_MASK_H
#define DATAPLANE_MATCH_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/match/match.h"
#include "platform/base/bytes.h"

enum mask_kind {
	MASK_FULL,         /* "full", "redact": nothing of the value is left */
	MASK_LAST4,        /* "last4", "partial": the last four characters stay; secrets, mail and network addresses like full */
	MASK_NULL,         /* "null": the protocol's NULL; as text, and inside a longer text, like full */
	MASK_HASH,         /* "hash": 32 letters, keyed, equal for equal values of a class */
	MASK_TOKEN,        /* "token": a keyed token, equal for equal values of a class, so that joins still work */
	MASK_EMAIL_DOMAIN, /* "email-domain": `***@` and the domain; other classes like full */
	MASK_ZERO,         /* "zero": digits become 0 where the class is a number; other classes like full */
	MASK_YEAR,         /* "year": a date keeps its year; other classes like full */
	MASK_KIND_COUNT
};

#define MASK_KEY_BYTES 32

/* The kind of a policy word; false when there is none. */
bool mask_kind_find(const char *word, enum mask_kind *out);

/* The first of its words; "?" outside the range. */
const char *mask_kind_name(enum mask_kind kind);

/* How a value is masked. */
struct mask {
	enum mask_kind kind;
	const uint8_t *key; /* MASK_KEY_BYTES */
	size_t len_max;     /* what the column can hold (varchar(n)), in bytes; 0 = no limit. A mask that does not fit is cut to `*` */
};

/* Writes the mask of one whole value of `class`. Returns the bytes written; `out->ok` is false when there was no room. */
size_t mask_text(const struct match_set *set, unsigned class, const struct mask *mask, struct bytes value, struct writer *out);

/* The kind and key for a class; NULL means: leave the hit as it is. */
typedef const struct mask *mask_choose(void *ctx, unsigned class);

/* Copies `value` to `out` with every hit replaced. Hits as match_value gives them. Returns the bytes written. */
size_t mask_value(const struct match_set *set, const struct match_hit *hits, size_t hits_count, mask_choose *choose, void *ctx,
		  struct bytes value, struct writer *out);

/* An upper bound for what mask_value writes, for sizing `out`. */
size_t mask_value_bound(const struct match_hit *hits, size_t hits_count, struct bytes value);

/* Write-back guard: whether `text` holds a mask made by mask_text, in clear, JSON-escaped, URL-encoded, or base64 or hex
 * encoded once. Cost is linear; bounded stack. Tokens are checked against `key`; shaped masks are known by their shape. */
bool mask_present(const uint8_t key[MASK_KEY_BYTES], struct bytes text);

#endif
