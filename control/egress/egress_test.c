/* egress_test.c: the real sluice-egress, in its sandbox, against the hostile servers of https_server.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "control/egress/client.h"
#include "platform/os/child.h"

#define ANSWERS 32

static struct seen {
	uint64_t id;
	enum egress_result result;
	unsigned status;
	char type[256];
	size_t len;
	char body[300];
} seen[ANSWERS];
static unsigned seen_count;
static struct child child;
static struct egress_client *client;

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_answer(void *context, const struct egress_answer *answer)
{
	struct seen *s = &seen[seen_count++ % ANSWERS];

	memset(s, 0, sizeof(*s));
	s->id = answer->id;
	s->result = answer->result;
	s->status = answer->http_status;
	s->len = answer->body.len;
	if (answer->body.len)
		memcpy(s->body, answer->body.base, answer->body.len < sizeof(s->body) - 1 ? answer->body.len : sizeof(s->body) - 1);
	if (answer->content_type.len)
		memcpy(s->type, answer->content_type.base, answer->content_type.len);
}

static void start_child(void)
{
	char err[OS_ERROR_BYTES];
	int fd = -1;

	child = (struct child){ .program = getenv("EGRESS_PROGRAM"), .argv = { "sluice-egress", "--ca-dir", getenv("EGRESS_CA_DIR") },
				.socket = CHILD_STREAM, .pidfd = -1, .keep_environment = true };
	if (!child_start(&child, now_ms(), &fd, err))
		fail_msg("%s", err);
	egress_client_attach(client, fd);
}

static void wait_end(char how[OS_ERROR_BYTES])
{
	struct pollfd p = { .fd = child.pidfd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(child_reap(&child, now_ms(), how));
}

static void stop_child(void)
{
	char how[OS_ERROR_BYTES];

	egress_client_detach(client);
	wait_end(how);
	assert_string_equal(how, "exit status 0");
}

/* Until `count` answers are there, or the child is gone. */
static bool wait_answers(unsigned count)
{
	uint64_t limit_ms = now_ms() + 14000;

	while (seen_count < count) {
		struct pollfd p = { .fd = egress_client_fd(client), .events = egress_client_events(client) };

		if (now_ms() > limit_ms)
			fail_msg("no answer in time");
		if (poll(&p, 1, 100) > 0 && !egress_client_ready(client))
			return false;
	}
	return true;
}

static bool ask(uint64_t id, const char *port, const char *path, const char *ca)
{
	char url[256];

	snprintf(url, sizeof(url), "https://localhost:%s%s", getenv(port), path);
	return egress_client_get(client, id, url, ca, now_ms());
}

static const struct seen *one(const char *port, const char *path, const char *ca)
{
	static uint64_t next = 100;

	seen_count = 0;
	assert_true(ask(++next, port, path, ca));
	assert_true(wait_answers(1));
	assert_int_equal(seen[0].id, next);
	return &seen[0];
}

