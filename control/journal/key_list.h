/* key_list.h: the checkpoint keys of a log over its life (journal.md 9), and which of them a checkpoint has to be signed by.
 *
 * A rotation is on record (`key.rotate`, entry fields below), and what makes it believable is a *handover*: the first checkpoint behind
 * that record that both keys signed, whose tree holds the record. From its size on the new key has to sign, before it the old one; so
 * whoever trusts one of the two, trusts the other, and a key that was destroyed and had been stolen signs nothing that counts.
 * The records lie beside the journal as trust/key-<index, 20 digits>.json too, because their segments may be pruned; each is compared
 * with its leaf. Where these files were lost, the records are searched for.
 *
 * data of `key.rotate`: {new, new_p256, old, old_p256, step, ...}: vkeys, and SubjectPublicKeyInfo in base64 ("" where there is none).
 * Threading: as the archive's.
 */
#ifndef CONTROL_JOURNAL_KEY_LIST_H
#define CONTROL_JOURNAL_KEY_LIST_H

#include "control/journal/archive.h"
#include "control/journal/jcs.h"

#define KEY_LIST_MAX 32
#define KEY_TIME_BYTES 32
#define KEY_CHANGE_FILE "key-%020llu.json" /* below trust/ */

/* prepare: approved, the signer makes keys; begin: both keys are named; end: the old one signs no more; failed: the new one never will;
 * destroyed (type key.destroy): the old one's file is gone. */
enum key_step { KEY_STEP_PREPARE, KEY_STEP_BEGIN, KEY_STEP_END, KEY_STEP_FAILED, KEY_STEP_DESTROYED, KEY_STEPS };
extern const char *const key_step_words[KEY_STEPS];

struct key_change {
	enum key_step step;
	uint64_t index;                  /* of the record; the caller's */
	struct checkpoint_keys old, new; /* new: not in prepare */
	uint64_t until_s;                /* begin: both sign until then, seconds since 1970 */
	char ts[KEY_TIME_BYTES];         /* of the record; "" where it has none. Not written */
};

/* Members of data; and reading them. False: the record is none of a rotation, or malformed. */
void key_change_write(struct jcs *j, const struct key_change *c, const char *reason);
bool key_change_read(struct bytes record, struct key_change *out);

struct key_generation {
	struct checkpoint_keys keys;
	uint64_t record; /* the `key.rotate` that named it first; 0 and of no meaning for the first one */
	uint64_t from;   /* the smallest checkpoint that it has to sign: the handover's */
	uint64_t end;    /* the record that says that it signs no more; UINT64_MAX: none */
	char since[KEY_TIME_BYTES], until[KEY_TIME_BYTES]; /* these records' own times, or "" */
};

struct key_list {
	unsigned count;
	struct key_generation generation[KEY_LIST_MAX]; /* oldest first */
};

/* The keys that handovers connect with `known`, or `known` alone. NULL, or what is wrong beside the journal (a fixed text). */
const char *key_list_load(struct archive *a, const struct checkpoint_keys *known, struct key_list *out);
/* One that has to sign a checkpoint of that size. */
const struct key_generation *key_list_at(const struct key_list *list, uint64_t size);
/* As checkpoint_verify, by the key that its size asks for; and no other known key's signature is wrong. */
const char *key_list_verify(const struct key_list *list, struct bytes note, struct checkpoint *out);

/* The journal's changes that are known beside it, in order; at most `max`. */
unsigned key_changes_beside(struct archive *a, struct key_change *out, unsigned max, const char **wrong);

#endif
