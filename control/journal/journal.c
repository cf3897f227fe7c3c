/* The writer. A batch is gathered in memory, so that a commit can be tried again after the map was grown, and so that nothing
 * of it is anywhere when it fails. The tree in memory holds committed records only: leaves are hashed at append, pushed after
 * the commit. Invariant: range.size is the number of durable records; the batch continues from there.
 * The trap: a commit that failed may still be on disk after the reopening. That is why the cursors of the rings are in the same
 * transaction: whatever is found there, reading continues behind it.
 */
#include "control/journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/jcs_read.h"
#include "control/journal/journal_impl.h"
#include "control/journal/segment_list.h"
#include "control/journal/segment_view.h"
#include "platform/os/durable.h"

#define SEGMENT_BYTES_DEFAULT (16ull << 30)
#define SEGMENT_US_DEFAULT (24ull * 3600 * 1000000)
#define PUBLISH_US_DEFAULT 1000000ull
#define RESERVE_BYTES (64ull << 20) /* journal.md 10 */

static uint64_t monotonic_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t journal_steady_us(const struct journal *j)
{
	return j->config.steady_us ? j->config.steady_us() : monotonic_us();
}

void journal_stop(struct journal *j, const char *format, ...)
{
	va_list args;

	if (j->is_stopped)
		return;
	va_start(args, format);
	vsnprintf(j->stopped, sizeof j->stopped, format, args);
	va_end(args);
	j->is_stopped = true;
	j->level = JOURNAL_LEVEL_STOPPED;
}

const char *journal_stopped(const struct journal *j)
{
	return j->is_stopped ? j->stopped : NULL;
}

/* --- the volume ------------------------------------------------------------------------------------------------------- */

/* 64 MiB, on small volumes 2 % of it. */
static uint64_t reserve_size(const struct statvfs *v)
{
	uint64_t share = (uint64_t)v->f_blocks * v->f_frsize / 50;

	return share < RESERVE_BYTES ? share : RESERVE_BYTES;
}

static void level_update(struct journal *j)
{
	static const struct {
		unsigned percent;
		enum journal_level level;
	} steps[] = {
		{ 98, JOURNAL_LEVEL_FULL }, { 95, JOURNAL_LEVEL_NO_SESSIONS }, { 90, JOURNAL_LEVEL_DIGEST }, { 80, JOURNAL_LEVEL_ALARM },
		{ 0, JOURNAL_LEVEL_OK },
	};
	struct statvfs v;
	uint64_t used, usable;
	size_t i = 0;

	if (statvfs(j->dir, &v) != 0 || v.f_blocks == 0)
		return;
	used = v.f_blocks - v.f_bfree;
	usable = used + v.f_bavail;
	if (j->config.reserve && !j->reserve_bytes)
		j->reserve_bytes = reserve_size(&v);
	if (!j->has_reserve && v.f_frsize)
		used += j->reserve_bytes / v.f_frsize < usable - used ? j->reserve_bytes / v.f_frsize : usable - used;
	j->used_percent = usable ? (unsigned)((used * 100 + usable - 1) / usable) : 100;
	while (j->used_percent < steps[i].percent)
		i++;
	if (!j->is_stopped)
		j->level = steps[i].level;
}

static bool reserve_make(struct journal *j)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/reserve", j->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	j->has_reserve = fd >= 0 && fallocate(fd, 0, 0, (off_t)j->reserve_bytes) == 0;
	if (fd >= 0)
		close(fd);
	if (!j->has_reserve)
		(void)unlink(path);
	return j->has_reserve;
}

static void reserve_free(struct journal *j)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/reserve", j->dir);
	(void)unlink(path);
	j->has_reserve = false;
}

/* --- segments --------------------------------------------------------------------------------------------------------- */

static uint64_t map_bytes(const struct journal *j)
{
	return j->config.segment_bytes + j->config.segment_bytes / 4;
}

static void next_path(const struct journal *j, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/seg/next", j->dir);
}

/* Blocks for the next segment: a zero-length file that LMDB takes for a new environment. */
static void next_reserve(struct journal *j)
{
	char path[PATH_MAX + 16], dir[PATH_MAX];
	int fd;

	next_path(j, dir);
	snprintf(path, sizeof path, "%s/" SEGMENT_FILE, dir);
	(void)mkdir(dir, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)j->config.segment_bytes);
	close(fd);
	j->next_reserved = true;
}