static void answers(void **state)
{
	static const struct {
		const char *port, *path, *ca;
		enum egress_result result;
		unsigned status;
		size_t len;
		const char *type;
	} rows[] = {
		{ "PORT_GOOD", "/ok", "root.pem", EGRESS_ok, 200, 11, "application/json" },
		{ "PORT_GOOD", "/html", "root.pem", EGRESS_ok, 200, 13, "text/html; charset=utf-8" },
		{ "PORT_GOOD", "/empty", "root.pem", EGRESS_ok, 200, 0, "" },
		{ "PORT_GOOD", "/302", "root.pem", EGRESS_ok, 302, 5, "" },
		{ "PORT_GOOD", "/302-http", "root.pem", EGRESS_ok, 302, 5, "" },
		{ "PORT_GOOD", "/404", "root.pem", EGRESS_ok, 404, 2, "" },
		{ "PORT_GOOD", "/500", "root.pem", EGRESS_ok, 500, 2, "" },
		{ "PORT_GOOD", "/exact", "root.pem", EGRESS_ok, 200, 256 << 10, "" },
		{ "PORT_GOOD", "/over", "root.pem", EGRESS_too_large, 0, 0, "" },
		{ "PORT_GOOD", "/said-200mb", "root.pem", EGRESS_too_large, 0, 0, "" },
		{ "PORT_GOOD", "/chunked-200mb", "root.pem", EGRESS_too_large, 0, 0, "" },
		{ "PORT_GOOD", "/headers", "root.pem", EGRESS_too_large, 0, 0, "" },
		{ "PORT_GOOD", "/cut", "root.pem", EGRESS_broken, 0, 0, "" },
		{ "PORT_GOOD", "/garbage", "root.pem", EGRESS_broken, 0, 0, "" },
		{ "PORT_GOOD", "/http09", "root.pem", EGRESS_broken, 0, 0, "" },
		{ "PORT_GOOD", "/ok", "", EGRESS_tls_failed, 0, 0, "" }, /* not in the system's store */
		{ "PORT_FOREIGN", "/ok", "root.pem", EGRESS_tls_failed, 0, 0, "" },
		{ "PORT_WRONG", "/ok", "root.pem", EGRESS_tls_failed, 0, 0, "" },
		{ "PORT_EXPIRED", "/ok", "root.pem", EGRESS_tls_failed, 0, 0, "" },
		{ "PORT_TLS11", "/ok", "root.pem", EGRESS_tls_failed, 0, 0, "" },
		{ "PORT_PLAIN", "/ok", "root.pem", EGRESS_tls_failed, 0, 0, "" },
		{ "PORT_GOOD", "/ok", "absent.pem", EGRESS_ca_refused, 0, 0, "" },
		{ "PORT_GOOD", "/ok", "link.pem", EGRESS_ca_refused, 0, 0, "" },
		{ "PORT_GOOD", "/ok", "folder.pem", EGRESS_ca_refused, 0, 0, "" },
		{ "PORT_GOOD", "/ok", "large.pem", EGRESS_ca_refused, 0, 0, "" },
		{ "PORT_GOOD", "/ok", "junk.pem", EGRESS_tls_failed, 0, 0, "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct seen *s = one(rows[i].port, rows[i].path, rows[i].ca);

		if (s->result != rows[i].result || s->status != rows[i].status || s->len != rows[i].len || strcmp(s->type, rows[i].type) != 0)
			fail_msg("%s%s %s: %s, %u, %zu bytes, %s", rows[i].port, rows[i].path, rows[i].ca, egress_result_name(s->result), s->status, s->len, s->type);
	}
}

static void redirect_is_not_followed(void **state)
{
	(void)one("PORT_GOOD", "/302", "root.pem");
	assert_string_equal(one("PORT_GOOD", "/hits/target", "root.pem")->body, "0");
}

/* Nothing of ours beyond the request itself: no cookie kept, no encoding offered, no proxy asked (the environment names one). */
static void request_is_bare(void **state)
{
	(void)one("PORT_GOOD", "/cookie", "root.pem");
	const char *body = one("PORT_GOOD", "/echo", "root.pem")->body;

	assert_ptr_equal(strstr(body, "GET /echo HTTP/1.1\r\n"), body);
	assert_null(strstr(body, "Cookie"));
	assert_null(strstr(body, "Accept-Encoding"));
	assert_null(strstr(body, "Authorization"));
	assert_true(one("PORT_GOOD", "/gzip", "root.pem")->len < 1000); /* not unpacked */
}

/* A POST of each kind: its bytes as they are, under its own content type; plain http for time-stamp queries alone. */
static void posts(void **state)
{
	static const struct {
		enum egress_type type;
		const char *scheme, *port;
		bool sent;
		const char *content_type;
	} rows[] = {
		{ EGRESS_TIMESTAMP, "https", "PORT_GOOD", true, "Content-Type: application/timestamp-query\r\n" },
		{ EGRESS_WITNESS, "https", "PORT_GOOD", true, "Content-Type: text/plain\r\n" },
		{ EGRESS_TIMESTAMP, "http", "PORT_PLAIN", true, NULL },
		{ EGRESS_WITNESS, "http", "PORT_PLAIN", false, NULL },
		{ EGRESS_GET, "https", "PORT_GOOD", false, NULL },
		{ EGRESS_DONE, "https", "PORT_GOOD", false, NULL },
	};
	static uint8_t data[EGRESS_DATA_BYTES];
	char url[128], length[64];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	snprintf(length, sizeof(length), "Content-Length: %d\r\n", EGRESS_DATA_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		seen_count = 0;
		snprintf(url, sizeof(url), "%s://localhost:%s/echo", rows[i].scheme, getenv(rows[i].port));
		assert_int_equal(egress_client_post(client, rows[i].type, 9, url, "root.pem", bytes_of(data, sizeof(data)), LIMIT_FETCH_BYTES, now_ms()), rows[i].sent);
		if (!rows[i].sent)
			continue;
		assert_true(wait_answers(1));
		assert_int_equal(seen[0].status, rows[i].content_type ? 200 : 400); /* the plain port says no, over plain http */
		if (!rows[i].content_type)
			continue;
		assert_ptr_equal(strstr(seen[0].body, "POST /echo HTTP/1.1\r\n"), seen[0].body);
		assert_non_null(strstr(seen[0].body, rows[i].content_type));
		assert_non_null(strstr(seen[0].body, length));
		assert_null(strstr(seen[0].body, "Expect"));
		assert_true(seen[0].len > sizeof(data));
		assert_memory_equal(strstr(seen[0].body, "\r\n\r\n") + 4, data, 64);
	}
	assert_false(egress_client_post(client, EGRESS_TIMESTAMP, 9, url, "", bytes_of(data, 0), 100, now_ms()));
	assert_false(egress_client_post(client, EGRESS_TIMESTAMP, 9, url, "", bytes_of(data, sizeof(data) + 1), 100, now_ms()));
	seen_count = 0;
	assert_true(egress_client_post(client, EGRESS_WITNESS, 9, url, "root.pem", bytes_of(data, 100), 50, now_ms()));
	assert_true(wait_answers(1));
	assert_int_equal(seen[0].result, EGRESS_too_large);
}

static void long_content_type_is_cut(void **state)
{
	assert_int_equal(strlen(one("PORT_GOOD", "/long-type", "root.pem")->type), EGRESS_CONTENT_TYPE_BYTES);
}

static void unreachable(void **state)
{
	seen_count = 0;
	assert_true(egress_client_get(client, 1, "https://127.0.0.1:9/", "root.pem", now_ms()));
	assert_true(egress_client_get(client, 2, "https://name.invalid/", "root.pem", now_ms()));
	assert_true(wait_answers(2));
	for (unsigned i = 0; i < 2; i++)
		assert_true(seen[i].result == (seen[i].id == 1 ? EGRESS_connect_failed : EGRESS_resolve_failed) || (seen[i].id == 2 && seen[i].result == EGRESS_timed_out));
}

/* Five seconds in all, whatever the server does; and others are answered meanwhile. */
static void slow_servers(void **state)
{
	uint64_t start = now_ms();

	seen_count = 0;
	assert_true(ask(1, "PORT_GOOD", "/slow", "root.pem"));
	assert_true(ask(2, "PORT_GOOD", "/stall", "root.pem"));
	assert_true(ask(3, "PORT_GOOD", "/ok", "root.pem"));
	assert_true(wait_answers(1));
	assert_int_equal(seen[0].id, 3);
	assert_true(now_ms() - start < 3000);
	assert_true(wait_answers(3));
	assert_int_equal(seen[1].result, EGRESS_timed_out);
	assert_int_equal(seen[2].result, EGRESS_timed_out);
	assert_true(now_ms() - start >= 4900 && now_ms() - start < 8000);
}

static void refused_at_once(void **state)
{
	static char long_url[1100];

	memcpy(long_url, "https://a/", 10);
	memset(long_url + 10, 'x', sizeof(long_url) - 11);
	assert_false(egress_client_get(client, 1, "http://localhost/", "", now_ms()));
	assert_false(egress_client_get(client, 1, "file:///etc/passwd", "", now_ms()));
	assert_false(egress_client_get(client, 1, "https://user@localhost/", "", now_ms()));
	assert_false(egress_client_get(client, 1, long_url, "", now_ms()));
	assert_false(egress_client_get(client, 1, "https://localhost/", "../secret.pem", now_ms()));
	assert_false(egress_client_get(client, 1, "https://localhost/", ".hidden", now_ms()));
	assert_false(egress_client_get(client, 1, "https://localhost/", "a/b", now_ms()));
}

/* Sixteen at once, each answered; a seventeenth and a doubled id are refused. */
static void many_at_once(void **state)
{
	seen_count = 0;
	for (uint64_t i = 1; i <= EGRESS_UNDER_WAY; i++)
		assert_true(ask(i, "PORT_GOOD", i % 2 ? "/ok" : "/exact", "root.pem"));
	assert_false(ask(99, "PORT_GOOD", "/ok", "root.pem"));
	assert_true(wait_answers(EGRESS_UNDER_WAY));
	for (unsigned i = 0; i < EGRESS_UNDER_WAY; i++)
		assert_int_equal(seen[i].result, EGRESS_ok);
	seen_count = 0;
	assert_true(ask(7, "PORT_GOOD", "/ok", "root.pem"));
	assert_false(ask(7, "PORT_GOOD", "/ok", "root.pem"));
	assert_true(wait_answers(1));
}

static void killed_mid_request(void **state)
{
	char how[OS_ERROR_BYTES];

	seen_count = 0;
	assert_true(ask(1, "PORT_GOOD", "/stall", "root.pem"));
	assert_true(ask(2, "PORT_GOOD", "/stall", "root.pem"));
	usleep(200000);
	child_signal(&child, SIGKILL);
	assert_false(wait_answers(3));
	assert_int_equal(seen_count, 2);
	assert_int_equal(seen[0].result, EGRESS_died);
	assert_int_equal(egress_client_fd(client), -1);
	assert_false(ask(3, "PORT_GOOD", "/ok", "root.pem"));
	wait_end(how);
	start_child();
	assert_int_equal(one("PORT_GOOD", "/ok", "root.pem")->result, EGRESS_ok);
}

static void stuck_child_is_given_up(void **state)
{
	seen_count = 0;
	assert_true(ask(1, "PORT_GOOD", "/stall", "root.pem"));
	assert_true(egress_client_tick(client, now_ms() + 9000));
	assert_false(egress_client_tick(client, now_ms() + 11000));
	assert_int_equal(seen[0].result, EGRESS_died);
	stop_child();
	start_child();
}

static void sandboxed(void **state)
{
	char path[64], line[256];
	bool seccomp = false, locked = false;
	FILE *f;

	assert_int_equal(one("PORT_GOOD", "/ok", "root.pem")->result, EGRESS_ok);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)child.pid);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		seccomp = seccomp || strcmp(line, "Seccomp:\t2\n") == 0;
		locked = locked || strcmp(line, "NoNewPrivs:\t1\n") == 0;
	}
	fclose(f);
	assert_true(seccomp && locked);
}

