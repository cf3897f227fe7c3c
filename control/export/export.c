/* A bundle in one pass over the records that match. Order: the checkpoint is chosen and verified, and the stored hashes are shown to
 * lead to its root, before the first file is written; then record by record: line, tile (which leads to the root, and has to have the
 * record's leaf), payload, proof where it gets one; then copies, tiles, keys and texts; the manifest last.
 *
 * Nothing here grows with the records: a bundle may have any number of them.
 */
#include "control/export/export.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/export/bundle.h"
#include "control/export/bundle_approvals.h"
#include "control/export/bundle_copies.h"
#include "control/export/bundle_picks.h"
#include "control/export/bundle_policies.h"
#include "control/export/bundle_text.h"
#include "control/export/bundle_tiles.h"
#include "control/export/completeness.h"
#include "control/export/consistency.h"
#include "control/export/export_anchor.h"
#include "control/export/export_disclosure.h"
#include "control/export/export_keys.h"
#include "control/export/frames.h"
#include "control/journal/base64.h"
#include "control/journal/jcs_read.h"
#include "platform/base/secret.h"

#define SCAN_BUDGET 65536u
#define PROGRESS_RECORDS 256u

struct job {
	struct archive *archive;
	const struct export_request *request;
	struct export_result *result;
	struct archive_filter filter;
	struct bundle bundle;
	struct checkpoint checkpoint;
	uint8_t note[CHECKPOINT_BYTES_MAX];
	size_t note_len;
	struct bundle_tiles tiles;
	bool selected; /* by more than a range */
	bool each;     /* every record has files of its own */
	struct bundle_picks *picks;
	struct frames *lines;
	struct bundle_copies *copies;
	struct bundle_policies *policies;
	struct bundle_approvals *approvals;
	struct completeness *complete;
	struct disclosure_told told;
	struct key_list keys;
	char *err;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct job *job, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(job->err, EXPORT_ERROR_BYTES, format, args);
	va_end(args);
	return false;
}

static bool write_failed(struct job *job, const char *name)
{
	return fail(job, "%s/%s: %s", "the bundle", name, strerror(errno));
}

/* The record's line. */
static struct bytes line_of(uint64_t index, struct bytes record, struct writer *out)
{
	char head[40];

	snprintf(head, sizeof head, "{\"idx\":%llu", (unsigned long long)index);
	writer_str(out, head);
	if (record.len > 2)
		writer_u8(out, ',');
	writer_bytes(out, record.base + 1, record.len - 1);
	writer_u8(out, '\n');
	return writer_done(out);
}

bool export_jsonl(struct archive *a, const struct archive_filter *filter, bool (*write)(void *ctx, struct bytes line), void *ctx,
		  char err[EXPORT_ERROR_BYTES])
{
	static _Thread_local uint8_t line[RECORD_BYTES_MAX + 64];
	uint64_t index = 0;
	struct bytes record;
	const char *why;

	err[0] = 0;
	for (;;) {
		struct writer w = writer_of(line, sizeof line);

		switch (archive_search(a, filter, &index, SCAN_BUDGET, &record, &why)) {
		case ARCHIVE_MORE:
			continue;
		case ARCHIVE_END:
			return true;
		case ARCHIVE_BROKEN:
			snprintf(err, EXPORT_ERROR_BYTES, "%s", why);
			return false;
		case ARCHIVE_FOUND:
			break;
		}
		if (record.len < 2 || !write(ctx, line_of(index++, record, &w))) {
			snprintf(err, EXPORT_ERROR_BYTES, "the output takes no more");
			return false;
		}
	}
}

/* --- the checkpoint --------------------------------------------------------------------------------------------------- */

static bool choose_checkpoint(struct job *job)
{
	struct bytes note;
	const char *wrong = key_list_load(job->archive, job->request->keys, &job->keys);
	uint64_t size;

	if (wrong)
		return fail(job, "the log's keys: %s: run journal verify", wrong);
	if (!archive_checkpoint(job->archive, 1, archive_size(job->archive), &size, &note) || note.len > sizeof job->note)
		return fail(job, "no checkpoint is published yet: nothing can be proven");
	if (job->filter.to > size)
		return fail(job, "records from %llu on are not under a published checkpoint yet: wait a second", (unsigned long long)size);
	memcpy(job->note, note.base, note.len);
	job->note_len = note.len;
	wrong = key_list_verify(&job->keys, note, &job->checkpoint);
	if (wrong)
		return fail(job, "the newest checkpoint is %s", wrong);
	if (!bundle_tiles_load(&job->tiles, job->archive, &job->checkpoint))
		return fail(job, "the stored hashes do not lead to the newest checkpoint's root: run journal verify");
	if (!job->filter.to)
		job->filter.to = size;
	job->result->checkpoint_size = size;
	return true;
}

