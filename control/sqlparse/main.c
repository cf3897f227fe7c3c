/* sluice-sqlparse: reads a request on fd 3, writes an answer, for ever. Everything hostile happens on one thread with
 * a large stack, in a process that can do nothing else; when that is not enough, the process dies, and its parent
 * calls the statement unknown. A text that takes longer than a second ends the process by SIGALRM even if the
 * parent has forgotten it. */
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "control/sqlparse/classify.h"
#include "control/sqlparse/confine.h"

enum { EXIT_DONE = 0, EXIT_SETUP = 1, EXIT_WIRE = 2 };

static uint8_t request[SQLPARSE_REQUEST_BYTES], encoded[SQLPARSE_ENCODED_BYTES], answer[4 + SQLPARSE_ANSWER_BYTES];

/* 1: all of it, 0: end of file before the first byte, -1: anything else. */
static int read_all(void *into, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(SQLPARSE_FD, (uint8_t *)into + got, len - got);

		if (n > 0)
			got += (size_t)n;
		else if (n == 0)
			return got == 0 ? 0 : -1;
		else if (errno != EINTR)
			return -1;
	}
	return 1;
}

static bool write_all(struct bytes b)
{
	while (b.len > 0) {
		ssize_t n = write(SQLPARSE_FD, b.base, b.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		b = bytes_of(b.base + n, b.len - (size_t)n);
	}
	return true;
}

static void watch(time_t seconds)
{
	struct itimerval t = { .it_value.tv_sec = seconds };

	(void)setitimer(ITIMER_REAL, &t, NULL);
}

static struct bytes answer_to(struct bytes body)
{
	struct reader r = reader_of_bytes(body);
	struct writer w = writer_of(answer, sizeof answer);
	uint64_t id = reader_be64(&r);
	uint8_t dialect = reader_u8(&r);
	struct sqlparse_answer a = sqlparse_classify(reader_bytes(&r, r.left), dialect, encoded, sizeof encoded);
	struct bytes why = a.known ? (struct bytes){ 0 } : bytes_str(a.why);
	size_t mark = writer_mark(&w, 4);

	writer_be64(&w, id);
	writer_u8(&w, a.known);
	writer_u8(&w, (uint8_t)why.len);
	writer_put(&w, why);
	if (a.known)
		writer_put(&w, a.classification);
	writer_patch(&w, mark, 4, w.len - 4);
	return writer_done(&w);
}

static _Noreturn void serve(void)
{
	for (;;) {
		uint8_t head[4];
		int got = read_all(head, sizeof head);
		struct reader r = reader_of(head, sizeof head);
		uint32_t len = reader_be32(&r);

		if (got == 0)
			_exit(EXIT_DONE);
		if (got < 0 || len < 8 + 1 || len > sizeof request || read_all(request, len) != 1)
			_exit(EXIT_WIRE);
		watch(1);
		if (!write_all(answer_to(bytes_of(request, len))))
			_exit(EXIT_WIRE);
		watch(0);
	}
}

static void *parser(void *unused)
{
	if (!confine_calls())
		_exit(EXIT_SETUP);
	serve();
}

int main(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0); /* opens a file, which is not possible later */
	if (!confine_process() || pthread_attr_init(&attr) != 0 || pthread_attr_setstacksize(&attr, SQLPARSE_STACK_BYTES) != 0 ||
	    pthread_create(&thread, &attr, parser, NULL) != 0) {
		fputs("sluice-sqlparse: cannot confine itself; it is started by sluice-control with a socket on fd 3\n", stderr);
		return EXIT_SETUP;
	}
	pthread_join(thread, NULL);
	return EXIT_SETUP;
}