/* Whatever breaks the rules ends the child with status 2. */
static void breaches(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{ "\0\0\0\x05\x09zzzz", 9 },          /* unknown type */
		{ "\0\0\0\x05\x02zzzz", 9 },          /* an answer from control */
		{ "\0\0\0\0\x01", 5 },                /* no type */
		{ "\xff\xff\xff\xff\x01", 5 },        /* 4 GiB */
		{ "\0\0\0\x02\x01z", 6 },             /* too short */
	};
	char how[OS_ERROR_BYTES];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(send(egress_client_fd(client), rows[i].bytes, rows[i].len, 0), rows[i].len);
		wait_end(how);
		assert_string_equal(how, "exit status 2");
		assert_false(egress_client_ready(client));
		start_child();
	}
}

/* The client against a child that lies. */
static void hostile_child(void **state)
{
	uint8_t frame[512];
	static const uint8_t wrong_type[] = { 0, 0, 0, 5, 1, 0, 0, 0, 0 }, huge[] = { 0x7f, 0, 0, 0, 2 };

	for (unsigned kind = 0; kind < 6; kind++) {
		struct egress_client *c = egress_client_create(on_answer, NULL);
		struct writer w = writer_of(frame, sizeof(frame));
		struct egress_done done = { .id = 5, .result = EGRESS_ok, .http_status = 200, .body = bytes_str("x") };
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
		egress_client_attach(c, pair[0]);
		seen_count = 0;
		assert_true(egress_client_get(c, 5, "https://localhost/", "", 0));
		if (kind == 0)
			writer_bytes(&w, wrong_type, sizeof(wrong_type));
		if (kind == 1)
			writer_bytes(&w, huge, sizeof(huge));
		if (kind == 2)
			done.id = 6; /* never asked */
		if (kind == 3)
			done.result = EGRESS_died;
		if (kind == 4)
			done.result = EGRESS_tls_failed; /* and yet a body */
		if (kind >= 2)
			egress_put_done(&w, &done);
		assert_int_equal(write(pair[1], w.base, w.len), w.len);
		assert_int_equal(egress_client_ready(c), kind == 5);
		assert_int_equal(seen_count, 1);
		assert_int_equal(seen[0].result, kind == 5 ? EGRESS_ok : EGRESS_died);
		/* The same answer twice is a breach too. */
		if (kind == 5) {
			assert_int_equal(write(pair[1], w.base, w.len), w.len);
			assert_false(egress_client_ready(c));
		}
		egress_client_destroy(c);
		close(pair[1]);
	}
}

static int open_all(void **state)
{
	client = egress_client_create(on_answer, NULL);
	start_child();
	return 0;
}

static int close_all(void **state)
{
	stop_child();
	egress_client_destroy(client);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers), cmocka_unit_test(redirect_is_not_followed), cmocka_unit_test(request_is_bare), cmocka_unit_test(posts),
		cmocka_unit_test(long_content_type_is_cut),
		cmocka_unit_test(unreachable), cmocka_unit_test(slow_servers), cmocka_unit_test(refused_at_once), cmocka_unit_test(many_at_once),
		cmocka_unit_test(sandboxed), cmocka_unit_test(killed_mid_request), cmocka_unit_test(stuck_child_is_given_up), cmocka_unit_test(breaches),
		cmocka_unit_test(hostile_child),
	};

	return cmocka_run_group_tests_name("egress", tests, open_all, close_all);
}
