/* sluice-dataplane: ordered start, then the poll loop. Everything that needs root, a file or memory happens before the
 * loop; afterwards the process has given its privileges up, and only the main thread still opens policy images. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/relay/flight.h"
#include "dataplane/snapshot.h"
#include "dataplane/standby/life.h"
#include "dataplane/tls/arena.h"
#include "dataplane/worker.h"
#include "platform/base/random.h"
#include "platform/contract/ring.h"
#include "platform/os/arguments.h"
#include "platform/os/log.h"
#include "platform/os/priv.h"
#include "platform/os/sandbox.h"
#include "platform/os/settings.h"
#include "platform/os/shm.h"

#define MTU_BYTES 1500
#define ARENA_BYTES (128u << 20)
#define SHARED_BYTES (64u << 20)
#define HOUSEKEEPING_US 5000
#define DESCRIBE_EVERY_US 1000000u /* the ports, for `sluice show ports` */
#define CLAIM_WAIT_MS 100u
#define WAIT_US 1000u
#define RECORDERS_MAX 16384u        /* flows with a flight recorder: 12 MB */
#define ERROR_BYTES (2 * OS_ERROR_BYTES) /* a port is named with all its arguments */

/* One worker, and what the main thread does for it. */
struct part {
	struct worker worker;
	struct relay_config config;
	void *up, *down;
	uint64_t loaded_generation, failed_generation, restored_generation;
	uint64_t turns; /* as the main thread saw them last */
	_Atomic bool prepared; /* by the worker: its memory is there */
};

struct dataplane {
	struct settings *settings;
	struct part part[LIMIT_WORKERS];
	unsigned workers;
	struct ports *ports; /* of the first worker */
	uint8_t mask_key[MASK_KEY_BYTES];
	struct page_standby *standby; /* NULL: nobody stands by */
	_Atomic bool opened, claimed; /* by the main thread: the ports are there; by the first worker: the wire is ours */
	bool failed;
};

static struct dataplane dataplane;

static void stop_all(struct dataplane *d)
{
	for (unsigned w = 0; w < d->workers; w++)
		atomic_store(&d->part[w].worker.mailbox.stop, true);
}

static bool stopping(const struct dataplane *d)
{
	bool any = false;

	for (unsigned w = 0; w < d->workers; w++)
		any |= atomic_load(&d->part[w].worker.mailbox.stop);
	return any;
}

static void on_signal(int number)
{
	stop_all(&dataplane);
}

/* The key of the masks: random, and as long-lived as the run directory, so that a restart knows its own tokens. */
static bool load_mask_key(struct dataplane *d, char err[OS_ERROR_BYTES])
{
	static const uint8_t zero[MASK_KEY_BYTES];
	uint8_t *shared = shm_open_or_make(d->settings->run_dir, "mask.key", MASK_KEY_BYTES, 0600, err);

	if (!shared)
		return false;
	if (memcmp(shared, zero, sizeof zero) == 0)
		random_secret(shared, MASK_KEY_BYTES);
	memcpy(d->mask_key, shared, MASK_KEY_BYTES);
	shm_unmap(shared, MASK_KEY_BYTES);
	return true;
}

/* How many sessions fit into `bytes`. */
static uint32_t sessions_in(uint64_t bytes, uint64_t flows)
{
	uint32_t fit = relay_sessions_in(bytes);

	return fit < flows ? fit : (uint32_t)flows;
}

static uint64_t wall_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void describe_ports(struct dataplane *d)
{
	for (unsigned w = 0; w < d->workers; w++)
		for (unsigned i = 0; i < PORT_COUNT && d->part[w].worker.page; i++)
			port_describe(d->part[w].worker.ports, i, &d->part[w].worker.page->port[i]);
}

/* A page that outlives the process. One of another size is another version's: it is replaced. */
static void *page_open(struct dataplane *d, const char *name, size_t len)
{
	char err[OS_ERROR_BYTES];
	void *page = shm_open_or_make(d->settings->run_dir, name, len, 0640, err), *empty;

	if (page)
		return page;
	empty = calloc(1, len);
	if (empty && shm_publish(d->settings->run_dir, name, bytes_of(empty, len), 0640, err))
		page = shm_open_or_make(d->settings->run_dir, name, len, 0640, err);
	free(empty);
	if (!page)
		log_warn("%s: nothing to show for this worker", err);
	return page;
}

