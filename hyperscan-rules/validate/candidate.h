/* candidate.h: from the end that a pattern reported to a proved value.
 *
 * Hyperscan says where a match ends, not where it starts (start of match would cost half the speed and makes bounded
 * repeats too large to compile). So the start is found here: backwards over the class's alphabet and separators, at
 * most `span_max` bytes; then boundaries, grouping and validator decide. The pattern is only a filter: what this function
 * accepts is a value of the class whatever the pattern was. Pure, no allocation.
 */
#ifndef HYPERSCAN_RULES_VALIDATE_CANDIDATE_H
#define HYPERSCAN_RULES_VALIDATE_CANDIDATE_H

#include "hyperscan-rules/validate/class.h"

struct candidate {
	size_t start, end;
	bool separated; /* written with separators or an international prefix: stronger evidence than bare digits */
};

/* Whether a value of `class` ends at `end` (<= text.len). `*work` grows by the steps taken; the caller bounds it. */
bool candidate_find(const struct class *class, struct bytes text, size_t end, struct candidate *out, uint64_t *work);

/* Whether the byte belongs to the alphabet. */
bool candidate_in_alphabet(unsigned alphabet, uint8_t byte);

#endif
