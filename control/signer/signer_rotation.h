/* signer_rotation.h: changing the checkpoint keys (journal.md 9), in steps that each are durable before they are answered:
 *
 *	phase     step asked    answered by                              what signs
 *	STABLE    PREPARE       MAKE, and the process ends               the keys in force
 *	MAKE      -             its start: next-*.pem are made, or taken where somebody has put them there: READY
 *	READY     OVERLAP       OVERLAP                                  the keys in force
 *	OVERLAP   RETIRE        RETIRE, and the process ends             both
 *	RETIRE    -             its start: old files overwritten, next-*.pem in their place: STABLE      the new keys
 *
 * What is not listed is refused, so a second rotation has to wait for the end of the first. Files are touched by a start only, before the
 * sandbox: the running signer cannot open one. Each start may be killed anywhere and is done again by the next.
 * New keys that cannot be made or read any more end the rotation with the keys in force. A token that is away for a while does not, once its key
 * was announced (READY): then there is no start until it is back, or until somebody removes the next-* files, which ends the rotation.
 * A key in a token is followed by the one that next-p256.uri (or next-p256.pem) names: none is made in its place, and none is destroyed. Who decides when: control/node_rotate.c.
 */
#ifndef CONTROL_SIGNER_SIGNER_ROTATION_H
#define CONTROL_SIGNER_SIGNER_ROTATION_H

#include "control/signer/signer.h"
#include "control/signer/signer_message.h"

/* Loads keys and state and goes on with a rotation where the last process ended. NULL, or a text: no start. `*note`: NULL, or
 * what went wrong with a rotation and keeps nobody from signing. Texts live until the next call. */
const char *signer_rotation_start(struct signer *s, const struct signer_place *place, bool init, const char **note);

/* NULL: done, and s->ends may be set. A fixed text: refused. */
const char *signer_rotation_step(struct signer *s, enum signer_step step, const uint8_t key[32]);

#endif