/* The policy that the process before this one had in force: until control says otherwise, what was guarded stays guarded and what
 * was not is bridged, whether control runs or not. */
static void restore_policy(struct dataplane *d, struct part *p, const char *file)
{
	char err[OS_ERROR_BYTES];
	const struct relay_snapshot *s = file[0] ? snapshot_load(d->settings->run_dir, file, d->mask_key, err) : NULL;

	if (file[0] && !s)
		log_warn("the policy that was in force: %s: nothing of IP passes until control gives one", err);
	if (!s)
		return;
	p->restored_generation = s->inspect.generation;
	atomic_store_explicit(&p->worker.mailbox.next, s, memory_order_release);
}

/* Control makes it too: whoever comes first. */
static void open_capture(struct dataplane *d, struct part *p)
{
	char name[32], err[OS_ERROR_BYTES];
	void *memory;

	snprintf(name, sizeof name, "capture-%u", p->config.worker);
	snprintf(err, sizeof err, "%s: of another version: stop both processes and remove it", name);
	memory = shm_open_or_make(d->settings->run_dir, name, sizeof(struct capture_file), 0660, err);

	if (!capture_stage_open(&p->worker.capture, memory, sizeof(struct capture_file)))
		log_warn("%s: no frames can be captured", err);
}

static void open_pages(struct dataplane *d, struct part *p)
{
	uint32_t recorders = p->config.flows_max < RECORDERS_MAX ? p->config.flows_max : RECORDERS_MAX;
	struct page_worker *page;
	char name[32], file[sizeof page->policy_file] = "";

	snprintf(name, sizeof name, "worker-%u", p->config.worker);
	page = page_open(d, name, sizeof *page);
	if (page) {
		if (page->magic == PAGE_MAGIC && page->bytes == sizeof *page)
			memcpy(file, page->policy_file, sizeof file - 1);
		memset(page, 0, sizeof *page);
		page->worker = p->config.worker;
		page->pid = getpid();
		page->started_wall_us = wall_us();
		page->bytes = sizeof *page;
		page->magic = PAGE_MAGIC;
		for (unsigned i = 0; i < PORT_COUNT; i++)
			snprintf(page->port[i].device, sizeof page->port[i].device, "%s", d->settings->dataplane.port[i]);
	}
	p->worker.page = page;
	open_capture(d, p);
	snprintf(name, sizeof name, "flight-%u", p->config.worker);
	p->config.flights = page_open(d, name, page_flights_bytes(recorders));
	flight_adopt(p->config.flights, recorders);
	p->config.flight_flows = recorders;
	restore_policy(d, p, file);
	if (page)
		memcpy(page->policy_file, file, sizeof file);
}

static void open_standby(struct dataplane *d)
{
	if (d->settings->dataplane.standby)
		d->standby = page_open(d, "standby", sizeof *d->standby);
	if (d->standby && !life_prepare(d->standby)) {
		log_warn("%s/standby: half made or of another version: nobody stands by: remove it", d->settings->run_dir);
		d->standby = NULL;
	}
}

