/* Power cuts and failing disks: at many moments of a run everything that a cut could leave is made into a directory and opened, and no
 * record that was acknowledged by then is missing. CUTS in the environment sets the number of images.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/journal/disk_kit.h"
#include "control/journal/jcs_read.h"
#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"

#define CUTS_DEFAULT 120u

static char dir[128], work[160], image[160];
static struct fixture_signer signer;

static int setup(void **state)
{
	fixture_dir(dir);
	snprintf(work, sizeof work, "%s/journal", dir);
	snprintf(image, sizeof image, "%s/image", dir);
	fixture_signer_init(&signer);
	return mkdir(work, 0700);
}

static int teardown(void **state)
{
	disk_watch(NULL, NULL, NULL);
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

static struct journal_config config_of(const char *path)
{
	return (struct journal_config){ .dir = path, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20, .publish_us = 1000 };
}

/* One batch of messages behind the cursor; what was acknowledged afterwards. */
static enum journal_status one_batch(struct journal *j, struct rng *rng, uint64_t *position, uint64_t now_us)
{
	for (uint64_t n = 1 + rng_below(rng, 60); n; n--) {
		char text[4096];
		struct writer w = writer_of(text, sizeof text);
		static uint8_t payload[60000];
		struct record_chunk chunk;
		bool with_payload = *position % 9 == 0;
		enum journal_status status = JOURNAL_OK;
		uint64_t index;

		if (!journal_has_room(j, 1, sizeof payload))
			break;
		random_secret(payload, 64);
		if (with_payload)
			status = journal_chunk(j, bytes_of(payload, 64 + rng_below(rng, sizeof payload - 64)), &chunk);
		if (status == JOURNAL_OK)
			status = journal_append(j, fixture_record(&w, 1, *position, with_payload ? &chunk : NULL), &index);
		if (status != JOURNAL_OK)
			return status;
		journal_cursor_set(j, 0, ++*position);
	}
	return journal_commit(j, now_us);
}

static void tell(void *ctx, const struct verify_finding *f)
{
	print_error("%s\n", f->what);
}

/* Opens what is at `path` as after a restart: everything up to `acked` is there, in order, and all of it verifies. Returns its size. */
static uint64_t assert_whole(const char *path, uint64_t acked)
{
	struct journal_config config = config_of(path);
	struct journal_signer s;
	struct fixture_signer again = signer;
	struct verify_options o = { .dir = path, .keys = &signer.keys, .found = tell };
	struct verify_summary summary;
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&config, FIXTURE_TIME, err);
	struct journal_state st;

	if (!j)
		fail_msg("%s", err);
	journal_state(j, &st);
	assert_true(st.size >= acked);
	assert_int_equal(journal_cursor_get(j, 0), st.size);
	/* The signer's state is on another disk: it knows what it signed, and the journal extends that. */
	s = fixture_signer_journal(&again);
	if (st.size)
		assert_true(journal_publish_flush(j, &s, FIXTURE_TIME, 1000));
	for (uint64_t i = 0; i < st.size; i++) {
		struct bytes record;
		int64_t n;

		assert_null(archive_read(journal_archive(j), i, &record));
		assert_true(jcs_read_int(jcs_get(jcs_value_of(record), "n"), &n));
		assert_int_equal(n, i);
	}
	journal_close(j);
	if (st.size)
		assert_true(verify_journal(&o, &summary));
	return st.size;
}

/* --- power cuts ---------------------------------------------------------------------------------------------------------- */

struct cuts {
	struct rng rng;
	uint64_t acked, moments, made;
	unsigned every;
};

/* Some moments become images: with all that was written, with nothing of it, and with parts. */
static void maybe_cut(void *ctx)
{
	static const unsigned keeps[] = { 0, 100, 50, 90, 10 };
	struct cuts *c = ctx;

	c->moments++;
	if (rng_below(&c->rng, c->every))
		return;
	disk_image(image, &c->rng, keeps[c->made++ % 5]);
	assert_whole(image, c->acked);
	fixture_remove(image);
}

static void no_acknowledged_record_is_lost_by_a_power_cut(void **state)
{
	unsigned wanted = getenv("CUTS") ? (unsigned)atoi(getenv("CUTS")) : CUTS_DEFAULT;
	uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : 11;
	struct journal_config config = config_of(work);
	struct cuts c = { .rng = rng_seeded(seed), .every = 6 };
	struct rng rng = rng_seeded(seed + 1);
	char err[JOURNAL_ERROR_BYTES];
	uint64_t runs = 0, records = 0;

	/* Journals of some segments, one after the other, until there were enough cuts. */
	while (c.made < wanted) {
		struct journal_signer s;
		struct journal *j;
		uint64_t position = 0, turn = 0;

		fixture_remove(work);
		assert_int_equal(mkdir(work, 0700), 0);
		fixture_signer_free(&signer);
		fixture_signer_init(&signer);
		s = fixture_signer_journal(&signer);
		c.acked = 0;
		disk_watch(work, maybe_cut, &c);
		j = journal_open(&config, FIXTURE_TIME, err);
		assert_non_null(j);
		for (; turn < 60 && c.made < wanted; turn++) {
			uint64_t now = FIXTURE_TIME + turn * 2000;

			assert_int_equal(one_batch(j, &rng, &position, now), JOURNAL_OK);
			c.acked = position;
			journal_publish(j, &s, now);
			/* The process is also ended and started in the middle. */
			if (turn % 23 == 22) {
				journal_close(j);
				j = journal_open(&config, now, err);
				assert_non_null(j);
			}
		}
		journal_close(j);
		disk_watch(NULL, NULL, NULL);
		assert_whole(work, position);
		runs++;
		records += position;
	}
	print_message("# seed %llu: %llu power cuts at %llu moments of %llu journals, %llu records: none lost that was acknowledged\n",
		      (unsigned long long)seed, (unsigned long long)c.made, (unsigned long long)c.moments, (unsigned long long)runs,
		      (unsigned long long)records);
}

