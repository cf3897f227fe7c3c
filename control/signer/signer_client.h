/* signer_client.h: control's end of the socket pair to sluice-signer.
 *
 * Control's supervisor makes a SOCK_SEQPACKET socket pair, starts
 *	sluice-signer --fd 3 --origin NAME --keys DIR --state FILE [--token PROGRAM] [--init]
 * with one end as fd 3, and opens a client on the other. When the signer dies the client answers JOURNAL_SIGNER_GONE until it
 * is opened again on a new pair. The private keys never come here. Threading: one thread per client. The fd stays the caller's.
 */
#ifndef CONTROL_SIGNER_SIGNER_CLIENT_H
#define CONTROL_SIGNER_SIGNER_CLIENT_H

#include "control/journal/journal.h"
#include "control/signer/signer_message.h"

#define SIGNER_WHY_BYTES 160

struct signer_client {
	int fd;                      /* -1: not connected */
	bool asked;
	uint64_t asked_size;
	struct merkle_hash asked_root;
	struct checkpoint_keys keys; /* as the signer said at the start */
	struct checkpoint_keys next; /* those of a rotation, in the phases READY and OVERLAP */
	enum signer_phase phase;     /* as it said, and as the steps since have changed it */
	uint64_t size;               /* what it signed last */
	struct merkle_hash root;
	char why[SIGNER_WHY_BYTES];
};

/* Asks for keys and state, without waiting: signer_client_greeted says DONE when they are here, WAIT until then. Nothing else may be asked
 * before. False, and GONE, with a text in client->why. */
bool signer_client_greet(struct signer_client *client, int fd);
enum journal_signer_answer signer_client_greeted(struct signer_client *client);
/* Both; waits at most `wait_ms`. False with a text in client->why. */
bool signer_client_open(struct signer_client *client, int fd, unsigned wait_ms);

/* One step of a rotation, synchronously; not while a signature is waited for (false, with signer_client_busy). The key: the one in
 * force for PREPARE, the new one for the others. After PREPARE and RETIRE the signer ends, and says the outcome at its next start.
 * False with a text in client->why. */
bool signer_client_step(struct signer_client *client, enum signer_step step, const uint8_t key[32], unsigned wait_ms);
bool signer_client_busy(struct signer_client *client);

/* The journal's view; valid as long as the client. */
struct journal_signer signer_client_journal(struct signer_client *client);

/* One signature, synchronously: signature lines into `lines`. REFUSED and GONE leave a text in client->why. */
enum journal_signer_answer signer_sign(struct signer_client *client, uint64_t old_size, const struct merkle_proof *proof,
				       struct bytes body, struct writer *lines, unsigned wait_ms);

#endif
