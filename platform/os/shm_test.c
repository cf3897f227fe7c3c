/* shm_test.c: memory files: made once, found again, never half, never replaced. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/limits.h"
#include "platform/contract/ring.h"
#include "platform/os/scratch.h"
#include "platform/os/shm.h"

static char dir[SCRATCH_BYTES], err[OS_ERROR_BYTES];

static int setup(void **state)
{
	return scratch_make(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	return scratch_remove(dir) ? 0 : -1;
}

static void a_ring_is_found_again_with_what_was_written(void **state)
{
	void *a = shm_ring_open(dir, 3, SHM_RING_UP, err), *b = shm_ring_open(dir, 3, SHM_RING_UP, err);
	struct ring_producer p;
	struct ring_consumer c;
	struct stat at;
	char path[128];
	static uint8_t into[LIMIT_MESSAGE_BYTES];
	struct bytes payload;
	uint16_t type;
	uint64_t end;

	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	assert_true(ring_attach_producer(&p, a, shm_ring_capacity(SHM_RING_UP)));
	assert_true(ring_attach_consumer(&c, b, shm_ring_capacity(SHM_RING_UP)));
	assert_true(ring_write(&p, 7, bytes_str("hello"), &end));
	assert_true(ring_read(&c, into, sizeof(into), &type, &payload, &end));
	assert_int_equal(type, 7);
	assert_true(bytes_equal(payload, bytes_str("hello")));
	snprintf(path, sizeof(path), "%s/ring-up-3", dir);
	assert_int_equal(stat(path, &at), 0);
	assert_int_equal(at.st_mode & 0777, 0660);
	shm_ring_close(a, SHM_RING_UP);
	shm_ring_close(b, SHM_RING_UP);
}

/* Eight processes at once: all must end up with the same ring. */
static void makers_race_and_one_wins(void **state)
{
	uint8_t id[8][16];
	int pipes[2];

	assert_int_equal(pipe(pipes), 0);
	for (int i = 0; i < 8; i++) {
		if (fork() == 0) {
			struct ring_header *h = shm_ring_open(dir, 0, SHM_RING_DOWN, err);

			_exit(!h || write(pipes[1], h->id, 16) != 16);
		}
	}
	for (int i = 0; i < 8; i++) {
		int status;

		assert_int_equal(read(pipes[0], id[i], 16), 16);
		assert_true(wait(&status) > 0 && status == 0);
		assert_memory_equal(id[i], id[0], 16);
	}
}

static void a_foreign_file_is_refused_and_left_alone(void **state)
{
	char path[128];
	struct stat at;
	int fd;

	snprintf(path, sizeof(path), "%s/ring-up-1", dir);
	fd = open(path, O_CREAT | O_RDWR, 0600);
	assert_int_equal(ftruncate(fd, 100), 0);
	assert_null(shm_ring_open(dir, 1, SHM_RING_UP, err));
	assert_non_null(strstr(err, "right size"));
	assert_int_equal(ftruncate(fd, (off_t)ring_bytes(LIMIT_RING_UP_BYTES)), 0);
	assert_null(shm_ring_open(dir, 1, SHM_RING_UP, err));
	assert_non_null(strstr(err, "does not hold a ring"));
	assert_int_equal(stat(path, &at), 0);
	close(fd);
	snprintf(path, sizeof(path), "%s/ring-up-2", dir);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_null(shm_ring_open(dir, 2, SHM_RING_UP, err));
	assert_null(shm_ring_open(dir, LIMIT_WORKERS, SHM_RING_UP, err));
	assert_null(shm_open_or_make(dir, "../x", 10, 0600, err));
}

static void a_published_file_is_whole_and_bounded(void **state)
{
	struct bytes map;

	assert_true(shm_publish(dir, "image", bytes_str("one"), 0640, err));
	map = shm_map(dir, "image", 100, err);
	assert_true(shm_publish(dir, "image", bytes_str("another"), 0640, err));
	assert_true(bytes_equal(map, bytes_str("one")));
	shm_unmap((void *)map.base, map.len);
	map = shm_map(dir, "image", 100, err);
	assert_true(bytes_equal(map, bytes_str("another")));
	shm_unmap((void *)map.base, map.len);
	assert_null(shm_map(dir, "image", 6, err).base);
	assert_null(shm_map(dir, "absent", 6, err).base);
	assert_null(shm_map("/nonexistent", "absent", 6, err).base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_ring_is_found_again_with_what_was_written, setup, teardown),
		cmocka_unit_test_setup_teardown(makers_race_and_one_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(a_foreign_file_is_refused_and_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_published_file_is_whole_and_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
