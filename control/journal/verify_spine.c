#include "control/journal/verify_spine.h"

#include <string.h>
#include <time.h>

#include "control/journal/verify_stamps.h"

#define ANCHORS_A_LOOK 4096u /* so many, until the caller is asked whether to go on */

static uint64_t last_number(struct spine_view *view, const struct mdbfile_db *db)
{
	struct mdbfile_cursor c = mdbfile_cursor_of(&view->file, db);
	struct mdbfile_entry entry;

	return mdbfile_floor(&c, UINT64_MAX - 1, &entry) == MDBFILE_OK ? entry.key + 1 : 0;
}

/* NULL, or what is wrong. */
static const char *meta_read(struct verify_spine *s, struct spine_view *view, const char *origin)
{
	struct mdbfile_entry entry;
	struct reader r;
	uint64_t version;

	s->mark = 0;
	if (mdbfile_get(&view->file, &view->meta, SPINE_META_VERSION, &entry) != MDBFILE_OK)
		return "without its version";
	r = reader_of_bytes(entry.value);
	version = reader_be64(&r);
	if (!r.ok || r.left || version != SPINE_VERSION)
		return "of a version that this program does not know";
	if (mdbfile_get(&view->file, &view->meta, SPINE_META_ORIGIN, &entry) != MDBFILE_OK || (origin && !bytes_equal(entry.value, bytes_str(origin))))
		return "that of another journal";
	if (mdbfile_get(&view->file, &view->meta, SPINE_META_TILES, &entry) != MDBFILE_OK)
		return view->file.wrong;
	r = reader_of_bytes(entry.value);
	s->mark = reader_be64(&r);
	return r.ok && !r.left ? NULL : "damaged: its mark is none";
}

void verify_spine_begin(struct verify_spine *s, struct verify_report *r, struct spine_view *view, const char *origin)
{
	struct mdbfile_entry newest;
	const char *wrong = "";

	*s = (struct verify_spine){ .newest = UINT64_MAX };
	for (unsigned tries = 0; wrong && tries < VERIFY_TRIES; tries++) {
		const char *stale = tries ? spine_view_refresh(view) : NULL;

		view->file.wrong = stale ? view->file.wrong : NULL;
		wrong = stale ? stale : meta_read(s, view, origin);
	}
	if (wrong)
		verify_found(r, VERIFY_SPINE, verify_nowhere, "the spine is %s", wrong);
	/* A spine from before there were anchors has neither. */
	if (view->open && view->has_anchors[SPINE_TOKEN] != view->has_anchors[SPINE_COSIGNATURE])
		verify_found(r, VERIFY_ANCHOR, verify_nowhere, "the spine has no place for %ss, and one for %ss", spine_anchor_names[view->has_anchors[SPINE_TOKEN]],
			     spine_anchor_names[!view->has_anchors[SPINE_TOKEN]]);
	for (unsigned level = 0; view->open && level < SPINE_LEVELS; level++)
		s->count[level] = last_number(view, &view->level[level]);
	if (spine_view_checkpoint(view, UINT64_MAX, &newest))
		s->newest = newest.key;
}

bool verify_spine_hash(struct spine_view *view, unsigned level, uint64_t number, const struct merkle_hash *computed, struct merkle_hash *out)
{
	bool there = spine_view_hash(view, level, number, out);

	for (unsigned tries = 1; tries < VERIFY_TRIES && (!there || (computed && !merkle_equal(out, computed))); tries++)
		there = spine_view_refresh(view) == NULL && spine_view_hash(view, level, number, out);
	return there;
}

/* --- anchors -------------------------------------------------------------------------------------------------------------- */