/* --- records ---------------------------------------------------------------------------------------------------------- */

static bool chunk_write(struct job *job, const struct record_chunk *chunk)
{
	char name[16 + 64 + 1];
	struct writer w = writer_of(name, sizeof name - 1);
	struct bytes stored;
	const char *wrong = archive_chunk_stored(job->archive, chunk->key, chunk->hash, &stored);

	if (wrong)
		return fail(job, "%s", wrong);
	/* There may be millions, more than a directory of some file systems takes. */
	writer_str(&w, "chunks/");
	hex_write(&w, bytes_of(chunk->hash, 1));
	writer_u8(&w, '/');
	hex_write(&w, bytes_of(chunk->hash, sizeof chunk->hash));
	name[w.len] = 0;
	/* The same bytes may be the payload of several records. */
	if (bundle_has(&job->bundle, name))
		return true;
	job->result->chunks++;
	return bundle_file(&job->bundle, name, stored) || write_failed(job, name);
}

static bool payload_write(struct job *job, struct bytes record)
{
	struct jcs_value list = jcs_get(jcs_value_of(record), "pl"), element;
	struct record_chunk chunk;
	struct bytes dir;
	uint64_t number;
	size_t at = 0;

	while (jcs_next(list, &at, NULL, &element))
		if (record_chunk_read(&element, &chunk, &dir, &number) && !chunk_write(job, &chunk))
			return false;
	return true;
}

/* The key of the record's session, once; sessions whose key was destroyed have none. */
static bool key_write(struct job *job, struct jcs_value record)
{
	char name[8 + 2 * SEAL_SESSION_BYTES + 5], hex[2 * SEAL_KEY_BYTES + 2];
	struct bytes session = jcs_read_plain(jcs_get(record, "sess"));
	struct writer w = writer_of(hex, sizeof hex);
	uint8_t id[SEAL_SESSION_BYTES];
	struct writer id_w = writer_of(id, sizeof id);
	struct seal key = { 0 };
	bool good, first, found;

	if (jcs_get(record, "pl").kind != JCS_ARRAY || !export_disclosure_allows(job->request, session) || !hex_read(session, &id_w) || id_w.len != sizeof id)
		return true;
	snprintf(name, sizeof name, "keys/%.*s.hex", (int)session.len, (const char *)session.base);
	found = payload_keys_find(job->request->disclose, id, &key);
	if (!export_disclosure_tell(&job->told, session, found ? "given" : "erased", &first) || !first || !found) {
		secret_wipe(&key, sizeof key);
		return job->told.out || fail(job, "out of memory");
	}
	hex_write(&w, bytes_of(key.key, sizeof key.key));
	writer_u8(&w, '\n');
	good = bundle_file(&job->bundle, name, writer_done(&w));
	secret_wipe(&key, sizeof key);
	secret_wipe(hex, sizeof hex);
	job->result->keys += good;
	return good || write_failed(job, name);
}

static bool proof_write(struct job *job, uint64_t index)
{
	char why[EXPORT_ERROR_BYTES];

	return bundle_picks_put(&job->bundle, job->archive, index, bytes_of(job->note, job->note_len), why) || fail(job, "%s", why);
}

static bool record_write(struct job *job, uint64_t index, struct bytes record)
{
	static _Thread_local uint8_t room[RECORD_BYTES_MAX + 64];
	struct writer line_w = writer_of(room, sizeof room);
	struct bytes line = line_of(index, record, &line_w);
	bool entries = job->each && !job->selected && bundle_tiles_within(&job->tiles, index / TILES_WIDTH, job->filter.from, job->filter.to);
	const char *wrong;

	if (!frames_line(job->lines, index, bytes_of(line.base, line.len - 1)))
		return write_failed(job, "records");
	bundle_policies_record(job->policies, record);
	if (!bundle_approvals_record(job->approvals, record) || !completeness_record(job->complete, index, record))
		return fail(job, "out of memory");
	wrong = bundle_tiles_record(&job->tiles, &job->bundle, index, merkle_leaf(record));
	if (wrong)
		return fail(job, "record %llu: %s", (unsigned long long)index, wrong);
	if (!payload_write(job, record) || !key_write(job, jcs_value_of(record)))
		return false;
	if (entries && (wrong = bundle_tiles_entries(&job->tiles, &job->bundle, index / TILES_WIDTH)))
		return fail(job, "%s", wrong);
	return (!job->each || proof_write(job, index)) && (bundle_copies_record(job->copies, index) || write_failed(job, "events"));
}

