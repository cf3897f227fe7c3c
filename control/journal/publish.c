/* Publishing, in bounded steps of the writer's own thread. One round publishes one size: ask the signer, write the full tiles
 * that are new and queue their hashes for the spine, write the partial tiles; then one commit of the spine that stores the
 * checkpoint, and only then the checkpoint file, so that whoever reads a checkpoint finds its tiles.
 *
 * Tiles are not synced: they can be made again. SPINE_META_TILES is the size below which they are surely on disk, because the
 * kernel writes back what is older than half a minute: it is moved to what was published MARK_US ago, by a clock that nobody sets,
 * for a step of the wall clock writes nothing back. After a crash the files
 * from there on are written again, as part of the next round.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/journal_impl.h"
#include "control/journal/tiles.h"

#define MARK_US (120ull * 1000000) /* well past the kernel's write-back */
#define STEP_TILES 8u         /* files a step: about a millisecond, and twice what the largest batch fills */

_Static_assert(STEP_TILES * TILES_WIDTH >= 2 * JOURNAL_BATCH_RECORDS, "a step for each commit keeps up with the writing");

static bool source_get(void *ctx, unsigned height, uint64_t number, struct merkle_hash *out)
{
	struct journal *j = ctx;
	struct merkle_source archive = archive_source(j->archive);
	struct merkle_hash left, right;

	if (height && height % 8 == 0 && spine_queued(&j->spine, height / 8 - 1, number, out))
		return true;
	if (height < 8 || height % 8 == 0)
		return archive.get(archive.ctx, height, number, out);
	if (height > 62 || !source_get(ctx, height - 1, 2 * number, &left) || !source_get(ctx, height - 1, 2 * number + 1, &right))
		return false;
	*out = merkle_node(&left, &right);
	return true;
}

struct merkle_source journal_source(struct journal *j)
{
	return (struct merkle_source){ .ctx = j, .get = source_get };
}

/* Full tiles of a level in a tree of that size. */
static uint64_t full_tiles(uint64_t size, unsigned level)
{
	return level >= 7 ? 0 : size >> (8 * (level + 1));
}

/* --- opening ---------------------------------------------------------------------------------------------------------- */

/* The newest stored checkpoint must be of this tree: a shorter or different journal is not continued. */
static bool load_checkpoint(struct journal *j, char err[JOURNAL_ERROR_BYTES])
{
	struct publish *p = &j->publish;
	struct merkle_source source = journal_source(j);
	struct merkle_hash root;
	struct checkpoint c;
	struct bytes note;
	uint64_t size;

	if (!archive_checkpoint(j->archive, 0, UINT64_MAX, &size, &note))
		return true;
	if (note.len > sizeof p->note || checkpoint_parse(note, true, &c, NULL) != NULL || c.size != size) {
		snprintf(err, JOURNAL_ERROR_BYTES, "the newest stored checkpoint (size %llu) is damaged", (unsigned long long)size);
		return false;
	}
	if (c.size > j->range.size) {
		snprintf(err, JOURNAL_ERROR_BYTES, "records %llu to %llu are missing: a checkpoint of %llu records was signed",
			 (unsigned long long)j->range.size, (unsigned long long)c.size - 1, (unsigned long long)c.size);
		return false;
	}
	if (!merkle_root_at(&source, c.size, &root) || !merkle_equal(&root, &c.root)) {
		snprintf(err, JOURNAL_ERROR_BYTES, "the records do not lead to the root of the checkpoint of size %llu",
			 (unsigned long long)c.size);
		return false;
	}
	memcpy(p->note, note.base, note.len);
	p->note_len = p->stored_len = note.len;
	p->note_size = c.size;
	anchor_note_open(j);
	/* The file is not synced when it is written: a power cut may have left it empty. */
	if (tiles_write_file(j->dir, "checkpoint", bytes_of(p->note, p->note_len)) != 0) {
		snprintf(err, JOURNAL_ERROR_BYTES, "the file checkpoint cannot be written");
		return false;
	}
	return true;
}

bool publish_open(struct journal *j, char err[JOURNAL_ERROR_BYTES])
{
	struct publish *p = &j->publish;

	for (unsigned level = 0; level < SPINE_LEVELS; level++)
		if (j->spine.count[level] > full_tiles(j->range.size, level)) {
			snprintf(err, JOURNAL_ERROR_BYTES, "the spine knows records that the segments do not hold: the newest are missing");
			return false;
		}
	if (!load_checkpoint(j, err))
		return false;
	p->mark_size = j->spine.tiles < j->range.size ? j->spine.tiles : j->range.size;
	for (unsigned level = 0; level <= SPINE_LEVELS; level++)
		p->tile[level] = full_tiles(p->mark_size, level);
	p->repair = p->mark_size < p->note_size;
	return true;
}

