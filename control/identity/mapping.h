/* mapping.h: from checked claims to the fields of a principal (identity.md 6; RFC 8693 4.1, 4.4).
 *
 * Only RFC 8693's act and may_act are wired in; person, agent, run, groups and purpose come from the claims that the
 * issuer's entry names. The shape borrows its strings from `payload`.
 */
#ifndef CONTROL_IDENTITY_MAPPING_H
#define CONTROL_IDENTITY_MAPPING_H

#include <jansson.h>

#include "control/identity/identity.h"

/* Fills iss, sub, person, agent, run, purpose, acr, amr, act and groups of `out`. */
enum identity_reason mapping_apply(const json_t *payload, const struct identity_issuer *issuer, struct principal *out, const char **at_fault);

#endif
