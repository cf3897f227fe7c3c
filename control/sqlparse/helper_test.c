/* The real helper as a process, and the client against peers that behave in every wrong way. argv[1]: the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/sqlparse/confine.h"
#include "control/sqlparse/sqlparse_client.h"
#include "platform/contract/classification.h"
#include "platform/os/child.h"

static const char *program;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What came back, by id. */
struct record {
	unsigned answers[2048], known[2048], total;
	uint64_t order[2048];
	char why[128];
	uint8_t last[SQLPARSE_ENCODED_BYTES];
	size_t last_len;
};

static struct record got;

static void answered(void *context, uint64_t id, bool known, struct bytes why, struct bytes classification)
{
	struct classification c;

	assert_ptr_equal(context, &got);
	assert_true(id < 2048);
	assert_int_equal(got.answers[id], 0);
	got.answers[id]++;
	got.known[id] = known;
	got.order[got.total++] = id;
	snprintf(got.why, sizeof got.why, "%.*s", (int)why.len, (const char *)why.base);
	if (known) {
		assert_true(classification_open(classification, &c));
		memcpy(got.last, classification.base, classification.len);
		got.last_len = classification.len;
	}
}

static struct sqlparse_client *new_client(uint32_t deadline_ms)
{
	struct sqlparse_client *c = sqlparse_client_create((struct sqlparse_sink){ answered, &got }, deadline_ms);

	memset(&got, 0, sizeof got);
	assert_non_null(c);
	return c;
}

static struct child start(int *fd)
{
	struct child c = { .program = program, .argv = { "sluice-sqlparse" }, .socket = CHILD_STREAM, .pidfd = -1 };
	char err[OS_ERROR_BYTES];

	if (!child_start(&c, now_ms(), fd, err))
		fail_msg("%s", err);
	return c;
}

static void reap(struct child *c, char how[OS_ERROR_BYTES])
{
	for (int i = 0; i < 1000; i++) {
		if (child_reap(c, now_ms(), how))
			return;
		poll(NULL, 0, 10);
	}
	fail_msg("the helper does not end");
}

static void turn(struct sqlparse_client *c, int wait_ms)
{
	struct pollfd p = { .fd = sqlparse_fd(c), .events = (short)(POLLIN | (sqlparse_wants_write(c) ? POLLOUT : 0)) };

	poll(&p, 1, wait_ms);
	if (p.revents & (POLLIN | POLLHUP | POLLERR))
		sqlparse_readable(c, now_ms());
	if (p.revents & POLLOUT)
		sqlparse_writable(c, now_ms());
	sqlparse_tick(c, now_ms());
}

static void run_until(struct sqlparse_client *c, unsigned total)
{
	for (uint64_t end = now_ms() + 20000; got.total < total && now_ms() < end && !sqlparse_lost(c);)
		turn(c, 20);
	assert_int_equal(got.total, total);
}

static bool ask(struct sqlparse_client *c, uint64_t id, const char *text)
{
	return sqlparse_request(c, id, SQLPARSE_POSTGRES, bytes_str(text), now_ms());
}

static void texts_are_classified(void **state)
{
	struct sqlparse_client *c = new_client(2000);
	char how[OS_ERROR_BYTES];
	int fd;
	struct child child = start(&fd);

	sqlparse_connect(c, fd, now_ms());
	for (unsigned i = 0; i < 300; i++)
		assert_true(ask(c, i, i % 3 ? "select ssn from users" : i % 2 ? "" : "selec"));
	run_until(c, 300);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(got.order[i], i);
		assert_int_equal(got.known[i], i % 3 || i % 2);
	}
	assert_int_equal(sqlparse_open_requests(c), 0);
	sqlparse_client_destroy(c);
	reap(&child, how);
	assert_string_equal(how, "exit status 0");
}

static char *repeated(const char *part, size_t times)
{
	size_t len = strlen(part);
	char *out = malloc(len * times + 1);

	for (size_t i = 0; i < times; i++)
		memcpy(out + i * len, part, len);
	out[len * times] = 0;
	return out;
}

/* postgres.md 11: what crashed or stalled the parser. It never sees them, and the helper lives. */
static void crash_texts_are_unknown(void **state)
{
	struct sqlparse_client *c = new_client(2000);
	char how[OS_ERROR_BYTES], *sum = repeated("1+", 20000), *unions = repeated("union select 1 ", 80000), *deep = repeated("(", 30000);
	int fd;
	struct child child = start(&fd);

	sqlparse_connect(c, fd, now_ms());
	assert_true(ask(c, 0, sum));
	assert_false(ask(c, 1, unions));
	unions[60000] = 0;
	assert_true(ask(c, 2, unions));
	assert_true(ask(c, 3, deep));
	assert_true(sqlparse_request(c, 4, SQLPARSE_POSTGRES, bytes_of("select\0 1", 9), now_ms()));
	assert_true(ask(c, 5, "select 1"));
	run_until(c, 5);
	assert_false(sqlparse_lost(c));
	assert_int_equal(got.known[0] + got.known[2] + got.known[3] + got.known[4], 0);
	assert_int_equal(got.known[5], 1);
	sqlparse_client_destroy(c);
	reap(&child, how);
	free(sum);
	free(unions);
	free(deep);
}

