/* run.c: sluice run: control and data plane in the foreground.
 *
 * Both write their own lines, each with its name in front. Control is started again when it dies: the rings and the journal carry
 * everything over. When the data plane dies its connections are gone whatever happens, so it is started again too; until then
 * sluice-standby bridges what no service names. SIGINT and
 * SIGTERM end the data plane first, so that its last events are still recorded, then control. SIGHUP goes to control. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "control/cli/cli.h"
#include "platform/os/child.h"
#include "platform/os/log.h"
#include "platform/os/settings.h"

#define END_MS 15000

enum part { PART_CONTROL, PART_STANDBY, PART_DATAPLANE, PART_count };

struct running {
	struct child child[PART_count];
	char program[PART_count][PATH_MAX + 64];
	int signals;
	bool ending;
};

static const char *const names[PART_count] = { "sluice-control", "sluice-standby", "sluice-dataplane" };

static uint64_t mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* Beside this program, in ../sbin, in ../dataplane or .. of a build directory, or in /usr/sbin. */
static bool program_find(enum part part, char *out, size_t size)
{
	static const char *const places[PART_count][4] = {
		{ "/../sbin/", "/../", "/", NULL }, { "/../sbin/", "/../../dataplane/standby/", "/", NULL }, { "/../sbin/", "/../../dataplane/", "/", NULL },
	};
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *dir;

	if (len <= 0)
		return false;
	self[len] = 0;
	dir = dirname(self);
	for (unsigned i = 0; places[part][i]; i++) {
		snprintf(out, size, "%s%s%s", dir, places[part][i], names[part]);
		if (access(out, X_OK) == 0)
			return true;
	}
	snprintf(out, size, "/usr/sbin/%s", names[part]);
	return access(out, X_OK) == 0;
}

static void look(struct running *r)
{
	char how[OS_ERROR_BYTES], err[OS_ERROR_BYTES];

	for (unsigned i = 0; i < PART_count; i++) {
		struct child *c = &r->child[i];

		if (c->pidfd >= 0 && child_reap(c, mono_ms(), how) && !r->ending)
			log_warn("%s: ended: %s: starting it again", names[i], how);
		if (c->pidfd < 0 && !r->ending && child_due(c, mono_ms()) == 0 && !child_start(c, mono_ms(), NULL, err))
			log_error("%s: cannot be started: %s", names[i], err);
	}
}

/* Sleeps until a child ends or a signal comes. */
static void wait_for_something(struct running *r, int wait_ms)
{
	struct pollfd fds[PART_count + 1];
	struct signalfd_siginfo info;

	for (unsigned i = 0; i < PART_count; i++)
		fds[i] = (struct pollfd){ .fd = r->child[i].pidfd, .events = POLLIN };
	fds[PART_count] = (struct pollfd){ .fd = r->signals, .events = POLLIN };
	poll(fds, PART_count + 1, wait_ms);
	while (read(r->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			child_signal(&r->child[PART_CONTROL], SIGHUP);
		else if (info.ssi_signo != SIGCHLD)
			r->ending = true;
	}
}

static void end_one(struct running *r, enum part part)
{
	struct child *c = &r->child[part];
	uint64_t end = mono_ms() + END_MS;
	char how[OS_ERROR_BYTES];

	child_signal(c, SIGTERM);
	while (c->pidfd >= 0 && mono_ms() < end && !child_reap(c, mono_ms(), how))
		wait_for_something(r, 100);
	if (c->pidfd >= 0) {
		log_error("%s: does not end: killed", names[part]);
		child_signal(c, SIGKILL);
		while (!child_reap(c, mono_ms(), how))
			wait_for_something(r, 100);
	}
}

static bool signals_take(struct running *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	r->signals = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC) : -1;
	return r->signals >= 0;
}

/* A process that bridges while the data plane is down can only read ports that the kernel drives. */
static bool can_stand_by(const struct settings *s)
{
	char interface[64];

	for (unsigned i = 0; i < SETTINGS_PORTS; i++)
		if (!s->dataplane.port[i] || !settings_interface(s->dataplane.port[i], interface, sizeof(interface)))
			return false;
	return s->dataplane.standby;
}

int cli_run(struct cli *c)
{
	struct running r = { 0 };

	if (!cli_settings(c))
		return FRAME_USAGE;
	log_open("sluice", LOG_LEVEL_INFO);
	for (unsigned i = 0; i < PART_count; i++) {
		r.child[i] = (struct child){ .pidfd = -1, .due_ms = UINT64_MAX };
		/* A node without wire ports in its file is control alone. */
		if (i != PART_CONTROL && !c->settings->dataplane.port[0])
			continue;
		if (i == PART_STANDBY && !can_stand_by(c->settings))
			continue;
		if (!program_find((enum part)i, r.program[i], sizeof(r.program[i])))
			return cli_fail(c, FRAME_REFUSED, "%s: not found beside this program or in /usr/sbin: install it", names[i]);
		r.child[i] = (struct child){ .program = r.program[i], .argv = { names[i], "-c", c->config }, .pidfd = -1, .keep_environment = true };
	}
	if (!c->settings->dataplane.port[0])
		log_warn("no wire ports in %s: control runs alone", c->config);
	if (!signals_take(&r))
		return cli_fail(c, FRAME_REFUSED, "run: %s: check the system", strerror(errno));
	while (!r.ending) {
		look(&r);
		wait_for_something(&r, 200);
	}
	log_info("ending");
	end_one(&r, PART_DATAPLANE);
	end_one(&r, PART_CONTROL);
	end_one(&r, PART_STANDBY);
	return FRAME_DONE;
}
