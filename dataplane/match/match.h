/* match.h: bytes of one value to hits of data classes (protocols/data-classes.md 1 to 5, 9).
 *
 * How it decides: tier one (one Hyperscan block scan of cheap triggers, single match) says which groups of
 * classes can be in the value at all; only those groups' exact patterns run; every reported end is then
 * proved in code (hyperscan-rules/validate: start, boundaries, length, checksum). The unit is one value: a cell,
 * a JSON leaf, a parameter. Hits are resolved by longest, then by priority of the class, and never overlap.
 *
 * Context: a class of 9 to 13 bare digits proves little (10 % of random numbers pass a checksum), so it is a hit
 * only where the column or key name, or a word just before the number in the same text, speaks for it. The caller
 * says so in struct match_want. A name only ever adds context, so that an alias chosen by an agent can raise a prior but
 * not hide a value; a base column's name is used as well wherever lineage gives it.
 *
 * Ownership: a set is made by match_set_load, read only afterwards and shared by all workers; a scratch belongs to
 * one worker and is good only for the set it was created from. Nothing allocates after those two calls, nothing locks,
 * nothing makes a system call. Offsets and lengths are bytes.
 */
#ifndef DATAPLANE_MATCH_MATCH_H
#define DATAPLANE_MATCH_MATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/base/class_bits.h"
#include "platform/base/limits.h"

struct match_set;
struct match_scratch;

/* What a value of any of several classes has at least, so that a text without it is not scanned. Zeroed: nothing is known. */
struct match_least {
	uint16_t bytes;
	uint8_t digits; /* when it is a number; 255: none of them is one */
	bool at_sign;   /* when it is none */
};

/* What is looked for in one value. */
struct match_want {
	struct class_bits classes; /* what the policy masks here */
	struct class_bits context; /* of them: those that the column's or key's name speaks for */
	struct match_least least;  /* of the classes: match_least, or zeroed */
};

/* One hit: bytes [start, end) of the value. */
struct match_hit {
	uint32_t start, end;
	uint16_t class;
};

/* What a column's or key's name says. `strong` tags the column alone: its values are masked unseen. `negative` has
 * already been taken out of `weak`, and out of `strong` for classes that have no pattern. */
struct match_name {
	struct class_bits strong, weak, negative;
};

/* Loads a blob written by `sluice-rules compile`; every field is checked. NULL with a text in `err` when it is not one,
 * is damaged, or was compiled for another processor or Hyperscan. The blob may be released afterwards. The Hyperscan byte
 * code inside is guarded by checksums only: a blob comes from the control process, never from a wire. */
struct match_set *match_set_load(const void *blob, size_t len, char *err, size_t err_len);
void match_set_free(struct match_set *set);

/* NULL when memory is short. The set must outlive it. */
struct match_scratch *match_scratch_create(const struct match_set *set);
void match_scratch_destroy(struct match_scratch *scratch);

unsigned match_class_count(const struct match_set *set);

/* Static for the life of the set; "?" outside the range. */
const char *match_class_name(const struct match_set *set, unsigned class);

/* The class of this name or alias, or -1. */
int match_class_find(const struct match_set *set, const char *name);

/* The classes behind a class name, an alias ("pan-luhn") or a union ("secret-any"). False when there is none. */
bool match_class_bits(const struct match_set *set, const char *name, struct class_bits *out);

/* The mask kind that the rule file of this class proposes (enum mask_kind of mask.h). */
unsigned match_class_mask_kind(const struct match_set *set, unsigned class);

/* The longest value that any class can have; what a streaming caller keeps back is this less one. */
size_t match_longest(const struct match_set *set);

/* Evidence of a name: tokens of camelCase, snake_case and the like, case folded, several languages. */
struct match_name match_name(const struct match_set *set, struct bytes name);

/* What to look for in a column of this name: `classes`, with those as context that the name speaks for, strongly or weakly.
 * An empty name gives no context. Several names of one value (alias and base column) are joined with class_bits_or. */
struct match_want match_want(const struct match_set *set, struct class_bits classes, struct bytes name);

struct match_least match_least(const struct match_set *set, const struct class_bits *classes);

/* The hits in `value`, sorted by start. Returns their number, at most `hits_max` (>= 1). When there would be more, or when a
 * hostile value needs more work than its length pays for, the last hit is stretched to the end of the value: fail closed. */
size_t match_value(const struct match_set *set, struct match_scratch *scratch, const struct match_want *want,
		   struct bytes value, struct match_hit *hits, size_t hits_max);

/* Whether anything of `want` can be in `message`, which may be many values with their framing in between. True may be
 * wrong; false means that match_value finds nothing in any value that lies whole and unescaped in the message. */
bool match_any(const struct match_set *set, struct match_scratch *scratch, const struct match_want *want,
	       struct bytes message);

#endif