static void anchor_judged(struct verify_report *r, const struct verify_anchor *a, unsigned number, const struct verify_judged *j)
{
	const char *what = a->is_token ? "time stamp" : "cosignature";
	struct verify_summary *s = r->summary;

	if (j->verdict == VERIFY_WRONG)
		verify_found(r, VERIFY_ANCHOR, verify_nowhere, "%s %u of the checkpoint of %llu records (spine), %s%s%sis wrong: %s", what, number, ULL(a->size),
			     j->who[0] ? "by " : "", j->who, j->who[0] ? ", " : "", j->why);
	if (j->verdict == VERIFY_UNKNOWN)
		verify_found(r, VERIFY_UNVERIFIED, verify_nowhere, "%s %u of the checkpoint of %llu records (spine), by %s, is not verified: %s", what, number, ULL(a->size),
			     j->who[0] ? j->who : "somebody", j->why);
	if (j->verdict != VERIFY_GOOD)
		return;
	*(a->is_token ? &s->tokens : &s->cosignatures) += 1;
	*(a->is_token ? &s->stamped : &s->cosigned) = a->size;
	*(a->is_token ? &s->stamped_s : &s->cosigned_s) = j->time_s;
}

/* The anchor with this key and its checkpoint, as the view has them now. */
static bool anchor_read(struct spine_view *view, enum spine_anchor kind, uint64_t key, struct mdbfile_entry *note, struct verify_anchor *a)
{
	struct checkpoint c;

	*a = (struct verify_anchor){ .is_token = kind == SPINE_TOKEN, .size = key / SPINE_ANCHORS_EACH };
	if (!spine_view_checkpoint(view, a->size, note) || note->key != a->size)
		return false;
	a->note = note->value;
	/* A note that is none is a finding already. */
	return checkpoint_parse(a->note, true, &c, &a->body) == NULL && spine_view_anchor(view, kind, a->size, (unsigned)(key % SPINE_ANCHORS_EACH), &a->value);
}

/* The same in a fresh view, while there are tries: what a writer has replaced meanwhile is not what it says. */
static bool anchor_again(struct spine_view *view, enum spine_anchor kind, uint64_t key, struct mdbfile_entry *note, struct verify_anchor *a, unsigned *tries)
{
	while (++*tries < VERIFY_TRIES)
		if (spine_view_refresh(view) == NULL && anchor_read(view, kind, key, note, a))
			return true;
	return false;
}

static void anchor_judge(struct verify_report *r, struct spine_view *view, enum spine_anchor kind, uint64_t key)
{
	struct verify_judged judged;
	struct mdbfile_entry note;
	struct verify_anchor a;
	unsigned tries = 0;

	if (!r->options->judge || !anchor_read(view, kind, key, &note, &a))
		return;
	do {
		judged = (struct verify_judged){ .verdict = VERIFY_UNKNOWN };
		r->options->judge(r->options->judge_ctx, &a, &judged);
	} while (judged.verdict == VERIFY_WRONG && anchor_again(view, kind, key, &note, &a, &tries));
	anchor_judged(r, &a, (unsigned)(key % SPINE_ANCHORS_EACH), &judged);
}

/* Beside a writer the record may be newer than the view. */
static void stamp_check(struct verify_report *r, struct spine_view *view, uint64_t key)
{
	struct mdbfile_entry note;
	struct verify_anchor a;
	uint64_t index = 0;
	unsigned tries = 0;
	bool good;

	if (!anchor_read(view, SPINE_TOKEN, key, &note, &a))
		return;
	do {
		struct merkle_hash token = merkle_sha256(a.value);

		good = verify_stamps_see(r->stamps, a.size, &token, &index);
	} while (!good && anchor_again(view, SPINE_TOKEN, key, &note, &a, &tries));
	if (!good)
		verify_found(r, VERIFY_ANCHOR, verify_record(index, VERIFY_NOWHERE), "a time stamp of the checkpoint of %llu records is not the one that record %llu tells of: it was changed",
			     ULL(a.size), ULL(index));
}

