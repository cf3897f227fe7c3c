#include "control/export/export_keys.h"

#include <limits.h>
#include <stdio.h>

#include "control/journal/base64.h"
#include "control/journal/proof.h"

#define NAME_BYTES 64

static const char failed[] = "the log's keys cannot be written";

static const char *pem_write(struct bundle *b, const struct checkpoint_keys *keys, unsigned n, int type)
{
	char text[CHECKPOINT_KEY_TEXT_BYTES], name[NAME_BYTES];
	struct writer w = writer_of(text, sizeof text);

	snprintf(name, sizeof name, "trust/keys/%u-%s.pem", n, type == CHECKPOINT_ED25519 ? "ed25519" : "p256");
	return checkpoint_pem_write(keys, type, &w) && bundle_file(b, name, writer_done(&w)) ? NULL : failed;
}

static void number_put(struct writer *out, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, " %llu", (unsigned long long)number);
	writer_str(out, number == UINT64_MAX ? " -" : text);
}

static void time_put(struct writer *out, const char *time)
{
	writer_u8(out, ' ');
	writer_str(out, time[0] ? time : "-");
}

static void line_put(struct writer *out, unsigned n, const struct key_generation *g)
{
	char text[16];

	snprintf(text, sizeof text, "%u ", n);
	writer_str(out, text);
	(void)checkpoint_vkey_write(&g->keys, out);
	writer_u8(out, ' ');
	if (g->keys.has_p256)
		base64_write(out, bytes_of(g->keys.p256_spki, g->keys.p256_spki_len));
	else
		writer_u8(out, '-');
	number_put(out, g->from);
	number_put(out, g->end);
	time_put(out, g->since);
	time_put(out, g->until);
	writer_u8(out, '\n');
}

/* The record's bytes, also where its segment is gone; they hash to the leaf. */
static const char *record_get(struct archive *a, uint64_t index, uint8_t room[RECORD_BYTES_MAX], struct bytes *record)
{
	struct merkle_hash leaf, is;
	char path[PATH_MAX];
	FILE *f;

	if (index >= archive_first(a))
		return archive_read(a, index, record);
	snprintf(path, sizeof path, "%s/trust/" KEY_CHANGE_FILE, archive_dir(a), (unsigned long long)index);
	f = fopen(path, "re");
	*record = bytes_of(room, f ? fread(room, 1, RECORD_BYTES_MAX, f) : 0);
	if (f)
		fclose(f);
	is = merkle_leaf(*record);
	return archive_leaf(a, index, &leaf) && merkle_equal(&is, &leaf) ? NULL : "the record of a rotation of the log's keys is not there";
}

static const char *record_write(struct bundle *b, struct archive *a, unsigned n, uint64_t index, struct bytes note)
{
	static _Thread_local uint8_t room[RECORD_BYTES_MAX], proof[PROOF_BYTES_MAX];
	struct writer w = writer_of(proof, sizeof proof);
	char name[NAME_BYTES];
	struct bytes record;
	const char *wrong = record_get(a, index, room, &record);

	snprintf(name, sizeof name, "trust/keys/%u-entry.json", n);
	if (!wrong && !bundle_file(b, name, record))
		wrong = failed;
	if (!wrong)
		wrong = archive_proof(a, index, note, &w);
	snprintf(name, sizeof name, "trust/keys/%u.tlog-proof", n);
	return wrong || bundle_file(b, name, writer_done(&w)) ? wrong : failed;
}

static const char *handover_write(struct bundle *b, struct archive *a, unsigned n, uint64_t size, const struct checkpoint *newest)
{
	static _Thread_local uint8_t room[MERKLE_PROOF_MAX * 48];
	struct merkle_source source = archive_source(a);
	struct writer w = writer_of(room, sizeof room);
	char name[NAME_BYTES], beside[NAME_BYTES + 16];
	struct merkle_proof proof;
	struct checkpoint c;
	struct bytes note;
	uint64_t found;

	if (!archive_checkpoint(a, size, size, &found, &note) || checkpoint_parse(note, true, &c, NULL) != NULL)
		return "the checkpoint of a rotation is not there: run journal verify";
	snprintf(name, sizeof name, "trust/keys/%u-checkpoint", n);
	snprintf(beside, sizeof beside, "%s.consistency", name);
	if (!bundle_file(b, name, note))
		return failed;
	if (!merkle_prove_consistency(&source, size, newest->size, &proof) ||
	    !merkle_check_consistency(size, &c.root, newest->size, &newest->root, &proof))
		return "the checkpoint of a rotation is not one of this tree: run journal verify";
	for (size_t i = 0; i < proof.count; i++) {
		base64_write(&w, bytes_of(proof.hash[i].b, MERKLE_HASH_BYTES));
		writer_u8(&w, '\n');
	}
	return bundle_file(b, beside, writer_done(&w)) ? NULL : failed;
}

const char *export_keys_write(struct bundle *b, struct archive *a, const struct key_list *keys, struct bytes note, const struct checkpoint *newest)
{
	static _Thread_local uint8_t text[KEY_LIST_MAX * CHECKPOINT_KEY_TEXT_BYTES];
	struct writer w = writer_of(text, sizeof text);
	const char *wrong = NULL;

	for (unsigned i = 0; i < keys->count && !wrong; i++) {
		const struct key_generation *g = &keys->generation[i];

		/* One whose handover is newer than the bundle's tree is not of it. */
		if (g->from > newest->size)
			break;
		line_put(&w, i, g);
		wrong = pem_write(b, &g->keys, i, CHECKPOINT_ED25519);
		if (!wrong && g->keys.has_p256)
			wrong = pem_write(b, &g->keys, i, CHECKPOINT_P256);
		if (!wrong && i)
			wrong = record_write(b, a, i, g->record, note);
		if (!wrong && i)
			wrong = handover_write(b, a, i, g->from, newest);
	}
	return wrong || bundle_file(b, "trust/keys/list", writer_done(&w)) ? wrong : failed;
}
