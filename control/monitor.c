/* monitor.c: the part of sluice-control that keeps its privileges: makes the directories, starts the core and the helpers, each as
 * its own user, and hands the core its end of each helper's socket.
 *
 * Where SLUICE_HELPERS names a directory (the systemd unit does, which has no network), helpers that go out are not started here but asked
 * for at the sockets there: other units start them (asked.h).
 * It reads nothing from anybody but the core, and of the core only numbers of helpers to start again. A helper that ends is
 * started again, ever more slowly; when the core ends, so does everything. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "control/node.h"
#include "platform/os/child.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"

#define PATH_BYTES 320
#define HELPERS_MAX (HELPER_count + SETTINGS_STREAMS)
#define SIGNER_INIT 9 /* the place of --init in its arguments */
#define CORE_END_MS 10000 /* for the core to write what it has */

const char *const helper_names[HELPER_count] = { "sluice-signer", "sluice-egress", "sluice-sqlparse" };

static const char *name_of(unsigned h)
{
	return h < HELPER_count ? helper_names[h] : "sluice-export";
}

struct monitor {
	struct settings *settings;
	struct child helper[HELPERS_MAX]; /* HELPER_count of them, then one for each stream */
	unsigned helpers;
	char program[HELPERS_MAX][PATH_BYTES], at[HELPERS_MAX][PATH_BYTES], keys[PATH_BYTES], state[PATH_BYTES], token[PATH_BYTES], streams[PATH_BYTES], port[SETTINGS_STREAMS][8];
	pid_t core;
	int channel, signals;
	bool ending;
};

static uint64_t mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- directories --------------------------------------------------------------------------------------------------------- */

static bool directory(const char *base, const char *name, const char *user, gid_t gid, bool own_group, unsigned mode, char *err)
{
	char path[PATH_BYTES];
	struct priv_user owner;

	snprintf(path, sizeof(path), "%s%s%s", base, name[0] ? "/" : "", name);
	return priv_user_find(user, &owner, err) && priv_directory(path, &owner, own_group ? owner.gid : gid, mode, err);
}

static bool directories(struct monitor *m, char err[OS_ERROR_BYTES])
{
	const struct settings *s = m->settings;
	gid_t group;

	if (!priv_group_find(s->users.group, &group, err))
		return false;
	/* Set-group-id: what any process of the node makes in the run directory belongs to the node's group. */
	if (!directory(s->run_dir, "", s->users.control, group, false, 02770, err) ||
	    !directory(s->state_dir, "", s->users.control, group, false, 0751, err) ||
	    !directory(s->state_dir, "journal", s->users.control, group, true, 0700, err) ||
	    !directory(s->state_dir, "payload-keys", s->users.control, group, true, 0700, err) ||
	    /* The group may see whether the signer has a state, and nothing more: so may a monitor without capabilities. */
	    !directory(s->state_dir, "signer", s->users.signer, group, false, 0710, err))
		return false;
	if (s->stream_count && !directory(s->state_dir, "export", s->users.export, group, true, 0700, err))
		return false;
	/* The authority's key is the starter's alone; only its certificate is for others. */
	return directory(s->state_dir, "keys", NULL, group, false, 0700, err);
}

/* --- helpers ------------------------------------------------------------------------------------------------------------- */

static void stream_describe(struct monitor *m, unsigned i)
{
	const struct settings_stream *s = &m->settings->stream[i];
	struct child *c = &m->helper[HELPER_count + i];
	const char *const argv[] = { "sluice-export", "--name", s->name, "--state", m->streams, "--host", s->host, "--port", m->port[i], "--ca", s->ca,
				     "--certificate", s->certificate, "--key", s->key, NULL };

	_Static_assert(sizeof(argv) <= sizeof(c->argv), "a child has room for these arguments");
	snprintf(m->port[i], sizeof(m->port[i]), "%u", s->port);
	memcpy(c->argv, argv, sizeof(argv));
	c->user = m->settings->users.export;
}

static bool goes_out(unsigned h)
{
	return h == HELPER_EGRESS || h >= HELPER_count;
}

static void helpers_describe(struct monitor *m)
{
	const char *sockets = getenv("SLUICE_HELPERS");
	const struct settings *s = m->settings;
	struct stat at;

	m->helpers = HELPER_count + s->stream_count;
	for (unsigned h = 0; h < m->helpers; h++) {
		snprintf(m->program[h], PATH_BYTES, "%s/%s", s->libexec, name_of(h));
		m->helper[h] = (struct child){ .program = m->program[h], .argv = { name_of(h) }, .socket = CHILD_STREAM, .pidfd = -1 };
		snprintf(m->at[h], PATH_BYTES, "%s/%s.sock", sockets ? sockets : "", name_of(h));
		m->helper[h].at = sockets && goes_out(h) ? m->at[h] : NULL;
	}
	snprintf(m->keys, PATH_BYTES, "%s/signer", s->state_dir);
	snprintf(m->state, PATH_BYTES, "%s/signer/state", s->state_dir);
	snprintf(m->token, PATH_BYTES, "%s/sluice-token", s->libexec);
	m->helper[HELPER_SIGNER].socket = CHILD_SEQPACKET;
	m->helper[HELPER_SIGNER].user = s->users.signer;
	m->helper[HELPER_EGRESS].user = s->users.egress;
	m->helper[HELPER_SQLPARSE].user = s->users.sqlparse;
	{
		const char *const argv[] = { "sluice-signer", "--origin", s->origin, "--keys", m->keys, "--state", m->state, "--token", m->token,
					     stat(m->state, &at) < 0 ? "--init" : NULL, NULL };

		memcpy(m->helper[HELPER_SIGNER].argv, argv, sizeof(argv));
	}
	m->helper[HELPER_EGRESS].argv[1] = "--ca-dir";
	m->helper[HELPER_EGRESS].argv[2] = s->egress_ca;
	snprintf(m->streams, PATH_BYTES, "%s/export", s->state_dir);
	for (unsigned i = 0; i < s->stream_count; i++)
		stream_describe(m, i);
}

