#include "control/reading_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/capture/sealed.h"
#include "control/cli/frame.h"
#include "control/export/bundle_seal.h"
#include "control/export/consistency.h"
#include "control/export/replay.h"
#include "control/export/report.h"
#include "control/export/session_list.h"
#include "control/export/stream.h"
#include "control/journal/archive.h"
#include "control/journal/base64.h"
#include "control/journal/proof.h"
#include "platform/base/secret.h"
#include "platform/os/log.h"
#include "platform/os/sandbox.h"

#define SEARCH_BUDGET 4096u
#define PATIENCE_MS 10000
#define TAIL_DEFAULT 100
#define COVER_TRIES 300u
#define COVER_WAIT_MS 100
#define PIECE_BYTES (3u << 17) /* of a file, before base64 */

struct job {
	int fd;
	json_t *args;
	struct reading_given *given; /* NULL: its end is not told */
};

/* --- the stream ---------------------------------------------------------------------------------------------------------- */

static void send_all(struct reading *r, const uint8_t *at, size_t left)
{
	while (left && !r->gone) {
		struct pollfd p = { .fd = r->fd, .events = POLLOUT };
		ssize_t sent = send(r->fd, at, left, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0) {
			at += sent;
			left -= (size_t)sent;
		} else if (sent == 0 || (errno != EAGAIN && errno != EINTR)) {
			r->gone = true;
		} else {
			r->gone = atomic_load(&r->all->ending) || poll(&p, 1, PATIENCE_MS) <= 0;
		}
	}
}

/* `document` is taken. */
void reading_frame(struct reading *r, json_t *document)
{
	size_t len = document ? json_dumpb(document, NULL, 0, JSON_COMPACT) : 0;
	uint8_t *room = len && len <= READING_FRAME_BYTES ? malloc(len + 4) : NULL;
	struct writer w;

	if (room) {
		w = writer_of(room, 4);
		writer_be32(&w, (uint32_t)len);
		json_dumpb(document, (char *)room + 4, len, JSON_COMPACT);
		send_all(r, room, len + 4);
		secret_wipe(room, len + 4); /* it may be a key */
	} else {
		r->gone = true;
	}
	free(room);
	json_decref(document);
}

static const char *text_of(const struct reading *r, const char *name)
{
	return json_string_value(json_object_get(r->args, name));
}

static uint64_t number_of(const struct reading *r, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(r->args, name));

	return n > 0 ? (uint64_t)n : 0;
}

void reading_fail(struct reading *r, const char *what, const char *why, const char *remedy)
{
	snprintf(r->error, sizeof(r->error), "%s: %s: %s", what, why, remedy);
}

/* --- kinds of reading ---------------------------------------------------------------------------------------------------- */

static void put_record(struct reading *r, uint64_t index, struct bytes record)
{
	r->records++;
	reading_frame(r, json_pack("{s:I, s:s%}", "i", (json_int_t)index, "r", (const char *)record.base, record.len));
}

static void read_records(struct reading *r, struct archive_filter *filter, uint64_t limit)
{
	uint64_t index = filter->from, found = 0;
	struct bytes record;
	const char *why;
	enum archive_next next = ARCHIVE_MORE;
	unsigned quiet = 0;

	while (!r->gone && next != ARCHIVE_END && (!limit || found < limit)) {
		next = archive_search(r->archive, filter, &index, SEARCH_BUDGET, &record, &why);
		if (next == ARCHIVE_BROKEN) {
			reading_fail(r, "journal", why, "run sluice journal verify");
			return;
		}
		if (next == ARCHIVE_FOUND) {
			put_record(r, index++, record);
			found++;
		}
		/* Nothing found for long: the other end hears that somebody looks. */
		if (next == ARCHIVE_MORE && ++quiet % 256 == 0)
			reading_frame(r, json_pack("{s:I}", "at", (json_int_t)index));
		r->gone |= atomic_load(&r->all->ending);
	}
	r->next = limit && found == limit ? index : 0;
}

