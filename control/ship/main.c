/* main.c: sluice-export, which carries one stream of events to one receiver.
 *
 * sluice-export --name N --state DIR --host H --port P --ca F --certificate F --key F   (started by control, the socket on descriptor 3)
 * sluice-export --asked   (started by systemd for a connection of control's, which then says the rest: asked.h)
 *
 * Control reads the journal and forms the messages (control/feeding.c); this process knows no journal, only where the receiver is and how
 * far it has confirmed. Loop: a message comes in, it goes out; every CONFIRM_MESSAGES of them, or CONFIRM_MS after the first, the
 * connection is ended in the way that confirms (link.h), the cursor is stored, and control told. While the receiver is away the process
 * waits for it; when a connection breaks it ends, is started again, and begins at its cursor: nothing is kept here that could be lost.
 * So each record arrives at least once and in order; what came twice has the same `idx`.
 * Exit status: 0 control is gone, 1 could not start, 2 breach of protocol, 3 the connection broke.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "control/ship/cursor.h"
#include "control/ship/frame.h"
#include "control/ship/link.h"
#include "platform/os/asked.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"

#define CONTROL_FD 3
#define CONFIRM_MESSAGES 10000u
#define CONFIRM_MS 2000u
#define RETRY_MS_MIN 250u
#define RETRY_MS_MAX 15000u

enum shipping_end { SHIPPING_GOES_ON = -1, SHIPPING_PARENT_GONE = 0, SHIPPING_BREACH = 2, SHIPPING_BROKEN = 3 };

struct shipping {
	struct link *link;
	const char *name;
	int state;             /* the directory of the cursor */
	uint64_t next;         /* all before it is sent */
	unsigned unconfirmed;  /* messages */
	uint64_t first_ms;     /* when the first of them was sent */
	uint8_t message[SHIP_MESSAGE_MAX];
};

struct arguments {
	const char *name, *state;
	struct link_config link;
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool read_all(uint8_t *at, size_t left)
{
	while (left) {
		ssize_t got = read(CONTROL_FD, at, left);

		if (got == 0 || (got < 0 && errno != EINTR))
			return false;
		at += got > 0 ? got : 0;
		left -= got > 0 ? (size_t)got : 0;
	}
	return true;
}

static bool say_next(uint64_t next)
{
	uint8_t room[SHIP_NEXT_BYTES];
	struct writer w = writer_of(room, sizeof(room));

	writer_be64(&w, next);
	return write(CONTROL_FD, room, sizeof(room)) == (ssize_t)sizeof(room);
}

/* Until the receiver is there. The first failure and each other reason is a line, not each try. */
static enum shipping_end connect_at_last(struct shipping *s)
{
	char err[OS_ERROR_BYTES], said[OS_ERROR_BYTES] = "";
	unsigned wait_ms = RETRY_MS_MIN;

	while (!link_connect(s->link, err)) {
		struct pollfd parent = { .fd = CONTROL_FD };

		if (strcmp(err, said) != 0)
			log_warn("stream %s: %s: it is tried again", s->name, err);
		memcpy(said, err, sizeof(said));
		if (poll(&parent, 1, (int)wait_ms) > 0)
			return SHIPPING_PARENT_GONE;
		wait_ms = wait_ms * 2 < RETRY_MS_MAX ? wait_ms * 2 : RETRY_MS_MAX;
	}
	if (said[0])
		log_info("stream %s: connected", s->name);
	return SHIPPING_GOES_ON;
}

static enum shipping_end confirm(struct shipping *s)
{
	char err[OS_ERROR_BYTES];

	if (!link_confirm(s->link, err)) {
		log_warn("stream %s: %s: all since record %llu is sent again", s->name, err, (unsigned long long)s->next);
		return SHIPPING_BROKEN;
	}
	s->unconfirmed = 0;
	if (!cursor_store(s->state, s->name, s->next)) {
		log_error("stream %s: the cursor cannot be written: see the disk's space", s->name);
		return SHIPPING_BROKEN;
	}
	return say_next(s->next) ? SHIPPING_GOES_ON : SHIPPING_PARENT_GONE;
}

static enum shipping_end ship_one(struct shipping *s)
{
	uint8_t head[SHIP_HEADER_BYTES] = { 0 };
	struct reader r = reader_of(head, sizeof(head));
	enum shipping_end end = SHIPPING_GOES_ON;
	char err[OS_ERROR_BYTES];
	uint64_t index;
	uint32_t len;
	bool last;

