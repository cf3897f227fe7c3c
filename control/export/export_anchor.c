#include "control/export/export_anchor.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/anchor/judge.h"
#include "control/journal/base64.h"
#include "control/journal/note_text.h"

#define SIZES_MAX 8
#define QUORUM_LOOKS 256u /* checkpoints, until it is believed that none has its quorum */
#define TRUST_FILES_MAX 64
#define TRUST_BYTES_MAX 65536
#define ANCHORS_EACH 16u

struct sizes {
	uint64_t size[SIZES_MAX];
	unsigned count;
};

static void add(struct sizes *s, uint64_t size)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->size[i] == size)
			return;
	if (s->count < SIZES_MAX)
		s->size[s->count++] = size;
}

static void choose(struct archive *a, const struct export_anchors *what, struct sizes *s)
{
	static const enum archive_anchor kinds[] = { ARCHIVE_TOKEN, ARCHIVE_COSIGNATURE };
	uint64_t size;

	for (unsigned i = 0; i < 2; i++) {
		if (archive_anchored(a, kinds[i], what->newest->size, &size))
			add(s, size);
		if (archive_anchored_after(a, kinds[i], what->last, &size) && size <= what->newest->size)
			add(s, size);
		if (archive_anchored(a, kinds[i], what->first, &size))
			add(s, size);
	}
}

static bool has_quorum(struct archive *a, struct judge *j, uint64_t size)
{
	struct verify_anchor anchor = { .size = size };
	struct verify_judged judged;
	struct checkpoint c;
	struct bytes note;
	uint64_t found;

	if (!archive_checkpoint(a, size, size, &found, &note) || checkpoint_parse(note, true, &c, &anchor.body) != NULL)
		return false;
	anchor.note = note;
	j->look = j->quorum = (struct judge_quorum){ 0 };
	for (unsigned i = 0; i < ANCHORS_EACH && j->quorum.size != size && archive_anchor(a, ARCHIVE_COSIGNATURE, size, i, &anchor.value); i++)
		judge_anchor(j, &anchor, &judged);
	return j->quorum.size == size;
}

static void choose_quorum(struct archive *a, const struct export_anchors *what, struct sizes *s)
{
	uint64_t size, at;
	struct judge j = { 0 };

	judge_read_beside(&j, archive_dir(a));
	if (j.policy && witness_policy_asks(j.policy)) {
		at = what->newest->size;
		for (unsigned i = 0; i < QUORUM_LOOKS && archive_anchored(a, ARCHIVE_COSIGNATURE, at, &size) && size; i++, at = size - 1)
			if (has_quorum(a, &j, size)) {
				add(s, size);
				break;
			}
		at = what->last;
		for (unsigned i = 0; i < QUORUM_LOOKS && archive_anchored_after(a, ARCHIVE_COSIGNATURE, at, &size) && size <= what->newest->size; i++, at = size)
			if (has_quorum(a, &j, size)) {
				add(s, size);
				break;
			}
	}
	judge_free(&j);
}

static const char *note_write(struct bundle *b, struct archive *a, const struct export_anchors *what, const char *name, uint64_t size)
{
	static _Thread_local uint8_t room[MERKLE_PROOF_MAX * 48];
	struct merkle_source source = archive_source(a);
	struct writer w = writer_of(room, sizeof room);
	struct merkle_proof proof;
	struct checkpoint c;
	char beside[64];
	struct bytes note;
	uint64_t found;

	if (!archive_checkpoint(a, size, size, &found, &note) || key_list_verify(what->keys, note, &c) != NULL || c.size != size)
		return "an anchored checkpoint is not there as it was signed: run journal verify";
	if (!merkle_prove_consistency(&source, size, what->newest->size, &proof) ||
	    !merkle_check_consistency(size, &c.root, what->newest->size, &what->newest->root, &proof))
		return "an anchored checkpoint is not one of this tree: run journal verify";
	for (size_t i = 0; i < proof.count; i++) {
		base64_write(&w, bytes_of(proof.hash[i].b, MERKLE_HASH_BYTES));
		writer_u8(&w, '\n');
	}
	snprintf(beside, sizeof beside, "%s.consistency", name);
	return bundle_file(b, name, note) && bundle_file(b, beside, writer_done(&w)) ? NULL : "checkpoints cannot be written";
}

/* The token that is one for the note; bytes that were replaced beside a writer are none. */
static const char *token_write(struct bundle *b, struct archive *a, const char *name, uint64_t size)
{
	struct bytes note, token;
	char beside[64];
	int64_t time_s;
	uint64_t found;

	snprintf(beside, sizeof beside, "%s.tsr", name);
	for (unsigned i = 0; i < ANCHORS_EACH && archive_anchor(a, ARCHIVE_TOKEN, size, i, &token); i++) {
		if (!archive_checkpoint(a, size, size, &found, &note) || !timestamp_is_for(token, note, &time_s))
			return "a time stamp is not one for its checkpoint: run journal verify";
		if (!bundle_has(b, beside) && !bundle_file(b, beside, token))
			return "checkpoints cannot be written";
	}
	return NULL;
}