static struct archive_filter filter_of(const struct reading *r)
{
	return (struct archive_filter){ .run = text_of(r, "run"), .target = text_of(r, "target"), .from = number_of(r, "from"), .to = number_of(r, "to"), .session = text_of(r, "session"), .type = text_of(r, "type"),
					.person = text_of(r, "person"), .agent = text_of(r, "agent"), .service = text_of(r, "service"),
					.verdict = text_of(r, "verdict"), .since = text_of(r, "since"), .until = text_of(r, "until"), .text = text_of(r, "text") };
}

static void read_search(struct reading *r)
{
	struct archive_filter f = filter_of(r);

	read_records(r, &f, number_of(r, "limit"));
}

static void read_grep(struct reading *r)
{
	struct archive_filter f = filter_of(r);

	f.in_session = true;
	read_records(r, &f, number_of(r, "limit"));
}

static bool give_session(void *ctx, json_t *session)
{
	struct reading *r = ctx;

	r->sessions++;
	reading_frame(r, json_pack("{s:o}", "s", session));
	return !r->gone && !atomic_load(&r->all->ending);
}

static void read_sessions(struct reading *r)
{
	struct archive_filter f = filter_of(r);
	char err[EXPORT_ERROR_BYTES];

	if (!session_list(r->archive, &f, number_of(r, "limit"), give_session, r, &r->next, err))
		reading_fail(r, "journal", err, "run sluice journal verify");
}

static void read_tail(struct reading *r)
{
	uint64_t limit = number_of(r, "limit"), size = archive_size(r->archive), first = archive_first(r->archive);
	struct archive_filter f = { 0 };

	limit = limit ? limit : TAIL_DEFAULT;
	f.from = size > first + limit ? size - limit : first;
	read_records(r, &f, 0);
}

static void read_record(struct reading *r)
{
	uint64_t index = number_of(r, "index");
	struct bytes record;
	const char *why = index < archive_size(r->archive) ? archive_read(r->archive, index, &record) : "there is no such record";
	char what[40], range[96];

	snprintf(what, sizeof(what), "record %llu", (unsigned long long)index);
	snprintf(range, sizeof(range), "the journal holds %llu to %llu", (unsigned long long)archive_first(r->archive), (unsigned long long)archive_size(r->archive));
	if (why)
		reading_fail(r, what, why, range);
	else
		put_record(r, index, record);
}

/* Of two trees. */
static void read_consistency(struct reading *r)
{
	char wrong[CONSISTENCY_ERROR_BYTES], *room = malloc(CONSISTENCY_BYTES);
	struct writer w = writer_of(room, room ? CONSISTENCY_BYTES : 0);

	if (!consistency_write(r->archive, number_of(r, "consistency"), number_of(r, "to"), &w, wrong))
		reading_fail(r, "journal proof", wrong, "give sizes of checkpoints, the smaller one first");
	else
		reading_frame(r, json_pack("{s:s%}", "t", room, w.len));
	free(room);
}

static void read_inclusion(struct reading *r)
{
	uint64_t index = number_of(r, "index"), size;
	static const char uncovered[] = "no checkpoint covers it yet";
	uint8_t room[PROOF_BYTES_MAX];
	struct writer w = writer_of(room, sizeof(room));
	struct bytes note;
	const char *why = archive_checkpoint_after(r->archive, index, &size, &note) ? archive_proof(r->archive, index, note, &w) : uncovered;
	char what[40];

	snprintf(what, sizeof(what), "record %llu", (unsigned long long)index);
	r->records += !why;
	if (why)
		reading_fail(r, what, why, "wait a second and ask again");
	else
		reading_frame(r, json_pack("{s:s%}", "t", (const char *)room, w.len));
}

static void read_proof(struct reading *r)
{
	if (json_object_get(r->args, "consistency"))
		read_consistency(r);
	else
		read_inclusion(r);
}

static bool replay_out(void *ctx, struct bytes text)
{
	struct reading *r = ctx;

	if (text.len)
		reading_frame(r, json_pack("{s:s%}", "t", (const char *)text.base, text.len));
	return !r->gone && !atomic_load(&r->all->ending);
}

