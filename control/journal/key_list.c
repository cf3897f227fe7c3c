/* key_list.c: see key_list.h. Nothing beside the journal is believed: a file is a hint where the record is, its leaf and a signed tree
 * say whether it is one. */
#include "control/journal/key_list.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"

#define CHANGES_MAX (4 * KEY_LIST_MAX)
#define HANDOVER_TRIES 1024u /* checkpoints behind the record: the second or third has both signatures */
#define VIEWS 4u             /* beside a writer an old view of the spine may hide it */
#define SEARCH_BUDGET 65536u

const char *const key_step_words[KEY_STEPS] = { "prepare", "begin", "end", "failed", "destroyed" };

/* --- records ---------------------------------------------------------------------------------------------------------- */

static void put_keys(struct jcs *j, const struct checkpoint_keys *keys, const char *name, const char *p256)
{
	char text[CHECKPOINT_KEY_TEXT_BYTES];
	struct writer w = writer_of(text, sizeof text);

	if (keys->has_ed25519 && checkpoint_vkey_write(keys, &w))
		jcs_put_text(j, name, writer_done(&w));
	w = writer_of(text, sizeof text);
	base64_write(&w, bytes_of(keys->p256_spki, keys->has_p256 ? keys->p256_spki_len : 0));
	if (keys->has_ed25519)
		jcs_put_text(j, p256, writer_done(&w));
}

void key_change_write(struct jcs *j, const struct key_change *c, const char *reason)
{
	put_keys(j, &c->new, "new", "new_p256");
	put_keys(j, &c->old, "old", "old_p256");
	jcs_put_str(j, "reason", reason);
	jcs_put_str(j, "step", key_step_words[c->step]);
	if (c->step == KEY_STEP_BEGIN)
		jcs_put_uint(j, "until_s", c->until_s);
	jcs_put_str(j, "what", "checkpoints");
}

static bool get_keys(struct jcs_value data, const char *name, const char *p256, struct checkpoint_keys *out)
{
	struct writer w = writer_of(out->p256_spki, sizeof out->p256_spki);
	struct bytes text = jcs_read_plain(jcs_get(data, p256));

	*out = (struct checkpoint_keys){ 0 };
	if (checkpoint_vkey_read(jcs_read_plain(jcs_get(data, name)), out) != NULL || jcs_get(data, p256).kind != JCS_STRING ||
	    (text.len && !base64_read(text, &w)))
		return false;
	out->p256_spki_len = w.len;
	out->has_p256 = w.len > 0;
	return true;
}

bool key_change_read(struct bytes record, struct key_change *out)
{
	struct jcs_value top = jcs_value_of(record), data = jcs_get(top, "data");
	struct bytes type = jcs_read_plain(jcs_get(top, "t")), step = jcs_read_plain(jcs_get(data, "step"));
	struct bytes ts = jcs_read_plain(jcs_get(top, "ts"));
	int64_t until = 0;

	*out = (struct key_change){ .step = KEY_STEPS };
	if (!bytes_equal(type, bytes_str("key.rotate")) && !bytes_equal(type, bytes_str("key.destroy")))
		return false;
	for (unsigned i = 0; i < KEY_STEPS; i++)
		if (bytes_equal(step, bytes_str(key_step_words[i])))
			out->step = i;
	if (out->step == KEY_STEPS || !get_keys(data, "old", "old_p256", &out->old) ||
	    (out->step != KEY_STEP_PREPARE && !get_keys(data, "new", "new_p256", &out->new) && out->step != KEY_STEP_FAILED))
		return false;
	if (ts.len && ts.len < sizeof out->ts)
		memcpy(out->ts, ts.base, ts.len);
	if (jcs_read_int(jcs_get(data, "until_s"), &until) && until > 0)
		out->until_s = (uint64_t)until;
	return true;
}

/* --- what lies beside ------------------------------------------------------------------------------------------------- */