/* Gives the core one end of a helper's socket. */
static bool hand_over(struct monitor *m, unsigned h, int fd)
{
	uint8_t number = (uint8_t)h;
	struct iovec io = { .iov_base = &number, .iov_len = 1 };
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	ssize_t sent;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	sent = sendmsg(m->channel, &message, MSG_NOSIGNAL);
	close(fd);
	return sent == 1;
}

static void helper_start(struct monitor *m, unsigned h)
{
	char err[OS_ERROR_BYTES];
	struct stat at;
	int fd;

	if (h == HELPER_SIGNER && stat(m->state, &at) == 0)
		m->helper[h].argv[SIGNER_INIT] = NULL; /* --init is for the first start alone */
	if (!child_start(&m->helper[h], mono_ms(), &fd, err))
		log_error("%s: cannot be started: %s", name_of(h), err);
	else if (!hand_over(m, h, fd))
		child_signal(&m->helper[h], SIGKILL);
}

static void helpers_look(struct monitor *m)
{
	char how[OS_ERROR_BYTES];

	for (unsigned h = 0; h < m->helpers; h++) {
		struct child *c = &m->helper[h];

		if (c->pidfd >= 0 && child_reap(c, mono_ms(), how) && !m->ending)
			log_warn("%s: ended: %s: starting it again", name_of(h), how);
		if (c->pidfd < 0 && !m->ending && child_due(c, mono_ms()) == 0)
			helper_start(m, h);
	}
}

static int wait_ms(const struct monitor *m)
{
	uint64_t least = 1000;

	for (unsigned h = 0; h < m->helpers; h++) {
		uint64_t due = child_due(&m->helper[h], mono_ms());

		if (m->helper[h].pidfd < 0 && due < least)
			least = due;
	}
	return (int)least;
}

/* --- the core ------------------------------------------------------------------------------------------------------------ */

static bool core_start(struct monitor *m, char err[OS_ERROR_BYTES])
{
	int pair[2];
	pid_t monitor = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		snprintf(err, OS_ERROR_BYTES, "channel: %.60s: raise the limit of open files", strerror(errno));
		return false;
	}
	m->core = fork();
	if (m->core == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != monitor)
			_exit(1);
		close(pair[0]);
		close(m->signals);
		_exit(core_run(m->settings, pair[1]));
	}
	close(pair[1]);
	m->channel = pair[0];
	return m->core > 0;
}

static void on_signal(struct monitor *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			kill(m->core, SIGHUP);
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) {
			m->ending = true;
			kill(m->core, SIGTERM);
		}
	}
}

/* The core asks for a helper to be started again: it is stuck, or broke its protocol. */
static void on_channel(struct monitor *m)
{
	uint8_t number;

	while (recv(m->channel, &number, 1, MSG_DONTWAIT) == 1) {
		if (number < m->helpers)
			child_signal(&m->helper[number], SIGKILL);
	}
}

/* Ends the helpers and waits for them; the core has ended. */
static void helpers_end(struct monitor *m)
{
	char how[OS_ERROR_BYTES];

	m->ending = true;
	for (unsigned h = 0; h < m->helpers; h++)
		child_signal(&m->helper[h], SIGKILL);
	for (unsigned h = 0; h < m->helpers; h++) {
		struct pollfd p = { .fd = m->helper[h].pidfd, .events = child_events(&m->helper[h]) };

		if (p.fd >= 0 && poll(&p, 1, 2000) == 1)
			(void)child_reap(&m->helper[h], mono_ms(), how);
	}
}

static bool signals_take(struct monitor *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGPIPE);
	m->signals = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
	return m->signals >= 0;
}

int monitor_run(struct settings *settings)
{
	struct monitor m = { .settings = settings };
	char err[OS_ERROR_BYTES] = "cannot start: check the system";
	uint64_t end_ms = 0;
	int status = 0;

	helpers_describe(&m);
	if (!signals_take(&m) || !directories(&m, err) || !core_start(&m, err)) {
		log_error("%s", err);
		return 1;
	}
	while (waitpid(m.core, &status, WNOHANG) == 0) {
		struct pollfd fds[2 + HELPERS_MAX] = { { .fd = m.signals, .events = POLLIN }, { .fd = m.channel, .events = POLLIN } };

		for (unsigned h = 0; h < m.helpers; h++)
			fds[2 + h] = (struct pollfd){ .fd = m.helper[h].pidfd, .events = child_events(&m.helper[h]) };
		if (!m.ending)
			helpers_look(&m);
		poll(fds, 2 + m.helpers, wait_ms(&m));
		on_signal(&m);
		on_channel(&m);
		if (m.ending && !end_ms)
			end_ms = mono_ms() + CORE_END_MS;
		if (end_ms && mono_ms() > end_ms)
			kill(m.core, SIGKILL);
	}
	helpers_end(&m);
	if (WIFSIGNALED(status))
		log_error("core: ended by signal %d: start again", WTERMSIG(status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