/* Whether there was a key to open it with, for the record of what was given out. */
static void count_key(struct reading *r, struct payload_keys *keys, const char *session)
{
	uint8_t id[SEAL_SESSION_BYTES];
	struct writer w = writer_of(id, sizeof(id));
	struct seal key = { 0 };

	if (!keys || !session || !hex_read(bytes_str(session), &w) || w.len != sizeof(id))
		return;
	r->keys = payload_keys_find(keys, id, &key);
	r->erased = !r->keys;
	secret_wipe(&key, sizeof(key));
}

/* Payload is shown where the core says so, and nowhere else (operator_read.c). */
static void read_replay(struct reading *r)
{
	const char *session = text_of(r, "session");
	struct archive_filter f;
	char err[EXPORT_ERROR_BYTES], what[64], no_keys[PAYLOAD_KEYS_ERROR_BYTES];
	bool opened = json_is_true(json_object_get(r->args, "payload")), good;
	struct payload_keys *keys = opened ? payload_keys_open(r->all->keys_dir, false, no_keys) : NULL;
	const char *format = text_of(r, "format");
	enum replay_form form = json_is_true(json_object_get(r->args, "asciicast")) ? REPLAY_ASCIICAST :
				format && !strcmp(format, "timed")		    ? REPLAY_TIMED :
										      REPLAY_PLAIN;

	snprintf(what, sizeof(what), "session %.32s", session ? session : "");
	f = filter_of(r);
	good = session && (opened ? replay_write(r->archive, keys, &f, form, replay_out, r, err) : replay_write_withheld(r->archive, &f, form, replay_out, r, err));
	if (!good)
		reading_fail(r, what, session ? err : "not named", "run sluice journal verify");
	count_key(r, keys, session);
	r->sessions = !r->error[0];
	payload_keys_close(keys);
}

/* --- exports, and the audit ----------------------------------------------------------------------------------------------- */

/* The log's public keys, as they lie beside the journal: whoever trusts nothing of this machine has them from elsewhere. */
bool reading_keys(struct reading *r, struct checkpoint_keys *keys)
{
	const char *why = checkpoint_keys_beside(r->all->dir, keys);

	if (why)
		reading_fail(r, "the log's public keys", why, "wait for the first checkpoint");
	return !why;
}

static bool give_text(void *ctx, struct bytes line)
{
	struct reading *r = ctx;

	r->records++;
	reading_frame(r, json_pack("{s:s%}", "t", (const char *)line.base, line.len));
	return !r->gone && !atomic_load(&r->all->ending);
}

static void read_events(struct reading *r)
{
	struct stream_request request = { .filter = filter_of(r), .schema = text_of(r, "schema") };
	const char *format = text_of(r, "format");
	struct checkpoint_keys keys;
	char err[EXPORT_ERROR_BYTES];

	if (!stream_form_of(format ? format : "jsonl", &request.form)) {
		reading_fail(r, "export events", "no such format", "jsonl, ocsf, cef, syslog or syslog-cef");
		return;
	}
	request.origin = checkpoint_keys_beside(r->all->dir, &keys) ? "" : keys.name;
	if (!stream_write(r->archive, &request, give_text, r, err))
		reading_fail(r, "export", err, "run sluice journal verify");
}

static bool give_piece(void *ctx, const char *name, struct bytes data)
{
	struct reading *r = ctx;

	do {
		size_t len = data.len < PIECE_BYTES ? data.len : PIECE_BYTES;
		char *room = malloc(PIECE_BYTES / 3 * 4 + 8);
		struct writer w = writer_of(room, room ? PIECE_BYTES / 3 * 4 + 8 : 0);

		base64_write(&w, bytes_of(data.base, len));
		reading_frame(r, w.ok ? json_pack("{s:s, s:s%}", "f", name, "b", room, w.len) : NULL);
		if (room)
			secret_wipe(room, w.len);
		free(room);
		data = bytes_of(data.base + len, data.len - len);
	} while (data.len && !r->gone);
	errno = EPIPE;
	return !r->gone && !atomic_load(&r->all->ending);
}