static bool put_frame(void *ctx, const char *name, struct bytes file)
{
	return bundle_file(ctx, name, file);
}

static bool records_open(struct job *job)
{
	const struct frames_to to = { "records/", ".jsonl.zst", put_frame, &job->bundle };

	job->lines = frames_create(&to);
	job->copies = bundle_copies_open(&job->bundle, job->archive, job->checkpoint.origin);
	job->policies = bundle_policies_create();
	job->approvals = bundle_approvals_create();
	job->complete = completeness_create(&job->filter, archive_first(job->archive));
	return (job->lines && job->copies && job->policies && job->approvals && job->complete) || fail(job, "out of memory");
}

static void records_close(struct job *job)
{
	frames_destroy(job->lines);
	bundle_copies_close(job->copies);
	bundle_policies_destroy(job->policies);
	bundle_approvals_destroy(job->approvals);
	completeness_destroy(job->complete);
}

/* Whether it goes on. */
static bool progress(struct job *job, uint64_t index)
{
	uint64_t first = job->filter.from > archive_first(job->archive) ? job->filter.from : archive_first(job->archive);
	const struct export_progress p = { .records = job->result->records, .done = index > first ? index - first : 0, .total = job->filter.to > first ? job->filter.to - first : 0 };

	return !job->request->progress || job->request->progress(job->request->progress_ctx, &p) || fail(job, "interrupted");
}

/* The next record that matches, at or after `*index`; BROKEN with a text in `job->err`. */
static enum archive_next next_record(struct job *job, uint64_t *index, struct bytes *record)
{
	enum archive_next next = ARCHIVE_MORE;
	const char *why;

	while (next == ARCHIVE_MORE) {
		next = archive_search(job->archive, &job->filter, index, SCAN_BUDGET, record, &why);
		if (next == ARCHIVE_MORE && !progress(job, *index))
			return ARCHIVE_BROKEN;
	}
	if (next == ARCHIVE_BROKEN)
		fail(job, "%s", why);
	return next;
}

/* Looked at before a file is made: whether there is anything, and whether every record can have files of its own. */
static bool look_ahead(struct job *job)
{
	const struct archive_filter *f = &job->filter;
	unsigned max = job->request->proofs_max ? job->request->proofs_max : EXPORT_PROOFS, found = 0;
	uint64_t first = f->from > archive_first(job->archive) ? f->from : archive_first(job->archive), index = first;
	enum archive_next next = ARCHIVE_FOUND;
	struct bytes record;

	job->selected = f->session || f->type || f->person || f->agent || f->run || f->target || f->service || f->verdict || f->since || f->until || f->in_session || f->sessions || f->text;
	if (!job->selected)
		found = f->to <= first ? 0 : f->to - first > max ? max + 1 : (unsigned)(f->to - first);
	for (; job->selected && found <= max && (next = next_record(job, &index, &record)) == ARCHIVE_FOUND; index++)
		found++;
	if (next == ARCHIVE_BROKEN)
		return false;
	job->each = found <= max;
	return found > 0 || fail(job, "no record matches");
}

/* What was asked for has to be among the records: else it would tell more than they do. */
static bool picks_take(struct job *job)
{
	job->picks = bundle_picks_create();
	for (unsigned i = 0; job->picks && i < job->request->proofs; i++) {
		uint64_t index = job->request->proof[i], found = index;
		struct bytes record;
		enum archive_next next = index < job->filter.from || index >= job->filter.to ? ARCHIVE_END : next_record(job, &found, &record);

		if (next == ARCHIVE_BROKEN)
			return false;
		if (next != ARCHIVE_FOUND || found != index)
			return fail(job, "record %llu is none of those that match: leave out its --proof", (unsigned long long)index);
		if (!bundle_picks_add(job->picks, index))
			break;
		if (i + 1 == job->request->proofs)
			return true;
	}
	return (job->picks && !job->request->proofs) || fail(job, "out of memory");
}