/* Makes the segment in seg/next, then gives it its name: a directory with a number is always whole. */
static int segment_next(struct journal *j, uint64_t now_us)
{
	struct segment_start start = {
		.first = j->range.size,
		.chunk = j->chunks,
		.now_us = now_us,
		.origin = j->origin,
		.range = &j->range,
		.cursor = j->cursor,
		.kept = j->kept,
	};
	char next[PATH_MAX], path[PATH_MAX], file[PATH_MAX + 16];
	struct stat st;
	int code;

	next_path(j, next);
	if (mkdir(next, 0700) != 0 && errno != EEXIST)
		return errno;
	/* A left-over that a crash kept from getting its name. */
	snprintf(file, sizeof file, "%s/" SEGMENT_FILE, next);
	if (stat(file, &st) == 0 && st.st_size != 0 && unlink(file) != 0)
		return errno;
	snprintf(file, sizeof file, "%s/lock.mdb", next);
	if (unlink(file) != 0 && errno != ENOENT)
		return errno;
	code = segment_create(&j->segment, next, map_bytes(j), &start);
	if (code)
		return code;
	if (!segment_view_path(j->dir, start.first, path, sizeof path) || strlen(path) >= sizeof j->segment.dir)
		return ENAMETOOLONG;
	if (rename(next, path) != 0)
		return errno;
	memcpy(j->segment.dir, path, strlen(path) + 1);
	snprintf(path, sizeof path, "%s/seg", j->dir);
	j->rotate = j->next_reserved = false;
	code = durable_sync_dir(path);
	return code ? code : segment_check(&j->segment);
}

static void rotate(struct journal *j, uint64_t now_us)
{
	struct merkle_hash root = merkle_range_root(&j->range);
	int code = segment_seal(&j->segment, j->range.size, &root, now_us);

	if (code == 0)
		code = segment_next(j, now_us);
	if (code)
		journal_stop(j, "the next segment cannot be made: %s", segment_error(code));
	j->publish.now = true;
}