/* --- a disk that fails --------------------------------------------------------------------------------------------------- */

/* Whatever fails and when: the journal stops, gives no acknowledgement after it, and what was acknowledged is there afterwards. */
static void a_failing_disk_stops_the_journal_and_loses_nothing(void **state)
{
	static const struct disk_fault faults[] = {
		{ .error = EIO }, { .error = EIO, .stays = true }, { .error = ENOSPC, .partial = true }, { .error = EIO, .sync_only = true },
		{ .error = EROFS, .stays = true }, { .error = EDQUOT, .partial = true, .stays = true },
	};
	struct journal_config config = config_of(work);
	struct rng rng = rng_seeded(5);
	unsigned stopped = 0, rounds = 0;

	for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
		for (unsigned nth = 1; nth <= 9; nth += 2, rounds++) {
			struct disk_fault fault = faults[i];
			char err[JOURNAL_ERROR_BYTES];
			uint64_t position = 0, acked = 0;
			struct journal *j;

			fixture_remove(work);
			assert_int_equal(mkdir(work, 0700), 0);
			disk_watch(work, NULL, NULL);
			j = journal_open(&config, FIXTURE_TIME, err);
			assert_non_null(j);
			for (unsigned turn = 0; turn < 5; turn++) {
				assert_int_equal(one_batch(j, &rng, &position, FIXTURE_TIME), JOURNAL_OK);
				acked = position;
			}
			fault.nth = nth;
			disk_fail(&fault);
			for (unsigned turn = 0; turn < 20 && !journal_stopped(j); turn++)
				if (one_batch(j, &rng, &position, FIXTURE_TIME) == JOURNAL_OK)
					acked = position;
			if (!journal_stopped(j))
				print_error("fault %zu, call %u: not stopped\n", i, nth);
			assert_non_null(journal_stopped(j));
			assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_STOPPED);
			stopped++;
			journal_close(j);
			disk_watch(NULL, NULL, NULL);
			assert_whole(work, acked);
		}
	}
	print_message("# %u faults of the disk, %u stops, nothing acknowledged was lost\n", rounds, stopped);
}

/* A disk that gives up and says "good" for some while: it stops the journal all the same, and what was acknowledged is on it. */
static void a_disk_that_lies_stops_the_journal(void **state)
{
	struct journal_config config = config_of(work);
	struct rng rng = rng_seeded(6);

	for (unsigned nth = 1; nth <= 40; nth++) {
		struct disk_fault fault = { .lies = true, .nth = nth };
		struct journal_signer s;
		char err[JOURNAL_ERROR_BYTES];
		uint64_t position = 0, acked = 0;
		struct journal *j;
		unsigned turn;

		fixture_remove(work);
		assert_int_equal(mkdir(work, 0700), 0);
		fixture_signer_free(&signer);
		fixture_signer_init(&signer);
		s = fixture_signer_journal(&signer);
		disk_watch(work, NULL, NULL);
		j = journal_open(&config, FIXTURE_TIME, err);
		assert_non_null(j);
		for (turn = 0; turn < 60 && !journal_stopped(j); turn++) {
			if (one_batch(j, &rng, &position, FIXTURE_TIME + turn * 2000) == JOURNAL_OK)
				acked = position;
			journal_publish(j, &s, FIXTURE_TIME + turn * 2000);
			if (turn == 3)
				disk_fail(&fault);
		}
		if (!journal_stopped(j))
			print_error("sync %u: not stopped\n", nth);
		assert_non_null(journal_stopped(j));
		disk_image(image, &rng, 0);
		journal_close(j);
		disk_watch(NULL, NULL, NULL);
		assert_whole(image, acked);
		fixture_remove(image);
	}
}

/* Clocks that jump: indexes, rotation and proofs do not depend on them. */
static void clock_steps_change_nothing(void **state)
{
	static const int64_t hours[] = { 0, -1, -48, 1, 30, 31, -1000, 90, 0, 400 };
	struct journal_config config = config_of(work);
	struct journal_signer s = fixture_signer_journal(&signer);
	struct rng rng = rng_seeded(9);
	char err[JOURNAL_ERROR_BYTES];
	uint64_t position = 0;
	struct journal *j;

	config.segment_us = 24ull * 3600 * 1000000;
	j = journal_open(&config, FIXTURE_TIME, err);
	assert_non_null(j);
	for (unsigned turn = 0; turn < 120; turn++) {
		uint64_t now = FIXTURE_TIME + (uint64_t)(hours[turn % 10] * 3600 * 1000000ll) + turn;

		assert_int_equal(one_batch(j, &rng, &position, now), JOURNAL_OK);
		journal_publish(j, &s, now);
	}
	journal_close(j);
	assert_true(assert_whole(work, position) == position);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_acknowledged_record_is_lost_by_a_power_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failing_disk_stops_the_journal_and_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_disk_that_lies_stops_the_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(clock_steps_change_nothing, setup, teardown),
	};

	return cmocka_run_group_tests_name("power", tests, NULL, NULL);
}
