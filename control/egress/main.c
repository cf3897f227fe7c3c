/* main.c: sluice-egress, the process that talks to the outside for control.
 *
 * sluice-egress --ca-dir DIR     (started by control, with the stream socket on descriptor 3)
 * sluice-egress --asked          (started by systemd for a connection of control's, which then says the rest: asked.h)
 *
 * Start: open what needs opening, load what libraries load late (name service modules), give everything up, sandbox.
 * Loop: frames in, requests out, answers back, until descriptor 3 ends. A frame that breaks the rules of wire.h ends the
 * process: control starts another, and what was under way has failed.
 * Exit status: 0 control is gone, 1 could not start, 2 breach of protocol.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/egress/fetcher.h"
#include "platform/os/asked.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"

#define CONTROL_FD 3
#define TURN_MS 1000

/* The sanitizers map terabytes of address space; without them a run-away library ends at this size. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_BYTES RLIM_INFINITY
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_BYTES RLIM_INFINITY
#endif
#endif
#ifndef MEMORY_BYTES
#define MEMORY_BYTES (512u << 20)
#endif

struct link {
	struct fetcher *fetcher;
	uint8_t in[4 * EGRESS_FRAME_REQUEST_BYTES];
	size_t in_len;
	uint8_t out[EGRESS_FRAME_DONE_BYTES];
	size_t out_len, out_sent;
};

enum link_status { LINK_OPEN, LINK_ENDED, LINK_BREACH };

static enum link_status take_frames(struct link *l)
{
	for (;;) {
		struct egress_request request;
		size_t frame_bytes;

		switch (egress_parse_request(bytes_of(l->in, l->in_len), &request, &frame_bytes)) {
		case PARSE_MORE:
			return LINK_OPEN;
		case PARSE_BAD:
			return LINK_BREACH;
		case PARSE_OK:
			fetcher_start(l->fetcher, &request);
			l->in_len -= frame_bytes;
			memmove(l->in, l->in + frame_bytes, l->in_len);
		}
	}
}

static enum link_status receive(struct link *l)
{
	ssize_t got = read(CONTROL_FD, l->in + l->in_len, sizeof(l->in) - l->in_len);

	if (got == 0)
		return LINK_ENDED;
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? LINK_OPEN : LINK_ENDED;
	l->in_len += (size_t)got;
	return take_frames(l);
}

/* One answer at a time is encoded; while it waits for room in the socket, the finished ones wait in their slots. */
static enum link_status send_answers(struct link *l)
{
	struct egress_done done;

	for (;;) {
		ssize_t sent;

		if (l->out_sent == l->out_len) {
			struct writer w = writer_of(l->out, sizeof(l->out));

			if (!fetcher_done(l->fetcher, &done))
				return LINK_OPEN;
			egress_put_done(&w, &done);
			fetcher_release(l->fetcher);
			if (!w.ok)
				return LINK_BREACH;
			l->out_len = w.len;
			l->out_sent = 0;
		}
		sent = write(CONTROL_FD, l->out + l->out_sent, l->out_len - l->out_sent);
		if (sent < 0)
			return errno == EAGAIN || errno == EINTR ? LINK_OPEN : LINK_ENDED;
		l->out_sent += (size_t)sent;
	}
}

static enum link_status serve(struct link *l)
{
	enum link_status status = LINK_OPEN;

	while (status == LINK_OPEN) {
		fetcher_turn(l->fetcher, CONTROL_FD, (short)(POLLIN | (l->out_sent < l->out_len ? POLLOUT : 0)), TURN_MS);
		status = receive(l);
		if (status == LINK_OPEN)
			status = send_answers(l);
	}
	return status;
}

/* glibc loads its name service modules at the first look-up; afterwards the sandbox is closed. Time limits for the
 * resolver itself, so that a dead name server does not hold a thread for longer than a request may last. */
static void warm_up(void)
{
	struct addrinfo *found = NULL;

	setenv("RES_OPTIONS", "timeout:2 attempts:1", 1);
	if (getaddrinfo("localhost", "443", NULL, &found) == 0)
		freeaddrinfo(found);
}

static bool enter_sandbox(const char *ca_dir, char err[OS_ERROR_BYTES])
{
	static const char *const calls[] = {
		"socket", "connect", "bind", "getsockname", "getpeername", "setsockopt", "sendmmsg", "recvmmsg", "socketpair", "pipe2", "eventfd2",
		"openat", "open", "access", "faccessat", "faccessat2", "readlink", "getdents64", "clone", "getcwd", NULL,
	};
	const char *const read_below[] = { ca_dir, "/etc", "/usr/lib", "/lib", "/usr/share", "/run/systemd/resolve", "/proc/sys", "/dev/urandom", NULL };
	static const char *const write_below[] = { NULL };
	struct rlimit files = { 128, 128 }, memory = { MEMORY_BYTES, MEMORY_BYTES };

	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_DATA, &memory);
	return sandbox_enter(read_below, write_below, calls, err);
}

static const char *ca_dir_of(int argc, char **argv)
{
	static const struct option options[] = { { "ca-dir", required_argument, NULL, 'c' }, { NULL, 0, NULL, 0 } };
	const char *dir = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (option == 'c')
			dir = optarg;
		else
			return NULL;
	return optind == argc ? dir : NULL;
}

int main(int argc, char **argv)
{
	static struct link link;
	const char *ca_dir;
	char err[OS_ERROR_BYTES];
	enum link_status status;
	int dir;

	log_open("sluice-egress", LOG_LEVEL_INFO);
	ca_dir = asked_arguments(&argc, &argv) ? ca_dir_of(argc, argv) : NULL;
	if (!ca_dir) {
		log_error("usage: --ca-dir DIR is wanted: it is started by sluice-control");
		return 1;
	}
	dir = open(ca_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fcntl(CONTROL_FD, F_SETFL, O_NONBLOCK) < 0) {
		log_error("start: %s: CA directory %s or descriptor 3 is missing", strerror(errno), ca_dir);
		return 1;
	}
	warm_up();
	link.fetcher = fetcher_create(dir);
	if (!link.fetcher || !priv_harden(err) || !enter_sandbox(ca_dir, err)) {
		log_error("start: %s", link.fetcher ? err : "libcurl could not start");
		return 1;
	}
	status = serve(&link);
	if (status == LINK_BREACH)
		log_error("frame from control breaks the protocol: ending");
	_exit(status == LINK_BREACH ? 2 : 0);
}
