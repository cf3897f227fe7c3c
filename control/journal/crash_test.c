/* kill -9 of the writer at random moments, and a volume that runs full: no acknowledged record is lost, each cursor stands exactly
 * behind the last record that is in the journal, and what is left verifies. ROUNDS in the environment sets the number of kills, SEED
 * which batches the writer makes between them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/journal/jcs_read.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

#define ROUNDS_DEFAULT 60
#define ROUNDS_A_JOURNAL 200 /* then it is read through, and a new one begins: a long run would spend its time on opening many segments */


static struct journal_config config_of(const char *path)
{
	return (struct journal_config){ .dir = path, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20, .publish_us = 3000 };
}

/* Message `position` of the ring becomes a record that carries the position; the acknowledgement goes out after the commit. */
static enum journal_status one_message(struct journal *j, uint64_t position)
{
	char text[4096], payload[64];
	struct writer w = writer_of(text, sizeof text);
	struct record_chunk chunk;
	bool with_payload = position % 5 == 0;
	enum journal_status status = JOURNAL_OK;
	uint64_t index;

	snprintf(payload, sizeof payload, "message %llu", (unsigned long long)position);
	if (with_payload)
		status = journal_chunk(j, bytes_str(payload), &chunk);
	if (status == JOURNAL_OK)
		status = journal_append(j, fixture_record(&w, 1, position, with_payload ? &chunk : NULL), &index);
	if (status == JOURNAL_OK)
		journal_cursor_set(j, 0, position + 1);
	return status;
}

/* The writer, until it is killed: continues at its cursor, batches of changing size, acknowledges through the pipe. */
static void write_for_ever(int acks, uint64_t seed)
{
	struct journal_config config = config_of(fixture.dir);
	struct journal_signer s = fixture_signer_journal(&fixture.signer);
	struct rng rng = rng_seeded(seed);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	uint64_t position;

	if (!j) {
		fprintf(stderr, "%s\n", err);
		_exit(3);
	}
	/* What the signer signed last is known from the journal here: it is the test's own. */
	{
		struct checkpoint c;

		if (checkpoint_parse(journal_checkpoint(j), true, &c, NULL) == NULL) {
			fixture.signer.size = c.size;
			fixture.signer.root = c.root;
		}
	}
	position = journal_cursor_get(j, 0);
	for (uint64_t turn = 0;; turn++) {
		for (uint64_t n = 1 + rng_below(&rng, 40); n && journal_has_room(j, 1, 8192); n--)
			if (one_message(j, position++) != JOURNAL_OK)
				_exit(4);
		if (journal_commit(j, FIXTURE_TIME + turn * 1000) != JOURNAL_OK)
			_exit(5);
		if (write(acks, &position, sizeof position) != sizeof position)
			_exit(6);
		journal_publish(j, &s, FIXTURE_TIME + turn * 1000);
	}
}

/* Runs it for a random time; the highest position that was acknowledged. */
static uint64_t run_and_kill(struct rng *rng, uint64_t acked)
{
	int pipes[2], status;
	uint64_t position, seed = rng_next(rng), first;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(pipes[0]);
		write_for_ever(pipes[1], seed);
	}
	close(pipes[1]);
	/* Sometimes in the middle of opening, mostly after some acknowledgements, however slow the machine is. */
	for (uint64_t n = rng_below(rng, 4) ? 1 + rng_below(rng, 6) : 0; n && read(pipes[0], &first, sizeof first) == sizeof first; n--)
		acked = first;
	usleep((unsigned)rng_below(rng, 6000));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	while (read(pipes[0], &position, sizeof position) == sizeof position)
		acked = position;
	close(pipes[0]);
	return acked;
}

/* One record a message: durable records, cursor and acknowledgements agree. */
static void assert_opens(unsigned round, uint64_t acked)
{
	struct journal_config config = config_of(fixture.dir);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	struct journal_state st;

	if (!j)
		print_error("round %u: %s\n", round, err);
	assert_non_null(j);
	journal_state(j, &st);
	assert_true(st.size >= acked);
	assert_int_equal(journal_cursor_get(j, 0), st.size);
	journal_close(j);
}