/* Each worker gets the same share of what the configuration allows all of them. */
static void size_memory(struct dataplane *d, unsigned worker)
{
	uint64_t memory = d->settings->dataplane.memory_bytes / d->workers, flows = (d->settings->dataplane.flows + d->workers - 1) / d->workers;
	struct relay_config *c = &d->part[worker].config;

	*c = (struct relay_config){
		.worker = worker, .workers = d->workers, .flows_max = (uint32_t)flows, .sessions_max = sessions_in(memory / 2, flows),
		.chunk_memory_bytes = memory / 2, .shared_bytes = SHARED_BYTES, .mtu_bytes = MTU_BYTES, .window_bytes = 1u << 20, .lost_after_us = 30000000,
		.stalled_after_us = 2000000,
		.unnamed = d->settings->dataplane.unnamed_port == SETTINGS_UNNAMED_PASS ? RELAY_UNNAMED_PASS : RELAY_UNNAMED_DROP,
		.tunnels = d->settings->dataplane.tunnels == SETTINGS_TUNNELS_DROP ? RELAY_TUNNELS_DROP : RELAY_TUNNELS_PASS,
		.double_tags = d->settings->dataplane.double_tags == SETTINGS_DOUBLE_TAGS_DROP ? RELAY_DOUBLE_TAGS_DROP : RELAY_DOUBLE_TAGS_INSPECT,
		.splice = d->settings->dataplane.splice ? RELAY_SPLICE_ON : RELAY_SPLICE_OFF,
	};
	c->buffers[0] = (uint32_t)(memory / 4 / (32u << 10));
	c->buffers[1] = (uint32_t)(memory / 8 / (256u << 10));
	c->buffers[2] = (uint32_t)(memory / 8 / (2u << 20));
	random_secret(c->boot, sizeof c->boot);
	random_secret(&c->hash_key, sizeof c->hash_key);
}

static bool start_part(struct dataplane *d, unsigned worker, char err[ERROR_BYTES])
{
	struct part *p = &d->part[worker];

	size_memory(d, worker);
	p->up = shm_ring_open(d->settings->run_dir, worker, SHM_RING_UP, err);
	p->down = p->up ? shm_ring_open(d->settings->run_dir, worker, SHM_RING_DOWN, err) : NULL;
	if (!p->down)
		return false;
	open_pages(d, p);
	p->worker.adaptive = d->settings->dataplane.idle == SETTINGS_IDLE_ADAPTIVE;
	return true;
}

static bool start(struct dataplane *d, char err[ERROR_BYTES])
{
	const struct settings *s = d->settings;
	const char *device[PORT_COUNT] = { s->dataplane.port[0], s->dataplane.port[1] };

	d->workers = s->workers;
	if (!load_mask_key(d, err))
		return false;
	for (unsigned w = 0; w < d->workers; w++)
		if (!start_part(d, w, err))
			return false;
	open_standby(d);
	if (!port_start_environment("sluice-dataplane", s->dataplane.lcores, device, s->dataplane.eal, err, ERROR_BYTES))
		return false;
	if (d->workers > port_workers_max()) {
		snprintf(err, ERROR_BYTES, "workers = %u: cores for %u, beside the main thread's: name %u in dataplane.lcores; several may share a core: \"0@0,1@1,2@1\"",
			 d->workers, port_workers_max(), d->workers + 1);
		return false;
	}
	return true;
}

static void load_wanted(struct dataplane *d, struct part *p, uint64_t wanted)
{
	char err[OS_ERROR_BYTES];
	const struct relay_snapshot *s = snapshot_load(d->settings->run_dir, p->worker.mailbox.file, d->mask_key, err);

	if (!s) {
		log_error("policy generation %llu: %s: the one in force stays", (unsigned long long)wanted, err);
		p->failed_generation = wanted;
		return;
	}
	log_info("policy generation %llu is in force", (unsigned long long)wanted);
	if (p->worker.page)
		snprintf(p->worker.page->policy_file, sizeof p->worker.page->policy_file, "%s", p->worker.mailbox.file);
	atomic_store_explicit(&p->worker.mailbox.next, s, memory_order_release);
}