static const char *cosignatures_write(struct bundle *b, struct archive *a, const char *name, uint64_t size)
{
	static _Thread_local uint8_t room[CHECKPOINT_BYTES_MAX];
	struct writer w = writer_of(room, sizeof room);
	struct bytes line;
	char beside[64];

	for (unsigned i = 0; i < ANCHORS_EACH && archive_anchor(a, ARCHIVE_COSIGNATURE, size, i, &line); i++)
		writer_put(&w, line);
	snprintf(beside, sizeof beside, "%s.cosignatures", name);
	return w.len == 0 || bundle_file(b, beside, writer_done(&w)) ? NULL : "checkpoints cannot be written";
}

static bool is_trust(const char *name)
{
	return strncmp(name, "tsa-", 4) == 0 || (strncmp(name, "witness-", 8) == 0 && strcmp(name, WITNESS_POLICY_FILE) != 0);
}

/* The rule as it lies beside the journal, with the keys that the bundle's log had. A text that is no policy is left behind: it asks for what nobody
 * can do. */
static const char *policy_write(struct bundle *b, struct archive *a, const struct key_list *keys)
{
	char path[PATH_MAX], *text = malloc(2 * WITNESS_POLICY_BYTES);
	struct writer w = writer_of(text, text ? WITNESS_POLICY_BYTES : 0);
	struct witness_policy *p = malloc(sizeof *p);
	struct reader r = { 0 };
	unsigned line;
	bool good = true;
	FILE *f;

	snprintf(path, sizeof path, "%s/trust/" WITNESS_POLICY_FILE, archive_dir(a));
	f = text && p ? fopen(path, "re") : NULL;
	if (f) {
		r = reader_of(text + WITNESS_POLICY_BYTES, fread(text + WITNESS_POLICY_BYTES, 1, WITNESS_POLICY_BYTES, f));
		fclose(f);
		if (witness_policy_read(bytes_of(r.at, r.left), p, &line) != NULL)
			r.left = 0;
		for (unsigned i = 0; r.left && i < keys->count; i++)
			(void)witness_policy_write_log(&keys->generation[i].keys, &w);
		while (r.left) {
			struct bytes one = note_line(&r);

			if (one.len < 4 || memcmp(one.base, "log ", 4) != 0)
				writer_bytes(&w, one.base, one.len + 1);
		}
		good = w.ok && (w.len == 0 || bundle_file(b, "trust/" WITNESS_POLICY_FILE, writer_done(&w)));
	}
	free(text);
	free(p);
	return good ? NULL : "trust cannot be written";
}

static const char *trust_file(struct bundle *b, const char *dir, const char *name)
{
	char path[PATH_MAX], to[300], *text = malloc(TRUST_BYTES_MAX);
	const char *wrong = "the journal's trust directory cannot be read";
	size_t len;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	snprintf(to, sizeof to, "trust/%s", name);
	f = text ? fopen(path, "re") : NULL;
	if (f) {
		len = fread(text, 1, TRUST_BYTES_MAX, f);
		wrong = bundle_file(b, to, bytes_of(text, len)) ? NULL : "trust cannot be written";
		fclose(f);
	}
	free(text);
	return wrong;
}

static const char *trust_write(struct bundle *b, struct archive *a)
{
	char path[PATH_MAX];
	const char *wrong = NULL;
	struct dirent *entry;
	unsigned files = 0;
	DIR *dir;

	snprintf(path, sizeof path, "%s/trust", archive_dir(a));
	dir = opendir(path);
	while (!wrong && dir && (entry = readdir(dir)))
		if (is_trust(entry->d_name) && files++ < TRUST_FILES_MAX)
			wrong = trust_file(b, path, entry->d_name);
	if (dir)
		closedir(dir);
	return wrong;
}

const char *export_anchors_write(struct bundle *b, struct archive *a, const struct export_anchors *what)
{
	struct sizes sizes = { .count = 0 };
	const char *wrong = NULL;

	choose(a, what, &sizes);
	choose_quorum(a, what, &sizes);
	for (unsigned i = 0; !wrong && i < sizes.count; i++) {
		char name[40];

		snprintf(name, sizeof name, "checkpoints/%llu", (unsigned long long)sizes.size[i]);
		wrong = note_write(b, a, what, name, sizes.size[i]);
		if (!wrong)
			wrong = token_write(b, a, name, sizes.size[i]);
		if (!wrong)
			wrong = cosignatures_write(b, a, name, sizes.size[i]);
	}
	if (!wrong && sizes.count)
		wrong = trust_write(b, a);
	return wrong || !sizes.count ? wrong : policy_write(b, a, what->keys);
}
