/* A file system that gives up while the journal is written to it: an ext4 that an error makes read-only. For some milliseconds between its journal's
 * abort and its being read-only it still takes writes and says that flushes were good, though the blocks that it gave the file are not its own on the
 * disk ("failed to convert unwritten extents"). What was acknowledged is there after e2fsck. ROUNDS in the environment sets how many file systems
 * give up, SEED when. Needs root and a loop device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/journal/journal_fixture.h"
#include "control/journal/verify.h"
#include "platform/base/random.h"

#define ROUNDS_DEFAULT 12
#define DISK_BYTES (24 << 20)
#define WAIT_US 2000000 /* for an acknowledgement: who gives none for so long is taken for stopped */

static char dir[128], image[160], disk[160], work[192];
static struct fixture_signer signer;

/* Runs argv[0] of the system, quietly; its exit status. */
static int run(const char *const argv[])
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int mounted(void)
{
	return run((const char *const[]){ "/bin/mount", "-o", "loop,errors=remount-ro", image, disk, NULL });
}

static int setup(void **state)
{
	fixture_dir(dir);
	snprintf(image, sizeof image, "%s/image", dir);
	snprintf(disk, sizeof disk, "%s/disk", dir);
	snprintf(work, sizeof work, "%s/journal", disk);
	fixture_signer_init(&signer);
	/* What others begin meanwhile would keep copies of our mounts, and the file system that gave up alive with them. */
	if (unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return -1;
	return mkdir(disk, 0700);
}

static int teardown(void **state)
{
	(void)umount2(disk, MNT_DETACH);
	fixture_remove(dir);
	fixture_signer_free(&signer);
	return 0;
}

static bool disk_new(void)
{
	int fd = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && ftruncate(fd, DISK_BYTES) == 0;

	if (fd >= 0)
		close(fd);
	return good && run((const char *const[]){ "/sbin/mkfs.ext4", "-q", "-b", "4096", "-N", "128", "-m", "0", "-J", "size=4", image, NULL }) == 0 &&
	       mounted() == 0 && mkdir(work, 0700) == 0;
}

static struct journal_config config(void)
{
	return (struct journal_config){ .dir = work, .origin = FIXTURE_ORIGIN, .segment_bytes = 1 << 20, .publish_us = 3000, .preallocate = true };
}

/* Acknowledges through the pipe how many records are durable, until the journal stops. */
static void write_on(int acks, uint64_t seed)
{
	struct journal_config c = config();
	struct journal_signer s = fixture_signer_journal(&signer);
	struct rng rng = rng_seeded(seed);
	char err[JOURNAL_ERROR_BYTES];
	struct journal *j = journal_open(&c, FIXTURE_TIME, err);
	uint64_t count = 0;

	for (uint64_t turn = 0; j; turn++) {
		for (uint64_t n = 1 + rng_below(&rng, 40); n && journal_has_room(j, 1, 8192); n--) {
			char text[4096];
			struct writer w = writer_of(text, sizeof text);
			uint64_t index;

			if (journal_append(j, fixture_record(&w, 1, count++, NULL), &index) != JOURNAL_OK)
				_exit(4);
		}
		if (journal_commit(j, FIXTURE_TIME + turn * 1000) != JOURNAL_OK)
			_exit(5);
		if (write(acks, &count, sizeof count) != sizeof count)
			_exit(6);
		journal_publish(j, &s, FIXTURE_TIME + turn * 1000);
	}
	_exit(3);
}

/* The last count that came through the pipe within `us`; false at its end. */
static bool acked_next(int acks, unsigned us, uint64_t *acked)
{
	struct pollfd p = { .fd = acks, .events = POLLIN };

	return poll(&p, 1, (int)(us / 1000)) == 1 && read(acks, acked, sizeof *acked) == sizeof *acked;
}

/* How many records were acknowledged when the writer ended. */
static uint64_t give_up(struct rng *rng)
{
	uint64_t acked = 0, seed = rng_next(rng);
	int pipes[2], status;
	pid_t child;

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(pipes[0]);
		write_on(pipes[1], seed);
	}
	close(pipes[1]);
	for (uint64_t n = 1 + rng_below(rng, 60); n && acked_next(pipes[0], WAIT_US, &acked); n--)
		;
	usleep((unsigned)rng_below(rng, 3000));
	(void)mount(NULL, disk, NULL, MS_REMOUNT, "abort");
	while (acked_next(pipes[0], WAIT_US, &acked))
		;
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(pipes[0]);
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != 4 && WEXITSTATUS(status) != 5))
		print_error("the writer was not stopped: status %#x\n", (unsigned)status);
	assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 4 || WEXITSTATUS(status) == 5));
	return acked;
}