void publish_close(struct journal *j)
{
	struct publish *p = &j->publish;

	/* What was written is brought to disk, and the next start need not write it again. */
	if (j->spine.env && !j->is_stopped && p->phase == PUBLISH_IDLE && p->note_size > j->spine.tiles) {
		if (j->lock >= 0 && syncfs(j->lock) == 0 && segment_check(&j->segment) == 0)
			(void)spine_commit(&j->spine, 0, (struct bytes){ 0 }, p->note_size);
	}
	free(p->entries);
	p->entries = NULL;
}

/* --- one round -------------------------------------------------------------------------------------------------------- */

static bool give_up(struct journal *j, const char *why)
{
	struct publish *p = &j->publish;

	snprintf(p->why_text, sizeof p->why_text, "%s", why);
	p->why = p->why_text;
	p->phase = PUBLISH_IDLE;
	return false;
}

static bool refused(struct journal *j, const char *why)
{
	j->publish.refused = true;
	return give_up(j, why);
}

static bool ask(struct journal *j, const struct journal_signer *signer)
{
	struct publish *p = &j->publish;
	struct merkle_source source = journal_source(j);
	struct checkpoint c = { .size = p->target, .root = p->root };
	struct writer w = writer_of(p->pending, sizeof p->pending);
	struct merkle_proof proof;
	uint64_t signed_size;

	if (!signer->size(signer->ctx, &signed_size))
		return give_up(j, "the signer is not there");
	if (signed_size > p->target)
		return refused(j, "the signer has signed a longer journal: records are missing");
	if (!merkle_prove_consistency(&source, signed_size, p->target, &proof))
		return give_up(j, "the proof for the signer cannot be made");
	snprintf(c.origin, sizeof c.origin, "%s", j->origin);
	checkpoint_body(&c, &w);
	if (!signer->ask(signer->ctx, signed_size, &proof, writer_done(&w)))
		return give_up(j, "the signer takes no request");
	writer_u8(&w, '\n');
	p->pending_len = writer_done(&w).len;
	return true;
}

static bool begin(struct journal *j, const struct journal_signer *signer, uint64_t now_us)
{
	struct publish *p = &j->publish;
	bool grew = j->range.size > p->note_size || p->repair;
	bool due = !p->has_tried || now_us < p->tried_us || now_us - p->tried_us >= j->config.publish_us;

	if (!grew || !(due || p->now) || !journal_archive(j))
		return false;
	p->has_tried = true;
	p->now = false;
	p->tried_us = now_us;
	p->target = j->range.size;
	p->root = merkle_range_root(&j->range);
	p->is_signed = p->partials_done = false;
	if (!ask(j, signer))
		return false;
	p->phase = PUBLISH_WORK;
	return true;
}

/* A note is a few hundred bytes; the signer's lines go behind the body. */
static bool poll_signer(struct journal *j, const struct journal_signer *signer)
{
	struct publish *p = &j->publish;
	struct writer w = writer_of(p->pending + p->pending_len, sizeof p->pending - p->pending_len);
	const char *why = "the signer is gone";
	struct checkpoint c;

	switch (signer->poll(signer->ctx, &w, &why)) {
	case JOURNAL_SIGNER_WAIT:
		return true;
	case JOURNAL_SIGNER_DONE:
		p->pending_len += writer_done(&w).len;
		if (checkpoint_parse(bytes_of(p->pending, p->pending_len), true, &c, NULL) != NULL || c.size != p->target)
			return give_up(j, "the signer's answer is no checkpoint");
		p->is_signed = true;
		p->refused = false;
		return true;
	case JOURNAL_SIGNER_REFUSED:
		return refused(j, why);
	default:
		return give_up(j, why);
	}
}

static bool entries_write(struct journal *j, uint64_t number, unsigned width)
{
	uint8_t *bundle = j->publish.entries ? j->publish.entries : malloc(TILES_BUNDLE_MAX);
	struct writer w = writer_of(bundle, bundle ? TILES_BUNDLE_MAX : 0);
	bool ok = bundle != NULL;

	j->publish.entries = bundle;
	for (unsigned i = 0; ok && i < width; i++) {
		struct bytes record;

		ok = archive_read(j->archive, number * TILES_WIDTH + i, &record) == NULL;
		tiles_put_entry(&w, record);
	}
	return ok && w.ok && tiles_write(j->dir, TILES_ENTRIES, number, width, writer_done(&w)) == 0;
}

static bool tile_write(struct journal *j, unsigned level, uint64_t number, unsigned width)
{
	struct merkle_source source = journal_source(j);
	struct merkle_hash hash[TILES_WIDTH], top;
	int code;

	for (unsigned i = 0; i < width; i++)
		if (!source.get(source.ctx, 8 * level, number * TILES_WIDTH + i, &hash[i]))
			return give_up(j, "the hashes of a tile are not there");
	code = tiles_write(j->dir, (int)level, number, width, bytes_of(hash, width * sizeof hash[0]));
	if (code)
		return give_up(j, strerror(code));
	if (level == 0 && j->config.publish_entries && !entries_write(j, number, width))
		return give_up(j, "an entry bundle cannot be written");
	if (width < TILES_WIDTH)
		return true;
	tiles_drop_partial(j->dir, (int)level, number);
	if (level == 0 && j->config.publish_entries)
		tiles_drop_partial(j->dir, TILES_ENTRIES, number);
	if (level < SPINE_LEVELS && number == j->spine.count[level]) {
		top = merkle_root_of(hash, TILES_WIDTH);
		if (!spine_push(&j->spine, level, &top))
			return give_up(j, "the spine's queue is full");
	}
	j->publish.tile[level]++;
	return true;
}

