#include "control/export/consistency.h"

#include <stdio.h>

#include "control/anchor/cosignature.h"
#include "control/journal/base64.h"
#include "control/journal/extends.h"

#define TRIES 8

/* The proof in one view; beside a writer it may be old. */
static bool prove(struct archive *a, uint64_t from, const struct checkpoint *to, struct merkle_proof *proof)
{
	struct merkle_source source = archive_source(a);
	struct merkle_hash root;

	return merkle_root_at(&source, from, &root) && merkle_prove_consistency(&source, from, to->size, proof) &&
	       merkle_check_consistency(from, &root, to->size, &to->root, proof);
}

bool consistency_write(struct archive *a, uint64_t from, uint64_t to, struct writer *out, char err[CONSISTENCY_ERROR_BYTES])
{
	uint8_t room[CHECKPOINT_BYTES_MAX];
	struct cosignature_request proof = { .old_size = from };
	char refreshed[ARCHIVE_ERROR_BYTES];
	struct checkpoint c = { 0 };
	struct bytes note;
	uint64_t size;
	bool good;

	if (!archive_checkpoint(a, to ? to : 1, to ? to : archive_size(a), &size, &note) || note.len > sizeof room || checkpoint_parse(note, true, &c, NULL) != NULL) {
		snprintf(err, CONSISTENCY_ERROR_BYTES, to ? "there is no checkpoint of %llu records" : "there is no checkpoint yet", (unsigned long long)to);
		return false;
	}
	if (from == 0 || from > size) {
		snprintf(err, CONSISTENCY_ERROR_BYTES, "a tree of %llu records is not the beginning of one of %llu", (unsigned long long)from, (unsigned long long)size);
		return false;
	}
	/* A view into the spine, which trying again lets go. */
	memcpy(room, note.base, note.len);
	proof.note = bytes_of(room, note.len);
	good = prove(a, from, &c, &proof.proof);
	for (unsigned tries = 1; !good && tries < TRIES && archive_refresh(a, refreshed); tries++)
		good = prove(a, from, &c, &proof.proof);
	if (!good)
		snprintf(err, CONSISTENCY_ERROR_BYTES, "the stored hashes do not lead to the checkpoint of %llu records", (unsigned long long)size);
	else if (!(good = cosignature_request_write(&proof, out)))
		snprintf(err, CONSISTENCY_ERROR_BYTES, "no room for the proof");
	return good;
}

bool consistency_since(struct bundle *b, struct archive *a, const struct key_list *keys, const struct checkpoint *newest, struct bytes kept,
		       char err[CONSISTENCY_ERROR_BYTES])
{
	static _Thread_local uint8_t room[MERKLE_PROOF_MAX * 48];
	struct writer w = writer_of(room, sizeof room);
	struct merkle_proof proof;
	struct checkpoint c;
	const char *wrong = key_list_verify(keys, kept, &c);
	enum extends answer;

	if (wrong || c.size == 0) {
		snprintf(err, CONSISTENCY_ERROR_BYTES, "the kept checkpoint is %s", wrong ? wrong : "one of no records");
		return false;
	}
	if (c.size > newest->size) {
		snprintf(err, CONSISTENCY_ERROR_BYTES, "the kept checkpoint is of %llu records, and the newest one here of %llu: records are missing", (unsigned long long)c.size,
			 (unsigned long long)newest->size);
		return false;
	}
	answer = archive_extends(a, &c, newest, &proof);
	if (answer != EXTENDS_YES) {
		snprintf(err, CONSISTENCY_ERROR_BYTES, answer == EXTENDS_FORK ? "a fork: the kept checkpoint of %llu records and the newest one here are of two histories" :
										"the stored hashes do not lead from the kept checkpoint of %llu records to the newest one",
			 (unsigned long long)c.size);
		return false;
	}
	for (size_t i = 0; i < proof.count; i++) {
		base64_write(&w, bytes_of(proof.hash[i].b, MERKLE_HASH_BYTES));
		writer_u8(&w, '\n');
	}
	if (bundle_file(b, "since/checkpoint", kept) && bundle_file(b, "since/consistency", writer_done(&w)))
		return true;
	snprintf(err, CONSISTENCY_ERROR_BYTES, "since/checkpoint cannot be written");
	return false;
}