static bool records_write(struct job *job)
{
	struct export_result *result = job->result;
	enum archive_next next;
	struct bytes record;

	if (!records_open(job))
		return false;
	for (uint64_t index = 0; (next = next_record(job, &index, &record)) == ARCHIVE_FOUND; index++) {
		if (result->records++ == 0)
			result->first = index;
		result->last = index;
		if (!record_write(job, index, record) || (result->records % PROGRESS_RECORDS == 0 && !progress(job, index)))
			return false;
	}
	if (next == ARCHIVE_BROKEN)
		return false;
	if (!completeness_write(job->complete, &job->bundle, &result->missing))
		return write_failed(job, "completeness.json");
	return frames_finish(job->lines) || write_failed(job, "records");
}

/* The report names few records, and links to their proofs. */
static bool copies_write(struct job *job)
{
	if (!bundle_copies_finish(job->copies, job->request, &job->filter, job->picks, job->err))
		return false;
	for (size_t i = 0; !job->each && i < bundle_picks_sort(job->picks); i++)
		if (!proof_write(job, bundle_picks_at(job->picks, i)))
			return false;
	return true;
}

static bool tree_write(struct job *job)
{
	const char *wrong = bundle_tiles_above(&job->tiles, &job->bundle);

	return !wrong || fail(job, "%s", wrong);
}

/* --- keys and texts --------------------------------------------------------------------------------------------------- */

static bool keys_write(struct job *job)
{
	const struct checkpoint_keys *keys = &key_list_at(&job->keys, job->checkpoint.size)->keys;
	char text[1024];
	struct writer w = writer_of(text, sizeof text);

	if (!checkpoint_pem_write(keys, CHECKPOINT_ED25519, &w) || !bundle_file(&job->bundle, "trust/log-ed25519.pem", writer_done(&w)))
		return write_failed(job, "trust/log-ed25519.pem");
	w = writer_of(text, sizeof text);
	/* An installation that got its second key later has older checkpoints without its line. */
	if (checkpoint_check_signatures(bytes_of(job->note, job->note_len), keys).p256 == SIGNATURE_GOOD && (!checkpoint_pem_write(keys, CHECKPOINT_P256, &w) || !bundle_file(&job->bundle, "trust/log-p256.pem", writer_done(&w))))
		return write_failed(job, "trust/log-p256.pem");
	w = writer_of(text, sizeof text);
	checkpoint_vkey_write(keys, &w);
	writer_u8(&w, '\n');
	if (!bundle_file(&job->bundle, "vkey", writer_done(&w)))
		return write_failed(job, "vkey");
	if (job->request->key && !bundle_file(&job->bundle, "trust/export.pem", export_key_pem(job->request->key)))
		return write_failed(job, "trust/export.pem");
	return bundle_file(&job->bundle, "checkpoint", bytes_of(job->note, job->note_len)) || write_failed(job, "checkpoint");
}

static bool policies_write(struct job *job)
{
	const char *wrong = bundle_policies_write(job->policies, &job->bundle, archive_dir(job->archive), job->result->last + 1, bytes_of(job->note, job->note_len));

	return !wrong || fail(job, "%s", wrong);
}

static bool anchors_write(struct job *job)
{
	const struct export_anchors what = { .keys = &job->keys, .newest = &job->checkpoint, .first = job->result->first, .last = job->result->last };
	const char *wrong = export_anchors_write(&job->bundle, job->archive, &what);

	if (!wrong)
		wrong = export_keys_write(&job->bundle, job->archive, &job->keys, bytes_of(job->note, job->note_len), &job->checkpoint);

	return !wrong || fail(job, "%s", wrong);
}

static bool since_write(struct job *job)
{
	char wrong[CONSISTENCY_ERROR_BYTES];

	return !job->request->since.len || consistency_since(&job->bundle, job->archive, &job->keys, &job->checkpoint, job->request->since, wrong) || fail(job, "%s", wrong);
}

static bool approvals_write(struct job *job)
{
	const struct bytes note = bytes_of(job->note, job->note_len);
	const char *wrong = export_disclosure_write(job->request, &job->bundle, job->archive, &job->told, note, &job->result->erased);

	if (!wrong)
		wrong = bundle_approvals_write(job->approvals, job->request, &job->bundle, archive_dir(job->archive), job->checkpoint.size, note);

	return !wrong || fail(job, "%s", wrong);
}

