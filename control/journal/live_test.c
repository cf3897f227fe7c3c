/* Readers beside a writer that commits as fast as it can, rotates and publishes: what they read is right, or they say so; with the
 * few tries that they have, they do not even have to. And whatever a reader does, for as long as it likes, the writer's files are the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/journal_impl.h"
#include "control/journal/segment_list.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

#define SECONDS 4

static char dir[128];
static struct fixture_signer signer;

static void write_for_ever(void)
{
	struct journal_config config = { .dir = dir, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20, .publish_us = 1000 };
	struct journal_signer s = fixture_signer_journal(&signer);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);

	for (uint64_t turn = 0; j; turn++) {
		if (!fixture_fill(j, 1 + turn % 7, 3, FIXTURE_TIME + turn * 100))
			_exit(1);
		journal_publish(j, &s, FIXTURE_TIME + turn * 100);
		usleep(500); /* as long as a disk's flush: in memory, pages would come back faster than any reader reads again */
	}
	_exit(2);
}

static bool over(const struct timespec *end)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec > end->tv_sec || (now.tv_sec == end->tv_sec && now.tv_nsec > end->tv_nsec);
}

static void read_some(struct archive *a, struct rng *rng, uint64_t *reads)
{
	uint64_t size = archive_size(a), covered, index;
	struct archive_filter all = { .to = size };
	uint8_t text[PROOF_BYTES_MAX], note_copy[CHECKPOINT_BYTES_MAX];
	struct writer w = writer_of(text, sizeof text);
	struct bytes record, note;
	const char *wrong;

	/* The newest ones, where pages change, and any others. */
	for (unsigned i = 0; i < 40 && size; i++) {
		index = i % 2 ? size - 1 - rng_below(rng, size < 30 ? size : 30) : rng_below(rng, size);
		wrong = archive_read(a, index, &record);
		if (wrong)
			print_error("%s\n", wrong);
		assert_null(wrong);
		++*reads;
	}
	index = size > 200 ? size - 200 : 0;
	while (archive_search(a, &all, &index, 1000, &record, &wrong) == ARCHIVE_FOUND)
		index++;
	assert_null(wrong);
	if (!archive_checkpoint(a, 1, size, &covered, &note))
		return;
	memcpy(note_copy, note.base, note.len);
	note.base = note_copy;
	index = rng_below(rng, covered);
	wrong = archive_proof(a, index, note, &w);
	if (wrong)
		print_error("record %llu: %s\n", (unsigned long long)index, wrong);
	assert_null(wrong);
	assert_null(archive_read(a, index, &record));
	assert_null(proof_verify(writer_done(&w), record, &signer.keys, &index));
}

static void print_finding(void *ctx, const struct verify_finding *f)
{
	print_error("finding: %s\n", f->what);
}

static void readers_beside_the_writer_are_right(void **state)
{
	struct verify_options o = { .dir = dir, .keys = &signer.keys, .found = print_finding };
	struct verify_summary summary;
	struct archive *a = NULL;
	struct timespec end;
	struct rng rng = rng_seeded(9);
	char err[ARCHIVE_ERROR_BYTES];
	uint64_t reads = 0, verified = 0;
	int status;
	pid_t child;

	fixture_dir(dir);
	fixture_signer_init(&signer);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		write_for_ever();
	}
	for (unsigned i = 0; i < 20000 && !a; i++) {
		usleep(1000);
		a = archive_open(dir, err);
	}
	assert_non_null(a);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += SECONDS;
	while (!over(&end)) {
		bool fresh = archive_refresh(a, err);

		if (!fresh)
			print_error("%s\n", err);
		assert_true(fresh);
		read_some(a, &rng, &reads);
		if (reads % 10 == 0 && verified * 200 < reads) {
			assert_true(verify_journal(&o, &summary));
			verified++;
		}
	}
	archive_close(a);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_true(reads > 100 && verified > 1 && summary.size > 500);
	print_message("%llu reads, %llu audits, %llu records at the last\n", (unsigned long long)reads, (unsigned long long)verified,
		      (unsigned long long)summary.size);
	fixture_signer_free(&signer);
	fixture_remove(dir);
}

/* --- a reader that stays ------------------------------------------------------------------------------------------------- */

#define ROTATIONS 6u
#define BATCH 5u

struct stays {
	pid_t child;
	int ask[2], answer[2];
};

/* An exporter that was opened long ago: again and again all that it saw then; asked with 'r', it goes on from where it was to the newest
 * record. Answers how far it is. */
