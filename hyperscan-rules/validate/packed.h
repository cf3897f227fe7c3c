/* packed.h: where can a number be? The scanner for classes that are letters and digits in groups (shape packed).
 *
 * Hyperscan finds fixed prefixes and literals at 9 GB/s, but numbers with optional separators bring it to 0.06 GB/s on rows
 * (measured, 25 classes, reports at every digit). Digits need no automaton: packed_possible looks at 64 bytes at a time, packed_scan cuts the text into runs of letters and
 * digits once for all classes and asks only those whose length fits. Both say "maybe"; candidate_find proves.
 * Pure functions, any thread; linear.
 */
#ifndef HYPERSCAN_RULES_VALIDATE_PACKED_H
#define HYPERSCAN_RULES_VALIDATE_PACKED_H

#include "hyperscan-rules/validate/class.h"
#include "platform/base/limits.h"

#define PACKED_RUNS 10 /* runs that may belong together; an IBAN in groups of four has nine */

/* Classes by the number of letters and digits that their values have, and by how many of them are digits. */
struct packed_index {
	uint64_t by_length[CLASS_PACKED_MAX + 1][LIMIT_CLASSES / 64];
	uint64_t by_digits[CLASS_PACKED_MAX + 1][LIMIT_CLASSES / 64]; /* classes that need at most so many digits */
	uint64_t digits_only[LIMIT_CLASSES / 64];
};

/* Whether the scanner is responsible for the class: packed, and not of hexadecimal octets, whose shape a pattern finds better. */
bool packed_is(const struct class *class);

void packed_index_add(struct packed_index *index, unsigned id, const struct class *class);

/* False when the text holds no value of any packed class: no four digits in a row, no digits in separated groups, no letter between pairs
 * of digits. True may be wrong. Right for any part of a larger text as well: it looks at no boundary. */
bool packed_possible(struct bytes text);

/* Told of each class and end where a value may be. Returning false ends the scan. */
typedef bool packed_end(void *ctx, unsigned class, size_t end);

void packed_scan(const struct packed_index *index, const uint64_t wanted[LIMIT_CLASSES / 64], struct bytes text, packed_end *tell, void *ctx);

#endif