/* The report comes as a file in pieces, "report": whoever asks gives it its name, and makes PDF of the page. */
static void read_report(struct reading *r)
{
	const char *format = text_of(r, "format");
	struct archive_filter filter = filter_of(r);
	struct checkpoint_keys keys;
	char err[EXPORT_ERROR_BYTES] = "out of memory", *text;
	enum report_form form;
	struct assess assess;
	size_t len;

	if (!report_form_of(format ? format : "html", &form)) {
		reading_fail(r, "export report", "no such format", "html or oscal");
		return;
	}
	if (!assess_create(&assess)) {
		reading_fail(r, "export report", err, "take a smaller range");
		return;
	}
	if (!stream_assess(r->archive, &filter, &assess, err)) {
		reading_fail(r, "export", err, "run sluice journal verify");
	} else if (assess.records == 0) {
		reading_fail(r, "export report", "no record matches", "widen the filter");
	} else if (!report_text(&assess, form, checkpoint_keys_beside(r->all->dir, &keys) ? "" : keys.name, time(NULL), &text, &len)) {
		reading_fail(r, "export report", "nothing in this selection to ask about", "widen the filter");
	} else {
		r->records = assess.records;
		(void)give_piece(r, "report", bytes_of(text, len));
		free(text);
	}
	assess_destroy(&assess);
}

static bool give_sealed(void *ctx, unsigned part, struct bytes data)
{
	char name[sizeof(BUNDLE_SEAL_FILE) + 12];

	snprintf(name, sizeof(name), part == 1 ? BUNDLE_SEAL_FILE : BUNDLE_SEAL_FILE ".%03u", part);
	return give_piece(ctx, name, data);
}

/* Sealed to those whose certificates the core has looked at. */
static bool export_sealed(struct reading *r, struct export_request *request, const char *certificates, struct export_result *result, char err[EXPORT_ERROR_BYTES])
{
	char wrong[RECIPIENTS_ERROR_BYTES];
	struct recipients to;
	bool good;

	if (!recipients_read(&to, bytes_str(certificates), time(NULL), wrong)) {
		snprintf(err, EXPORT_ERROR_BYTES, "%s", wrong);
		return false;
	}
	good = bundle_seal_export(r->archive, request, &to, give_sealed, r, result, err);
	recipients_free(&to);
	return good;
}

/* Once a second, so that who waits knows that something is done; also where nothing matches for a while. */
static bool give_progress(void *ctx, const struct export_progress *p)
{
	struct reading *r = ctx;
	time_t now = time(NULL);

	if (now != r->told_s)
		reading_frame(r, json_pack("{s:[I, I, I]}", "progress", (json_int_t)p->records, (json_int_t)p->done, (json_int_t)p->total));
	r->told_s = now;
	return !r->gone && !atomic_load(&r->all->ending);
}

/* The records that were picked by number for a proof of their own. */
static unsigned picks_of(const struct reading *r, uint64_t pick[EXPORT_PICKS])
{
	json_t *one;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(r->args, "proofs"), i, one)
		if (n < EXPORT_PICKS)
			pick[n++] = json_is_integer(one) && json_integer_value(one) >= 0 ? (uint64_t)json_integer_value(one) : UINT64_MAX;
	return n;
}

static void give_bundle(struct reading *r, struct export_request *request)
{
	uint64_t pick[EXPORT_PICKS];
	const struct bundle_sink sink = { .piece = give_piece, .ctx = r };
	const char *certificates = text_of(r, "certificates"), *since = text_of(r, "since_checkpoint");
	struct checkpoint_keys keys;
	struct export_result result = { 0 };
	struct writer w = writer_of(r->manifest, sizeof(r->manifest) - 1);
	char err[EXPORT_ERROR_BYTES];
	bool good;

	if (!reading_keys(r, &keys))
		return;
	request->keys = &keys;
	request->key = r->all->key;
	request->sink = &sink;
	request->progress = give_progress;
	request->progress_ctx = r;
	request->proof = pick;
	request->proofs = picks_of(r, pick);
	if (since)
		request->since = bytes_str(since);
	good = certificates ? export_sealed(r, request, certificates, &result, err) : export_bundle(r->archive, request, &result, err);
	r->keys = result.keys; /* some may have gone out before it failed */
	r->erased = result.erased;
	if (!good) {
		reading_fail(r, "export", err, "run sluice journal verify");
		return;
	}
	r->records = result.records;
	hex_write(&w, bytes_of(result.manifest_sha256, sizeof(result.manifest_sha256)));
	reading_frame(r, json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:O?}}", "bundle", "records", (json_int_t)result.records, "chunks", (json_int_t)result.chunks, "first",
				   (json_int_t)result.first, "last", (json_int_t)result.last, "checkpoint_size", (json_int_t)result.checkpoint_size, "keys",
				   (json_int_t)result.keys, "erased", (json_int_t)result.erased, "missing", (json_int_t)result.missing, "manifest_sha256", r->manifest, "recipients",
				   json_object_get(r->args, "recipients")));
}

