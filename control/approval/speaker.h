/* speaker.h: a person in a record, so that an approval of kind `admin` outlives the process: whoever asked, and whoever voted.
 *
 * Canonical object {"cnf","cnf_h","credential","end","exp","groups","iss","issuer","key","person","sub"}: what eligibility and validity are
 * judged by (rights.c, identity_still_valid). `credential` and `key` are the SHA-256 of token and key; a token is never written. Of the
 * token's groups only those are in it that the vote rests on. Persons alone: agents neither ask nor vote. Sans-IO, no state.
 */
#ifndef CONTROL_APPROVAL_SPEAKER_H
#define CONTROL_APPROVAL_SPEAKER_H

#include "control/identity/principal.h"
#include "control/journal/jcs.h"
#include "control/journal/jcs_read.h"

/* As the value of `key`. `groups` replaces those of `p`. */
void speaker_put(struct jcs *j, const char *key, const struct principal *p, const struct bytes *groups, unsigned groups_count);
/* One reference for the caller; NULL: it is not of this form, or no memory. */
struct principal *speaker_read(struct jcs_value v);

#endif