	if (!read_all(head, sizeof(head)))
		return SHIPPING_PARENT_GONE;
	index = reader_be64(&r);
	last = reader_u8(&r);
	len = reader_be32(&r);
	if (len == 0 || len > sizeof(s->message) || index < s->next || index == UINT64_MAX)
		return SHIPPING_BREACH;
	if (!read_all(s->message, len))
		return SHIPPING_PARENT_GONE;
	if (!link_connected(s->link))
		end = connect_at_last(s);
	if (end != SHIPPING_GOES_ON)
		return end;
	if (!link_send(s->link, bytes_of(s->message, len), err)) {
		log_warn("stream %s: %s: record %llu and what was not confirmed is sent again", s->name, err, (unsigned long long)index);
		return SHIPPING_BROKEN;
	}
	if (s->unconfirmed++ == 0)
		s->first_ms = now_ms();
	s->next = last ? index + 1 : index;
	return SHIPPING_GOES_ON;
}

static enum shipping_end serve(struct shipping *s)
{
	enum shipping_end end = say_next(s->next) ? SHIPPING_GOES_ON : SHIPPING_PARENT_GONE;

	while (end == SHIPPING_GOES_ON) {
		struct pollfd p = { .fd = CONTROL_FD, .events = POLLIN };
		uint64_t now = now_ms(), due = s->first_ms + CONFIRM_MS;
		int wait_ms = !s->unconfirmed ? -1 : due > now ? (int)(due - now) : 0;

		if (s->unconfirmed >= CONFIRM_MESSAGES || (s->unconfirmed && wait_ms == 0))
			end = confirm(s);
		else if (poll(&p, 1, wait_ms) > 0)
			end = ship_one(s);
	}
	return end;
}

/* glibc loads its name service modules at the first look-up; afterwards the sandbox is closed. */
static void warm_up(void)
{
	struct addrinfo *found = NULL;

	setenv("RES_OPTIONS", "timeout:2 attempts:2", 1);
	if (getaddrinfo("localhost", "6514", NULL, &found) == 0)
		freeaddrinfo(found);
}

static bool enter_sandbox(const char *state, char err[OS_ERROR_BYTES])
{
	static const char *const calls[] = {
		"socket", "connect", "bind", "getsockname", "getpeername", "setsockopt", "sendmmsg", "recvmmsg", "openat", "renameat", "renameat2", "rename",
		"fsync", "access", "faccessat", "faccessat2", "readlink", "getdents64", NULL,
	};
	const char *const read_below[] = { "/etc", "/usr/lib", "/lib", "/run/systemd/resolve", "/proc/sys", "/dev/urandom", NULL };
	const char *const write_below[] = { state, NULL };
	struct rlimit files = { 64, 64 };

	setrlimit(RLIMIT_NOFILE, &files);
	return sandbox_enter(read_below, write_below, calls, err);
}

static bool arguments_read(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' }, { "state", required_argument, NULL, 's' }, { "host", required_argument, NULL, 'h' },
		{ "port", required_argument, NULL, 'p' }, { "ca", required_argument, NULL, 'a' }, { "certificate", required_argument, NULL, 'c' },
		{ "key", required_argument, NULL, 'k' }, { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		const char **to = option == 'n' ? &a->name : option == 's' ? &a->state : option == 'h' ? &a->link.host : option == 'p' ? &a->link.port :
				  option == 'a' ? &a->link.ca : option == 'c' ? &a->link.certificate : option == 'k' ? &a->link.key : NULL;

		if (!to)
			return false;
		*to = optarg;
	}
	return optind == argc && a->name && strlen(a->name) < 64 && !strchr(a->name, '/') && a->state && a->link.host && a->link.port && a->link.ca &&
	       a->link.certificate && a->link.key;
}

int main(int argc, char **argv)
{
	static struct shipping s;
	struct arguments a = { .link = { .parent = CONTROL_FD } };
	char err[OS_ERROR_BYTES] = "";
	enum shipping_end end;

	log_open("sluice-export", LOG_LEVEL_INFO);
	if (!asked_arguments(&argc, &argv) || !arguments_read(argc, argv, &a)) {
		log_error("usage: --name, --state, --host, --port, --ca, --certificate and --key are wanted: it is started by sluice-control");
		return 1;
	}
	s.name = a.name;
	s.state = open(a.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s.state < 0 || !cursor_load(s.state, s.name, &s.next)) {
		log_error("start: %s/%s.next: cannot be read, or says no number: see the directory", a.state, a.name);
		return 1;
	}
	warm_up();
	s.link = link_create(&a.link, err);
	if (!s.link || !priv_harden(err) || !enter_sandbox(a.state, err)) {
		log_error("start: stream %s: %s", s.name, err);
		return 1;
	}
	end = serve(&s);
	if (end == SHIPPING_BREACH)
		log_error("frame from control breaks the protocol: ending");
	_exit((int)end);
}
