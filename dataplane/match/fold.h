/* fold.h: digits, separators and dashes of other scripts to ASCII, for matching only (data-classes.md 1 and V1). Private to this folder.
 *
 * U+FF10.. full-width, U+0660.. and U+06F0.. Arabic-Indic, U+0966.. Devanagari digits; U+FF0B, U+FF0D, U+FF0E, U+FF20 signs; no-break,
 * thin and other spaces of U+2000..200A, U+202F, U+205F, U+3000; dashes U+2010..2015, U+2212. Zero-width characters
 * (U+200B..200D, U+2060, U+FEFF, U+00AD) disappear. Line breaks between digits become a space.
 */
#ifndef DATAPLANE_MATCH_FOLD_H
#define DATAPLANE_MATCH_FOLD_H

#include "platform/base/bytes.h"

/* Whether folding would change anything. */
bool fold_is_needed(struct bytes value);

/* Folds from `from` until the value or `cap` ends; origin[i] is where byte i came from, origin[return value] where it stopped. */
size_t fold(struct bytes value, size_t from, uint8_t *out, uint32_t *origin, size_t cap);

#endif