static void anchor_one(struct verify_report *r, struct spine_view *view, enum spine_anchor kind, uint64_t key)
{
	const char *what = kind == SPINE_TOKEN ? "time stamp" : "cosignature";
	uint64_t size = key / SPINE_ANCHORS_EACH;
	struct mdbfile_entry note;
	struct bytes before;

	if (!spine_view_checkpoint(view, size, &note) || note.key != size) {
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the checkpoint of %llu records is missing: there is a %s of it", ULL(size), what);
		return;
	}
	if (key % SPINE_ANCHORS_EACH && !spine_view_anchor(view, kind, size, (unsigned)(key % SPINE_ANCHORS_EACH) - 1, &before))
		verify_found(r, VERIFY_ANCHOR, verify_nowhere, "a %s of the checkpoint of %llu records is missing: there is a later one", what, ULL(size));
	if (kind == SPINE_TOKEN)
		stamp_check(r, view, key);
	anchor_judge(r, view, kind, key);
}

/* The first anchor behind `last` (UINT64_MAX: the first of all). By its key, since the view may have been taken anew. */
static enum mdbfile_status anchor_next(struct spine_view *view, enum spine_anchor kind, uint64_t last, struct mdbfile_entry *entry)
{
	struct mdbfile_cursor c = mdbfile_cursor_of(&view->file, &view->anchor[kind]);
	enum mdbfile_status status = last == UINT64_MAX ? MDBFILE_OK : mdbfile_floor(&c, last, entry);

	return status == MDBFILE_OK ? mdbfile_next(&c, entry) : status;
}

static void anchors_check(struct verify_report *r, struct spine_view *view, enum spine_anchor kind)
{
	uint64_t last = UINT64_MAX, count = 0;
	struct mdbfile_entry entry;
	enum mdbfile_status status;

	while (!r->full && (status = anchor_next(view, kind, last, &entry)) != MDBFILE_END) {
		for (unsigned tries = 1; status == MDBFILE_BAD && tries < VERIFY_TRIES; tries++)
			if (spine_view_refresh(view) == NULL)
				status = anchor_next(view, kind, last, &entry);
		if (status == MDBFILE_BAD) {
			verify_found(r, VERIFY_ANCHOR, (struct verify_place){ VERIFY_NOWHERE, VERIFY_NOWHERE, view->file.wrong_at }, "the spine's %ss cannot be read: %s",
				     spine_anchor_names[kind], view->file.wrong);
			return;
		}
		if (status == MDBFILE_END)
			return;
		last = entry.key;
		anchor_one(r, view, kind, last);
		if (++count % ANCHORS_A_LOOK == 0 && r->options->progress && !r->options->progress(r->options->ctx, r->summary->size, r->summary->size))
			r->full = true;
	}
}

/* --- the newest checkpoint ------------------------------------------------------------------------------------------------- */

/* The published note is the stored one, and behind it nothing but cosignatures that are stored too. */
static bool file_is_stored(struct spine_view *view, struct bytes file, uint64_t size)
{
	struct mdbfile_entry note;
	struct bytes rest, line;

	struct bytes body, stored_body;
	struct checkpoint c;

	if (!spine_view_checkpoint(view, size, &note) || note.key != size || checkpoint_parse(file, true, &c, &body) != NULL ||
	    checkpoint_parse(note.value, true, &c, &stored_body) != NULL || !bytes_equal(body, stored_body))
		return false;
	/* Signed again after a power cut: the stored note stays, the signatures of both are judged by the walk. */
	if (file.len < note.value.len || memcmp(file.base, note.value.base, note.value.len) != 0)
		return true;
	for (rest = bytes_of(file.base + note.value.len, file.len - note.value.len); rest.len;) {
		const uint8_t *end = memchr(rest.base, '\n', rest.len);
		bool known = false;

		line = bytes_of(rest.base, end ? (size_t)(end - rest.base) + 1 : rest.len);
		for (unsigned i = 0, there = 1; !known && there && i < SPINE_ANCHORS_EACH; i++) {
			struct bytes stored;

			there = spine_view_anchor(view, SPINE_COSIGNATURE, size, i, &stored);
			known = there && bytes_equal(stored, line);
		}
		if (!known)
			return false;
		rest = bytes_of(rest.base + line.len, rest.len - line.len);
	}
	return true;
}