static int by_index(const void *a, const void *b)
{
	const struct key_change *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

/* NULL, or why the file is none of this journal's. */
static const char *file_read(struct archive *a, const char *name, struct key_change *out)
{
	static _Thread_local uint8_t text[RECORD_BYTES_MAX];
	unsigned long long index;
	struct merkle_hash stored, is;
	char path[PATH_MAX], canonical[64];
	size_t len;
	FILE *f;

	if (sscanf(name, "key-%20llu.json", &index) != 1)
		return "trust holds a file of a rotation under a name that is none";
	snprintf(canonical, sizeof canonical, KEY_CHANGE_FILE, index);
	snprintf(path, sizeof path, "%s/trust/%s", archive_dir(a), name);
	f = strcmp(canonical, name) == 0 ? fopen(path, "re") : NULL;
	if (!f)
		return "trust holds a file of a rotation that cannot be read";
	len = fread(text, 1, sizeof text, f);
	fclose(f);
	is = merkle_leaf(bytes_of(text, len));
	if (jcs_check(bytes_of(text, len), NULL) != NULL || !key_change_read(bytes_of(text, len), out) || !archive_leaf(a, index, &stored) ||
	    !merkle_equal(&is, &stored))
		return "trust holds a file of a rotation that is not the record of that number";
	out->index = index;
	return NULL;
}

unsigned key_changes_beside(struct archive *a, struct key_change *out, unsigned max, const char **wrong)
{
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	*wrong = NULL;
	snprintf(path, sizeof path, "%s/trust", archive_dir(a));
	dir = opendir(path);
	while (dir && !*wrong && count < max && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "key-", 4) == 0 && (*wrong = file_read(a, entry->d_name, &out[count])) == NULL)
			count++;
	if (dir)
		closedir(dir);
	qsort(out, count, sizeof *out, by_index);
	return count;
}

/* Without these files; from the records that are left. */
static unsigned changes_search(struct archive *a, struct key_change *out, unsigned max)
{
	static const struct archive_filter filter = { .type = "key.rotate" };
	uint64_t index = 0;
	unsigned count = 0;
	struct bytes record;
	const char *why;

	for (;;) {
		switch (archive_search(a, &filter, &index, SEARCH_BUDGET, &record, &why)) {
		case ARCHIVE_MORE:
			continue;
		case ARCHIVE_FOUND:
			if (count < max && key_change_read(record, &out[count]))
				out[count++].index = index;
			/* fall through */
		case ARCHIVE_BROKEN:
			index++;
			continue;
		default:
			return count;
		}
	}
}

/* --- the list --------------------------------------------------------------------------------------------------------- */

static bool signed_by(struct bytes note, const struct checkpoint_keys *keys)
{
	struct checkpoint_signatures s = checkpoint_check_signatures(note, keys);

	return s.ed25519 == SIGNATURE_GOOD && s.p256 != SIGNATURE_BAD;
}

static bool holds_record(struct archive *a, uint64_t index, struct bytes note)
{
	struct merkle_source source = archive_source(a);
	struct merkle_hash leaf;
	struct merkle_proof proof;
	struct checkpoint c;

	return checkpoint_parse(note, true, &c, NULL) == NULL && archive_leaf(a, index, &leaf) &&
	       merkle_prove_inclusion(&source, index, c.size, &proof) && merkle_check_inclusion(&leaf, index, c.size, &proof, &c.root);
}

/* The first checkpoint behind the record, and of a size up to `until`, that both signed. */
static bool handover_once(struct archive *a, const struct key_change *c, uint64_t until, uint64_t *size)
{
	uint8_t copy[CHECKPOINT_BYTES_MAX];
	uint64_t at = c->index;
	struct bytes note;

	for (unsigned i = 0; i < HANDOVER_TRIES; i++, at = *size) {
		if (!archive_checkpoint_after(a, at, size, &note) || *size > until || note.len > sizeof copy)
			return false;
		memcpy(copy, note.base, note.len);
		note = bytes_of(copy, note.len);
		if (signed_by(note, &c->old) && signed_by(note, &c->new))
			return holds_record(a, c->index, note);
	}
	return false;
}

static bool handover(struct archive *a, const struct key_change *c, uint64_t until, uint64_t *size)
{
	char err[ARCHIVE_ERROR_BYTES];

	for (unsigned i = 0; i < VIEWS; i++)
		if (handover_once(a, c, until, size))
			return true;
		else if (!archive_refresh(a, err))
			return false;
	return false;
}

