/* sluice-standby: keeps the wire alive while there is no data plane.
 *
 * It watches the worker that claimed the wire (life.h). While that lives it does nothing. When it dies, however it dies,
 * frames that no service names are bridged from here within a millisecond or so; guarded services stay closed: their packets are
 * dropped, so that a client's retransmission finds the next data plane. That one claims the wire before it reads its first
 * frame, and this process yields and watches again.
 *
 * What is guarded is what the dead data plane had in force: its page names the policy image, which is loaded here beforehand.
 * Starts as root for the two packet sockets, then has no privileges. One thread. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/relay/passing.h"
#include "dataplane/standby/life.h"
#include "dataplane/standby/wire.h"
#include "platform/contract/page.h"
#include "platform/os/arguments.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"
#include "platform/os/settings.h"
#include "platform/os/shm.h"

#define INTERFACE_BYTES 32
#define LOOK_MS 50    /* for a new claimant and a new policy */
#define YIELD_MS 1    /* for a claim, while bridging */
#define BURSTS 64     /* between two looks at the claim */

struct standby {
	struct settings *settings;
	struct wire *wire;
	struct page_standby *page;
	struct bytes worker; /* the data plane's page, mapped while it is there */
	/* The policy. */
	char file[64];
	void *memory;
	const struct policy_image *image;
	struct guard guard;
	struct wire_count count;
};

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
	ending = 1;
}

static uint64_t mono_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- Policy -------------------------------------------------------------------------------------------------------------- */

static const struct page_worker *worker_page(struct standby *s)
{
	char err[OS_ERROR_BYTES];

	/* Mapped anew each time: a new version of the data plane replaces the file. */
	if (s->worker.base)
		shm_unmap((void *)(uintptr_t)s->worker.base, s->worker.len);
	s->worker = shm_map(s->settings->run_dir, "worker-0", 1u << 20, err);
	return page_worker_open(s->worker.base, s->worker.len);
}

/* A copy of the image, checked: the file belongs to another process. */
static bool policy_load(struct standby *s, const char *file, char err[OS_ERROR_BYTES])
{
	struct bytes mapped = shm_map(s->settings->run_dir, file, LIMIT_POLICY_IMAGE_BYTES, err);
	void *memory = mapped.base ? aligned_alloc(64, (mapped.len + 63) & ~(size_t)63) : NULL;
	const struct policy_image *image = NULL;

	if (memory) {
		memcpy(memory, mapped.base, mapped.len);
		image = policy_image_open(memory, mapped.len, err, OS_ERROR_BYTES);
	}
	if (mapped.base)
		shm_unmap((void *)(uintptr_t)mapped.base, mapped.len);
	if (!image) {
		free(memory);
		return false;
	}
	free(s->memory);
	s->memory = memory;
	s->image = image;
	guard_fill(&s->guard, image);
	return true;
}

/* The policy that the data plane has in force, once it changed. One that cannot be read leaves the one before. */
static void policy_look(struct standby *s)
{
	const struct page_worker *page = worker_page(s);
	char file[sizeof s->file], err[OS_ERROR_BYTES] = "not a file of the run directory";

	if (!page)
		return;
	memcpy(file, page->policy_file, sizeof file);
	file[sizeof file - 1] = 0;
	if (file[0] == 0 || strcmp(file, s->file) == 0)
		return;
	memcpy(s->file, file, sizeof s->file);
	if (strncmp(file, "policy-", 7) != 0 || !policy_load(s, file, err))
		log_warn("policy image %s: %s: the one before stays", file, err);
}

static bool may_pass(void *context, struct bytes frame)
{
	const struct standby *s = context;
	const struct passing_rules rules = {
		.image = s->image, .guard = &s->guard, .unnamed_pass = s->settings->dataplane.unnamed_port == SETTINGS_UNNAMED_PASS,
		.tunnels_pass = s->settings->dataplane.tunnels == SETTINGS_TUNNELS_PASS,
		.double_tags_drop = s->settings->dataplane.double_tags == SETTINGS_DOUBLE_TAGS_DROP,
	};

	return passing_alone(&rules, frame).what == PASSING_BRIDGE;
}

/* --- The wire ------------------------------------------------------------------------------------------------------------ */

static bool claimed(const struct standby *s)
{
	return atomic_load(&s->page->claims) != atomic_load(&s->page->yielded);
}

static void publish_counts(struct standby *s)
{
	s->page->bridged = s->count.bridged;
	s->page->dropped = s->count.dropped;
	s->page->unsent = s->count.unsent;
}