/* All of it verifies, and its records are the messages without a gap; how many. */
static uint64_t assert_whole(uint64_t acked, bool rotated)
{
	struct verify_options o = { .dir = fixture.dir, .keys = &fixture.signer.keys };
	struct verify_summary s;
	struct archive *a;
	char err[ARCHIVE_ERROR_BYTES];

	assert_true(verify_journal(&o, &s));
	assert_true(s.size >= acked);
	assert_true(s.covered > 0);
	assert_true(!rotated || s.segments > 1);
	a = archive_open(fixture.dir, err);
	assert_non_null(a);
	for (uint64_t i = 0; i < s.size; i++) {
		struct bytes record;
		int64_t n;

		assert_null(archive_read(a, i, &record));
		assert_true(jcs_read_int(jcs_get(jcs_value_of(record), "n"), &n));
		assert_int_equal(n, i);
	}
	archive_close(a);
	return s.size;
}

static void no_acknowledged_record_is_lost_by_kill(void **state)
{
	const char *wanted = getenv("ROUNDS"), *other = getenv("SEED");
	unsigned rounds = wanted ? (unsigned)strtoul(wanted, NULL, 10) : ROUNDS_DEFAULT;
	uint64_t acked = 0, records = 0, seed = other ? strtoull(other, NULL, 10) : 5;
	struct rng rng = rng_seeded(seed);

	for (unsigned round = 1; round <= rounds; round++) {
		acked = run_and_kill(&rng, acked);
		assert_opens(round, acked);
		if (round % ROUNDS_A_JOURNAL && round < rounds)
			continue;
		records += assert_whole(acked, !(round % ROUNDS_A_JOURNAL) || rounds == ROUNDS_DEFAULT);
		if (round < rounds) {
			fixture_teardown(state);
			fixture_setup(state);
			acked = 0;
		}
	}
	print_message("# seed %llu: %u kills, %llu records\n", (unsigned long long)seed, rounds, (unsigned long long)records);
}

/* --- a full volume ------------------------------------------------------------------------------------------------------ */

/* Fills the batch with messages and commits, until something else than JOURNAL_OK; `*seen` collects the levels as bits. */
static enum journal_status fill_up(struct journal *j, uint64_t *position, unsigned *seen)
{
	enum journal_status status = JOURNAL_OK;
	struct journal_state st;

	while (status == JOURNAL_OK) {
		for (unsigned n = 0; n < 200 && status == JOURNAL_OK && journal_has_room(j, 1, 8192); n++) {
			status = one_message(j, *position);
			*position += status == JOURNAL_OK;
		}
		if (status == JOURNAL_OK)
			status = journal_commit(j, FIXTURE_TIME);
		journal_state(j, &st);
		*seen |= 1u << st.level;
	}
	return status;
}

/* The same with vital records only; the last position that a commit confirmed. */
static uint64_t fill_vital(struct journal *j, uint64_t position)
{
	enum journal_status status = JOURNAL_OK;
	uint64_t acked = position, index;

	while (status == JOURNAL_OK) {
		for (unsigned n = 0; n < 200 && status == JOURNAL_OK && journal_has_room(j, 1, 8192); n++) {
			char text[4096];
			struct writer w = writer_of(text, sizeof text);

			status = journal_append_vital(j, fixture_record(&w, 1, position, NULL), &index);
			position += status == JOURNAL_OK;
		}
		if (status == JOURNAL_OK)
			status = journal_commit(j, FIXTURE_TIME);
		if (status == JOURNAL_OK)
			acked = position;
	}
	assert_int_equal(status, JOURNAL_STOPPED);
	return acked;
}

