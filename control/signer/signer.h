/* signer.h: what sluice-signer signs (journal.md 9): a checkpoint of its own origin that extends the last one it signed, proven
 * by a consistency proof, and only after {size, root} is durable. One thread.
 */
#ifndef CONTROL_SIGNER_SIGNER_H
#define CONTROL_SIGNER_SIGNER_H

#include "control/signer/signer_keys.h"
#include "control/signer/signer_state.h"

struct signer {
	struct signer_keys keys;
	struct signer_keys next; /* of a rotation; they sign too in SIGNER_OVERLAP */
	struct signer_state state;
	bool ends;   /* after this answer the process ends: what comes next is done by its next start */
	const char *failed; /* NULL, or why a key did not sign, as one in a token may; it ends */
	bool broken; /* the state could not be saved once: nothing is signed any more */
};

/* The answer to one packet; always one, a refusal for what is malformed. */
void signer_handle(struct signer *s, struct bytes packet, struct writer *answer);

#endif