/* The code blocks of VERIFY.md, one after the other. */
static void commands_of(const char *text, struct writer *out)
{
	static const char begin[] = "```sh\n", end[] = "```\n";

	writer_str(out, "#!/bin/sh\n# The commands of VERIFY.md, in order: sh verify.sh [RECORDS|all [POLICY [CHECKPOINT]]]\n");
	for (const char *at = strstr(text, begin); at; at = strstr(at, begin)) {
		const char *stop;

		at += sizeof begin - 1;
		stop = strstr(at, end);
		if (!stop)
			return;
		writer_bytes(out, at, (size_t)(stop - at));
		at = stop + sizeof end - 1;
	}
}

static bool texts_write(struct job *job)
{
	static _Thread_local char text[65536], md[49152];
	const struct export_result *r = job->result;
	struct writer w = writer_of(text, sizeof text);
	char head[1792];

	snprintf(head, sizeof head,
		 "# Evidence of %s\n\n%llu records between %llu and %llu, under the checkpoint of %llu records.\n"
		 "Evidence are the records under `records/` (`zstd -dc records/*.zst`, one a line), the tiles and the checkpoint; `proofs/` proves %s alone.\n"
		 "Copies that prove nothing: `events/` (OCSF), `report.html`, `assessment-results.json` (OSCAL), `replay.cast` (of one session).\n"
		 "Where it came sealed, as one file, it was opened by `openssl cms -decrypt -binary -inform DER -in FILE.p7m -inkey KEY.pem -recip CERT.pem -out\n"
		 "bundle.tar.zst && zstd -dc bundle.tar.zst | tar -xf -`: had openssl failed, what it wrote would be nobody's word. Of a bundle in parts\n"
		 "each is opened so, and what is in them, one behind the other, is bundle.tar.zst.\n",
		 job->checkpoint.origin, (unsigned long long)r->records, (unsigned long long)r->first, (unsigned long long)r->last,
		 (unsigned long long)r->checkpoint_size, job->each ? "each of them" : "some of them, each");
	writer_str(&w, head);
	snprintf(md, sizeof md, "%s%s%s%s%s%s%s%s%s%s%s%s", bundle_begin_md, job->request->key ? bundle_signed_md : bundle_unsigned_md, bundle_verify_md, bundle_records_md, bundle_payload_md, bundle_key_functions_md, bundle_anchors_md, bundle_keys_md, bundle_approvals_md, bundle_since_md, bundle_complete_md, bundle_end_md);
	writer_str(&w, md);
	if (!bundle_file(&job->bundle, "VERIFY.md", writer_done(&w)))
		return write_failed(job, "VERIFY.md");
	w = writer_of(text, sizeof text);
	commands_of(md, &w);
	if (!bundle_file(&job->bundle, "verify.sh", writer_done(&w)))
		return write_failed(job, "verify.sh");
	if (!bundle_file(&job->bundle, "consis.sh", bytes_str(bundle_consis_sh)))
		return write_failed(job, "consis.sh");
	return bundle_file(&job->bundle, "incl.sh", bytes_str(bundle_incl_sh)) || write_failed(job, "incl.sh");
}

bool export_bundle(struct archive *a, const struct export_request *request, struct export_result *result,
		   char err[EXPORT_ERROR_BYTES])
{
	struct job *job = calloc(1, sizeof *job);
	bool ok;

	err[0] = 0;
	*result = (struct export_result){ 0 };
	if (!job) {
		snprintf(err, EXPORT_ERROR_BYTES, "out of memory");
		return false;
	}
	job->archive = a;
	job->request = request;
	job->result = result;
	job->filter = request->filter;
	job->err = err;
	ok = choose_checkpoint(job) && look_ahead(job) && picks_take(job);
	if (ok && !(request->sink ? bundle_create_to(&job->bundle, request->sink) : bundle_create(&job->bundle, request->out, request->disclose != NULL)))
		ok = fail(job, "%.150s cannot be made: %s", request->out ? request->out : "the bundle", strerror(errno));
	ok = ok && records_write(job) && copies_write(job) && tree_write(job) && policies_write(job) &&
	     anchors_write(job) && since_write(job) && keys_write(job) && approvals_write(job) && texts_write(job);
	if (ok && !bundle_finish(&job->bundle, request->key, result->manifest_sha256))
		ok = write_failed(job, "MANIFEST.sha256");
	bundle_close(&job->bundle, ok);
	records_close(job);
	export_disclosure_free(&job->told);
	bundle_tiles_free(&job->tiles);
	bundle_picks_destroy(job->picks);
	free(job);
	return ok;
}