/* The worker's heartbeat in a clock that every process has. */
static void note_alive(struct part *p)
{
	uint64_t now = atomic_load_explicit(&p->worker.mailbox.turns, memory_order_relaxed);
	struct timespec t;

	if (now == p->turns || !p->worker.page)
		return;
	p->turns = now;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	p->worker.page->alive_mono_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* What the drivers call in the loop, and what loading a policy image takes. Landlock holds for one thread, so the worker
 * asks for it too. */
static bool confine_files(struct dataplane *d)
{
	const char *const read[] = { d->settings->run_dir, "/sys/devices/system", "/proc/meminfo", "/etc", NULL };
	const char *const write[] = { NULL };
	char err[OS_ERROR_BYTES];
	enum sandbox_result result = sandbox_files(read, write, err);

	if (result != SANDBOX_DONE)
		log_warn("%s", err);
	return result != SANDBOX_FAILED;
}

static bool confine_calls(char err[OS_ERROR_BYTES])
{
	static const char *const calls[] = { "openat", "unlink", "stat", "lstat", "access", "faccessat", "eventfd2",
		"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "prctl", /* the worker, for itself */ NULL };

	return sandbox_calls(calls, err);
}

/* Takes the wire over from the standby forwarder: from here on this process reads it. What the standby passes on until it has
 * yielded also lies in those of our ports that get a copy of each frame: it is dropped here first. */
static void claim_wire(struct dataplane *d)
{
	struct page_standby *s = d->standby;
	uint32_t claim;

	if (!s)
		return;
	if (!life_hold(s)) {
		log_warn("another data plane of this run directory lives: nobody stands by for this one");
		return;
	}
	port_drain(d->ports);
	atomic_store(&s->claimant, getpid());
	claim = atomic_fetch_add(&s->claims, 1) + 1;
	for (unsigned i = 0; i < CLAIM_WAIT_MS && atomic_load(&s->state) == PAGE_STANDBY_BRIDGING && atomic_load(&s->yielded) != claim; i++)
		usleep(1000);
}

/* What a worker has to have before it reads a frame, made on its own thread. */
static bool prepare(struct dataplane *d, struct part *p)
{
	struct relay_wire wire = worker_wire(&p->worker);
	unsigned number = p->config.worker;
	char err[OS_ERROR_BYTES];

	p->config.wall_offset_us = wall_us() - port_now_us();
	if (!confine_files(d))
		return false;
	if (!tls_arena_enter(ARENA_BYTES)) {
		log_error("worker %u: no memory for TLS: %u MiB wanted", number, ARENA_BYTES >> 20);
		return false;
	}
	p->worker.relay = relay_create(&p->config, &wire, p->up, p->down, err, sizeof err);
	if (!p->worker.relay) {
		log_error("%s", err);
		return false;
	}
	p->worker.life = &((struct ring_header *)p->up)->producer;
	if (!life_begin(p->worker.life)) {
		log_error("worker %u: its sign of life cannot be made: remove the ring files and start again", number);
		return false;
	}
	return true;
}

/* The first worker claims the wire, on its own thread, whose life the standby watches; the others wait for it. */
static bool wire_is_ours(struct dataplane *d, const struct part *p)
{
	while (!atomic_load(&d->opened) && !stopping(d))
		usleep(WAIT_US);
	if (!d->ports)
		return false;
	if (p == &d->part[0]) {
		claim_wire(d);
		atomic_store(&d->claimed, true);
	}
	while (!atomic_load(&d->claimed) && !stopping(d))
		usleep(WAIT_US);
	return atomic_load(&d->claimed);
}

/* On a worker's own thread: its memory for TLS, its relay, its loop. */
static int work(void *argument)
{
	struct part *p = argument;
	struct dataplane *d = &dataplane;
	int rc = 1;

	if (!prepare(d, p)) {
		stop_all(d);
		return 1;
	}
	atomic_store(&p->prepared, true);
	if (wire_is_ours(d, p))
		rc = worker_run(&p->worker);
	relay_destroy(p->worker.relay);
	return rc;
}

/* For one worker: policy images in, old ones out. */
static void serve(struct dataplane *d, struct part *p)
{
	struct worker_mailbox *m = &p->worker.mailbox;
	uint64_t wanted = atomic_load_explicit(&m->wanted, memory_order_acquire);
	const struct relay_snapshot *retired = atomic_load_explicit(&m->retired, memory_order_acquire);

	if (wanted != p->loaded_generation && wanted != p->failed_generation && !atomic_load(&m->next)) {
		load_wanted(d, p, wanted);
		p->loaded_generation = wanted;
	}
	if (retired) {
		snapshot_free(retired);
		atomic_store(&m->retired, NULL);
	}
	if (p->restored_generation && atomic_load(&m->turns) > 0) {
		log_info("policy generation %llu is in force, as before", (unsigned long long)p->restored_generation);
		p->restored_generation = 0;
	}
	note_alive(p);
	atomic_store_explicit(&p->worker.capture.wall_offset_us, wall_us() - port_now_us(), memory_order_relaxed);
}

/* The main thread while the workers poll. */
static void housekeeping(struct dataplane *d)
{
	for (uint64_t rounds = 1; !stopping(d); rounds++) {
		for (unsigned w = 0; w < d->workers; w++)
			serve(d, &d->part[w]);
		if (rounds % (DESCRIBE_EVERY_US / HOUSEKEEPING_US) == 0)
			describe_ports(d);
		usleep(HOUSEKEEPING_US);
	}
}

/* What is used of what the devices can do. */
static void log_ports(const struct dataplane *d)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		struct page_port port = { 0 };
		char offloads[PAGE_TEXT_BYTES];

		port_describe(d->ports, i, &port);
		page_offloads_text(port.offloads, offloads);
		log_info("port %s: driver %s, queues in use %u, offloads: %s; %s", d->settings->dataplane.port[i], port.driver, port.queues, offloads,
			 port_spreads(d->ports, i));
	}
}