/* One in flight when the helper dies: that one is unknown, the others wait for the next helper. */
static void killed_helper_costs_one_answer(void **state)
{
	struct sqlparse_client *c = new_client(2000);
	char how[OS_ERROR_BYTES];
	int fd;
	struct child child = start(&fd);

	child_signal(&child, SIGSTOP);
	sqlparse_connect(c, fd, now_ms());
	for (unsigned i = 0; i < 5; i++)
		assert_true(ask(c, i, "select 1"));
	child_signal(&child, SIGKILL);
	run_until(c, 1);
	assert_int_equal(got.known[0], 0);
	assert_string_equal(got.why, "the parser ended");
	assert_true(sqlparse_lost(c));
	assert_int_equal(sqlparse_fd(c), -1);
	assert_true(ask(c, 5, "select 1"));
	reap(&child, how);
	assert_string_equal(how, "signal 9");
	child = start(&fd);
	sqlparse_connect(c, fd, now_ms());
	assert_false(sqlparse_lost(c));
	run_until(c, 6);
	for (unsigned i = 1; i < 6; i++)
		assert_int_equal(got.known[i], 1);
	sqlparse_client_destroy(c);
	reap(&child, how);
}

static void slow_helper_is_given_up(void **state)
{
	struct sqlparse_client *c = new_client(100);
	char how[OS_ERROR_BYTES];
	uint64_t began;
	int fd;
	struct child child = start(&fd);

	child_signal(&child, SIGSTOP);
	sqlparse_connect(c, fd, now_ms());
	began = now_ms();
	assert_true(ask(c, 0, "select 1"));
	assert_true(ask(c, 1, "select 1"));
	run_until(c, 1);
	assert_in_range(now_ms() - began, 100, 1000);
	assert_string_equal(got.why, "the parser took too long");
	assert_true(sqlparse_lost(c));
	assert_int_equal(sqlparse_open_requests(c), 1);
	child_signal(&child, SIGKILL);
	reap(&child, how);
	sqlparse_client_destroy(c);
}

static void without_helper_requests_wait_and_end(void **state)
{
	struct sqlparse_client *c = new_client(0);
	unsigned taken = 0;

	while (taken < 2047 && sqlparse_request(c, taken, SQLPARSE_POSTGRES, bytes_str("select 1"), 1000))
		taken++;
	assert_int_equal(taken, SQLPARSE_QUEUE);
	sqlparse_tick(c, 1000 + SQLPARSE_WAIT_MS - 1);
	assert_int_equal(got.total, 0);
	sqlparse_tick(c, 1000 + SQLPARSE_WAIT_MS);
	assert_int_equal(got.total, SQLPARSE_QUEUE);
	assert_int_equal(got.known[0], 0);
	sqlparse_client_destroy(c);
}

static void big_texts_fill_the_queue_by_bytes(void **state)
{
	struct sqlparse_client *c = new_client(0);
	uint8_t *text = calloc(1, LIMIT_STATEMENT_BYTES + 1);
	unsigned taken = 0;

	assert_false(sqlparse_request(c, 0, SQLPARSE_POSTGRES, bytes_of(text, LIMIT_STATEMENT_BYTES + 1), 0));
	while (taken < 2047 && sqlparse_request(c, taken, SQLPARSE_POSTGRES, bytes_of(text, LIMIT_STATEMENT_BYTES), 0))
		taken++;
	assert_int_equal(taken, SQLPARSE_QUEUE_BYTES / LIMIT_STATEMENT_BYTES);
	sqlparse_client_destroy(c);
	free(text);
}

/* Answers of a peer that is not the helper; `serial` 1 is what the client waits for. */
static struct bytes fake_answer(uint8_t *out, size_t cap, uint64_t serial, uint8_t known, const char *why, const char *rest)
{
	struct writer w = writer_of(out, cap);
	size_t mark = writer_mark(&w, 4);

	writer_be64(&w, serial);
	writer_u8(&w, known);
	writer_u8(&w, (uint8_t)strlen(why));
	writer_str(&w, why);
	writer_str(&w, rest);
	writer_patch(&w, mark, 4, w.len - 4);
	return writer_done(&w);
}

static struct sqlparse_client *with_peer(int *peer)
{
	struct sqlparse_client *c = new_client(0);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	sqlparse_connect(c, pair[0], now_ms());
	assert_true(ask(c, 9, "select 1"));
	*peer = pair[1];
	return c;
}