static bool store(struct journal *j, struct bytes note, uint64_t tiles)
{
	int code = spine_commit(&j->spine, j->publish.target, note, tiles);

	if (code) {
		journal_stop(j, "the spine cannot be written: %s", segment_error(code));
		return give_up(j, j->stopped);
	}
	return journal_archive(j) ? true : give_up(j, "the journal cannot be read back");
}

/* Full tiles, level by level: a tile of one level is made of the hashes of the level below. */
static bool tiles_step(struct journal *j, bool *done)
{
	struct publish *p = &j->publish;
	unsigned budget = STEP_TILES;

	*done = false;
	for (unsigned level = 0; level <= SPINE_LEVELS; level++) {
		while (p->tile[level] < full_tiles(p->target, level)) {
			if (budget-- == 0)
				return true;
			if (level < SPINE_LEVELS && j->spine.queued[level] == SPINE_QUEUE && !store(j, (struct bytes){ 0 }, j->spine.tiles))
				return false;
			if (!tile_write(j, level, p->tile[level], TILES_WIDTH))
				return false;
		}
	}
	if (!p->partials_done)
		for (unsigned level = 0; level <= SPINE_LEVELS && p->target >> (8 * level); level++) {
			unsigned width = p->target >> (8 * level) & 0xff;

			if (width && !tile_write(j, level, full_tiles(p->target, level), width))
				return false;
		}
	p->partials_done = true;
	*done = true;
	return true;
}

static void finish(struct journal *j, uint64_t now_us)
{
	struct publish *p = &j->publish;
	uint64_t tiles = j->spine.tiles, steady_us = journal_steady_us(j);
	int code;

	if (p->mark_us == 0)
		p->mark_us = steady_us;
	if (steady_us - p->mark_us >= MARK_US) {
		tiles = p->mark_size > tiles ? p->mark_size : tiles;
		p->mark_size = p->target;
		p->mark_us = steady_us;
	}
	if (!store(j, bytes_of(p->pending, p->pending_len), tiles))
		return;
	code = tiles_write_file(j->dir, "checkpoint", bytes_of(p->pending, p->pending_len));
	if (code) {
		give_up(j, strerror(code));
		return;
	}
	memcpy(p->note, p->pending, p->pending_len);
	p->note_len = p->stored_len = p->pending_len;
	p->cosignatures = 0;
	p->note_size = p->target;
	p->note_us = now_us;
	p->why = NULL;
	p->repair = false;
	p->phase = PUBLISH_IDLE;
}

bool journal_publish(struct journal *j, const struct journal_signer *signer, uint64_t now_us)
{
	struct publish *p = &j->publish;
	bool tiles_done;

	if (j->is_stopped)
		return false;
	if (p->phase == PUBLISH_IDLE && !begin(j, signer, now_us))
		return false;
	if (!p->is_signed && !poll_signer(j, signer))
		return false;
	if (!tiles_step(j, &tiles_done))
		return false;
	if (p->is_signed && tiles_done)
		finish(j, now_us);
	return p->phase != PUBLISH_IDLE;
}

bool journal_publish_waits(const struct journal *j)
{
	return j->publish.phase != PUBLISH_IDLE && !j->publish.is_signed && j->publish.partials_done;
}

void journal_publish_every(struct journal *j, uint64_t us)
{
	j->config.publish_us = us;
}

bool journal_publish_flush(struct journal *j, const struct journal_signer *signer, uint64_t now_us, unsigned wait_ms)
{
	uint64_t want = j->range.size;

	for (unsigned waited = 0; !j->is_stopped && (j->publish.note_size < want || j->publish.repair); waited++) {
		struct timespec pause = { .tv_nsec = 1000000 };

		j->publish.now = true;
		if (journal_publish(j, signer, now_us) && waited < wait_ms)
			nanosleep(&pause, NULL);
		else if ((j->publish.note_size < want || j->publish.repair) && waited >= wait_ms)
			return false;
		else if (j->publish.phase == PUBLISH_IDLE && j->publish.why)
			return false;
	}
	return !j->is_stopped;
}

struct bytes journal_checkpoint(const struct journal *j)
{
	return bytes_of(j->publish.note, j->publish.note_len);
}

const char *journal_proof(struct journal *j, uint64_t index, struct writer *out)
{
	if (j->is_stopped || !j->publish.note_len)
		return "there is no checkpoint yet";
	if (!journal_archive(j))
		return "the journal is stopped";
	return archive_proof(j->archive, index, journal_checkpoint(j), out);
}