/* Whether a checkpoint covers the record, which may be younger than a second. */
static bool covered(struct reading *r, uint64_t index)
{
	char err[ARCHIVE_ERROR_BYTES];
	struct bytes note;
	uint64_t size;

	for (unsigned tries = 0; tries < COVER_TRIES && !r->gone && !atomic_load(&r->all->ending); tries++) {
		if (archive_checkpoint_after(r->archive, index, &size, &note))
			return true;
		(void)poll(NULL, 0, COVER_WAIT_MS);
		(void)archive_refresh(r->archive, err);
		if (tries % 32 == 31)
			reading_frame(r, json_pack("{s:I}", "at", (json_int_t)index));
	}
	return false;
}

/* With the keys that an approval is about: node_disclose.c. */
static void read_disclosed(struct reading *r, json_t *disclose)
{
	uint64_t record[APPROVAL_HISTORY_MAX + 1];
	struct export_disclosure what = { .approval = json_string_value(json_object_get(disclose, "approval")),
					  .sessions = json_string_value(json_object_get(disclose, "sessions")), .record = record };
	struct export_request request = { .filter = filter_of(r), .disclosure = &what };
	char no_keys[PAYLOAD_KEYS_ERROR_BYTES];
	json_t *index;
	size_t i;

	json_array_foreach(json_object_get(disclose, "records"), i, index)
		if (what.records < APPROVAL_HISTORY_MAX + 1)
			record[what.records++] = (uint64_t)json_integer_value(index);
	request.filter.sessions = what.sessions && what.sessions[0] ? what.sessions : NULL;
	request.filter.in_session = true;
	request.disclose = payload_keys_open(r->all->keys_dir, false, no_keys);
	if (!request.disclose)
		reading_fail(r, "payload keys", no_keys, "see the log of sluice-control");
	else if (!what.records || !covered(r, record[what.records - 1]))
		reading_fail(r, "export", "no checkpoint covers the approval yet", "see sluice show journal, and ask anew");
	else
		give_bundle(r, &request);
	payload_keys_close(request.disclose);
}

/* Without the keys of sealed payload, unless by an approval of their own (export.md 8). */
static void read_bundle(struct reading *r)
{
	struct export_request request = { .filter = filter_of(r) };
	json_t *disclose = json_object_get(r->args, "disclose");

	if (disclose)
		read_disclosed(r, disclose);
	else
		give_bundle(r, &request);
}

/* --- captures ------------------------------------------------------------------------------------------------------------ */

static void give_chunk(struct reading *r, struct bytes chunk)
{
	char *room = malloc(PIECE_BYTES / 3 * 4 + 8);
	struct writer w = writer_of(room, room ? PIECE_BYTES / 3 * 4 + 8 : 0);

	base64_write(&w, chunk);
	reading_frame(r, w.ok ? json_pack("{s:s%}", "c", room, w.len) : NULL);
	if (room)
		secret_wipe(room, w.len);
	free(room);
}

static void give_capture(struct reading *r, const struct seal *key)
{
	enum sealed_next next = SEALED_CHUNK;
	struct sealed_reader file;
	struct bytes chunk;

	if (!sealed_read_open(&file, r->all->captures_dir, key)) {
		reading_fail(r, "capture save", "its file cannot be opened", "see sluice capture list");
		return;
	}
	while (next == SEALED_CHUNK && !r->gone && !atomic_load(&r->all->ending)) {
		next = sealed_read(&file, &chunk);
		if (chunk.len)
			give_chunk(r, chunk);
	}
	sealed_read_close(&file);
	if (next == SEALED_BROKEN)
		reading_fail(r, "capture save", "the file was changed", "what came before is as it was captured");
	else if (next != SEALED_END)
		reading_frame(r, json_pack("{s:s}", "note", "the capture has not ended, or sluice-control did not end it: this is what there is of it"));
}