/* The ports come last, when the workers have their memory: from their first moment on somebody reads them. Then the privileges go. */
static bool open_ports(struct dataplane *d, char err[ERROR_BYTES])
{
	const char *device[PORT_COUNT] = { d->settings->dataplane.port[0], d->settings->dataplane.port[1] };
	struct ports *ports = port_start(device, MTU_BYTES, d->workers, err, ERROR_BYTES);

	if (!ports || !priv_drop(d->settings->users.dataplane, err) || !priv_harden(err) || !confine_files(d) || !confine_calls(err))
		return false;
	for (unsigned w = 0; w < d->workers; w++)
		d->part[w].worker.ports = port_of_worker(ports, w);
	d->ports = ports;
	describe_ports(d);
	log_ports(d);
	log_info("polling %s and %s", device[0], device[1]);
	return true;
}

static bool all_prepared(const struct dataplane *d)
{
	bool all = true;

	for (unsigned w = 0; w < d->workers; w++)
		all &= atomic_load(&d->part[w].prepared);
	return all;
}

/* The main thread, once the workers have been started. */
static int attend(void *argument)
{
	struct dataplane *d = argument;
	char err[ERROR_BYTES] = "";

	while (!all_prepared(d) && !stopping(d))
		usleep(WAIT_US);
	if (stopping(d))
		return 0;
	d->failed = !open_ports(d, err);
	if (d->failed) {
		log_error("%s", err);
		stop_all(d);
	}
	atomic_store(&d->opened, true);
	housekeeping(d);
	stop_all(d); /* one that stopped alone is not left behind by the others */
	return 0;
}

int main(int argc, char **argv)
{
	struct dataplane *d = &dataplane;
	char why[4096] = "", err[ERROR_BYTES] = "";
	void *parts[LIMIT_WORKERS];
	int rc;

	log_open("sluice-dataplane", LOG_LEVEL_INFO);
	d->settings = settings_open(arguments_config(argc, argv, "sluice-dataplane",
						     "The packet workers of Sluice: polls the two wire ports of its configuration.\n",
						     "Exit status: 0 stopped by a signal, 1 failed, 2 wrong usage or configuration.\n"),
				    why, sizeof why);
	if (!d->settings) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	if (!d->settings->dataplane.port[0] || !d->settings->dataplane.port[1]) {
		log_error("sluice.conf: no wire ports: name two in dataplane.ports");
		return 2;
	}
	if (!tls_arena_install()) {
		log_error("OpenSSL was used before its memory was set up");
		return 1;
	}
	if (!start(d, err)) {
		log_error("%s", err);
		return 1;
	}
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	for (unsigned w = 0; w < d->workers; w++)
		parts[w] = &d->part[w];
	rc = port_run_workers(work, parts, d->workers, attend, d);
	if (d->ports)
		port_stop(d->ports);
	for (unsigned w = 0; w < d->workers; w++)
		if (d->part[w].worker.page)
			d->part[w].worker.page->pid = 0;
	if (!d->failed)
		log_info("stopped");
	_exit(rc == 0 && !d->failed ? 0 : 1); /* what DPDK does at exit takes calls that are forbidden by now */
}