static void wrong_answers_end_the_connection(void **state)
{
	uint8_t buffer[512];
	const struct bytes answers[] = {
		bytes_of("\0\0\0\0", 4), bytes_of("\0\0\0\x09", 4), bytes_of("\xff\xff\xff\xff", 4),
		fake_answer(buffer, 64, 2, 0, "", ""), fake_answer(buffer + 64, 64, 1, 2, "", ""), fake_answer(buffer + 128, 64, 1, 1, "", "nonsense"),
		fake_answer(buffer + 192, 64, 1, 1, "", ""), fake_answer(buffer + 256, 64, 1, 0, "x", "and a classification"),
		bytes_of("\0\0\0\x0a\0\0\0\0\0\0\0\x01\0\xff", 14),
	};

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		int peer;
		struct sqlparse_client *c = with_peer(&peer);

		assert_int_equal(write(peer, answers[i].base, answers[i].len), answers[i].len);
		sqlparse_readable(c, now_ms());
		assert_true(sqlparse_lost(c));
		assert_int_equal(got.total, 1);
		assert_int_equal(got.known[9], 0);
		assert_string_equal(got.why, "the parser's answer was malformed");
		close(peer);
		sqlparse_client_destroy(c);
	}
}

static void answers_may_come_in_pieces_but_only_once(void **state)
{
	uint8_t buffer[64];
	struct bytes answer = fake_answer(buffer, sizeof buffer, 1, 0, "because", "");
	int peer;
	struct sqlparse_client *c = with_peer(&peer);

	for (size_t i = 0; i < answer.len; i++) {
		assert_int_equal(got.total, 0);
		assert_int_equal(write(peer, answer.base + i, 1), 1);
		sqlparse_readable(c, now_ms());
	}
	assert_int_equal(got.total, 1);
	assert_string_equal(got.why, "because");
	assert_false(sqlparse_lost(c));
	assert_int_equal(write(peer, answer.base, answer.len), answer.len);
	sqlparse_readable(c, now_ms());
	assert_true(sqlparse_lost(c));
	assert_int_equal(got.total, 1);
	close(peer);
	sqlparse_client_destroy(c);
}

/* Towards the helper: lengths that are not allowed (it ends at once, without waiting for the rest), and half a request. */
static void helper_ends_on_garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool cut;
	} inputs[] = {
		{ "\xff\xff\xff\xff", 4, false }, { "\0\0\0\x08", 4, false }, { "\0\1\0\x0a", 4, false },
		{ "\0\0\0\x20" "abc", 7, true }, { "\0\0", 2, true },
	};

	for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
		char how[OS_ERROR_BYTES];
		int fd;
		struct child child = start(&fd);

		assert_int_equal(write(fd, inputs[i].bytes, inputs[i].len), inputs[i].len);
		if (inputs[i].cut)
			close(fd);
		reap(&child, how);
		assert_string_equal(how, "exit status 2");
		if (!inputs[i].cut)
			close(fd);
	}
}

enum deed { OPEN_FILE, MAKE_SOCKET, RUN_PROGRAM, MAP_CODE, KILL_OTHER, FORK, TRACE, GET_MEMORY, deeds };

static void do_it(enum deed deed)
{
	char *const argv[] = { "true", NULL };

	switch (deed) {
	case OPEN_FILE: (void)open("/etc/passwd", O_RDONLY); break;
	case MAKE_SOCKET: (void)socket(AF_INET, SOCK_STREAM, 0); break;
	case RUN_PROGRAM: execv("/bin/true", argv); break;
	case MAP_CODE: (void)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); break;
	case KILL_OTHER: (void)kill(getppid(), 0); break;
	case FORK: (void)fork(); break;
	case TRACE: (void)prctl(PR_SET_DUMPABLE, 1); break;
	default: (void)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); break;
	}
}

static void confined_process_can_only_compute(void **state)
{
	for (enum deed deed = 0; deed < deeds; deed++) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			if (!confine_process() || !confine_calls())
				_exit(9);
			do_it(deed);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (deed == GET_MEMORY)
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("deed %d: status %#x", deed, (unsigned)status);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_classified),
		cmocka_unit_test(crash_texts_are_unknown),
		cmocka_unit_test(killed_helper_costs_one_answer),
		cmocka_unit_test(slow_helper_is_given_up),
		cmocka_unit_test(without_helper_requests_wait_and_end),
		cmocka_unit_test(big_texts_fill_the_queue_by_bytes),
		cmocka_unit_test(wrong_answers_end_the_connection),
		cmocka_unit_test(answers_may_come_in_pieces_but_only_once),
		cmocka_unit_test(helper_ends_on_garbage),
		cmocka_unit_test(confined_process_can_only_compute),
	};

	if (argc < 2) {
		fputs("usage: helper_test PATH-OF-sluice-sqlparse\n", stderr);
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