static void read_capture(struct reading *r)
{
	const char *id = text_of(r, "id");
	char no_keys[PAYLOAD_KEYS_ERROR_BYTES];
	struct payload_keys *keys = payload_keys_open(r->all->keys_dir, false, no_keys);
	uint8_t session[SEAL_SESSION_BYTES];
	struct writer w = writer_of(session, sizeof(session));
	struct seal key = { 0 };

	if (!keys || !id || !hex_read(bytes_str(id), &w) || w.len != sizeof(session) || !payload_keys_find(keys, session, &key))
		reading_fail(r, "capture save", "its key is gone", "nobody can read it any more");
	else
		give_capture(r, &key);
	secret_wipe(&key, sizeof(key));
	payload_keys_close(keys);
}

static const struct {
	const char *what;
	void (*run)(struct reading *r);
} kinds[] = {
	{ "search", read_search }, { "session", read_search }, { "sessions", read_sessions }, { "grep", read_grep }, { "tail", read_tail }, { "record", read_record }, { "proof", read_proof }, { "replay", read_replay },
	{ "events", read_events }, { "report", read_report }, { "bundle", read_bundle }, { "verify", reading_verify }, { "capture", read_capture },
};

/* The pipe has room for what READINGS_MAX readings tell. */
static void tell_end(struct readings *rs, const struct reading *r, struct reading_given *given)
{
	if (!given)
		return;
	given->records = r->records;
	given->sessions = r->sessions;
	given->keys = r->keys;
	given->erased = r->erased;
	given->whole = !r->gone && !r->error[0];
	memcpy(given->manifest, r->manifest, sizeof(given->manifest));
	given->audit = r->audit;
	given->findings = r->findings;
	memcpy(given->wrong, r->wrong, sizeof(given->wrong));
	if (write(rs->ended[1], &given, sizeof(given)) != (ssize_t)sizeof(given))
		free(given);
}

struct reading_given *readings_ended(struct readings *rs)
{
	struct reading_given *given;

	return read(rs->ended[0], &given, sizeof(given)) == (ssize_t)sizeof(given) ? given : NULL;
}

static void serve(struct readings *rs, const struct job *job)
{
	struct reading r = { .all = rs, .fd = job->fd, .args = job->args };
	const char *what = text_of(&r, "what");
	char err[ARCHIVE_ERROR_BYTES];

	reading_frame(&r, json_pack("{s:b, s:{s:b}}", "ok", 1, "result", "stream", 1));
	r.archive = archive_open(rs->dir, err);
	if (!r.archive)
		reading_fail(&r, rs->dir, err, "see the log of sluice-control");
	/* A bundle is evidence, an index is not. */
	if (r.archive && what && strcmp(what, "bundle") != 0)
		(void)archive_use_index(r.archive);
	for (unsigned i = 0; r.archive && what && i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!strcmp(kinds[i].what, what))
			kinds[i].run(&r);
	}
	if (r.error[0])
		reading_frame(&r, json_pack("{s:b, s:i, s:s}", "end", 1, "status", (int)FRAME_REFUSED, "error", r.error));
	else if (r.next)
		reading_frame(&r, json_pack("{s:b, s:I}", "end", 1, "next", (json_int_t)r.next));
	else
		reading_frame(&r, json_pack("{s:b}", "end", 1));
	if (r.archive)
		archive_close(r.archive);
	tell_end(rs, &r, job->given);
	close(job->fd);
	json_decref(job->args);
	atomic_fetch_sub(&rs->under_way, 1);
}

/* --- the threads --------------------------------------------------------------------------------------------------------- */

