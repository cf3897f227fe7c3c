/* Connections as a load: each is opened, carries 64 bytes there and 64 back, and is closed by the server, then by the client.
 *
 *	connections serve ADDRESS PORT
 *	connections load ADDRESS PORT SECONDS IN_FLIGHT     prints how many were completed a second, and failed, as JSON
 *
 * One thread each, epoll. The client waits for each step of a connection by its own events and begins another one when it ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 64
#define EVENTS 256

static int poll_set;
static struct sockaddr_in there = { .sin_family = AF_INET };
static unsigned long completed, failed;

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool done, const char *what)
{
	if (done)
		return;
	fprintf(stderr, "connections: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void watch(int operation, int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	must(epoll_ctl(poll_set, operation, fd, &e) == 0, "epoll");
}

static void no_delay(int fd)
{
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
}

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		no_delay(fd);
		watch(EPOLL_CTL_ADD, fd, EPOLLIN);
	}
}

/* A request is one segment: what is shorter is no client of ours. */
static void reply(int fd)
{
	char message[MESSAGE_BYTES];

	if (recv(fd, message, sizeof message, 0) == sizeof message)
		(void)!send(fd, message, sizeof message, MSG_NOSIGNAL);
	close(fd);
}

_Noreturn static void serve(void)
{
	struct epoll_event event[EVENTS];
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	must(listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) == 0 &&
	     bind(listener, (struct sockaddr *)&there, sizeof there) == 0 && listen(listener, 4096) == 0, "listen");
	watch(EPOLL_CTL_ADD, listener, EPOLLIN);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(poll_set, event, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (event[i].data.fd == listener)
				accept_all(listener);
			else
				reply(event[i].data.fd);
		}
	}
}

static void begin(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	must(fd >= 0, "socket");
	no_delay(fd);
	if (connect(fd, (struct sockaddr *)&there, sizeof there) != 0 && errno != EINPROGRESS) {
		must(errno == EADDRNOTAVAIL, "connect"); /* all ports are in use: another one ends soon */
		close(fd);
		failed++;
		return;
	}
	watch(EPOLL_CTL_ADD, fd, EPOLLOUT);
}

/* True when the connection is over. */
static bool step(const struct epoll_event *e)
{
	static const char message[MESSAGE_BYTES];
	char room[MESSAGE_BYTES + 1];
	int fd = e->data.fd;

	if (e->events & EPOLLOUT) {
		if (send(fd, message, sizeof message, MSG_NOSIGNAL) == sizeof message) {
			watch(EPOLL_CTL_MOD, fd, EPOLLIN);
			return false;
		}
		failed++;
	} else if (recv(fd, room, sizeof room, 0) == MESSAGE_BYTES) {
		completed++;
	} else {
		failed++;
	}
	close(fd);
	return true;
}

static int load(double length, unsigned in_flight)
{
	struct epoll_event event[EVENTS];
	double from = seconds(), now = from;

	for (unsigned i = 0; i < in_flight; i++)
		begin();
	while ((now = seconds()) - from < length) {
		int count = epoll_wait(poll_set, event, EVENTS, 100);

		for (int i = 0; i < count; i++)
			if (step(&event[i]))
				begin();
	}
	printf("{\"per_second\": %.0f, \"completed\": %lu, \"failed\": %lu}\n", (double)completed / (now - from), completed, failed);
	return completed ? 0 : 1;
}

int main(int argc, char **argv)
{
	bool serves = argc == 4 && !strcmp(argv[1], "serve"), loads = argc == 6 && !strcmp(argv[1], "load");

	if ((!serves && !loads) || inet_pton(AF_INET, argv[2], &there.sin_addr) != 1) {
		fprintf(stderr, "usage: connections serve ADDRESS PORT | load ADDRESS PORT SECONDS IN_FLIGHT\n");
		return 2;
	}
	there.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	poll_set = epoll_create1(EPOLL_CLOEXEC);
	must(poll_set >= 0, "epoll");
	if (serves)
		serve();
	return load(strtod(argv[4], NULL), (unsigned)strtoul(argv[5], NULL, 10));
}
