/* witness.h: a witness of other nodes' journals (C2SP tlog-witness): it cosigns what extends the last tree that it cosigned, and no more.
 *
 * Directory:
 *	ed25519.pem                     its key, its owner's alone
 *	logs/<SHA-256 of origin>/vkey   a log that it was told to trust (witness_trust); a line for each of its keys, while they are rotated
 *	logs/<...>/state                {size, root} last cosigned, two slots, synced before the cosignature (signer_state.h)
 *	logs/<...>/refused              the first signed note of that log that did not extend it: proof of misbehaviour
 * One request holds the log's state by its lock; a second one meanwhile is told to come again.
 * Threading: one thread; several processes may share a directory.
 */
#ifndef CONTROL_WITNESS_WITNESS_H
#define CONTROL_WITNESS_WITNESS_H

#include "control/anchor/cosignature.h"
#include "control/signer/signer_keys.h"

#define WITNESS_REQUEST_BYTES 16384
#define WITNESS_LOG_KEYS 4u

struct witness {
	char dir[512];
	struct signer_keys keys;
	struct witness_key public;
};

struct witness_answer {
	unsigned status; /* of HTTP */
	bool size;       /* the text is a size, as text/x.tlog.size */
	size_t len;
	char text[1024];
};

/* Loads the key. NULL, or a fixed text. */
const char *witness_open(struct witness *w, const char *dir, const char *name);
void witness_close(struct witness *w);
/* From now on the log of this vkey is cosigned, from whatever it shows first; of a log that is known already, checkpoints that this key
 * signed are accepted too. NULL, or a fixed text. */
const char *witness_trust(struct witness *w, struct bytes vkey);
/* This key of a log is accepted no more; its last one stays. */
const char *witness_distrust(struct witness *w, struct bytes vkey);
/* The answer to the body of one POST of add-checkpoint, at `now_s` (seconds since 1970). */
void witness_handle(struct witness *w, struct bytes request, uint64_t now_s, struct witness_answer *answer);

#endif