static void assert_stopped(struct journal *j)
{
	char text[4096];
	struct writer w = writer_of(text, sizeof text);
	uint64_t index;

	assert_non_null(strstr(journal_stopped(j), "full"));
	assert_int_equal(journal_append_vital(j, fixture_record(&w, 1, 0, NULL), &index), JOURNAL_STOPPED);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_STOPPED);
	assert_null(journal_archive(j));
}

static void assert_resumes(const struct journal_config *config, uint64_t acked)
{
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(config, FIXTURE_TIME, err);
	struct verify_options o = { .dir = fixture.dir };
	struct verify_summary s;
	struct journal_state st;

	assert_non_null(j);
	journal_state(j, &st);
	assert_int_equal(st.size, acked);
	for (uint64_t position = st.size; position < acked + 500; position++) {
		if (!journal_has_room(j, 1, 8192))
			assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
		assert_int_equal(one_message(j, position), JOURNAL_OK);
	}
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	journal_close(j);
	assert_true(verify_journal(&o, &s));
	assert_int_equal(s.size, acked + 500);
}

static void full_volume_stops_within_one_commit_and_resumes(void **state)
{
	struct journal_config config = config_of(fixture.dir);
	char err[JOURNAL_ERROR_BYTES];
	uint64_t position = 0, acked;
	unsigned seen = 0;
	struct journal *j;

	if (mount("sluice-journal-test", fixture.dir, "tmpfs", 0, "size=40m") != 0) {
		print_message("not allowed to mount: skipped\n");
		skip();
	}
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	/* The level refuses ordinary records first; the vital ones go on to the very end. */
	assert_int_equal(fill_up(j, &position, &seen), JOURNAL_NO_SPACE);
	for (enum journal_level level = JOURNAL_LEVEL_OK; level <= JOURNAL_LEVEL_FULL; level++)
		assert_true(seen >> level & 1);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	acked = fill_vital(j, position);
	assert_stopped(j);
	journal_close(j);
	assert_int_equal(mount("sluice-journal-test", fixture.dir, "tmpfs", MS_REMOUNT, "size=80m"), 0);
	assert_resumes(&config, acked);
	assert_int_equal(umount(fixture.dir), 0);
}

/* Read-only from one moment to the next: stopped, with a reason; nothing acknowledged afterwards. */
static void read_only_volume_is_an_error_at_opening(void **state)
{
	struct journal_config config = config_of(fixture.dir);
	char err[JOURNAL_ERROR_BYTES];

	if (mount("sluice-journal-test", fixture.dir, "tmpfs", 0, "size=20m") != 0)
		skip();
	journal_close(journal_open(&config, FIXTURE_TIME, err));
	assert_int_equal(mount("sluice-journal-test", fixture.dir, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_null(journal_open(&config, FIXTURE_TIME, err));
	assert_true(err[0] != 0);
	assert_int_equal(umount(fixture.dir), 0);
}

/* Half of the pages are not there: told, by name, and nobody dies of reading behind the end. */
static void file_that_is_cut_off_is_told(void **state)
{
	static const char *const files[] = { "spine/data.mdb", "seg/00000000000000000000/data.mdb" };

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct journal_config config = config_of(fixture.dir);
		char err[JOURNAL_ERROR_BYTES], path[256];
		struct stat st;

		fixture_teardown(state);
		fixture_setup(state);
		assert_true(fixture_published(fixture.dir, &fixture.signer, 400, 10));
		config.segment_bytes = 1 << 30;
		snprintf(path, sizeof path, "%s/%s", fixture.dir, files[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(truncate(path, st.st_size / 2 & ~4095), 0);
		assert_null(journal_open(&config, FIXTURE_TIME, err));
		assert_non_null(strstr(err, i ? "segment 0" : "spine"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_acknowledged_record_is_lost_by_kill, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(full_volume_stops_within_one_commit_and_resumes, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(file_that_is_cut_off_is_told, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(read_only_volume_is_an_error_at_opening, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
