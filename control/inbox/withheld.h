/* withheld.h: commands and answers as they may be on record and before approvers: without secrets (common.md C11).
 *
 * Secrets stand there as a hash under a key of the session, and their length: who has the session's key can check a guess, nobody
 * after the key is erased. Control's writer thread; no allocation. What is returned is valid until the next call.
 */
#ifndef CONTROL_INBOX_WITHHELD_H
#define CONTROL_INBOX_WITHHELD_H

#include "control/inbox/state.h"

/* The command without its secrets; the same again when there are none. Remembers that its answer may repeat them. `norm` is the normalised
 * text of its classification, which is changed likewise. */
struct event_command withheld_command(struct inbox *in, struct session *s, const struct event_command *e, struct bytes *norm);

/* What a held command is judged by again, without what withheld_command took away. */
void withheld_recheck(struct inbox *in, const struct session *s, struct event_rechecked *e);

/* Payload of a command whose answer may repeat a secret: hash and length only. */
void withheld_payload(struct inbox *in, const struct session *s, struct event_payload *e);

#endif
