/* values.h: the bound values of a held command, as approvers see them and as they are signed (approvals.md 3, `params`).
 *
 * `params` is PostgreSQL's Bind from its formats on: u16 formats, each u16; u16 values, each u32 length (ffffffff: NULL) and bytes.
 * `types` are the type oids that the client declared at Parse, u32 each; what is not among them the server chose by itself. Pure.
 */
#ifndef CONTROL_APPROVAL_VALUES_H
#define CONTROL_APPROVAL_VALUES_H

#include "control/journal/jcs.h"

/* SHA-256 over count, types and bytes of every value: u32 length of `types`, `types`, `params`. */
void values_hash(struct bytes types, struct bytes params, uint8_t out[32]);

/* Bytes of the values' text, as values_put shows them; more than `max` when they are not shown whole within `max`, or are malformed. */
size_t values_shown_bytes(struct bytes types, struct bytes params, size_t max);

/* The members "count", "formats", "h", "types", "values". A value is written as SQL writes it: NULL, 7, true, 'text' with quotes
 * doubled, '\x0a1b' where it is no text. Lists of malformed values are empty, `count` 0. */
void values_put(struct jcs *j, struct bytes types, struct bytes params);

#endif
