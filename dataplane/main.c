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

struct dataplane {
	struct settings *settings;
	struct worker worker;
	struct relay_config config;
	void *up, *down;
	uint8_t mask_key[MASK_KEY_BYTES];
	uint64_t failed_generation, restored_generation;
	struct page_flights *flights;
	struct page_standby *standby; /* NULL: nobody stands by */
	_Atomic bool prepared, opened; /* by the worker: its memory is there; by the main thread: so are the ports */
	bool failed;
};

static struct dataplane dataplane;

static void on_signal(int number)
{
	atomic_store(&dataplane.worker.mailbox.stop, true);
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
	size_t largest = 1;

	for (const struct inspector *const *i = inspectors; *i; i++)
		if ((*i)->session_bytes > largest)
			largest = (*i)->session_bytes;
	return (uint32_t)(bytes / largest < flows ? bytes / largest : flows);
}

static uint64_t wall_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void describe_ports(struct dataplane *d)
{
	for (unsigned i = 0; i < PORT_COUNT && d->worker.ports && d->worker.page; i++)
		port_describe(d->worker.ports, i, &d->worker.page->port[i]);
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
static void restore_policy(struct dataplane *d, const char *file)
{
	char err[OS_ERROR_BYTES];
	const struct relay_snapshot *s = file[0] ? snapshot_load(d->settings->run_dir, file, d->mask_key, err) : NULL;

	if (file[0] && !s)
		log_warn("the policy that was in force: %s: nothing of IP passes until control gives one", err);
	if (!s)
		return;
	d->restored_generation = s->inspect.generation;
	atomic_store_explicit(&d->worker.mailbox.next, s, memory_order_release);
}

/* Control makes it too: whoever comes first. */
static void open_capture(struct dataplane *d)
{
	char err[OS_ERROR_BYTES] = "capture-0: of another version: stop both processes and remove it";
	void *memory = shm_open_or_make(d->settings->run_dir, "capture-0", sizeof(struct capture_file), 0660, err);

	if (!capture_stage_open(&d->worker.capture, memory, sizeof(struct capture_file)))
		log_warn("%s: no frames can be captured", err);
}

static void open_pages(struct dataplane *d)
{
	struct page_worker *page = page_open(d, "worker-0", sizeof *page);
	uint32_t recorders = d->config.flows_max < RECORDERS_MAX ? d->config.flows_max : RECORDERS_MAX;
	char file[sizeof page->policy_file] = "";

	if (page) {
		if (page->magic == PAGE_MAGIC && page->bytes == sizeof *page)
			memcpy(file, page->policy_file, sizeof file - 1);
		memset(page, 0, sizeof *page);
		page->pid = getpid();
		page->started_wall_us = wall_us();
		page->bytes = sizeof *page;
		page->magic = PAGE_MAGIC;
		for (unsigned i = 0; i < PORT_COUNT; i++)
			snprintf(page->port[i].device, sizeof page->port[i].device, "%s", d->settings->dataplane.port[i]);
	}
	d->worker.page = page;
	open_capture(d);
	if (d->settings->dataplane.standby)
		d->standby = page_open(d, "standby", sizeof *d->standby);
	if (d->standby && !life_prepare(d->standby)) {
		log_warn("%s/standby: half made or of another version: nobody stands by: remove it", d->settings->run_dir);
		d->standby = NULL;
	}
	d->flights = page_open(d, "flight-0", page_flights_bytes(recorders));
	flight_adopt(d->flights, recorders);
	d->config.flights = d->flights;
	d->config.flight_flows = recorders;
	restore_policy(d, file);
	if (page)
		memcpy(page->policy_file, file, sizeof file);
}

static void size_memory(struct dataplane *d)
{
	uint64_t memory = d->settings->dataplane.memory_bytes, flows = d->settings->dataplane.flows;
	struct relay_config *c = &d->config;

	*c = (struct relay_config){
		.worker = 0, .flows_max = (uint32_t)flows, .sessions_max = sessions_in(memory / 2, flows),
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

static bool start(struct dataplane *d, char err[ERROR_BYTES])
{
	const struct settings *s = d->settings;
	const char *device[PORT_COUNT] = { s->dataplane.port[0], s->dataplane.port[1] };

	if (!device[0] || !device[1]) {
		snprintf(err, OS_ERROR_BYTES, "sluice.conf: no wire ports: name two in dataplane.ports");
		return false;
	}
	size_memory(d);
	d->up = shm_ring_open(s->run_dir, 0, SHM_RING_UP, err);
	d->down = d->up ? shm_ring_open(s->run_dir, 0, SHM_RING_DOWN, err) : NULL;
	if (!d->down || !load_mask_key(d, err))
		return false;
	open_pages(d);
	if (!port_start_environment("sluice-dataplane", s->dataplane.lcores, device, s->dataplane.eal, err, ERROR_BYTES))
		return false;
	d->worker.adaptive = s->dataplane.idle == SETTINGS_IDLE_ADAPTIVE;
	return true;
}

static void load_wanted(struct dataplane *d, uint64_t wanted)
{
	char err[OS_ERROR_BYTES];
	const struct relay_snapshot *s = snapshot_load(d->settings->run_dir, d->worker.mailbox.file, d->mask_key, err);

	if (!s) {
		log_error("policy generation %llu: %s: the one in force stays", (unsigned long long)wanted, err);
		d->failed_generation = wanted;
		return;
	}
	log_info("policy generation %llu is in force", (unsigned long long)wanted);
	if (d->worker.page)
		snprintf(d->worker.page->policy_file, sizeof d->worker.page->policy_file, "%s", d->worker.mailbox.file);
	atomic_store_explicit(&d->worker.mailbox.next, s, memory_order_release);
}

/* The worker's heartbeat in a clock that every process has. */
static void note_alive(struct dataplane *d, uint64_t *turns)
{
	uint64_t now = atomic_load_explicit(&d->worker.mailbox.turns, memory_order_relaxed);
	struct timespec t;

	if (now == *turns || !d->worker.page)
		return;
	*turns = now;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	d->worker.page->alive_mono_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
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
	port_drain(d->worker.ports);
	atomic_store(&s->claimant, getpid());
	claim = atomic_fetch_add(&s->claims, 1) + 1;
	for (unsigned i = 0; i < CLAIM_WAIT_MS && atomic_load(&s->state) == PAGE_STANDBY_BRIDGING && atomic_load(&s->yielded) != claim; i++)
		usleep(1000);
}

/* On the worker's own thread: its memory for TLS, its relay, its loop. */
static int work(void *argument)
{
	struct dataplane *d = argument;
	struct relay_wire wire = worker_wire(&d->worker);
	char err[OS_ERROR_BYTES];
	int rc;

	d->config.wall_offset_us = wall_us() - port_now_us();
	if (!confine_files(d)) {
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	if (!tls_arena_enter(ARENA_BYTES)) {
		log_error("worker 0: no memory for TLS: %u MiB wanted", ARENA_BYTES >> 20);
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	d->worker.relay = relay_create(&d->config, &wire, d->up, d->down, err, sizeof err);
	if (!d->worker.relay) {
		log_error("%s", err);
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	d->worker.life = &((struct ring_header *)d->up)->producer;
	if (!life_begin(d->worker.life)) {
		log_error("worker 0: its sign of life cannot be made: remove the ring files and start again");
		atomic_store(&d->worker.mailbox.stop, true);
		return 1;
	}
	atomic_store(&d->prepared, true);
	while (!atomic_load(&d->opened) && !atomic_load(&d->worker.mailbox.stop))
		usleep(WAIT_US);
	rc = 1;
	if (d->worker.ports) {
		claim_wire(d);
		rc = worker_run(&d->worker);
	}
	relay_destroy(d->worker.relay);
	return rc;
}

/* The main thread while the worker polls: policy images in, old ones out. */
static void housekeeping(struct dataplane *d)
{
	struct worker_mailbox *m = &d->worker.mailbox;
	uint64_t loaded = 0, turns = 0, rounds = 0;

	while (!atomic_load(&m->stop)) {
		uint64_t wanted = atomic_load_explicit(&m->wanted, memory_order_acquire);
		const struct relay_snapshot *retired = atomic_load_explicit(&m->retired, memory_order_acquire);

		if (wanted != loaded && wanted != d->failed_generation && !atomic_load(&m->next)) {
			load_wanted(d, wanted);
			loaded = wanted;
		}
		if (retired) {
			snapshot_free(retired);
			atomic_store(&m->retired, NULL);
		}
		if (d->restored_generation && atomic_load(&m->turns) > 0) {
			log_info("policy generation %llu is in force, as before", (unsigned long long)d->restored_generation);
			d->restored_generation = 0;
		}
		note_alive(d, &turns);
		atomic_store_explicit(&d->worker.capture.wall_offset_us, wall_us() - port_now_us(), memory_order_relaxed);
		if (++rounds % (DESCRIBE_EVERY_US / HOUSEKEEPING_US) == 0)
			describe_ports(d);
		usleep(HOUSEKEEPING_US);
	}
}

/* The ports come last, when the worker has its memory: from their first moment on somebody reads them. Then the privileges go. */
static bool open_ports(struct dataplane *d, char err[ERROR_BYTES])
{
	const char *device[PORT_COUNT] = { d->settings->dataplane.port[0], d->settings->dataplane.port[1] };
	struct ports *ports = port_start(device, MTU_BYTES, err, ERROR_BYTES);

	if (!ports || !priv_drop(d->settings->users.dataplane, err) || !priv_harden(err) || !confine_files(d) || !confine_calls(err))
		return false;
	d->worker.ports = ports;
	describe_ports(d);
	log_info("polling %s and %s", device[0], device[1]);
	return true;
}

/* The main thread, once the worker has been started. */
static int attend(void *argument)
{
	struct dataplane *d = argument;
	char err[ERROR_BYTES] = "";

	while (!atomic_load(&d->prepared) && !atomic_load(&d->worker.mailbox.stop))
		usleep(WAIT_US);
	if (atomic_load(&d->worker.mailbox.stop))
		return 0;
	d->failed = !open_ports(d, err);
	if (d->failed) {
		log_error("%s", err);
		atomic_store(&d->worker.mailbox.stop, true);
	}
	atomic_store(&d->opened, true);
	housekeeping(d);
	return 0;
}

int main(int argc, char **argv)
{
	struct dataplane *d = &dataplane;
	char why[4096] = "", err[ERROR_BYTES] = "";
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
	rc = port_run_worker(work, d, attend, d);
	if (rc < 0)
		log_error("no core for the worker: give two lcores");
	if (d->worker.ports)
		port_stop(d->worker.ports);
	if (d->worker.page)
		d->worker.page->pid = 0;
	if (!d->failed)
		log_info("stopped");
	_exit(rc == 0 && !d->failed ? 0 : 1); /* what DPDK does at exit takes calls that are forbidden by now */
}