static void *reader(void *arg)
{
	struct readings *rs = arg;
	const char *const read_only[] = { rs->dir, rs->keys_dir, rs->captures_dir, NULL }, *const nothing[] = { NULL };
	char err[OS_ERROR_BYTES];
	struct job job;

	if (sandbox_files(read_only, nothing, err) == SANDBOX_FAILED) {
		memcpy(rs->err, err, sizeof(rs->err));
		atomic_store(&rs->failed, true);
	}
	sem_post(&rs->ready);
	while (read(rs->jobs[0], &job, sizeof(job)) == (ssize_t)sizeof(job))
		serve(rs, &job);
	return NULL;
}

struct readings *readings_create(const char *journal_dir, const char *payload_keys_dir, const char *captures_dir, const struct export_key *key,
				 char err[OS_ERROR_BYTES])
{
	struct readings *rs = calloc(1, sizeof(*rs));

	snprintf(err, OS_ERROR_BYTES, "readers: cannot start: free memory or descriptors");
	if (!rs)
		return NULL;
	pthread_mutex_init(&rs->signed_lock, NULL);
	snprintf(rs->dir, sizeof(rs->dir), "%s", journal_dir);
	snprintf(rs->keys_dir, sizeof(rs->keys_dir), "%s", payload_keys_dir);
	snprintf(rs->captures_dir, sizeof(rs->captures_dir), "%s", captures_dir);
	rs->key = key;
	rs->jobs[0] = rs->jobs[1] = rs->ended[0] = rs->ended[1] = -1;
	if (sem_init(&rs->ready, 0, 0) < 0 || pipe2(rs->jobs, O_CLOEXEC) < 0 || pipe2(rs->ended, O_CLOEXEC | O_NONBLOCK) < 0) {
		readings_destroy(rs);
		return NULL;
	}
	for (; rs->threads < READING_THREADS; rs->threads++) {
		if (pthread_create(&rs->thread[rs->threads], NULL, reader, rs) != 0)
			break;
		while (sem_wait(&rs->ready) < 0)
			;
	}
	if (rs->threads == READING_THREADS && !atomic_load(&rs->failed))
		return rs;
	if (atomic_load(&rs->failed))
		memcpy(err, rs->err, OS_ERROR_BYTES);
	readings_destroy(rs);
	return NULL;
}

void readings_destroy(struct readings *rs)
{
	struct reading_given *given;
	struct job job;

	if (!rs)
		return;
	atomic_store(&rs->ending, true);
	if (rs->jobs[1] >= 0)
		close(rs->jobs[1]);
	for (unsigned i = 0; i < rs->threads; i++)
		pthread_join(rs->thread[i], NULL);
	while (rs->jobs[0] >= 0 && read(rs->jobs[0], &job, sizeof(job)) == (ssize_t)sizeof(job)) {
		close(job.fd);
		json_decref(job.args);
		free(job.given);
	}
	while (rs->ended[0] >= 0 && (given = readings_ended(rs)))
		free(given);
	for (unsigned i = 0; i < 2; i++)
		if (rs->ended[i] >= 0)
			close(rs->ended[i]);
	if (rs->jobs[0] >= 0)
		close(rs->jobs[0]);
	sem_destroy(&rs->ready);
	free(rs);
}

bool readings_busy(struct readings *rs)
{
	return atomic_load(&rs->under_way) >= READINGS_MAX;
}

bool readings_take(struct readings *rs, int fd, json_t *args, uint64_t reading, struct bytes reader, const char *approval)
{
	struct job job = { .fd = fd, .args = args, .given = reading ? calloc(1, sizeof(*job.given) + reader.len) : NULL };

	if (job.given) {
		job.given->reading = reading;
		job.given->reader_len = reader.len;
		memcpy(job.given->reader, reader.base, reader.len);
		snprintf(job.given->approval, sizeof(job.given->approval), "%s", approval);
	}
	if ((!reading || job.given) && atomic_fetch_add(&rs->under_way, 1) < READINGS_MAX && write(rs->jobs[1], &job, sizeof(job)) == (ssize_t)sizeof(job))
		return true;
	if (!reading || job.given)
		atomic_fetch_sub(&rs->under_way, 1);
	free(job.given);
	return false;
}
