#include "control/journal/mutation_test_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/base64.h"

#define HOUR_US (3600ull * 1000000)

struct mutation mutation;

/* Nobody writes beside these audits: what they wait for, that a writer may have been about to write, never comes. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	return 0;
}

/* --- what was found ------------------------------------------------------------------------------------------------------ */

static void note(void *ctx, const struct verify_finding *f)
{
	struct mutation_report *r = ctx;

	if (!r->findings++)
		snprintf(r->first, sizeof r->first, "%s", f->what);
	r->named |= f->index != VERIFY_NOWHERE && f->index <= r->index && r->index <= f->last;
}

bool mutation_audit(struct mutation_report *r, struct verify_summary *s, uint64_t index)
{
	const struct verify_options o = { .dir = mutation.dir, .keys = &mutation.signer.keys, .judge = judge_anchor, .judge_ctx = &mutation.judge, .ctx = r, .found = note };

	*r = (struct mutation_report){ .index = index };
	return verify_journal(&o, s);
}

bool mutation_nothing_changed(const struct verify_summary *s)
{
	return s->size == mutation.whole.size && s->first == mutation.whole.first && s->covered == mutation.whole.covered && s->chunks == mutation.whole.chunks && s->sessions == mutation.whole.sessions &&
	       s->checkpoints == mutation.whole.checkpoints && s->segments == mutation.whole.segments && merkle_equal(&s->root, &mutation.whole.root) && s->tokens == mutation.whole.tokens &&
	       s->cosignatures == mutation.whole.cosignatures && s->unverified == mutation.whole.unverified && s->stamped == mutation.whole.stamped && s->stamped_s == mutation.whole.stamped_s &&
	       s->cosigned == mutation.whole.cosigned && s->cosigned_s == mutation.whole.cosigned_s;
}

void mutation_not_seen(const char *what, const char *name, uint64_t at)
{
	if (mutation.missed++ < 100)
		print_error("seed %llu, mutation %lu: %s of %s at %llu was not seen, or not named\n", (unsigned long long)mutation.seed, mutation.number, what, name, (unsigned long long)at);
}

/* --- files --------------------------------------------------------------------------------------------------------------- */

void mutation_path(const char *in, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", in, name);
}

