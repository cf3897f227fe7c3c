/* Readers beside a writer that commits as fast as it can, rotates and publishes: what they read is right, or they say so; with the
 * few tries that they have, they do not even have to.
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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(readers_beside_the_writer_are_right) };

	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
