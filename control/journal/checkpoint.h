/* checkpoint.h: the signed note that fixes a tree (journal.md 7; C2SP tlog-checkpoint and signed-note).
 *
 *	sluice.example/journal/a            origin, also the name of the keys
 *	300                                 size
 *	CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=      root
 *	                                    empty line
 *	— sluice.example/journal/a <base64(key id (4) || signature)>
 *
 * The body is the three lines with their newlines. Signature types: 0x01 Ed25519 over the body, always present; 0x02 ECDSA
 * P-256 over SHA-256 of the body (DER). Lines of unknown keys are skipped, as signed-note demands. Parsing is strict: one
 * way to write each checkpoint. Pure functions, any thread.
 */
#ifndef CONTROL_JOURNAL_CHECKPOINT_H
#define CONTROL_JOURNAL_CHECKPOINT_H

#include "control/journal/merkle.h"

#define CHECKPOINT_ORIGIN_MAX 128
#define CHECKPOINT_BODY_MAX 256  /* bytes */
#define CHECKPOINT_BYTES_MAX 8192 /* the whole note, cosignatures included */
#define CHECKPOINT_SIGNATURES_MAX 16
#define CHECKPOINT_ED25519 0x01
#define CHECKPOINT_P256 0x02
#define CHECKPOINT_KEY_TEXT_BYTES 1024 /* a vkey, or a PEM */
#define CHECKPOINT_SPKI_MAX 128

struct checkpoint {
	char origin[CHECKPOINT_ORIGIN_MAX];
	uint64_t size;
	struct merkle_hash root;
};

/* The public halves of a log's keys. A key that is absent has its flag false. */
struct checkpoint_keys {
	char name[CHECKPOINT_ORIGIN_MAX];
	bool has_ed25519, has_p256;
	uint8_t ed25519[32];
	uint8_t p256_spki[CHECKPOINT_SPKI_MAX];
	size_t p256_spki_len;
};

/* What checking the signatures of a note found. A note is good when ed25519 is SIGNATURE_GOOD and p256 is not SIGNATURE_BAD. */
enum checkpoint_signature { SIGNATURE_ABSENT, SIGNATURE_GOOD, SIGNATURE_BAD };
struct checkpoint_signatures {
	enum checkpoint_signature ed25519, p256;
};

/* An origin is 1 to 127 printable ASCII characters without space and '+'. */
bool checkpoint_origin_ok(const char *origin);

bool checkpoint_body(const struct checkpoint *c, struct writer *out);
/* The body alone (three lines), or a whole note: `note` false or true. NULL, or a fixed text saying what is wrong. For a
 * note, `*body` (may be NULL) gets the signed part. */
const char *checkpoint_parse(struct bytes text, bool note, struct checkpoint *out, struct bytes *body);
/* NULL, or a fixed text: not a good note under `keys` (malformed, other origin, signature missing or bad). */
const char *checkpoint_verify(struct bytes note, const struct checkpoint_keys *keys, struct checkpoint *out);
struct checkpoint_signatures checkpoint_check_signatures(struct bytes note, const struct checkpoint_keys *keys);

/* Key ids: SHA-256(name || 0x0A || 0x01 || key), SHA-256(SPKI DER); first four bytes. */
void checkpoint_id_ed25519(const char *name, const uint8_t key[32], uint8_t id[4]);
void checkpoint_id_p256(struct bytes spki, uint8_t id[4]);
/* One line "— name base64(id || signature)\n". */
bool checkpoint_signature_line(const char *name, const uint8_t id[4], struct bytes signature, struct writer *out);

/* vkey text "<name>+<hex key id>+<base64(0x01 || key)>" without newline, of the Ed25519 key. */
bool checkpoint_vkey_write(const struct checkpoint_keys *keys, struct writer *out);
/* Reads a vkey; a trailing newline is allowed. NULL, or a fixed text. Sets name and Ed25519 key only. */
const char *checkpoint_vkey_read(struct bytes text, struct checkpoint_keys *keys);
/* SubjectPublicKeyInfo as PEM: `type` is CHECKPOINT_ED25519 or CHECKPOINT_P256. */
bool checkpoint_pem_write(const struct checkpoint_keys *keys, int type, struct writer *out);
/* Adds the key of a PEM (either type) to `keys`. NULL, or a fixed text. */
const char *checkpoint_pem_read(struct bytes pem, struct checkpoint_keys *keys);

#endif
