#include "control/journal/proof.h"

#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/note_text.h"

static const char first_line[] = "c2sp.org/tlog-proof@v1";

bool proof_write(uint64_t index, const struct merkle_proof *proof, struct bytes note, struct writer *out)
{
	char text[64];

	snprintf(text, sizeof text, "%s\nindex %llu\n", first_line, (unsigned long long)index);
	writer_str(out, text);
	for (size_t i = 0; i < proof->count; i++) {
		base64_write(out, bytes_of(proof->hash[i].b, MERKLE_HASH_BYTES));
		writer_u8(out, '\n');
	}
	writer_u8(out, '\n');
	writer_put(out, note);
	return out->ok;
}

static bool index_read(struct bytes text, uint64_t *index)
{
	static const char word[] = "index ";
	struct reader r = reader_of_bytes(text);

	*index = 0;
	if (!bytes_equal(reader_bytes(&r, sizeof word - 1), bytes_str(word)) || r.left == 0 || r.left > 18 ||
	    (r.left > 1 && *r.at == '0'))
		return false;
	while (r.left) {
		uint8_t digit = reader_u8(&r);

		if (digit < '0' || digit > '9')
			return false;
		*index = *index * 10 + (uint64_t)(digit - '0');
	}
	return true;
}

const char *proof_parse(struct bytes text, uint64_t *index, struct merkle_proof *proof, struct bytes *note)
{
	struct reader r = reader_of_bytes(text);
	struct bytes at;

	memset(proof, 0, sizeof *proof);
	*note = (struct bytes){ 0 };
	*index = 0;
	if (text.len > PROOF_BYTES_MAX || !bytes_equal(note_line(&r), bytes_str(first_line)))
		return "not a tlog-proof of version 1";
	at = note_line(&r);
	if (at.len >= 6 && memcmp(at.base, "extra ", 6) == 0)
		at = note_line(&r);
	if (!index_read(at, index))
		return "a proof without an index";
	while ((at = note_line(&r)).len) {
		struct writer hash = writer_of(proof->hash[proof->count].b, MERKLE_HASH_BYTES);

		if (proof->count == MERKLE_PROOF_MAX - 1 || !base64_read(at, &hash) || hash.len != MERKLE_HASH_BYTES) {
			memset(proof, 0, sizeof *proof);
			return "a proof line that is no hash";
		}
		proof->count++;
	}
	if (!r.ok || !r.left)
		return "a proof without a checkpoint";
	*note = reader_rest(&r);
	return NULL;
}

const char *proof_verify(struct bytes text, struct bytes entry, const struct checkpoint_keys *keys, uint64_t *index)
{
	struct merkle_proof proof;
	struct merkle_hash leaf = merkle_leaf(entry);
	struct checkpoint c;
	struct bytes note;
	const char *wrong = proof_parse(text, index, &proof, &note);

	if (!wrong)
		wrong = checkpoint_verify(note, keys, &c);
	if (!wrong && !merkle_check_inclusion(&leaf, *index, c.size, &proof, &c.root))
		wrong = "the entry is not at this place in the tree of the checkpoint";
	return wrong;
}