static bool same(const struct checkpoint_keys *a, const struct checkpoint_keys *b)
{
	return strcmp(a->name, b->name) == 0 && memcmp(a->ed25519, b->ed25519, sizeof a->ed25519) == 0;
}

/* What becomes of change `i`: whether it began a key that took over, and from which size on. */
static bool took_over(struct archive *a, const struct key_change *change, unsigned count, unsigned i, uint64_t *size)
{
	uint64_t until = UINT64_MAX;

	if (change[i].step != KEY_STEP_BEGIN)
		return false;
	for (unsigned k = i + 1; k < count && until == UINT64_MAX; k++)
		if (change[k].step == KEY_STEP_BEGIN || change[k].step == KEY_STEP_FAILED)
			until = change[k].index;
	return handover(a, &change[i], until, size);
}

static void ended(struct key_list *list, const struct key_change *c)
{
	for (unsigned i = 0; i < list->count; i++)
		if (same(&list->generation[i].keys, &c->old) && list->generation[i].end == UINT64_MAX) {
			list->generation[i].end = c->index;
			memcpy(list->generation[i].until, c->ts, sizeof c->ts);
		}
}

static void generation_add(struct key_list *list, const struct key_change *c, uint64_t size)
{
	struct key_generation *g = &list->generation[list->count++];

	*g = (struct key_generation){ .keys = c->new, .record = c->index, .from = size, .end = UINT64_MAX };
	memcpy(g->since, c->ts, sizeof g->since);
}

static void chain(struct archive *a, const struct key_change *change, unsigned count, struct key_list *list)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t size;

		if (change[i].step == KEY_STEP_END)
			ended(list, &change[i]);
		if (list->count == KEY_LIST_MAX || !took_over(a, change, count, i, &size))
			continue;
		if (list->count == 0)
			list->generation[list->count++] = (struct key_generation){ .keys = change[i].old, .end = UINT64_MAX };
		/* One who was not the last one's successor is nobody's. */
		if (same(&list->generation[list->count - 1].keys, &change[i].old))
			generation_add(list, &change[i], size);
	}
}

/* Whether the stored checkpoints are all of this key, as far as the first and the last one tell. */
static bool signs_alone(struct archive *a, const struct checkpoint_keys *known)
{
	struct bytes note;
	uint64_t size;

	return (!archive_checkpoint_after(a, 0, &size, &note) || signed_by(note, known)) &&
	       (!archive_checkpoint(a, 1, UINT64_MAX, &size, &note) || signed_by(note, known));
}

const char *key_list_load(struct archive *a, const struct checkpoint_keys *known, struct key_list *out)
{
	struct key_change *change = calloc(CHANGES_MAX, sizeof *change);
	const char *wrong = "out of memory";
	unsigned count = change ? key_changes_beside(a, change, CHANGES_MAX, &wrong) : 0;
	bool connected = false;

	*out = (struct key_list){ 0 };
	if (change && !wrong && count == 0 && !signs_alone(a, known))
		count = changes_search(a, change, CHANGES_MAX);
	if (!wrong)
		chain(a, change, count, out);
	for (unsigned i = 0; i < out->count; i++)
		connected = connected || same(&out->generation[i].keys, known);
	if (!connected)
		*out = (struct key_list){ 1, { { .keys = *known, .end = UINT64_MAX } } };
	free(change);
	return wrong;
}

const struct key_generation *key_list_at(const struct key_list *list, uint64_t size)
{
	unsigned at = 0;

	while (at + 1 < list->count && list->generation[at + 1].from <= size)
		at++;
	return &list->generation[at];
}

const char *key_list_verify(const struct key_list *list, struct bytes note, struct checkpoint *out)
{
	const char *wrong = checkpoint_parse(note, true, out, NULL);
	const struct key_generation *by = key_list_at(list, out->size);

	if (!wrong)
		wrong = checkpoint_verify(note, &by->keys, out);
	for (unsigned i = 0; i < list->count && !wrong && list->count > 1; i++) {
		struct checkpoint_signatures s = checkpoint_check_signatures(note, &list->generation[i].keys);

		if (s.ed25519 == SIGNATURE_BAD || s.p256 == SIGNATURE_BAD)
			wrong = "a wrong signature of an earlier or later key";
	}
	if (wrong)
		*out = (struct checkpoint){ 0 };
	return wrong;
}
