/* cosignature.h: witnesses' signatures over checkpoints (C2SP tlog-cosignature, type 0x04; journal.md 8), and what a log and a witness say
 * to each other (C2SP tlog-witness).
 *
 * A cosignature is a line of a note: key id (4), time (8, seconds since 1970), Ed25519 (64) over
 *	cosignature/v1
 *	time <t>
 *	<the checkpoint's body: three lines>
 * The key id is SHA-256(name || 0x0A || 0x04 || key), its first four bytes; a key is written "<name>+<hex id>+<base64(0x04 || key)>".
 * Pure functions; errors are fixed texts.
 */
#ifndef CONTROL_ANCHOR_COSIGNATURE_H
#define CONTROL_ANCHOR_COSIGNATURE_H

#include <openssl/evp.h>

#include "control/journal/checkpoint.h"

#define COSIGNATURE_LINE_BYTES 512
#define COSIGNATURE_ANSWER_BYTES 8192 /* of a witness, at most */
#define COSIGNATURE_PROOF_MAX 63u     /* tlog-witness: no more hashes than these */

struct witness_key {
	char name[CHECKPOINT_ORIGIN_MAX];
	uint8_t key[32];
	uint8_t id[4];
};

/* Fills `id` from name and key. */
void witness_key_id(struct witness_key *k);
/* NULL, or why the text is no witness's key. A trailing newline is allowed. */
const char *witness_key_read(struct bytes text, struct witness_key *out);
bool witness_key_write(const struct witness_key *k, struct writer *out);

/* The line of this key among `lines` (an answer of a witness), its newline included, verified over `body`; lines of other keys are
 * ignored, as tlog-witness demands. NULL with the line and its time, or a fixed text. */
const char *cosignature_find(struct bytes lines, struct bytes body, const struct witness_key *key, struct bytes *line, uint64_t *time_s);
/* What a line says before anything is verified: its key's name and id, and its time. `text` is one whole line with its newline. False: it is no
 * cosignature; `key->key` is zeroed. */
bool cosignature_read(struct bytes text, struct witness_key *key, uint64_t *time_s);
/* Appends the line that `private` makes. */
bool cosignature_sign(EVP_PKEY *private, const struct witness_key *key, struct bytes body, uint64_t time_s, struct writer *out);

/* POST <prefix>/add-checkpoint. */
struct cosignature_request {
	uint64_t old_size;
	struct merkle_proof proof;
	struct bytes note; /* borrowed */
};

bool cosignature_request_write(const struct cosignature_request *r, struct writer *out);
/* False: malformed; the result is zeroed. The note is not looked at. */
bool cosignature_request_read(struct bytes text, struct cosignature_request *out);
/* The body of a 409: the size that the witness knows. */
bool cosignature_size_read(struct bytes text, uint64_t *size);

#endif