static void tell(void *ctx, const struct verify_finding *f)
{
	print_error("round %u: %s\n", *(unsigned *)ctx, f->what);
}

/* One more record, and all of them under a checkpoint: tiles that the disk lost are written again. */
static void go_on(struct journal *j)
{
	struct journal_signer s = fixture_signer_journal(&signer);
	char text[4096];
	struct writer w = writer_of(text, sizeof text);
	struct journal_state st;
	struct checkpoint c;
	uint64_t index, turn = 0;

	journal_state(j, &st);
	if (checkpoint_parse(journal_checkpoint(j), true, &c, NULL) == NULL) {
		signer.size = c.size;
		signer.root = c.root;
	}
	assert_int_equal(journal_append(j, fixture_record(&w, 1, st.size, NULL), &index), JOURNAL_OK);
	assert_int_equal(journal_commit(j, FIXTURE_TIME), JOURNAL_OK);
	do {
		journal_publish(j, &s, FIXTURE_TIME + 10000 * ++turn);
		journal_state(j, &st);
	} while (st.checkpoint_size <= index && turn < 100000);
	assert_true(st.checkpoint_size > index);
}

static void assert_repaired(unsigned round, uint64_t acked)
{
	struct verify_options o = { .dir = work, .keys = &signer.keys, .ctx = &round, .found = tell };
	struct verify_summary s;
	struct journal_config c = config();
	char err[JOURNAL_ERROR_BYTES];
	struct journal_state st;
	struct journal *j;

	assert_int_equal(umount(disk), 0);
	(void)run((const char *const[]){ "/sbin/e2fsck", "-p", image, NULL });
	assert_int_equal(mounted(), 0);
	j = journal_open(&c, FIXTURE_TIME, err);
	if (!j)
		print_error("round %u, %llu acknowledged: %s\n", round, (unsigned long long)acked, err);
	assert_non_null(j);
	journal_state(j, &st);
	if (st.size < acked)
		print_error("round %u: %llu of %llu records\n", round, (unsigned long long)st.size, (unsigned long long)acked);
	assert_true(st.size >= acked);
	go_on(j);
	journal_close(j);
	assert_true(verify_journal(&o, &s));
	assert_int_equal(umount(disk), 0);
}

static void nothing_acknowledged_is_lost_when_the_file_system_gives_up(void **state)
{
	const char *wanted = getenv("ROUNDS"), *other = getenv("SEED");
	unsigned rounds = wanted ? (unsigned)strtoul(wanted, NULL, 10) : ROUNDS_DEFAULT;
	uint64_t seed = other ? strtoull(other, NULL, 10) : 5, records = 0;
	struct rng rng = rng_seeded(seed);

	for (unsigned round = 1; round <= rounds; round++) {
		uint64_t acked;

		if (!disk_new()) {
			assert_int_equal(round, 1); /* what could be made once can be made again */
			print_message("# no loop device, or not allowed to mount: skipped\n");
			skip();
		}
		fixture_signer_free(&signer);
		fixture_signer_init(&signer);
		acked = give_up(&rng);
		records += acked;
		assert_repaired(round, acked);
	}
	print_message("# seed %llu: %u file systems gave up, %llu records\n", (unsigned long long)seed, rounds, (unsigned long long)records);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_acknowledged_is_lost_when_the_file_system_gives_up, setup, teardown),
	};

	return cmocka_run_group_tests_name("abort", tests, NULL, NULL);
}