void mutation_write(const struct file *f, const uint8_t *bytes, size_t len)
{
	char path[256];
	int fd;

	mutation_path(mutation.dir, f->name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

void mutation_restore(const struct file *f)
{
	mutation_write(f, f->bytes, f->len);
}

void mutation_poke(const struct file *f, uint64_t at, uint8_t byte)
{
	char path[256];
	int fd;

	mutation_path(mutation.dir, f->name, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0 && pwrite(fd, &byte, 1, (off_t)at) == 1);
	close(fd);
}

static void read_in(const char *in, const char *name, struct file *f)
{
	char path[256];
	struct stat st;
	int fd;

	mutation_path(in, name, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	snprintf(f->name, sizeof f->name, "%s", name);
	f->len = (size_t)st.st_size;
	f->bytes = malloc(f->len + 1);
	assert_int_equal(read(fd, f->bytes, f->len), (ssize_t)f->len);
	close(fd);
	chmod(path, 0600);
}

static char found[MUTATION_FILES][80];
static unsigned found_count;
static size_t found_skip; /* the directory in front of the name */

/* A partial tile that a later one went beyond is nobody's any more. */
static bool is_outgrown(const char *name)
{
	return strstr(name, ".p/") && strcmp(name, "tile/0/001.p/150") != 0 && strcmp(name, "tile/1/000.p/1") != 0;
}

/* Keys come from elsewhere, locks hold nothing. */
static int find_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	static const char *const in[] = { "seg/", "spine/", "tile/", "checkpoint" };
	const char *name = path + found_skip;

	for (size_t i = 0; i < sizeof in / sizeof in[0] && flag == FTW_F && strcmp(path + ftw->base, "lock.mdb") != 0; i++)
		if (strncmp(name, in[i], strlen(in[i])) == 0 && !is_outgrown(name) && found_count < MUTATION_FILES)
			snprintf(found[found_count++], sizeof found[0], "%s", name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static unsigned read_all(const char *in, struct file *out)
{
	found_count = 0;
	found_skip = strlen(in) + 1;
	assert_int_equal(nftw(in, find_one, 16, FTW_PHYS), 0);
	qsort(found, found_count, sizeof found[0], by_name);
	for (unsigned i = 0; i < found_count; i++)
		read_in(in, found[i], &out[i]);
	return found_count;
}

bool mutation_is_lmdb(const struct file *f)
{
	return strstr(f->name, "data.mdb") != NULL;
}

/* --- the journal and its fork -------------------------------------------------------------------------------------------- */

/* What the records of time stamps will say. */
static struct {
	uint64_t size;
	struct merkle_hash hash;
} stamp[2];

/* Checkpoints of 100 and of 256 records are stamped, all but that of 100 cosigned, the last one by two. */
static void anchor_it(struct journal *j)
{
	struct bytes note_bytes = journal_checkpoint_stored(j), token;
	char room[COSIGNATURE_LINE_BYTES];
	struct journal_state now;

	journal_state(j, &now);
	if (now.checkpoint_size == 100 || now.checkpoint_size == 256) {
		token = anchor_kit_token(&mutation.anchors, "tsa", note_bytes);
		stamp[mutation.stamps].size = now.checkpoint_size;
		stamp[mutation.stamps++].hash = merkle_sha256(token);
		assert_true(journal_anchor(j, ARCHIVE_TOKEN, now.checkpoint_size, token));
		free((void *)(uintptr_t)token.base);
	}
	if (now.checkpoint_size != 100)
		assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, now.checkpoint_size, anchor_kit_cosign(&mutation.witness, note_bytes, now.checkpoint_size, room)));
	if (now.checkpoint_size == MUTATION_RECORDS)
		assert_true(journal_anchor(j, ARCHIVE_COSIGNATURE, MUTATION_RECORDS, anchor_kit_cosign(&mutation.second_witness, note_bytes, 9, room)));
}

/* The records of both time stamps, in two places without payload. */
static unsigned tell_stamps(struct journal *j, unsigned at)
{
	uint64_t index;

	for (unsigned i = 0; i < mutation.stamps; i++) {
		char hash[2 * MERKLE_HASH_BYTES + 1] = "", text[300];
		struct writer w = writer_of(hash, sizeof hash - 1);

		hex_write(&w, bytes_of(stamp[i].hash.b, sizeof stamp[i].hash.b));
		snprintf(text, sizeof text, "{\"data\":{\"sha256\":\"%s\",\"size\":\"%llu\"},\"n\":%u,\"sess\":\"%032x\",\"t\":\"journal.stamp\"}", hash,
			 (unsigned long long)stamp[i].size, (at + i) % 50, (at + i) / 50);
		assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
	}
	return mutation.stamps;
}

static void fill(const char *in, struct fixture_signer *s, uint64_t *now_us, unsigned from, unsigned count, bool other)
{
	struct journal_config config = { .dir = in, .origin = FIXTURE_ORIGIN, .segment_bytes = 64 << 20, .segment_us = HOUR_US };
	struct journal_signer sign = fixture_signer_journal(s);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, *now_us, err);
	uint64_t index;

	if (!j)
		fail_msg("%s", err);
	for (unsigned i = 0; other && i < count; i++) {
		char text[200];

		snprintf(text, sizeof text, "{\"n\":%u,\"out\":\"another history\",\"sess\":\"%032x\",\"t\":\"cmd\"}", (from + i) % 50, (from + i) / 50);
		assert_int_equal(journal_append(j, bytes_str(text), &index), JOURNAL_OK);
		if (i % 20 == 19)
			assert_int_equal(journal_commit(j, *now_us), JOURNAL_OK);
	}
	if (from == 256)
		count -= tell_stamps(j, from);
	if (!other)
		assert_true(fixture_fill(j, count, 20, *now_us));
	assert_int_equal(journal_commit(j, *now_us), JOURNAL_OK);
	assert_true(journal_publish_flush(j, &sign, *now_us, 1000));
	if (!other)
		anchor_it(j);
	journal_close(j);
}

static void vouchers(void)
{
	struct bytes pem;

	anchor_kit_open(&mutation.anchors);
	anchor_kit_authority(&mutation.anchors, "tsa", "extendedKeyUsage=critical,timeStamping", 2);
	mutation.witness = anchor_kit_witness("w1.example");
	mutation.second_witness = anchor_kit_witness("w2.example");
	pem = anchor_kit_file(&mutation.anchors, "tsa.ca.pem");
	assert_null(judge_add_authority(&mutation.judge, pem));
	free((void *)(uintptr_t)pem.base);
	mutation.judge.witness[mutation.judge.witnesses++] = mutation.witness.public;
	mutation.judge.witness[mutation.judge.witnesses++] = mutation.second_witness.public;
}

int mutation_build(void **state)
{
	struct fixture_signer second;
	struct mutation_report r;
	uint64_t now_us = FIXTURE_TIME;

	mutation.rng = rng_seeded(mutation.seed);
	fixture_dir(mutation.dir);
	fixture_dir(mutation.fork_dir);
	fixture_signer_init(&mutation.signer);
	vouchers();
	fill(mutation.dir, &mutation.signer, &now_us, 0, 100, false);
	now_us += 2 * HOUR_US;
	fill(mutation.dir, &mutation.signer, &now_us, 100, 156, false);
	fill(mutation.dir, &mutation.signer, &now_us, 256, 44, false);
	fixture_copy(mutation.dir, mutation.fork_dir);
	second = mutation.signer; /* the same keys, and a state that was set back */
	fill(mutation.dir, &mutation.signer, &now_us, 300, MUTATION_RECORDS - 300, false);
	fill(mutation.fork_dir, &second, &now_us, 300, MUTATION_RECORDS - 300, true);
	mutation.files = read_all(mutation.dir, mutation.file);
	mutation.fork_files = read_all(mutation.fork_dir, mutation.fork_file);
	for (unsigned i = 0; i < mutation.files; i++) {
		if (mutation_is_lmdb(&mutation.file[i]))
			weigh(&mutation.file[i]);
		for (unsigned k = 0; k < mutation.fork_files; k++)
			if (!strcmp(mutation.file[i].name, mutation.fork_file[k].name) && (mutation.file[i].len != mutation.fork_file[k].len || memcmp(mutation.file[i].bytes, mutation.fork_file[k].bytes, mutation.file[i].len) != 0))
				mutation.file[i].fork = &mutation.fork_file[k];
	}
	if (!mutation_audit(&r, &mutation.whole, 0))
		fail_msg("%s", r.first);
	assert_int_equal(mutation.whole.size, MUTATION_RECORDS);
	assert_int_equal(mutation.whole.segments, 2);
	assert_int_equal(mutation.whole.tokens, 2);
	assert_int_equal(mutation.whole.cosignatures, 4);
	assert_int_equal(mutation.whole.unverified, 0);
	return 0;
}

int mutation_clean_up(void **state)
{
	for (unsigned i = 0; i < mutation.files; i++) {
		free(mutation.file[i].bytes);
		free(mutation.file[i].live);
	}
	for (unsigned i = 0; i < mutation.fork_files; i++)
		free(mutation.fork_file[i].bytes);
	fixture_remove(mutation.dir);
	fixture_remove(mutation.fork_dir);
	fixture_signer_free(&mutation.signer);
	judge_free(&mutation.judge);
	EVP_PKEY_free(mutation.witness.key);
	EVP_PKEY_free(mutation.second_witness.key);
	anchor_kit_close(&mutation.anchors);
	return 0;
}