static void rotation_check(struct journal *j, uint64_t now_us)
{
	uint64_t used = segment_used(&j->segment);

	bool old = now_us > j->segment.created_us && now_us - j->segment.created_us >= j->config.segment_us;

	if ((old || used >= j->config.segment_bytes) && j->range.size > j->segment.first)
		j->rotate = true;
	if (j->config.preallocate && !j->next_reserved && used >= j->config.segment_bytes / 10 * 8)
		next_reserve(j);
	if (j->rotate && j->range.size % 256 == 0)
		rotate(j, now_us);
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

static bool fail(char err[JOURNAL_ERROR_BYTES], const char *what, const char *why)
{
	snprintf(err, JOURNAL_ERROR_BYTES, "%.120s: %.120s", what, why);
	return false;
}

static bool make_dirs(struct journal *j, char err[JOURNAL_ERROR_BYTES])
{
	static const char *const names[] = { "", "/seg", "/spine" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s%s", j->dir, names[i]);
		if (mkdir(path, 0700) != 0 && errno != EEXIST)
			return fail(err, path, strerror(errno));
	}
	snprintf(path, sizeof path, "%s/lock", j->dir);
	j->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (j->lock < 0)
		return fail(err, path, strerror(errno));
	if (flock(j->lock, LOCK_EX | LOCK_NB) != 0)
		return fail(err, j->dir, errno == EWOULDBLOCK ? "another writer has this journal open" : strerror(errno));
	return true;
}

/* The tree at the end of the archive. */
static bool range_load(struct journal *j, uint64_t size)
{
	struct merkle_source source = archive_source(j->archive);

	j->range = (struct merkle_range){ 0 };
	for (unsigned height = 62; height < 63 && j->range.size < size; height--) {
		struct merkle_hash hash;

		if (!(size >> height & 1))
			continue;
		if (!source.get(source.ctx, height, j->range.size >> height, &hash) ||
		    !merkle_range_push_subtree(&j->range, height, &hash))
			return false;
	}
	return j->range.size == size;
}

/* Takes over where the newest segment ends; `sealed` says that it takes no more. */
static bool recover(struct journal *j, bool *sealed, char err[JOURNAL_ERROR_BYTES])
{
	const struct segment_view *newest;
	const char *wrong;
	char text[ARCHIVE_ERROR_BYTES];

	j->archive = archive_open(j->dir, text);
	if (!j->archive)
		return fail(err, j->dir, text);
	newest = archive_newest(j->archive);
	if (strcmp(newest->origin, j->origin) != 0)
		return fail(err, "this journal has another origin", newest->origin);
	j->chunks = newest->chunk_end;
	memcpy(j->cursor, newest->cursor, sizeof j->cursor);
	wrong = kept_load(j, newest->first);
	if (wrong)
		return fail(err, j->dir, wrong);
	*sealed = newest->sealed;
	if (newest->sealed && newest->seal_end != newest->end)
		return fail(err, j->dir, "the newest segment holds another number of records than its seal says");
	if (!range_load(j, newest->end))
		return fail(err, j->dir, "the tree cannot be rebuilt: leaf hashes are missing");
	return true;
}

static bool open_segments(struct journal *j, uint64_t now_us, char err[JOURNAL_ERROR_BYTES])
{
	struct segment_list list;
	bool sealed = true, any;
	char path[PATH_MAX], text[ARCHIVE_ERROR_BYTES];
	int code;

	if (!segment_list_read(&list, j->dir))
		return fail(err, j->dir, "its segments cannot be listed");
	any = list.count > 0;
	segment_list_free(&list);
	if (!any && (j->spine.count[0] || j->spine.checkpoint_size))
		return fail(err, j->dir, "its segments are gone, its spine is not");
	if (any && !recover(j, &sealed, err))
		return false;
	if (sealed) {
		code = segment_next(j, now_us);
	} else {
		const struct segment_view *newest = archive_newest(j->archive);

		code = segment_view_path(j->dir, newest->first, path, sizeof path) ? segment_open(&j->segment, path, map_bytes(j))
										     : ENAMETOOLONG;
		j->segment.first = newest->first;
		j->segment.created_us = newest->created_us;
	}
	if (code)
		return fail(err, "the active segment cannot be opened", segment_error(code));
	if (!j->archive && (j->archive = archive_open(j->dir, text)) == NULL)
		return fail(err, j->dir, text);
	return true;
}

static bool open_all(struct journal *j, uint64_t now_us, char err[JOURNAL_ERROR_BYTES])
{
	char path[PATH_MAX];
	const char *wrong;
	int code;

	if (!make_dirs(j, err))
		return false;
	prune_left_over(j);
	snprintf(path, sizeof path, "%s/spine", j->dir);
	code = spine_make(path, j->origin);
	if (code == 0)
		code = spine_open(&j->spine, path, j->origin);
	if (code)
		return fail(err, "the spine cannot be opened", segment_error(code));
	if (j->spine.origin[0] && strcmp(j->spine.origin, j->origin) != 0)
		return fail(err, "this journal has another origin", j->spine.origin);
	wrong = spine_rebuild(j);
	if (wrong)
		return fail(err, j->dir, wrong);
	if (!open_segments(j, now_us, err) || !publish_open(j, err))
		return false;
	level_update(j);
	if (j->reserve_bytes && j->level < JOURNAL_LEVEL_FULL)
		reserve_make(j);
	return true;
}

struct journal *journal_open(const struct journal_config *config, uint64_t now_us, char err[JOURNAL_ERROR_BYTES])
{
	struct journal *j = calloc(1, sizeof *j);

	err[0] = 0;
	if (!j) {
		fail(err, config->dir, "out of memory");
		return NULL;
	}
	j->lock = -1;
	j->protect_from = UINT64_MAX;
	j->config = *config;
	if (!j->config.segment_bytes)
		j->config.segment_bytes = SEGMENT_BYTES_DEFAULT;
	if (!j->config.segment_us)
		j->config.segment_us = SEGMENT_US_DEFAULT;
	if (!j->config.publish_us)
		j->config.publish_us = PUBLISH_US_DEFAULT;
	if ((size_t)snprintf(j->dir, sizeof j->dir, "%s", config->dir) >= sizeof j->segment.dir - 32 ||
	    j->config.segment_bytes < 1u << 20 || !checkpoint_origin_ok(config->origin)) {
		fail(err, config->dir, "a path too long, a segment below 1 MiB, or an origin that is none");
		free(j);
		return NULL;
	}
	snprintf(j->origin, sizeof j->origin, "%s", config->origin);
	j->config.dir = j->dir;
	j->config.origin = j->origin;
	j->codec = record_codec_create();
	j->batch.arena = malloc(JOURNAL_BATCH_BYTES + RECORD_STORED_BYTES_MAX);
	if (!j->codec || !j->batch.arena || !kept_open(j))
		fail(err, config->dir, "out of memory");
	else if (open_all(j, now_us, err))
		return j;
	journal_close(j);
	return NULL;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	publish_close(j);
	archive_close(j->archive);
	segment_close(&j->segment);
	spine_close(&j->spine);
	record_codec_destroy(j->codec);
	free(j->batch.arena);
	free(j->kept);
	if (j->lock >= 0)
		close(j->lock);
	free(j);
}

/* --- the batch -------------------------------------------------------------------------------------------------------- */

bool journal_has_room(const struct journal *j, unsigned records, size_t bytes)
{
	const struct journal_batch *b = &j->batch;
	uint64_t left = JOURNAL_BATCH_RECORDS - b->records;

	if (b->records == 0 && b->chunks == 0)
		return records <= JOURNAL_BATCH_RECORDS && bytes <= JOURNAL_BATCH_BYTES;
	if (j->rotate) {
		uint64_t to_end = 256 - j->range.size % 256;

		left = to_end > b->records ? to_end - b->records : 0;
	}
	return records <= left && bytes <= JOURNAL_BATCH_BYTES - (b->used < JOURNAL_BATCH_BYTES ? b->used : JOURNAL_BATCH_BYTES);
}

/* The batch's limits for one more value; the segment's end is journal_has_room's business, a hard stop only at the limit. */
static enum journal_status may_add(struct journal *j, bool vital)
{
	if (j->is_stopped)
		return JOURNAL_STOPPED;
	if (j->level == JOURNAL_LEVEL_FULL && !vital)
		return JOURNAL_NO_SPACE;
	if (j->level == JOURNAL_LEVEL_FULL && j->has_reserve)
		reserve_free(j);
	if (j->batch.records == JOURNAL_BATCH_RECORDS || j->batch.chunks == JOURNAL_BATCH_RECORDS * 2 ||
	    j->batch.used >= JOURNAL_BATCH_BYTES)
		return JOURNAL_BATCH_FULL;
	return JOURNAL_OK;
}

static struct writer arena(struct journal *j)
{
	return writer_of(j->batch.arena + j->batch.used, JOURNAL_BATCH_BYTES + RECORD_STORED_BYTES_MAX - j->batch.used);
}

/* `checked`: it is canonical for sure. */
static enum journal_status append(struct journal *j, struct bytes record, bool checked, bool vital, uint64_t *index)
{
	struct journal_batch *b = &j->batch;
	enum journal_status status = may_add(j, vital);
	struct writer w = arena(j);

	*index = UINT64_MAX;
	if (status != JOURNAL_OK)
		return status;
	j->refusal = record.len > RECORD_BYTES_MAX ? "a record above 65,535 bytes"
		     : record.len == 0 || record.base[0] != '{' ? "a record that is no object"
							    : checked				 ? NULL
							    : jcs_check(record, NULL);
	if (j->refusal)
		return JOURNAL_BAD_RECORD;
	if (!record_encode(j->codec, record, &w)) {
		j->refusal = "a record that cannot be encoded";
		return JOURNAL_BAD_RECORD;
	}
	*index = j->range.size + b->records;
	b->stored[b->records] = writer_done(&w);
	b->leaf[b->records++] = merkle_leaf(record);
	b->used += w.len;
	return JOURNAL_OK;
}

enum journal_status journal_append(struct journal *j, struct bytes record, uint64_t *index)
{
	return append(j, record, false, false, index);
}

enum journal_status journal_append_vital(struct journal *j, struct bytes record, uint64_t *index)
{
	return append(j, record, false, true, index);
}

enum journal_status journal_append_composed(struct journal *j, const struct jcs *record, bool vital, uint64_t *index)
{
	return append(j, jcs_done(record), true, vital, index);
}

enum journal_status journal_chunk(struct journal *j, struct bytes payload, struct record_chunk *out)
{
	return journal_chunk_sealed(j, NULL, payload, out);
}

enum journal_status journal_chunk_sealed(struct journal *j, const struct record_seal *seal, struct bytes payload, struct record_chunk *out)
{
	struct journal_batch *b = &j->batch;
	enum journal_status status = may_add(j, false);
	struct writer w = arena(j);
	struct bytes stored;

	*out = (struct record_chunk){ 0 };
	if (status != JOURNAL_OK)
		return status;
	if (seal ? !record_chunk_seal(j->codec, seal, payload, &w) : !record_chunk_encode(j->codec, payload, &w)) {
		j->refusal = "a payload chunk above 65,024 bytes, or one that cannot be sealed";
		return JOURNAL_BAD_RECORD;
	}
	stored = writer_done(&w);
	out->key = j->chunks + b->chunks;
	out->len = (uint32_t)payload.len;
	out->sealed = seal != NULL;
	memcpy(out->hash, merkle_sha256(stored).b, sizeof out->hash);
	b->chunk[b->chunks++] = stored;
	b->used += w.len;
	return JOURNAL_OK;
}

const char *journal_refusal(const struct journal *j)
{
	return j->refusal ? j->refusal : "";
}

uint64_t journal_cursor_get(const struct journal *j, unsigned ring)
{
	return ring < JOURNAL_CURSORS ? j->cursor[ring] : 0;
}

void journal_cursor_set(struct journal *j, unsigned ring, uint64_t position)
{
	if (ring >= JOURNAL_CURSORS || j->cursor[ring] == position)
		return;
	j->cursor[ring] = position;
	j->batch.cursors |= 1ull << ring;
}

enum journal_status journal_commit(struct journal *j, uint64_t now_us)
{
	struct journal_batch *b = &j->batch;
	struct segment_batch batch = {
		.index = j->range.size, .records = b->records, .stored = b->stored, .leaf = b->leaf,
		.chunk = j->chunks, .chunks = b->chunks, .chunk_stored = b->chunk,
		.cursors = b->cursors, .cursor = j->cursor, .kept = j->kept->changed ? j->kept : NULL,
	};
	uint64_t began;
	int code;

	if (j->is_stopped)
		return JOURNAL_STOPPED;
	if (b->records == 0 && b->chunks == 0 && b->cursors == 0 && !j->kept->changed) {
		level_update(j);
		return JOURNAL_OK;
	}
	began = monotonic_us();
	segment_readers_check(j->segment.env, began, &j->readers_segment_us);
	segment_readers_check(j->spine.env, began, &j->readers_spine_us);
	code = segment_commit(&j->segment, &batch);
	if (code) {
		level_update(j);
		/* A full disk comes as EIO from LMDB (journal.md 5): the volume says which it was. */
		journal_stop(j, "a commit failed: %s; the volume is %u %% full", segment_error(code), j->used_percent);
		return JOURNAL_STOPPED;
	}
	j->commit_us_last = monotonic_us() - began;
	if (j->commit_us_last > j->commit_us_max)
		j->commit_us_max = j->commit_us_last;
	j->commits++;
	for (unsigned i = 0; i < b->records; i++)
		merkle_range_push(&j->range, &b->leaf[i]);
	j->chunks += b->chunks;
	b->records = b->chunks = 0;
	b->cursors = b->used = 0;
	kept_committed(j);
	level_update(j);
	if (j->reserve_bytes && !j->has_reserve && j->level < JOURNAL_LEVEL_FULL && j->commits % 64 == 0)
		reserve_make(j);
	rotation_check(j, now_us);
	return JOURNAL_OK;
}

/* --- state and reading ------------------------------------------------------------------------------------------------ */

void journal_state(struct journal *j, struct journal_state *out)
{
	level_update(j);
	*out = (struct journal_state){
		.level = j->level,
		.used_percent = j->used_percent,
		.size = j->range.size,
		.pending = j->batch.records,
		.checkpoint_size = j->publish.note_size,
		.checkpoint_us = j->publish.note_us,
		.segment_first = j->segment.first,
		.commits = j->commits,
		.commit_us_last = j->commit_us_last,
		.commit_us_max = j->commit_us_max,
		.stopped = journal_stopped(j),
		.signer = j->publish.why,
		.signer_refused = j->publish.refused,
	};
}

enum journal_level journal_level(const struct journal *j)
{
	return j->level;
}

struct archive *journal_archive(struct journal *j)
{
	char err[ARCHIVE_ERROR_BYTES];

	if (j->is_stopped)
		return NULL;
	if (archive_refresh(j->archive, err))
		return j->archive;
	journal_stop(j, "the journal cannot be read back: %s", err);
	return NULL;
}