static void stay(const char *journal, const struct stays *s)
{
	char err[ARCHIVE_ERROR_BYTES], word;
	struct archive *a = archive_open(journal, err);
	const uint64_t then = a ? archive_size(a) : 0;
	uint64_t at = 0, index;
	struct bytes record;
	const char *why;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (a && read(s->ask[0], &word, 1) == 1) {
		struct archive_filter seen = { .to = then }, all = { 0 };

		for (index = 0; archive_search(a, &seen, &index, UINT32_MAX, &record, &why) == ARCHIVE_FOUND; index++)
			;
		if (why || index != then || (word == 'r' && !archive_refresh(a, err)))
			_exit(1);
		while (word == 'r' && archive_search(a, &all, &at, UINT32_MAX, &record, &why) == ARCHIVE_FOUND)
			at++;
		if (why || write(s->answer[1], &at, sizeof at) != (ssize_t)sizeof at)
			_exit(1);
	}
	_exit(a ? 0 : 1);
}

static uint64_t asked(const struct stays *s, char word)
{
	uint64_t at = 0;

	assert_int_equal(write(s->ask[1], &word, 1), 1);
	assert_int_equal(read(s->answer[0], &at, sizeof at), sizeof at);
	return at;
}

static int reader_line(const char *line, void *ctx)
{
	if (!strstr(line, "no active readers"))
		print_error("a reader of LMDB: %s", line);
	*(bool *)ctx |= strstr(line, "no active readers") == NULL;
	return 0;
}

/* The sizes of the segments' files, oldest first. */
static size_t sizes_of(const char *journal, off_t size[ROTATIONS * 2])
{
	struct segment_list list;
	char path[256];
	struct stat st;
	size_t count;

	assert_true(segment_list_read(&list, journal));
	assert_true((count = list.count) <= ROTATIONS * 2);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/seg/%020llu/data.mdb", journal, (unsigned long long)list.first[i]);
		assert_int_equal(stat(path, &st), 0);
		size[i] = st.st_size;
	}
	segment_list_free(&list);
	return count;
}

/* Writes until there were that many rotations, in many small commits, which is what lets a pinned segment grow. */
static size_t fill_segments(const char *journal, bool watched, off_t size[ROTATIONS * 2], uint64_t *records)
{
	struct journal_config config = { .dir = journal, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20 };
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	struct stays s = { .child = 0 };
	size_t segments = 0, before = 1;
	bool slots = false;
	int status;

	assert_true(j && fixture_fill(j, 50, BATCH, FIXTURE_TIME));
	if (watched) {
		assert_true(pipe(s.ask) == 0 && pipe(s.answer) == 0);
		s.child = fork();
		if (s.child == 0) {
			close(s.ask[1]);
			stay(journal, &s);
		}
		close(s.answer[1]); /* a reader that ended is no answer */
		assert_int_equal(asked(&s, 'r'), 50);
	}
	for (*records = 50; segments <= ROTATIONS; *records += 50) {
		assert_true(fixture_fill(j, 50, BATCH, FIXTURE_TIME));
		segments = sizes_of(journal, size);
		if (watched && segments != before) {
			assert_int_equal(asked(&s, 'o'), 50);
			before = segments;
		}
		(void)mdb_reader_list(j->segment.env, reader_line, &slots);
	}
	if (watched) {
		assert_int_equal(asked(&s, 'r'), *records);
		close(s.ask[1]);
		assert_int_equal(waitpid(s.child, &status, 0), s.child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		close(s.ask[0]);
		close(s.answer[0]);
	}
	assert_false(slots);
	journal_close(j);
	return segments;
}

/* journal.md 5: a long reader would make the active file grow without bound. Two journals of the same records, one with a reader open all the
 * time: every segment has the same size, and no reader slot was taken. */
static void a_reader_that_stays_costs_the_writer_nothing(void **state)
{
	off_t alone[ROTATIONS * 2], watched[ROTATIONS * 2];
	uint64_t records, again;
	char path[160];
	size_t count;

	fixture_dir(dir);
	snprintf(path, sizeof path, "%s/alone", dir);
	count = fill_segments(path, false, alone, &records);
	snprintf(path, sizeof path, "%s/watched", dir);
	assert_int_equal(fill_segments(path, true, watched, &again), count);
	assert_int_equal(again, records);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(watched[i], alone[i]);
	print_message("%llu records in %zu segments of up to %lld bytes\n", (unsigned long long)records, count, (long long)alone[0]);
	fixture_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(readers_beside_the_writer_are_right),
		cmocka_unit_test(a_reader_that_stays_costs_the_writer_nothing),
	};

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
