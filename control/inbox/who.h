/* who.h: a principal as the `who` object of a record (journal.md 3), and as bytes that survive a restart.
 *
 * A part that is unknown is the string "unknown", never absent. No token, no group names: groups are a hash.
 */
#ifndef CONTROL_INBOX_WHO_H
#define CONTROL_INBOX_WHO_H

#include "control/identity/principal.h"
#include "platform/base/bytes.h"

#define WHO_DEPTH 3u /* how deep the object is nested: itself, its actors, one of them */

/* The canonical object; NULL: nobody is known yet. Empty when it does not fit. */
struct bytes who_write(const struct principal *p, struct writer *out);

/* All of a principal. who_decode gives one reference, or NULL when the bytes are not one. */
void who_encode(const struct principal *p, struct writer *out);
struct principal *who_decode(struct bytes from);

#endif