/* The signer keeps what it signs before it signs, and control keeps what was signed afterwards: the state, read after the spine, is of its
 * newest checkpoint or, beside a writer and for a moment, of the next one. */
static void signer_check(struct verify_report *r, struct spine_view *view, uint64_t newest, uint64_t size)
{
	const struct timespec moment = { .tv_nsec = 50000000 };
	struct mdbfile_entry note = { .key = newest };
	struct merkle_hash root;
	struct checkpoint c;
	uint64_t last = 0;

	r->summary->signer_known = r->options->signed_last && r->options->signed_last(r->options->signed_ctx, &last, &root);
	if (!r->summary->signer_known)
		return;
	if (last < newest) {
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the newest checkpoint is of %llu records, and the signer's state says %llu: the state was set back, or is that of "
			     "another journal", ULL(newest), ULL(last));
		return;
	}
	for (unsigned tries = 0; last > note.key && tries < 2 * VERIFY_WAITS; tries++) {
		nanosleep(&moment, NULL);
		if (spine_view_refresh(view) != NULL || !spine_view_checkpoint(view, UINT64_MAX, &note))
			note.key = newest;
	}
	if (last > note.key && last > size)
		verify_found(r, VERIFY_ORDER, verify_range(size, last - 1), "records %llu to %llu are missing: the signer has signed a checkpoint of %llu records", ULL(size),
			     ULL(last - 1), ULL(last));
	else if (last > note.key)
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the newest checkpoint is of %llu records, and the signer has signed one of %llu: it was removed, or control ended before "
			     "it was stored", ULL(note.key), ULL(last));
	else if (last && spine_view_checkpoint(view, last, &note) && note.key == last && checkpoint_parse(note.value, true, &c, NULL) == NULL && !merkle_equal(&c.root, &root))
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the checkpoint of %llu records has another root than the one that the signer signed last", ULL(last));
}

/* Whatever speaks of a checkpoint says that there was one. */
static void newest_check(const struct verify_spine *s, struct verify_report *r, uint64_t newest, uint64_t must)
{
	if (s->mark > newest)
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the newest checkpoint is of %llu records, and the spine's mark says that one of %llu was there", ULL(newest), ULL(s->mark));
	if (must > newest)
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the newest checkpoint is of %llu records, and a journal.prune record says that one of at least %llu was there", ULL(newest),
			     ULL(must));
}

void verify_spine_end(const struct verify_spine *s, struct verify_report *r, struct spine_view *view, uint64_t size, struct bytes file, uint64_t file_size, uint64_t must)
{
	struct mdbfile_entry newest = { 0 };

	if (!view->open || spine_view_refresh(view) != NULL)
		return;
	for (unsigned level = 0; level < SPINE_LEVELS; level++)
		if (s->count[level] > size >> 8 * (level + 1))
			verify_found(r, VERIFY_ORDER, verify_range(size, (s->count[level] << 8 * (level + 1)) - 1),
				     "records %llu to %llu are missing: the spine holds the hash of their tile of level %u", ULL(size), ULL((s->count[level] << 8 * (level + 1)) - 1), level);
	if (!spine_view_checkpoint(view, UINT64_MAX, &newest))
		newest.key = 0;
	if (file_size > newest.key)
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the spine holds no checkpoint of %llu records, which the file checkpoint is of", ULL(file_size));
	else if (file_size && !file_is_stored(view, file, file_size))
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the file checkpoint is not the one of %llu records that the spine holds, with its cosignatures", ULL(file_size));
	else if (s->newest != UINT64_MAX && file_size < s->newest)
		verify_found(r, VERIFY_CHECKPOINT, verify_nowhere, "the file checkpoint is of %llu records, and the spine holds one of %llu: an older one was put in its place, or control "
			     "ended before it was written", ULL(file_size), ULL(s->newest));
	newest_check(s, r, newest.key, must);
	signer_check(r, view, newest.key, size);
	for (unsigned kind = 0; kind < SPINE_ANCHORS; kind++)
		anchors_check(r, view, kind);
	verify_stamps_missing(r->stamps, r, newest.key);
}
