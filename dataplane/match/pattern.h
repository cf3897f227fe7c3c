/* pattern.h: rules' text patterns (`pattern = "…"` of a policy rule): tripwires over canonical text and decoded literals.
 *
 * Control compiles them (match_patterns_compile) and puts the serialized database into the policy image; a worker loads and scans.
 * Patterns are Hyperscan's: no look-around, no back-references. They are compiled UTF-8, case-insensitive, single match.
 * Ownership: the caller frees what compile returns with free(); a loaded set belongs to one worker (it holds its scratch).
 * Scanning allocates nothing.
 */
#ifndef DATAPLANE_MATCH_PATTERN_H
#define DATAPLANE_MATCH_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

struct match_patterns;

/* Compiles `count` patterns; bit i of a scan is pattern i. NULL with `*bad` (the pattern at fault, or count) and a text in `err`. */
uint8_t *match_patterns_compile(const char *const *patterns, unsigned count, size_t *len, unsigned *bad, char *err, size_t err_len);

/* From policy_pattern_database of the image; `count` is policy_counts().patterns. NULL with a text in `err`. */
struct match_patterns *match_patterns_load(const void *blob, size_t len, unsigned count, char *err, size_t err_len);
void match_patterns_free(struct match_patterns *set);

/* Adds the patterns that hit in `text` to the bit set `hits` of LIMIT_PATTERNS bits. False: the scan failed, and every bit is set
 * (patterns can only raise a verdict, so this is the closed side). */
bool match_patterns_scan(struct match_patterns *set, struct bytes text, uint64_t *hits);

#endif