/* Until a data plane claims the wire, or this process is told to end. */
static void bridge(struct standby *s)
{
	unsigned rounds = 0;

	if (!wire_arm(s->wire))
		log_error("the packet sockets cannot be opened up: nothing is bridged");
	atomic_store(&s->page->state, PAGE_STANDBY_BRIDGING);
	s->page->up_mono_us = mono_us();
	s->page->takeovers++;
	log_warn("the data plane is down: bridging what no service names, guarded services are closed");
	while (!claimed(s) && !ending) {
		struct pollfd fds[WIRE_PORTS] = { { .fd = wire_fd(s->wire, 0), .events = POLLIN }, { .fd = wire_fd(s->wire, 1), .events = POLLIN } };

		if (poll(fds, WIRE_PORTS, YIELD_MS) > 0) {
			for (unsigned i = 0, came = 1; came && i < BURSTS; i++)
				came = wire_forward(s->wire, 0, may_pass, s, &s->count) + wire_forward(s->wire, 1, may_pass, s, &s->count);
			publish_counts(s);
		}
		if (++rounds % (LOOK_MS / YIELD_MS) == 0)
			policy_look(s);
	}
	/* The new data plane receives by now: what still lies here came before, and goes out before it is told to begin. */
	wire_disarm(s->wire);
	while (wire_forward(s->wire, 0, may_pass, s, &s->count) + wire_forward(s->wire, 1, may_pass, s, &s->count) > 0)
		;
	publish_counts(s);
	log_info("bridged %llu frames, dropped %llu", (unsigned long long)s->count.bridged, (unsigned long long)s->count.dropped);
}

/* Until the worker has ended. Returns at once when there is none. */
static void watch(struct standby *s)
{
	while (!ending && !claimed(s) && !life_watch(s->page, LOOK_MS))
		policy_look(s);
}

static void run(struct standby *s)
{
	while (!ending) {
		uint32_t claims = atomic_load(&s->page->claims);

		atomic_store(&s->page->state, PAGE_STANDBY_WATCHING);
		atomic_store(&s->page->yielded, claims);
		policy_look(s);
		watch(s);
		s->page->down_mono_us = mono_us();
		if (!ending && !claimed(s))
			bridge(s);
	}
	atomic_store(&s->page->state, PAGE_STANDBY_ABSENT);
	atomic_store(&s->page->pid, 0);
}

/* --- Start --------------------------------------------------------------------------------------------------------------- */

/* Whether sluice.conf has a standby, and ports that it can read; `name` are their interfaces. */
static bool configured(const struct standby *s, char name[WIRE_PORTS][INTERFACE_BYTES], char err[OS_ERROR_BYTES])
{
	if (!s->settings->dataplane.standby) {
		snprintf(err, OS_ERROR_BYTES, "sluice.conf: dataplane.standby is \"off\": nobody stands by: disable sluice-standby.service");
		return false;
	}
	for (unsigned i = 0; i < WIRE_PORTS; i++) {
		const char *device = s->settings->dataplane.port[i];

		if (device && settings_interface(device, name[i], INTERFACE_BYTES))
			continue;
		snprintf(err, OS_ERROR_BYTES, "port %.60s: no interface of the kernel: only net_af_packet and net_af_xdp can be stood in for; use a bypass NIC",
			 device ? device : "(none)");
		return false;
	}
	return true;
}

static bool start(struct standby *s, char name[WIRE_PORTS][INTERFACE_BYTES], char err[OS_ERROR_BYTES])
{
	static const char *const calls[] = { "openat", "setsockopt", "recvmmsg", "sendmmsg", NULL };
	const char *const interface[WIRE_PORTS] = { name[0], name[1] }, *const read[] = { s->settings->run_dir, NULL }, *const write[] = { NULL };
	const char *run_dir = s->settings->run_dir;

	s->page = shm_open_or_make(run_dir, "standby", sizeof *s->page, 0660, err);
	s->wire = s->page ? wire_open(interface, err) : NULL;
	if (s->page && !life_prepare(s->page)) {
		snprintf(err, OS_ERROR_BYTES, "%.120s/standby: half made or of another version: remove it", run_dir);
		return false;
	}
	if (!s->wire || !priv_drop(s->settings->users.dataplane, err) || !priv_harden(err))
		return false;
	if (sandbox_files(read, write, err) == SANDBOX_FAILED)
		return false;
	atomic_store(&s->page->pid, getpid());
	return sandbox_calls(calls, err);
}

int main(int argc, char **argv)
{
	static struct standby s;
	char why[4096] = "", err[OS_ERROR_BYTES] = "", name[WIRE_PORTS][INTERFACE_BYTES];

	log_open("sluice-standby", LOG_LEVEL_INFO);
	s.settings = settings_open(arguments_config(argc, argv, "sluice-standby",
						    "Bridges the two wire ports of its configuration while the data plane is down.\n",
						    "Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage or configuration.\n"),
				   why, sizeof why);
	if (!s.settings) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	if (!configured(&s, name, err)) {
		log_error("%s", err);
		return 2;
	}
	if (!start(&s, name, err)) {
		log_error("%s", err);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	run(&s);
	log_info("stopped");
	return 0;
}
